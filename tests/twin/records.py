"""What happened to every attempt, whether it was simulated or real: who asked, waited, started, finished, was refused.

Rules:

1. A record says the same whoever wrote it: `simulated` reads the log of a run, `Diary` is kept by a real fleet.
2. Times are seconds since the fleet began. A record has no time that did not happen.
3. `Records.order` lists who was admitted, in the order in which it happened, not by the clock: two events of one instant
   have an order too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from model.events import Kind, Status
from model.log import Log
from model.roster import Roster

_NS = 1e-9
_MICRO = 1e-6


class Outcome(StrEnum):
    """How an attempt ended."""

    done = "done"
    refused = "refused"
    gave_up = "gave up"


class Key(NamedTuple):
    """Which attempt: the agent by its name, the step, and the number of the attempt, from 0."""

    agent: str
    step: str
    attempt: int = 0

    def __str__(self) -> str:
        return f"{self.agent}_{self.step}" + (f".{self.attempt}" if self.attempt else "")


@dataclass(slots=True)
class Attempt:
    """What became of one attempt."""

    key: Key
    asked: float
    waited: bool = False
    started: float | None = None
    finished: float | None = None
    outcome: Outcome | None = None
    amount: float = 1.0
    """How much of a resource it had, where that was drawn."""

    @property
    def work_s(self) -> float:
        """How long it worked; 0 where it never started."""
        return 0.0 if self.started is None or self.finished is None else self.finished - self.started


@dataclass(slots=True)
class Records:
    """Everything that happened to one fleet."""

    arrived: dict[str, float] = field(default_factory=dict)
    attempts: dict[Key, Attempt] = field(default_factory=dict)
    order: list[Key] = field(default_factory=list)

    def count(self, outcome: Outcome) -> int:
        """How many attempts ended so."""
        return sum(each.outcome is outcome for each in self.attempts.values())

    @property
    def waits(self) -> int:
        """How many attempts were blocked."""
        return sum(each.waited for each in self.attempts.values())

    @property
    def end(self) -> float:
        """When the last attempt was over."""
        return max(each.finished or each.asked for each in self.attempts.values())


def times(attempt: Attempt) -> dict[str, float]:
    """The instants of an attempt, by name."""
    named = {"asked": attempt.asked, "started": attempt.started, "finished": attempt.finished}
    return {name: at for name, at in named.items() if at is not None}


def agents(records: Records) -> dict[str, list[Attempt]]:
    """The attempts of each agent, in the order in which it made them."""
    found: dict[str, list[Attempt]] = {agent: [] for agent in records.arrived}
    for attempt in records.attempts.values():
        found[attempt.key.agent].append(attempt)
    return found


def simulated(log: Log) -> Records:
    """Read the records of a run from its log."""
    records, roster = Records(), Roster(log.header)
    amounts: dict[Key, float] = {}
    name = cache(roster.name)
    for batch in log.batches():
        roster.feed(batch)
        for time_ns, number, agent, step, visit, attempt, _, value in zip(
            *(column.tolist() for column in batch.columns()), strict=True
        ):
            kind, at = Kind(number), time_ns * _NS
            if kind is Kind.AgentStarted:
                records.arrived[name(agent)] = at
            if step < 0 or agent < 0:
                continue
            assert visit == 0, "a twin comes to each step once: its name tells the visit"
            key = Key(name(agent), log.header.steps[step].name, attempt)
            if kind is Kind.ResourceAcquired:
                amounts[key] = value * _MICRO
                continue
            if kind is Kind.ResourceReleased:
                continue
            each = records.attempts.setdefault(key, Attempt(key, at))
            if kind is Kind.TaskBlocked:
                each.waited = True
            elif kind is Kind.TaskStarted:
                each.started, each.amount = at, amounts.get(key, 1.0)
                records.order.append(key)
            elif kind is Kind.TaskRejected:
                each.outcome = Outcome.refused
            elif kind is Kind.TaskAbandoned:
                each.outcome = Outcome.gave_up
            elif kind is Kind.TaskFinished:
                each.finished = at
                if each.outcome is None:
                    assert value == Status.succeeded, Status(value)
                    each.outcome = Outcome.done
    return records


class Page:
    """What a real fleet notes of one attempt while it makes it."""

    def __init__(self, diary: "Diary", attempt: Attempt) -> None:
        self._diary = diary
        self._attempt = attempt

    def waits(self) -> None:
        """It has to wait; noted once, however often it is woken for nothing."""
        self._attempt.waited = True

    def starts(self) -> None:
        """It was admitted."""
        assert self._attempt.started is None
        self._attempt.started = self._diary.now()
        self._diary.records.order.append(self._attempt.key)

    def finishes(self) -> None:
        """Its work is done."""
        self._ends(Outcome.done)

    def is_refused(self) -> None:
        """It was told to come back later."""
        self._ends(Outcome.refused)

    def gives_up(self) -> None:
        """It waited for too long."""
        self._ends(Outcome.gave_up)

    def _ends(self, outcome: Outcome) -> None:
        assert self._attempt.outcome is None
        self._attempt.finished, self._attempt.outcome = self._diary.now(), outcome


class Diary:
    """What a real fleet notes while it goes on."""

    def __init__(self, clock: Callable[[], float], began: float) -> None:
        self.records = Records()
        self._clock = clock
        self.began = began
        self._pages: dict[Key, Page] = {}

    def now(self) -> float:
        """Seconds since the fleet began."""
        return self._clock() - self.began

    def arrives(self, agent: str) -> None:
        """An agent is there."""
        self.records.arrived[agent] = self.now()

    def asks(self, agent: str, step: str) -> Page:
        """An agent asks: the next attempt at this step."""
        key = Key(agent, step)
        while key in self._pages:
            key = key._replace(attempt=key.attempt + 1)
        self.records.attempts[key] = Attempt(key, self.now())
        self._pages[key] = page = Page(self, self.records.attempts[key])
        return page
