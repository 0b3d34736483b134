"""How much of each constraint is used, how many wait for it, and what its limit is, as it changes in a log.

Rules:

1. `used` is what is held at a moment, as the report's utilisation has it; of a rate limit or a quota `taken` is what was
   taken in all while it was in force, less what was given back. A switch (a pause, a breaker, an incident) has neither.
2. `limit` is as `ConstraintChanged` states it, -1 where none is in force.
3. Of several values in one instant the last is told, and that only if it is another than before.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.header import HELD, Header
from model.state import limits_of
from render.traces.spans import Folded
from sim.analysis.summary import Amounts
from sim.analysis.takes import Ended
from sim.analysis.waits import COMES, Flags, Integers

_RATED = frozenset({"rate_limit", "quota"})
_NEVER = 2**63 - 1


class Level(NamedTuple):
    """A counter: what of which constraint it counts."""

    constraint: int
    what: str


class Point(NamedTuple):
    """A value that a counter has from a time in ns on."""

    time: int
    level: Level
    value: int


class Counters:
    """Feed it every batch of a log: it returns the values that counters have from which times on."""

    def __init__(self, header: Header) -> None:
        self._types = [entry.type for entry in header.constraints]
        self._amounts = [Amounts(header, number) for number in range(len(self._types))]
        self._ended = Ended()
        self._limits: Integers = limits_of(header)
        self._levels = {Level(number, "limit"): _Level(int(limit)) for number, limit in enumerate(self._limits)}
        for number, type_ in enumerate(self._types):
            self._levels[Level(number, "waiting")] = _Level(0)
            if type_ in HELD:
                self._levels[Level(number, "used")] = _Level(0)
            elif type_ in _RATED:
                self._levels[Level(number, "taken")] = _Level(0)

    def names(self) -> list[Level]:
        """Return the counters that there are, a constraint's after another's."""
        return sorted(self._levels)

    def feed(self, part: Folded) -> list[Point]:
        """Take in the next rows; return what is known of all instants that are over, in their order."""
        for name, rows, moves in self._moves(part):
            order = np.argsort(rows, kind="stable")
            self._levels[name].move(part.batch.time[rows[order]], moves[order])
        return self._points(int(part.batch.time[-1]))

    def end(self) -> list[Point]:
        """The log is at its end: return what is known of its last instant."""
        return self._points(_NEVER)

    def _points(self, until_ns: int) -> list[Point]:
        told = []
        for name, level in self._levels.items():
            times, values = level.until(until_ns)
            told += [Point(time, name, value) for time, value in zip(times.tolist(), values.tolist(), strict=True)]
        return sorted(told)

    def _moves(self, part: Folded) -> Iterator[tuple[Level, NDArray[np.intp], Integers]]:
        """Yield by how much counters move in which rows."""
        batch, ended = part.batch, self._ended.feed(part.batch)
        comes, leaves = np.flatnonzero(COMES[batch.kind]), part.stretches.end - part.first
        for number, type_ in enumerate(self._types):
            mine = batch.constraint == number
            came, left = comes[mine[comes]], leaves[part.stretches.constraint == number]
            moves = np.append(np.ones(len(came), np.int64), np.full(len(left), -1))
            yield Level(number, "waiting"), np.append(came, left), moves
            changed = np.flatnonzero(mine & (batch.kind == Kind.ConstraintChanged))
            limits = np.append(self._limits[number], batch.value[changed])
            if type_ in HELD or type_ in _RATED:
                rows, amounts = self._moved(number, batch, ended, mine)
                if type_ in _RATED:
                    in_force = limits[np.searchsorted(changed, rows)] >= 0
                    rows, amounts = rows[in_force], amounts[in_force]
                yield Level(number, "used" if type_ in HELD else "taken"), rows, amounts
            yield Level(number, "limit"), changed, np.diff(limits)
            self._limits[number] = limits[-1]

    def _moved(self, number: int, batch: Batch, ended: Flags, mine: Flags) -> tuple[NDArray[np.intp], Integers]:
        """Return the rows that take of a constraint or give back, and how much."""
        amounts, started = self._amounts[number], batch.kind == Kind.TaskStarted
        implied = started | ended if self._types[number] in HELD else started
        rows = np.flatnonzero(implied & amounts.asked[batch.step])
        of_rows = amounts.of(batch.step[rows], batch.agent[rows])
        took, gave = (mine & (batch.kind == kind) for kind in (Kind.ResourceAcquired, Kind.ResourceReleased))
        stated = np.flatnonzero(took | gave)
        signs = np.append(np.where(started[rows], 1, -1), np.where(took[stated], 1, -1))
        return np.append(rows, stated), signs * np.append(of_rows, batch.value[stated])


class _Level:
    """A value that moves, and what of it was told."""

    def __init__(self, value: int) -> None:
        self._times, self._values = np.zeros(1, np.int64), np.array([value])  # what is not told yet
        self._told: int | None = None

    def move(self, times: Integers, moves: Integers) -> None:
        """Take in by how much it moves at which times."""
        self._times = np.append(self._times, times)
        self._values = np.append(self._values, self._values[-1] + np.cumsum(moves))

    def until(self, until_ns: int) -> tuple[Integers, Integers]:
        """Return the times before a time at which it had another value than before, and the values."""
        stop = int(np.searchsorted(self._times, until_ns))
        times, values = self._times[:stop], self._values[:stop]
        last = np.flatnonzero(np.append(np.diff(times) != 0, np.ones(min(stop, 1), np.bool_)))  # of each instant
        times, values = times[last], values[last]
        if stop:
            # The last value is kept to move on from.
            self._times, self._values = self._times[stop - 1 :], self._values[stop - 1 :]
        if not len(values):
            return times, values
        new = np.append(self._told is None or values[0] != self._told, np.diff(values) != 0)
        self._told = int(values[-1])
        return times[new], values[new]
