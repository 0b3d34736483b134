"""A visit to a task, and its attempts one after the other.

Rules:

1. What a visit costs, how patient it is and whether it is skipped is drawn once. Every attempt draws how long it works and
   whether it fails when it asks, the first from the draws of visits, the others from those of retries.
2. A pre-empted attempt counts like any other. The one after it keeps its age and its fate; what resumes also has no more
   left of its timeout than the one before had. It meets the incidents anew that are on when it begins, with the same draws.
3. What is given back is stated after the end of the attempt, and those who waited for it are tried then.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import floor, inf, prod
from typing import TYPE_CHECKING, Any

from model.events import Kind, Skip, Status
from model.plan import BudgetPlan, Constant, Demand, TaskPlan
from model.units import MICRO

from .clock import COMPLETION, Clock, Entry
from .desk import Desk
from .incidents import Incident, Slowing
from .incidents import Work as SlowedWork
from .queues import Request
from .sharing import Shared, Work

if TYPE_CHECKING:
    from .agents import Agent

BITS = 2**53


class Visit:
    """What a visit draws once, and what its attempts hand on."""

    def __init__(self, agent: "Agent", step: TaskPlan) -> None:
        self.agent = agent
        self.step = step
        self.policy = policy = step.policy
        self.number = agent.visit(step.number)
        self.asked = agent.world.clock.now
        self.attempts = 0
        self.kept: list[tuple[int, int]] = []  # what is held from one attempt to the next
        self.age: int | None = None  # of an attempt that was pre-empted
        self.worked = self.lasted = 0  # by that attempt
        self.mode: str | None = None  # what becomes of the attempt that was pre-empted
        self.before: int | None = None  # the back-off before
        self.duration = 0
        self.fails = False
        self.unlucky: set[tuple[str, int]] = set()  # what incidents do to the attempt if they are on
        self.timeout = None if policy is None else policy.timeout_ns
        group = 0 if step.groups is None or agent.spawned_at is not None else int(step.groups[agent.place])
        self.demands = step.demands[group]
        self.amounts = [
            (demand.constraint, agent.draws.of_visit(demand.amount, self.number)) for demand in self.demands
        ]
        self.patience = None
        self.skipped: Skip | None = None
        if policy is not None and policy.patience is not None:
            self.patience = agent.draws.of_visit(policy.patience, self.number)
        if policy is not None and policy.skip is not None:
            chance, reason = policy.skip
            if agent.draws.of_visit(chance.first, self.number) < chance.thresholds[0]:
                self.skipped = Skip(reason)
        self.draw_attempt()

    @property
    def budget(self) -> BudgetPlan | None:
        return None if self.policy is None or self.policy.retry is None else self.policy.retry.budget

    @property
    def states_all(self) -> bool:
        return self.policy is not None and self.policy.states_all

    def draw_attempt(self) -> None:
        """Draw how long the next attempt works, and whether it fails."""
        draws, policy = self.agent.draws, self.policy
        if self.mode != "resume" and policy is not None:
            self.timeout = policy.timeout_ns
        fail = None if policy is None else policy.fail
        if self.attempts == 0:
            self.duration = draws.of_visit(self.step.duration, self.number)
            self.fails = fail is not None and draws.of_visit(fail.first, self.number) < fail.thresholds[0]
        elif self.mode is not None:
            if self.mode == "resume":
                self.duration -= self.worked
                self.timeout = None if self.timeout is None else self.timeout - self.lasted
            elif self.mode == "resample":
                self.duration = draws.following(policy.resample)
        else:
            self.duration = draws.following(policy.retry.duration)
            if fail is not None:
                edge = fail.thresholds[min(self.attempts, len(fail.thresholds) - 1)]
                self.fails = draws.following(fail.again) < edge
        if self.mode is None:
            self._draw_luck()

    def _draw_luck(self) -> None:
        draws, self.unlucky = self.agent.draws, set()
        for exposure in () if self.policy is None else self.policy.exposures:
            for what, chance in (("refuse", exposure.refuse), ("fail", exposure.fail)):
                if chance is None:
                    continue
                first = self.attempts == 0
                bits = draws.of_visit(chance.first, self.number) if first else draws.following(chance.again)
                if bits < chance.thresholds[0]:
                    self.unlucky.add((what, exposure.incident))

    def again(self, mode: str | None, age: int, worked: int, lasted: int) -> None:
        """Let the attempt that was pre-empted be followed by another; `lasted` is how long it took for what it `worked`."""
        self.mode, self.age, self.worked, self.lasted = mode, age, worked, lasted
        self.draw_attempt()
        self.mode = None

    def pay_in(self) -> None:
        """Pay into the budget of retries: the visit asks for the first time."""
        if self.budget is not None:
            budgets, number = self.agent.world.budgets, self.step.number
            budgets[number] = max(0, budgets.get(number, 0) - self.budget.ratio)

    def may_retry(self, attempt: "Attempt", status: Status) -> bool:
        """Whether another attempt follows one that did not succeed."""
        retry = None if self.policy is None else self.policy.retry
        failed = status in (Status.failed, Status.timed_out) or attempt.fails_by_preemption
        if retry is None or not failed or attempt.request.impossible:
            return False
        return self.attempts < retry.attempts and (retry.budget is None or self._pays(attempt, retry.budget))

    def _pays(self, attempt: "Attempt", budget: BudgetPlan) -> bool:
        """Pay once for the attempt after this one, if the fleet can afford it."""
        if attempt.next_is_paid is None:
            budgets, number = self.agent.world.budgets, self.step.number
            spent = budgets.get(number, 0)
            attempt.next_is_paid = budget.burst - spent >= MICRO
            budgets[number] = spent + MICRO * attempt.next_is_paid
        return attempt.next_is_paid

    def back_off(self, attempt: "Attempt") -> int:
        """Return the ns until the next attempt."""
        retry = self.policy.retry
        base = min(Fraction(retry.cap_ns), retry.delay_ns * retry.factor ** (self.attempts - 1))
        share = Fraction(0) if retry.draws is None else Fraction(self.agent.draws.following(retry.draws), BITS)
        match retry.jitter:
            case "full":
                wait = base * share
            case "equal":
                wait = base / 2 + base / 2 * share
            case "decorrelated":
                before = retry.delay_ns if self.before is None else self.before
                wait = min(Fraction(retry.cap_ns), retry.delay_ns + (3 * before - retry.delay_ns) * share)
            case _:
                wait = base
        self.before = round(wait)
        if retry.retry_after and attempt.rejected:
            return max(self.before, attempt.request.rejected_for)
        return self.before

    def write_skip(self, reason: Skip) -> None:
        """Add the row of a visit that neither asks nor works."""
        world = self.agent.world
        who = (self.agent.number, self.step.number, self.number, 0)
        world.rows.append((world.clock.now, int(Kind.TaskSkipped), *who, -1, int(reason)))


class Attempt:
    """One attempt: it asks, works and ends."""

    def __init__(self, visit: Visit, desk: Desk, clock: Clock, go_on: Callable[[Any], None]) -> None:
        self.visit = visit
        self.desk = desk
        self.clock = clock
        self.rejected = self.asks_for_more = False
        self.fails_by_preemption = False
        self.next_is_paid: bool | None = None  # out of the budget of retries, once that was asked
        self.is_last = False  # whether no other follows, whatever becomes of it
        self.working = False
        self.backs_off_since: int | None = None
        self.began = clock.now
        self._go_on = go_on
        self._work: tuple[Shared, Work] | tuple[Slowing, SlowedWork] | None = None
        self._end: Entry | None = None
        self._left = self._works = 0
        self._taken_at: dict[int, int] = {}
        self._whole = 0  # how long it would work if nothing came in between
        self._produced: dict[int, int] = {}  # of what is charged as it is produced, what was charged
        policy = visit.policy
        has = [constraint for constraint, _ in visit.kept]
        asked = [(constraint, amount) for constraint, amount in visit.amounts if constraint not in has]
        one_by_one = [[each for each in asked if each[0] == number] for number in visit.step.acquire]
        rest = [each for each in asked if each[0] not in visit.step.acquire]
        self._parts = [part for part in [*one_by_one, rest] if part] or [[]]
        self.request = Request(
            agent=visit.agent.number,
            fleet=visit.agent.fleet.number,
            step=visit.step.number,
            visit=visit.number,
            attempt=visit.attempts,
            amounts=[],
            priority=visit.agent.fleet.priority if policy is None else policy.priority,
            deadline=inf if policy is None or policy.deadline_ns is None else visit.asked + policy.deadline_ns,
            unwanted={number for what, number in visit.unlucky if what == "refuse"},
            duration=visit.duration if visit.timeout is None else min(visit.duration, visit.timeout),
            age=desk.age() if visit.age is None else visit.age,
            asked=clock.now,
            first=clock.now,
            answer=go_on,
            preempted=self._preempt,
        )
        visit.attempts += 1
        visit.age = None

    def parts(self) -> Iterator[Request]:
        """Yield the request for each part of what is acquired in order."""
        for number, part in enumerate(self._parts):
            if number:
                self.request.age, self.request.asked = self.desk.age(), self.clock.now
            self.request.amounts = part
            self.asks_for_more = number + 1 < len(self._parts)
            yield self.request

    def acquire(self) -> None:
        """State what was taken."""
        drawn = {demand.constraint for demand in self.visit.demands if not isinstance(demand.amount, Constant)}
        for constraint, amount in self.request.amounts:
            self._taken_at[constraint] = self.clock.now
            if (self.visit.states_all or constraint in drawn) and not self.desk.limits[constraint].defers:
                self.desk.write(Kind.ResourceAcquired, self.request, constraint, amount)

    def start(self) -> None:
        """Everything was admitted: work begins."""
        self.request.holds = sorted(self.request.holds + self.visit.kept)
        self.visit.kept = []
        self.working = True
        self.began = self.clock.now
        self.desk.write(Kind.TaskStarted, self.request, -1, self.clock.now - self.request.first)
        if self.visit.step.body is None:
            self.desk.started(self.request)

    def work(self) -> None:
        """Go on when the work is done, or takes too long."""
        timeout = self.visit.timeout
        shared = [limit for limit in (self.desk.limits[c] for c, _ in self.visit.amounts) if isinstance(limit, Shared)]
        hit = [limit for limit in (self.desk.limits[c] for c, _ in self.visit.amounts) if isinstance(limit, Incident)]
        on = [incident for incident in hit if incident.in_force]
        fails = self.visit.fails or any(("fail", incident.number) in self.visit.unlucky for incident in on)
        fate = Status.failed if fails else Status.succeeded
        slowness = prod((incident.slow for incident in on if incident.slows_new), start=Fraction(1))
        works = self._whole = round(self.visit.duration * slowness)
        late = timeout is not None and works > timeout
        if late:
            works, fate = timeout, Status.timed_out
        self._works = works
        slowed = [incident for incident in hit if incident.slows_all]
        if slowed:
            slowing = self.desk.slowing
            self._work = slowing, slowing.begin(works, slowed, lambda: self._go_on(fate))
        elif shared:
            self._work = shared[0], shared[0].begin(works, lambda: self._go_on(fate))
        else:
            self._end = self.clock.at(self.clock.now + works, COMPLETION, lambda: self._go_on(fate))
        for demand in self.visit.demands:
            if self.desk.limits[demand.constraint].charged_every and not (shared and not slowed):
                self._produce(demand)
        if timeout is not None and self._work is not None:
            self._end = self.clock.at(self.clock.now + timeout, COMPLETION, self._time_out)

    def _produce(self, demand: Demand) -> None:
        """Let what is produced until then be charged after a while, if the work goes on."""
        later = self.clock.now + self.desk.limits[demand.constraint].charged_every
        if later < self.began + self._works or self._work is not None:
            self.clock.at(later, COMPLETION, lambda: self._charge(demand))

    def _charge(self, demand: Demand) -> None:
        if self.working:
            due, now = self._due(demand), self.clock.now
            if due:
                self.desk.limits[demand.constraint].settle(0, due, now, now)
                self.desk.write(Kind.ResourceReleased, self.request, demand.constraint, -due)
            self._produce(demand)

    def _due(self, demand: Demand) -> int:
        """Return what is to be charged now: of what is charged as it is produced, whole tokens of what was produced."""
        assert demand.cost is not None
        cost = self.visit.agent.draws.of_visit(demand.cost, self.visit.number)
        if not self.desk.limits[demand.constraint].charged_every:
            return cost
        worked = self.clock.now - self.began
        if self._work is not None and isinstance(self._work[1], SlowedWork):
            worked = self._works - self.desk.slowing.left(self._work[1])
        produced = cost if worked >= self._whole else floor(Fraction(cost * worked, self._whole))
        due = produced - self._produced.get(demand.constraint, 0)
        self._produced[demand.constraint] = produced
        return due

    def _time_out(self) -> None:
        """Leave the processor, if the work is not done at this very instant."""
        assert self._work is not None
        shared, work = self._work
        if shared.works(work):
            shared.end(work)
            self._end = self.clock.at(self.clock.now, COMPLETION, lambda: self._go_on(Status.timed_out))

    def end(self, status: Status) -> Status:
        """Stop working; what the next attempt keeps is not given back."""
        self.desk.again(self._end_of(status))
        return status

    def _end_of(self, status: Status) -> set[int]:
        """Stop working; return the limits that have more room."""
        self._stop()
        began = self.began
        self.desk.write(Kind.TaskFinished, self.request, -1, int(status))
        retry = None if self.visit.policy is None else self.visit.policy.retry
        keeps = retry is not None and retry.holds and status != Status.preempted and not self.is_last
        if keeps and self.visit.may_retry(self, status):
            self.visit.kept = [(c, n) for c, n in self.request.holds if self.desk.limits[c].returns]
            self.request.holds = [each for each in self.request.holds if each not in self.visit.kept]
        heard = self._tell(status, [constraint for constraint, _ in self.visit.amounts], self.clock.now - began)
        return heard | self._give_back() | self._settle()

    def _tell(self, status: Status, governing: list[int], lasted: int) -> set[int]:
        """Let limits hear of the end; return those for which that makes a difference."""
        heard = set()
        for constraint in governing:
            limit = self.desk.limits[constraint]
            before = limit.stated()
            if limit.hear(status, lasted, self._taken_at.get(constraint, self.began), self.clock.now):
                heard.add(constraint)
            if limit.stated() != before:
                self.desk.changed(limit)
        return heard

    def _undo(self, *left: int) -> None:
        """Give back what was acquired before the rest was refused, as if nothing had been done.

        Those who wait for that are tried together with those in the lists that it has left.
        """
        acquired, self.request.holds = self.request.holds, []
        if self.rejected and isinstance(self.desk.limits[self.request.rejected_by], Incident):
            asked = [constraint for constraint, _ in self.visit.amounts]  # the provider was asked, and has failed
            for constraint in set(asked) - {constraint for constraint, _ in acquired}:
                self._taken_at[constraint] = self.clock.now
            freed = self._tell(Status.failed, asked, 0)
        else:
            freed = self._tell(Status.cancelled, [constraint for constraint, _ in acquired], 0)
        for constraint, amount in acquired:
            limit = self.desk.limits[constraint]
            if limit.settles:
                limit.settle(amount, 0, self._taken_at[constraint], self.clock.now)
            limit.give(amount)
            if limit.settles or limit.returns:
                freed.add(constraint)
                self.desk.write(Kind.ResourceReleased, self.request, constraint, amount)
        self.desk.again({*freed, *left})

    def _stop(self) -> None:
        self.working = False
        self.desk.over(self.request)
        if self._end is not None:
            self._end.off = True
        if self._work is not None:
            shared, work = self._work
            self._left = shared.end(work)

    def _give_back(self) -> set[int]:
        """Give back what is held; return the limits that have more room."""
        freed = set()
        for constraint, amount in self.request.holds:
            limit = self.desk.limits[constraint]
            limit.give(amount)
            if limit.returns:
                freed.add(constraint)
                if self.visit.states_all:
                    self.desk.write(Kind.ResourceReleased, self.request, constraint, amount)
        self.request.holds = []
        return freed

    def _settle(self) -> set[int]:
        """Charge what is charged at the end; return the limits of which that is."""
        freed = set()
        amounts = dict(self.visit.amounts)
        for demand in self.visit.demands:
            if demand.cost is not None:
                limit = self.desk.limits[demand.constraint]
                cost = self._due(demand)
                taken = 0 if limit.defers else amounts[demand.constraint]
                limit.settle(taken, cost, self._taken_at[demand.constraint], self.clock.now)
                freed.add(demand.constraint)
                self.desk.write(Kind.ResourceReleased, self.request, demand.constraint, taken - cost)
        return freed

    def held(self) -> list[tuple[int, int]]:
        """Return what is held and can be given back."""
        return [
            (constraint, amount) for constraint, amount in self.request.holds if self.desk.limits[constraint].returns
        ]

    def give_back(self) -> None:
        """Give everything back, and let those who wait for it be tried."""
        self.desk.again(self._give_back())

    def reject(self) -> Status:
        """End an attempt that was refused."""
        self.rejected = True
        self.desk.write(Kind.TaskRejected, self.request, self.request.rejected_by, self.request.rejected_for)
        self.desk.write(Kind.TaskFinished, self.request, -1, int(Status.failed))
        self._undo()
        return Status.failed

    def abandon(self) -> Status:
        """End an attempt that waits no longer."""
        waited = self.clock.now - self.request.asked
        self.desk.write(Kind.TaskAbandoned, self.request, self.request.last, waited)
        self.desk.write(Kind.TaskFinished, self.request, -1, int(Status.cancelled))
        left = self.desk.leave(self.request)
        if self.request.lent:  # it is held still, and ends so
            heard = self._tell(Status.cancelled, [c for c, _ in self.visit.amounts], self.clock.now - self.began)
            self.desk.again({left} | heard | self._give_back() | self._settle())
        else:
            self._undo(left)
        return Status.cancelled

    def over(self) -> None:
        """No other attempt follows: give back what was kept for it."""
        self.request.holds += self.visit.kept
        self.visit.kept = []
        self.give_back()

    def call_off(self, status: Status) -> None:
        """End at once, in whatever state."""
        self.is_last = True
        if self.request.waits_for is not None:  # be it for what a hold gave back
            self.working = False
            self.abandon()
        elif self.working:
            self.end(status)
        elif self.backs_off_since is not None:  # what was to come next is over before it asks
            self.request.attempt = self.visit.attempts
            self.desk.write(Kind.TaskAbandoned, self.request, -1, self.clock.now - self.backs_off_since)
            self.desk.write(Kind.TaskFinished, self.request, -1, int(status))
        self.over()

    def _preempt(self) -> set[int]:
        """Lose the slots to another one."""
        mode = self.request.loses_to
        self.fails_by_preemption = mode == "fail"
        freed = self._end_of(Status.preempted)
        if not self.fails_by_preemption:
            lasted = self.clock.now - self.began
            worked = lasted if self._work is None else self._works - self._left
            if self._whole != self.visit.duration:  # of what it is by itself the same part is left
                left = round(Fraction((self._whole - worked) * self.visit.duration, self._whole))
                worked = self.visit.duration - left
            self.visit.again(mode, self.request.age, worked, lasted)
        return freed
