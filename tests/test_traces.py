"""What holds of every trace: the same bytes every time, and something to read of any log that can be read."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfetto_traces import read
from runs import run, scenario
from strategies import simulate
from test_ocel import check, opened
from test_otlp import Read
from traced import Dict, exported, logs, rewritten, rows_of, some
from vocabulary import rich

from model.events import Batch
from model.log import Log, LogError
from render.traces import TRACES

S = 1_000_000_000


@some
@given(row=rich(), batch_rows=st.integers(1, 40))
def test_the_bytes_are_the_same_every_time_in_batches_of_any_size(row: Dict, batch_rows: int) -> None:
    log = simulate(row)
    other = rewritten(log, rows_of(log), batch_rows)
    for to in TRACES:
        assert exported(log, to) == exported(other, to) == exported(log, to)


@some
@given(log=logs(), data=st.data())
def test_a_log_of_which_rows_are_missing_is_exported(log: Log, data: st.DataObject) -> None:
    """That it is not what a run can write is for `verify` to say."""
    rows = rows_of(log)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), np.bool_)
    kept[0] = True
    hurt = rewritten(log, Batch(*(column[kept] for column in rows.columns())), 1000)  # type: ignore[arg-type]
    for to in TRACES:
        with suppress(LogError):
            assert exported(hurt, to)


TWO = scenario(
    constraints=[{"id": "slot", "type": "concurrency", "limit": 1}],
    count=2,
    until="3s",
    steps=[{"task": "work", "duration": "1s"}],
)


def test_two_agents_and_one_slot_in_perfetto() -> None:
    told = read(exported(run(TWO), "perfetto"))
    assert [(told.owner(s.track), s.category, s.name, s.begin, s.end, s.notes) for s in told.slices] == [
        ("a_0", "running", "work", 0, S, {"visit": 0, "status": "finished"}),
        ("a_1", "blocked", "slot", 0, S, {"visit": 0, "task": "work"}),
        ("a_1", "running", "work", S, 2 * S, {"visit": 0, "status": "finished"}),
    ]
    assert [(source, to) for source, to in told.flows.values()] == [(told.slices[0], told.slices[2])]
    assert told.counters == {
        "slot used": [(0, 1), (2 * S, 0)],
        "slot waiting": [(0, 1), (S, 0)],
        "slot limit": [(0, 1)],
    }
    processes = [track.process.process_name for track in told.tracks.values() if track.HasField("process")]
    threads = {track.thread.thread_name: track.thread.pid for track in told.tracks.values() if track.HasField("thread")}
    assert (processes, threads) == (["a"], {"a_0": 1, "a_1": 1})


def test_two_agents_and_one_slot_in_ocel() -> None:
    found = opened(run(TWO))
    check(found)
    resumed = next(each for each in found["events"] if each["type"] == "TaskResumed")
    assert resumed == {
        "id": "event:6",
        "type": "TaskResumed",
        "time": "1970-01-01T00:00:01.000000000Z",
        "attributes": [
            {"name": "time_ns", "value": "1000000000"},
            {"name": "attempt", "value": "0"},
            {"name": "blocked_ns", "value": "1000000000"},
            {"name": "ended_by", "value": "released"},
            {"name": "ended_by_event", "value": "5"},
        ],
        "relationships": [
            {"objectId": "agent:a_1", "qualifier": "agent"},
            {"objectId": "visit:a_1_work:0", "qualifier": "visit"},
            {"objectId": "constraint:slot", "qualifier": "waited for"},
        ],
    }
    visit = next(each for each in found["objects"] if each["id"] == "visit:a_1_work:0")
    end = "1970-01-01T00:00:02.000000000Z"
    assert visit["relationships"] == [
        {"objectId": "agent:a_1", "qualifier": "agent"},
        {"objectId": "visit:a_0_work:0", "qualifier": "is admitted: released by"},
    ]
    assert {(value["name"], value["value"]) for value in visit["attributes"] if value["time"] == end} == {
        ("outcome", "finished"),
        ("attempts", "1"),
        ("blocked_ns", str(S)),
        ("worked_ns", str(S)),
        ("backed_off_ns", "0"),
    }


def test_two_agents_and_one_slot_in_otlp() -> None:
    read_back = Read(run(TWO))
    ((wait, told),) = read_back.of["wait"]
    assert (wait.name, wait.start_time_unix_nano, wait.end_time_unix_nano, told["fleetsim.ended_by"]) == (
        "slot",
        0,
        S,
        "released",
    )
    (link,) = wait.links
    other = read_back.spans[link.trace_id, link.span_id]
    assert (other.name, other.start_time_unix_nano, other.end_time_unix_nano) == ("work", 0, S)
    assert other.trace_id != wait.trace_id
    assert sorted((span.start_time_unix_nano, span.end_time_unix_nano) for span, _ in read_back.of["attempt"]) == [
        (0, S),
        (0, 2 * S),
    ]
    assert [span.name for span, _ in read_back.of["agent"]] == ["a_0", "a_1"]


def test_branches_are_on_tracks_of_their_own() -> None:
    branches = [{"task": "one", "duration": "2s"}, {"task": "two", "duration": "1s"}]
    told = read(
        exported(run(scenario(until="3s", steps=[{"graph": branches}, {"task": "last", "duration": "1s"}])), "perfetto")
    )
    names = {track.uuid: track.thread.thread_name or track.name for track in told.tracks.values()}
    assert [(names[s.track], s.name, s.begin, s.end) for s in told.slices] == [
        ("a_0", "one", 0, 2 * S),
        ("a_0 (2)", "two", 0, S),
        ("a_0", "last", 2 * S, 3 * S),
    ]
    assert {told.owner(s.track) for s in told.slices} == {"a_0"}


def _open(log: Log, to: str) -> Iterator[object]:
    if to == "perfetto":
        yield from (s for s in read(exported(log, to)).slices if s.notes.get("open"))
    elif to == "otlp":
        yield from (span for spans in Read(log).of.values() for span, told in spans if told.get("fleetsim.open"))


@pytest.mark.parametrize(("to", "count"), [("perfetto", 2), ("otlp", 7)])
def test_what_goes_on_when_a_log_is_cut_ends_there_and_is_open(to: str, count: int) -> None:
    """One agent works and the other waits: in OpenTelemetry there are also their attempts, visits and roots."""
    log = run(TWO)
    rows = rows_of(log)
    cut = rewritten(log, rows.rows(0, 5), 1000)
    assert cut.cut
    assert len(list(_open(cut, to))) == count
    assert not list(_open(log, to))
    visits = [each for each in opened(cut)["objects"] if each["type"] == "visit"]
    assert not any(value["name"] == "outcome" for each in visits for value in each["attributes"])


def test_the_same_run_has_the_same_ids_and_another_has_others() -> None:
    first, again = set(Read(run(TWO)).spans), set(Read(run(TWO)).spans)
    assert first == again
    for other in ({**TWO, "seed": 2}, {**TWO, "until": "4s"}):
        assert not first & set(Read(run(other)).spans)
