"""The wait ledger: every nanosecond that somebody waited, charged to its cause.

Rules:

1. While a task waits it is charged to the constraint that it is bound to, from `TaskBlocked` or `TaskRebound` on; while it
   backs off, to its back-off. So the charges of a visit are its time in the system less the time for which it worked: they
   sum to what was waited, to the nanosecond.
2. An agent that is down is charged to its repair. One that waits for agents that it spawned is charged to the join, at
   the step that spawned them: from their start until all are finished, or until it is over itself. (Branches of a fork and
   tasks of a graph are the agent itself: what those wait for is charged to them.)
3. Of what is charged to a constraint, a part is due to who overtook the task there: from the first time on at which
   somebody took some of it who had asked later. Without that, an equal request would have had its turn by then.
4. What still goes on is charged with its time so far.
5. It is a fold over the log alone. What is kept is what goes on, and the sums by agent, step and cause.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.header import Header
from model.scenario import Scenario, Spawn, walk
from sim.analysis.requests import Requests
from sim.analysis.scenario import scenario_of
from sim.analysis.takes import Takes
from sim.analysis.waits import Integers, Kept, Stretches

BACK_OFF, REPAIR, JOIN = -1, -2, -3
"""The causes that are no constraints; those have their numbers."""
NAMES = {BACK_OFF: "back-off", REPAIR: "repair", JOIN: "join"}
NO_STEP = -1

_KEY = np.dtype([("agent", np.int32), ("step", np.int16), ("cause", np.int16)])
_SUMS_MIN = 1 << 17
"""How many charges are kept before those of one key are summed up, at least."""


@dataclass(frozen=True, slots=True)
class Charges:
    """What was waited, an entry for each agent, step and cause, in that order.

    `step` is `NO_STEP` for repairs. `overtaken_ns` is the part of `ns` that is due to who overtook it.
    """

    agent: NDArray[np.int32]
    step: NDArray[np.int16]
    cause: NDArray[np.int16]
    ns: Integers
    overtaken_ns: Integers


class Ledger:
    """Feed it every batch of a log, then ask for `charges`."""

    def __init__(self, header: Header) -> None:
        scenario = scenario_of(header)
        self._overtaken = _Overtaken(header, scenario)
        self._back_offs = _Timed(Kind.TaskRetrying)
        self._repairs = _Timed(Kind.AgentCrashed)
        self._joins = _Joins(header, scenario)
        self._sums = _Sums()
        self._now_ns = 0

    def feed(self, batch: Batch, ended: Stretches, rest: Stretches) -> None:
        """Take in the next rows, the stretches of waiting that ended there, and those that go on after them."""
        if not len(batch):
            return
        self._now_ns = int(batch.time[-1])
        overtaken_ns = self._overtaken.feed(batch, ended, rest)
        self._charge_waits(self._sums, ended, overtaken_ns)
        called_off = np.flatnonzero((batch.kind == Kind.TaskAbandoned) & (batch.constraint < 0))
        rows = self._back_offs.feed(batch, called_off)
        self._sums.add(rows.agent, rows.step, BACK_OFF, rows.ns)
        rows = self._repairs.feed(batch, np.flatnonzero(batch.kind == Kind.AgentFinished))
        self._sums.add(rows.agent, rows.step, REPAIR, rows.ns)
        for agent, step, ns in self._joins.feed(batch):
            self._sums.add(np.array([agent]), np.array([step]), JOIN, np.array([ns]))

    def charges(self, rest: Stretches) -> Charges:
        """Return all that was waited so far; `rest` are the stretches of waiting that go on."""
        sums = self._sums.copy()
        self._charge_waits(sums, rest, self._overtaken.so_far(rest))
        for timed, cause in ((self._back_offs, BACK_OFF), (self._repairs, REPAIR)):
            rows = timed.rest(self._now_ns)
            sums.add(rows.agent, rows.step, cause, rows.ns)
        for agent, step, ns in self._joins.rest(self._now_ns):
            sums.add(np.array([agent]), np.array([step]), JOIN, np.array([ns]))
        return sums.result()

    @staticmethod
    def _charge_waits(sums: "_Sums", stretches: Stretches, overtaken_ns: Integers) -> None:
        ns = stretches.end_ns - stretches.since_ns
        sums.add(stretches.agent, stretches.step, stretches.constraint, ns, overtaken_ns)


class _Sums:
    """Nanoseconds by agent, step and cause."""

    def __init__(self) -> None:
        self._keys: list[NDArray[np.void]] = []
        self._values: list[Integers] = []  # pairs of ns and overtaken ns
        self._rows = 0
        self._known = 0  # of these, the rows that are summed up already

    def add(
        self,
        agents: NDArray[np.integer],
        steps: NDArray[np.integer],
        causes: "NDArray[np.integer] | int",
        ns: Integers,
        overtaken_ns: "Integers | int" = 0,
    ) -> None:
        """Add charges; those of no time are left out."""
        some = np.flatnonzero(ns)
        if not len(some):
            return
        keys = np.zeros(len(ns), _KEY)
        keys["agent"], keys["step"], keys["cause"] = agents, steps, causes
        values = np.zeros((len(ns), 2), np.int64)
        values[:, 0], values[:, 1] = ns, overtaken_ns
        self._keys.append(keys[some])
        self._values.append(values[some])
        self._rows += len(some)
        if self._rows > max(_SUMS_MIN, 2 * self._known):
            self._sum_up()

    def copy(self) -> "_Sums":
        """Return the same sums."""
        other = _Sums()
        other._keys, other._values = list(self._keys), list(self._values)
        other._rows, other._known = self._rows, self._known
        return other

    def result(self) -> Charges:
        """Return the sums, in the order of their keys."""
        self._sum_up()
        keys, values = self._keys[0], self._values[0]
        return Charges(keys["agent"], keys["step"], keys["cause"], values[:, 0], values[:, 1])

    def _sum_up(self) -> None:
        keys = np.concatenate([np.zeros(0, _KEY), *self._keys])
        values = np.concatenate([np.zeros((0, 2), np.int64), *self._values])
        order = np.lexsort((keys["cause"], keys["step"], keys["agent"]))
        keys, values = keys[order], values[order]
        if len(keys):
            first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
            keys, values = keys[first], np.add.reduceat(values, first, axis=0)
        self._keys, self._values = [keys], [values]
        self._rows = self._known = len(keys)


# Who overtook


class _Overtaken:
    """Of stretches of waiting, the ns since somebody who asked later first took some of what is waited for."""

    def __init__(self, header: Header, scenario: Scenario) -> None:
        self._requests = Requests(header, scenario)
        self._takes = [Takes(header, scenario, number) for number in range(len(header.constraints))]
        self._fed = 0
        self._since_ns = Kept()  # of those that go on and were overtaken

    def feed(self, batch: Batch, ended: Stretches, rest: Stretches) -> Integers:
        """Take in the next rows, and the stretches that ended there and that go on; return the ns of those that ended."""
        self._requests.feed(batch, ended)
        since_ended = self._since(batch, ended)
        since_rest = self._since(batch, rest)
        overtaken = np.flatnonzero(since_rest >= 0)
        self._since_ns.keep(rest.some(overtaken), since_rest[overtaken])
        self._fed += len(batch)
        return np.where(since_ended >= 0, ended.end_ns - since_ended, 0)

    def so_far(self, rest: Stretches) -> Integers:
        """Return the ns of stretches that go on, up to now."""
        since_ns = self._since_ns.of(rest)
        return np.where(since_ns >= 0, rest.end_ns - since_ns, 0)

    def _since(self, batch: Batch, stretches: Stretches) -> Integers:
        """Return since when each is overtaken, by the end of the batch; -1 where it is not."""
        since_ns = self._since_ns.of(stretches)
        for constraint in np.unique(stretches.constraint).tolist():
            mine = np.flatnonzero((stretches.constraint == constraint) & (since_ns < 0))
            rows = self._takes[constraint].taking(batch)
            if not len(mine) or not len(rows):
                continue
            asked = self._requests.asked(rows, constraint)
            ends = np.where(stretches.end[mine] >= 0, stretches.end[mine] - self._fed, len(batch))
            start = np.searchsorted(rows, stretches.begun[mine] - self._fed, side="right")
            stop = np.searchsorted(rows, ends)
            place = _first_above(asked, start, stretches.asked[mine])
            found = place < stop
            since_ns[mine[found]] = batch.time[rows[place[found]]]
        return since_ns


def _first_above(values: Integers, start: NDArray[np.intp], bounds: Integers) -> NDArray[np.intp]:
    """Return for each bound the first place from its start on at which a value is above it; their number where none is.

    Blocks of 1, 2, 4 ... values are stepped over whose largest is not above it, the long ones first.
    """
    largest = [values]
    while len(largest[-1]) > 1:
        last, step = largest[-1], 1 << (len(largest) - 1)
        largest.append(np.maximum(last[:-step], last[step:]) if len(last) > step else last[:0])
    place = start.copy()
    for level in range(len(largest) - 1, -1, -1):
        block = largest[level]
        fits = place < len(block)
        skip = np.zeros(len(place), np.bool_)
        skip[fits] = block[place[fits]] <= bounds[fits]
        place = np.where(skip, place + (1 << level), place)
    return place


# What lasts for a time that is known when it begins


@dataclass(frozen=True, slots=True)
class _Rows:
    agent: NDArray[np.int64]
    step: NDArray[np.int64]
    ns: Integers


class _Timed:
    """What begins with rows of one kind and lasts as many ns as they say, unless it is called off before."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._open = np.zeros((5, 0), np.int64)  # agent, step, visit, since when, for how long

    def feed(self, batch: Batch, called_off: NDArray[np.intp]) -> _Rows:
        """Take in the next rows; `called_off` are those that end what their agent and visit has. Return what is over."""
        begins = np.flatnonzero(batch.kind == self._kind)
        columns = (batch.agent, batch.step, batch.visit, batch.time, batch.value)
        fresh = np.stack([column[begins] for column in columns]).astype(np.int64)
        table = np.concatenate([self._open, fresh], axis=1)
        agent, step, _, since_ns, lasts_ns = table
        is_over = lasts_ns <= int(batch.time[-1]) - since_ns
        if len(called_off) and table.shape[1]:
            # The last that its visit began, which is what is called off.
            ends = np.stack([column[called_off] for column in columns]).astype(np.int64)
            keys = np.concatenate([table[:3], ends[:3]], axis=1)
            order = np.lexsort((keys[2], keys[1], keys[0]))  # stable: of one visit, first what began, in its order
            same = (keys[:, order[1:]] == keys[:, order[:-1]]).all(axis=0)
            is_end = order[1:] >= table.shape[1]
            pairs = np.flatnonzero(same & is_end & (order[:-1] < table.shape[1]))
            begun, ended = order[pairs], order[pairs + 1] - table.shape[1]
            lasted_ns = ends[3][ended] - since_ns[begun]
            cut = lasted_ns < lasts_ns[begun]
            lasts_ns[begun[cut]] = lasted_ns[cut]
            is_over[begun[cut]] = True
        self._open = table[:, ~is_over]
        return _Rows(agent[is_over], step[is_over], lasts_ns[is_over])

    def rest(self, now_ns: int) -> _Rows:
        """Return what goes on, up to now."""
        agent, step, _, since_ns, _ = self._open
        return _Rows(agent, step, now_ns - since_ns)


class _Joins:
    """Agents that wait for those that they spawned."""

    def __init__(self, header: Header, scenario: Scenario) -> None:
        spawning = [number for number, step in enumerate(header.steps) if step.kind == "spawn"]
        written = [step for fleet in scenario.fleets for step in walk(fleet.steps) if isinstance(step, Spawn)]
        self._waits = {number for number, step in zip(spawning, written, strict=True) if step.wait}
        self._group_of: dict[int, tuple[int, int, int]] = {}  # of each agent that is waited for: parent, step, visit
        self._groups: dict[tuple[int, int, int], tuple[int, int]] = {}  # since when, and how many are not over
        self._of_parent: dict[int, set[tuple[int, int, int]]] = {}

    def feed(self, batch: Batch) -> list[tuple[int, int, int]]:
        """Take in the next rows; return the waits that are over: agent, step, ns."""
        if not self._waits:
            return []
        over = []
        spawned = (batch.kind == Kind.AgentStarted) & (batch.step >= 0)
        ends = (batch.kind == Kind.AgentFinished) | (batch.kind == Kind.AgentCrashed)
        for row in np.flatnonzero(spawned | ends).tolist():
            kind, agent, time_ns = batch.kind[row], int(batch.agent[row]), int(batch.time[row])
            if kind == Kind.AgentStarted:
                self._begin(agent, (int(batch.value[row]), int(batch.step[row]), int(batch.visit[row])), time_ns)
                continue
            for mine in sorted(self._of_parent.get(agent, ())):  # it is over, or called off
                over.append(self._end(mine, time_ns))
            group = self._group_of.pop(agent, None) if kind == Kind.AgentFinished else None
            if group is not None and group in self._groups:
                since_ns, left = self._groups[group]
                self._groups[group] = since_ns, left - 1
                if left == 1:
                    over.append(self._end(group, time_ns))
        return over

    def rest(self, now_ns: int) -> list[tuple[int, int, int]]:
        """Return the waits that go on, up to now."""
        return [(parent, step, now_ns - since_ns) for (parent, step, _), (since_ns, _) in self._groups.items()]

    def _begin(self, agent: int, group: tuple[int, int, int], time_ns: int) -> None:
        if group[1] in self._waits:
            since_ns, left = self._groups.get(group, (time_ns, 0))
            self._groups[group] = since_ns, left + 1
            self._group_of[agent] = group
            self._of_parent.setdefault(group[0], set()).add(group)

    def _end(self, group: tuple[int, int, int], time_ns: int) -> tuple[int, int, int]:
        since_ns, _ = self._groups.pop(group)
        self._of_parent[group[0]].discard(group)
        return group[0], group[1], time_ns - since_ns
