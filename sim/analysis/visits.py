"""How long tasks wait, work and are in the system, by step; feed it every batch of a log.

Rules:

1. A wait is that of an attempt that starts, as `TaskStarted` states it. A service time is from there to the end of the
   attempt. A sojourn is that of a visit, from when it first asks to the end of its last attempt: waits, service and
   back-offs. What is still open is in none of the samples.
2. What is a visit, and when it is over, `sojourns` says; those that are skipped are counted alone.
3. For Little's law the times that visits to tasks spent in the system are summed up visit by visit, and the times for which
   they worked from the counts of those that started and ended alone, without looking who did. (A `hold` waits while it is
   served, where it asks for what it gave back; it is left out of both.)
4. What is kept are the visits that are open, and the samples.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind, Status
from model.header import Header
from sim.analysis.sample import Sample, total
from sim.analysis.sojourns import Outcome, Over, Sojourns
from sim.analysis.takes import Ended
from sim.analysis.waits import Integers

_STATUSES = {
    "failed": Status.failed,
    "timed_out": Status.timed_out,
    "preempted": Status.preempted,
    "cancelled": Status.cancelled,
}
COUNTED = ("started", *_STATUSES, "rejected", "gave_up", "retries", "skipped")
"""Attempts that start, how those end that do not succeed, who is refused or gives up, back-offs, and visits skipped."""


@dataclass(slots=True)
class Times:
    """What tasks did, in ns."""

    wait: Sample = field(default_factory=Sample)
    service: Sample = field(default_factory=Sample)
    sojourn: Sample = field(default_factory=Sample)
    succeeded: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))

    def merge(self, other: "Times") -> None:
        """Take in what others did."""
        self.wait.merge(other.wait)
        self.service.merge(other.service)
        self.sojourn.merge(other.sojourn)
        self.succeeded += other.succeeded
        for name in COUNTED:
            self.counts[name] += other.counts[name]


class Visits:
    """The visits to all steps."""

    def __init__(self, header: Header) -> None:
        self.steps = [Times() for _ in header.steps]
        self.succeeded = np.zeros(header.agents, np.int64)  # visits, by agent
        self._is_task = np.array([*(step.kind == "task" for step in header.steps), False])
        self._sojourns = Sojourns()
        self._ended = Ended()
        self._working = 0  # how many tasks work
        self._worked_ns = 0  # the times at which attempts ended, less those at which they started
        self._sojourns_ns = 0  # of the visits to tasks that are over
        self._now_ns = 0

    def feed(self, batch: Batch) -> None:
        """Take in the next rows."""
        if not len(batch):
            return
        self._now_ns = int(batch.time[-1])
        ended = self._ended.feed(batch)
        started = batch.kind == Kind.TaskStarted
        self._add("wait", batch.step[started], batch.value[started])
        for rows, sign in ((started, -1), (ended, 1)):
            times = batch.time[rows & self._is_task[batch.step]]
            self._worked_ns += sign * total(times)
            self._working -= sign * len(times)
        self._tally("started", batch.step[started])
        for name, status in _STATUSES.items():
            self._tally(name, batch.step[ended & (batch.value == status)])
        gave_up = (batch.kind == Kind.TaskAbandoned) & (batch.constraint >= 0)
        for name, rows in (
            ("rejected", batch.kind == Kind.TaskRejected),
            ("gave_up", gave_up),
            ("retries", batch.kind == Kind.TaskRetrying),
            ("skipped", batch.kind == Kind.TaskSkipped),
        ):
            self._tally(name, batch.step[rows])
        self._count(batch, np.flatnonzero((batch.kind == Kind.TaskFinished) & (batch.value == Status.succeeded)))
        over, _, served = self._sojourns.feed(batch)
        self._add("service", served.step, served.lasted_ns)
        self._take_out(over)

    def in_system_ns(self) -> int:
        """Return the sum of the times that visits to tasks have been in the system, the log being at its end."""
        since_ns = self._end().asked_ns
        return self._sojourns_ns + len(since_ns) * self._now_ns - total(since_ns)

    def worked_ns(self) -> int:
        """Return the sum of the times for which tasks have worked so far."""
        return self._worked_ns + self._working * self._now_ns

    def times(self) -> list[Times]:
        """Return what the tasks of each step did, the log being at its end."""
        self._end()
        return self.steps

    def _end(self) -> Over:
        """Take in what has ended at the last instant; return the visits to tasks that go on."""
        over, going_on = self._sojourns.end()
        self._take_out(over)
        return going_on.some(self._is_task[going_on.step])

    def _take_out(self, over: Over) -> None:
        """Take in the sojourns of visits that are over."""
        over = over.some(over.outcome != Outcome.skipped)
        sojourns = over.ended_ns - over.asked_ns
        self._add("sojourn", over.step, sojourns)
        self._sojourns_ns += total(sojourns[self._is_task[over.step]])

    def _count(self, batch: Batch, done: NDArray[np.intp]) -> None:
        most = int(batch.agent[done].max(initial=-1)) + 1 - len(self.succeeded)
        if most > 0:
            self.succeeded = np.append(self.succeeded, np.zeros(most, np.int64))
        self.succeeded += np.bincount(batch.agent[done], minlength=len(self.succeeded))
        for step, count in enumerate(np.bincount(batch.step[done], minlength=len(self.steps)).tolist()):
            self.steps[step].succeeded += count

    def _tally(self, name: str, steps: NDArray[np.int16]) -> None:
        for step, count in enumerate(np.bincount(steps, minlength=len(self.steps)).tolist()):
            self.steps[step].counts[name] += count

    def _add(self, what: str, steps: NDArray[np.int16], values: Integers) -> None:
        for step in np.unique(steps).tolist():
            getattr(self.steps[step], what).add(values[steps == step])
