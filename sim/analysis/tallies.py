"""How attempts ended and how long tasks waited, by fleet.

Everything is counted as in the summary of a run (`summary`), so that the fleets add up to it.
"""

from typing import Any

import numpy as np

from model.events import Batch, Kind, Status
from model.log import Header
from sim.analysis.sample import Sample
from sim.analysis.takes import Ended

_COUNTED = {
    Kind.TaskStarted: "started",
    Kind.TaskRejected: "rejected",
    Kind.TaskAbandoned: "gave_up",
    Kind.TaskSkipped: "skipped",
    Kind.TaskBlocked: "blocked",
}
_ENDED = {
    Status.succeeded: "finished",
    Status.failed: "failed",
    Status.timed_out: "timed_out",
    Status.preempted: "preempted",
    Status.cancelled: "cancelled",
}


class Tallies:
    """Feed it every batch of a log, then ask for `result`."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._fleet_of_step = np.array([*(step.fleet for step in header.steps), 0], np.int64)
        self._kinds = np.zeros((len(header.fleets), len(Kind)), np.int64)
        self._statuses = np.zeros((len(header.fleets), len(Status)), np.int64)
        self._ended = Ended()
        self._waits = [Sample() for _ in header.fleets]

    def feed(self, batch: Batch) -> None:
        """Take in the next rows."""
        fleets = self._fleet_of_step[batch.step]
        counted = (batch.kind != Kind.TaskAbandoned) | (batch.constraint >= 0)  # the others backed off
        np.add.at(self._kinds, (fleets[counted], batch.kind[counted]), 1)
        ended = self._ended.feed(batch)
        np.add.at(self._statuses, (fleets[ended], batch.value[ended]), 1)
        started = batch.kind == Kind.TaskStarted
        of_started, waits = fleets[started], batch.value[started]
        for fleet in np.unique(of_started).tolist():
            self._waits[fleet].add(waits[of_started == fleet])

    def result(self) -> dict[str, Any]:
        """Return the numbers of each fleet, by the names of `python -m sim run --json`."""
        return {
            fleet.name: {
                "tasks": {
                    **{name: int(self._kinds[number, kind]) for kind, name in _COUNTED.items()},
                    **{name: int(self._statuses[number, status]) for status, name in _ENDED.items()},
                },
                "wait_ns": self._waits[number].result(),
            }
            for number, fleet in enumerate(self._header.fleets)
        }
