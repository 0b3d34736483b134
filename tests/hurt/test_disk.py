"""No room, and no way in: one clear line, exit code 2, and what was written before can be read or is gone."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.log import Log
from sim.cli import main as sim

from .commands import NOBODY, ROOT, Done, Parent, parent

SCENARIO = ROOT / "scenarios" / "seed.yaml"
FORMATS = ("jsonl", "csv", "parquet", "telemetry", "perfetto", "ocel", "otlp")
ROOM = "allowed: a file in a folder with room for it"
ANYBODY = {"user": NOBODY} if os.geteuid() == 0 else {}
"""Whom modes keep out: whoever runs the tests, unless that is root."""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parent]:
    with parent(tmp_path_factory.mktemp("disk"), 250) as opened:
        yield opened


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, started: Parent) -> Path:
    path = tmp_path_factory.mktemp("log") / "seed.arrows"
    assert started.run("sim", "run", SCENARIO, "--no-animation", "--log", path).code == 0
    return path


def one_line(done: Done, *parts: object) -> None:
    """Check that a command failed with one line that holds the parts."""
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert done.out == ""
    for part in parts:
        assert str(part) in done.err


# Full


@pytest.mark.parametrize("bytes_max", [0, 1, 1000, 3000, 10_000, 50_000, 60_000])
def test_a_run_that_has_no_more_room_leaves_a_log_that_reads_as_far_as_it_goes(
    started: Parent, log: Path, tmp_path: Path, bytes_max: int
) -> None:
    path = tmp_path / "x.arrows"
    size = log.stat().st_size
    assert bytes_max < size
    command = ("sim", "run", SCENARIO, "--no-animation", "--log", path)
    done = started.run(*command, bytes_max=max(bytes_max, 1), out="/dev/null")
    if bytes_max > 300:  # else there is no room for the line
        assert done.err == f"{path}: cannot be written: File too large; {ROOM}\n"
    assert done.code == 2
    assert path.stat().st_size <= max(bytes_max, 1)
    read = started.run("sim", "verify", path)
    if "no event to compare: the log is cut before its first" in read.out:  # there was room for its header
        assert (read.code, bytes_max) == (1, 3000)
    elif bytes_max < 3000:
        one_line(read, path)
        assert "cut before its first event" in read.err or "not a fleetsim log" in read.err
    else:
        assert Log.open(path).cut
        assert read.code == 0
        assert "verified as far as it goes, " in read.out


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("bytes_max", [500, 20_000])
def test_an_export_that_has_no_more_room_leaves_nothing(
    started: Parent, log: Path, tmp_path: Path, to: str, bytes_max: int
) -> None:
    out = tmp_path / "out"
    done = started.run("sim", "export", log, "--to", to, "--out", out, bytes_max=bytes_max)
    one_line(done, f"{out}: cannot be written: File too large; {ROOM}")
    assert list(tmp_path.iterdir()) == []
    one_line(
        started.run("sim", "export", log, "--to", to, "--out", "/dev/full"),
        "/dev/full: cannot be written: No space left",
    )
    assert Path("/dev/full").exists()


def test_a_picture_that_cannot_be_written_is_one_line(started: Parent, log: Path, tmp_path: Path) -> None:
    for out, faults in (("/dev/full", {}), (str(tmp_path / "out"), {"bytes_max": 200})):
        started.start("render", log, "--at", "1s", out=out, **faults)
        done = started.wait()
        assert done.code == 2
        assert done.err.startswith("standard output cannot be written: ")
        assert done.err.count("\n") == 1


def test_a_disk_that_is_full(started: Parent, log: Path, tmp_path: Path) -> None:
    """A real one, of 16 KiB, in a name space of its own: where a limit says EFBIG, it says ENOSPC."""
    script = f"""
mount -t tmpfs -o size=16k tmpfs {tmp_path} || exit 77
cd {tmp_path}
$SIM run {SCENARIO} --no-animation --log x.arrows; echo $?
$SIM verify x.arrows; echo $?
rm x.arrows
$SIM export {log} --to jsonl --out rows; echo $?
ls
"""
    command = ["unshare", "--mount", "--map-root-user", "bash", "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SIM": f"{sys.executable} -m sim"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no name space with a disk of its own: {done.stderr.strip()}")
    full = "cannot be written: No space left on device; allowed: a file in a folder with room for it"
    assert done.stderr.splitlines() == [f"x.arrows: {full}", f"rows: {full}"]
    ran, verified, code, exported = done.stdout.splitlines()
    assert (ran, exported) == ("2", "2")
    said = {
        "0": "x.arrows: verified as far as it goes, ",
        "1": "x.arrows: no event to compare: the log is cut before its first",
    }
    assert verified.startswith(said[code])


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_output_of_which_a_part_has_no_room_is_told(log: Path, tmp_path: Path, unbuffered: str) -> None:
    """Also where Python is told not to buffer it, and then passes over a write that was cut short."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    for module, *arguments in (("render", log, "--at", "1s"), ("sim", "export", log, "--to", "jsonl", "--out", "-")):
        with (tmp_path / "out").open("wb") as out:
            done = subprocess.run(
                [sys.executable, "-m", module, *map(str, arguments)],
                env=environment,
                stdout=out,
                stderr=subprocess.PIPE,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)),
                timeout=60,
            )
        assert (done.returncode, done.stderr) == (2, b"standard output cannot be written: File too large\n")


# Shut


@pytest.fixture
def shut(tmp_path: Path, log: Path) -> Iterator[Path]:
    """A folder into which nobody may write, that everybody may read: scenarios, a data file and a log."""
    for above in (tmp_path, *tmp_path.parents[:3]):
        with contextlib.suppress(PermissionError):
            above.chmod(0o755)
    folder = tmp_path / "shut"
    folder.mkdir()
    (folder / "seed.yaml").write_bytes(SCENARIO.read_bytes())
    (folder / "log").write_bytes(log.read_bytes())
    (folder / "trace.yaml").write_text(
        "fleets: [{name: a, steps: [{think: 1s}], arrivals: {trace: {file: t.csv, time: time}}}]\n"
    )
    (folder / "t.csv").write_text("time\n1\n")
    (folder / "log").chmod(0o444)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def test_a_folder_into_which_one_may_not_write(started: Parent, shut: Path) -> None:
    before = {path.name: path.read_bytes() for path in shut.iterdir()}
    for path in ("x", "log"):
        run = started.run("sim", "run", shut / "seed.yaml", "--no-animation", "--log", shut / path, **ANYBODY)
        one_line(run, f"{shut / path}: cannot be written: Permission denied; {ROOM}")
        export = started.run("sim", "export", shut / "log", "--to", "csv", "--out", shut / f"{path}.csv", **ANYBODY)
        one_line(export, f"{shut / path}.csv: cannot be written: Permission denied; {ROOM}")
    assert {path.name: path.read_bytes() for path in shut.iterdir()} == before
    assert started.run("sim", "verify", shut / "log", **ANYBODY).code == 0


def test_a_file_that_one_may_not_read(started: Parent, shut: Path) -> None:
    (shut / "seed.yaml").chmod(0)
    (shut / "log").chmod(0)
    for command in ("run", "check"):
        done = started.run("sim", command, shut / "seed.yaml", **ANYBODY)
        one_line(done, f"{shut / 'seed.yaml'}: no permission to read it; allowed: a file that you may read")
    for arguments in (["verify"], ["export", "--to", "csv", "--out", "-"]):
        done = started.run("sim", *arguments, shut / "log", **ANYBODY)
        one_line(done, f"{shut / 'log'}: cannot be read: Permission denied; allowed: a log that a run has written")
    one_line(started.run("render", shut / "log", **ANYBODY), "cannot be read: Permission denied")
    (shut / "t.csv").chmod(0)
    done = started.run("sim", "check", shut / "trace.yaml", **ANYBODY)
    one_line(done, "no permission to read it; allowed: a file that you may read")


def test_what_is_no_place_for_a_file(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "astray").symlink_to("no/such/folder")
    for name, reason in (
        ("no/such/folder/x", "No such file or directory"),
        ("folder", "Is a directory"),
        ("file/x", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("astray", "No such file or directory"),
        ("x" * 300, "File name too long"),
    ):
        path = tmp_path / name
        before = sorted(tmp_path.iterdir())
        for arguments in (
            ["run", str(SCENARIO), "--until", "1s", "--log", str(path)],
            ["export", str(log), "--to", "csv", "--out", str(path)],
        ):
            assert sim(arguments) == 2
            told = f"{path}: cannot be written: {reason}; {ROOM}"
            if name == "folder":
                told = f"{arguments[-2]}: {path} is a folder; allowed: a file"
            assert capsys.readouterr() == ("", f"{told}\n")
        assert sorted(tmp_path.iterdir()) == before


def test_a_link_to_a_file_that_is_not_there_yet_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.arrows").symlink_to("y.arrows")
    assert sim(["verify", str(tmp_path / "x.arrows")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert sim(["run", str(SCENARIO), "--until", "1s", "--no-animation", "--log", str(tmp_path / "x.arrows")]) == 0
    assert (tmp_path / "x.arrows").is_symlink()
    assert sim(["verify", str(tmp_path / "y.arrows")]) == 0
