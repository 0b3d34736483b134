"""`python -m sim run`: run a scenario, say what came of it, and show it."""

import json
import os
import signal
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from model import options
from model.faults import BadInput, named
from model.files import keep, output
from model.program import DEADLOCK, DONE, INTERRUPTED, NO, printing
from model.units import counted
from sim.commands.answers import Require
from sim.commands.files import AsJson, Overrides, Scenario, load

if TYPE_CHECKING:
    from rich.console import Console

    from model.log import Log
    from sim.engine import Limits
    from sim.gates import Gate, Outcome

_SEED_MAX = 2**64 - 1


def run(
    scenario: Scenario,
    seed: Annotated[
        str | None, Option(metavar="N", help="The seed, in place of the scenario's.", show_default=False)
    ] = None,
    until: Annotated[str | None, Option(help="Virtual time at which to end: 30s, 5m.", show_default=False)] = None,
    set_: Overrides = None,
    max_events: Annotated[
        str | None, Option(metavar="N", help="Stop when there would be more events than this.", show_default=False)
    ] = None,
    max_time: Annotated[
        str | None, Option(help="Stop when virtual time would go past this: 30s, 5m.", show_default=False)
    ] = None,
    log: Annotated[Path | None, Option(help="Where to write the log; NAME.arrows by default.", readable=False)] = None,
    require: Require = None,
    no_animation: Annotated[bool, Option("--no-animation", help="Do not replay the run on the terminal.")] = False,
    as_json: AsJson = False,
) -> int:
    """Run a scenario: print a summary, write the log, replay it on a terminal."""
    from model.log import Log
    from model.plan import PlanError
    from sim import display
    from sim.analysis.findings import Findings
    from sim.environment import Endless
    from sim.execution import execute, prepare
    from sim.gates import gates

    limits, checks = _limits(max_events, max_time), gates(require or [])
    loaded = load(scenario, _overrides(seed, until, set_))
    try:
        ready = prepare(loaded.scenario, loaded.tables, loaded.inputs)
    except PlanError as error:
        raise BadInput(f"{scenario}: {error}") from None
    path = log or Path(f"{loaded.scenario.name}.arrows")
    keep(path, "--log", {scenario: "the scenario", **{scenario.parent / name: "a data file" for name in loaded.inputs}})
    findings = Findings(ready.header)
    with output(path) as file, display.progress(loaded.scenario.name, ready.plan.until_ns) as observer:
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
    if outcome.stopped_by == "time" and limits.time_ns is not None:
        findings.reach(limits.time_ns)
    found = findings.result(written)
    result = {
        "scenario": loaded.scenario.name,
        "seed": loaded.scenario.seed,
        "digest": outcome.digest,
        **found,
        "wall_s": outcome.wall_s,
        "events_per_s": outcome.events / outcome.wall_s,
        "log": named(path),
        "interrupted": outcome.interrupted,
        "stopped": _stopped(outcome.stopped_by, limits),
    }
    judged = []
    if checks:
        if written is None:
            raise BadInput("--require: the log cannot be read again; allowed: with --log, a file")
        judged = _judged(checks, written)
        result["require"] = [each.as_json() for each in judged]
    console = display.console()
    with printing():
        if as_json:
            print(json.dumps(result))
        else:
            display.summary(console, result, ready.header)
            for each in judged:
                console.print(f"  {each}", style=None if each.holds else "bold red", markup=False, soft_wrap=True)
    is_watched = console.is_terminal and not as_json and not no_animation
    if written is not None and is_watched and not outcome.interrupted:
        _replay(written, console)
    if outcome.interrupted:
        return INTERRUPTED
    if found["deadlocks"] and not loaded.scenario.expect_deadlock:
        return DEADLOCK
    return DONE if outcome.stopped_by is None and all(each.holds for each in judged) else NO


def _judged(checks: "Sequence[Gate]", written: "Log") -> "list[Outcome]":
    from sim.analysis.report import report

    result, _ = report(written)
    return [gate.judge(result) for gate in checks]


def _overrides(seed: str | None, until: str | None, assignments: Sequence[str] | None) -> list[str]:
    given = list(assignments or [])
    if seed is not None:
        given.append(f"seed={options.whole('--seed', seed, 0, _SEED_MAX)}")
    if until is not None:
        options.duration("--until", until)
        given.append(f"until={until}")
    return given


def _limits(max_events: str | None, max_time: str | None) -> "Limits":
    from sim.engine import Limits

    events = None if max_events is None else options.whole("--max-events", max_events, 1)
    time_ns = None if max_time is None else options.duration("--max-time", max_time)
    if time_ns == 0:
        raise BadInput(f"--max-time: {max_time} is no time; allowed: a duration above 0, such as 30s")
    return Limits(events, time_ns)


def _stopped(by: str | None, limits: "Limits") -> str | None:
    """Say at which of its limits a run was stopped, if it was."""
    from sim.pages import short

    if by == "events" and limits.events is not None:
        return f"{counted(limits.events, 'event')}, as --max-events allows"
    if by == "time" and limits.time_ns is not None:
        return f"{short(limits.time_ns)} of virtual time, as --max-time allows"
    return None


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
