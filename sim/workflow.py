"""Steps that are more than one line of doing: choices, forks, graphs, and agents that spawn others.

Rules:

1. A fork and a graph give the agent further strands, each a line of doing of its own; the strand that came to the fork
   waits until enough of them are over. Those that are left then are called off, the last to begin first.
2. All strands of an agent are that agent: their tasks have its number, and visits are counted over all of them.
3. Going on after a join is a request, and so is beginning because others are over: it comes after all completions of its
   instant.
4. A spawned agent is an agent of its own. What it draws depends on who spawned it at which visit, not on when.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from model.events import Skip
from model.plan import ChoosePlan, ForkPlan, GraphPlan, SpawnPlan
from sim.policy import PolicyTask, skip
from sim.task import Activity, Link, Waker

if TYPE_CHECKING:
    from sim.agent import Agent, Strand
    from sim.step import Step

Going = Generator[Event, Any, Activity | None]
"""Goes through a step; returns the activity that follows it."""


class WorkflowStep(Activity, ABC):
    """A step that an agent goes through by other steps."""

    __slots__ = ("step",)

    def __init__(self, agent: "Agent", waker: Waker, step: "Step") -> None:
        super().__init__(agent.env, waker)
        self.step = step

    @abstractmethod
    def go(self, strand: "Strand") -> Going:
        """Go through it."""


class Choose(WorkflowStep):
    """Goes on with one of several bodies."""

    __slots__ = ("bodies",)

    def __init__(self, agent: "Agent", waker: Waker, step: "Step") -> None:
        super().__init__(agent, waker, step)
        self.bodies: list[Activity | None] = []

    def link(self, step: "Step", activity_of: Link) -> None:
        """Link it with the first steps of its bodies."""
        self.bodies = [activity_of(body) for body in step.bodies]

    def go(self, strand: "Strand") -> Going:
        """Draw the branch."""
        plan = self.step.plan
        assert isinstance(plan, ChoosePlan)
        bits = strand.agent.visits(self.step).draw("branch")
        place = next(place for place, threshold in enumerate(plan.thresholds) if bits < threshold)
        return self.bodies[place]
        yield


class Join:
    """Lets a strand wait until `wanted` others are over: `members`, and `spare` that have not begun."""

    def __init__(self, strand: "Strand", wanted: int, needs_all: bool) -> None:
        self.strand = strand
        self._waits = False
        self.wanted = wanted
        self.needs_all = needs_all
        self.members: list[Strand] = []
        self.spare = 0

    @property
    def reached(self) -> bool:
        """Whether enough are over."""
        return self.wanted <= 0

    def comes_without(self, stuck: Container["Strand"]) -> bool:
        """Say whether enough could be over although these never are."""
        left = [member for member in self.members if not member.is_over]
        going_on = sum(1 for member in left if member not in stuck)
        if self.needs_all:
            return going_on == len(left)
        return self.reached or (going_on > 0 and going_on + self.spare >= self.wanted)

    def over(self) -> None:
        """One more is over."""
        self.wanted -= 1
        if self._waits and self.wanted == 0:
            self.strand.wake()

    def wait(self) -> Generator[Event, Any, None]:
        """Wait; what the strand holds and gives back for as long is asked for again afterwards."""
        if self.reached:
            return
        strand = self.strand
        lent = [hold for hold in strand.holds if hold.gives_back]
        for hold in reversed(lent):
            strand.agent.manager.lend(hold)
        self._waits = True
        watch = strand.agent.manager.watch
        if watch is not None:
            watch.waits(strand, self)
        yield strand.agent.env.event()
        if watch is not None:
            watch.goes_on(strand)
        for hold in lent:
            yield from strand.get_back(hold)


class Fork(WorkflowStep):
    """Several copies of the same steps."""

    __slots__ = ()

    def go(self, strand: "Strand") -> Going:
        """Begin the copies, and wait for enough of them."""
        plan = self.step.plan
        assert isinstance(plan, ForkPlan)
        copies = strand.agent.visits(self.step).draw("copies")
        join = Join(strand, copies if plan.join is None else min(plan.join, copies), plan.join is None)
        join.spare = copies

        def over() -> None:
            join.over()
            if join.spare and not join.reached:
                strand.later(lambda: begin(1))

        def begin(most: int) -> None:
            while join.spare and most and not join.reached:
                join.spare, most = join.spare - 1, most - 1
                strand.branch(plan.body, join, over)

        begin(copies if plan.width is None else plan.width)
        yield from join.wait()
        strand.call_off_inner()
        return self.next


class Graph(WorkflowStep):
    """Tasks that depend on each other."""

    __slots__ = ()

    def go(self, strand: "Strand") -> Going:
        """Begin the tasks in their order, and wait for all of them."""
        plan = self.step.plan
        assert isinstance(plan, GraphPlan)
        run = _GraphRun(strand, plan)
        run.begin()
        yield from run.join.wait()
        strand.call_off_inner()
        return self.next


class _GraphRun:
    """One visit to a graph."""

    def __init__(self, strand: "Strand", plan: GraphPlan) -> None:
        self.join = Join(strand, len(plan.nodes), needs_all=True)
        self._strand = strand
        self._plan = plan
        self._done: dict[int, bool] = {}  # the places of the nodes that are over, and whether others may build on them
        self._begun: set[int] = set()
        stage_of: dict[int, int] = {}
        while len(stage_of) < len(plan.nodes):
            for place, after in enumerate(plan.after):
                if all(other in stage_of for other in after):
                    stage_of.setdefault(place, 1 + max((stage_of[other] for other in after), default=-1))
        self._stage_of = stage_of

    def begin(self) -> None:
        """Begin all nodes that have nothing more to wait for."""
        for place in [place for place in range(len(self._plan.nodes)) if self._is_ready(place)]:
            self._begun.add(place)
            if all(self._done[other] for other in self._plan.after[place]):
                self._strand.branch(self._plan.nodes[place], self.join, self._over, self._judged(place))
            else:
                agent = self._strand.agent
                skip(agent, agent.fleet.steps[self._plan.nodes[place] - agent.fleet.first_step], Skip.upstream)
                self._done[place] = False
                self._over()

    def _is_ready(self, place: int) -> bool:
        if place in self._begun:
            return False
        if self._plan.stages:
            stage = self._stage_of[place]
            return all(other in self._done for other, at in self._stage_of.items() if at < stage)
        return all(other in self._done for other in self._plan.after[place])

    def _judged(self, place: int) -> Callable[[PolicyTask], None]:
        def judged(task: PolicyTask) -> None:
            self._done[place] = task.counts_as_done

        return judged

    def _over(self) -> None:
        self.join.over()
        if len(self._begun) < len(self._plan.nodes):
            self._strand.later(self.begin)


class Spawn(WorkflowStep):
    """Agents of another fleet."""

    __slots__ = ()

    def go(self, strand: "Strand") -> Going:
        """Start the agents, and wait for them if that is wanted."""
        plan, agent = self.step.plan, strand.agent
        assert isinstance(plan, SpawnPlan)
        visits = agent.visits(self.step)
        depth = visits.draw("depth") if plan.depth is not None else None
        count = visits.draw("count")
        visit = visits.come()
        if depth is not None and agent.depth >= depth:
            return self.next
        join = Join(strand, count, needs_all=True)
        children = []
        for copy in range(count):
            child = agent.spawn(plan, visit, copy)
            if child.is_over:
                join.over()
            elif plan.waits:
                child.when_over = join.over
                children.append(child)
        if plan.waits:
            join.members = [child.main for child in children if child.main is not None]
            yield from join.wait()
        return self.next
