"""An agent: a SimPy process that goes through the steps of its fleet, along one strand or several.

Rules:

1. A strand is a generator that yields the activity that it is busy with, and is resumed when that event happens: at the
   end of thinking, at the end of the work, or when a request is refused for good. Waiting costs no event: whoever makes
   room starts the task.
2. The n-th visit to a step takes the n-th draw of the step's variables, whenever it happens.
3. What asks after a completion asks at the rank of requests, when all completions of its instant are over.
4. A strand is called off from outside only: its events then find nobody to wake. All its tasks have a policy. What is
   called off together gives back everything before anybody else is tried.
5. An agent that crashes is called off as one whose life is over, first among what happens at that instant but for changes
   of constraints, together with all that crash then. When it is repaired it begins with the first step, with a strand of
   its own; its visits and draws go on.
"""

from collections.abc import Callable, Generator
from functools import partial
from heapq import heappush
from typing import TYPE_CHECKING, Any

from simpy.events import Event, Process

from model.events import Kind
from sim.environment import CONTROL, DEADLINE, REQUEST
from sim.policy import PolicyTask, Stop, attempts
from sim.recorder import NO_VISIT, code, who
from sim.step import Step
from sim.task import Activity, Repeat, Task, Think, Waker
from sim.visits import Visits
from sim.workflow import Join, WorkflowStep

if TYPE_CHECKING:
    from model.plan import SpawnPlan
    from sim.environment import Environment
    from sim.fleet import Fleet
    from sim.manager import ConstraintManager

_STARTED = code(Kind.AgentStarted)
_FINISHED = code(Kind.AgentFinished)
_CRASHED = code(Kind.AgentCrashed)
_RESTARTED = code(Kind.AgentRestarted)


def _nothing() -> Generator[Event, Any, None]:
    yield from ()


_OVER = _nothing()
"""The generator of every strand that is over."""


class Strand:
    """One line of an agent's doing."""

    __slots__ = (
        "agent",
        "doing",
        "generator",
        "holds",
        "inner",
        "is_over",
        "join",
        "waker",
        "when_judged",
        "when_over",
    )

    def __init__(self, agent: "Agent", when_over: Callable[[], None] | None = None) -> None:
        self.agent = agent
        self.waker: Waker = []
        self.generator = _OVER
        self.doing: PolicyTask | None = None  # the task that it asks for, works on or backs off from
        # Most strands never have any of these two, and a hundred thousand empty lists cost the collector time.
        self.holds: tuple[PolicyTask, ...] = ()  # what it holds while it does other steps, the outermost first
        self.inner: list[Strand] | tuple[()] = ()  # the strands that it waits for, in order of beginning
        self.when_over = when_over
        self.join: Join | None = None  # what it was begun for
        self.when_judged: Callable[[PolicyTask], None] | None = None  # hears of each task that is over
        self.is_over = False

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits until it is over."""
        return self.when_over is not None or self.agent.when_over is not None

    def begin(self, entry: Step) -> None:
        """Begin with a step, here and now."""
        # Not Process._resume, which looks for events that have happened already: the generator itself is the callback.
        self.generator = self._life(entry.reach().activities(self.agent, self.waker))
        self.waker.append(self.generator.send)
        next(self.generator)

    def go_through(self, activity: Activity | None) -> Generator[Event, Any, None]:
        """Go through steps within a step."""
        yield from self._life(activity, inner=True)

    def branch(
        self, step: int, join: Join, over: Callable[[], None], judged: Callable[[PolicyTask], None] | None = None
    ) -> None:
        """Begin another strand of the agent, which this one waits for."""
        strand = Strand(self.agent, over)
        strand.join, strand.when_judged = join, judged
        join.members.append(strand)
        self.inner = self.inner or []
        self.inner.append(strand)
        entry = self.agent.fleet.steps[step - self.agent.fleet.first_step]
        self.agent.env.begin_another(lambda: strand.begin(entry))

    def wake(self) -> None:
        """Let the strand go on, after all completions of this instant."""
        env = self.agent.env
        env.at(env._now, REQUEST).callbacks = self.waker

    def later(self, begin: Callable[[], None]) -> None:
        """Let something begin after all completions of this instant, if the strand is not over then."""
        env = self.agent.env
        env.at(env._now, REQUEST).callbacks = [lambda event: None if self.is_over else begin()]

    def get_back(self, hold: PolicyTask) -> Generator[Event, Any, None]:
        """Ask again for what was held and is given back."""
        self.agent.manager.ask(hold)
        yield hold
        hold.ending = None

    def call_off_inner(self) -> None:
        """Call off the strands that this one does not wait for any more, the last to begin first."""
        self.agent.manager.postpone()
        self._call_off_inner()
        self.agent.manager.catch_up()

    def _call_off_inner(self) -> None:
        for strand in reversed(self.inner):
            strand.call_off()
        self.inner = ()

    def call_off(self) -> None:
        """End the strand, whatever it does, and give back what it holds, while others are not to be tried."""
        if self.is_over:
            return
        self.is_over = True
        self.waker.clear()
        self._call_off_inner()
        manager = self.agent.manager
        if manager.watch is not None:
            manager.watch.goes_on(self)
        if self.doing is not None:
            manager.call_off(self.doing)
        for hold in reversed(self.holds):
            manager.call_off(hold, is_held=True)
        self.generator.close()
        self.generator = _OVER

    def _life(self, activity: Activity | None, inner: bool = False) -> Generator[Event, Any, None]:
        agent = self.agent
        env, manager = agent.env, agent.manager
        request, release = manager.request, manager.release
        waker, schedule, ids = self.waker, env._queue, env._eid

        asking = manager.asking
        asks_ns: int | None = None  # when it asks next; None: now, since nothing comes before it at this instant
        try:
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
                elif type(activity) is Repeat and activity.laps < activity.times:
                    activity.laps += 1
                    activity = activity.body
                elif type(activity) is Repeat:
                    activity.laps = 0
                    activity = activity.next
                else:
                    if asks_ns is not None:
                        env.at(asks_ns, REQUEST).callbacks = waker
                        yield activity
                    if isinstance(activity, PolicyTask):
                        task = activity
                        activity = yield from attempts(task, self)
                        asks_ns = None if task.came_to_nothing else env._now
                    elif isinstance(activity, WorkflowStep):
                        activity = yield from activity.go(self)
                        asks_ns = env._now
        except Stop:
            if inner:
                raise
            agent.stop(self)
        if not inner:
            self._end()
            yield env.event()  # never resumed: a generator that is a callback must not return

    def _end(self) -> None:
        """Let go of everything, so that it is freed without a collector."""
        self.waker.clear()
        self.generator = _OVER
        if self.is_over:
            return
        self.is_over = True
        if self.when_over is not None:
            self.when_over()
        else:
            self.agent.finish()


class Agent(Process):
    """One agent of a fleet: `number` in the run, `index` in the streams, `depth` generations below one that came by itself.

    An agent that was spawned says by whom: `origin` is the step, the visit and the agent.
    """

    env: "Environment"

    def __init__(
        self, fleet: "Fleet", number: int, index: int, depth: int = 0, origin: tuple[int, int, int] | None = None
    ) -> None:
        # Not Process.__init__, which schedules an event to begin: an agent begins where it is made.
        self.env = fleet.env
        self.callbacks = []
        self.fleet = fleet
        self.manager: ConstraintManager = fleet.manager
        self.number = number
        self.index = index
        self.depth = depth
        self.when_over: Callable[[], None] | None = None
        self._target = None  # type: ignore[assignment] # nothing: our agents are not interrupted
        self._visits: dict[int, Visits] | None = None
        if origin is None:
            fleet.record((self.env._now, _STARTED, who(number), 0))
        else:
            step, visit, parent = origin
            fleet.record((self.env._now, code(Kind.AgentStarted, step), who(number, visit), parent))
        self.main: Strand | None = Strand(self)
        if fleet.life is not None:
            over = self.env.at(self.env._now + next(fleet.life(index)), DEADLINE)
            over.callbacks = [self._expire]
        if fleet.uptime is not None:
            assert fleet.repair is not None
            self._uptimes, self._repairs = fleet.uptime(index), fleet.repair(index)
            self._crash_later()
        self.main.begin(fleet.entry)

    @property
    def is_over(self) -> bool:
        """Whether it is done."""
        return self.main is None

    @property
    def is_mortal(self) -> bool:
        """Whether it will let go of everything at some time, whatever it waits for."""
        return self.fleet.life is not None or self.fleet.uptime is not None

    def visits(self, step: Step) -> Visits:
        """Return the agent's visits to a step."""
        if self._visits is None:
            self._visits = {}
        visits = self._visits.get(step.local)
        if visits is None:
            visits = self._visits[step.local] = step.visits(self.index)
        return visits

    def spawn(self, plan: "SpawnPlan", visit: int, copy: int) -> "Agent":
        """Start an agent of another fleet."""
        return self.fleet.spawn(self, plan, visit, copy)

    def stop(self, by: Strand) -> None:
        """End the agent from within one of its strands, which ends by itself."""
        by.is_over = True
        self._call_off()
        self.finish()

    def finish(self) -> None:
        """Record the end, and let the event of the process happen if anybody waits for it."""
        self.main = None
        self.fleet.record((self.env._now, _FINISHED, who(self.number, NO_VISIT), 0))
        if self.callbacks:
            self.succeed()
        else:
            self._ok, self._value = True, None
            self.callbacks = None  # type: ignore[assignment] # how SimPy marks an event as processed
        if self.when_over is not None:
            self.when_over()

    def _call_off(self) -> None:
        """Call off everything that it does."""
        assert self.main is not None
        self.manager.postpone()
        self.main.call_off()
        self.manager.catch_up()

    def _expire(self, event: Event) -> None:
        """Callback of the end of its life."""
        if self.main is not None:
            self._call_off()
            self.finish()

    def _crash_later(self) -> None:
        crash = self.env.at(self.env._now + next(self._uptimes), CONTROL)
        crash.callbacks = [self._crash]

    def _crash(self, event: Event) -> None:
        """Callback of the end of its uptime."""
        if self.main is not None:
            self.manager.postpone()
            self.main.call_off()
            repair_ns = next(self._repairs)
            self.fleet.record((self.env._now, _CRASHED, who(self.number, NO_VISIT), repair_ns))
            self.env.at(self.env._now + repair_ns, CONTROL).callbacks = [self._restart]
        self._end_control()

    def _end_control(self) -> None:
        """Let others have what those gave back who crashed, when no more of them crash at this instant."""
        if not self.env.comes_next(CONTROL):
            self.manager.catch_up()

    def _restart(self, event: Event) -> None:
        """Callback of the end of its repair."""
        if self.main is not None:
            self.fleet.record((self.env._now, _RESTARTED, who(self.number, NO_VISIT), 0))
            self.main = Strand(self)
            self._crash_later()
            self.env.at(self.env._now, REQUEST).callbacks = [partial(self._begin_again, self.main)]
        self._end_control()

    def _begin_again(self, main: Strand, event: Event) -> None:
        """Callback: begin with the first step, unless it is called off already."""
        if self.main is main and not main.is_over:
            main.begin(self.fleet.entry)
