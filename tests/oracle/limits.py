"""The limits: what each admits now.

Rules:

1. A limit that is not in force admits everybody. Slots that are held are counted all the same; a bucket charges nobody,
   and is full when it comes into force.
2. A bucket earns evenly, in fractions, up to its burst; a change keeps the level, clamped to the new burst.
3. Nothing returns to a bucket or to a pause, so a release makes room among slots alone.
"""

from fractions import Fraction
from math import ceil

from model.plan import ConstraintPlan, Setting

LARGEST = 2**63 - 1
SECOND = 10**9


class Limit:
    """What all limits share; those who wait are told apart by the constraint that they wait for."""

    returns = False
    refills = False

    def __init__(self, row: ConstraintPlan) -> None:
        self.number = row.number
        self.how = row.discipline
        self.setting = row.settings[0]
        self.virtual_time = Fraction(0)
        self.had: dict[int, Fraction] = {}  # what each group of a fair queue had, by its weight

    @property
    def in_force(self) -> bool:
        return self.setting.numbers is not None

    def change(self, setting: Setting, now: int) -> None:
        self.setting = setting

    def possible(self, amount: int) -> bool:
        """Whether the amount can be admitted now or after a later change."""
        return self.setting.ceiling is None or amount <= self.setting.ceiling

    def admits(self, amount: int, now: int) -> bool:
        raise NotImplementedError

    def take(self, amount: int, now: int) -> None:
        pass

    def give(self, amount: int) -> None:
        pass

    def time_until(self, amount: int, now: int) -> int:
        """The time after which the amount could be admitted, -1 where that is unknown."""
        return -1

    def stated(self) -> int:
        """What a change states in the log."""
        raise NotImplementedError


class Slots(Limit):
    """At most `limit` are held."""

    returns = True

    def __init__(self, row: ConstraintPlan) -> None:
        super().__init__(row)
        self.held = 0

    def admits(self, amount: int, now: int) -> bool:
        return not self.in_force or self.held + amount <= self.setting.numbers["limit"]

    def take(self, amount: int, now: int) -> None:
        self.held += amount

    def give(self, amount: int) -> None:
        self.held -= amount

    def stated(self) -> int:
        return self.setting.numbers["limit"] if self.in_force else -1


class Bucket(Limit):
    """Earns `tokens` every `period_ns`, holds at most `burst`."""

    refills = True

    def __init__(self, row: ConstraintPlan) -> None:
        super().__init__(row)
        self._level = Fraction(self.setting.numbers["burst"]) if self.in_force else Fraction(0)
        self._since = 0

    @property
    def _rate(self) -> Fraction:
        return Fraction(self.setting.numbers["tokens"], self.setting.numbers["period_ns"])

    def _earn(self, now: int) -> None:
        if self.in_force:
            self._level += self._rate * (now - self._since)
            self._level = min(self._level, Fraction(self.setting.numbers["burst"]))
        self._since = now

    def change(self, setting: Setting, now: int) -> None:
        self._earn(now)
        was_in_force = self.in_force
        self.setting = setting
        if self.in_force:
            burst = Fraction(setting.numbers["burst"])
            self._level = min(self._level, burst) if was_in_force else burst

    def admits(self, amount: int, now: int) -> bool:
        self._earn(now)
        return not self.in_force or amount <= self._level

    def take(self, amount: int, now: int) -> None:
        self._earn(now)
        if self.in_force:
            self._level -= amount

    def time_until(self, amount: int, now: int) -> int:
        self._earn(now)
        if amount > self.setting.numbers["burst"]:
            return -1
        return max(0, ceil((amount - self._level) / self._rate))

    def stated(self) -> int:
        return min(int(self._rate * SECOND * 1_000_000), LARGEST) if self.in_force else -1


class Pause(Limit):
    """Admits nobody while it is in force and paused."""

    def admits(self, amount: int, now: int) -> bool:
        return not self.in_force or not self.setting.numbers["paused"]

    def stated(self) -> int:
        return -1 if self.admits(1, 0) else 0


TYPES = {"concurrency": Slots, "rate_limit": Bucket, "pause": Pause}


def limit(row: ConstraintPlan) -> Limit:
    """Return the limit of a constraint."""
    return TYPES[row.type](row)
