"""`python -m render LOG`: replay a log on the terminal.

The picture goes to standard output, everything else to standard error; exit codes are as `model.program` says.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer import Argument, Option

from model import program
from model.faults import BadInput
from model.files import keep, output
from model.log import Log
from model.units import NS_PER_SECOND, UnitError, format_duration, parse_duration
from render.page.page import page
from render.player import FPS
from render.replay import cut_message, reel_of, show, still
from render.status import Reel

_SPEEDS = (1e-9, 1e12)
_RATES = (0.1, 60.0)
_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d)")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def command(
    log: Annotated[Path, Argument(help="A log that a run has written.", show_default=False, readable=False)],
    other: Annotated[
        Path | None,
        Argument(help="Another log, to be shown beside it (with --html).", show_default=False, readable=False),
    ] = None,
    speed: Annotated[
        str | None,
        Option(help="Virtual seconds to a second; without it the replay takes about 15 s.", show_default=False),
    ] = None,
    fps: Annotated[str, Option(help="Frames a second.")] = f"{FPS:g}",
    at: Annotated[
        str | None, Option(help="Show one moment, such as 12s or 0:05:30, and end.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None,
        Option(
            help="Write a web page in place of the replay, one file for a browser.", show_default=False, readable=False
        ),
    ] = None,
) -> None:
    """Replay a log on the terminal. In a pipe, or without colours, show its last moment."""
    if html is not None:
        _write_page(html, log, other)
        return
    if other is not None:
        raise BadInput(f"{other}: a second log; allowed: one log, or two with --html")
    speed_given = None if speed is None else _number(speed, "--speed", *_SPEEDS)
    fps_given = _number(fps, "--fps", *_RATES)
    opened = Log.open(log)
    reel = reel_of(opened)
    console = Console(highlight=False)
    at_ns = None if at is None else _moment(at, reel.end_ns)
    if at_ns is None:
        show(opened, reel, console, speed_given, fps_given)
    else:
        still(opened, reel, console, at_ns)
    if reel.cut:
        program.say(f"{log}: {cut_message(reel)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return program.run(app, sys.argv[1:] if arguments is None else arguments, "python -m render")


def _write_page(path: Path, log: Path, other: Path | None) -> None:
    logs = {log: "the log"} if other is None else {log: "LOG", other: "OTHER"}
    keep(path, "--html", logs)
    made = page(*map(Log.open, [log] if other is None else [log, other]))
    with output(path, whole=True) as file:
        file.write(made.content)
    program.say(f"{path}: {len(made.content) / 1e6:,.2f} MB, for a browser to open")
    for each, end_ns in zip([log, other], made.cut_ns, strict=False):
        if end_ns is not None:
            program.say(f"{each}: {cut_message(Reel(end_ns))}")


def _number(text: str, option: str, least: float, most: float) -> float:
    allowed = f"a number from {least:g} to {most:g}"
    try:
        number = float(text)
    except ValueError:
        raise BadInput(f"{option}: {text!r} is not a number; allowed: {allowed}") from None
    if not least <= number <= most:
        raise BadInput(f"{option}: {text} is out of range; allowed: {allowed}")
    return number


def _moment(text: str, end_ns: int) -> int:
    try:
        at_ns = _by_the_clock(text) if ":" in text else parse_duration(text)
    except UnitError as error:
        raise BadInput(f"--at: {error}") from None
    if at_ns > end_ns:
        raise BadInput(f"--at: {text} is after the end; allowed: from 0s to {format_duration(end_ns)}")
    return at_ns


def _by_the_clock(text: str) -> int:
    """Return the ns of a time as the replay shows it; raises UnitError where it is none."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise UnitError(f"{text!r} is not a time; allowed: a time such as 12s, 1.5m or 0:05:30")
    hours, minutes, seconds = map(int, match.groups())
    return (hours * 3600 + minutes * 60 + seconds) * NS_PER_SECOND


if __name__ == "__main__":
    program.end_cleanly_when_terminated()
    sys.exit(main())
