"""The life of a task (contract, section 7.2). An attempt is one of

    (Blocked Rebound* Resumed)? Acquired* Started Finished
    (Blocked Rebound*)? Rejected Finished
    Blocked Rebound* Abandoned Finished
    Abandoned Finished, where it is called off while it backs off before that attempt; it waits for no constraint

and a visit one or several of them with Retrying between them, or without it after one that was pre-empted, or one Skipped.
Who acquires one thing after another goes through `(Blocked Rebound* Resumed)? Acquired+` for each before it starts, and is
refused or gives up at any of them. A hold may give back what it holds between Started and Finished (`Released+`) and then
asks for it again (`(Blocked Rebound* Resumed)? Acquired+`), is called off, or gives up (`Blocked Rebound* Abandoned
Finished`).

- An agent's visits to a step count up from 0 without a gap, over all its strands; attempts count up from 0. An agent that
  does one thing after another has one open task at a time.
- Each amount that is drawn is stated once, right before the start, in the order of the constraints; where a step states
  all, all that it asks for is, with the amounts of the header. No other row comes between these and `TaskStarted`. All
  attempts of a visit cost the same.
- What is given back is what is held. What is charged at the end, or was reserved, is settled once for each attempt that has
  started, with the cost that the scenario says. A visit that is over, or waits, or backs off and is not to keep its slots
  meanwhile, holds nothing after the instant.
- A task that was refused ends as failed, one that gave up as cancelled.
- An agent does not finish or crash with a task open; at the end of the log a task may be blocked or running, a hold may
  have given back what it holds, and an attempt may be still to come.

That a resumed task starts at the same instant is left to the rule `ledger`: the time between is charged to nobody.
"""

from dataclasses import dataclass, field
from itertools import chain

from model.events import Kind, Status
from model.log import Log

from . import program
from .reading import TASK_KINDS, Reading, Row, Task, Visit, read
from .replay import Replay

RULE = "lifecycle"

IDLE, BLOCKED, RESUMED, STATING, RUNNING, REFUSED, GAVE_UP, ENDED, BACKING_OFF, SKIPPED, LENT = (
    "idle",
    "blocked",
    "resumed",
    "stating its amounts",
    "running",
    "refused",
    "giving up",
    "over",
    "backing off",
    "skipped",
    "held without what it gave back",
)
NEXT = {
    (IDLE, Kind.TaskSkipped): SKIPPED,
    (IDLE, Kind.TaskBlocked): BLOCKED,
    (IDLE, Kind.ResourceAcquired): STATING,
    (IDLE, Kind.TaskStarted): RUNNING,
    (IDLE, Kind.TaskRejected): REFUSED,
    (BLOCKED, Kind.TaskRebound): BLOCKED,
    (BLOCKED, Kind.TaskResumed): RESUMED,
    (BLOCKED, Kind.TaskRejected): REFUSED,
    (BLOCKED, Kind.TaskAbandoned): GAVE_UP,
    (RESUMED, Kind.ResourceAcquired): STATING,
    (RESUMED, Kind.TaskStarted): RUNNING,
    (STATING, Kind.ResourceAcquired): STATING,
    (STATING, Kind.TaskStarted): RUNNING,
    (RUNNING, Kind.TaskFinished): ENDED,
    (REFUSED, Kind.TaskFinished): ENDED,
    (GAVE_UP, Kind.TaskFinished): ENDED,
    (ENDED, Kind.TaskRetrying): BACKING_OFF,
    (ENDED, Kind.ResourceReleased): ENDED,
    (BACKING_OFF, Kind.ResourceReleased): BACKING_OFF,
}
OF_HOLDS = {
    (RUNNING, Kind.ResourceReleased): LENT,
    (LENT, Kind.ResourceReleased): LENT,
    (LENT, Kind.TaskBlocked): BLOCKED,
    (LENT, Kind.ResourceAcquired): STATING,
    (LENT, Kind.TaskFinished): ENDED,
}
"""What may happen to a hold besides. One that has started runs again as soon as it has stated its amounts."""
ACQUIRING = {
    (at, kind): after
    for at in (STATING, RESUMED)
    for kind, after in ((Kind.TaskBlocked, BLOCKED), (Kind.TaskRejected, REFUSED))
}
"""What may happen besides to who acquires one thing after another; what is charged at the end is not stated."""
MAY_STAY_OPEN = (BLOCKED, RUNNING, ENDED, BACKING_OFF, SKIPPED, LENT)
OVER = (ENDED, SKIPPED)


@dataclass
class Life:
    """A visit so far."""

    task: Task
    at: str = IDLE
    status: int | None = None
    started: bool = False
    costs: dict[int, int] = field(default_factory=dict)
    settled: dict[int, int] = field(default_factory=dict)
    produced: dict[int, int] = field(default_factory=dict)  # by this attempt, and charged


def check(log: Log) -> list[str]:
    """Return where a task lives another life."""
    reading = read(log)
    replay = Replay(reading)
    found: list[str] = []
    lives: dict[Visit, Life] = {}
    visits: dict[tuple[int, int], int] = {}
    single = one_at_a_time(reading)
    for _, rows in reading.instants():
        for row in rows:
            if row.kind in (Kind.AgentFinished, Kind.AgentCrashed):
                found += [
                    reading.say(RULE, row, f"its task {reading.who(life.task)} is {life.at}")
                    for life in lives.values()
                    if life.task.agent == row.agent and life.at not in OVER
                ]
            if row.kind in TASK_KINDS:
                found += _begins(reading, row, lives, visits, single)
                life = lives[row.task.whole]
                if row.task == life.task:
                    found += _goes_on(reading, replay, row, life)
            replay.apply(row)
        for visit, held in replay.holding.items():
            life_of = lives.get(visit)
            at = IDLE if life_of is None else life_of.at
            keeps = at in (BACKING_OFF, BLOCKED) and _keeps(reading, visit)
            acquires = at == BLOCKED and life_of is not None and len(reading.stages(life_of.task)) > 1
            if held and at != RUNNING and not keeps and not acquires:
                who = reading.who(Task(*visit, 0))
                found.append(reading.say(RULE, rows[-1], f"after this instant {who} is {at} and holds {held}"))
        for visit, owed in replay.owing.items():
            over = visit in lives and (lives[visit].at in (*OVER, BACKING_OFF) or not lives[visit].started)
            if owed and over:
                who = reading.who(Task(*visit, 0))
                found.append(reading.say(RULE, rows[-1], f"after this instant {who} has not settled {sorted(owed)}"))
    found += [
        f"{RULE}: at the end {reading.who(life.task)} is {life.at}; allowed: {', '.join(MAY_STAY_OPEN)}"
        for life in lives.values()
        if life.at not in MAY_STAY_OPEN
    ]
    return found


def one_at_a_time(reading: Reading) -> list[bool]:
    """Return for each fleet whether its agents have one open task at a time."""
    fleets = reading.header.scenario.get("fleets", [])
    kinds = [{program.kind_of(step) for _, step, _ in program.flat(fleet["steps"], 0)} for fleet in fleets]
    return [not each & {"fork", "graph", "hold"} for each in kinds] or [True] * len(reading.header.fleets)


def _keeps(reading: Reading, visit: Visit) -> bool:
    return bool((reading.policy(visit.step).get("retry") or {}).get("hold_during_backoff"))


def _begins(
    reading: Reading,
    row: Row,
    lives: dict[Visit, Life],
    visits: dict[tuple[int, int], int],
    single: list[bool],
) -> list[str]:
    """Check where a visit or an attempt begins; afterwards the visit has a life."""
    visit, found = row.task.whole, []
    life = lives.get(visit)
    if life is None:
        expected = visits.get((row.agent, row.step), 0)
        if (row.visit, row.attempt) != (expected, 0):
            text = f"visit {row.visit}, attempt {row.attempt} begins; the next is visit {expected}, attempt 0"
            found.append(reading.say(RULE, row, text))
        visits[row.agent, row.step] = row.visit + 1
        lives[visit] = Life(row.task)
        if single[reading.header.steps[row.step].fleet]:
            others = [other for other in lives.values() if other.task.agent == row.agent and other.at not in OVER]
            for other in others:
                if other.task != row.task:
                    found.append(reading.say(RULE, row, f"its task {reading.who(other.task)} is {other.at}"))
    elif row.task != life.task:
        follows = life.at == BACKING_OFF or (life.at == ENDED and life.status == Status.preempted)
        if row.attempt == life.task.attempt + 1 and follows:
            life.task, life.at, life.started = row.task, IDLE, False
        else:
            found.append(reading.say(RULE, row, f"its task {reading.who(life.task)} is {life.at}"))
    return found


def _goes_on(reading: Reading, replay: Replay, row: Row, life: Life) -> list[str]:
    is_hold = reading.header.steps[row.step].kind == "hold"
    allowed = {**NEXT, **(OF_HOLDS if is_hold and life.started else {})}
    if row.attempt and row.constraint < 0:
        allowed |= {(IDLE, Kind.TaskAbandoned): GAVE_UP}
    if row.constraint >= 0 and reading.rule_of(row.constraint, "charge") == "as_produced":
        allowed |= {(at, Kind.ResourceReleased): at for at in (RUNNING, LENT, BLOCKED)}
    if len(reading.stages(row.task)) > 1 and not life.started:
        allowed |= ACQUIRING
    at = life.at
    if (at, Kind(row.kind)) not in allowed:
        text = ", ".join(kind.name for before, kind in allowed if before == at)
        return [reading.say(RULE, row, f"the task is {at}; allowed: {text or 'nothing'}")]
    life.at = allowed[at, Kind(row.kind)]
    if row.kind == Kind.ResourceAcquired:
        if life.started and reading.stated_with(row)[-1] == row:
            life.at = RUNNING
        return _stated(reading, replay, row) + _costs(reading, row, life)
    if row.kind == Kind.TaskStarted:
        life.started, life.produced = True, {}
        return _starts(reading, replay, row)
    if row.kind == Kind.TaskFinished:
        life.status = row.value
        return _ends(reading, row, at)
    if row.kind == Kind.ResourceReleased:
        return _returned(reading, replay, row, life)
    return []


def _ends(reading: Reading, row: Row, at: str) -> list[str]:
    if row.value not in list(Status):
        return [reading.say(RULE, row, f"{row.value} is no status")]
    wanted = {REFUSED: Status.failed, GAVE_UP: Status.cancelled}.get(at)
    if wanted is not None and row.value != wanted:
        return [reading.say(RULE, row, f"it is {at} and {Status(row.value).name}; it has to be {wanted.name}")]
    return []


def _stated(reading: Reading, replay: Replay, row: Row) -> list[str]:
    """Where the first of the amounts is stated: they have to be all that are due next, of one or several."""
    group = [each.constraint for each in reading.stated_with(row)]
    if reading.stated_with(row)[0] != row:
        return []
    due = replay.to_state(row.task)
    together = [list(chain.from_iterable(due[: number + 1])) for number in range(len(due))]
    if group not in together:
        return [reading.say(RULE, row, f"the amounts for constraints {group} are stated; it has to be {together}")]
    return []


def _costs(reading: Reading, row: Row, life: Life) -> list[str]:
    """Every amount that a visit states of a constraint is the same, and that of the header where it is constant."""
    wanted = life.costs.setdefault(row.constraint, row.value)
    if reading.header.steps[row.step].states_all:
        known = reading.amounts(row.task).get(row.constraint)
        wanted = wanted if known is None else known
    if wanted != row.value:
        text = f"{row.value} of {reading.constraint(row.constraint)} is stated; it has to be {wanted}"
        return [reading.say(RULE, row, text)]
    return []


def _starts(reading: Reading, replay: Replay, row: Row) -> list[str]:
    place = reading.place_of[row.number]
    before = reading.rows[place - 1] if place else row
    stated = before.kind == Kind.ResourceAcquired and before.task == row.task and before.time == row.time
    due = list(chain.from_iterable(replay.to_state(row.task)))
    if due and not (stated and not reading.header.steps[row.step].states_all):
        return [reading.say(RULE, row, f"the amounts for constraints {due} have to be stated right before this")]
    return []


def _returned(reading: Reading, replay: Replay, row: Row, life: Life) -> list[str]:
    """What is given back is what is held, or settles what was reserved, at each attempt alike."""
    name, visit = reading.constraint(row.constraint), row.task.whole
    if reading.rule_of(row.constraint, "charge") == "settle" and not life.started:
        taken = life.costs.get(row.constraint)  # all of it, as the rest was refused
        return (
            [] if taken == row.value else [reading.say(RULE, row, f"it hands back {row.value} of {name}; not {taken}")]
        )
    if not reading.settles(row.step, row.constraint):
        held = replay.holding.get(visit, {})
        if held.get(row.constraint) != row.value:
            return [reading.say(RULE, row, f"it gives back {row.value} of {name} and holds {held}")]
        return []
    if row.constraint not in replay.owing.get(visit, set()):
        return [reading.say(RULE, row, f"it has nothing to settle of {name}")]
    if reading.rule_of(row.constraint, "charge") == "as_produced":
        return _produced(reading, replay, row, life)
    wanted = life.settled.setdefault(row.constraint, row.value)
    cost = program.constant_cost(reading.policy(row.step), reading.written.constraints[row.constraint])
    reserved = 0 if reading.defers(row.constraint) else reading.amounts(row.task)[row.constraint]
    if cost is not None and reserved is not None:
        wanted = reserved - cost
    if wanted != row.value:
        return [reading.say(RULE, row, f"it settles {row.value} of {name}; it has to be {wanted}")]
    return []


def _produced(reading: Reading, replay: Replay, row: Row, life: Life) -> list[str]:
    """What is charged as it is produced is never less than nothing, and all of it where an attempt works to its end."""
    name = reading.constraint(row.constraint)
    total = life.produced[row.constraint] = life.produced.get(row.constraint, 0) - row.value
    cost = program.constant_cost(reading.policy(row.step), reading.written.constraints[row.constraint])
    if row.value > 0 or (cost is not None and total > cost):
        return [reading.say(RULE, row, f"{-row.value} more of {name} is charged, {total} so far; it costs {cost}")]
    whole = life.at == ENDED and life.status in (Status.succeeded, Status.failed)
    if whole and cost is not None and total != cost and row.task.whole not in replay.preempted:
        return [reading.say(RULE, row, f"{total} of {name} is charged in all; it has to be {cost}")]
    return []
