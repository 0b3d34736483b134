"""What ended each wait, found while the log is read: the same as with the whole log at hand, in batches of any size."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import simulate
from vocabulary import rich

from model.events import Batch, Kind, concatenate
from model.header import Header
from model.log import Log
from sim.analysis.causes import Inquiry
from sim.analysis.record import Record
from sim.analysis.releases import Releases, Why
from sim.analysis.waits import Waits

Found = dict[int, tuple[str, int, tuple[int, ...]]]


def streamed(header: Header, batches: list[Batch]) -> Found:
    waits, releases, fed = Waits(), Releases(header), 0
    found: Found = {}
    for batch in batches:
        stretches = waits.feed(batch, np.arange(fed, fed + len(batch)))
        fed += len(batch)
        told = releases.feed(batch, stretches)
        columns = (told.end, told.why, told.event, told.agent, told.step, told.visit, told.attempt)
        for end, why, event, *whose in zip(*(column.tolist() for column in columns), strict=True):
            found[end] = Why(why).name, event, tuple(whose)
    return found


def looked_up(log: Log) -> Found:
    record = Record.of(log)
    inquiry, found = Inquiry(record), Found()
    for wait in record.waits(np.arange(len(record.rows))):
        if wait.end >= 0 and record.row(wait.end).kind == Kind.TaskResumed:
            cause = inquiry.cause(wait)
            row = cause.row
            whose = (-1,) * 4 if row is None else (row.agent, row.step, row.visit, row.attempt)
            found[wait.end] = cause.kind, -1 if row is None else row.event, whose
    return found


some = settings(max_examples=settings.default.max_examples // 4)  # type: ignore[union-attr] # a profile is loaded


@some
@given(row=rich(), batch_rows=st.integers(1, 40))
def test_they_are_those_that_an_explanation_finds(row: dict[str, Any], batch_rows: int) -> None:
    log = simulate(row)
    whole = concatenate(list(log.batches()))
    parts = [whole.rows(first, first + batch_rows) for first in range(0, len(whole), batch_rows)]
    assert streamed(log.header, parts) == looked_up(log)
