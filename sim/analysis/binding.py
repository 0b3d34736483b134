"""Who made a constraint bind: from when to when somebody waited for it, who had it meanwhile, and how much of it was used.

Rules:

1. A constraint binds while somebody waits for it.
2. The time that tasks wait for it is charged to those who have some of it, at each moment by how much they have; time in
   which nobody has any, to nobody. Who has how much of what is not held: see `holdings`.
3. What was taken is slots or units times time of what is held, else the amounts. What was used is that, while it bound, and
   what there was is the limit, or what a rate brings, in the same time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.events import Kind
from sim.analysis.causes import TIMED, Inquiry
from sim.analysis.explain import Explanation
from sim.analysis.holdings import Holdings, is_held, limits
from sim.analysis.record import Record
from sim.analysis.statements import Facts, Statement
from sim.analysis.summary import dot
from sim.analysis.waits import GOES_ON, Integers, Waits

PERIODS = 5
"""Of how many times in which it bound is told."""
GROUPS = 5
"""How many steps are told that had it, waited for it, or were refused."""
AGENTS = 3
"""How many agents of each are named."""
_COMES = (Kind.TaskBlocked, Kind.TaskRebound)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The stretches in which tasks waited for the constraint, of some length each, in the order in which they began."""

    agent: Integers
    step: Integers
    visit: Integers
    from_ns: Integers
    to_ns: Integers
    end: Integers


@dataclass(frozen=True, slots=True)
class _Periods:
    """The times in which somebody waited, with how many at most; and the places of the stretches in each."""

    from_ns: Integers
    to_ns: Integers
    most: Integers
    first: NDArray[np.intp]
    stop: NDArray[np.intp]


def of_constraint(record: Record, constraint: int) -> Explanation:
    """Explain who made a constraint bind."""
    inquiry, entry = Inquiry(record), record.header.constraints[constraint]
    waiting = _waiting(record, constraint)
    found = Explanation({"constraint": entry.id, "from_ns": 0, "to_ns": record.end_ns})
    facts: Facts = {"constraint": entry.id, "type": entry.type}
    if not len(waiting.agent):
        found.statements += [
            Statement("never_bound", {**facts, "to_ns": record.end_ns}),
            *_refusals(record, constraint),
        ]
        return found
    periods = _periods(waiting)
    lengths = periods.to_ns - periods.from_ns
    count, bound_ns = len(lengths), int(lengths.sum())
    waited_ns = int((waiting.to_ns - waiting.from_ns).sum())
    first, last = (_told(record, constraint, waiting, periods, place) for place in (0, count - 1))
    edges = {"from_event": first["from_event"], "to_event": last["to_event"]}
    told = {**facts, "ns": bound_ns, "whole_ns": record.end_ns, "periods": count, "waits": len(waiting.agent)}
    found.statements.append(Statement("bound", {**told, "waited_ns": waited_ns, **edges}))
    longest = np.sort(np.argsort(-lengths, kind="stable")[:PERIODS]).tolist()
    for place in longest:
        found.statements.append(
            Statement("bound_from", {**facts, **_told(record, constraint, waiting, periods, place)})
        )
    if count > PERIODS:
        left = {"count": count - PERIODS, "ns": bound_ns - int(lengths[longest].sum())}
        found.statements.append(Statement("periods_left_out", {**facts, **left}))
    if is_held(record, constraint) or entry.type in TIMED:
        had = inquiry.holdings(constraint)
        used = _usage(record, constraint, had, periods)
        found.statements.append(Statement("used", {**facts, "ns": bound_ns, **used, **edges}))
        found.statements += _users(record, constraint, had, waiting)
    found.statements += _waiters(record, constraint, waiting)
    found.statements += _refusals(record, constraint)
    return found


def _waiting(record: Record, constraint: int) -> _Waiting:
    fold, parts = Waits(), []
    for told in [*(fold.feed(batch) for _, batch in record.chunks()), fold.rest()]:
        to_ns = np.where(told.end == GOES_ON, record.end_ns, told.end_ns)
        mine = np.flatnonzero((told.constraint == constraint) & (to_ns > told.since_ns))
        columns = (told.agent, told.step.astype(np.int64), told.visit, told.since_ns, to_ns, told.end)
        parts.append([column[mine] for column in columns])
    found = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    order = np.argsort(found[3], kind="stable")
    return _Waiting(*(column[order] for column in found))


def _periods(waiting: _Waiting) -> _Periods:
    """Return the times in which somebody waited, with how many did at most."""
    latest = np.maximum.accumulate(waiting.to_ns)
    firsts = np.flatnonzero(np.append(True, waiting.from_ns[1:] > latest[:-1]))
    stops = np.append(firsts[1:], len(latest))
    times, counts = _waiters_at(waiting)
    from_ns = waiting.from_ns[firsts]
    most = np.maximum.reduceat(counts, np.searchsorted(times, from_ns))
    return _Periods(from_ns, latest[stops - 1], most, firsts, stops)


def _told(record: Record, constraint: int, waiting: _Waiting, periods: _Periods, place: int) -> Facts:
    """Return what there is to say of one of the times in which somebody waited, with the events that begin and end it."""
    from_ns, to_ns = int(periods.from_ns[place]), int(periods.to_ns[place])
    inside = slice(int(periods.first[place]), int(periods.stop[place]))
    ends = waiting.end[inside][waiting.to_ns[inside] == to_ns]
    begin = _begin(record, constraint, waiting, inside.start)
    end = None if (ends == GOES_ON).any() else int(ends.max())
    return {"from_ns": from_ns, "from_event": begin, "to_ns": to_ns, "to_event": end, "most": int(periods.most[place])}


def _begin(record: Record, constraint: int, waiting: _Waiting, place: int) -> int:
    """Return the event that begins a stretch."""
    visit = tuple(int(column[place]) for column in (waiting.agent, waiting.step, waiting.visit))
    after = int(np.searchsorted(record.rows.time, waiting.from_ns[place], side="right"))
    return next(
        row.event
        for row in record.back(after, visit[0])
        if row.visited == visit and row.kind in _COMES and row.constraint == constraint
    )


def _waiters_at(waiting: _Waiting) -> tuple[Integers, Integers]:
    """Return how many wait, as a step function."""
    changes = np.repeat(np.array([1, -1]), len(waiting.from_ns))
    return _steps(np.append(waiting.from_ns, waiting.to_ns), changes)


def _steps(times: Integers, changes: Integers) -> tuple[Integers, Integers]:
    """Return the times of a step function, and its values from each of them on."""
    unique, places = np.unique(times, return_inverse=True)
    sums = np.zeros(len(unique), np.int64)
    np.add.at(sums, places, changes)
    return unique, np.cumsum(sums)


def _at(times: Integers, values: Integers, asked: Integers) -> Integers:
    """Return the values of a step function at some times; before its first it is 0."""
    found: Integers = np.append(0, values)[np.searchsorted(times, asked, side="right")]
    return found


def _usage(record: Record, constraint: int, had: Holdings, periods: _Periods) -> Facts:
    """Return how much of it was used while it bound, and how much there was."""
    if is_held(record, constraint):
        events, values = limits(record, constraint)
        times = np.append(0, record.rows.time[events[1:]])
        return {
            "used": _area(*_held(record, had), periods),
            "available": _area(times, np.maximum(values, 0), periods),
        }
    place = np.searchsorted(periods.from_ns, had.took_ns) - 1
    inside = (place >= 0) & (had.took_ns <= periods.to_ns[place])
    return {"used": int(had.amount[inside].sum()), "available": _brought(record, constraint, periods)}


def _held(record: Record, had: Holdings) -> tuple[Integers, Integers]:
    ends = np.minimum(had.gave_ns, record.end_ns)
    return _steps(np.append(had.took_ns, ends), np.append(had.amount, -had.amount))


def _area(times: Integers, values: Integers, periods: _Periods) -> int:
    """Return the sum of a step function over the times in which it bound, in its unit times ns."""
    edges = np.unique(np.concatenate([times, periods.from_ns, periods.to_ns]))
    place = np.searchsorted(periods.from_ns, edges, side="right") - 1
    bound = (place >= 0) & (edges < periods.to_ns[place])
    return dot(_at(times, values, edges) * bound, np.diff(edges, append=edges[-1]))


def _brought(record: Record, constraint: int, periods: _Periods) -> float:
    """Return what a rate brings in the times in which it bound."""
    brought, settings = 0.0, record.header.constraints[constraint].settings
    for place, (since, numbers) in enumerate(settings):
        until = settings[place + 1][0] if place + 1 < len(settings) else record.end_ns
        lasted = np.minimum(until, periods.to_ns) - np.maximum(since, periods.from_ns)
        if numbers is not None and numbers["period_ns"]:
            ns = int(np.maximum(lasted, 0).sum())
            brought += numbers.get("tokens", numbers.get("total", 0)) * ns / numbers["period_ns"]
    return brought


def _users(record: Record, constraint: int, had: Holdings, waiting: _Waiting) -> Iterator[Statement]:
    """Tell by step who had it, and for how much of the time that others waited."""
    entry = record.header.constraints[constraint]
    ends = np.minimum(had.gave_ns, record.end_ns)
    waits_at, waits = _waiters_at(waiting)
    held_at, held = _held(record, had)
    times = np.unique(np.concatenate([waits_at, held_at]))
    each_ns = np.diff(times, append=times[-1]) * _at(waits_at, waits, times)
    there = _at(held_at, held, times)
    a_unit = np.divide(each_ns, there, out=np.zeros(len(times)), where=there > 0)
    so_far = np.append(0.0, np.cumsum(a_unit))
    charged = had.amount * (so_far[np.searchsorted(times, ends)] - so_far[np.searchsorted(times, had.took_ns)])
    amounts = had.amount.astype(np.float64) * ((ends - had.took_ns) if is_held(record, constraint) else 1)
    whole, waited_ns = float(amounts.sum()), int((waiting.to_ns - waiting.from_ns).sum())
    by_step = [(float(charged[had.step == step].sum()), step) for step in np.unique(had.step).tolist()]
    by_step.sort(key=lambda pair: (-pair[0], pair[1]))
    for charged_ns, step in by_step[:GROUPS]:
        mine = np.flatnonzero(had.step == step)
        name = record.header.fleets[record.header.steps[step].fleet].name
        agents, places = np.unique(had.agent[mine], return_inverse=True)
        by_agent = np.bincount(places, charged[mine], len(agents))
        most = np.lexsort((agents, -by_agent))[:AGENTS]
        facts: Facts = {
            "constraint": entry.id,
            "type": entry.type,
            "fleet": name,
            "step": record.header.steps[step].name,
            "takes": len(mine),
            "amount": float(amounts[mine].sum()),
            "whole_amount": whole,
            "charged_ns": charged_ns,
            "waited_ns": waited_ns,
            "event": int(had.took[mine[0]]),
            "agents": [
                {
                    "agent": record.roster.name(int(agents[place])),
                    "charged_ns": float(by_agent[place]),
                    "event": int(had.took[mine[places == place][0]]),
                }
                for place in most.tolist()
            ],
        }
        yield Statement("had", facts)
    if len(by_step) > GROUPS:
        left = {"count": len(by_step) - GROUPS, "charged_ns": sum(ns for ns, _ in by_step[GROUPS:])}
        yield Statement("had_left_out", {"constraint": entry.id, **left, "waited_ns": waited_ns})


def _refusals(record: Record, constraint: int) -> Iterator[Statement]:
    """Tell by step how many requests it refused."""
    events = record.events_of(Kind.TaskRejected, constraint)
    steps = record.rows.step[events]
    counts = sorted((-int((steps == step).sum()), step) for step in np.unique(steps).tolist())
    for less, step in counts[:GROUPS]:
        mine, entry = events[steps == step], record.header.steps[step]
        first, last = int(mine[0]), int(mine[-1])
        yield Statement(
            "refused_by",
            {
                "constraint": record.header.constraints[constraint].id,
                "fleet": record.header.fleets[entry.fleet].name,
                "step": entry.name,
                "refusals": -less,
                "from_ns": int(record.rows.time[first]),
                "from_event": first,
                "to_ns": int(record.rows.time[last]),
                "to_event": last,
            },
        )


def _waiters(record: Record, constraint: int, waiting: _Waiting) -> Iterator[Statement]:
    """Tell by step who waited for it."""
    entry, ns = record.header.constraints[constraint], waiting.to_ns - waiting.from_ns
    by_step = [(int(ns[waiting.step == step].sum()), step) for step in np.unique(waiting.step).tolist()]
    by_step.sort(key=lambda pair: (-pair[0], pair[1]))
    for waited_ns, step in by_step[:GROUPS]:
        name = record.header.fleets[record.header.steps[step].fleet].name
        mine = np.flatnonzero(waiting.step == step)
        longest = int(mine[np.argmax(ns[mine])])
        yield Statement(
            "waited_for",
            {
                "constraint": entry.id,
                "fleet": name,
                "step": record.header.steps[step].name,
                "waits": len(mine),
                "ns": waited_ns,
                "longest_ns": int(ns[longest]),
                "from_event": _begin(record, constraint, waiting, longest),
                "to_event": None if waiting.end[longest] == GOES_ON else int(waiting.end[longest]),
            },
        )
