"""The state of a fleet at a moment, folded from the log: who thinks, who runs, who waits for what.

Rules:

1. The state is a function of the header and of the rows up to a time, events at that time included. Any split of the
   rows into batches gives the same state.
2. What becomes of the agents is found in `model.moves`; what is held and who waits is summed up from there.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.demands import Demands
from model.events import Batch, Kind
from model.header import HELD, ConstraintEntry
from model.log import Header, Log
from model.moves import Agents, Mover, Moves, Phase
from model.roster import Roster
from model.units import MICRO, NS_PER_SECOND

__all__ = [
    "Cursor",
    "Extent",
    "FleetState",
    "Held",
    "Moment",
    "Phase",
    "charges",
    "extent_of",
    "free_again",
    "limits_of",
    "state_at",
    "take_over",
]

_LIMIT_MAX = 2**63 - 1


@dataclass(slots=True)
class Moment:
    """All agents and constraints at `time_ns`.

    Of each constraint there is the `limit`, as `ConstraintChanged` states it, how many tasks are `waiting`, and how much is
    `used`: held by those who run, or -1 where it is nothing that is held. `charged` is what was taken of a rate limit in
    its last period, and of a quota since it last came back; -1 for all others, and where that is not known.
    """

    header: Header
    time_ns: int
    agents: Agents
    limit: NDArray[np.int64]
    waiting: NDArray[np.int64]
    used: NDArray[np.int64]
    charged: NDArray[np.int64]

    @property
    def phase(self) -> NDArray[np.uint8]:
        """The phase of each agent."""
        return self.agents.phase

    def counts(self, first: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return how many agents are in each phase, of those from `first` up to `stop`."""
        return np.bincount(self.phase[first:stop], minlength=len(Phase))


class FleetState:
    """Feed it every batch of a log, and ask for the `moment` whenever you like."""

    def __init__(self, header: Header, agents: int | None = None) -> None:
        """Begin before the first row. `agents` counts those too that are spawned; without it their room is made later."""
        self.header = header
        self.time_ns = 0
        self._mover = Mover(header, header.agents if agents is None else agents)
        self._held = Held(header)
        self._limit = limits_of(header)
        self._waiting = np.zeros(len(header.constraints), np.int64)
        self._used = np.zeros(len(header.constraints), np.int64)
        self.taken = np.zeros(len(header.constraints), np.int64)
        """What was charged of each constraint so far, less what was given back."""

    def apply(self, batch: Batch) -> None:
        """Take in the next rows of a log that was held against its header when it was read."""
        if not len(batch):
            return
        moves = self._mover.feed(batch)
        changes = self._held.changes(batch, moves)
        np.add.at(self._used, changes[1], changes[2])
        _, constraints, amounts = charges(batch, *changes, self._limit)
        np.add.at(self.taken, constraints, amounts)
        take_over(self._limit, batch)
        for queues, sign in ((moves.came, 1), (moves.left, -1)):
            # Shifted by one, because bincount takes no -1.
            self._waiting += sign * np.bincount(queues + 1, minlength=len(self._waiting) + 1)[1:]
        self.time_ns = int(batch.time[-1])

    def moment(self) -> Moment:
        """Return the state now, good until the next rows are taken in."""
        used = np.where(self._held.known, self._used, -1)
        unknown = np.full(len(used), -1)
        return Moment(self.header, self.time_ns, self._mover.agents, self._limit, self._waiting, used, unknown)


class Held:
    """How much of each constraint those who run hold: by the demands of steps, and by the rows that state it.

    `known` says of each constraint whether that is known: where it is not, it is nothing that is held, or an amount that
    the log does not have.
    """

    def __init__(self, header: Header) -> None:
        self._states_all = np.array([*(step.states_all for step in header.steps), False], np.bool_)
        self._demands = Demands(header)
        known = [entry.type in HELD for entry in header.constraints]
        table: list[tuple[int, int]] = []  # for each row of demands one after another: constraint and amount
        firsts = [0]
        for step, demands in self._demands.rows:
            for demand in () if step is None or step.states_all else demands:
                # An amount that is drawn is not in the header.
                known[demand.constraint] &= demand.amount is not None
                table.append((demand.constraint, demand.amount or 0))
            firsts.append(len(table))
        self._table = np.array(table, np.int64).reshape(-1, 2)
        self._firsts = np.array(firsts, np.int64)
        self.known = np.array(known, np.bool_)

    def changes(self, batch: Batch, moves: Moves) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
        """Return what is taken, and given back as a negative amount: the place in the batch, the constraint, the amount."""
        found = []
        for steps, sign in ((moves.began, 1), (moves.stopped, -1)):
            places = np.flatnonzero(steps >= 0)
            rows = self._demands.of(steps[places], moves.agent[places])
            sizes = self._firsts[rows + 1] - self._firsts[rows]
            starts = np.repeat(self._firsts[rows] - np.cumsum(sizes) + sizes, sizes)
            demands = self._table[starts + np.arange(len(starts))]
            found.append((np.repeat(moves.row[places], sizes), demands[:, 0], sign * demands[:, 1]))
        for kind, sign in ((Kind.ResourceAcquired, 1), (Kind.ResourceReleased, -1)):
            stated = np.flatnonzero((batch.kind == kind) & self._states_all[batch.step])
            found.append((stated, batch.constraint[stated].astype(np.int64), sign * batch.value[stated]))
        places, constraints, amounts = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return places, constraints, amounts


def charges(
    batch: Batch,
    places: NDArray[np.intp],
    constraints: NDArray[np.int64],
    amounts: NDArray[np.int64],
    limit: NDArray[np.int64],
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Return what is charged, given what is taken (`Held.changes`): that at each start, and every amount that has a row.

    `limit` are the limits before the batch: what is taken of one that is not in force is charged to nobody.
    """
    starts = np.flatnonzero((amounts > 0) & (batch.kind[places] == Kind.TaskStarted))
    stated = np.flatnonzero((batch.kind == Kind.ResourceAcquired) | (batch.kind == Kind.ResourceReleased))
    signs = np.where(batch.kind[stated] == Kind.ResourceAcquired, 1, -1)
    rows, numbers = np.append(places[starts], stated), np.append(constraints[starts], batch.constraint[stated])
    in_force = limit[numbers] >= 0
    changed = np.flatnonzero(batch.kind == Kind.ConstraintChanged)
    for number in np.unique(batch.constraint[changed]).tolist():
        own, mine = changed[batch.constraint[changed] == number], numbers == number
        limits = np.append(limit[number], batch.value[own])
        in_force[mine] = limits[np.searchsorted(own, rows[mine])] >= 0
    charged = np.append(amounts[starts], signs * batch.value[stated])
    return rows[in_force], numbers[in_force], charged[in_force]


def take_over(limit: NDArray[np.int64], batch: Batch) -> None:
    """Bring limits to what they are after a batch."""
    changed = np.flatnonzero(batch.kind == Kind.ConstraintChanged)
    # NumPy lets the last of several assignments to one element win.
    limit[batch.constraint[changed]] = batch.value[changed]


def free_again(entry: ConstraintEntry, time_ns: int) -> int | None:
    """Return the last time whose charges are there again at a moment, -1 where none are; None where that is not known.

    Of a rate they are those before its last period, of a quota those before its present one.
    """
    numbers = entry.at(time_ns)
    period_ns = 0 if numbers is None else numbers.get("period_ns", 0)
    if entry.type == "rate_limit":
        return max(-1, time_ns - period_ns)
    if entry.type == "quota" and (numbers is None or not numbers.get("first_use")):
        return time_ns // period_ns * period_ns - 1 if period_ns else -1
    return None


class Cursor:
    """Steps through a log: the state at one time after another, each row read once."""

    def __init__(self, log: Log, agents: int | None = None) -> None:
        self._state = FleetState(log.header, agents)
        self._batches = log.batches()
        self._batch = next(self._batches, None)
        self._row = 0

    def advance(self, time_ns: int) -> Moment:
        """Return the state at `time_ns`, good until the next call; raises ValueError for an earlier time."""
        if time_ns < self._state.time_ns:
            raise ValueError(f"{time_ns} ns is in the past; allowed: {self._state.time_ns} ns or later")
        while self._batch is not None:
            stop = int(np.searchsorted(self._batch.time, time_ns, side="right"))
            self._state.apply(self._batch.rows(self._row, stop))
            self._row = stop
            if stop < len(self._batch):
                break
            self._batch, self._row = next(self._batches, None), 0
        self._state.time_ns = time_ns
        return self._state.moment()

    def taken(self, time_ns: int) -> NDArray[np.int64]:
        """Return what was charged of each constraint up to `time_ns`; raises ValueError for an earlier time."""
        self.advance(time_ns)
        return self._state.taken.copy()


def state_at(log: Log, time_ns: int, agents: int | None = None) -> Moment:
    """Return the state at `time_ns`, events at that time included, with what was charged lately."""
    cursor = Cursor(log, agents)
    again = [free_again(entry, time_ns) for entry in log.header.constraints]
    before = {at: cursor.taken(at) for at in sorted({each for each in again if each is not None and each >= 0})}
    moment, taken = cursor.advance(time_ns), cursor.taken(time_ns)
    for number, at in enumerate(again):
        if at is not None:
            moment.charged[number] = taken[number] - (before[at][number] if at >= 0 else 0)
    return moment


class Extent(NamedTuple):
    """The time of the last readable row in ns (0 where there is none), and the number of agents, spawned ones included."""

    end_ns: int
    agents: int


def extent_of(log: Log) -> Extent:
    """Read through a log; afterwards `log.cut` is known."""
    end_ns, roster = 0, Roster(log.header)
    for batch in log.batches():
        end_ns = int(batch.time[-1])
        roster.feed(batch)
    return Extent(end_ns, roster.agents)


def limits_of(header: Header) -> NDArray[np.int64]:
    """Return the limits in force at the beginning."""
    return np.array([_limit(entry.type, entry.settings[0][1]) for entry in header.constraints], np.int64)


def _limit(type_: str, numbers: dict[str, int] | None) -> int:
    """Return the limit that is in force, as `ConstraintChanged` states it; -1 is none."""
    if numbers is None:
        return -1
    if type_ == "rate_limit":
        return min(_LIMIT_MAX, numbers["tokens"] * NS_PER_SECOND * MICRO // numbers["period_ns"])
    if type_ == "circuit_breaker":
        return -1
    if type_ == "incident":
        return 0
    if type_ == "pause":
        return 0 if numbers["paused"] else -1
    return numbers[{"resource": "capacity", "quota": "total"}.get(type_, "limit")]
