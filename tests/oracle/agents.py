"""A run and its agents.

Rules:

1. Those of a fleet who arrive at one instant arrive together, then the next are scheduled.
2. An agent is gone after its life, at the rank of deadlines. It crashes, and is up again, at that of control; then it asks
   at the rank of requests. What those give back who crash at one instant others get when all of them have.
3. The run has stalled when nothing is to come, no more agents come later, and somebody waits.
4. An agent of which the steps are over is finished at once; whoever waits for it goes on at the rank of requests.
"""

from collections.abc import Callable

from model import streams
from model.events import Ending, Kind
from model.plan import Plan, SpawnPlan

from .clock import CONTROL, DEADLINE, REQUEST, Clock, Entry
from .desk import Desk, Row
from .draws import Draws
from .queues import Request
from .strands import Strand

TRIED = (Kind.TaskResumed, Kind.TaskRebound, Kind.TaskRejected)


class World:
    """A whole run; of those who may be next in a random queue it takes the one that the log says, `follow`."""

    def __init__(self, plan: Plan, follow: list[Row]) -> None:
        self.plan = plan
        self.rows: list[Row] = []
        self._follow = follow
        self.clock = Clock()
        self.desk = Desk(plan, self.clock, self.rows, self._choose)
        self.spawned = [0] * len(plan.fleets)
        self.budgets: dict[int, int] = {}  # by step: the millionths of retries that were spent and not paid in again
        self.agents = sum(fleet.count for fleet in plan.fleets)

    def run(self) -> list[Row]:
        """Return all rows of the log."""
        self.row(Kind.RunStarted)
        for fleet in self.plan.fleets:
            self._arrivals(fleet.number, 0)
        self.clock.run(self.plan.until_ns, self.desk.plan_refills)
        more = self.clock.is_pending or any(fleet.more_come for fleet in self.plan.fleets)
        self.row(Kind.RunFinished, value=Ending.reached if more or not self.desk.is_waited_at else Ending.stalled)
        return self.rows

    def row(self, kind: Kind, agent: int = -1, step: int = -1, visit: int = -1, value: int = 0) -> None:
        """Add a row that is about no task's attempt."""
        self.rows.append((self.clock.now, int(kind), agent, step, visit, -1, -1, value))

    def _choose(self, options: list[Request | None]) -> Request | None:
        """Return the one of those who may be next of whom the log tells first, at this instant."""
        if len(options) == 1:
            return options[0]
        by_who = {request.who: request for request in options if request is not None}
        for time, kind, *who, _, _ in self._follow[len(self.rows) :]:
            if time != self.clock.now:
                break
            if kind in TRIED and tuple(who) in by_who:
                return by_who[tuple(who)]
        return None if None in options else options[0]

    def _arrivals(self, number: int, place: int) -> None:
        """Let the agents of a fleet from `place` on arrive: those of one instant together, then the next are scheduled."""
        fleet = self.plan.fleets[number]
        if place == fleet.count:
            return
        time = int(fleet.starts_ns[place])
        together = [other for other in range(place, fleet.count) if int(fleet.starts_ns[other]) == time]

        def arrive() -> None:
            for other in together:
                Agent(self, number, other, fleet.first + other, other).begin()
            self._arrivals(number, together[-1] + 1)

        self.clock.at(time, REQUEST, arrive)


class Agent:
    """One agent; `place` is its number in its fleet, `name` its number in the streams."""

    def __init__(self, world: World, fleet: int, place: int, number: int, name: int) -> None:
        self.world = world
        self.fleet = world.plan.fleets[fleet]
        self.place = place
        self.number = number
        self.name = name
        self.draws = Draws(world.plan, fleet, place, name)
        self.generation = 0
        self.on_end: Callable[[], None] = lambda: None
        self.spawned_at: tuple[int, int, int] | None = None  # parent, step, visit
        self._visits: dict[int, int] = {}
        self._root = Strand(self, self.fleet.entry, self._ended)
        self._life: Entry | None = None
        self._turn: Entry | None = None  # when it crashes, or is up again
        self._crashes = 0
        self._down = False

    def begin(self) -> None:
        """Start with the first step."""
        parent, step, visit = self.spawned_at or (0, -1, -1)
        self.world.row(Kind.AgentStarted, self.number, step, visit, parent)
        if self.fleet.life is not None:
            ends = self.world.clock.now + self.draws.of_visit(self.fleet.life, 0)
            self._life = self.world.clock.at(ends, DEADLINE, self.stop)
        self._go_up()
        self._root.go_on()

    def _go_up(self) -> None:
        if self.fleet.uptime is not None:
            uptime = self.draws.of_visit(self.fleet.uptime, self._crashes)
            self._turn = self.world.clock.at(self.world.clock.now + uptime, CONTROL, self._crash)

    def _crash(self) -> None:
        assert self.fleet.repair is not None
        self._down = True
        self.world.desk.put_off()
        self._root.call_off()
        repair = self.draws.of_visit(self.fleet.repair, self._crashes)
        self._crashes += 1
        self.world.row(Kind.AgentCrashed, self.number, value=repair)
        self._turn = self.world.clock.at(self.world.clock.now + repair, CONTROL, self._restart)
        self._let_others()

    def _let_others(self) -> None:
        """Try others when nobody else crashes, or is up again, at this instant."""
        if not self.world.clock.comes_next(CONTROL):
            self.world.desk.make_up()

    def _restart(self) -> None:
        self._down = False
        self.world.row(Kind.AgentRestarted, self.number)
        self._root = Strand(self, self.fleet.entry, self._ended)
        self._go_up()
        root = self._root
        self.world.clock.at(self.world.clock.now, REQUEST, lambda: None if root.over else root.go_on())
        self._let_others()

    def visit(self, step: int) -> int:
        """Count a visit, over all strands; return how many there were before."""
        visit = self._visits.get(step, 0)
        self._visits[step] = visit + 1
        return visit

    def stop(self) -> None:
        """Call everything off."""
        if not self._down:
            self._down = True
            self._call_off()
        self._down = False
        self._ended("over")

    def _call_off(self) -> None:
        self.world.desk.put_off()
        self._root.call_off()
        self.world.desk.make_up()

    def _ended(self, _: str) -> None:
        if self._down:
            return
        for entry in (self._life, self._turn):
            if entry is not None:
                entry.off = True
        self.world.row(Kind.AgentFinished, self.number)
        self.on_end()

    def child(self, step: SpawnPlan, visit: int, copy: int) -> "Agent":
        """Return a new agent that this one spawns."""
        world = self.world
        name = streams.spawned(self.name, f"{self.fleet.name}/{step.name}", visit, copy)
        child = Agent(world, step.spawned, world.spawned[step.spawned], world.agents, name)
        world.agents += 1
        world.spawned[step.spawned] += 1
        child.generation = self.generation + 1
        child.spawned_at = (self.number, step.number, visit)
        return child
