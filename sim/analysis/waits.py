"""Who waits for what from when to when: the stretches of waiting in a log, batch by batch.

Rules:

1. A wait goes from `TaskBlocked` to `TaskResumed`, `TaskRejected` or `TaskAbandoned`, or still goes on when the log ends.
   Its `TaskBlocked` identifies it. An attempt that takes one thing after another may wait several times.
2. A stretch is the part of a wait for one constraint: `TaskRebound` ends it, and begins the next.
3. Events are numbered from 0, times are in ns. Nothing is kept but the waits that go on.
4. Whoever feeds several folds with the same batches has one `Waits`, and hands its stretches to all of them.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from sim.analysis.tasks import agents_and_numbers, by_task, visits

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
        ("asked", np.int64),  # the event that began the wait, and its time
        ("asked_ns", np.int64),
        ("begun", np.int64),  # the event that began the stretch, and its time
        ("since_ns", np.int64),
    ]
)


@dataclass(frozen=True, slots=True)
class Stretches:
    """Stretches of waiting, an entry each: whose they are, for what, and from when to when.

    `asked` is the event that began the wait, `begun` the one that began the stretch, `end` the one that ended it. With the
    last stretch the wait `is_over`, or goes on beyond the log.
    """

    agent: Integers
    visit: Integers
    step: NDArray[np.int16]
    attempt: NDArray[np.int16]
    constraint: NDArray[np.int16]
    asked: Integers
    asked_ns: Integers
    begun: Integers
    since_ns: Integers
    end: Integers
    end_ns: Integers
    is_over: Flags

    def some(self, places: NDArray[np.intp]) -> "Stretches":
        """Return those at these places."""
        return Stretches(*(getattr(self, each.name)[places] for each in fields(self)))


class Waits:
    """Feed it every batch of a log: it returns the stretches that end there."""

    def __init__(self) -> None:
        self._open = np.zeros(0, _OPEN)  # the last row of each task that waits
        self._fed = 0
        self._now_ns = 0

    def feed(self, batch: Batch) -> Stretches:
        """Take in the next rows."""
        rows = np.flatnonzero(_MOVES[batch.kind])
        kinds, events, times = batch.kind[rows], self._fed + rows, batch.time[rows]
        fresh = {
            "visit": visits(batch.agent[rows], batch.visit[rows]),
            **{name: getattr(batch, name)[rows] for name in ("step", "attempt", "constraint")},
            **{"asked": events, "asked_ns": times, "begun": events, "since_ns": times},
        }
        table = {name: np.concatenate([self._open[name], fresh[name]]) for name in _OPEN.names or ()}
        known = np.ones(len(self._open), np.bool_)
        order, same = by_task(table["visit"], table["step"])
        comes = np.concatenate([known, COMES[kinds]])[order]
        begins = np.concatenate([known, kinds == Kind.TaskBlocked])[order]
        beginning = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
        closed = np.flatnonzero(same & comes[:-1])  # by the row that follows
        last = np.flatnonzero(comes & ~np.append(same, np.zeros(min(len(order), 1), np.bool_)))
        told, self._open = (_rows(table, order[places], beginning[places]) for places in (closed, last))
        ends = order[closed + 1]
        self._fed += len(batch)
        self._now_ns = int(batch.time[-1]) if len(batch) else self._now_ns
        return _told(told, table["begun"][ends], table["since_ns"][ends], ~comes[closed + 1])

    def reach(self, time_ns: int) -> None:
        """Take in that nothing more has happened up to a time."""
        self._now_ns = max(self._now_ns, time_ns)

    def rest(self) -> Stretches:
        """Return the stretches that go on, up to now."""
        count = len(self._open)
        return _told(self._open, np.full(count, GOES_ON), np.full(count, self._now_ns), np.ones(count, np.bool_))


class Kept:
    """A number for each of some stretches that go on."""

    def __init__(self) -> None:
        self._begun = np.zeros(0, np.int64)  # the events that began them, in order
        self._numbers = np.zeros(0, np.int64)

    def keep(self, stretches: Stretches, numbers: Integers) -> None:
        """Keep a number for each of these, and for no other."""
        order = np.argsort(stretches.begun)
        self._begun, self._numbers = stretches.begun[order], numbers[order]

    def of(self, stretches: Stretches) -> Integers:
        """Return what is kept for each of these; -1 where there is nothing."""
        if not len(self._begun):
            return np.full(len(stretches.begun), -1)
        place = np.minimum(np.searchsorted(self._begun, stretches.begun), len(self._begun) - 1)
        return np.where(self._begun[place] == stretches.begun, self._numbers[place], -1)


def _rows(table: dict[str, Any], places: NDArray[np.intp], beginning: NDArray[np.intp]) -> NDArray[np.void]:
    """Return rows of a table, with the beginning of the wait of each."""
    rows = np.zeros(len(places), _OPEN)
    for name in _OPEN.names or ():
        rows[name] = table[name][beginning if name in ("asked", "asked_ns") else places]
    return rows


def _told(table: NDArray[np.void], end: Integers, end_ns: Integers, is_over: Flags) -> Stretches:
    kept: dict[str, Any] = {name: table[name] for name in _OPEN.names or () if name != "visit"}
    agents, numbers = agents_and_numbers(table["visit"])
    return Stretches(agent=agents, visit=numbers, **kept, end=end, end_ns=end_ns, is_over=is_over)
