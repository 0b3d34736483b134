"""What must always hold (the contract, section 7), over scenarios with everything that `docs/scenario.md` describes.

`test_properties` holds the same of the first features, and shrinks to simpler scenarios. Of item 7 and of the names, only
scenarios say something in which nothing is rounded, or nothing is drawn: see `vocabulary`.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from invariants import check_all
from invariants.changes import summed_up
from invariants.incidents import lasting, met, slows
from invariants.levels import MICRO
from invariants.reading import Reading, read
from strategies import simulate, tasks_of
from test_properties import NS_VALUES, OTHERS, apart, digest_of, planned, recorded, stepped, worker
from vocabulary import FLEETS, rich

from model.events import Batch, Kind, Status
from model.log import Log
from model.units import format_duration, parse_duration, parse_rate
from model.validation import load_embedded
from sim import engine
from sim.engine import Engine
from sim.environment import Endless

__all__ = ["worker"]
Dict = dict[str, Any]
half = settings(max_examples=settings.default.max_examples // 2)  # type: ignore[union-attr] # a profile is loaded
"""Of what takes several runs an example."""


@given(rich())
def test_every_rule_holds_over_everything(row: Dict) -> None:
    """Items 2 to 6, 8 and 9, and what else `invariants` knows; and a person may write it."""
    load_embedded(row, {})
    assert check_all(simulate(row)) == []


@half
@given(rich("any", wild=True))
def test_whatever_is_written_runs_to_an_end_or_is_said_to_have_none(row: Dict) -> None:
    """Loops that may take no time, and retries without a delay; fewer events at one instant are enough here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "INSTANT_EVENTS_MAX", 5_000)
        with suppress(Endless):
            simulate(row)


# Items 1 and 10: nothing but the scenario and the seed decides.


@half
@given(row=rich(), batch_rows=st.integers(1, 50))
def test_nothing_but_the_scenario_decides(worker: "subprocess.Popen[str]", row: Dict, batch_rows: int) -> None:
    """Another process, another size of batches, from a file or not, by SimPy's own loop, watched, or written out."""
    log = simulate(row)
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(row) + "\n")
    worker.stdin.flush()
    stock: list[Batch] = []
    steps = stepped(Engine(planned(row), stock.append))
    assert stepped(Engine(planned(row), None)) == steps
    watched: list[Batch] = []
    Engine(planned(row), watched.append).run(lambda *far: None)
    for batches in (recorded(row, batch_rows), stock, watched):
        assert digest_of(batches) == log.digest()
    assert simulate(log.header.scenario).digest() == log.digest()
    assert worker.stdout.readline().strip() == log.digest()


# Item 7: time has no unit.

UNSCALED = ("cost", "needs", "reserve", "fork", "count", "depth", "fail", "skip_if", "tenants")
TIMES = (
    "at", "from", "expires", "until", "think", "duration", "value", "stagger", "every", "timeout", "patience", "delay",
    "cap", "deadline", "life", "window", "open_for", "period", "latency", "cooldown", "chunk", "slice", "starvation",
    "between", "lasts", "uptime", "repair",
)  # fmt: skip


def scaled(value: Any, factor: int, key: str = "") -> Any:
    """Return a part of a scenario with every duration multiplied, and every rate divided, by `factor`."""
    if key in UNSCALED:
        return value
    if isinstance(value, dict):
        return {name: scaled(part, factor, name) for name, part in value.items()}
    if isinstance(value, list):
        return [scaled(part, factor, key) for part in value]
    if key == "rate":
        rate = parse_rate(value)
        return f"{rate.tokens}/{format_duration(rate.period_ns * factor)}"
    is_time = key in TIMES or (key == "retry_after" and value not in ("exact", "none", True, False))
    return format_duration(parse_duration(value) * factor) if is_time else value


@half
@given(rich("exact"), st.sampled_from([2, 3, 7, 1000, 86_399]))
def test_multiplying_every_duration_multiplies_every_timestamp(row: Dict, factor: int) -> None:
    log, other = simulate(row), simulate(scaled(row, factor))
    in_ns = {*NS_VALUES, Kind.TaskRejected}
    expected = [
        line._replace(
            time=line.time * factor, value=line.value * (factor if line.kind in in_ns and line.value > 0 else 1)
        )
        for line in read(log).all_rows
    ]
    for number, line in enumerate(expected):
        if line.kind == Kind.ConstraintChanged:
            # A rate is told in millionths of a token a second, rounded down; the header has its exact numbers.
            entry = other.header.constraints[line.constraint]
            if entry.type == "rate_limit":
                expected[number] = line._replace(value=summed_up(entry.type, dict(entry.settings)[line.time]))
    assert read(other).all_rows == expected


# Items 3 and 10: common random numbers.

Named = dict[int, str]


def names_of(reading: Reading) -> Named:
    """Return names of the agents that do not depend on who else there is: who was spawned is called by its descent."""
    names: Named = {}
    copies: Counter[str] = Counter()
    for row in reading.rows:
        if row.kind != Kind.AgentStarted:
            continue
        if row.step < 0:
            names[row.agent] = reading.name(row.agent)
        else:
            where = f"{names[row.value]}/{reading.header.steps[row.step].name}#{row.visit}"
            names[row.agent] = f"{where}.{copies[where]}"
            copies[where] += 1
    return names


def draws_of(log: Log) -> Dict:
    """Return what each visit drew: whether it was skipped, how its first attempt worked and ended, and what it cost.

    How long it worked tells the draw where it ended by itself, in its time, with a processor of its own and slowed by
    nothing; how it ended where no incident may let it fail. What an incident draws is told where it lasts: whether it
    refuses an attempt, and whether it lets one fail that nothing else does.
    """
    reading = read(log)
    names = names_of(reading)
    started: Dict = {}
    found: Dict = {}
    for row in reading.rows:
        if row.kind not in TELLING:
            continue
        step = reading.header.steps[row.step]
        key = (names[row.agent], step.name, row.visit)
        if row.kind == Kind.ResourceAcquired:
            found[(*key, row.constraint)] = row.value
        elif row.kind == Kind.TaskSkipped and "after" not in reading.policy(row.step):
            found[(*key, "skipped")] = True
        elif row.kind == Kind.TaskRejected and row.attempt == 0:
            found |= {(*key, "refused", name): True for name in sharing_out(reading, [row.constraint], "refuse")}
        elif row.kind == Kind.TaskStarted:
            found[(*key, "skipped")] = False
            started[row.task] = row
            if row.attempt == 0:
                each = sharing_out(reading, lasting(reading)[row.number], "refuse")
                found |= {(*key, "refused", name): False for name in each}
        elif row.kind == Kind.TaskFinished and row.task in started and row.attempt == 0 and step.kind == "task":
            start = started[row.task]
            shares = any(reading.shares(number) for number in reading.amounts(row.task))
            if row.value not in (Status.succeeded, Status.failed):
                continue
            if not shares and not slows(reading, row):
                found[(*key, "worked")] = row.time - start.time
            if not any(met(reading, start).fails):
                found[(*key, "fails")] = row.value
            lets_fail = sharing_out(reading, lasting(reading)[start.number], "fail")
            if (
                len(lets_fail) == sum(map(bool, met(reading, start).fails)) == 1
                and not reading.policy(row.step)["fail"]
            ):
                found[(*key, "fails", lets_fail[0])] = row.value
    return found


TELLING = (Kind.TaskStarted, Kind.TaskFinished, Kind.TaskSkipped, Kind.TaskRejected, Kind.ResourceAcquired)


def sharing_out(reading: Reading, numbers: Iterable[int], what: str) -> list[str]:
    """Return the names of the incidents among some constraints that refuse a share, or let one fail."""
    entries = (reading.header.constraints[number] for number in numbers)
    incidents = ((entry.id, entry.settings) for entry in entries if entry.type == "incident")
    return [name for name, settings in incidents if any(0 < n[what] < MICRO for _, n in settings if n is not None)]


def differing(one: Log, other: Log) -> Dict:
    first, second = draws_of(one), draws_of(other)
    return {key: (first[key], second[key]) for key in first.keys() & second.keys() if first[key] != second[key]}


def grown(row: Dict) -> Dict:
    """Return the scenario with more agents in every fleet that has a number of them, after those that it has."""
    fleets = [{**fleet, "count": fleet["count"] + 2} if "count" in fleet else fleet for fleet in row["fleets"]]
    return {**row, "fleets": fleets}


def loosened(row: Dict) -> Dict:
    """Return the scenario with other limits."""
    other: Dict = json.loads(json.dumps(row))
    for constraint in other["constraints"]:
        for part in (constraint, *constraint.get("changes", [])):
            part.update({key: part[key] + 7 for key in ("limit", "burst", "total", "capacity", "max") if key in part})
    return other


@half
@given(rich())
def test_more_agents_and_other_limits_change_no_draw(row: Dict) -> None:
    log = simulate(row)
    assert not differing(log, simulate(grown(row)))
    assert not differing(log, simulate(loosened(row)))


def spared(row: Dict) -> Dict:
    """Return the scenario in which nothing goes wrong."""
    fleets = [{key: value for key, value in fleet.items() if key != "crash"} for fleet in row["fleets"]]
    return {key: value for key, value in row.items() if key != "incidents"} | {"fleets": fleets}


@half
@given(rich())
def test_what_goes_wrong_changes_no_other_draw(row: Dict) -> None:
    incidents = row.get("incidents", [])
    assume(incidents or any("crash" in fleet for fleet in row["fleets"]))
    log = simulate(row)
    assert not differing(log, simulate(spared(row)))
    assert not differing(log, simulate({**row, "incidents": incidents[1:]}))


def without(log: Log, fleet: str) -> list[tuple[Any, ...]]:
    """Return the rows of all fleets but one, with names for numbers; not the end, which the other fleet may delay."""
    reading, header = read(log), log.header
    names = names_of(reading)
    rows = []
    for row in reading.all_rows:
        if row.kind == Kind.RunFinished or (row.agent >= 0 and reading.fleet(row.agent).name == fleet):
            continue
        value = names[row.value] if row.kind == Kind.AgentStarted and row.step >= 0 else row.value
        agent = names[row.agent] if row.agent >= 0 else None
        step = None if row.step < 0 else (header.fleets[header.steps[row.step].fleet].name, header.steps[row.step].name)
        rows.append((row.time, row.kind, agent, step, row.visit, row.attempt, row.constraint, value))
    return rows


@half
@given(rich(), st.booleans())
def test_an_unrelated_fleet_changes_no_event_of_the_others(row: Dict, before: bool) -> None:
    row = apart(row)
    fleets = [OTHERS, *row["fleets"]] if before else [*row["fleets"], OTHERS]
    assert without(simulate({**row, "fleets": fleets}), OTHERS["name"]) == without(simulate(row), OTHERS["name"])


def renamed(value: Any, key: str = "") -> Any:
    """Return a part of a scenario in which every fleet, task and hold has a longer name."""
    if isinstance(value, dict):
        return {name: renamed(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [renamed(part, key) for part in value]
    if key == "scope":
        level, _, pattern = value.partition(":")
        if level == "task":
            return value.replace("task:?_", "task:??_").replace("*_t", "*_new-t")
        if level == "fleet":
            return value.replace("[ab]", "[ab][ab]") if "[" in value else f"fleet:{pattern}{pattern}"
    if key in ("task", "hold", "after"):
        return f"new-{value}"
    return value * 2 if value in FLEETS and key in ("name", "spawn") else value


@half
@given(rich("none"))
def test_names_mean_nothing_where_nothing_is_drawn(row: Dict) -> None:
    other = {**renamed(row), "name": row["name"]}
    for fleet in other["fleets"]:
        assert len(fleet["name"]) == 2
        assert all(task["task"].startswith("new-") for task in tasks_of(fleet["steps"]))
    assert simulate(other).digest() == simulate(row).digest()
