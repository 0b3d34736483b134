"""`python -m render LOG`: replay a log on the terminal, or make pictures or a web page of it.

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

from model import options, program
from model.faults import BadInput, cut, shown
from model.files import keep, output
from model.log import Log
from model.units import NS_PER_SECOND, format_duration
from render.player import FPS
from render.replay import cut_message, reel_of, show, still
from render.status import Reel

_SPEEDS = (1e-9, 1e12)
_RATES = (0.1, 60.0)
_SHOWN_MAX = 60
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
        list[str] | None,
        Option(help="Show one moment, such as 12s or 0:05:30, and end. May be repeated.", show_default=False),
    ] = None,
    png: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="A picture of the end, or of the moments --at, as PNG.",
            show_default=False,
            readable=False,
        ),
    ] = None,
    svg: Annotated[
        Path | None, Option(metavar="FILE", help="The same as SVG.", show_default=False, readable=False)
    ] = None,
    gif: Annotated[
        Path | None, Option(metavar="FILE", help="The replay as GIF.", show_default=False, readable=False)
    ] = None,
    cast: Annotated[
        Path | None,
        Option(
            metavar="FILE", help="The replay as asciicast, for terminal players.", show_default=False, readable=False
        ),
    ] = None,
    plot: Annotated[
        str | None,
        Option(metavar="WHAT", help="Plot waits, usage, queue or timeline to the file --out.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        Option(metavar="FILE", help="The file of --plot: .png, .svg or .pdf.", show_default=False, readable=False),
    ] = None,
    size: Annotated[str, Option(metavar="COLUMNSxROWS", help="The size of pictures, in characters.")] = "100x30",
    color: Annotated[
        str, Option(metavar="WHAT", help="What the colours of pictures say: state, constraint, tenant or waited.")
    ] = "state",
    html: Annotated[
        Path | None,
        Option(metavar="FILE", help="A web page of the run, or of two.", show_default=False, readable=False),
    ] = None,
) -> None:
    """Replay a log on the terminal. In a pipe, or without colours, show its last moment."""
    if other is not None and html is None:
        raise BadInput(f"{other}: a second log; allowed: one log, or two with --html FILE")
    speed_given = None if speed is None else options.number("--speed", speed, *_SPEEDS)
    fps_given = options.number("--fps", fps, *_RATES)
    if (plot is None) != (out is None):
        raise BadInput("--plot and --out: one without the other; allowed: --plot WHAT --out FILE")
    given = {"--png": png, "--svg": svg, "--gif": gif, "--cast": cast, "--plot": out}
    files = {option: path for option, path in given.items() if path is not None}
    if html is not None:
        _write_page(html, log, other)
    opened = Log.open(log)
    if files:
        _draw(log, opened, at, files, plot, size, color)
    if files or html is not None:
        return
    reel = reel_of(opened)
    console = Console(highlight=False)
    for each in at or []:
        still(opened, reel, console, _moment(each, reel.end_ns))
    if not at:
        show(opened, reel, console, speed_given, fps_given)
    if reel.cut:
        program.say(f"{log}: {cut_message(reel)}")


def _draw(
    log: Path, opened: Log, at: Sequence[str] | None, files: dict[str, Path], plot: str | None, size: str, color: str
) -> None:
    from render import pictures
    from render.film import Film

    wanted = pictures.Wanted(files, plot, pictures.size_of(size), pictures.mode_of(color))
    pictures.check(wanted, log)
    film = Film(opened)
    moments = [_moment(each, film.end_ns) for each in at or []] or [film.end_ns]
    pictures.make(wanted, opened, film, moments)
    if film.cut:
        program.say(f"{log}: {cut_message(pictures.reel_of(film))}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return program.run(app, sys.argv[1:] if arguments is None else arguments, "python -m render")


def _write_page(path: Path, log: Path, other: Path | None) -> None:
    from render.page.page import page

    logs = {log: "the log"} if other is None else {log: "the first log", other: "the second log"}
    keep(path, "--html", logs)
    made = page(*map(Log.open, logs))
    with output(path, whole=True) as file:
        file.write(made.content)
    for each, end_ns in zip(logs, made.cut_ns, strict=True):
        if end_ns is not None:
            program.say(f"{each}: {cut_message(Reel(end_ns))}")


def _moment(text: str, end_ns: int) -> int:
    at_ns = _by_the_clock(text) if ":" in text else options.duration("--at", text)
    if at_ns > end_ns:
        raise BadInput(f"--at: {cut(text, _SHOWN_MAX)} is after the end; allowed: from 0s to {format_duration(end_ns)}")
    return at_ns


def _by_the_clock(text: str) -> int:
    """Return the ns of a time as the replay shows it; raises BadInput where it is none."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise BadInput(f"--at: {shown(text)} is not a time; allowed: a time such as 12s, 1.5m or 0:05:30")
    hours, minutes, seconds = map(int, match.groups())
    return (hours * 3600 + minutes * 60 + seconds) * NS_PER_SECOND


if __name__ == "__main__":
    program.end_cleanly_when_terminated()
    sys.exit(main())
