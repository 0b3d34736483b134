"""Runs and reports from Python: the same numbers as the command line.

Rules:

1. What is wrong with a scenario, a log, a file or an argument is a `BadInput`, whose text is what the command line prints.
2. A log that is kept nowhere is in memory.
"""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.faults import BadInput, ScenarioError, shown
from model.files import is_log, is_scenario, keep, output
from model.log import Log
from model.plan import PlanError
from model.validation import Loaded, load, load_data
from sim.analysis.report import report as _report
from sim.environment import Endless
from sim.execution import execute, prepare


def run(scenario: str | Path | Mapping[str, Any], changes: Sequence[str] = (), log: str | Path | None = None) -> Log:
    """Run a scenario and return its log.

    `scenario` is the path of a YAML file, or the same as data, which can name no data files. `changes` to a file are
    written as for `--set`: `constraints.funnel.limit=50`, `seed=7`, `until=30s`. The log is written to the file `log`, or
    kept in memory. Raises BadInput where the scenario cannot be run, or the log cannot be written.
    """
    given = scenario if isinstance(scenario, Mapping) else _path("scenario", scenario, "the path of one, or data")
    written = None if log is None else _path("log", log, "the path of a file, or None")
    if written is not None and written.exists() and not (written.is_file() or written.is_dir()):
        raise BadInput(f"log: {written} is no file that can be read again; allowed: a file, or None")
    called = given if isinstance(given, Path) else "the scenario"
    try:
        loaded = _load(given, changes)
        ready = prepare(loaded.scenario, loaded.tables, loaded.inputs)
        if written is None:
            memory = io.BytesIO()
            execute(ready, memory)
            return Log.from_bytes(memory.getvalue())
        if isinstance(given, Path):
            inputs = {given.parent / name: "a data file" for name in loaded.inputs}
            keep(written, "log", {given: "the scenario", **inputs})
        with output(written) as file:
            execute(ready, file)
    except ScenarioError as error:
        raise BadInput(str(error)) from None
    except (PlanError, Endless) as error:
        raise BadInput(f"{called}: {error}") from None
    return Log.open(written)


def report(log: Log | str | Path) -> dict[str, Any]:
    """Return what `python -m sim report LOG --json` prints, as data, of a log or of a scenario, which is run first.

    Raises BadInput for what is neither, and for a log without events.
    """
    if not isinstance(log, Log):
        path = _path("log", log, "a Log, or the path of a log or of a scenario")
        log = run(path) if is_scenario(path) else Log.open(path)
    result, _ = _report(log)
    if not result["events"]:
        raise BadInput("the log is cut before its first event; allowed: a log with events")
    return result


def _load(scenario: Path | Mapping[str, Any], changes: Sequence[str]) -> Loaded:
    if isinstance(changes, str) or not isinstance(changes, Sequence) or not all(isinstance(x, str) for x in changes):
        raise BadInput(f"changes: {shown(changes)} is no list of texts; allowed: such as ['seed=7', 'until=30s']")
    if not isinstance(scenario, Mapping):
        if is_log(scenario):
            raise BadInput(f"{scenario}: that is a log; open it with sim.Log.open, or report on it with sim.report")
        return load(scenario, changes)
    if changes:
        raise BadInput("changes: the scenario is data; allowed: changes of the data itself")
    return load_data(scenario)


def _path(name: str, given: object, allowed: str) -> Path:
    """Return the path that an argument names; raises BadInput where it names none."""
    if not isinstance(given, (str, os.PathLike)) or "\0" in str(given):
        raise BadInput(f"{name}: {shown(given)} is no path; allowed: {allowed}")
    return Path(given)
