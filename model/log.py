"""The event log on disk: an Arrow IPC stream, compressed with zstd, one row an event.

Rules:

1. The log is all that anyone needs: its header names everything that the rows number, and carries the scenario, the
   seed and the input files, so that the run can be made again from the log alone.
2. The digest is SHA-256 over the SHA-256 of each column's little-endian bytes, in column order. It does not depend on
   batches, compression, library versions or the header.
3. Batches are readable up to the last complete one. A log whose last row is not `RunFinished` is cut: what is there is
   true, and `Log.cut` says that something is missing.
4. No host name, path of a machine or wall clock is ever written.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from model.events import COLUMNS, LOG_FORMAT, Batch, Kind

BATCH_ROWS = 65_536
_HEADER_KEY = b"fleetsim"
_INPUT_KEY = b"fleetsim.input."
_COMPRESSION_LEVEL = 1


class LogError(Exception):
    """The file is no log that can be read, or it cannot be written; the text says which and why."""


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """A fleet: its agents are numbered from `first`, `count` of them."""

    name: str
    first: int
    count: int
    tenant: str | None
    priority: int


@dataclass(frozen=True, slots=True)
class DemandEntry:
    """What a task asks of one constraint; `amount` is None where it is drawn and so recorded in the rows."""

    constraint: int
    amount: int | None


@dataclass(frozen=True, slots=True)
class StepEntry:
    """A step. `demands` has one entry for each group of agents of the fleet that the same constraints govern.

    Where it `states_all`, every amount that is taken or given back has a row of its own.
    `groups` says which agents (numbers within the fleet) are in which group, as (first, last, group); empty where
    there is only one group.
    """

    fleet: int
    name: str
    kind: str
    demands: tuple[tuple[DemandEntry, ...], ...]
    groups: tuple[tuple[int, int, int], ...]
    states_all: bool = False
    spawned: int | None = None


@dataclass(frozen=True, slots=True)
class ConstraintEntry:
    """A constraint; `settings` holds (time in ns, its numbers from then on, or None when it is not in force)."""

    id: str
    type: str
    scope: str | None
    counts: str | None
    settings: tuple[tuple[int, dict[str, int] | None], ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a log says about itself: the names behind the numbers, and how to make the run again."""

    name: str
    seed: int
    until_ns: int | None
    fleets: tuple[FleetEntry, ...]
    steps: tuple[StepEntry, ...]
    constraints: tuple[ConstraintEntry, ...]
    scenario: dict[str, Any]
    versions: dict[str, str]
    inputs: dict[str, bytes] = field(default_factory=dict)

    @property
    def agents(self) -> int:
        """How many agents can appear in the log."""
        return sum(fleet.count for fleet in self.fleets)

    def fleet_of(self, agent: int) -> FleetEntry:
        """Return the fleet that `agent` (its number in the run) belongs to."""
        return next(fleet for fleet in self.fleets if fleet.first <= agent < fleet.first + fleet.count)

    def task_name(self, agent: int, step: int) -> str | None:
        """Return FLEET_NUMBER_STEP, the name of the task, or None where the event has none."""
        if agent < 0 or step < 0:
            return None
        fleet = self.fleet_of(agent)
        return f"{fleet.name}_{agent - fleet.first}_{self.steps[step].name}"

    def to_metadata(self) -> dict[bytes, bytes]:
        """Return the header as Arrow schema metadata: canonical JSON, and the input files compressed."""
        body = {key: value for key, value in asdict(self).items() if key != "inputs"}
        body["format"] = LOG_FORMAT
        body["inputs"] = {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in self.inputs.items()
        }
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        metadata = {_HEADER_KEY: text.encode()}
        for name, content in self.inputs.items():
            metadata[_INPUT_KEY + name.encode()] = pa.compress(content, codec="zstd", asbytes=True)
        return metadata

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes]) -> "Header":
        """Read a header back; raises LogError where it is of another format or an input file does not agree."""
        body = json.loads(metadata[_HEADER_KEY])
        if body.pop("format") != LOG_FORMAT:
            raise LogError(f"this log is of another format; this version reads format {LOG_FORMAT}")
        inputs = {}
        for name, entry in body.pop("inputs").items():
            content = pa.decompress(metadata[_INPUT_KEY + name.encode()], entry["bytes"], codec="zstd", asbytes=True)
            if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                raise LogError(f"the input file {name} in this log is damaged")
            inputs[name] = content
        return cls(
            **{
                **body,
                "fleets": tuple(FleetEntry(**entry) for entry in body["fleets"]),
                "steps": tuple(_step(entry) for entry in body["steps"]),
                "constraints": tuple(_constraint(entry) for entry in body["constraints"]),
                "inputs": inputs,
            }
        )


def _step(entry: dict[str, Any]) -> StepEntry:
    demands = tuple(tuple(DemandEntry(**demand) for demand in group) for group in entry["demands"])
    return StepEntry(**{**entry, "demands": demands, "groups": tuple(tuple(group) for group in entry["groups"])})


def _constraint(entry: dict[str, Any]) -> ConstraintEntry:
    return ConstraintEntry(**{**entry, "settings": tuple(tuple(setting) for setting in entry["settings"])})


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
    """Writes a log, batch by batch, into an open binary file; memory stays bounded by one batch."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self.events = 0
        self._digest = Digest()
        self._schema = pa.schema(
            [(name, pa.from_numpy_dtype(dtype)) for name, dtype in COLUMNS.items()], metadata=header.to_metadata()
        )
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", _COMPRESSION_LEVEL))
        self._stream = pa.ipc.new_stream(file, self._schema, options=options)

    def write(self, batch: Batch) -> None:
        """Append the rows of `batch`; raises OSError where the file cannot take them."""
        self._digest.update(batch)
        self._stream.write_batch(pa.record_batch([pa.array(column) for column in batch.columns()], schema=self._schema))
        self.events += len(batch)

    def close(self) -> None:
        """Write the end of the stream; the file itself stays open."""
        self._stream.close()

    def digest(self) -> str:
        """Return the digest of what was written so far, in hexadecimal."""
        return self._digest.hex()


class Log:
    """A log that is read back, as often as one likes, batch by batch, so that it may be larger than memory."""

    def __init__(self, source: Callable[[], pa.NativeFile]) -> None:
        self._source = source
        self._cut: bool | None = None
        schema = self._reader().schema
        if _HEADER_KEY not in (schema.metadata or {}):
            raise LogError("not a fleetsim log")
        self.header = Header.from_metadata(schema.metadata)
        if schema.names != list(COLUMNS):
            raise LogError("this log has other columns; it was written by another version")

    @classmethod
    def open(cls, path: str | Path) -> "Log":
        """Open the log at `path`; raises LogError where there is none, or it cannot be read."""
        try:
            return cls(lambda: pa.memory_map(str(path)))
        except LogError as error:
            raise LogError(f"{path}: {error}") from None
        except FileNotFoundError:
            raise LogError(f"{path}: no such file; allowed: a log that a run has written") from None
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            raise LogError(f"{path}: not a fleetsim log ({_first_line(error)})") from None

    @classmethod
    def from_bytes(cls, content: bytes) -> "Log":
        """Open a log that is held in memory."""
        return cls(lambda: pa.BufferReader(content))

    def batches(self) -> Iterator[Batch]:
        """Yield the rows in order, up to the last complete batch; afterwards `cut` is known."""
        reader, last = self._reader(), None
        while True:
            try:
                read = reader.read_next_batch()
            except StopIteration:
                break
            except (OSError, pa.ArrowException):
                last = None
                break
            batch = Batch(*(column.to_numpy() for column in read.columns))
            if len(batch):
                last = batch.kind[-1]
                yield batch
        self._cut = last != Kind.RunFinished

    @property
    def cut(self) -> bool:
        """Whether the end is missing: the run was interrupted or killed, or the file is damaged."""
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

    def _reader(self) -> pa.ipc.RecordBatchStreamReader:
        return pa.ipc.open_stream(self._source())


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
