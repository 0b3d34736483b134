"""Incidents: what goes wrong for a while.

Rules:

1. One that is on and blocks admits nobody; one that refuses a share admits those whose attempt has drawn so (`desk.py`).
2. Work that is slowed goes at 1 / slow of its speed, with several at the product; what is left is a fraction. It ends at
   the first whole ns at which nothing is left.
3. What ends at one instant ends in the order in which its end was last reckoned: whenever one that slows it comes or goes,
   that of all whom it hits is, in the order in which they began.
"""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, prod

from model.plan import ConstraintPlan, Setting

from .clock import COMPLETION, Clock, Entry
from .limits import Limit

MICRO = 10**6


class Work:
    """What one who is slowed has left to do."""

    def __init__(self, left: int, by: list["Incident"], done: Callable[[], None]) -> None:
        self.left = Fraction(left)
        self.by = by
        self.done = done
        self.since = 0
        self.entry: Entry | None = None

    @property
    def slowness(self) -> Fraction:
        return prod((incident.slow for incident in self.by if incident.in_force), start=Fraction(1))


class Slowing:
    """Lets all work go on that incidents may slow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._working: list[Work] = []

    def begin(self, duration: int, by: list["Incident"], done: Callable[[], None]) -> Work:
        """Let one work that these may slow."""
        work = Work(duration, by, done)
        self._working.append(work)
        self._plan(work)
        return work

    def works(self, work: Work) -> bool:
        """Whether one still has something to do."""
        return work in self._working and self._left(work) > 0

    def left(self, work: Work) -> int:
        """Return the ns that are left, rounded up."""
        return max(0, ceil(self._left(work)))

    def end(self, work: Work) -> int:
        """Let one work no longer; return the ns that were left, rounded up."""
        work.left = self._left(work)
        if work in self._working:
            self._working.remove(work)
        if work.entry is not None:
            work.entry.off = True
        return max(0, ceil(work.left))

    def change(self, incident: "Incident", setting: Setting) -> None:
        """Let an incident come or go."""
        hit = [work for work in self._working if incident in work.by]
        for work in hit:
            work.left = self._left(work)
            work.since = self._clock.now
        incident.setting = setting
        for work in hit:
            self._plan(work)

    def _left(self, work: Work) -> Fraction:
        if work not in self._working:
            return work.left
        return work.left - (self._clock.now - work.since) / work.slowness

    def _plan(self, work: Work) -> None:
        if work.entry is not None:
            work.entry.off = True
        work.since = self._clock.now
        work.entry = self._clock.at(work.since + ceil(work.left * work.slowness), COMPLETION, work.done)


class Incident(Limit):
    """Something that is on at times."""

    def __init__(self, row: ConstraintPlan, slowing: Slowing) -> None:
        super().__init__(row)
        self._slowing = slowing
        each = [setting.numbers for setting in row.settings if setting.numbers is not None]
        self._numbers = each[0] if each else {"slow": MICRO, "new": 0}
        self.slow = Fraction(self._numbers["slow"], MICRO)

    @property
    def slows_all(self) -> bool:
        return self.slow > 1 and not self._numbers["new"]

    @property
    def slows_new(self) -> bool:
        return self.slow > 1 and bool(self._numbers["new"])

    def change(self, setting: Setting, now: int) -> None:
        self._slowing.change(self, setting)

    def admits(self, amount: int, now: int) -> bool:
        return not self.in_force or not self.numbers["block"]

    def stated(self) -> int:
        return 0 if self.in_force else -1
