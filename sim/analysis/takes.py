"""Which rows of a log take of a constraint, and which give it back.

Rules:

1. A task takes at its `TaskStarted` what the header says that it asks for, and gives it back at its `TaskFinished`. What is
   drawn it takes at a `ResourceAcquired`; where its step states all amounts it gives back at each `ResourceReleased`.
2. What is charged at the end alone is asked for all the same, and has no row when it is passed: that is the `TaskStarted`.
3. Nothing is taken where the amount is 0.
"""

import numpy as np
from numpy.typing import NDArray

from model.demands import Demands
from model.events import Batch, Kind
from model.header import Header
from model.scenario import Hold, Scenario, Task, walk
from sim.analysis.waits import Flags

DEFERRED = ("on_finish", "as_produced")


def asking(header: Header, scenario: Scenario) -> dict[int, Task | Hold]:
    """Return the tasks and holds of the scenario by the numbers of their steps."""
    numbers = [number for number, step in enumerate(header.steps) if step.kind in ("task", "hold")]
    tasks = (step for fleet in scenario.fleets for step in walk(fleet.steps) if isinstance(step, (Task, Hold)))
    return dict(zip(numbers, tasks, strict=True))


class Takes:
    """The rows that take of one constraint, or give it back."""

    def __init__(self, header: Header, scenario: Scenario, constraint: int) -> None:
        self._constraint = constraint
        self._states_all = np.array([*(step.states_all for step in header.steps), False], np.bool_)
        limits = scenario.constraints[constraint : constraint + 1]  # none where it is an incident
        defers = any(getattr(limit, "charge", None) in DEFERRED for limit in limits)
        self._demands = Demands(header)
        self._asks = self._demands.table(
            lambda step, demands: any(
                each.constraint == constraint and (defers if step.states_all else bool(each.amount)) for each in demands
            )
        )
        self._at_start = self._demands.steps_with(self._asks)

    def taking(self, batch: Batch) -> NDArray[np.intp]:
        """Return the places of the rows that take of it, in order."""
        return self._rows(batch, batch.kind == Kind.TaskStarted, Kind.ResourceAcquired)

    def giving(self, batch: Batch, ended: Flags) -> NDArray[np.intp]:
        """Return the places of the rows that give it back, in order; `ended` says which rows end what had started."""
        return self._rows(batch, ended & ~self._states_all[batch.step], Kind.ResourceReleased)

    def _rows(self, batch: Batch, implied: Flags, stated: Kind) -> NDArray[np.intp]:
        rows = np.flatnonzero(implied & self._at_start[batch.step])
        rows = rows[self._asks[self._demands.of(batch.step[rows], batch.agent[rows])] != 0]
        told = (batch.kind == stated) & (batch.constraint == self._constraint) & (batch.value > 0)
        return np.sort(np.concatenate([rows, np.flatnonzero(told)]))


class Ended:
    """Tells which rows end an attempt that had started; who was refused or gave up had not."""

    def __init__(self) -> None:
        self._last_kind = -1

    def feed(self, batch: Batch) -> Flags:
        """Take in the next rows; return a flag for each."""
        before = np.append(self._last_kind, batch.kind)
        self._last_kind = int(before[-1])
        unstarted = (before[:-1] == Kind.TaskRejected) | (before[:-1] == Kind.TaskAbandoned)
        ended: Flags = (batch.kind == Kind.TaskFinished) & ~unstarted
        return ended
