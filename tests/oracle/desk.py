"""Admission: one list of all who wait, looked through whole whenever something may have changed.

Rules:

1. A request takes everything that it asks for, or nothing, and is charged to the first limit that refuses it. While that
   limit refuses it, it stays there, whatever the others would say.
2. Of several limits that changed at once each puts forward the next in its queue that it would admit; the one that
   asked first is tried. That is repeated until nobody is put forward.
3. A limit with preemption does not refuse where the slots of less important tasks that run suffice, and all the others
   admit.
4. Who acquires in order and is admitted while those who wait are tried asks for the next thing when all have been. What
   changes while they are tried is tried with the rest.
5. While an agent stops, crashes or dies, or branches are called off, nobody is tried until all that has ended.
6. Changes of one instant are made first, then whoever can never be admitted is refused, by age, then others are tried.
   What time brings at one instant likewise: first to all limits, then those who wait for any of them are tried.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from math import ceil

from model.events import Kind
from model.plan import Change, ConstraintPlan, Plan

from .clock import CONTROL, REFILL, Clock, Entry
from .hearing import Adaptive, Breaker
from .incidents import Incident, Slowing
from .limits import Limit, Pause, Slots
from .queues import Queues, Request
from .rates import SECOND, Bucket, FirstUse, FixedWindow, Ramp, SlidingWindow
from .sharing import Shared

Row = tuple[int, int, int, int, int, int, int, int]
Choice = Callable[[list[Request | None]], Request | None]
GRANTED, REJECTED, WAITS, PREEMPTED = "granted", "rejected", "waits", "preempted"
TYPES: dict[str, type[Limit]] = {
    "concurrency": Slots,
    "resource": Slots,
    "rate_limit": Bucket,
    "fixed_window": FixedWindow,
    "sliding_window": SlidingWindow,
    "ramp": Ramp,
    "quota": FixedWindow,
    "adaptive": Adaptive,
    "circuit_breaker": Breaker,
    "pause": Pause,
}


def _type_of(row: ConstraintPlan) -> type[Limit]:
    begins = any("first_use" in setting.numbers for setting in row.settings if setting.numbers)
    return FirstUse if begins else TYPES[row.behaviour]


class Desk:
    """Who is admitted when; `choose` picks the next of those who may be it."""

    def __init__(self, plan: Plan, clock: Clock, rows: list[Row], choose: Choice) -> None:
        self.slowing = Slowing(clock)
        self.limits: list[Limit] = [self._limit(row, clock) for row in plan.constraints]
        self.running: list[Request] = []
        self._queues = Queues()
        self._clock = clock
        self._rows = rows
        self._choose = choose
        self._due: int | None = None
        self._alarm: Entry | None = None
        self._starts = 0
        self.trying = False  # whether those who wait are being tried
        self._changed: set[int] | None = None  # what they wait for
        self._later: list[Entry] = []
        self._ages = 0
        self._joined: set[int] = set()  # the limits that somebody began to wait for since time was last looked at
        self._put_off: set[int] | None = None  # the limits that changed while nobody is to be tried
        self._preempted: list[tuple[list[Request], set[int]]] = []
        for time in sorted({change.time_ns for change in plan.changes}):
            changes = [change for change in plan.changes if change.time_ns == time]
            clock.at(time, CONTROL, lambda changes=changes: self._change(changes))

    @property
    def is_waited_at(self) -> bool:
        """Whether anybody waits."""
        return bool(self._queues.waiting)

    def _limit(self, row: ConstraintPlan, clock: Clock) -> Limit:
        match row.behaviour:
            case "processor_sharing":
                return Shared(row, clock)
            case "incident":
                return Incident(row, self.slowing)
        return _type_of(row)(row)

    def age(self) -> int:
        """Return the age of who asks now: the lower, the earlier it asked."""
        self._ages += 1
        return self._ages

    def write(self, kind: Kind, request: Request, constraint: int = -1, value: int = 0) -> None:
        """Add a row about a task."""
        self._rows.append((self._clock.now, int(kind), *request.who, constraint, value))

    def changed(self, limit: Limit) -> None:
        """Add the row of a limit that is another now."""
        value = limit.stated()
        self._rows.append((self._clock.now, int(Kind.ConstraintChanged), -1, -1, -1, -1, limit.number, value))

    def ask(self, request: Request) -> str:
        """Admit, reject or keep a new request."""
        never = self._never(request)
        if never is not None and not request.lent:
            return self._refuse_for_good(request, never)
        return self._try(request)

    def started(self, request: Request) -> None:
        """Count one who runs."""
        self._starts += 1
        request.started = self._starts
        self.running.append(request)

    def over(self, request: Request) -> None:
        """Count one who runs no longer."""
        if request in self.running:
            self.running.remove(request)

    def leave(self, request: Request) -> int:
        """Take one who gives up off the list; return which, for the others there are to be tried.

        Those behind it in a strict queue may go ahead then; and time may have brought what they want at this very instant.
        """
        assert request.waits_for is not None
        left = request.waits_for
        self._queues.remove(request)
        return left

    def put_off(self) -> bool:
        """Try nobody from now on; return whether it was not so before."""
        first = self._put_off is None
        self._put_off = self._put_off or set()
        return first

    def make_up(self) -> None:
        """Try those for whom it was put off."""
        changed, self._put_off = self._put_off, None
        self.again(changed or ())

    def again(self, changed: Iterable[int]) -> None:
        """Try those who wait for limits that changed."""
        if self._put_off is not None:
            self._put_off |= set(changed)
            return
        if self._changed is not None:  # those are being tried who wait for other things that have changed
            self._changed |= set(changed)
            return
        self._changed = set(changed)
        while True:
            self.trying = True
            while (request := self._next(sorted(self._changed))) is not None:
                answer = self._try(request)
                if answer != WAITS:
                    request.answer(answer)
            self.trying = False
            self._changed = set()
            if not self._later:
                break
            entry = self._later.pop(0)
            if not entry.off:
                entry.act()
        self._changed = None

    def _next(self, changed: list[int]) -> Request | None:
        options = [self._queues.options(self.limits[number], self._fits_there) for number in changed]
        return self._choose(_first(options))

    def afterwards(self, act: Callable[[], None]) -> Entry:
        """Let something happen when all who wait have been tried."""
        entry = Entry((0, 0, 0), act)
        self._later.append(entry)
        return entry

    def plan_refills(self) -> None:
        """Schedule the next moment at which time brings something to a limit."""
        now = self._clock.now
        looked = self._alarm is not None and self._alarm.happened and self._due == now
        dues = [
            due
            for limit in self.limits
            for due in self._dues(limit)
            if not looked or due > now or limit.number in self._joined
        ]
        due = min(dues, default=None)
        if due == self._due and (self._alarm is None or not self._alarm.happened):
            return
        if self._alarm is not None:
            self._alarm.off = True
        self._due = due
        self._alarm = None if due is None else self._clock.at(due, REFILL, self._refill)

    def _refill(self) -> None:
        """Let what is due come to all limits, then try those who wait for them."""
        due = [limit for limit in self.limits if self._clock.now in self._dues(limit)]
        self._joined.clear()
        for limit in due:
            if limit.passed(self._clock.now):
                self.changed(limit)
        self.again(limit.number for limit in due)

    def _dues(self, limit: Limit) -> list[int]:
        """Return the times at which a limit will admit each of those who may be next, or changes by itself."""
        if not limit.in_force or not limit.passes:
            return []
        queue = self._queues.of(limit)
        hopeful = queue[:1] if limit.how.strict and limit.how.queue != "random" else queue
        return limit.dues([request.amount(limit) for request in hopeful], self._clock.now)

    def _change(self, changes: list[Change]) -> None:
        for change in changes:
            limit = self.limits[change.constraint]
            limit.change(change.setting, self._clock.now)
            self.changed(limit)
        left = set()
        for request in sorted(self._queues.waiting, key=lambda request: request.age):
            never = self._never(request)
            if never is not None and request.waits_for is not None and not request.lent:
                if self.limits[request.waits_for].how.strict:
                    left.add(request.waits_for)
                request.answer(self._refuse_for_good(request, never))
        self.again({change.constraint for change in changes} | left)

    def _never(self, request: Request) -> int | None:
        """Return the first limit that can never admit a request, if there is one."""
        return next((number for number, amount in request.amounts if not self.limits[number].possible(amount)), None)

    def _refuse_for_good(self, request: Request, constraint: int) -> str:
        self._queues.remove(request)
        request.rejected_by, request.rejected_for = constraint, -1
        request.impossible = True
        return REJECTED

    def _refuses(self, limit: Limit, request: Request) -> bool:
        if not limit.admits(request.amount(limit), self._clock.now):
            return True
        if limit.in_force and limit.number in request.unwanted:
            return True
        return limit.in_force and self._queues.before(request, limit)

    def _fits_there(self, request: Request) -> bool:
        """Whether the limit that a request waits for would admit it."""
        assert request.waits_for is not None
        limit = self.limits[request.waits_for]
        return not self._refuses(limit, request) or (limit.how.preempt is not None and bool(self._victims(request)))

    def _try(self, request: Request) -> str:
        """Admit a request, or let it wait for the first that refuses it."""
        refusing = [number for number, _ in request.amounts if self._refuses(self.limits[number], request)]
        victims = self._victims(request) if refusing else []
        if not refusing or victims:
            self._admit(request, victims)
            return GRANTED
        return self._refuse(request, self.limits[min(refusing)])

    def _victims(self, request: Request) -> list[Request]:
        """Return those who have to go so that everything admits the request; nobody where that does not help."""
        victims: list[Request] = []
        for number, amount in request.amounts:
            limit = self.limits[number]
            if not self._refuses(limit, request):
                continue
            if limit.how.preempt is None or (limit.in_force and self._queues.before(request, limit)):
                return []
            less = [other for other in self.running if other.priority < request.priority and other not in victims]
            less = [other for other in less if any(held == number for held, _ in other.holds)]
            less.sort(key=lambda other: (other.priority, -other.started))
            freed = sum(n for other in victims for held, n in other.holds if held == number)
            while not limit.admits(amount - freed, self._clock.now):
                if not less:
                    return []
                victim = less.pop(0)
                victim.loses_to = limit.how.preempt
                victims.append(victim)
                freed += sum(n for held, n in victim.holds if held == number)
        return victims

    def _admit(self, request: Request, victims: list[Request]) -> None:
        freed: set[int] = set()
        for victim in victims:
            freed |= victim.preempted()
        for number, amount in request.amounts:
            limit = self.limits[number]
            self._queues.serve(request, limit)
            limit.take(amount, self._clock.now)
        if request.waits_for is not None:
            self.write(Kind.TaskResumed, request, request.waits_for, self._clock.now - request.blocked)
            self._queues.remove(request)
        request.holds += request.amounts
        if victims:
            self._preempted.append((victims, freed))

    def settle(self) -> None:
        """Let those who were pre-empted go on, when who took their slots has started or waits for more; then try others."""
        pending, self._preempted = self._preempted, []
        for victims, _ in pending:
            for victim in victims:
                victim.answer(PREEMPTED)
        for _, freed in pending:
            self.again(freed)

    def _refuse(self, request: Request, limit: Limit) -> str:
        if limit.how.rejects and not request.lent:
            return self._reject(request, limit)
        if request.waits_for == limit.number:
            return WAITS
        others = self._queues.of(limit)
        if limit.how.room is not None and not request.lent and len(others) >= limit.how.room:
            by_age = sorted(others, key=lambda other: other.age)
            refused = {"newest": [], "oldest": by_age[:1], "all": by_age}[limit.how.overflow]
            for other in refused:
                other.answer(self._reject(other, limit))
            if limit.how.overflow != "oldest" or not refused:
                return self._reject(request, limit)
        count = len(self._queues.of(limit))
        now = self._clock.now
        if request.waits_for is None:
            request.blocked = now
            self.write(Kind.TaskBlocked, request, limit.number, count)
        else:
            self.write(Kind.TaskRebound, request, limit.number, now - request.charged)
        self._queues.join(request, limit)
        self._joined.add(limit.number)
        request.charged = now
        return WAITS

    def _reject(self, request: Request, limit: Limit) -> str:
        self._queues.remove(request)
        request.rejected_by = limit.number
        request.rejected_for = self._named(request, limit)
        return REJECTED

    def _named(self, request: Request, limit: Limit) -> int:
        """Return the time after which a refusal says to come again, -1 where it says nothing."""
        rule = limit.retry_after
        if isinstance(rule, int):
            return rule
        wait = limit.time_until(request.amount(limit), self._clock.now) if limit.in_force else -1
        if rule == "none" or wait < 0:
            return -1
        return ceil(Fraction(wait, SECOND)) * SECOND if rule == "seconds" else wait


def _first(options: list[list[Request | None]]) -> list[Request | None]:
    """Return who may be the oldest of those whom several limits put forward, one each."""
    possible = []
    for number, mine in enumerate(options):
        others = options[:number] + options[number + 1 :]
        for request in mine:
            if request is not None and all(any(_older(request, other) for other in each) for each in others):
                possible.append(request)
    nobody: list[Request | None] = [None] if all(None in each for each in options) else []
    return [*sorted(possible, key=lambda request: request.age), *nobody]


def _older(request: Request, other: Request | None) -> bool:
    return other is None or request.age <= other.age
