"""Who waited longer than the scenario bounds, how often each of the worst was overtaken, and by whom.

Rules:

1. A wait (`waits`) starves where it is longer than the `starvation` of its fleet, or of the tenant of a fleet that has
   none of its own. A wait that still goes on counts with its time so far.
2. A task asks when it is blocked, or when it takes where it did not wait; who takes one thing after another asks for each
   of them anew. B overtakes A where B asked after the `TaskBlocked` of A, and takes some of the constraint that A is bound
   to at that moment. Who is tried again after a pre-emption asks again.
3. It is a fold over the log alone. What is kept are the waits that go on, and the worst of each bound: the longest, of
   those equally long the first. For their overtakings the log is read once more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.events import Batch
from model.header import Header
from model.log import Log
from model.roster import Roster
from model.scenario import Scenario
from sim.analysis.requests import Requests
from sim.analysis.scenario import scenario_of
from sim.analysis.takes import Takes
from sim.analysis.waits import COMES, GOES_ON, Integers, Stretches, Waits

WORST = 10
"""Of how many waits a bound tells."""
OVERTAKINGS = 5
"""Of how many overtakings of a wait the events are told."""

_GOES_ON_FOR_EVER = 2**63 - 1


class _Wait(NamedTuple):
    """A wait; the order of these is from the worst to the least."""

    less_ns: int  # how long it was, below 0
    asked: int
    end: int
    agent: int
    step: int
    visit: int
    attempt: int
    constraint: int

    @property
    def until(self) -> int:
        """The event before which it waits."""
        return _GOES_ON_FOR_EVER if self.end == GOES_ON else self.end


@dataclass(slots=True)
class _Bound:
    """How long the tasks of a fleet or a tenant may wait, and how long they did."""

    kind: str
    name: str
    bound_ns: int
    waits: int = 0
    exceeded: int = 0
    worst: list[_Wait] = field(default_factory=list)

    def take_in(self, over: Stretches) -> "_Bound":
        """Return the same with some waits more, each told by its last stretch."""
        waited_ns = over.end_ns - over.asked_ns
        exceeding = np.flatnonzero(waited_ns > self.bound_ns)
        longest = exceeding[np.lexsort((over.asked[exceeding], -waited_ns[exceeding]))[:WORST]]
        told = over.some(longest)
        columns = (told.asked, told.end, told.agent, told.step, told.visit, told.attempt, told.constraint)
        found = map(_Wait, (-waited_ns[longest]).tolist(), *(column.tolist() for column in columns))
        worst = nsmallest(WORST, [*self.worst, *found])
        counts = self.waits + len(waited_ns), self.exceeded + len(exceeding)
        return _Bound(self.kind, self.name, self.bound_ns, *counts, worst)


class Starvation:
    """Feed it every batch of a log, then ask for `result`. Where nothing is bounded it does nothing."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._roster = Roster(header)
        self._bounds: list[_Bound] = []
        self._bound_of = np.full(len(header.steps) + 1, -1)  # by step
        if not any("starvation" in each for each in _bounded(header.scenario)):
            return
        self._scenario = scenario_of(header)
        numbers: dict[tuple[str, str], int] = {}
        for number, fleet in enumerate(self._scenario.fleets):
            tenant = self._scenario.tenants.get(fleet.tenant or "")
            if fleet.starvation is not None:
                kind, name, bound_ns = "fleet", fleet.name, fleet.starvation
            elif tenant is not None and tenant.starvation is not None:
                kind, name, bound_ns = "tenant", str(fleet.tenant), tenant.starvation
            else:
                continue
            if (kind, name) not in numbers:
                numbers[kind, name] = len(self._bounds)
                self._bounds.append(_Bound(kind, name, bound_ns))
            steps = [place for place, step in enumerate(header.steps) if step.fleet == number]
            self._bound_of[steps] = numbers[kind, name]

    def feed(self, batch: Batch, ended: Stretches) -> None:
        """Take in the next rows, and the stretches of waiting that ended there."""
        if self._bounds:
            self._roster.feed(batch)
            self._bounds = list(self._with(ended))

    def result(self, log: Log | None, rest: Stretches) -> list[dict[str, Any]]:
        """Return what `python -m sim run --json` gives: an object for each bound.

        `rest` are the stretches of waiting that go on. Overtakings are read from the log.
        """
        bounds = list(self._with(rest))
        worst = [wait for bound in bounds for wait in bound.worst]
        overtakings = _overtakings(log, self._scenario, self._roster, worst) if log is not None and worst else {}
        return [
            {
                bound.kind: bound.name,
                "bound_ns": bound.bound_ns,
                "waits": bound.waits,
                "exceeded": bound.exceeded,
                "worst": [self._told(wait) | overtakings.get(wait.asked, {}) for wait in bound.worst],
            }
            for bound in bounds
        ]

    def _with(self, stretches: Stretches) -> Iterator[_Bound]:
        """Yield each bound, with the waits that end with these stretches."""
        bound_of = np.where(stretches.is_over, self._bound_of[stretches.step], -1)
        for number, bound in enumerate(self._bounds):
            mine = np.flatnonzero(bound_of == number)
            yield bound.take_in(stretches.some(mine)) if len(mine) else bound

    def _told(self, wait: _Wait) -> dict[str, Any]:
        return {
            "task": self._roster.task_name(wait.agent, wait.step),
            "visit": wait.visit,
            "attempt": wait.attempt,
            "wait_ns": -wait.less_ns,
            "event": wait.asked,
            "end_event": None if wait.end == GOES_ON else wait.end,
            "waits_for": self._header.constraints[wait.constraint].id,
        }


def _bounded(scenario: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from scenario.get("fleets", ())
    yield from scenario.get("tenants", {}).values()


@dataclass(slots=True)
class _Overtaken:
    """A wait, the constraint that it is bound to, and who has taken of that since."""

    wait: _Wait
    by_fleet: Integers
    bound: int = -1
    events: list[int] = field(default_factory=list)


def _overtakings(log: Log, scenario: Scenario, roster: Roster, waits: list[_Wait]) -> dict[int, dict[str, Any]]:
    """Return for each wait, by the event that began it, how often it was overtaken, by which fleets, and when first."""
    header = log.header
    found = [_Overtaken(wait, np.zeros(len(header.fleets), np.int64)) for wait in waits]
    requests, stretches = Requests(header, scenario), Waits()
    takes = {number: Takes(header, scenario, number) for number in range(len(header.constraints))}
    first = 0
    for batch in log.batches():
        requests.feed(batch, stretches.feed(batch))
        taken: dict[int, tuple[NDArray[np.intp], Integers]] = {}
        for each in found:
            for constraint, start, stop in _stretches(each, batch, first):
                if constraint not in taken:
                    rows = takes[constraint].taking(batch)
                    taken[constraint] = rows, requests.asked(rows, constraint)
                rows, asked = taken[constraint]
                inside = slice(*np.searchsorted(rows, (start, stop)))
                rows = rows[inside][asked[inside] > each.wait.asked]
                fleets, _ = roster.places(batch.agent[rows])
                each.by_fleet += np.bincount(fleets, minlength=len(each.by_fleet))
                each.events += (first + rows[: OVERTAKINGS - len(each.events)]).tolist()
        first += len(batch)
        if all(wait.until < first for wait in waits):
            break
    return {each.wait.asked: _told_of(each, header) for each in found}


def _stretches(each: _Overtaken, batch: Batch, first: int) -> Iterator[tuple[int, int, int]]:
    """Yield what the task is bound to in this batch, from which place on and up to which."""
    wait, stop = each.wait, min(each.wait.until - first, len(batch))
    start = max(wait.asked - first, 0)
    if start >= stop:
        return
    rows = batch.rows(start, stop)
    comes = COMES[rows.kind] & (rows.agent == wait.agent) & (rows.step == wait.step) & (rows.visit == wait.visit)
    for row in (start + np.flatnonzero(comes)).tolist():
        if each.bound >= 0:
            yield each.bound, start, row
        start, each.bound = row, int(batch.constraint[row])
    yield each.bound, start, stop


def _told_of(each: _Overtaken, header: Header) -> dict[str, Any]:
    by_fleet = {fleet.name: int(count) for fleet, count in zip(header.fleets, each.by_fleet, strict=True) if count}
    most = dict(sorted(by_fleet.items(), key=lambda pair: -pair[1]))
    return {"overtaken": sum(most.values()), "overtaken_by": most, "overtakings": each.events}
