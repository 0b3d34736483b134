"""A log laid out for the checkers: rows as plain tuples, tasks with what they asked for, settings in force.

Rules:

1. Only `model.log` and `model.events` are known here. What the rows mean is taken from the contract, never from the engine.
2. Nothing is assumed to be right. A row that numbers something which the header does not name is kept apart in `foreign`:
   the rule `order` reports it, and all other rules work on the rows that are left.
3. A drawn amount is stated only when the task starts (`ResourceAcquired`), so the amounts of a task are looked up in the
   whole log. For a task that never starts a drawn amount is unknown: None, and a rule says nothing about it.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from model.events import Kind
from model.log import Header, Log


class Task(NamedTuple):
    """One attempt of one visit of an agent to a step."""

    agent: int
    step: int
    visit: int
    attempt: int


class Row(NamedTuple):
    """One event; `number` is its place in the log, from 0."""

    number: int
    time: int
    kind: int
    agent: int
    step: int
    visit: int
    attempt: int
    constraint: int
    value: int

    @property
    def task(self) -> Task:
        """The task attempt that the row belongs to."""
        return Task(self.agent, self.step, self.visit, self.attempt)


TASK_KINDS = frozenset(
    {
        Kind.TaskBlocked,
        Kind.TaskRebound,
        Kind.TaskResumed,
        Kind.TaskStarted,
        Kind.TaskFinished,
        Kind.TaskRetrying,
        Kind.TaskRejected,
        Kind.TaskSkipped,
        Kind.TaskAbandoned,
        Kind.ResourceAcquired,
        Kind.ResourceReleased,
    }
)
AGENT_KINDS = frozenset({Kind.AgentStarted, Kind.AgentFinished})
CONSTRAINT_KINDS = frozenset({Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected}) | {
    Kind.ResourceAcquired,
    Kind.ResourceReleased,
    Kind.ConstraintChanged,
}
ASKING_KINDS = frozenset({Kind.TaskBlocked, Kind.TaskStarted, Kind.TaskRejected})

Amounts = dict[int, int | None]
"""What a task asks of each constraint, in the order of the scenario; None where it is not known."""


class Reading:
    """The rows of a log, and what the header says about them."""

    def __init__(self, log: Log) -> None:
        self.header: Header = log.header
        self.all_rows: list[Row] = []
        for batch in log.batches():
            columns = (column.tolist() for column in batch.columns())
            for values in zip(*columns, strict=True):
                self.all_rows.append(Row(len(self.all_rows), *values))
        self.foreign = [row for row in self.all_rows if not self.named(row)]
        strange = {row.number for row in self.foreign}
        self.rows = [row for row in self.all_rows if row.number not in strange]
        self._groups = {
            (number, agent): group
            for number, step in enumerate(self.header.steps)
            for first, last, group in step.groups
            for agent in range(first, last + 1)
        }
        self._drawn: dict[tuple[Task, int], int] = {}
        self.asked_at: dict[Task, Row] = {}
        for row in self.rows:
            if row.kind == Kind.ResourceAcquired:
                self._drawn[row.task, row.constraint] = row.value
            if row.kind in TASK_KINDS:
                self.asked_at.setdefault(row.task, row)  # the first row of a task is where it asks

    def named(self, row: Row) -> bool:
        """Whether all that the row numbers is in the header, and -1 stands exactly where the kind has none."""
        if row.kind not in list(Kind):
            return False
        about_task = row.kind in TASK_KINDS
        agent = row.agent in range(self.header.agents) if about_task or row.kind in AGENT_KINDS else row.agent == -1
        if not about_task:
            task = (row.step, row.visit, row.attempt) == (-1, -1, -1)
        else:
            task = row.step in range(len(self.header.steps)) and row.visit >= 0 and row.attempt >= 0 and agent
            task = task and self.header.steps[row.step].kind == "task"
            task = task and self.header.fleets[self.header.steps[row.step].fleet] == self.header.fleet_of(row.agent)
        about_constraint = row.kind in CONSTRAINT_KINDS
        known = row.constraint in range(len(self.header.constraints)) if about_constraint else row.constraint == -1
        return bool(agent and task and known)

    def amounts(self, task: Task) -> Amounts:
        """Return what the task asks of each constraint that governs it, in the order of the scenario."""
        step = self.header.steps[task.step]
        local = task.agent - self.header.fleets[step.fleet].first
        demands = step.demands[self._groups.get((task.step, local), 0)]
        return {
            demand.constraint: self._drawn.get((task, demand.constraint)) if demand.amount is None else demand.amount
            for demand in sorted(demands, key=lambda demand: demand.constraint)
        }

    def instants(self) -> Iterator[tuple[int, list[Row]]]:
        """Yield each time at which something happened, with its rows."""
        rows: list[Row] = []
        for row in self.rows:
            if rows and row.time != rows[0].time:
                yield rows[0].time, rows
                rows = []
            rows.append(row)
        if rows:
            yield rows[0].time, rows

    @property
    def end(self) -> int:
        """The time of the last row."""
        return self.all_rows[-1].time if self.all_rows else 0

    def constraint(self, number: int) -> str:
        """Return the id of a constraint."""
        return self.header.constraints[number].id

    def say(self, rule: str, row: Row, text: str) -> str:
        """Return a violation as a sentence: where it is, the rule, and what is wrong."""
        kind = Kind(row.kind).name if row.kind in list(Kind) else f"kind {row.kind}"
        who = f", {self.who(row)}" if row.agent >= 0 else ""
        return f"{rule}: event {row.number} ({kind}) at {row.time} ns{who}: {text}"

    def task_name(self, about: Row | Task) -> str:
        """Return FLEET_NUMBER_STEP, the name of a task."""
        fleet = self.header.fleet_of(about.agent)
        return f"{fleet.name}_{about.agent - fleet.first}_{self.header.steps[about.step].name}"

    def who(self, about: Row | Task) -> str:
        """Return the name of the agent or the task that a row is about."""
        if about.agent not in range(self.header.agents):
            return f"agent {about.agent}"
        if about.step not in range(len(self.header.steps)):
            fleet = self.header.fleet_of(about.agent)
            return f"agent {about.agent} ({fleet.name}_{about.agent - fleet.first})"
        return f"agent {about.agent} ({self.task_name(about)}, visit {about.visit})"


@lru_cache(maxsize=4)
def read(log: Log) -> Reading:
    """Return the rows of a log; the checkers of one log share them."""
    return Reading(log)
