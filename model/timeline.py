"""The numbers of constraints over time.

Rules:

1. A constraint is in force from `from` until it expires, or until a later one of its `kin` with the same scope comes into
   force and replaces it for good. Later means a later `from`, or the same and further down the list.
2. Changes that come again are written out for as long as the run lasts, and once more: what comes after its end is still
   to come, so that nobody who waits for it then waits for good.
"""

from collections.abc import Sequence

from model.limits import Constraint
from model.plan import PlanError, Setting

CHANGES_MAX = 100_000
"""Most changes of a constraint that a run may have."""


def _replaced_at(constraints: Sequence[Constraint]) -> list[int | None]:
    """Return for each constraint the time in ns at which a later one replaces it, or None."""
    replaced: list[int | None] = [None] * len(constraints)
    latest: dict[tuple[object, ...], int] = {}
    for number in sorted(range(len(constraints)), key=lambda number: (constraints[number].from_, number)):
        row = constraints[number]
        if row.scope is None:
            continue
        key = (row.scope, *row.kin)
        if key in latest:
            replaced[latest[key]] = row.from_
        latest[key] = number
    return replaced


def _timeline(row: Constraint, until: int | None) -> list[tuple[int, dict[str, int]]]:
    """Return a constraint's numbers from each time on, those that come again written out (rule 2)."""
    if row.every is None:
        return row.settings()
    assert until is not None
    rounds = max(0, until - row.from_) // row.every + 1
    if rounds * len(row.changes) > CHANGES_MAX:
        raise PlanError(
            f"constraints.{row.id}.every: {rounds * len(row.changes):,} changes before the run ends; "
            f"allowed: at most {CHANGES_MAX:,}"
        )
    again = [
        change.model_copy(update={"at": change.at + lap * row.every})
        for lap in range(rounds + 1)
        for change in row.changes
    ]
    return row.model_copy(update={"changes": again}).settings()


def settings_of(constraints: Sequence[Constraint], until: int | None) -> list[tuple[Setting, ...]]:
    """Return each constraint's numbers over time, cut where it expires or is replaced."""
    result = []
    for row, replaced in zip(constraints, _replaced_at(constraints), strict=True):
        ends = [time for time in (row.expires, replaced) if time is not None]
        timeline: list[tuple[int, dict[str, int] | None]] = [] if row.from_ == 0 else [(0, None)]
        timeline += [(time, numbers) for time, numbers in _timeline(row, until) if not ends or time < min(ends)]
        if ends:
            timeline = [*timeline, (min(ends), None)] if timeline else [(0, None)]
        ceiling: int | None = 0
        settings = []
        for time, numbers in reversed(timeline):
            largest = None if numbers is None else row.largest(numbers)
            ceiling = None if largest is None or ceiling is None else max(ceiling, largest)
            settings.append(Setting(time, numbers, ceiling))
        result.append(tuple(reversed(settings)))
    return result
