"""Steps in which a strand waits for others: forks, graphs, spawned agents; and what it gives back meanwhile.

Rules:

1. The first branches begin at once, in their order, when the strand comes to the step. When a branch is over, an event at
   the rank of requests begins what is ready then: the next copy, or the tasks that follow.
2. As soon as enough branches are through the strand goes on, by an event at the rank of requests, no further ones begin,
   and the others are called off.
3. What is held with `give_back` is given back when all that begins at once has begun, the innermost first. It is asked
   for again before the strand goes on, the outermost first.
"""

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from model.events import Skip
from model.plan import ForkPlan, GraphPlan, SpawnPlan

from .clock import REQUEST, Entry
from .desk import WAITS
from .visits import Attempt, Visit

if TYPE_CHECKING:
    from .strands import Strand

Wait = Generator[None, Any, Any]
CALLED_OFF = "called off"
"""How a branch ends that does not count."""


class Others:
    """What a strand waits for: `begin` begins what is ready, `done` says whether enough is over."""

    def __init__(self, strand: "Strand", begin: Callable[[], None], done: Callable[[], bool]) -> None:
        self._strand = strand
        self._clock = strand.agent.world.clock
        self._begin = begin
        self._done = done
        self._events: list[Entry] = []
        self._goes_on = False
        self._given_up = False

    def over(self) -> None:
        """One of them is over."""
        if not self._given_up and not self._look():
            self._events.append(self._clock.at(self._clock.now, REQUEST, self._next))

    def wait(self) -> Wait:
        """Wait until enough is over."""
        try:
            self._begin()
            if self._done():
                return
            given = _give_back(self._strand)
            yield
        finally:
            self._given_up = True
            for event in self._events:
                event.off = True
        yield from _take_again(self._strand, given)

    def _next(self) -> None:
        if not self._done():
            self._begin()
            self._look()

    def _look(self) -> bool:
        """Let the strand go on if enough is over."""
        if self._done() and not self._goes_on:
            self._goes_on = True
            self._events.append(self._clock.at(self._clock.now, REQUEST, self._strand.go_on))
        return self._goes_on


def _give_back(strand: "Strand") -> list[tuple[Attempt, list[tuple[int, int]]]]:
    """Give back what is held by those around that give back while they wait."""
    given = []
    for attempt in reversed(strand.holds):
        if attempt.visit.step.gives_back:
            given.append((attempt, attempt.held()))
            attempt.give_back()
    return given[::-1]


def _take_again(strand: "Strand", given: list[tuple[Attempt, list[tuple[int, int]]]]) -> Wait:
    world = strand.agent.world
    for attempt, held in given:
        request = attempt.request
        request.amounts, request.lent = held, True
        request.age, request.asked = world.desk.age(), world.clock.now
        if world.desk.ask(request) == WAITS:
            yield
        attempt.acquire()
        yield from strand.pause(world.clock.now, REQUEST)
        strand.fresh = False


def _call_off(strand: "Strand", begun: list["Strand"]) -> None:
    """Call off the branches that are left, be it because their strand is called off."""
    desk = strand.agent.world.desk
    first = desk.put_off()
    for branch in reversed(begun):
        branch.call_off()
    if first:
        desk.make_up()


def fork(strand: "Strand", step: ForkPlan) -> Wait:
    """Go through copies of the steps."""
    agent = strand.agent
    copies = agent.draws.of_visit(step.copies, agent.visit(step.number))
    join = copies if step.join is None else min(step.join, copies)
    width = copies if step.width is None else step.width
    begun: list[Strand] = []
    over: list[int] = []
    through: list[int] = []

    def begin() -> None:
        for _ in range(min(copies - len(begun), width - (len(begun) - len(over)))):
            if len(through) < join:
                branch = strand.branch(step.body, ended)
                begun.append(branch)
                branch.go_on()

    def ended(outcome: str) -> None:
        over.append(1)
        if outcome != CALLED_OFF:
            through.append(1)
            others.over()

    others = Others(strand, begin, lambda: len(through) >= join)
    try:
        if copies:
            yield from others.wait()
    finally:
        _call_off(strand, begun)


def graph(strand: "Strand", step: GraphPlan) -> Wait:
    """Go through tasks that follow each other."""
    agent = strand.agent
    count = len(step.nodes)
    depth = [0] * count
    for _ in range(count):
        depth = [max((depth[other] + 1 for other in after), default=0) for after in step.after]
    agent.visit(step.number)
    outcomes: dict[int, str] = {}
    begun: dict[int, Strand] = {}

    def ready() -> list[int]:
        left = [node for node in range(count) if node not in begun and node not in outcomes]
        if step.stages:
            stage = min((depth[node] for node in range(count) if node not in outcomes), default=0)
            return [node for node in left if depth[node] == stage]
        return [node for node in left if all(other in outcomes for other in step.after[node])]

    def begin() -> None:
        if not begun and not outcomes:
            for node in [node for node in range(count) if not depth[node]]:
                start(node)
            return
        for node in ready():
            start(node)

    def _upstream(node: int) -> bool:
        return any(outcomes[other] in ("failed", "skipped") for other in step.after[node])

    def start(node: int) -> None:
        if _upstream(node):
            outcomes[node] = "skipped"
            Visit(agent, agent.world.plan.steps[step.nodes[node]]).write_skip(Skip.upstream)
            others.over()
        else:
            branch = strand.branch(step.nodes[node], lambda outcome: ended(node, outcome))
            begun[node] = branch
            branch.go_on()

    def ended(node: int, outcome: str) -> None:
        if outcome != CALLED_OFF:
            outcomes[node] = outcome
            others.over()

    others = Others(strand, begin, lambda: len(outcomes) == count)
    try:
        yield from others.wait()
    finally:
        _call_off(strand, list(begun.values()))


def spawn(strand: "Strand", step: SpawnPlan) -> Wait:
    """Start other agents."""
    agent = strand.agent
    visit = agent.visit(step.number)
    count = agent.draws.of_visit(step.count, visit)
    if step.depth is not None and agent.generation >= agent.draws.of_visit(step.depth, visit):
        return
    over: list[int] = []

    def begin() -> None:
        for copy in range(count if not over else 0):
            child = agent.child(step, visit, copy)
            child.on_end = ended
            child.begin()

    def ended() -> None:
        over.append(1)
        others.over()

    others = Others(strand, begin, lambda: len(over) == count)
    if step.waits and count:
        yield from others.wait()
    else:
        for copy in range(count):
            agent.child(step, visit, copy).begin()
