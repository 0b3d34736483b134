"""What ended each wait, found while the log is read: the same as with the whole log at hand, in batches of any size."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import simulate
from traced import Ended, ended, rows_of, some
from vocabulary import rich

from model.events import Batch
from model.header import Header
from sim.analysis.releases import Releases, Why
from sim.analysis.waits import Waits


def streamed(header: Header, batches: list[Batch]) -> Ended:
    waits, releases, fed = Waits(), Releases(header), 0
    found: Ended = {}
    for batch in batches:
        stretches = waits.feed(batch, np.arange(fed, fed + len(batch)))
        fed += len(batch)
        told = releases.feed(batch, stretches)
        columns = (told.end, told.why, told.event, told.agent, told.step, told.visit, told.attempt)
        for end, why, event, *whose in zip(*(column.tolist() for column in columns), strict=True):
            found[end] = Why(why).name, event, tuple(whose)
    return found


@some
@given(row=rich(), batch_rows=st.integers(1, 40))
def test_they_are_those_that_an_explanation_finds(row: dict[str, Any], batch_rows: int) -> None:
    log = simulate(row)
    whole = rows_of(log)
    parts = [whole.rows(first, first + batch_rows) for first in range(0, len(whole), batch_rows)]
    assert streamed(log.header, parts) == ended(log)
