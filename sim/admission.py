"""Admission: who is admitted, who is blocked on what, and who is tried next.

Rules (sections 4 and 5 of the design):

1. All or nothing: a task takes everything that it asks for at one instant, or nothing.
2. A refused task is bound to the first constraint, in the order of the scenario, that refuses it. It is charged to that
   one alone, and tried again only when that one may have changed: then, if another refuses it, it is bound to that other
   and keeps its place by age.
3. When several constraints change at once, as at the end of a task that held them all, those who wait for any of them are
   tried in one order, by age; among those who wait for one, its queue says who is first.
4. A request that some constraint could never admit is refused for good, when it asks or when a change makes it so: the
   task fails without having started.
5. While things that belong together end, nobody is tried: what they give back is for those who are left.
6. A task whose policy is none asks by `request` and ends by `release`, which do no more than that takes.

TaskBlocked is recorded once an episode, TaskRebound when the binding constraint changes, TaskResumed when the task is
admitted. No constraint type is named here.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heappush
from itertools import count
from typing import TYPE_CHECKING

from simpy.events import Event

from model.events import Kind, Status
from model.plan import TaskPlan
from sim.constraints import TYPES, GlobalConstraint
from sim.deadlock import Watch
from sim.environment import COMPLETION, REFILL, REQUEST, Environment
from sim.policy import PolicyTask
from sim.preemption import next_to_try
from sim.queues import queue_of, stands_behind
from sim.recorder import NOBODY, Recorder, code, who
from sim.task import YOUNGEST, Task, Waker

if TYPE_CHECKING:
    from model.plan import Change, Plan

_CHANGED = code(Kind.ConstraintChanged)
_REBOUND = int(Kind.TaskRebound)
_RESUMED = int(Kind.TaskResumed)
_STARTED = int(Kind.TaskStarted)
_REJECTED = int(Kind.TaskRejected)
_ACQUIRED = int(Kind.ResourceAcquired)
_SUCCEEDED = int(Status.succeeded)
_FAILED = int(Status.failed)


class Admission(ABC):
    """Admits tasks, and tries those who wait when something may have changed."""

    def __init__(self, env: Environment, plan: "Plan", recorder: Recorder) -> None:
        self.constraints = [TYPES[row.behaviour](env, row, queue_of(row, plan.seed)) for row in plan.constraints]
        for constraint in self.constraints:
            constraint.armed.append(self._passed)
        asked_with_policy = {
            demand.constraint
            for step in plan.steps
            if isinstance(step, TaskPlan) and step.policy is not None
            for group in step.demands
            for demand in group
        }
        for constraint in self.constraints:
            constraint.plain = constraint.number not in asked_with_policy
        self.asking: Waker = [self.request]
        """The callbacks of an event at which a task asks."""
        self._env = env
        self._ages = count()
        self._starts = count()
        self._changed: dict[GlobalConstraint, None] | None = None  # what those wait for who are being tried, if any are
        self._trying = False  # whether one of them is, not one who goes on asking afterwards
        self._going_on: deque[PolicyTask] = (
            deque()
        )  # who has taken one thing meanwhile and asks for the next afterwards
        self._postponed: dict[GlobalConstraint, None] | None = None  # what changed while nobody is to be tried
        self._ids = env._eid
        self.watch = Watch(env, recorder) if plan.waits_while_holding else None
        self._record = recorder.record
        self._schedule = env._queue

    def request(self, task: Task) -> None:
        """Start the task, or let it wait. Either way its event will happen, at the end of its work."""
        now = self._env._now
        for constraint, amount in task.demands:
            if not constraint.admits(task, amount):
                if task.doubtful and (never := who_never_admits(task)) is not None:
                    self._refuse(task, never)
                    return
                task.asked_ns = task.bound_ns = now
                task.age = next(self._ages)
                before = constraint.waiting.add(task, amount)
                record = self._record  # 3.11 calls a local much faster than an attribute
                record((now, constraint.code_blocked + task.code, task.who, before))
                if constraint.timed:
                    constraint.look_ahead()
                return
        for constraint, amount in task.demands:
            constraint.take(amount)
        if task.drawn:
            self._state_amounts(task, now)
        record = self._record
        record((now, _STARTED + task.code, task.who, 0))
        task.callbacks = task.waker
        heappush(self._schedule, (now + task.duration_ns, COMPLETION, next(self._ids), task))

    def release(self, task: Task) -> None:
        """End the task: give back what it holds, and admit those who were waiting for it."""
        record, now, held = self._record, self._env._now, task.held
        if len(held) == 1:
            constraint, amount = held[0]
            if constraint.exclusive and (waiter := constraint.hand_over()) is not None:
                if type(waiter) is Task and not waiter.drawn:  # the commonest end: what _resume does, cheaper
                    admitted, waited_ns = constraint.code_admitted + waiter.code, now - waiter.asked_ns
                    record((now, task.code_finished, task.who, _SUCCEEDED, now, admitted, waiter.who, waited_ns))
                    waiter.age = YOUNGEST
                    waiter.callbacks = waiter.waker
                    heappush(self._schedule, (now + waiter.duration_ns, COMPLETION, next(self._ids), waiter))
                    return
                record((now, task.code_finished, task.who, _SUCCEEDED))
                self._resume(waiter, constraint)
                return
            record((now, task.code_finished, task.who, _SUCCEEDED))
            constraint.give(amount)
            if constraint.plain:
                self._admit_plain(constraint)
            else:
                self._admit((constraint,))
        else:
            record((now, task.code_finished, task.who, _SUCCEEDED))
            for constraint, amount in held:
                constraint.give(amount)
            self._admit([constraint for constraint, _ in held])

    def change(self, changes: "Sequence[Change]") -> None:
        """Give constraints their new numbers of this instant, and then admit those for whom they make room."""
        changed: dict[GlobalConstraint, None] = {}
        is_ceiling_lower = False
        for change in changes:
            constraint = self.constraints[change.constraint]
            changed[constraint] = None
            ceiling_before = constraint.ceiling
            constraint.change(change.setting)
            is_ceiling_lower |= constraint.ceiling < ceiling_before
            self._record_limit(constraint)
        if is_ceiling_lower:
            everybody = [
                (task, other)
                for other in self.constraints
                for task, _ in other.waiting
                if task.doubtful and not is_lent(task)
            ]
            hopeless = [
                (task, other, who_never_admits(task)) for task, other in sorted(everybody, key=lambda pair: pair[0].age)
            ]
            for task, binding, never in hopeless:
                if never is not None:
                    binding.waiting.remove(task)
                    changed[binding] = None  # it may have stood in the way of others
            for task, _, never in hopeless:  # only now: what one gives back may go to others who wait
                if never is not None:
                    self._refuse(task, never)
        self._admit(list(changed))
        if is_ceiling_lower and self.watch is not None:
            self.watch.look_again()

    def _passed(self, event: Event) -> None:
        """Callback of a constraint that scheduled itself: time has passed, somebody may fit. So it is for all refills."""
        assert isinstance(event, GlobalConstraint)
        queue, now = self._schedule, self._env._now
        if event.plain and not (queue and queue[0][1] == REFILL and queue[0][0] == now):
            if event.happens():  # alone at this instant: what follows, cheaper
                self._admit_plain(event)
                event.look_ahead()
            return
        passed = [event] if event.happens() else []
        if event.rank == REFILL:
            while (other := self._env.take_next(REFILL)) is not None:
                assert isinstance(other, GlobalConstraint)
                if other.happens():
                    passed.append(other)
        for constraint in passed:
            if constraint.hears:  # what it hears may change it, and so may the end of a time
                before = constraint.limit_recorded
                constraint.pass_time()
                self._note_change(constraint, before)
        self._admit(passed)

    def postpone(self) -> None:
        """Try nobody until `catch_up`."""
        if self._postponed is None:
            self._postponed = {}

    def catch_up(self) -> None:
        """Try those who wait for anything that changed since `postpone`, in one order."""
        changed, self._postponed = self._postponed, None
        if changed:
            self._admit(list(changed))

    def _admit(self, changed: Sequence[GlobalConstraint]) -> None:
        """Try those who wait for any of the constraints that have changed, in one order by age; see when there is more.

        What changes because of that is tried with the rest. Who takes one thing after another asks for the next when all
        have been tried, so as not to overtake them.
        """
        if self._postponed is not None:
            self._postponed.update(dict.fromkeys(changed))
            return
        if self._changed is not None:
            self._changed.update(dict.fromkeys(changed))
            return
        if len(changed) == 1 and changed[0].plain:
            self._admit_plain(changed[0])
            changed[0].look_ahead()
            return
        self._changed = dict.fromkeys(changed)
        looked_at: dict[GlobalConstraint, None] = {}
        while True:
            self._trying = True
            self._try_in_turn(self._changed)
            self._trying = False
            looked_at.update(self._changed)
            self._changed.clear()
            if not self._going_on:
                break
            self._go_on_asking(self._going_on.popleft())
        self._changed = None
        for constraint in looked_at:
            constraint.look_ahead()

    def _try_in_turn(self, changed: Iterable[GlobalConstraint]) -> None:
        while True:
            task, binding = None, None
            for constraint in changed:
                candidate = constraint.first_fitting() if constraint.holders is None else next_to_try(constraint)
                if candidate is not None and (task is None or candidate.age < task.age):
                    task, binding = candidate, constraint
            if task is None or binding is None:
                return
            self._try(task, binding)

    def _admit_plain(self, binding: GlobalConstraint) -> None:
        """Try those who wait for a constraint for which only tasks without a policy ask: as for others, but cheaper."""
        if binding.plan.exclusive:  # they ask for nothing else
            while (task := binding.next_fitting()) is not None:
                self._let_go(task, binding, None)
        else:
            while (task := binding.next_fitting()) is not None:
                self._let_go(task, binding, who_refuses(task))

    def _try(self, task: Task, binding: GlobalConstraint) -> None:
        """Admit a task that waits for `binding`, which would admit it, unless another constraint refuses it."""
        refusing = who_refuses(task)  # while it has its place, which may depend on who else waits
        binding.waiting.remove(task)
        self._let_go(task, binding, refusing)

    def _let_go(self, task: Task, binding: GlobalConstraint, refusing: tuple[GlobalConstraint, int] | None) -> None:
        """Admit a task that does not wait for `binding` any more, unless another constraint is `refusing` it."""
        if refusing is None:
            for constraint, amount in task.demands:
                constraint.take(amount)
            self._resume(task, binding)
        elif type(task) is PolicyTask:
            self._turn_away(task, *refusing)
        else:
            self._rebind(task, *refusing)

    def _resume(self, task: Task, binding: GlobalConstraint) -> None:
        """Start a task that waited for `binding` last and has all that it asks for."""
        now = self._env._now
        waited_ns = now - task.asked_ns
        record = self._record
        if type(task) is PolicyTask:
            record((now, _RESUMED + task.code + binding.code, task.who, waited_ns))
            self._start(task)
            return
        if task.drawn:
            record((now, _RESUMED + task.code + binding.code, task.who, waited_ns))
            self._state_amounts(task, now)
            record((now, _STARTED + task.code, task.who, waited_ns))
        else:
            record((now, binding.code_admitted + task.code, task.who, waited_ns))
        task.age = YOUNGEST
        task.callbacks = task.waker
        heappush(self._schedule, (now + task.duration_ns, COMPLETION, next(self._ids), task))

    def _note_change(self, constraint: GlobalConstraint, before: int) -> None:
        """Record that a constraint changed by itself, if it did."""
        if constraint.limit_recorded != before:
            self._record_limit(constraint)

    def _record_limit(self, constraint: GlobalConstraint) -> None:
        self._record((self._env._now, _CHANGED + constraint.code, who(NOBODY), constraint.limit_recorded))

    def _state_amounts(self, task: Task, now: int) -> None:
        for constraint, amount in task.drawn:
            self._record((now, _ACQUIRED + task.code + constraint.code, task.who, amount))

    def _rebind(self, task: Task, constraint: GlobalConstraint, amount: int) -> None:
        now = self._env._now
        self._record((now, _REBOUND + task.code + constraint.code, task.who, now - task.bound_ns))
        task.bound_ns = now
        constraint.waiting.add(task, amount)
        constraint.look_ahead()

    def _refuse(self, task: Task, constraint: GlobalConstraint, after_ns: int = -1, again: bool = False) -> None:
        """Fail a request that `constraint` does not admit; `again` says that it might at another time."""
        now = self._env._now
        task.age = YOUNGEST
        self._record((now, _REJECTED + task.code + constraint.code, task.who, after_ns))
        self._record((now, task.code_finished, task.who, _FAILED))
        if type(task) is PolicyTask:
            task.status, task.refused_ns, task.again = Status.failed, after_ns, again
            self._drop(task, constraint)
        self._wake(task)

    def _wake(self, task: Task) -> None:
        """Let the agent of a task that was refused, or gives up, go on after all completions of this instant."""
        self._env.at(self._env._now, REQUEST).callbacks = task.waker

    # What only tasks with a policy do: see `sim.manager`.

    @abstractmethod
    def _start(self, task: PolicyTask) -> None:
        """Start a task that has all that it asks for, or let it ask for the rest."""

    @abstractmethod
    def _turn_away(self, task: PolicyTask, constraint: GlobalConstraint, amount: int) -> None:
        """Pre-empt for a task that `constraint` refuses, refuse it, or let it wait."""

    @abstractmethod
    def _go_on_asking(self, task: PolicyTask) -> None:
        """Ask for what the task takes next, while it holds what it has."""

    @abstractmethod
    def _drop(self, task: PolicyTask, refusing: GlobalConstraint) -> None:
        """Let a task that `refusing` does not admit give back what it took before it was refused the rest."""


def who_refuses(task: Task) -> tuple[GlobalConstraint, int] | None:
    """Return the first constraint that does not admit the task, and what the task wants of it."""
    for constraint, amount in task.demands:
        if not constraint.admits(task, amount) or (
            constraint.discipline.strict and constraint.in_force and stands_behind(task, constraint.waiting)
        ):
            return constraint, amount
    return None


def is_lent(task: Task) -> bool:
    """Say whether it is a hold that asks for what it gave back: it goes on meanwhile, and cannot be refused."""
    return type(task) is PolicyTask and task.is_lent


def who_never_admits(task: Task) -> GlobalConstraint | None:
    """Return the first constraint that can never admit what the task asks of it, from now on."""
    return next((constraint for constraint, amount in task.demands if amount > constraint.ceiling), None)
