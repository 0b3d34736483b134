"""Circuit breaker: admits nobody for a while when too many of those that it admitted failed.

Rules (Nygard, Release It!, ch. 5):

1. Closed, it admits everybody. It opens when at least `min_calls` ended within the last `window`, and at least `ratio` of
   them failed or timed out.
2. Open, it admits nobody for `open_for`, and then is half-open: it admits `probes` tasks. When all of them have succeeded
   it closes, and knows of no failures; when one fails it opens again. A probe that is called off is no probe.
3. What ends while it is open, or was admitted before it opened, tells it nothing.
"""

from collections import deque
from typing import TYPE_CHECKING

from model.events import Status
from model.units import MICRO
from sim.constraints.base import UNLIMITED, GlobalConstraint

if TYPE_CHECKING:
    from model.plan import ConstraintPlan
    from sim.environment import Environment
    from sim.queues import Queue

_FAILURES = (Status.failed, Status.timed_out)


class CircuitBreaker(GlobalConstraint):
    """A switch that failures throw."""

    type = "circuit_breaker"
    hears = True

    def __init__(self, env: "Environment", plan: "ConstraintPlan", waiting: "Queue") -> None:
        self.env: Environment = env
        self._numbers: dict[str, int] | None = None
        self._outcomes: deque[tuple[int, bool]] = deque()  # when a task ended, and whether it failed
        self._failures = 0
        self._opens_again_ns: int | None = None  # while it is open: when it will be half-open
        self._probes: int | None = None  # while it is half-open: how many more it admits
        self._half_open_ns = 0  # since when
        self._successes = 0  # of probes
        super().__init__(env, plan, waiting)

    def apply(self, numbers: dict[str, int] | None) -> None:
        self._numbers = numbers
        if numbers is None:  # it may be open, and is not to be half-open later
            self._opens_again_ns = self._probes = None

    @property
    def limit_recorded(self) -> int:
        """0 while it is open, the number of probes while it is half-open, -1 while it is closed."""
        if self._numbers is None:
            return -1
        if self._opens_again_ns is not None:
            return 0
        return -1 if self._probes is None else self._numbers["probes"]

    def free(self) -> int:
        if self._numbers is None:
            return UNLIMITED
        if self._opens_again_ns is not None:
            return 0
        return UNLIMITED if self._probes is None else self._probes

    def take(self, amount: int) -> None:
        if self._probes is not None:
            self._probes -= amount

    def available_in(self, amount: int) -> int | None:
        return None if self._opens_again_ns is None else self._opens_again_ns - self.env._now

    def hear(self, status: Status, lasted_ns: int, admitted_ns: int) -> None:
        if self._numbers is None or self._opens_again_ns is not None:
            return
        now, failed = self.env._now, status in _FAILURES
        if self._probes is not None:
            if admitted_ns >= self._half_open_ns:
                self._hear_of_probe(status)
        elif failed or status is Status.succeeded:
            self._outcomes.append((now, failed))
            self._failures += failed
            while self._outcomes[0][0] <= now - self._numbers["window_ns"]:
                self._failures -= self._outcomes.popleft()[1]
            calls = len(self._outcomes)
            if calls >= self._numbers["min_calls"] and self._failures * MICRO >= self._numbers["ratio"] * calls:
                self._open()

    def pass_time(self) -> None:
        if self._opens_again_ns is not None and self._opens_again_ns <= self.env._now:
            assert self._numbers is not None
            self._opens_again_ns, self._probes, self._successes = None, self._numbers["probes"], 0
            self._half_open_ns = self.env._now

    def _hear_of_probe(self, status: Status) -> None:
        assert self._numbers is not None
        assert self._probes is not None
        if status in _FAILURES:
            self._open()
        elif status is not Status.succeeded:
            self._probes += 1
        else:
            self._successes += 1
            if self._successes >= self._numbers["probes"]:
                self._probes = None

    def _open(self) -> None:
        assert self._numbers is not None
        self._outcomes.clear()
        self._failures, self._probes = 0, None
        self._opens_again_ns = self.env._now + self._numbers["open_ns"]
        self.schedule(self._opens_again_ns)
