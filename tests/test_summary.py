"""The numbers of a summary, worked out by hand; that they follow from the rows alone is a property (test_properties)."""

import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.events import Batch, Kind, Status
from model.log import DemandEntry, Header, StepEntry
from sim.analysis.sample import total
from sim.analysis.summary import Summary, dot
from sim.analysis.waits import Waits
from tests.fleet_logs import Row, batch, concurrency, header, rate_limit, row
from tests.runs import run, scenario

S = 1_000_000_000
SLOT = {"id": "slot", "type": "concurrency", "limit": 1}


def summed(head: Header, batches: list[Batch]) -> dict[str, Any]:
    summary, waits = Summary(head), Waits()
    for each in batches:
        summary.feed(each, waits.feed(each))
    return summary.result()


def of(**rest: Any) -> dict[str, Any]:
    """The summary of a scenario."""
    log = run(scenario(**rest))
    return summed(log.header, list(log.batches()))


def of_rows(head: Header, rows: list[Row]) -> dict[str, Any]:
    """The summary of rows, the same for every way to cut them in two and for rows one by one."""
    result = summed(head, [batch(rows)])
    for cut in range(len(rows) + 1):
        assert summed(head, [batch(rows[:cut]), batch(rows[cut:])]) == result
    assert summed(head, [batch([each]) for each in rows]) == result
    return result


ENDS = ("failed", "timed_out", "rejected", "gave_up", "preempted", "cancelled", "skipped")


def tasks(*, started: int, finished: int, blocked: int, unfinished: int = 0, **ends: int) -> dict[str, int]:
    counts = {"started": started, "finished": finished, "blocked": blocked, "open": unfinished}
    return counts | dict.fromkeys(ENDS, 0) | ends


def limit(
    *, used: float, blocked_s: float = 0, episodes: int = 0, rebounds: int = 0, peak: int = 0, rejected: int = 0
) -> dict[str, Any]:
    return {
        "rejected": rejected,
        "utilisation": pytest.approx(used, rel=1e-15),
        "blocked_ns": round(blocked_s * S),
        "blocked_episodes": episodes,
        "rebounds": rebounds,
        "peak_waiting": peak,
    }


# What a task does beside working


def work(**rest: Any) -> dict[str, Any]:
    return {"task": "work", "duration": "2s", **rest}


def test_who_is_rejected_has_failed_and_has_not_waited() -> None:
    result = of(until=None, constraints=[{**SLOT, "on_limit": "reject"}], count=3, steps=[work()])
    assert result["tasks"] == tasks(started=1, finished=1, rejected=2, blocked=0)
    assert result["constraints"]["slot"] == limit(used=1, rejected=2)
    assert result["wait_ns"]["mean"] == 0


def test_who_finds_no_room_is_rejected_while_others_wait() -> None:
    result = of(until=None, constraints=[{**SLOT, "room": 1}], count=3, steps=[work()])
    assert result["tasks"] == tasks(started=2, finished=2, rejected=1, blocked=1)
    assert result["constraints"]["slot"] == limit(used=1, blocked_s=2, episodes=1, peak=1, rejected=1)


def test_who_has_to_make_room_has_waited_until_then() -> None:
    constraints = [{**SLOT, "room": 1, "overflow": "oldest"}]
    result = of(until=None, constraints=constraints, count=4, stagger="500ms", steps=[work()])
    # Agent 1 waits from 0.5 s and makes room at 1 s, agent 2 at 1.5 s; agent 3 starts at 2 s.
    assert result["tasks"] == tasks(started=2, finished=2, rejected=2, blocked=3)
    assert result["constraints"]["slot"] == limit(used=1, blocked_s=1.5, episodes=3, peak=1, rejected=2)
    assert result["wait_ns"]["max"] == S // 2


def test_who_gives_up_has_failed_and_has_waited() -> None:
    result = of(until=None, constraints=[SLOT], count=3, steps=[work(patience="1500ms")])
    assert result["tasks"] == tasks(started=1, finished=1, gave_up=2, blocked=2)
    assert result["constraints"]["slot"] == limit(used=1, blocked_s=3, episodes=2, peak=2)


def test_each_attempt_counts_and_a_back_off_holds_nothing() -> None:
    retry = {"max_attempts": 2, "delay": "1500ms"}
    steps = [work(duration="1s", fail=[1, 0], retry=retry)]
    result = of(until="4s", constraints=[SLOT], count=2, steps=steps)
    # Agent 0 works from 0 to 1 and from 2.5 to 3.5, agent 1 from 1 to 2 and from 3.5 on.
    assert result["tasks"] == tasks(started=4, finished=1, failed=2, blocked=1, unfinished=1)
    assert result["constraints"]["slot"] == limit(used=3.5 / 4, blocked_s=1, episodes=1, peak=1)


@pytest.mark.parametrize(("until", "finished"), [(None, 2), ("4500ms", 1)])
def test_who_holds_on_while_it_backs_off_uses_what_it_holds(until: str | None, finished: int) -> None:
    retry = {"max_attempts": 2, "delay": "1s", "hold_during_backoff": True}
    steps = [work(duration="1s", fail=[1, 0], retry=retry)]
    pool = {"id": "pool", "type": "concurrency", "limit": 4, "scope": "fleet:a"}
    calls = {"id": "calls", "type": "rate_limit", "rate": "8/s"}
    result = of(until=until, constraints=[SLOT, pool, calls], count=2, steps=steps)
    # Agent 0 holds from 0 to 3, agent 1 from 3 to 6: while it backs off, from 4 to 5, no task is open.
    assert result["tasks"] == tasks(started=2 + finished, finished=finished, failed=2, blocked=1)
    assert result["constraints"]["slot"] == limit(used=1, blocked_s=3, episodes=1, peak=1)
    assert result["constraints"]["pool"] == limit(used=1 / 4)
    assert result["constraints"]["calls"] == limit(used=(2 + finished) / (8 + 8 * (6 if until is None else 4.5)))


def test_who_loses_its_slot_waits_again() -> None:
    constraints = [{**SLOT, "queue": "priority", "preempt": "resume"}]
    fleets = [
        {"name": "low", "count": 1, "steps": [work(duration="4s")]},
        {"name": "high", "arrivals": {"at": ["1s"]}, "priority": 1, "steps": [work(duration="1s")]},
    ]
    result = of(until=None, constraints=constraints, fleets=fleets)
    assert result["end_ns"] == 5 * S
    assert result["tasks"] == tasks(started=3, finished=2, preempted=1, blocked=1)
    assert result["constraints"]["slot"] == limit(used=1, blocked_s=1, episodes=1, peak=1)


def test_who_still_waits_or_works_at_the_end_is_open() -> None:
    result = of(until="3s", constraints=[SLOT], count=4, steps=[work()])
    assert result["tasks"] == tasks(started=2, finished=1, blocked=3, unfinished=3)
    assert result["constraints"]["slot"] == limit(used=1, blocked_s=2 + 3 + 3, episodes=3, peak=3)
    assert result["wait_ns"] == {"mean": S, "p50": 0, "p95": 2 * S, "p99": 2 * S, "max": 2 * S}


def test_what_is_held_while_a_limit_is_not_in_force_does_not_count() -> None:
    constraints = [{**SLOT, "limit": 4, "from": "1s", "expires": "3s"}]
    result = of(until="4s", constraints=constraints, count=2, steps=[work()])
    assert result["constraints"]["slot"] == limit(used=2 * 1 / (4 * 2))


# An agent that does several things at once


def forked(count: int = 1) -> Header:
    """A fleet with two steps, of which the second asks for three constraints."""
    limits = [concurrency(name, 2) for name in "abc"]
    demands = tuple(DemandEntry(number, 1) for number in range(3))
    steps = [
        StepEntry(0, "one", "task", (demands[:1],), ()),
        StepEntry(0, "two", "task", (demands,), ()),
    ]
    return header({"f": count}, limits, steps)


RAISED = {"changes": [{"at": "5s", "rate": "10/10s"}]}


@pytest.mark.parametrize(
    ("limit", "task", "used"),
    [
        ({"type": "concurrency", "limit": 2, "queue": "processor_sharing"}, {}, 10 / 2),
        ({"type": "concurrency", "limit": 10, "changes": [{"at": "1s", "limit": 1}]}, {}, 100 / (10 + 9)),
        ({"type": "resource", "capacity": 10, "changes": [{"at": "1s", "capacity": 1}]}, {"needs": {"x": 1}}, 100 / 19),
        ({"type": "concurrency", "limit": 1, "from": "1s"}, {}, 10 / 1),
        ({"type": "quota", "total": 10, "counts": "t", "charge": "as_produced"}, {"cost": {"t": 5}}, 50 / 10 / 2),
        # One in the first second, twice as many in each that follows, against one a second and the first.
        (
            {"type": "rate_limit", "rate": "1/s", "algorithm": "ramp", "growth": 2},
            {"until": "4s"},
            (1 + 2 + 4 + 3) / (4 + 1),
        ),
        # One in the first half of a period, then nine more at once, against half of each and the first.
        ({"type": "rate_limit", "rate": "1/10s", "algorithm": "fixed_window", **RAISED}, {}, 10 / (0.5 + 5 + 1)),
    ],
)
def test_what_may_be_used_above_what_there_is(limit: dict[str, Any], task: dict[str, Any], used: float) -> None:
    """Ten tasks of 20 s each, in a run of 10 s where it is not said otherwise."""
    until = {"until": task.get("until", "10s")}
    steps = [{"task": "work", "duration": "20s", **{key: value for key, value in task.items() if key != "until"}}]
    numbers = of(constraints=[{"id": "x", **limit}], count=10, steps=steps, **until)["constraints"]["x"]
    assert used > 1
    assert numbers["utilisation"] == pytest.approx(used, rel=1e-9)


def test_an_agent_may_wait_for_several_things_at_once() -> None:
    a, b, c = range(3)
    rows = [
        row(0, Kind.RunStarted, step=-1),
        row(1, Kind.TaskBlocked, 0, 0, a, 0),
        row(2, Kind.TaskBlocked, 0, 1, b, 0, visit=0),
        row(3, Kind.TaskBlocked, 0, 1, c, 0, visit=1),
        row(5, Kind.TaskBlocked, 0, 1, c, 1, visit=2),
        row(8, Kind.TaskRebound, 0, 1, c, 6, visit=0),  # b gets its 6
        row(13, Kind.TaskResumed, 0, 1, c, 10, visit=1),  # c 10
        row(13, Kind.TaskStarted, 0, 1, value=10, visit=1),
        row(20, Kind.TaskRejected, 0, 1, b, -1, visit=0),  # c 12, though it is b that refuses
        row(20, Kind.TaskFinished, 0, 1, value=Status.failed, visit=0),
        row(21, Kind.TaskAbandoned, 0, 0, a, 20),  # a 20
        row(21, Kind.TaskFinished, 0, 0, value=Status.cancelled),
        row(22, Kind.TaskFinished, 0, 1, visit=1),
        row(30, Kind.RunFinished, step=-1),  # c 25 so far
    ]
    result = of_rows(forked(), rows)
    assert result["tasks"] == tasks(started=1, finished=1, rejected=1, gave_up=1, blocked=4, unfinished=1)
    ns = 1 / S
    used = 9 / (2 * 30)
    assert result["constraints"] == {
        "a": limit(used=used, blocked_s=20 * ns, episodes=1, peak=1),
        "b": limit(used=used, blocked_s=6 * ns, episodes=1, peak=1, rejected=1),
        "c": limit(used=used, blocked_s=(10 + 12 + 25) * ns, episodes=2, rebounds=1, peak=3),
    }


def test_agents_may_be_numbered_past_those_of_the_header() -> None:
    demands = ((DemandEntry(0, 1),), (DemandEntry(0, 3),))
    steps = [StepEntry(0, "work", "task", demands, ((0, 0, 0), (1, 1, 1)))]
    rows = [
        row(0, Kind.TaskStarted, 0),
        row(0, Kind.TaskStarted, 1),
        row(0, Kind.TaskBlocked, 2_000_000_000, constraint=0),
        row(5, Kind.TaskFinished, 0),
        row(5, Kind.TaskFinished, 1),
        row(5, Kind.TaskResumed, 2_000_000_000, constraint=0, value=5),
        row(5, Kind.TaskStarted, 2_000_000_000, value=5),
        row(10, Kind.RunFinished, step=-1),
    ]
    result = of_rows(header({"f": 2}, [concurrency("a", 4)], steps), rows)
    assert result["tasks"] == tasks(started=3, finished=2, blocked=1, unfinished=1)
    assert result["constraints"]["a"] == limit(used=(4 * 5 + 3 * 5) / 40, blocked_s=5 / S, episodes=1, peak=1)


# Sums of any size


def test_those_that_are_spawned_are_counted_and_no_others() -> None:
    """Two agents spawn three each, each of which spawns one of its own fleet; one crashes and begins again."""
    fleets = [
        {"name": "a", "count": 2, "steps": [{"spawn": "b", "count": 3}]},
        {"name": "b", "steps": [{"spawn": "c"}]},
        {"name": "c", "steps": [{"think": "1s"}]},
        {"name": "d", "count": 5, "steps": [{"think": "9s"}], "crash": {"uptime": "5s", "repair": "1s"}},
    ]
    assert of(fleets=fleets, until="8s")["spawned"] == 12
    assert of(fleets=fleets[3:], until="8s")["spawned"] == 0


def test_slots_times_nanoseconds_may_pass_64_bits() -> None:
    memory = {"id": "mem", "type": "concurrency", "limit": 81_920, "scope": None}
    result = of(until="7d", constraints=[memory], steps=[work(duration="6d", needs={"mem": 40_960})])
    assert result["constraints"]["mem"] == limit(used=3 / 7)


def test_the_tokens_of_a_batch_may_pass_64_bits() -> None:
    rate = {"id": "r", "type": "rate_limit", "rate": "4000000G/s"}
    steps = [work(duration=0, cost="4000000G")]
    result = of(until="3999s", constraints=[rate], count=4000, steps=steps)
    assert result["tasks"]["started"] == 4000
    assert result["constraints"]["r"]["utilisation"] == 1


def test_stated_amounts_may_pass_64_bits() -> None:
    steps = [StepEntry(0, "work", "task", ((DemandEntry(0, None), DemandEntry(1, None)),), (), True)]
    large = 2**62
    rows: list[Row] = []
    for agent in range(5):
        rows += [row(0, Kind.ResourceAcquired, agent, constraint=number, value=large) for number in (0, 1)]
        rows += [row(0, Kind.TaskStarted, agent)]
    rows.append(row(large, Kind.RunFinished, step=-1))
    head = header({"f": 5}, [concurrency("a", large), rate_limit("b", large, large)], steps)
    result = of_rows(head, rows)
    assert result["constraints"]["a"] == limit(used=5)
    assert result["constraints"]["b"] == limit(used=2.5)


INTEGERS = st.one_of(st.integers(-(2**62), 2**62), st.integers(-3, 3))


@given(st.lists(st.tuples(INTEGERS, INTEGERS), max_size=20))
def test_sums_and_products_are_exact(pairs: list[tuple[int, int]]) -> None:
    ones, others = np.array(pairs, np.int64).reshape(-1, 2).T
    assert total(ones) == sum(one for one, _ in pairs)
    assert dot(ones, others) == sum(one * other for one, other in pairs)


# Speed


def test_many_changes_of_many_constraints_take_no_time() -> None:
    """In processor time; when each constraint looked at the changes of all others it took 17 s."""
    limits = [concurrency(f"c{n}", 5, *((k * 1000 + n, 5 + k % 2) for k in range(1, 21))) for n in range(200)]
    changes = [
        row(k * 1000 + n, Kind.ConstraintChanged, step=-1, constraint=n) for k in range(1, 21) for n in range(200)
    ]
    rows: list[Row] = []
    for change in changes:
        rows += [row(change[0], Kind.TaskStarted, 0), change, row(change[0], Kind.TaskFinished, 0)]
    whole = batch(rows)
    edges = [*range(0, len(rows), 5000), len(rows)]
    started = time.process_time()
    result = summed(header({"a": 1}, limits), [whole.rows(first, last) for first, last in pairwise(edges)])
    assert time.process_time() - started < 1
    assert result["tasks"]["finished"] == 4000
