"""Queues: in which order those who wait for a limit are tried, and whom a limit refuses because of others.

Rules:

1. In a fair queue a group stands where its tag is, which grows by amount / weight with each task that is admitted. The tag
   of a group of which nobody waits is no less than the virtual time: the furthest place from which somebody was admitted.
   Ties go to the group of which somebody has asked first; within a group it is by age.
2. A random queue is in no order. Whoever may be next is an option, and the log says who was. Under `strict` that may
   be somebody who does not fit, so that nobody is next.
3. A bucket or a window also refuses whoever has somebody before it in the queue who waits for as much or less; a strict
   limit, whoever has anybody before it. In a random queue all are before one who comes, be it from another limit.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from .limits import Limit


@dataclass(eq=False)
class Request:
    """What a task asks for, and what becomes of it."""

    agent: int
    fleet: int
    step: int
    visit: int
    attempt: int
    amounts: list[tuple[int, int]]  # constraint, amount: what it asks for now
    priority: int
    deadline: float
    duration: int
    age: int
    asked: int  # for that
    first: int  # for the first of what is acquired in order
    answer: Callable[[str], None]  # called when one who waits is admitted or rejected
    preempted: Callable[[], set[int]]  # returns the limits that have more room then
    waits_for: int | None = None
    blocked: int = 0  # since when
    charged: int = 0  # since when to the limit that it waits for
    last: int = -1  # the limit that it waited for last
    rejected_by: int = -1
    rejected_for: int = -1
    impossible: bool = False
    started: int = 0
    lent: bool = False  # whether it asks again for what it gave back meanwhile: it is not refused then
    loses_to: str | None = None  # what becomes of those whose slots the limit takes that needs them first
    holds: list[tuple[int, int]] = field(default_factory=list)
    unwanted: set[int] = field(default_factory=set)  # the incidents that refuse it while they are on

    @property
    def who(self) -> tuple[int, int, int, int]:
        return self.agent, self.step, self.visit, self.attempt

    def amount(self, limit: Limit) -> int:
        """Return how much it asks of a limit."""
        return next(amount for constraint, amount in self.amounts if constraint == limit.number)


class Queues:
    """All who wait, for whatever limit."""

    def __init__(self) -> None:
        self.waiting: list[Request] = []

    def of(self, limit: Limit) -> list[Request]:
        """Return those who wait for a limit, in the order of its queue."""
        queue = [request for request in self.waiting if request.waits_for == limit.number]
        return sorted(queue, key=lambda request: self._place(request, limit))

    def _place(self, request: Request, limit: Limit) -> tuple:
        match limit.how.queue:
            case "fifo" | "random":
                return (request.age,)
            case "lifo":
                return (-request.age,)
            case "priority":
                return (-request.priority, request.age)
            case "edf":
                return (request.deadline, request.age)
            case "sjf":
                return (request.duration, request.age)
            case "fair":
                group, _ = limit.how.share_of[request.fleet]
                ages = [other.age for other in self._group(limit, group)]
                return (self._tag(limit, group), min([request.age, *ages]), request.age)
        raise AssertionError(f"the documents do not say how a queue is {limit.how.queue}")

    def _group(self, limit: Limit, group: int) -> list[Request]:
        """Return those of a group who wait for a limit."""
        queue = [request for request in self.waiting if request.waits_for == limit.number]
        return [request for request in queue if limit.how.share_of[request.fleet][0] == group]

    def _tag(self, limit: Limit, group: int) -> Fraction:
        tag = limit.tags.get(group, Fraction(0))
        return tag if self._group(limit, group) else max(tag, limit.virtual_time)

    def join(self, request: Request, limit: Limit) -> None:
        """Let one wait for a limit."""
        if limit.how.queue == "fair":
            group, _ = limit.how.share_of[request.fleet]
            limit.tags[group] = self._tag(limit, group)
        if request not in self.waiting:
            self.waiting.append(request)
        request.waits_for = request.last = limit.number

    def serve(self, request: Request, limit: Limit) -> None:
        """Count one who is admitted, while it still waits if it does."""
        if limit.how.queue == "fair":
            group, weight = limit.how.share_of[request.fleet]
            place = self._tag(limit, group)
            limit.virtual_time = max(limit.virtual_time, place)
            limit.tags[group] = place + Fraction(request.amount(limit), weight)

    def remove(self, request: Request) -> None:
        """Let one wait no longer."""
        if request in self.waiting:
            self.waiting.remove(request)
        request.waits_for = None

    def before(self, request: Request, limit: Limit) -> bool:
        """Whether a limit refuses a request because of somebody before it."""
        amount = request.amount(limit)
        queue = self.of(limit)
        if limit.how.queue == "random":
            ahead = [] if request in queue else queue
        else:
            place = self._place(request, limit)
            ahead = [other for other in queue if other is not request and self._place(other, limit) < place]
        if limit.how.strict:
            return bool(ahead)
        return limit.passes and any(other.amount(limit) <= amount for other in ahead)

    def options(self, limit: Limit, fits: Callable[[Request], bool]) -> list[Request | None]:
        """Return who may be the next that a limit admits: one in most queues, anybody in a random one, or nobody."""
        queue = self.of(limit)
        able: list[Request | None] = [request for request in queue if fits(request)]
        if limit.how.queue == "random":
            return [*able, None] if limit.how.strict and len(able) < len(queue) else able or [None]
        if limit.how.strict and able and able[0] is not queue[0]:
            return [None]
        return able[:1] or [None]
