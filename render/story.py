"""The story of an agent: what it did, stretch by stretch, and at the end what it does now, for whom it waits, who has it.

Rules:

1. A spell is what one visit of the agent does for a time: it waits for a constraint, runs, holds, or backs off; or the
   agent itself is down. While it does none of these it thinks, or waits for others: those spells fill the gaps.
2. The story at a moment is that of the rows up to it: what has no end by then goes on. So the waits in it add up to what
   the wait ledger of `sim.analysis.ledger` has of the agent at that moment, cause by cause, but for joins: that it waits
   for those that it spawned is no spell, and where it does nothing else it is told with thinking.
3. Who holds and who waits is found where explanations find it: `sim.analysis.holdings` and `sim.analysis.waits`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import lru_cache

import numpy as np

from model.events import Kind, Status
from render.film import Film
from sim.analysis.holdings import Holdings, holdings, is_held, taken
from sim.analysis.record import Record, Row
from sim.analysis.waits import GOES_ON, Stretches, Waits

_SEVERAL = frozenset({"fork", "graph", "spawn"})
"""The kinds of steps at which an agent may wait for others."""


class What(Enum):
    """What a spell is spent with; those that are points in time last for 0 ns."""

    THOUGHT = "thought"
    WAITED = "waited"
    RAN = "ran"
    HELD = "held"
    BACKED_OFF = "backed off"
    DOWN = "down"
    REFUSED = "refused"
    SKIPPED = "skipped"
    DEADLOCKED = "deadlocked"


_POINTS = frozenset({What.REFUSED, What.SKIPPED, What.DEADLOCKED})


@dataclass(frozen=True, slots=True)
class Spell:
    """What an agent did from a time to another, or does still: `to_ns` is None. `event` is the row that began it.

    `step`, `visit` and `attempt` are those of its task, -1 where it is the agent's own. `status` is how what ran ended.
    """

    what: What
    event: int
    from_ns: int
    to_ns: int | None
    step: int = -1
    visit: int = -1
    attempt: int = -1
    constraint: int = -1
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who has some of a constraint, since when, and how much."""

    agent: int
    step: int
    visit: int
    amount: int
    since_ns: int


@dataclass(frozen=True, slots=True)
class Holders:
    """Who has a constraint: so many in all, and those with most of it, of equals those who have it longest."""

    count: int
    most: tuple[Holder, ...]


class Story:
    """The spells of an agent all through a log."""

    def __init__(self, film: Film, agent: int) -> None:
        self.agent = agent
        fold = _Fold(film)
        for event in film.of_agent(agent).tolist():
            columns = (getattr(film.rows, name)[event] for name in Row._fields[1:])
            fold.take_in(Row(event, *map(int, columns)))
        fleets, _ = film.roster.places(np.array([agent]))
        steps = [step for step in film.header.steps if step.fleet == fleets[0]]
        self.may_wait_for_others = any(step.kind in _SEVERAL for step in steps)
        self.began_ns, self.ended_ns = fold.began_ns, fold.ended_ns
        self._spells = sorted([*fold.spells, *fold.open.values()], key=lambda spell: (spell.from_ns, spell.event))

    def at(self, time_ns: int) -> list[Spell]:
        """Return the spells up to a moment, in the order in which they began; those that go on then have no end."""
        told = [_up_to(spell, time_ns) for spell in self._spells if spell.from_ns <= time_ns]
        told = [spell for spell in told if spell.what in _POINTS or spell.to_ns != spell.from_ns]
        return sorted([*told, *self._gaps(told, time_ns)], key=lambda spell: (spell.from_ns, spell.event))

    def _gaps(self, told: list[Spell], time_ns: int) -> Iterator[Spell]:
        """Yield the times in which nothing of the agent goes on."""
        if self.began_ns is None or self.began_ns > time_ns:
            return
        is_over = self.ended_ns is not None and self.ended_ns <= time_ns
        free_ns: int | None = self.began_ns
        for spell in told:
            if spell.what is What.HELD or spell.what in _POINTS:
                continue
            if free_ns is not None and spell.from_ns > free_ns:
                yield Spell(What.THOUGHT, -1, free_ns, spell.from_ns)
            free_ns = None if spell.to_ns is None or free_ns is None else max(free_ns, spell.to_ns)
        if free_ns is None:
            return
        if not is_over:
            yield Spell(What.THOUGHT, -1, free_ns, None)
        elif self.ended_ns is not None and self.ended_ns > free_ns:
            yield Spell(What.THOUGHT, -1, free_ns, self.ended_ns)


def _up_to(spell: Spell, time_ns: int) -> Spell:
    goes_on = spell.to_ns is None or spell.to_ns > time_ns
    return replace(spell, to_ns=None, status=None) if goes_on else spell


class _Fold:
    """Takes in the rows of an agent in order."""

    def __init__(self, film: Film) -> None:
        self._holds = [step.kind == "hold" for step in film.header.steps]
        self._started: set[tuple[int, int, int, int]] = set()
        self.spells: list[Spell] = []
        self.open: dict[tuple[int, int], Spell] = {}
        self.began_ns: int | None = None
        self.ended_ns: int | None = None

    def take_in(self, row: Row) -> None:
        """Take in the next row."""
        match row.kind:
            case Kind.AgentStarted:
                self.began_ns = row.time
            case Kind.AgentFinished:
                self._close_all(row)
                self.ended_ns = row.time
            case Kind.AgentCrashed:
                self._close_all(row)
                self.open[-1, -1] = Spell(What.DOWN, row.event, row.time, row.time + row.value)
            case Kind.AgentRestarted:
                self._close_all(row)
            case Kind.TaskBlocked | Kind.TaskRebound:
                self._go_on(row, What.WAITED)
            case Kind.TaskStarted:
                self._started.add(row.attempted)
                self._go_on(row, What.HELD if self._holds[row.step] else What.RAN)
            case Kind.TaskResumed if row.attempted in self._started:
                self._go_on(row, What.HELD if self._holds[row.step] else What.RAN)
            case Kind.TaskRetrying:
                self._go_on(row, What.BACKED_OFF, row.time + row.value)
            case Kind.TaskRejected | Kind.TaskSkipped | Kind.DeadlockDetected:
                self._note(row)
            case Kind.TaskFinished:
                self._close(row, Status(row.value))
            case Kind.TaskResumed | Kind.TaskAbandoned:
                self._close(row)

    def _go_on(self, row: Row, what: What, to_ns: int | None = None) -> None:
        self._close(row)
        task = (row.step, row.visit, row.attempt, row.constraint)
        self.open[row.step, row.visit] = Spell(what, row.event, row.time, to_ns, *task)

    def _note(self, row: Row) -> None:
        """Keep what comes at a point in time."""
        if row.kind == Kind.DeadlockDetected:
            # There is a row for each of its tasks that is caught.
            if any(spell.what is What.DEADLOCKED and spell.from_ns == row.time for spell in self.spells):
                return
            what = What.DEADLOCKED
        else:
            self._close(row)
            what = What.REFUSED if row.kind == Kind.TaskRejected else What.SKIPPED
        task = (row.step, row.visit, row.attempt, row.constraint)
        self.spells.append(Spell(what, row.event, row.time, row.time, *task))

    def _close(self, row: Row, status: Status | None = None) -> None:
        spell = self.open.pop((row.step, row.visit), None)
        if spell is not None:
            to_ns = row.time if spell.to_ns is None else min(spell.to_ns, row.time)
            self.spells.append(replace(spell, to_ns=to_ns, status=status))

    def _close_all(self, row: Row) -> None:
        for spell in self.open.values():
            to_ns = row.time if spell.to_ns is None else min(spell.to_ns, row.time)
            self.spells.append(replace(spell, to_ns=to_ns))
        self.open.clear()


class Stakes:
    """Who holds and who waits for each constraint of a film. The first question about one reads the whole film."""

    def __init__(self, film: Film) -> None:
        self._film = film
        self._record = Record(film.roster, film.rows, film.end_ns, film.cut)
        self._had = lru_cache(maxsize=None)(self._find)
        self._waits: Stretches | None = None

    def is_held(self, constraint: int) -> bool:
        """Say whether what is taken of a constraint is given back."""
        return is_held(self._record, constraint)

    def holders(self, constraint: int, time_ns: int, most: int) -> Holders:
        """Return who has some of a constraint at a moment; of what is not held, whose share is not there again yet."""
        had, event = self._had(constraint), self._event(time_ns)
        if self.is_held(constraint):
            places = had.at(event)
        else:
            places = np.flatnonzero((had.took < event) & (had.gave_ns > time_ns) & (had.amount > 0))
        first = places[np.lexsort((had.took[places], -had.amount[places]))[:most]]
        columns = (had.agent, had.step, had.visit, had.amount, had.took_ns)
        told = zip(*(column[first].tolist() for column in columns), strict=True)
        return Holders(len(places), tuple(Holder(*each) for each in told))

    def ahead(self, spell: Spell, time_ns: int) -> int:
        """Return how many tasks wait at a moment for what a spell waits for, and asked for it before."""
        if self._waits is None:
            self._waits = self._find_waits()
        waits, event = self._waits, self._event(time_ns)
        mine = np.flatnonzero((waits.begun == spell.event) & (waits.constraint == spell.constraint))
        asked = int(waits.asked[mine[0]])
        here = (waits.constraint == spell.constraint) & (waits.begun < event)
        return int(np.count_nonzero(here & ((waits.end >= event) | (waits.end == GOES_ON)) & (waits.asked < asked)))

    def shut_since(self, constraint: int, time_ns: int) -> int:
        """Return since when the state of a constraint has been what it is."""
        rows = self._film.rows
        changed = np.flatnonzero((rows.kind == Kind.ConstraintChanged) & (rows.constraint == constraint))
        before = changed[changed < self._event(time_ns)]
        return int(rows.time[before[-1]]) if len(before) else 0

    def _event(self, time_ns: int) -> int:
        """Return the number of the first event after a moment."""
        return int(np.searchsorted(self._film.rows.time, time_ns, side="right"))

    def _find(self, constraint: int) -> Holdings:
        return (holdings if self.is_held(constraint) else taken)(self._record, constraint)

    def _find_waits(self) -> Stretches:
        """Return all stretches of waiting."""
        fold = Waits()
        parts = [fold.feed(batch) for _, batch in self._record.chunks()]
        parts.append(fold.rest())
        names = [each.name for each in fields(Stretches)]
        return Stretches(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
