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
from sim.analysis.waits import GOES_ON, Integers, Waits

PERIODS = 5
"""Of how many times in which it bound is told."""
GROUPS = 5
"""How many steps are told that had it, or waited for it."""
AGENTS = 3
"""How many agents of each are named."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The stretches in which tasks waited for the constraint, of some length each."""

    agent: Integers
    step: Integers
    from_ns: Integers
    to_ns: Integers
    end: Integers


def of_constraint(record: Record, constraint: int) -> Explanation:
    """Explain who made a constraint bind."""
    inquiry, entry = Inquiry(record), record.header.constraints[constraint]
    waiting = _waiting(record, constraint)
    found = Explanation({"constraint": entry.id, "from_ns": 0, "to_ns": record.end_ns})
    facts: Facts = {"constraint": entry.id, "type": entry.type}
    if not len(waiting.agent):
        found.statements.append(Statement("never_bound", {**facts, "to_ns": record.end_ns}))
        return found
    periods = _periods(record, constraint, waiting)
    bound_ns = sum(each["to_ns"] - each["from_ns"] for each in periods)
    waited_ns = int((waiting.to_ns - waiting.from_ns).sum())
    whole = {"ns": bound_ns, "whole_ns": record.end_ns, "periods": len(periods)}
    first = {"from_event": periods[0]["from_event"], "to_event": periods[-1]["to_event"]}
    told = {**facts, **whole, "waits": len(waiting.agent), "waited_ns": waited_ns, **first}
    found.statements.append(Statement("bound", told))
    longest = sorted(periods, key=lambda each: each["from_ns"] - each["to_ns"])[:PERIODS]
    longest.sort(key=lambda each: each["from_ns"])
    found.statements += [Statement("bound_from", {**facts, **each}) for each in longest]
    if len(periods) > PERIODS:
        ns = bound_ns - sum(each["to_ns"] - each["from_ns"] for each in longest)
        found.statements.append(Statement("periods_left_out", {**facts, "count": len(periods) - PERIODS, "ns": ns}))
    if is_held(record, constraint) or entry.type in TIMED:
        had = inquiry.holdings(constraint)
        found.statements += _usage(record, constraint, had, periods)
        found.statements += _users(record, constraint, had, waiting)
    found.statements += _waiters(record, constraint, waiting)
    return found


def _waiting(record: Record, constraint: int) -> _Waiting:
    fold, parts = Waits(), []
    for told in [*(fold.feed(batch) for _, batch in record.chunks()), fold.rest()]:
        to_ns = np.where(told.end == GOES_ON, record.end_ns, told.end_ns)
        mine = np.flatnonzero((told.constraint == constraint) & (to_ns > told.since_ns))
        parts.append(
            (told.agent[mine], told.step[mine].astype(np.int64), told.since_ns[mine], to_ns[mine], told.end[mine])
        )
    return _Waiting(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _periods(record: Record, constraint: int, waiting: _Waiting) -> list[Facts]:
    """Return the times in which somebody waited, with how many did at most."""
    comes = np.sort(
        np.concatenate([record.events_of(kind, constraint) for kind in (Kind.TaskBlocked, Kind.TaskRebound)])
    )
    order = np.argsort(waiting.from_ns, kind="stable")
    from_ns, to_ns, ends = waiting.from_ns[order], waiting.to_ns[order], waiting.end[order]
    latest = np.maximum.accumulate(to_ns)
    begins = np.flatnonzero(np.append(True, from_ns[1:] > latest[:-1]))
    times, counts = _steps(np.concatenate([from_ns, to_ns]), np.repeat(np.array([1, -1]), len(from_ns)))
    told = []
    for begin, stop in zip(begins.tolist(), [*begins[1:].tolist(), len(order)], strict=True):
        since, until = int(from_ns[begin]), int(latest[stop - 1])
        inside = slice(*np.searchsorted(times, (since, until)))
        event = int(comes[np.searchsorted(record.rows.time[comes], since)])
        last = ends[begin:stop][to_ns[begin:stop] == until]
        told.append(
            {
                "from_ns": since,
                "from_event": event,
                "to_ns": until,
                "to_event": None if (last == GOES_ON).any() else int(last.max()),
                "most": int(counts[inside].max()),
            }
        )
    return told


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


def _usage(record: Record, constraint: int, had: Holdings, periods: list[Facts]) -> Iterator[Statement]:
    """Tell how much of it was used while it bound."""
    entry = record.header.constraints[constraint]
    facts: Facts = {"constraint": entry.id, "type": entry.type, "ns": sum(p["to_ns"] - p["from_ns"] for p in periods)}
    used: float = 0
    available: float = 0
    if is_held(record, constraint):
        events, values = limits(record, constraint)
        times = np.append(0, record.rows.time[events[1:]])
        held_at, held = _held(record, had)
        for each in periods:
            used += _area(held_at, held, each["from_ns"], each["to_ns"])
            available += _area(
                times, np.diff(np.maximum(values, 0), prepend=0).cumsum(), each["from_ns"], each["to_ns"]
            )
    else:
        for each in periods:
            inside = (had.took_ns > each["from_ns"]) & (had.took_ns <= each["to_ns"])
            used += int(had.amount[inside].sum())
            available += _brought(record, constraint, each["from_ns"], each["to_ns"])
    event = {"from_event": periods[0]["from_event"], "to_event": periods[-1]["to_event"]}
    yield Statement("used", {**facts, "used": used, "available": available, **event})


def _held(record: Record, had: Holdings) -> tuple[Integers, Integers]:
    ends = np.minimum(had.gave_ns, record.end_ns)
    return _steps(np.append(had.took_ns, ends), np.append(had.amount, -had.amount))


def _area(times: Integers, values: Integers, from_ns: int, to_ns: int) -> int:
    """Return the sum of a step function over a time, in its unit times ns."""
    inside = times[(times > from_ns) & (times < to_ns)]
    edges = np.concatenate([[from_ns], inside, [to_ns]])
    return int((_at(times, values, edges[:-1]) * np.diff(edges)).sum())


def _brought(record: Record, constraint: int, from_ns: int, to_ns: int) -> float:
    """Return what a rate brings in a time."""
    brought, settings = 0.0, record.header.constraints[constraint].settings
    for place, (since, numbers) in enumerate(settings):
        until = settings[place + 1][0] if place + 1 < len(settings) else to_ns
        ns = min(until, to_ns) - max(since, from_ns)
        if numbers is not None and ns > 0 and numbers["period_ns"]:
            brought += numbers.get("tokens", numbers.get("total", 0)) * ns / numbers["period_ns"]
    return brought


def _users(record: Record, constraint: int, had: Holdings, waiting: _Waiting) -> Iterator[Statement]:
    """Tell by step who had it, and for how much of the time that others waited."""
    entry = record.header.constraints[constraint]
    ends = np.minimum(had.gave_ns, record.end_ns)
    waits_at, waits = _steps(
        np.append(waiting.from_ns, waiting.to_ns), np.repeat(np.array([1, -1]), len(waiting.from_ns))
    )
    held_at, held = _held(record, had)
    times = np.unique(np.concatenate([waits_at, held_at]))
    each_ns = np.diff(times, append=times[-1]) * _at(waits_at, waits, times)
    there = _at(held_at, held, times)
    a_unit = np.divide(each_ns, there, out=np.zeros(len(times)), where=there > 0)
    so_far = np.append(0.0, np.cumsum(a_unit))
    charged = had.amount * (so_far[np.searchsorted(times, ends)] - so_far[np.searchsorted(times, had.took_ns)])
    amounts = had.amount * (ends - had.took_ns) if is_held(record, constraint) else had.amount
    whole, waited_ns = float(amounts.sum(dtype=np.float64)), int(each_ns.sum())
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
            "amount": float(amounts[mine].sum(dtype=np.float64)),
            "whole_amount": whole,
            "charged_ns": charged_ns,
            "waited_ns": waited_ns,
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


def _waiters(record: Record, constraint: int, waiting: _Waiting) -> Iterator[Statement]:
    """Tell by step who waited for it."""
    entry, ns = record.header.constraints[constraint], waiting.to_ns - waiting.from_ns
    by_step = [(int(ns[waiting.step == step].sum()), step) for step in np.unique(waiting.step).tolist()]
    by_step.sort(key=lambda pair: (-pair[0], pair[1]))
    for waited_ns, step in by_step[:GROUPS]:
        name = record.header.fleets[record.header.steps[step].fleet].name
        mine = np.flatnonzero(waiting.step == step)
        longest = mine[np.argmax(ns[mine])]
        yield Statement(
            "waited_for",
            {
                "constraint": entry.id,
                "fleet": name,
                "step": record.header.steps[step].name,
                "waits": len(mine),
                "ns": waited_ns,
                "longest_ns": int(ns[longest]),
                "event": None if waiting.end[longest] == GOES_ON else int(waiting.end[longest]),
            },
        )
