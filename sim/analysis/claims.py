"""Who waits for what and who holds what, each since when and by which event: a fold over the log.

Only what is held while its agent may wait is followed: slots and units, of the steps of which the log states every amount.
What other tasks have they give back when they end, and while they have it they work.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from model.events import Kind
from model.header import HELD
from model.log import Log
from model.roster import Roster
from model.units import MICRO

_KINDS = (
    Kind.TaskBlocked,
    Kind.TaskRebound,
    Kind.TaskResumed,
    Kind.TaskRejected,
    Kind.TaskAbandoned,
    Kind.ResourceAcquired,
    Kind.ResourceReleased,
    Kind.AgentStarted,
    Kind.DeadlockDetected,
)
_OF_AMOUNTS = (Kind.ResourceAcquired, Kind.ResourceReleased)


class Task(NamedTuple):
    """One visit of an agent to a step."""

    agent: int
    step: int
    visit: int


class Claim(NamedTuple):
    """Since when a task waits for or holds a constraint, and the event that says so."""

    constraint: int
    time_ns: int
    event: int
    amount: int


@dataclass(slots=True)
class Claims:
    """Who waits for what and who holds what, at a moment."""

    waiting: dict[Task, Claim] = field(default_factory=dict)
    holding: dict[Task, dict[int, Claim]] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)

    def take_in(self, kind: int, task: Task, claim: Claim) -> None:
        """Take in the next row."""
        match kind:
            case Kind.TaskBlocked:
                self.waiting[task] = claim
            case Kind.TaskRebound:
                before = self.waiting[task]
                self.waiting[task] = claim._replace(time_ns=before.time_ns, event=before.event)
            case Kind.TaskResumed | Kind.TaskRejected | Kind.TaskAbandoned:
                self.waiting.pop(task, None)
            case Kind.ResourceAcquired:
                self.holding.setdefault(task, {})[claim.constraint] = claim
            case Kind.ResourceReleased:
                held = self.holding.get(task, {})
                held.pop(claim.constraint, None)
                if not held:
                    self.holding.pop(task, None)
            case Kind.AgentStarted if task.step >= 0:
                self.parents[task.agent] = claim.amount

    def by_agent(self, tasks: list[Task]) -> dict[int, list[Task]]:
        """Return the tasks of each agent and of those that it spawned, directly or not."""
        found: dict[int, list[Task]] = {}
        for task in tasks:
            agent: int | None = task.agent
            while agent is not None:
                found.setdefault(agent, []).append(task)
                agent = self.parents.get(agent)
        return found

    def holders(self, constraint: int) -> list[Task]:
        """Return who holds some of a constraint, in the order in which they took it."""
        found = [(held[constraint].event, task) for task, held in self.holding.items() if constraint in held]
        return [task for _, task in sorted(found)]

    def holder(self, task: Task, constraint: int, roster: Roster) -> dict[str, Any]:
        """Tell of a task that holds some of a constraint, as `python -m sim run --json` does."""
        held, entry = self.holding[task][constraint], roster.header.constraints[constraint]
        return {
            "task": roster.task_name(task.agent, task.step),
            "visit": task.visit,
            "amount": held.amount / MICRO if entry.type == "resource" else held.amount,
            "since_ns": held.time_ns,
            "event": held.event,
        }


def follow(log: Log, roster: Roster) -> Iterator[tuple[int, Task, Claim]]:
    """Yield the kind, the task and the values of each row that `Claims` takes in, or that tells of a deadlock."""
    states_all = np.array([*(step.states_all for step in log.header.steps), False])
    is_held = np.array([*(entry.type in HELD for entry in log.header.constraints), False])
    first = 0
    for batch in log.batches():
        roster.feed(batch)
        is_claim = states_all[batch.step] & is_held[batch.constraint]
        told = np.isin(batch.kind, _KINDS) & (is_claim | ~np.isin(batch.kind, _OF_AMOUNTS))
        rows = np.flatnonzero(told)
        columns = (batch.time, batch.kind, batch.agent, batch.step, batch.visit, batch.constraint, batch.value)
        for row, (time, kind, agent, step, visit, constraint, value) in zip(
            rows.tolist(), zip(*(column[rows].tolist() for column in columns), strict=True), strict=True
        ):
            yield kind, Task(agent, step, visit), Claim(constraint, time, first + row, value)
        first += len(batch)
