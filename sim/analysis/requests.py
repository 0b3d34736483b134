"""When what a task takes was asked for: who asked later and takes sooner has overtaken somebody.

Rules:

1. A task asks when it is blocked, or when it takes where it did not wait; who takes one thing after another asks for each
   of them anew. Who is tried again after a pre-emption asks again.
2. It is a fold over the log: what is asked about are rows of the batch that was fed last.
"""

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.header import Header
from model.scenario import Hold, Scenario
from sim.analysis.takes import asking
from sim.analysis.waits import Integers, Stretches, flags

_TAKING = flags(Kind.TaskResumed, Kind.ResourceAcquired, Kind.TaskStarted)


class Requests:
    """When a task asked for what it takes in a row: feed it every batch, then ask about rows of the last one.

    The rows in which a task takes what it asked for at once follow each other, after its `TaskResumed` where it waited.
    """

    def __init__(self, header: Header, scenario: Scenario) -> None:
        self._fed = 0
        self._stage = np.zeros((len(header.steps) + 1, len(header.constraints)), np.int64)
        self._regains = np.zeros(len(header.steps) + 1, np.bool_)  # which take at once what they took in an order
        ids = [entry.id for entry in header.constraints]
        for number, task in asking(header, scenario).items():
            if task.acquire != "atomic":
                self._stage[number] = len(task.acquire)
                self._stage[number, [ids.index(name) for name in task.acquire]] = np.arange(len(task.acquire))
                self._regains[number] = isinstance(task, Hold) and task.give_back
        self._held: set[tuple[int, ...]] = set()  # the tasks of such steps that have started
        # Of the rows of the batch, after the last row before it: who, what, and the place of the first that it goes with.
        self._rows = np.zeros((1, 5), np.int64)
        self._asked = np.full(1, -1, np.int64)
        self._at_once = np.zeros(1, np.bool_)
        self._head = np.zeros(1, np.intp)

    def feed(self, batch: Batch, ended: Stretches) -> None:
        """Take in the next rows, and the stretches of waiting that ended there."""
        columns = (batch.agent, batch.step, batch.visit, batch.kind, batch.constraint)
        last = self._head[-1:] if self._goes_on() else np.full(1, len(self._rows) - 1)
        self._rows = np.concatenate([self._rows[last], np.stack(columns, axis=1, dtype=np.int64)])
        self._asked = np.append(self._asked[last], self._fed + np.arange(len(batch)))
        self._asked[ended.end[ended.is_over] - self._fed + 1] = ended.asked[ended.is_over]
        self._at_once = np.append(self._at_once[last], self._taken_at_once(batch))
        tasks, kinds = self._rows[:, :3], self._rows[:, 3]
        follows = _TAKING[kinds[:-1]] & _TAKING[kinds[1:]] & (tasks[:-1] == tasks[1:]).all(axis=1)
        follows &= (kinds[1:] != Kind.TaskResumed) & (kinds[:-1] != Kind.TaskStarted)
        places = np.arange(len(kinds))
        self._head = np.maximum.accumulate(np.where(np.append(False, follows), 0, places))
        self._fed += len(batch)

    def asked(self, rows: NDArray[np.intp], constraint: int) -> Integers:
        """Return the event by which was asked for what each of these rows takes of a constraint."""
        head = self._head[rows + 1]
        steps, waited_for = self._rows[head, 1], self._rows[head, 4]
        together = self._at_once[head] | (self._stage[steps, constraint] == self._stage[steps, waited_for])
        waited = (self._rows[head, 3] == Kind.TaskResumed) & together
        asked: Integers = np.where(waited, self._asked[head], self._fed - len(self._rows) + 1 + rows)
        return asked

    def _goes_on(self) -> bool:
        """Whether the last row may have others that go with it in the next batch."""
        return bool(_TAKING[self._rows[-1, 3]] and self._rows[-1, 3] != Kind.TaskStarted)

    def _taken_at_once(self, batch: Batch) -> NDArray[np.bool_]:
        """Return which rows resume a task that takes back at once all that it gave back."""
        at_once = np.zeros(len(batch), np.bool_)
        for row in np.flatnonzero(self._regains[batch.step]).tolist():
            kind, task = batch.kind[row], (int(batch.agent[row]), int(batch.step[row]), int(batch.visit[row]))
            if kind == Kind.TaskStarted:
                self._held.add(task)
            elif kind == Kind.TaskFinished:
                self._held.discard(task)
            elif kind == Kind.TaskResumed:
                at_once[row] = task in self._held
        return at_once
