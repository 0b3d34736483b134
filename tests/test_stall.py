"""Runs that can make no more progress, and runs that are stopped at a limit; by hand, and over generated scenarios."""

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import simulate
from test_properties import planned
from vocabulary import rich

from model.events import Batch, Kind, concatenate
from model.log import Log
from sim.analysis.stall import who_waits
from sim.analysis.summary import Summary
from sim.analysis.waits import Waits
from sim.engine import Engine, Limits, Stopped
from tests.invariants.reading import Row, read
from tests.runs import run, scenario
from tests.test_deadlock import OPPOSITE, ask, fleet, lock, take

S = 1_000_000_000
LATER = 10
some = settings(max_examples=settings.default.max_examples // 4)  # type: ignore[union-attr] # a profile is loaded
DOOR = {"id": "door", "type": "pause", "scope": "task:*_w"}
WORK = {"task": "w", "duration": "1s"}


def stalled(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a run says of how it has stalled."""
    log = run(data)
    summary, waits = Summary(log.header), Waits()
    for batch in log.batches():
        summary.feed(batch, waits.feed(batch))
    told: dict[str, Any] | None = summary.result()["stalled"]
    assert (told is not None) is bool(ending(log))
    return None if told is None else {**told, "waiting": who_waits(log)}


def why(data: dict[str, Any]) -> list[str]:
    told = stalled(data)
    return [] if told is None else [f"{each['constraint']} {each['why']}" for each in told["waiting"]]


def ending(log: Log) -> int:
    rows = read(log).all_rows
    assert rows[-1].kind == Kind.RunFinished
    return rows[-1].value


def test_a_pause_that_is_never_lifted() -> None:
    row = scenario(until="60s", constraints=[DOOR], count=3, stagger="2s", steps=[WORK])
    # 0 the run starts, 1 and 2 the first agent and its task, 3 and 4 the second, 5 and 6 the third
    assert stalled(row) == {
        "since_ns": 4 * S,
        "event": 6,
        "agents": 3,
        "tasks": 3,
        "waiting": [
            {
                "constraint": "door",
                "tasks": 3,
                "first": {"task": "a_0_w", "visit": 0, "since_ns": 0, "event": 2},
                "held_by": None,
                "held_by_others": 0,
                "why": "paused, and nothing lifts it",
            }
        ],
    }


def test_who_holds_what_is_waited_for() -> None:
    fleets = [*OPPOSITE, fleet("z", {"think": "3s"}, ask("b"))]
    told = stalled(scenario(until="1h", constraints=[lock("a"), lock("b")], fleets=fleets))
    assert told is not None
    assert (told["since_ns"], told["agents"], told["tasks"]) == (3 * S, 3, 3)
    a, b = told["waiting"]
    assert (a["tasks"], a["first"]["task"], a["first"]["since_ns"]) == (1, "y_0_ask_a", 1 * S)
    assert (b["tasks"], b["first"]["task"], b["first"]["since_ns"]) == (2, "x_0_ask_b", 2 * S)
    assert a["held_by"] == {"task": "x_0_hold_a", "visit": 0, "amount": 1, "since_ns": 0, "event": 2}
    assert b["held_by"]["task"] == "y_0_hold_b"
    assert a["why"] == b["why"] == "held by agents that wait themselves"


def test_agents_that_wait_for_their_branches_are_counted_and_so_are_all_who_hold() -> None:
    parent = {"hold": "w", "needs": {"a": 1}, "steps": [{"fork": 2, "steps": [ask("a")]}]}
    told = stalled(scenario(until="1h", constraints=[lock("a", 3)], fleets=[fleet("p", parent, count=3)]))
    assert told is not None
    assert (told["agents"], told["tasks"]) == (3, 6)
    (a,) = told["waiting"]
    assert (a["held_by"]["task"], a["held_by_others"]) == ("p_0_w", 2)


def test_a_quota_that_is_used_up() -> None:
    quota = {"id": "budget", "type": "quota", "total": 2, "counts": "requests"}
    rows = scenario(until="1h", constraints=[quota], count=3, steps=[WORK])
    assert why(rows) == ["budget used up, and it does not come back"]
    assert stalled(scenario(until="1h", constraints=[{**quota, "period": "1d"}], count=3, steps=[WORK])) is None


def test_slots_that_found_their_number_too_low() -> None:
    slots = {"id": "slots", "type": "adaptive", "limit": 2, "decrease": 0.5, "scope": None}
    steps = [{"task": "w", "duration": "1s", "needs": {"slots": 2}, "fail": 1.0}]
    rows = scenario(until="1h", constraints=[slots], count=2, steps=steps)
    assert why(rows) == ["slots lower than what is asked for, and nobody works who could raise it"]


def test_a_breaker_whose_probe_waits_for_good() -> None:
    """The probe has taken the breaker, and waits for the lock that another holds while it waits at the door."""
    breaker = {"id": "breaker", "type": "circuit_breaker", "failure_ratio": 0.5, "min_calls": 1, "window": "1m"}
    rows = [{**breaker, "open_for": "5s", "probes": 1, "scope": "task:*_call", "on_limit": "block"}, lock("a"), DOOR]
    fails = {"task": "call", "duration": "1s", "fail": 1.0}
    probe = {"task": "call", "duration": "1s", "needs": {"a": 1}, "acquire": ["breaker", "a"]}
    fleets = [
        fleet("bad", fails),
        fleet("keeper", take("a", WORK)),
        fleet("probe", {"think": "10s"}, probe),
        fleet("late", {"think": "11s"}, {"task": "call", "duration": "1s"}),
    ]
    assert why(scenario(until="1h", constraints=rows, fleets=fleets)) == [
        "breaker half-open, and its probes are not over",
        "a held by agents that wait themselves",
        "door paused, and nothing lifts it",
    ]


def test_without_an_end_of_its_own_a_run_stalls_at_its_last_event() -> None:
    log = run(scenario(until=None, constraints=[DOOR], steps=[{"think": "2s"}, WORK]))
    assert ending(log) == 1
    assert read(log).all_rows[-1].time == 2 * S


@pytest.mark.parametrize(
    "more",
    [
        {"fleets": [fleet("a", WORK), fleet("b", {"think": "2m"})]},
        {"fleets": [fleet("a", WORK), fleet("b", {"task": "x", "duration": "2m"})]},
        {"fleets": [fleet("a", {**WORK, "patience": "2m"})]},
        {"fleets": [fleet("a", WORK, life="2m")]},
        {"fleets": [fleet("a", WORK, count=2, stagger="2m")]},
        {"fleets": [fleet("a", WORK), {"name": "b", "arrivals": {"every": "2m"}, "steps": [WORK]}]},
        {"fleets": [fleet("a", WORK), {"name": "b", "arrivals": {"poisson": "1/d"}, "steps": [WORK]}]},
        {"fleets": [fleet("a", WORK), {"name": "b", "arrivals": {"at": ["2m"]}, "steps": [WORK]}]},
        {"fleets": [fleet("a", {"think": "1s"})]},  # nobody waits at all
        {"constraints": [{**DOOR, "expires": "2m"}]},
        {"constraints": [{**DOOR, "changes": [{"at": "2m", "paused": False}]}]},
        {"constraints": [{**DOOR, "every": "50s", "changes": [{"at": "5s", "paused": True}]}]},
    ],
)
def test_what_is_still_to_come_is_progress(more: dict[str, Any]) -> None:
    """Each of these lets something happen after the end."""
    rows = {"until": "1m", "constraints": [DOOR], "fleets": [fleet("a", WORK)]}
    assert stalled(scenario(**{**rows, **more})) is None
    assert stalled(scenario(**rows)) is not None


def test_a_limit_that_will_rise_again_after_the_end_closes_no_deadlock() -> None:
    slots = {**lock("a", 2), "every": "1m", "changes": [{"at": "20s", "limit": 2}, {"at": "40s", "limit": 1}]}
    rows = scenario(until="55s", constraints=[slots], fleets=[fleet("x", take("a", ask("a"), after="45s"))])
    assert stalled(rows) is None
    assert not any(row.kind == Kind.DeadlockDetected for row in read(run(rows)).all_rows)


def test_what_will_come_to_nothing_puts_the_verdict_off() -> None:
    """The end of the life of an agent that is long over is still scheduled."""
    fleets = [fleet("a", WORK), fleet("b", {"think": "1s"}, life="10m")]
    assert stalled(scenario(until="1m", constraints=[DOOR], fleets=fleets)) is None
    assert stalled(scenario(until="11m", constraints=[DOOR], fleets=fleets)) is not None


def later(row: dict[str, Any]) -> dict[str, Any]:
    number = row["until"].removesuffix("ms").removesuffix("s")
    return {**row, "until": row["until"].replace(number, f"{float(number) * LATER:g}")}


def somebody_waits(rows: list[Row]) -> bool:
    comes, goes = (Kind.TaskBlocked,), (Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned)
    last = {row.task: row.kind for row in rows if row.kind in (*comes, *goes)}
    return any(kind in comes for kind in last.values())


@some
@given(rich())
def test_a_run_has_stalled_if_and_only_if_nothing_happens_however_long_it_goes_on(row: dict[str, Any]) -> None:
    """What comes to nothing is over after so long."""
    assume("until" in row)
    log, longer = simulate(row), simulate(later(row))
    rows, more = read(log).all_rows, read(longer).all_rows
    same = rows[:-1] == more[:-1]
    if ending(log):
        assert same
    if same:
        assert ending(longer) == somebody_waits(rows)


def limited(row: dict[str, Any], batch_rows: int, limits: Limits) -> tuple[list[tuple[Any, ...]], str | None]:
    """Return the rows of a run with limits, and by which it was stopped."""
    batches: list[Batch] = []
    stopped = None
    try:
        Engine(planned(row), batches.append, batch_rows, limits).run()
    except Stopped as error:
        stopped = str(error)
    columns = [column.tolist() for column in concatenate(batches).columns()]
    return list(zip(*columns, strict=True)), stopped


@some
@given(rich(), st.integers(1, 200), st.integers(1, 50))
def test_a_limit_of_events_leaves_the_first_of_them(row: dict[str, Any], events: int, batch_rows: int) -> None:
    whole = [line[1:] for line in read(simulate(row)).all_rows]
    for number in (events, len(whole) - 1, len(whole)):
        stopped = "events" if number < len(whole) else None
        assert limited(row, batch_rows, Limits(events=number)) == (whole[:number], stopped)


@some
@given(rich(), st.integers(1, 30))
def test_a_limit_of_time_leaves_what_happened_by_then(row: dict[str, Any], tenths: int) -> None:
    whole = [line[1:] for line in read(simulate(row)).all_rows]
    time_ns = tenths * S // 10
    found, stopped = limited(row, 10, Limits(time_ns=time_ns))
    if stopped is None:
        assert found == whole
        assert all(line[0] <= time_ns for line in whole[:-1])  # nothing was left to happen but the end
    else:
        assert stopped == "time"
        assert found == [line for line in whole[:-1] if line[0] <= time_ns]


def test_a_loop_without_end_is_cut_before_it_is_told_of() -> None:
    """The engine would say that time stands still; the first events are those of any run of it."""
    row = scenario(until="1h", steps=[{"repeat": "forever", "steps": [{"task": "t", "duration": "0s"}]}])
    rows, stopped = limited(row, 1000, Limits(events=5000))
    assert (len(rows), stopped) == (5000, "events")
    assert limited(row, 7, Limits(events=100))[0] == rows[:100]


def test_a_run_that_ends_at_its_limit_or_has_nothing_more_to_do_is_not_stopped() -> None:
    row = scenario(until="10s", steps=[WORK])
    for limits in (Limits(time_ns=10 * S), Limits(time_ns=9 * S), Limits(events=6), Limits(6, 10 * S)):
        assert limited(row, 10, limits)[1] is None
    goes_on = scenario(until="10s", steps=[WORK, {"think": "20s"}])
    assert limited(goes_on, 10, Limits(time_ns=10 * S - 1))[1] == "time"
    assert limited(scenario(until=None, steps=[WORK]), 10, Limits(time_ns=S))[1] is None
