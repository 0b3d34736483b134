"""Where two runs part: the first event that is another, row by row.

Rules:

1. Rows are compared by their places and by the names of what they number, all columns at once. Nothing is skipped.
2. They are read side by side. A log keeps no digest of its beginnings, so that a search would have to read all that lies
   before anyhow; and a reading ends where they part.
3. A log that is cut agrees as far as it goes: that the other goes on is no difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.events import Batch, Kind
from sim.analysis.rows import told
from sim.analysis.sides import Shared

ENDS = "the run ends here"


@dataclass(frozen=True, slots=True)
class Parting:
    """The first event that differs: the rows in words, their time, and their agents, as the first run numbers them.

    Of a run that is over before, the row is that it ends.
    """

    event: int
    time_ns: int
    rows: tuple[str, str]
    agents: tuple[int, ...]


class Comparison:
    """Holds the rows of a second run, which it is fed, against those of a first."""

    def __init__(self, shared: Shared, first: Iterator[Batch]) -> None:
        self._sides = shared.sides
        self._is_plain = shared.is_plain
        self._first = first
        self._left: Batch | None = None
        self.events = 0  # that agree
        self.last_ns, self.last_kind = 0, -1  # of the last of them
        self.parting: Parting | None = None
        self.is_over = False  # there is nothing more to compare

    def feed(self, batch: Batch) -> None:
        """Compare the next rows of the second run."""
        self._sides[1].feed(batch)
        at = 0
        while at < len(batch) and not self.is_over:
            left = self._next()
            if left is None and self.last_kind == Kind.RunFinished:
                self._part(None, batch.rows(at, len(batch)))
                return
            if left is None:  # it is cut
                self.is_over = True
                return
            count = min(len(left), len(batch) - at)
            same = np.ones(count, np.bool_)
            mine, other = left.rows(0, count), batch.rows(at, at + count)
            for one, two in zip(self._sides[0].columns(mine), self._sides[1].columns(other), strict=True):
                same &= one == two
            agree = count if same.all() else int(np.argmin(same))
            self.events += agree
            if agree < count:
                self._part(mine.rows(agree, count), other.rows(agree, count))
                return
            self.last_ns, self.last_kind = int(mine.time[-1]), int(mine.kind[-1])
            self._left = left.rows(count, len(left))
            at += count

    def end(self) -> None:
        """The second run has no more rows: what the first has beyond them is a difference."""
        if not self.is_over and (left := self._next()) is not None:
            self._part(left, None)

    def _next(self) -> Batch | None:
        """Return the rows of the first that are not compared yet, or None where there are no more."""
        if self._left is None or not len(self._left):
            self._left = next(self._first, None)
            if self._left is not None:
                self._sides[0].feed(self._left)
        return self._left

    def _part(self, *rows: Batch | None) -> None:
        """Note that the first of these rows differ; None where a run has no more."""
        self.is_over = True
        first, second = (
            ENDS if row is None else told(row, 0, side.roster) for row, side in zip(rows, self._sides, strict=True)
        )
        there = [row for row in rows if row is not None]
        comparable = there if self._is_plain else [row for row in rows[:1] if row is not None]
        agents = tuple(dict.fromkeys(int(row.agent[0]) for row in comparable if row.agent[0] >= 0))
        self.parting = Parting(self.events, min(int(row.time[0]) for row in there), (first, second), agents)


def part(shared: Shared, first: Iterator[Batch], second: Iterator[Batch]) -> Comparison:
    """Compare two logs as far as both go, or to where they part."""
    comparison = Comparison(shared, first)
    for batch in second:
        comparison.feed(batch)
        if comparison.is_over:
            return comparison
    if comparison.last_kind == Kind.RunFinished:  # else the second is cut
        comparison.end()
    return comparison
