"""Pictures of a log, or of two, in files: a moment or several as PNG or SVG, a replay as GIF or asciicast, a plot.

Rules:

1. A picture is a function of the logs, the moments and the size: the same, byte for byte, whenever it is made.
2. A replay has the speed that it has on the terminal: it takes 15 s, and never shows less than real time. It ends where
   nothing happens any more.
3. What needs the extra `pictures` says so where it is not installed, before anything is read or written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from model import program
from model.faults import BadInput
from model.files import keep, output
from model.log import LogError
from model.units import NS_PER_SECOND
from render.drawing import Drawing, drawing, framed, strip
from render.palette import FULL
from render.playback import default_speed
from render.shades import Mode
from render.verdicts import Verdict
from render.views import Size, View

_FPS = 10
"""Of replays: a GIF counts in hundredths of a second."""
_STRIP_COLUMNS = 2
_SAMPLES = 8
"""So many frames of a GIF say which colours it has."""
_NEEDS = {"--png": ("PIL", "matplotlib"), "--gif": ("PIL", "matplotlib"), "--plot": ("matplotlib",)}
_MARKED = frozenset({"--cast", "--plot"})
"""The options of what has a mark at each verdict."""
_SIZE = re.compile(r"(\d{1,4})x(\d{1,4})")
_LEAST, _MOST = (20, 4), (400, 200)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made: an option and its file each, and how it is to look."""

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


def check(wanted: Wanted, logs: Mapping[Path, str]) -> None:
    """Raise BadInput where something cannot be made here, or would be written over a log: before the work."""
    for option, path in wanted.files.items():
        if any(find_spec(package) is None for package in _NEEDS.get(option, ())):
            extra = "allowed: after pip install 'fleetsim[pictures]'"
            raise BadInput(f"{option}: needs packages that are not installed; {extra}")
        keep(path, option, logs)
    if wanted.plot is not None:
        from render.plots import FORMATS, PLOTS

        if wanted.plot not in PLOTS:
            raise BadInput(f"--plot: unknown plot {wanted.plot!r}; allowed: {', '.join(PLOTS)}")
        path = wanted.files["--plot"]
        if path.suffix.lower().removeprefix(".") not in FORMATS:
            endings = ", ".join(f".{each}" for each in FORMATS)
            raise BadInput(f"--out: {path} does not say which format; allowed: a name that ends with {endings}")


def make(wanted: Wanted, view: View, moments: Sequence[int]) -> None:
    """Write the files; a picture that does not move shows these moments, in ns."""
    marks = _marks(view) if wanted.files.keys() & _MARKED else []
    for option, path in wanted.files.items():
        if option in ("--png", "--svg"):
            still(view, option, path, moments, wanted.size)
        elif option == "--gif":
            gif(view, path, wanted.size)
        elif option == "--cast":
            cast(view, path, wanted.size, marks)
        elif wanted.plot is not None:
            plot(view, wanted.plot, path, marks)


def still(view: View, option: str, path: Path, moments: Sequence[int], size: Size) -> None:
    """Write these moments, in ns, as PNG or SVG; several stand in rows, in the order in which they are given."""
    drawings = [_drawn(view, moment, size) for moment in moments]
    across = _STRIP_COLUMNS if len(view.films) == 1 else 1
    whole = framed(strip(drawings, across) if len(drawings) > 1 else drawings[0])
    with output(path, whole=True) as file:
        if option == "--svg":
            from render.svg import svg

            file.write(svg(whole, f"{view.name}: what each agent does").encode())
        else:
            from render.raster import png

            png(whole, file)


def gif(view: View, path: Path, size: Size) -> None:
    """Write a replay as GIF."""
    from render.raster import gif as write

    speed = default_speed(view.shown_ns)
    moments = _moments(view, speed)
    samples, frames = (
        (framed(_drawn(view, moment, size, speed)) for moment in some)
        for some in (moments[:: max(1, len(moments) // _SAMPLES)], moments)
    )
    with output(path, whole=True) as file:
        write(list(samples), frames, 1000 // _FPS, file)


def cast(view: View, path: Path, size: Size, verdicts: Sequence[Verdict]) -> None:
    """Write a replay as asciicast, with a marker at each verdict."""
    from render.cast import cast as lines_of

    speed = default_speed(view.shown_ns)
    frames = (view.lines(moment, size, speed) for moment in _moments(view, speed))
    marks = [(mark.time_ns / (speed * NS_PER_SECOND), mark.text) for mark in verdicts]
    with output(path, whole=True) as file:
        for line in lines_of(frames, _FPS, marks, size, view.name):
            file.write(line.encode())


def plot(view: View, what: str, path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write a plot of a log, with a mark at each verdict, in the format that the name of the file ends with."""
    from render.plots import plot as write

    with output(path, whole=True) as file:
        write(view.films[0], what, file, path.suffix.lower().removeprefix("."), verdicts)


def _marks(view: View) -> list[Verdict]:
    """Return the verdicts; where a log is of another version, which is told, none."""
    try:
        return view.verdicts()
    except LogError as error:
        program.say(f"what went wrong is not marked: {error}")
        return []


def _drawn(view: View, moment: int, size: Size, speed: float | None = None) -> Drawing:
    return drawing(view.lines(moment, size, speed), FULL.background, view.seams(moment, size))


def _moments(view: View, speed: float) -> list[int]:
    """Return the moment of each frame of a replay, in ns."""
    count = -(-view.shown_ns * _FPS // round(speed * NS_PER_SECOND))
    return [min(view.shown_ns, round(number * speed * NS_PER_SECOND / _FPS)) for number in range(count + 1)]
