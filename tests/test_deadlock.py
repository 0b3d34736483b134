"""Deadlocks: told of at the event that closes them, with a proof; by hand, and against all sets of agents that wait."""

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.events import Kind
from model.governing import Governing
from model.locks import Locks
from model.log import Log
from model.scenario import Scenario
from model.validation import load
from sim.analysis.deadlocks import deadlocks
from tests.invariants.reading import read
from tests.runs import run, scenario, told

SCENARIOS = Path(__file__).parent.parent / "scenarios"


def lock(name: str, limit: int = 1) -> dict[str, Any]:
    return {"id": name, "type": "concurrency", "limit": limit, "scope": None}


def take(name: str, *steps: Any, after: str = "0s", amount: int = 1) -> dict[str, Any]:
    return {"hold": f"hold_{name}", "needs": {name: amount}, "steps": [{"think": after}, *steps]}


def ask(name: str, amount: int = 1) -> dict[str, Any]:
    return {"task": f"ask_{name}", "duration": "1s", "needs": {name: amount}}


def fleet(name: str, *steps: Any, count: int = 1, **rest: Any) -> dict[str, Any]:
    return {"name": name, "count": count, "steps": list(steps), **rest}


def detected(constraints: list[Any], fleets: list[Any], **rest: Any) -> list[str]:
    log = told(run(scenario(until="1h", constraints=constraints, fleets=fleets, **rest)))
    return [line for line in log if "Deadlock" in line]


OPPOSITE = [fleet("x", take("a", ask("b"), after="2s")), fleet("y", take("b", ask("a"), after="1s"))]


def test_two_locks_in_opposite_order() -> None:
    assert detected([lock("a"), lock("b")], OPPOSITE) == [
        "2 DeadlockDetected x_0_ask_b#0 b 2",
        "2 DeadlockDetected y_0_ask_a#0 a 0",
    ]


def test_a_cycle_is_no_deadlock_where_there_is_another_of_the_kind() -> None:
    """x and y wait for each other, and z, who waits for nobody, holds another of b: it gives it back at 5 s."""
    fleets = [*OPPOSITE, fleet("z", {"task": "z", "duration": "5s", "needs": {"b": 1}})]
    assert detected([lock("a"), lock("b", 2)], fleets) == []
    log = told(run(scenario(until="1h", constraints=[lock("a"), lock("b", 2)], fleets=fleets)))
    assert [line for line in log if "Resumed" in line] == [
        "5 TaskResumed x_0_ask_b#0 b 3",
        "6 TaskResumed y_0_ask_a#0 a 5",
    ]


def test_a_cycle_becomes_a_deadlock_when_the_other_waits_too() -> None:
    """As above, but z asks for a while it holds its b: then nobody is left who could go on."""
    fleets = [*OPPOSITE, fleet("z", take("b", ask("a"), after="5s"))]
    assert detected([lock("a"), lock("b", 2)], fleets) == [
        "5 DeadlockDetected z_0_ask_a#0 a 3",
        "5 DeadlockDetected x_0_ask_b#0 b 0",
        "5 DeadlockDetected y_0_ask_a#0 a 0",
    ]


def test_amounts_count() -> None:
    """Two of four hold 2 of 5 units each and want 2 more: one is left over. With 6 units one can go on."""
    units = {"id": "units", "type": "resource", "capacity": 5.0, "scope": None}
    greedy = [fleet("x", take("units", ask("units", 2), after="1s", amount=2), count=2)]
    assert detected([units], greedy) == [
        "1 DeadlockDetected x_1_ask_units#0 units 2",
        "1 DeadlockDetected x_0_ask_units#0 units 0",
    ]
    assert detected([{**units, "capacity": 6.0}], greedy) == []


def test_one_agent_may_wait_for_itself() -> None:
    assert detected([lock("a")], [fleet("x", take("a", ask("a")))]) == ["0 DeadlockDetected x_0_ask_a#0 a 1"]


def test_whoever_only_stands_behind_a_deadlock_is_not_in_it() -> None:
    fleets = [*OPPOSITE, fleet("late", {"think": "3s"}, ask("a")), fleet("more", {"think": "4s"}, take("c", ask("a")))]
    assert detected([lock("a"), lock("b"), lock("c")], fleets) == [
        "2 DeadlockDetected x_0_ask_b#0 b 2",
        "2 DeadlockDetected y_0_ask_a#0 a 0",
    ]


def test_who_gives_up_or_has_a_limited_life_ends_the_waiting() -> None:
    patient = fleet("x", take("a", {**ask("b"), "patience": "1s"}, after="2s"))
    assert detected([lock("a"), lock("b")], [patient, OPPOSITE[1]]) == []
    assert detected([lock("a"), lock("b")], [{**OPPOSITE[0], "life": "10s"}, OPPOSITE[1]]) == []
    assert detected([lock("a"), lock("b")], [{**OPPOSITE[0], "crash": {"uptime": "10s"}}, OPPOSITE[1]]) == []


def test_a_limit_that_will_be_raised_or_expires_is_no_reason_to_wait_for_good() -> None:
    raised = {**lock("b"), "changes": [{"at": "9s", "limit": 2}]}
    assert detected([lock("a"), raised], OPPOSITE) == []
    assert detected([lock("a"), {**lock("b"), "expires": "9s"}], OPPOSITE) == []


def test_a_limit_that_is_lowered_may_close_a_deadlock() -> None:
    fleets = [fleet("x", take("a", ask("a"), after="1s")), fleet("y", take("a", ask("a"), after="1s"))]
    slots = {**lock("a", 3), "changes": [{"at": "1500ms", "limit": 2}]}
    # At 1 s x has the third slot, and y waits for it. At 1.5 s the limit is 2; at 2 s x is through and gives back both.
    assert detected([slots], fleets) == []
    # Where both wait for a third that somebody else has, they wait for good from the moment it is gone.
    other = fleet("z", {"task": "z", "duration": "3s", "needs": {"a": 1}})
    assert detected([slots], [*fleets, other]) == [
        "1.5 DeadlockDetected x_0_ask_a#0 a 2",
        "1.5 DeadlockDetected y_0_ask_a#0 a 0",
    ]


def test_a_parent_and_its_branches_or_the_agents_that_it_spawned() -> None:
    slots = {"id": "slots", "type": "concurrency", "limit": 2, "scope": "task:*_w"}
    parent = {"hold": "w", "steps": [{"fork": 2, "steps": [{"task": "v_w", "duration": "1s"}]}]}
    assert detected([slots], [fleet("p", parent, count=2)]) == [
        "0 DeadlockDetected p_1_w#0 2",
        "0 DeadlockDetected p_0_v_w#0 slots 0",
        "0 DeadlockDetected p_0_v_w#1 slots 0",
        "0 DeadlockDetected p_1_v_w#0 slots 0",
        "0 DeadlockDetected p_1_v_w#1 slots 0",
        "0 DeadlockDetected p_0_w#0 0",
    ]
    spawning = {"hold": "w", "steps": [{"spawn": "c", "count": 2}]}
    child = {"name": "c", "steps": [{"task": "w", "duration": "1s"}]}
    assert detected([slots], [fleet("p", spawning, count=2), child])[0] == "0 DeadlockDetected p_1_w#0 6"
    assert detected([slots], [fleet("p", {**spawning, "give_back": True}, count=2), child]) == []
    assert (
        detected([slots], [fleet("p", {"hold": "w", "steps": [{"spawn": "c", "wait": False}]}, count=2), child]) == []
    )


def test_a_branch_that_will_be_called_off_does_not_wait_for_good() -> None:
    """x goes on when any of its branches is through; where one is skipped or works, the other will be called off."""
    for skipped, found in ((0.0, True), (1.0, False)):
        branch = {"repeat": 1, "steps": [{**ask("b"), "skip_if": skipped}, {"think": "1s"}]}
        x = fleet("x", take("a", {"fork": 2, "join": "any", "steps": [branch]}, after="2s"))
        assert bool(detected([lock("a"), lock("b")], [x, OPPOSITE[1]])) is found
    works = {"choose": [{"steps": [ask("b")]}, {"steps": [{"task": "other", "duration": "1h"}]}]}
    x = fleet("x", take("a", {"fork": 9, "join": "any", "steps": [works]}, after="2s"))
    assert detected([lock("a"), lock("b")], [x, OPPOSITE[1]]) == []


def test_a_branch_that_holds_what_another_waits_for_gives_it_back_when_it_is_called_off() -> None:
    """A branch of x holds a and waits for b, another waits for a; one that works ends, calls them off, and y has a."""
    works = {"task": "other", "duration": "30m"}
    branch = {"choose": [{"steps": [take("a", ask("b"))]}, {"steps": [works]}]}
    fleets = [fleet("x", {"fork": 6, "join": "any", "steps": [branch]}), OPPOSITE[1]]
    log = told(run(scenario(until="1h", constraints=[lock("a"), lock("b")], fleets=fleets)))
    assert "0 TaskStarted x_0_other#0 0" in log
    assert "0 TaskBlocked x_0_ask_b#0 b 0" in log
    assert "1 TaskBlocked y_0_ask_a#0 a 1" in log
    assert [line for line in log if "Deadlock" in line] == []
    assert "1800 TaskAbandoned x_0_ask_b#0 b 1800" in log
    assert "1801 TaskFinished y_0_ask_a#0 succeeded" in log


@pytest.mark.parametrize("limit", range(2, 13))
def test_the_smallest_safe_limit_of_parents_is_one_more_than_there_are(limit: int) -> None:
    """Twelve parents that begin together lock up under any limit up to 12: all slots go to parents first."""
    slots = {"id": "slots", "type": "concurrency", "limit": limit, "scope": "global"}
    parent = {"hold": "plan", "steps": [{"think": "1s"}, {"fork": 3, "steps": [{"task": "sub", "duration": "1s"}]}]}
    assert detected([slots], [fleet("p", parent, count=12)])
    found = deadlocks(run(scenario(until="1h", constraints=[slots], fleets=[fleet("p", parent, count=12)])))
    assert found[0]["safe_limits"] == {"slots": 13}
    assert found[0]["agents"] == limit
    assert detected([{**slots, "limit": 13}], [fleet("p", parent, count=12)]) == []


def test_the_proof_says_who_holds_what_and_since_which_event() -> None:
    [found] = deadlocks(run(scenario(until="1h", constraints=[lock("a"), lock("b")], fleets=OPPOSITE)))
    assert found == {
        "time_ns": 2_000_000_000,
        "event": 9,
        "agents": 2,
        "tasks": 2,
        "cycle": [
            {
                "task": "x_0_ask_b",
                "visit": 0,
                "waits_for": "b",
                "since_ns": 2_000_000_000,
                "event": 8,
                "held_by": {"task": "y_0_hold_b", "visit": 0, "amount": 1, "since_ns": 0, "event": 5},
                "held_by_others": 0,
            },
            {
                "task": "y_0_ask_a",
                "visit": 0,
                "waits_for": "a",
                "since_ns": 1_000_000_000,
                "event": 7,
                "held_by": {"task": "x_0_hold_a", "visit": 0, "amount": 1, "since_ns": 0, "event": 2},
                "held_by_others": 0,
            },
        ],
        "safe_limits": {"a": 2, "b": 2},
    }


# Against all sets of agents


@st.composite
def locking(draw: st.DrawFn) -> dict[str, Any]:
    """Agents that take locks one within the other, or in order, so that they may wait for each other."""
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    limits = {name: draw(st.integers(1, 3)) for name in names}

    def amount(name: str) -> int:
        return draw(st.integers(1, limits[name]))

    def steps(depth: int) -> list[Any]:
        name = draw(st.sampled_from(names))
        pause = {"think": draw(st.sampled_from(["0s", "1s", "2s"]))}
        if depth and draw(st.booleans()):
            return [pause, take(name, *steps(depth - 1), after="1s", amount=amount(name))]
        if draw(st.booleans()):
            order = draw(st.permutations(names))
            needs = {each: amount(each) for each in order}
            return [pause, {"task": "all", "duration": "1s", "needs": needs, "acquire": list(order)}]
        return [pause, {"task": "t", "duration": "1s", "needs": {name: amount(name)}}]

    def unique(steps: list[Any], count: list[int]) -> list[Any]:
        for step in steps:
            for key in ("task", "hold"):
                if key in step:
                    count[0] += 1
                    step[key] = f"{key}{count[0]}"
            unique(step.get("steps", []), count)
        return steps

    fleets = [
        fleet(f"f{n}", *unique(steps(2), [0]), count=draw(st.integers(1, 2))) for n in range(draw(st.integers(2, 4)))
    ]
    return scenario(until="1h", constraints=[lock(name, limits[name]) for name in names], fleets=fleets)


def closed_at(log: Log) -> int | None:
    """Return the first event after which some agents wait for good, by trying all sets of agents."""
    reading = read(log)
    limits = [entry.settings[0][1]["limit"] for entry in log.header.constraints]  # type: ignore[index]
    held: dict[int, dict[int, int]] = {}
    wanted: dict[int, dict[int, int]] = {}
    for row, following in zip(reading.rows, [*reading.rows[1:], None], strict=True):
        mine = held.setdefault(row.agent, {})
        if row.kind == Kind.ResourceAcquired:
            mine[row.constraint] = mine.get(row.constraint, 0) + row.value
        elif row.kind == Kind.ResourceReleased:
            mine[row.constraint] -= row.value
        elif row.kind == Kind.TaskBlocked:
            amounts = reading.amounts(row.task)
            asked = [row.constraint] if "acquire" in reading.policy(row.step) else list(amounts)
            wanted[row.agent] = {number: amounts[number] or 0 for number in asked}
        elif row.kind == Kind.TaskResumed:
            wanted.pop(row.agent, None)
        if following is not None and following.kind in (Kind.ResourceAcquired, Kind.TaskStarted, Kind.ResourceReleased):
            continue  # the same event goes on
        for size in range(1, len(wanted) + 1):
            for agents in combinations(wanted, size):
                if all(
                    any(
                        limits[number] - sum(held[other].get(number, 0) for other in agents) < amount
                        for number, amount in wanted[agent].items()
                    )
                    for agent in agents
                ):
                    return row.number
    return None


@settings(max_examples=400, deadline=None)
@given(locking())
def test_every_deadlock_is_told_of_at_the_event_that_closes_it_and_no_other(row: dict[str, Any]) -> None:
    log = run(row)
    first = next((each.number for each in read(log).rows if each.kind == Kind.DeadlockDetected), None)
    closed = closed_at(log)
    assert (None if first is None else first - 1) == closed


# What a person sees


def sim(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "sim", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["two_locks", "philosophers", "parents"])
def test_a_deadlock_that_is_not_expected_is_an_exit_code(name: str, tmp_path: Path) -> None:
    file, log = str(SCENARIOS / f"{name}.yaml"), str(tmp_path / "log.arrows")
    done = sim(file, "--log", log, "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["deadlocks"] == json.loads(json.dumps(deadlocks(Log.open(log))))
    done = sim(file, "--log", log, "--set", "expect_deadlock=false")
    assert done.returncode == 3
    assert "warning: a deadlock is possible" in done.stderr
    assert "for good" in done.stdout


@pytest.mark.parametrize(
    "change",
    [
        ("two_locks", "constraints.index.limit=2"),
        ("philosophers", "constraints.fork3.limit=2"),
        ("parents", "constraints.slots.limit=13"),
        ("parents", "fleets.parent.steps.plan.give_back=true"),
        ("philosophers_ordered", "seed=5"),
    ],
)
def test_a_remedy_removes_the_deadlock_and_the_warning(change: tuple[str, str], tmp_path: Path) -> None:
    name, setting = change
    arguments = [str(SCENARIOS / f"{name}.yaml"), "--set", setting, "--set", "expect_deadlock=false"]
    done = sim(*arguments, "--log", str(tmp_path / "log.arrows"), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["deadlocks"] == []


def test_the_warning_names_the_circle_and_the_order_that_removes_it(tmp_path: Path) -> None:
    [warning] = load(SCENARIOS / "two_locks.yaml", ["expect_deadlock=false"]).warnings
    assert warning.problem == (
        "a deadlock is possible: writer.reindex asks for index while ledger is held, "
        "and reader.audit asks for ledger while index is held"
    )
    assert warning.allowed == (
        "taking them in one order everywhere, such as ledger, then index "
        "or a limit of 2 for ledger or expect_deadlock: true"
    )


@settings(max_examples=300, deadline=None)
@given(locking())
def test_where_no_deadlock_is_possible_none_comes(row: dict[str, Any]) -> None:
    log = run(row)
    if any(each.kind == Kind.DeadlockDetected for each in read(log).rows):
        parsed = Scenario.model_validate(row)
        assert Locks(parsed, Governing(parsed, [None] * len(parsed.fleets))).circle()
