"""The header says what the scenario says: who is governed by what, how much it asks for, and which numbers when.

Worked out one by one from the rules of sections 4 and 5 (scopes are shell-style patterns over the name of the task, the
fleet or the tenant; `needs` adds to them; a later constraint with the same scope, type and thing counted replaces the
earlier one for good), without the planner. A hold, and a task that keeps its slots while it backs off, state all amounts;
a step that spawns names the fleet.
"""

from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

from model.log import ConstraintEntry, Log
from model.units import parse_amount, parse_duration, parse_rate

from . import program
from .reading import Reading, read

RULE = "declared"


def check(log: Log) -> list[str]:
    """Return where the header says something else than the scenario."""
    reading = read(log)
    if not reading.header.scenario:
        return []  # a log written by hand, without a scenario to keep to
    if not program.same_steps(reading.header):
        return [f"{RULE}: the fleets and steps in the header are not those of the scenario"]
    rows = reading.header.scenario.get("constraints", [])
    if [row["id"] for row in rows] != [entry.id for entry in reading.header.constraints]:
        return [f"{RULE}: the constraints in the header are not those of the scenario"]
    found = []
    for number, entry in enumerate(reading.header.constraints):
        found += _settings(reading, entry, number, rows)
    names = [fleet.name for fleet in reading.header.fleets]
    first_step = 0
    for fleet, entry in zip(reading.header.scenario["fleets"], reading.header.fleets, strict=True):
        for number, step, _ in program.flat(fleet["steps"], first_step):
            stated = reading.header.steps[number]
            spawned = None if stated.spawned is None else names[stated.spawned]
            if (stated.states_all, spawned) != (_states_all(step), step.get("spawn")):
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


def _states_all(step: dict[str, Any]) -> bool:
    return "hold" in step or bool((step.get("retry") or {}).get("hold_during_backoff"))


def _stated(reading: Reading, number: int, local: int) -> dict[int, int | None]:
    step = reading.header.steps[number]
    group = next((group for first, last, group in step.groups if first <= local <= last), 0)
    return {demand.constraint: demand.amount for demand in step.demands[group]}


def _demands(
    rows: list[dict[str, Any]], fleet: dict[str, Any], task: dict[str, Any], local: int
) -> dict[int, int | None]:
    demands: dict[int, int | None] = {}
    for number, row in enumerate(rows):
        if not _governs(row.get("scope"), fleet, f"{fleet['name']}_{local}_{program.name_of(task)}") and (
            row["id"] not in task.get("needs", {})
        ):
            continue
        cost = task.get("cost")
        counts = row.get("counts", "requests")
        if isinstance(cost, dict) and not _is_drawn(cost):
            cost = cost.get(counts)
        if row["type"] != "rate_limit" or cost is None:
            demands[number] = task.get("needs", {}).get(row["id"], 1)
        else:
            demands[number] = None if isinstance(cost, dict) else round(parse_amount(cost))
    return demands


_DISTRIBUTIONS = {
    "uniform", "exponential", "lognormal", "gamma", "erlang", "weibull", "pareto", "triangular", "empirical", "mixture"
}  # fmt: skip


def _is_drawn(cost: dict[str, Any]) -> bool:
    return len(cost) == 1 and set(cost) <= _DISTRIBUTIONS


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
        times |= {parse_duration(change["at"]) for change in row.get("changes", [])}
    stated = [time for time, _ in entry.settings]
    if stated != sorted(set(stated)) or stated[0] != 0:
        return [f"{RULE}: {entry.id} has settings at {stated} ns; they have to begin at 0 and go up"]
    for time in sorted(times):
        expected = _in_force(rows, number, time)
        actual = [numbers for since, numbers in entry.settings if since <= time][-1]
        if _comparable(actual) != _comparable(expected):
            return [f"{RULE}: {entry.id} is {actual} at {time} ns in the header; the scenario says {expected}"]
    return []


def _comparable(numbers: dict[str, int] | None) -> object:
    """Return the numbers so that 2 a second and 4 in 2 seconds are the same rate."""
    if numbers is None or "tokens" not in numbers:
        return numbers
    return numbers["burst"], Fraction(numbers["tokens"], numbers["period_ns"])


def _in_force(rows: list[dict[str, Any]], number: int, time: int) -> dict[str, int] | None:
    row = rows[number]
    begins = parse_duration(row.get("from", 0))
    if time < begins or ("expires" in row and time >= parse_duration(row["expires"])):
        return None
    for other, later in enumerate(rows):
        since = parse_duration(later.get("from", 0))
        replaces = row.get("scope") is not None and _kin(row) == _kin(later) and (since, other) > (begins, number)
        if replaces and since <= time:
            return None
    values = {key: row[key] for key in ("limit", "rate", "burst", "paused") if key in row}
    for change in row.get("changes", []):
        if parse_duration(change["at"]) <= time:
            values.update({key: value for key, value in change.items() if key != "at"})
    if row["type"] == "concurrency":
        return {"limit": values["limit"]}
    if row["type"] == "pause":
        return {"paused": int(values.get("paused", True))}
    rate = parse_rate(values["rate"])
    return {"tokens": rate.tokens, "period_ns": rate.period_ns, "burst": values.get("burst", rate.depth)}


def _kin(row: dict[str, Any]) -> tuple[object, ...]:
    if row["type"] != "rate_limit":
        return row.get("scope"), row["type"]
    counts, algorithm = row.get("counts", "requests"), row.get("algorithm", "token_bucket")
    return row.get("scope"), row["type"], counts, algorithm, parse_rate(row["rate"]).period_ns, row.get("slice")
