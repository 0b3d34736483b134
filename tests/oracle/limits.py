"""The limits: what each admits now. Here is what all of them share, and those that are held.

Rules:

1. A limit that is not in force admits everybody. What is held is counted all the same; nothing else is charged, and
   whatever counts comes into force as new: a bucket is full, a window is empty, a breaker is closed.
2. Only what is held makes room when a task ends, or what a task hands back that had reserved more than it cost.
3. Only some limits change as time passes. They say when; what is due at one instant happens together (`desk.py`).
"""

from abc import ABC, abstractmethod
from fractions import Fraction

from model.events import Status
from model.plan import ConstraintPlan, Setting


class Limit(ABC):
    """What all limits share; those who wait are told apart by the constraint that they wait for."""

    returns = False  # whether what is taken is given back at the end
    passes = False  # whether time makes room

    def __init__(self, row: ConstraintPlan) -> None:
        self.number = row.number
        self.how = row.discipline
        self.retry_after = row.retry_after
        self.charged_every = row.produced_ns  # of work, where it is charged as it is produced
        self.defers = row.defers
        self.settles = row.settles and not row.defers
        self.setting = row.settings[0]
        self.virtual_time = Fraction(0)
        self.tags: dict[int, Fraction] = {}  # what each group of a fair queue had, by its weight

    @property
    def in_force(self) -> bool:
        return self.setting.numbers is not None

    @property
    def numbers(self) -> dict[str, int]:
        assert self.setting.numbers is not None
        return self.setting.numbers

    def change(self, setting: Setting, now: int) -> None:
        self.setting = setting

    def possible(self, amount: int) -> bool:
        """Whether the amount can be admitted now or after a later change."""
        return self.setting.ceiling is None or amount <= self.setting.ceiling

    @abstractmethod
    def admits(self, amount: int, now: int) -> bool:
        """Whether the amount can be taken now."""

    def take(self, amount: int, now: int) -> None:
        """Admit an amount."""

    def give(self, amount: int) -> None:
        """Take back what was held."""

    def settle(self, taken: int, cost: int, since: int, now: int) -> None:
        """Charge what a task cost for which something was taken then; what is held costs nothing."""

    def hear(self, status: Status, lasted: int, admitted: int, now: int) -> bool:
        """Learn how a task ended; return whether the limit is another now."""
        return False

    def time_until(self, amount: int, now: int) -> int:
        """Return the time after which the amount could be admitted, -1 where that is unknown."""
        return -1

    def dues(self, amounts: list[int], now: int) -> list[int]:
        """Return when time will have made room for each of the amounts."""
        waits = [self.time_until(amount, now) for amount in amounts]
        return [now + wait for wait in waits if wait >= 0]

    def passed(self, now: int) -> bool:
        """Let happen what is due now; return whether that is a change for the log."""
        return False

    @abstractmethod
    def stated(self) -> int:
        """Return what a change states in the log."""


class Slots(Limit):
    """At most so many are held, or so much of a resource."""

    returns = True

    def __init__(self, row: ConstraintPlan) -> None:
        super().__init__(row)
        self.held = 0

    @property
    def most(self) -> int:
        return self.numbers["limit" if "limit" in self.numbers else "capacity"]

    def admits(self, amount: int, now: int) -> bool:
        return not self.in_force or self.held + amount <= self.most

    def take(self, amount: int, now: int) -> None:
        self.held += amount

    def give(self, amount: int) -> None:
        self.held -= amount

    def stated(self) -> int:
        return self.most if self.in_force else -1


class Pause(Limit):
    """Admits nobody while it is in force and paused."""

    def admits(self, amount: int, now: int) -> bool:
        return not self.in_force or not self.numbers["paused"]

    def stated(self) -> int:
        return -1 if self.admits(1, 0) else 0
