"""A log of which one bit is another: `verify` names it, or every row and the header are what they were.

What nobody tells is what nobody reads: padding, and what Arrow's metadata say of no use to a reader (versions, custom
metadata, sizes). It is asked for exactly: a flip that nobody tells changes nothing
that `Log` gives.
"""

import contextlib
import io
from pathlib import Path
from random import Random

import numpy as np
import pytest

from model.events import concatenate
from model.log import Log, LogError
from sim.cli import main as sim
from sim.verify import verify
from tests.runs import run, scenario

from .logs import in_batches

FLIPS_OF_A_LARGE_LOG = 2000
LARGE = scenario(
    constraints=[
        {"id": "slot", "type": "concurrency", "limit": 5},
        {"id": "rpm", "type": "rate_limit", "rate": "300/m"},
    ],
    count=40,
    until="2m",
    steps=[
        {
            "repeat": "forever",
            "steps": [{"think": {"exponential": "1s"}}, {"task": "work", "duration": {"uniform": ["1s", "2s"]}}],
        }
    ],
)
SMALL = scenario(
    constraints=[{"id": "slot", "type": "concurrency", "limit": 1}],
    count=2,
    until="3s",
    steps=[{"repeat": "forever", "steps": [{"task": "work", "duration": "1s"}]}],
)
TOLD = (
    "this log is of format ",
    "the log is damaged at event ",
    "the header of this log is damaged: ",
    "not a fleetsim log",
    "the columns of this log ",
)


def flipped(content: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    return bytes(changed)


def says(path: Path) -> tuple[int, str]:
    """The exit code of `verify`, and what it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = sim(["verify", str(path)])
    return code, out.getvalue().removeprefix(f"{path}: ")


def same(log: Log, other: Log) -> bool:
    """Whether two logs give the same header and the same rows."""
    rows, others = concatenate(list(log.batches())), concatenate(list(other.batches()))
    return log.header == other.header and all(map(np.array_equal, rows.columns(), others.columns()))


@pytest.mark.parametrize("bit", [0, 5])
def test_a_flip_in_any_byte_of_a_small_log_is_named_or_changes_nothing(tmp_path: Path, bit: int) -> None:
    """Each byte, with each bit of its neighbours; now and then through the command."""
    log = run(SMALL)
    content, path, silent = in_batches(log, 6)[0], tmp_path / "x.arrows", 0
    for place in range(len(content)):
        changed = flipped(content, place, (place + bit) % 8)
        unseen = is_unseen(changed, log)
        silent += unseen
        if place % 50 == bit:
            path.write_bytes(changed)
            code, said = says(path)
            assert (code, said.count("\n")) in ((0, 1), (1, 3), (2, 1)), said
            assert said.startswith({0: "verified, ", 1: ("event ", "the header differs in "), 2: TOLD}[code]), said
            assert (code == 0) == unseen, said
    assert silent < len(content) / 3


def is_unseen(content: bytes, log: Log) -> bool:
    """Whether nobody who reads these bytes sees anything but the log; where somebody does, `verify` says so."""
    try:
        other = Log.from_bytes(content)
        if same(log, other):
            return True
        verdict = verify(other)
    except LogError as error:
        assert str(error).startswith(TOLD), error
        return False
    assert verdict.difference is not None
    return False


def test_a_flip_in_a_large_log_is_named_or_changes_nothing() -> None:
    """At random places; as the run again is always the same, what the rows are is compared with what they were."""
    log = run(LARGE)
    content, random = in_batches(log, 2000)[0], Random(3)
    assert len(content) > 10_000
    silent = 0
    for _ in range(FLIPS_OF_A_LARGE_LOG):
        place, bit = random.randrange(len(content)), random.randrange(8)
        try:
            other = Log.from_bytes(flipped(content, place, bit))
            cut, equal = other.cut, same(log, other)
        except LogError as error:
            assert str(error).startswith(TOLD), error
            continue
        assert not (cut and equal), (place, bit)
        if cut:  # then it is the last row that is another, and no batch is lost
            assert sum(map(len, other.batches())) == sum(map(len, log.batches())), (place, bit)
        silent += equal
    assert silent < FLIPS_OF_A_LARGE_LOG / 10


def test_a_flip_in_the_data_of_a_large_log_is_named_by_the_command(tmp_path: Path) -> None:
    """The event from which on it differs, or cannot be trusted."""
    log = run(LARGE)
    content, random, path = in_batches(log, 2000)[0], Random(4), tmp_path / "x.arrows"
    codes = []
    for _ in range(40):
        path.write_bytes(flipped(content, random.randrange(len(content) // 2, len(content) - 8), random.randrange(8)))
        code, said = says(path)
        codes.append(code)
        if code == 1:
            assert said.startswith("event "), said
            assert " differs\n  in the log:" in said
        elif code == 2:
            assert said.startswith("the log is damaged at event "), said
        else:
            assert said.startswith("verified, "), said
            assert same(log, Log.open(path))
    assert codes.count(0) < 8
    assert {1, 2} <= set(codes)
