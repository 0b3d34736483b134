"""Starvation and priority inversions: by hand, event by event, and against brute force over generated scenarios."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import simulate
from vocabulary import rich

from model.log import Log, LogWriter
from sim.analysis.inversions import Inversions
from sim.analysis.starvation import OVERTAKINGS, WORST, Starvation
from sim.analysis.waits import Waits
from tests import starving
from tests.runs import run, scenario, told

Dict = dict[str, Any]
S = 1_000_000_000
SLOT = {"id": "slot", "type": "concurrency", "limit": 1}


def cut(log: Log, size: int) -> Log:
    """Return the same log in batches of so many rows."""
    file = io.BytesIO()
    writer = LogWriter(file, log.header)
    for batch in log.batches():
        for start in range(0, len(batch), size):
            writer.write(batch.rows(start, min(start + size, len(batch))))
    writer.close()
    return Log.from_bytes(file.getvalue())


def reported(log: Log, size: int = 10**9) -> tuple[list[Dict], Dict]:
    """Return what a run reports of its log, read in batches of so many rows."""
    read = cut(log, size)
    starvation, inversions = Starvation(log.header), Inversions(log.header)
    waits = Waits()
    for batch in read.batches():
        ended = waits.feed(batch)
        starvation.feed(batch, ended)
        inversions.feed(batch, ended, waits.rest())
    return starvation.result(read, waits.rest()), inversions.result(read, waits.rest())


def fleet(name: str, at: str, duration: str, **rest: Any) -> Dict:
    """A fleet of which an agent arrives at each of these times, with one task."""
    said = {key: rest.pop(key) for key in ("starvation", "tenant", "priority") if key in rest}
    task = {"task": "w", "duration": duration, **rest}
    return {"name": name, "arrivals": {"at": at.split()}, **said, "steps": [task]}


def of(*fleets: Dict, limits: tuple[Dict, ...] = (SLOT,), until: str | None = None, **rest: Any) -> tuple[Any, Any]:
    """Return what a run reports: the same in batches of any size."""
    log = run(scenario(constraints=list(limits), fleets=list(fleets), until=until, **rest))
    found = reported(log)
    assert all(reported(log, size) == found for size in range(1, 12))
    return found


def waited(task: str, events: str, wait_s: float, overtaken: Dict = {}, by: str = "", **rest: Any) -> Dict:  # noqa: B006
    """A wait; `events` are those of its beginning and its end, `by` the first in which it is overtaken."""
    begin, end = events.split()
    said = {"task": task, "visit": 0, "attempt": 0, "wait_ns": round(wait_s * S), "waits_for": "slot"}
    said |= {"event": int(begin), "end_event": None if end == "-" else int(end)}
    said |= {"overtaken": sum(overtaken.values()), "overtaken_by": overtaken, "overtakings": [*map(int, by.split())]}
    return said | rest


def bound(name: str, bound_s: float, exceeded: str, *worst: Dict, kind: str = "fleet") -> Dict:
    over, waits = map(int, exceeded.split(" of "))
    return {kind: name, "bound_ns": round(bound_s * S), "waits": waits, "exceeded": over, "worst": list(worst)}


# Starvation


def test_last_come_first_served() -> None:
    """a works until 4, c_1 (who came at 3) until 6, c_0 (at 2) until 8, and only then b, who came at 1."""
    fleets = fleet("a", "0s", "4s"), fleet("b", "1s", "1s", starvation="2s"), fleet("c", "2s 3s", "2s", starvation="0s")
    assert of(*fleets, limits=({**SLOT, "queue": "lifo"},))[0] == [
        bound("b", 2, "1 of 1", waited("b_0_w", "4 18", 7, {"c": 2}, "11 15")),
        bound("c", 0, "2 of 2", waited("c_0_w", "6 14", 4, {"c": 1}, "11"), waited("c_1_w", "8 10", 1)),
    ]


def test_the_more_important_first() -> None:
    """low comes at 1; high_0 comes at 1.5 and works from 2 to 4, high_1 comes at 3 and works from 4 to 6."""
    low, high = fleet("low", "1s", "1s", starvation="3s"), fleet("high", "1.5s 3s", "2s", priority=1)
    limits = ({**SLOT, "queue": "priority"},)
    assert of(fleet("a", "0s", "2s"), low, high, limits=limits)[0] == [
        bound("low", 3, "1 of 1", waited("low_0_w", "4 18", 5, {"high": 2}, "9 15"))
    ]


def test_smaller_requests_pass_a_large_one() -> None:
    """big wants both slots, of which a has one until 10. Of three that pass it, one had to wait after it."""
    big, small = fleet("big", "1s", "1s", starvation="3s", needs={"slot": 2}), fleet("small", "2s 2.5s 4s", "1s")
    limits = ({**SLOT, "limit": 2},)
    assert of(fleet("a", "0s", "10s"), big, small, limits=limits)[0] == [
        bound("big", 3, "1 of 1", waited("big_0_w", "4 20", 9, {"small": 3}, "6 11 16"))
    ]


def test_a_fair_queue() -> None:
    """a_1 works until 4; then it is the turn of b, who came at 3, before a_2, who came at 1.5."""
    limits = ({**SLOT, "queue": "fair", "fair_by": "fleet"},)
    assert of(fleet("a", "0s 1s 1.5s", "2s", starvation="2s"), fleet("b", "3s", "2s"), limits=limits)[0] == [
        bound("a", 2, "1 of 2", waited("a_2_w", "6 18", 4.5, {"b": 1}, "15"))
    ]


@pytest.mark.parametrize(
    ("order", "wait"),
    [
        ({}, waited("big_0_w", "8 16", 8, waits_for="b")),
        ({"acquire": ["a", "b"]}, waited("big_0_w", "8 20", 8, {"two": 1}, "12", waits_for="b")),
    ],
)
def test_who_takes_one_thing_after_another_asks_for_each_anew(order: Dict, wait: Dict) -> None:
    """two has waited for a since 1, big for two of b since 2. At 3 two gets a and one of b.

    Where it asked for both at once it had asked before big; where it asks for b only now, it overtakes big.
    """
    limits = {**SLOT, "id": "a", "scope": None}, {**SLOT, "id": "b", "limit": 2, "scope": None}
    others = fleet("x", "0s", "3s", needs={"a": 1}), fleet("z", "0s", "10s", needs={"b": 1})
    two = fleet("two", "1s", "1s", needs={"a": 1, "b": 1}, **order)
    big = fleet("big", "2s", "1s", needs={"b": 2}, starvation="1s")
    assert of(*others, two, big, limits=limits)[0] == [bound("big", 1, "1 of 1", wait)]


def test_a_hold_that_takes_back_at_once_what_it_gave_back() -> None:
    """p takes a and b one after the other, and gives them back while it waits for its branches.

    At 2 x takes both a and b, and at 3 p asks for both; big asks for two of b at 4, and waits for x and then, since
    p had asked before it, for p. At 5 p has them again: that it is tried before big is no overtaking.
    """
    limits = {**SLOT, "id": "a", "scope": None}, {**SLOT, "id": "b", "limit": 2, "scope": None}
    steps = [{"fork": 1, "steps": [{"think": "3s"}]}, {"think": "1s"}]
    hold = {"hold": "p", "needs": {"a": 1, "b": 1}, "acquire": ["a", "b"], "give_back": True, "steps": steps}
    x, big = fleet("x", "2s", "3s", needs={"a": 1, "b": 1}), fleet("big", "4s", "1s", needs={"b": 2}, starvation="0s")
    holder = {"name": "h", "count": 1, "starvation": "1s", "steps": [hold]}
    assert of(holder, x, big, limits=limits)[0] == [
        bound("h", 1, "1 of 1", waited("h_0_p", "9 13", 2, waits_for="a")),
        bound("big", 0, "1 of 1", waited("big_0_w", "11 20", 2, waits_for="b")),
    ]


def test_only_what_it_is_bound_to_at_the_moment_counts() -> None:
    """m wants a, which x has until 2, and two of b, of which z takes one at 1 and one at 3, as m waits for b."""
    limits = {**SLOT, "id": "a", "scope": "fleet:[xm]"}, {**SLOT, "id": "b", "limit": 2, "scope": "fleet:[zm]"}
    m = fleet("m", "0.5s", "1s", starvation="1s", needs={"b": 2})
    assert of(fleet("x", "0s", "2s"), fleet("z", "1s 3s", "4s"), m, limits=limits)[0] == [
        bound("m", 1, "1 of 1", waited("m_0_w", "4 15", 6.5, {"z": 1}, "11", waits_for="b"))
    ]


def test_what_is_charged_at_the_end_is_passed_at_the_start() -> None:
    """A token a second, and none before 4, for a costs 4 at 0. b waits from 1 on; c comes at 2, and starts first at 4."""
    bucket = {"id": "slot", "type": "rate_limit", "rate": "1/s", "burst": 1, "queue": "lifo", "charge": "on_finish"}
    b, c = fleet("b", "1s", "1s", starvation="1s", cost=1), fleet("c", "2s", "2s", cost=1)
    assert of(fleet("a", "0s", "0s", cost=4), b, c, limits=(bucket,))[0] == [
        bound("b", 1, "1 of 1", waited("b_0_w", "7 12", 3, {"c": 1}, "11"))
    ]


def test_who_waits_when_the_run_ends_has_waited_so_far() -> None:
    fleets = fleet("a", "0s", "10s"), fleet("b", "2s", "1s", starvation="5s"), fleet("c", "1s", "1s", starvation="5s")
    assert of(*fleets, until="7s")[0] == [
        bound("b", 5, "0 of 1"),  # not above 5 s
        bound("c", 5, "1 of 1", waited("c_0_w", "4 -", 6)),
    ]


def test_who_gives_up_or_is_refused_has_waited_until_then() -> None:
    b = fleet("b", "1s", "1s", starvation="1s", patience="2s")
    assert of(fleet("a", "0s", "4s"), b)[0] == [bound("b", 1, "1 of 1", waited("b_0_w", "4 5", 2))]
    # In a room of one, who comes at 3 takes the place of who came at 1; and who comes at 3.5 that of the one before.
    limits = ({**SLOT, "room": 1, "overflow": "oldest"},)
    assert of(fleet("a", "0s", "4s"), fleet("b", "1s 3s 3.5s", "1s", starvation="1s"), limits=limits)[0] == [
        bound("b", 1, "1 of 3", waited("b_0_w", "4 6", 2))
    ]


def test_each_attempt_waits_for_itself() -> None:
    """b waits from 1 to 2, fails, and asks again at 3, after c and a_1, who came before that: they do not overtake it."""
    again = {"fail": [1.0, 0.0], "retry": {"max_attempts": 2, "delay": "0s"}}
    fleets = fleet("a", "0s 2s", "2s"), fleet("b", "1s", "1s", starvation="0s", **again), fleet("c", "1.5s", "2s")
    assert of(*fleets)[0] == [
        bound("b", 0, "2 of 2", waited("b_0_w", "17 23", 4, attempt=1), waited("b_0_w", "4 8", 1))
    ]


def test_the_bound_of_a_fleet_goes_before_that_of_its_tenant() -> None:
    """Five that come at 0 wait for 0 to 4 s. The bound of the tenant is that of b and c together."""
    fleets = fleet("a", "0s 0s", "1s", tenant="t", starvation="3s"), fleet("b", "0s 0s", "1s", tenant="t")
    found, _ = of(*fleets, fleet("c", "0s", "1s", tenant="t"), tenants={"t": {"starvation": "2s"}})
    assert found == [
        bound("a", 3, "0 of 1"),
        bound("t", 2, "2 of 3", waited("c_0_w", "10 24", 4), waited("b_1_w", "8 20", 3), kind="tenant"),
    ]


def test_the_worst_are_told_of_and_the_first_that_overtake_them() -> None:
    """Twelve wait for the slot that a has until 1, the last of 20 others until 21; each of those comes when one ends."""
    others = fleet("c", " ".join(f"{n}s" for n in range(1, 21)), "1s", priority=1)
    [found], _ = of(
        fleet("a", "0s", "1500ms"),
        fleet("b", " ".join(f"{n}ms" for n in range(1, 13)), "1s", starvation="5s"),
        others,
        limits=({**SLOT, "queue": "priority"},),
    )
    assert (found["waits"], found["exceeded"], len(found["worst"])) == (12, 12, WORST)
    # The first of them is tried when all 20 others are through; the last of them eleven seconds later.
    assert [round(each["wait_ns"] / S, 3) for each in found["worst"]] == [32.488 - n + n / 1000 for n in range(10)]
    assert all(each["overtaken_by"] == {"c": 20} and len(each["overtakings"]) == OVERTAKINGS for each in found["worst"])


# Priority inversions


def inverted(task: str, event: int, inverted_s: float, span: str, held: str, **rest: Any) -> Dict:
    """An inversion; `held` is who held it first, his priority, since when, and by which event."""
    begin, end = map(float, span.split())
    holder, priority, since, by = held.split()
    said = {"task": task, "visit": 0, "attempt": 0, "priority": 2, "waits_for": "slot", "event": event}
    said |= {"inverted_ns": round(inverted_s * S), "from_ns": round(begin * S), "to_ns": round(end * S)}
    lower = {"task": holder, "visit": 0, "priority": int(priority), "since_ns": round(float(since) * S)}
    return said | {"held_by": lower | {"event": int(by)}} | rest


def test_more_important_tasks_wait_for_less_important_ones() -> None:
    """low has a slot until 3, mid one until 6. high_0 waits from 1 to 3, high_1 from 2 to 6, at last for mid alone."""
    fleets = fleet("low", "0s 3s", "3s"), fleet("mid", "0s", "6s", priority=1), fleet("high", "1s 2s", "3s", priority=2)
    assert of(*fleets, limits=({**SLOT, "limit": 2},))[1] == {
        "episodes": 2,
        "inverted_ns": 6 * S,
        "worst": [
            inverted("high_1_w", 8, 4, "2 6", "low_0_w 0 0 2"),
            inverted("high_0_w", 6, 2, "1 3", "low_0_w 0 0 2"),
        ],
    }


def test_those_who_are_as_important_are_no_inversion() -> None:
    """The last waits from 2.5 to 9: until 3 for low, until 5 for an equal, until 8 for low, and for an equal again."""
    low, high = fleet("low", "0s 1s", "3s"), fleet("high", "0.5s 2s 2.5s", "2s", priority=2)
    assert [line for line in told(run(scenario(constraints=[SLOT], fleets=[low, high]))) if "Started" in line] == [
        "0 TaskStarted low_0_w#0 0",
        "3 TaskStarted high_0_w#0 2.5",
        "5 TaskStarted low_1_w#0 4",
        "8 TaskStarted high_1_w#0 6",
        "10 TaskStarted high_2_w#0 7.5",
    ]
    assert of(low, high)[1]["worst"] == [
        inverted("high_1_w", 8, 4, "2 8", "low_0_w 0 0 2"),
        inverted("high_2_w", 10, 3.5, "2.5 8", "low_0_w 0 0 2"),
        inverted("high_0_w", 4, 2.5, "0.5 3", "low_0_w 0 0 2"),
    ]


def test_an_inversion_begins_when_a_less_important_one_comes_to_hold_some() -> None:
    """big wants both slots from 1 on; an equal has one until 9, and low passes big at 2 and has the other until 4."""
    high = fleet("high", "0s", "9s", priority=2), fleet("big", "1s", "1s", priority=2, needs={"slot": 2})
    assert of(*high, fleet("low", "2s 6s", "2s"), limits=({**SLOT, "limit": 2},))[1] == {
        "episodes": 1,
        "inverted_ns": 4 * S,
        "worst": [inverted("big_0_w", 4, 4, "2 8", "low_0_w 0 2 6")],
    }


def test_what_is_held_while_other_steps_go_on() -> None:
    """The hold takes the slot by an event of its own, and has it until 4."""
    steps = [{"think": "3s"}, {"task": "q", "duration": "1s"}]
    holder = {"name": "h", "count": 1, "steps": [{"hold": "p", "needs": {"slot": 1}, "steps": steps}]}
    high = fleet("b", "1s", "1s", needs={"slot": 1}, priority=2)
    assert of(holder, high, limits=({**SLOT, "scope": None},))[1] == {
        "episodes": 1,
        "inverted_ns": 3 * S,
        "worst": [inverted("b_0_w", 5, 3, "1 4", "h_0_p 0 0 2")],
    }


def test_who_waits_when_the_run_ends_is_in_an_inversion_so_far() -> None:
    assert of(fleet("low", "0s", "10s"), fleet("high", "2s", "1s", priority=2), until="5s")[1] == {
        "episodes": 1,
        "inverted_ns": 3 * S,
        "worst": [inverted("high_0_w", 4, 3, "2 5", "low_0_w 0 0 2")],
    }


def test_a_rate_limit_is_not_held() -> None:
    bucket = {"id": "slot", "type": "rate_limit", "rate": "1/s", "burst": 1}
    found = of(fleet("low", "0s", "10s"), fleet("high", "0.5s", "1s", priority=2), limits=(bucket,))
    assert found == ([], {"episodes": 0, "inverted_ns": 0, "worst": []})


# What must always hold


@given(rich(), st.integers(1, 40))
def test_it_is_what_brute_force_finds(row: Dict, size: int) -> None:
    row["fleets"][0].setdefault("starvation", "100ms")
    log = simulate(row)
    starvation, inversions = reported(log, size)
    assert starvation == starving.starvation(log, WORST, OVERTAKINGS)
    assert inversions == starving.inversions(log, WORST)
