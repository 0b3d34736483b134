"""A step of the Plan as the engine uses it: what all agents of a fleet share of it."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from model.plan import Policy, RepeatPlan, StepPlan, TaskPlan, ThinkPlan
from sim.policy import PolicyTask
from sim.recorder import code
from sim.task import Activity, Demands, Repeat, Requests, Task, Think, Waker

if TYPE_CHECKING:
    from sim.environment import Environment

Draws = Callable[[int], Iterator[int]]
"""The values of a quantity for one agent (its number within the fleet), one a visit."""


class Step:
    """A step; who comes to it keeps an `Activity` of its own."""

    __slots__ = (
        "after_failure",
        "body",
        "code",
        "demands",
        "doubtful",
        "draws",
        "duration",
        "groups",
        "laps_left",
        "local",
        "next",
        "plan",
        "policy",
        "requests",
        "states_all",
    )

    def __init__(self, plan: StepPlan, local: int) -> None:
        self.plan = plan
        self.local = local  # its place among the steps of the fleet
        self.code = code(0, plan.number, 0)
        self.next: Step | None = None
        self.body: Step | None = None  # of a repeat
        self.duration: Draws = lambda index: iter(())
        self.groups: list[int] | None = None  # of a task: the group of each agent, where there is more than one
        self.demands: list[Demands] = []  # by group; where amounts are drawn, `requests` has them, visit by visit
        self.requests: list[Callable[[int], Requests] | None] = []
        self.policy: Policy | None = None
        self.draws: dict[str, Draws] = {}  # of a policy: its variables
        self.states_all = False  # whether the log states all that the task takes and gives back
        self.after_failure: Step | None = None
        self.laps_left: list[Step] = []  # the repeats that are left on the way there
        self.doubtful: list[bool] = []  # by group: whether an amount may be more than its constraint can ever admit

    def activity(self, env: "Environment", waker: Waker, number: int, index: int) -> Activity:
        """Return the activity of the agent with this `number` in the run and `index` in the fleet."""
        match self.plan:
            case ThinkPlan():
                return Think(env, waker, self, index)
            case TaskPlan():
                return (Task if self.policy is None else PolicyTask)(env, waker, self, number, index)
            case RepeatPlan():
                return Repeat(env, waker, self.plan.times)
