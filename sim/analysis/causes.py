"""Why a task went on when it did, who had what then, and what an agent did: questions to the record of a run.

Rules:

1. A task that waited goes on in the instant in which something happened to what it waited for: some of it was given back,
   it changed, somebody left who stood before it, or it heard of an end. Of several the last before it is the cause.
2. Where nothing happened to a limit that time fills, it is time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from model.events import Kind
from sim.analysis.holdings import Holdings, holdings, is_held, taken
from sim.analysis.record import Record, Row, Wait
from sim.analysis.waits import GOES_ON, Integers

TIMED = frozenset({"rate_limit", "quota"})
"""The types of limits that time fills."""
_HEARING = frozenset({"adaptive", "circuit_breaker"})
Visit = tuple[int, int, int]
What = tuple[str, int]
"""What an agent does: `worked`, `waited` for a constraint (-1 in all others), ..."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a wait ended: `released`, `changed`, `left`, `heard`, `refilled` or `unknown`; and by which row."""

    kind: str
    row: Row | None = None


@dataclass(slots=True)
class Doing:
    """What an agent did from its beginning on, in ns, and what it does at the end."""

    spent: dict[What, int] = field(default_factory=dict)
    open: dict[Visit, tuple[str, Row]] = field(default_factory=dict)
    """Each visit that goes on: `worked`, `waited`, `backed_off`, `held`; and the row since which it does."""
    down: Row | None = None
    children: int = 0

    def now(self) -> What:
        """What it does: of several things the busiest."""
        if self.down is not None:
            return "repaired", -1
        for what in ("worked", "waited", "backed_off"):
            rows = [row for state, row in self.open.values() if state == what]
            if rows:
                return what, min(rows).constraint if what == "waited" else -1
        return ("spawned" if self.children else "idle"), -1


class Inquiry:
    """Answers questions about a record, and keeps what it takes long to find out."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._holdings: dict[int, Holdings] = {}
        self._giving: dict[int, Integers] = {}
        self._changes: dict[int, Integers] = {}
        self._leaving: dict[int, Integers] = {}

    def holdings(self, constraint: int) -> Holdings:
        """Return who held, or took, some of a constraint."""
        if constraint not in self._holdings:
            find = holdings if is_held(self.record, constraint) else taken
            self._holdings[constraint] = find(self.record, constraint)
        return self._holdings[constraint]

    def changes(self, constraint: int) -> Integers:
        """Return the events at which a constraint changed."""
        if constraint not in self._changes:
            self._changes[constraint] = self.record.events_of(Kind.ConstraintChanged, constraint)
        return self._changes[constraint]

    def giving(self, constraint: int) -> Integers:
        """Return the events at which some of a constraint is given back."""
        if constraint not in self._giving:
            if is_held(self.record, constraint):
                gave = self.holdings(constraint).gave
                self._giving[constraint] = np.sort(gave[gave != GOES_ON])
            else:
                events = self.record.events_of(Kind.ResourceReleased, constraint)
                self._giving[constraint] = events[self.record.rows.value[events] > 0]
        return self._giving[constraint]

    def leaving(self, constraint: int) -> Integers:
        """Return the events at which somebody does not wait for a constraint any more, and has not got it."""
        if constraint not in self._leaving:
            kinds = (Kind.TaskRejected, Kind.TaskAbandoned)
            events = [self.record.events_of(kind, constraint) for kind in kinds]
            self._leaving[constraint] = np.sort(np.concatenate(events))
        return self._leaving[constraint]

    def cause(self, wait: Wait) -> Cause:
        """Return why a wait ended that ended with going on."""
        stretch, record = wait.stretches[-1], self.record
        constraint = stretch.constraint
        type_ = record.header.constraints[constraint].type
        given = self._last(self.giving(constraint), stretch.begin, stretch.end)
        changed = self._last(self.changes(constraint), stretch.begin, stretch.end)
        if given > changed or (given >= 0 and type_ == "adaptive"):
            return Cause("released", record.row(given))
        if changed >= 0:
            return Cause("changed", record.row(changed))
        left = self._last(self.leaving(constraint), stretch.begin, stretch.end)
        if left >= 0:
            return Cause("left", record.row(left))
        if type_ in _HEARING:
            heard = self._heard(stretch.begin, stretch.end)
            if heard >= 0:
                return Cause("heard", record.row(heard))
        return Cause("refilled" if type_ in TIMED else "unknown")

    def _last(self, events: Integers, begin: int, end: int) -> int:
        """Return the last of some events after the beginning and before the end of a stretch, at its end; or -1."""
        place = int(np.searchsorted(events, end)) - 1
        event = int(events[place]) if place >= 0 else -1
        times = self.record.rows.time
        return event if event > begin and times[event] == times[end] else -1

    def _heard(self, begin: int, end: int) -> int:
        times = self.record.rows.time
        first = max(begin + 1, int(np.searchsorted(times, times[end])))
        found = np.flatnonzero(self.record.rows.kind[first:end] == Kind.TaskFinished)
        return first + int(found[-1]) if len(found) else -1

    def amount(self, agent: int, step: int, visit: int, constraint: int) -> int | None:
        """Return how much a visit asks of a constraint; None where that is drawn and not told."""
        entry = self.record.header.steps[step]
        _, numbers = self.record.roster.places(np.array([agent]))
        group = next((group for first, last, group in entry.groups if first <= numbers[0] <= last), 0)
        demand = next((each for each in entry.demands[group] if each.constraint == constraint), None)
        if demand is None or demand.amount is not None:
            return None if demand is None else demand.amount
        told = (
            row.value
            for row in self.record.on(-1, agent)
            if row.visited == (agent, step, visit)
            and row.constraint == constraint
            and row.kind == Kind.ResourceAcquired
        )
        return next(told, None)

    def doing(self, agent: int) -> Doing:
        """Return what an agent did, and does at the end of the record."""
        record, doing, now_ns = self.record, Doing(), None
        started: set[tuple[int, int, int, int]] = set()
        for row in self._rows_of(agent):
            if now_ns is not None and row.time > now_ns:
                what = doing.now()
                doing.spent[what] = doing.spent.get(what, 0) + row.time - now_ns
            now_ns = row.time
            if row.agent == agent:
                self._take_in(doing, row, started)
            elif row.kind == Kind.AgentStarted:
                doing.children += 1
            else:
                doing.children -= 1
        if now_ns is not None and record.end_ns > now_ns and record.end_of_agent(agent) is None:
            what = doing.now()
            doing.spent[what] = doing.spent.get(what, 0) + record.end_ns - now_ns
        return doing

    def _rows_of(self, agent: int) -> Iterable[Row]:
        """Return the rows of an agent, and those in which agents start and end that it waits for."""
        own = self.record.on(-1, agent)
        children = self.record.spawned_by(agent)
        if not children:
            return own
        ends = (self.record.end_of_agent(child.agent) for child in children)
        return sorted([*own, *children, *(end for end in ends if end is not None)])

    def _take_in(self, doing: Doing, row: Row, started: set[tuple[int, int, int, int]]) -> None:
        match row.kind:
            case Kind.AgentCrashed:
                doing.open.clear()
                doing.down = row
            case Kind.AgentRestarted:
                doing.down = None
            case Kind.TaskBlocked:
                doing.open[row.visited] = "waited", row
            case Kind.TaskRebound:
                since = doing.open[row.visited][1]
                doing.open[row.visited] = "waited", since._replace(constraint=row.constraint)
            case Kind.TaskResumed:
                doing.open[row.visited] = ("held" if row.attempted in started else "asks"), row
            case Kind.TaskStarted:
                started.add(row.attempted)
                is_hold = self.record.header.steps[row.step].kind == "hold"
                doing.open[row.visited] = ("held" if is_hold else "worked"), row
            case Kind.TaskFinished:
                doing.open.pop(row.visited, None)
            case Kind.TaskRetrying:
                doing.open[row.visited] = "backed_off", row

    def does_several(self, agent: int) -> bool:
        """Say whether an agent may do several things side by side."""
        fleets, _ = self.record.roster.places(np.array([agent]))
        return any(step.fleet == fleets[0] and step.kind in ("fork", "graph") for step in self.record.header.steps)
