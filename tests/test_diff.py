"""Two runs side by side: by hand on tiny scenarios, by brute force over generated ones, and as a user sees it."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants.reading import Reading, read
from pyarrow import parquet
from strategies import simulate
from test_cli import one_line, rewritten, sim
from test_rich import grown, loosened, names_of
from vocabulary import rich

from model.events import Kind, concatenate
from model.log import Log, LogWriter
from sim.analysis import pairs
from sim.analysis.alterations import alterations
from sim.analysis.diff import diff
from sim.analysis.pairs import sums
from tests.runs import run, scenario

ROOT = Path(__file__).parent.parent
S = 1_000_000_000
Dict = dict[str, Any]
half = settings(max_examples=settings.default.max_examples // 2)  # type: ignore[union-attr] # a profile is loaded


def two_stages(x: int, **rest: Any) -> Dict:
    """Three agents work for a second and are checked for a second, each with a limit of its own."""
    limits = [{"id": "x", "type": "concurrency", "limit": x}, {"id": "y", "type": "concurrency", "limit": 1}]
    steps = [
        {"task": "work", "duration": "1s", "needs": {"x": 1}},
        {"task": "check", "duration": "1s", "needs": {"y": 1}},
    ]
    row = scenario(count=3, steps=steps, until="10s", **rest)
    return {**row, "constraints": limits}


def compared(one: Log, two: Log) -> tuple[Dict, list[Dict]]:
    """What `diff` finds, and the rows of the matched visits."""
    rows: list[pa.RecordBatch] = []
    found = diff(one, two, rows.append)
    return found, [row for each in rows for row in each.to_pylist()]


def test_who_ends_otherwise_is_told_however_soon():
    """Of three, all are served in A, and two are refused at once in B: sooner over, and not for the better."""
    limit = {"id": "x", "type": "concurrency", "limit": 3, "on_limit": "reject"}
    logs = [
        run(scenario(until="9s", constraints=[{**limit, "limit": n}], count=3, steps=[{"task": "t", "duration": "1s"}]))
        for n in (3, 1)
    ]
    found, rows = compared(*logs)
    assert found["visits"]["otherwise"] == [{"a": "finished", "b": "rejected", "visits": 2}]
    assert [(row["outcome_a"], row["outcome_b"]) for row in rows].count(("finished", "rejected")) == 2
    assert compared(logs[0], logs[0])[0]["visits"]["otherwise"] == []


def test_who_won_who_lost_and_why_by_hand():
    # With one slot of x they come to the check one by one, and nobody waits there. With three they come all at once.
    found, rows = compared(run(two_stages(1)), run(two_stages(3)))
    assert found["scenario"] == [{"path": "constraints.x.limit", "a": 1, "b": 3}]
    assert (found["same"], found["caveats"], found["compared_before_ns"]) == (False, [], None)
    parting = found["parting"]
    assert (parting["event"], parting["time_ns"]) == (4, 0)
    assert parting["a"] == "0.000000000 s TaskBlocked, a_1_work, visit 0, attempt 0, on x, value 0"
    assert parting["b"] == "0.000000000 s TaskStarted, a_1_work, visit 0, attempt 0, value 0"
    before = parting["before"]
    assert before["agents"] == {"absent": 1, "thinking": 1, "running": 1}
    assert [(each["constraint"], each["limit"], each["used"]) for each in before["constraints"]] == [
        ("x", 1, 1),
        ("y", 1, 0),
    ]
    assert before["working"] == {"tasks": 1, "first": [{"task": "a_0_work", "visit": 0, "since_ns": 0}]}
    visits = found["visits"]
    assert {name: visits[name] for name in ("matched", "even", "won", "won_ns", "lost", "lost_ns")} == {
        "matched": 6, "even": 2, "won": 2, "won_ns": 3 * S, "lost": 2, "lost_ns": 3 * S,
    }  # fmt: skip
    assert visits["waiting_ns"] == {"x": {"a": 3 * S, "b": 0}, "y": {"a": 0, "b": 3 * S}}
    assert visits["back_off_ns"] == {"a": 0, "b": 0}
    assert visits["work_ns"] == {"a": 6 * S, "b": 6 * S}
    assert visits["sojourn_ns"] == {"a": 9 * S, "b": 9 * S}
    assert [(each["task"], each["change_ns"]) for each in visits["most_won"]] == [
        ("a_2_work", -2 * S),
        ("a_1_work", -S),
    ]
    assert [(each["task"], each["change_ns"]) for each in visits["most_lost"]] == [
        ("a_2_check", 2 * S),
        ("a_1_check", S),
    ]
    assert visits["fleets"] == {"a": {"won": 2, "won_ns": 3 * S, "lost": 2, "lost_ns": 3 * S}}
    assert visits["only_in_a"] == visits["only_in_b"] == {"visits": 0, "over": 0, "first": []}
    assert {row["agent"] + row["step"]: (row["asked_a_ns"], row["asked_b_ns"]) for row in rows} == {
        "a_0work": (0, 0), "a_1work": (0, 0), "a_2work": (0, 0),
        "a_0check": (S, S), "a_1check": (2 * S, S), "a_2check": (3 * S, S),
    }  # fmt: skip
    assert found["runs"]["a"]["fleets"]["a"]["tasks"]["finished"] == 6
    assert [found["runs"][side]["fleets"]["a"]["wait_ns"]["max"] for side in "ab"] == [2 * S, 2 * S]


def test_back_off_is_a_cause_and_refusals_are_told():
    steps = [{"task": "work", "duration": "2s", "retry": {"max_attempts": 3, "delay": "1s"}}]

    def refusing(limit: int) -> Log:
        slots = {"id": "slots", "type": "concurrency", "limit": limit, "on_limit": "reject"}
        return run(scenario(constraints=[slots], count=2, steps=steps))

    # The second is refused at 0 s and at 1 s, and let in at 2 s.
    found, rows = compared(refusing(1), refusing(2))
    assert found["visits"]["back_off_ns"] == {"a": 2 * S, "b": 0}
    assert found["visits"]["work_ns"] == {"a": 4 * S, "b": 4 * S}
    assert found["visits"]["sojourn_ns"] == {"a": 6 * S, "b": 4 * S}
    assert [found["runs"][side]["tasks"]["rejected"] for side in "ab"] == [2, 0]
    assert [(row["outcome_a"], row["outcome_b"]) for row in rows] == [("finished", "finished")] * 2


def test_visits_that_are_in_one_run_only_or_not_over():
    def looping(limit: int) -> Log:
        steps = [{"repeat": "forever", "steps": [{"task": "work", "duration": "1s"}]}]
        slots = {"id": "slots", "type": "concurrency", "limit": limit}
        return run(scenario(constraints=[slots], count=2, steps=steps, until="2500ms"))

    found, _ = compared(looping(1), looping(2))
    # A: a_0 works to 1 s, and waits from then on; a_1 works from 1 s to 2 s, and then a_0. B: both work, twice.
    visits = found["visits"]
    assert visits["matched"] == 2
    assert (visits["over_in_a_only"], visits["over_in_b_only"], visits["over_in_neither"]) == (0, 2, 0)
    assert visits["only_in_a"] == {"visits": 0, "over": 0, "first": []}
    assert visits["only_in_b"] == {"visits": 2, "over": 0, "first": ["a_0_work#2", "a_1_work#2"]}


def test_equal_runs_are_the_same_although_a_scenario_may_differ():
    row = two_stages(3)
    found, _ = compared(run(row), run({**row, "description": "a limit that nobody meets"}))
    assert (found["same"], found["parting"], found["compared_events"]) == (True, None, 24)
    assert found["scenario"] == [{"path": "description", "a": None, "b": "a limit that nobody meets"}]


def test_other_seeds_fleets_and_ends_are_compared_by_name_and_said_to_differ():
    other = two_stages(3, seed=7)
    other |= {"until": "20s", "fleets": [{**other["fleets"][0], "count": 4}, {**other["fleets"][0], "name": "b"}]}
    other["constraints"].append({"id": "z", "type": "concurrency", "limit": 1})
    found, _ = compared(run(two_stages(3)), run(other))
    assert found["caveats"] == [
        "the seeds differ (0 and 7): no draw is the same, and who won or lost did so by chance too",
        "the runs do not end at the same time: what is counted is of different spans",
        "in B alone: fleet b",
        "in B alone: constraint z",
        "the fleets themselves differ (2 values): the same visit need not take the same work",
    ]
    paths = [each["path"] for each in found["scenario"]]
    assert paths == ["constraints.z", "fleets.a.count", "fleets.b", "seed", "until"]
    assert found["visits"]["matched"] == 6
    assert found["visits"]["only_in_b"]["visits"] == 2 + 6


def test_spawned_agents_are_matched_by_who_spawned_them():
    # In B the first parent is stopped: its helper is spawned after that of the second one, and has the other number.
    helper = {"name": "helper", "steps": [{"task": "help", "duration": "1s"}]}
    lead = {"name": "lead", "count": 2, "steps": [{"task": "plan", "duration": "1s"}, {"spawn": "helper"}]}

    def spawning(until: str) -> Log:
        stop = {"id": "stop", "type": "pause", "scope": "task:lead_0_*", "expires": until}
        return run(scenario(constraints=[stop], fleets=[lead, helper]))

    found, rows = compared(spawning("1ns"), spawning("5s"))
    assert found["visits"]["matched"] == 4
    helping = [(row["agent"], row["asked_a_ns"], row["asked_b_ns"]) for row in rows if row["step"] == "help"]
    # Names are those of the first run.
    assert helping == [("helper_0", S, S), ("helper_1", S + 1, 6 * S)]


def test_a_cut_log_is_compared_as_far_as_it_goes():
    one, two = run(two_stages(1)), run(two_stages(3))
    cut = first_rows(two, 16)  # up to an event at 2 s
    found, _ = compared(one, cut)
    assert found["compared_before_ns"] == 2 * S
    assert found["caveats"] == ["B is cut at 2 s: both are compared as far as that"]
    assert [found["runs"][side]["tasks"]["finished"] for side in "ab"] == [1, 3]
    same, _ = compared(two, cut)
    assert (same["same"], same["compared_events"]) == (True, 16)
    assert compared(cut, two)[0]["same"]
    nothing, _ = compared(two, first_rows(two, 0))
    assert (nothing["same"], nothing["parting"]) == (False, None)


def test_a_run_that_goes_on_after_the_other_is_over_parts_there():
    one = run(two_stages(3))
    rows = concatenate(list(one.batches()))
    longer = written(one, [rows, rows.rows(len(rows) - 1, len(rows))])
    for pair, told in (((one, longer), ("the run ends here", None)), ((longer, one), (None, "the run ends here"))):
        parting = compared(*pair)[0]["parting"]
        assert parting["event"] == len(rows)
        assert [parting[side] for side, text in zip("ab", told, strict=True) if text] == [text for text in told if text]


def first_rows(log: Log, count: int) -> Log:
    """The log of a run that was killed after so many rows."""
    return written(log, [concatenate(list(log.batches())).rows(0, count)])


def written(log: Log, batches: list[Any]) -> Log:
    file = io.BytesIO()
    writer = LogWriter(file, log.header)
    for each in batches:
        writer.write(each)
    writer.close()
    return Log.from_bytes(file.getvalue())


def in_batches(log: Log, rows: int) -> Log:
    every = concatenate(list(log.batches()))
    return written(log, [every.rows(first, first + rows) for first in range(0, len(every), rows)])


# By brute force


def spent(rows: list[Any], header: Any) -> Dict:
    """For how long one visit did what, from its rows, one by one."""
    times: Counter[str] = Counter()
    doing, since = "work", rows[0].time
    for row in rows:
        times[doing] += row.time - since
        since = row.time
        match row.kind:
            case Kind.TaskBlocked | Kind.TaskRebound:
                doing = header.constraints[row.constraint].id
            case Kind.TaskRetrying:
                doing = "back-off"
            case Kind.ResourceAcquired | Kind.ResourceReleased | Kind.DeadlockDetected:
                pass
            case _:
                doing = "work"
    return times


def visits_of(reading: Reading) -> Dict:
    """All visits: their rows by what they are called in every run."""
    names = names_of(reading)
    found: Dict = {}
    for row in reading.rows:
        if row.step >= 0 and row.kind != Kind.AgentStarted:
            found.setdefault((names[row.agent], reading.header.steps[row.step].name, row.visit), []).append(row)
    return found


def is_over(rows: list[Any]) -> bool:
    last = [row.kind for row in rows if row.kind not in (Kind.ResourceReleased, Kind.DeadlockDetected)][-1]
    return last in (Kind.TaskFinished, Kind.TaskSkipped)


def told_of(row: Dict) -> Iterator[tuple[Any, ...]]:
    """What a row of a matched visit says of it in each run, but for names that depend on the run."""
    for side in "ab":
        yield tuple(row[f"{name}_{side}_ns"] for name in ("asked", "sojourn", "waited", "back_off", "work"))


@half
@given(rich(), st.sampled_from([loosened, grown]), st.integers(1, 40), st.integers(1, 30))
def test_all_of_it_is_exact_over_everything(row: Dict, other: Any, batch_rows: int, at_least: int) -> None:
    logs = simulate(row), simulate(other(row))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "_AT_LEAST", at_least)
        found, rows = compared(in_batches(logs[0], batch_rows), in_batches(logs[1], batch_rows + 3))
    whole, _ = compared(*logs)
    assert found == whole
    readings = [read(log) for log in logs]
    one, two = map(visits_of, readings)
    both = [key for key in one if key in two and is_over(one[key]) and is_over(two[key])]
    expected, change = [], 0
    causes: Counter[tuple[str, str]] = Counter()
    for key in both:
        sides = []
        for side, each, reading in zip("ab", (one, two), readings, strict=True):
            times = spent(each[key], reading.header)
            sojourn = each[key][-1].time - each[key][0].time
            assert sum(times.values()) == sojourn
            causes.update({(side, name): ns for name, ns in times.items()})
            waited = sum(ns for name, ns in times.items() if name not in ("work", "back-off"))
            sides.append((each[key][0].time, sojourn, waited, times["back-off"], times["work"]))
        expected.append(tuple(sides))
        change += sides[1][1] - sides[0][1]
    assert sorted(tuple(told_of(row)) for row in rows) == sorted(expected)
    visits = found["visits"]
    assert visits["matched"] == len(both)
    changes = [b[1] - a[1] for a, b in expected]
    assert (visits["won"], visits["lost"]) == (sum(c < 0 for c in changes), sum(c > 0 for c in changes))
    assert visits["lost_ns"] - visits["won_ns"] == change
    for name, told in visits["waiting_ns"].items():
        assert told == {side: causes[side, name] for side in "ab"}
    assert visits["back_off_ns"] == {side: causes[side, "back-off"] for side in "ab"}
    assert visits["work_ns"] == {side: causes[side, "work"] for side in "ab"}
    parts = [*visits["waiting_ns"].values(), visits["back_off_ns"], visits["work_ns"]]
    assert sum(part["b"] - part["a"] for part in parts) == change
    assert [each["change_ns"] for each in visits["most_won"]] == sorted(c for c in changes if c < 0)[:10]
    assert [each["change_ns"] for each in visits["most_lost"]] == sorted((c for c in changes if c > 0), reverse=True)[
        :10
    ]
    for name, mine, others in (("only_in_a", one, two), ("only_in_b", two, one)):
        only = [key for key in mine if key not in others]
        assert visits[name]["visits"] == len(only)
        assert visits[name]["over"] == sum(is_over(mine[key]) for key in only)
    for name, alone in (("over_in_a_only", (True, False)), ("over_in_b_only", (False, True))):
        assert visits[name] == sum((is_over(one[key]), is_over(two[key])) == alone for key in one if key in two)
    for side, log in zip("ab", logs, strict=True):  # the fleets add up to the run
        fleets, tasks = found["runs"][side]["fleets"].values(), found["runs"][side]["tasks"]
        assert all(sum(fleet["tasks"][name] for fleet in fleets) == tasks[name] for name in tasks if name != "open")
        assert found["runs"][side]["events"] == sum(map(len, log.batches()))
    parted = [a for a, b in zip(*(named(reading) for reading in readings), strict=False) if a != b]
    assert (found["parting"] is None) == (not parted)
    if parted:
        assert found["parting"]["event"] == parted[0][0]


def named(reading: Reading) -> list[tuple[Any, ...]]:
    """All rows with names for numbers."""
    names, header = names_of(reading), reading.header
    rows = []
    for number, row in enumerate(reading.all_rows):
        parent = row.kind == Kind.AgentStarted and row.step >= 0
        step = header.steps[row.step] if row.step >= 0 else None
        rows.append(
            (
                number,
                *(row.time, row.kind, names[row.agent] if row.agent >= 0 else None),
                None if step is None else (header.fleets[step.fleet].name, step.name),
                *(row.visit, row.attempt),
                header.constraints[row.constraint].id if row.constraint >= 0 else None,
                names[row.value] if parent else row.value,
            )
        )
    return rows


@half
@given(rich())
def test_a_run_is_the_same_as_itself(row: Dict) -> None:
    found, rows = compared(simulate(row), simulate(row))
    assert (found["same"], found["scenario"], found["caveats"]) == (True, [], [])
    visits = found["visits"]
    assert (visits["won"], visits["lost"], visits["even"]) == (0, 0, len(rows))
    assert visits["only_in_a"]["visits"] == visits["only_in_b"]["visits"] == visits["over_in_b_only"] == 0


@given(st.lists(st.tuples(st.integers(-2, 3), st.integers(-(2**62), 2**62)), max_size=20))
def test_sums_are_exact(values: list[tuple[int, int]]) -> None:
    groups, numbers = np.array(values, np.int64).reshape(-1, 2).T
    expected: Counter[int] = Counter()
    for group, number in values:
        expected[group] += number
    assert sums(groups, numbers) == dict(expected)


def test_alterations_are_told_by_name_at_any_depth():
    one = {
        "constraints": [{"id": "a", "limit": 1}, {"id": "b", "limit": 2}],
        "fleets": [{"name": "f", "steps": [{"repeat": 2, "steps": [{"task": "t", "duration": {"uniform": [1, 2]}}]}]}],
        "tenants": {},
    }
    two = {
        "constraints": [{"id": "b", "limit": 3}, {"id": "c", "limit": 1}],
        "fleets": [{"name": "f", "steps": [{"repeat": 2, "steps": [{"task": "t", "duration": "1s"}]}], "crash": None}],
        "incidents": [],
    }
    assert alterations(one, two) == [
        {"path": "constraints.a", "a": {"id": "a", "limit": 1}, "b": None},
        {"path": "constraints.b.limit", "a": 2, "b": 3},
        {"path": "constraints.c", "a": None, "b": {"id": "c", "limit": 1}},
        {"path": "fleets.f.steps.t.duration", "a": {"uniform": [1, 2]}, "b": "1s"},
        {"path": "tenants", "a": {}, "b": None},
    ]


# As a user sees it


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the logs that the page compares."""
    folder = tmp_path_factory.mktemp("logs")
    main = ROOT / "scenarios/bottleneck.yaml"
    assert sim(main, "--log", "a.arrows", cwd=folder).returncode == 0
    assert sim(main, "--set", "constraints.funnel.limit=120", "--log", "b.arrows", cwd=folder).returncode == 0
    return folder


def test_diff_prints_what_the_page_says(logs: Path) -> None:
    done = sim("diff", "a.arrows", "b.arrows", cwd=logs)
    assert (done.returncode, done.stderr) == (1, b"")
    assert f"```\n{done.stdout.decode()}```" in (ROOT / "docs/diff.md").read_text()


def test_equal_logs_are_exit_code_0(logs: Path) -> None:
    (logs / "copy.arrows").write_bytes((logs / "a.arrows").read_bytes())
    done = sim("diff", "a.arrows", "copy.arrows", cwd=logs)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines()[1:] == ["  the same: 120,160 events, and none is another"]


def test_the_answer_as_json_as_markdown_and_as_rows(logs: Path) -> None:
    done = sim("diff", "a.arrows", "b.arrows", "--json", "--out", "rows.parquet", cwd=logs)
    result = json.loads(done.stdout)
    assert (done.returncode, result["log_a"], result["same"]) == (1, "a.arrows", False)
    rows = parquet.read_table(logs / "rows.parquet")
    assert rows.schema.names[:3] == ["agent", "step", "visit"]
    assert rows.num_rows == result["visits"]["matched"]
    sojourns = rows["sojourn_b_ns"].to_numpy() - rows["sojourn_a_ns"].to_numpy()
    assert int((sojourns < 0).sum()) == result["visits"]["won"]
    assert int(-sojourns[sojourns < 0].sum()) == result["visits"]["won_ns"]
    markdown = sim("diff", "a.arrows", "b.arrows", "--markdown", cwd=logs).stdout.decode()
    assert markdown.startswith("## bottleneck\n")
    assert "| waiting for funnel | 6.5 h | 3.8 h | -2.7 h |" in markdown


def test_bad_input_is_one_line(logs: Path, tmp_path: Path) -> None:
    one_line(sim("diff", "a.arrows", "a.arrows", cwd=logs), "LOG_B: a.arrows is LOG_A itself; allowed: another log")
    one_line(sim("diff", "a.arrows", "none.arrows", cwd=logs), "none.arrows: no such file")
    one_line(sim("diff", ROOT / "README.md", "a.arrows", cwd=logs), "not a fleetsim log")
    one_line(sim("diff", "a.arrows", "b.arrows", "--json", "--markdown", cwd=logs), "one of them at a time")
    one_line(sim("diff", "a.arrows", "b.arrows", "--out", "b.arrows", cwd=logs), "b.arrows is LOG_B itself")
    one_line(sim("diff", "a.arrows", "b.arrows", "--out", "none/x.parquet", cwd=logs), "cannot be written")
    content = (logs / "a.arrows").read_bytes()
    (tmp_path / "newer.arrows").write_bytes(content.replace(b'"format":1', b'"format":9'))
    one_line(
        sim("diff", logs / "a.arrows", "newer.arrows", cwd=tmp_path),
        "this log is of format 9, and was written by fleetsim",
    )


def test_a_cut_log_is_said_to_be(logs: Path, tmp_path: Path) -> None:
    log = Log.open(logs / "a.arrows")
    rows = concatenate(list(log.batches()))
    rewritten(tmp_path / "cut.arrows", log, rows.rows(0, 60_000))
    done = sim("diff", logs / "a.arrows", "cut.arrows", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "  the same as far as both go: 60,000 events, and none is another" in done.stdout.decode().splitlines()
    rewritten(tmp_path / "nothing.arrows", log, rows.rows(0, 0))
    done = sim("diff", logs / "a.arrows", "nothing.arrows", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"nothing to compare: a log is cut before its first event" in done.stdout
