"""A SimPy environment in whole nanoseconds, and the order of events at one instant.

Rules:

1. The heap key is SimPy's own: (time, priority, id). The priority is the rank below; ids are given in the order of
   scheduling. Nothing else ever decides an order.
2. `advance` does what a loop of stock `step()` calls does, faster. Ordinary SimPy processes and events work beside ours.
3. Our own events are reused: whoever schedules one sets its callbacks again first.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import repeat
from typing import Any

import simpy
from simpy.events import Event

CHANGE = -1  # scheduled changes of constraints, expiries: the part of control that is known before the run
CONTROL = 0  # an agent crashes, or is up again
COMPLETION = 1  # a task ends, its holdings are released, waiting tasks are admitted
REFILL = 2  # a rate limit has earned enough for the next waiting task
REQUEST = 3  # an arrival or the end of thinking asks for admission
DEADLINE = 4  # a waiting task gives up; a grant at the same instant wins
END = 5  # the run ends, after everything at its last instant

FOREVER = 2**63 - 1

BEGUN_MAX = 1_000_000
"""Most branches and spawned agents that may begin at one instant."""
NESTED_MAX = 100
"""Most of them that may begin within each other, each as the first thing that the one before it does."""


class Endless(Exception):
    """The run cannot come to its end: time does not go on, or goes past what a log can hold."""


class Instant(Event):
    """An event that happens at a time and a rank that are known when it is made."""

    def __init__(self, env: "Environment", time: int, rank: int) -> None:
        super().__init__(env)
        self._ok = True
        self._value: Any = None
        env.push(time, rank, self)


class Environment(simpy.Environment):
    """SimPy's environment with a whole-number clock."""

    _now: int
    _queue: list[tuple[int, int, int, Event]]  # type: ignore[assignment] # the priority is a plain number here

    def __init__(self) -> None:
        super().__init__(initial_time=0)
        self.begun = 0  # branches and spawned agents so far
        self._begun_before = 0  # those of earlier instants
        self._begun_ns = 0  # the instant
        self._nested = 0

    def push(self, time: int, rank: int, event: Event) -> None:
        """Schedule an event that is already triggered, at an absolute time."""
        heappush(self._queue, (time, rank, next(self._eid), event))

    def at(self, time: int, rank: int) -> Instant:
        """Return an event that happens at `time` (ns), in the order of its rank among those at that instant."""
        return Instant(self, time, rank)

    @property
    def begun_earlier(self) -> int:
        """How many branches and spawned agents began before this instant."""
        return self._begun_before if self._begun_ns == self._now else self.begun

    def begin_another(self, begin: Callable[[], Any]) -> Any:
        """Begin a branch, or an agent that is spawned; raises Endless where there is no end of them at this instant."""
        if self._begun_ns != self._now:
            self._begun_ns, self._begun_before = self._now, self.begun
        self.begun += 1
        if self.begun - self._begun_before > BEGUN_MAX or self._nested == NESTED_MAX:
            raise Endless(
                f"branches or agents begin without end at {self._now / 1e9:.9g} s; "
                f"allowed: at most {BEGUN_MAX:,} at one instant, and {NESTED_MAX} within each other before time goes on"
            )
        self._nested += 1
        try:
            return begin()
        finally:
            self._nested -= 1

    def comes_next(self, rank: int) -> bool:
        """Say whether the next event is at this instant and of this rank."""
        queue = self._queue
        return bool(queue) and queue[0][1] == rank and queue[0][0] == self._now

    def take_next(self, rank: int) -> Event | None:
        """Take out and return the next event, if it is at this instant and of this rank."""
        return heappop(self._queue)[3] if self.comes_next(rank) else None

    def advance(self, events: int) -> None:
        """Process this many events; raises what a callback raises, `simpy.core.StopSimulation` at the end of the run.

        There must be an event that ends the run: an empty schedule is not looked for.
        """
        queue, pop = self._queue, heappop
        for _ in repeat(None, events):
            self._now, _, _, event = pop(queue)
            callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment] # SimPy's mark: processed
            for callback in callbacks:
                callback(event)
            if not event._ok and not hasattr(event, "_defused"):
                raise event._value
