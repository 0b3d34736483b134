"""The state of every limit at each row, worked out again from the log: brute force, whole numbers and fractions.

A limit takes what a task asks for at its `TaskStarted`; of a step that states all amounts, at each `ResourceAcquired`. What
holds gets it back at the `TaskFinished`, or at the `ResourceReleased` of such a step, which also settles what is charged at
the end. What that is in numbers is in `levels`. A `ConstraintChanged` takes on the header's numbers of that time; of a
constraint that hears how tasks end, any other says what it has become.

A task that is pre-empted asks again with the age of the attempt before. What a visit holds already, because it kept it, it
does not ask for again; a hold that gave back what it held asks for that alone. Who acquires in an order asks for one after
the other, each time anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from model.events import Kind, Status
from model.units import parse_duration

from .levels import Breaker, Slots, Trouble, capacity, level_of
from .program import constant
from .reading import Amounts, Reading, Row, Task, Visit
from .timeline import in_force


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
    """A task takes at `row` what it asks for; `waited` is the constraint that it waited for last, if it did.

    `ages` has its age for each constraint, `short` those that had no room for it, with how much they had.
    """

    row: Row
    amounts: Amounts
    waited: int | None
    ages: dict[int, int]
    short: dict[int, str]


class Replay:
    """What is held, what there is room for, what is in force and who waits, after the rows applied so far."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.now = 0
        entries = reading.header.constraints
        self.types = [entry.type for entry in entries]
        self.numbers = [entry.settings[0][1] for entry in entries]
        self.since = [entry.settings[0][0] for entry in entries]  # when the numbers in force came
        self.levels = [
            level_of(
                entry.type, reading.rule_of(number, "algorithm"), reading.rule_of(number, "queue"), self.numbers[number]
            )
            for number, entry in enumerate(entries)
        ]
        self.waiting: dict[Task, Waiter] = {}
        self.running: dict[Task, int] = {}  # who has started and not finished: the number of the row of the start
        self.holding: dict[Visit, dict[int, int]] = {}  # what each visit holds of the limits that get it back
        self.taken: dict[Task, dict[int, int]] = {}  # of what each attempt has taken something, and when
        self.owing: dict[Visit, set[int]] = {}  # what a visit has to settle for the attempt that started last
        self.ages: dict[Task, int] = {}
        self.ended: dict[Visit, int] = {}  # how the last attempt ended, until the next is to come
        self.preempted: set[Visit] = set()  # which have been pre-empted ever
        self._kept: dict[Visit, set[int]] = {}  # what a visit keeps while it backs off and asks again
        self._stage: dict[Task, int] = {}  # what it asks for, where that is one after the other
        self._waited: dict[Task, int] = {}
        self._lent: dict[Task, int] = {}  # the age of a hold that waits for what it gave back
        self._group: tuple[Amounts, dict[int, int], dict[int, str]] = ({}, {}, {})  # what is being taken
        self._ceilings: dict[tuple[int, int], int | None] = {}  # by the constraint and since when it is as it is
        self._changed: set[tuple[int, int]] = set()  # which changes of the header have come

    @property
    def held(self) -> list[int]:
        """How much is held of each constraint that gets it back."""
        return [level.held if isinstance(level, Slots) else 0 for level in self.levels]

    def advance(self, time: int) -> None:
        """Let time pass until `time`."""
        self.now = time

    def apply(self, row: Row) -> Admission | None:
        """Take in the next row; return the admission that it completes, if it does."""
        self.advance(row.time)
        if row.kind == Kind.ConstraintChanged:
            self._change(row)
        elif row.kind == Kind.TaskBlocked:
            is_lent = row.task in self.running
            age, asks = self.age_at(row), self.asks(row.task, row.constraint)
            self._go_on(row)
            if is_lent:
                self._lent[row.task] = age
            self.waiting[row.task] = Waiter(row.task, row.constraint, row.time, row.time, age, asks, is_lent)
            self._waited.pop(row.task, None)
        elif row.kind == Kind.TaskRebound and row.task in self.waiting:
            self.waiting[row.task].constraint = row.constraint
            self.waiting[row.task].bound_at = row.time
        elif row.kind in (Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned):
            waiter = self.waiting.pop(row.task, None)
            if waiter is not None and row.kind == Kind.TaskResumed:
                self._waited[row.task] = waiter.constraint
        elif row.kind == Kind.ResourceReleased:
            self._give(row)
        elif row.kind == Kind.TaskRetrying:
            self.ended.pop(row.task.whole, None)
            self._kept[row.task.whole] = set(self.holding.get(row.task.whole, {}))
        elif row.kind == Kind.TaskFinished:
            self._finish(row)
        elif row.kind == Kind.ResourceAcquired:
            self._go_on(row)
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

    def age_at(self, row: Row) -> int:
        """Return the age with which a task asks at a row: a hold for what it gave back, and what is next, anew."""
        anew = row.task in self.running or self._stage_at(row) > self._stage.get(row.task, 0)
        return row.number if anew else self.age(row)

    def stages(self, task: Task) -> list[Amounts]:
        """Return what an attempt asks for, one after the other."""
        if task in self.running:
            amounts = self.reading.amounts(task)
            return [{number: amount for number, amount in amounts.items() if self.reading.holds(number)}]
        kept = self._kept.get(task.whole, set())
        stages = [
            {number: amount for number, amount in stage.items() if number not in kept}
            for stage in self.reading.stages(task)
        ]
        return [stage for stage in stages if stage] or [{}]

    def asks(self, task: Task, about: int | None = None) -> Amounts:
        """Return what a task asks for at a row that is `about` this constraint."""
        stages = self.stages(task)
        found = [place for place, stage in enumerate(stages) if about in stage]
        at = 0 if task in self.running else self._stage.get(task, 0)
        return stages[min(max([at, *found[:1]]), len(stages) - 1)] if stages else {}

    def to_state(self, task: Task) -> list[list[int]]:
        """Return the constraints of which the amounts have yet to be stated, one list for each that come at once."""
        if not self.reading.header.steps[task.step].states_all:
            group = next(
                group
                for group in self.reading.header.steps[task.step].demands
                if {demand.constraint for demand in group} == set(self.reading.amounts(task))
            )
            return [sorted(demand.constraint for demand in group if demand.amount is None)]
        taken = set(self.holding.get(task.whole, {})) if task in self.running else self.taken.get(task, set())
        each = [[n for n in stage if not self.reading.defers(n) and n not in taken] for stage in self.stages(task)]
        return [numbers for numbers in each if numbers]

    def _stage_at(self, row: Row) -> int:
        if row.task in self.running:
            return 0
        found = [place for place, stage in enumerate(self.stages(row.task)) if row.constraint in stage]
        return found[0] if found else 0

    def _go_on(self, row: Row) -> None:
        """Take in that a task asks for what comes next."""
        self.age(row)
        stage = self._stage_at(row)
        if stage > self._stage.get(row.task, 0):
            self._stage[row.task], self.ages[row.task] = stage, row.number

    def _admission(self, row: Row) -> Admission | None:
        task, states_all = row.task, self.reading.header.steps[row.step].states_all
        if row.kind == Kind.TaskStarted:
            taken = self.reading.amounts(task)
            if states_all:  # what is charged at the end has to have room, and takes none yet
                last = self.stages(task)[-1]
                taken = {number: amount for number, amount in last.items() if self.reading.defers(number)}
            for number, amount in taken.items():
                self._take(row, number, amount or 0, 0 if states_all else amount or 0)
            self.running[task] = row.number
            self._kept.pop(task.whole, None)
            self.owing[task.whole] = {n for n in self.reading.amounts(task) if self.reading.settles(row.step, n)}
        elif states_all:
            self._take(row, row.constraint, row.value, row.value)
            if self.reading.stated_with(row)[-1] != row:
                return None
        else:
            return None
        (amounts, ages, short), self._group = self._group, ({}, {}, {})
        waited = self._waited.get(task)
        if task in self.running:
            self._waited.pop(task, None)
            self._lent.pop(task, None)
        return Admission(row, amounts, waited, ages, short)

    def _take(self, row: Row, number: int, amount: int, charged: int) -> None:
        level, (amounts, ages, short) = self.levels[number], self._group
        age = self._lent.get(row.task, row.number) if row.task in self.running else self.ages[row.task]
        if not self.admits(number, amount):
            short[number] = f"{amount} is taken ({level.room(row.time)})"
        amounts[number], ages[number] = amount, age
        level.take(charged, row.time)
        self.taken.setdefault(row.task, {})[number] = row.time
        if self.reading.holds(number):
            self.holding.setdefault(row.task.whole, {})[number] = amount

    def _give(self, row: Row) -> None:
        visit, number = row.task.whole, row.constraint
        undone = self.reading.rule_of(number, "charge") == "settle"  # where it was refused the rest
        if undone or self.reading.settles(row.step, number):
            if row.task not in self.running:  # before that it is a part of what is produced
                self.owing.get(visit, set()).discard(number)
            since = self.taken.get(row.task, {}).get(number, row.time)
            self.levels[number].give(row.value, row.time, since)
        else:
            amount = self.holding.get(visit, {}).pop(number, 0)
            self.levels[number].give(amount, row.time, row.time)

    def _finish(self, row: Row) -> None:
        started = self.running.pop(row.task, None)
        self.waiting.pop(row.task, None)
        self.ended[row.task.whole] = row.value
        if row.value == Status.preempted:
            self.preempted.add(row.task.whole)
        if started is None or row.value in (Status.cancelled, Status.preempted):
            # A probe that was refused the rest was none, nor is one that is called off.
            for number, since in self.taken.get(row.task, {}).items():
                level = self.levels[number]
                if isinstance(level, Breaker):
                    level.call_off(since)
        if started is None:
            return
        if not self.reading.header.steps[row.step].states_all:
            for number, amount in self.holding.pop(row.task.whole, {}).items():
                self.levels[number].give(amount, row.time, row.time)

    def _change(self, row: Row) -> None:
        number, settings = row.constraint, dict(self.reading.header.constraints[row.constraint].settings)
        if row.time > 0 and row.time in settings and (number, row.time) not in self._changed:
            self._changed.add((number, row.time))
            self.numbers[number], self.since[number] = settings[row.time], row.time
            self.levels[number].change(settings[row.time], row.time)
        elif self.reading.hears(number):  # of others the rule `changes` says that there is no such change
            self.levels[number].tell(row.value, row.time)

    def admits(self, number: int, amount: int, time: int | None = None) -> bool:
        """Whether constraint `number` has room for `amount` at `time` (now, unless said), by its own numbers alone."""
        if time is not None:
            due = self.levels[number].due(amount, self.now)
            return due is not None and due <= time
        free = self.levels[number].free(self.now)
        return free is None or amount <= free

    def room(self, number: int) -> str:
        """Say how much room there is, for a message."""
        return self.levels[number].room(self.now)

    def ceiling(self, number: int) -> int | None:
        """Return the most that the constraint can ever admit at once from now on, or None where there is no bound.

        Nobody reckons with changes that are unforeseen before they come.
        """
        since, scenario = self.since[number], self.reading.header.scenario
        if (number, since) not in self._ceilings:
            later = [numbers for time, numbers in self.reading.header.constraints[number].settings if time > since]
            if self.reading.written.constraints[number].get("unforeseen"):
                times = [time for time, _ in self.reading.header.constraints[number].settings if time > since]
                until = self.reading.header.until_ns
                later = [in_force(scenario["constraints"], number, time, until, since) for time in times]
            queue = self.reading.rule_of(number, "queue")
            capacities = [capacity(self.types[number], queue, numbers) for numbers in (self.numbers[number], *later)]
            known = [each for each in capacities if each is not None]
            self._ceilings[number, since] = max(known) if len(known) == len(capacities) else None
        return self._ceilings[number, since]

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

        It does where it has too little room, where it is strict and somebody comes before the task, and where time makes
        room in it and it has what it has for somebody who comes before and wants no more.
        """
        if self.numbers[number] is None:
            return False
        if amount is None:
            return None
        if not self.admits(number, amount):
            return True
        level = self.levels[number]
        if isinstance(level, Trouble) and level.may_refuse:
            return None
        strict = self.reading.rule_of(number, "admission") == "strict"
        if not strict and not level.timed:
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


def admissions(reading: Reading) -> Iterator[tuple[Replay, Admission]]:
    """Yield each admission, with the state right after it."""
    replay = Replay(reading)
    for row in reading.rows:
        admission = replay.apply(row)
        if admission is not None:
            yield replay, admission
