"""Agents that crash and are repaired (`crash` in the scenario).

- The rows of an agent are AgentStarted (AgentCrashed AgentRestarted)*, and in the end AgentFinished, or nothing more.
- Only agents of a fleet that says so crash; where the uptime or the repair is constant, exactly so long after the start or
  the restart, and for that long. The restart comes as many ns after the crash as that says.
- Nothing is told of an agent while it is down, but that its life is over.
- A visit that had begun before a crash is over with it: no row of it comes afterwards.
- What it gives back is for others: nothing begins to wait or to work for it while it crashes.
- An agent that is up again begins with its first step. Where that asks for something, it does so at that instant.

That nothing is open at a crash is a part of `lifecycle`, and what else is done in each life of `services`.
"""

from dataclasses import dataclass, field

from model.events import Kind, Status
from model.log import Log

from .program import Step, constant
from .reading import TASK_KINDS, Reading, Row, Visit, read

RULE = "crashes"
_BEGINS = (Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskResumed, Kind.ResourceAcquired, Kind.TaskStarted)


@dataclass
class State:
    """What is known of an agent so far."""

    up_since: int
    crash: Row | None = None  # while it is down
    restart: Row | None = None  # until something is told of it afterwards
    ends: Row | None = None  # the first at this instant that it was made to end
    begins: Row | None = None  # what began after that
    visits: set[Visit] = field(default_factory=set)
    over: set[Visit] = field(default_factory=set)
    finished: bool = False


def check(log: Log) -> list[str]:
    """Return the crashes and restarts that should not be, are missing, or come at another time."""
    reading = read(log)
    written = {fleet["name"]: fleet for fleet in reading.header.scenario.get("fleets", [])}
    agents: dict[int, State] = {}
    found: list[str] = []
    for row in reading.rows:
        if row.agent < 0:
            continue
        fleet = written.get(reading.fleet(row.agent).name, {})
        state = agents.setdefault(row.agent, State(row.time))
        if row.kind == Kind.AgentCrashed:
            found += _crashes(reading, row, state, fleet)
        elif row.kind == Kind.AgentRestarted:
            found += _restarts(reading, row, state)
        else:
            found += _does(reading, row, state, fleet)
    for agent, state in agents.items():
        due = _due(state, written.get(reading.fleet(agent).name, {}))
        if due is not None and due <= reading.end and not state.finished:
            what = "crash" if state.crash is None else "be up again"
            found.append(f"{RULE}: agent {agent} has to {what} at {due} ns; no row says so")
    return found


def _due(state: State, fleet: Step) -> int | None:
    """Return when it is to crash, or to be up again, where that is known."""
    if state.crash is not None:
        return state.crash.time + state.crash.value
    uptime = constant(fleet["crash"]["uptime"]) if fleet.get("crash") else None
    return None if uptime is None else state.up_since + uptime


def _crashes(reading: Reading, row: Row, state: State, fleet: Step) -> list[str]:
    crash, due, was_down = fleet.get("crash"), _due(state, fleet), state.crash
    begins, state.ends, state.begins = state.begins, None, None
    state.crash, state.restart, state.over = row, None, set(state.visits)
    if begins is not None and state.up_since < begins.time == row.time:
        return [reading.say(RULE, begins, f"the agent crashes at that instant, in event {row.number}")]
    if was_down is not None:
        return [reading.say(RULE, row, f"it is down since event {was_down.number}")]
    if not crash:
        return [reading.say(RULE, row, "agents of its fleet do not crash")]
    if due is not None and due != row.time:
        return [reading.say(RULE, row, f"it has to crash at {due} ns")]
    repair = constant(crash.get("repair", 0))
    if row.value < 0 or repair not in (None, row.value):
        return [reading.say(RULE, row, f"the repair takes {row.value} ns; it has to be {repair}")]
    return []


def _restarts(reading: Reading, row: Row, state: State) -> list[str]:
    crash, state.crash, state.restart, state.up_since = state.crash, None, row, row.time
    if crash is None:
        return [reading.say(RULE, row, "it is not down")]
    due = crash.time + crash.value
    return [] if row.time == due else [reading.say(RULE, row, f"it has to be up again at {due} ns")]


def _does(reading: Reading, row: Row, state: State, fleet: Step) -> list[str]:
    restart, found = state.restart, []
    state.restart = None
    state.finished |= row.kind == Kind.AgentFinished
    if state.crash is not None and not (row.kind == Kind.AgentFinished and "life" in fleet):
        found.append(reading.say(RULE, row, f"the agent is down since event {state.crash.number}"))
    if state.ends is not None and state.ends.time < row.time:
        state.ends = None
    if row.kind == Kind.TaskFinished and row.value == Status.cancelled:
        state.ends = state.ends or row
    elif state.ends is not None and row.kind in _BEGINS:
        state.begins = row
    if row.kind in TASK_KINDS:
        state.visits.add(row.task.whole)
        if row.task.whole in state.over:
            found.append(reading.say(RULE, row, "the visit was over with a crash"))
    if restart is not None and fleet:
        first = fleet["steps"][0]
        names = [] if row.step < 0 else [reading.header.steps[row.step].name]
        asks = "task" in first or "hold" in first
        if asks and (names != [first.get("task", first.get("hold"))] or row.time != restart.time):
            found.append(reading.say(RULE, row, "the agent has to begin with its first step"))
    return found
