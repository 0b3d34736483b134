"""The rows of a log for other tools: an event each, with names in place of numbers.

`seq` counts the events from 0, `time` is in ns; `kind`, `constraint` and `task` are names, null where an event has none.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from model.events import Kind
from model.roster import Roster

if TYPE_CHECKING:
    from model.log import Log

SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("time", pa.int64()),
        ("kind", pa.string()),
        ("agent", pa.int32()),
        ("step", pa.int16()),
        ("visit", pa.int32()),
        ("attempt", pa.int16()),
        ("constraint", pa.string()),
        ("value", pa.int64()),
        ("task", pa.string()),
    ]
)
_KINDS = np.array([kind.name for kind in Kind], dtype=object)


def rows(log: "Log") -> Iterator[pa.RecordBatch]:
    """Yield the rows with their names."""
    constraints = np.array([*(entry.id for entry in log.header.constraints), None], dtype=object)
    roster = Roster(log.header)
    seq = 0
    for batch in log.batches():
        roster.feed(batch)
        columns = [
            np.arange(seq, seq + len(batch)),
            batch.time,
            _KINDS[batch.kind],
            batch.agent,
            batch.step,
            batch.visit,
            batch.attempt,
            constraints[batch.constraint],
            batch.value,
            roster.task_names(batch),
        ]
        yield pa.record_batch(
            [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )
        seq += len(batch)
