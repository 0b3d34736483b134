"""What changes by itself changes as its rule says, when it hears how tasks end, and at no other time.

- An adaptive limit grows by `increase` / limit with each success, and is multiplied by `decrease` after a failure, a
  timeout or a task that worked longer than `latency`, at most once every `cooldown`; it is kept in millionths of a slot
  between its bounds, and states its whole part whenever that changes.
- A circuit breaker opens (0) when of at least `min_calls` that ended within `window` at least the ratio failed or timed
  out; is half-open (the probes) `open_for` after that; then closes (-1) when so many probes have succeeded, and opens when
  one fails. What it admitted before it was half-open tells it nothing then. Nobody is admitted while it is open, and no
  more than its probes while it is half-open.

They hear of every attempt that they govern and that has started, in the order of the rows; and of every one that an
incident refuses, as a failure: the provider was asked. What another limit refuses they do not hear of.
"""

from collections import deque
from typing import NamedTuple

from model.events import Kind, Status
from model.log import Log

from .changes import scheduled
from .levels import MICRO, Breaker, Numbers
from .reading import Reading, Row, Task, read
from .replay import Replay, admissions

RULE = "hearing"
FAILURES = (Status.failed, Status.timed_out)


class _End(NamedTuple):
    """When an attempt ends, began to work, and was admitted by the constraint that hears of it."""

    now: int
    began: int
    admitted: int


class _Adaptive:
    """The exact limit of one constraint."""

    def __init__(self, numbers: Numbers | None) -> None:
        self.change(numbers)
        self._decreased: int | None = None

    def change(self, numbers: Numbers | None) -> None:
        self._numbers = numbers
        if numbers is not None:
            self._exact = numbers["limit"] * MICRO

    def hear(self, status: int, end: _End) -> int | None:
        """Return the limit that it states when it hears this, if that is another."""
        numbers = self._numbers
        if numbers is None or status in (Status.cancelled, Status.preempted):
            return None
        before = self._exact
        if status == Status.succeeded and not 0 < numbers["latency_ns"] < end.now - end.began:
            self._exact += numbers["increase"] // self._exact
        elif self._decreased is None or end.now >= self._decreased + numbers["cooldown_ns"]:
            self._decreased = end.now
            self._exact = self._exact * numbers["decrease"] // MICRO
        self._exact = min(max(self._exact, numbers["least"] * MICRO), numbers["most"] * MICRO)
        return self._exact // MICRO if self._exact // MICRO != before // MICRO else None

    def due(self) -> int | None:
        """Return when it changes as time passes; it does not."""
        return None


class _Breaker:
    """What one breaker has heard."""

    def __init__(self, numbers: Numbers | None) -> None:
        self.change(numbers)

    def change(self, numbers: Numbers | None) -> None:
        self._numbers = numbers
        self._opened: int | None = None
        self._half_open: int | None = None
        self._successes = 0
        self._heard: deque[tuple[int, bool]] = deque()

    def due(self) -> int | None:
        """Return when it is to be half-open."""
        return None if self._opened is None or self._numbers is None else self._opened + self._numbers["open_ns"]

    def probe(self, now: int) -> int:
        """Be half-open from now on; return what it states."""
        assert self._numbers is not None
        self._opened, self._half_open, self._successes = None, now, 0
        return self._numbers["probes"]

    def hear(self, status: int, end: _End) -> int | None:
        """Return what it states when it hears this, if that is something else."""
        numbers = self._numbers
        if numbers is None or self._opened is not None or status in (Status.cancelled, Status.preempted):
            return None
        if self._half_open is not None:
            if end.admitted < self._half_open:
                return None
            self._successes += status == Status.succeeded
            if status in FAILURES:
                return self._open(end.now)
            if self._successes < numbers["probes"]:
                return None
            self._half_open = None
            return -1
        self._heard.append((end.now, status in FAILURES))
        heard = [failed for at, failed in self._heard if at > end.now - numbers["window_ns"]]
        if len(heard) >= numbers["min_calls"] and sum(heard) * MICRO >= numbers["ratio"] * len(heard):
            return self._open(end.now)
        return None

    def _open(self, now: int) -> int:
        self._heard.clear()
        self._opened, self._half_open = now, None
        return 0


def check(log: Log) -> list[str]:
    """Return the changes that no rule explains, those that are missing, and who was admitted in spite of them."""
    reading = read(log)
    kinds = {"adaptive": _Adaptive, "circuit_breaker": _Breaker}
    ears: dict[int, _Adaptive | _Breaker] = {
        number: kinds[entry.type](entry.settings[0][1])
        for number, entry in enumerate(reading.header.constraints)
        if entry.type in kinds
    }
    return (_follow(reading, ears) if ears else []) + [
        reading.say(RULE, row, f"of {reading.constraint(number)} {text}")
        for replay, (row, _, _, _, short) in admissions(reading)
        for number, text in short.items()
        if isinstance(replay.levels[number], Breaker)
    ]


def _follow(reading: Reading, ears: dict[int, _Adaptive | _Breaker]) -> list[str]:
    written = set(scheduled(reading))
    replay = Replay(reading)
    began: dict[Task, int] = {}
    struck: set[Task] = set()  # whom an incident has refused
    found: list[str] = []
    told: dict[int, int] = {}  # what each is to state next, at the same instant
    for row in reading.rows:
        number = row.constraint
        if row.kind == Kind.ConstraintChanged and number in ears:
            ear = ears[number]
            if row in written:
                ear.change(dict(reading.header.constraints[number].settings)[row.time])
            elif number not in told and isinstance(ear, _Breaker) and ear.due() == row.time:
                told[number] = ear.probe(row.time)
            if row not in written and told.pop(number, None) != row.value:
                found.append(
                    reading.say(RULE, row, f"{reading.constraint(number)} has no reason to become {row.value}")
                )
        else:
            found += _missing(reading, ears, told, row)
            told.clear()
        if row.kind == Kind.TaskFinished and (row.task in replay.running or row.task in struck):
            start, taken = began.get(row.task, row.time), replay.taken.get(row.task, {})
            for number in reading.amounts(row.task).keys() & ears.keys():
                value = ears[number].hear(row.value, _End(row.time, start, taken.get(number, start)))
                if value is not None:
                    told[number] = value
        if row.kind == Kind.TaskRejected and reading.header.constraints[row.constraint].type == "incident":
            struck.add(row.task)
        replay.apply(row)
        if row.kind == Kind.TaskStarted:
            began[row.task] = row.time
    return found


def _missing(reading: Reading, ears: dict[int, _Adaptive | _Breaker], told: dict[int, int], row: Row) -> list[str]:
    late = {*told, *(n for n, ear in ears.items() if (due := ear.due()) is not None and due < row.time)}
    return [
        reading.say(RULE, row, f"before this {reading.constraint(number)} had to change") for number in sorted(late)
    ]
