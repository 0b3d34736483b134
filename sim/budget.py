"""A budget of retries: what all agents of a fleet share that come to one step.

Rules:

1. The first attempt of each visit pays in, up to what the budget began with; a further attempt after a failure costs one.
2. Where less than one is left nothing is taken, and there is no further attempt.
3. It is kept in whole millionths, so that it is exact. Nothing is drawn, and time does not matter.
"""

from model.plan import BudgetPlan
from model.units import MICRO


class Budget:
    """A bucket of retries that first attempts fill."""

    __slots__ = ("_burst", "_ratio", "left")

    def __init__(self, plan: BudgetPlan) -> None:
        self._ratio = plan.ratio
        self._burst = plan.burst
        self.left = plan.burst  # in millionths, from 0 to the burst

    def pay_in(self) -> None:
        """A visit begins."""
        self.left = min(self._burst, self.left + self._ratio)

    def pay_out(self) -> bool:
        """Take one retry, if there is one; say whether there was."""
        if self.left < MICRO:
            return False
        self.left -= MICRO
        return True
