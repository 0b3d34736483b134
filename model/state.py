"""The state of a fleet at a moment, folded from the log: who thinks, who runs, who waits for what.

Rules:

1. The state is a function of the header and of the rows up to a time, events at that time included. Any split of the
   rows into batches gives the same state.
2. Where an agent has one open task at a time, the last row that moved it says all about it: `_PHASE_AFTER` is the table.
   Where it may have several they are followed one by one, which is slower.
3. Nothing is kept that can be counted: `counts`, `waiting` and `used` are worked out when somebody asks.

Rows are in time order and NumPy lets the last of several assignments to one element win, so a batch is applied by a few
assignments, whatever its length.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.header import HELD
from model.log import Header, Log
from model.roster import Roster
from model.units import MICRO, NS_PER_SECOND

_LIMIT_MAX = 2**63 - 1


class Phase(IntEnum):
    """What an agent does at a moment."""

    ABSENT = 0  # it has not started yet
    THINKING = 1  # busy with itself: it asks for nothing and holds nothing
    BLOCKED = 2  # its task waits for a constraint
    RUNNING = 3
    FINISHED = 4
    DOWN = 5  # it crashed, and is not repaired yet


_BUSY = {Phase.RUNNING: 2, Phase.BLOCKED: 1, Phase.THINKING: 0}
_SEVERAL = frozenset({"fork", "graph", "hold"})
"""The kinds of steps by which an agent may have several open tasks."""
_OF_AGENTS = frozenset({Kind.AgentStarted, Kind.AgentCrashed, Kind.AgentRestarted, Kind.TaskRetrying})
"""The kinds of rows that move an agent and none of its tasks."""
_UNMOVED = 255
_PHASE_AFTER = np.full(256, _UNMOVED, np.uint8)
for _kind, _phase in {
    Kind.AgentStarted: Phase.THINKING,
    Kind.AgentFinished: Phase.FINISHED,
    Kind.AgentCrashed: Phase.DOWN,
    Kind.AgentRestarted: Phase.THINKING,
    Kind.TaskBlocked: Phase.BLOCKED,
    Kind.TaskRebound: Phase.BLOCKED,
    Kind.TaskResumed: Phase.THINKING,  # no longer blocked; TaskStarted follows at the same instant
    Kind.TaskStarted: Phase.RUNNING,
    Kind.TaskFinished: Phase.THINKING,
    Kind.TaskRetrying: Phase.THINKING,
    Kind.TaskRejected: Phase.THINKING,
    Kind.TaskSkipped: Phase.THINKING,
    Kind.TaskAbandoned: Phase.THINKING,
}.items():
    _PHASE_AFTER[_kind] = _phase


class FleetState:
    """All agents and constraints at `time_ns`.

    `phase`, `constraint` (what a blocked agent waits for, else -1) and `step` (of the row that moved it last, else -1)
    have an entry for each agent; `limit` has one for each constraint, as `ConstraintChanged` states it.
    """

    def __init__(self, header: Header, agents: int | None = None) -> None:
        """Begin before the first row. `agents` counts those too that are spawned; without it their room is made later."""
        agents = header.agents if agents is None else agents
        self.header = header
        self.time_ns = 0
        self.phase = np.full(agents, Phase.ABSENT, np.uint8)
        self.constraint = np.full(agents, -1, np.int16)
        self.step = np.full(agents, -1, np.int16)
        several = any(step.kind in _SEVERAL for step in header.steps)
        self._tasks = _OpenTasks(header) if several else None
        self._stated = np.zeros(len(header.constraints), np.int64)  # what is held by those whose steps state it all
        self._states_all = np.array([*(step.states_all for step in header.steps), False], np.bool_)
        self.limit = np.array([_limit(entry.type, entry.settings[0][1]) for entry in header.constraints], np.int64)
        self._amounts = _Amounts(header)

    def apply(self, batch: Batch) -> None:
        """Take in the next rows of a log that was held against its header when it was read."""
        if not len(batch):
            return
        changed = np.flatnonzero(batch.kind == Kind.ConstraintChanged)
        if len(changed):
            self.limit[batch.constraint[changed]] = batch.value[changed]
        stated = np.flatnonzero((batch.kind == Kind.ResourceAcquired) | (batch.kind == Kind.ResourceReleased))
        if len(stated):
            stated = stated[self._states_all[batch.step[stated]]]
            constraints, amounts = batch.constraint[stated], batch.value[stated]
            signs = np.where(batch.kind[stated] == Kind.ResourceAcquired, 1, -1)
            np.add.at(self._stated, constraints, signs * amounts)
        phases = _PHASE_AFTER[batch.kind]
        moved = np.flatnonzero(phases != _UNMOVED)
        if len(moved):
            self._grow(int(batch.agent[moved].max()) + 1)
            agents: NDArray[np.signedinteger] = batch.agent[moved]
            steps, phases = batch.step[moved], phases[moved]
            constraints = np.where(phases == Phase.BLOCKED, batch.constraint[moved], np.int16(-1))
            if self._tasks is not None:
                # An agent of several open tasks does what the busiest of them does.
                agents, phases, constraints, steps = self._tasks.follow(batch, moved)
            self.phase[agents] = phases
            self.constraint[agents] = constraints
            self.step[agents] = steps
        self.time_ns = int(batch.time[-1])

    def counts(self, first: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return how many agents are in each phase, of those from `first` up to `stop`."""
        return np.bincount(self.phase[first:stop], minlength=len(Phase))

    def waiting(self) -> NDArray[np.int64]:
        """Return how many tasks wait for each constraint."""
        if self._tasks is not None:
            return self._tasks.waiting()
        # Shifted by one, because bincount takes no -1.
        return np.bincount(self.constraint + 1, minlength=len(self.limit) + 1)[1:]

    def used(self) -> NDArray[np.int64]:
        """Return how much of each constraint is held by those who run; -1 where it is nothing that is held."""
        if self._tasks is not None:
            running, steps = self._tasks.running()
        else:
            running = np.flatnonzero(self.phase == Phase.RUNNING)
            steps = self.step[running]
        held = self._amounts.held(running, steps)
        return np.where(held < 0, held, held + self._stated)

    def _grow(self, agents: int) -> None:
        """Make room for agents that were spawned."""
        more = agents - len(self.phase)
        if more > 0:
            self.phase = np.append(self.phase, np.full(more, Phase.ABSENT, np.uint8))
            self.constraint = np.append(self.constraint, np.full(more, -1, np.int16))
            self.step = np.append(self.step, np.full(more, -1, np.int16))


class _OpenTasks:
    """The tasks that are open, where an agent may have several: it does what the busiest of them does.

    What is only held while other steps are done keeps nobody busy.
    """

    def __init__(self, header: Header) -> None:
        self._constraints = len(header.constraints)
        self._is_hold = [step.kind == "hold" for step in header.steps]
        self._of_agent: dict[int, dict[tuple[int, int], tuple[Phase, int]]] = {}

    def follow(
        self, batch: Batch, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int16], NDArray[np.int16]]:
        """Take in the rows that move somebody; return those who moved, their phases, what they wait for and their steps."""
        after: dict[int, tuple[int, int, int]] = {}
        columns = (batch.kind, batch.agent, batch.step, batch.visit, batch.constraint)
        for kind, agent, step, visit, constraint in zip(*(column[rows].tolist() for column in columns), strict=True):
            tasks = self._of_agent.setdefault(agent, {})
            phase = Phase(_PHASE_AFTER[kind])
            if kind == Kind.AgentFinished:
                del self._of_agent[agent]
            elif kind == Kind.TaskFinished or kind == Kind.TaskSkipped:
                tasks.pop((step, visit), None)
            elif kind == Kind.TaskStarted and self._is_hold[step]:
                tasks[step, visit] = Phase.THINKING, -1
            elif kind not in _OF_AGENTS:
                tasks[step, visit] = phase, constraint if phase == Phase.BLOCKED else -1
            if phase not in (Phase.FINISHED, Phase.DOWN):
                phase, constraint = max(tasks.values(), key=lambda task: _BUSY[task[0]], default=(Phase.THINKING, -1))
            after[agent] = phase, constraint if phase == Phase.BLOCKED else -1, step
        moved = np.array(list(after.values()), np.int64).T
        return np.array(list(after)), moved[0].astype(np.uint8), moved[1].astype(np.int16), moved[2].astype(np.int16)

    def waiting(self) -> NDArray[np.int64]:
        """Return how many tasks wait for each constraint."""
        bound = [constraint for tasks in self._of_agent.values() for _, constraint in tasks.values()]
        return np.bincount(np.array(bound, np.int64) + 1, minlength=self._constraints + 1)[1:]

    def running(self) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """Return the agent and the step of each task that runs."""
        found = [
            (agent, step)
            for agent, tasks in self._of_agent.items()
            for (step, _), (phase, _) in tasks.items()
            if phase == Phase.RUNNING
        ]
        agents, steps = np.array(found, np.int64).reshape(-1, 2).T
        return agents, steps.astype(np.int16)


class _Amounts:
    """What a running task holds: a table with a row for each step and group, and a column for each constraint."""

    def __init__(self, header: Header) -> None:
        unheld = [entry.type not in HELD for entry in header.constraints]
        rows: list[list[int]] = []
        self._row_of_step = np.zeros(len(header.steps) + 1, np.int64)
        self._grouped: list[tuple[int, int, NDArray[np.int64]]] = []
        for number, step in enumerate(header.steps):
            self._row_of_step[number] = len(rows)
            for group in step.demands or ((),):
                row = [0] * len(unheld)
                for demand in () if step.states_all else group:
                    row[demand.constraint] += demand.amount or 0
                    # An amount that is drawn is not in the header: then what is held is not known here.
                    unheld[demand.constraint] |= demand.amount is None
                rows.append(row)
            if step.groups:
                fleet = header.fleets[step.fleet]
                group_of_agent = np.zeros(fleet.count, np.int64)
                for first, last, number_of_group in step.groups:
                    group_of_agent[first : last + 1] = number_of_group
                self._grouped.append((number, fleet.first, group_of_agent))
        self._row_of_step[-1] = len(rows)  # step -1 is at the end and holds nothing
        rows.append([0] * len(unheld))
        self._table = np.array(rows, np.int64).reshape(len(rows), len(unheld))
        self._unheld = np.array(unheld, np.bool_)

    def held(self, agents: NDArray[np.int64], steps: NDArray[np.int16]) -> NDArray[np.int64]:
        rows = self._row_of_step[steps]
        for step, first, group_of_agent in self._grouped:
            here = np.flatnonzero(steps == step)
            rows[here] += group_of_agent[agents[here] - first]
        held: NDArray[np.int64] = np.bincount(rows, minlength=len(self._table)) @ self._table
        held[self._unheld] = -1
        return held


class Cursor:
    """Steps through a log: the state at one time after another, each row read once."""

    def __init__(self, log: Log, agents: int | None = None) -> None:
        self.state = FleetState(log.header, agents)
        self._batches = log.batches()
        self._batch = next(self._batches, None)
        self._row = 0

    def advance(self, time_ns: int) -> FleetState:
        """Return the state at `time_ns`, which is the same object every time; raises ValueError for an earlier time."""
        if time_ns < self.state.time_ns:
            raise ValueError(f"{time_ns} ns is in the past; allowed: {self.state.time_ns} ns or later")
        while self._batch is not None:
            stop = int(np.searchsorted(self._batch.time, time_ns, side="right"))
            self.state.apply(self._batch.rows(self._row, stop))
            self._row = stop
            if stop < len(self._batch):
                break
            self._batch, self._row = next(self._batches, None), 0
        self.state.time_ns = time_ns
        return self.state


def state_at(log: Log, time_ns: int, agents: int | None = None) -> FleetState:
    """Return the state at `time_ns`, events at that time included."""
    return Cursor(log, agents).advance(time_ns)


class Extent(NamedTuple):
    """The time of the last readable row in ns (0 where there is none), and the number of agents, spawned ones included."""

    end_ns: int
    agents: int


def extent_of(log: Log) -> Extent:
    """Read through a log; afterwards `log.cut` is known."""
    end_ns, roster = 0, Roster(log.header)
    for batch in log.batches():
        end_ns = int(batch.time[-1])
        roster.feed(batch)
    return Extent(end_ns, roster.agents)


def _limit(type_: str, numbers: dict[str, int] | None) -> int:
    """Return the limit that is in force, as `ConstraintChanged` states it; -1 is none."""
    if numbers is None:
        return -1
    if type_ == "rate_limit":
        return min(_LIMIT_MAX, numbers["tokens"] * NS_PER_SECOND * MICRO // numbers["period_ns"])
    if type_ == "circuit_breaker":
        return -1
    if type_ == "incident":
        return 0
    if type_ == "pause":
        return 0 if numbers["paused"] else -1
    return numbers[{"resource": "capacity", "quota": "total"}.get(type_, "limit")]
