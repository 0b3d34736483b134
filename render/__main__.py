"""`python -m render LOG`: play a log on the terminal, or make pictures or a web page of it; or two logs beside each other.

The picture goes to standard output, everything else to standard error; exit codes are as `model.program` says.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer import Argument, Option

from model import options, program
from model.faults import BadInput, cut, named
from model.files import keep, output
from model.log import Log
from model.units import UnitError, format_duration
from render import together
from render.film import Film
from render.moment import time_from
from render.playback import FPS, SPEED_MAX, SPEED_MIN
from render.replay import can_play, cut_message, film_of, play, reel_of, still, still_of_two
from render.status import Reel, clock

_RATES = (0.1, 60.0)
_SHOWN_MAX = 60
_SIZE, _PAIR_SIZE, _COLOR = "100x30", "160x30", "state"

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
    fps: Annotated[str | None, Option(help="Frames a second.", show_default=f"{FPS:g}")] = None,
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
    size: Annotated[
        str | None,
        Option(
            metavar="COLUMNSxROWS",
            help="The size of pictures, in characters.",
            show_default=f"{_SIZE}; of two logs {_PAIR_SIZE}",
        ),
    ] = None,
    color: Annotated[
        str | None,
        Option(
            metavar="WHAT",
            help="What the colours of pictures say: state, constraint, tenant or waited.",
            show_default=_COLOR,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        Option(metavar="FILE", help="A web page of the run, or of two.", show_default=False, readable=False),
    ] = None,
) -> None:
    """Play a log on the terminal, or two beside each other. In a pipe, or without colours, show the last moment."""
    speed_given = None if speed is None else options.number("--speed", speed, SPEED_MIN, SPEED_MAX)
    fps_given = FPS if fps is None else options.number("--fps", fps, *_RATES)
    if (plot is None) != (out is None):
        raise BadInput("--plot and --out: one without the other; allowed: --plot WHAT --out FILE")
    given = {"--png": png, "--svg": svg, "--gif": gif, "--cast": cast, "--plot": out}
    files = {option: path for option, path in given.items() if path is not None}
    looks = {"--speed": speed, "--fps": fps, "--at": at, "--size": size, "--color": color}
    together.check(
        files if html is None else {**files, "--html": html},
        [option for option, text in looks.items() if text is not None],
        is_pair=other is not None,
    )
    logs = [log] if other is None else [log, other]
    if files or html is not None:
        ends = {} if html is None else _write_page(html, logs)
        if files:
            size = size or (_SIZE if other is None else _PAIR_SIZE)
            ends |= _draw(logs, at or [], files, plot, size, color or _COLOR)
        _tell_cut(ends)
        return
    console = Console(highlight=False)
    if other is None:
        _one(log, console, speed_given, fps_given, at or [])
    else:
        _two(logs, console, speed_given, fps_given, at or [])


def _one(path: Path, console: Console, speed: float | None, fps: float, at: Sequence[str]) -> None:
    log = Log.open(path)
    if not at and can_play(console):
        film = film_of(log, console)
        moments = [play([(log.header.name, film)], console, speed, fps).playback.time_ns]
        reel = Reel(film.end_ns, cut=film.cut, agents=film.agents)
    else:
        reel = reel_of(log)
        moments = _moments(at, reel.end_ns)
    for moment in moments:
        still(log, reel, console, moment)
    if reel.cut:
        program.say(cut_message(path, reel.end_ns))


def _two(paths: Sequence[Path], console: Console, speed: float | None, fps: float, at: Sequence[str]) -> None:
    logs = [Log.open(path) for path in paths]
    films = list(zip(_names(paths), [film_of(log, console) for log in logs], strict=True))
    if not at and can_play(console):
        moments = [play(films, console, speed, fps).playback.time_ns]
    else:
        moments = _moments(at, max(film.end_ns for _, film in films))
    for moment in moments:
        still_of_two(films, console, moment)
    _tell_cut(_cut_at(paths, [film for _, film in films]))


def _draw(
    paths: Sequence[Path], at: Sequence[str], files: Mapping[str, Path], plot: str | None, size: str, color: str
) -> dict[Path, int]:
    """Make the pictures; return the logs that are cut, each with its end in ns."""
    from render import pictures, views

    logs = [Log.open(path) for path in paths]
    wanted = pictures.Wanted(files, plot, pictures.size_of(size), pictures.mode_of(color))
    pictures.check(wanted, _called(paths))
    films = list(map(Film, logs))
    view: views.View
    if len(films) == 1:
        view = views.One(logs[0], films[0], wanted.mode)
    else:
        view = views.Two(logs, list(zip(_names(paths), films, strict=True)))
    pictures.make(wanted, view, _moments(at, view.end_ns))
    return _cut_at(paths, films)


def _write_page(path: Path, paths: Sequence[Path]) -> dict[Path, int]:
    """Write the page; return the logs that are cut, each with its end in ns."""
    from render.page.page import page

    keep(path, "--html", _called(paths))
    made = page(*map(Log.open, paths))
    with output(path, whole=True) as file:
        file.write(made.content)
    return {each: end_ns for each, end_ns in zip(paths, made.cut_ns, strict=True) if end_ns is not None}


def _called(paths: Sequence[Path]) -> dict[Path, str]:
    """Return what is said of logs that must not be written over."""
    return {paths[0]: "the log"} if len(paths) == 1 else {paths[1]: "the second log", paths[0]: "the first log"}


def _names(paths: Sequence[Path]) -> list[str]:
    """Return what logs are called where they are shown: their file names, or all of their paths where those are alike."""
    stems = [named(path.stem) for path in paths]
    return stems if len(set(stems)) == len(stems) else [named(path.with_suffix("")) for path in paths]


def _cut_at(paths: Iterable[Path], films: Iterable[Film]) -> dict[Path, int]:
    return {path: film.end_ns for path, film in zip(paths, films, strict=True) if film.cut}


def _tell_cut(ends: Mapping[Path, int]) -> None:
    for path, end_ns in ends.items():
        program.say(cut_message(path, end_ns))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return program.run(app, sys.argv[1:] if arguments is None else arguments, "python -m render")


def _moments(texts: Sequence[str], end_ns: int) -> list[int]:
    """Return the moments that are asked for, in ns; without any, the last."""
    return [_moment(text, end_ns) for text in texts] or [end_ns]


def _moment(text: str, end_ns: int) -> int:
    try:
        at_ns = time_from(text)
    except UnitError as error:
        raise BadInput(f"--at: {error}") from None
    if at_ns > end_ns and clock(at_ns, end_ns) == clock(end_ns, end_ns):
        return end_ns  # the end as it is shown, which is rounded
    if at_ns > end_ns:
        raise BadInput(f"--at: {cut(text, _SHOWN_MAX)} is after the end; allowed: from 0s to {format_duration(end_ns)}")
    return at_ns


if __name__ == "__main__":
    program.end_cleanly_when_terminated()
    sys.exit(main())
