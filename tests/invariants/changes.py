"""Every change of a constraint that the header states is in the rows at its time, once, and no other is.

Changes of one instant come in the order of the constraints. The value sums up the numbers: the limit or the total,
millionths of a token a second rounded down (held at the largest value that the column takes), 0 while a pause admits
nobody, or an incident lasts; -1 while the constraint lets everybody pass. What a constraint becomes by itself is left to
the rule `hearing`.
"""

from model.events import Kind
from model.log import Log

from .reading import Reading, Row, read

RULE = "changes"


def check(log: Log) -> list[str]:
    """Return the changes that are missing, too many, or of another value."""
    reading = read(log)
    due = sorted(
        (time, number, summed_up(entry.type, numbers))
        for number, entry in enumerate(reading.header.constraints)
        for time, numbers in entry.settings
        if 0 < time <= reading.end
    )
    rows = scheduled(reading)
    found = []
    for row, expected in zip(rows, due, strict=False):
        if (row.time, row.constraint, row.value) != expected:
            time, number, value = expected
            text = f"{reading.constraint(row.constraint)} has value {row.value}; next in the header: "
            return [reading.say(RULE, row, f"{text}{reading.constraint(number)} at {time} ns with value {value}")]
    for row in rows[len(due) :]:
        found.append(reading.say(RULE, row, f"the header has no more changes; it states {len(due)}"))
    for time, number, value in due[len(rows) :]:
        found.append(
            f"{RULE}: {reading.constraint(number)} should change at {time} ns to value {value}; no row says so"
        )
    return found


def scheduled(reading: Reading) -> list[Row]:
    """Return the changes that the header should state: of what changes by itself, the first at a time that it states."""
    rows, seen = [], set[tuple[int, int]]()
    for row in reading.rows:
        if row.kind != Kind.ConstraintChanged:
            continue
        by_itself = reading.hears(row.constraint)
        stated = row.time > 0 and row.time in dict(reading.header.constraints[row.constraint].settings)
        if not by_itself or (stated and (row.constraint, row.time) not in seen):
            rows.append(row)
        seen.add((row.constraint, row.time))
    return rows


def summed_up(kind: str, numbers: dict[str, int] | None) -> int:
    """Return the value that stands for these numbers."""
    if numbers is None:
        return -1
    names = {"concurrency": "limit", "adaptive": "limit", "resource": "capacity", "quota": "total"}
    if kind in names:
        return numbers[names[kind]]
    if kind == "incident":
        return 0
    if kind == "rate_limit":
        return min(numbers["tokens"] * 10**6 * 10**9 // numbers["period_ns"], 2**63 - 1)
    return 0 if numbers.get("paused") else -1
