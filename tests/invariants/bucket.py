"""A token bucket never gives what it has not earned (contract, sections 5 and 7.4), worked out in two ways.

1. Windows: while the same numbers are in force, any two admissions and all between them, `w` ns apart, cost at most
   burst + rate * w together. Windows that begin and end with an admission are the tightest, so no others are tried.
2. Levels: with the level kept as an exact fraction over changes (clamped to a new burst, full where the limit comes
   into force), no admission leaves it below 0. This bounds windows that span a change, too.
"""

from fractions import Fraction

from model.events import Kind
from model.log import Log

from .reading import Reading, Row, read
from .replay import Replay, admissions

RULE = "bucket"


def check(log: Log) -> list[str]:
    """Return the admissions that a bucket could not pay for."""
    reading = read(log)
    buckets = [n for n, entry in enumerate(reading.header.constraints) if entry.type == "rate_limit"]
    found = levels(reading)
    for number in buckets:
        found += windows(reading, number)
    return found


def levels(reading: Reading) -> list[str]:
    found = []
    for replay, (row, amounts, _) in admissions(reading):
        for number, amount in amounts.items():
            if replay.types[number] == "rate_limit" and amount and replay.level[number] < 0:
                text = f"{reading.constraint(number)} gives {amount} and is left with {replay.level[number]} tokens"
                found.append(reading.say(RULE, row, text))
    return found


def windows(reading: Reading, number: int) -> list[str]:
    numbers = reading.header.constraints[number].settings[0][1]
    replay = Replay(reading)
    settings = dict(reading.header.constraints[number].settings)
    admitted: list[tuple[Row, int]] = []
    found = []
    for row in reading.rows:
        if row.kind == Kind.ConstraintChanged and row.constraint == number:
            numbers = settings.get(row.time, numbers)
            admitted = []
        admission = replay.apply(row)
        amount = None if admission is None or numbers is None else admission.amounts.get(number)
        if not amount:
            continue
        admitted.append((row, amount))
        total = 0
        for first, cost in reversed(admitted):
            total += cost
            width = row.time - first.time
            allowed = numbers["burst"] + Fraction(width * numbers["tokens"], numbers["period_ns"])
            if total > allowed:
                text = f"{reading.constraint(number)} gives {total} in {width} ns since event {first.number}"
                found.append(reading.say(RULE, row, f"{text}; allowed: {allowed}"))
                break
    return found
