"""One log, or two beside each other, as frames of any moment: what pictures are made of.

Rules:

1. A frame is a function of the logs, the moment, the size and the speed that is told of; without one it is a still.
2. Two logs have one clock, that of the longer one, and the colours of `by_difference`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from model.log import Log
from render.film import Film
from render.frame import frame, seams_of
from render.grid import Seam
from render.line import Line
from render.palette import FULL
from render.playback import Playback
from render.scene import Scene
from render.shades import Mode, shades
from render.status import Reel
from render.verdicts import Verdict, verdicts


class Size(NamedTuple):
    """How large a picture is, in characters of a terminal."""

    columns: int
    rows: int


class View(ABC):
    """What is shown: its `name`, its `films`, and what it looks like at any moment."""

    name: str

    def __init__(self, films: Sequence[Film]) -> None:
        self.films = films
        self.end_ns = max(film.end_ns for film in films)
        self.shown_ns = max(film.shown_ns for film in films)

    @abstractmethod
    def lines(self, time_ns: int, size: Size, speed: float | None = None) -> list[Line]:
        """Return a frame; `speed` is that of the replay which it is of."""

    @abstractmethod
    def seams(self, time_ns: int, size: Size) -> list[Seam]:
        """Return where cells touch in that frame; y counts half lines."""

    @abstractmethod
    def verdicts(self) -> list[Verdict]:
        """Return what went wrong; raises LogError where a log is of another version."""


class One(View):
    """A log, in the colours of a mode."""

    def __init__(self, log: Log, film: Film, mode: Mode) -> None:
        super().__init__([film])
        self.name = film.header.name
        self._log, self._film, self._shades = log, film, shades(film, mode, FULL)
        self._at = lru_cache(maxsize=1)(film.at)  # a frame and its seams are asked for one after the other

    def lines(self, time_ns: int, size: Size, speed: float | None = None) -> list[Line]:
        """Return a frame."""
        return frame(self._at(time_ns), self._reel(speed), size.columns, size.rows, FULL, self._shades)

    def seams(self, time_ns: int, size: Size) -> list[Seam]:
        """Return where cells touch."""
        return seams_of(self._at(time_ns), self._reel(None), size.columns, size.rows, FULL)

    def verdicts(self) -> list[Verdict]:
        """Return what went wrong."""
        return verdicts(self._log, self._film)

    def _reel(self, speed: float | None) -> Reel:
        film = self._film
        return Reel(film.end_ns, speed, film.cut, film.agents, film.by_weight)


class Two(View):
    """Two logs, each with the name by which it is called."""

    def __init__(self, logs: Sequence[Log], films: Sequence[tuple[str, Film]]) -> None:
        super().__init__([film for _, film in films])
        self.name = " and ".join(name for name, _ in films)
        self._logs, self._named = logs, films
        self._playback = Playback(tuple(self.films))
        self._scene = Scene(films, self._playback, FULL)

    def lines(self, time_ns: int, size: Size, speed: float | None = None) -> list[Line]:
        """Return a frame."""
        self._playback.go(time_ns)
        self._scene.update()
        self._playback.speed = speed or self._playback.speed
        return self._scene.still(size.columns, size.rows, is_replayed=speed is not None)

    def seams(self, time_ns: int, size: Size) -> list[Seam]:
        """Return where cells touch, which is the same at any moment."""
        return self._scene.seams(size.columns, size.rows)

    def verdicts(self) -> list[Verdict]:
        """Return what went wrong in either, in order."""
        found = []
        for log, (name, film) in zip(self._logs, self._named, strict=True):
            found += [each._replace(text=f"{name}: {each.text}") for each in verdicts(log, film)]
        return sorted(found)
