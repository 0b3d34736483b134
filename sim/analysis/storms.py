"""Retry storms: what becomes of a fleet after an incident, a fold over the log.

Rules:

1. Incidents concern each other where they hit steps of the same fleet, or of fleets that spawn each other, directly or by
   way of others: agents that one holds up do not come to where the other is. What comes of those that do not is told as if
   they were alone. A trigger is a time during which incidents that concern each other are on, one or several that overlap
   or follow each other at once. What counts are the visits to the steps that they hit: `load` is visits that begin,
   `throughput` attempts that end after having worked, `goodput` visits that succeed, all a second; `amplification` is
   attempts that ended a visit that succeeded. Who is called off while it backs off (`TaskAbandoned` without a constraint)
   ends its visit, and no attempt: it never asked.
2. The baseline is the second half of the time before the first trigger that concerns it, so that the start of the fleet
   does not count. What comes after a trigger goes to the next one that does, or to the end of the run; where no visit is
   open at the end, to the end of the last one.
3. The time after it is cut into windows of equal length: as many as give each 100 successes at the goodput of the baseline,
   at most 20. A number is below what was to be expected only where it is so by more than chance: where both are taken for
   Poisson variables, one window by more than three standard deviations, several together by more than two.
4. It `recovers` where from some window on, at the latest from the last quarter on, no window is below 90 % of the goodput
   of the baseline, all of them together are not, and the visits that are open have not become more by more than chance. The
   time to recover is from the end of the trigger to the beginning of the first such window.
5. It has `collapsed` where the last quarter of the windows has together less than 10 % of the goodput of the baseline.
6. Else it is `metastable`: the trigger is over, the load is what it was, and goodput stays below.
7. It is `unknown` where there are fewer than 100 successes in the baseline or fewer than 8 windows after the trigger, where
   the trigger is not over at the end, and where it does not recover and the load is no longer what it was: in the last
   quarter fewer agents arrive in open fleets than before, or more than 10 % of the successes of the baseline were due to
   agents of closed fleets that have left. Of those of the steps of a fleet that is the share by which fewer agents are
   there, by time average, of closed fleets that come to them or spawn who does. Who crashes is still there. How many are
   there is counted and not drawn, so that nothing is allowed for chance. `why` says which.
8. Where the visits that are open became more during the baseline, by more than chance, the fleet does not keep up
   (`before.keeps_up`) even without a trigger: it is judged all the same, by a goodput that is all that it can do.
9. Triggers are told in the order in which they begin; of more than 100 the last 100.
10. Memory is not bounded: of each row of a task that an incident hits some 20 bytes are kept to the end. Which windows are
    counted hangs on when the next trigger and the end come, and whoever looks for what tips a fleet over feeds this while
    runs go on and has no log to read once more. Where there are no incidents nothing is kept.

(Bronson et al., Metastable failures in distributed systems, HotOS 2021, have the states and the word.)
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind, Status
from model.header import Header
from model.units import NS_PER_SECOND, counted
from sim.analysis.takes import Ended

Integers = NDArray[np.int64]

WINDOWS_MAX = 20
WINDOWS_MIN = 8
TOLD_MAX = 100
SUCCESSES_MIN = 100
"""Successes of a baseline, and of a window at its goodput, at least."""
BACK, GONE = 0.9, 0.1
"""The shares of the goodput of the baseline with which it is back, and without which it is gone."""
OF_ONE, OF_SEVERAL = 3, 2
"""The standard deviations by which one window, and several together, may be below that by chance."""

_OF_VISITS = np.isin(
    np.arange(len(Kind)),
    [Kind.TaskBlocked, Kind.TaskStarted, Kind.TaskRejected, Kind.TaskFinished, Kind.TaskRetrying],
)


class Verdict(StrEnum):
    """What becomes of a fleet after a trigger."""

    recovers = "recovers"
    metastable = "metastable"
    collapsed = "collapsed"
    unknown = "unknown"


@dataclass(slots=True)
class Trigger:
    """A time during which incidents of a group are on; `to_ns` is None while they are."""

    group: int
    incidents: list[int]
    from_ns: int
    to_ns: int | None = None


class Storms:
    """What becomes of the fleet after each trigger; feed it every batch of a log, then ask for `result`."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._incidents = {number for number, row in enumerate(header.constraints) if row.type == "incident"}
        self._hit = {number: _hit(header, number) for number in self._incidents}
        self._any = np.logical_or.reduce([*self._hit.values(), np.zeros(len(header.steps) + 1, np.bool_)])
        self._group = _groups(header, self._hit)
        self._on: set[int] = set()
        self._triggers: list[Trigger] = []  # in the order in which they begin
        self._latest: dict[int, Trigger] = {}  # by group
        for number in sorted(self._incidents):
            if header.constraints[number].settings[0][1] is not None:
                self._turn(0, number, on=True)
        self._spawning = {(step.fleet, step.spawned) for step in header.steps if step.spawned is not None}
        self._firsts = np.array([fleet.first for fleet in header.fleets])
        self._came: list[_Agents] = []
        self._gone: list[_Agents] = []
        self._rows: list[_Rows] = []
        self._ended = Ended()
        self._called_off = False  # whether the last row says that a back-off is
        self._now = 0

    def feed(self, batch: Batch) -> None:
        """Take in the next rows."""
        if not self._incidents or not len(batch):
            return
        kinds = batch.kind
        for row in np.flatnonzero(kinds == Kind.ConstraintChanged).tolist():
            number = int(batch.constraint[row])
            if number in self._incidents:
                self._turn(int(batch.time[row]), number, on=bool(batch.value[row] >= 0))
        mine = batch.agent < self._header.agents  # those that are spawned do not arrive
        for kind, agents in ((Kind.AgentStarted, self._came), (Kind.AgentFinished, self._gone)):
            of_kind = np.flatnonzero((kinds == kind) & mine)
            fleets = np.searchsorted(self._firsts, batch.agent[of_kind], side="right") - 1
            agents.append(_Agents(batch.time[of_kind], fleets.astype(np.int32)))
        worked = self._ended.feed(batch)
        called_off = np.append(self._called_off, (kinds == Kind.TaskAbandoned) & (batch.constraint < 0))
        self._called_off = bool(called_off[-1])
        rows = np.flatnonzero(_OF_VISITS[kinds] & self._any[batch.step])
        self._rows.append(_Rows.of(batch, rows, worked, ~called_off[:-1]))
        self._now = int(batch.time[-1])

    def _turn(self, time_ns: int, number: int, on: bool) -> None:
        """An incident begins or ends."""
        group = self._group[number]
        trigger = self._latest.get(group)
        if on:
            if trigger is None or trigger.to_ns not in (None, time_ns):
                trigger = self._latest[group] = Trigger(group, [], time_ns)
                self._triggers.append(trigger)
            self._on.add(number)
            trigger.to_ns = None
            trigger.incidents += [] if number in trigger.incidents else [number]
        elif trigger is not None and number in self._on:
            self._on.discard(number)
            trigger.to_ns = None if any(self._group[other] == group for other in self._on) else time_ns

    def _coming(self, fleets: set[int], key: str) -> list[int]:
        """Return the fleets with that key (`arrivals`: open, `count`: closed) that are one of these or spawn one."""
        while more := {fleet for fleet, spawned in self._spawning if spawned in fleets} - fleets:
            fleets = fleets | more
        written = self._header.scenario.get("fleets", ())
        return [number for number, row in enumerate(written) if number in fleets and key in row]

    def _load(self, hit: NDArray[np.bool_], came: "_Agents", gone: "_Agents") -> "_Load":
        """Return who comes to the steps that are hit."""
        fleets = {self._header.steps[step].fleet for step in np.flatnonzero(hit).tolist()}
        closed = {fleet: self._coming({fleet}, "count") for fleet in fleets}
        return _Load(came.of(self._coming(fleets, "arrivals")).time, closed, came, gone)

    def result(self) -> list[dict[str, Any]] | None:
        """Return what became of the fleet after each trigger so far, or None where nothing can go wrong."""
        return self._told(self._triggers[-TOLD_MAX:]) if self._incidents else None

    def last(self, incident: str) -> dict[str, Any] | None:
        """Return what became of the fleet after the last trigger of an incident, or None where there was none."""
        names = self._header.constraints
        with_it = [each for each in self._triggers if any(names[number].id == incident for number in each.incidents)]
        return self._told(with_it[-1:])[0] if with_it else None

    def _told(self, triggers: list[Trigger]) -> list[dict[str, Any]]:
        rows = _Rows.all(self._rows)
        came, gone = _Agents.all(self._came), _Agents.all(self._gone)
        begun: dict[int, list[int]] = defaultdict(list)
        for trigger in self._triggers:
            begun[trigger.group].append(trigger.from_ns)
        fleets = np.array([step.fleet for step in self._header.steps], np.int32)
        told = []
        # The visits, and who makes them, by the incidents that hit them.
        visits: dict[tuple[int, ...], tuple[_Visits, _Load]] = {}
        for trigger in triggers:
            by = tuple(sorted(trigger.incidents))
            if by not in visits:
                hit = np.logical_or.reduce([self._hit[number] for number in by])
                visits[by] = _Visits(rows.only(hit[rows.step]), fleets), self._load(hit, came, gone)
            concerning = begun[trigger.group]
            following = bisect_right(concerning, trigger.from_ns)
            until = concerning[following] if following < len(concerning) else self._now
            about = {
                "incidents": [self._header.constraints[number].id for number in trigger.incidents],
                "from_ns": trigger.from_ns,
                "to_ns": trigger.to_ns,
            }
            told.append({**about, **_Story(*visits[by], concerning[0]).tell(trigger, until)})
        return told


def _groups(header: Header, hit: dict[int, NDArray[np.bool_]]) -> dict[int, int]:
    """Return by incident the number of its group: those that concern each other."""
    joined: list[tuple[set[int], set[int]]] = []
    joined += [({step.fleet, step.spawned}, set()) for step in header.steps if step.spawned is not None]
    for number, steps in hit.items():
        joined.append(({header.steps[step].fleet for step in np.flatnonzero(steps).tolist()}, {number}))
    groups: list[tuple[set[int], set[int]]] = []  # fleets, and the incidents that hit steps of theirs
    for fleets, members in joined:
        met = [group for group in groups if group[0] & fleets]
        groups = [group for group in groups if not group[0] & fleets]
        groups.append((fleets.union(*(group[0] for group in met)), members.union(*(group[1] for group in met))))
    return {number: min(members) for _, members in groups for number in members}


def _hit(header: Header, incident: int) -> NDArray[np.bool_]:
    """Return by step whether the incident hits it; the last entry is for rows without a step."""
    hit = [any(demand.constraint == incident for group in step.demands for demand in group) for step in header.steps]
    return np.array([*hit, False])


@dataclass(slots=True)
class _Rows:
    """Rows of visits to tasks: when, whose, how the attempt ended (-1: it does not), whether it had worked, and asked."""

    time: Integers
    visit: Integers  # the agent and the visit in one number
    step: NDArray[np.int16]
    ended: NDArray[np.int8]
    worked: NDArray[np.bool_]
    asked: NDArray[np.bool_]

    @classmethod
    def of(cls, batch: Batch, rows: Integers, worked: NDArray[np.bool_], asked: NDArray[np.bool_]) -> "_Rows":
        visit = (batch.agent[rows].astype(np.int64) << 32) | batch.visit[rows]
        ended = np.where(batch.kind[rows] == Kind.TaskFinished, batch.value[rows], -1).astype(np.int8)
        return cls(batch.time[rows], visit, batch.step[rows], ended, worked[rows], asked[rows])

    @classmethod
    def all(cls, parts: "list[_Rows]") -> "_Rows":
        nothing = np.zeros(0, np.int64)
        flags = nothing.astype(np.bool_)
        none = cls(nothing, nothing, nothing.astype(np.int16), nothing.astype(np.int8), flags, flags)
        parts = [none, *parts]
        return cls(
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.visit for part in parts]),
            np.concatenate([part.step for part in parts]),
            np.concatenate([part.ended for part in parts]),
            np.concatenate([part.worked for part in parts]),
            np.concatenate([part.asked for part in parts]),
        )

    def only(self, rows: NDArray[np.bool_]) -> "_Rows":
        columns = (self.time, self.visit, self.step, self.ended, self.worked, self.asked)
        return _Rows(*(column[rows] for column in columns))  # type: ignore[arg-type] # in their order


@dataclass(slots=True)
class _Agents:
    """When agents that nobody spawned began or finished, in order, and the numbers of their fleets."""

    time: Integers
    fleet: NDArray[np.int32]

    @classmethod
    def all(cls, parts: "list[_Agents]") -> "_Agents":
        parts = [cls(np.zeros(0, np.int64), np.zeros(0, np.int32)), *parts]
        return cls(np.concatenate([part.time for part in parts]), np.concatenate([part.fleet for part in parts]))

    def of(self, fleets: list[int]) -> "_Agents":
        mine = np.isin(self.fleet, fleets)
        return _Agents(self.time[mine], self.fleet[mine])

    def since(self, start_ns: int, end_ns: int) -> float:
        """Return how many of these have happened, by time average."""
        return float(np.clip(end_ns - self.time, 0, end_ns - start_ns).sum(dtype=np.float64)) / (end_ns - start_ns)


@dataclass(slots=True)
class _Load:
    """Who comes to the steps that are hit: agents that arrive in open fleets, and those that are in closed ones."""

    arrived: Integers
    closed: dict[int, list[int]]  # by the fleet of such a step the closed fleets that come there
    came: _Agents
    gone: _Agents

    def there(self, fleet: int, start_ns: int, end_ns: int) -> float:
        """Return how many agents of closed fleets there are that come to the steps of a fleet, by time average."""
        came, gone = (agents.of(self.closed[fleet]) for agents in (self.came, self.gone))
        return came.since(start_ns, end_ns) - gone.since(start_ns, end_ns)


class _Visits:
    """When visits began, ended and succeeded, and when attempts ended; times in ns, in order."""

    def __init__(self, rows: _Rows, fleets: NDArray[np.int32]) -> None:
        order = np.lexsort((rows.step, rows.visit))  # the rows of a visit follow each other, in the order of the log
        same = (np.diff(rows.visit[order]) == 0) & (np.diff(rows.step[order]) == 0)
        first = order[np.append(True, ~same)] if len(order) else order
        last = order[np.append(~same, True)] if len(order) else order
        last = last[rows.ended[last] >= 0]
        self.began = np.sort(rows.time[first])
        self.over = np.sort(rows.time[last])
        succeeded = np.sort(last[rows.ended[last] == Status.succeeded])  # rows are in the order of time
        self.succeeded = rows.time[succeeded]
        self.succeeded_in = fleets[rows.step[succeeded]]  # the fleets of their steps
        self.worked = rows.time[rows.worked]
        self.attempts = rows.time[(rows.ended >= 0) & rows.asked]

    def open(self, time_ns: int) -> int:
        """Return how many visits have begun and are not over after what happens at a time."""
        return _until(self.began, time_ns) - _until(self.over, time_ns)

    def pile_up(self, start_ns: int, end_ns: int) -> bool:
        """Say whether the visits that are open become more in a time, by more than chance."""
        grown = self.open(end_ns) - self.open(start_ns)
        return grown > OF_ONE * sqrt(_count(self.began, start_ns, end_ns))

    def between(self, start_ns: int, end_ns: int) -> dict[str, float | int | None]:
        """Return the rates of a time, a second, and the visits that are open at its end."""
        seconds = (end_ns - start_ns) / NS_PER_SECOND
        counts = [_count(times, start_ns, end_ns) for times in (self.began, self.worked, self.succeeded, self.attempts)]
        load, throughput, goodput, _ = (count / seconds if seconds else 0.0 for count in counts)
        return {
            "load_per_s": load,
            "throughput_per_s": throughput,
            "goodput_per_s": goodput,
            "amplification": counts[3] / counts[2] if counts[2] else None,
            "open": self.open(end_ns),
        }


class _Story:
    """What happened to the visits that a trigger hits, and the verdict."""

    def __init__(self, visits: _Visits, load: _Load, first_ns: int) -> None:
        self._visits = visits
        self._load = load
        self._base = first_ns // 2, first_ns

    def tell(self, trigger: Trigger, until_ns: int) -> dict[str, Any]:
        """Return the verdict, and the rates before, during and after: in the last quarter of what comes after."""
        visits = self._visits
        start, base_end = self._base
        end = trigger.to_ns
        if end is None or not visits.open(until_ns):
            until_ns = max(end or 0, min(until_ns, int(visits.over[-1]) if len(visits.over) else 0))
        successes = _count(visits.succeeded, start, base_end)
        edges = np.zeros(1, np.int64) if end is None else self._windows(successes, end, until_ns)
        windows = len(edges) - 1
        told: dict[str, Any] = {"verdict": Verdict.unknown, "why": None, "time_to_recover_ns": None}
        if successes < SUCCESSES_MIN:
            told["why"] = (
                f"{counted(successes, 'visit succeeds', 'visits succeed')} before it, of {SUCCESSES_MIN} that it takes"
            )
        elif end is None:
            told["why"] = "it is not over at the end"
        elif windows < WINDOWS_MIN:
            told["why"] = "too little time after it"
        else:
            told |= self._judge(edges)
        told["before"] = {**visits.between(start, base_end), "keeps_up": not visits.pile_up(start, base_end)}
        told["during"] = visits.between(trigger.from_ns, until_ns if end is None else end)
        told["after"] = visits.between(_last_quarter(edges), int(edges[-1])) if windows >= WINDOWS_MIN else None
        told["windows"] = max(0, windows)
        return told

    def _windows(self, successes: int, start_ns: int, end_ns: int) -> Integers:
        """Return the edges of the windows after a trigger."""
        start, base_end = self._base
        expected = (end_ns - start_ns) * successes // max(1, base_end - start)
        count = min(WINDOWS_MAX, expected // SUCCESSES_MIN)
        return np.array([start_ns + (end_ns - start_ns) * n // max(1, count) for n in range(count + 1)], np.int64)

    def _judge(self, edges: Integers) -> dict[str, Any]:
        visits = self._visits
        first = next(self._back(edges), None)
        if first is not None:
            return {"verdict": Verdict.recovers, "time_to_recover_ns": int(edges[first] - edges[0])}
        quarter, end = _last_quarter(edges), int(edges[-1])
        if self._is_below(self._load.arrived, quarter, end, OF_SEVERAL) or self._left(quarter, end) > 1 - BACK:
            return {"why": "the load is no longer what it was"}
        gone = _count(visits.succeeded, quarter, end) < GONE * self._expected(visits.succeeded, quarter, end)
        return {"verdict": Verdict.collapsed if gone else Verdict.metastable}

    def _back(self, edges: Integers) -> Iterator[int]:
        """Yield the windows from which on goodput is back to the end of what is watched."""
        visits, end = self._visits, int(edges[-1])
        windows = list(pairwise(edges.tolist()))
        below = [n for n, window in enumerate(windows, 1) if self._is_below(visits.succeeded, *window, OF_ONE)]
        for first in range(max(below, default=0), len(windows) - len(windows) // 4 + 1):
            start = windows[first][0]
            if not visits.pile_up(start, end) and not self._is_below(visits.succeeded, start, end, OF_SEVERAL):
                yield first

    def _left(self, start_ns: int, end_ns: int) -> float:
        """Return the share of the successes of the baseline that was due to agents of closed fleets that have left."""
        start, base_end = self._base
        visits = self._visits
        succeeded_in = visits.succeeded_in[_until(visits.succeeded, start) : _until(visits.succeeded, base_end)]
        left = 0.0
        for fleet, successes in zip(*np.unique(succeeded_in, return_counts=True), strict=True):
            before, now = (self._load.there(int(fleet), *time) for time in (self._base, (start_ns, end_ns)))
            left += max(0.0, 1 - now / before) * int(successes) / len(succeeded_in) if before else 0.0
        return left

    def _is_below(self, times: Integers, start_ns: int, end_ns: int, deviations: int) -> bool:
        """Say whether there are fewer of these in a time than `BACK` of those in the baseline, by more than chance."""
        start, base_end = self._base
        expected = BACK * self._expected(times, start_ns, end_ns)
        chance = sqrt(expected * (1 + BACK * (end_ns - start_ns) / (base_end - start)))
        return _count(times, start_ns, end_ns) < expected - deviations * chance

    def _expected(self, times: Integers, start_ns: int, end_ns: int) -> float:
        """Return how many of these there are in a time as in the baseline."""
        start, base_end = self._base
        return _count(times, start, base_end) * (end_ns - start_ns) / (base_end - start)


def _last_quarter(edges: Integers) -> int:
    """Return when the last quarter of the windows begins."""
    windows = len(edges) - 1
    return int(edges[windows - windows // 4])


def _until(times: Integers, time_ns: int) -> int:
    return int(np.searchsorted(times, time_ns, side="right"))


def _count(times: Integers, start_ns: int, end_ns: int) -> int:
    """Return how many of the times, which are in order, come after the one and not after the other."""
    return _until(times, end_ns) - _until(times, start_ns)
