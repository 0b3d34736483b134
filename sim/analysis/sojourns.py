"""What became of each visit of an agent to a task: when it asked, when it was over, and what it waited for.

Rules:

1. A visit begins with its first row, which is at the instant at which it asks, and is over with its last `TaskFinished` or
   with its `TaskSkipped`. The time between is its sojourn. It may have several attempts: what happens between them and at
   the instant of its end belongs to it, so that it is known to be over when time has gone on, or at the end of the log.
2. At each moment of it a visit waits for one constraint (from `TaskBlocked` or `TaskRebound` on), backs off (from
   `TaskRetrying` on), or works: that is the rest, of a hold the time for which it holds. So the times by cause and the
   work add up to the sojourn, exactly.
3. An attempt is served from its `TaskStarted` to the `TaskFinished` that ends it; a hold may wait meanwhile, for what it
   gave back.
4. Nothing is kept but the visits that go on.
"""

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind, Status
from sim.analysis.tasks import agents_and_numbers, by_task, visits
from sim.analysis.waits import COMES, Flags, Integers, flags

WORK, BACK_OFF = -1, -2
"""What a visit does while it waits for no constraint."""


class Outcome(IntEnum):
    """How a visit was over: as its last attempt ended. The first are those of `Status`."""

    finished = Status.succeeded
    failed = Status.failed
    timed_out = Status.timed_out
    cancelled = Status.cancelled
    preempted = Status.preempted
    rejected = 5
    gave_up = 6
    skipped = 7


_TELLS = COMES | flags(
    *(Kind.TaskResumed, Kind.TaskStarted, Kind.TaskFinished, Kind.TaskRetrying),
    *(Kind.TaskRejected, Kind.TaskSkipped, Kind.TaskAbandoned),
)
_ENDS = flags(Kind.TaskFinished, Kind.TaskSkipped)
_NOT_SERVED = -1
_UNSTARTED = {Kind.TaskRejected: Outcome.rejected, Kind.TaskAbandoned: Outcome.gave_up}

_ROW = np.dtype(
    [
        ("key", np.int64),  # agent and visit in one number
        ("step", np.int16),
        ("number", np.int64),  # of the visit, in this log
        ("asked_ns", np.int64),
        ("time", np.int64),
        ("kind", np.uint8),
        ("cause", np.int16),  # what it does from this row on
        ("outcome", np.int8),
        ("started_ns", np.int64),  # of the attempt that is served, else _NOT_SERVED
    ]
)


@dataclass(frozen=True, slots=True)
class Over:
    """Visits that are over, or go on when the log ends: then `outcome` says nothing. `number` is their own in this log."""

    number: Integers
    agent: Integers
    step: NDArray[np.int16]
    visit: Integers
    asked_ns: Integers
    ended_ns: Integers
    outcome: NDArray[np.int8]

    def some(self, which: Flags) -> "Over":
        """Return those of them for which that is so."""
        return Over(*(getattr(self, each.name)[which] for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Spells:
    """Times for which a visit, by its number, waited for a constraint or backed off; several of one cause may follow."""

    number: Integers
    cause: NDArray[np.int16]
    lasted_ns: Integers


@dataclass(frozen=True, slots=True)
class Served:
    """Attempts that had started and ended."""

    step: NDArray[np.int16]
    lasted_ns: Integers


@dataclass(frozen=True, slots=True)
class Doing:
    """What those do that go on: the cause and since when; `WORK` has those who work, and what is between two attempts."""

    agent: Integers
    step: NDArray[np.int16]
    visit: Integers
    cause: NDArray[np.int16]
    since_ns: Integers


class Sojourns:
    """Feed it every batch of a log: it returns the visits that are over, and the spells and attempts that ended."""

    def __init__(self) -> None:
        self._open = np.zeros(0, _ROW)  # the last row of each visit that is not known to be over
        self._begun = 0

    def feed(self, batch: Batch) -> tuple[Over, Spells, Served]:
        """Take in the next rows."""
        table = np.concatenate([self._open, _fresh(batch)])
        order, same = by_task(table["key"], table["step"])
        table = table.take(order)  # far quicker than an index, for rows of several fields
        begins = np.append(True, ~same)[: len(table)]
        self._name(table, begins)
        lasted_ns = np.diff(table["time"])
        told = np.flatnonzero(same & (table["cause"][:-1] != WORK) & (lasted_ns > 0))
        spells = Spells(table["number"][told], table["cause"][told], lasted_ns[told])
        for kind, outcome in _UNSTARTED.items():
            unstarted = np.flatnonzero(same & (table["kind"][:-1] == kind)) + 1
            table["outcome"][unstarted] = outcome
        served = self._serve(table, begins)
        last = table.take(np.flatnonzero(np.append(~same, True)[: len(table)]))
        over = _ENDS[last["kind"]] & (last["time"] < batch.time[-1])
        self._open = last[~over]
        return _over(last[over]), spells, served

    def end(self) -> tuple[Over, Over]:
        """The log is at its end: return the visits that were not known to be over until now, and those that go on."""
        over, self._open = self._open[_ENDS[self._open["kind"]]], self._open[~_ENDS[self._open["kind"]]]
        return _over(over), _over(self._open)

    def doing(self) -> Doing:
        """Return what the visits do that go on at this moment."""
        rows = self._open[~_ENDS[self._open["kind"]]]
        agents, numbers = agents_and_numbers(rows["key"])
        return Doing(agents, rows["step"], numbers, rows["cause"], rows["time"])

    def _name(self, table: NDArray[np.void], begins: Flags) -> None:
        """Give each row the number of its visit and the time at which that began."""
        firsts = np.flatnonzero(begins)
        new = firsts[table["number"][firsts] < 0]
        table["number"][new] = self._begun + np.arange(len(new))
        self._begun += len(new)
        first = firsts[np.cumsum(begins) - 1]
        for name in ("number", "asked_ns"):
            table[name] = table[name][first]

    @staticmethod
    def _serve(table: NDArray[np.void], begins: Flags) -> Served:
        """Give each row the time at which what is served then started; return the attempts that ended."""
        ends = table["kind"] == Kind.TaskFinished
        tells = begins | ends | (table["started_ns"] != _NOT_SERVED)
        latest = np.maximum.accumulate(np.where(tells, np.arange(len(table)), 0))
        started_ns = table["started_ns"][latest]
        ended = np.flatnonzero(ends & ~begins)
        ended = ended[started_ns[ended - 1] != _NOT_SERVED]
        table["started_ns"] = started_ns
        return Served(table["step"][ended], table["time"][ended] - started_ns[ended - 1])


def _fresh(batch: Batch) -> NDArray[np.void]:
    backed_off = (batch.kind == Kind.TaskAbandoned) & (batch.constraint < 0)  # called off: its `TaskFinished` says so
    rows = np.flatnonzero(_TELLS[batch.kind] & ~backed_off)
    fresh = np.zeros(len(rows), _ROW)
    kinds = batch.kind[rows]
    fresh["key"] = visits(batch.agent[rows], batch.visit[rows])
    fresh["step"], fresh["kind"] = batch.step[rows], kinds
    fresh["number"] = -1
    fresh["asked_ns"] = fresh["time"] = batch.time[rows]
    fresh["cause"] = np.where(COMES[kinds], batch.constraint[rows], WORK)
    fresh["cause"][kinds == Kind.TaskRetrying] = BACK_OFF
    fresh["outcome"] = np.where(kinds == Kind.TaskFinished, batch.value[rows], Outcome.skipped)
    fresh["started_ns"] = np.where(kinds == Kind.TaskStarted, fresh["time"], _NOT_SERVED)
    return fresh


def _over(rows: NDArray[np.void]) -> Over:
    agents, numbers = agents_and_numbers(rows["key"])
    return Over(rows["number"], agents, rows["step"], numbers, rows["asked_ns"], rows["time"], rows["outcome"])
