"""A concurrency limit is never exceeded, except right after it was lowered (contract, section 7.3).

Usage rises only where a task takes what it asks for. So the whole rule is: after each admission, what is held of every
concurrency limit in force of which something was taken fits. Where a limit was lowered below the usage, or came into force
below it, nobody may be admitted, and usage only falls, until it fits again. What a task keeps while it backs off, and what
is held while other steps go on, is held.
"""

from model.log import Log

from .reading import read
from .replay import admissions

RULE = "usage"


def check(log: Log) -> list[str]:
    """Return the admissions for which there was no room."""
    reading = read(log)
    found = []
    for replay, (row, amounts, _) in admissions(reading):
        for number in amounts:
            numbers = replay.numbers[number]
            if replay.types[number] == "concurrency" and numbers is not None and replay.held[number] > numbers["limit"]:
                text = f"{replay.held[number]} of {reading.constraint(number)} held; the limit is {numbers['limit']}"
                found.append(reading.say(RULE, row, text))
    return found
