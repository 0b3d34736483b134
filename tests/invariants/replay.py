"""The state of every limit at each row, worked out again from the log: brute force, whole numbers and fractions.

A limit takes what a task asks for at its `TaskStarted`. A concurrency limit gets it back at the `TaskFinished`, a token
bucket earns `tokens` every `period_ns` up to `burst`. A `ConstraintChanged` takes on the header's numbers of that time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from model.events import Kind

from .reading import Amounts, Reading, Row, Task


@dataclass
class Waiter:
    """A task that is blocked: on what, and since when it has been bound to that."""

    task: Task
    constraint: int
    blocked_at: int
    bound_at: int
    asked: int  # the number of the row at which it asked: its age


class Replay:
    """What is held, what the buckets hold, what is in force and who waits, after the rows applied so far."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.now = 0
        entries = reading.header.constraints
        self.types = [entry.type for entry in entries]
        self.numbers = [entry.settings[0][1] for entry in entries]
        self.since = [entry.settings[0][0] for entry in entries]  # when the numbers in force came
        self.held = [0] * len(entries)
        self.level = [Fraction((numbers or {}).get("burst", 0)) for numbers in self.numbers]
        self.waiting: dict[Task, Waiter] = {}  # the oldest first, as a task enters when it asks
        self.running: dict[Task, Amounts] = {}

    def advance(self, time: int) -> None:
        """Let the buckets earn until `time`."""
        for number in range(len(self.types)):
            self.level[number] = self.level_at(number, time)
        self.now = time

    def level_at(self, number: int, time: int) -> Fraction:
        """Return the tokens in a bucket at `time`, if nothing happens until then."""
        numbers = self.numbers[number]
        if self.types[number] != "rate_limit" or numbers is None:
            return self.level[number]
        earned = Fraction((time - self.now) * numbers["tokens"], numbers["period_ns"])
        return min(Fraction(numbers["burst"]), self.level[number] + earned)

    def apply(self, row: Row) -> None:
        """Take in the next row."""
        self.advance(row.time)
        if row.kind == Kind.ConstraintChanged:
            self._change(row)
        elif row.kind == Kind.TaskBlocked:
            self.waiting[row.task] = Waiter(row.task, row.constraint, row.time, row.time, row.number)
        elif row.kind == Kind.TaskRebound and row.task in self.waiting:
            self.waiting[row.task].constraint = row.constraint
            self.waiting[row.task].bound_at = row.time
        elif row.kind in (Kind.TaskResumed, Kind.TaskRejected):
            self.waiting.pop(row.task, None)
        elif row.kind == Kind.TaskStarted:
            self.running[row.task] = self.reading.amounts(row.task)
            for number, amount in self.running[row.task].items():
                self._take(number, amount or 0)
        elif row.kind == Kind.TaskFinished and row.task in self.running:
            for number, amount in self.running.pop(row.task).items():
                if self.types[number] == "concurrency":
                    self.held[number] -= amount or 0

    def _take(self, number: int, amount: int) -> None:
        if self.types[number] == "concurrency":
            self.held[number] += amount  # counted even while the limit is not in force
        elif self.types[number] == "rate_limit" and self.numbers[number] is not None:
            self.level[number] -= amount

    def _change(self, row: Row) -> None:
        settings = dict(self.reading.header.constraints[row.constraint].settings)
        if row.time not in settings:
            return  # the rule `changes` says so
        before, after = self.numbers[row.constraint], settings[row.time]
        self.numbers[row.constraint], self.since[row.constraint] = after, row.time
        if self.types[row.constraint] == "rate_limit" and after is not None:
            burst = Fraction(after["burst"])
            self.level[row.constraint] = burst if before is None else min(burst, self.level[row.constraint])

    def admits(self, number: int, amount: int, time: int | None = None) -> bool:
        """Whether constraint `number` has room for `amount` at `time` (now, unless said), by its own numbers alone."""
        numbers = self.numbers[number]
        if numbers is None:
            return True
        if self.types[number] == "concurrency":
            return self.held[number] + amount <= numbers["limit"]
        if self.types[number] == "rate_limit":
            return self.level_at(number, self.now if time is None else time) >= amount
        return not numbers["paused"]

    def room(self, number: int) -> str:
        """Say how much room there is, for a message."""
        numbers = self.numbers[number]
        if numbers is None:
            return "not in force"
        if self.types[number] == "concurrency":
            return f"{self.held[number]} of {numbers['limit']} held"
        if self.types[number] == "rate_limit":
            return f"{self.level[number]} of {numbers['burst']} tokens"
        return "paused" if numbers["paused"] else "not paused"

    def ceiling(self, number: int) -> int | None:
        """Return the most that the constraint can ever admit at once from now on, or None where there is no bound."""
        later = [n for time, n in self.reading.header.constraints[number].settings if time > self.since[number]]
        capacities = [_capacity(self.types[number], numbers) for numbers in (self.numbers[number], *later)]
        known = [capacity for capacity in capacities if capacity is not None]
        return max(known) if len(known) == len(capacities) else None

    def older_waiting(self, number: int, amount: int, asked: int) -> list[Waiter]:
        """Return those who wait for the constraint, asked before row `asked`, and want no more than `amount`.

        One whose amount is not known may want as little as that.
        """
        found = []
        for waiter in self.waiting.values():
            if waiter.constraint == number and waiter.asked < asked:
                wanted = self.reading.amounts(waiter.task).get(number, 0)
                if wanted is None or wanted <= amount:
                    found.append(waiter)
        return found

    def earned_at(self, number: int, amount: int) -> int | None:
        """Return the first whole nanosecond at which a bucket that nobody takes from holds `amount`, or None if never."""
        numbers = self.numbers[number]
        assert numbers is not None
        missing = amount - self.level[number]
        if amount > numbers["burst"]:
            return None
        return self.now + max(0, ceil(missing * numbers["period_ns"] / numbers["tokens"]))


def starts(reading: Reading) -> Iterator[tuple[Replay, Row]]:
    """Yield the row of each start, with the state right after it."""
    replay = Replay(reading)
    for row in reading.rows:
        replay.apply(row)
        if row.kind == Kind.TaskStarted:
            yield replay, row


def _capacity(kind: str, numbers: dict[str, int] | None) -> int | None:
    if numbers is None:
        return None
    return {"concurrency": numbers.get("limit"), "rate_limit": numbers.get("burst")}.get(kind)
