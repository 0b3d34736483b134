"""Judges many hurt files, with as many workers as one likes, and outlives them.

A worker that dies, or that says nothing for `SILENCE_S`, is an offence of the file that it had begun; another goes on with
the next file.
"""

import json
import os
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SILENCE_S = 300
"""Real time, in which a machine that others use too gives a worker its `SECONDS_MAX` of processor time."""


@dataclass(slots=True)
class Report:
    """What came of the files: how many of which verdict, the slowest, the largest peak of memory, and the offences."""

    verdicts: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: int = -1
    peak_bytes: int = 0
    offences: list[dict[str, Any]] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many files were judged."""
        return self.verdicts.total()

    def add(self, line: dict[str, Any]) -> None:
        """Take in what was said of one file."""
        self.verdicts[line["verdict"]] += 1
        if line["verdict"] == "offence":
            self.offences.append(line)
        if line["seconds"] > self.slowest_s:
            self.slowest_s, self.slowest = line["seconds"], line["number"]
        self.peak_bytes = max(self.peak_bytes, line["peak_bytes"])


class _Worker:
    """A process that judges every `step`-th file."""

    def __init__(self, program: tuple[str, ...], seed: int, first: int, stop: int, step: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._given = program, seed, stop, step, folder
        self.next = first
        command = [sys.executable, *program, *map(str, (seed, first, stop, step)), str(folder)]
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})
        assert self._process.stdout is not None
        self.stdout = self._process.stdout

    def line(self) -> dict[str, Any] | None:
        """Return what it says of its next file; None where it is done. One that has died leaves an offence."""
        step = self._given[3]
        text = self.stdout.readline()
        if not text and self._process.wait() == 0:
            return None
        line = json.loads(text) if text.endswith(b"\n") else self._died(f"the worker ended with {self._process.wait()}")
        self.next = line["number"] + step
        return line

    def silenced(self) -> None:
        """End one that is stuck."""
        self._process.kill()

    def heir(self) -> "_Worker | None":
        """Return the worker that goes on where this one has died."""
        program, seed, stop, step, folder = self._given
        if not self._process.poll() or self.next >= stop:
            return None
        return _Worker(program, seed, self.next, stop, step, folder)

    def _died(self, told: str) -> dict[str, Any]:
        _, seed, _, _, folder = self._given
        path = folder / f"hurt-{seed}-{self.next}.yaml"
        row = {"number": self.next, "path": str(path), "verdict": "offence", "told": told}
        return {**row, "seconds": 0.0, "peak_bytes": 0}


def fuzz(
    seed: int,
    files: int,
    workers: int,
    folder: Path,
    tell: Callable[[Report], None] = lambda report: None,
    program: tuple[str, ...] = ("-m", "hurt.worker"),
) -> Report:
    """Judge `files` files; `tell` is called after each. What is judged badly stays in the folder."""
    report = Report()
    with selectors.DefaultSelector() as selector:

        def watch(worker: _Worker) -> None:
            selector.register(worker.stdout, selectors.EVENT_READ, worker)

        for number in range(min(workers, files)):
            watch(_Worker(program, seed, number, files, workers, folder / str(number)))
        while selector.get_map():
            ready = selector.select(SILENCE_S)
            for key, _ in ready:
                worker = key.data
                line = worker.line()
                if line is not None:
                    report.add(line)
                    tell(report)
                if line is None or line["peak_bytes"] == 0:
                    selector.unregister(worker.stdout)
                    if (heir := worker.heir()) is not None:
                        watch(heir)
            if not ready:
                for key in list(selector.get_map().values()):
                    key.data.silenced()
    return report
