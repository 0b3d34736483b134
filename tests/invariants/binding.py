"""A blocked task is bound to the first constraint, in the order of the scenario, that refuses it (contract, section 5).

At each TaskBlocked and TaskRebound, with usage, levels and numbers as the rows before it leave them: the constraint that
the row names governs the task and refuses it, and no governing constraint before it in the order refuses.

A constraint refuses where it has too little room. A bucket also refuses to give a younger request what it has earned for
an older task that waits for it and wants no more; that older task gets it later in the same instant (section 4, rank 2).

A task stays with its constraint for as long as that one refuses it. So at a TaskRebound the constraint that it leaves
would admit it. (A TaskRejected may come while it refuses still: a change has made another one impossible.)
"""

from model.events import Kind
from model.log import Log

from .reading import Reading, Row, read
from .replay import Replay

RULE = "binding"


def check(log: Log) -> list[str]:
    """Return the rows that bind a task to the wrong constraint."""
    reading = read(log)
    replay = Replay(reading)
    found = []
    for row in reading.rows:
        replay.advance(row.time)
        if row.kind in (Kind.TaskBlocked, Kind.TaskRebound):
            found += _bound(reading, replay, row)
        waiter = replay.waiting.get(row.task)
        if waiter is not None and row.kind == Kind.TaskRebound:
            left = waiter.constraint
            amount = reading.amounts(row.task).get(left)
            if row.constraint != left and amount is not None and not replay.admits(left, amount):
                what = f"{reading.constraint(left)} ({replay.room(left)}, {amount} wanted)"
                found.append(reading.say(RULE, row, f"it leaves {what}, which refuses it still"))
        replay.apply(row)
    return found


def _bound(reading: Reading, replay: Replay, row: Row) -> list[str]:
    amounts = reading.amounts(row.task)
    name = reading.constraint(row.constraint)
    if row.constraint not in amounts:
        return [reading.say(RULE, row, f"{name} does not govern it")]
    asked = reading.asked_at[row.task].number
    found = []
    for number, amount in amounts.items():
        refuses = _refuses(reading, replay, number, amount, asked)
        what = f"{reading.constraint(number)} ({replay.room(number)}, {amount} wanted)"
        if number == row.constraint:
            if refuses is False:
                found.append(reading.say(RULE, row, f"bound to {what}, which does not refuse it"))
            break
        if refuses:
            found.append(reading.say(RULE, row, f"bound to {name}; before it {what} refuses"))
    return found


def _refuses(reading: Reading, replay: Replay, number: int, amount: int | None, asked: int) -> bool | None:
    """Whether the constraint refuses; None where the log does not tell, because an amount is not known."""
    if replay.numbers[number] is None:
        return False
    if amount is None:
        return None
    if not replay.admits(number, amount):
        return True
    if replay.types[number] != "rate_limit":
        return False
    wanted = [reading.amounts(older.task).get(number) for older in replay.older_waiting(number, amount, asked)]
    earned = [want is None or replay.admits(number, want) for want in wanted]
    if any(earned):
        return None if all(want is None for want in wanted) else True
    return False
