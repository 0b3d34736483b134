"""What incidents do to the tasks that they hit while they last, as the numbers in the header say.

- Nobody is admitted under one that blocks, or refuses everybody.
- An attempt that begins under one that lets all fail does not succeed. One that does not fail by itself, and begins under
  none that lets any fail, does not fail at the end of its work.
- Work goes at 1 / slowness, the product over the incidents that slow all work and last; what is done is summed up in exact
  fractions between the rows. Where only new work is slowed, there is more of it from the start: to the nearest ns, ties to
  even, of the product over those that last when the attempt begins. An attempt whose duration is constant ends at the
  first whole ns at which its work is done, or at its timeout if it is not done by then; what is called off or pre-empted
  ends before. So it is of those that one of both kinds governs, and that share no processor (`sharing`); of others it is
  a part of `services`.
- What goes on after a pre-emption has the part of its own work to do that was left, rounded up, of what it was then; what
  is restarted has all of it. (Where limits of the scenario differ in what they do with those they pre-empt nothing is
  said.)
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, inf, prod
from typing import NamedTuple

from model.events import Kind, Status
from model.log import Log
from model.units import parse_duration

from .levels import MICRO, Numbers, Trouble
from .program import constant
from .reading import Reading, Row, Task, Visit, read
from .replay import Replay, admissions

RULE = "incidents"
BY_ITSELF = (Status.succeeded, Status.failed)


class Met(NamedTuple):
    """What an attempt meets when it begins: how many times as much work it is, and which shares fail, in millionths."""

    slowness: Fraction
    fails: tuple[int, ...]


@dataclass
class Work:
    """An attempt that works: how much it has to do, None where that is drawn, and how much it has done."""

    began: int
    own: int | None
    whole: int | None
    timeout: int | None
    done: Fraction = Fraction(0)
    last: Fraction = Fraction(1)  # the speed just before now

    @property
    def over(self) -> float:
        """When it takes too long."""
        return inf if self.timeout is None else self.began + self.timeout

    @property
    def is_done(self) -> bool:
        return self.whole is not None and self.done >= self.whole

    def is_done_before(self, now: int) -> bool:
        """Whether it was done a ns ago."""
        return now > self.began and self.whole is not None and self.done - self.last >= self.whole


def check(log: Log) -> list[str]:
    """Return who was spared by an incident, and who ended too early or too late under one."""
    reading = read(log)
    if not any(entry.type == "incident" for entry in reading.header.constraints):
        return []
    found = [
        reading.say(RULE, row, f"of {reading.constraint(number)} {text}")
        for replay, (row, _, _, _, short) in admissions(reading)
        for number, text in short.items()
        if isinstance(replay.levels[number], Trouble)
    ]
    return found + _fates(reading) + _ends(reading)


def slows(reading: Reading, row: Row) -> bool:
    """Whether an incident may ever slow a task."""
    each = (reading.header.constraints[number] for number in reading.amounts(row.task))
    return any(numbers.get("slow", 0) > MICRO for entry in each for _, numbers in entry.settings if numbers)


def met(reading: Reading, start: Row) -> Met:
    """Return what an attempt meets that starts at this row."""
    on = lasting(reading)[start.number].values()
    slowness = prod((Fraction(each["slow"], MICRO) for each in on if each["new"]), start=Fraction(1))
    return Met(slowness, tuple(each["fail"] for each in on))


@lru_cache(maxsize=4)
def lasting(reading: Reading) -> dict[int, dict[int, Numbers]]:
    """Return which incidents hit an attempt as it starts, with their numbers, by the number of the row."""
    current = [dict(entry.settings)[0] if entry.type == "incident" else None for entry in reading.header.constraints]
    found: dict[int, dict[int, Numbers]] = {}
    for row in reading.rows:
        if row.kind == Kind.ConstraintChanged and reading.header.constraints[row.constraint].type == "incident":
            current[row.constraint] = dict(reading.header.constraints[row.constraint].settings).get(row.time)
        elif row.kind == Kind.TaskStarted:
            each = ((number, current[number]) for number in reading.amounts(row.task))
            found[row.number] = {number: numbers for number, numbers in each if numbers is not None}
    return found


def _fates(reading: Reading) -> list[str]:
    """Check whether those who have worked to the end may have failed, or not."""
    found, started = [], {}
    for row in reading.rows:
        if row.step < 0 or reading.header.steps[row.step].kind != "task":
            continue
        if row.kind == Kind.TaskStarted:
            started[row.task] = met(reading, row).fails
        elif row.kind == Kind.TaskFinished and row.task in started:
            shares = started.pop(row.task)
            if row.value == Status.succeeded and MICRO in shares:
                found.append(reading.say(RULE, row, "it began under an incident that lets all fail"))
            own = reading.policy(row.step).get("fail", 0)
            if row.value == Status.failed and not any(shares) and own in (0, [0]) and reading.policy(row.step):
                found.append(reading.say(RULE, row, "it began under no incident that lets it fail"))
    return found


def _ends(reading: Reading) -> list[str]:
    replay = Replay(reading)
    working: dict[Visit, Work] = {}
    left: dict[Visit, Work] = {}  # of those that were pre-empted
    modes = {row.get("preempt") for row in reading.written.constraints} - {None}
    found: list[str] = []
    for row in reading.rows:
        _go_on(reading, replay, working, row.time)
        visit = row.task.whole
        if row.kind == Kind.TaskStarted and _is_followed(reading, row):
            working[visit] = _begin(reading, row, left.pop(visit, None))
        elif row.kind == Kind.TaskFinished and visit in working:
            work = working.pop(visit)
            found += _end(reading, row, work)
            if row.value == Status.preempted:
                left[visit] = _left(reading, row, work, modes)
        elif row.kind == Kind.TaskRetrying:
            left.pop(visit, None)
        replay.apply(row)
    for visit, work in working.items():
        if work.is_done or reading.end >= work.over:
            text = f"of visit {visit} has done {float(work.done)} ns of {work.whole}, and works on at the end"
            found.append(f"{RULE}: the attempt {text}; timeout: {work.timeout}")
    return found


def _is_followed(reading: Reading, row: Row) -> bool:
    is_task = reading.header.steps[row.step].kind == "task" and bool(reading.policy(row.step))
    return is_task and slows(reading, row) and not any(map(reading.shares, reading.amounts(row.task)))


def _go_on(reading: Reading, replay: Replay, working: dict[Visit, Work], time: int) -> None:
    for visit, work in working.items():
        if time > replay.now:
            work.last = 1 / _slowness(reading, replay, visit)
            work.done += (time - replay.now) * work.last


def _slowness(reading: Reading, replay: Replay, visit: Visit) -> Fraction:
    """Return how many times as long all work of a visit takes now."""
    each = (replay.numbers[number] for number in reading.amounts(Task(*visit, 0)) if replay.types[number] == "incident")
    return prod((Fraction(on["slow"], MICRO) for on in each if on and not on["new"]), start=Fraction(1))


def _begin(reading: Reading, row: Row, before: Work | None) -> Work:
    written = reading.policy(row.step)
    if before is None:
        timeout = None if written.get("timeout") is None else parse_duration(written["timeout"])
        before = Work(row.time, constant(written["duration"]), None, timeout)
    own = before.own
    whole = None if own is None else round(own * met(reading, row).slowness)
    return Work(row.time, own, whole, before.timeout)


def _end(reading: Reading, row: Row, work: Work) -> list[str]:
    """Check when an attempt ends."""
    if row.value == Status.timed_out:
        fits = row.time == work.over and not work.is_done
    else:
        fits = row.time <= work.over and not work.is_done_before(row.time)
        fits = fits and (work.is_done or work.whole is None or row.value not in BY_ITSELF)
    if fits:
        return []
    text = f"it has done {float(work.done)} ns of {work.whole} since {work.began} ns; timeout: {work.timeout}"
    return [reading.say(RULE, row, text)]


def _left(reading: Reading, row: Row, work: Work, modes: set[str]) -> Work:
    """Return what is left of what was pre-empted."""
    written = reading.policy(row.step)
    timeout = None if written.get("timeout") is None else parse_duration(written["timeout"])
    if modes == {"restart"}:
        return Work(row.time, work.own, None, timeout)
    if modes != {"resume"}:
        return Work(row.time, None, None, timeout if modes == {"resample"} else None)
    own = work.own
    if own is not None and work.whole:
        own = round(Fraction(ceil(work.whole - work.done) * own, work.whole))
    return Work(row.time, own, None, None if work.timeout is None else work.timeout - (row.time - work.began))
