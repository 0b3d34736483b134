"""The state of every limit at each row, worked out again from the log: brute force, whole numbers and fractions.

A limit takes what a task asks for at its `TaskStarted`; of a step that states all amounts, at each `ResourceAcquired`. A
concurrency limit gets it back at the `TaskFinished`, or at the `ResourceReleased` of such a step; a token bucket earns
`tokens` every `period_ns` up to `burst`. A `ConstraintChanged` takes on the header's numbers of that time.

A task that is pre-empted asks again with the age of the attempt before. What a visit holds already, because it kept it, it
does not ask for again; a hold that gave back what it held asks for that alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

from model.events import Kind, Status
from model.units import parse_duration

from .program import constant
from .reading import Amounts, Reading, Row, Task, Visit


@dataclass
class Waiter:
    """A task that is blocked: on what, since when it has been bound to that, and what it asks for."""

    task: Task
    constraint: int
    blocked_at: int
    bound_at: int
    age: int  # the number of the row at which it asked, or at which an attempt asked that was pre-empted
    asks: Amounts
    is_lent: bool  # whether it is a hold that asks for what it gave back


class Admission(NamedTuple):
    """A task takes at `row` what it asks for; `waited` is the constraint that it waited for last, if it did."""

    row: Row
    amounts: Amounts
    waited: int | None


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
        self.waiting: dict[Task, Waiter] = {}
        self.running: dict[Task, int] = {}  # who has started and not finished: the number of the row of the start
        self.holding: dict[Visit, dict[int, int]] = {}  # what each visit holds of the limits that get it back
        self.ages: dict[Task, int] = {}
        self.ended: dict[Visit, int] = {}  # how the last attempt ended, until the next is to come
        self.preempted: set[Visit] = set()  # which have been pre-empted ever
        self._waited: dict[Task, int] = {}

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

    def apply(self, row: Row) -> Admission | None:
        """Take in the next row; return the admission that it completes, if it does."""
        self.advance(row.time)
        if row.kind == Kind.ConstraintChanged:
            self._change(row)
        elif row.kind == Kind.TaskBlocked:
            age = row.number if row.task in self.running else self.age(row)
            asks, is_lent = self.asks(row.task), row.task in self.running
            self.waiting[row.task] = Waiter(row.task, row.constraint, row.time, row.time, age, asks, is_lent)
        elif row.kind == Kind.TaskRebound and row.task in self.waiting:
            self.waiting[row.task].constraint = row.constraint
            self.waiting[row.task].bound_at = row.time
        elif row.kind in (Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned):
            waiter = self.waiting.pop(row.task, None)
            if waiter is not None and row.kind == Kind.TaskResumed:
                self._waited[row.task] = waiter.constraint
        elif row.kind == Kind.ResourceReleased:
            amount = self.holding.get(row.task.whole, {}).pop(row.constraint, 0)
            self.held[row.constraint] -= amount
        elif row.kind == Kind.TaskRetrying:
            self.ended.pop(row.task.whole, None)
        elif row.kind == Kind.TaskFinished:
            self._finish(row)
        self.age(row)
        return self._admission(row) if row.kind in (Kind.TaskStarted, Kind.ResourceAcquired) else None

    def age(self, row: Row) -> int:
        """Return the age of a task at its row, which may be the first of the attempt."""
        task = row.task
        if task not in self.ages and task in self.reading.asked_at:
            before = self.ages.get(task._replace(attempt=task.attempt - 1))
            again = before is not None and self.ended.pop(task.whole, None) == Status.preempted
            self.ages[task] = before if again and before is not None else self.reading.asked_at[task].number
        return self.ages.get(task, row.number)

    def asks(self, task: Task) -> Amounts:
        """Return what a task asks for that is about to ask."""
        amounts = self.reading.amounts(task)
        if task in self.running:
            return {number: amount for number, amount in amounts.items() if self.reading.holds(number)}
        kept = self.holding.get(task.whole, {})
        return {number: amount for number, amount in amounts.items() if number not in kept}

    def _admission(self, row: Row) -> Admission | None:
        states_all = self.reading.header.steps[row.step].states_all
        taken: Amounts = {}
        if row.kind == Kind.TaskStarted:
            self.running[row.task] = row.number
            taken = {} if states_all else self.reading.amounts(row.task)
        elif states_all:
            taken = {row.constraint: row.value}
        for number, amount in taken.items():
            self._take(row.task, number, amount or 0)
        if states_all and row.kind == Kind.ResourceAcquired:
            group = self.reading.stated_with(row)
            if group[-1] != row:
                return None
            taken = {each.constraint: each.value for each in group}
        elif states_all or row.kind != Kind.TaskStarted:
            return None
        return Admission(row, taken, self._waited.pop(row.task, None))

    def _take(self, task: Task, number: int, amount: int) -> None:
        if self.types[number] == "concurrency":
            self.held[number] += amount  # counted even while the limit is not in force
            self.holding.setdefault(task.whole, {})[number] = amount
        elif self.types[number] == "rate_limit" and self.numbers[number] is not None:
            self.level[number] -= amount

    def _finish(self, row: Row) -> None:
        started = self.running.pop(row.task, None)
        self.waiting.pop(row.task, None)
        self.ended[row.task.whole] = row.value
        if row.value == Status.preempted:
            self.preempted.add(row.task.whole)
        if started is not None and not self.reading.header.steps[row.step].states_all:
            for number, amount in self.holding.pop(row.task.whole, {}).items():
                self.held[number] -= amount

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

    def waiting_for(self, number: int) -> list[Waiter]:
        """Return those who wait for a constraint, in no order that matters."""
        return [waiter for waiter in self.waiting.values() if waiter.constraint == number]

    def place(self, number: int, task: Task, age: int) -> Any:
        """Return the place of a task in the queue of a constraint, to be compared; None where the log does not tell it."""
        queue = self.reading.rule_of(number, "queue")
        if queue == "fifo":
            return age
        if queue == "lifo":
            return -age
        if queue == "priority":
            return -self.reading.priority(task), age
        if queue == "edf":
            deadline = self.reading.policy(task.step).get("deadline")
            first = self.reading.asked_at.get(task._replace(attempt=0))
            never = deadline is None or first is None
            return 2**63 if never else first.time + parse_duration(deadline), age  # type: ignore[union-attr]
        if queue == "sjf":
            length = self._length(task)
            return None if length is None else (length, age)
        return None

    def _length(self, task: Task) -> int | None:
        """Return how long a task is going to work; None where that is drawn, or was changed by a pre-emption."""
        written = self.reading.policy(task.step)
        if "hold" in written:
            return 0
        if task.whole in self.preempted or not written:
            return None
        ns, timeout = constant(written["duration"]), written.get("timeout")
        return ns if ns is None or timeout is None else min(ns, parse_duration(timeout))

    def precedes(self, waiter: Waiter, task: Task, age: int) -> bool | None:
        """Whether a waiter comes before another task in the queue of what it waits for; None where that cannot be told."""
        number = waiter.constraint
        if self.reading.rule_of(number, "queue") == "random":
            return task not in self.waiting  # whoever comes new stands behind those who wait
        mine, other = self.place(number, waiter.task, waiter.age), self.place(number, task, age)
        return None if mine is None or other is None else bool(mine < other)

    def refuses(self, number: int, amount: int | None, task: Task, age: int) -> bool | None:
        """Whether a constraint refuses a task what it asks for; None where the log does not tell.

        It does where it has too little room, where it is strict and somebody comes before the task, and where it is a
        bucket and has earned what it has for somebody who comes before and wants no more.
        """
        if self.numbers[number] is None:
            return False
        if amount is None:
            return None
        if not self.admits(number, amount):
            return True
        strict = self.reading.rule_of(number, "admission") == "strict"
        if not strict and self.types[number] != "rate_limit":
            return False
        unsure = False
        for waiter in self.waiting_for(number):
            if waiter.task == task:
                continue
            wanted = waiter.asks.get(number, 0)
            if not strict and wanted is not None and wanted > amount:
                continue
            before = self.precedes(waiter, task, age)
            if before and (strict or wanted is not None):
                return True
            unsure = unsure or before is not False
        return None if unsure else False

    def earned_at(self, number: int, amount: int) -> int | None:
        """Return the first whole nanosecond at which a bucket that nobody takes from holds `amount`, or None if never."""
        numbers = self.numbers[number]
        assert numbers is not None
        missing = amount - self.level[number]
        if amount > numbers["burst"]:
            return None
        return self.now + max(0, ceil(missing * numbers["period_ns"] / numbers["tokens"]))


def admissions(reading: Reading) -> Iterator[tuple[Replay, Admission]]:
    """Yield each admission, with the state right after it."""
    replay = Replay(reading)
    for row in reading.rows:
        admission = replay.apply(row)
        if admission is not None:
            yield replay, admission


def _capacity(kind: str, numbers: dict[str, int] | None) -> int | None:
    if numbers is None:
        return None
    return {"concurrency": numbers.get("limit"), "rate_limit": numbers.get("burst")}.get(kind)
