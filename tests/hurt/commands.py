"""The command lines in processes of their own, without the start of Python that is paid each time.

A parent that has everything imported forks for each command; the child takes on what a fault needs (limits, another user, a
folder), and then runs what `python -m sim` or `python -m render` runs. To everyone outside it is a process like any other:
it has its standard streams, its exit code, and can be killed.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NOBODY = 65_534


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended: its exit code (minus the signal, where one ended it), and what it printed."""

    code: int
    out: str
    err: str


class Parent:
    """The warm parent. One command at a time is started, and may be killed; then its end is waited for."""

    def __init__(self, folder: Path, batch_rows: int | None = None) -> None:
        """Commands run in `folder`. With `batch_rows` their logs are written in batches of so many rows."""
        self._folder = folder
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hurt.commands", str(batch_rows or 0)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def start(self, *arguments: object, **faults: Any) -> int:
        """Start `sim ...` or `render ...`; return the number of the process.

        `faults`: `bytes_max`, of a file that is written; `user`, a number; `out`, a file for standard output.
        """
        command = {"arguments": list(map(str, arguments)), "folder": str(self._folder), **faults}
        assert self._process.stdin is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        return self._answer()

    def wait(self) -> Done:
        """Wait for the end of what was started."""
        code = self._answer()
        return Done(code, *((self._folder / name).read_text(errors="replace") for name in ("stdout", "stderr")))

    def run(self, *arguments: object, **faults: Any) -> Done:
        """Start and wait."""
        self.start(*arguments, **faults)
        return self.wait()

    def close(self) -> None:
        """End the parent."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextlib.contextmanager
def parent(folder: Path, batch_rows: int | None = None) -> Iterator[Parent]:
    """Have a warm parent for a while."""
    opened = Parent(folder, batch_rows)
    try:
        yield opened
    finally:
        opened.close()


def _serve(batch_rows: int) -> None:
    import render.__main__
    import sim.analysis.deadlocks
    import sim.analysis.summary
    import sim.cli
    import sim.display
    import sim.execution
    import sim.export
    import sim.recorder
    import sim.verify

    if batch_rows:
        _in_small_batches(batch_rows)
    programs = {"sim": sim.cli.main, "render": render.__main__.main}
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        command = json.loads(line)
        if (child := os.fork()) == 0:
            code = 1
            try:
                name, *arguments = command["arguments"]
                _take_on(command)
                code = programs[name](arguments)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                with contextlib.suppress(OSError):
                    sys.stdout.flush()
                with contextlib.suppress(OSError):
                    sys.stderr.flush()
                os._exit(code)
        print(child, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


def _take_on(command: dict[str, Any]) -> None:
    """Become the process that the command asks for."""
    os.chdir(command["folder"])
    for number, path in ((1, "stdout"), (2, "stderr"), (1, command.get("out", "stdout"))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if "bytes_max" in command:
        resource.setrlimit(resource.RLIMIT_FSIZE, (command["bytes_max"], command["bytes_max"]))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if "user" in command:
        os.setgroups([])
        os.setgid(command["user"])
        os.setuid(command["user"])


def _in_small_batches(rows: int) -> None:
    """Let the recorder hand on batches of so many rows, so that a short run writes many."""
    from sim import engine, recorder

    recorder._BLOCKS_BYTES = 1
    of_a_batch, *others = engine.Engine.__init__.__defaults__ or ()
    assert of_a_batch == engine.BATCH_ROWS
    engine.Engine.__init__.__defaults__ = (rows, *others)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
