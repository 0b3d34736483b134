"""The numbers of constraints and of incidents over time.

Rules:

1. A constraint is in force from `from` until it expires, or until a later one of its `kin` with the same scope comes into
   force and replaces it for good. Later means a later `from`, or the same and further down the list.
2. Changes that come again are written out for as long as the run lasts, and once more: what comes after its end is still
   to come, so that nobody who waits for it then waits for good.
3. A change that is unforeseen counts for the largest amount that can ever be admitted only when it has come: until then
   everybody is told and judged as if it were not to be.
4. When an incident comes, and for how long, are variables of their own, `incidents/ID/between` and `incidents/ID/lasts`:
   the k-th of each is for the k-th time. What comes again before it is over, or as it ends, is one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from operator import attrgetter
from typing import Any

from model import distributions, streams
from model.incidents import Incident
from model.limits import Constraint
from model.plan import PlanError, Setting
from model.tables import Table
from model.units import TIME_MAX_NS

AnyChange = Any
"""A change of a constraint, of the class that its type has for that."""

CHANGES_MAX = 100_000
"""Most changes of a constraint that a run may have."""
EPISODES_MAX = 50_000
"""Most times that an incident may come in a run."""
_DRAWN_AT_ONCE = 1024


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


def changes_of(row: Constraint, until: int | None) -> list[AnyChange]:
    """Return a constraint's changes in order, those that come again written out (rule 2), and those that are unforeseen."""
    changes: list[AnyChange] = list(row.changes)
    if row.every is not None:
        assert until is not None
        rounds = max(0, until - row.from_) // row.every + 1
        if rounds * len(row.changes) > CHANGES_MAX:
            raise PlanError(
                f"constraints.{row.id}.every: {rounds * len(row.changes):,} changes before the run ends; "
                f"allowed: at most {CHANGES_MAX:,}"
            )
        changes = [
            change.model_copy(update={"at": change.at + lap * row.every})
            for lap in range(rounds + 1)
            for change in row.changes
        ]
    return _in_order(changes, row.unforeseen or ())


def _in_order(changes: Iterable[AnyChange], unforeseen: Iterable[AnyChange]) -> list[AnyChange]:
    return sorted([*changes, *unforeseen], key=attrgetter("at"))  # stable: what is unforeseen comes last of an instant


def settings_of(constraints: Sequence[Constraint], until: int | None) -> list[tuple[Setting, ...]]:
    """Return each constraint's numbers over time, cut where it expires or is replaced."""
    result = []
    for row, replaced in zip(constraints, _replaced_at(constraints), strict=True):
        ends = min((time for time in (row.expires, replaced) if time is not None), default=None)
        foreseen = changes_of(row.model_copy(update={"unforeseen": None}), until)
        settings = _settings(row, foreseen, ends)
        for known, change in enumerate(row.unforeseen or (), 1):  # rule 3
            later = _settings(row, _in_order(foreseen, (row.unforeseen or ())[:known]), ends)
            settings = [each for each in settings if each.time_ns < change.at]
            settings += [each for each in later if each.time_ns >= change.at]
        result.append(tuple(settings))
    return result


def _settings(row: Constraint, changes: Sequence[AnyChange], ends: int | None) -> list[Setting]:
    """Return a constraint's numbers from each time on, if it has these changes and no others; cut where it `ends`."""
    timeline: dict[int, dict[str, int] | None] = {} if row.from_ == 0 else {0: None}
    told = row.model_copy(update={"changes": changes}).settings()
    timeline |= {time: numbers for time, numbers in told if ends is None or time < ends}  # the last of each instant
    if ends is not None:
        timeline[ends if timeline else 0] = None
    ceiling: int | None = 0
    settings = []
    for time, numbers in reversed(timeline.items()):
        largest = None if numbers is None else row.largest(numbers)
        ceiling = None if largest is None or ceiling is None else max(ceiling, largest)
        settings.append(Setting(time, numbers, ceiling))
    return settings[::-1]


def incident_settings(
    incident: Incident, seed: int, until_ns: int | None, tables: Mapping[str, Table]
) -> tuple[Setting, ...]:
    """Return what it does over time: its numbers while it lasts, None while it does not.

    Raises PlanError where it comes more than `EPISODES_MAX` times.
    """
    spells: list[tuple[int, int | None]] = []
    for number, (start, end) in enumerate(_episodes(incident, seed, until_ns, tables)):
        if number == EPISODES_MAX:
            raise PlanError(
                f"incidents.{incident.id}: it comes more than {EPISODES_MAX:,} times before the run ends; "
                "allowed: a longer time between, or an earlier until"
            )
        before = spells[-1] if spells else None
        if start == end or (before is not None and before[1] is None):
            continue
        if before is not None and before[1] is not None and start <= before[1]:  # it comes again before it is over
            spells[-1] = before[0], None if end is None else max(end, before[1])
        else:
            spells.append((start, end))
    numbers = incident.numbers()
    settings = [] if spells and spells[0][0] == 0 else [Setting(0, None, None)]
    for start, end in spells:
        settings.append(Setting(start, numbers, None))
        settings += [] if end is None else [Setting(end, None, None)]
    return tuple(settings)


def _episodes(
    incident: Incident, seed: int, until_ns: int | None, tables: Mapping[str, Table]
) -> Iterator[tuple[int, int | None]]:
    """Yield when it begins and when it ends, which may be never, in order of the beginning, up to the end of the run."""
    last = TIME_MAX_NS if until_ns is None else until_ns
    lasts = _drawn(incident, "lasts", seed, tables)
    if incident.between is None:
        assert incident.at is not None
        for start in [incident.at] if isinstance(incident.at, int) else incident.at:
            if start <= last:
                yield start, None if incident.lasts is None else min(start + next(lasts), TIME_MAX_NS)
        return
    end = 0
    for gap in _drawn(incident, "between", seed, tables):
        start = end + gap
        if start > last:
            return
        end = start + next(lasts)
        yield start, end


def _drawn(incident: Incident, what: str, seed: int, tables: Mapping[str, Table]) -> Iterator[int]:
    """Yield the values of a variable of the incident, one for each time that it comes."""
    value = getattr(incident, what)
    if value is None:
        return
    inverse = distributions.inverse_cdf(value, tables)
    name = f"incidents/{incident.id}/{what}"
    for first in count(0, _DRAWN_AT_ONCE):
        drawn = streams.index_draws(seed, name, lambda u: streams.rounded(inverse(u)), first, _DRAWN_AT_ONCE)
        yield from drawn.tolist()
