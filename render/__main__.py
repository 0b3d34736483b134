"""`python -m render LOG`: play a log on the terminal; `python -m render LOG_A LOG_B`: play two beside each other.

The picture goes to standard output, everything else to standard error; exit codes are as `model.program` says.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer import Argument, Option

from model import program
from model.faults import BadInput
from model.log import Log
from model.units import UnitError, format_duration
from render.moment import time_from
from render.playback import FPS, SPEED_MAX, SPEED_MIN
from render.replay import can_play, cut_message, film_of, play, reel_of, still, still_of_two
from render.status import Reel

_RATES = (0.1, 60.0)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def command(
    log: Annotated[Path, Argument(help="A log that a run has written.", show_default=False, readable=False)],
    other: Annotated[
        Path | None,
        Argument(metavar="[LOG_B]", help="Another log, to be shown beside it.", show_default=False, readable=False),
    ] = None,
    speed: Annotated[
        str | None,
        Option(help="Virtual seconds to a second; without it the log takes about 15 s.", show_default=False),
    ] = None,
    fps: Annotated[str, Option(help="Frames a second.")] = f"{FPS:g}",
    at: Annotated[
        str | None, Option(help="Show one moment, such as 12s or 0:05:30, and end.", show_default=False)
    ] = None,
) -> None:
    """Play a log on the terminal, or two beside each other. In a pipe, or without colours, show the last moment."""
    speed_given = None if speed is None else _number(speed, "--speed", SPEED_MIN, SPEED_MAX)
    fps_given = _number(fps, "--fps", *_RATES)
    console = Console(highlight=False)
    if other is None:
        _one(log, console, speed_given, fps_given, at)
    else:
        _two((log, other), console, speed_given, fps_given, at)


def _one(path: Path, console: Console, speed: float | None, fps: float, at: str | None) -> None:
    log = Log.open(path)
    if at is None and can_play(console):
        film = film_of(log, console)
        scene = play([(log.header.name, film)], console, speed, fps)
        end_ns, at_ns = film.end_ns, scene.playback.time_ns
        reel = Reel(end_ns, cut=film.cut, agents=film.agents)
    else:
        reel = reel_of(log)
        end_ns = reel.end_ns
        at_ns = end_ns if at is None else _moment(at, end_ns)
    still(log, reel, console, at_ns)
    if reel.cut:
        program.say(cut_message(path, end_ns))


def _two(paths: tuple[Path, Path], console: Console, speed: float | None, fps: float, at: str | None) -> None:
    logs = [Log.open(path) for path in paths]
    films = [(path.stem, film_of(log, console)) for path, log in zip(paths, logs, strict=True)]
    end_ns = max(film.end_ns for _, film in films)
    if at is None and can_play(console):
        at_ns = play(films, console, speed, fps).playback.time_ns
    else:
        at_ns = end_ns if at is None else _moment(at, end_ns)
    still_of_two(films, console, at_ns)
    for path, (_, film) in zip(paths, films, strict=True):
        if film.cut:
            program.say(cut_message(path, film.end_ns))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return program.run(app, sys.argv[1:] if arguments is None else arguments, "python -m render")


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
        at_ns = time_from(text)
    except UnitError as error:
        raise BadInput(f"--at: {error}") from None
    if at_ns > end_ns:
        raise BadInput(f"--at: {text} is after the end; allowed: from 0s to {format_duration(end_ns)}")
    return at_ns


if __name__ == "__main__":
    program.end_cleanly_when_terminated()
    sys.exit(main())
