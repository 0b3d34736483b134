"""What can be held is never exceeded, except right after it was lowered (contract, section 7.3).

Usage rises only where a task takes what it asks for. So the whole rule is: after each admission, what is held of every
limit in force of which something was taken fits, be it slots, slots that find their number, or a resource. (Of a processor
that is shared there is no bound.) Where a limit was lowered below the usage, or came into force
below it, nobody may be admitted, and usage only falls, until it fits again. What a task keeps while it backs off, and what
is held while other steps go on, is held.
"""

from model.log import Log

from .levels import Slots
from .reading import read
from .replay import admissions

RULE = "usage"


def check(log: Log) -> list[str]:
    """Return the admissions for which there was no room."""
    reading = read(log)
    found = []
    for replay, (row, amounts, *_) in admissions(reading):
        for number in amounts:
            level = replay.levels[number]
            if isinstance(level, Slots) and level.limit is not None and level.held > level.limit:
                text = f"{level.held} of {reading.constraint(number)} held; the limit is {level.limit}"
                found.append(reading.say(RULE, row, text))
    return found
