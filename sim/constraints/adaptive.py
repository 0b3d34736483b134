"""Adaptive concurrency: a limit that finds itself, by additive increase and multiplicative decrease.

Rules (Chiu and Jain, Computer Networks and ISDN Systems 17, 1989; as in TCP's congestion avoidance):

1. Each success adds `increase` / limit, so that the limit grows by `increase` for each limit's worth of successes.
2. A failure, a timeout, or a task that lasted longer than `latency` multiplies the limit by `decrease`, but not within
   `cooldown` of the last decrease.
3. The limit is kept in millionths of a slot between `least` and `most`; what is in force is the whole part.
"""

from typing import TYPE_CHECKING

from model.events import Status
from model.units import MICRO
from sim.constraints.concurrency import Concurrency

if TYPE_CHECKING:
    from model.plan import ConstraintPlan
    from sim.environment import Environment
    from sim.queues import Queue


class Adaptive(Concurrency):
    """Slots, as many as go well."""

    type = "adaptive"
    hears = True

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self._numbers: dict[str, int] | None = None
        self._exact = 0  # the limit in millionths
        self._decreased_ns: int | None = None
        super().__init__(env, plan, waiting)

    def apply(self, numbers: dict[str, int] | None) -> None:
        super().apply(numbers)
        self._numbers = numbers
        if numbers is not None:
            self._exact = numbers["limit"] * MICRO

    def hear(self, status: Status, lasted_ns: int, admitted_ns: int) -> None:
        numbers = self._numbers
        if numbers is None or status in (Status.cancelled, Status.preempted):
            return
        is_slow = 0 < numbers["latency_ns"] < lasted_ns
        if status is Status.succeeded and not is_slow:
            self._exact += numbers["increase"] // self._exact
        elif self._decreased_ns is None or self.env._now >= self._decreased_ns + numbers["cooldown_ns"]:
            self._decreased_ns = self.env._now
            self._exact = self._exact * numbers["decrease"] // MICRO
        self._exact = min(max(self._exact, numbers["least"] * MICRO), numbers["most"] * MICRO)
        self.limit = self._exact // MICRO
