"""The oracle and the engine side by side."""

import json
from typing import Any

from model.events import Ending, Kind
from model.log import Log
from model.plan import Plan
from model.planner import plan
from model.scenario import Scenario

from .agents import World
from .desk import Row

AROUND = 8


def expected(planned: Plan, follow: list[Row]) -> list[Row]:
    """Return what the documents say that happens; where they leave it to chance who is next, what `follow` says."""
    return World(planned, follow).run()


def rows_of(log: Log) -> list[Row]:
    """Return the rows of a run, but for those that tell of deadlocks: `tests/test_deadlock.py` is about them."""
    rows: list[Row] = []
    for batch in log.batches():
        each = zip(*(column.tolist() for column in batch.columns()), strict=True)
        rows += [row for row in each if row[1] != Kind.DeadlockDetected]
    return rows


def difference(scenario: dict[str, Any], log: Log) -> str | None:
    """Tell where a log differs from what the oracle says, or None."""
    planned = plan(Scenario.model_validate(scenario), {})
    found = rows_of(log)
    wanted = expected(planned, found)
    if found[-1][-1] == Ending.reached:  # the engine may: what was called off is still in its schedule
        wanted[-1] = (*wanted[-1][:-1], found[-1][-1])
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
