"""Rate limit: a token bucket, exact in whole numbers.

Rules:

1. The level is kept in shares of a token, `quantum` to the token, such that each setting earns a whole number of shares a
   nanosecond: the time of a refill is exact and never early. (In the words of the design: token-nanoseconds.)
2. The bucket is full when it comes into force. A change of rate or burst keeps the level, clamped to the new burst.
3. Time alone lets a waiting task fit, and the refill event comes after the completions of the same instant: until then no
   younger request for as much or more may take what a waiting task has earned.
"""

from math import lcm
from typing import TYPE_CHECKING

from sim.constraints.base import UNLIMITED, GlobalConstraint
from sim.environment import REFILL

if TYPE_CHECKING:
    from model.plan import ConstraintPlan
    from sim.environment import Environment
    from sim.queues import Queue
    from sim.task import Task

_MICRO = 1_000_000
_NS_PER_SECOND = 1_000_000_000


class RateLimit(GlobalConstraint):
    """Tokens are earned at a constant rate up to the burst; an admitted task takes its cost at once."""

    type = "rate_limit"

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self.quantum = lcm(*(setting.numbers["period_ns"] for setting in plan.settings if setting.numbers))
        self.in_force = False
        self.gain = 0  # shares a nanosecond
        self.full = 0  # shares
        self.level = 0  # shares, at `level_ns`
        self.level_ns = 0
        super().__init__(env, plan, waiting)
        self.timed = True

    def apply(self, numbers: dict[str, int] | None) -> None:
        level, was_in_force = self._settle(), self.in_force
        self.in_force = numbers is not None
        if numbers is not None:
            self.gain = numbers["tokens"] * self.quantum // numbers["period_ns"]
            self.full = numbers["burst"] * self.quantum
            self.level = min(level, self.full) if was_in_force else self.full

    @property
    def limit_recorded(self) -> int:
        """Millionths of a token a second, rounded down, and held at the largest value that a log can state."""
        return min(self.gain * _NS_PER_SECOND * _MICRO // self.quantum, 2**63 - 1) if self.in_force else -1

    def free(self) -> int:
        return self._settle() // self.quantum if self.in_force else UNLIMITED

    def admits(self, task: "Task", amount: int) -> bool:
        if amount > self.free():
            return False
        ahead = self.waiting.peek(amount)  # rule 3
        return ahead is None or not self.waiting.precedes(ahead, task)

    def retry_after(self, amount: int) -> int:
        return self._earned_in(amount) if amount * self.quantum <= self.full else -1

    def take(self, amount: int) -> None:
        if self.in_force:
            self.level -= amount * self.quantum

    def look_ahead(self) -> None:
        if not len(self.waiting) or not self.in_force:
            return
        self.schedule(self.env._now + self._earned_in(self.waiting.least), REFILL)

    def _earned_in(self, amount: int) -> int:
        """Return the ns until the bucket holds this amount, 0 where it does."""
        return max(0, -(-(amount * self.quantum - self._settle()) // self.gain))

    def _settle(self) -> int:
        """Bring the level up to now and return it."""
        now = self.env._now
        if now > self.level_ns:
            self.level = min(self.full, self.level + (now - self.level_ns) * self.gain)
            self.level_ns = now
        return self.level
