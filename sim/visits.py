"""What all strands of an agent share of one step: how often it came there, and its random variables.

A variable's iterator is made when it is first wanted. The n-th value goes to whoever comes n-th.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.task import Requests

Draws = Callable[[int], Iterator[int]]
"""The values of a quantity for one agent (its number in the streams), one after the other."""

ONCE_A_VISIT = frozenset({"duration", "fail", "patience", "refuse", "skip"})
"""The variables of a task of which the n-th visit takes the n-th draw, beside what it asks for; `/` and more may follow."""


class Visits:
    """An agent's visits to a step."""

    __slots__ = ("_draws", "_index", "_iterators", "count", "requests")

    def __init__(self, draws: dict[str, Draws], requests: "Callable[[int], Requests] | None", index: int) -> None:
        self._draws = draws
        self._index = index
        self._iterators: dict[str, Iterator[int]] = {}
        self.count = 0
        self.requests: Requests | None = None if requests is None else requests(index)

    def come(self) -> int:
        """Come to the step; return the number of the visit, from 0."""
        self.count += 1
        return self.count - 1

    def leave_out(self) -> None:
        """Pass over what a visit to a task would have drawn: the next one takes its own draws."""
        for name in self._draws:
            if name.partition("/")[0] in ONCE_A_VISIT:
                self.draw(name)
        if self.requests is not None:
            next(self.requests)

    def draw(self, name: str) -> int:
        """Return the next value of a variable of the step."""
        return next(self.all(name))

    def all(self, name: str) -> Iterator[int]:
        """Return the iterator over the values of a variable, which everybody shares."""
        if name not in self._iterators:
            self._iterators[name] = self._draws[name](self._index)
        return self._iterators[name]
