"""Nobody whom a pause governs is admitted while it is in force and paused (contract, section 5)."""

from model.log import Log

from .reading import read
from .replay import admissions

RULE = "pause"


def check(log: Log) -> list[str]:
    """Return the admissions during a pause."""
    reading = read(log)
    found = []
    for replay, (row, amounts, *_) in admissions(reading):
        for number in amounts:
            numbers = replay.numbers[number]
            if replay.types[number] == "pause" and numbers is not None and numbers["paused"]:
                text = f"{reading.constraint(number)} is paused since {replay.since[number]} ns"
                found.append(reading.say(RULE, row, text))
    return found
