"""Who is refused has a reason, and who has one is refused (contract, section 5).

1. A constraint can never admit an amount that is above its capacity now and after each of its later changes. A task that
   asks that much is refused for good, by the first such constraint. Nobody waits, for whatever constraint, that asks that
   much of any: neither from when it asks, nor after the instant of a change that makes it impossible. (A hold that gave
   back what it held cannot be refused: it may wait for ever.)
2. `on_limit: reject`: who is refused is the task that asks, or is tried again; the constraint is the first that refuses it,
   and nobody waits for it but holds that gave back what they held.
3. `room`: nobody comes to wait where so many wait already. Whom a full room refuses is who comes (`newest`), the oldest of
   those who wait (`oldest`), or all of them and who comes (`all`).

A drawn amount of a task that never starts is not in the log, so nothing is said about it.
"""

from model.events import Kind
from model.log import Log

from .binding import bound
from .reading import Reading, Row, Task, read
from .replay import Replay

RULE = "refusal"


def check(log: Log) -> list[str]:
    """Return who was refused without need, and who waits where it should have been refused."""
    reading = read(log)
    replay = Replay(reading)
    found = []
    for _, rows in reading.instants():
        for row in rows:
            replay.advance(row.time)
            if row.kind == Kind.TaskRejected:
                found += _refused(reading, replay, row)
            if row.kind in (Kind.TaskBlocked, Kind.TaskRebound):
                found += _enters(reading, replay, row)
            replay.apply(row)
        for waiter in replay.waiting.values():
            for number, amount in waiter.asks.items():
                if _impossible(replay, number, amount) and not waiter.is_lent:
                    text = f"after this instant {reading.who(waiter.task)} waits and wants {amount} of "
                    text += f"{reading.constraint(number)}, which never admits more than {replay.ceiling(number)}"
                    found.append(reading.say(RULE, rows[-1], text))
    return found


def _impossible(replay: Replay, number: int, amount: int | None) -> bool:
    ceiling = replay.ceiling(number)
    return amount is not None and ceiling is not None and amount > ceiling


def _lent(replay: Replay, task: Task) -> bool:
    return task in replay.running


def _enters(reading: Reading, replay: Replay, row: Row) -> list[str]:
    """Check that a task may come to wait."""
    number, name = row.constraint, reading.constraint(row.constraint)
    if _lent(replay, row.task):
        return []
    if reading.rule_of(number, "on_limit") == "reject":
        return [reading.say(RULE, row, f"{name} lets nobody wait")]
    room = reading.rule_of(number, "room")
    waiting = sum(not waiter.is_lent for waiter in replay.waiting_for(number))
    if room is not None and waiting >= room:
        return [reading.say(RULE, row, f"{waiting} wait for {name} already, and there is room for {room}")]
    return []


def _refused(reading: Reading, replay: Replay, row: Row) -> list[str]:
    waiter = replay.waiting.get(row.task)
    number, name = row.constraint, reading.constraint(row.constraint)
    amounts = replay.asks(row.task, number) if waiter is None else waiter.asks
    if number not in amounts:
        return [reading.say(RULE, row, f"{name} does not govern it")]
    if _lent(replay, row.task):
        return [reading.say(RULE, row, "a hold that asks for what it gave back cannot be refused")]
    never = [each for each, amount in amounts.items() if _impossible(replay, each, amount)]
    unknown = None in amounts.values()
    if (never and never[0] == number) or (unknown and replay.ceiling(number) is not None):
        return []
    if never:
        return [reading.say(RULE, row, f"{reading.constraint(never[0])} never admits it, and comes before {name}")]
    if reading.rule_of(number, "on_limit") == "reject":
        return bound(reading, replay, row, RULE)
    room, overflow = reading.rule_of(number, "room"), reading.rule_of(number, "overflow")
    waiting = replay.waiting_for(number)
    if room is None:
        ceiling = replay.ceiling(number)
        text = f"{amounts[number]} wanted; {ceiling} is" if ceiling is not None else "there is no bound to"
        return [reading.say(RULE, row, f"{text} what {name} admits from now on, and it rejects nobody")]
    stays = waiter is not None and waiter.constraint == number
    if overflow == "oldest" and stays and room > 0:
        oldest = min((each for each in waiting if not each.is_lent), key=lambda each: each.age)
        if oldest.task != row.task:
            return [reading.say(RULE, row, f"{reading.who(oldest.task)} is older")]
    elif not stays and overflow == "all" and _emptied(reading, row):
        return []  # it came when all who stood in its way were still there
    elif not stays:
        return bound(reading, replay, row, RULE) + _full(reading, replay, row)
    elif overflow != "all":
        return [reading.say(RULE, row, f"it waits for {name}, and the overflow is {overflow}")]
    return _full(reading, replay, row) if overflow != "all" else []


def _emptied(reading: Reading, row: Row) -> bool:
    """Whether others were refused by the same constraint just before."""
    return any(
        other.kind == Kind.TaskRejected and other.constraint == row.constraint and other.time == row.time
        for other in reading.rows[: reading.place_of[row.number]]
    )


def _full(reading: Reading, replay: Replay, row: Row) -> list[str]:
    number = row.constraint
    room, waiting = reading.rule_of(number, "room"), len(replay.waiting_for(number))
    if waiting < room:
        return [
            reading.say(RULE, row, f"{waiting} wait for {reading.constraint(number)}, where there is room for {room}")
        ]
    return []
