"""What each row of a log does: to its agent, to who runs, and to who waits for what.

Rules:

1. Where an agent has one open task at a time, the last row that moved it says all about it: `_PHASE_AFTER` is the table.
2. Where it may have several it does what the busiest of them does; of several waits it is in the stretch that began first,
   and one that goes on for another constraint is another stretch.
   What is only held while other steps are done keeps nobody busy.
3. Any split of the rows into batches gives the same moves.

No row is looked at by itself: batches are sorted, by agent or by task, and summed up.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.header import Header


class Phase(IntEnum):
    """What an agent does at a moment."""

    ABSENT = 0  # it has not started yet
    THINKING = 1  # busy with itself: it asks for nothing and holds nothing
    BLOCKED = 2  # its task waits for a constraint
    RUNNING = 3
    FINISHED = 4
    DOWN = 5  # it crashed, and is not repaired yet
    BACKING_OFF = 6  # its task failed or was refused, and waits for a while before it is tried again


_SEVERAL = frozenset({"fork", "graph", "hold"})
"""The kinds of steps by which an agent may have several open tasks."""
_OF_AGENTS = (Kind.AgentStarted, Kind.AgentFinished, Kind.AgentCrashed, Kind.AgentRestarted)
"""The kinds of rows that move an agent and none of its tasks."""
_BUSIEST = (Phase.RUNNING, Phase.BLOCKED, Phase.BACKING_OFF)
"""What tasks do that keep an agent busy, the busiest first."""
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
    Kind.TaskRetrying: Phase.BACKING_OFF,
    Kind.TaskRejected: Phase.THINKING,
    Kind.TaskSkipped: Phase.THINKING,
    Kind.TaskAbandoned: Phase.THINKING,
}.items():
    _PHASE_AFTER[_kind] = _phase


Phases = NDArray[np.uint8]
Numbers = NDArray[np.int16]
_NONE = np.int16(-1)


@dataclass(frozen=True, slots=True)
class Moves:
    """The rows of a batch that move an agent, in order; -1 is none.

    After `row` the agent is in `phase`, waits for `constraint`, and `step` is that of the row; it was in phase `before`.
    A task of step `began` runs from here on, one of step `stopped` no longer; a task waits for the constraint `came` from
    here on, one no longer for `left`.
    """

    row: NDArray[np.intp]
    agent: NDArray[np.int32]
    phase: Phases
    constraint: Numbers
    step: Numbers
    before: Phases
    began: Numbers
    stopped: Numbers
    came: Numbers
    left: Numbers

    def __len__(self) -> int:
        return len(self.row)


@dataclass(slots=True)
class Agents:
    """What each agent does: its `phase`, and when it came into that.

    `constraint` is what a blocked agent waits for, else -1; `step` is that of the row that moved it last, else -1.
    """

    phase: Phases
    since_ns: NDArray[np.int64]
    constraint: Numbers
    step: Numbers

    @classmethod
    def absent(cls, agents: int) -> "Agents":
        """Return so many that have not started."""
        nothing = np.full(agents, _NONE)
        return cls(np.full(agents, Phase.ABSENT, np.uint8), np.zeros(agents, np.int64), nothing, nothing.copy())

    def copy(self) -> "Agents":
        """Return the same, to be changed apart."""
        return Agents(self.phase.copy(), self.since_ns.copy(), self.constraint.copy(), self.step.copy())

    def grow(self, agents: int) -> None:
        """Make room for agents that were spawned, where there are not so many yet."""
        more = Agents.absent(max(0, agents - len(self.phase)))
        if len(more.phase):
            self.phase = np.append(self.phase, more.phase)
            self.since_ns = np.append(self.since_ns, more.since_ns)
            self.constraint = np.append(self.constraint, more.constraint)
            self.step = np.append(self.step, more.step)


class Mover:
    """Feed it every batch of a log: it returns the moves in it, and knows what each of the `agents` does."""

    def __init__(self, header: Header, agents: int) -> None:
        """Begin before the first row. `agents` counts those too that are spawned; if not, their room is made later."""
        self.agents = Agents.absent(agents)
        several = any(step.kind in _SEVERAL for step in header.steps)
        self._tasks = _OpenTasks(header) if several else None

    def feed(self, batch: Batch) -> Moves:
        """Take in the next rows of a log that was held against its header when it was read."""
        rows = np.flatnonzero(_PHASE_AFTER[batch.kind] != _UNMOVED)
        who, steps, now = batch.agent[rows], batch.step[rows], self.agents
        now.grow(int(who.max(initial=-1)) + 1)
        by_agent = _Runs(who)
        if self._tasks is None:
            phases = _PHASE_AFTER[batch.kind[rows]]
            constraints = np.where(phases == Phase.BLOCKED, batch.constraint[rows], _NONE)
        else:
            phases, constraints, *of_tasks = self._tasks.follow(batch, rows, by_agent)
        before = by_agent.before(phases, now.phase[who])
        if self._tasks is None:
            began = np.where(phases == Phase.RUNNING, steps, _NONE)
            stopped = np.where(before == Phase.RUNNING, by_agent.before(steps, now.step[who]), _NONE)
            of_tasks = [began, stopped, constraints, by_agent.before(constraints, now.constraint[who])]
        # NumPy lets the last of several assignments to one element win.
        now.phase[who], now.constraint[who], now.step[who] = phases, constraints, steps
        turned = phases != before
        now.since_ns[who[turned]] = batch.time[rows[turned]]
        return Moves(rows, who, phases, constraints, steps, before, *of_tasks)


class _Runs:
    """Rows in runs of one owner each, the rows of a run in the order of the log."""

    def __init__(self, *owners: NDArray[Any]) -> None:
        """`owners` say together whose each row is."""
        self.order = np.lexsort(owners) if len(owners) > 1 else np.argsort(owners[0], kind="stable")
        follows = np.ones(max(0, len(self.order) - 1), np.bool_)
        for owner in owners:
            follows &= np.diff(owner[self.order]) == 0
        self.follows = np.append(False, follows)[: len(self.order)]
        """Whether a row, in this order, has another of its owner before it."""

    def before(self, values: NDArray[Any], first: NDArray[Any]) -> NDArray[Any]:
        """Return for each row the value of the one before it of its owner, and where there is none that in `first`."""
        shifted = np.empty_like(values)
        shifted[self.order[1:]] = values[self.order[:-1]]
        shifted[self.order[~self.follows]] = first[self.order[~self.follows]]
        return shifted

    def sums(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return for each row the sum of the values of its owner up to it."""
        sums = np.cumsum(values[self.order], dtype=np.int64)
        start = np.maximum.accumulate(np.where(self.follows, 0, np.arange(len(sums))))
        result = np.empty_like(sums)
        result[self.order] = sums - np.append(0, sums)[start]
        return result


_OPEN = np.dtype(
    [
        ("visit", np.int64),  # agent and visit in one number
        ("step", np.int16),
        ("phase", np.uint8),
        ("constraint", np.int16),
        ("since", np.int64),  # the place of the move that made it so, counted over all batches
    ]
)


class _OpenTasks:
    """The tasks that run, wait or back off, where an agent may have several."""

    def __init__(self, header: Header) -> None:
        self._is_hold = np.array([*(step.kind == "hold" for step in header.steps), False], np.bool_)
        self._open = np.zeros(0, _OPEN)
        self._moves = 0

    def follow(self, batch: Batch, rows: NDArray[np.intp], by_agent: _Runs) -> tuple[Any, ...]:
        """Take in the rows that move somebody; return the columns of Moves but `row`, `agent`, `step` and `before`."""
        kinds, steps, agents = batch.kind[rows], batch.step[rows], batch.agent[rows]
        places = np.arange(self._moves, self._moves + len(rows))
        of_task = ~np.isin(kinds, _OF_AGENTS)
        fresh = np.zeros(np.count_nonzero(of_task), _OPEN)
        fresh["visit"] = ((agents.astype(np.int64) << 32) | batch.visit[rows])[of_task]
        fresh["step"], fresh["since"] = steps[of_task], places[of_task]
        phases = np.where((kinds == Kind.TaskStarted) & self._is_hold[steps], Phase.THINKING, _PHASE_AFTER[kinds])[
            of_task
        ]
        fresh["phase"] = phases
        fresh["constraint"] = np.where(phases == Phase.BLOCKED, batch.constraint[rows][of_task], _NONE)
        known = len(self._open)
        table = np.concatenate([self._open, fresh])
        by_task = _Runs(table["step"], table["visit"])
        none = np.zeros(len(table), np.uint8)
        phase = by_task.before(table["phase"], none)[known:]
        constraint = by_task.before(table["constraint"], np.full(len(table), _NONE))[known:]

        columns = [np.full(len(rows), _NONE) for _ in range(4)]
        began, stopped, came, left = columns
        began[of_task] = np.where(phases == Phase.RUNNING, fresh["step"], _NONE)
        stopped[of_task] = np.where(phase == Phase.RUNNING, fresh["step"], _NONE)
        came[of_task], left[of_task] = fresh["constraint"], constraint

        after, busiest = _PHASE_AFTER[kinds], np.full(len(rows), Phase.THINKING)
        for of in reversed(_BUSIEST):
            change = np.zeros(len(rows), np.int8)
            change[of_task] = (phases == of).astype(np.int8) - (phase == of)
            busiest[by_agent.sums(change) + self._count(of, agents) > 0] = of
        after = np.where((after == Phase.FINISHED) | (after == Phase.DOWN), after, busiest).astype(np.uint8)
        oldest = np.full(len(rows), _NONE)
        blocked = np.flatnonzero(after == Phase.BLOCKED)
        oldest[blocked] = _oldest(
            table, by_task, agents[blocked], places[blocked], self._moves, self._moves + len(rows)
        )

        last = by_task.order[~np.append(by_task.follows[1:], False)[: len(table)]]
        kept = table[np.sort(last)]
        self._open = kept[np.isin(kept["phase"], _BUSIEST)]
        self._moves += len(rows)
        return after, oldest, *columns

    def _count(self, phase: Phase, agents: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return how many tasks each agent has in a phase before the batch."""
        owners = self._open["visit"][self._open["phase"] == phase] >> 32
        counts = np.bincount(owners, minlength=int(agents.max(initial=-1)) + 1)
        return counts[agents]


def _oldest(
    table: NDArray[np.void], by_task: _Runs, agents: NDArray[np.int32], places: NDArray[np.int64], first: int, stop: int
) -> Numbers:
    """Return what each of the agents, at its place from `first` to `stop`, waits for by the wait that began first."""
    ends = np.full(len(table), stop)
    followed = by_task.order[:-1][by_task.follows[1:]]
    ends[followed] = table["since"][by_task.order[by_task.follows]]
    waits = np.flatnonzero(table["phase"] == Phase.BLOCKED)
    waits = waits[np.lexsort((table["since"][waits], table["visit"][waits] >> 32))]
    # The first wait of an agent, by their beginnings, that ends after a place is the first up to which the latest end is
    # after it. Agents are kept apart by more than all places.
    owners, number = np.unique(table["visit"][waits] >> 32, return_inverse=True)
    apart = stop - first + 1
    latest = np.maximum.accumulate(number * apart + ends[waits] - first)
    found = np.searchsorted(latest, np.searchsorted(owners, agents) * apart + places - first, side="right")
    oldest: Numbers = table["constraint"][waits[found]]
    return oldest
