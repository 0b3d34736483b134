"""The random values of one agent.

Rules:

1. What is drawn once a visit is the draw with the number of the visit, whether or not the draws before were used.
2. What is drawn for further attempts is drawn one after the other.
"""

from itertools import islice

from model.plan import Constant, Plan, Quantity
from model.plan import PerAgent as OfTrace
from model.streams import Stream


class Draws:
    """The draws of all variables for an agent: `place` in its fleet, and `number` in the streams."""

    def __init__(self, plan: Plan, fleet: int, place: int, number: int) -> None:
        self._seed = plan.seed
        self._agents = plan.fleets[fleet].count
        self._place = place
        self._number = number
        self._taken: dict[str, int] = {}

    def of_visit(self, quantity: Quantity, visit: int) -> int:
        """Return what a visit draws."""
        match quantity:
            case Constant():
                return quantity.value
            case OfTrace():
                return int(quantity.values[self._place])
        stream = Stream(self._seed, quantity.name, self._agents, quantity.transform, quantity.draws)
        return int(next(islice(stream.of(self._number), visit, None)))

    def following(self, quantity: Quantity) -> int:
        """Return the next draw of a variable that is drawn for further attempts."""
        if not hasattr(quantity, "name"):
            return self.of_visit(quantity, 0)
        taken = self._taken.get(quantity.name, 0)
        self._taken[quantity.name] = taken + 1
        return self.of_visit(quantity, taken)
