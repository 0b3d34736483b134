"""Incident: while it is on it slows, refuses, blocks or breaks the tasks that it hits.

Rules:

1. Who asks while it is on is refused if the draw of the attempt says so, and takes nothing; where it blocks, everybody
   waits until it is over.
2. An attempt that begins to work while it is on fails if its draw says so, at the end of its work.
3. Work that is slowed goes at 1 / `slow` of its speed, with several incidents at the product of theirs. What is left of it
   is kept exactly, as a fraction; a completion is at the next whole ns. Where only new work is slowed it is longer from
   the start, by the product and to the nearest ns, ties to even, and stays so.
4. An attempt that goes on with what was pre-empted begins anew, with the draws of the one before: what was longer leaves
   the same part of what it is by itself, to the nearest ns, ties to even.
"""

from fractions import Fraction
from math import ceil, prod
from typing import TYPE_CHECKING, cast

from model.units import MICRO
from sim.constraints.base import UNLIMITED, GlobalConstraint
from sim.environment import COMPLETION

if TYPE_CHECKING:
    from simpy.events import Event

    from model.plan import ConstraintPlan
    from sim.environment import Environment
    from sim.policy import PolicyTask
    from sim.queues import Queue
    from sim.task import Task


class Incident(GlobalConstraint):
    """Something that is on at times."""

    type = "incident"
    strikes = True

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self.is_on = False
        self._blocks = False
        self._working: dict[PolicyTask, _Work] = {}
        numbers: dict[str, int] = next((each.numbers for each in plan.settings if each.numbers is not None), {})
        self.slowness = Fraction(numbers.get("slow", MICRO), MICRO)
        self.slows_new = bool(numbers.get("new", 0))
        self._refuses = numbers.get("refuse", 0) > 0
        self.shares = self.slowness > 1 and not self.slows_new
        super().__init__(env, plan, waiting)

    def apply(self, numbers: dict[str, int] | None) -> None:
        for work in self._working.values():
            work.pause()
        self.is_on = numbers is not None
        self._blocks = numbers is not None and bool(numbers["block"])
        for work in self._working.values():
            work.go_on()

    @property
    def limit_recorded(self) -> int:
        """0 while it is on."""
        return 0 if self.is_on else -1

    def free(self) -> int:
        return -1 if self._blocks else UNLIMITED

    def admits(self, task: "Task", amount: int) -> bool:
        if self._blocks:
            return False
        return not (self.is_on and self._refuses and cast("PolicyTask", task).has_bad_luck("refuse", self))

    def enter(self, task: "PolicyTask") -> None:
        """Let a task work as fast as the incidents allow that slow it."""
        _Work(task, [incident for incident in task.incidents if isinstance(incident, Incident) and incident.shares])

    def works(self, task: "PolicyTask") -> bool:
        return task in self._working and self._working[task].left_now() > 0

    def leave(self, task: "PolicyTask") -> int:
        """Let a task go before it is done; return the ns of work that were left, rounded up."""
        work = self._working.get(task)  # None where it has just timed out
        return task.duration_ns - task.worked_ns if work is None else work.end()

    def worked(self, task: "PolicyTask") -> int:
        work = self._working.get(task)
        return task.worked_ns if work is None else task.duration_ns - ceil(work.left_now())

    def note(self, task: "PolicyTask", work: "_Work | None") -> None:
        """Remember the work of a task, or forget it."""
        if work is not None:
            self._working[task] = work
        else:
            del self._working[task]


class _Work:
    """What a task has left to do, and how fast that goes."""

    def __init__(self, task: "PolicyTask", incidents: list[Incident]) -> None:
        self._task = task
        self._incidents = incidents
        self._left = Fraction(task.duration_ns)
        for incident in incidents:
            incident.note(task, self)
        self.go_on()

    def left_now(self) -> Fraction:
        """Return the ns of work that are left."""
        return self._left - (self._task.env._now - self._since_ns) / self._slowness

    def pause(self) -> None:
        """Bring what is left up to now, before the speed changes."""
        self._left = self.left_now()
        self._unschedule()

    def go_on(self) -> None:
        """Go on at the speed that the incidents allow now."""
        task, env = self._task, self._task.env
        self._since_ns = env._now
        self._slowness = prod((incident.slowness for incident in self._incidents if incident.is_on), start=Fraction(1))
        # Below 0 it is done, and its end, at the next whole ns, is now.
        task.ends_ns = env._now + max(0, ceil(self._left * self._slowness))
        task.ending = env.at(task.ends_ns, COMPLETION)
        task.ending.callbacks = [self._over, *task.waker]

    def end(self) -> int:
        """Stop; return the ns of work that were left, rounded up."""
        left_ns = max(0, ceil(self.left_now()))
        self._unschedule()
        self._task.worked_ns = self._task.duration_ns - left_ns
        for incident in self._incidents:
            incident.note(self._task, None)
        return left_ns

    def _over(self, _: "Event") -> None:
        """Callback of the end of the work, before the strand goes on."""
        self.end()

    def _unschedule(self) -> None:
        if self._task.ending is not None and self._task.ending.callbacks is not None:
            self._task.ending.callbacks = []
