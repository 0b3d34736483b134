"""A fleet while a run goes on: what all its agents share, and where those that are spawned get their numbers."""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import TYPE_CHECKING

from model import streams
from sim.agent import Agent
from sim.visits import Draws

if TYPE_CHECKING:
    from model.plan import FleetPlan, SpawnPlan
    from sim.environment import Environment
    from sim.manager import ConstraintManager
    from sim.step import Step


class Fleet:
    """The agents of one fleet go through `steps`, from `entry` on."""

    def __init__(
        self,
        env: "Environment",
        manager: "ConstraintManager",
        record: Callable[[Iterable[int]], None],
        plan: "FleetPlan",
        steps: "list[Step]",
        clocks: Sequence[Draws | None],
        others: "list[Fleet]",
        numbers: "count[int]",
    ) -> None:
        self.env = env
        self.manager = manager
        self.record = record
        self.plan = plan
        self.steps = steps
        self.first_step = plan.steps[0]
        self.entry = steps[plan.entry - self.first_step]
        self.life, self.uptime, self.repair = clocks
        self._others = others  # all fleets of the run
        self._numbers = numbers  # of agents that are spawned, in the run

    def spawn(self, parent: Agent, plan: "SpawnPlan", visit: int, copy: int) -> Agent:
        """Start an agent of the fleet that a step of this one spawns."""
        index = streams.spawned(parent.index, f"{self.plan.name}/{plan.name}", visit, copy)
        origin = plan.number, visit, parent.number
        fleet, number, depth = self._others[plan.spawned], next(self._numbers), parent.depth + 1
        agent: Agent = self.env.begin_another(lambda: Agent(fleet, number, index, depth, origin))
        return agent
