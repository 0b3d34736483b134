"""Runs and reports from Python: the same numbers as the command line.

Rules:

1. What is wrong with a scenario, a log or a file is a `BadInput`, whose text is what the command line prints.
2. A log that is kept nowhere is in memory.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.faults import BadInput, ScenarioError
from model.log import Log
from model.plan import PlanError
from model.validation import Loaded, load, load_embedded
from sim.analysis.report import report as _report
from sim.environment import Endless
from sim.execution import execute, prepare


def run(scenario: str | Path | Mapping[str, Any], changes: Sequence[str] = (), log: str | Path | None = None) -> Log:
    """Run a scenario and return its log.

    `scenario` is the path of a YAML file, or the same as data, which can name no data files. `changes` to a file are
    written as for `--set`: `constraints.funnel.limit=50`, `seed=7`, `until=30s`. The log is written to the file `log`, or
    kept in memory. Raises BadInput where the scenario cannot be run, OSError where the log cannot be written.
    """
    try:
        loaded = _load(scenario, changes)
        ready = prepare(loaded.scenario, loaded.tables, loaded.inputs)
        if log is None:
            file = io.BytesIO()
            execute(ready, file)
            return Log.from_bytes(file.getvalue())
        with Path(log).open("wb") as written:
            execute(ready, written)
    except ScenarioError as error:
        raise BadInput("\n".join(map(str, error.faults))) from None
    except (PlanError, Endless) as error:
        raise BadInput(str(error)) from None
    return Log.open(log)


def report(log: Log | str | Path) -> dict[str, Any]:
    """Return what `python -m sim report LOG --json` prints, as data; raises LogError, a BadInput, for what is no log."""
    result, _ = _report(log if isinstance(log, Log) else Log.open(log))
    return result


def _load(scenario: str | Path | Mapping[str, Any], changes: Sequence[str]) -> Loaded:
    if not isinstance(scenario, Mapping):
        return load(scenario, changes)
    if changes:
        raise BadInput("changes: the scenario is data; allowed: changes of the data itself")
    return load_embedded(dict(scenario), {})
