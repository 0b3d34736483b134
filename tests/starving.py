"""Starvation and priority inversions, worked out again from the rows of a log: brute force, every row for every wait.

A wait is followed from its `TaskBlocked` on, row by row. Each row in which somebody takes some of what it is bound to is an
overtaking where that was asked for later: the row itself, or the `TaskBlocked` of the wait that it ends. Who holds what is
known from `tests.invariants.replay`; whether a wait is an inversion is asked between any two instants.
"""

from collections import Counter
from typing import Any, NamedTuple

from model.events import Kind
from model.log import Log
from model.units import parse_duration

from .invariants.reading import Reading, Row, Visit, read
from .invariants.replay import Replay

ENDS = (Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned)
Dict = dict[str, Any]


class Wait(NamedTuple):
    """A wait: the row that begins it, the row that ends it, and from which row on it is bound to what."""

    begin: Row
    end: Row | None
    bound: dict[int, int]

    def bound_at(self, number: int) -> int:
        """What it is bound to at an event."""
        return self.bound[max(each for each in self.bound if each <= number)]


def waits(reading: Reading) -> list[Wait]:
    """Return all waits, in the order in which they begin."""
    found = []
    for row in reading.rows:
        if row.kind == Kind.TaskBlocked:
            later = [each for each in reading.rows[row.number :] if each.task == row.task]
            end = next((each for each in later if each.kind in ENDS), None)
            until = len(reading.rows) if end is None else end.number
            comes = [each for each in later if each.kind in (Kind.TaskBlocked, Kind.TaskRebound)]
            found.append(Wait(row, end, {each.number: each.constraint for each in comes if each.number < until}))
    return found


def bound_of(scenario: Dict, fleet: Dict) -> tuple[str, str, int] | None:
    """Return whose bound holds for the tasks of a fleet, and the bound."""
    if "starvation" in fleet:
        return "fleet", fleet["name"], parse_duration(fleet["starvation"])
    tenant = scenario.get("tenants", {}).get(fleet.get("tenant"), {})
    if "starvation" in tenant:
        return "tenant", fleet["tenant"], parse_duration(tenant["starvation"])
    return None


def taken(reading: Reading, row: Row) -> list[int]:
    """Return the constraints of which something is taken in a row, or that are passed."""
    if row.kind == Kind.ResourceAcquired:
        return [row.constraint] if row.value > 0 else []
    if row.kind != Kind.TaskStarted:
        return []
    step = reading.header.steps[row.step]
    amounts = reading.amounts(row.task)
    if step.states_all:
        return [number for number in amounts if reading.defers(number)]
    stated = {d.constraint for group in step.demands for d in group if d.amount is None}
    return [number for number, amount in amounts.items() if number not in stated and amount]


def asked(reading: Reading, row: Row, constraint: int) -> int:
    """Return the event by which was asked for what is taken in a row."""
    for before in reversed(reading.rows[: row.number]):
        if before.task != row.task or before.time != row.time or before.kind not in (*ENDS, Kind.ResourceAcquired):
            return row.number
        if before.kind == Kind.TaskResumed:
            break
    else:
        return row.number
    earlier = [each for each in reading.rows[: before.number] if each.task == row.task]
    stage = next(stage for stage in reading.stages(row.task) if constraint in stage)
    if before.constraint not in stage and all(each.kind != Kind.TaskStarted for each in earlier):
        return row.number
    return next(each.number for each in reversed(earlier) if each.kind == Kind.TaskBlocked)


def starvation(log: Log, worst: int, overtakings: int) -> list[Dict]:
    """Return what a run reports, with so many of the worst, and so many overtakings of each."""
    reading = read(log)
    scenario = reading.header.scenario
    bounds = {fleet["name"]: bound_of(scenario, fleet) for fleet in scenario["fleets"]}
    every = [(wait, bounds[reading.fleet(wait.begin.agent).name]) for wait in waits(reading)]
    takes = [(row, number, asked(reading, row, number)) for row in reading.rows for number in taken(reading, row)]
    found = []
    for key in dict.fromkeys(key for key in bounds.values() if key is not None):
        mine = [wait for wait, other in every if other == key]
        over = [wait for wait in mine if _length(reading, wait) > key[2]]
        over.sort(key=lambda wait: (-_length(reading, wait), wait.begin.number))
        told = []
        for wait in over[:worst]:
            until = len(reading.rows) if wait.end is None else wait.end.number
            by = [
                row
                for row, number, since in takes
                if wait.begin.number < row.number < until
                and number == wait.bound_at(row.number)
                and since > wait.begin.number
            ]
            fleets = Counter(reading.fleet(row.agent).name for row in by)
            told.append(
                {
                    **_about(reading, wait),
                    "wait_ns": _length(reading, wait),
                    "end_event": None if wait.end is None else wait.end.number,
                    "waits_for": reading.constraint(wait.bound_at(until - 1)),
                    "overtaken": len(by),
                    "overtaken_by": dict(fleets),
                    "overtakings": [row.number for row in by[:overtakings]],
                }
            )
        found.append(
            {key[0]: key[1], "bound_ns": key[2], "waits": len(mine), "exceeded": len(over), "worst": told},
        )
    return found


def _length(reading: Reading, wait: Wait) -> int:
    return (reading.end if wait.end is None else wait.end.time) - wait.begin.time


def _about(reading: Reading, wait: Wait) -> Dict:
    row = wait.begin
    return {"task": reading.task_name(row), "visit": row.visit, "attempt": row.attempt, "event": row.number}


def inversions(log: Log, worst: int) -> Dict:
    """Return what a run reports, with so many of the worst."""
    reading = read(log)
    replay = Replay(reading)
    since: dict[tuple[Visit, int], Row] = {}  # who holds some of what, from which row on
    bound: dict[Visit, tuple[Row, Row]] = {}  # who waits: the row that began it, and the one that bound it
    found: dict[tuple[int, int], Dict] = {}
    now = 0
    for row in reading.rows:
        for first, last in bound.values() if row.time > now else ():
            priority = reading.priority(first.task)
            lower = [
                (reading.priority(taken.task), taken.number, taken)
                for (_, number), taken in since.items()
                if number == last.constraint and reading.priority(taken.task) < priority
            ]
            if lower:
                _, _, holder = min(lower)
                about = found.setdefault(
                    (first.number, last.number),
                    {
                        **_about(reading, Wait(first, None, {})),
                        "priority": priority,
                        "waits_for": reading.constraint(last.constraint),
                        "inverted_ns": 0,
                        "from_ns": now,
                        "held_by": {
                            "task": reading.task_name(holder),
                            "visit": holder.visit,
                            "priority": reading.priority(holder.task),
                            "since_ns": holder.time,
                            "event": holder.number,
                        },
                    },
                )
                about["inverted_ns"] += row.time - now
                about["to_ns"] = row.time
        now = row.time
        replay.apply(row)
        held = {
            (visit, number)
            for visit, amounts in replay.holding.items()
            for number, amount in amounts.items()
            if amount and reading.holds(number)
        }
        since = {key: taken for key, taken in since.items() if key in held}
        since |= {key: row for key in held if key not in since}
        if row.kind == Kind.TaskBlocked:
            bound[row.task.whole] = row, row
        elif row.kind == Kind.TaskRebound:
            bound[row.task.whole] = bound[row.task.whole][0], row
        elif row.kind in ENDS:
            bound.pop(row.task.whole, None)
    every = sorted(found.items(), key=lambda pair: (-pair[1]["inverted_ns"], pair[0]))
    told = [about for _, about in every]
    return {
        "episodes": len(told),
        "inverted_ns": sum(each["inverted_ns"] for each in told),
        "worst": told[:worst],
    }
