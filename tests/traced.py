"""What the tests of traces share: logs of generated scenarios, whole and cut, and what traces are held against."""

import io
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from strategies import simulate
from vocabulary import rich

from model.events import Batch, Kind, concatenate
from model.log import Log, LogWriter
from render.traces import TRACES
from sim.analysis.causes import Inquiry
from sim.analysis.record import Record
from sim.analysis.visits import Visits

Dict = dict[str, Any]
some = settings(max_examples=settings.default.max_examples // 4)  # type: ignore[union-attr] # a profile is loaded
Ended = dict[int, tuple[str, int, tuple[int, ...]]]
"""By the event that ended a wait: why, by which event, and whose that is: agent, step, visit, attempt; -1 for none."""


def rows_of(log: Log) -> Batch:
    return concatenate(list(log.batches()))


def rewritten(log: Log, rows: Batch, batch_rows: int) -> Log:
    """A log of these rows, in batches of a size."""
    file = io.BytesIO()
    writer = LogWriter(file, log.header)
    for first in range(0, len(rows), batch_rows):
        writer.write(rows.rows(first, min(len(rows), first + batch_rows)))
    writer.close()
    return Log.from_bytes(file.getvalue())


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """The log of a scenario; every other one is cut."""
    log = simulate(draw(rich()))
    if draw(st.booleans()):
        return log
    rows = rows_of(log)
    return rewritten(log, rows.rows(0, draw(st.integers(1, len(rows)))), 1000)


def exported(log: Log, to: str) -> bytes:
    file = io.BytesIO()
    TRACES[to](log, file)
    return file.getvalue()


def worked_ns(log: Log) -> int:
    visits = Visits(log.header)
    for batch in log.batches():
        visits.feed(batch)
    return visits.worked_ns()


def ended(log: Log) -> Ended:
    """What ended the waits that ended with going on, as an explanation finds it, with the whole log at hand."""
    record = Record.of(log)
    inquiry, found = Inquiry(record), Ended()
    for wait in record.waits(np.arange(len(record.rows))):
        if wait.end >= 0 and record.row(wait.end).kind == Kind.TaskResumed:
            cause = inquiry.cause(wait)
            row = cause.row
            whose = (-1,) * 4 if row is None else (row.agent, row.step, row.visit, row.attempt)
            found[wait.end] = cause.kind, -1 if row is None else row.event, whose
    return found
