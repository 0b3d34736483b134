"""Builders of runs: they fill in what does not matter, so that a test names only what does."""

import io
from typing import Any

from model.events import Kind, Skip, Status
from model.log import Header, Log
from model.roster import Roster
from model.scenario import Scenario
from model.tables import Table
from sim.execution import execute, prepare

LINES_MAX = 10_000
_DURATIONS = (
    *(Kind.TaskRebound, Kind.TaskResumed, Kind.TaskStarted, Kind.TaskRetrying, Kind.TaskAbandoned),
    Kind.AgentCrashed,
)
_AMOUNTS = (
    Kind.TaskBlocked,
    Kind.ResourceAcquired,
    Kind.ResourceReleased,
    Kind.ConstraintChanged,
    Kind.DeadlockDetected,
)


def scenario(*, constraints: list[dict[str, Any]] = (), until: str | None = "60s", **rest: Any) -> dict[str, Any]:
    """A scenario as data; `fleets` as a list, or `steps` (and `count` or `arrivals`) of a single fleet `a`."""
    own = ("count", "arrivals", "steps", "stagger", "tenant", "life", "crash")
    fleet = {key: rest.pop(key) for key in own if key in rest}
    if fleet:
        rest["fleets"] = [{"name": "a", **({} if "arrivals" in fleet else {"count": 1}), **fleet}]
    limits = [{"scope": "global", **row} if "scope" not in row else row for row in constraints]
    until_given = {} if until is None else {"until": until}
    return {"name": "test", "constraints": limits, **until_given, **rest}


def run(data: dict[str, Any], tables: dict[str, Table] | None = None) -> Log:
    """Run a scenario that is given as data, with its log in memory."""
    file = io.BytesIO()
    execute(prepare(Scenario.model_validate(data), tables or {}, {}), file)
    return Log.from_bytes(file.getvalue())


def told(log: Log, *, without: tuple[str, ...] = ("RunStarted", "AgentStarted", "AgentFinished")) -> list[str]:
    """Tell a log as lines such as `0.5 TaskBlocked a_1_work#0 slots 3`; times and waits in seconds."""
    lines, roster = [], Roster(log.header)
    for batch in log.batches():
        roster.feed(batch)
        for row in zip(*(column.tolist() for column in batch.columns()), strict=True):
            line = _line(row, log.header, roster)
            if line.split()[1] not in without:
                lines.append(line)
    assert len(lines) < LINES_MAX
    return lines


def _line(row: tuple[int, ...], header: Header, roster: Roster) -> str:
    time, number, agent, step, visit, attempt, constraint, value = row
    kind = Kind(number)
    words = [_seconds(time), kind.name]
    if agent >= 0:
        again = f".{attempt}" if attempt > 0 else ""
        spawned = agent >= header.agents
        if step >= 0 and kind is not Kind.AgentStarted:
            words.append(f"{roster.task_name(agent, step)}#{visit}{again}")
        else:
            words.append(roster.name(agent) if spawned else f"{agent}")
        if step >= 0 and kind is Kind.AgentStarted:
            words.append(f"of {value} by {roster.task_name(value, step)}#{visit}")
    if constraint >= 0:
        words.append(header.constraints[constraint].id)
    if kind in _DURATIONS:
        words.append(_seconds(value))
    elif kind == Kind.TaskFinished:
        words.append(Status(value).name)
    elif kind == Kind.TaskRejected:
        words.append(_seconds(value) if value >= 0 else "never")
    elif kind == Kind.TaskSkipped:
        words.append(Skip(value).name)
    elif kind in _AMOUNTS:
        words.append(str(value))
    return " ".join(words)


def _seconds(ns: int) -> str:
    return f"{ns / 1e9:.9f}".rstrip("0").rstrip(".")


def starts(log: Log) -> list[float]:
    """The times in seconds at which tasks started, in order of the log."""
    return [float(line.split()[0]) for line in told(log) if line.split()[1] == "TaskStarted"]


def digest(data: dict[str, Any]) -> str:
    """The digest of a run."""
    return run(data).digest()
