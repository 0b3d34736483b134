"""A task: what one agent is doing or waiting to do, and the SimPy event of its end.

An agent has one task at a time and uses the same object for every visit, so that nothing is allocated while it goes round.
The event fires when the work is done; its value says whether it was done at all: a request that can never be admitted
fails without having started.
"""

from typing import TYPE_CHECKING

from simpy.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.constraints.base import GlobalConstraint
    from sim.environment import Environment

Demands = tuple[tuple["GlobalConstraint", int], ...]
"""What a task asks for: constraints in the order of the scenario, and how much of each."""


YOUNGEST = 2**63
"""The age of a task that is not waiting: younger than all that are."""


class Task(Event):
    """The task of an agent."""

    __slots__ = (
        "age",
        "asked_ns",
        "binding",
        "bound_ns",
        "code",
        "demands",
        "drawn",
        "duration_ns",
        "waker",
        "who",
    )

    age: int  # place in every queue: the number given when it blocked, YOUNGEST while it does not wait
    asked_ns: int  # when it first asked
    binding: "GlobalConstraint"  # the constraint that it waits for, or waited for last
    bound_ns: int  # since when it waits for that one
    code: int  # step and attempt, packed for the recorder
    demands: Demands
    drawn: Demands  # those whose amounts are drawn, and so recorded when they are taken
    duration_ns: int
    waker: "list[Callable[[Event], None]]"  # the callbacks of an event that resumes the agent
    who: int  # agent and visit, packed for the recorder

    def __init__(self, env: "Environment") -> None:
        super().__init__(env)
        self._ok = True
        self._value = True
        self.age = YOUNGEST
