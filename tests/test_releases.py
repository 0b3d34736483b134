"""What ended each wait, found while the log is read: the same as with the whole log at hand, in batches of any size."""

from typing import Any

from fleet_logs import S, concurrency, header, log, row
from hypothesis import given
from hypothesis import strategies as st
from strategies import simulate
from traced import Ended, ended, rows_of, some
from vocabulary import rich

from model.events import Batch, Kind
from model.header import DemandEntry, Header, StepEntry
from sim.analysis.releases import Releases, Why
from sim.analysis.waits import Waits


def streamed(header: Header, batches: list[Batch]) -> Ended:
    waits, releases = Waits(), Releases(header)
    found: Ended = {}
    for batch in batches:
        told = releases.feed(batch, waits.feed(batch))
        columns = (told.end, told.why, told.event, told.agent, told.step, told.visit, told.attempt)
        for end, why, event, *whose in zip(*(column.tolist() for column in columns), strict=True):
            found[end] = Why(why).name, event, tuple(whose)
    return found


@some
@given(data=rich(), batch_rows=st.integers(1, 40))
def test_they_are_those_that_an_explanation_finds(data: dict[str, Any], batch_rows: int) -> None:
    found = simulate(data)
    whole = rows_of(found)
    parts = [whole.rows(first, first + batch_rows) for first in range(0, len(whole), batch_rows)]
    assert streamed(found.header, parts) == ended(found)


def test_of_what_happens_in_one_instant_the_last_is_the_cause() -> None:
    """A slot is given back and then the limit rises, or the other way round; what was never held is not given back."""
    steps = [
        StepEntry(0, "work", "task", ((DemandEntry(0, 1),),), ()),
        StepEntry(0, "free", "task", ((DemandEntry(0, 0),),), ()),
    ]
    head = header({"a": 3}, [concurrency("slot", 1, (S, 2))], steps)
    begin = [
        row(0, Kind.RunStarted, step=-1),
        *(row(0, Kind.AgentStarted, agent) for agent in range(3)),
        row(0, Kind.TaskStarted, 0),
        row(0, Kind.TaskStarted, 1, 1),
        row(0, Kind.TaskBlocked, 2, 0, 0),
    ]
    gives, changes = row(S, Kind.TaskFinished, 0), row(S, Kind.ConstraintChanged, -1, -1, 0, 2, -1)
    frees, resumes = row(S, Kind.TaskFinished, 1, 1), row(S, Kind.TaskResumed, 2, 0, 0, S)
    for instant, why, event in (
        ([gives, changes, frees], "changed", 8),
        ([changes, gives, frees], "released", 8),
        ([frees], "unknown", -1),
    ):
        found = streamed(head, list(log(head, [*begin, *instant, resumes]).batches()))
        assert [(each[0], each[1]) for each in found.values()] == [(why, event)]
