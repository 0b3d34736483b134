"""The command line of `python -m sim`.

Rules:

1. Exit codes: 0 done, 1 the answer is no, 2 bad input, 130 interrupted.
2. Results go to standard output, everything else to standard error. With `--json` standard output is one JSON object.
3. Bad input is one clear line a fault; no traceback reaches a user.
4. `python -m sim FILE` is short for `python -m sim run FILE`.

Only this module and `sim.display` put `sim` and `render` together. Heavy modules are imported by the command that uses
them, so that `--help` is quick.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from typer import Argument, Option

if TYPE_CHECKING:
    from rich.console import Console

    from model.log import Log
    from model.validation import Loaded

DONE, NO, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

_UsageError: Any = typer.BadParameter.__base__
"""What the parser of the command line raises: an unknown option, a missing argument, a value of another type."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Simulate a fleet of agents that share limits. `python -m sim FILE` is short for `python -m sim run FILE`.",
)

Scenario = Annotated[Path, Argument(help="The scenario, a YAML file.", show_default=False)]
LogFile = Annotated[Path, Argument(help="A log that a run has written.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    Option("--set", metavar="PATH=VALUE", help="Change a value: constraints.funnel.limit=50. May be repeated."),
]


@app.command()
def run(
    scenario: Scenario,
    seed: Annotated[int | None, Option(help="The seed, in place of the scenario's.", show_default=False)] = None,
    until: Annotated[str | None, Option(help="Virtual time at which to end: 30s, 5m.", show_default=False)] = None,
    set_: Overrides = None,
    log: Annotated[Path | None, Option(help="Where to write the log; NAME.arrows by default.")] = None,
    no_animation: Annotated[bool, Option("--no-animation", help="Do not replay the run on the terminal.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object in place of the summary.")] = False,
) -> int:
    """Run a scenario: print a summary, write the log, replay it on a terminal."""
    from model.log import Log
    from model.planner import PlanError
    from sim import display
    from sim.engine import Endless
    from sim.run import execute, prepare
    from sim.summary import Summary

    loaded = _load(scenario, _overrides(seed, until, set_))
    try:
        ready = prepare(loaded.scenario, loaded.tables, loaded.inputs)
    except PlanError as error:
        raise _BadInput(f"{scenario}: {error}") from None
    path = log or Path(f"{loaded.scenario.name}.arrows")
    with _output(path) as file, display.progress(loaded.scenario.name, ready.plan.until_ns) as observer:
        try:
            outcome = execute(ready, file, observer, _on_ctrl_c)
        except Endless as error:
            raise _BadInput(f"{scenario}: {error}") from None
    written = Log.open(path)
    summary = Summary(written.header)
    for batch in written.batches():
        summary.feed(batch)
    result = {
        "scenario": loaded.scenario.name,
        "seed": loaded.scenario.seed,
        "digest": outcome.digest,
        **summary.result(),
        "wall_s": outcome.wall_s,
        "events_per_s": outcome.events / outcome.wall_s,
        "log": str(path),
        "interrupted": outcome.interrupted,
    }
    if as_json:
        print(json.dumps(result))
    else:
        console = display.console()
        display.summary(console, result, written.header)
        if console.is_terminal and not no_animation and not outcome.interrupted:
            _replay(written, console)
    return INTERRUPTED if outcome.interrupted else DONE


@app.command()
def check(scenario: Scenario, set_: Overrides = None) -> int:
    """Validate a scenario and say what it holds, without running it."""
    loaded = _load(scenario, set_ or [])
    fleets, limits = len(loaded.scenario.fleets), len(loaded.scenario.constraints)
    print(f"{scenario}: valid, {_plural(fleets, 'fleet')} and {_plural(limits, 'constraint')}")
    return DONE


@app.command()
def verify(log: LogFile) -> int:
    """Run the scenario inside a log again: 0 when every event agrees, else 1 and the first that differs."""
    from model.faults import ScenarioError
    from model.planner import PlanError
    from sim import verify as verification

    opened = _open(log)
    try:
        verdict = verification.verify(opened)
    except (ScenarioError, PlanError) as error:
        raise _BadInput(f"{log}: the scenario inside it is not valid for this version: {error}") from None
    if verdict.difference is None:
        print(f"{log}: verified, {verdict.events:,} events, digest {verdict.digest_log}")
        return DONE
    print(f"{log}: {verdict.difference}")
    return NO


@app.command()
def export(
    log: LogFile,
    to: Annotated[str, Option(metavar="FORMAT", help="jsonl, parquet, csv or telemetry.", show_default=False)],
    out: Annotated[Path, Option(help="The file to write; - is standard output.", show_default=False)],
) -> int:
    """Write the events of a log as rows for other tools."""
    from sim.export import FORMATS

    if to not in FORMATS:
        raise _BadInput(f"--to: unknown format {to!r}; allowed: {', '.join(FORMATS)}")
    opened = _open(log)
    if str(out) == "-":
        FORMATS[to](opened, sys.stdout.buffer)
        sys.stdout.flush()
    else:
        with _output(out) as file:
            FORMATS[to](opened, file)
    if opened.cut:
        _say(f"{log}: the log is cut; what there is of it was written")
    return DONE


@app.command()
def schema() -> int:
    """Print the JSON Schema of a scenario."""
    from model.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return DONE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(app)
    known = getattr(command, "commands", {})
    if given and given[0] not in known and not given[0].startswith("--help"):
        given = ["run", *given]
    try:
        return int(command.main(given, prog_name="python -m sim", standalone_mode=False) or DONE)
    except _BadInput as error:
        _say(str(error))
        return BAD_INPUT
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        # Whoever read our output has seen enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except _UsageError as error:
        error.show()
        return BAD_INPUT


class _BadInput(Exception):
    """Ends the command with exit code 2; the text goes to standard error."""


def _overrides(seed: int | None, until: str | None, assignments: Sequence[str] | None) -> list[str]:
    given = list(assignments or [])
    if seed is not None:
        given.append(f"seed={seed}")
    if until is not None:
        given.append(f"until={until}")
    return given


def _load(path: Path, overrides: Sequence[str]) -> "Loaded":
    from model.faults import ScenarioError
    from model.validation import load

    try:
        loaded = load(path, overrides)
    except ScenarioError as error:
        raise _BadInput("\n".join(map(str, error.faults))) from None
    for warning in loaded.warnings:
        _say(str(warning))
    return loaded


def _open(path: Path) -> "Log":
    from model.log import Log, LogError

    try:
        return Log.open(path)
    except LogError as error:
        raise _BadInput(str(error)) from None


@contextmanager
def _output(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write; that it cannot be opened, written or closed is bad input."""
    try:
        with path.open("wb") as file:
            yield file
    except OSError as error:
        reason = error.strerror or error
        raise _BadInput(f"{path}: cannot be written: {reason}; allowed: a file in a folder with room for it") from None


@contextmanager
def _on_ctrl_c(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C end the run between two events; a second one ends the program."""

    def handle(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, before)
        interrupt()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _replay(log: "Log", console: "Console") -> None:
    from render.replay import replay

    replay(log, console)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
