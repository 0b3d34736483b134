"""A log as spans: what lasts from one row to another, in the order in which it begins and ends.

Rules:

1. An agent has visits, a visit has attempts, and an attempt has parts, one after another: it is blocked by a constraint,
   it runs, or it is held, if it is a hold. A visit backs off between two attempts, and an agent may be down.
2. A visit begins with its first row and ends with its last `TaskFinished`, or with its `TaskSkipped`. That no attempt
   follows is known when time goes on, so that the end of a visit comes later than the rows of its instant.
3. What still goes on when the log ends, ends there and is `open`.
4. Nothing is kept but what goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from model.events import Batch, Kind, Status
from model.header import Header
from model.log import Log
from model.roster import Roster
from sim.analysis.record import Row
from sim.analysis.releases import Causes, Releases, Why
from sim.analysis.sojourns import Outcome
from sim.analysis.waits import Stretches, Waits

NONE = -1
PART_ROWS = 16_384
"""How many rows are told of at once: so many spans and texts are in memory."""


class Sort(IntEnum):
    """What a span is."""

    AGENT = 0
    VISIT = 1
    ATTEMPT = 2
    BLOCKED = 3
    RUNNING = 4
    HELD = 5
    BACK_OFF = 6
    DOWN = 7


class Cause(NamedTuple):
    """What ended a wait: `event` is the number of the row that did, -1 where there is none; the others are whose it is."""

    why: Why
    event: int
    agent: int
    step: int
    visit: int
    attempt: int


@dataclass(slots=True)
class Span:
    """What lasts: `begin` is the row that begins it. Times are in ns.

    `outcome` says how a visit or an attempt ended, None where it is open. `ended_by` is the row that ended a blocked span,
    and `cause` what ended its wait, where it ended with going on.
    """

    sort: Sort
    begin: Row
    end_ns: int = NONE
    open: bool = False
    outcome: Outcome | None = None
    ended_by: Row | None = None
    cause: Cause | None = None
    after: "Span | None" = None
    """The blocked span that ended in the instant in which this one begins, of the same visit."""

    @property
    def ns(self) -> int:
        """How long it lasts."""
        return self.end_ns - self.begin.time


Key = tuple[int, int, int]
BEGINS, ENDS, POINT = 0, 1, 2
"""What is said of a span: it begins, it ends; or a row is a point in time and no span."""
Told = tuple[int, "Span | Row"]

_POINTS = frozenset(
    {Kind.TaskSkipped, Kind.TaskRejected, Kind.TaskAbandoned, Kind.ConstraintChanged, Kind.DeadlockDetected}
)
_STATED = frozenset({Kind.ResourceAcquired, Kind.ResourceReleased})
_BLOCKS = frozenset({Kind.TaskBlocked, Kind.TaskRebound})
_REFUSALS = {Kind.TaskRejected: Outcome.rejected, Kind.TaskAbandoned: Outcome.gave_up}
_OUTCOMES = [Outcome(status) for status in Status]


@dataclass(slots=True)
class _Visit:
    """A visit that goes on, and what of it does. `resumed` is the wait that it went on from last."""

    span: Span
    attempt: Span | None = None
    blocked: Span | None = None
    works: Span | None = None
    backs_off: Span | None = None
    resumed: Span | None = None
    refusal: Outcome | None = None


class Folded(NamedTuple):
    """A batch, and what the folds say of it."""

    batch: Batch
    first: int
    stretches: Stretches
    causes: Causes


def folded(log: Log, roster: Roster) -> Iterator[Folded]:
    """Yield the rows of a log in parts, with the waits that end in them, and why."""
    waits, releases, fed = Waits(), Releases(log.header), 0
    for batch in log.batches():
        roster.feed(batch)
        for first in range(0, len(batch), PART_ROWS):
            part = batch.rows(first, min(len(batch), first + PART_ROWS))
            stretches = waits.feed(part)
            yield Folded(part, fed, stretches, releases.feed(part, stretches))
            fed += len(part)


def fleet_of(roster: Roster, agent: int) -> int:
    """Return the number of the fleet of an agent."""
    return int(roster.places(np.array([agent]))[0][0])


class Spans:
    """Feed it every batch of a log: it returns what begins and ends there."""

    def __init__(self, header: Header) -> None:
        self._is_hold = [step.kind == "hold" for step in header.steps]
        self._agents: dict[int, Span] = {}
        self._down: dict[int, Span] = {}
        self._visits: dict[Key, _Visit] = {}
        self._over: dict[Key, int] = {}  # visits that ended in this instant, and the instant
        self._now_ns = 0
        self._told: list[Told] = []

    def feed(self, part: Folded) -> list[Told]:
        """Take in the next rows."""
        causes = _by_end(part.causes)
        columns = (column.tolist() for column in part.batch.columns())
        for event, numbers in enumerate(zip(*columns, strict=True), part.first):
            row = Row(event, *numbers)
            if row.time > self._now_ns:
                self._close_visits()
                self._now_ns = row.time
            if Kind.TaskBlocked <= row.kind <= Kind.ResourceReleased:
                self._follow(row, causes)
            elif row.kind in _POINTS:
                self._told.append((POINT, row))
            elif row.agent >= 0:
                self._follow_agent(row)
        return self._taken()

    def end(self) -> list[Told]:
        """The log is at its end: return what ends with it."""
        self._close_visits()
        for visit in self._visits.values():
            for span in (visit.blocked, visit.works, visit.backs_off, visit.attempt, visit.span):
                self._cut(span)
        for span in (*self._down.values(), *self._agents.values()):
            self._cut(span)
        return self._taken()

    def _taken(self) -> list[Told]:
        told, self._told = self._told, []
        return told

    def _end(self, span: Span | None, end_ns: int) -> None:
        if span is not None:
            span.end_ns = end_ns
            self._told.append((ENDS, span))

    def _cut(self, span: Span | None) -> None:
        if span is not None:
            span.open = True
            self._end(span, self._now_ns)

    def _close_visits(self) -> None:
        for key, ended_ns in self._over.items():
            self._end(self._visits.pop(key).span, ended_ns)
        self._over.clear()

    def _follow_agent(self, row: Row) -> None:
        match row.kind:
            case Kind.AgentStarted:
                self._agents[row.agent] = span = Span(Sort.AGENT, row)
                self._told.append((BEGINS, span))
            case Kind.AgentCrashed:
                self._down[row.agent] = span = Span(Sort.DOWN, row)
                self._told.append((BEGINS, span))
            case Kind.AgentRestarted:
                self._end(self._down.pop(row.agent, None), row.time)
            case Kind.AgentFinished:
                self._end(self._down.pop(row.agent, None), row.time)
                self._end(self._agents.pop(row.agent, None), row.time)

    def _follow(self, row: Row, causes: dict[int, Cause]) -> None:
        key = row.agent, row.step, row.visit
        visit = self._visits.get(key)
        if visit is None:
            visit = self._visits[key] = _Visit(Span(Sort.VISIT, row))
            self._told.append((BEGINS, visit.span))
        kind = row.kind
        if kind == Kind.TaskSkipped:
            visit.span.outcome = Outcome.skipped
            self._over[key] = row.time
        elif kind == Kind.TaskRetrying:
            self._over.pop(key, None)
            visit.backs_off = Span(Sort.BACK_OFF, row)
            self._told.append((BEGINS, visit.backs_off))
        elif key not in self._over or kind not in _STATED:  # what is given back after the end belongs to what ended
            self._over.pop(key, None)
            self._attempt(visit, row, causes)
        if kind in _POINTS:
            self._told.append((POINT, row))
        if kind == Kind.TaskFinished:
            self._finish(key, visit, row)

    def _attempt(self, visit: _Visit, row: Row, causes: dict[int, Cause]) -> None:
        if visit.backs_off is not None:
            self._end(visit.backs_off, row.time)
            visit.backs_off = None
        if visit.attempt is None:
            visit.attempt = Span(Sort.ATTEMPT, row)
            self._told.append((BEGINS, visit.attempt))
        kind = row.kind
        if visit.blocked is not None and kind not in _STATED:
            visit.blocked.ended_by = row
            if kind == Kind.TaskResumed:
                visit.blocked.cause = causes.get(row.event)
                visit.resumed = visit.blocked
            self._end(visit.blocked, row.time)
            visit.blocked = None
        if kind in _BLOCKS:
            visit.blocked = self._begun(visit, Span(Sort.BLOCKED, row))
        elif kind == Kind.TaskStarted:
            visit.works = self._begun(visit, Span(Sort.HELD if self._is_hold[row.step] else Sort.RUNNING, row))
        elif kind == Kind.TaskRejected or (kind == Kind.TaskAbandoned and row.constraint >= 0):  # else it backed off
            visit.refusal = _REFUSALS[Kind(kind)]

    def _begun(self, visit: _Visit, span: Span) -> Span:
        if visit.resumed is not None and visit.resumed.end_ns == span.begin.time:
            span.after = visit.resumed
        visit.resumed = None
        self._told.append((BEGINS, span))
        return span

    def _finish(self, key: Key, visit: _Visit, row: Row) -> None:
        outcome = _OUTCOMES[row.value] if visit.refusal is None else visit.refusal
        for span in (visit.works, visit.attempt):
            if span is not None:
                span.outcome = outcome
                self._end(span, row.time)
        visit.span.outcome = outcome
        visit.works = visit.attempt = visit.resumed = visit.refusal = None
        self._over[key] = row.time


def _by_end(causes: Causes) -> dict[int, Cause]:
    """Return the causes by the events that ended the waits."""
    columns = (causes.end, causes.why, causes.event, causes.agent, causes.step, causes.visit, causes.attempt)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {end: Cause(Why(why), *row) for end, why, *row in rows}
