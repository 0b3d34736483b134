"""The first event at which two runs part, and the fleet around it: by hand, by brute force, and as a user sees it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invariants.reading import read
from strategies import simulate
from test_cli import one_line, rewritten, sim
from test_diff import first_rows, in_batches, two_stages, written
from vocabulary import rich

from model.events import Batch, Kind, concatenate
from model.log import Log
from sim.analysis.around import around
from sim.analysis.diff import first_difference
from sim.analysis.sojourns import BACK_OFF, WORK
from sim.verify import again, compare
from tests.runs import run, scenario

ROOT = Path(__file__).parent.parent
S = 1_000_000_000
Dict = dict[str, Any]


def tampered(log: Log, row: int, **values: int) -> Log:
    """The log with one row altered."""
    return written(log, [altered(concatenate(list(log.batches())), row, **values)])


def altered(rows: Batch, row: int, **values: int) -> Batch:
    columns = {name: getattr(rows, name).copy() for name in rows.__slots__}
    for name, value in values.items():
        columns[name][row] += value
    return Batch(**columns)


def test_the_fleet_around_the_first_difference_by_hand() -> None:
    steps = [{"task": "work", "duration": "2s"}]
    slots = {"id": "slots", "type": "concurrency", "limit": 2}
    log = run(scenario(constraints=[slots], count=4, steps=steps, until="10s"))
    # 0 RunStarted, four AgentStarted with what they do, then 9 and 10: at 2 s the first is over, and the third goes on.
    found = first_difference(log, tampered(log, 10, value=1))
    assert (found["same"], found["compared_events"], found["cut"]) == (False, 10, False)
    parting = found["parting"]
    assert (parting["event"], parting["time_ns"]) == (10, 2 * S)
    assert parting["a"] == "2.000000000 s TaskResumed, a_2_work, visit 0, attempt 0, on slots, value 2000000000"
    assert parting["b"] == "2.000000000 s TaskResumed, a_2_work, visit 0, attempt 0, on slots, value 2000000001"
    task = {"visit": 0, "since_ns": 0}
    assert parting["before"] == {
        "time_ns": 2 * S,
        "agents": {"thinking": 1, "blocked": 2, "running": 1},
        "working": {"tasks": 1, "first": [{"task": "a_1_work", **task}]},
        "backing_off": {"tasks": 0, "first": []},
        "constraints": [
            {
                "constraint": "slots",
                "type": "concurrency",
                "limit": 2,
                "used": 1,
                "waiting": {"tasks": 2, "first": [{"task": "a_2_work", **task}, {"task": "a_3_work", **task}]},
            }
        ],
        "events": [
            "0.000000000 s AgentStarted, agent 2, value 0",
            "0.000000000 s TaskBlocked, a_2_work, visit 0, attempt 0, on slots, value 0",
            "0.000000000 s AgentStarted, agent 3, value 0",
            "0.000000000 s TaskBlocked, a_3_work, visit 0, attempt 0, on slots, value 1",
            "2.000000000 s TaskFinished, a_0_work, visit 0, attempt 0, succeeded",
        ],
        "of_agents": {
            "a_2": [
                "0.000000000 s AgentStarted, agent 2, value 0",
                "0.000000000 s TaskBlocked, a_2_work, visit 0, attempt 0, on slots, value 0",
            ]
        },
    }


def test_both_agents_are_told_of_where_another_one_goes_on() -> None:
    log = run(two_stages(1))
    rows = concatenate(list(log.batches()))
    resumed = int(np.flatnonzero(rows.kind == Kind.TaskResumed)[0])
    found = first_difference(log, tampered(log, resumed, agent=1))
    assert list(found["parting"]["before"]["of_agents"]) == ["a_1", "a_2"]


def test_amounts_are_in_their_own_units() -> None:
    limits = [
        {"id": "memory", "type": "resource", "capacity": 2.5},
        {"id": "rpm", "type": "rate_limit", "rate": "90/m"},
        {"id": "stop", "type": "pause", "paused": False},
    ]
    steps = [{"task": "work", "duration": "2s", "needs": {"memory": 1.5}}]
    log = run(scenario(constraints=limits, count=2, steps=steps))
    told = around(log.header, log.batches(), 5, [])  # while the first works, and the other waits
    assert [(each["constraint"], each["limit"], each["used"]) for each in told["constraints"]] == [
        ("memory", 2.5, 1.5),
        ("rpm", 1.5, None),
        ("stop", None, None),
    ]


@given(rich(), st.data(), st.integers(1, 20))
def test_the_first_difference_is_found_and_the_fleet_there_is_what_the_rows_say(
    row: Dict, data: st.DataObject, batch_rows: int
) -> None:
    log = simulate(row)
    rows = read(log).all_rows
    event = data.draw(st.integers(0, len(rows) - 1))
    # The time of the last row can move by itself; elsewhere the attempt does, which nothing holds against anything.
    last = event == len(rows) - 1
    other = tampered(log, event, time=1) if last else tampered(log, event, attempt=1)
    found = first_difference(in_batches(log, batch_rows), other)
    assert (found["parting"]["event"], found["compared_events"]) == (event, event)
    before = found["parting"]["before"]
    doing: dict[Any, int] = {}
    for each in rows[:event]:
        key = each.agent, each.step, each.visit
        match each.kind:
            case Kind.TaskBlocked | Kind.TaskRebound:
                doing[key] = each.constraint
            case Kind.TaskRetrying:
                doing[key] = BACK_OFF
            case Kind.TaskAbandoned if each.constraint < 0:
                assert doing[key] == BACK_OFF
            case Kind.TaskResumed | Kind.TaskStarted | Kind.TaskRejected | Kind.TaskAbandoned:
                doing[key] = WORK
            case Kind.TaskFinished | Kind.TaskSkipped:
                doing.pop(key, None)
    counts = Counter(doing.values())
    assert before["working"]["tasks"] == counts[WORK]
    assert before["backing_off"]["tasks"] == counts[BACK_OFF]
    for number, told in enumerate(before["constraints"]):
        assert told["waiting"]["tasks"] == counts[number]
    assert len(before["events"]) == min(5, event)


@given(rich())
def test_the_run_made_again_is_the_same(row: Dict) -> None:
    log = simulate(row)
    comparison = compare(log, again(log))
    assert (comparison.parting, comparison.events) == (None, len(read(log).all_rows))


def test_a_cut_log_agrees_as_far_as_it_goes() -> None:
    log = run(two_stages(3))
    for one, two in ((log, first_rows(log, 16)), (first_rows(log, 16), log)):
        found = first_difference(one, two)
        assert (found["same"], found["cut"], found["compared_events"]) == (True, True, 16)
    assert not first_difference(log, first_rows(log, 0))["same"]


# As a user sees it


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the logs of the page."""
    folder = tmp_path_factory.mktemp("bisect")
    main = ROOT / "scenarios/starvation.yaml"
    assert sim(main, "--log", "priority.arrows", cwd=folder).returncode == 0
    assert sim(main, "--set", "constraints.gpus.queue=fair", "--log", "fair.arrows", cwd=folder).returncode == 0
    return folder


def test_bisect_prints_what_the_page_says(logs: Path) -> None:
    page = (ROOT / "docs/bisect.md").read_text()
    done = sim("bisect", "priority.arrows", "fair.arrows", cwd=logs)
    assert (done.returncode, done.stderr) == (1, b"")
    assert f"```\n{done.stdout.decode()}```" in page
    done = sim("bisect", "priority.arrows", cwd=logs)
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"```\n{done.stdout.decode()}```" in page


def test_a_row_that_is_not_what_the_run_makes_is_found(logs: Path, tmp_path: Path) -> None:
    log = Log.open(logs / "fair.arrows")
    rows = concatenate(list(log.batches()))
    rewritten(
        tmp_path / "x.arrows", log, altered(rows, 3000, value=1), versions={**log.header.versions, "numpy": "0.1"}
    )
    done = sim("bisect", "x.arrows", "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (done.returncode, result["parting"]["event"], result["other"]) == (1, 3000, None)
    assert result["scenario"] == []
    assert [each.partition(":")[0] for each in result["caveats"]] == ["they were written by different versions"]
    told = sim("bisect", "x.arrows", logs / "fair.arrows", "--markdown", cwd=tmp_path).stdout.decode()
    assert told.startswith("## starvation\n")
    assert "### Who waits" in told
    # A header that says something else is a difference that may have no event.
    limit = log.header.constraints[0]
    rewritten(
        tmp_path / "y.arrows",
        log,
        rows,
        constraints=(type(limit)(**{**_fields(limit), "scope": "x"}), *log.header.constraints[1:]),
    )
    done = sim("bisect", "y.arrows", cwd=tmp_path)
    assert "  note: the headers differ, first in constraints.0.scope: 'x' and " in done.stdout.decode()


def _fields(entry: Any) -> Dict:
    return {name: getattr(entry, name) for name in entry.__slots__}


def test_a_cut_log_is_said_to_be(logs: Path, tmp_path: Path) -> None:
    log = Log.open(logs / "fair.arrows")
    rewritten(tmp_path / "cut.arrows", log, concatenate(list(log.batches())).rows(0, 2000))
    for other in ((), (logs / "fair.arrows",)):
        done = sim("bisect", "cut.arrows", *other, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, b"")
        assert "  the same as far as both go: 2,000 events, and none is another" in done.stdout.decode().splitlines()


def test_bad_input_is_one_line(logs: Path, tmp_path: Path) -> None:
    log = Log.open(logs / "fair.arrows")
    one_line(
        sim("bisect", "fair.arrows", "fair.arrows", cwd=logs), "OTHER: fair.arrows is LOG itself; allowed: another"
    )
    one_line(sim("bisect", "none.arrows", cwd=logs), "none.arrows: no such file")
    one_line(sim("bisect", "fair.arrows", "none.arrows", cwd=logs), "none.arrows: no such file")
    one_line(sim("bisect", "fair.arrows", "--json", "--markdown", cwd=logs), "one of them at a time")
    rows = concatenate(list(log.batches()))
    rewritten(tmp_path / "x.arrows", log, rows, scenario={**log.header.scenario, "fleets": []})
    one_line(sim("bisect", "x.arrows", cwd=tmp_path), "the scenario inside it is not valid for this version")
