"""The oracle and the engine side by side."""

import json
from typing import Any

from model.events import Kind
from model.log import Log
from model.plan import Plan
from model.planner import plan
from model.scenario import Scenario

from .agents import World
from .desk import Row

AROUND = 8


KNOWN: frozenset[str] = frozenset()
"""Where the engine is known to do other than the documents say; each has a test of its own that is expected to fail."""


def expected(planned: Plan, known: frozenset[str] = frozenset()) -> list[Row]:
    """Return what the documents say that happens, but for what is `known` to be otherwise."""
    return World(planned, known).run()


def _comparable(world: World, rows: list[Row]) -> list[Row]:
    """Return the rows up to the first instant at which several buckets were refilled one by one: their order is open."""
    return [row for row in rows if world.desk.refills_at_once is None or row[0] < world.desk.refills_at_once]


def rows_of(log: Log) -> list[Row]:
    """Return the rows that a run has written."""
    rows: list[Row] = []
    for batch in log.batches():
        rows += zip(*(column.tolist() for column in batch.columns()), strict=True)
    return rows


def difference(scenario: dict[str, Any], log: Log, known: frozenset[str] = KNOWN) -> str | None:
    """Tell where a log differs from what the oracle says, or None."""
    planned = plan(Scenario.model_validate(scenario), {})
    world = World(planned, known)
    wanted, found = _comparable(world, world.run()), rows_of(log)
    found = _comparable(world, found)
    if wanted == found:
        return None
    pairs = zip(wanted, found, strict=False)
    at = next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(wanted), len(found)))
    lines = [json.dumps(scenario), f"event {at} differs"]
    for name, rows in (("oracle", wanted), ("engine", found)):
        lines.append(f"{name}:")
        for number in range(max(0, at - AROUND), min(len(rows), at + AROUND)):
            lines.append(f"{'>' if number == at else ' '} {number:4} {told(rows[number], planned)}")
    return "\n".join(lines)


def told(row: Row, planned: Plan) -> str:
    """Tell a row in words."""
    time, kind, agent, step, visit, attempt, constraint, value = row
    words = [f"{time / 1e9:.9g}", Kind(kind).name]
    if agent >= 0:
        words.append(f"agent {agent}")
    if step >= 0:
        words.append(f"{planned.steps[step].name}#{visit}.{attempt}")
    if constraint >= 0:
        words.append(planned.constraints[constraint].id)
    return " ".join([*words, str(value)])
