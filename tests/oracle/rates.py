"""Limits on how much is taken over time: buckets, windows, quotas.

Rules:

1. A bucket earns evenly, in fractions, up to its burst; a change keeps the level, clamped to the new burst.
2. A window counts what was taken since it began: a fixed one and a quota at a multiple of the period, a sliding one a
   period ago. A change keeps what counts; in a fixed one it does until the next begins, whatever the period is then. A
   quota without a period began at 0 and never ends.
3. A window that begins with a first use does so with the first cost after the end of the one before. In a ramp there is as
   much as was used in the window just before, times the growth, and what the rate says at least.
4. What is charged at the end counts from then on. It may be more than there is. What is handed back counts for the time at
   which it was taken: of a window that is over there is nothing to hand back.
"""

from abc import abstractmethod
from fractions import Fraction
from math import ceil

from model.plan import ConstraintPlan, Setting

from .limits import Limit

LARGEST = 2**63 - 1
MICRO = 10**6
SECOND = 10**9


def _a_second(numbers: dict[str, int]) -> int:
    """Return a rate in millionths of a token a second."""
    return min(numbers["tokens"] * SECOND * MICRO // numbers["period_ns"], LARGEST)


class Bucket(Limit):
    """Earns `tokens` every `period_ns`, holds at most `burst`."""

    passes = True

    def __init__(self, row: ConstraintPlan) -> None:
        super().__init__(row)
        self._level = Fraction(self.numbers["burst"]) if self.in_force else Fraction(0)
        self._since = 0

    @property
    def _rate(self) -> Fraction:
        return Fraction(self.numbers["tokens"], self.numbers["period_ns"])

    def _earn(self, now: int) -> None:
        if self.in_force:
            self._level = min(self._level + self._rate * (now - self._since), Fraction(self.numbers["burst"]))
        self._since = now

    def change(self, setting: Setting, now: int) -> None:
        self._earn(now)
        was_in_force = self.in_force
        self.setting = setting
        if self.in_force:
            burst = Fraction(self.numbers["burst"])
            self._level = min(self._level, burst) if was_in_force else burst

    def admits(self, amount: int, now: int) -> bool:
        self._earn(now)
        return not self.in_force or amount <= self._level

    def take(self, amount: int, now: int) -> None:
        self._earn(now)
        if self.in_force and not self.defers:
            self._level -= amount

    def settle(self, taken: int, cost: int, since: int, now: int) -> None:
        self._earn(now)
        if self.in_force:
            self._level = min(self._level + taken - cost, Fraction(self.numbers["burst"]))

    def time_until(self, amount: int, now: int) -> int:
        self._earn(now)
        if amount > self.numbers["burst"]:
            return -1
        return max(0, ceil((amount - self._level) / self._rate))

    def stated(self) -> int:
        return _a_second(self.numbers) if self.in_force else -1


class Window(Limit):
    """At most so much is taken in a window; `_taken` holds what was, and when."""

    passes = True

    def __init__(self, row: ConstraintPlan) -> None:
        super().__init__(row)
        self._taken: list[tuple[int, int]] = []

    @property
    def most(self) -> int:
        return self.numbers["total" if "total" in self.numbers else "burst"]

    @abstractmethod
    def _counts(self, taken: int, at: int) -> bool:
        """Whether what was taken then counts at a time."""

    def _used(self, now: int) -> int:
        return sum(amount for time, amount in self._taken if self._counts(time, now))

    def change(self, setting: Setting, now: int) -> None:
        self._taken = [each for each in self._taken if self._counts(each[0], now)] if self.in_force else []
        super().change(setting, now)

    def admits(self, amount: int, now: int) -> bool:
        return not self.in_force or self._used(now) + amount <= self.most

    def take(self, amount: int, now: int) -> None:
        if self.in_force and not self.defers:
            self._taken.append((now, amount))

    def settle(self, taken: int, cost: int, since: int, now: int) -> None:
        if not self.in_force:
            return
        if cost >= taken:
            self._taken.append((now, cost - taken))
        elif self._counts(since, now):
            self._taken.append((since, cost - taken))

    def time_until(self, amount: int, now: int) -> int:
        if amount > self.most:
            return -1
        return next((time - now for time in [now, *self._ends(now)] if self.admits(amount, time)), -1)

    @abstractmethod
    def _ends(self, now: int) -> list[int]:
        """Return the times at which something will count no longer, in order."""

    def stated(self) -> int:
        if not self.in_force:
            return -1
        return self.numbers["total"] if "total" in self.numbers else _a_second(self.numbers)


class FixedWindow(Window):
    """Windows side by side; a period of 0 is one that never ends."""

    def change(self, setting: Setting, now: int) -> None:
        used = self._used(now) if self.in_force else 0
        super().change(setting, now)
        self._taken = [(now, used)] if self.in_force else []

    def _counts(self, taken: int, at: int) -> bool:
        period = self.numbers["period_ns"]
        return not period or taken // period == at // period

    def _ends(self, now: int) -> list[int]:
        period = self.numbers["period_ns"]
        return [(now // period + 1) * period] if period else []


class FirstUse(Window):
    """A window from the first cost on; one such, and then another."""

    def __init__(self, row: ConstraintPlan) -> None:
        super().__init__(row)
        self._began: int | None = None

    def _counts(self, taken: int, at: int) -> bool:
        return self._began is not None and self._began <= taken and at < self._began + self.numbers["period_ns"]

    def _end_what_is_over(self, now: int) -> None:
        if self._began is not None and now >= self._began + self.numbers["period_ns"]:
            self._began, self._taken = None, []

    def change(self, setting: Setting, now: int) -> None:
        if self.in_force:
            self._end_what_is_over(now)
        super().change(setting, now)

    def take(self, amount: int, now: int) -> None:
        if self.in_force and not self.defers:
            self._use(amount, now)

    def settle(self, taken: int, cost: int, since: int, now: int) -> None:
        if self.in_force:
            self._end_what_is_over(now)
            if cost > taken:
                self._use(cost - taken, now)
            elif self._counts(since, now):
                self._taken.append((since, cost - taken))

    def _use(self, amount: int, now: int) -> None:
        self._end_what_is_over(now)
        if amount:
            self._began = now if self._began is None else self._began
            self._taken.append((now, amount))

    def _ends(self, now: int) -> list[int]:
        return [] if self._began is None else [self._began + self.numbers["period_ns"]]


class Ramp(FixedWindow):
    """A fixed window whose limit follows what was used in the one before."""

    def __init__(self, row: ConstraintPlan) -> None:
        super().__init__(row)
        self._kept = (-1, 0)  # a window in which there was a change, and what was used in the one before it

    def admits(self, amount: int, now: int) -> bool:
        if not self.in_force:
            return True
        # What is more than the rate says can never be relied on.
        return amount <= self.numbers["tokens"] and self._used(now) + amount <= self._limit(now)

    def _before(self, at: int) -> int:
        window = at // self.numbers["period_ns"]
        if self._kept[0] == window:
            return self._kept[1]
        return sum(amount for time, amount in self._taken if time // self.numbers["period_ns"] == window - 1)

    def _limit(self, at: int) -> int:
        return max(self.numbers["tokens"], self._before(at) * self.numbers["growth"] // MICRO)

    def change(self, setting: Setting, now: int) -> None:
        before = self._before(now) if self.in_force else 0
        super().change(setting, now)
        if self.in_force:
            self._kept = (now // self.numbers["period_ns"], before)


class SlidingWindow(Window):
    """Any window."""

    def _counts(self, taken: int, at: int) -> bool:
        return at < taken + self.numbers["period_ns"]

    def _ends(self, now: int) -> list[int]:
        period = self.numbers["period_ns"]
        return sorted(time + period for time, _ in self._taken if time + period > now)
