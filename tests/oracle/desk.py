"""Admission: one list of all who wait, looked through whole whenever something may have changed.

Rules:

1. A request takes everything that it asks for, or nothing, and is charged to the first limit that refuses it. While that
   limit refuses it, it stays there, whatever the others would say.
2. Of several limits that changed at once each puts forward the first in its queue that it would admit; the one that
   asked first is tried. That is repeated until nobody is put forward.
3. A bucket also refuses whoever has somebody before it in the queue who waits for as much or less; a strict limit,
   whoever has anybody before it.
4. A limit with preemption does not refuse where the slots of less important tasks that run suffice, and all the others
   admit.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from model.events import Kind
from model.plan import Plan

from .clock import CONTROL, REFILL, Clock, Entry
from .limits import Limit, limit

Row = tuple[int, int, int, int, int, int, int, int]
GRANTED, REJECTED, WAITS, PREEMPTED = "granted", "rejected", "waits", "preempted"


@dataclass(eq=False)
class Request:
    """What a task asks for, and what becomes of it."""

    agent: int
    fleet: int
    step: int
    visit: int
    attempt: int
    amounts: list[tuple[int, int]]  # constraint, amount
    priority: int
    deadline: float
    duration: int
    age: int
    asked: int
    answer: Callable[[str], None]  # called when one who waits is admitted or rejected
    preempted: Callable[[], None]
    waits_for: int | None = None
    blocked: int = 0  # since when
    charged: int = 0  # since when to the limit that it waits for
    last: int = -1  # the limit that it waited for last
    rejected_by: int = -1
    rejected_for: int = -1
    impossible: bool = False
    started: int = 0
    holds: list[tuple[int, int]] = field(default_factory=list)


class Desk:
    """Who is admitted when."""

    def __init__(self, plan: Plan, clock: Clock, rows: list[Row], known: frozenset[str]) -> None:
        self.limits = [limit(row) for row in plan.constraints]
        self.waiting: list[Request] = []
        self.running: list[Request] = []
        self._clock = clock
        self._rows = rows
        self._known = known
        self._refills: dict[tuple[int, ...], tuple[int | None, Entry | None]] = {}
        self._order = 0
        self._last_refill: int | None = None
        self.refills_at_once: int | None = None  # the first instant at which several buckets were refilled
        self._preempted: list[tuple[list[Request], set[int]]] = []
        self._ages = 0
        times = sorted({change.time_ns for change in plan.changes})
        groups = [[change for change in plan.changes if change.time_ns == time] for time in times]
        if "changes one by one" in known:
            groups = [[change] for change in plan.changes]
        for group in groups:
            clock.at(group[0].time_ns, CONTROL, lambda group=group: self._change(group))

    def age(self) -> int:
        """Return the age of who asks now: the lower, the earlier it asked."""
        self._ages += 1
        return self._ages

    def write(self, kind: Kind, request: Request, constraint: int = -1, value: int = 0) -> None:
        """Add a row about a task."""
        who = (request.agent, request.step, request.visit, request.attempt)
        self._rows.append((self._clock.now, int(kind), *who, constraint, value))

    def ask(self, request: Request) -> str:
        """Admit, reject or keep a new request."""
        for constraint, amount in request.amounts:
            if not self.limits[constraint].possible(amount):
                request.rejected_by, request.rejected_for = constraint, -1
                request.impossible = True
                return REJECTED
        return self._try(request)

    def leave(self, request: Request) -> None:
        """Take one who gives up off the list; those behind it in a strict queue may go ahead then."""
        left = request.waits_for
        self._remove(request)
        self.again({left} if self.limits[left].how.strict else set())

    def release(self, request: Request) -> set[int]:
        """Give everything back; return the limits that have more room now."""
        if request in self.running:
            self.running.remove(request)
        for constraint, amount in request.holds:
            self.limits[constraint].give(amount)
        freed = {constraint for constraint, _ in request.holds if self.limits[constraint].returns}
        request.holds = []
        return freed

    def again(self, changed: Iterable[int]) -> None:
        """Try those who wait for limits that changed."""
        changed = set(changed)
        while True:
            first = [self._first(self.limits[number]) for number in sorted(changed)]
            candidates = [request for request in first if request is not None]
            if not candidates:
                return
            request = min(candidates, key=lambda request: request.age)
            answer = self._try(request)
            if answer != WAITS:
                request.answer(answer)

    def plan_refills(self) -> None:
        """Schedule the moments at which buckets have earned enough for one who waits: one event for all of an instant."""
        buckets = [bucket for bucket in self.limits if bucket.refills]
        groups = [[bucket] for bucket in buckets] if "refills one by one" in self._known else [buckets]
        for group in groups:
            due = min((time for bucket in group for time in self._dues(bucket)), default=None)
            numbers = [bucket.number for bucket in group]
            known, entry = self._refills.get(tuple(numbers), (None, None))
            if known == due and not (entry is not None and entry.happened):
                continue
            if entry is not None:
                entry.off = True
            entry = (
                None if due is None else self._clock.at(due, REFILL, lambda numbers=numbers: self._refilled(numbers))
            )
            self._refills[tuple(numbers)] = due, entry

    def _refilled(self, numbers: list[int]) -> None:
        if self._clock.now == self._last_refill and self.refills_at_once is None:
            self.refills_at_once = self._clock.now
        self._last_refill = self._clock.now
        self.again(numbers)

    def _dues(self, bucket: Limit) -> list[int]:
        """Return the times at which a bucket will admit each of those who may be next."""
        queue = self._queue(bucket) if bucket.in_force else []
        hopeful = queue[:1] if bucket.how.strict else queue
        waits = [bucket.time_until(self._amount(request, bucket), self._clock.now) for request in hopeful]
        return [self._clock.now + wait for wait in waits if wait >= 0]

    def _change(self, changes: list) -> None:
        for change in changes:
            changed = self.limits[change.constraint]
            changed.change(change.setting, self._clock.now)
            self._rows.append(
                (self._clock.now, int(Kind.ConstraintChanged), -1, -1, -1, -1, changed.number, changed.stated())
            )
        left = set()
        for request in sorted(self.waiting, key=lambda request: request.age):
            never = [c for c, amount in request.amounts if not self.limits[c].possible(amount)]
            if never and request in self.waiting:
                left.add(request.waits_for)
                self._remove(request)
                request.rejected_by, request.rejected_for = never[0], -1
                request.impossible = True
                request.answer(REJECTED)
        self.again({change.constraint for change in changes} | {n for n in left if self.limits[n].how.strict})

    def _amount(self, request: Request, limit: Limit) -> int:
        return next(amount for constraint, amount in request.amounts if constraint == limit.number)

    def _queue(self, limit: Limit) -> list[Request]:
        """Return those who wait for a limit, in the order of its queue."""
        queue = [request for request in self.waiting if request.waits_for == limit.number]
        return sorted(queue, key=lambda request: self._place(request, limit))

    def _place(self, request: Request, limit: Limit) -> tuple:
        match limit.how.queue:
            case "fifo":
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
                return (self._tag(request, limit), request.age)
        raise AssertionError(f"the documents do not say how a queue is {limit.how.queue}")

    def _tag(self, request: Request, limit: Limit) -> Fraction:
        group, _ = limit.how.share_of[request.fleet]
        return max(limit.virtual_time, limit.had.get(group, Fraction(0)))

    def _refuses(self, limit: Limit, request: Request, amount: int) -> bool:
        if not limit.admits(amount, self._clock.now):
            return True
        if not limit.in_force:
            return False
        place = self._place(request, limit)
        ahead = [other for other in self._queue(limit) if other is not request and self._place(other, limit) < place]
        if limit.how.strict:
            return bool(ahead)
        return limit.refills and any(self._amount(other, limit) <= amount for other in ahead)

    def _first(self, limit: Limit) -> Request | None:
        """Return the first in a queue that the limit would admit."""
        for request in self._queue(limit):
            if not self._refuses(limit, request, self._amount(request, limit)):
                return request
            if limit.how.preempt is not None and self._victims(request):
                return request
            if limit.how.strict:
                break
        return None

    def _try(self, request: Request) -> str:
        """Admit a request, or let it wait for the first that refuses it."""
        refusing = [c for c, amount in request.amounts if self._refuses(self.limits[c], request, amount)]
        victims = self._victims(request) if refusing else []
        if not refusing or victims:
            self._admit(request, victims)
            return GRANTED
        return self._refuse(request, self.limits[refusing[0]])

    def _victims(self, request: Request) -> list[Request]:
        """Return those who have to go so that everything admits the request; nobody where that does not help."""
        victims: list[Request] = []
        for constraint, amount in request.amounts:
            limit = self.limits[constraint]
            if not self._refuses(limit, request, amount):
                continue
            if limit.how.preempt is None:
                return []
            less = [other for other in self.running if other.priority < request.priority and other not in victims]
            less = [other for other in less if any(c == constraint for c, _ in other.holds)]
            less.sort(key=lambda other: (other.priority, -other.started))
            freed = sum(n for other in victims for c, n in other.holds if c == constraint)
            while not limit.admits(amount - freed, self._clock.now):
                if not less:
                    return []
                victim = less.pop(0)
                victims.append(victim)
                freed += sum(n for c, n in victim.holds if c == constraint)
        return victims

    def _admit(self, request: Request, victims: list[Request]) -> None:
        freed: set[int] = set()
        for victim in victims:
            freed |= self.release(victim)
            victim.preempted()
        waited_for = request.waits_for
        if waited_for is not None:
            self._remove(request)
            self.write(Kind.TaskResumed, request, waited_for, self._clock.now - request.blocked)
        for constraint, amount in request.amounts:
            limit = self.limits[constraint]
            limit.take(amount, self._clock.now)
            if limit.how.queue == "fair":
                group, weight = limit.how.share_of[request.fleet]
                limit.virtual_time = self._tag(request, limit)
                limit.had[group] = limit.virtual_time + Fraction(1, weight)
        request.holds = list(request.amounts)
        self._order += 1
        request.started = self._order
        self._preempted.append((victims, freed))

    def settle(self) -> None:
        """Let those who were pre-empted go on, when the one that took their slots has started; then others are tried."""
        pending, self._preempted = self._preempted, []
        for victims, _ in pending:
            for victim in victims:
                victim.answer(PREEMPTED)
        for _, freed in pending:
            if freed:
                self.again(freed)

    def _refuse(self, request: Request, limit: Limit) -> str:
        now = self._clock.now
        if limit.how.rejects:
            return self._reject(request, limit)
        if request.waits_for == limit.number:
            return WAITS
        queue = [other for other in self.waiting if other.waits_for == limit.number and other is not request]
        if limit.how.room is not None and len(queue) >= limit.how.room:
            oldest_first = sorted(queue, key=lambda other: other.age)
            refused = {"newest": [], "oldest": oldest_first[:1], "all": oldest_first}[limit.how.overflow]
            for other in refused:
                answer = self._reject(other, limit)
                other.answer(answer)
            if limit.how.overflow != "oldest" or not refused:
                return self._reject(request, limit)
        count = sum(other.waits_for == limit.number for other in self.waiting if other is not request)
        if request.waits_for is None:
            request.blocked = now
            self.waiting.append(request)
            self.write(Kind.TaskBlocked, request, limit.number, count)
        else:
            self.write(Kind.TaskRebound, request, limit.number, now - request.charged)
        request.waits_for = request.last = limit.number
        request.charged = now
        return WAITS

    def _reject(self, request: Request, limit: Limit) -> str:
        self._remove(request)
        request.rejected_by = limit.number
        amount = self._amount(request, limit)
        request.rejected_for = limit.time_until(amount, self._clock.now) if limit.in_force else -1
        return REJECTED

    def _remove(self, request: Request) -> None:
        if request in self.waiting:
            self.waiting.remove(request)
        request.waits_for = None
