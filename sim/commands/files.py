"""What the commands share: their arguments, a scenario or a log that is read.

What cannot be read is bad input, with one clear line a fault.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from model.faults import BadInput
from model.files import is_log, is_scenario
from model.program import say

if TYPE_CHECKING:
    from model.header import Header
    from model.log import Log
    from model.validation import Loaded

# What cannot be read is told where it is read.
Scenario = Annotated[
    Path, Argument(metavar="SCENARIO", help="The scenario, a YAML file.", show_default=False, readable=False)
]
LogFile = Annotated[
    Path, Argument(metavar="LOG", help="A log that a run has written.", show_default=False, readable=False)
]
LogOrScenario = Annotated[
    Path,
    Argument(
        metavar="LOG",
        help="A log that a run has written, or a scenario to run first.",
        show_default=False,
        readable=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    Option("--set", metavar="PATH=VALUE", help="Change a value: constraints.funnel.limit=50. May be repeated."),
]
AsJson = Annotated[bool, Option("--json", help="Print one JSON object in place of the tables.")]


def load(path: Path, overrides: Sequence[str]) -> "Loaded":
    """Read a scenario, and say on standard error what is hardly meant; raises BadInput where it cannot be run."""
    from model.faults import ScenarioError
    from model.validation import load

    try:
        loaded = load(path, overrides)
    except ScenarioError as error:
        if is_log(path):
            raise BadInput(f"{path}: that is a log; replay it with python -m render {path}") from None
        raise BadInput("\n".join(map(str, error.faults))) from None
    for warning in loaded.warnings:
        say(str(warning))
    return loaded


@contextmanager
def opened(path: Path) -> Iterator["Log"]:
    """Open a log, or that of a scenario, which is run first; raises BadInput where it is neither."""
    from model.log import Log

    if not is_scenario(path):
        yield Log.open(path)
        return
    from model.plan import PlanError
    from sim.environment import Endless
    from sim.execution import execute, prepare

    loaded = load(path, [])
    try:
        ready = prepare(loaded.scenario, loaded.tables, loaded.inputs)
        with TemporaryDirectory() as folder:
            written = Path(folder) / "run.arrows"
            with written.open("wb") as file:
                execute(ready, file)
            yield Log.open(written)
    except (PlanError, Endless) as error:
        raise BadInput(f"{path}: {error}") from None


def read_files(path: Path, header: "Header", log: str = "the log") -> dict[Path, str]:
    """Return the files behind what `opened` has opened, each with what it is called."""
    if not is_scenario(path):
        return {path: log}
    return {**{path.parent / name: "a data file" for name in header.inputs}, path: "the scenario"}


def another(path: Path, name: str, other: Path, what: str) -> None:
    """Refuse a file that is the `other` one itself."""
    with suppress(OSError, ValueError):  # what cannot be found is told of where it is read
        if path.samefile(other):
            raise BadInput(f"{name}: {path} is {what} itself; allowed: another log")


@contextmanager
def run_again(log: Path) -> Iterator[None]:
    """Tell in one line that the scenario inside a log cannot be run by this version."""
    from model.faults import ScenarioError
    from model.plan import PlanError

    try:
        yield
    except (ScenarioError, PlanError) as error:
        first, *more = str(error).splitlines()
        others = f" ({len(more)} more)" if more else ""
        raise BadInput(f"{log}: the scenario inside it is not valid for this version: {first}{others}") from None
