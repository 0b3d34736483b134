"""The life of a task (contract, section 7.2).

    (Blocked Rebound* Resumed)? Started Finished  |  (Blocked Rebound*)? Rejected Finished

An agent has one open task at a time. An agent's visits to a step count up from 0 without a gap; attempts are 0. Each
amount that is drawn is stated once, right before the start, in the order of the constraints; no other row comes between
these and `TaskStarted`. A task that was refused ends as failed. An agent does not finish with a task open; at the end
of the log a task may be blocked or running, and nothing else.

That a resumed task starts at the same instant is left to the rule `ledger`: the time between is charged to nobody.
"""

from model.events import Kind, Status
from model.log import Log

from .reading import TASK_KINDS, Reading, Row, Task, read

RULE = "lifecycle"

IDLE, BLOCKED, RESUMED, STATING, RUNNING, REFUSED = (
    "idle",
    "blocked",
    "resumed",
    "stating its amounts",
    "running",
    "refused",
)
NEXT = {
    (IDLE, Kind.TaskBlocked): BLOCKED,
    (IDLE, Kind.ResourceAcquired): STATING,
    (IDLE, Kind.TaskStarted): RUNNING,
    (IDLE, Kind.TaskRejected): REFUSED,
    (BLOCKED, Kind.TaskRebound): BLOCKED,
    (BLOCKED, Kind.TaskResumed): RESUMED,
    (BLOCKED, Kind.TaskRejected): REFUSED,
    (RESUMED, Kind.ResourceAcquired): STATING,
    (RESUMED, Kind.TaskStarted): RUNNING,
    (STATING, Kind.ResourceAcquired): STATING,
    (STATING, Kind.TaskStarted): RUNNING,
    (RUNNING, Kind.TaskFinished): IDLE,
    (REFUSED, Kind.TaskFinished): IDLE,
}
MAY_STAY_OPEN = (IDLE, BLOCKED, RUNNING)


def check(log: Log) -> list[str]:
    """Return where a task lives another life."""
    reading = read(log)
    found: list[str] = []
    state: dict[int, str] = {}
    task: dict[int, Task] = {}
    visits: dict[tuple[int, int], int] = {}
    stated: dict[int, list[int]] = {}
    for row in reading.rows:
        agent = row.agent
        at = state.get(agent, IDLE)
        if row.kind == Kind.AgentFinished and at != IDLE:
            found.append(reading.say(RULE, row, f"its task is {at}"))
        if row.kind not in TASK_KINDS:
            continue
        if at == IDLE:
            expected = visits.get((agent, row.step), 0)
            if (row.visit, row.attempt) != (expected, 0):
                text = f"visit {row.visit}, attempt {row.attempt} begins; the next is visit {expected}, attempt 0"
                found.append(reading.say(RULE, row, text))
            visits[agent, row.step] = row.visit + 1
            task[agent], stated[agent] = row.task, []
        elif row.task != task[agent]:
            found.append(reading.say(RULE, row, f"its task {reading.who(task[agent])} is {at}"))
            continue
        if (at, Kind(row.kind)) not in NEXT:
            allowed = ", ".join(kind.name for before, kind in NEXT if before == at)
            found.append(reading.say(RULE, row, f"the task is {at}; allowed: {allowed}"))
            continue
        state[agent] = NEXT[at, Kind(row.kind)]
        if row.kind == Kind.ResourceAcquired:
            stated[agent].append(row.constraint)
        found += _row(reading, row, at, stated[agent])
    found += [
        f"{RULE}: at the end {reading.who(task[agent])} is {at}; allowed: {', '.join(MAY_STAY_OPEN)}"
        for agent, at in state.items()
        if at not in MAY_STAY_OPEN
    ]
    return found


def _row(reading: Reading, row: Row, at: str, stated: list[int]) -> list[str]:
    """What else has to be so at a row that the grammar allows."""
    if row.kind == Kind.TaskFinished:
        if row.value not in list(Status):
            return [reading.say(RULE, row, f"{row.value} is no status")]
        if at == REFUSED and row.value != Status.failed:
            return [reading.say(RULE, row, f"it was refused and is {Status(row.value).name}; it has to be failed")]
    if row.kind == Kind.TaskStarted:
        step = reading.header.steps[row.step]
        amounts = reading.amounts(row.task)
        group = next(g for g in step.demands if {d.constraint for d in g} == set(amounts))
        drawn = sorted(demand.constraint for demand in group if demand.amount is None)
        between = {other.task for other in reading.rows[_index(reading, row) - len(drawn) : _index(reading, row)]}
        if stated != drawn or not between <= {row.task}:
            text = f"the amounts for constraints {stated} are stated; it has to be {drawn}, right before this"
            return [reading.say(RULE, row, text)]
    return []


def _index(reading: Reading, row: Row) -> int:
    """Return the place of the row among those that the header names."""
    return row.number - sum(1 for other in reading.foreign if other.number < row.number)
