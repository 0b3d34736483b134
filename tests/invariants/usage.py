"""A concurrency limit is never exceeded, except right after it was lowered (contract, section 7.3).

Usage rises only where a task starts. So the whole rule is: after each start, what is held of every concurrency limit in
force that governs the task fits. Where a limit was lowered below the usage, or came into force below it, no task may
start, and usage only falls, until it fits again.
"""

from model.log import Log

from .reading import read
from .replay import starts

RULE = "usage"


def check(log: Log) -> list[str]:
    """Return the starts for which there was no room."""
    reading = read(log)
    found = []
    for replay, row in starts(reading):
        for number in reading.amounts(row.task):
            numbers = replay.numbers[number]
            if replay.types[number] == "concurrency" and numbers is not None and replay.held[number] > numbers["limit"]:
                text = f"{replay.held[number]} of {reading.constraint(number)} held; the limit is {numbers['limit']}"
                found.append(reading.say(RULE, row, text))
    return found
