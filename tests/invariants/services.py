"""Agents do what the scenario says, when it says so (contract, sections 1, 2 and 4; it needs the scenario in the header).

- Agents start at their times: all at 0, one `stagger` after another, `every` so often, or `at` the times given.
- An agent goes through its steps as they are written. It asks for a task at the very time at which what came before
  ended, later by its thinking; it finishes when nothing is left.
- A started task runs exactly as long as its duration says. A task that was refused takes no time.
- Nothing is overdue at the end: whatever is due by then, that instant included, has happened. A run without `until` goes
  on until nobody has anything left to do but to wait.

Where a time is drawn it may be anything from 0 on.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from model.events import Kind
from model.log import Log

from . import program
from .reading import ASKING_KINDS, Reading, Row, read

RULE = "services"
THINKS_MAX = 1000
"""An agent that thinks so often one after another may do so for ever, and is not followed any further."""
MILESTONES = ASKING_KINDS | {Kind.AgentStarted, Kind.AgentFinished, Kind.TaskFinished}


def check(log: Log) -> list[str]:
    """Return who does something else, or at another time."""
    reading = read(log)
    scenario = reading.header.scenario
    if not scenario or not program.same_steps(reading.header):
        return []  # a log written by hand, without a scenario to keep to; other steps are reported by `declared`
    by_agent: dict[int, list[Row]] = {agent: [] for agent in range(reading.header.agents)}
    for row in reading.rows:
        if row.kind in MILESTONES and row.agent >= 0:
            again = row.kind == Kind.AgentStarted and by_agent[row.agent]
            by_agent[row.agent] += [] if again else [row]  # that an agent starts again is reported by `order`
    found, first_step = [], 0
    for fleet, entry in zip(scenario["fleets"], reading.header.fleets, strict=True):
        agents = range(entry.first, entry.first + entry.count)
        found += _starts(reading, fleet, [by_agent[agent] for agent in agents])
        for agent in agents:
            rows = by_agent[agent]
            if rows and rows[0].kind == Kind.AgentStarted:
                found += _agent(reading, rows, program.walk(fleet["steps"], first_step))
        first_step += program.size(fleet["steps"])
    return found


def _starts(reading: Reading, fleet: dict[str, Any], agents: list[list[Row]]) -> list[str]:
    """Check when the agents of a fleet start."""
    expected = program.starts(fleet, reading.header.until_ns)
    if expected is None:
        return []
    if len(expected) != len(agents):
        return [f"{RULE}: fleet {fleet['name']} has {len(agents)} agents in the header; it has to be {len(expected)}"]
    found = []
    for number, (time, rows) in enumerate(zip(expected, agents, strict=True)):
        first = rows[0] if rows else None
        if time is None or (first is not None and first.time == time):
            continue
        if first is not None and first.kind == Kind.AgentStarted:
            found.append(reading.say(RULE, first, f"the agent has to start at {time} ns"))
        elif first is None and (time <= reading.end or reading.header.until_ns is None):
            found.append(f"{RULE}: agent {number} of fleet {fleet['name']} has to start at {time} ns; no row says so")
    return found


def _agent(reading: Reading, rows: list[Row], doing: Iterator[program.Busy | program.Work]) -> list[str]:
    """Follow one agent through its steps; the first thing that differs is reported, as all after it would differ."""
    at = iter(_merged(rows)[1:])
    earliest, latest = rows[0].time, rows[0].time  # when it is ready for what comes next
    exact, idle = True, 0
    for do in doing:
        if isinstance(do, program.Busy):
            earliest, exact, idle = earliest + (do.ns or 0), exact and do.ns is not None, idle + 1
            if idle > THINKS_MAX:
                break
            continue
        idle = 0
        asks = next(at, None)
        due = f"ask for step {do.step} ({reading.header.steps[do.step].name}) at {_time(earliest, exact)}"
        if asks is None:
            return _overdue(reading, rows[-1], earliest, exact, due)
        if asks.kind not in ASKING_KINDS or asks.step != do.step or not _at(asks.time, earliest, exact):
            return [reading.say(RULE, asks, f"the agent has to {due}")]
        begins = next((row for row in rows if row.task == asks.task and row.kind == Kind.TaskStarted), None)
        ends = next(at, None)
        if begins is None and ends is None:
            return []  # still waiting
        latest = asks.time if begins is None else begins.time
        if begins is None and ends is not None:
            latest = ends.time if asks.kind == Kind.TaskBlocked else asks.time  # refused, at once or after waiting
        length = do.ns if begins is not None else 0
        due = f"end {reading.who(asks.task)} at {_time(latest + (length or 0), length is not None)}"
        if ends is None:
            return _overdue(reading, rows[-1], latest + (length or 0), length is not None, due)
        if ends.kind != Kind.TaskFinished or not _at(ends.time, latest + (length or 0), length is not None):
            return [reading.say(RULE, ends, f"the agent has to {due}")]
        earliest, exact = ends.time, True
    finishes = next(at, None)
    due = f"finish at {_time(earliest, exact)}"
    if finishes is None:
        return _overdue(reading, rows[-1], earliest, exact, due)
    if finishes.kind != Kind.AgentFinished or not _at(finishes.time, earliest, exact):
        return [reading.say(RULE, finishes, f"the agent has to {due}")]
    return []


def _merged(rows: list[Row]) -> list[Row]:
    """Leave only the first of the rows in which a task asks, so that asking and ending alternate."""
    kept = [rows[0]]
    for before, after in pairwise(rows):
        if not (after.kind in ASKING_KINDS and before.kind in ASKING_KINDS and after.task == before.task):
            kept.append(after)
    return kept


def _at(time: int, earliest: int, exact: bool) -> bool:
    return time == earliest if exact else time >= earliest


def _time(earliest: int, exact: bool) -> str:
    return f"{earliest} ns" + ("" if exact else " or later")


def _overdue(reading: Reading, last: Row, earliest: int, exact: bool, due: str) -> list[str]:
    """Nothing more is known of an agent: that is right only where the rest comes after the end, or may do so."""
    if reading.header.until_ns is not None and (earliest > reading.end or not exact):
        return []
    return [reading.say(RULE, last, f"the last row of the agent; by {reading.end} ns it has to {due}")]
