"""A visit to a task, and its attempts one after the other.

Rules:

1. What a visit costs, how patient it is and whether it is skipped is drawn once. Every attempt draws how long it works and
   whether it fails when it asks, the first from the draws of visits, the others from those of retries.
2. A pre-empted attempt and the one after it are one piece of work: it keeps its age and its fate, and does not count as a
   further try.
3. What is given back is stated after the end of the attempt, and those who waited for it are tried then.
"""

from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

from model.events import Kind, Skip, Status
from model.plan import Constant, TaskPlan

from .clock import Clock
from .desk import Desk, Request

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
        self.attempts = 0
        self.tries = 0
        self.kept: list[tuple[int, int]] = []  # what is held from one attempt to the next
        self.age: int | None = None  # of an attempt that was pre-empted
        self.resumes_with: int | None = None
        self.mode: str | None = None  # what becomes of the attempt that was pre-empted
        self.before: int | None = None  # the back-off before
        self.duration = 0
        self.fails = False
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

    @property
    def states_all(self) -> bool:
        return self.policy is not None and self.policy.states_all

    def draw_attempt(self) -> None:
        """Draw how long the next attempt works, and whether it fails."""
        draws, policy = self.agent.draws, self.policy
        fail = None if policy is None else policy.fail
        if self.attempts == 0:
            self.duration = draws.of_visit(self.step.duration, self.number)
            self.fails = fail is not None and draws.of_visit(fail.first, self.number) < fail.thresholds[0]
        elif self.mode is not None:
            if self.mode == "resume":
                self.duration = self.resumes_with
            elif self.mode == "resample":
                self.duration = draws.following(policy.resample)
        else:
            self.duration = draws.following(policy.retry.duration)
            if fail is not None:
                edge = fail.thresholds[min(self.tries, len(fail.thresholds) - 1)]
                self.fails = draws.following(fail.again) < edge

    def goes_on_after_preemption(self) -> bool:
        """Whether a pre-empted attempt is followed by another at once."""
        return self.mode != "fail"

    def may_retry(self, attempt: "Attempt", status: Status) -> bool:
        """Whether another attempt follows one that did not succeed."""
        retry = None if self.policy is None else self.policy.retry
        if retry is None or status not in (Status.failed, Status.timed_out) or attempt.request.impossible:
            return False
        return self.tries < retry.attempts

    def back_off(self, attempt: "Attempt") -> int:
        """Return the ns until the next attempt."""
        retry = self.policy.retry
        base = min(Fraction(retry.cap_ns), retry.delay_ns * retry.factor ** (self.tries - 1))
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
        self.rejected = False
        self.working = False
        self.finished = False
        visit.draw_attempt()
        policy = visit.policy
        limit = None if policy is None else policy.timeout_ns
        late = limit is not None and visit.duration > limit
        self.works = limit if late else visit.duration
        self.fate = Status.timed_out if late else Status.failed if visit.fails else Status.succeeded
        has = {constraint for constraint, _ in visit.kept}
        age = desk.age() if visit.age is None else visit.age
        deadline = inf if policy is None or policy.deadline_ns is None else clock.now + policy.deadline_ns
        self.request = Request(
            agent=visit.agent.number,
            fleet=visit.agent.fleet.number,
            step=visit.step.number,
            visit=visit.number,
            attempt=visit.attempts,
            amounts=[(constraint, amount) for constraint, amount in visit.amounts if constraint not in has],
            priority=visit.agent.fleet.priority if policy is None else policy.priority,
            deadline=deadline,
            duration=visit.duration,
            age=age,
            asked=clock.now,
            answer=go_on,
            preempted=self._preempt,
        )
        visit.tries += visit.mode is None
        visit.attempts += 1
        visit.age = visit.mode = None

    def start(self) -> None:
        """The request was admitted: work begins."""
        self.acquire()
        self.request.holds += self.visit.kept
        self.visit.kept = []
        self.working = True
        self.began = self.clock.now
        self.desk.write(Kind.TaskStarted, self.request, -1, self.clock.now - self.request.asked)
        if self.visit.step.body is None:
            self.desk.running.append(self.request)
        self.desk.settle()

    def acquire(self) -> None:
        """State what was taken."""
        drawn = {demand.constraint for demand in self.visit.demands if not isinstance(demand.amount, Constant)}
        for constraint, amount in self.request.amounts:
            if self.visit.states_all or constraint in drawn:
                self.desk.write(Kind.ResourceAcquired, self.request, constraint, amount)

    def end(self, status: Status) -> Status:
        """Stop working; what the next attempt keeps is not given back."""
        self.finished = True
        self.working = False
        self.desk.write(Kind.TaskFinished, self.request, -1, int(status))
        retry = None if self.visit.policy is None else self.visit.policy.retry
        if retry is not None and retry.holds and self.visit.may_retry(self, status):
            self.visit.kept = [(c, n) for c, n in self.request.holds if self.desk.limits[c].returns]
            self.request.holds = []
            if self.request in self.desk.running:
                self.desk.running.remove(self.request)
        else:
            self.give_back()
        return status

    def give_back(self) -> None:
        """Give everything back, and let those who wait for it be tried."""
        if self.visit.states_all:
            for constraint, amount in self.request.holds:
                if self.desk.limits[constraint].returns:
                    self.desk.write(Kind.ResourceReleased, self.request, constraint, amount)
        self.desk.again(self.desk.release(self.request))

    def reject(self) -> Status:
        """End an attempt that was refused."""
        self.rejected = self.finished = True
        self.desk.write(Kind.TaskRejected, self.request, self.request.rejected_by, self.request.rejected_for)
        self.desk.write(Kind.TaskFinished, self.request, -1, int(Status.failed))
        return Status.failed

    def abandon(self) -> Status:
        """End an attempt that waits no longer."""
        self.finished = True
        waited = self.clock.now - self.request.asked
        self.desk.write(Kind.TaskAbandoned, self.request, self.request.last, waited)
        self.desk.write(Kind.TaskFinished, self.request, -1, int(Status.cancelled))
        self.desk.leave(self.request)
        return Status.cancelled

    def over(self) -> None:
        """No other attempt follows: give back what was kept for it."""
        self.request.holds += self.visit.kept
        self.visit.kept = []
        if self.request.holds:
            self.give_back()

    def call_off(self) -> None:
        """End at once, in whatever state."""
        if self.request.waits_for is not None and not self.working:
            self.abandon()
        elif self.working:
            self.working = False
            self.end(Status.cancelled)
        self.over()

    def _preempt(self) -> None:
        """Another one takes the slots."""
        limits = [self.desk.limits[constraint] for constraint, _ in self.request.amounts]
        self.visit.mode = next(limit.how.preempt for limit in limits if limit.how.preempt is not None)
        self.visit.age = self.request.age
        self.visit.resumes_with = self.visit.duration - (self.clock.now - self.began)
        self.working, self.finished = False, True
        self.desk.write(Kind.TaskFinished, self.request, -1, int(Status.preempted))
