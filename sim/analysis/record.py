"""All rows of a log in memory, for questions that lead from one row to another and backwards in time.

Rules:

1. The rows are in memory, and what is worked out of them when somebody asks: at the most some 200 bytes an event.
2. A record may end at a moment: rows at that time are included, and what has no end by then goes on.
3. Columns are filtered as a whole. Rows are gone through one by one only among those of one agent.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from model.events import Batch, Kind, concatenate
from model.header import Header
from model.log import Log
from model.roster import Roster
from model.scenario import Scenario, Spawn, walk
from sim.analysis.scenario import scenario_of
from sim.analysis.takes import asking
from sim.analysis.waits import GOES_ON, Integers, Waits

CHUNK = 65_536
"""How many rows the folds are fed at a time."""


class Row(NamedTuple):
    """One event; `event` is its number in the log."""

    event: int
    time: int
    kind: int
    agent: int
    step: int
    visit: int
    attempt: int
    constraint: int
    value: int

    @property
    def visited(self) -> tuple[int, int, int]:
        """The visit that it belongs to."""
        return self.agent, self.step, self.visit

    @property
    def attempted(self) -> tuple[int, int, int, int]:
        """The attempt that it belongs to."""
        return self.agent, self.step, self.visit, self.attempt


class Stretch(NamedTuple):
    """A part of a wait for one constraint, from an event to another, or to GOES_ON."""

    constraint: int
    begin: int
    from_ns: int
    end: int
    to_ns: int


class Wait(NamedTuple):
    """A wait of an attempt, in its stretches."""

    agent: int
    step: int
    visit: int
    attempt: int
    stretches: tuple[Stretch, ...]

    @property
    def begin(self) -> int:
        """The `TaskBlocked` that begins it."""
        return self.stretches[0].begin

    @property
    def end(self) -> int:
        """The event that ends it, or GOES_ON."""
        return self.stretches[-1].end

    @property
    def from_ns(self) -> int:
        """When it begins."""
        return self.stretches[0].from_ns

    @property
    def to_ns(self) -> int:
        """When it ends, or the end of what is known."""
        return self.stretches[-1].to_ns

    @property
    def ns(self) -> int:
        """How long it is."""
        return self.to_ns - self.from_ns


class Record:
    """The rows of a log up to a moment, and the names behind their numbers."""

    def __init__(
        self, roster: Roster, rows: Batch, end_ns: int, cut: bool, scenario: Callable[[], Scenario] | None = None
    ) -> None:
        """Keep rows. The `scenario` is read from the header when somebody asks for it, if it is not known already."""
        self.header: Header = roster.header
        self.roster = roster
        self._read_scenario = scenario or (lambda: scenario_of(self.header))
        self.rows = rows
        self.end_ns = end_ns
        self.cut = cut

    @classmethod
    def of(cls, log: Log) -> "Record":
        """Read all there is of a log."""
        roster, batches = Roster(log.header), []
        for batch in log.batches():
            roster.feed(batch)
            batches.append(batch)
        rows = concatenate(batches) if batches else Batch(*(np.zeros(0, np.int64) for _ in range(8)))  # type: ignore[arg-type]
        return cls(roster, rows, int(rows.time[-1]) if len(rows) else 0, log.cut)

    def until(self, time_ns: int) -> "Record":
        """Return what there was at a moment."""
        stop = int(np.searchsorted(self.rows.time, time_ns, side="right"))
        return Record(self.roster, self.rows.rows(0, stop), time_ns, self.cut, lambda: self.scenario)

    @cached_property
    def scenario(self) -> Scenario:
        """What was run."""
        return self._read_scenario()

    @cached_property
    def asking(self) -> dict[int, "object"]:
        """The tasks and holds of the scenario by the numbers of their steps."""
        return dict(asking(self.header, self.scenario))

    @cached_property
    def waits_for_spawned(self) -> dict[int, bool]:
        """For each step that spawns agents, whether it waits until they are done."""
        numbers = [number for number, step in enumerate(self.header.steps) if step.kind == "spawn"]
        steps = (step for fleet in self.scenario.fleets for step in walk(fleet.steps) if isinstance(step, Spawn))
        return {number: step.wait for number, step in zip(numbers, steps, strict=True)}

    @cached_property
    def _by_agent(self) -> tuple[Integers, Integers]:
        order = np.argsort(self.rows.agent, kind="stable")
        return order, self.rows.agent[order].astype(np.int64)

    def of_agent(self, agent: int) -> Integers:
        """Return the events of an agent, in order."""
        order, agents = self._by_agent
        first, stop = np.searchsorted(agents, (agent, agent + 1))
        return order[first:stop]

    def row(self, event: int) -> Row:
        """Return one row."""
        rows = self.rows
        columns = (rows.time, rows.kind, rows.agent, rows.step, rows.visit, rows.attempt, rows.constraint, rows.value)
        return Row(event, *(int(column[event]) for column in columns))

    def back(self, event: int, agent: int) -> Iterator[Row]:
        """Yield the rows of an agent before an event, the last first."""
        events = self.of_agent(agent)
        for place in range(int(np.searchsorted(events, event)) - 1, -1, -1):
            yield self.row(int(events[place]))

    def on(self, event: int, agent: int) -> Iterator[Row]:
        """Yield the rows of an agent after an event."""
        events = self.of_agent(agent)
        for place in range(int(np.searchsorted(events, event, side="right")), len(events)):
            yield self.row(int(events[place]))

    def chunks(self, stop: int | None = None) -> Iterator[tuple[int, Batch]]:
        """Yield the rows in parts, each with the number of its first event."""
        stop = len(self.rows) if stop is None else stop
        for first in range(0, stop, CHUNK):
            yield first, self.rows.rows(first, min(stop, first + CHUNK))

    def events_of(self, kind: Kind, constraint: int) -> Integers:
        """Return the events of a kind that are about a constraint."""
        return np.flatnonzero((self.rows.kind == kind) & (self.rows.constraint == constraint))

    @cached_property
    def _spawnings(self) -> tuple[Integers, Integers]:
        events = np.flatnonzero((self.rows.kind == Kind.AgentStarted) & (self.rows.step >= 0))
        order = np.argsort(self.rows.value[events], kind="stable")
        return events[order], self.rows.value[events[order]]

    def spawned_by(self, agent: int) -> list[Row]:
        """Return the `AgentStarted` of the agents that an agent spawned and waits for, in order."""
        events, parents = self._spawnings
        first, stop = np.searchsorted(parents, (agent, agent + 1))
        rows = [self.row(event) for event in events[first:stop].tolist()]
        return [row for row in rows if self.waits_for_spawned[row.step]]

    def end_of_agent(self, agent: int) -> Row | None:
        """Return the `AgentFinished` of an agent, if there is one."""
        events = self.of_agent(agent)
        last = self.row(int(events[-1])) if len(events) else None
        return last if last is not None and last.kind == Kind.AgentFinished else None

    def task(self, agent: int, step: int, visit: int, attempt: int | None = None) -> dict[str, str | int]:
        """Name a task, as facts do."""
        named: dict[str, str | int] = {"task": self.roster.task_name(agent, step) or "", "visit": visit}
        return named if attempt is None else {**named, "attempt": attempt}

    def priority(self, step: int) -> int:
        """Return how important the tasks of a step are."""
        own = getattr(self.asking.get(step), "priority", None)
        return self.header.fleets[self.header.steps[step].fleet].priority if own is None else own

    def waits(self, events: Integers) -> list[Wait]:
        """Return the waits among some events, all that there are of their tasks, in the order in which they begin."""
        some = Batch(*(column[events] for column in self.rows.columns()))  # type: ignore[arg-type] # in their order
        fold = Waits()
        parts: dict[int, list[tuple[tuple[int, int, int, int], Stretch]]] = {}
        for told in (fold.feed(some), fold.rest()):
            columns = (told.agent, told.step, told.visit, told.attempt, told.constraint)
            ends = (told.asked, told.since_ns, told.end, told.end_ns)
            for *task, constraint, asked, since_ns, end, end_ns in zip(
                *(column.tolist() for column in (*columns, *ends)), strict=True
            ):
                goes_on = end == GOES_ON
                stretch = Stretch(
                    constraint,
                    -1,
                    since_ns,
                    GOES_ON if goes_on else int(events[end]),
                    self.end_ns if goes_on else end_ns,
                )
                parts.setdefault(int(events[asked]), []).append((tuple(task), stretch))
        found = []
        for begin, stretches in sorted(parts.items()):
            stretches.sort(key=lambda pair: len(self.rows) if pair[1].end == GOES_ON else pair[1].end)
            begins = [begin, *(stretch.end for _, stretch in stretches[:-1])]
            linked = tuple(one._replace(begin=at) for at, (_, one) in zip(begins, stretches, strict=True))
            found.append(Wait(*stretches[0][0], linked))
        return found
