"""Only what can never be admitted is refused, and what can never be admitted is refused (contract, section 5).

A constraint can never admit an amount that is above its capacity now and after each of its later changes.

- A task that is refused asks that much of the constraint that refuses it.
- Nobody waits, for whatever constraint, that asks that much of any: neither from when it asks, nor after the instant of a
  change that makes it impossible.

A drawn amount of a task that never starts is not in the log, so nothing is said about it.
"""

from model.events import Kind
from model.log import Log

from .reading import Reading, Row, read
from .replay import Replay

RULE = "refusal"


def check(log: Log) -> list[str]:
    """Return who was refused without need, and who waits for what never comes."""
    reading = read(log)
    replay = Replay(reading)
    found = []
    for _, rows in reading.instants():
        for row in rows:
            replay.apply(row)
            if row.kind == Kind.TaskRejected:
                found += _refused(reading, replay, row)
        for waiter in replay.waiting.values():
            for number, amount in reading.amounts(waiter.task).items():
                if _impossible(replay, number, amount):
                    text = f"after this instant {reading.who(waiter.task)} waits and wants {amount} of "
                    text += f"{reading.constraint(number)}, which never admits more than {replay.ceiling(number)}"
                    found.append(reading.say(RULE, rows[-1], text))
    return found


def _impossible(replay: Replay, number: int, amount: int | None) -> bool:
    ceiling = replay.ceiling(number)
    return amount is not None and ceiling is not None and amount > ceiling


def _refused(reading: Reading, replay: Replay, row: Row) -> list[str]:
    amounts = reading.amounts(row.task)
    name, ceiling = reading.constraint(row.constraint), replay.ceiling(row.constraint)
    if row.constraint not in amounts:
        return [reading.say(RULE, row, f"{name} does not govern it")]
    amount = amounts[row.constraint]
    if ceiling is None or (amount is not None and amount <= ceiling):
        bound = "there is no bound to" if ceiling is None else f"{ceiling} is"
        return [reading.say(RULE, row, f"{amount} wanted; {bound} what {name} admits from now on")]
    return []
