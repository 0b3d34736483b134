"""Processor sharing: everybody is admitted, and who works shares `limit` servers evenly with all others.

Rules:

1. While no more work than there are servers each works at full speed; else each at `limit` / number. (Kleinrock, Queueing
   Systems vol. 2, section 4.4: egalitarian processor sharing, here with several servers.)
2. All who work have attained the same since they came together, so one virtual clock is enough: it goes at the speed of one
   of them, and a task is done when it has gone on by the task's duration.
3. The virtual clock counts in 2**-32 ns, rounded down at each arrival and departure, and at each change of the limit. A
   completion is at the next whole ns.
"""

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from simpy.events import Event

from sim.constraints.base import UNLIMITED, GlobalConstraint
from sim.environment import COMPLETION

if TYPE_CHECKING:
    from model.plan import ConstraintPlan
    from sim.environment import Environment
    from sim.policy import PolicyTask
    from sim.queues import Queue

_SHIFT = 32


class ProcessorSharing(GlobalConstraint):
    """Servers that are shared."""

    type = "processor_sharing"
    holds = True
    shares = True
    rank = COMPLETION

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self.env: Environment = env
        self.limit = UNLIMITED
        self._virtual = 0
        self._virtual_ns = 0  # when that was
        self._working: dict[PolicyTask, int] = {}  # and the virtual time at which each is done
        self._ends: list[tuple[int, int, PolicyTask]] = []  # a heap, in which those who left stay until they come up
        self._order = count()
        super().__init__(env, plan, waiting)

    def apply(self, numbers: dict[str, int] | None) -> None:
        self._settle()
        self.limit = UNLIMITED if numbers is None else numbers["limit"]

    @property
    def limit_recorded(self) -> int:
        return -1 if self.limit == UNLIMITED else self.limit

    def free(self) -> int:
        return UNLIMITED

    def enter(self, task: "PolicyTask") -> None:
        """Let a task work; its `ending` will happen when it has had its duration."""
        end = self._settle() + (task.duration_ns << _SHIFT)
        self._working[task] = end
        heappush(self._ends, (end, next(self._order), task))
        self.look_ahead()

    def works(self, task: "PolicyTask") -> bool:
        return self._working.get(task, 0) > self._reading()

    def leave(self, task: "PolicyTask") -> int:
        """Let a task go before it is done; return the ns of work that were left, rounded up."""
        now = self._settle()
        end = self._working.pop(task, now)  # it may be done at this very instant
        self.look_ahead()
        return max(0, -(-(end - now) >> _SHIFT))

    def look_ahead(self) -> None:
        now = self._reading()
        while self._ends:
            end, _, task = self._ends[0]
            if self._working.get(task) != end:
                heappop(self._ends)
            elif end <= now:
                heappop(self._ends)
                self._settle()
                del self._working[task]
                assert isinstance(task.ending, Event)
                task.ending.callbacks = task.waker
                self.env.push(self.env._now, COMPLETION, task.ending)
            else:
                number, wait = len(self._working), end - self._virtual
                if number > self.limit:
                    wait = -(-wait * number // self.limit)
                self.schedule(self._virtual_ns + -(-wait >> _SHIFT))
                return

    def _reading(self) -> int:
        """Return what the virtual clock says now. Looking at it rounds nothing."""
        elapsed = (self.env._now - self._virtual_ns) << _SHIFT
        number = len(self._working)
        return self._virtual + (elapsed if number <= self.limit else elapsed * self.limit // number)

    def _settle(self) -> int:
        """Bring the virtual clock up to now, before its speed changes, and return it."""
        self._virtual, self._virtual_ns = self._reading(), self.env._now
        return self._virtual
