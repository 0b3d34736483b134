"""Two logs in one numbering: who and what has the same name in both has the same number.

Rules:

1. Fleets, steps and constraints are the same where they have the same name: constraints their id, steps their fleet and
   their name. Those of the first log come first.
2. An agent is the same where its fleet and its number within the fleet are. One that was spawned is the same where the
   same agent spawned it at the same visit, as the same copy: that is what its draws depend on, while its number depends on
   when others were spawned.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.log import Header, Log
from model.roster import Roster

Integers = NDArray[np.int64]
T = TypeVar("T")
_Descent = tuple[int, int, int, int]
"""By whom an agent was spawned, at which step and visit, and as which copy."""


class Shared:
    """The names of two logs, and `sides`, which turn the numbers of each into those of both."""

    def __init__(self, first: Header, second: Header) -> None:
        headers = (first, second)
        self.fleets = _union([fleet.name for fleet in header.fleets] for header in headers)
        self.steps = _union(map(_steps, headers))
        self.constraints = _union([entry.id for entry in header.constraints] for header in headers)
        counts = [{fleet.name: fleet.count for fleet in header.fleets} for header in headers]
        most = [max(count.get(name, 0) for count in counts) for name in self.fleets]
        self.firsts = [0, *accumulate(most)]
        self.fleet_of_step = np.array([self.fleets[fleet] for fleet, _, _ in self.steps], np.int64)
        self.is_plain = _numbering(first) == _numbering(second)
        self._spawned: dict[_Descent, int] = {}
        self.sides = (Side(self, first), Side(self, second))

    def spawned(self, descent: _Descent) -> int:
        """Return the number of an agent that was spawned."""
        return self._spawned.setdefault(descent, self.firsts[-1] + len(self._spawned))


class Side:
    """One of two logs; feed it its batches in order."""

    def __init__(self, shared: Shared, header: Header) -> None:
        self.roster = Roster(header)
        self.steps = np.array([*(shared.steps[step] for step in _steps(header)), -1], np.int64)
        self.constraints = np.array([*(shared.constraints[entry.id] for entry in header.constraints), -1], np.int64)
        self._shared = shared
        self._shifts = np.array([shared.firsts[shared.fleets[fleet.name]] for fleet in header.fleets], np.int64)
        self._late: list[int] = []  # the numbers of those who were spawned
        self._copies: Counter[tuple[int, int, int]] = Counter()

    def feed(self, batch: Batch) -> None:
        """Take in the next rows."""
        self.roster.feed(batch)
        for row in np.flatnonzero((batch.kind == Kind.AgentStarted) & (batch.step >= 0)).tolist():
            parent = int(self.agents(batch.value[row : row + 1])[0])
            place = parent, int(self.steps[batch.step[row]]), int(batch.visit[row])
            self._late.append(self._shared.spawned((*place, self._copies[place])))
            self._copies[place] += 1

    def agents(self, numbers: NDArray[np.signedinteger]) -> Integers:
        """Return the numbers of agents in both logs; -1 stays -1."""
        header = self.roster.header
        if self._shared.is_plain and not self._late:
            return numbers.astype(np.int64)
        late = np.flatnonzero(numbers >= header.agents)
        fleets, within = self.roster.places(np.where(numbers >= header.agents, -1, numbers))
        found = np.where(numbers < 0, -1, self._shifts[fleets] + within)
        if len(late):
            found[late] = np.array(self._late, np.int64)[numbers[late] - header.agents]
        return found

    def columns(self, batch: Batch) -> list[NDArray[np.generic]]:
        """Return the columns of rows that were fed, in the numbers of both logs."""
        if self._shared.is_plain:
            return batch.columns()
        values, spawned = batch.value, (batch.kind == Kind.AgentStarted) & (batch.step >= 0)
        if spawned.any():
            values = values.copy()
            values[spawned] = self.agents(values[spawned])
        agents, steps = self.agents(batch.agent), self.steps[batch.step]
        constraints = self.constraints[batch.constraint]
        return [batch.time, batch.kind, agents, steps, batch.visit, batch.attempt, constraints, values]


def batches(log: Log, before_ns: int | None) -> Iterator[Batch]:
    """Yield the rows of a log that are before a time, all of them where it is None."""
    for batch in log.batches():
        if before_ns is None or batch.time[-1] < before_ns:
            yield batch
            continue
        stop = int(np.searchsorted(batch.time, before_ns))
        if stop:
            yield batch.rows(0, stop)
        return


def _union(lists: Iterable[list[T]]) -> dict[T, int]:
    names = dict.fromkeys(name for names in lists for name in names)
    return {name: number for number, name in enumerate(names)}


def _steps(header: Header) -> list[tuple[str, str, int]]:
    """Return the fleet and the name of each step, and how many of that name come before it."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for step in header.steps:
        place = header.fleets[step.fleet].name, step.name
        found.append((*place, seen[place]))
        seen[place] += 1
    return found


def _numbering(header: Header) -> tuple[object, ...]:
    fleets = [(fleet.name, fleet.first, fleet.count) for fleet in header.fleets]
    return fleets, _steps(header), [entry.id for entry in header.constraints]
