"""What is read off a log: counts, waits, times in system and integrals over time, within a window of it.

Rules:

1. Only `model.log` and `model.events` are known here. Times are in seconds where they leave a method.
2. A row counts when it lies in the window, so a wait counts when it ends. In a stationary system what ends within a
   fixed stretch of time is a fair sample (Baccelli and Bremaud, Elements of Queueing Theory, ch. 1: the Palm
   distribution), and no wait is lost because it is still going on when the window closes.
3. The numbers waiting and in service are step functions, summed up from the beginning of the log:

       waiting = blocked - resumed - abandoned        in service = started - finished

   where a task that was turned away, or gave up, finishes without having started. A preempted task finishes and blocks.
4. Under processor sharing everybody present is in service, so the number of busy servers is at most their number.
"""

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind, Status, concatenate
from model.log import Log

_NS = 1e-9
_AGENT_SHIFT = 32

Seconds = NDArray[np.float64]


class Window:
    """The rows of a log, or of some of its tasks, and the stretch of time in which they count."""

    def __init__(self, log: Log, start_ns: int, end_ns: int) -> None:
        self._start_ns = start_ns
        self._end_ns = end_ns
        rows = concatenate(list(log.batches()))
        self._tasks = {
            entry.name: _where(rows, rows.step == number)
            for number, entry in enumerate(log.header.steps)
            if entry.kind == "task"
        }

    @property
    def seconds(self) -> float:
        """The length of the window."""
        return (self._end_ns - self._start_ns) * _NS

    def count(self, kind: Kind, task: str, status: Status | None = None) -> int:
        """Count the rows of a kind; of `TaskFinished` those with a status."""
        return int(np.count_nonzero(self._inside(self._rows(kind, task, status))))

    def asked(self, task: str) -> int:
        """Count the requests that were not turned away: those that blocked, and those that started without that."""
        kinds = ((Kind.TaskBlocked, 1), (Kind.TaskStarted, 1), (Kind.TaskResumed, -1))
        return sum(sign * self.count(kind, task) for kind, sign in kinds)

    def waits(self, task: str) -> Seconds:
        """Return the wait of each visit that is first served in the window: 0 for those that did not wait."""
        started = self._rows(Kind.TaskStarted, task)
        return started.value[self._inside(started) & (started.attempt == 0)] * _NS

    def waited(self, kind: Kind, task: str) -> float:
        """Sum the waits that rows of this kind end: `TaskResumed` or `TaskAbandoned`."""
        rows = self._rows(kind, task)
        return float(rows.value[self._inside(rows)].sum()) * _NS

    def sojourns(self, task: str) -> Seconds:
        """Return the time in system of each visit that is done in the window, from its first asking on."""
        started = self._rows(Kind.TaskStarted, task)
        first = np.flatnonzero(started.attempt == 0)
        asked_ns, visits = (started.time - started.value)[first], _visits(started)[first]
        finished = self._rows(Kind.TaskFinished, task, Status.succeeded)
        inside = self._inside(finished)
        order = np.argsort(visits)
        places = order[np.searchsorted(visits, _visits(finished)[inside], sorter=order)]
        return (finished.time[inside] - asked_ns[places]) * _NS

    def waiting(self, task: str) -> float:
        """Integrate the number that wait over the window."""
        moves = {Kind.TaskBlocked: 1, Kind.TaskResumed: -1, Kind.TaskAbandoned: -1}
        return self._integral(self._tasks[task], moves)

    def in_service(self, task: str, at_most: int | None = None) -> float:
        """Integrate the number in service over the window, counting no more than `at_most` at a time."""
        return self._integral(self._tasks[task], {Kind.TaskStarted: 1, Kind.TaskFinished: -1}, at_most)

    def per_period(self, kind: Kind, task: str, period_s: float) -> NDArray[np.int64]:
        """Count the rows of a kind in each period, of which the window has a whole number."""
        rows = self._rows(kind, task)
        periods = round(self.seconds / period_s)
        places = (rows.time[self._inside(rows)] - self._start_ns) * periods // (self._end_ns - self._start_ns)
        return np.bincount(places, minlength=periods)

    def _rows(self, kind: Kind, task: str, status: Status | None = None) -> Batch:
        rows = self._tasks[task]
        return _where(rows, (rows.kind == kind) & (True if status is None else rows.value == status))

    def _inside(self, rows: Batch) -> NDArray[np.bool_]:
        return (rows.time >= self._start_ns) & (rows.time < self._end_ns)

    def _integral(self, rows: Batch, moves: dict[Kind, int], at_most: int | None = None) -> float:
        move = np.zeros(len(rows), np.int64)
        for kind, by in moves.items():
            move[rows.kind == kind] = by
        unserved = (rows.kind == Kind.TaskFinished) & ~np.isin(rows.value, (Status.succeeded, Status.preempted))
        number = np.cumsum(np.where(unserved, 0, move))
        if at_most is not None:
            number = np.minimum(number, at_most)
        times = np.clip(np.append(rows.time, self._end_ns), self._start_ns, self._end_ns)
        return float((number * np.diff(times)).sum()) * _NS


def _where(rows: Batch, chosen: NDArray[np.bool_]) -> Batch:
    return Batch(*(column[chosen] for column in rows.columns()))


def _visits(rows: Batch) -> NDArray[np.int64]:
    """Return a number for each row that is the same for the rows of one visit of one agent."""
    return (rows.agent.astype(np.int64) << _AGENT_SHIFT) + rows.visit
