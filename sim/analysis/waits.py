"""Who waits for what from when to when: the stretches of waiting in a log, batch by batch.

Rules:

1. A wait goes from `TaskBlocked` to `TaskResumed`, `TaskRejected` or `TaskAbandoned`, or still goes on when the log ends.
   Its `TaskBlocked` identifies it. An attempt that takes one thing after another may wait several times.
2. A stretch is the part of a wait for one constraint: `TaskRebound` ends it, and begins the next.
3. Events are numbered from 0, times are in ns. Nothing is kept but the waits that go on.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

GOES_ON = -1
"""The event that ends what has no end yet."""


def flags(*kinds: Kind) -> Flags:
    """Return for each kind whether it is one of these."""
    return np.isin(np.arange(len(Kind)), kinds)


COMES = flags(Kind.TaskBlocked, Kind.TaskRebound)
"""A task comes to the queue of a constraint."""
_MOVES = COMES | flags(Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned)

_OPEN = np.dtype(
    [
        ("visit", np.int64),  # agent and visit in one number
        ("step", np.int16),
        ("attempt", np.int16),
        ("constraint", np.int16),
        ("asked", np.int64),  # the event that begins the wait, and its time
        ("asked_ns", np.int64),
        ("since_ns", np.int64),  # when the stretch began
        ("mark", np.int64),
    ]
)


@dataclass(frozen=True, slots=True)
class Stretches:
    """Stretches of waiting, an entry each: whose they are, for what, and from when to when.

    `asked` is the event that began the wait, `end` the one that ended the stretch, `mark` what it was given at its
    beginning. With the last stretch the wait `is_over`, or goes on beyond the log.
    """

    agent: Integers
    visit: Integers
    step: NDArray[np.int16]
    attempt: NDArray[np.int16]
    constraint: NDArray[np.int16]
    asked: Integers
    asked_ns: Integers
    since_ns: Integers
    mark: Integers
    end: Integers
    end_ns: Integers
    is_over: Flags

    def some(self, places: NDArray[np.intp]) -> "Stretches":
        """Return those at these places."""
        return Stretches(*(getattr(self, each.name)[places] for each in fields(self)))


class Waits:
    """Feed it every batch of a log: it returns the stretches that end there."""

    def __init__(self) -> None:
        self._open = np.zeros(0, _OPEN)
        self._fed = 0
        self._now_ns = 0

    def feed(self, batch: Batch, marks: Integers | None = None) -> Stretches:
        """Take in the next rows; `marks` has a number for each of them, to be kept where a stretch begins."""
        rows = np.flatnonzero(_MOVES[batch.kind])
        fresh = np.zeros(len(rows), _OPEN)
        fresh["visit"] = (batch.agent[rows].astype(np.int64) << 32) | batch.visit[rows]
        fresh["asked"] = self._fed + rows
        fresh["asked_ns"] = fresh["since_ns"] = batch.time[rows]
        for name in ("step", "attempt", "constraint"):
            fresh[name] = getattr(batch, name)[rows]
        if marks is not None:
            fresh["mark"] = marks[rows]
        kinds = batch.kind[rows]
        known = np.ones(len(self._open), np.bool_)
        table = np.concatenate([self._open, fresh])
        order = np.lexsort((table["step"], table["visit"]))  # task by task, in the order of the log
        table = table[order]
        comes = np.concatenate([known, COMES[kinds]])[order]
        begins = np.concatenate([known, kinds == Kind.TaskBlocked])[order]
        same = (np.diff(table["visit"]) == 0) & (np.diff(table["step"]) == 0)
        places, times = table["asked"].copy(), table["asked_ns"].copy()
        beginning = np.maximum.accumulate(np.where(begins, np.arange(len(table)), 0))
        table["asked"], table["asked_ns"] = places[beginning], times[beginning]
        closed = np.flatnonzero(same & comes[:-1])  # by the row that follows
        self._open = table[comes & ~np.append(same, np.zeros(min(len(table), 1), np.bool_))]
        self._fed += len(batch)
        self._now_ns = int(batch.time[-1]) if len(batch) else self._now_ns
        return _told(table[closed], places[closed + 1], times[closed + 1], ~comes[closed + 1])

    def reach(self, time_ns: int) -> None:
        """Take in that nothing more has happened up to a time."""
        self._now_ns = max(self._now_ns, time_ns)

    def rest(self) -> Stretches:
        """Return the stretches that go on, up to now."""
        count = len(self._open)
        return _told(self._open, np.full(count, GOES_ON), np.full(count, self._now_ns), np.ones(count, np.bool_))


def _told(table: NDArray[np.void], end: Integers, end_ns: Integers, is_over: Flags) -> Stretches:
    kept: dict[str, Any] = {name: table[name] for name in _OPEN.names or () if name != "visit"}
    agents, visits = table["visit"] >> 32, table["visit"] & 0xFFFFFFFF
    return Stretches(agent=agents, visit=visits, **kept, end=end, end_ns=end_ns, is_over=is_over)
