"""What every constraint is: a SimPy event that happens when the constraint may have changed by itself.

Rules:

1. A constraint answers for itself alone: `admits`, `take`, `give`. All or nothing over several constraints, and who is
   tried next, is the manager's business.
2. `take` is only called after `admits` at the same instant; neither looks at other constraints.
3. While it is not in force a constraint admits everybody, whoever waits for it still, and counts who holds it.
4. A constraint that changes as time passes schedules itself; the manager is its callback.
"""

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from simpy.events import Event

from model.events import Kind
from model.units import NS_PER_SECOND
from sim.environment import FOREVER, REFILL
from sim.queues import SizedQueue
from sim.recorder import RESUMED_AND_STARTED, constraint_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.events import Status
    from model.plan import ConstraintPlan, Setting
    from sim.environment import Environment
    from sim.policy import PolicyTask
    from sim.queues import Queue
    from sim.task import Task

UNLIMITED = 2**62
"""More than anybody can ask for."""


def _expendable(task: "PolicyTask") -> tuple[int, int]:
    return task.priority, -task.started


class GlobalConstraint(Event, ABC):
    """A limit that tasks share."""

    type: ClassVar[str]
    holds: ClassVar[bool] = False
    """Whether a task gives back at its end what it took, so that somebody may fit then."""

    hears: ClassVar[bool] = False
    """Whether it wants to know how each task ended that it governs."""
    strikes: ClassVar[bool] = False
    """Whether it does something to an attempt that begins to work, or draws whether it refuses it."""

    shares = False
    """Whether it says how fast a task works: then the task does not schedule its own end."""

    is_on = False
    """Whether it strikes now."""

    slowness = Fraction(1)
    """How many times as long work takes while it strikes."""

    slows_new = False
    """Whether that holds for attempts that begin meanwhile, to their ends, and for no others."""

    rank: ClassVar[int] = REFILL
    """When among the events of an instant it happens."""

    defers = False
    """Whether nothing is charged when a task starts."""

    settles = False
    """Whether a task settles at its end what it took at its start, whatever it keeps for its next attempt."""

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.env: Environment = env
        self.plan = plan
        self.number = plan.number
        self.code = constraint_code(plan.number)  # packed for the recorder, as are the next two
        self.code_blocked = self.code + Kind.TaskBlocked
        self.code_admitted = self.code + RESUMED_AND_STARTED
        self.waiting = waiting
        self.discipline = plan.discipline
        self.holders: SizedQueue | None = None  # who may have to yield to a more important task, in that order
        if plan.discipline.preempt is not None:
            self.holders = SizedQueue(_expendable)
        self.exclusive = plan.exclusive and self.holds  # so that what one task gives back another can have as it is
        self.plain = False  # whether only tasks without a policy ask for it
        self.timed = False  # whether time alone can let a waiting task fit, so that `look_ahead` has something to do
        self.in_force = False
        self.ceiling = UNLIMITED  # the largest amount that can be admitted, now or after a later change
        self.due_ns: int | None = None  # when this event is due, if it is
        self.armed: list[Callable[[Event], None]] = []  # its callbacks, set again whenever it is scheduled
        self.change(plan.settings[0])

    def change(self, setting: "Setting") -> None:
        """Take on new numbers, or go out of force."""
        self.ceiling = UNLIMITED if setting.ceiling is None else setting.ceiling
        self.apply(setting.numbers)
        self.in_force = setting.numbers is not None

    @abstractmethod
    def apply(self, numbers: dict[str, int] | None) -> None:
        """Take on the numbers of this type; None: out of force."""

    @property
    @abstractmethod
    def limit_recorded(self) -> int:
        """The limit as the log states it in `ConstraintChanged`; -1 where none is in force."""

    @abstractmethod
    def free(self) -> int:
        """Return the largest amount that could be taken now."""

    def admits(self, task: "Task", amount: int) -> bool:
        """Say whether the task may take this amount now."""
        return amount <= self.free()

    def available_in(self, amount: int) -> int | None:
        """Return the ns until this amount could be taken if nothing else happened, None where that is not known."""
        return None

    def retry_after(self, amount: int) -> int:
        """Return what a refusal says: the ns after which to ask for this amount again; -1 where it says nothing.

        It names no time that is later than any clock can say.
        """
        rule = self.plan.retry_after
        wait_ns = self.available_in(amount) if isinstance(rule, str) else rule
        if wait_ns is None or rule == "none":
            return -1
        if rule == "seconds":
            wait_ns = -(-wait_ns // NS_PER_SECOND) * NS_PER_SECOND
        return wait_ns if self.env._now + wait_ns <= FOREVER else -1

    def take(self, amount: int) -> None:
        """Account for an admitted task."""

    def hear(self, status: "Status", lasted_ns: int, admitted_ns: int) -> None:
        """Hear how a task ended, how long it worked, and when it was admitted here; only called where it `hears`."""

    def pass_time(self) -> None:
        """Take in that the time has come for which it has scheduled itself; only called where the constraint `hears`."""

    def enter(self, task: "PolicyTask") -> None:
        """Let a task work; only called where the constraint `shares`."""

    def works(self, task: "PolicyTask") -> bool:
        """Say whether a task still has something to do; only called where the constraint `shares`."""
        return False

    def leave(self, task: "PolicyTask") -> int:
        """Let a task go before it is done, and return the ns that were left; only called where the constraint `shares`."""
        return 0

    def worked(self, task: "PolicyTask") -> int:
        """Return the ns of its work that a task has done, rounded down; only called where the constraint `shares`."""
        return task.worked_ns

    def give(self, amount: int) -> None:
        """Account for the end of a task that was admitted; only called where the constraint `holds`."""

    def settle(self, amount: int, taken_ns: int) -> None:
        """Hand back a part of what was taken at `taken_ns`, or charge more if it is below 0; only where it `settles`."""
        self.give(amount)

    def hand_over(self) -> "Task | None":
        """Let the task that waits first have what another gives back; only called where the constraint is `exclusive`.

        Returns that task, taken out, or None where nobody waits or where what is given back is not to be had again.
        """
        return None

    def next_fitting(self) -> "Task | None":
        """Take out and return the waiting task to try next, if one fits by what this constraint knows."""
        return self.waiting.pop(self.free())

    def first_fitting(self) -> "Task | None":
        """Return what `next_fitting` would, and let it wait."""
        return self.waiting.peek(self.free())

    def look_ahead(self) -> None:
        """Schedule this event for the next time at which a waiting task can fit by the passing of time."""

    def schedule(self, due_ns: int) -> None:
        """Let this event happen at `due_ns`, unless it is due before. An earlier time overrules a later one."""
        if self.due_ns is None or due_ns < self.due_ns:
            self.due_ns = due_ns
            self.callbacks = self.armed
            self.env.push(due_ns, self.rank, self)

    def happens(self) -> bool:
        """Say, when the event is processed, whether it is still the one that is due."""
        self.callbacks = self.armed  # it may be in the schedule more than once
        if self.due_ns != self.env._now:
            return False
        self.due_ns = None
        return True
