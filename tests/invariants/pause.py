"""Nobody whom a pause governs starts while it is in force and paused (contract, section 5)."""

from model.log import Log

from .reading import read
from .replay import starts

RULE = "pause"


def check(log: Log) -> list[str]:
    """Return the starts during a pause."""
    reading = read(log)
    found = []
    for replay, row in starts(reading):
        for number in reading.amounts(row.task):
            numbers = replay.numbers[number]
            if replay.types[number] == "pause" and numbers is not None and numbers["paused"]:
                text = f"{reading.constraint(number)} is paused since {replay.since[number]} ns"
                found.append(reading.say(RULE, row, text))
    return found
