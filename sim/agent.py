"""An agent: a SimPy process that goes through the steps of its fleet.

Rules:

1. The process yields its own task and is resumed when the task's event happens: at the end of thinking, at the end of the
   work, or when a request is refused for good. Waiting costs no event: whoever makes room starts the task.
2. The n-th visit to a step takes the n-th draw of the step's variables, whenever it happens.
3. What agents of one fleet share is in `Step`; what one agent keeps between events is in the frame of its generator.
"""

from collections.abc import Callable, Generator, Iterator
from heapq import heappush
from typing import TYPE_CHECKING, Any, Final

from simpy.events import Event, Process

from model.events import Kind
from sim.environment import REQUEST, Environment
from sim.recorder import Recorder, code, who
from sim.task import Demands, Task

if TYPE_CHECKING:
    from sim.manager import ConstraintManager

THINK: Final = 0
TASK: Final = 1
REPEAT: Final = 2

_STARTED = code(Kind.AgentStarted)
_FINISHED = code(Kind.AgentFinished)

Draws = Callable[[int], Iterator[int]]
"""The values of a quantity for one agent (its number within the fleet), one a visit."""


def _nothing(index: int) -> Iterator[Any]:
    return iter(())


Requests = Callable[[int], Iterator[tuple[Demands, Demands]]]
"""What an agent asks for, visit by visit, and the part of it that the log has to state because it was drawn."""


class Step:
    """A step of the Plan as the agents of a fleet use it."""

    __slots__ = ("body", "code", "duration", "groups", "kind", "local", "next", "requests", "times")

    def __init__(self, kind: int, local: int, number: int) -> None:
        self.kind = kind
        self.local = local  # its place among the steps of the fleet
        self.code = code(0, number, 0)
        self.next: Step | None = None
        self.duration: Draws = _nothing
        self.requests: list[Requests] = [_nothing]  # of a task, by group of agents
        self.groups: list[int] | None = None  # the group of each agent, where there is more than one
        self.body: Step | None = None  # of a repeat
        self.times = 0  # of a repeat


class Place:
    """What one agent keeps of one step: how often it came there, and what comes next."""

    __slots__ = ("body", "code", "durations", "kind", "laps", "next", "requests", "times", "who")

    def __init__(self, step: Step, number: int, index: int) -> None:
        self.kind = step.kind
        self.code = step.code
        self.who = who(number, -1)  # of the last visit
        self.durations = step.duration(index)
        self.requests = step.requests[step.groups[index] if step.groups else 0](index)
        self.times = step.times
        self.laps = 0
        self.next: Place | None = None
        self.body: Place | None = None


class Agent(Process):
    """One agent of a fleet."""

    def __init__(
        self,
        env: Environment,
        manager: "ConstraintManager",
        recorder: Recorder,
        steps: list[Step],
        entry: Step,
        number: int,
        index: int,
    ) -> None:
        # Not Process.__init__, which schedules an event to begin: an agent begins where it is made.
        self.env = env
        self.callbacks = []
        self._task = Task(env)
        self._task.waker = [self._resume]
        places = [Place(step, number, index) for step in steps]
        for step, place in zip(steps, places, strict=True):
            place.next = None if step.next is None else places[step.next.local]
            place.body = None if step.body is None else places[step.body.local]
        self._generator = self._life(env, manager, recorder, places[entry.local], number)
        self._target = self._task
        next(self._generator)

    def _resume(self, event: Event) -> None:
        """Go on to the next event; as SimPy does, without the search for other events that have happened already."""
        try:
            self._generator.send(event._value)
        except StopIteration:
            self._ok = True
            self._value = None
            self._task.waker = []  # so that a finished agent is freed without the garbage collector
            if self.callbacks:
                self.env.schedule(self)
            else:
                self.callbacks = None  # type: ignore[assignment] # how SimPy marks an event as processed

    def _life(
        self, env: Environment, manager: "ConstraintManager", recorder: Recorder, place: Place | None, number: int
    ) -> Generator[Event, bool, None]:
        record, schedule, ids, task = recorder.record, env._queue, env._eid, self._task
        request, release = manager.request, manager.release

        record((env._now, _STARTED, who(number), 0))
        while place is not None:
            kind = place.kind
            if kind == TASK:
                place.who = task.who = place.who + 1
                task.code = place.code
                task.duration_ns = next(place.durations)
                task.demands, task.drawn = next(place.requests)
                request(task)
                if (yield task):
                    release(task)
                place = place.next
            elif kind == THINK:
                task.callbacks = task.waker
                heappush(schedule, (env._now + next(place.durations), REQUEST, next(ids), task))
                yield task
                place = place.next
            elif place.laps < place.times:
                place.laps += 1
                place = place.body
            else:
                place.laps = 0
                place = place.next
        record((env._now, _FINISHED, who(number), 0))
