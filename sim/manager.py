"""The constraint manager: who is admitted, who is blocked on what, and who is tried next.

Rules (sections 4 and 5 of the design):

1. All or nothing: a task takes everything that it asks for at one instant, or nothing.
2. A refused task is bound to the first constraint, in the order of the scenario, that refuses it. It is charged to that
   one alone, and tried again only when that one may have changed: then, if another refuses it, it is bound to that other
   and keeps its place by age.
3. When several constraints change at once, as at the end of a task that held them all, those who wait for any of them are
   tried in one order, by age.
4. A request that some constraint could never admit is refused for good, when it asks or when a change makes it so: the
   task fails without having started.

TaskBlocked is recorded once an episode, TaskRebound when the binding constraint changes, TaskResumed when the task is
admitted. The manager names no constraint type.
"""

from collections.abc import Sequence
from heapq import heappush
from itertools import count
from typing import TYPE_CHECKING

from simpy.events import Event

from model.events import Kind, Status
from sim.constraints import TYPES, GlobalConstraint
from sim.environment import COMPLETION, REQUEST, Environment
from sim.recorder import NOBODY, Recorder, code, who
from sim.task import YOUNGEST, Task

if TYPE_CHECKING:
    from model.plan import Plan, Setting

_REBOUND = int(Kind.TaskRebound)
_RESUMED = int(Kind.TaskResumed)
_STARTED = int(Kind.TaskStarted)
_REJECTED = int(Kind.TaskRejected)
_ACQUIRED = int(Kind.ResourceAcquired)
_SUCCEEDED = int(Status.succeeded)
_FAILED = int(Status.failed)


class _Refusal(Event):
    """Tells an agent that its request can never be admitted."""

    def __init__(self, env: Environment, task: Task) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.callbacks = task.waker
        env.push(env._now, REQUEST, self)


class ConstraintManager:
    """Admits the tasks of all agents."""

    def __init__(self, env: Environment, plan: "Plan", recorder: Recorder) -> None:
        self.constraints = [TYPES[row.type](env, row) for row in plan.constraints]
        for constraint in self.constraints:
            constraint.armed.append(self._passed)
        self._env = env
        self._ages = count()
        self._ids = env._eid
        self._record = recorder.record
        self._schedule = env._queue

    def request(self, task: Task) -> None:
        """Start the task, or let it wait. Either way its event will happen, at the end of its work."""
        now = self._env._now
        for constraint, amount in task.demands:
            if not constraint.admits(task, amount):
                if task.doubtful and (never := _never(task)) is not None:
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
        record = self._record
        record((self._env._now, task.code_finished, task.who, _SUCCEEDED))
        held = task.held
        if len(held) == 1:
            constraint, amount = held[0]
            if constraint.exclusive and (waiter := constraint.hand_over()) is not None:
                self._resume(waiter, constraint)
                return
            constraint.give(amount)
            while (waiter := constraint.next_fitting()) is not None:
                self._retry(waiter, constraint)
        else:
            for constraint, amount in held:
                constraint.give(amount)
            self._admit_in_turn([constraint for constraint, _ in held])

    def change(self, number: int, setting: "Setting") -> None:
        """Give a constraint new numbers, and admit those for whom they make room."""
        constraint = self.constraints[number]
        ceiling_before = constraint.ceiling
        constraint.change(setting)
        kind = code(Kind.ConstraintChanged) + constraint.code
        self._record((self._env._now, kind, who(NOBODY), constraint.limit_recorded))
        if constraint.ceiling < ceiling_before:
            everybody = [(task, other) for other in self.constraints for task, _ in other.waiting if task.doubtful]
            for task, binding in sorted(everybody, key=lambda pair: pair[0].age):
                if (never := _never(task)) is not None:
                    binding.waiting.remove(task)
                    self._refuse(task, never)
        self._admit_in_turn([constraint])
        constraint.look_ahead()

    def _passed(self, event: Event) -> None:
        """Callback of a constraint that scheduled itself: time has passed, somebody may fit."""
        assert isinstance(event, GlobalConstraint)
        if event.happens():
            self._admit_in_turn([event])
            event.look_ahead()

    def _admit_in_turn(self, changed: Sequence[GlobalConstraint]) -> None:
        """Try those who wait for any of the changed constraints, in one order by age."""
        while True:
            task, binding = None, None
            for constraint in changed:
                candidate = constraint.first_fitting()
                if candidate is not None and (task is None or candidate.age < task.age):
                    task, binding = candidate, constraint
            if task is None or binding is None:
                return
            binding.waiting.remove(task)
            self._retry(task, binding)

    def _retry(self, task: Task, binding: GlobalConstraint) -> None:
        """Admit a task that `binding` would admit and has let go, unless another constraint refuses it."""
        if len(task.demands) > 1:
            for constraint, amount in task.demands:
                if not constraint.admits(task, amount):
                    self._rebind(task, constraint, amount)
                    return
        for constraint, amount in task.demands:
            constraint.take(amount)
        self._resume(task, binding)

    def _resume(self, task: Task, binding: GlobalConstraint) -> None:
        """Start a task that waited for `binding` last and has all that it asks for."""
        now = self._env._now
        task.age = YOUNGEST
        waited_ns = now - task.asked_ns
        record = self._record
        if task.drawn:
            record((now, _RESUMED + task.code + binding.code, task.who, waited_ns))
            self._state_amounts(task, now)
            record((now, _STARTED + task.code, task.who, waited_ns))
        else:
            record((now, binding.code_admitted + task.code, task.who, waited_ns))
        task.callbacks = task.waker
        heappush(self._schedule, (now + task.duration_ns, COMPLETION, next(self._ids), task))

    def _state_amounts(self, task: Task, now: int) -> None:
        for constraint, amount in task.drawn:
            self._record((now, _ACQUIRED + task.code + constraint.code, task.who, amount))

    def _rebind(self, task: Task, constraint: GlobalConstraint, amount: int) -> None:
        now = self._env._now
        self._record((now, _REBOUND + task.code + constraint.code, task.who, now - task.bound_ns))
        task.bound_ns = now
        constraint.waiting.add(task, amount)
        constraint.look_ahead()

    def _refuse(self, task: Task, constraint: GlobalConstraint) -> None:
        """Fail a request that `constraint` can never admit."""
        now = self._env._now
        task.age = YOUNGEST
        self._record((now, _REJECTED + task.code + constraint.code, task.who, -1))
        self._record((now, task.code_finished, task.who, _FAILED))
        _Refusal(self._env, task)


def _never(task: Task) -> GlobalConstraint | None:
    """Return the first constraint that can never admit what the task asks of it, from now on."""
    return next((constraint for constraint, amount in task.demands if amount > constraint.ceiling), None)
