"""Rate limit: a token bucket, exact in whole numbers.

Rules:

1. The level is kept in shares of a token, `quantum` to the token, such that each setting earns a whole number of shares a
   nanosecond: the time of a refill is exact and never early. (In the words of the design: token-nanoseconds.)
2. The bucket is full when it comes into force. A change of rate or burst keeps the level, clamped to the new burst.
"""

from math import lcm
from typing import TYPE_CHECKING

from model.units import MICRO, NS_PER_SECOND
from sim.constraints.base import UNLIMITED
from sim.constraints.timed import TimedConstraint

if TYPE_CHECKING:
    from model.plan import ConstraintPlan
    from sim.environment import Environment
    from sim.queues import Queue


class RateLimit(TimedConstraint):
    """Tokens are earned at a constant rate up to the burst; an admitted task takes its cost at once."""

    type = "rate_limit"

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self.quantum = lcm(*(setting.numbers["period_ns"] for setting in plan.settings if setting.numbers))
        self.gain = 0  # shares a nanosecond
        self.full = 0  # shares
        self.level = 0  # shares, at `level_ns`
        self.level_ns = 0
        super().__init__(env, plan, waiting)

    def apply(self, numbers: dict[str, int] | None) -> None:
        level = self._settle()
        if numbers is not None:
            self.gain = numbers["tokens"] * self.quantum // numbers["period_ns"]
            self.full = numbers["burst"] * self.quantum
            self.level = min(level, self.full) if self.in_force else self.full  # as it was until now

    @property
    def limit_recorded(self) -> int:
        """Millionths of a token a second, rounded down, and held at the largest value that a log can state."""
        return min(self.gain * NS_PER_SECOND * MICRO // self.quantum, 2**63 - 1) if self.in_force else -1

    def free(self) -> int:
        return self._settle() // self.quantum if self.in_force else UNLIMITED

    def spend(self, amount: int) -> None:
        self.level = min(self.full, self._settle() - amount * self.quantum)

    def available_in(self, amount: int) -> int | None:
        wanted = amount * self.quantum
        if wanted > self.full:
            return None
        missing = wanted - self._settle()
        return -(-missing // self.gain) if missing > 0 else 0

    def look_ahead(self) -> None:
        # What TimedConstraint does, in one call: it is done for each token that somebody waits for.
        if not len(self.waiting) or not self.in_force:
            return
        wanted = self.waiting.least * self.quantum
        if wanted <= self.full:
            missing = wanted - self._settle()
            self.schedule(self.env._now + (-(-missing // self.gain) if missing > 0 else 0))

    def _settle(self) -> int:
        """Bring the level up to now and return it."""
        now = self.env._now
        if now > self.level_ns:
            self.level = min(self.full, self.level + (now - self.level_ns) * self.gain)
            self.level_ns = now
        return self.level
