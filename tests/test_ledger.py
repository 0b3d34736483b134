"""The wait ledger: by hand, and to the nanosecond against the same told row by row, over generated scenarios."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import simulate
from vocabulary import rich

from model.events import Kind, Status
from model.log import Log
from model.scenario import Scenario, Spawn, walk
from sim.analysis.ledger import BACK_OFF, JOIN, NO_STEP, REPAIR, Ledger
from sim.analysis.waits import Waits
from tests.runs import run, scenario

S = 10**9
SLOT = {"id": "slot", "type": "concurrency", "limit": 1}
Row = tuple[int, ...]
Key = tuple[int, int, int]
"""Agent, step and cause."""


def rows_of(log: Log) -> list[Row]:
    return [row for batch in log.batches() for row in zip(*(each.tolist() for each in batch.columns()), strict=True)]


def charged(log: Log, batch_rows: int | None = None) -> dict[Key, tuple[int, int]]:
    """What the ledger says: by agent, step and cause the ns, and those of them that are due to who overtook."""
    ledger, waits = Ledger(log.header), Waits()
    for batch in log.batches():
        size = batch_rows or len(batch)
        for start in range(0, len(batch), size):
            part = batch.rows(start, min(start + size, len(batch)))
            ended = waits.feed(part)
            ledger.feed(part, ended, waits.rest())
    found = ledger.charges(waits.rest())
    columns = (found.agent, found.step, found.cause, found.ns, found.overtaken_ns)
    rows = zip(*(each.tolist() for each in columns), strict=True)
    return {(agent, step, cause): (ns, over) for agent, step, cause, ns, over in rows}


def told(log: Log) -> dict[tuple[str, str, str], tuple[float, float]]:
    """The same in names and seconds."""
    names = {BACK_OFF: "back-off", REPAIR: "repair", JOIN: "join"}
    steps = {NO_STEP: "", **{number: step.name for number, step in enumerate(log.header.steps)}}
    ids = {number: row.id for number, row in enumerate(log.header.constraints)} | names
    return {
        (f"{agent}", steps[step], ids[cause]): (ns / S, over / S)
        for (agent, step, cause), (ns, over) in charged(log).items()
    }


def by_row(log: Log) -> Counter[Key]:
    """What somebody who reads the log row by row charges: the state of every visit and agent from one row to the next."""
    charges: Counter[Key] = Counter()
    state: dict[tuple[int, int, int], tuple[int, int]] = {}  # of a visit: what it waits for, since when
    backs_off: dict[tuple[int, int, int], tuple[int, int]] = {}  # since when, and until when
    down: dict[int, tuple[int, int]] = {}
    rows = rows_of(log)
    end = rows[-1][0]
    for time, kind, agent, step, visit, _, constraint, value in rows:
        key = agent, step, visit
        if kind in (Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned) and key in state:
            cause, since = state.pop(key)
            charges[agent, step, cause] += time - since
        if kind in (Kind.TaskBlocked, Kind.TaskRebound):
            state[key] = constraint, time
        if key in backs_off and kind != Kind.ResourceReleased:
            since, due = backs_off.pop(key)
            assert time <= due
            assert (time == due) or kind == Kind.TaskAbandoned
            charges[agent, step, BACK_OFF] += time - since
        if kind == Kind.TaskRetrying:
            backs_off[key] = time, time + value
        if kind in (Kind.AgentRestarted, Kind.AgentFinished) and agent in down:
            since, _ = down.pop(agent)
            charges[agent, NO_STEP, REPAIR] += time - since
        if kind == Kind.AgentCrashed:
            down[agent] = time, time + value
    for (agent, step, _), (cause, since) in state.items():
        charges[agent, step, cause] += end - since
    for (agent, step, _), (since, due) in backs_off.items():
        charges[agent, step, BACK_OFF] += min(end, due) - since
    for agent, (since, due) in down.items():
        charges[agent, NO_STEP, REPAIR] += min(end, due) - since
    return +charges


def joined(log: Log) -> Counter[Key]:
    """For how long each agent waits for those that it spawned, by looking through all rows for each of them."""
    rows = rows_of(log)
    scenario = Scenario.model_validate(log.header.scenario)
    spawns = [step for fleet in scenario.fleets for step in walk(fleet.steps) if isinstance(step, Spawn)]
    numbers = [number for number, step in enumerate(log.header.steps) if step.kind == "spawn"]
    waits = {number for number, step in zip(numbers, spawns, strict=True) if step.wait}
    groups: dict[tuple[int, int, int], list[Row]] = {}
    for row in rows:
        if row[1] == Kind.AgentStarted and row[3] in waits:
            groups.setdefault((row[7], row[3], row[4]), []).append(row)
    charges: Counter[Key] = Counter()
    for (parent, step, _), children in groups.items():
        ids = {child[2] for child in children}
        place = rows.index(children[0])
        ends = {row[2]: row[0] for row in rows if row[1] == Kind.AgentFinished and row[2] in ids}
        own = [row[0] for row in rows[place:] if row[2] == parent and row[1] in (Kind.AgentFinished, Kind.AgentCrashed)]
        over = max(ends.values()) if len(ends) == len(ids) else rows[-1][0]
        charges[parent, step, JOIN] += min([over, *own]) - children[0][0]
    return +charges


def overtaken(log: Log) -> Counter[Key]:
    """The ns since somebody who asked later took of what a task waits for, where everybody asks for one thing at once."""
    asked: dict[tuple[int, int, int, int], int] = {}
    waiting: dict[tuple[int, int, int, int], tuple[int, int | None]] = {}
    charges: Counter[Key] = Counter()
    rows = rows_of(log)
    for number, (time, kind, agent, step, visit, attempt, constraint, _) in enumerate(rows):
        key = agent, step, visit, attempt
        if kind in (Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned) and key in waiting:
            cause, since = waiting.pop(key)
            charges[agent, step, cause] += 0 if since is None else time - since
        if kind == Kind.TaskBlocked:
            asked[key] = number
        if kind in (Kind.TaskBlocked, Kind.TaskRebound):
            waiting[key] = constraint, None
        if kind == Kind.TaskStarted:
            mine = asked.get(key, number)
            takes = {demand.constraint for demand in log.header.steps[step].demands[0] if demand.amount}
            for other, (cause, since) in waiting.items():
                if cause in takes and since is None and asked[other] < mine:
                    waiting[other] = cause, time
    for (agent, step, _, _), (cause, since) in waiting.items():
        charges[agent, step, cause] += 0 if since is None else rows[-1][0] - since
    return +charges


def test_each_wait_is_charged_to_its_cause() -> None:
    steps = [{"task": "t", "duration": "2s", "fail": 1.0, "retry": {"max_attempts": 2, "delay": "3s"}}]
    log = run(scenario(until=None, constraints=[SLOT], count=3, steps=steps))
    # 0: 0 to 2, backs off to 5, waits for 2 until 6, works to 8. 1: waits to 2, works to 4, backs off to 7, waits to 8.
    # 2: waits to 4, works to 6, backs off to 9, waits to 10.
    assert told(log) == {
        ("0", "t", "slot"): (1, 0),
        ("0", "t", "back-off"): (3, 0),
        ("1", "t", "slot"): (3, 0),
        ("1", "t", "back-off"): (3, 0),
        ("2", "t", "slot"): (5, 0),
        ("2", "t", "back-off"): (3, 0),
    }


def test_what_is_due_to_who_overtook_is_told() -> None:
    """b asks at 0 and waits until 6 s; c asks at 1 s, is more important, and takes the slot at 2 s and at 4 s."""
    slot = {**SLOT, "queue": "priority"}
    fleets = [
        {"name": "a", "count": 1, "steps": [{"task": "t", "duration": "2s"}]},
        {"name": "b", "count": 1, "steps": [{"task": "t", "duration": "2s"}]},
        {"name": "c", "priority": 1, "arrivals": {"at": ["1s", "3s"]}, "steps": [{"task": "t", "duration": "2s"}]},
    ]
    assert told(run(scenario(until=None, constraints=[slot], fleets=fleets))) == {
        ("1", "t", "slot"): (6, 4),
        ("2", "t", "slot"): (1, 0),
        ("3", "t", "slot"): (1, 0),
    }


def test_repairs_and_joins_are_charged_to_the_agent() -> None:
    fleets = [
        {"name": "a", "count": 1, "life": "9s", "steps": [{"spawn": "b", "count": 2}, {"think": "1s"}]},
        {
            "name": "b",
            "crash": {"uptime": "1s", "repair": "3s"},
            "steps": [{"task": "t", "duration": "500ms"}, {"think": "100s"}],
        },
    ]
    log = run(scenario(until="10s", fleets=fleets))
    assert told(log) == {("0", "spawn", "join"): (9, 0), ("1", "", "repair"): (7, 0), ("2", "", "repair"): (7, 0)}


@pytest.mark.parametrize("batch_rows", [None, 1, 3])
@given(data=st.data())
def test_it_is_what_reading_row_by_row_says(batch_rows: int | None, data: st.DataObject) -> None:
    log = simulate(data.draw(rich()))
    found = {key: ns for key, (ns, _) in charged(log, batch_rows).items()}
    assert found == dict(by_row(log) + joined(log))


@given(rich())
def test_the_charges_of_a_step_are_its_time_in_the_system_less_that_of_its_work(drawn: dict[str, Any]) -> None:
    """From the first row of a visit to its last, less the time between the starts and the ends of attempts."""
    log = simulate(drawn)
    rows, holds = rows_of(log), [step.kind == "hold" for step in log.header.steps]
    first: dict[tuple[int, int, int], int] = {}
    last: dict[tuple[int, int, int], int] = {}
    worked: Counter[tuple[int, int]] = Counter()
    open_since: dict[tuple[int, int, int], int] = {}
    is_over: dict[tuple[int, int, int], bool] = {}
    for time, kind, agent, step, visit, *_, value in rows:
        if step < 0 or kind in (Kind.AgentStarted, Kind.TaskSkipped, Kind.DeadlockDetected) or holds[step]:
            continue
        key = agent, step, visit
        first.setdefault(key, time)
        if kind != Kind.ResourceReleased:
            is_over[key] = kind == Kind.TaskFinished and value != Status.preempted
        last[key] = time
        if kind == Kind.TaskStarted:
            open_since[key] = time
        elif kind == Kind.TaskFinished and key in open_since:
            worked[agent, step] += time - open_since.pop(key)
    end = rows[-1][0]
    for (agent, step, _), since in open_since.items():
        worked[agent, step] += end - since
    waited: Counter[tuple[int, int]] = Counter()
    for key, since in first.items():
        waited[key[:2]] += (last[key] if is_over[key] else end) - since
    waited.subtract(worked)
    found: Counter[tuple[int, int]] = Counter()
    for (agent, step, cause), (ns, _) in charged(log).items():
        if step != NO_STEP and cause != JOIN and not holds[step]:
            found[agent, step] += ns
    assert found == +waited


@given(rich())
def test_what_is_overtaken_is_what_reading_row_by_row_says(drawn: dict[str, Any]) -> None:
    """Where all that a task asks for is constant, and taken at its start."""
    log = simulate(drawn)
    if any(step.states_all or len(step.demands) > 1 for step in log.header.steps):
        return
    if any(demand.amount is None for step in log.header.steps for group in step.demands for demand in group):
        return
    assert {key: over for key, (_, over) in charged(log, 5).items() if over} == dict(overtaken(log))
