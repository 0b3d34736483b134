"""Turns what happens into rows of the log.

Rules:

1. The recorder observes and decides nothing: with a sink or without one, the same events happen.
2. One record is four whole numbers: time, code, who, value. `code` packs kind, step, constraint and attempt, `who` packs
   agent and visit, so that recording is one `extend` of a list. `spill` unpacks them, a column at a time.
3. A task that is admitted after it waited is resumed and started at once: `RESUMED_AND_STARTED` is one record, two rows.
"""

import struct
from collections.abc import Callable
from typing import Final

import numpy as np

from model.events import Batch, Kind, concatenate
from model.log import BATCH_ROWS

Sink = Callable[[Batch], None]

_STEP_SHIFT: Final = 8
_CONSTRAINT_SHIFT: Final = 24
_ATTEMPT_SHIFT: Final = 40
_VISIT_BITS: Final = 32
_FIELD = 0xFFFF
NO_VISIT: Final = 2**_VISIT_BITS - 1
NOBODY: Final = -1
RESUMED_AND_STARTED: Final = 128
_RECORD = 4


def code(kind: int, step: int = -1, attempt: int = -1) -> int:
    """Pack a kind, a step and an attempt; the code of a constraint can be added to it."""
    return kind | (step + 1) << _STEP_SHIFT | (attempt + 1) << _ATTEMPT_SHIFT


def constraint_code(constraint: int) -> int:
    """Pack a constraint, to be added to a code."""
    return (constraint + 1) << _CONSTRAINT_SHIFT


def who(agent: int, visit: int = NO_VISIT) -> int:
    """Pack an agent and how many times it came to the step; adding 1 is the next visit."""
    return (agent << _VISIT_BITS) + visit


class Recorder:
    """Collects records and hands them to the sink as batches of `batch_rows` rows, the last one smaller."""

    def __init__(self, sink: Sink | None, batch_rows: int = BATCH_ROWS) -> None:
        self._records: list[int] = []
        self.record = self._records.extend
        """Append one record: (time in ns, code, who, value)."""
        self._sink = sink
        self._batch_rows = batch_rows
        self._pending: list[Batch] = []
        self._rows = 0
        self.last_time_ns = 0
        self.last_step = -1

    def spill(self) -> int:
        """Unpack the records so far, and pass on what fills a batch; return the number of records."""
        count = len(self._records) // _RECORD
        if count:
            self.last_time_ns, last_code = self._records[-_RECORD : -_RECORD + 2]
            self.last_step = (last_code >> _STEP_SHIFT & _FIELD) - 1
            if self._sink is not None:
                batch = self._unpack()
                self._pending.append(batch)
                self._rows += len(batch)
                if self._rows >= self._batch_rows:
                    self._pass_on(self._batch_rows)
            self._records.clear()
        return count

    def flush(self) -> None:
        """Pass on the rows that were spilled, however few."""
        if self._rows:
            self._pass_on(1)

    def _pass_on(self, rows_min: int) -> None:
        assert self._sink is not None
        rows = concatenate(self._pending)
        first = 0
        while len(rows) - first >= rows_min:
            batch = rows.rows(first, first + self._batch_rows)
            self._sink(batch)
            first += len(batch)
        rest = rows.rows(first, len(rows))
        self._pending, self._rows = [rest], len(rest)

    def _unpack(self) -> Batch:
        packed = struct.pack(f"={len(self._records)}q", *self._records)  # the fastest way from integers to an array
        records = np.frombuffer(packed, np.dtype("=i8")).reshape(-1, _RECORD)
        double = records[:, 1] & 0xFF == RESUMED_AND_STARTED
        if double.any():
            records = np.repeat(records, 1 + double, axis=0)
            second = np.flatnonzero(double) + np.arange(1, np.count_nonzero(double) + 1)
            records[second - 1, 1] += Kind.TaskResumed - RESUMED_AND_STARTED
            records[second, 1] += Kind.TaskStarted - RESUMED_AND_STARTED
            records[second, 1] &= ~(_FIELD << _CONSTRAINT_SHIFT)
        time, codes, agent_visit, value = records.T
        return Batch(
            time=time,
            kind=codes.astype(np.uint8),
            agent=(agent_visit >> _VISIT_BITS).astype(np.int32),
            step=((codes >> _STEP_SHIFT & _FIELD) - 1).astype(np.int16),
            visit=agent_visit.astype(np.int32),
            attempt=((codes >> _ATTEMPT_SHIFT & _FIELD) - 1).astype(np.int16),
            constraint=((codes >> _CONSTRAINT_SHIFT & _FIELD) - 1).astype(np.int16),
            value=value,
        )
