"""Concurrency: at most `limit` slots are held at once. Lowering the limit revokes nobody."""

from typing import TYPE_CHECKING, ClassVar

from sim.constraints.base import UNLIMITED, GlobalConstraint

if TYPE_CHECKING:
    from model.plan import ConstraintPlan
    from sim.environment import Environment
    from sim.queues import Queue
    from sim.task import Task


class Concurrency(GlobalConstraint):
    """Slots. Who runs holds as many as the task asks for, until it ends."""

    type = "concurrency"
    setting: ClassVar[str] = "limit"
    """What the settings call the limit."""
    holds = True

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self.used = 0
        super().__init__(env, plan, waiting)

    def apply(self, numbers: dict[str, int] | None) -> None:
        self.limit = UNLIMITED if numbers is None else numbers[self.setting]

    @property
    def limit_recorded(self) -> int:
        return -1 if self.limit == UNLIMITED else self.limit

    def free(self) -> int:
        return self.limit - self.used

    def hand_over(self) -> "Task | None":
        return self.waiting.pop(UNLIMITED) if self.used <= self.limit else None

    def next_fitting(self) -> "Task | None":
        free = self.limit - self.used
        return self.waiting.pop(free) if free > 0 else None

    def admits(self, task: "Task", amount: int) -> bool:
        return self.used + amount <= self.limit

    def take(self, amount: int) -> None:
        self.used += amount

    def give(self, amount: int) -> None:
        self.used -= amount
