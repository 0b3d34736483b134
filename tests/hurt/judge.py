"""What may come of a scenario file, however hurt: faults, each a clear line, or a run of which the log can be read.

Rules:

1. A file is loaded as `python -m sim check` loads it. Nothing but ScenarioError comes of it; each fault is one printable
   line that names the file, says what is wrong and what is allowed, and is told once.
2. What is valid is planned and run as `python -m sim run` does it, and nothing but PlanError and Endless comes of that. Its
   log reads back, and is whole where the run is.
3. A run is stopped after `RUN_S` seconds of processor time: it goes on, so it does not hang. One of more than `AGENTS_MAX`
   agents is not begun, for so many are allowed and take their time.
"""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from model.faults import ScenarioError
from model.log import Log
from model.plan import PlanError
from model.validation import Loaded, load
from sim.environment import Endless
from sim.execution import execute, prepare

RUN_S = 0.2
AGENTS_MAX = 20_000
_PRINTED = ("\n", "\r", "\x1b")

Verdict = Literal["refused", "run", "stopped", "endless", "unplannable", "too large to run"]


class Offence(AssertionError):
    """Something came of a file that may not."""


def judge(path: Path) -> Verdict:
    """Say what came of the file; raises Offence, or whatever else came."""
    try:
        loaded = load(path)
    except ScenarioError as error:
        _told(path, [str(fault) for fault in error.faults])
        return "refused"
    _told(path, [str(warning) for warning in loaded.warnings], least=0)
    return _run(loaded)


def _told(path: Path, lines: list[str], least: int = 1) -> None:
    if len(lines) < least:
        raise Offence("it is refused without a word")
    if len(set(lines)) < len(lines):
        raise Offence(f"a fault is told twice: {next(line for line in lines if lines.count(line) > 1)}")
    for line in lines:
        if not line.isprintable() or "; allowed: " not in line:
            raise Offence(f"a fault is no clear line: {line!r}")
        if not (path.parent / line.split(":", 1)[0]).is_file():  # the scenario, or a data file that it names
            raise Offence(f"a fault does not say where it is: {line}")


def _run(loaded: Loaded) -> Verdict:
    if sum(fleet.count or 0 for fleet in loaded.scenario.fleets) > AGENTS_MAX:
        return "too large to run"
    try:
        ready = prepare(loaded.scenario, loaded.tables, loaded.inputs)
    except PlanError as error:
        _one_line(str(error))
        return "unplannable"
    if sum(fleet.count for fleet in ready.plan.fleets) > AGENTS_MAX:
        return "too large to run"
    file, stopped = io.BytesIO(), False

    @contextmanager
    def for_a_while(interrupt: Callable[[], None]) -> Iterator[None]:
        nonlocal stop
        stop = interrupt
        yield

    stop: Callable[[], None] = lambda: None  # noqa: E731
    end = time.process_time() + RUN_S

    def observer(*far: int) -> None:
        if time.process_time() > end:
            stop()

    try:
        outcome = execute(ready, file, observer, for_a_while)
    except Endless as error:
        _one_line(str(error))
        _read(file, whole=False)
        return "endless"
    stopped = outcome.interrupted
    _read(file, whole=not stopped)
    return "stopped" if stopped else "run"


def _one_line(text: str) -> None:
    if not text.isprintable() or not text:
        raise Offence(f"an error is no clear line: {text!r}")


def _read(file: io.BytesIO, whole: bool) -> None:
    log = Log.from_bytes(file.getvalue())
    if log.cut == whole:
        raise Offence("its log does not say truly whether it is cut")
