"""The command line of `python -m sim`.

Rules:

1. Results go to standard output, everything else to standard error. With `--json` standard output is one JSON object.
2. Bad input is one clear line a fault; exit codes and standard streams are as `model.program` says.
3. No file is written over that the command reads. What an export leaves unfinished is removed.
4. `python -m sim FILE` is short for `python -m sim run FILE`.

Only this module and `sim.display` put `sim` and `render` together. Heavy modules are imported by the command that uses
them, so that `--help` is quick.
"""

import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from typer import Argument, Option

from model import program
from model.faults import BadInput, did_you_mean
from model.program import DEADLOCK, DONE, INTERRUPTED, NO, say

if TYPE_CHECKING:
    from rich.console import Console

    from model.log import Log
    from model.validation import Loaded
    from sim.engine import Limits

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Simulate a fleet of agents that share limits. `python -m sim FILE` is short for `python -m sim run FILE`.",
)

# What cannot be read is told where it is read.
Scenario = Annotated[Path, Argument(help="The scenario, a YAML file.", show_default=False, readable=False)]
LogFile = Annotated[Path, Argument(help="A log that a run has written.", show_default=False, readable=False)]
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
    max_events: Annotated[
        int | None, Option(metavar="N", help="Stop when there would be more events than this.", show_default=False)
    ] = None,
    max_time: Annotated[
        str | None, Option(help="Stop when virtual time would go past this: 30s, 5m.", show_default=False)
    ] = None,
    log: Annotated[Path | None, Option(help="Where to write the log; NAME.arrows by default.", readable=False)] = None,
    no_animation: Annotated[bool, Option("--no-animation", help="Do not replay the run on the terminal.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object in place of the summary.")] = False,
) -> int:
    """Run a scenario: print a summary, write the log, replay it on a terminal."""
    from model.log import Log
    from model.plan import PlanError
    from sim import display
    from sim.environment import Endless
    from sim.findings import Findings
    from sim.run import execute, prepare

    limits = _limits(max_events, max_time)
    loaded = _load(scenario, _overrides(seed, until, set_))
    try:
        ready = prepare(loaded.scenario, loaded.tables, loaded.inputs)
    except PlanError as error:
        raise BadInput(f"{scenario}: {error}") from None
    path = log or Path(f"{loaded.scenario.name}.arrows")
    _keep(
        path, "--log", {scenario: "the scenario", **{scenario.parent / name: "a data file" for name in loaded.inputs}}
    )
    findings = Findings(ready.header)
    with _output(path) as file, display.progress(loaded.scenario.name, ready.plan.until_ns) as observer:
        readable = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        try:
            # What cannot be read again, such as a pipe, is summed up on the way.
            outcome = execute(ready, file, observer, _on_ctrl_c, None if readable else findings.feed, limits)
        except Endless as error:
            raise BadInput(f"{scenario}: {error}") from None
    written = Log.open(path) if readable else None
    if written is not None:
        for batch in written.batches():
            findings.feed(batch)
    found = findings.result(written)
    result = {
        "scenario": loaded.scenario.name,
        "seed": loaded.scenario.seed,
        "digest": outcome.digest,
        **found,
        "wall_s": outcome.wall_s,
        "events_per_s": outcome.events / outcome.wall_s,
        "log": str(path),
        "interrupted": outcome.interrupted,
        "stopped": _stopped(outcome.stopped_by, limits),
    }
    if as_json:
        print(json.dumps(result))
    else:
        console = display.console()
        display.summary(console, result, ready.header)
        if written is not None and console.is_terminal and not no_animation and not outcome.interrupted:
            _replay(written, console)
    if outcome.interrupted:
        return INTERRUPTED
    if found["deadlocks"] and not loaded.scenario.expect_deadlock:
        return DEADLOCK
    return DONE if outcome.stopped_by is None else NO


@app.command()
def check(scenario: Scenario, set_: Overrides = None) -> int:
    """Validate a scenario and say what it holds, without running it."""
    loaded = _load(scenario, set_ or [])
    fleets, limits = len(loaded.scenario.fleets), len(loaded.scenario.constraints)
    held = [_plural(fleets, "fleet"), _plural(limits, "constraint")]
    if loaded.scenario.incidents:
        held.append(_plural(len(loaded.scenario.incidents), "incident"))
    print(f"{scenario}: valid, {', '.join(held[:-1])} and {held[-1]}")
    return DONE


@app.command()
def storm(
    scenario: Scenario,
    incident: Annotated[
        str | None, Option(help="The incident; where there is one only, that one.", show_default=False)
    ] = None,
    set_: Overrides = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object in place of the tables.")] = False,
) -> int:
    """Say what an incident leaves behind, what tips the fleet over, and which retries would have helped."""
    from model.plan import PlanError
    from sim import display
    from sim import storm as storming

    loaded = _load(scenario, set_ or [])
    known = [row.id for row in loaded.scenario.incidents]
    if not known:
        raise BadInput(f"{scenario}: nothing goes wrong in it; allowed: a scenario with incidents")
    if incident is None and len(known) > 1:
        raise BadInput(f"--incident: missing, and there are several; allowed: {', '.join(known)}")
    name = known[0] if incident is None else incident
    if name not in known:
        raise BadInput(
            f"--incident: no incident is called {name!r}{did_you_mean(name, known)}; allowed: {', '.join(known)}"
        )
    try:
        with display.counting_runs() as tell:
            result = storming.in_processes(loaded, name, tell)
    except PlanError as error:
        raise BadInput(f"{scenario}: {error}") from None
    if as_json:
        print(json.dumps(result))
    else:
        display.storm(display.console(), result)
    return DONE


@app.command()
def verify(log: LogFile) -> int:
    """Run the scenario inside a log again: 0 when every event agrees, else 1 and the first that differs."""
    from model.faults import ScenarioError
    from model.log import Log
    from model.plan import PlanError
    from model.units import format_duration
    from sim import verify as verification

    opened = Log.open(log)
    try:
        verdict = verification.verify(opened)
    except (ScenarioError, PlanError) as error:
        first, *more = str(error).splitlines()
        others = f" ({len(more)} more)" if more else ""
        raise BadInput(f"{log}: the scenario inside it is not valid for this version: {first}{others}") from None
    if verdict.difference is not None:
        print(f"{log}: {verdict.difference}")
        return NO
    events = f"{verdict.events:,} events, digest {verdict.digest}"
    if verdict.cut_ns is None:
        print(f"{log}: verified, {events}")
    else:
        print(f"{log}: verified as far as it goes, {events}; it is cut at {format_duration(verdict.cut_ns)}")
    return DONE


@app.command()
def export(
    log: LogFile,
    to: Annotated[str, Option(metavar="FORMAT", help="jsonl, parquet, csv or telemetry.", show_default=False)],
    out: Annotated[Path, Option(help="The file to write; - is standard output.", show_default=False, readable=False)],
) -> int:
    """Write the events of a log as rows for other tools."""
    from model.log import Log
    from sim.export import FORMATS

    if to not in FORMATS:
        raise BadInput(f"--to: unknown format {to!r}; allowed: {', '.join(FORMATS)}")
    opened = Log.open(log)
    if str(out) == "-":
        FORMATS[to](opened, sys.stdout.buffer)
    else:
        _keep(out, "--out", {log: "the log"})
        with _output(out, whole=True) as file:
            FORMATS[to](opened, file)
    if opened.cut:
        say(f"{log}: the log is cut: the run was interrupted, stopped or killed; what there is of it was written")
    return DONE


@app.command()
def schema() -> int:
    """Print the JSON Schema of a scenario."""
    from model.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return DONE


@app.command()
def presets(
    name: Annotated[
        str | None, Argument(help="A preset, such as anthropic/build/sonnet-5.", show_default=False)
    ] = None,
) -> int:
    """List the limits of providers that a scenario can name; of one of them, print the constraints it stands for."""
    from model.providers import presets as known
    from sim import display

    if name is None:
        for line in display.presets(known().values()):
            print(line)
    elif name not in known():
        alike = [each for each in known() if each.startswith(name)]
        allowed = ", ".join(alike) or "one that python -m sim presets lists"
        raise BadInput(f"no preset is called {name!r}{did_you_mean(name, list(known()))}; allowed: {allowed}")
    else:
        print(display.preset(known()[name]))
    return DONE


_COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined] # it is a group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return program.run(app, sys.argv[1:] if arguments is None else arguments, "python -m sim", _full)


def _full(given: Sequence[str]) -> list[str]:
    """Put `run` before a scenario; raises BadInput for a word that is neither a command nor a file."""
    if not given or given[0] in _COMMANDS or given[0].startswith("--help"):
        return list(given)
    if _is_misspelt(given[0]):
        allowed = f"{', '.join(_COMMANDS)}, or a scenario file"
        raise BadInput(f"unknown command {given[0]!r}{did_you_mean(given[0], _COMMANDS)}; allowed: {allowed}")
    return ["run", *given]


def _is_misspelt(word: str) -> bool:
    """Say whether a word can only be meant as a command: it is no option, and neither is nor looks like a file."""
    return not word.startswith("-") and not Path(word).suffix and os.sep not in word and not os.path.exists(word)


def _overrides(seed: int | None, until: str | None, assignments: Sequence[str] | None) -> list[str]:
    given = list(assignments or [])
    if seed is not None:
        given.append(f"seed={seed}")
    if until is not None:
        given.append(f"until={until}")
    return given


def _limits(max_events: int | None, max_time: str | None) -> "Limits":
    from model.units import UnitError, parse_duration
    from sim.engine import Limits

    if max_events is not None and max_events < 1:
        raise BadInput(f"--max-events: {max_events} is too few; allowed: 1 or more")
    try:
        time_ns = None if max_time is None else parse_duration(max_time)
    except UnitError as error:
        raise BadInput(f"--max-time: {error}") from None
    if time_ns == 0:
        raise BadInput(f"--max-time: {max_time} is no time; allowed: a duration above 0, such as 30s")
    return Limits(max_events, time_ns)


def _stopped(by: str | None, limits: "Limits") -> str | None:
    """Say at which of its limits a run was stopped, if it was."""
    from sim.display import short

    if by == "events" and limits.events is not None:
        return f"{limits.events:,} event{'s' * (limits.events > 1)}, as --max-events allows"
    if by == "time" and limits.time_ns is not None:
        return f"{short(limits.time_ns)} of virtual time, as --max-time allows"
    return None


def _load(path: Path, overrides: Sequence[str]) -> "Loaded":
    from model.faults import ScenarioError
    from model.validation import load

    try:
        loaded = load(path, overrides)
    except ScenarioError as error:
        if _is_log(path):
            raise BadInput(f"{path}: that is a log; replay it with python -m render {path}") from None
        raise BadInput("\n".join(map(str, error.faults))) from None
    for warning in loaded.warnings:
        say(str(warning))
    return loaded


def _is_log(path: Path) -> bool:
    from model.log import is_stream

    try:
        return path.is_file() and is_stream(path)
    except (OSError, ValueError):
        return False


def _keep(path: Path, option: str, inputs: dict[Path, str]) -> None:
    """Refuse to write to what is no file, or to a file that is read."""
    if str(path) == "-":
        raise BadInput(f"{option}: - is not a file; allowed: a file, or /dev/null for none")
    for each, what in inputs.items():
        with suppress(OSError):  # what is not there yet is another file
            if path.samefile(each):
                raise BadInput(f"{option}: {path} is {what} itself; allowed: another file")


@contextmanager
def _output(path: Path, whole: bool = False) -> Iterator[BinaryIO]:
    """Open a file to write; that it cannot be opened, written or closed is bad input.

    Where only the `whole` of it is of use, a new file that is not finished is removed.
    """
    new = not os.path.lexists(path)
    try:
        with path.open("wb") as file:
            yield file
    except BaseException as error:
        if whole and new:
            with suppress(OSError):
                path.unlink()
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or error
        raise BadInput(f"{path}: cannot be written: {reason}; allowed: a file in a folder with room for it") from None


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
