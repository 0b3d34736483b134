"""The order of the rows as a whole (contract, sections 4 and 7.2).

- Every row numbers only what the header names, and has -1 where its kind has none.
- Time never goes back.
- The first row is RunStarted at 0 and the last RunFinished; each is there once. A run with `until` finishes at `until`,
  one without at the time of its last event.
- An agent starts once, does nothing before that, finishes at most once, and does nothing after that.
- Agents of a fleet start in the order of their numbers. One that is spawned has its parent for a value, which is there.
- Within an instant control comes first (a change of a constraint that is not one by itself, then a crash or a restart of an
  agent that was there before, and what they let happen), and what began before the instant ends before anybody arrives who
  is not spawned. (A hold ends when what it is held for does, and what is called off or pre-empted ends at any time.) More
  cannot be told without knowing how a request came about.
"""

from itertools import pairwise

from model.events import Kind, Status
from model.log import Log

from .reading import Reading, Row, read

RULE = "order"
WITHOUT_VALUE = (Kind.RunStarted, Kind.AgentStarted, Kind.AgentFinished, Kind.AgentRestarted)


def check(log: Log) -> list[str]:
    """Return what is out of order."""
    reading = read(log)
    rows = reading.all_rows
    if not rows:
        return [f"{RULE}: the log has no rows; a run has RunStarted and RunFinished at least"]
    found = [reading.say(RULE, row, f"it numbers what the header does not name: {row}") for row in reading.foreign]
    found += [
        reading.say(RULE, after, f"time goes back: {before.time} ns at event {before.number}")
        for before, after in pairwise(rows)
        if after.time < before.time
    ]
    found += _ends(reading)
    found += _agents(reading)
    for _, instant in reading.instants():
        found += _ranks(reading, instant)
    return found


def _ends(reading: Reading) -> list[str]:
    rows, until, found = reading.all_rows, reading.header.until_ns, []
    for kind, place in ((Kind.RunStarted, 0), (Kind.RunFinished, len(rows) - 1)):
        at = [row.number for row in rows if row.kind == kind]
        if at != [place]:
            found.append(f"{RULE}: {kind.name} is at events {at} of {len(rows)}; allowed: once, at event {place}")
    if rows[0].time != 0:
        found.append(reading.say(RULE, rows[0], "a run starts at 0 ns"))
    if until is not None and rows[-1].time != until:
        found.append(reading.say(RULE, rows[-1], f"the run is to be watched until {until} ns"))
    if until is None and len(rows) > 1 and rows[-1].time != rows[-2].time:
        found.append(reading.say(RULE, rows[-1], f"the last event was at {rows[-2].time} ns, and the run ends with it"))
    found += [
        reading.say(RULE, row, f"the value is {row.value}; it has to be 0")
        for row in reading.rows
        if row.kind in WITHOUT_VALUE
        and row.value != 0
        and not (row.kind == Kind.AgentStarted and row.agent in reading.parents)
    ]
    return found


def _agents(reading: Reading) -> list[str]:
    found = []
    started: dict[int, Row] = {}
    finished: dict[int, Row] = {}
    latest: dict[str, int] = {}
    for row in reading.rows:
        agent = row.agent
        if agent < 0:
            continue
        if agent in finished:
            found.append(reading.say(RULE, row, f"the agent has finished at event {finished[agent].number}"))
        if row.kind == Kind.AgentStarted:
            fleet = reading.fleet(agent).name
            if agent in started:
                found.append(reading.say(RULE, row, f"the agent has started at event {started[agent].number}"))
            elif agent in reading.parents and (row.value not in started or row.value in finished):
                found.append(reading.say(RULE, row, f"its parent, agent {row.value}, is not there"))
            elif agent < latest.get(fleet, -1):
                found.append(reading.say(RULE, row, f"agent {latest[fleet]} of the same fleet has started before it"))
            started.setdefault(agent, row)
            latest[fleet] = max(agent, latest.get(fleet, -1))
        elif agent not in started:
            found.append(reading.say(RULE, row, "the agent has not started"))
        if row.kind == Kind.AgentFinished:
            finished[agent] = row
    return found


def _ranks(reading: Reading, instant: list[Row]) -> list[str]:
    """Completions of what ran before, then arrivals; changes of constraints and crashes before both."""
    found = []
    begun = {row.task for row in instant if row.kind in (Kind.TaskStarted, Kind.TaskRejected, Kind.TaskAbandoned)}
    new = {row.agent for row in instant if row.kind == Kind.AgentStarted}
    held = {number for number, step in enumerate(reading.header.steps) if step.kind == "hold"}
    completed: Row | None = None
    arrived: Row | None = None
    struck: Row | None = None
    for row in instant:
        if row.kind == Kind.AgentStarted and row.step < 0:
            arrived = arrived or row
        worked = row.kind == Kind.TaskFinished and row.task not in begun and row.step not in held
        if worked and row.value not in (Status.cancelled, Status.preempted):
            completed = completed or row
            if arrived is not None:
                found.append(reading.say(RULE, row, f"a completion after the arrival at event {arrived.number}"))
        changes = row.kind == Kind.ConstraintChanged and not reading.hears(row.constraint)
        stops = row.kind in (Kind.AgentCrashed, Kind.AgentRestarted) and row.agent not in new
        late = completed or arrived or (struck if changes else None)
        if stops:
            struck = struck or row
        if late is not None and (changes or stops):
            what = "a change of a constraint" if changes else "a crash or a restart"
            found.append(reading.say(RULE, row, f"{what} after event {late.number}"))
    return found
