"""The event log on disk: an Arrow IPC stream, compressed with zstd, one row an event.

Rules:

1. The log is all that anyone needs: its header names everything that the rows number, and carries the scenario, the
   seed and the input files, so that the run can be made again from the log alone.
2. The digest is SHA-256 over the SHA-256 of each column's little-endian bytes, in column order. It does not depend on
   batches, compression, library versions or the header.
3. A log whose last row is not `RunFinished` is cut: the run was interrupted, stopped or killed. It is readable up to the
   last complete batch, what is there is true, and `Log.cut` says that something is missing.
4. A log that cannot be decoded, or with a row that numbers what the header does not name, is damaged: that is a LogError.
   Each batch is held against the header where it is read, here, so that no reader of a `Log` has to look again.
5. No host name, path of a machine or wall clock is ever written.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.events import COLUMNS, Batch, Ending, Kind, Skip, Status
from model.faults import named, shown
from model.header import ConstraintEntry, DemandEntry, FleetEntry, Header, LogError, StepEntry
from model.roster import Roster

__all__ = [
    "BATCH_ROWS",
    "ConstraintEntry",
    "DemandEntry",
    "Digest",
    "FleetEntry",
    "Header",
    "Log",
    "LogError",
    "LogWriter",
    "StepEntry",
    "is_stream",
]

BATCH_ROWS = 65_536
_COMPRESSION_LEVEL = 1
_STREAM_BEGINS = b"\xff\xff\xff\xff"
_STREAM_ENDS = b"\xff\xff\xff\xff\0\0\0\0"
_FIELDS = [pa.field(name, pa.from_numpy_dtype(dtype)) for name, dtype in COLUMNS.items()]
_ALLOWED = "allowed: a log that a run has written"


class Digest:
    """The running digest of a log."""

    def __init__(self) -> None:
        self._columns = [hashlib.sha256() for _ in COLUMNS]

    def update(self, batch: Batch) -> None:
        """Take in the next rows."""
        for column, part in zip(self._columns, batch.columns(), strict=True):
            column.update(np.ascontiguousarray(part).data)

    def hex(self) -> str:
        """Return the digest of all rows so far."""
        return hashlib.sha256(b"".join(column.digest() for column in self._columns)).hexdigest()


class LogWriter:
    """Writes a log, batch by batch, into an open binary file; memory stays bounded by one batch.

    What was written is out of the process at once: a run that is killed leaves all batches that it had written.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self.events = 0
        self._file = file
        self._digest = Digest()
        self._schema = pa.schema(_FIELDS, metadata=header.to_metadata())
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", _COMPRESSION_LEVEL))
        self._stream = pa.ipc.new_stream(file, self._schema, options=options)

    def write(self, batch: Batch) -> None:
        """Append the rows of `batch`; raises OSError where the file cannot take them."""
        self._digest.update(batch)
        self._stream.write_batch(pa.record_batch([pa.array(column) for column in batch.columns()], schema=self._schema))
        self._file.flush()
        self.events += len(batch)

    def close(self) -> None:
        """Write the end of the stream; the file itself stays open."""
        self._stream.close()

    def digest(self) -> str:
        """Return the digest of what was written so far, in hexadecimal."""
        return self._digest.hex()


class Log:
    """A log that is read back, as often as one likes, batch by batch, so that it may be larger than memory."""

    def __init__(self, source: Callable[[], pa.NativeFile], name: str = "", checked: bool = True) -> None:
        """Read the header. `name` is what errors call the log; rows that are not to be `checked` are taken as they are."""
        self._source = source
        self._name = name
        self._checked = checked
        self._cut: bool | None = None
        opened = source()
        try:
            schema = pa.ipc.open_stream(opened).schema
            as_expected = [(each.name, each.type) for each in schema] == [(each.name, each.type) for each in _FIELDS]
        except (OSError, ValueError, pa.ArrowException):
            cut = _ends_early(opened)
            raise self._error(
                f"{'the log is cut before its first event' if cut else 'not a fleetsim log'}; {_ALLOWED}"
            ) from None
        try:
            self.header = Header.from_metadata(schema.metadata)
        except LogError as error:
            raise self._error(str(error)) from None
        if not as_expected:
            raise self._error("the columns of this log are not those of this version, or it is damaged")

    @classmethod
    def open(cls, path: str | Path) -> "Log":
        """Open the log at `path`; raises LogError where there is none, or it cannot be read."""
        if not isinstance(path, (str, os.PathLike)):
            raise LogError(f"{shown(path)} is no path; {_ALLOWED}")
        if (reason := _no_log(Path(path))) is not None:
            raise LogError(f"{named(path)}: {reason}")
        try:
            # As bytes: of a name that is no UTF-8 the library makes nothing.
            return cls(lambda: pa.memory_map(os.fsencode(path)), named(path))
        except OSError as error:
            raise LogError(f"{named(path)}: cannot be read: {error.strerror or error}; {_ALLOWED}") from None

    @classmethod
    def from_bytes(cls, content: bytes, checked: bool = True) -> "Log":
        """Open a log that is held in memory."""
        return cls(lambda: pa.BufferReader(content), checked=checked)

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in order, up to the last complete batch; afterwards `cut` is known.

        Raises LogError where the log is damaged.
        """
        source = self._source()
        stream, check = pa.ipc.open_stream(source), _Check(self.header)
        events, last_kind, last_ns = 0, -1, 0
        while True:
            left = source.size() - source.tell()
            try:
                read = stream.read_next_batch()
                read.validate()
            except StopIteration:
                if source.tell() < source.size():
                    raise self._damaged(events, "it cannot be read from there on") from None
                break
            except (OSError, pa.ArrowException):
                if left < len(_STREAM_ENDS):  # all that is missing is the mark of the end, or a part of it
                    break
                if last_kind == Kind.RunFinished or not _ends_early(source):
                    raise self._damaged(events, "it cannot be read from there on") from None
                break
            if any(column.null_count for column in read.columns):
                raise self._damaged(events, "a value is missing there or later")
            batch = Batch(*(column.to_numpy() for column in read.columns))
            if not len(batch):
                continue
            if self._checked and (wrong := check.first(batch, last_ns)) is not None:
                row, problem = wrong
                raise self._damaged(events + row, problem)
            events, last_kind, last_ns = events + len(batch), int(batch.kind[-1]), int(batch.time[-1])
            yield batch
        self._cut = last_kind != Kind.RunFinished

    def to_arrow(self) -> pa.Table:
        """Return all events as a table, a row each, with names in place of numbers (`model.rows`)."""
        from model.rows import SCHEMA, rows

        return pa.Table.from_batches(rows(self), SCHEMA)

    def to_pandas(self) -> Any:
        """Return the same as a pandas DataFrame; raises ImportError where pandas is not installed."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """Return the same as a Polars DataFrame; raises ImportError where Polars is not installed."""
        import polars  # an extra

        return polars.from_arrow(self.to_arrow())

    @property
    def cut(self) -> bool:
        """Whether the end is missing: the run was interrupted, stopped or killed."""
        if self._cut is None:
            for _ in self.batches():
                pass
        assert self._cut is not None
        return self._cut

    def digest(self) -> str:
        """Return the digest of all readable rows, in hexadecimal."""
        digest = Digest()
        for batch in self.batches():
            digest.update(batch)
        return digest.hex()

    def _damaged(self, event: int, problem: str) -> LogError:
        return self._error(f"the log is damaged at event {event:,}: {problem}")

    def _error(self, text: str) -> LogError:
        return LogError(f"{self._name}: {text}" if self._name else text)


def is_stream(path: Path) -> bool:
    """Say whether a file begins as a log does, and so no text can."""
    with path.open("rb") as file:
        return file.read(len(_STREAM_BEGINS)) == _STREAM_BEGINS


def _no_log(path: Path) -> str | None:
    """Say why there is no log at `path`; None where there may be one."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"not a fleetsim log: it is {'a directory' if path.is_dir() else 'not a file'}; {_ALLOWED}"
        if not status.st_size:
            return f"not a fleetsim log: it is empty; {_ALLOWED}"
        if is_stream(path):
            return None
    except FileNotFoundError:
        return f"no such file; {_ALLOWED}"
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}; {_ALLOWED}"
    if path.suffix.lower() in (".yaml", ".yml"):
        return f"not a fleetsim log: that is a scenario; run it with python -m sim {path}"
    return f"not a fleetsim log; {_ALLOWED}"


def _ends_early(source: pa.NativeFile) -> bool:
    """Say whether a read that failed came to the end of a stream that nobody closed.

    The mark of the end stands at a multiple of its length. Elsewhere it is a -1 and zeros of some column, cut there.
    """
    size = source.size()
    if source.tell() < size:
        return False
    if size % len(_STREAM_ENDS):
        return True
    source.seek(max(0, size - len(_STREAM_ENDS)))
    return bytes(source.read()) != _STREAM_ENDS


_OF_AGENTS = (*range(Kind.AgentStarted, Kind.ResourceReleased + 1), Kind.AgentCrashed, Kind.AgentRestarted)
_OF_TASKS = range(Kind.TaskBlocked, Kind.ResourceReleased + 1)
_OF_CONSTRAINTS = (
    *(Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected),
    *(Kind.ResourceAcquired, Kind.ResourceReleased, Kind.ConstraintChanged),
)
_LEAST = {
    name: np.where(np.isin(np.arange(len(Kind)), list(kinds)), 0, -1)
    for name, kinds in {
        "agent": _OF_AGENTS,
        "step": _OF_TASKS,
        "visit": _OF_TASKS,
        "attempt": _OF_TASKS,
        "constraint": _OF_CONSTRAINTS,
    }.items()
}
"""The least number in a column by the kind of the row: 0 where such a row has one, else -1."""
_CODES = {Kind.RunFinished: Ending, Kind.TaskFinished: Status, Kind.TaskSkipped: Skip}
"""What the value of a row stands for, where it is one of a list."""


class _Check:
    """Finds rows that number what the header does not name, or that go back in time: by a few passes over a batch."""

    def __init__(self, header: Header) -> None:
        self._stops = {
            "agent": None,
            "step": len(header.steps),
            "visit": None,
            "attempt": None,
            "constraint": len(header.constraints),
        }
        self._agents = header.agents
        self._roster = Roster(header)
        self._fleet_of_step = np.array([*(step.fleet for step in header.steps), 0])
        fleets = [header.fleets[step.fleet] for step in header.steps]
        self._agents_first = np.array([*(fleet.first for fleet in fleets), 0])
        self._agents_stop = np.array([*(fleet.first + fleet.count for fleet in fleets), 0])

    def first(self, batch: Batch, since_ns: int) -> tuple[int, str] | None:
        """Return the place of a row that is wrong and what is wrong with it, or None where all are right."""
        kinds = batch.kind
        if (row := _first(kinds >= len(Kind))) is not None:
            return row, f"it is of kind {kinds[row]}, and there are {len(Kind)}"
        for name, stop in self._stops.items():
            column = getattr(batch, name)
            wrong = column < _LEAST[name][kinds]
            if stop is not None:
                wrong |= column >= stop
            if (row := _first(wrong)) is not None:
                known = "" if stop is None else f", and the header has {stop}"
                return row, f"{Kind(kinds[row]).name} names {name} {column[row]}{known}"
        if (unborn := self._roster.feed(batch)) is not None:
            return unborn
        if (row := _first(batch.agent >= self._roster.agents)) is not None:
            return row, f"{Kind(kinds[row]).name} names agent {batch.agent[row]}, and there are {self._roster.agents}"
        for kind, codes in _CODES.items():
            if (row := _first((kinds == kind) & ((batch.value < 0) | (batch.value >= len(codes))))) is not None:
                return row, f"{kind.name} has value {batch.value[row]}; allowed: 0 to {len(codes) - 1}"
        strange = (batch.agent < self._agents_first[batch.step]) | (batch.agent >= self._agents_stop[batch.step])
        late = np.flatnonzero(batch.agent >= self._agents)
        if len(late):
            strange[late] = self._roster.places(batch.agent[late])[0] != self._fleet_of_step[batch.step[late]]
        if (row := _first(strange & (_LEAST["step"][kinds] == 0))) is not None:
            return row, f"it names agent {batch.agent[row]} and step {batch.step[row]}, which is of another fleet"
        if (row := _first(np.diff(batch.time, prepend=since_ns) < 0)) is not None:
            return row, f"it is at {batch.time[row]} ns, before the one before it"
        return None


def _first(wrong: NDArray[np.bool_]) -> int | None:
    row = int(np.argmax(wrong))
    return row if wrong[row] else None
