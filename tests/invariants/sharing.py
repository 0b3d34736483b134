"""Who shares a processor is done when it has had its work, and not before (egalitarian sharing of `limit` servers).

While no more work than there are servers each attains a nanosecond of work in a nanosecond, else `limit` / number of one.
What each has attained is summed up in exact fractions between the rows. An attempt whose duration is constant, that ends by
itself and was not resumed, ends at the first whole nanosecond at which it has attained its duration, or so long after its
start as its timeout says, if it has not attained it by then. The engine counts in 2**-32 ns, rounded down at each change,
so that it may be `LATE_MAX` later.

What incidents make longer from the start is so much more work. A hold takes part in no work. What is not in force gives
each full speed.
"""

from fractions import Fraction

from model.events import Kind, Status
from model.log import Log
from model.units import parse_duration

from .incidents import met
from .program import constant
from .reading import Reading, Row, Task, read
from .replay import Replay

RULE = "sharing"
LATE_MAX = 2


def check(log: Log) -> list[str]:
    """Return the attempts that ended too early, or too late."""
    reading = read(log)
    shared = [number for number in range(len(reading.header.constraints)) if reading.shares(number)]
    return [violation for number in shared for violation in _shared(reading, number)]


def _shared(reading: Reading, number: int) -> list[str]:
    replay = Replay(reading)
    attained: dict[Task, Fraction] = {}
    starts: dict[Task, Row] = {}
    found: list[str] = []
    for row in reading.rows:
        numbers = replay.numbers[number]
        speed = Fraction(1)
        if numbers is not None and len(attained) > numbers["limit"]:
            speed = Fraction(numbers["limit"], len(attained))
        for task in attained:
            attained[task] += speed * (row.time - replay.now)
        governed = row.step >= 0 and row.kind in (Kind.TaskStarted, Kind.TaskFinished)
        if row.kind == Kind.TaskStarted and number in reading.amounts(row.task):
            if reading.header.steps[row.step].kind == "task":
                attained[row.task] = Fraction(0)
                starts[row.task] = row
        elif governed and row.task in attained:
            found += _ends(reading, replay, row, attained.pop(row.task), speed, starts[row.task])
        replay.apply(row)
    return found


def _ends(reading: Reading, replay: Replay, row: Row, attained: Fraction, speed: Fraction, start: Row) -> list[str]:
    written = reading.policy(row.step)
    work = constant(written["duration"]) if written else None
    if work is None or row.value not in (Status.succeeded, Status.failed, Status.timed_out):
        return []
    if row.task.whole in replay.preempted:
        return []
    work = round(work * met(reading, start).slowness)
    timeout = written.get("timeout")
    if row.value == Status.timed_out:
        fits = timeout is not None and row.time == start.time + parse_duration(timeout) and attained < work + LATE_MAX
    else:
        fits = work <= attained < work + LATE_MAX + speed
        fits = fits and (timeout is None or row.time <= start.time + parse_duration(timeout))
    if not fits:
        return [reading.say(RULE, row, f"it has attained {float(attained)} ns of work, and is to have {work}")]
    return []
