"""What is counted over time is never given before it is there (contract, sections 5 and 7.4), worked out in two ways.

1. Sums: while the same numbers are in force, and costs are charged at the start, any two admissions and all between them,
   `w` ns apart, cost at most burst + rate * w together in a token bucket; in a sliding window at most its tokens if `w` is
   less than the period; in a fixed window or a quota at most its tokens if both are in one window. Spans that begin and end
   with an admission are the tightest, so no others are tried.
2. Levels: with the level kept exactly over changes, charges at the end and what is handed back, each admission finds room
   for what it takes, or for what it reserves. This bounds spans over a change, too. (Nothing is said of one who
   pre-empts: it was let in before those whose slots it took were charged for what they had done.)
"""

from fractions import Fraction

from model.events import Kind
from model.log import Log

from .fifo import preempts
from .reading import Reading, Row, read
from .replay import Replay, admissions

RULE = "bucket"
COUNTING = ("rate_limit", "quota")


def check(log: Log) -> list[str]:
    """Return the admissions that a limit could not pay for."""
    reading = read(log)
    found = levels(reading)
    for number, entry in enumerate(reading.header.constraints):
        if entry.type in COUNTING and reading.rule_of(number, "charge") == "on_start":
            found += windows(reading, number)
    return found


def levels(reading: Reading) -> list[str]:
    return [
        reading.say(RULE, row, f"of {reading.constraint(number)} {text}")
        for replay, (row, _, _, _, short) in admissions(reading)
        for number, text in short.items()
        if replay.types[number] in COUNTING and not preempts(reading, row)
    ]


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
            allowed = _allowed(reading.rule_of(number, "algorithm"), numbers, first.time, row.time)
            if allowed is not None and total > allowed:
                text = f"{reading.constraint(number)} gives {total} in {row.time - first.time} ns"
                found.append(reading.say(RULE, row, f"{text} since event {first.number}; allowed: {allowed}"))
                break
    return found


def _allowed(algorithm: str, numbers: dict[str, int] | None, first: int, last: int) -> Fraction | int | None:
    """Return how much may be taken from one time to the other; None where that is not known from this alone."""
    assert numbers is not None
    if numbers.get("first_use") or "growth" in numbers:
        return None
    if "total" in numbers or algorithm == "fixed_window":
        period = numbers["period_ns"]
        apart = period and first // period != last // period
        return None if apart else numbers.get("total", numbers.get("tokens"))
    if algorithm == "sliding_window":
        return numbers["tokens"] if last - first < numbers["period_ns"] else None
    return numbers["burst"] + Fraction((last - first) * numbers["tokens"], numbers["period_ns"])
