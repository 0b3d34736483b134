"""Logs that were written once, by the version that their name says: a later one reads, verifies and shows them, or says
what is needed to.

A change of a column, of a kind or of what a value means makes another format: `LOG_FORMAT` is raised, a log of the new one
is put beside these, and those of the old one are refused with a message that names the version that wrote them.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import sim
from model.events import LOG_FORMAT, Kind
from model.log import Log, LogError, LogWriter
from sim.verify import verify

LOGS = Path(__file__).parent / "data/logs"
ROOT = Path(__file__).parent.parent
DIGEST = "d080e4ff2a5a2b6b6194ab8e251a0b7408dcb36b5116a90950de553a45eee8cd"


@pytest.fixture(scope="module")
def log() -> Log:
    """The log of the format of today: a run of 30 s in which everything happens, with a data file."""
    return Log.open(LOGS / f"format_{LOG_FORMAT}.arrows")


def test_it_has_every_kind_of_event_and_its_digest(log: Log) -> None:
    kinds = {kind for batch in log.batches() for kind in batch.kind.tolist()}
    assert kinds == set(Kind), "a new kind is a new format"
    assert log.digest() == DIGEST
    assert (log.header.versions["fleetsim"], set(log.header.inputs), log.cut) == ("0.1.0", {"times.csv"}, False)


def test_its_run_made_again_is_the_same(log: Log) -> None:
    verdict = verify(log)
    assert (verdict.difference, verdict.events, verdict.digest) == (None, 778, DIGEST)


def test_it_is_reported_on(log: Log) -> None:
    found = sim.report(log)
    assert (found["tasks"]["started"], found["tasks"]["preempted"], found["crashes"]) == (124, 6, 10)
    assert found["checks"]["little"]["holds"]


def test_it_is_shown() -> None:
    command = [sys.executable, "-m", "render", LOGS / f"format_{LOG_FORMAT}.arrows", "--at", "3s"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "3.00s / 30.00s" in done.stdout
    assert "2/2  3 waiting" in done.stdout


def test_a_log_of_another_format_names_the_version_that_it_takes(tmp_path: Path) -> None:
    content = (LOGS / f"format_{LOG_FORMAT}.arrows").read_bytes()
    other = tmp_path / "other.arrows"
    other.write_bytes(
        content.replace(b'"format":1', b'"format":9').replace(b'"fleetsim":"0.1.0"', b'"fleetsim":"9.9.9"')
    )
    with pytest.raises(LogError) as error:
        Log.open(other)
    said = "this log is of format 9, and was written by fleetsim 9.9.9, which is needed to read it; allowed: format 1"
    assert str(error.value) == f"{other}: {said}"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Path:
    """A log of this format whose scenario has a key that this version does not know, as a later one might write."""
    known = Log.open(LOGS / f"format_{LOG_FORMAT}.arrows")
    header = replace(known.header, scenario={**known.header.scenario, "moons": 2}, versions={"fleetsim": "9.1"})
    path = tmp_path_factory.mktemp("foreign") / "foreign.arrows"
    with path.open("wb") as file:
        writer = LogWriter(file, header)
        for batch in known.batches():
            writer.write(batch)
        writer.close()
    return path


def python(command: str, foreign: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    words = command.replace("OTHER", str(LOGS / f"format_{LOG_FORMAT}.arrows")).replace("LOG", str(foreign)).split()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", *words], env=environment, capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize(
    "command",
    [
        "sim report LOG",
        "sim diff LOG OTHER",
        "sim fork LOG --at 3s --set constraints.slots.limit=2",
        "sim verify LOG",
        "render LOG --html made",
    ],
)
def test_a_scenario_of_another_version_is_told_in_one_line(foreign: Path, tmp_path: Path, command: str) -> None:
    done = python(command, foreign, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "not valid for this version" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_a_log_of_another_version_has_no_marks(foreign: Path, tmp_path: Path) -> None:
    done = python("render LOG --cast made", foreign, tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert done.stderr.startswith("what went wrong is not marked: the scenario inside the log of")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize("format_", ["perfetto", "ocel", "otlp"])
def test_traces_do_without_the_scenario(foreign: Path, tmp_path: Path, format_: str) -> None:
    done = python(f"sim export LOG --to {format_} --out made", foreign, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("option", ["--png", "--svg", "--gif", "--plot"])
def test_pictures_do_without_the_scenario(foreign: Path, tmp_path: Path, option: str) -> None:
    from render.__main__ import main

    given = (
        ["--plot", "waits", "--out", str(tmp_path / "a.svg")] if option == "--plot" else [option, str(tmp_path / "a")]
    )
    assert main([str(foreign), *given]) == 0
