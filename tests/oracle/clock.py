"""Time: a sorted list of what is still to happen.

Rules:

1. At one instant the lower rank comes first; within a rank, what was scheduled first.
2. What was called off does not happen, and does not keep a run going.
"""

from bisect import insort
from collections.abc import Callable

CONTROL, COMPLETION, REFILL, REQUEST, DEADLINE = range(5)
EVENTS_MAX = 20_000


class Entry:
    """Something that is to happen at a time."""

    def __init__(self, key: tuple[int, int, int], act: Callable[[], None]) -> None:
        self.key = key
        self.act = act
        self.off = False
        self.happened = False


class Clock:
    """The time in ns, and what is to come."""

    def __init__(self) -> None:
        self.now = 0
        self.rank = CONTROL
        self._pending: list[Entry] = []
        self._scheduled = 0

    def at(self, time: int, rank: int, act: Callable[[], None]) -> Entry:
        """Let something happen."""
        self._scheduled += 1
        entry = Entry((time, rank, self._scheduled), act)
        insort(self._pending, entry, key=lambda entry: entry.key)
        return entry

    def comes_next(self, rank: int) -> bool:
        """Whether something is to happen at this instant and this rank."""
        return any(not entry.off and entry.key[:2] == (self.now, rank) for entry in self._pending)

    @property
    def is_pending(self) -> bool:
        """Whether anything is still to happen."""
        return any(not entry.off for entry in self._pending)

    def run(self, until: int | None, after_each: Callable[[], None]) -> None:
        """Let everything happen up to and at `until`."""
        for _ in range(EVENTS_MAX):
            self._pending = [entry for entry in self._pending if not entry.off]
            if not self._pending or (until is not None and self._pending[0].key[0] > until):
                break
            entry = self._pending.pop(0)
            self.now, self.rank, _ = entry.key
            entry.happened = True
            entry.act()
            after_each()
        else:
            raise RuntimeError("the run does not come to an end")
        if until is not None:
            self.now = until
