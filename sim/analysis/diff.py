"""Two runs side by side: where they part, and what follows in numbers.

Rules:

1. It reads the two logs alone, in blocks, and keeps what the runs have not yet both come to the end of (`pairs`).
2. A log that is cut is compared with as much of the other: of both, what is before its last instant.
3. What cannot be compared is said in `caveats`.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from model.events import Batch, Kind
from model.log import Header, Log
from model.state import extent_of
from model.units import counted
from sim.analysis.alterations import alterations
from sim.analysis.around import around
from sim.analysis.costs import Costs, side_by_side
from sim.analysis.pairs import Keep, Pairs
from sim.analysis.parting import Comparison, part
from sim.analysis.sides import Shared, batches
from sim.analysis.summary import Summary
from sim.analysis.tallies import Tallies
from sim.analysis.waits import Waits


def diff(first: Log, second: Log, keep: Keep | None = None) -> dict[str, Any]:
    """Return what differs, by the names of `python -m sim diff --json`; `keep` is given the matched visits as rows.

    Raises LogError where a log is damaged.
    """
    ends = _cuts(first, second)
    before_ns = min((end for end in ends if end is not None), default=None)
    found = _first_difference(first, second, ends)
    runs, visits, cost = _side_by_side(first, second, before_ns, keep)
    return {**found, "compared_before_ns": before_ns, "runs": runs, "visits": visits, "cost": cost}


def first_difference(first: Log, second: Log) -> dict[str, Any]:
    """Return where two logs part, by the names of `python -m sim bisect --json`; raises LogError where one is damaged."""
    return _first_difference(first, second, _cuts(first, second))


def same_but_for(first: Log, second: Log, constraints: Collection[str], at_ns: int) -> bool:
    """Say whether no event differs, as far as both logs go, but that these constraints change at a time."""
    shared = Shared(first.header, second.header)
    comparison = part(shared, *(_without_changes(log, constraints, at_ns) for log in (first, second)))
    return comparison.parting is None and comparison.events > 0


def _without_changes(log: Log, constraints: Collection[str], at_ns: int) -> Iterator[Batch]:
    numbers = [number for number, entry in enumerate(log.header.constraints) if entry.id in constraints]
    for batch in log.batches():
        changes = (batch.kind == Kind.ConstraintChanged) & (batch.time == at_ns) & np.isin(batch.constraint, numbers)
        if not changes.any():
            yield batch
        elif not changes.all():
            yield Batch(*(column[~changes] for column in batch.columns()))


def told(log: Log, other: Header, comparison: Comparison, ends: Sequence[int | None]) -> dict[str, Any]:
    """Return what a comparison has come to; `ends` says where each of the two is cut, None where it is whole."""
    parting = comparison.parting
    scenario = alterations(log.header.scenario, other.scenario)
    return {
        "same": parting is None and comparison.events > 0,
        "cut": any(end is not None for end in ends),
        "compared_events": comparison.events,
        "scenario": scenario,
        "caveats": list(_caveats(log.header, other, ends, scenario)),
        "parting": None
        if parting is None
        else {
            "event": parting.event,
            "time_ns": parting.time_ns,
            "a": parting.rows[0],
            "b": parting.rows[1],
            "before": around(log.header, log.batches(), parting.event, parting.agents),
        },
    }


def _first_difference(first: Log, second: Log, ends: Sequence[int | None]) -> dict[str, Any]:
    comparison = part(Shared(first.header, second.header), first.batches(), second.batches())
    return told(first, second.header, comparison, ends)


def _cuts(*logs: Log) -> list[int | None]:
    """Return the time of the last event of each log that is cut; None of those that are whole."""
    ends = [extent_of(log).end_ns for log in logs]
    return [end if log.cut else None for log, end in zip(logs, ends, strict=True)]


def _side_by_side(
    first: Log, second: Log, before_ns: int | None, keep: Keep | None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """Read both at the same pace of virtual time; return the numbers of each run, of their visits, and what they cost."""
    logs = first, second
    shared = Shared(first.header, second.header)
    pairs = Pairs(shared, keep)
    waits, summaries = [Waits() for _ in logs], [Summary(log.header) for log in logs]
    tallies = [Tallies(log.header) for log in logs]
    costs = [Costs(log.header) for log in logs]
    left = {which: batches(log, before_ns) for which, log in enumerate(logs)}
    now = [-1, -1]
    while left:
        which = min(left, key=lambda which: now[which])
        batch = next(left[which], None)
        if batch is None:
            del left[which]
            continue
        now[which] = int(batch.time[-1])
        shared.sides[which].feed(batch)
        pairs.feed(which, batch)
        summaries[which].feed(batch, waits[which].feed(batch))
        tallies[which].feed(batch)
        costs[which].feed(batch)
    runs = {}
    for name, log, summary, tally in zip("ab", logs, summaries, tallies, strict=True):
        header = log.header
        runs[name] = {
            "scenario": header.name,
            "seed": header.seed,
            "cut": log.cut,
            **summary.result(),
            "fleets": tally.result(),
        }
    return runs, pairs.result(), side_by_side(*(each.result() for each in costs))


def _caveats(one: Header, two: Header, ends: Sequence[int | None], scenario: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what is not comparable, and why."""
    for name, end in zip("AB", ends, strict=True):
        if end is not None:
            yield f"{name} is cut at {end / 1e9:.9g} s: both are compared as far as that"
    if one.name != two.name:
        yield f"the scenarios have different names: {one.name} and {two.name}"
    if one.seed != two.seed:
        yield f"the seeds differ ({one.seed} and {two.seed}): no draw is the same, and who won or lost did so by chance too"
    if one.until_ns != two.until_ns:
        yield "the runs do not end at the same time: what is counted is of different spans"
    yield from _missing("fleet", [[fleet.name for fleet in header.fleets] for header in (one, two)])
    yield from _missing("constraint", [[entry.id for entry in header.constraints] for header in (one, two)])
    others = [each["path"] for each in scenario if each["path"].startswith("fleets.")]
    if others:
        yield f"the fleets themselves differ ({counted(len(others), 'value')}): the same visit need not take the same work"
    prices = [header.scenario.get("prices") for header in (one, two)]
    if prices[0] != prices[1]:
        yield "the prices differ: what it costs changes with them too"
    if one.inputs != two.inputs:
        names = sorted(name for name in {**one.inputs, **two.inputs} if one.inputs.get(name) != two.inputs.get(name))
        yield f"data files differ: {', '.join(names)}"
    yield from _versions(one, two)


def _missing(kind: str, names: list[list[str]]) -> Iterator[str]:
    for name, mine, other in (("A", names[0], names[1]), ("B", names[1], names[0])):
        only = [each for each in mine if each not in other]
        if only:
            yield f"in {name} alone: {kind}{'s' * (len(only) > 1)} {', '.join(only)}"


def _versions(one: Header, two: Header) -> Iterator[str]:
    names = [name for name in {**one.versions, **two.versions} if one.versions.get(name) != two.versions.get(name)]
    if names:
        told = (f"{name} {one.versions.get(name)} and {two.versions.get(name)}" for name in names)
        yield f"they were written by different versions: {', '.join(told)}"
