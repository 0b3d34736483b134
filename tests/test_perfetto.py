"""`export --to perfetto`, read with the message classes that Perfetto publishes: what it says is what the report says."""

from collections import Counter
from typing import Any

import numpy as np
from fleet_logs import S
from hypothesis import given
from perfetto_traces import integral, read
from runs import run, scenario
from traced import ended, exported, logs, rows_of, some, worked_ns

from model.events import Kind
from model.log import Log
from model.roster import Roster
from sim.analysis.ledger import BACK_OFF, REPAIR
from sim.analysis.report import report

WORK_TEN_TIMES = {"repeat": 10, "steps": [{"task": "work", "duration": "1s"}]}


@some
@given(logs())
def test_the_slices_and_counters_are_the_numbers_of_the_report(log: Log) -> None:
    told = read(exported(log, "perfetto"))
    numbers, charges = report(log)
    end_ns = numbers["end_ns"]
    categories = Counter(each.category for each in told.slices)
    assert told.ns("running").total() == worked_ns(log)
    assert categories["running"] + categories["held"] == numbers["tasks"]["started"]
    assert categories["blocked"] == sum(c["blocked_episodes"] + c["rebounds"] for c in numbers["constraints"].values())
    for name, said in numbers["constraints"].items():
        assert told.ns("blocked")[name] == said["blocked_ns"] == integral(told.counters[f"{name} waiting"], end_ns)
    assert told.ns("back-off").total() == int(charges.ns[charges.cause == BACK_OFF].sum())
    assert told.ns("down").total() == int(charges.ns[charges.cause == REPAIR].sum())
    instants = Counter(each.category for each in told.instants)
    assert instants["skipped"] == numbers["tasks"]["skipped"]
    assert instants["rejected"] == numbers["tasks"]["rejected"]


@some
@given(logs())
def test_the_use_of_what_is_held_is_the_utilisation_of_the_report(log: Log) -> None:
    told = read(exported(log, "perfetto"))
    numbers, _ = report(log)
    end_ns = numbers["end_ns"]
    for entry in log.header.constraints:
        if f"{entry.id} used" in told.counters:
            limits, used = told.counters[f"{entry.id} limit"], told.counters[f"{entry.id} used"]
            there = integral(limits, end_ns, lambda value: max(value, 0))
            times = sorted({time for time, _ in (*limits, *used)})
            both = [(time, _at(used, time) if _at(limits, time) >= 0 else 0) for time in times]
            taken = integral(both, end_ns)
            assert (taken / there if there else 0.0) == numbers["constraints"][entry.id]["utilisation"]


def test_what_is_taken_of_a_rate_limit_counts_while_it_is_in_force() -> None:
    """Ten tasks of 1 s, one after another, and the limit expires after four of them have begun."""
    limit = {"id": "rpm", "type": "rate_limit", "rate": "100/m", "expires": "3500ms"}
    told = read(exported(run(scenario(constraints=[limit], until="10s", steps=[WORK_TEN_TIMES])), "perfetto"))
    assert told.counters["rpm taken"] == [(0, 1), (S, 2), (2 * S, 3), (3 * S, 4)]
    assert [value for _, value in told.counters["rpm limit"]] == [100 * 1_000_000 // 60, -1]


def test_what_is_held_goes_on_where_it_was_given_back_meanwhile() -> None:
    """The hold gives its slot back while its branch works with it, and asks for it again when that is done."""
    slot = {"id": "slot", "type": "concurrency", "limit": 1}
    inner = {"fork": 1, "steps": [{"task": "work", "duration": "1s"}]}
    steps = [{"hold": "plan", "give_back": True, "steps": [inner]}]
    others = [{"think": "500ms"}, {"task": "other", "duration": "2s"}]
    fleets = [{"name": "a", "count": 1, "steps": steps}, {"name": "b", "count": 1, "steps": others}]
    log = run(scenario(constraints=[slot], until="10s", fleets=fleets))
    told = read(exported(log, "perfetto"))
    flows = [(told.owner(source.track), to.name, to.begin) for source, to in told.flows.values()]
    assert flows == [("a_0", "work", 0), ("a_0", "other", S), ("b_0", "went on", 3 * S)]
    held = next(each for each in told.slices if each.category == "held")
    blocked = [each for each in told.slices if each.track == held.track and each.category == "blocked"]
    assert (held.begin, held.end) == (0, 3 * S)
    assert [(each.begin, each.end) for each in blocked] == [(S, 3 * S)], "within it, on the same track"


def _at(points: list[tuple[int, int]], time: int) -> int:
    return [value for since, value in points if since <= time][-1]


@some
@given(logs())
def test_an_arrow_goes_from_what_ended_a_wait_to_what_went_on(log: Log) -> None:
    told = read(exported(log, "perfetto"))
    roster = Roster(log.header)
    for batch in log.batches():
        roster.feed(batch)
    rows = rows_of(log)
    wanted: Counter[Any] = Counter()
    for end, (why, event, whose) in ended(log).items():
        follows = rows.kind[end + 1 :][_same_visit(rows, end)]
        is_held = log.header.steps[rows.step[end]].kind == "hold"
        if event >= 0 and (is_held or _goes_on(follows.tolist())):
            source = log.header.constraints[rows.constraint[end]].id if why == "changed" else roster.name(whose[0])
            wanted[int(rows.time[end]), source, roster.name(int(rows.agent[end])), int(rows.visit[end])] += 1
    found: Counter[Any] = Counter()
    for source, to in told.flows.values():
        assert source.end == to.begin
        found[to.begin, told.owner(source.track), told.owner(to.track), to.notes["visit"]] += 1
    assert found == wanted


def _same_visit(rows: Any, end: int) -> Any:
    same = np.ones(len(rows) - end - 1, np.bool_)
    for name in ("agent", "step", "visit", "time"):
        same &= getattr(rows, name)[end + 1 :] == getattr(rows, name)[end]
    return same


def _goes_on(kinds: list[int]) -> bool:
    """Whether it starts, or waits for the next thing, before it ends."""
    first = next((kind for kind in kinds if kind not in (Kind.ResourceAcquired, Kind.ResourceReleased)), None)
    return first in (Kind.TaskStarted, Kind.TaskBlocked)
