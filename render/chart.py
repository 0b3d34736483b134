"""The time line: how many agents run and how many wait all through a log, with the present moment.

Rules:

1. A column is a part of the time, all of them as long; what it shows is the mean over it.
2. Who runs stands on the axis and who is blocked or backs off hangs from it, in the colour of those who are more; both to
   the scale of the most that a column shows.
3. Above is a line with what was found: `!` a deadlock, `[` and `]` where an incident begins and ends, `|` where several do,
   and the present.
4. Only the present depends on the moment: the rest is drawn once for a size.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment

from model.events import Kind
from model.state import Phase
from render.film import Film
from render.line import Line
from render.palette import Theme

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_LETTERS = " ..:::###"
_FEW = 1e-9

Codes = NDArray[np.int64]


class Chart:
    """The time line of a film, to the scale of all the `films` that have one clock."""

    def __init__(self, film: Film, films: Sequence[Film], theme: Theme) -> None:
        self._film, self._films, self._theme = film, films, theme
        self._end_ns = max(each.end_ns for each in films)
        self._drawn = lru_cache(maxsize=8)(self._draw)

    def column_of(self, time_ns: int, width: int) -> int:
        """Return the column that shows a time."""
        return min(width - 1, time_ns * width // max(1, self._end_ns))

    def time_of(self, column: int, width: int) -> int:
        """Return the time at which a column begins; that of the last column is the end."""
        column = min(max(0, column), width - 1)
        return self._end_ns if column == width - 1 else -(-column * self._end_ns // width)

    def lines(self, time_ns: int, width: int, height: int) -> list[Line]:
        """Return the time line at a moment: `height` lines, each `width` wide."""
        if height < 1 or width < 1:
            return []
        theme, now, drawn = self._theme, self.column_of(time_ns, width), self._drawn(width, height)
        glyphs, looks, backs = (part.copy() for part in drawn)
        glyphs[0, now], looks[0, now] = "v" if theme.letters else "▼", theme.ink
        column = backs[1:, now]
        column[column == theme.background] = theme.cells[Phase.FINISHED]
        return [_line(*parts, theme) for parts in zip(glyphs, looks, backs, strict=True)]

    def _draw(self, width: int, height: int) -> tuple[NDArray[np.str_], Codes, Codes]:
        """Return the character of each place, its colour, and that of its background."""
        theme, film = self._theme, self._film
        glyphs = np.full((height, width), " ", "<U1")
        looks, backs = (np.full((height, width), code, np.int64) for code in (theme.faint, theme.background))
        for time_ns, sign in self._found():
            column = self.column_of(time_ns, width)
            known = glyphs[0, column]
            glyphs[0, column] = sign if sign == "!" or known in (" ", sign) else "|"
        looks[0, glyphs[0] == "!"] = theme.cells[Phase.BLOCKED]
        running, blocked, backing_off = self._means(film, width)
        waiting = blocked + backing_off
        hanging = np.where(backing_off > blocked, theme.cells[Phase.BACKING_OFF], theme.cells[Phase.BLOCKED])
        rows = height // 2, (height - 1) // 2  # above the axis, and below it
        scale = 8 * max(rows) / max(_FEW, *(self._most(each, width) for each in self._films))
        steps = np.array(list(_LETTERS if theme.letters else _EIGHTHS))
        for number in range(rows[0]):
            row = rows[0] - number
            glyphs[row], looks[row] = steps[_part(running * scale, number)], theme.cells[Phase.RUNNING]
        for number in range(rows[1]):
            row, part = rows[0] + 1 + number, _part(waiting * scale, number)
            if theme.letters:
                glyphs[row] = steps[part]
                continue
            # What hangs is drawn as the empty part that stands below it.
            glyphs[row], looks[row] = np.where(part > 0, steps[8 - part], " "), theme.background
            backs[row, part > 0] = hanging[part > 0]
        return glyphs, looks, backs

    def _means(self, film: Film, width: int) -> list[NDArray[np.float64]]:
        """Return how many run, are blocked and back off in each column; nobody after the end."""
        edges = np.linspace(0, max(1, self._end_ns), width + 1)
        goes_on = edges[:-1] <= film.end_ns
        return [
            film.counts[phase].means(edges) * goes_on for phase in (Phase.RUNNING, Phase.BLOCKED, Phase.BACKING_OFF)
        ]

    def _most(self, film: Film, width: int) -> float:
        running, blocked, backing_off = self._means(film, width)
        return max(float(running.max()), float((blocked + backing_off).max()))

    def _found(self) -> list[tuple[int, str]]:
        """Return what is marked, and when; what matters most comes last."""
        rows, found = self._film.rows, []
        incidents = [number for number, entry in enumerate(self._film.header.constraints) if entry.type == "incident"]
        for row in np.flatnonzero((rows.kind == Kind.ConstraintChanged) & np.isin(rows.constraint, incidents)).tolist():
            found.append((int(rows.time[row]), "]" if rows.value[row] < 0 else "["))
        deadlocks = np.flatnonzero((rows.kind == Kind.DeadlockDetected) & (rows.value > 0))
        return [*found, *((int(rows.time[row]), "!") for row in deadlocks.tolist())]


def _part(heights: NDArray[np.float64], row: int) -> NDArray[np.int64]:
    """Return how many eighths of a row, counted from the axis, are filled; of what there is at all, at least one."""
    eighths = np.where(heights > _FEW, np.maximum(1, np.round(heights)), 0).astype(np.int64)
    return np.clip(eighths - 8 * row, 0, 8)


def _line(glyphs: NDArray[np.str_], looks: Codes, backs: Codes, theme: Theme) -> Line:
    changes = np.flatnonzero((looks[1:] != looks[:-1]) | (backs[1:] != backs[:-1])) + 1
    edges = [0, *changes.tolist(), len(glyphs)]
    return [
        Segment("".join(glyphs[start:stop].tolist()), theme.pair(int(looks[start]), int(backs[start])))
        for start, stop in pairwise(edges)
    ]
