"""Strands: ways through steps, each a generator that stops where it has to wait.

Rules:

1. What asks for admission does so at the rank of requests. Whoever goes on at another rank waits for that one.
2. Who is called off calls off its branches first, the last to begin first; within a strand the inner step ends before
   what is around it.
3. The first step of an agent or a branch, and the one after thinking or a back-off, asks at once. After anything else at
   the same instant, be it a choice, a task that was skipped or one that was rejected, the next asks in an event of its
   own, behind those that are already due.
4. What is acquired in order is asked for part by part, the next as soon as the one before is admitted, but for rule 4 of
   `desk.py`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from model.events import Kind, Skip, Status
from model.plan import END, GO_ON, ChoosePlan, ForkPlan, GraphPlan, RepeatPlan, SpawnPlan, TaskPlan, ThinkPlan

from . import branches
from .branches import Wait
from .clock import DEADLINE, REQUEST, Entry
from .desk import PREEMPTED, REJECTED, WAITS
from .visits import Attempt, Visit

if TYPE_CHECKING:
    from .agents import Agent

ABANDONED = "abandoned"


class CalledOff(Exception):
    """Thrown into a strand that has to end."""


class Stop(Exception):
    """Raised by a task that failed and stops its agent."""


class Strand:
    """One way through steps: an agent, or a branch of it."""

    def __init__(self, agent: "Agent", entry: int, on_end: Callable[[str], None]) -> None:
        self.agent = agent
        self.over = False
        self.outcome = ""  # of the last task
        self._world = agent.world
        self._clock = agent.world.clock
        self._desk = agent.world.desk
        self._on_end = on_end
        self._doomed = False
        self.fresh = True  # whether nothing but the end of a pause has happened at this instant
        self._laps: dict[int, int] = {}
        self.holds: list[Attempt] = []
        self._way = self._steps(entry)

    def branch(self, entry: int, on_end: Callable[[str], None]) -> "Strand":
        """Return a strand of the same agent beside this one."""
        return Strand(self.agent, entry, on_end)

    def go_on(self, value: Any = None) -> None:
        """Let the strand go on from where it waits."""
        self._drive(lambda: self._way.send(value))

    def call_off(self) -> None:
        """End the strand, or let it end as soon as it waits."""
        if self.over:
            return
        if self._way.gi_running:
            self._doomed = True
        else:
            self._drive(lambda: self._way.throw(CalledOff()))

    def _drive(self, action: Callable[[], None]) -> None:
        try:
            action()
            if self._doomed:
                self._way.throw(CalledOff())
        except StopIteration:
            self.over = True
            self._on_end(self.outcome)
        except CalledOff:
            self.over = True
            self._on_end(branches.CALLED_OFF)
        except Stop:
            self.over = True
            self.agent.stop()

    def pause(self, time: int, rank: int) -> Wait:
        """Wait until a time."""
        entry = self._clock.at(time, rank, self.go_on)
        try:
            yield
        finally:
            entry.off = True
        self.fresh = rank == REQUEST

    def _requests(self) -> Wait:
        """Wait until the requests of this instant."""
        if not self.fresh or self._clock.rank != REQUEST:
            yield from self.pause(self._clock.now, REQUEST)
        self.fresh = False

    def _steps(self, number: int) -> Wait:
        plan = self._world.plan
        while number != END:
            step = plan.steps[number]
            match step:
                case ThinkPlan():
                    visit = self.agent.visit(number)
                    lasts = self.agent.draws.of_visit(step.duration, visit)
                    yield from self.pause(self._clock.now + lasts, REQUEST)
                    number = step.next
                case RepeatPlan():
                    laps = self._laps.get(number, 0)
                    self._laps[number] = laps + 1 if laps < step.times else 0
                    number = step.body if laps < step.times else step.next
                case ChoosePlan():
                    yield from self._requests()
                    drawn = self.agent.draws.of_visit(step.draw, self.agent.visit(number))
                    body = next(body for body, edge in zip(step.bodies, step.thresholds, strict=True) if drawn < edge)
                    number = step.next if body == GO_ON else body
                case TaskPlan():
                    number = yield from self._task(step)
                case ForkPlan():
                    yield from self._requests()
                    yield from branches.fork(self, step)
                    number = step.next
                case GraphPlan():
                    yield from self._requests()
                    yield from branches.graph(self, step)
                    number = step.next
                case SpawnPlan():
                    yield from self._requests()
                    yield from branches.spawn(self, step)
                    number = step.next

    # Tasks.

    def _task(self, step: TaskPlan) -> Wait:
        """Go through a visit to a task or a hold; return the next step."""
        yield from self._requests()
        task = Visit(self.agent, step)
        if task.skipped is not None:
            task.write_skip(task.skipped)
            self.outcome = "done" if task.skipped == Skip.cache_hit else "skipped"
            return step.next
        task.pay_in()
        status = yield from self._attempts(task)
        if status == Status.succeeded:
            self.outcome = "done"
            return step.next
        self.outcome = "failed"
        policy = step.policy
        if policy is None or policy.after_failure == GO_ON:
            return step.next
        if policy.after_failure == END:
            raise Stop
        for lap in policy.laps_left:
            self._laps[lap] = 0
        return policy.after_failure

    def _attempts(self, task: "Visit") -> Wait:
        """Try until an attempt succeeds or no further one follows; return the status of the last."""
        while True:
            attempt = Attempt(task, self._desk, self._clock, self.go_on)
            try:
                status = yield from self._attempt(attempt)
                if status == Status.preempted and not attempt.fails_by_preemption:
                    continue
                if not task.may_retry(attempt, status):
                    self._brace(attempt, status)
                    attempt.over()
                    return status
                wait = task.back_off(attempt)
                self._desk.write(Kind.TaskRetrying, attempt.request, -1, wait)
                task.draw_attempt()
                attempt.backs_off_since = self._clock.now
                yield from self.pause(self._clock.now + wait, REQUEST)
            except CalledOff:
                attempt.call_off(Status.cancelled)
                raise
            except Stop:
                attempt.call_off(Status.failed)
                raise

    def _attempt(self, attempt: Attempt) -> Wait:
        for request in attempt.parts():
            answer = self._desk.ask(request)
            if answer == WAITS:
                self._desk.settle()  # those whose slots it took for what it acquired before
                answer = yield from self._wait(attempt)
            if answer == ABANDONED:
                return attempt.abandon()
            if answer == REJECTED:
                status = attempt.reject()
                yield from self._settle_and_wait(self._clock.at(self._clock.now, REQUEST, self.go_on))
                self.fresh = True
                return status
            attempt.acquire()
            if attempt.asks_for_more and self._desk.trying:
                yield from self._settle_and_wait(self._desk.afterwards(self.go_on))
        attempt.start()
        body = attempt.visit.step.body
        if body is not None:
            self.holds.append(attempt)
            yield from self._settle_and_wait(self._clock.at(self._clock.now, REQUEST, self.go_on))
            self.fresh = True
            yield from self._steps(body)
            self.holds.remove(attempt)
            self.fresh = False
            return attempt.end(Status.succeeded)
        attempt.work()
        self._desk.settle()
        event = yield
        self.fresh = False
        if event != PREEMPTED:
            self._brace(attempt, event)
            return attempt.end(event)
        if attempt.fails_by_preemption:
            yield from self.pause(self._clock.now, REQUEST)
        return Status.preempted

    def _brace(self, attempt: Attempt, status: Status) -> None:
        """Try nobody until the agent has stopped, if it is this attempt that stops it."""
        policy = attempt.visit.policy
        stops = policy is not None and policy.after_failure == END and status != Status.succeeded
        if stops and not attempt.visit.may_retry(attempt, status):
            self._desk.put_off()

    def _settle_and_wait(self, entry: Entry) -> Wait:
        """Let those go on who lost slots to it, then wait for what is due before all they do."""
        self._desk.settle()
        try:
            yield
        finally:
            entry.off = True

    def _wait(self, attempt: Attempt) -> Wait:
        """Wait to be admitted, as long as the patience lasts."""
        patience = attempt.visit.patience
        entry = None
        if patience is not None:
            ends = attempt.request.asked + patience
            entry = self._clock.at(ends, DEADLINE, lambda: self.go_on(ABANDONED))
        try:
            return (yield)
        finally:
            if entry is not None:
                entry.off = True
