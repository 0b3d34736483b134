"""The command line as a user meets it: in a process of its own, by exit codes, standard output and standard error."""

import csv
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCENARIOS = ROOT / "scenarios"
DIGESTS = {
    "bottleneck": "579aac249a692417affce8bc2eed108e8d6a4b8e1383561b09e9b74c14c81219",
    "seed": "c8a47dc4ab76961abc49698195fd43c672a731f65eac02c2740008da382895e3",
    "rate_limit": "b993b76df9e6cfd34539b45e23a2e6385268e4681c0bb4151d36d31f447823d8",
    "pause": "680c8ec2cba02c02c41e18db43fbb076d9b2bf5944ad7fb5df8ca005a3b266ee",
    "azure_llm": "8033d9acac13559bdea03ae159f64e8261a3e3a505e4b09cee75fd73c12b204d",
}


def sim(*arguments, cwd, **options):
    options.setdefault("env", {**os.environ, "PYTHONPATH": str(ROOT)})
    command = [sys.executable, "-m", "sim", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, timeout=120, **options)


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


def test_the_json_object_has_what_it_promises(seed):
    _, result = seed
    assert {"scenario", "seed", "digest", "events", "end_ns", "tasks", "wait_ns", "constraints"} <= set(result)
    assert result["scenario"] == "seed"
    assert result["end_ns"] == 15_000_000_000
    assert set(result["tasks"]) == {"started", "finished", "failed", "blocked", "open"}
    assert set(result["wait_ns"]) == {"mean", "p50", "p95", "p99", "max"}
    funnel = result["constraints"]["funnel"]
    assert {"utilisation", "blocked_ns", "blocked_episodes", "peak_waiting"} <= set(funnel)
    assert result["wall_s"] > 0
    assert result["events_per_s"] == pytest.approx(result["events"] / result["wall_s"])
    # 20 slots of 0.2 s work: 100 a second; the first second fills up.
    assert 1350 < result["tasks"]["finished"] < 1500
    assert result["tasks"]["blocked"] == funnel["blocked_episodes"]
    assert 0.9 < funnel["utilisation"] <= 1


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


def test_verify_of_a_cut_log_says_where_it_ends(seed, tmp_path):
    content = seed[0].read_bytes()
    cut = tmp_path / "cut.arrows"
    cut.write_bytes(content[:-1000])
    done = sim("verify", cut, cwd=tmp_path)
    assert done.returncode == 1
    assert b"the log ends here" in done.stdout
    exported = sim("export", cut, "--to", "jsonl", "--out", "-", cwd=tmp_path)
    assert exported.returncode == 0
    assert b"the log is cut" in exported.stderr


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
    line = f"{sys.executable} -m sim {command.format(log=seed[0])} | head -{lines}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == lines


BAD = [
    (["nowhere.yaml"], "nowhere.yaml"),
    (["run"], "Missing argument"),
    (["run", "--sed", "1", "x.yaml"], "No such option"),
    ([SCENARIOS / "seed.yaml", "--seed", "x"], "Invalid value"),
    ([SCENARIOS / "seed.yaml", "--seed", "-1"], "--set seed=-1"),
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
    assert done.stderr == b"--to: unknown format 'xml'; allowed: jsonl, parquet, csv, telemetry\n"


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
