"""What the rows of a task state in `value` and `constraint` (contract, section 6).

- TaskBlocked: how many tasks were waiting for that constraint already.
- TaskRebound: the ns since it was bound to the constraint before, which is another one.
- TaskResumed: the ns since it was blocked; the constraint that it waited for last.
- TaskStarted: the ns since it first asked.
- TaskRejected: -1, as it can never be admitted (there is no other reason to refuse yet).
- ResourceAcquired: an amount, 0 or more.
"""

from model.events import Kind
from model.log import Log

from .reading import Reading, Row, read
from .replay import Replay

RULE = "values"


def check(log: Log) -> list[str]:
    """Return the rows that state another number than the rows before them give."""
    reading = read(log)
    replay = Replay(reading)
    found = []
    for row in reading.rows:
        expected = _expected(reading, replay, row)
        if expected is not None and row.value != expected:
            found.append(reading.say(RULE, row, f"the value is {row.value}; it has to be {expected}"))
        waiter = replay.waiting.get(row.task)
        if waiter is not None:
            last = waiter.constraint
            if row.kind == Kind.TaskRebound and row.constraint == last:
                found.append(reading.say(RULE, row, f"it waits for {reading.constraint(last)} already"))
            if row.kind == Kind.TaskResumed and row.constraint != last:
                text = f"it waited for {reading.constraint(last)} last, not for {reading.constraint(row.constraint)}"
                found.append(reading.say(RULE, row, text))
        if row.kind == Kind.ResourceAcquired and row.value < 0:
            found.append(reading.say(RULE, row, f"the amount is {row.value}; it has to be 0 or more"))
        replay.apply(row)
    return found


def _expected(reading: Reading, replay: Replay, row: Row) -> int | None:
    waiter = replay.waiting.get(row.task)
    if row.kind == Kind.TaskBlocked:
        return sum(1 for other in replay.waiting.values() if other.constraint == row.constraint)
    if row.kind == Kind.TaskRebound and waiter is not None:
        return row.time - waiter.bound_at
    if row.kind == Kind.TaskResumed and waiter is not None:
        return row.time - waiter.blocked_at
    if row.kind == Kind.TaskStarted:
        return row.time - reading.asked_at[row.task].time
    if row.kind == Kind.TaskRejected:
        return -1
    return None
