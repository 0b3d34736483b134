"""A run that is killed while it writes: its log reads to its last batch, and says that it is cut."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np
import pytest

from model.events import Batch, concatenate
from model.log import Log, LogError, LogWriter
from render.__main__ import main as render
from sim.cli import main as sim
from tests.runs import run, scenario

from .commands import ROOT, Parent, parent
from .logs import in_batches

KILLS = 100
GROUPS = 4  # of kills, that several workers share
BATCH_ROWS = 250
RUN = ("run", ROOT / "scenarios" / "bottleneck.yaml", "--until", "6s", "--no-animation", "--log", "x.arrows")
BEFORE_ITS_FIRST = (
    "the log is cut before its first event",
    "not a fleetsim log: it is empty; allowed: a log that a run has",
)
Whole = tuple[Path, Batch, float]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Parent, Path]]:
    folder = tmp_path_factory.mktemp("killed")
    with parent(folder, BATCH_ROWS) as opened:
        yield opened, folder


@pytest.fixture(scope="module")
def whole(started: tuple[Parent, Path]) -> Whole:
    """The log of the run that nobody kills, its rows, and how long it took."""
    opened, folder = started
    opened.run("sim", *RUN)
    began = time.monotonic()
    assert opened.run("sim", *RUN).code == 0
    took_s = time.monotonic() - began
    kept = folder / "whole.arrows"
    (folder / "x.arrows").rename(kept)
    batches = list(Log.open(kept).batches())
    assert len(batches) > 40
    return kept, concatenate(batches), took_s


@pytest.mark.parametrize("group", range(GROUPS))
def test_a_killed_run_leaves_a_log_that_reads_to_its_last_batch_and_says_that_it_is_cut(
    started: tuple[Parent, Path], whole: Whole, group: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """At random moments, and when a random number of bytes has been written."""
    opened, folder = started
    kept, rows, took_s = whole
    random, path = Random(group), folder / "x.arrows"
    lengths = set[int]()
    for number in range(KILLS // GROUPS):
        path.unlink(missing_ok=True)
        child = opened.start("sim", *RUN)
        if number % 2:
            time.sleep(random.uniform(0, took_s))
        else:
            _await_bytes(path, random.randint(1, kept.stat().st_size - 1), took_s)
        with suppress(ProcessLookupError):  # it may be over already
            os.kill(child, signal.SIGKILL)
        done = opened.wait()
        assert done.code in (0, -signal.SIGKILL), done.err
        if done.code == -signal.SIGKILL:
            lengths.add(_look_at(path, rows, capsys))
    assert len(lengths) > 4, "hardly any kill came while it wrote"


def _await_bytes(path: Path, size: int, took_s: float) -> None:
    end = time.monotonic() + 20 * took_s
    while time.monotonic() < end and (not path.exists() or path.stat().st_size < size):
        time.sleep(0.0005)


def _look_at(path: Path, rows: Batch, capsys: pytest.CaptureFixture[str]) -> int:
    """Check all that is said of a log whose run was killed; return how many of its rows are there."""
    capsys.readouterr()
    if not path.exists():
        return -1
    try:
        log = Log.open(path)
    except LogError as error:
        assert str(error).startswith(tuple(f"{path}: {text}" for text in BEFORE_ITS_FIRST))
        for refused in (["verify", str(path)], ["export", str(path), "--to", "csv", "--out", "-"]):
            assert sim(refused) == 2
            assert capsys.readouterr().err == f"{error}\n"
        assert render([str(path)]) == 2
        return -1
    batches = list(log.batches())
    count = sum(map(len, batches))
    assert all(len(batch) == BATCH_ROWS for batch in batches[:-1])
    if batches:
        there = zip(concatenate(batches).columns(), rows.rows(0, count).columns(), strict=True)
        assert all(np.array_equal(column, expected) for column, expected in there)
    cut = count < len(rows)  # killed after its last event was written, it is whole
    assert log.cut == cut
    assert sim(["verify", str(path)]) == (0 if count else 1)
    said = capsys.readouterr().out
    if not count:
        assert "no event to compare: the log is cut before its first" in said
    elif cut:
        assert f"verified as far as it goes, {count:,} events, " in said
        assert "; it is cut at " in said
    else:
        assert f": verified, {count:,} events" in said
    out = path.with_suffix(".csv")
    assert sim(["export", str(path), "--to", "csv", "--out", str(out)]) == 0
    assert ("the log is cut: the run was interrupted, stopped or killed" in capsys.readouterr().err) == cut
    assert out.read_bytes().count(b"\n") == count + 1
    assert render([str(path), "--at", "0s"]) == 0
    assert ("the log is cut at " in capsys.readouterr().err) == cut
    return count


def test_every_batch_is_out_of_the_process_when_it_was_written(whole: Whole, tmp_path: Path) -> None:
    log, path = Log.open(whole[0]), tmp_path / "x.arrows"
    with path.open("wb") as file:
        writer = LogWriter(file, log.header)
        for number, batch in enumerate(log.batches(), 1):
            writer.write(batch)
            assert sum(map(len, Log.open(path).batches())) == writer.events
            if number == 3:
                break


SMALL = scenario(
    constraints=[{"id": "slot", "type": "concurrency", "limit": 1}],
    count=3,
    until="5s",
    steps=[{"repeat": "forever", "steps": [{"task": "work", "duration": "1s"}]}],
)


def test_a_log_that_is_cut_anywhere_is_told_from_one_that_is_damaged() -> None:
    """A small one, at every byte: it holds the batches that are there as a whole, and no more."""
    log = run(SMALL)
    content, ends = in_batches(log, 4)
    rows = concatenate(list(log.batches()))
    assert len(ends) > 6
    for size in range(1, len(content)):
        try:
            cut = Log.from_bytes(content[:size])
        except LogError as error:
            assert size < ends[0]
            assert str(error) in (
                "the log is cut before its first event; allowed: a log that a run has written",
                "not a fleetsim log; allowed: a log that a run has written",
            )
            continue
        there = 4 * sum(end <= size for end in ends)
        assert sum(map(len, cut.batches())) == min(there, len(rows)), size
        assert cut.cut == (there < len(rows)), size


def test_a_large_log_that_is_cut_anywhere(whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At random places: it reads as a prefix. What the commands say of it is looked at above; here, of a few."""
    kept, rows, _ = whole
    content, random = kept.read_bytes(), Random(7)
    for number in range(150):
        size = random.randrange(len(content))
        try:
            cut = Log.from_bytes(content[:size])
        except LogError as error:
            assert str(error).startswith(("the log is cut before its first", "not a fleetsim log")), size
            continue
        count = sum(map(len, cut.batches()))
        assert cut.cut == (count < len(rows))
        assert count % BATCH_ROWS == 0 or count == len(rows)
        if number % 50 == 0:
            path = tmp_path / "x.arrows"
            path.write_bytes(content[:size])
            _look_at(path, rows, capsys)
