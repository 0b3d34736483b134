"""Agents: strands that go through steps, each a generator that stops where it has to wait.

Rules:

1. What asks for admission does so at the rank of requests. Whoever goes on at another rank waits for that one.
2. An agent that is called off calls off its branches first, in the order in which they began; within a strand the inner
   step ends before what is around it.
3. The first task after an arrival, thinking or a back-off asks at once. After anything else at the same instant, be it a
   choice, a task that was skipped or one that was rejected, the next task asks in an event of its own, behind those
   that are already due. (The documents leave this open.)
4. An agent of which the steps are over is finished at once; whoever waits for branches or other agents goes on at the
   rank of requests of that instant.
"""

from collections.abc import Callable, Generator
from typing import Any

from model import streams
from model.events import Kind, Skip, Status
from model.plan import (
    END,
    GO_ON,
    ChoosePlan,
    ForkPlan,
    GraphPlan,
    Plan,
    RepeatPlan,
    SpawnPlan,
    TaskPlan,
    ThinkPlan,
)

from .clock import COMPLETION, DEADLINE, REQUEST, Clock, Entry
from .desk import PREEMPTED, REJECTED, WAITS, Desk, Row
from .draws import Draws
from .visits import Attempt, Visit

ABANDONED = "abandoned"
Wait = Generator[None, Any, Any]


class CalledOff(Exception):
    """Thrown into a strand that has to end."""


class Stop(Exception):
    """Raised by a task that failed and stops its agent."""


class World:
    """A whole run."""

    def __init__(self, plan: Plan, known: frozenset[str] = frozenset()) -> None:
        self.plan = plan
        self.known = known
        self.rows: list[Row] = []
        self.clock = Clock()
        self.desk = Desk(plan, self.clock, self.rows, known)
        self.spawned = [0] * len(plan.fleets)
        self.agents = sum(fleet.count for fleet in plan.fleets)

    def run(self) -> list[Row]:
        """Return all rows of the log."""
        self.row(Kind.RunStarted)
        for fleet in self.plan.fleets:
            self._arrivals(fleet.number, 0)
        self.clock.run(self.plan.until_ns, self.desk.plan_refills)
        self.row(Kind.RunFinished)
        return self.rows

    def row(self, kind: Kind, agent: int = -1, step: int = -1, visit: int = -1, value: int = 0) -> None:
        """Add a row that is about no task's attempt."""
        self.rows.append((self.clock.now, int(kind), agent, step, visit, -1, -1, value))

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

    def begin(self) -> None:
        """Start with the first step."""
        parent, step, visit = self.spawned_at or (0, -1, -1)
        self.world.row(Kind.AgentStarted, self.number, step, visit, parent)
        if self.fleet.life is not None:
            ends = self.world.clock.now + self.draws.of_visit(self.fleet.life, 0)
            self._life = self.world.clock.at(ends, DEADLINE, self.stop)
        self._root.go_on()

    def visit(self, step: int) -> int:
        """Count a visit, over all strands; return how many there were before."""
        visit = self._visits.get(step, 0)
        self._visits[step] = visit + 1
        return visit

    def stop(self) -> None:
        """Call everything off."""
        self._root.call_off()

    def _ended(self, _: str) -> None:
        if self._life is not None:
            self._life.off = True
        self.world.row(Kind.AgentFinished, self.number)
        self.on_end()


class Strand:
    """One way through steps: an agent, or a branch of it."""

    def __init__(self, agent: Agent, entry: int, on_end: Callable[[str], None]) -> None:
        self.agent = agent
        self.over = False
        self.outcome = ""  # of the last task
        self._world = agent.world
        self._clock = agent.world.clock
        self._desk = agent.world.desk
        self._on_end = on_end
        self._doomed = False
        self._fresh = True  # whether nothing but the end of a pause has happened at this instant
        self._new = True  # whether it has only begun, as a branch or with what it does while it holds something
        self._laps: dict[int, int] = {}
        self._holds: list[Attempt] = []
        self._way = self._steps(entry)

    def go_on(self, value: Any = None) -> None:
        """Let the strand go on from where it waits."""
        self._drive(lambda: self._way.send(value))

    def call_off(self) -> None:
        """End the strand, or let it end as soon as it waits."""
        if self.over:
            return
        if self._way.gi_running:
            self._doomed = True
        else:
            self._drive(lambda: self._way.throw(CalledOff()))

    def _drive(self, action: Callable[[], None]) -> None:
        try:
            action()
            if self._doomed:
                self._way.throw(CalledOff())
        except StopIteration:
            self.over = True
            self._on_end(self.outcome)
        except CalledOff:
            self.over = True
            self._on_end("called off")
        except Stop:
            self.over = True
            self._on_end("stopped")
            self.agent.stop()

    def _pause(self, time: int, rank: int) -> Wait:
        """Wait until a time."""
        entry = self._clock.at(time, rank, self.go_on)
        try:
            yield
        finally:
            entry.off = True
        self._fresh = rank == REQUEST
        self._new = False

    def _requests(self) -> Wait:
        """Wait until the requests of this instant."""
        at_once = self._new and "branches ask at once" in self._world.known
        if not self._fresh or (self._clock.rank != REQUEST and not at_once):
            yield from self._pause(self._clock.now, REQUEST)
        self._fresh = self._new = False

    def _steps(self, number: int) -> Wait:
        plan = self._world.plan
        while number != END:
            step = plan.steps[number]
            match step:
                case ThinkPlan():
                    visit = self.agent.visit(number)
                    lasts = self.agent.draws.of_visit(step.duration, visit)
                    yield from self._pause(self._clock.now + lasts, REQUEST)
                    number = step.next
                case RepeatPlan():
                    laps = self._laps.get(number, 0)
                    self._laps[number] = laps + 1 if laps < step.times else 0
                    number = step.body if laps < step.times else step.next
                case ChoosePlan():
                    yield from self._requests()
                    drawn = self.agent.draws.of_visit(step.draw, self.agent.visit(number))
                    body = next(body for body, edge in zip(step.bodies, step.thresholds, strict=True) if drawn < edge)
                    number = step.next if body == GO_ON else body
                case TaskPlan():
                    number = yield from self._task(step)
                case ForkPlan():
                    yield from self._requests()
                    yield from self._fork(step)
                    number = step.next
                case GraphPlan():
                    yield from self._requests()
                    yield from self._graph(step)
                    number = step.next
                case SpawnPlan():
                    yield from self._spawn(step)
                    number = step.next

    # Tasks.

    def _task(self, step: TaskPlan) -> Wait:
        """Go through a visit to a task or a hold; return the next step."""
        yield from self._requests()
        task = Visit(self.agent, step)
        if task.skipped is not None:
            task.write_skip(task.skipped)
            self.outcome = "done" if task.skipped == Skip.cache_hit else "skipped"
            return step.next
        status = yield from self._attempts(task)
        if status == Status.succeeded:
            self.outcome = "done"
            return step.next
        self.outcome = "failed"
        policy = step.policy
        if policy is None or policy.after_failure == GO_ON:
            return step.next
        if policy.after_failure == END:
            raise Stop
        for lap in policy.laps_left:
            self._laps[lap] = 0
        return policy.after_failure

    def _attempts(self, task: "Visit") -> Wait:
        """Try until an attempt succeeds or no further one follows; return the status of the last."""
        while True:
            attempt = Attempt(task, self._desk, self._clock, self.go_on)
            try:
                status = yield from self._attempt(attempt)
                if status == Status.preempted and task.goes_on_after_preemption():
                    continue
                if not task.may_retry(attempt, status):
                    attempt.over()
                    return status
                wait = task.back_off(attempt)
                self._desk.write(Kind.TaskRetrying, attempt.request, -1, wait)
                yield from self._pause(self._clock.now + wait, REQUEST)
            except (CalledOff, Stop):
                attempt.call_off()
                raise

    def _attempt(self, attempt: Attempt) -> Wait:
        answer = self._desk.ask(attempt.request)
        if answer == REJECTED:
            status = attempt.reject()
            yield from self._pause(self._clock.now, REQUEST)
            self._fresh = False
            return status
        if answer == WAITS:
            answer = yield from self._wait(attempt)
            self._fresh = self._new = True
        if answer == ABANDONED:
            return attempt.abandon()
        if answer == REJECTED:
            status = attempt.reject()
            yield from self._pause(self._clock.now, REQUEST)
            return status
        attempt.start()
        body = attempt.visit.step.body
        if body is not None:
            self._holds.append(attempt)
            yield from self._steps(body)
            self._holds.remove(attempt)
            self._fresh = False
            return attempt.end(Status.succeeded)
        entry = self._clock.at(self._clock.now + attempt.works, COMPLETION, self.go_on)
        try:
            event = yield
        finally:
            entry.off = True
        self._fresh = self._new = False
        return Status.preempted if event == PREEMPTED else attempt.end(attempt.fate)

    def _wait(self, attempt: Attempt) -> Wait:
        """Wait to be admitted, as long as the patience lasts."""
        patience = attempt.visit.patience
        entry = None
        if patience is not None:
            entry = self._clock.at(self._clock.now + patience, DEADLINE, lambda: self.go_on(ABANDONED))
        try:
            return (yield)
        finally:
            if entry is not None:
                entry.off = True

    # Branches and other agents.

    def _give_back(self) -> list[Attempt]:
        """Give back what is held by those around that give back while they wait."""
        given = [attempt for attempt in self._holds if attempt.visit.step.gives_back and attempt.request.holds]
        for attempt in reversed(given):
            attempt.give_back()
        return given

    def _take_again(self, given: list[Attempt]) -> Wait:
        for attempt in given:
            request = attempt.request
            request.age, request.asked = self._desk.age(), self._clock.now
            answer = self._desk.ask(request)
            if answer == WAITS:
                yield
            attempt.acquire()

    def _through(self, begin: Callable[[Callable[[], None]], None], done: Callable[[], bool]) -> Wait:
        """Let branches begin and wait until enough is done; whatever may bring that about calls what `begin` is given."""
        entries: list[Entry] = []

        def look() -> None:
            if done() and not entries:
                entries.append(self._clock.at(self._clock.now, REQUEST, self.go_on))

        try:
            begin(look)
            look()
            given = [] if done() else self._give_back()
            yield
        finally:
            for entry in entries:
                entry.off = True
        self._fresh = False
        yield from self._take_again(given)

    def _fork(self, step: ForkPlan) -> Wait:
        copies = self.agent.draws.of_visit(step.copies, self.agent.visit(step.number))
        join = copies if step.join is None else min(step.join, copies)
        width = copies if step.width is None else step.width
        branches: list[Strand] = []
        through: list[str] = []

        def ended(outcome: str, look: Callable[[], None]) -> None:
            if outcome in ("called off", "stopped"):
                return
            through.append(outcome)
            if len(through) < join:
                start(look)
            look()

        def start(look: Callable[[], None]) -> None:
            if len(branches) < copies:
                branch = Strand(self.agent, step.body, lambda outcome: ended(outcome, look))
                branches.append(branch)
                branch.go_on()

        def begin(look: Callable[[], None]) -> None:
            for _ in range(min(width, copies)):
                if len(through) < join:
                    start(look)

        if not copies:
            return
        try:
            yield from self._through(begin, lambda: len(through) >= join)
        finally:
            for branch in branches:
                branch.call_off()

    def _graph(self, step: GraphPlan) -> Wait:
        count = len(step.nodes)
        depth = [0] * count
        for _ in range(count):
            depth = [max((depth[other] + 1 for other in after), default=0) for after in step.after]
        self.agent.visit(step.number)
        outcomes: dict[int, str] = {}
        branches: dict[int, Strand] = {}

        def ready(node: int) -> bool:
            if node in branches or node in outcomes:
                return False
            if step.stages:
                return all(other in outcomes for other in range(count) if depth[other] < depth[node])
            return all(other in outcomes for other in step.after[node])

        def begin(look: Callable[[], None]) -> None:
            while found := [node for node in range(count) if ready(node)]:
                node = found[0]
                if any(outcomes[other] in ("failed", "skipped") for other in step.after[node]):
                    outcomes[node] = "skipped"
                    Visit(self.agent, self._world.plan.steps[step.nodes[node]]).write_skip(Skip.upstream)
                else:
                    branch = Strand(self.agent, step.nodes[node], lambda outcome, node=node: ended(node, outcome, look))
                    branches[node] = branch
                    branch.go_on()

        def ended(node: int, outcome: str, look: Callable[[], None]) -> None:
            if outcome in ("called off", "stopped"):
                return
            outcomes[node] = outcome
            begin(look)
            look()

        try:
            yield from self._through(begin, lambda: len(outcomes) == count)
        finally:
            for node in sorted(branches):
                branches[node].call_off()

    def _spawn(self, step: SpawnPlan) -> Wait:
        yield from self._requests()
        agent = self.agent
        visit = agent.visit(step.number)
        count = agent.draws.of_visit(step.count, visit)
        if step.depth is not None and agent.generation >= agent.draws.of_visit(step.depth, visit):
            return
        over: list[int] = []

        def begin(look: Callable[[], None]) -> None:
            for copy in range(count):
                child = self._child(step, visit, copy)
                child.on_end = lambda: (over.append(1), look())
                child.begin()

        if step.waits and count:
            yield from self._through(begin, lambda: len(over) == count)
        else:
            begin(lambda: None)

    def _child(self, step: SpawnPlan, visit: int, copy: int) -> Agent:
        """Return a new agent."""
        world, parent = self._world, self.agent
        where = f"{self.agent.fleet.name}/{step.name}"
        name = streams.spawned(parent.name, where, visit, copy)
        child = Agent(world, step.spawned, world.spawned[step.spawned], world.agents, name)
        world.agents += 1
        world.spawned[step.spawned] += 1
        child.generation = parent.generation + 1
        child.spawned_at = (parent.number, step.number, visit)
        return child
