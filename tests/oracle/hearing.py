"""Limits that learn how tasks end: the circuit breaker and the adaptive limit.

Rules:

1. A failure and a timeout are bad, a success is good. Whoever was called off or pre-empted says nothing.
2. A breaker that is open learns nothing. While it is half-open, whoever it admitted before is no probe, and it learns
   nothing from that one; a probe that says nothing makes room for another.
3. What is not in force learns nothing.
4. An adaptive limit is kept in millionths, rounded down whenever it grows or shrinks.
"""

from enum import Enum, auto
from fractions import Fraction

from model.events import Status
from model.plan import ConstraintPlan, Setting

from .limits import Limit, Slots

MICRO = 10**6
BAD = (Status.failed, Status.timed_out)


class State(Enum):
    closed = auto()
    open = auto()
    half_open = auto()


class Breaker(Limit):
    """Opens when too many failed, and lets some try after a while."""

    passes = True

    def __init__(self, row: ConstraintPlan) -> None:
        super().__init__(row)
        self._close()

    def _close(self) -> None:
        self._state = State.closed
        self._ended: list[tuple[int, bool]] = []  # when, and whether it was bad
        self._changed = 0  # when it opened
        self._admitted = 0  # probes
        self._good = 0

    def _open(self, now: int) -> None:
        self._state, self._changed = State.open, now

    def change(self, setting: Setting, now: int) -> None:
        super().change(setting, now)
        self._close()

    def admits(self, amount: int, now: int) -> bool:
        if not self.in_force or self._state is State.closed:
            return True
        return self._state is State.half_open and self._admitted < self.numbers["probes"]

    def take(self, amount: int, now: int) -> None:
        if self._state is State.half_open:
            self._admitted += 1

    def hear(self, status: Status, lasted: int, admitted: int, now: int) -> bool:
        if not self.in_force:
            return False
        before = self._state
        bad = status in BAD
        if self._state is State.half_open and admitted >= self._changed:
            if bad:
                self._open(now)
            elif status == Status.succeeded:
                self._good += 1
                if self._good == self.numbers["probes"]:
                    self._close()
            else:
                self._admitted -= 1
                return True
        elif self._state is State.closed and (bad or status == Status.succeeded):
            self._ended.append((now, bad))
            recent = [each for time, each in self._ended if now < time + self.numbers["window_ns"]]
            ratio = Fraction(sum(recent), len(recent)) * MICRO
            if len(recent) >= self.numbers["min_calls"] and ratio >= self.numbers["ratio"]:
                self._open(now)
        return self._state is not before

    def time_until(self, amount: int, now: int) -> int:
        return self._changed + self.numbers["open_ns"] - now if self._state is State.open else -1

    def dues(self, amounts: list[int], now: int) -> list[int]:
        return [self._changed + self.numbers["open_ns"]] if self.in_force and self._state is State.open else []

    def passed(self, now: int) -> bool:
        if now not in self.dues([], now):
            return False
        self._state, self._changed, self._admitted, self._good = State.half_open, now, 0, 0
        return True

    def stated(self) -> int:
        match self._state:
            case State.open:
                return 0
            case State.half_open:
                return self.numbers["probes"]
        return -1


class Adaptive(Slots):
    """Slots that grow with each success and shrink with each failure."""

    def __init__(self, row: ConstraintPlan) -> None:
        super().__init__(row)
        self._size = self.numbers["limit"] * MICRO if self.in_force else 0  # in millionths
        self._shrunk: int | None = None

    @property
    def most(self) -> int:
        return self._size // MICRO

    def change(self, setting: Setting, now: int) -> None:
        super().change(setting, now)
        if self.in_force:
            self._size, self._shrunk = self.numbers["limit"] * MICRO, None

    def hear(self, status: Status, lasted: int, admitted: int, now: int) -> bool:
        if not self.in_force:
            return False
        before, numbers = self.most, self.numbers
        slow = bool(numbers["latency_ns"]) and lasted > numbers["latency_ns"]
        if status in BAD or (slow and status == Status.succeeded):
            if self._shrunk is None or now >= self._shrunk + numbers["cooldown_ns"]:
                self._shrunk = now
                self._size = max(numbers["least"] * MICRO, self._size * numbers["decrease"] // MICRO)
        elif status == Status.succeeded:
            self._size = min(numbers["most"] * MICRO, self._size + numbers["increase"] // self._size)
        return self.most != before
