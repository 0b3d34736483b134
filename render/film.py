"""A log laid out in memory, so that any moment of it is there at once.

Rules:

1. The whole log is read once. Afterwards every question but that for the rows of an agent costs as much as it has to say,
   not as the log is long.
2. A moment is that of `model.state`, events at its time included: the key frame before it, and the moves since.
3. Key frames are at least `_STRIDE` moves apart, and as many as there are agents: so they take no more memory than the
   moves themselves.
4. What is counted over time is a step function, with one value for each instant at which it changes.
"""

from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.events import COLUMNS, Batch, Kind, concatenate
from model.log import BATCH_ROWS, Log
from model.moves import Mover, Phase
from model.roster import Roster
from model.state import Held, Moment, charges, free_again, limits_of, take_over

_STRIDE = 65_536
_LIVELY = 0.5
"""In so much of a run something has to happen for all of it to be shown."""
_AFTERWARDS = 5
"""What comes of the last event is shown for a fifth of the time up to it."""
_COUNTED = frozenset({"rate_limit", "quota"})

Integers = NDArray[np.int64]


class Steps:
    """A step function of time: `value[k]` from `time_ns[k]` on, where the first time is 0."""

    def __init__(self, time_ns: Integers, value: Integers) -> None:
        """Take values in time order; of several at one instant the last stands."""
        stands = np.append(time_ns[1:] != time_ns[:-1], True)[: len(time_ns)]
        time_ns, value = time_ns[stands], value[stands]
        changes = np.append(True, value[1:] != value[:-1])[: len(value)]
        self.time_ns, self.value = time_ns[changes], value[changes]
        widths = np.diff(self.time_ns).astype(np.float64)
        self._area = np.append(0.0, np.cumsum(self.value[:-1] * widths))

    def at(self, time_ns: int) -> int:
        """Return the value at a time."""
        return int(self.value[np.searchsorted(self.time_ns, time_ns, side="right") - 1])

    def values(self, times_ns: Integers) -> Integers:
        """Return the values at some times."""
        values: Integers = self.value[np.searchsorted(self.time_ns, times_ns, side="right") - 1]
        return values

    def extremes(self, edges_ns: Integers) -> tuple[Integers, Integers]:
        """Return the least and the greatest value from each edge up to the next; edges increase."""
        inside = np.searchsorted(self.time_ns, edges_ns, side="left")
        begin = self.values(edges_ns)
        # In front of the changes within each stretch stands the value that it begins with.
        firsts = inside[:-1] + np.arange(len(edges_ns) - 1)
        values = np.insert(self.value[: inside[-1]], inside[:-1], begin[:-1])
        return np.minimum.reduceat(values, firsts), np.maximum.reduceat(values, firsts)

    def areas(self, times_ns: Integers | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the value times the time for which it stood, in ns, up to each time."""
        place = np.searchsorted(self.time_ns, times_ns, side="right") - 1
        # Not as whole numbers: a rate in millionths times half an hour does not fit into 64 bits.
        areas: NDArray[np.float64] = self._area[place] + self.value[place] * (times_ns - self.time_ns[place]).astype(
            float
        )
        return areas

    def means(self, edges_ns: Integers | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean over time between each edge and the next; edges increase."""
        means: NDArray[np.float64] = np.diff(self.areas(edges_ns)) / np.diff(edges_ns)
        return means

    def rises(self) -> Integers:
        """Return when it came from 0 or less to more."""
        up = (self.value[1:] > 0) & (self.value[:-1] <= 0)
        times = self.time_ns[1:][up]
        return np.append(0, times) if self.value[0] > 0 else times


class Turns(NamedTuple):
    """The moves of the agents: from `time_ns` on the agent is in `phase`, waits for `constraint`, by a row of `step`.

    Where it `turned` it was in another phase before; -1 is none.
    """

    time_ns: Integers
    agent: NDArray[np.int32]
    phase: NDArray[np.uint8]
    constraint: NDArray[np.int16]
    step: NDArray[np.int16]
    turned: NDArray[np.bool_]


class Film:
    """A log that was read once: its `rows`, and the fleet at any time `at` which one asks.

    `agents` counts those too that were spawned; `end_ns` is the time of the last row. `counts` has a step function for the
    agents in each phase; of each constraint there is one for its `limit`, for how many tasks are `waiting`, and for how
    much is `used`, or None where it is nothing that is held; `taken` is how many tokens of a rate limit or a quota were
    charged so far, less what was given back, in the unit of the header, and None for all others.
    """

    def __init__(self, log: Log, progress: Callable[[int], None] = lambda rows: None) -> None:
        """Read through a log; `progress` is told how many rows were read. Raises LogError where the log is damaged."""
        self.header = log.header
        self.roster = Roster(log.header)
        batches = [_nothing()]
        for batch in log.batches():
            self.roster.feed(batch)
            batches.append(batch)
            progress(len(batch))
        self.rows = concatenate(batches)
        del batches
        self.cut = log.cut
        self.agents = self.roster.agents
        self.end_ns = int(self.rows.time[-1]) if len(self.rows) else 0
        self._lay_out()

    def at(self, time_ns: int) -> Moment:
        """Return the fleet at a time, from 0 on."""
        move = int(np.searchsorted(self._move_row, np.searchsorted(self.rows.time, time_ns, side="right")))
        key = int(np.searchsorted(self._key_moves, move, side="right")) - 1
        moved, agents = slice(self._key_moves[key], move), self._keys[key].copy()
        rows = self._move_row[moved]
        who = self.rows.agent[rows]
        # NumPy lets the last of several assignments to one element win.
        agents.phase[who], agents.constraint[who] = self._move_phase[moved], self._move_constraint[moved]
        agents.step[who] = self.rows.step[rows]
        turned = self._move_turned[moved]
        agents.since_ns[who[turned]] = self.rows.time[rows[turned]]
        limit, waiting = (
            np.array([each.at(time_ns) for each in steps], np.int64) for steps in (self.limit, self.waiting)
        )
        used = np.array([-1 if each is None else each.at(time_ns) for each in self.used], np.int64)
        charged = np.array([self._charged_lately(number, time_ns) for number in range(len(limit))], np.int64)
        return Moment(self.header, time_ns, agents, limit, waiting, used, charged)

    def turns(self) -> Turns:
        """Return all moves of the agents, in order."""
        rows = self._move_row
        return Turns(
            self.rows.time[rows],
            self.rows.agent[rows],
            self._move_phase,
            self._move_constraint,
            self.rows.step[rows],
            self._move_turned,
        )

    def of_agent(self, agent: int) -> NDArray[np.intp]:
        """Return the places in `rows` of the events of an agent."""
        return np.flatnonzero(self.rows.agent == agent)

    def next_event(self, time_ns: int) -> int:
        """Return the time of the next event after a time; the end where there is none."""
        place = int(np.searchsorted(self.rows.time, time_ns, side="right"))
        return int(self.rows.time[place]) if place < len(self.rows) else self.end_ns

    def previous_event(self, time_ns: int) -> int:
        """Return the time of the last event before a time; 0 where there is none."""
        place = int(np.searchsorted(self.rows.time, time_ns, side="left")) - 1
        return int(self.rows.time[place]) if place >= 0 else 0

    def next_binding(self, time_ns: int) -> tuple[int, int] | None:
        """Return when, after a time, a constraint next has somebody wait for it that had nobody, and which one."""
        found = []
        for number, times in enumerate(self._binds):
            place = int(np.searchsorted(times, time_ns, side="right"))
            if place < len(times):
                found.append((int(times[place]), number))
        return min(found, default=None)

    @cached_property
    def shown_ns(self) -> int:
        """Up to when it is worth showing: to its end, or for a while after the last event where that is long before."""
        happens = self.rows.time[self.rows.kind != Kind.RunFinished]
        last = int(happens[-1]) if len(happens) else 0
        return last + last // _AFTERWARDS if 0 < last < _LIVELY * self.end_ns else self.end_ns

    @cached_property
    def by_weight(self) -> tuple[int, ...]:
        """The constraints by how much they matter: those that were waited for longest, then those that refused most."""
        rejected = self.rows.constraint[self.rows.kind == Kind.TaskRejected]
        refusals = np.bincount(rejected[rejected >= 0], minlength=len(self.waiting)).tolist()
        waited = [steps.areas(np.array([self.end_ns])).item() for steps in self.waiting]
        return tuple(sorted(range(len(waited)), key=lambda number: (-waited[number], -refusals[number])))

    @cached_property
    def blocked_ns_max(self) -> int:
        """The longest time for which an agent was blocked without a break, in ns; 0 where none ever was."""
        turned = np.flatnonzero(self._move_turned)
        turned = turned[np.argsort(self.rows.agent[self._move_row[turned]], kind="stable")]
        agents, since_ns = self.rows.agent[self._move_row[turned]], self.rows.time[self._move_row[turned]]
        goes_on = np.append(agents[1:] != agents[:-1], True)[: len(turned)]
        until_ns = np.where(goes_on, self.end_ns, np.append(since_ns[1:], self.end_ns)[: len(turned)])
        blocked = self._move_phase[turned] == Phase.BLOCKED
        return int((until_ns - since_ns)[blocked].max(initial=0))

    def _lay_out(self) -> None:
        """Follow the agents and the constraints through the log."""
        mover, holding = Mover(self.header, self.agents), Held(self.header)
        stride, moved, limit = max(_STRIDE, self.agents), 0, limits_of(self.header)
        keys, key_moves = [mover.agents.copy()], [0]
        columns: list[tuple[NDArray[Any], ...]] = []
        held: list[tuple[NDArray[Any], ...]] = []
        taken: list[tuple[NDArray[Any], ...]] = []
        queued: list[tuple[NDArray[Any], ...]] = []
        for first in range(0, max(1, len(self.rows)), BATCH_ROWS):
            batch = self.rows.rows(first, first + BATCH_ROWS)
            moves = mover.feed(batch)
            columns.append(((first + moves.row).astype(np.int32), moves.phase, moves.constraint, moves.before))
            changes = holding.changes(batch, moves)
            for part, into in ((changes, held), (charges(batch, *changes, limit), taken)):
                into.append((first + part[0], *part[1:]))
            take_over(limit, batch)
            for queues, sign in ((moves.came, 1), (moves.left, -1)):
                places = np.flatnonzero(queues >= 0)
                queued.append((first + moves.row[places], queues[places], np.full(len(places), sign)))
            moved += len(moves)
            if moved - key_moves[-1] >= stride:
                keys.append(mover.agents.copy())
                key_moves.append(moved)
        self._keys, self._key_moves = keys, np.array(key_moves)
        joined = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
        self._move_row, self._move_phase, self._move_constraint, before = joined
        self._move_turned = self._move_phase != before
        self.counts = {phase: self._count(phase, before) for phase in Phase}
        known, used = holding.known.tolist(), self._per_constraint(held)
        self.used = [steps if is_known else None for steps, is_known in zip(used, known, strict=True)]
        charged = zip(self._per_constraint(taken), self.header.constraints, strict=True)
        self.taken = [steps if entry.type in _COUNTED else None for steps, entry in charged]
        self.waiting, self.limit = self._per_constraint(queued), self._limits()
        self._binds = [steps.rises() for steps in self.waiting]

    def _charged_lately(self, number: int, time_ns: int) -> int:
        """Return what of a rate limit or a quota was taken and is not there again; -1 where that is not known."""
        taken, again = self.taken[number], free_again(self.header.constraints[number], time_ns)
        if taken is None or again is None:
            return -1
        return taken.at(time_ns) - (taken.at(again) if again >= 0 else 0)

    def _count(self, phase: Phase, before: NDArray[np.uint8]) -> Steps:
        """Return how many agents are in a phase."""
        turned = self._move_turned & ((self._move_phase == phase) | (before == phase))
        changes = np.where(self._move_phase[turned] == phase, 1, -1)
        start = self.agents if phase == Phase.ABSENT else 0
        return Steps(np.append(0, self.rows.time[self._move_row[turned]]), np.append(start, start + np.cumsum(changes)))

    def _per_constraint(self, parts: list[tuple[NDArray[Any], ...]]) -> list[Steps]:
        """Return the sum over time of what each constraint has, given as (row, constraint, change)."""
        rows, constraints, changes = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((rows, constraints))
        edges = np.searchsorted(constraints[order], np.arange(len(self.header.constraints) + 1))
        mine = [order[start:stop] for start, stop in pairwise(edges.tolist())]
        return [Steps(np.append(0, self.rows.time[rows[own]]), np.append(0, np.cumsum(changes[own]))) for own in mine]

    def _limits(self) -> list[Steps]:
        changed = np.flatnonzero(self.rows.kind == Kind.ConstraintChanged)
        steps = []
        for number, start in enumerate(limits_of(self.header).tolist()):
            own = changed[self.rows.constraint[changed] == number]
            steps.append(Steps(np.append(0, self.rows.time[own]), np.append(start, self.rows.value[own])))
        return steps


def _nothing() -> Batch:
    return Batch(*(np.zeros(0, dtype) for dtype in COLUMNS.values()))
