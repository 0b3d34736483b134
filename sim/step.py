"""A step of the Plan as the engine uses it: what all agents of a fleet share of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from model.plan import (
    ChoosePlan,
    ForkPlan,
    GraphPlan,
    Policy,
    RepeatPlan,
    SpawnPlan,
    StepPlan,
    TaskPlan,
    ThinkPlan,
)
from sim.budget import Budget
from sim.policy import PolicyTask
from sim.recorder import code
from sim.task import Activity, Demands, Repeat, Requests, Task, Think, Waker
from sim.visits import Draws, Visits
from sim.workflow import Choose, Fork, Graph, Spawn

if TYPE_CHECKING:
    from sim.agent import Agent
    from sim.constraints.base import GlobalConstraint


class Step:
    """A step; each strand that comes to it keeps an `Activity` of its own."""

    __slots__ = (
        "_reach",
        "acquire",
        "after_failure",
        "bodies",
        "body",
        "budget",
        "code",
        "demands",
        "doubtful",
        "draws",
        "gives_back",
        "groups",
        "incidents",
        "laps_left",
        "local",
        "next",
        "plan",
        "policy",
        "requests",
        "shared",
    )

    def __init__(self, plan: StepPlan, local: int) -> None:
        self.plan = plan
        self.local = local  # its place among the steps of the fleet
        self.code = code(0, plan.number, 0)
        self.next: Step | None = None
        self.body: Step | None = None  # of a repeat, and of a task that is held
        self.bodies: list[Step | None] = []  # of a choice
        self.draws: dict[str, Draws] = {}  # its random variables
        self.shared = False  # whether several strands of an agent may come to it
        self.groups: list[int] | None = None  # of a task: the group of each agent, where there is more than one
        self.demands: list[Demands] = []  # by group; where amounts are drawn, `requests` has them, visit by visit
        self.requests: list[Callable[[int], Requests] | None] = []
        self.incidents: list[tuple[GlobalConstraint, ...]] = []  # by group: what may strike it
        self.doubtful: list[bool] = []  # by group: whether an amount may be more than its constraint can ever admit
        self.policy: Policy | None = None
        self.budget: Budget | None = None  # of a task: the retries that all agents of the fleet share
        self.gives_back = False
        self.acquire: tuple[int, ...] = ()  # of a task: the constraints that it takes one after the other
        self.after_failure: Step | None = None
        self.laps_left: list[Step] = []  # the repeats that are left on the way there
        self._reach: Reach | None = None

    def group(self, index: int) -> int:
        """Return the group of an agent."""
        return self.groups[index] if self.groups else 0

    def visits(self, index: int) -> Visits:
        """Return the visits of an agent that has not been here yet."""
        requests = self.requests[self.group(index)] if self.requests else None
        return Visits(self.draws, requests, index)

    def reach(self) -> "Reach":
        """Return the steps that a strand can come to from here."""
        if self._reach is None:
            self._reach = Reach(self)
        return self._reach

    def activity(self, agent: "Agent", waker: Waker) -> Activity:
        """Return the activity of a strand of the agent."""
        match self.plan:
            case ThinkPlan():
                durations = agent.visits(self).all("duration") if self.shared else self.draws["duration"](agent.index)
                return Think(agent.env, waker, durations)
            case TaskPlan():
                if self.policy is not None:
                    return PolicyTask(agent, waker, self)
                return Task(agent.env, waker, self, agent.number, agent.index)
            case RepeatPlan():
                return Repeat(agent.env, waker, self.plan.times)
            case ChoosePlan():
                return Choose(agent, waker, self)
            case ForkPlan():
                return Fork(agent, waker, self)
            case GraphPlan():
                return Graph(agent, waker, self)
            case SpawnPlan():
                return Spawn(agent, waker, self)


class Reach:
    """The steps that a strand can come to from one of them, which is the first, and how their activities are linked."""

    def __init__(self, entry: Step) -> None:
        places = {entry: 0}
        todo = [entry]
        while todo:
            step = todo.pop()
            for other in (step.next, step.body, step.after_failure, *step.bodies):
                if other is not None and other not in places:
                    places[other] = len(places)
                    todo.append(other)
        self.steps = list(places)
        self._nexts = [-1 if step.next is None else places[step.next] for step in self.steps]
        self._places = places
        # Those that lead to more than the next step.
        self._forking = [place for place, step in enumerate(self.steps) if step.body or step.bodies or step.policy]

    def activities(self, agent: "Agent", waker: Waker) -> Activity:
        """Make the activities of a strand, and return the first."""
        made: list[Any] = [step.activity(agent, waker) for step in self.steps]
        first: Activity = made[0]
        made.append(None)  # what follows the last step, at place -1
        for place, following in enumerate(self._nexts):
            made[place].next = made[following]
        for place in self._forking:
            made[place].link(self.steps[place], lambda step: None if step is None else made[self._places[step]])
        return first
