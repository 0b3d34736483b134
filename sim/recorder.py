"""Turns what happens into rows of the log.

Rules:

1. The recorder observes and decides nothing: with a sink or without one, the same events happen.
2. One record is four whole numbers: time, code, who, value. `code` packs kind, step, constraint and attempt, `who` packs
   agent and visit, so that recording is one `extend` of a list. They are unpacked block by block, a column at a time.
3. No more rows are passed on than are allowed, if that is limited: the first of them, whatever the blocks and batches.
4. A task that is admitted after it waited is resumed and started at once: `RESUMED_AND_STARTED` is one record, two rows.
"""

import struct
from collections.abc import Callable
from typing import Final

import numpy as np

from model.events import Batch, Kind, concatenate
from model.log import BATCH_ROWS

Sink = Callable[[Batch], None]

_STEP_SHIFT: Final = 16
_CONSTRAINT_SHIFT: Final = 32
_ATTEMPT_SHIFT: Final = 48
_VISIT_BITS: Final = 32
_FIELD: Final = 0xFFFF
_KIND: Final = 0xFFFF
NO_VISIT: Final = 2**_VISIT_BITS - 1
NOBODY: Final = -1
RESUMED_AND_STARTED: Final = 128
_RECORD: Final = 4
_BLOCKS_BYTES: Final = 1 << 20
"""Packed records that are unpacked at once: some ten slices of the run, so that NumPy's own cost a call is small."""


def code(kind: int, step: int = -1, attempt: int = -1) -> int:
    """Pack a kind, a step and an attempt; the code of a constraint can be added to it."""
    return kind | (step + 1) << _STEP_SHIFT | (attempt + 1) << _ATTEMPT_SHIFT


def attempt_code(attempt: int) -> int:
    """Pack an attempt, to be added to a code of the first."""
    return attempt << _ATTEMPT_SHIFT


def constraint_code(constraint: int) -> int:
    """Pack a constraint, to be added to a code."""
    return (constraint + 1) << _CONSTRAINT_SHIFT


def who(agent: int, visit: int = NO_VISIT) -> int:
    """Pack an agent and how many times it came to the step; adding 1 is the next visit."""
    return (agent << _VISIT_BITS) + visit


class Recorder:
    """Collects records and hands them to the sink as batches of `batch_rows` rows, the last one smaller."""

    def __init__(self, sink: Sink | None, batch_rows: int = BATCH_ROWS, rows_max: int | None = None) -> None:
        self._records: list[int] = []
        self.record = self._records.extend
        """Append one record: (time in ns, code, who, value)."""
        self._sink = sink
        self._batch_rows = batch_rows
        self._blocks: list[bytes] = []
        self._blocks_bytes = 0
        self._rest: list[Batch] = []  # rows that do not fill a batch yet
        self._rows_max = rows_max
        self._rows = 0  # those spilled, counted where they are limited
        self._passed_on = 0
        self.last_time_ns = 0
        self.last_step = -1

    def spill(self) -> int:
        """Put the records so far into a block, and pass blocks on when there are enough; return the number of records."""
        records = self._records
        count = len(records) // _RECORD
        if count:
            self.last_time_ns, last_code = records[-_RECORD : -_RECORD + 2]
            self.last_step = (last_code >> _STEP_SHIFT & _FIELD) - 1
            if self._rows_max is not None:
                twice = np.array(records[1::_RECORD]) & _KIND == RESUMED_AND_STARTED
                self._rows += count + int(np.count_nonzero(twice))
            if self._sink is not None:
                block = struct.pack(f"<{len(records)}q", *records)  # the fastest way from integers to an array
                self._blocks.append(block)
                self._blocks_bytes += len(block)
                if self._blocks_bytes >= _BLOCKS_BYTES:
                    self._pass_on(self._batch_rows)
            records.clear()
        return count

    @property
    def is_over(self) -> bool:
        """Whether more rows were spilled than are allowed."""
        return self._rows_max is not None and self._rows > self._rows_max

    def flush(self) -> None:
        """Pass on all that was spilled, however little."""
        self._pass_on(1)

    def _pass_on(self, rows_min: int) -> None:
        """Hand whole batches to the sink, and what is left too if it has `rows_min` rows."""
        if self._sink is None:
            return
        fresh = _unpacked(b"".join(self._blocks))
        if self._rows_max is not None:
            fresh = fresh.rows(0, self._rows_max - self._passed_on)
            self._passed_on += len(fresh)
        rows = concatenate([*self._rest, fresh])
        self._blocks, self._blocks_bytes = [], 0
        first = 0
        while len(rows) - first >= rows_min:
            batch = rows.rows(first, first + self._batch_rows)
            self._sink(batch)
            first += len(batch)
        self._rest = [rows.rows(first, len(rows))]


def _unpacked(block: bytes) -> Batch:
    """Return the rows of packed records."""
    records = np.frombuffer(block, "<i8")
    rows = np.repeat(np.arange(len(records) // _RECORD), 1 + (records[1::_RECORD] & _KIND == RESUMED_AND_STARTED))
    second = np.flatnonzero(rows[1:] == rows[:-1]) + 1
    time, codes, who_codes, value = (records[place::_RECORD].take(rows) for place in range(_RECORD))
    codes[second - 1] += Kind.TaskResumed - RESUMED_AND_STARTED
    codes[second] += Kind.TaskStarted - RESUMED_AND_STARTED
    codes[second] &= ~(_FIELD << _CONSTRAINT_SHIFT)
    # Little-endian fields: those of a code have 16 bits each, visit and agent have 32.
    kind, step, constraint, attempt = codes.view("<i2").reshape(-1, 4).T
    visit, agent = who_codes.view("<i4").reshape(-1, 2).T
    return Batch(
        time=time,
        kind=kind.astype(np.uint8),
        agent=agent.copy(),
        step=step - np.int16(1),
        visit=visit.copy(),
        attempt=attempt - np.int16(1),
        constraint=constraint - np.int16(1),
        value=value,
    )
