"""What one agent keeps of one step of its fleet: a SimPy event that happens when the agent is done with the step.

Rules:

1. The object is made once and used for every visit, so that nothing is allocated while an agent goes round. Whoever
   schedules it sets its callbacks again first.
2. The event of a task happens at the end of its work. An agent whose request can never be admitted is resumed by another
   event.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from simpy.events import Event

from model.events import Kind
from sim.recorder import who

if TYPE_CHECKING:
    from sim.constraints.base import GlobalConstraint
    from sim.environment import Environment
    from sim.step import Step

YOUNGEST: Final = 2**63
"""The age of a task that is not waiting: younger than all that are."""

Demands = tuple[tuple["GlobalConstraint", int], ...]
"""What a task asks for: constraints in the order of the scenario, and how much of each."""

Requests = Iterator[tuple[Demands, Demands, Demands]]
"""Visit by visit, what a task asks for, what of it is held to the end, and what of it was drawn."""


Link = Callable[["Step | None"], Any]
"""From a step to the activity of the same strand."""

Waker = list[Callable[[Any], Any]]
"""The callbacks of an event that resumes an agent."""


def held(demands: Demands) -> Demands:
    """Return the demands that a task holds until the end of its work."""
    return tuple(demand for demand in demands if demand[0].holds)


class Activity(Event):
    """A step of an agent: what all kinds share."""

    __slots__ = ("next", "waker")

    def __init__(self, env: "Environment", waker: Waker) -> None:
        super().__init__(env)
        self._ok = True
        self._value = True
        self.waker = waker
        self.next: Activity | None = None


class Think(Activity):
    """The agent is busy with itself."""

    __slots__ = ("durations",)

    def __init__(self, env: "Environment", waker: Waker, durations: Iterator[int]) -> None:
        super().__init__(env, waker)
        self.durations = durations


class Repeat(Activity):
    """The agent goes through `body` a number of times; takes no time itself and never happens."""

    __slots__ = ("body", "laps", "times")

    def __init__(self, env: "Environment", waker: Waker, times: int) -> None:
        super().__init__(env, waker)
        self.times = times
        self.laps = 0
        self.body: Activity | None = None

    def link(self, step: "Step", activity_of: Link) -> None:
        """Link it with the first step of its body."""
        self.body = activity_of(step.body)


class Task(Activity):
    """A task: what the constraint manager admits."""

    __slots__ = (
        "age",
        "asked_ns",
        "bound_ns",
        "code",
        "code_finished",
        "demands",
        "doubtful",
        "drawn",
        "duration_ns",
        "durations",
        "held",
        "requests",
        "who",
    )

    def __init__(self, env: "Environment", waker: Waker, step: "Step", number: int, index: int) -> None:
        super().__init__(env, waker)
        self.durations = iter(()) if step.policy is not None else step.draws["duration"](index)
        self.code = step.code  # step and attempt, packed for the recorder
        self.code_finished = step.code + Kind.TaskFinished
        self.who = who(number, -1)  # agent and visit, packed for the recorder
        self.age = YOUNGEST  # place in every queue: the number given when it blocked, YOUNGEST while it does not wait
        self.asked_ns = 0  # when it first asked
        self.bound_ns = 0  # since when it waits for the constraint that it is bound to
        self.duration_ns = 0
        group = step.group(index)
        self.demands: Demands = step.demands[group]
        self.held: Demands = held(self.demands)  # the demands that are given back at the end of the work
        self.drawn: Demands = ()  # the demands whose amounts are drawn, and so recorded when they are taken
        self.doubtful = step.doubtful[group]  # whether what it asks for may be more than can ever be admitted
        requests = step.requests[group]
        self.requests: Requests | None = None if requests is None or step.policy is not None else requests(index)
