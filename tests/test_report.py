"""Reports: by hand on small runs, and their laws and sums over generated ones."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from strategies import simulate
from vocabulary import rich

import sim
from model.events import Batch, Kind, Status
from model.log import Log
from sim.analysis.conservation import Conservation
from sim.analysis.report import Report, jain, report
from sim.analysis.sample import QUANTILES
from sim.analysis.series import Series
from sim.analysis.visits import Visits
from sim.analysis.waits import Waits
from sim.pages import Grid
from sim.report_page import page
from tests.runs import run, scenario
from tests.test_ledger import rows_of

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
S = 10**9
SLOT = {"id": "slot", "type": "concurrency", "limit": 1}


def sample(*values: float) -> dict[str, Any]:
    """Mean, nearest-rank quantiles and maximum of seconds, in ns."""
    ns = sorted(round(value * S) for value in values)
    ranks = {name: ns[int(np.ceil(share * len(ns))) - 1] for name, share in QUANTILES.items()}
    return {"mean": sum(ns) / len(ns), **ranks, "max": ns[-1]}


def test_waits_service_and_sojourns_are_told_by_step_fleet_and_tenant() -> None:
    """a_0 works 0-2 and fails, backs off to 5, works 6-8; a_1 works 2-4 and fails, backs off to 7, works 8-10. b_0: 4-6."""
    work = {"task": "t", "duration": "2s", "fail": [1.0, 0.0], "retry": {"max_attempts": 2, "delay": "3s"}}
    fleets = [
        {"name": "a", "count": 2, "tenant": "red", "steps": [work]},
        {"name": "b", "tenant": "red", "arrivals": {"at": ["1s"]}, "steps": [{"task": "t", "duration": "2s"}]},
    ]
    found, _ = report(run(scenario(until="20s", constraints=[SLOT], fleets=fleets)))

    waits_a = (0, 2, 1, 1)
    assert found["fleets"]["a"]["wait_ns"] == sample(*waits_a)
    assert found["fleets"]["a"]["service_ns"] == sample(2, 2, 2, 2)
    assert found["fleets"]["a"]["sojourn_ns"] == sample(8, 10)
    assert found["steps"]["b.t"]["sojourn_ns"] == sample(5)
    assert found["tenants"]["red"]["wait_ns"] == found["all"]["wait_ns"] == sample(*waits_a, 3)
    assert found["all"]["succeeded"] == 3
    assert found["all"]["throughput_per_s"] == 3 / 20
    assert found["all"]["waited_ns"] == 13 * S
    assert found["all"]["causes"] == {
        "slot": {"ns": 7 * S, "overtaken_ns": 0},
        "back-off": {"ns": 6 * S, "overtaken_ns": 0},
    }
    assert found["constraints"]["slot"]["wait_ns"] == sample(2, 3, 1, 1)
    assert found["constraints"]["slot"]["mean_waiting"] == 7 / 20
    assert found["ledger"]["longest"][0] == {
        "task": "a_1_t",
        "ns": 6 * S,
        "causes": {"slot": {"ns": 3 * S, "overtaken_ns": 0}, "back-off": {"ns": 3 * S, "overtaken_ns": 0}},
    }
    assert found["fairness"] == {
        "agents": 1.0,
        "tenants": 1.0,
        "fleets": {"a": 1.0, "b": 1.0},
    }


def test_jains_index_is_that_of_the_paper() -> None:
    """Ten users of whom two share all: 0.2."""
    assert jain(np.array([1, 1, 0, 0, 0, 0, 0, 0, 0, 0])) == pytest.approx(0.2)
    assert jain(np.array([3, 3, 3])) == 1.0
    assert jain(np.array([0, 0])) is None


@given(rich())
def test_the_laws_hold_and_the_parts_sum_to_the_whole(drawn: dict[str, Any]) -> None:
    log = simulate(drawn)
    found, charges = report(log)
    assert found["checks"]["little"]["holds"], found["checks"]["little"]
    assert found["checks"]["work_conservation"]["holds"], found["checks"]["work_conservation"]
    waited = sum(charges.ns.tolist())
    assert waited == found["ledger"]["ns"] == found["all"]["waited_ns"]
    assert waited == sum(each["waited_ns"] for each in found["fleets"].values())
    assert waited == sum(each["ns"] for each in found["ledger"]["causes"].values())
    assert found["all"]["succeeded"] == found["tasks"]["finished"]
    by_constraint = {name: each["blocked_ns"] for name, each in found["constraints"].items() if each["blocked_ns"]}
    causes = {name: each["ns"] for name, each in found["ledger"]["causes"].items() if name in found["constraints"]}
    assert by_constraint == causes


@given(rich())
def test_it_does_not_hang_on_the_batches(drawn: dict[str, Any]) -> None:
    log = simulate(drawn)
    whole, parts = Report(log.header), Report(log.header)
    for batch in log.batches():
        whole.feed(batch)
        for start in range(0, len(batch), 7):
            parts.feed(batch.rows(start, min(start + 7, len(batch))))
    assert parts.result(log) == whole.result(log)


@given(rich())
def test_the_times_are_those_of_reading_row_by_row(drawn: dict[str, Any]) -> None:
    log = simulate(drawn)
    visits = Visits(log.header)
    for batch in log.batches():
        for start in range(0, len(batch), 5):
            visits.feed(batch.rows(start, min(start + 5, len(batch))))
    began: dict[tuple[int, int, int], int] = {}
    started: dict[tuple[int, int, int], int] = {}
    over: dict[tuple[int, int, int], int] = {}
    service: dict[int, list[int]] = {}
    for time, kind, agent, step, visit, _, _, _ in rows_of(log):
        if step < 0 or kind in (Kind.AgentStarted, Kind.TaskSkipped, Kind.DeadlockDetected, Kind.ResourceReleased):
            continue
        key = agent, step, visit
        began.setdefault(key, time)
        over.pop(key, None)
        if kind == Kind.TaskStarted:
            started[key] = time
        elif kind == Kind.TaskFinished:
            over[key] = time
            if key in started:
                service.setdefault(step, []).append(time - started.pop(key))
    sojourn: dict[int, list[int]] = {}
    for key, time in over.items():
        sojourn.setdefault(key[1], []).append(time - began[key])
    for step, times in enumerate(visits.times()):
        assert (times.service.count, times.service.sum) == (len(service.get(step, [])), sum(service.get(step, [])))
        assert (times.sojourn.count, times.sojourn.sum) == (len(sojourn.get(step, [])), sum(sojourn.get(step, [])))
        assert times.service.max == max(service.get(step, []), default=None)
        assert times.sojourn.max == max(sojourn.get(step, []), default=None)


@given(rich())
def test_mean_waits_are_of_the_series_in_the_order_of_the_log(drawn: dict[str, Any]) -> None:
    log = simulate(drawn)
    found, _ = report(log)
    header, groups = log.header, dict[tuple[str, str], Series]()
    since: dict[tuple[int, int, int], tuple[int, int]] = {}

    def observe(kind: str, name: str | None, ns: int) -> None:
        groups.setdefault((kind, str(name)), Series()).add(np.array([ns]))

    for time, kind, agent, step, visit, _, constraint, value in rows_of(log):
        task = agent, step, visit
        if kind == Kind.TaskStarted:
            fleet = header.fleets[header.steps[step].fleet]
            names = {"fleets": fleet.name, "tenants": fleet.tenant, "steps": f"{fleet.name}.{header.steps[step].name}"}
            for of, name in names.items():
                observe(of, name, value)
        elif kind in (Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned):
            if task in since:
                bound, since_ns = since.pop(task)
                observe("constraints", header.constraints[bound].id, time - since_ns)
            if kind in (Kind.TaskBlocked, Kind.TaskRebound):
                since[task] = constraint, time
    nothing = Series().result()
    for kind in ("fleets", "tenants", "steps", "constraints"):
        for name, each in found[kind].items():
            series = groups.get((kind, name))
            assert each["wait_mean"] == (nothing if series is None else series.result()), (kind, name)


def test_the_page_signs_what_is_too_short_and_explains_it_once() -> None:
    """80 waits of 1 s each for one slot are too few; those of `b`, which never waits, are enough."""
    slow = {"name": "a", "count": 2, "steps": [{"repeat": 40, "steps": [{"task": "t", "duration": "1s"}]}]}
    quick = {"name": "b", "count": 1, "steps": [{"repeat": 250, "steps": [{"task": "t", "duration": "1s"}]}]}
    log = run(scenario(until=None, constraints=[{**SLOT, "scope": "fleet:a"}], fleets=[slow, quick]))
    told = page(report(log)[0], log.header)
    [means] = [block for block in told.blocks if isinstance(block, Grid) and block.heading.startswith("mean waits")]
    cells = {name: (waits, mean) for name, waits, _, mean in means.rows}
    assert cells["fleet a"] == cells["step a.t"] == ("80", "1 s ?")
    assert cells["fleet b"] == cells["step b.t"] == ("250", "0 s ± 0 s")
    assert cells["constraint slot"] == ("79", "1 s ?")
    [explained] = [block for block in told.blocks if isinstance(block, str) and block.startswith("?")]
    assert "fewer than 100 observations after the warm-up" in explained


def test_the_page_tells_one_of_something_in_the_right_number() -> None:
    """One agent holds the slot that its only branch waits for, beyond its bound, and it is all that happens."""
    branch = {"fork": 1, "steps": [{"task": "work", "duration": "1s"}]}
    fleet = {"name": "a", "count": 1, "starvation": "5s", "steps": [{"hold": "plan", "steps": [branch]}]}
    log = run(scenario(constraints=[SLOT], fleets=[fleet], until="20s"))
    told = [block for block in page(report(log)[0], log.header).blocks if isinstance(block, str)]
    assert told[1:4] == [
        "deadlock at 0 s (event 5): 1 agent",
        "stalled since 0 s (event 6): 1 task waits",
        "a: 1 of 1 wait above 5 s",
    ]


def test_the_head_counts_those_that_were_spawned_too() -> None:
    fleets = [
        {"name": "a", "count": 2, "steps": [{"spawn": "b", "count": 3}]},
        {"name": "b", "steps": [{"think": "1s"}]},
    ]
    log = run(scenario(until="8s", fleets=fleets))
    result, _ = report(log)
    assert result["spawned"] == 6
    assert page(result, log.header).about == "seed 0, 2 agents and 6 spawned, 8 s of virtual time, 18 events"


def changed(log: Log, kind: Kind, **values: int) -> list[Batch]:
    """The rows of a log, with values of the first row of a kind that are others."""
    [batch] = log.batches()
    columns = {name: np.array(column) for name, column in zip(Batch.__dataclass_fields__, batch.columns(), strict=True)}
    row = int(np.flatnonzero(columns["kind"] == kind)[0])
    for name, value in values.items():
        columns[name][row] = value
    return [Batch(**columns)]


def test_a_log_in_which_somebody_waits_in_spite_of_room_is_told() -> None:
    log = run(scenario(until=None, constraints=[SLOT], count=2, steps=[{"task": "t", "duration": "1s"}]))
    for batches, first in ((list(log.batches()), None), (changed(log, Kind.TaskFinished, time=S // 2), 5)):
        fold, waits = Conservation(log.header), Waits()
        for batch in batches:
            fold.feed(batch, waits.feed(batch))
        told = fold.result()
        assert told["holds"] is (first is None), told
        assert list(told["first_events"].values()) == ([] if first is None else [first])


def test_a_log_in_which_times_do_not_sum_up_is_told() -> None:
    """An end is another task's: the counts are the same, the visits are not."""
    log = run(scenario(until=None, constraints=[SLOT], count=2, steps=[{"task": "t", "duration": "1s"}]))
    fold = Report(log.header)
    for batch in changed(log, Kind.TaskFinished, agent=1, value=int(Status.succeeded)):
        fold.feed(batch)
    assert not fold.result(None)["checks"]["little"]["holds"]


def test_the_page_about_reports_shows_what_is_printed(tmp_path: Path) -> None:
    """Each block of output follows the commands that print it; `...` at its end stands for more."""
    blocks = re.findall(r"```(sh)?\n(.*?)```", (ROOT / "docs/report.md").read_text(), re.DOTALL)
    assert [kind for kind, _ in blocks] == ["sh", "", "sh", ""]
    for (_, commands), (_, shown) in zip(blocks[::2], blocks[1::2], strict=True):
        for command in commands.splitlines():
            words = shlex.split(command.replace("scenarios/", f"{ROOT}/scenarios/"))
            done = subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, env=ENVIRONMENT, capture_output=True)
        printed = done.stdout.decode()
        whole = shown.removesuffix("...\n")
        assert printed.startswith(whole)
        assert printed == whole or whole != shown


def reported(*arguments: "str | Path", cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "sim", "report", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True)


def test_a_scenario_is_run_first_and_gates_give_the_exit_code(tmp_path: Path) -> None:
    scenario_file = ROOT / "scenarios/two_locks.yaml"
    done = reported(
        scenario_file, "--require", "deadlocks == 0", "--require", "tasks.open <= 4", "--json", cwd=tmp_path
    )
    result = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, b"")
    assert [each["holds"] for each in result["require"]] == [False, True]
    assert not list(tmp_path.iterdir())
    assert reported(scenario_file, "--require", "deadlocks == 1", cwd=tmp_path).returncode == 0


def test_the_ledger_is_written_as_parquet(tmp_path: Path) -> None:
    log = tmp_path / "x.arrows"
    sim.run(ROOT / "scenarios/bottleneck.yaml", ["until=3s"], log=log)
    done = reported(log, "--out", tmp_path / "x.parquet", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    rows = pq.read_table(tmp_path / "x.parquet").to_pylist()
    assert sum(row["waited_ns"] for row in rows) == json.loads(done.stdout)["ledger"]["ns"]
    assert {row["cause"] for row in rows} == {"funnel"}


def test_a_cut_log_is_reported_as_far_as_it_goes(tmp_path: Path) -> None:
    log = tmp_path / "x.arrows"
    sim.run(ROOT / "scenarios/bottleneck.yaml", log=log)
    log.write_bytes(log.read_bytes()[: log.stat().st_size * 9 // 10])
    gated = reported(log, "--require", "deadlocks == 0", cwd=tmp_path)
    assert gated.returncode == 1
    assert b"FAILED: a whole log (it is cut)" in gated.stdout
    done = reported(log, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(b"bottleneck  seed 1, 1,000 agents, ")
    assert b", cut\n" in done.stdout
    assert b"the log is cut" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none.arrows"], "no such file"),
        (["x.txt"], "not a fleetsim log"),
        (["bad.yaml"], "the key 'fleets' is missing"),
        (["x.arrows", "--json", "--markdown"], "--json and --markdown: one of them at a time"),
        (["x.arrows", "--out", "x.csv"], "x.csv is named like another format; allowed: a name that ends with .parquet"),
        (["x.arrows", "--out", "x.arrows"], "is the log itself"),
        (["x.arrows", "--require", "wait.p95"], "is no comparison"),
        (
            ["x.arrows", "--require", "wait.p95 < 3 s s"],
            "'3 s s' is not a time; allowed: a time such as 300ms, 1.5s, 2m, 1h or 7d\n",
        ),
    ],
)
def test_what_cannot_be_reported_is_one_clear_line(arguments: list[str], problem: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("nothing")
    (tmp_path / "bad.yaml").write_text("name: x\n")
    sim.run(ROOT / "scenarios/two_locks.yaml", log=tmp_path / "x.arrows")
    done = reported(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert problem in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert b"allowed: " in done.stderr or b"one of them at a time" in done.stderr


def test_a_run_may_have_gates(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sim", ROOT / "scenarios/bottleneck.yaml", "--until", "3s"]
    for gate, code, word in (("wait.p95 < 2s", 0, "passed"), ("wait.p95 < 2ms", 1, "FAILED")):
        done = subprocess.run([*command, "--require", gate], cwd=tmp_path, env=ENVIRONMENT, capture_output=True)
        assert done.returncode == code
        assert done.stdout.decode().splitlines()[-1].startswith(f"  {word}: {gate} (it is ")
    done = subprocess.run(
        [*command, "--require", "wait.p95 < 2s", "--log", "/dev/null"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)


def test_a_reader_that_goes_away_changes_no_exit_code(tmp_path: Path) -> None:
    sim.run(ROOT / "scenarios/two_locks.yaml", log=tmp_path / "x.arrows")
    for options in ("", "--json", "--markdown"):
        gate = "--require 'deadlocks == 0'"
        command = f"{sys.executable} -m sim report x.arrows {gate} {options} | true; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=ENVIRONMENT, capture_output=True)
        assert (done.returncode, done.stderr) == (1, b"")


def test_a_letter_that_the_encoding_does_not_have_is_replaced(tmp_path: Path) -> None:
    sim.run(ROOT / "scenarios/bottleneck.yaml", ["until=3s"], log=tmp_path / "x.arrows")
    command = [sys.executable, "-m", "sim", "report", "x.arrows"]
    ascii_only = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=ascii_only, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"work conservation: holds" in done.stdout


def test_a_terminal_of_unknown_width_shows_everything(tmp_path: Path) -> None:
    sim.run(ROOT / "scenarios/two_locks.yaml", log=tmp_path / "x.arrows")
    command = [sys.executable, "-m", "sim", "report", "x.arrows"]
    done = subprocess.run(command, cwd=tmp_path, env={**ENVIRONMENT, "COLUMNS": "0"}, capture_output=True)
    assert b"work conservation: holds" in done.stdout
