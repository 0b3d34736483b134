"""The command line as a user meets it: in a process of its own, by exit codes, standard output and standard error."""

import csv
import io
import json
import os
import pty
import resource
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCENARIOS = ROOT / "scenarios"
DIGESTS = {
    "brownout": "55d3a76a790786e9babfaa2211eda5034e222171da652a90023d762146e11ebd",
    "herd": "cbc9ea5502cf1e3bfe4ba997feff8683286f1e79c2c4ea7c8504d0cccf6dd1e4",
    "storm_recovers": "624ccc8bdc79f638bf416814a39ff5f05cc47b2115f2f2f95e74d53ebbeaaf90",
    "storm_metastable": "68aa10dfdd522dfca4229e04eb6d1bc978e8403e3df786f54b055942830f9c01",
    "storm_collapsed": "37a7922b180a5868a90e8ecae730849463182def3b6faed90ee672e558a95090",
    "parents": "01f16bf50327790869938d3b4908241ca76fa31947de91db4ed1028dad35d858",
    "starvation": "9a12fb1109b88b25fa598b8609e18f32f91687d1a920449f6e478ed68bb7eaa6",
    "philosophers_ordered": "a4fbbe6aee4045ea27c92bf5e826679520d1f8608f4ea22200125c4be1792a16",
    "philosophers": "0a77cb13ca050e4a5b444d4667ddc5b5b08aa8eb8a3250215a0d393116905a3a",
    "two_locks": "231ba8e685dea388e3fbcf033ae58ef41354af36232fa29dbd7ac166b8ff7308",
    "providers": "9a58e5872109d063ff166000748269cc1ce9e2dcb00fe161f8a8f72a4562940d",
    "bottleneck": "579aac249a692417affce8bc2eed108e8d6a4b8e1383561b09e9b74c14c81219",
    "seed": "c8a47dc4ab76961abc49698195fd43c672a731f65eac02c2740008da382895e3",
    "rate_limit": "b993b76df9e6cfd34539b45e23a2e6385268e4681c0bb4151d36d31f447823d8",
    "pause": "680c8ec2cba02c02c41e18db43fbb076d9b2bf5944ad7fb5df8ca005a3b266ee",
    "azure_llm": "8033d9acac13559bdea03ae159f64e8261a3e3a505e4b09cee75fd73c12b204d",
}


def sim(*arguments, cwd, **options):
    options.setdefault("env", {**os.environ, "PYTHONPATH": str(ROOT)})
    command = [sys.executable, "-m", "sim", *map(str, arguments)]
    for stream in ("stdout", "stderr"):
        options.setdefault(stream, subprocess.PIPE)
    return subprocess.run(command, cwd=cwd, timeout=120, **options)


def shell(line, cwd):
    """Run a line of bash in which SIM is the command line and RENDER the replay."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    names = f"SIM='{sys.executable} -m sim'; RENDER='{sys.executable} -m render'; set -o pipefail; "
    return subprocess.run(["bash", "-c", names + line], cwd=cwd, env=environment, capture_output=True, timeout=60)


def one_line(done, *parts):
    """Check that a command failed with one line on standard error that holds the parts."""
    told = done.stderr.decode()
    assert (done.returncode, told.count("\n")) == (2, 1), told
    for part in parts:
        assert str(part) in told, told


@pytest.fixture(scope="module")
def seed(tmp_path_factory):
    """The log of seed.yaml and the JSON object of its run."""
    folder = tmp_path_factory.mktemp("seed")
    done = sim(SCENARIOS / "seed.yaml", "--json", "--log", "seed.arrows", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "seed.arrows", json.loads(done.stdout)


@pytest.mark.parametrize("name", DIGESTS)
def test_each_shipped_scenario_has_its_pinned_digest(name, tmp_path):
    assert {path.stem for path in SCENARIOS.glob("*.yaml")} == set(DIGESTS)
    done = sim(SCENARIOS / f"{name}.yaml", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["digest"] == DIGESTS[name]
    assert sim("verify", f"{name}.arrows", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("hash_seed", ["0", "1234"])
def test_the_digest_does_not_depend_on_the_hash_seed(hash_seed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
    done = sim(SCENARIOS / "azure_llm.yaml", "--json", "--until", "10m", cwd=tmp_path, env=environment)
    assert json.loads(done.stdout)["digest"] == "aef39fc1d7c0e2b78c6f2c1e09f49c7fc9e5dce6c44783d9498c50c367502c18"


@pytest.mark.parametrize(
    ("option", "stopped", "events", "end_ns"),
    [
        ("--max-events=7", "7 events, as --max-events allows", 7, 500_000_000),
        ("--max-events=1", "1 event, as --max-events allows", 1, 0),
        ("--max-time=1s", "1 s of virtual time, as --max-time allows", 8, 1_000_000_000),
        ("--max-time=1.2s", "1.2 s of virtual time, as --max-time allows", 8, 1_200_000_000),
        ("--max-time=59s", None, 12, 60_000_000_000),  # nothing is left to happen by then
        ("--max-events=12", None, 12, 60_000_000_000),
        ("--max-time=1m", None, 12, 60_000_000_000),
    ],
)
def test_a_run_is_stopped_at_its_limits(option, stopped, events, end_ns, tmp_path):
    """Of the twelve events of two locks the last is the end, at a minute."""
    done = sim(SCENARIOS / "two_locks.yaml", "--json", option, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (done.returncode, result["stopped"]) == (0 if stopped is None else 1, stopped)
    assert (result["events"], result["end_ns"], result["interrupted"]) == (events, end_ns, False)
    assert (result["stalled"] is None) is (stopped is not None)
    verified = sim("verify", "two_locks.arrows", cwd=tmp_path)
    assert verified.returncode == 0
    assert (b"as far as it goes" in verified.stdout) is (stopped is not None)
    told = sim(SCENARIOS / "two_locks.yaml", option, cwd=tmp_path).stdout.decode()
    assert (f" (stopped: {stopped})\n" in told) is (stopped is not None)


def test_a_deadlock_says_more_than_that_a_run_was_stopped(tmp_path):
    options = ("--set", "expect_deadlock=false", "--max-time", "30s")
    assert sim(SCENARIOS / "two_locks.yaml", *options, cwd=tmp_path).returncode == 3


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--max-events", "0", "0 is out of range; allowed: a whole number of 1 or more"),
        ("--max-events", "-5", "-5 is out of range; allowed: a whole number of 1 or more"),
        ("--max-events", "1.5", "'1.5' is not a whole number; allowed: a whole number of 1 or more"),
        ("--max-events", "many", "'many' is not a whole number; allowed: a whole number of 1 or more"),
        ("--seed", "x", "'x' is not a whole number; allowed: a whole number from 0 to 18,446,744,073,709,551,615"),
        ("--seed", "-1", "-1 is out of range; allowed: a whole number from 0 to 18,446,744,073,709,551,615"),
        ("--seed", "9" * 5000, "999 is out of range; allowed: a whole number from 0 to 18,446,744,073,709,551,615"),
        ("--until", "1e400s", "'1e400s' is too long; allowed: at most 146 years"),
        ("--until", "soon", "'soon' is not a time; allowed: a time such as 300ms"),
        ("--max-time", "1e400s", "'1e400s' is too long; allowed: at most 146 years"),
        ("--max-time", "1e99999999999999999999s", "'1e99999999999999999999s' is too long; allowed: at most 146 years"),
        ("--max-time", "0s", "0s is no time; allowed: a duration above 0, such as 30s"),
        ("--max-time", "-3s", "'-3s' is negative; allowed: 0 or a positive time"),
        ("--max-time", "soon", "'soon' is not a time; allowed: a time such as 300ms"),
    ],
)
def test_a_limit_that_is_none_is_bad_input(option, value, told, tmp_path):
    one_line(sim(SCENARIOS / "two_locks.yaml", f"{option}={value}", cwd=tmp_path), f"{option}: ", told)


def test_a_run_that_has_stalled_says_who_waits_for_what(tmp_path):
    """Two wait for each other; where the log cannot be read again that they do is said all the same."""
    done = sim(SCENARIOS / "two_locks.yaml", cwd=tmp_path).stdout.decode()
    assert "  stalled since 1.5 s (event 10): 2 agents wait, and nothing could happen any more\n" in done
    waits = (
        "    1 task waits for ledger: reader_0_audit since 1.5 s (event 8), held by writer_0_write since 0 s (event 2)"
    )
    assert f"{waits}, who waits itself\n" in done
    blind = sim(SCENARIOS / "two_locks.yaml", "--json", "--log", "/dev/null", cwd=tmp_path)
    assert json.loads(blind.stdout)["stalled"] == {"since_ns": 1_500_000_000, "event": 10, "agents": 2, "tasks": 2}


def test_the_json_object_has_what_it_promises(seed):
    _, result = seed
    assert {"scenario", "seed", "digest", "events", "end_ns", "tasks", "wait_ns", "constraints"} <= set(result)
    assert result["scenario"] == "seed"
    assert result["end_ns"] == 15_000_000_000
    ended = {"finished", "failed", "timed_out", "rejected", "gave_up", "preempted", "cancelled"}
    assert set(result["tasks"]) == {"started", *ended, "skipped", "blocked", "open"}
    assert set(result["wait_ns"]) == {"mean", "p50", "p95", "p99", "max"}
    funnel = result["constraints"]["funnel"]
    assert {"utilisation", "blocked_ns", "blocked_episodes", "peak_waiting", "rejected"} <= set(funnel)
    assert result["wall_s"] > 0
    assert result["events_per_s"] == pytest.approx(result["events"] / result["wall_s"])
    # 20 slots of 0.2 s work: 100 a second; the first second fills up.
    assert 1350 < result["tasks"]["finished"] < 1500
    assert result["tasks"]["blocked"] == funnel["blocked_episodes"]
    assert 0.9 < funnel["utilisation"] <= 1


def test_a_run_tells_of_starvation_and_of_priority_inversions(tmp_path):
    arguments = [SCENARIOS / "starvation.yaml", "--log", "x.arrows"]
    result = json.loads(sim(*arguments, "--json", cwd=tmp_path).stdout)
    [batch], inversions = result["starvation"], result["priority_inversions"]
    assert (batch["fleet"], batch["bound_ns"], batch["waits"], batch["exceeded"]) == ("batch", 60 * 10**9, 17, 15)
    assert (len(batch["worst"]), len(inversions["worst"])) == (10, 10)
    worst, longest = batch["worst"][0], inversions["worst"][0]
    assert (worst["event"], worst["end_event"], worst["overtaken_by"]) == (4_561, 9_314, {"interactive": 1_179})
    rows = [
        json.loads(line)
        for line in sim("export", "x.arrows", "--to", "jsonl", "--out", "-", cwd=tmp_path).stdout.splitlines()
    ]
    told = [(rows[number]["kind"], rows[number]["task"]) for number in (worst["event"], worst["end_event"])]
    assert told == [("TaskBlocked", "batch_4_work"), ("TaskResumed", "batch_4_work")]
    assert rows[longest["event"]]["task"] == longest["task"]
    assert rows[longest["held_by"]["event"]]["task"] == longest["held_by"]["task"]

    text = sim(*arguments, cwd=tmp_path).stdout.decode()
    said = "  starved   fleet batch: 15 of 17 waits above 60 s, worst batch_4_work 10.3 min (events 4,561 to 9,314), "
    assert said + "overtaken 1,179 times by interactive\n" in text
    assert "  inverted  104 times a task waited for a less important one" in text
    assert said.strip() in (ROOT / "README.md").read_text()


def test_a_log_that_cannot_be_read_again_leaves_out_who_overtook_and_who_held(tmp_path):
    result = json.loads(sim(SCENARIOS / "starvation.yaml", "--log", "/dev/null", "--json", cwd=tmp_path).stdout)
    [batch], inversions = result["starvation"], result["priority_inversions"]
    assert (batch["exceeded"], batch["worst"][0]["end_event"]) == (15, 9_314)
    assert "overtaken" not in batch["worst"][0]
    assert (inversions["episodes"], "held_by" in inversions["worst"][0]) == (104, False)
    assert b"starved" in sim(SCENARIOS / "starvation.yaml", "--log", "/dev/null", cwd=tmp_path).stdout


@pytest.mark.parametrize("remedy", ["constraints.gpus.queue=fair", "constraints.people.limit=3"])
def test_a_remedy_removes_the_starvation(remedy, tmp_path):
    done = sim(SCENARIOS / "starvation.yaml", "--set", remedy, "--json", cwd=tmp_path)
    [batch] = json.loads(done.stdout)["starvation"]
    assert (batch["exceeded"], batch["worst"]) == (0, [])
    assert batch["waits"] > 100


def test_what_does_not_starve_is_not_mentioned(seed, tmp_path):
    assert (seed[1]["starvation"], seed[1]["priority_inversions"]["episodes"]) == ([], 0)
    text = sim(SCENARIOS / "seed.yaml", "--until", "1s", cwd=tmp_path).stdout
    assert b"starved" not in text
    assert b"inverted" not in text


def test_the_summary_says_the_same_to_people(tmp_path):
    done = sim("run", SCENARIOS / "seed.yaml", cwd=tmp_path)
    text = done.stdout.decode()
    assert "seed  seed 1, 500 agents, 15 s of virtual time" in text
    assert "20 at once" in text
    assert DIGESTS["seed"] in text
    assert (tmp_path / "seed.arrows").exists()


def test_options_override_the_scenario(tmp_path):
    done = sim(
        SCENARIOS / "bottleneck.yaml",
        *("--seed", "7", "--until", "2s", "--set", "constraints.funnel.limit=50", "--set", "fleets.agent.count=80"),
        *("--set", "fleets.agent.steps.work.duration=100ms", "--json", "--log", "x.arrows"),
        cwd=tmp_path,
    )
    result = json.loads(done.stdout)
    assert (result["seed"], result["end_ns"]) == (7, 2_000_000_000)
    assert result["tasks"]["started"] <= 80 * 2
    assert result["log"] == "x.arrows"


def test_storm_prints_the_same_in_processes_as_the_page_says(tmp_path):
    done = sim("storm", SCENARIOS / "storm_metastable.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"```\n{done.stdout.decode()}```" in (ROOT / "docs/storms.md").read_text()
    assert not list(tmp_path.iterdir())


def test_storm_as_json_is_one_object(tmp_path):
    short = ("--set", "until=3m", "--json")  # too short to say anything, and so to look any further
    done = sim("storm", SCENARIOS / "storm_metastable.yaml", "--incident", "brownout", *short, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert done.returncode == 0
    assert (result["scenario"], result["seed"], result["incident"], result["runs"]) == (
        "storm_metastable",
        1,
        "brownout",
        1,
    )
    assert (result["as_it_is"]["verdict"], result["as_it_is"]["why"]) == ("unknown", "too little time after it")
    assert (result["shortest"], result["lowest_load"], result["remedies"]) == (None, None, [])


def test_storm_wants_to_know_which_incident(tmp_path):
    file = SCENARIOS / "storm_metastable.yaml"
    one_line(sim("storm", SCENARIOS / "seed.yaml", cwd=tmp_path), "seed.yaml", "allowed: a scenario with incidents")
    one_line(
        sim("storm", SCENARIOS / "brownout.yaml", cwd=tmp_path), "--incident", "allowed: brownout, store_down, errors"
    )
    misspelt = sim("storm", file, "--incident", "brownot", cwd=tmp_path)
    one_line(misspelt, "'brownot' (did you mean 'brownout'?); allowed: brownout")


def test_jsonl_rows(seed, tmp_path):
    log, result = seed
    done = sim("export", log, "--to", "jsonl", "--out", "-", cwd=tmp_path)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["seq"] for row in rows] == list(range(result["events"]))
    assert rows[0] == {
        "seq": 0,
        "time": 0,
        "kind": "RunStarted",
        "agent": -1,
        "step": -1,
        "visit": -1,
        "attempt": -1,
        "constraint": None,
        "value": 0,
        "task": None,
    }
    blocked = next(row for row in rows if row["kind"] == "TaskBlocked")
    assert blocked["constraint"] == "funnel"
    assert blocked["task"] == f"agent_{blocked['agent']}_work"
    assert rows[-1]["kind"] == "RunFinished"


def test_csv_and_parquet_hold_the_same_rows(seed, tmp_path):
    from pyarrow import parquet

    log, _ = seed
    lines = sim("export", log, "--to", "jsonl", "--out", "-", cwd=tmp_path).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert sim("export", log, "--to", "parquet", "--out", "x.parquet", cwd=tmp_path).returncode == 0
    assert parquet.read_table(tmp_path / "x.parquet").to_pylist() == rows
    assert sim("export", log, "--to", "csv", "--out", "x.csv", cwd=tmp_path).returncode == 0
    with (tmp_path / "x.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert read == [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]


def test_telemetry_tells_the_story_of_each_task(seed, tmp_path):
    log, result = seed
    done = sim("export", log, "--to", "telemetry", "--out", "-", cwd=tmp_path)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["type"] for event in events} == {"TaskStateEvent"}
    states = [event["state"] for event in events]
    assert states.count("RUNNING") == result["tasks"]["started"]
    assert states.count("BLOCKED") == result["tasks"]["blocked"]
    assert states.count("COMPLETED") == result["tasks"]["finished"]
    started = {event["task_id"]: event["timestamp"] for event in events if event["state"] == "RUNNING"}
    for event in events:
        assert set(event) == {"type", "task_id", "task_name", "state", "duration_ms", "error", "timestamp"}
        if event["state"] == "COMPLETED":
            assert event["duration_ms"] == pytest.approx((event["timestamp"] - started[event["task_id"]]) * 1000)
            assert 100 <= event["duration_ms"] <= 300


def test_verify_names_the_first_event_that_differs(seed, tmp_path):
    from model.events import concatenate
    from model.log import Log, LogWriter

    log = Log.open(seed[0])
    rows = concatenate(list(log.batches()))
    values = rows.value.copy()
    values[3000] += 1
    path = tmp_path / "tampered.arrows"
    with path.open("wb") as file:
        writer = LogWriter(file, log.header)
        changed = {name: getattr(rows, name) for name in rows.__slots__} | {"value": values}
        writer.write(type(rows)(**changed))
        writer.close()
    done = sim("verify", path, cwd=tmp_path)
    assert done.returncode == 1
    assert b"event 3,000 differs" in done.stdout


def rewritten(path, log, rows, **changes):
    """Write a log with these rows, and a header of which some values are others; return its path."""
    from model.log import LogWriter

    with path.open("wb") as file:
        writer = LogWriter(file, replace(log.header, **changes))
        for first in range(0, len(rows), 1000):
            writer.write(rows.rows(first, first + 1000))
        writer.close()
    return path


@pytest.fixture(scope="module")
def rows(seed):
    """The log of seed.yaml, and all its rows."""
    from model.events import concatenate
    from model.log import Log

    log = Log.open(seed[0])
    return log, concatenate(list(log.batches()))


def test_verify_of_a_cut_log_says_how_far_it_agrees_and_where_it_ends(rows, tmp_path):
    log, every = rows
    whole = rewritten(tmp_path / "whole.arrows", log, every).read_bytes()
    cut = tmp_path / "cut.arrows"
    cut.write_bytes(whole[: len(whole) - 1000])
    done = sim("verify", cut, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    end = every.time[5999] / 1e9
    assert done.stdout.decode().startswith(
        "cut.arrows: verified as far as it goes, 6,000 events, digest ".replace("cut.arrows", str(cut))
    )
    assert f"; it is cut at {end:.9f}".rstrip("0") in done.stdout.decode()
    exported = sim("export", cut, "--to", "jsonl", "--out", "-", cwd=tmp_path)
    assert exported.returncode == 0
    assert len(exported.stdout.splitlines()) == 6000
    assert b"the log is cut: the run was interrupted, stopped or killed" in exported.stderr
    # As an interrupted run closes it, and one of which nothing is left.
    closed = rewritten(tmp_path / "closed.arrows", log, every.rows(0, 1234))
    assert b"verified as far as it goes, 1,234 events" in sim("verify", closed, cwd=tmp_path).stdout
    done = sim("verify", rewritten(tmp_path / "none.arrows", log, every.rows(0, 0)), cwd=tmp_path)
    assert (done.returncode, b"no event to compare" in done.stdout) == (1, True)
    # Without a whole header there is no scenario to run again: that is no log.
    cut.write_bytes(whole[:500])
    one_line(sim("verify", cut, cwd=tmp_path), f"{cut}: the log is cut before its first event; allowed: a log that")


def test_verify_finds_rows_after_the_end_of_the_re_run(rows, tmp_path):
    from model.events import concatenate

    log, every = rows
    longer = concatenate([every, every.rows(len(every) - 1, len(every))])
    done = sim("verify", rewritten(tmp_path / "longer.arrows", log, longer), cwd=tmp_path)
    assert done.returncode == 1
    assert f"event {len(every):,} differs" in done.stdout.decode()
    assert b"in the re-run: the run ends here" in done.stdout


def test_verify_compares_the_header(rows, tmp_path):
    log, every = rows
    fleet, step, limit = log.header.fleets[0], log.header.steps[-1], log.header.constraints[0]
    changes = [
        ({"name": "other"}, "name", "'other'", "'seed'"),
        ({"seed": 2}, "seed", "2", "1"),
        ({"until_ns": None}, "until_ns", "None", "15000000000"),
        ({"fleets": (replace(fleet, count=501),)}, "fleets.0.count", "501", "500"),
        ({"steps": (*log.header.steps[:-1], replace(step, name="rest"))}, "name", "'rest'", "'work'"),
        ({"constraints": (replace(limit, settings=((0, {"limit": 21}),)),)}, "settings.0.1.limit", "21", "20"),
    ]
    for change, path, logged, again in changes:
        done = sim("verify", rewritten(tmp_path / "x.arrows", log, every, **change), cwd=tmp_path)
        told = done.stdout.decode()
        assert done.returncode == 1, told
        assert "x.arrows: the header differs in " in told
        assert f"{path}\n  in the log:    {logged}\n  in the re-run: {again}\n" in told
    versions = {**log.header.versions, "numpy": "0.1"}
    assert sim("verify", rewritten(tmp_path / "x.arrows", log, every, versions=versions), cwd=tmp_path).returncode == 0


def test_a_damaged_log_is_one_line_for_everyone_and_leaves_nothing_behind(rows, seed, tmp_path):
    log, every = rows
    whole = rewritten(tmp_path / "x.arrows", log, every).read_bytes()
    (tmp_path / "x.arrows").write_bytes(whole[:-3000] + bytes(64) + whole[-2936:])
    for command in (
        "$SIM verify x.arrows",
        *(
            f"$SIM export x.arrows --to {to} --out out"
            for to in ("jsonl", "csv", "parquet", "telemetry", "perfetto", "ocel", "otlp")
        ),
        f"$SIM diff {seed[0]} x.arrows --out out",
        f"$SIM diff x.arrows {seed[0]} --out out",
        "$SIM fork x.arrows --at 1s --set constraints.funnel.limit=30 --log out",
        "$SIM bisect x.arrows",
        f"$SIM bisect {seed[0]} x.arrows",
        "$RENDER x.arrows",
        "$RENDER x.arrows --at 1s",
    ):
        one_line(shell(command, tmp_path), "x.arrows: the log is damaged at event ")
        assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_bytes(b"before")
    one_line(shell("$SIM export x.arrows --to jsonl --out out", tmp_path), "damaged")
    assert (tmp_path / "out").exists(), "it was there before"
    one_line(shell("$SIM export x.arrows --to jsonl --out /dev/null", tmp_path), "damaged")
    assert Path("/dev/null").exists()


@pytest.mark.parametrize("to", ["jsonl", "csv", "parquet", "telemetry", "perfetto", "ocel", "otlp"])
def test_what_an_interrupted_export_has_written_is_removed(rows, tmp_path, to, monkeypatch):
    from model.log import Log
    from sim.cli import main

    def interrupted(self):
        yield rows[1].rows(0, 3000)
        raise KeyboardInterrupt

    monkeypatch.setattr(Log, "batches", interrupted)
    log = rewritten(tmp_path / "x.arrows", *rows)
    assert main(["export", str(log), "--to", to, "--out", str(tmp_path / "out")]) == 130
    assert not (tmp_path / "out").exists()


def test_too_little_memory_is_one_line(rows, tmp_path, monkeypatch, capsys):
    from model.log import Log
    from render.__main__ import main as render
    from sim.cli import main

    def batches(self):
        raise MemoryError

    log = rewritten(tmp_path / "x.arrows", *rows)
    monkeypatch.setattr(Log, "batches", batches)
    assert main(["verify", str(log)]) == 2
    assert render([str(log)]) == 2
    assert (
        capsys.readouterr().err == 2 * "there is not enough memory for that; allowed: what fits, such as fewer agents\n"
    )


def test_ctrl_c_ends_the_run_and_leaves_a_readable_log(tmp_path):
    from model.log import Log

    command = [sys.executable, "-m", "sim", str(SCENARIOS / "bottleneck.yaml"), "--until", "10h", "--log", "x.arrows"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    path = tmp_path / "x.arrows"
    deadline = time.monotonic() + 60
    while (not path.exists() or path.stat().st_size < 500_000) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert b"interrupted" in out
    log = Log.open(path)
    assert sum(map(len, log.batches())) > 50_000
    assert log.cut


@pytest.mark.parametrize(("command", "lines"), [("export {log} --to jsonl --out -", 1), ("schema", 0)])
def test_a_closed_pipe_is_no_error(seed, tmp_path, command, lines):
    line = f"$SIM {command.format(log=seed[0])} | head -{lines}"
    done = shell(line, tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == lines


PRINTING = [
    "$SIM --help",
    "$SIM run --help",
    "$SIM schema",
    f"$SIM check {SCENARIOS / 'seed.yaml'}",
    f"$SIM {SCENARIOS / 'seed.yaml'} --until 1s --log out",
    f"$SIM {SCENARIOS / 'seed.yaml'} --until 1s --log out --json",
    "$SIM verify {log}",
    "$SIM bisect {log}",
    "$SIM fork {log} --at 1s --set constraints.funnel.limit=30 --log out",
    *(
        f"$SIM export {{log}} --to {to} --out -"
        for to in ("jsonl", "csv", "parquet", "telemetry", "perfetto", "ocel", "otlp")
    ),
    "$RENDER --help",
    "$RENDER {log}",
]


@pytest.mark.parametrize("command", PRINTING)
def test_standard_output_that_cannot_be_written_is_one_line(seed, tmp_path, command):
    line = command.format(log=seed[0])
    done = shell(f"{line} > /dev/full", tmp_path)
    one_line(done, "standard output cannot be written: No space left on device")
    one_line(shell(f"{line} >&-", tmp_path), "standard output cannot be written: Bad file descriptor")
    closed = shell(f"{line} | true", tmp_path)
    assert (closed.returncode, closed.stderr) == (0, b"")


def test_errors_that_cannot_be_told_end_the_program_all_the_same(seed, tmp_path):
    for redirection in ("2> /dev/full", "2>&-", "2>&- >&- <&-"):
        done = shell(f"$SIM verify nowhere {redirection}", tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")
        done = shell(f"$SIM verify {redirection}", tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")
    assert shell(f"$SIM export {seed[0]} --to csv --out out <&- >&- 2>&-", tmp_path).returncode == 0
    assert (tmp_path / "out").read_bytes().startswith(b'"seq"') or (tmp_path / "out").read_bytes().startswith(b"seq")


def test_no_command_writes_over_what_it_reads(tmp_path):
    scenario, data = SCENARIOS / "azure_llm.yaml", SCENARIOS / "data/azure_llm/AzureLLMInferenceTrace_conv.csv"
    copy = tmp_path / "copy.yaml"
    copy.write_bytes(scenario.read_bytes())
    (tmp_path / "data").symlink_to(SCENARIOS / "data")
    for log, what in ((copy, "the scenario"), ("link", "the scenario"), (data, "a data file")):
        if log == "link":
            (tmp_path / log).hardlink_to(copy)
        one_line(sim(copy, "--log", log, cwd=tmp_path), f"--log: {log} is {what} itself; allowed: another file")
    named = tmp_path / "x.arrows"
    named.write_text("name: x\n" + (SCENARIOS / "seed.yaml").read_text().replace("name: seed\n", ""))
    one_line(sim("run", named, cwd=tmp_path), "--log: x.arrows is the scenario itself")
    assert copy.read_bytes() == scenario.read_bytes()
    log = tmp_path / "log.arrows"
    assert sim(SCENARIOS / "seed.yaml", "--until", "1s", "--log", log, cwd=tmp_path).returncode == 0
    content = log.read_bytes()
    one_line(
        sim("export", log, "--to", "csv", "--out", "log.arrows", cwd=tmp_path), "--out: log.arrows is the log itself"
    )
    one_line(sim("export", log, "--to", "csv", "--out", "x.json", cwd=tmp_path), "a name that ends with .csv")
    assert log.read_bytes() == content


def test_a_log_that_nobody_wants_to_keep(seed, tmp_path):
    run = [SCENARIOS / "seed.yaml", "--json"]
    done = sim(*run, "--log", "/dev/null", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    timed = {"wall_s", "events_per_s", "log"}
    result, kept = json.loads(done.stdout), seed[1]
    assert {key: value for key, value in result.items() if key not in timed} == {
        key: value for key, value in kept.items() if key not in timed
    }
    assert list(tmp_path.iterdir()) == []
    piped = shell(f"$SIM {run[0]} --json --log >(cat > piped) > /dev/null; wait; sleep 1; $SIM verify piped", tmp_path)
    assert piped.returncode == 0, piped.stderr
    one_line(sim(*run, "--log", "-", cwd=tmp_path), "--log: - is not a file; allowed: a file, or /dev/null for none")


STORIES = """
until: 30s
constraints:
  - {id: slot, type: concurrency, limit: 1, scope: "task:*_wait"}
  - {id: door, type: concurrency, limit: 1, scope: "task:*_ask", on_limit: reject}
fleets:
  - name: a
    count: 2
    steps:
      - {task: broken, duration: 1s, fail: 1.0, retry: {max_attempts: 2, delay: 1s}}
      - {task: gone, duration: 1s, skip_if: 1.0}
      - {task: wait, duration: 5s, patience: 1s}
      - {task: ask, duration: 4500ms, retry: {max_attempts: 2, delay: 1s}}
      - {task: late, duration: 4s, timeout: 1s}
"""


def test_telemetry_tells_of_failures(tmp_path):
    (tmp_path / "stories.yaml").write_text(STORIES)
    assert sim("stories.yaml", cwd=tmp_path).returncode == 0
    done = sim("export", "stories.arrows", "--to", "telemetry", "--out", "-", cwd=tmp_path)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    story = [
        " ".join(str(event[key]) for key in ("timestamp", "task_id", "state", "duration_ms", "error")).strip()
        for event in events
    ]
    assert [line for line in story if " a_0_" in line] == [
        "0.0 a_0_broken:0 RUNNING 0.0",
        "1.0 a_0_broken:0 FAILED 1000.0 failed",
        "2.0 a_0_broken:0.1 RUNNING 0.0",
        "3.0 a_0_broken:0.1 FAILED 1000.0 failed",
        "3.0 a_0_gone:0 SKIPPED 0.0",
        "3.0 a_0_wait:0 RUNNING 0.0",
        "8.0 a_0_wait:0 COMPLETED 5000.0",
        "8.0 a_0_ask:0 FAILED 0.0 rejected by door",
        "9.0 a_0_ask:0.1 RUNNING 0.0",
        "13.5 a_0_ask:0.1 COMPLETED 4500.0",
        "13.5 a_0_late:0 RUNNING 0.0",
        "14.5 a_0_late:0 FAILED 1000.0 timed out",
    ]
    assert [line for line in story if " a_1_wait" in line] == [
        "3.0 a_1_wait:0 BLOCKED 0.0",
        "4.0 a_1_wait:0 FAILED 0.0 gave up waiting for slot",
    ]


def test_a_word_that_is_no_command(tmp_path):
    one_line(
        sim("verfy", "x.arrows", cwd=tmp_path), "unknown command 'verfy' (did you mean 'verify'?); allowed: bisect, "
    )
    one_line(sim("bottleneck", cwd=tmp_path), "unknown command 'bottleneck'; allowed: ", "or a scenario file")
    one_line(sim("verfy.yaml", cwd=tmp_path), "verfy.yaml: no such file")


def test_a_log_where_a_scenario_belongs_and_the_other_way_round(seed, tmp_path):
    for command in ("run", "check"):
        one_line(sim(command, seed[0], cwd=tmp_path), f"{seed[0]}: that is a log; replay it with python -m render")
    one_line(shell(f"$RENDER {SCENARIOS / 'seed.yaml'}", tmp_path), "that is a scenario; run it with python -m sim ")


@contextmanager
def on_a_terminal(folder, *arguments):
    """Run the command line on a terminal of its own; give the process, what it writes to, and its settings before."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        [sys.executable, "-m", "sim", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    try:
        yield process, master, slave, before
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def test_sigterm_leaves_the_terminal_clean(tmp_path):
    """While a run shows its progress, and while it is replayed."""
    for options, sign in ((["--until", "100h"], b"records"), (["--until", "20s"], b"\x1b[?1049h")):
        arguments = (str(SCENARIOS / "seed.yaml"), *options, "--log", "x.arrows")
        with on_a_terminal(tmp_path, *arguments) as (process, master, slave, before):
            output = b""
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and process.poll() is None:
                if select.select([master], [], [], 0.05)[0]:
                    output += os.read(master, 65_536)
                if sign in output:
                    sign = b"never"
                    process.terminate()
            while select.select([master], [], [], 0.05)[0]:
                output += os.read(master, 65_536)
            assert process.returncode == 143, output
            assert termios.tcgetattr(slave) == before
            assert output.rindex(b"\x1b[?25h") > output.rindex(b"\x1b[?25l")
            assert b"Traceback" not in output
            if b"\x1b[?1049h" in output:
                assert output.rindex(b"\x1b[?1049l") > output.rindex(b"\x1b[?1049h")


def test_a_run_on_a_terminal_is_played_after_its_summary_and_is_the_same_run(tmp_path):
    """The log of a run that was watched is that of one that was not, to the byte; the summary stays on the screen."""
    command_line = [str(SCENARIOS / "seed.yaml"), "--until", "20s", "--log"]
    with on_a_terminal(tmp_path, *command_line, "watched.arrows") as (process, master, slave, before):
        output = b""
        deadline, keys = time.monotonic() + 60, [b" ", b"c", b"b", b"q"]
        while time.monotonic() < deadline and process.poll() is None:
            if select.select([master], [], [], 0.2)[0]:
                output += os.read(master, 65_536)
            elif b"?1049h" in output and keys:
                os.write(master, keys.pop(0))
        assert process.wait(10) == 0, output
        assert termios.tcgetattr(slave) == before
        assert output.index(b"digest") < output.index(b"\x1b[?1049h") < output.rindex(b"\x1b[?1049l")
        assert b"\n" not in output[output.rindex(b"\x1b[?1049l") :], "nothing comes after the summary"
    sim(*command_line, "unseen.arrows", cwd=tmp_path)
    still = shell("$RENDER watched.arrows --at 3s > picture.txt", tmp_path)
    assert still.returncode == 0
    assert (tmp_path / "watched.arrows").read_bytes() == (tmp_path / "unseen.arrows").read_bytes()


BAD = [
    (["nowhere.yaml"], "nowhere.yaml"),
    (["run"], "Missing argument"),
    (["run", "--sed", "1", "x.yaml"], "No such option"),
    ([SCENARIOS / "seed.yaml", "--set", "seed=-1"], "--set seed=-1"),
    ([SCENARIOS / "seed.yaml", "--until", "soon"], "'soon' is not a time"),
    ([SCENARIOS / "seed.yaml", "--set", "constraints.funel.limit=3"], "funnel"),
    ([SCENARIOS / "seed.yaml", "--set", "nonsense"], "PATH=VALUE"),
    ([SCENARIOS / "seed.yaml", "--log", "no/such/folder/x.arrows"], "no/such/folder/x.arrows: cannot be written"),
    ([SCENARIOS / "seed.yaml", "--log", "/dev/full"], "No space left"),
    (["verify", "nowhere.arrows"], "no such file"),
    (["verify", SCENARIOS / "seed.yaml"], "not a fleetsim log"),
    (["export", SCENARIOS / "seed.yaml", "--to", "jsonl", "--out", "-"], "not a fleetsim log"),
    (["check", SCENARIOS], "a directory; allowed: a scenario file"),
]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["diff", "x.arrows"],
            "python -m sim diff: Missing argument 'LOG_B'; allowed: python -m sim diff [OPTIONS] LOG_A",
        ),
        (["bisect"], "sim bisect: Missing argument 'LOG'; allowed: python -m sim bisect [OPTIONS] LOG [OTHER]\n"),
        (["bisect", "x", "--out", "y"], "python -m sim bisect: No such option: --out; allowed: --json, --markdown"),
        (["fork", "x", "--at", "1s"], "python -m sim fork: Missing option '--set'; allowed: python -m sim fork"),
        (["report"], "python -m sim report: Missing argument 'LOG'; allowed: python -m sim report [OPTIONS]"),
        (
            ["export", "x.arrows"],
            "python -m sim export: Missing option '--to'; allowed: python -m sim export [OPTIONS]",
        ),
        (["explain", "x", "y"], "python -m sim explain: Got unexpected extra argument(s) (y); allowed: python -m sim "),
        (
            ["explain", "x", "--wors", "1"],
            "No such option: --wors (Possible options: --worst); allowed: --agent, --at, ",
        ),
        (["explain", "x", "--worst"], "Option '--worst' requires an argument; allowed: "),
        (["report", "x", "--json=3"], "Option '--json' does not take a value; allowed: "),
    ],
)
def test_what_is_no_command_line_is_one_line_that_says_what_is(arguments, told, tmp_path):
    one_line(sim(*arguments, cwd=tmp_path), told)


def test_without_a_word_the_help_is_told(tmp_path):
    done = sim(cwd=tmp_path)
    told = done.stdout + done.stderr
    assert done.returncode == 2
    assert told.count(b"Usage: python -m sim [OPTIONS] COMMAND [ARGS]...") == 1
    assert b"bisect" in told


def test_a_file_to_write_has_a_name_and_is_no_folder(seed, tmp_path):
    logs = ["report", seed[0]], ["explain", seed[0], "--worst", "1"], ["diff", seed[0], SCENARIOS / "two_locks.yaml"]
    for command in (*logs, ["export", seed[0], "--to", "csv"]):
        for name in ("", "."):
            one_line(sim(*command, "--out", name, cwd=tmp_path), "--out: the name is empty, or that of this folder")
        one_line(sim(*command, "--out", tmp_path, cwd=tmp_path), f"--out: {tmp_path} is a folder; allowed: a file")
    for command in ([SCENARIOS / "seed.yaml"], ["fork", seed[0], "--at", "1s", "--set", "constraints.slots.limit=+1"]):
        one_line(sim(*command, "--log", "", cwd=tmp_path), "--log: the name is empty, or that of this folder")
    assert list(tmp_path.iterdir()) == []


def file_with_a_byte_that_is_no_text(folder):
    path = folder / os.fsdecode(b"bad\xff.arrows")
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "utf-8:surrogateescape"])
def test_a_file_name_that_is_no_text_works_and_is_told_with_escapes(seed, encoding, tmp_path):
    path = file_with_a_byte_that_is_no_text(tmp_path)
    path.write_bytes(seed[0].read_bytes())
    (tmp_path / "cut.arrows").write_bytes(path.read_bytes())
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}

    def done(*arguments):
        found = subprocess.run([sys.executable, "-m", *arguments], cwd=tmp_path, env=env, capture_output=True)
        assert b"Traceback" not in found.stderr
        assert b"\xff" not in found.stdout + found.stderr
        return found.returncode, found.stdout.decode(), found.stderr.decode()

    verified = f"bad\\xff.arrows: verified, {seed[1]['events']:,} events, digest {seed[1]['digest']}\n"
    assert done("sim", "verify", path.name) == (0, verified, "")
    assert done("sim", "report", path.name)[::2] == (0, "")
    code, said, _ = done("sim", "diff", path.name, "cut.arrows", "--json")
    assert (code, json.loads(said)["log_a"]) == (0, "bad\\xff.arrows")
    code, said, _ = done("sim", str(SCENARIOS / "seed.yaml"), "--log", path.name, "--json")
    assert (code, json.loads(said)["log"], json.loads(said)["digest"]) == (0, "bad\\xff.arrows", seed[1]["digest"])
    assert done("sim", "report", "no" + path.name)[::2] == (
        2,
        "nobad\\xff.arrows: no such file; allowed: a log that a run has written\n",
    )
    code, said, told = done("render", path.name, "cut.arrows", "--svg", "a.svg")
    assert (code, said, told) == (0, "", "")
    assert "bad\\xff" in (tmp_path / "a.svg").read_text()
    (tmp_path / "bad.yaml").write_text("x")
    (tmp_path / "bad.yaml").rename(path.with_suffix(".yaml"))
    code, _, told = done("sim", "check", path.with_suffix(".yaml").name)
    assert code == 2
    assert told.startswith("bad\\xff.yaml:1:1: ")


def test_a_scenario_that_a_command_runs_first_is_called_one_and_kept_with_its_data(tmp_path):
    copy = tmp_path / "s.yaml"
    steps = "[{task: t, duration: {empirical: {file: d.csv, column: x, scale: 1s}}}]"
    limits = "constraints: [{id: a, type: concurrency, limit: 1, scope: global}]"
    copy.write_text(f"{limits}\nfleets: [{{name: f, count: 2, steps: {steps}}}]")
    (tmp_path / "d.csv").write_text("x\n1\n")
    fork = ("fork", "s.yaml", "--at", "1s", "--set", "constraints.a.limit=2")
    commands = (
        ("report", "s.yaml"),
        ("explain", "s.yaml", "--worst", "1"),
        ("diff", "s.yaml", SCENARIOS / "two_locks.yaml"),
    )
    for command in (*commands, fork):
        for name, what in (("s.yaml", "the scenario"), ("d.csv", "a data file")):
            one_line(
                sim(*command, "--out", name, cwd=tmp_path), f"--out: {name} is {what} itself; allowed: another file"
            )
    one_line(sim(*fork, "--log", "d.csv", cwd=tmp_path), "--log: d.csv is a data file itself")
    assert (tmp_path / "d.csv").read_text() == "x\n1\n"


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_clear_message_and_exit_code_2(arguments, message, tmp_path):
    done = sim(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_run_that_cannot_end_is_told_and_its_log_can_be_read(tmp_path):
    text = """
until: 1s
constraints: [{id: r, type: rate_limit, rate: 1/s, burst: 1, scope: global}]
fleets:
  - name: a
    count: 1
    steps: [{repeat: forever, steps: [{task: work, duration: 1s, cost: {uniform: [1.6, 4]}}]}]
"""
    (tmp_path / "endless.yaml").write_text(text)
    done = sim("endless.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert b"endless.yaml: time stands still at 0 s" in done.stderr
    assert b"in step work of fleet a" in done.stderr
    assert b"Traceback" not in done.stderr
    assert sim("verify", "endless.arrows", cwd=tmp_path).returncode == 0


def test_an_unknown_export_format(seed, tmp_path):
    done = sim("export", seed[0], "--to", "xml", "--out", "-", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == b"--to: unknown format 'xml'; allowed: jsonl, parquet, csv, telemetry, perfetto, ocel, otlp\n"


def test_check_and_schema(tmp_path):
    done = sim("check", SCENARIOS / "azure_llm.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    schema = json.loads(sim("schema", cwd=tmp_path).stdout)
    assert schema["type"] == "object"
    assert {"fleets", "constraints", "until", "seed"} <= set(schema["properties"])


def test_the_command_line_starts_in_half_a_second(tmp_path):
    """In processor time, so that what else the machine does is not held against it."""

    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert sim("--help", cwd=tmp_path).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5


def test_no_terminal_no_animation(tmp_path):
    done = sim(SCENARIOS / "seed.yaml", "--until", "1s", cwd=tmp_path)
    assert b"\x1b" not in done.stdout
    assert io.BytesIO(done.stdout).read().count(b"\n") < 15
