"""The header says what the scenario says: who is governed by what, how much it asks for, and which numbers when.

Worked out one by one from the rules of sections 4 and 5 (scopes are shell-style patterns over the name of the task, the
fleet or the tenant; `needs` adds to them; a later constraint with the same scope, type and thing counted replaces the
earlier one for good), without the planner. Incidents come after the constraints, and hit what their scope matches, or what
constraints govern that it names; where their times are constant, they are those. A hold, and a task that keeps its slots
while it backs off, state all amounts; a step that spawns names the fleet.
"""

from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import pairwise
from typing import Any

from model.log import ConstraintEntry, Log
from model.units import MICRO, TIME_MAX_NS, parse_amount, parse_duration

from . import program
from .reading import Reading, read
from .timeline import changes, in_force

RULE = "declared"


def check(log: Log) -> list[str]:
    """Return where the header says something else than the scenario."""
    reading = read(log)
    if not reading.header.scenario:
        return []  # a log written by hand, without a scenario to keep to
    if not program.same_steps(reading.header):
        return [f"{RULE}: the fleets and steps in the header are not those of the scenario"]
    rows = program.limits(reading.header.scenario)
    if [row["id"] for row in rows] != [entry.id for entry in reading.header.constraints]:
        return [f"{RULE}: the constraints in the header are not those of the scenario"]
    found = []
    limits = reading.header.scenario.get("constraints", [])
    for number, entry in enumerate(reading.header.constraints[: len(limits)]):
        found += _settings(reading, entry, number, limits)
    incidents = reading.header.scenario.get("incidents", [])
    for incident, entry in zip(incidents, reading.header.constraints[len(limits) :], strict=True):
        found += _episodes(reading, entry, incident)
    names = [fleet.name for fleet in reading.header.fleets]
    first_step = 0
    for fleet, entry in zip(reading.header.scenario["fleets"], reading.header.fleets, strict=True):
        for number, step, _ in program.flat(fleet["steps"], first_step):
            stated = reading.header.steps[number]
            spawned = None if stated.spawned is None else names[stated.spawned]
            states_all = _states_all(reading, number, step)
            if (stated.states_all, spawned) != (states_all, step.get("spawn")):
                found.append(f"{RULE}: step {number} states all: {stated.states_all}, spawns: {spawned}; it is {step}")
        for number, task in program.tasks(fleet["steps"], first_step).items():
            for local in range(max(1, entry.count)):  # agents that are spawned are all alike
                expected = _demands(rows, fleet, task, local)
                actual = _stated(reading, number, local)
                if actual != expected:
                    name = f"{fleet['name']}_{local}_{program.name_of(task)}"
                    found.append(f"{RULE}: {name} asks for {actual} in the header; the scenario says {expected}")
        first_step += program.size(fleet["steps"])
    return found


def _states_all(reading: Reading, number: int, step: dict[str, Any]) -> bool:
    governing = {demand.constraint for group in reading.header.steps[number].demands for demand in group}
    drawn = {row.id for row in reading.header.constraints if program.is_drawn(step.get("needs", {}).get(row.id))}
    return (
        "hold" in step
        or bool((step.get("retry") or {}).get("hold_during_backoff"))
        or step.get("acquire", "atomic") != "atomic"
        or any(reading.settles(number, each) for each in governing)
        or bool(drawn)
    )


def _stated(reading: Reading, number: int, local: int) -> dict[int, int | None]:
    step = reading.header.steps[number]
    group = next((group for first, last, group in step.groups if first <= local <= last), 0)
    return {demand.constraint: demand.amount for demand in step.demands[group]}


def _demands(
    rows: list[dict[str, Any]], fleet: dict[str, Any], task: dict[str, Any], local: int
) -> dict[int, int | None]:
    demands: dict[int, int | None] = {}
    for number, row in enumerate(rows):
        level, _, pattern = (row.get("scope") or "").partition(":")
        if level == "constraint":
            hit = any(fnmatchcase(rows[other]["id"], pattern) for other in demands if rows[other]["type"] != "incident")
        else:
            hit = _governs(row.get("scope"), fleet, f"{fleet['name']}_{local}_{program.name_of(task)}")
        if not hit and row["id"] not in task.get("needs", {}):
            continue
        charge, counts = row.get("charge", "on_start"), row.get("counts", "requests")
        demands[number] = program.constant_cost(task, row)
        if charge == "settle" and counts in (task.get("reserve") or {}):
            amount = task["reserve"][counts]
            drawn = isinstance(amount, dict)
            demands[number] = None if drawn else round(parse_amount(amount) * program.scale(row["type"]))
        if charge in ("on_finish", "as_produced"):
            demands[number] = 1  # it starts while anything is left
    return demands


def _governs(scope: str | None, fleet: dict[str, Any], task: str) -> bool:
    if scope is None:
        return False
    level, _, pattern = scope.partition(":")
    name = {"global": "", "task": task, "fleet": fleet["name"], "tenant": fleet.get("tenant")}[level]
    return level == "global" or (name is not None and fnmatchcase(name, pattern))


def _settings(reading: Reading, entry: ConstraintEntry, number: int, rows: list[dict[str, Any]]) -> list[str]:
    """Compare the numbers at every time at which any constraint of the scenario could change."""
    times = {0} | {time for time, _ in entry.settings}
    for row in rows:
        times |= {parse_duration(row[key]) for key in ("from", "expires") if key in row}
        times |= {time for time, _ in changes(row, reading.header.until_ns)}
    stated = [time for time, _ in entry.settings]
    if stated != sorted(set(stated)) or stated[0] != 0:
        return [f"{RULE}: {entry.id} has settings at {stated} ns; they have to begin at 0 and go up"]
    for time in sorted(times):
        expected = in_force(rows, number, time, reading.header.until_ns)
        actual = [numbers for since, numbers in entry.settings if since <= time][-1]
        if _comparable(actual) != _comparable(expected):
            return [f"{RULE}: {entry.id} is {actual} at {time} ns in the header; the scenario says {expected}"]
    return []


def _episodes(reading: Reading, entry: ConstraintEntry, incident: dict[str, Any]) -> list[str]:
    """Compare what an incident does, and when; where that is drawn, the times have to be as it is drawn."""
    numbers = {key: round(incident.get(key, 0) * MICRO) for key in ("refuse", "fail")}
    numbers |= {"slow": round(incident.get("slow", 1) * MICRO), "block": int(incident.get("block", False))}
    numbers |= {"new": int(incident.get("applies_to") == "new")}
    stated = [time for time, _ in entry.settings]
    each = [on for _, on in entry.settings]
    alternates = all((a is None) != (b is None) for a, b in pairwise(each))
    if (
        stated != sorted(set(stated))
        or stated[0] != 0
        or not alternates
        or any(on not in (None, numbers) for on in each)
    ):
        return [f"{RULE}: {entry.id} has settings {entry.settings}; the scenario says {incident}"]
    ends = [*stated[1:], None]
    spells = [(since, end) for (since, on), end in zip(entry.settings, ends, strict=True) if on is not None]
    until = TIME_MAX_NS if reading.header.until_ns is None else reading.header.until_ns
    between, lasts = incident.get("between"), incident.get("lasts")
    gap, length = program.constant(between or 0), program.constant(lasts or 0)
    at = incident.get("at") if isinstance(incident.get("at"), list) else [incident.get("at", 0)]
    expected: list[tuple[int, int | None]] = []
    starts = [parse_duration(time) for time in at] if between is None else None
    while gap is not None and length is not None:
        if starts is None:
            start = gap + (expected[-1][1] or 0 if expected else 0)
        elif starts:
            start = starts.pop(0)
        else:
            break
        if start > until:
            break
        expected.append((start, None if lasts is None else start + length))
    else:
        return _as_drawn(entry, spells, starts, gap, length, until)
    if _merged(expected) != spells:
        return [f"{RULE}: {entry.id} lasts {spells} ns in the header; the scenario says {_merged(expected)}"]
    return []


Spells = list[tuple[int, int | None]]


def _merged(spells: Spells) -> Spells:
    """Return the times at which it is there; what comes again before it is over, or as it ends, is one."""
    found: Spells = []
    for start, end in spells:
        if start == end:
            continue
        last = found[-1][1] if found else -1
        if last is None:
            break
        if start <= last:
            found[-1] = found[-1][0], None if end is None else max(last, end)
        else:
            found.append((start, end))
    return found


def _as_drawn(
    entry: ConstraintEntry, spells: Spells, starts: list[int] | None, gap: int | None, length: int | None, until: int
) -> list[str]:
    """Check what can be told of times of which some are drawn."""
    found = []
    for (start, end), before in zip(spells, [None, *spells], strict=False):
        pause = start - (before[1] or 0 if before else 0)
        if (
            start > until
            or end is None
            or (starts is not None and start not in starts)
            or (gap is not None and starts is None and pause % gap)
            or (length and starts is None and (end - start) % length)
        ):
            found.append(f"{RULE}: {entry.id} does not last from {start} to {end} ns as the scenario says")
    return found


def _comparable(numbers: dict[str, int] | None) -> object:
    """Return the numbers so that 2 a second and 4 in 2 seconds are the same rate."""
    if numbers is None or "tokens" not in numbers:
        return numbers
    rate = Fraction(numbers["tokens"], numbers["period_ns"])
    return rate, {key: value for key, value in numbers.items() if key not in ("tokens", "period_ns")}
