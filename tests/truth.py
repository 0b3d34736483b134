"""A log laid out up to a moment: who waits, who holds what, and what was in force, for whoever checks what is said of it.

Who holds what is known from `tests.invariants.replay`, who waits, and who asked when, from `tests.starving`. Nothing of
what makes an explanation is used.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from model.events import Kind
from model.log import Log

from . import starving
from .invariants.levels import Slots
from .invariants.reading import Reading, Row, Visit, read
from .invariants.replay import Replay

Dict = dict[str, Any]
TIMED = ("rate_limit", "quota")
FOR_GOOD = 2**62


class Interval(NamedTuple):
    """A visit held an amount of a constraint from a row on, up to another or to the end."""

    visit: Visit
    constraint: int
    amount: int
    first: Row
    last: Row | None


class Truth:
    """A log up to a moment, laid out."""

    def __init__(self, log: Log, until: int) -> None:
        self.reading: Reading = read(log)
        self.until = until
        self.rows = [row for row in self.reading.rows if row.time <= until]
        self.ids = [entry.id for entry in log.header.constraints]
        self.types = [entry.type for entry in log.header.constraints]
        self.names = {self.reading.name(agent): agent for agent in range(self.reading.agents)}
        self.limits: list[list[int]] = []  # before each row, of each constraint
        self.held: list[Interval] = []
        self.waits = [
            wait._replace(end=wait.end if wait.end is not None and wait.end.time <= until else None)
            for wait in starving.waits(self.reading)
            if wait.begin.time <= until
        ]
        self._hold()

    def _hold(self) -> None:
        replay = Replay(self.reading)
        now: dict[tuple[Visit, int], tuple[Row, int]] = {}
        for row in self.rows:
            self.limits.append([self._limit(replay, number) for number in range(len(self.ids))])
            replay.apply(row)
            after = {
                (visit, number): amount
                for visit, amounts in replay.holding.items()
                for number, amount in amounts.items()
                if amount and self.reading.holds(number)
            }
            for key in [key for key in now if key not in after]:
                first, amount = now.pop(key)
                self.held.append(Interval(*key, amount, first, row))
            for key, amount in after.items():
                now.setdefault(key, (row, amount))
        self.limits.append([self._limit(replay, number) for number in range(len(self.ids))])
        self.held += [Interval(*key, amount, first, None) for key, (first, amount) in now.items()]

    @staticmethod
    def _limit(replay: Replay, number: int) -> int:
        level = replay.levels[number]
        return level.limit if isinstance(level, Slots) and level.limit is not None else -1

    def holders(self, constraint: int, event: int) -> list[Interval]:
        """Return who holds some right before an event; what is taken at its instant after its rows does not count."""
        return [
            each
            for each in self.held
            if each.constraint == constraint
            and each.first.number < event
            and (each.last is None or each.last.number >= event)
        ]

    def row(self, event: int, kind: Kind, facts: Dict, at_ns: int | None = None) -> Iterator[str]:
        """Say what is wrong with a row that is to be of a kind, of the task or agent, and at a time."""
        row = self.rows[event]
        if row.kind != kind:
            yield f"event {event} is {Kind(row.kind).name}, not {kind.name}"
        if "task" in facts and (self.reading.task_name(row), row.visit) != (facts["task"], facts["visit"]):
            yield f"event {event} is of {self.reading.who(row)}"
        if "attempt" in facts and row.attempt != facts["attempt"]:
            yield f"event {event} is of attempt {row.attempt}"
        if "agent" in facts and "task" not in facts and self.reading.name(row.agent) != facts["agent"]:
            yield f"event {event} is of {self.reading.name(row.agent)}"
        if at_ns is not None and row.time != at_ns:
            yield f"event {event} is at {row.time}, not {at_ns}"

    def about(self, event: int, facts: Dict) -> Iterator[str]:
        """Say what is wrong where a row is to be about the constraint."""
        if self.ids[self.rows[event].constraint] != facts["constraint"]:
            yield f"event {event} is about {self.ids[self.rows[event].constraint]}"

    def of_visit(self, facts: Dict) -> list[Row]:
        return [
            row
            for row in self.rows
            if row.step >= 0
            and row.attempt >= 0
            and row.kind != Kind.DeadlockDetected
            and row.visit == facts["visit"]
            and self.reading.task_name(row) == facts["task"]
        ]

    def spans(self, agent: int) -> Iterator[tuple[str, int, int, int]]:
        """Yield from when to when an agent's tasks did what: the word, a constraint, and the times."""
        mine = [row for row in self.rows if row.agent == agent]
        for place, row in enumerate(mine):
            later = mine[place + 1 :]
            same = [each for each in later if each.task.whole == row.task.whole and each.attempt >= 0]
            if row.kind == Kind.TaskStarted and self.reading.header.steps[row.step].kind == "task":
                end = next((each.time for each in same if each.kind == Kind.TaskFinished), self.until)
                yield "worked", -1, row.time, end
            elif row.kind == Kind.TaskRetrying:
                ends = (each.time for each in same if each.kind != Kind.ResourceReleased)
                yield "backed_off", -1, row.time, next(ends, self.until)
            elif row.kind == Kind.AgentCrashed:
                yield "repaired", -1, row.time, next((each.time for each in later), self.until)
            elif row.kind == Kind.AgentStarted:
                pass

    def spent(self, agent: int, from_ns: int, to_ns: int) -> Dict:
        """Return what an agent did in a time, in ns: at each moment the busiest of what it did."""
        waits = [wait for wait in self.waits if wait.begin.agent == agent]
        spans = list(self.spans(agent))
        children = [
            (
                row.time,
                next(
                    (end.time for end in self.rows if end.agent == row.agent and end.kind == Kind.AgentFinished),
                    self.until,
                ),
            )
            for row in self.rows
            if row.kind == Kind.AgentStarted and row.step >= 0 and row.value == agent and self.spawn_waits(row.step)
        ]
        times = sorted({from_ns, to_ns, *(row.time for row in self.rows if from_ns <= row.time <= to_ns)})
        found: Dict = {}
        for since, until in pairwise(times):
            on = {what for what, _, begin, end in spans if begin <= since and end >= until}
            bound = [
                (wait.begin.number, wait.bound_at(last.number))
                for wait in waits
                for last in [max((row for row in self.rows if row.time <= since), key=lambda row: row.number)]
                if wait.begin.time <= since and (wait.end is None or wait.end.time >= until)
            ]
            if "repaired" in on:
                key = "repaired", None
            elif "worked" in on:
                key = "worked", None
            elif bound:
                key = "waited", self.ids[min(bound)[1]]
            elif "backed_off" in on:
                key = "backed_off", None
            else:
                at_work = any(begin <= since and end >= until for begin, end in children)
                key = ("spawned" if at_work else "idle"), None
            found[key] = found.get(key, 0) + until - since
        return found

    def spawn_waits(self, number: int) -> bool:
        """Whether a step that spawns waits; steps are numbered as they are written."""
        step = self.reading.header.steps[number]
        first = min(place for place, each in enumerate(self.reading.header.steps) if each.fleet == step.fleet)
        spawns = [each for each in self.reading.header.steps[first:number] if each.kind == "spawn"]
        written = list(_spawns(self.reading.header.scenario["fleets"][step.fleet]["steps"]))
        return bool(written[len(spawns)].get("wait", True))


def _spawns(steps: list[Dict]) -> Iterator[Dict]:
    for step in steps:
        if "spawn" in step:
            yield step
        for key in ("steps", "choose", "graph"):
            inner = step.get(key)
            if isinstance(inner, list):
                yield from _spawns(inner)
