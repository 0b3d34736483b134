"""Windows: so many tokens in a period. A quota is a window of its own length, or one that never ends.

Rules:

1. A fixed window begins at every multiple of its period, or with the first cost after the end of the one before. What was
   left of the one before is gone.
2. A sliding window holds what was taken in the period before now: what was taken at t counts until just before t + period.
3. A change keeps what is used at that time by the numbers before it.
4. A ramp is a fixed window whose limit is what was used in the window just before, times `growth`, and at least what the
   rate says: load may grow by so much a window. (Google's 500/50/5 rule for Firestore is one of 5 minutes, and 1.5.)
5. What is handed back counts for the time at which it was taken: of a window that is over there is nothing to hand back.
"""

from bisect import insort
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
        self.window = 0  # its number; where windows begin with a first use, the time of that, -1 before it
        self.first_use = False
        super().__init__(env, plan, waiting)

    def apply(self, numbers: dict[str, int] | None) -> None:
        self._settled()
        if numbers is not None:
            began, self.first_use = self.first_use, "first_use" in numbers
            self.limit, self.period_ns = self.numbers(numbers)
            if not self.first_use:
                self.window = self._number()
            elif not began:
                self.window = -1

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
        if self.first_use and self.window < 0 and self.used:
            self.window = self.env._now

    def settle(self, amount: int, taken_ns: int) -> None:
        self._settled()
        began_ns = self._end() - self.period_ns if self.window >= 0 else self.env._now
        if amount < 0 or taken_ns >= began_ns:  # rule 5
            self.give(amount)

    def available_in(self, amount: int) -> int | None:
        if amount <= self.free():
            return 0
        if not self.period_ns or amount > self.limit:
            return None
        # What was spent beyond the limit is not carried over.
        return self._end() - self.env._now

    def _end(self) -> int:
        """Return the time in ns at which the window that goes on ends."""
        return self.window + self.period_ns if self.first_use else (self.window + 1) * self.period_ns

    def _number(self) -> int:
        return self.env._now // self.period_ns if self.period_ns else 0

    def _settled(self) -> int:
        """Begin a new window if it is time; return what is used of the one that goes on."""
        if self.first_use:
            if 0 <= self.window <= self.env._now - self.period_ns:
                self.window, self.used = -1, 0
            return self.used
        number = self._number()
        if number != self.window:
            self.renew(number)
        return self.used

    def renew(self, number: int) -> None:
        """Begin the window of this number."""
        self.window, self.used = number, 0


class Ramp(FixedWindow):
    """At most `growth` times as much in each window as in the one before."""

    type = "ramp"

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self._least = 0  # what is always to be had
        self._growth = 0  # in millionths
        self._before = 0  # what was used in the window before
        super().__init__(env, plan, waiting)

    def numbers(self, numbers: dict[str, int]) -> tuple[int, int]:
        self._least, self._growth = numbers["tokens"], numbers["growth"]
        return self._ramped(), numbers["period_ns"]

    @property
    def limit_recorded(self) -> int:
        """What is always to be had, in millionths of a token a second."""
        return min(self._least * NS_PER_SECOND * MICRO // self.period_ns, 2**63 - 1) if self.in_force else -1

    def free(self) -> int:
        return min(super().free(), self._least) if self.in_force else UNLIMITED  # what is more cannot be relied on

    def available_in(self, amount: int) -> int | None:
        return super().available_in(amount) if amount <= self._least else None

    def renew(self, number: int) -> None:
        self._before = self.used if number == self.window + 1 else 0
        super().renew(number)
        self.limit = self._ramped()

    def _ramped(self) -> int:
        return max(self._least, self._before * self._growth // MICRO)


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

    def settle(self, amount: int, taken_ns: int) -> None:
        if amount <= 0:
            self.give(amount)
        elif self.in_force and taken_ns > self.env._now - self.period_ns:  # rule 5
            self.used = self._settled() - amount
            insort(self.taken, (taken_ns, -amount))

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
