"""Work conservation: nobody waits for a limit that has room for whoever may ask for it.

Rules:

1. It is looked at after every instant, for limits that are held (slots, resources) and whose amounts are all in the header:
   what is free is what is in force less what is held. Room is what the largest request wants, so that nothing is told that
   may be otherwise.
2. It is a fold over the log alone, that knows nothing of queues.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.header import HELD, Header
from sim.analysis.sample import Integers
from sim.analysis.summary import Amounts
from sim.analysis.takes import Ended
from sim.analysis.waits import COMES, Stretches

_WHOLE = {"resource": "capacity"}
_UNLIMITED = 2**62


class Conservation:
    """Feed it every batch of a log, then ask for `result`."""

    def __init__(self, header: Header) -> None:
        self._ended = Ended()
        self._limits = [
            _Limit(header, number)
            for number, entry in enumerate(header.constraints)
            if entry.type in HELD and _is_constant(header, number)
        ]
        self._fed = 0

    def feed(self, batch: Batch, stretches: Stretches) -> None:
        """Take in the next rows, and the stretches of waiting that ended there."""
        if not len(batch):
            return
        ended = self._ended.feed(batch)
        for limit in self._limits:
            limit.feed(batch, stretches, ended, self._fed)
        self._fed += len(batch)

    def result(self) -> dict[str, Any]:
        """Return how many limits were looked at, and the first events after which somebody waited in spite of room."""
        told = {limit.id: limit.wrong for limit in self._limits if limit.wrong is not None}
        return {"holds": not told, "limits": len(self._limits), "first_events": told}


def _is_constant(header: Header, constraint: int) -> bool:
    demands = [demand for step in header.steps for group in step.demands for demand in group]
    asked = [demand.amount for demand in demands if demand.constraint == constraint]
    return bool(asked) and None not in asked


class _Limit:
    def __init__(self, header: Header, number: int) -> None:
        entry = header.constraints[number]
        numbers = entry.settings[0][1]
        self.id = entry.id
        self.wrong: int | None = None  # the first event after which somebody waits in spite of room
        self._number = number
        self._amounts = Amounts(header, number)
        self._most = max(
            demand.amount or 0
            for step in header.steps
            for group in step.demands
            for demand in group
            if demand.constraint == number
        )
        self._limit = _UNLIMITED if numbers is None else numbers[_WHOLE.get(entry.type, "limit")]
        self._used = self._waiting = 0
        self._last_ns = 0
        self._is_idle = False  # whether somebody waits in spite of room after the last row

    def feed(self, batch: Batch, stretches: Stretches, ended: NDArray[np.bool_], fed: int) -> None:
        if self.wrong is not None:
            return
        if self._is_idle and batch.time[0] != self._last_ns:
            self.wrong = fed - 1
            return
        waits = np.zeros(len(batch), np.int64)
        waits[COMES[batch.kind] & (batch.constraint == self._number)] = 1
        np.subtract.at(waits, stretches.end[stretches.constraint == self._number] - fed, 1)
        waiting = self._waiting + np.cumsum(waits)
        used = self._used + np.cumsum(self._changes(batch, ended))
        limit = self._limits(batch)
        idle = (waiting > 0) & (limit - used >= self._most)
        after = np.append(np.diff(batch.time) != 0, False)
        wrong = np.flatnonzero(idle & after)
        if len(wrong):
            self.wrong = fed + int(wrong[0])
        self._waiting, self._used, self._limit = int(waiting[-1]), int(used[-1]), int(limit[-1])
        self._is_idle, self._last_ns = bool(idle[-1]), int(batch.time[-1])

    def _changes(self, batch: Batch, ended: NDArray[np.bool_]) -> Integers:
        """Return by how much each row changes what is held."""
        changes = np.zeros(len(batch), np.int64)
        for rows, sign in ((batch.kind == Kind.TaskStarted, 1), (ended, -1)):
            mine = np.flatnonzero(rows & self._amounts.asked[batch.step])
            changes[mine] += sign * self._amounts.of(batch.step[mine], batch.agent[mine])
        for kind, sign in ((Kind.ResourceAcquired, 1), (Kind.ResourceReleased, -1)):
            mine = np.flatnonzero((batch.kind == kind) & (batch.constraint == self._number))
            changes[mine] += sign * batch.value[mine]
        return changes

    def _limits(self, batch: Batch) -> Integers:
        """Return what is in force after each row."""
        rows = np.flatnonzero((batch.kind == Kind.ConstraintChanged) & (batch.constraint == self._number))
        values = np.append(self._limit, np.where(batch.value[rows] < 0, _UNLIMITED, batch.value[rows]))
        limits: Integers = values[np.searchsorted(rows, np.arange(len(batch)), side="right")]
        return limits
