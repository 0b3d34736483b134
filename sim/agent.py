"""An agent: a SimPy process that goes through the steps of its fleet.

Rules:

1. The process yields the activity that it is busy with, and is resumed when that event happens: at the end of thinking,
   at the end of the work, or when a request is refused for good. Waiting costs no event: whoever makes room starts the
   task.
2. The n-th visit to a step takes the n-th draw of the step's variables, whenever it happens.
"""

from collections.abc import Generator
from heapq import heappush
from typing import TYPE_CHECKING, Any

from simpy.events import Event, Process

from model.events import Kind
from sim.environment import REQUEST, Environment
from sim.policy import PolicyTask, attempts
from sim.recorder import Recorder, code, who
from sim.step import Step
from sim.task import Activity, Repeat, Task, Think, Waker

if TYPE_CHECKING:
    from sim.manager import ConstraintManager

_STARTED = code(Kind.AgentStarted)
_FINISHED = code(Kind.AgentFinished)


def _nothing() -> Generator[Event, Any, None]:
    yield from ()


_OVER = _nothing()
"""The generator of every agent that is done."""


class Agent(Process):
    """One agent of a fleet: `number` in the run, `index` in the fleet."""

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
        self._waker: Waker = []
        activities = [step.activity(env, self._waker, number, index) for step in steps]
        for step, activity in zip(steps, activities, strict=True):
            activity.next = None if step.next is None else activities[step.next.local]
            if isinstance(activity, Repeat) and step.body is not None:
                activity.body = activities[step.body.local]
            if isinstance(activity, PolicyTask):
                activity.after_failure = None if step.after_failure is None else activities[step.after_failure.local]
                activity.laps_left = [activities[repeat.local] for repeat in step.laps_left]
        self._generator = self._life(env, manager, recorder, activities[entry.local], number)
        self._target = None  # type: ignore[assignment] # nothing: our agents are not interrupted
        # Not Process._resume, which looks for events that have happened already: the generator itself is the callback.
        self._waker.append(self._generator.send)
        recorder.record((env._now, _STARTED, who(number), 0))
        next(self._generator)

    def _finish(self) -> None:
        """Let the event of the process happen, if anybody waits for it, and the agent be freed without a collector."""
        self._waker.clear()
        self._generator = _OVER
        if self.callbacks:
            self.succeed()
        else:
            self._ok, self._value = True, None
            self.callbacks = None  # type: ignore[assignment] # how SimPy marks an event as processed

    def _life(
        self,
        env: Environment,
        manager: "ConstraintManager",
        recorder: Recorder,
        activity: Activity | None,
        number: int,
    ) -> Generator[Event, Any, None]:
        request, release = manager.request, manager.release
        waker, schedule, ids = self._waker, env._queue, env._eid

        asking: Waker = [request]
        asks_ns: int | None = None  # when it asks next; None: now, since nothing comes before it at this instant
        while activity is not None:
            if type(activity) is Task:
                activity.who += 1
                activity.duration_ns = next(activity.durations)
                if activity.requests is not None:
                    activity.demands, activity.held, activity.drawn = next(activity.requests)
                if asks_ns is None:
                    request(activity)
                else:  # thinking ends with asking, so one event does for both
                    activity.callbacks = asking
                    heappush(schedule, (asks_ns, REQUEST, next(ids), activity))
                if (yield activity) is activity:
                    release(activity)
                    asks_ns = env._now  # not before all other completions of this instant
                else:  # it was refused for good
                    asks_ns = None
                activity = activity.next
            elif type(activity) is Think:
                asks_ns = env._now + next(activity.durations)
                if type(activity.next) is not Task:
                    activity.callbacks = waker
                    heappush(schedule, (asks_ns, REQUEST, next(ids), activity))
                    yield activity
                    asks_ns = None
                activity = activity.next
            elif type(activity) is PolicyTask:
                if asks_ns is not None:
                    turn = env.at(asks_ns, REQUEST)
                    turn.callbacks = waker
                    yield turn
                activity = yield from attempts(activity, env, manager, recorder)
                asks_ns = env._now
            elif type(activity) is Repeat and activity.laps < activity.times:
                activity.laps += 1
                activity = activity.body
            elif type(activity) is Repeat:
                activity.laps = 0
                activity = activity.next
        recorder.record((env._now, _FINISHED, who(number), 0))
        self._finish()
        yield env.event()  # never resumed: a generator that is a callback must not return
