"""A blocked task is bound to the first constraint, in the order of the scenario, that refuses it (contract, section 5).

At each TaskBlocked and TaskRebound, with usage, levels and numbers as the rows before it leave them: the constraint that
the row names governs the task and refuses it, and no governing constraint before it in the order refuses.

A constraint refuses where it has too little room; where it is strict and somebody comes before the task; and where time
makes room in it, as in a bucket, and what it has is for somebody who comes before the task and wants no more, who gets it
later in the same instant (section 4, rank 2).

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
            found += bound(reading, replay, row, RULE)
        waiter = replay.waiting.get(row.task)
        if waiter is not None and row.kind == Kind.TaskRebound:
            left = waiter.constraint
            amount = waiter.asks.get(left)
            if row.constraint != left and amount is not None and not replay.admits(left, amount):
                what = f"{reading.constraint(left)} ({replay.room(left)}, {amount} wanted)"
                found.append(reading.say(RULE, row, f"it leaves {what}, which refuses it still"))
        replay.apply(row)
    return found


def bound(reading: Reading, replay: Replay, row: Row, rule: str) -> list[str]:
    """Check that the row names the first constraint that refuses the task."""
    waiter = replay.waiting.get(row.task)
    amounts = replay.asks(row.task, row.constraint) if waiter is None else waiter.asks
    age = replay.age_at(row) if waiter is None else waiter.age
    name = reading.constraint(row.constraint)
    if row.constraint not in amounts:
        return [reading.say(rule, row, f"{name} does not govern it")]
    found = []
    for number, amount in amounts.items():
        refuses = replay.refuses(number, amount, row.task, age)
        what = f"{reading.constraint(number)} ({replay.room(number)}, {amount} wanted)"
        if number == row.constraint:
            if refuses is False:
                found.append(reading.say(rule, row, f"bound to {what}, which does not refuse it"))
            break
        if refuses:
            found.append(reading.say(rule, row, f"bound to {name}; before it {what} refuses"))
    return found
