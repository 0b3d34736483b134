"""Whoever is told of in a deadlock waits for good, and every such deadlock is told of once.

- The first row of a deadlock has the number of agents in it, the others 0; they follow each other at one instant. All of
  those agents have a row, but where agents wait for others that they spawned and hold nothing.
- A task that is in it waits for the constraint of its row, or is a hold that goes on holding, and is in no other.
- No task that waits in it is ever resumed: it waits until the end, or is called off, or refused by a room that is full or
  by a change. Then the deadlock is over, and those who were in it may be caught in another. So it is where an unforeseen
  change comes of something that one of them waits for.

Whether all deadlocks are told of is `tests/test_deadlock.py`, by trying all sets of agents.
"""

from model.events import Kind
from model.log import Log
from model.units import parse_duration

from .reading import Row, Task, read

RULE = "deadlock"


def check(log: Log) -> list[str]:
    """Return what is said of deadlocks and is not so."""
    reading = read(log)
    found: list[str] = []
    waiting: dict[Task, int] = {}
    holding: set[Task] = set()
    caught: dict[Task, Row] = {}
    knots: dict[Task, list[Row]] = {}  # those with whom it is caught
    knot: list[Row] = []
    surprises = {
        (number, parse_duration(change["at"]))
        for number, written in enumerate(reading.written.constraints)
        for change in written.get("unforeseen") or []
    }
    spawns = any(step.spawned is not None for step in reading.header.steps)
    for row in reading.rows:
        if row.kind == Kind.DeadlockDetected:
            if row.value:
                knot = []
            elif not knot:
                found.append(reading.say(RULE, row, "it is caught in a deadlock that nobody told of"))
            knot.append(row)
            agents = {each.agent for each in knot}
            if knot[0].value < len(agents) or row.time != knot[0].time:
                found.append(
                    reading.say(RULE, row, f"it is one of {len(agents)} agents in a deadlock of {knot[0].value}")
                )
            if row.task in caught:
                found.append(reading.say(RULE, row, f"it is caught already in event {caught[row.task].number}"))
            if row.constraint != -1 and waiting.get(row.task) != row.constraint:
                found.append(reading.say(RULE, row, f"it does not wait for {reading.constraint(row.constraint)}"))
            if row.constraint == -1 and row.task not in holding:
                found.append(reading.say(RULE, row, "it is no hold that goes on"))
            caught[row.task], knots[row.task] = row, knot
            continue
        if knot and not spawns and knot[0].value != len({each.agent for each in knot}):
            found.append(
                reading.say(RULE, knot[0], f"{knot[0].value} agents, and {len({r.agent for r in knot})} are told of")
            )
        knot = []
        if row.kind in (Kind.TaskRejected, Kind.TaskAbandoned, Kind.TaskFinished) and row.task in caught:
            _free(caught, knots[row.task])
        if row.kind == Kind.ConstraintChanged and (row.constraint, row.time) in surprises:
            for each in list(caught.values()):
                if each.constraint == row.constraint:
                    _free(caught, knots[each.task])
        if row.kind == Kind.TaskStarted and reading.header.steps[row.step].kind == "hold":
            holding.add(row.task)
        elif row.kind == Kind.TaskFinished:
            holding.discard(row.task)
        elif row.kind in (Kind.TaskBlocked, Kind.TaskRebound):
            waiting[row.task] = row.constraint
        elif row.kind in (Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned):
            waiting.pop(row.task, None)
            if row.kind == Kind.TaskResumed and row.task in caught and caught[row.task].constraint != -1:
                number = caught[row.task].number
                found.append(reading.say(RULE, row, f"it is resumed, though it waits for good since event {number}"))
    return found


def _free(caught: dict[Task, Row], knot: list[Row]) -> None:
    """Take in that a deadlock is over."""
    for row in knot:
        caught.pop(row.task, None)
