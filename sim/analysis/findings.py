"""All that is found out about a run from its log, by the names of `python -m sim run --json`.

Rules:

1. Every fold is fed the same batches, once. What takes a second reading (a proof, who was in the way) is added where the
   log can be read again.
"""

from typing import Any

from model.events import Batch
from model.log import Header, Log
from sim.analysis.deadlocks import deadlocks
from sim.analysis.inversions import Inversions
from sim.analysis.stall import who_waits
from sim.analysis.starvation import Starvation
from sim.analysis.storms import Storms
from sim.analysis.summary import Summary
from sim.analysis.waits import Waits


class Findings:
    """Feed it every batch of a log, then ask for `result`; others that are fed the same take its `waits` and `ended`."""

    def __init__(self, header: Header) -> None:
        self.waits = Waits()
        self.ended = self.waits.rest()  # the stretches that ended in the last batch
        self._summary = Summary(header)
        self._starvation = Starvation(header)
        self._inversions = Inversions(header)
        self._storms = Storms(header)

    def feed(self, batch: Batch) -> None:
        """Take in the next rows."""
        self.ended = self.waits.feed(batch)
        self._summary.feed(batch, self.ended)
        self._starvation.feed(batch, self.ended)
        self._inversions.feed(batch, self.ended, self.waits.rest())
        self._storms.feed(batch)

    def reach(self, time_ns: int) -> None:
        """Take in that nothing more has happened up to a time: the run was stopped there."""
        self.waits.reach(time_ns)
        self._summary.reach(time_ns)

    def result(self, log: Log | None) -> dict[str, Any]:
        """Return what was found; `log` is that of the batches, or None where it cannot be read again."""
        found = self._summary.result()
        if found["deadlocks"] and log is not None:
            found["deadlocks"] = deadlocks(log)
        if found["stalled"] and log is not None:
            found["stalled"]["waiting"] = who_waits(log)
        found["storms"] = self._storms.result()
        found["starvation"] = self._starvation.result(log, self.waits.rest())
        found["priority_inversions"] = self._inversions.result(log, self.waits.rest())
        return found
