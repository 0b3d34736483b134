"""The engine: runs a Plan in virtual time and records what happens.

Rules:

1. One SimPy environment. Agents, arrivals and scheduled changes are SimPy processes; tasks and constraints are SimPy
   events.
2. The engine names no constraint type, and reads nothing but the Plan.
3. Progress, interruption and limits are looked at between slices of events, so that none of them can change what happens.
4. A run has stalled when nothing is left to happen but its end, and somebody waits. An event that will come to nothing
   still counts as something, so that a run is never called stalled that is not.
"""

import gc
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, count, groupby, repeat
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simpy.core import StopSimulation
from simpy.events import Event

from model.events import Ending, Kind
from model.log import BATCH_ROWS
from model.plan import (
    GO_ON,
    ChoosePlan,
    Constant,
    Demand,
    Drawn,
    FleetPlan,
    ForkPlan,
    GraphPlan,
    PerAgent,
    Plan,
    Quantity,
    RepeatPlan,
    TaskPlan,
)
from model.streams import Stream
from sim.agent import Agent
from sim.budget import Budget
from sim.environment import CHANGE, END, FOREVER, REQUEST, Endless, Environment
from sim.fleet import Fleet
from sim.manager import ConstraintManager
from sim.recorder import NOBODY, Recorder, Sink, code, who
from sim.step import Step
from sim.task import Demands, Requests, held
from sim.visits import Draws

SLICE = 4096
"""Events between two looks at the recorder: enough to cost nothing, few enough to keep the records in the cache."""

INSTANT_EVENTS_MAX = 300_000
INSTANT_EVENTS_PER_AGENT = 100
"""More events at one instant than both together allow mean that time does not go on."""

Observer = Callable[[int, int], None]
"""Called now and then with the virtual time in ns and the number of records so far."""


class Interrupted(Exception):
    """The run was stopped before its end; what was recorded is true."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a run may go: so many events, and so much virtual time."""

    events: int | None = None
    time_ns: int | None = None


NO_LIMITS = Limits()


class Stopped(Exception):
    """The run would go on past one of its limits, which is the argument: "events" or "time"."""


class Engine:
    """One run of a Plan."""

    def __init__(self, plan: Plan, sink: Sink | None, batch_rows: int = BATCH_ROWS, limits: Limits = NO_LIMITS) -> None:
        self.env = Environment()
        self._plan = plan
        self._time_max_ns = limits.time_ns
        self._recorder = Recorder(sink, batch_rows, limits.events)
        self._manager = ConstraintManager(self.env, plan, self._recorder)
        self._interrupted = False
        self._agents = sum(fleet.count for fleet in plan.fleets)

    def run(self, observer: Observer | None = None) -> None:
        """Run to the end.

        Raises Interrupted, Stopped or Endless, with all that happened handed to the sink, or what the sink raises.
        """
        env, recorder, end = self.env, self._recorder, self._plan.until_ns
        recorder.record((0, code(Kind.RunStarted), who(NOBODY), 0))
        env.process(self._control())
        for fleet in self._fleets():
            env.process(self._arrivals(fleet))
        stop = env.at(FOREVER if end is None else end, END)
        stop.callbacks.append(StopSimulation.callback)
        limit = None
        if self._time_max_ns is not None and (end is None or self._time_max_ns < end):
            limit = env.at(self._time_max_ns, END)
            limit.callbacks.append(StopSimulation.callback)
        collecting = gc.isenabled()
        gc.disable()  # a run leaves no cycles behind, and looking for them takes longer than the run
        try:
            self._advance(observer)
        except Endless:
            recorder.spill()
            recorder.flush()
            if not recorder.is_over:
                raise
        finally:
            if collecting:
                if not gc.get_freeze_count():  # else some objects of our caller would thaw
                    gc.freeze()
                    gc.unfreeze()  # what is left of the run is old now: not to be looked at right away
                gc.enable()
        if recorder.is_over:
            recorder.flush()
            raise Stopped("events")
        if self._interrupted:
            recorder.flush()
            raise Interrupted
        left = len(env._queue) - (not stop.processed)  # beside the end itself
        if limit is not None and limit.processed and left:
            recorder.flush()
            raise Stopped("time")
        if end is None and env._queue and env._queue[0][0] > FOREVER:
            recorder.flush()
            raise Endless("the run goes past 292 years of virtual time; allowed: an until before that")
        last = recorder.last_time_ns if end is None else end
        ending = Ending.reached if left or not self._is_waited() else Ending.stalled
        recorder.record((last, code(Kind.RunFinished), who(NOBODY), int(ending)))
        recorder.spill()
        recorder.flush()
        if recorder.is_over:
            raise Stopped("events")

    def interrupt(self) -> None:
        """Stop the run before its next event. May be called from a signal handler."""
        self._interrupted = True
        self.env.at(self.env._now, CHANGE - 1).callbacks.append(StopSimulation.callback)

    def _advance(self, observer: Observer | None) -> None:
        records, instant, events = 0, -1, 0
        try:
            while True:
                self.env.advance(SLICE)
                records += self._recorder.spill()
                if self._recorder.is_over:
                    return
                instant, events = self.env._now, events + SLICE if self.env._now == instant else 0
                agents = self._agents + self.env.begun_earlier
                if events > INSTANT_EVENTS_MAX + INSTANT_EVENTS_PER_AGENT * agents:
                    raise Endless(self._stuck())
                if observer is not None:
                    observer(self.env._now, records)
        except StopSimulation:
            self._recorder.spill()

    def _is_waited(self) -> bool:
        """Say whether somebody waits, and nobody would come after the end who is not there yet."""
        waits = any(len(constraint.waiting) for constraint in self._manager.constraints)
        return waits and not any(fleet.more_come for fleet in self._plan.fleets)

    def _stuck(self) -> str:
        """Say that time does not go on, and which step was the last to do anything."""
        step = self._recorder.last_step
        where = ""
        if step >= 0:
            plan = self._plan.steps[step]
            where = f", the last of them in step {plan.name} of fleet {self._plan.fleets[plan.fleet].name}"
        return (
            f"time stands still at {self.env._now / 1e9:.9g} s: events follow each other without end{where}; "
            "allowed: a loop in which time passes (a task that is refused for good takes none)"
        )

    def _control(self) -> Generator[Event, Any, None]:
        for time_ns, changes in groupby(self._plan.changes, key=attrgetter("time_ns")):
            yield self.env.at(time_ns, CHANGE)
            self._manager.change(list(changes))

    def _fleets(self) -> list[Fleet]:
        fleets: list[Fleet] = []
        numbers = count(self._agents)
        for plan in self._plan.fleets:
            quantities = (plan.life, plan.uptime, plan.repair)
            clocks = [None if each is None else self._draws(each, plan) for each in quantities]
            steps = self._steps(plan)
            fleets.append(Fleet(self.env, self._manager, self._recorder.record, plan, steps, clocks, fleets, numbers))
        return fleets

    def _arrivals(self, fleet: Fleet) -> Generator[Event, Any, None]:
        """Start the agents of a fleet, those of one instant by one event."""
        now = -1
        for index, start in enumerate(_integers(fleet.plan.starts_ns)):
            if start != now:
                yield self.env.at(start, REQUEST)
                now = start
            Agent(fleet, fleet.plan.first + index, index)

    def _steps(self, fleet: FleetPlan) -> list[Step]:
        plans = [self._plan.steps[number] for number in fleet.steps]
        steps = [Step(plan, local) for local, plan in enumerate(plans)]
        by_number = dict(zip(fleet.steps, steps, strict=True))
        # Several strands of an agent may come to a step, at once or one after the other.
        shared = fleet.uptime is not None or any(isinstance(plan, (ForkPlan, GraphPlan)) for plan in plans)
        for plan, step in zip(plans, steps, strict=True):
            step.next = by_number.get(plan.next)
            step.shared = shared
            step.draws = {name: self._draws(quantity, fleet) for name, quantity in plan.quantities().items()}
            match plan:
                case RepeatPlan():
                    step.body = by_number[plan.body]
                case ChoosePlan():
                    step.bodies = [step.next if body == GO_ON else by_number[body] for body in plan.bodies]
                case TaskPlan():
                    self._task(step, plan, fleet, by_number)
        return steps

    def _task(self, step: Step, plan: TaskPlan, fleet: FleetPlan, by_number: dict[int, Step]) -> None:
        step.groups = None if plan.groups is None else plan.groups.tolist()
        for group in plan.demands:
            limits = [self._manager.constraints[demand.constraint] for demand in group]
            step.incidents.append(tuple(constraint for constraint in limits if constraint.strikes))
            demands, requests = self._demands(group, fleet)
            step.demands.append(demands)
            step.requests.append(requests)
            step.doubtful.append(requests is not None or any(map(self._doubtful, group)))
        step.policy = policy = plan.policy
        if policy is not None:
            goes_on = policy.after_failure == GO_ON
            step.after_failure = step.next if goes_on else by_number.get(policy.after_failure)
            step.laps_left = [by_number[number] for number in policy.laps_left]
            step.body = None if plan.body is None else by_number[plan.body]
            step.gives_back = plan.gives_back
            step.acquire = plan.acquire
            if policy.retry is not None and policy.retry.budget is not None:
                step.budget = Budget(policy.retry.budget)

    def _doubtful(self, demand: Demand) -> bool:
        """Say whether a constant amount is more than its constraint can admit from some time on."""
        ceilings = [s.ceiling for s in self._plan.constraints[demand.constraint].settings if s.ceiling is not None]
        return isinstance(demand.amount, Constant) and bool(ceilings) and demand.amount.value > min(ceilings)

    def _draws(self, quantity: Quantity, fleet: FleetPlan) -> Draws:
        match quantity:
            case Constant():
                return lambda index: repeat(quantity.value)
            case PerAgent():
                values = quantity.values
                return lambda index: repeat(int(values[index]))
            case Drawn():
                return Stream(self._plan.seed, quantity.name, fleet.count, quantity.transform, quantity.draws).of

    def _demands(self, demands: Sequence[Demand], fleet: FleetPlan) -> tuple[Demands, Callable[[int], Requests] | None]:
        """Return what a task asks for: at once where it is constant, else for each agent and visit."""
        constraints = [self._manager.constraints[demand.constraint] for demand in demands]
        amounts = [demand.amount for demand in demands]
        constant = [amount.value for amount in amounts if isinstance(amount, Constant)]
        if len(constant) == len(amounts) and all(demand.cost is None for demand in demands):
            return tuple(zip(constraints, constant, strict=True)), None
        # Those that are known at the end alone come after those that are asked for.
        costs = {place: demand.cost for place, demand in enumerate(demands) if demand.cost is not None}
        amounts += costs.values()
        # One draw serves every constraint that counts the same thing.
        distinct = list(dict.fromkeys(map(id, amounts)))
        places = [distinct.index(id(amount)) for amount in amounts]
        draws = [self._draws(amounts[places.index(place)], fleet) for place in range(len(distinct))]
        stated = [not isinstance(amount, Constant) for amount in amounts]

        def requests(index: int) -> Requests:
            for values in zip(*(each(index) for each in draws), strict=True):
                chosen = [values[place] for place in places]
                asked = tuple(zip(constraints, chosen, strict=False))
                given = list(held(asked))
                for constraint, place, cost in zip(
                    (constraints[place] for place in costs), costs, chosen[len(constraints) :], strict=True
                ):
                    given.append((constraint, (0 if constraint.plan.defers else chosen[place]) - cost))
                yield asked, tuple(given), tuple(compress(asked, stated))

        return (), requests


def _integers(values: NDArray[np.int64]) -> Iterator[int]:
    """Yield the values as Python integers, without a list of them all."""
    for first in range(0, len(values), SLICE):
        yield from values[first : first + SLICE].tolist()
