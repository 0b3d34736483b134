"""What limits share that let somebody go because time passes: what is charged when, and who may have what time has brought.

Rules:

1. Time alone lets a waiting task fit, and the event for that comes after the completions of the same instant: until then
   no younger request for as much or more may take what a waiting task has earned.
2. What a task costs is spent when it starts, or when it ends, or what it reserved is spent when it starts and the
   difference settled when it ends: `give` hands back what was too much, less than nothing where it was too little.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING

from sim.constraints.base import GlobalConstraint

if TYPE_CHECKING:
    from model.plan import ConstraintPlan
    from sim.environment import Environment
    from sim.queues import Queue
    from sim.task import Task


class TimedConstraint(GlobalConstraint):
    """A limit on what happens in a time."""

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        super().__init__(env, plan, waiting)
        self.timed = True
        self.settles = plan.settles
        self.defers = plan.defers

    @abstractmethod
    def spend(self, amount: int) -> None:
        """Account for what was charged, or for what is handed back if it is below 0; only called while in force."""

    def admits(self, task: "Task", amount: int) -> bool:
        if amount > self.free():
            return False
        ahead = self.waiting.peek(amount)  # rule 1
        return ahead is None or ahead is task or not self.in_force or not self.waiting.precedes(ahead, task)

    def take(self, amount: int) -> None:
        if self.in_force and not self.defers:
            self.spend(amount)

    def give(self, amount: int) -> None:
        if self.in_force:
            self.spend(-amount)

    def look_ahead(self) -> None:
        if not len(self.waiting) or not self.in_force:
            return
        wait_ns = self.available_in(self.waiting.least)
        if wait_ns is not None:
            self.schedule(self.env._now + wait_ns)
