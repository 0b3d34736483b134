"""The vocabulary of the event log: what can be recorded, and what each column holds.

Rules:

1. One row is one fact, in the past tense, with the values that resulted: a reader needs no rule of the engine.
2. `COLUMNS` is the order and the width of the columns, and so part of the digest: changing it is a new format.
3. -1 stands for "has none" in `agent`, `step`, `visit`, `attempt` and `constraint`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

LOG_FORMAT: Final = 1
"""Raised by one whenever a column, a kind or the meaning of a value changes."""

COLUMNS: Final[dict[str, np.dtype[np.generic]]] = {
    "time": np.dtype("<i8"),
    "kind": np.dtype("u1"),
    "agent": np.dtype("<i4"),
    "step": np.dtype("<i2"),
    "visit": np.dtype("<i4"),
    "attempt": np.dtype("<i2"),
    "constraint": np.dtype("<i2"),
    "value": np.dtype("<i8"),
}


class Kind(IntEnum):
    """What happened. The comment says what the column `value` holds."""

    RunStarted = 0  # 0
    RunFinished = 1  # how: an Ending
    AgentStarted = 2  # 0; of one that was spawned its parent, and `step` and `visit` are those that spawned it
    AgentFinished = 3  # 0
    TaskBlocked = 4  # tasks that already waited for this constraint
    TaskRebound = 5  # ns charged to the constraint it waited for before; `constraint` is the new one
    TaskResumed = 6  # ns blocked in this episode; `constraint` is the one it waited for last
    TaskStarted = 7  # ns since it first asked
    TaskFinished = 8  # a Status
    TaskRetrying = 9  # ns until the next attempt
    TaskRejected = 10  # ns until it could have been admitted, -1 if that is never or unknown
    TaskSkipped = 11  # a Skip
    TaskAbandoned = 12  # ns waited; `constraint` is what it waited for, -1 where it backed off; `TaskFinished` follows
    ResourceAcquired = 13  # the amount, where it is drawn and so not in the header
    ResourceReleased = 14  # the amount
    ConstraintChanged = 15  # the new limit; -1 when no limit is in force any more
    DeadlockDetected = 16  # agents that wait for each other; then a row with 0 for each further task that does
    AgentCrashed = 17  # ns until it is repaired; what it did is called off in the rows before
    AgentRestarted = 18  # 0; it begins again with its first step


class Ending(IntEnum):
    """How a run came to its end: the value of `RunFinished`."""

    reached = 0  # somebody may have gone on later, or nobody waits
    stalled = 1  # somebody waits, and nothing could happen any more


class Status(IntEnum):
    """How a task ended: the value of `TaskFinished`."""

    succeeded = 0
    failed = 1
    timed_out = 2
    cancelled = 3
    preempted = 4


class Skip(IntEnum):
    """Why a task was skipped: the value of `TaskSkipped`."""

    condition = 0
    cache_hit = 1
    upstream = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Some consecutive rows of a log: one array a column, all of one length."""

    time: NDArray[np.int64]
    kind: NDArray[np.uint8]
    agent: NDArray[np.int32]
    step: NDArray[np.int16]
    visit: NDArray[np.int32]
    attempt: NDArray[np.int16]
    constraint: NDArray[np.int16]
    value: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.time)

    def columns(self) -> list[NDArray[np.generic]]:
        """Return the columns in their order."""
        return [getattr(self, name) for name in COLUMNS]

    def rows(self, start: int, stop: int) -> "Batch":
        """Return the rows from `start` up to `stop`, without a copy."""
        return Batch(*(column[start:stop] for column in self.columns()))  # type: ignore[arg-type] # in their order


def concatenate(batches: "list[Batch]") -> Batch:
    """Return the rows of all the batches, one after another."""
    pairs = zip(*(batch.columns() for batch in batches), strict=True)
    return Batch(*(np.concatenate(parts) for parts in pairs))
