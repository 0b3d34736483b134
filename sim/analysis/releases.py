"""What ended each wait, found while the log is read: `causes` without a record of the whole run.

Rules:

1. They are those of `causes`: a task that waited goes on in the instant in which something happened to what it waited
   for, and of several things the last before it is the cause. So of the batches before nothing is needed but the last
   thing of each sort.
2. What is held is given back by the first row of a visit that gives some of it back after one that took some.
"""

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.header import HELD, Header
from sim.analysis.summary import Amounts
from sim.analysis.takes import Ended
from sim.analysis.waits import Flags, Integers, Stretches


class Why(IntEnum):
    """What ended a wait, by the names that an explanation has for it."""

    released = 0  # some of it was given back
    changed = 1
    left = 2  # somebody left who stood before it
    heard = 3  # it heard of an end
    refilled = 4  # time filled it
    unknown = 5


_TIMED = frozenset({"rate_limit", "quota"})
_HEARING = frozenset({"adaptive", "circuit_breaker"})

_ROW = np.dtype(
    [
        ("event", np.int64),
        ("time", np.int64),
        ("agent", np.int32),
        ("step", np.int16),
        ("visit", np.int32),
        ("attempt", np.int16),
    ]
)
_NOTHING = np.full(1, -1, _ROW)
_TAKEN = np.dtype([("key", np.int64), ("step", np.int16), ("place", np.int64), ("takes", np.bool_)])


@dataclass(frozen=True, slots=True)
class Causes:
    """Why waits ended that ended with going on, an entry each, in the order of the log.

    `end` is the event that ended the wait; `event` the one that is the cause, with whose it is; -1 where there is none.
    """

    end: Integers
    why: NDArray[np.int8]
    event: Integers
    agent: NDArray[np.int32]
    step: NDArray[np.int16]
    visit: NDArray[np.int32]
    attempt: NDArray[np.int16]


class Releases:
    """Feed it every batch of a log, with the stretches of waiting that end there: it returns what ended those waits."""

    def __init__(self, header: Header) -> None:
        self._constraints = [_Constraint(header, number) for number in range(len(header.constraints))]
        self._ended = Ended()
        self._finished = _NOTHING
        self._fed = 0

    def feed(self, batch: Batch, stretches: Stretches) -> Causes:
        """Take in the next rows."""
        first, self._fed = self._fed, self._fed + len(batch)
        ended = self._ended.feed(batch)
        resumed = np.flatnonzero(batch.kind[stretches.end - first] == Kind.TaskResumed)
        waited = stretches.some(resumed[np.argsort(stretches.end[resumed])])
        finished = np.concatenate([self._finished, _rows(batch, batch.kind == Kind.TaskFinished, first)])
        why, found = np.zeros(len(waited.end), np.int8), np.full(len(waited.end), -1, _ROW)
        for number, constraint in enumerate(self._constraints):
            mine = np.flatnonzero(waited.constraint == number)
            constraint.feed(batch, ended, first)
            if len(mine):
                why[mine], found[mine] = constraint.causes(waited.some(mine), finished)
            constraint.forget()
        self._finished = finished[-1:]
        parts = (found[each.name] for each in fields(Causes) if each.name not in ("end", "why"))
        return Causes(waited.end, why, *parts)


class _Constraint:
    """What happened to one constraint: who gave some of it back, when it changed, and who left its queue."""

    def __init__(self, header: Header, number: int) -> None:
        self._number = number
        self._type = header.constraints[number].type
        self._amounts = Amounts(header, number)
        asks = [any(d.constraint == number for group in step.demands for d in group) for step in header.steps]
        states_all = np.array([*(step.states_all for step in header.steps), False], np.bool_)
        self._states_all = states_all
        self._implied = np.array([*asks, False], np.bool_) & ~states_all
        self._taken = np.zeros(0, _TAKEN)
        self._gave = self._changed = self._left = _NOTHING

    def feed(self, batch: Batch, ended: Flags, first: int) -> None:
        mine = batch.constraint == self._number
        gave = mine & (batch.kind == Kind.ResourceReleased)
        gave = self._given(batch, ended, gave) if self._type in HELD else gave & (batch.value > 0)
        changed = mine & (batch.kind == Kind.ConstraintChanged)
        left = mine & ((batch.kind == Kind.TaskRejected) | (batch.kind == Kind.TaskAbandoned))
        self._gave = np.concatenate([self._gave, _rows(batch, gave, first)])
        self._changed = np.concatenate([self._changed, _rows(batch, changed, first)])
        self._left = np.concatenate([self._left, _rows(batch, left, first)])

    def forget(self) -> None:
        self._gave, self._changed, self._left = self._gave[-1:], self._changed[-1:], self._left[-1:]

    def causes(self, waited: Stretches, finished: NDArray[np.void]) -> tuple[NDArray[np.int8], NDArray[np.void]]:
        gave, changed, left = (_last(rows, waited) for rows in (self._gave, self._changed, self._left))
        heard = _last(finished if self._type in _HEARING else _NOTHING, waited)
        is_given = gave["event"] > changed["event"]
        if self._type == "adaptive":
            is_given |= gave["event"] >= 0
        happened = [is_given, *(rows["event"] >= 0 for rows in (changed, left, heard))]
        otherwise = Why.refilled if self._type in _TIMED else Why.unknown
        why = np.select(happened, [Why.released, Why.changed, Why.left, Why.heard], otherwise).astype(np.int8)
        found = np.full(len(why), -1, _ROW)
        for each, rows in ((Why.released, gave), (Why.changed, changed), (Why.left, left), (Why.heard, heard)):
            found[why == each] = rows[why == each]
        return why, found

    def _given(self, batch: Batch, ended: Flags, released: Flags) -> Flags:
        """Return which rows give back what their visit holds."""
        asked = (batch.kind == Kind.TaskStarted) & self._amounts.asked[batch.step]
        starts = np.flatnonzero(asked)
        asked[starts] = self._amounts.of(batch.step[starts], batch.agent[starts]) > 0
        told = (batch.constraint == self._number) & (batch.kind == Kind.ResourceAcquired) & (batch.value > 0)
        takes = asked | told
        gives = (ended & self._implied[batch.step]) | (released & self._states_all[batch.step])
        places = np.flatnonzero(takes | gives)
        table = np.zeros(len(places), _TAKEN)
        table["key"] = (batch.agent[places].astype(np.int64) << 32) | batch.visit[places]
        table["step"], table["place"], table["takes"] = batch.step[places], places, takes[places]
        table = np.concatenate([self._taken, table])
        table = table[np.lexsort((table["step"], table["key"]))]  # visit by visit, in the order of the log
        same = (np.diff(table["key"]) == 0) & (np.diff(table["step"]) == 0)
        follows = np.flatnonzero(same & table["takes"][:-1] & ~table["takes"][1:]) + 1
        self._taken = table[table["takes"] & ~np.append(same, np.zeros(min(len(table), 1), np.bool_))]
        found = np.zeros(len(batch), np.bool_)
        found[table["place"][follows]] = True
        return found


def _rows(batch: Batch, told: Flags, first: int) -> NDArray[np.void]:
    places = np.flatnonzero(told)
    rows = np.zeros(len(places), _ROW)
    rows["event"] = first + places
    for name in ("time", "agent", "step", "visit", "attempt"):
        rows[name] = getattr(batch, name)[places]
    return rows


def _last(rows: NDArray[np.void], waited: Stretches) -> NDArray[np.void]:
    """Return the last row after the beginning and before the end of each stretch, at its end; or -1s."""
    found = rows[np.maximum(np.searchsorted(rows["event"], waited.end) - 1, 0)]
    found[(found["event"] <= waited.begun) | (found["time"] != waited.end_ns)] = _NOTHING[0]
    return found
