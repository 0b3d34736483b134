"""Windows: so many tokens in a period. A quota is a window of its own length, or one that never ends.

Rules:

1. A fixed window begins at every multiple of its period. What was left of the one before is gone.
2. A sliding window holds what was taken in the period before now: what was taken at t counts until just before t + period.
3. A change keeps what is used at that time by the numbers before it.
"""

from collections import deque
from typing import TYPE_CHECKING

from model.units import MICRO, NS_PER_SECOND
from sim.constraints.base import UNLIMITED
from sim.constraints.timed import TimedConstraint

if TYPE_CHECKING:
    from model.plan import ConstraintPlan
    from sim.environment import Environment
    from sim.queues import Queue


class FixedWindow(TimedConstraint):
    """At most `limit` in each window."""

    type = "fixed_window"

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self.limit = 0
        self.period_ns = 0  # 0: the window has no end
        self.used = 0  # in the window that began last
        self.window = 0  # its number
        super().__init__(env, plan, waiting)

    def apply(self, numbers: dict[str, int] | None) -> None:
        self._settled()
        self.in_force = numbers is not None
        if numbers is not None:
            self.limit, self.period_ns = self.numbers(numbers)
            self.window = self._number()

    def numbers(self, numbers: dict[str, int]) -> tuple[int, int]:
        """Return the limit and the period in ns."""
        return numbers["tokens"], numbers["period_ns"]

    @property
    def limit_recorded(self) -> int:
        """Millionths of a token a second, as for every rate limit."""
        return min(self.limit * NS_PER_SECOND * MICRO // self.period_ns, 2**63 - 1) if self.in_force else -1

    def free(self) -> int:
        return self.limit - self._settled() if self.in_force else UNLIMITED

    def spend(self, amount: int) -> None:
        self.used = max(0, self._settled() + amount)

    def available_in(self, amount: int) -> int | None:
        if amount <= self.free():
            return 0
        if not self.period_ns or amount > self.limit:
            return None
        # What was spent beyond the limit is not carried over.
        return (self._number() + 1) * self.period_ns - self.env._now

    def _number(self) -> int:
        return self.env._now // self.period_ns if self.period_ns else 0

    def _settled(self) -> int:
        """Begin a new window if it is time; return what is used of the one that goes on."""
        number = self._number()
        if number != self.window:
            self.window, self.used = number, 0
        return self.used


class Quota(FixedWindow):
    """A total, in millionths of a unit, that comes back at every multiple of the period or never."""

    type = "quota"

    def numbers(self, numbers: dict[str, int]) -> tuple[int, int]:
        return numbers["total"], numbers["period_ns"]

    @property
    def limit_recorded(self) -> int:
        """The total, in millionths of a unit."""
        return self.limit if self.in_force else -1


class SlidingWindow(TimedConstraint):
    """At most `limit` in any window of the period."""

    type = "sliding_window"

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self.limit = 0
        self.period_ns = 0
        self.used = 0
        self.taken: deque[tuple[int, int]] = deque()  # when, and how much
        super().__init__(env, plan, waiting)

    def apply(self, numbers: dict[str, int] | None) -> None:
        self._settled()
        self.in_force = numbers is not None
        if numbers is not None:
            self.limit, self.period_ns = numbers["tokens"], numbers["period_ns"]

    @property
    def limit_recorded(self) -> int:
        """Millionths of a token a second, as for every rate limit."""
        return min(self.limit * NS_PER_SECOND * MICRO // self.period_ns, 2**63 - 1) if self.in_force else -1

    def free(self) -> int:
        return self.limit - self._settled() if self.in_force else UNLIMITED

    def spend(self, amount: int) -> None:
        self.used = self._settled() + amount
        self.taken.append((self.env._now, amount))

    def available_in(self, amount: int) -> int | None:
        missing = amount - self.free()
        if missing <= 0:
            return 0
        for time, taken in self.taken:
            missing -= taken
            if missing <= 0:
                return time + self.period_ns - self.env._now
        return None

    def _settled(self) -> int:
        """Forget what is a period ago; return what counts."""
        gone = self.env._now - self.period_ns
        while self.taken and self.taken[0][0] <= gone:
            self.used -= self.taken.popleft()[1]
        return self.used
