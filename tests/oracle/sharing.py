"""Processor sharing: all who work have the same part of the servers.

Rules:

1. While n work, each goes at the speed limit / n, and never faster than 1. Not in force, all go at the speed 1.
2. What each has had since it came is measured in units of 2**-32 ns. It is rounded down whenever the speed may change: when
   somebody comes or goes, and when the limit changes. Whoever has had its duration is done at the next whole ns.
3. Those who are done at one instant end in the order in which they would have been done, then in that of coming, after all
   completions of that instant that were due before.
"""

from collections.abc import Callable

from model.plan import ConstraintPlan, Setting

from .clock import COMPLETION, Clock, Entry
from .limits import Slots

UNIT = 2**32
"""Of these to the ns."""


class Work:
    """What one who works still has to do, in units."""

    def __init__(self, left: int, done: Callable[[], None]) -> None:
        self.left = left * UNIT
        self.done = done
        self.ending: Entry | None = None


class Shared(Slots):
    """Nobody waits, and who works shares."""

    def __init__(self, row: ConstraintPlan, clock: Clock) -> None:
        super().__init__(row)
        self._clock = clock
        self._working: list[Work] = []
        self._since = 0
        self._alarm: Entry | None = None

    def admits(self, amount: int, now: int) -> bool:
        return True

    def begin(self, duration: int, done: Callable[[], None]) -> Work:
        """Let one work."""
        self._go_on()
        work = Work(duration, done)
        self._working.append(work)
        self._plan()
        return work

    def works(self, work: Work) -> bool:
        """Whether one still has something to do."""
        had = self._had_in(self._clock.now - self._since)
        return work in self._working and work.left > had

    def end(self, work: Work) -> int:
        """Let one work no longer, whether it is done or not; return the ns that were left, rounded up."""
        self._go_on()
        if work.ending is not None:
            work.ending.off = True
        if work in self._working:
            self._working.remove(work)
            self._plan()
        return max(0, -(-work.left // UNIT))

    def change(self, setting: Setting, now: int) -> None:
        self._go_on()
        super().change(setting, now)
        self._plan()

    def _had_in(self, time: int) -> int:
        """Return what each of those who work has in a time, in units."""
        crowd = len(self._working)
        if not self.in_force or crowd <= self.most:
            return time * UNIT
        return time * UNIT * self.most // crowd

    def _go_on(self) -> None:
        had = self._had_in(self._clock.now - self._since)
        for work in self._working:
            work.left -= had
        self._since = self._clock.now

    def _plan(self) -> None:
        """Let those end who are done, and look again at the first whole ns at which another may be."""
        for work in sorted(self._working, key=lambda work: work.left):
            if work.left <= 0:
                self._working.remove(work)
                work.ending = self._clock.at(self._clock.now, COMPLETION, work.done)
        if not self._working:
            return
        left, crowd = min(work.left for work in self._working), len(self._working)
        wait = left if not self.in_force or crowd <= self.most else -(-left * crowd // self.most)
        due = self._since - (-wait // UNIT)
        if self._alarm is None or due < self._alarm.key[0]:
            if self._alarm is not None:
                self._alarm.off = True
            self._alarm = self._clock.at(due, COMPLETION, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        had = self._had_in(self._clock.now - self._since)
        if any(work.left <= had for work in self._working):
            self._go_on()
        self._plan()
