"""Pictures of a log in files: a moment or several as PNG or SVG, a replay as GIF or asciicast, a plot.

Rules:

1. A picture is a function of the log, the moments and the size: the same, byte for byte, whenever it is made.
2. A replay takes `SECONDS`, and never shows less than real time, as on the terminal. It ends where nothing
   happens any more.
3. What needs the extra `pictures` says so where it is not installed, before anything is read or written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from model import program
from model.faults import BadInput
from model.files import keep, output
from model.log import Log, LogError
from model.units import NS_PER_SECOND
from render.drawing import Drawing, drawing, framed, strip
from render.film import Film
from render.frame import frame, seams_of
from render.palette import FULL
from render.shades import Mode, Shades, shades
from render.status import Reel
from render.verdicts import Verdict, verdicts

SECONDS = 15
_GIF_FPS, _CAST_FPS = 8, 10
_STRIP_COLUMNS = 2
_NEEDS = {"--png": ("PIL", "matplotlib"), "--gif": ("PIL", "matplotlib"), "--plot": ("matplotlib",)}
_SIZE = re.compile(r"(\d{1,4})x(\d{1,4})")
_LEAST, _MOST = (20, 4), (400, 200)


class Size(NamedTuple):
    """How large a picture is, in characters of a terminal."""

    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made of a log: an option and its file each, and how it is to look."""

    files: Mapping[str, Path]
    plot: str | None
    size: Size
    mode: Mode


def size_of(text: str) -> Size:
    """Return the size that a text such as 100x30 stands for; raises BadInput where it is none."""
    match = _SIZE.fullmatch(text)
    size = Size(*map(int, match.groups())) if match else None
    if size is None or any(not least <= own <= most for least, own, most in zip(_LEAST, size, _MOST, strict=True)):
        least, most = ("x".join(map(str, each)) for each in (_LEAST, _MOST))
        raise BadInput(f"--size: {text!r} is no size; allowed: COLUMNSxROWS from {least} to {most}, such as 100x30")
    return size


def mode_of(text: str) -> Mode:
    """Return what colours are to stand for; raises BadInput where a text says nothing of the kind."""
    modes = {mode.name.lower(): mode for mode in Mode}
    if text not in modes:
        raise BadInput(f"--color: {text!r} is nothing that colours stand for; allowed: {', '.join(modes)}")
    return modes[text]


def check(wanted: Wanted, log: Path) -> None:
    """Raise BadInput where something cannot be made here, or would be written over the log: before the work."""
    for option, path in wanted.files.items():
        if any(find_spec(package) is None for package in _NEEDS.get(option, ())):
            extra = "allowed: after pip install 'fleetsim[pictures]'"
            raise BadInput(f"{option}: needs packages that are not installed; {extra}")
        keep(path, option, {log: "the log"})
    if wanted.plot is not None:
        from render.plots import FORMATS, PLOTS

        if wanted.plot not in PLOTS:
            raise BadInput(f"--plot: unknown plot {wanted.plot!r}; allowed: {', '.join(PLOTS)}")
        path = wanted.files["--plot"]
        if path.suffix.lower().removeprefix(".") not in FORMATS:
            endings = ", ".join(f".{each}" for each in FORMATS)
            raise BadInput(f"--out: {path} does not say which format; allowed: a name that ends with {endings}")


def make(wanted: Wanted, log: Log, film: Film, moments: Sequence[int]) -> None:
    """Write the files; a picture that does not move shows these moments, in ns."""
    for option, path in wanted.files.items():
        colors = shades(film, wanted.mode, FULL)
        if option in ("--png", "--svg"):
            still(film, option, path, moments, wanted.size, colors)
        elif option == "--gif":
            gif(film, path, wanted.size, colors)
        elif option == "--cast":
            cast(log, film, path, wanted.size, colors)
        elif wanted.plot is not None:
            plot(log, film, wanted.plot, path)


def still(film: Film, option: str, path: Path, moments: Sequence[int], size: Size, colors: Shades) -> None:
    """Write these moments, in ns, as PNG or SVG; several stand in rows, in the order in which they are given."""
    drawings = [_drawn(film, moment, reel_of(film), size, colors) for moment in moments]
    whole = framed(strip(drawings, _STRIP_COLUMNS) if len(drawings) > 1 else drawings[0])
    with output(path, whole=True) as file:
        if option == "--svg":
            from render.svg import svg

            file.write(svg(whole, f"{film.header.name}: what each agent does").encode())
        else:
            from render.raster import png

            png(whole, file)


def gif(film: Film, path: Path, size: Size, colors: Shades) -> None:
    """Write a replay as GIF."""
    from render.raster import gif as write

    reel, moments = _replay(film, _GIF_FPS)
    frames = (framed(_drawn(film, moment, reel, size, colors)) for moment in moments)
    with output(path, whole=True) as file:
        write(frames, 1000 // _GIF_FPS, file)


def cast(log: Log, film: Film, path: Path, size: Size, colors: Shades) -> None:
    """Write a replay as asciicast, with a marker at each verdict."""
    from render.cast import cast as lines_of

    reel, moments = _replay(film, _CAST_FPS)
    frames = (frame(film.at(moment), reel, size.columns, size.rows, FULL, colors) for moment in moments)
    second_ns = _speed(film) * NS_PER_SECOND
    marks = [(mark.time_ns / second_ns, mark.text) for mark in _marks(log, film)]
    with output(path, whole=True) as file:
        for line in lines_of(frames, _CAST_FPS, marks, (size.columns, size.rows), film.header.name):
            file.write(line.encode())


def plot(log: Log, film: Film, what: str, path: Path) -> None:
    """Write a plot, with a mark at each verdict, in the format that the name of the file ends with."""
    from render.plots import plot as write

    with output(path, whole=True) as file:
        write(film, what, file, path.suffix.lower().removeprefix("."), _marks(log, film))


def _marks(log: Log, film: Film) -> list[Verdict]:
    """Return the verdicts; where the log is of another version, which is told, none."""
    try:
        return verdicts(log, film)
    except LogError as error:
        program.say(f"what went wrong is not marked: {error}")
        return []


def reel_of(film: Film) -> Reel:
    """Return what frames say about a film."""
    return Reel(film.end_ns, cut=film.cut, agents=film.agents)


def _speed(film: Film) -> float:
    """Return the virtual seconds to a second of a replay; never slower than the time that it tells of."""
    return max(1.0, film.shown_ns / (SECONDS * NS_PER_SECOND))


def _drawn(film: Film, moment: int, reel: Reel, size: Size, colors: Shades) -> Drawing:
    state = film.at(moment)
    lines = frame(state, reel, size.columns, size.rows, FULL, colors)
    return drawing(lines, FULL.background, seams_of(state, reel, size.columns, size.rows, FULL))


def _replay(film: Film, fps: int) -> tuple[Reel, list[int]]:
    """Return what the frames of a replay say about it, and the moment of each in ns."""
    speed = _speed(film)
    count = -(-film.shown_ns * fps // round(speed * NS_PER_SECOND))
    moments = [min(film.shown_ns, round(number * speed * NS_PER_SECOND / fps)) for number in range(count + 1)]
    return replace(reel_of(film), speed=speed), moments
