"""A log laid out for the checkers: rows as plain tuples, tasks with what they asked for, settings in force.

Rules:

1. Only `model.log` and `model.events` are known here. What the rows mean is taken from the contract, never from the engine.
2. Nothing is assumed to be right. A row that numbers something which the header does not name is kept apart in `foreign`:
   the rule `order` reports it, and all other rules work on the rows that are left. An agent that is spawned is named from
   its `AgentStarted` on, which has to have the next number.
3. A drawn amount is stated only when a task starts (`ResourceAcquired`), and is the same in all attempts of a visit, so the
   amounts of a task are looked up in the whole log. For a visit that never starts a drawn amount is unknown: None, and a
   rule says nothing about it.
4. What the header does not say of a constraint (its queue, its room, ...) and of a task (its priority, ...) is read from
   the scenario that it carries.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from model.events import Kind
from model.log import FleetEntry, Header, Log

from . import program


class Visit(NamedTuple):
    """One visit of an agent to a step: one attempt or several."""

    agent: int
    step: int
    visit: int


class Task(NamedTuple):
    """One attempt of one visit of an agent to a step."""

    agent: int
    step: int
    visit: int
    attempt: int

    @property
    def whole(self) -> Visit:
        """The visit that the attempt belongs to."""
        return Visit(*self[:3])


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
AGENT_KINDS = frozenset({Kind.AgentStarted, Kind.AgentFinished, Kind.AgentCrashed, Kind.AgentRestarted})
CONSTRAINT_KINDS = frozenset({Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected}) | {
    Kind.TaskAbandoned,
    Kind.ResourceAcquired,
    Kind.ResourceReleased,
    Kind.ConstraintChanged,
}
ASKING_KINDS = frozenset({Kind.TaskBlocked, Kind.TaskStarted, Kind.TaskRejected, Kind.TaskSkipped})
DEFAULTS = {
    "on_limit": "block",
    "queue": "fifo",
    "fair_by": "tenant",
    "admission": "first_fit",
    "room": None,
    "overflow": "newest",
    "preempt": None,
    "charge": "on_start",
    "retry_after": "exact",
    "algorithm": "token_bucket",
}
"""What holds where a constraint does not say what becomes of those that it refuses."""

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
        self._places = {
            fleet.first + local: (number, local)
            for number, fleet in enumerate(self.header.fleets)
            for local in range(fleet.count)
        }
        self._counts = [fleet.count for fleet in self.header.fleets]
        self.parents: dict[int, Row] = {}  # of each spawned agent the row that has it start
        self.foreign: list[Row] = []
        self.rows: list[Row] = []
        for row in self.all_rows:
            (self.rows if self.named(row) else self.foreign).append(row)
        self.place_of = {row.number: place for place, row in enumerate(self.rows)}
        self._groups = {
            (number, agent): group
            for number, step in enumerate(self.header.steps)
            for first, last, group in step.groups
            for agent in range(first, last + 1)
        }
        self._drawn: dict[tuple[Visit, int], int] = {}
        self.asked_at: dict[Task, Row] = {}
        for row in self.rows:
            if row.kind == Kind.ResourceAcquired:
                self._drawn.setdefault((row.task.whole, row.constraint), row.value)
            if row.kind in TASK_KINDS and row.kind != Kind.TaskSkipped:
                self.asked_at.setdefault(row.task, row)  # the first row of an attempt is where it asks
        self.written = program.written(self.header)

    @property
    def agents(self) -> int:
        """How many agents there are, those included that are spawned."""
        return len(self._places)

    def named(self, row: Row) -> bool:
        """Whether all that the row numbers is named, and -1 stands exactly where the kind has none."""
        if row.kind not in list(Kind):
            return False
        if row.kind == Kind.AgentStarted and row.step != -1:
            return self._spawns(row)
        about_task = row.kind in TASK_KINDS or row.kind == Kind.DeadlockDetected
        agent = row.agent in self._places if about_task or row.kind in AGENT_KINDS else row.agent == -1
        if not about_task:
            task = (row.step, row.visit, row.attempt) == (-1, -1, -1)
        else:
            task = row.step in range(len(self.header.steps)) and row.visit >= 0 and row.attempt >= 0 and agent
            task = task and self.header.steps[row.step].kind in ("task", "hold")
            task = task and self.header.steps[row.step].fleet == self._places[row.agent][0]
        # Who is caught in a deadlock waits for a constraint, or for others while it holds something.
        waits = row.kind == Kind.DeadlockDetected and row.constraint != -1
        # Who is called off while it backs off before an attempt waits for no constraint.
        backed_off = row.kind == Kind.TaskAbandoned and row.attempt > 0 and row.constraint == -1
        about_constraint = waits or (row.kind in CONSTRAINT_KINDS and not backed_off)
        known = row.constraint in range(len(self.header.constraints)) if about_constraint else row.constraint == -1
        return bool(agent and task and known)

    def _spawns(self, row: Row) -> bool:
        """Take in an agent that is spawned, if it can be."""
        steps = self.header.steps
        spawned = steps[row.step].spawned if row.step in range(len(steps)) else None
        parent = self._places.get(row.value)
        if spawned is None or parent is None or parent[0] != steps[row.step].fleet:
            return False
        if row.agent != len(self._places) or row.visit < 0 or (row.attempt, row.constraint) != (-1, -1):
            return False
        self._places[row.agent] = (spawned, self._counts[spawned])
        self._counts[spawned] += 1
        self.parents[row.agent] = row
        return True

    def fleet(self, agent: int) -> FleetEntry:
        """Return the fleet of an agent."""
        return self.header.fleets[self._places[agent][0]]

    def local(self, agent: int) -> int:
        """Return the number of an agent within its fleet."""
        return self._places[agent][1]

    def name(self, agent: int) -> str:
        """Return FLEET_NUMBER, the name of an agent."""
        return f"{self.fleet(agent).name}_{self.local(agent)}"

    def amounts(self, task: Task) -> Amounts:
        """Return what the visit asks of each constraint that governs it, in the order of the scenario."""
        step = self.header.steps[task.step]
        demands = step.demands[self._groups.get((task.step, self.local(task.agent)), 0)]
        visit = task.whole
        return {
            demand.constraint: self._drawn.get((visit, demand.constraint)) if demand.amount is None else demand.amount
            for demand in sorted(demands, key=lambda demand: demand.constraint)
        }

    def holds(self, number: int) -> bool:
        """Whether what is taken of a constraint is given back."""
        return self.header.constraints[number].type in ("concurrency", "resource", "adaptive")

    def hears(self, number: int) -> bool:
        """Whether a constraint changes by itself when it hears how tasks end."""
        return self.header.constraints[number].type in ("adaptive", "circuit_breaker")

    def shares(self, number: int) -> bool:
        """Whether it is a processor that those who work share."""
        return bool(self.rule_of(number, "queue") == "processor_sharing")

    def defers(self, number: int) -> bool:
        """Whether nothing is charged before the end of a task."""
        return self.rule_of(number, "charge") in ("on_finish", "as_produced")

    def settles(self, step: int, number: int) -> bool:
        """Whether something is charged or handed back at the end of a task of this step."""
        reserve = self.policy(step).get("reserve") or {}
        counts = self.header.constraints[number].counts
        return self.defers(number) or (self.rule_of(number, "charge") == "settle" and counts in reserve)

    def stages(self, task: Task) -> list[Amounts]:
        """Return what a visit takes one after the other: all at once, unless it says in which order it acquires."""
        amounts = self.amounts(task)
        order = self.policy(task.step).get("acquire", "atomic")
        if order == "atomic":
            return [amounts]
        numbers = [number for name in order for number in amounts if self.constraint(number) == name]
        rest = {number: amount for number, amount in amounts.items() if number not in numbers}
        return [{number: amounts[number]} for number in numbers] + ([rest] if rest else [])

    def rule_of(self, number: int, key: str) -> Any:
        """Return what the scenario says of a constraint beside its numbers, or what holds where it says nothing."""
        return self.written.constraints[number].get(key, DEFAULTS[key])

    def policy(self, step: int) -> dict[str, Any]:
        """Return a task or a hold as the scenario has it written."""
        return self.written.steps.get(step, {})

    def priority(self, task: Task) -> int:
        """Return how important a task is."""
        own = self.policy(task.step).get("priority")
        return self.fleet(task.agent).priority if own is None else own

    def stated_with(self, row: Row) -> list[Row]:
        """Return the rows that state amounts of the same attempt, one right after another, this one among them."""
        first = last = self.place_of[row.number]
        while first > 0 and self._goes_with(self.rows[first - 1], row):
            first -= 1
        while last + 1 < len(self.rows) and self._goes_with(self.rows[last + 1], row):
            last += 1
        return self.rows[first : last + 1]

    @staticmethod
    def _goes_with(other: Row, row: Row) -> bool:
        return other.kind == row.kind and other.task == row.task and other.time == row.time

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
        return f"{self.name(about.agent)}_{self.header.steps[about.step].name}"

    def who(self, about: Row | Task) -> str:
        """Return the name of the agent or the task that a row is about."""
        if about.agent not in self._places:
            return f"agent {about.agent}"
        if about.step not in range(len(self.header.steps)) or about.attempt < 0:
            return f"agent {about.agent} ({self.name(about.agent)})"
        again = f", attempt {about.attempt}" if about.attempt else ""
        return f"agent {about.agent} ({self.task_name(about)}, visit {about.visit}{again})"


@lru_cache(maxsize=4)
def read(log: Log) -> Reading:
    """Return the rows of a log; the checkers of one log share them."""
    return Reading(log)
