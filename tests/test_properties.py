"""What must always hold (the contract, section 7), over scenarios that Hypothesis draws.

pytest tests/test_properties.py                                  200 examples each, always the same
pytest tests/test_properties.py --hypothesis-profile=thorough    2,000 examples each, others every time
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invariants import check_all
from invariants.changes import summed_up
from invariants.reading import Reading, Row, read
from invariants.replay import Replay
from strategies import FLEET_NAMES, TASK_NAMES, scenarios, simulate, tasks_of

from model.events import Batch, Kind, Status, concatenate
from model.log import Digest, Log, LogWriter
from model.plan import Plan
from model.planner import plan
from model.scenario import Scenario
from model.units import format_duration, parse_duration, parse_rate
from model.validation import load_embedded
from sim.analysis.summary import Summary
from sim.analysis.waits import Waits
from sim.engine import Engine
from sim.environment import Endless

Dict = dict[str, Any]
ROOT = Path(__file__).parents[1]


def planned(row: Dict) -> Plan:
    return plan(Scenario.model_validate(row), {})


def digest_of(batches: list[Batch]) -> str:
    digest = Digest()
    for batch in batches:
        digest.update(batch)
    return digest.hex()


def recorded(row: Dict, batch_rows: int = 65_536) -> list[Batch]:
    """Run a scenario and return the batches that its sink was given."""
    batches: list[Batch] = []
    Engine(planned(row), batches.append, batch_rows).run()
    return batches


# Every log.


@given(scenarios())
def test_every_rule_holds(row: Dict) -> None:
    """Items 2 to 6, 8 and 9, and what else `invariants` knows."""
    assert check_all(simulate(row)) == []


@given(scenarios())
def test_a_scenario_written_out_is_the_same_scenario(row: Dict) -> None:
    log = simulate(row)
    assert simulate(log.header.scenario).digest() == log.digest()


@given(st.one_of(scenarios(), scenarios("exact"), scenarios("none")))
def test_what_is_drawn_is_valid(row: Dict) -> None:
    """What the properties are about is what a person may write, not what validation would have refused."""
    load_embedded(row, {})


def task(duration: str = "100ms", **more: Any) -> Dict:
    return {"task": "work", "duration": duration, **more}


def test_a_fractional_rate_written_out_is_the_same_rate() -> None:
    bucket = {"id": "r", "type": "rate_limit", "rate": "2.5/s", "scope": "global"}
    row = {"name": "x", "constraints": [bucket], "fleets": [{"name": "a", "count": 4, "steps": [task()]}]}
    log = simulate(row)
    assert simulate(log.header.scenario).digest() == log.digest()


# The edges of what validation lets pass.


def test_what_can_never_be_admitted_is_refused_at_once() -> None:
    constraints = [
        {"id": "slots", "type": "concurrency", "limit": 1, "scope": "global"},
        {"id": "rate", "type": "rate_limit", "rate": "1/s", "burst": 2, "scope": "global"},
    ]
    greedy = task(cost={"uniform": [1.6, 4]})
    fleets = [{"name": "a", "count": 1, "steps": [task("5s")]}, {"name": "b", "count": 9, "steps": [greedy]}]
    rows = read(simulate({"name": "x", "constraints": constraints, "fleets": fleets})).rows
    refused = [row for row in rows if row.kind == Kind.TaskRejected]
    assert refused
    assert {row.time for row in refused} == {0}


class TooLong(BaseException):
    """The time is over."""


ENDLESS = {
    "always refused": ({"id": "r", "type": "rate_limit", "rate": "1/s", "burst": 1}, {"cost": {"uniform": [1.6, 4]}}),
    "refused after a change": (
        {"id": "r", "type": "concurrency", "limit": 2, "changes": [{"at": "500ms", "limit": 1}]},
        {"needs": {"r": 2}},
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_loop_that_takes_no_time_is_an_error(name: str) -> None:
    constraint, asked = ENDLESS[name]
    steps = [{"repeat": "forever", "steps": [task(**asked)]}]
    row = {"name": "x", "until": "1s", "fleets": [{"name": "a", "count": 1, "steps": steps}]}

    def over(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, 10)
    try:
        with pytest.raises(Endless, match="in step work of fleet a"):
            simulate({**row, "constraints": [{**constraint, "scope": "global"}]})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_rate_of_any_size_can_be_told() -> None:
    change = {"at": "1s", "rate": "10k/ns"}
    bucket = {"id": "r", "type": "rate_limit", "rate": "1/s", "scope": "global", "changes": [change]}
    assert check_all(simulate({"name": "x", "constraints": [bucket], "fleets": [{**OTHERS, "count": 1}]})) == []


def test_a_run_past_what_a_log_can_hold_is_an_error() -> None:
    steps = [{"repeat": 3, "steps": [{"think": "50000d"}, task()]}]
    with pytest.raises(Endless, match="past 292 years"):
        simulate({"name": "x", "fleets": [{"name": "a", "count": 1, "steps": steps}]})


# Item 1 and item 10: nothing but the scenario and the seed decides.


@given(scenarios(), st.integers(1, 50))
def test_a_run_gives_the_same_digest_however_it_is_recorded(row: Dict, batch_rows: int) -> None:
    whole = recorded(row)
    small = recorded(row, batch_rows)
    assert digest_of(small) == digest_of(whole)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.arrows"
        engine_plan = planned(row)
        with path.open("wb") as file:
            writer = LogWriter(file, engine_plan.header(row, {}, {}))
            Engine(engine_plan, writer.write, batch_rows).run()
            writer.close()
        log = Log.open(path)
        assert writer.digest() == log.digest() == digest_of(whole)
        assert not log.cut


@pytest.fixture(scope="module")
def worker() -> Iterator["subprocess.Popen[str]"]:
    """Another process, with another seed of `hash`, that answers scenarios with digests, a line each."""
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        text=True,
    )
    assert process.stdin is not None
    yield process
    process.stdin.close()
    assert process.wait(timeout=10) == 0


@given(row=scenarios())
def test_another_process_gives_the_same_digest(worker: "subprocess.Popen[str]", row: Dict) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(row) + "\n")
    worker.stdin.flush()
    assert worker.stdout.readline().strip() == digest_of(recorded(row))


def answer() -> None:
    """Answer each scenario on the standard input with the digest of its log."""
    for line in sys.stdin:
        print(digest_of(recorded(json.loads(line))), flush=True)


def stepped(engine: Engine) -> list[tuple[float, int]]:
    """Run an engine by SimPy's own `step`, one event after another; return when each event happened and its rank."""
    steps: list[tuple[float, int]] = []

    def advance(events: int) -> None:
        for _ in range(events):
            steps.append((engine.env.peek(), engine.env._queue[0][1]))
            engine.env.step()

    engine.env.advance = advance  # type: ignore[method-assign] # the fast loop, replaced by the stock one
    engine.run()
    return steps


@given(scenarios())
def test_the_fast_loop_and_recording_change_nothing(row: Dict) -> None:
    stock: list[Batch] = []
    steps = stepped(Engine(planned(row), stock.append))
    assert digest_of(stock) == digest_of(recorded(row))
    assert stepped(Engine(planned(row), None)) == steps
    watched: list[tuple[int, int]] = []
    batches: list[Batch] = []
    Engine(planned(row), batches.append).run(lambda *far: watched.append(far))
    assert digest_of(batches) == digest_of(stock)


# Item 7: time has no unit.


def scaled(value: Any, factor: int, key: str = "") -> Any:
    """Return a part of a scenario with every duration multiplied, and every rate divided, by `factor`."""
    if key in ("cost", "needs"):
        return value
    if isinstance(value, dict):
        return {name: scaled(part, factor, name) for name, part in value.items()}
    if isinstance(value, list):
        return [scaled(part, factor, key) for part in value]
    if key in ("rate", "poisson"):
        rate = parse_rate(value)
        return f"{rate.tokens}/{format_duration(rate.period_ns * factor)}"
    times = ("at", "from", "expires", "until", "think", "duration", "value", "stagger", "every")
    return format_duration(parse_duration(value) * factor) if key in times else value


NS_VALUES = (
    *(Kind.TaskRebound, Kind.TaskResumed, Kind.TaskStarted, Kind.TaskAbandoned, Kind.TaskRetrying),
    Kind.AgentCrashed,
)


@given(scenarios("exact"), st.sampled_from([2, 3, 7, 1000, 86_399]))
def test_multiplying_every_duration_multiplies_every_timestamp(row: Dict, factor: int) -> None:
    log, other = simulate(row), simulate(scaled(row, factor))
    expected = [
        line._replace(time=line.time * factor, value=line.value * (factor if line.kind in NS_VALUES else 1))
        for line in read(log).all_rows
    ]
    for number, line in enumerate(expected):
        if line.kind == Kind.ConstraintChanged:
            # A rate is told in millionths of a token a second, rounded down; the header has its exact numbers.
            entry = other.header.constraints[line.constraint]
            expected[number] = line._replace(value=summed_up(entry.type, dict(entry.settings)[line.time]))
    assert read(other).all_rows == expected


# Items 3 and 10: common random numbers.

Drawn = dict[tuple[str, int, str, int], tuple[Any, ...]]


def draws_of(log: Log) -> Drawn:
    """Return what each visit drew, by fleet, agent of the fleet, step and visit: how long it took, and what it cost."""
    reading = read(log)
    started: dict[Any, Row] = {}
    costs: dict[Any, list[tuple[str, int]]] = {}
    found: Drawn = {}
    for row in reading.rows:
        if row.kind == Kind.TaskStarted:
            started[row.task] = row
        elif row.kind == Kind.ResourceAcquired:
            costs.setdefault(row.task, []).append((reading.constraint(row.constraint), row.value))
        elif row.kind == Kind.TaskFinished and row.task in started:
            fleet = reading.header.fleet_of(row.agent)
            key = (fleet.name, row.agent - fleet.first, reading.header.steps[row.step].name, row.visit)
            found[key] = (row.time - started[row.task].time, *costs.get(row.task, []))
    return found


def same_draws(one: Log, other: Log) -> None:
    first, second = draws_of(one), draws_of(other)
    differing = {key: (first[key], second[key]) for key in first.keys() & second.keys() if first[key] != second[key]}
    assert not differing


def grown(row: Dict, more: int) -> Dict:
    """Return the scenario with more agents in every fleet, after those that it has."""
    fleets = []
    for fleet in row["fleets"]:
        if "count" in fleet:
            fleet = {**fleet, "count": fleet["count"] + more}
        elif "at" in fleet["arrivals"]:
            at = fleet["arrivals"]["at"]
            fleet = {**fleet, "arrivals": {"at": at + [at[-1]] * more}}
        fleets.append(fleet)
    return {**row, "fleets": fleets}


def loosened(row: Dict) -> Dict:
    """Return the scenario with other limits, and nobody refused."""
    other = json.loads(json.dumps(row))
    for constraint in other["constraints"]:
        for part in (constraint, *constraint.get("changes", [])):
            part.update({key: part[key] + 7 for key in ("limit", "burst") if key in part})
    return other


@given(scenarios(), st.integers(1, 40))
def test_more_agents_and_other_limits_change_no_draw(row: Dict, more: int) -> None:
    log = simulate(row)
    same_draws(log, simulate(grown(row, more)))
    same_draws(log, simulate(loosened(row)))


OTHERS: Dict = {
    "name": "unrelated",
    "count": 3,
    "steps": [
        {"repeat": 3, "steps": [{"think": {"uniform": ["0s", "300ms"]}}, {"task": "noise", "duration": "100ms"}]}
    ],
}


def apart(row: Dict) -> Dict:
    """Return the scenario with scopes that mean the same in it and that no fleet called `unrelated` matches."""
    text = json.dumps(row)
    for old, new in (('"global"', '"fleet:?"'), ('"fleet:*"', '"fleet:[!u]"'), ('"task:*_', '"task:?_*_')):
        text = text.replace(old, new)
    result: Dict = json.loads(text)
    return result


def without(log: Log, fleet: str) -> list[tuple[Any, ...]]:
    """Return the rows of all fleets but one, with names for numbers; not the end, which the other fleet may delay."""
    reading, header = read(log), log.header
    rows = []
    for row in reading.all_rows:
        own = reading.fleet(row.agent) if row.agent >= 0 else None
        if row.kind == Kind.RunFinished or (own is not None and own.name == fleet):
            continue
        agent = None if own is None else (own.name, row.agent - own.first)
        step = None if row.step < 0 else header.steps[row.step].name
        rows.append((row.time, row.kind, agent, step, row.visit, row.attempt, row.constraint, row.value))
    return rows


@given(scenarios(), st.booleans())
def test_an_unrelated_fleet_changes_no_event_of_the_others(row: Dict, before: bool) -> None:
    row = apart(row)
    fleets = [OTHERS, *row["fleets"]] if before else [*row["fleets"], OTHERS]
    log = simulate({**row, "fleets": fleets})
    assert without(log, OTHERS["name"]) == without(simulate(row), OTHERS["name"])


@given(scenarios("none"))
def test_names_mean_nothing_where_nothing_is_drawn(row: Dict) -> None:
    text = json.dumps(row)
    for name in FLEET_NAMES:
        for old, new in ((f'"{name}"', f'"{name}{name}"'), (f'"fleet:{name}"', f'"fleet:{name}{name}"')):
            text = text.replace(old, new)
    text = text.replace('"fleet:[ab]"', '"fleet:[ab][ab]"').replace('"task:?_', '"task:??_')
    for name in TASK_NAMES:
        text = text.replace(f'"{name}"', f'"{name}-more"').replace(f'"task:*_{name}"', f'"task:*_{name}-more"')
    renamed = json.loads(text)
    assert {task["task"] for fleet in renamed["fleets"] for task in tasks_of(fleet["steps"])}.isdisjoint(TASK_NAMES)
    assert simulate(renamed).digest() == simulate(row).digest()


# The summary is a fold.


def summary_of(log: Log, batches: list[Batch]) -> Dict:
    summary, waits = Summary(log.header), Waits()
    for batch in batches:
        summary.feed(batch, waits.feed(batch))
    return summary.result()


@given(scenarios(), st.data())
def test_the_summary_is_the_same_for_any_split_into_batches(row: Dict, data: st.DataObject) -> None:
    log = simulate(row)
    batches = list(log.batches())
    whole = concatenate(batches)
    cuts = data.draw(st.lists(st.integers(1, len(whole)), max_size=5, unique=True).map(sorted), label="cuts")
    edges = [0, *(cut for cut in cuts if cut < len(whole)), len(whole)]
    split = [whole.rows(start, stop) for start, stop in pairwise(edges)]
    single = [whole.rows(number, number + 1) for number in range(len(whole))]
    expected = rounded(summary_of(log, [whole]))
    assert rounded(summary_of(log, split)) == expected
    assert rounded(summary_of(log, single)) == expected


def rounded(result: Dict) -> Dict:
    """Leave out the last digits of what is no whole number: `test_utilisation_is_the_same_for_any_split` is about them."""
    for entry in result["constraints"].values():
        entry["utilisation"] = pytest.approx(entry["utilisation"], rel=1e-12)
    return result


def test_utilisation_is_the_same_for_any_split() -> None:
    bucket = {"id": "r", "type": "rate_limit", "rate": "3/s", "burst": 2, "scope": "global"}
    tasks = [{"name": name, "count": 2, "steps": [{"task": "work", "duration": "100ms"}]} for name in FLEET_NAMES[:2]]
    log = simulate({"name": "x", "constraints": [bucket], "fleets": tasks})
    whole = concatenate(list(log.batches()))
    single = [whole.rows(number, number + 1) for number in range(len(whole))]
    assert summary_of(log, single) == summary_of(log, [whole])


@given(scenarios())
def test_the_summary_says_what_the_rows_say(row: Dict) -> None:
    log = simulate(row)
    result = summary_of(log, list(log.batches()))
    expected = told_by_rows(read(log))
    utilisation = used_of_available(read(log))
    for name, entry in result["constraints"].items():
        assert entry.pop("utilisation") == pytest.approx(utilisation[name], rel=1e-12), name
    assert result == expected


def used_of_available(reading: Reading) -> dict[str, float]:
    """Work out how much of each constraint was used while it was in force, instant by instant, in exact numbers.

    Slots times time of a concurrency limit, tokens of a bucket (what it starts with and what it may earn), and of a pause
    the part of the whole run.
    """
    replay = Replay(reading)
    ids = [entry.id for entry in reading.header.constraints]
    used, available = [Fraction(0)] * len(ids), [Fraction(0)] * len(ids)

    def pass_until(time: int) -> None:
        span = time - replay.now
        for number, numbers in enumerate(replay.numbers):
            kind = replay.types[number]
            available[number] += span if kind == "pause" else 0
            if numbers is None:
                continue
            if kind == "concurrency":
                used[number] += replay.held[number] * span
                available[number] += numbers["limit"] * span
            elif kind == "rate_limit":
                available[number] += Fraction(numbers["tokens"] * span, numbers["period_ns"])
            else:
                used[number] += span * numbers["paused"]

    for number, numbers in enumerate(replay.numbers):
        available[number] += (numbers or {}).get("burst", 0)
    for row in reading.rows:
        pass_until(row.time)
        before = replay.numbers[row.constraint] if row.kind == Kind.ConstraintChanged else None
        replay.apply(row)
        if row.kind == Kind.ConstraintChanged and before is None:
            available[row.constraint] += (replay.numbers[row.constraint] or {}).get("burst", 0)
        if row.kind == Kind.TaskStarted:
            for number, amount in reading.amounts(row.task).items():
                if replay.types[number] == "rate_limit" and replay.numbers[number] is not None:
                    used[number] += amount or 0
    return {name: float(part / whole) if whole else 0.0 for name, part, whole in zip(ids, used, available, strict=True)}


def told_by_rows(reading: Reading) -> Dict:
    """Work the summary out again, row by row."""
    kinds = Counter(row.kind for row in reading.rows)
    open_tasks, blocked, waits = set[Any](), dict[Any, tuple[int, int]](), list[int]()
    ended: Counter[int] = Counter()  # attempts that worked, by how they ended
    unstarted = set[Any]()
    ids = [entry.id for entry in reading.header.constraints]
    told: dict[str, Counter[str]] = {name: Counter() for name in ids}
    for row in reading.rows:
        if row.task in blocked and row.kind in (Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected):
            number, since = blocked.pop(row.task)
            told[ids[number]]["blocked_ns"] += row.time - since
        if row.kind in (Kind.TaskBlocked, Kind.TaskRebound):
            blocked[row.task] = (row.constraint, row.time)
            here = told[ids[row.constraint]]
            here["blocked_episodes" if row.kind == Kind.TaskBlocked else "rebounds"] += 1
            here["peak_waiting"] = max(
                here["peak_waiting"], sum(1 for number, _ in blocked.values() if number == row.constraint)
            )
        if row.kind in (Kind.TaskBlocked, Kind.TaskStarted, Kind.TaskRejected):
            open_tasks.add(row.task)
        if row.kind == Kind.TaskStarted:
            waits.append(row.value)
        if row.kind == Kind.TaskRejected:
            told[ids[row.constraint]]["rejected"] += 1
        if row.kind in (Kind.TaskRejected, Kind.TaskAbandoned):
            unstarted.add(row.task)
        if row.kind == Kind.TaskFinished:
            open_tasks.discard(row.task)
            ended[row.value] += row.task not in unstarted
    for number, since in blocked.values():
        told[ids[number]]["blocked_ns"] += reading.end - since
    waits.sort()
    wait_ns: Dict = dict.fromkeys(("mean", "p50", "p95", "p99", "max"))
    if waits:
        ranks = {f"p{share}": waits[max(1, ceil(share * len(waits) / 100)) - 1] for share in (50, 95, 99)}
        wait_ns = {"mean": sum(waits) / len(waits), **ranks, "max": waits[-1]}
    stalled = None
    if reading.all_rows[-1].value:
        there = kinds[Kind.AgentStarted] - kinds[Kind.AgentFinished]
        before = reading.all_rows[-2]
        stalled = {"since_ns": before.time, "event": before.number, "agents": there, "tasks": len(blocked)}
    return {
        "events": len(reading.all_rows),
        "end_ns": reading.end,
        "tasks": {
            "started": kinds[Kind.TaskStarted],
            "finished": ended[Status.succeeded],
            "failed": ended[Status.failed],
            "timed_out": ended[Status.timed_out],
            "rejected": kinds[Kind.TaskRejected],
            "gave_up": kinds[Kind.TaskAbandoned],
            "preempted": ended[Status.preempted],
            "cancelled": ended[Status.cancelled],
            "skipped": kinds[Kind.TaskSkipped],
            "blocked": kinds[Kind.TaskBlocked],
            "open": len(open_tasks),
        },
        "spawned": 0,
        "crashes": 0,
        "deadlocks": [],
        "stalled": stalled,
        "wait_ns": wait_ns,
        "constraints": {
            name: {key: here[key] for key in ("blocked_ns", "blocked_episodes", "rebounds", "peak_waiting", "rejected")}
            for name, here in told.items()
        },
    }


if __name__ == "__main__":
    answer()
