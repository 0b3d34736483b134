"""Whose slots a more important task takes.

Rules:

1. A task that is refused takes the slots of less important ones that run where that lets it start: of the least important
   the last to start first, and no more than it takes. Equals do not yield.
2. What those give up who yield already, for one constraint, need not be taken from others for another.
"""

from collections.abc import Container
from typing import TYPE_CHECKING

from sim.policy import PolicyTask
from sim.queues import stands_behind

if TYPE_CHECKING:
    from sim.constraints.base import GlobalConstraint
    from sim.task import Task


def next_to_try(constraint: "GlobalConstraint") -> "Task | None":
    """Return the first in the queue that fits, or for which others have to yield now."""
    fitting = constraint.first_fitting()
    for task, _ in constraint.waiting:
        if task is fitting or (type(task) is PolicyTask and who_yields(task)):
            return task
        if constraint.discipline.strict:
            break
    return fitting


def who_yields(task: PolicyTask) -> dict[PolicyTask, str] | None:
    """Return whose slots have to be taken to start the task, and what becomes of those; None if that does not help."""
    victims: dict[PolicyTask, str] = {}
    for constraint, amount in task.demands:
        if constraint.discipline.strict and constraint.in_force and stands_behind(task, constraint.waiting):
            return None
        if constraint.admits(task, amount):
            continue
        taken = _victims(constraint, task, amount, victims)
        if taken is None:
            return None
        victims.update(dict.fromkeys(taken, str(constraint.discipline.preempt)))
    return victims


def _victims(
    constraint: "GlobalConstraint", task: PolicyTask, amount: int, before: Container[PolicyTask]
) -> list[PolicyTask] | None:
    """Return those whose slots the task takes, none of them `before` among those who yield already; None if too few."""
    if constraint.holders is None:
        return None
    victims: list[PolicyTask] = []
    missing = amount - constraint.free() - sum(held for holder, held in constraint.holders if holder in before)
    for holder, held in constraint.holders:
        assert isinstance(holder, PolicyTask)
        if holder in before:
            continue
        if missing <= 0 or holder.priority >= task.priority:
            break
        victims.append(holder)
        missing -= held
    return victims if missing <= 0 else None
