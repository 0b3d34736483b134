"""What goes wrong for a while: by timelines worked out by hand."""

from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from model.incidents import Incident
from model.scenario import Scenario
from model.timeline import incident_settings
from tests.runs import run, scenario, starts, told

SLOT = {"id": "slot", "type": "concurrency", "limit": 1}


def incident(**rest: Any) -> dict[str, Any]:
    return {"id": "bad", **rest}


def task(duration: Any = "4s", **rest: Any) -> dict[str, Any]:
    return {"task": "t", "duration": duration, **rest}


def at(*times: float) -> dict[str, Any]:
    return {"at": [f"{time}s" for time in times]}


def lines(
    *incidents: dict[str, Any], constraints: Any = (), until: str | None = None, steps: Any = None, **rest: Any
) -> list[str]:
    return told(
        run(
            scenario(
                until=until,
                constraints=list(constraints),
                incidents=list(incidents),
                steps=steps or [task()],
                **({} if "arrivals" in rest or "count" in rest else {"arrivals": at(0)}),
                **rest,
            )
        )
    )


def ends(*incidents: dict[str, Any], **rest: Any) -> list[str]:
    """When each task ends and how."""
    log = lines(*incidents, **rest)
    return [f"{line.split()[0]} {' '.join(line.split()[2:])}" for line in log if "TaskFinished" in line]


# Slower


def test_work_in_progress_goes_slower_while_it_lasts() -> None:
    """2 s are done when it begins; in 3 s at half the speed 1.5 s more; the last 0.5 s at full speed."""
    assert lines(incident(at="2s", lasts="3s", slow=2)) == [
        "0 TaskStarted a_0_t#0 0",
        "2 ConstraintChanged bad 0",
        "5 ConstraintChanged bad -1",
        "5.5 TaskFinished a_0_t#0 succeeded",
        "5.5 RunFinished",
    ]


def test_only_new_work_takes_longer_and_that_to_its_end() -> None:
    new = incident(at="2s", lasts="3s", slow=2, applies_to="new")
    assert ends(new, arrivals=at(0, 2, 4.5, 5)) == [
        "4 a_0_t#0 succeeded",
        "9 a_3_t#0 succeeded",  # it began as the incident ended
        "10 a_1_t#0 succeeded",
        "12.5 a_2_t#0 succeeded",
    ]


def test_two_at_a_time_slow_by_the_product_of_both() -> None:
    """1 s done by 1; 0.5 s by 2; at a sixth 0.5 s by 5; at a third 0.5 s by 6.5, from where 1.5 s are left."""
    one, other = incident(at="1s", lasts="4s", slow=2), incident(id="worse", at="2s", lasts="4500ms", slow=3)
    assert ends(one, other) == ["8 a_0_t#0 succeeded"]


def test_what_is_left_is_a_fraction_and_the_end_is_the_next_ns() -> None:
    """3 ns of 10 are done, then in 5 ns at a third of the speed 5/3; 16/3 are left at 8, so it is over at 13.33."""
    slow = incident(at="3ns", lasts="5ns", slow=3)
    assert ends(slow, steps=[task("10ns")]) == ["0.000000014 a_0_t#0 succeeded"]


def test_an_end_that_was_rounded_up_is_not_moved_back_by_a_change_at_that_very_ns() -> None:
    """At 1 ns 7/3 are left, so it is over at 3.33 and ends at 4, when it would become ten times as slow."""
    one, other = incident(at=0, lasts="1ns", slow=1.5), incident(id="worse", at="4ns", lasts="50ns", slow=10)
    assert ends(one, other, steps=[task("3ns")]) == ["0.000000004 a_0_t#0 succeeded"]


def test_who_is_slowed_may_time_out() -> None:
    slow = incident(at="2s", lasts="3s", slow=2)
    assert ends(slow, steps=[task(timeout="5s")]) == ["5 a_0_t#0 timed_out"]
    assert ends(slow, steps=[task(timeout="5500ms")]) == ["5.5 a_0_t#0 succeeded"]
    assert ends(slow, steps=[task(timeout="3s")]) == ["3 a_0_t#0 timed_out"]
    new = incident(at=0, slow=2, applies_to="new")
    assert ends(new, steps=[task(timeout="7s")]) == ["7 a_0_t#0 timed_out"]
    assert ends(new, steps=[task(timeout="8s")]) == ["8 a_0_t#0 succeeded"]


def test_a_timeout_is_that_of_its_own_attempt() -> None:
    """The first attempt fails at 3 s; its timeout, at 4 s, is none of the second."""
    steps = [task("3s", timeout="4s", fail=[1, 0], retry={"max_attempts": 2, "delay": 0})]
    assert ends(incident(at="1h", slow=2), steps=steps) == ["3 a_0_t#0 failed", "6 a_0_t#0.1 succeeded"]


def test_every_attempt_is_slowed_anew() -> None:
    slow = incident(at="2s", lasts="10s", slow=2)
    retry = {"max_attempts": 3, "delay": "1s"}
    assert ends(slow, steps=[task("3s", timeout="3500ms", retry=retry)]) == [
        "3.5 a_0_t#0 timed_out",  # 2 s and then 0.75 s of its 3 s are done
        "8 a_0_t#0.1 timed_out",
        "12.5 a_0_t#0.2 timed_out",  # 1.5 s by 12
    ]


def test_a_task_whose_slot_is_taken_has_what_is_left_to_do() -> None:
    """At 3 s it has done 2.5 s; the rest of 1.5 s begins at 4 s, at half the speed until 6 s."""
    slots = {**SLOT, "queue": "priority", "preempt": "resume"}
    fleets = [
        {"name": "low", "count": 1, "priority": 0, "steps": [task()]},
        {"name": "high", "arrivals": at(3), "priority": 1, "steps": [task("1s")]},
    ]
    data = scenario(until=None, constraints=[slots], fleets=fleets)
    data["incidents"] = [incident(at="2s", lasts="4s", slow=2, scope="fleet:low")]
    assert [line for line in told(run(data)) if "Finished" in line][:-1] == [
        "3 TaskFinished low_0_t#0 preempted",
        "4 TaskFinished high_0_t#0 succeeded",
        "6.5 TaskFinished low_0_t#0.1 succeeded",
    ]


def preempted(mode: str, bad: dict[str, Any], **rest: Any) -> list[str]:
    """When the attempts of a task of 4 s end, of which a more important one takes the slot from 4 s to 5 s."""
    slots = {**SLOT, "queue": "priority", "preempt": mode}
    fleets = [
        {"name": "low", "count": 1, "priority": 0, "steps": [task(**rest)]},
        {"name": "high", "arrivals": at(4), "priority": 1, "steps": [task("1s")]},
    ]
    data = scenario(until=None, constraints=[slots], fleets=fleets, incidents=[{**bad, "scope": "fleet:low"}])
    return [" ".join(line.split()[::3]) for line in told(run(data)) if "Finished low" in line]


def test_what_was_pre_empted_is_as_long_as_it_is_when_it_begins_again() -> None:
    """Half of its 8 s are done at 4 s, which is half of its own 4 s. What it is to do again is not slowed twice."""
    new = incident(at=0, slow=2, applies_to="new")
    assert preempted("resume", new) == ["4 preempted", "9 succeeded"]
    assert preempted("restart", new) == ["4 preempted", "13 succeeded"]
    over = {**new, "lasts": "3s"}
    assert preempted("resume", over) == ["4 preempted", "7 succeeded"]
    assert preempted("restart", over) == ["4 preempted", "9 succeeded"]


def test_what_was_pre_empted_fails_where_it_begins_again_while_it_lasts() -> None:
    fail = incident(at=0, fail=1.0, slow=2)
    for mode, end in (("resume", 9), ("restart", 13)):
        assert preempted(mode, fail) == ["4 preempted", f"{end} failed"]
    assert preempted("resume", {**fail, "lasts": "3s"}) == ["4 preempted", "6.5 succeeded"]
    assert preempted("restart", {**fail, "lasts": "3s"}) == ["4 preempted", "9 succeeded"]


def test_who_is_pre_empted_as_it_times_out_is_pre_empted() -> None:
    """It has had its 3 s at 3 s, when two slots are free for what wants both; it has no time left afterwards."""
    slots = {**SLOT, "limit": 2, "queue": "priority", "preempt": "resume"}
    fleets = [
        {"name": "low", "count": 1, "priority": 0, "steps": [task(timeout="3s")]},
        {"name": "mid", "count": 1, "priority": 2, "steps": [task("3s")]},
        {"name": "high", "arrivals": at(2), "priority": 1, "steps": [task("1s", needs={"slot": 2})]},
    ]
    slow = incident(at=0, slow=2, scope="fleet:low")
    log = told(run(scenario(until=None, constraints=[slots], fleets=fleets, incidents=[slow])))
    assert [" ".join(line.split()[::3]) for line in log if "Finished low" in line] == ["3 preempted", "4 timed_out"]


def test_what_is_charged_as_it_is_produced_comes_slower() -> None:
    """10 tokens a second: 10 in the first second, 5 in each of the next two, the rest at full speed."""
    tokens = {"id": "tpm", "type": "rate_limit", "rate": "100/s", "counts": "tokens", "charge": "as_produced"}
    slow = incident(at="1s", lasts="2s", slow=2)
    log = lines(slow, constraints=[tokens], steps=[task("3s", cost={"tokens": 30})])
    assert [line for line in log if "Released" in line or "TaskF" in line] == [
        "1 ResourceReleased a_0_t#0 tpm -10",
        "2 ResourceReleased a_0_t#0 tpm -5",
        "3 ResourceReleased a_0_t#0 tpm -5",
        "4 TaskFinished a_0_t#0 succeeded",
        "4 ResourceReleased a_0_t#0 tpm -10",
    ]


def test_what_was_to_be_the_last_that_is_produced_may_not_be() -> None:
    """At 2 s the end is at 3 s; then it is slowed, has done 2.75 s of its work at 3 s, and ends at 3.5 s."""
    tokens = {"id": "tpm", "type": "rate_limit", "rate": "100/s", "counts": "tokens", "charge": "as_produced"}
    log = lines(incident(at="2500ms", slow=2), constraints=[tokens], steps=[task("3s", cost={"tokens": 30})])
    assert [line for line in log if "Released" in line or "TaskF" in line] == [
        "1 ResourceReleased a_0_t#0 tpm -10",
        "2 ResourceReleased a_0_t#0 tpm -10",
        "3 ResourceReleased a_0_t#0 tpm -7",
        "3.5 TaskFinished a_0_t#0 succeeded",
        "3.5 ResourceReleased a_0_t#0 tpm -3",
    ]


def test_who_times_out_has_produced_as_much_as_was_done() -> None:
    """10 tokens in the first second, and then 5 a second until 4 s."""
    tokens = {"id": "tpm", "type": "rate_limit", "rate": "100/s", "counts": "tokens", "charge": "as_produced"}
    slow = incident(at="1s", slow=2)
    log = lines(slow, constraints=[tokens], steps=[task("9s", cost={"tokens": 90}, timeout="3500ms")])
    assert [line for line in log if "Released" in line or "TaskF" in line] == [
        "1 ResourceReleased a_0_t#0 tpm -10",
        "2 ResourceReleased a_0_t#0 tpm -5",
        "3 ResourceReleased a_0_t#0 tpm -5",
        "3.5 TaskFinished a_0_t#0 timed_out",
        "3.5 ResourceReleased a_0_t#0 tpm -2",
    ]


# Refused, blocked, failed


def test_who_is_refused_is_told_so_at_once_and_takes_nothing() -> None:
    """The bucket has two tokens: the two that are refused leave them for others."""
    bucket = {"id": "rpm", "type": "rate_limit", "rate": "1/h", "burst": 2}
    refuse = incident(at="1s", lasts="2s", refuse=1.0, retry_after="5s")
    assert lines(refuse, constraints=[bucket], arrivals=at(1, 2, 3, 4)) == [
        "1 ConstraintChanged bad 0",
        "1 TaskRejected a_0_t#0 bad 5",
        "1 TaskFinished a_0_t#0 failed",
        "2 TaskRejected a_1_t#0 bad 5",
        "2 TaskFinished a_1_t#0 failed",
        "3 ConstraintChanged bad -1",
        "3 TaskStarted a_2_t#0 0",
        "4 TaskStarted a_3_t#0 0",
        "7 TaskFinished a_2_t#0 succeeded",
        "8 TaskFinished a_3_t#0 succeeded",
        "8 RunFinished",
    ]


def test_who_waited_for_another_limit_is_refused_when_his_turn_comes() -> None:
    refuse = incident(at="1s", lasts="9s", refuse=1.0)
    assert lines(refuse, constraints=[SLOT], arrivals=at(0, 0)) == [
        "0 TaskStarted a_0_t#0 0",
        "0 TaskBlocked a_1_t#0 slot 0",
        "1 ConstraintChanged bad 0",
        "4 TaskFinished a_0_t#0 succeeded",
        "4 TaskRejected a_1_t#0 bad never",
        "4 TaskFinished a_1_t#0 failed",
        "10 ConstraintChanged bad -1",
        "10 RunFinished",
    ]


def test_a_retry_after_it_is_over_succeeds() -> None:
    refuse = incident(at=0, lasts="2s", refuse=1.0)
    steps = [task(retry={"max_attempts": 3, "delay": "1s"})]
    assert [line for line in lines(refuse, steps=steps) if "Started" in line or "Rejected" in line] == [
        "0 TaskRejected a_0_t#0 bad never",
        "1 TaskRejected a_0_t#0.1 bad never",
        "2 TaskStarted a_0_t#0.2 0",
    ]


def test_an_outage_lets_all_wait_and_is_what_they_wait_for() -> None:
    block = incident(at="1s", lasts="4s", block=True, scope="constraint:s*")
    assert lines(block, constraints=[{**SLOT, "limit": 2}], arrivals=at(0, 2, 3, 4)) == [
        "0 TaskStarted a_0_t#0 0",
        "1 ConstraintChanged bad 0",
        "2 TaskBlocked a_1_t#0 bad 0",
        "3 TaskBlocked a_2_t#0 bad 1",
        "4 TaskFinished a_0_t#0 succeeded",
        "4 TaskBlocked a_3_t#0 bad 2",
        "5 ConstraintChanged bad -1",
        "5 TaskResumed a_1_t#0 bad 3",
        "5 TaskStarted a_1_t#0 3",
        "5 TaskResumed a_2_t#0 bad 2",
        "5 TaskStarted a_2_t#0 2",
        "5 TaskRebound a_3_t#0 slot 1",
        "9 TaskFinished a_1_t#0 succeeded",
        "9 TaskResumed a_3_t#0 slot 5",
        "9 TaskStarted a_3_t#0 5",
        "9 TaskFinished a_2_t#0 succeeded",
        "13 TaskFinished a_3_t#0 succeeded",
        "13 RunFinished",
    ]


def test_who_gives_up_waiting_lets_nobody_pass_an_outage() -> None:
    steps = [task(patience="1s")]
    fleets = [
        {"name": "a", "count": 1, "steps": steps},
        {"name": "b", "count": 1, "steps": [task()]},
    ]
    data = scenario(until=None, fleets=fleets, incidents=[incident(at=0, lasts="3s", block=True)])
    assert told(run(data)) == [
        "0 TaskBlocked a_0_t#0 bad 0",
        "0 TaskBlocked b_0_t#0 bad 1",
        "1 TaskAbandoned a_0_t#0 bad 1",
        "1 TaskFinished a_0_t#0 cancelled",
        "3 ConstraintChanged bad -1",
        "3 TaskResumed b_0_t#0 bad 3",
        "3 TaskStarted b_0_t#0 3",
        "7 TaskFinished b_0_t#0 succeeded",
        "7 RunFinished",
    ]


def test_every_attempt_has_its_own_luck() -> None:
    """Each is refused or fails with even odds; after 60 attempts all have come through."""
    retry = {"max_attempts": 60, "delay": "1s"}
    for effect in ("refuse", "fail"):
        log = ends(incident(at=0, **{effect: 0.5}), count=20, steps=[task(retry=retry)])
        assert sum("succeeded" in line for line in log) == 20
        assert sum("failed" in line for line in log) > 5


def test_attempts_that_begin_while_it_lasts_fail_at_the_end_of_their_work() -> None:
    fail = incident(at="1s", lasts="2s", fail=1.0)
    assert ends(fail, arrivals=at(0, 1, 2.5, 3)) == [
        "4 a_0_t#0 succeeded",
        "5 a_1_t#0 failed",
        "6.5 a_2_t#0 failed",
        "7 a_3_t#0 succeeded",
    ]


BREAKER = {
    "id": "breaker", "type": "circuit_breaker", "min_calls": 2, "window": "10s", "open_for": "3s", "probes": 1
}  # fmt: skip


def test_a_circuit_breaker_hears_of_what_a_provider_refuses() -> None:
    """The second refusal opens it; at 4 s a probe is refused and it opens again; the one at 7 s passes."""
    log = lines(
        incident(at="500ms", lasts="5s", refuse=1.0),
        constraints=[BREAKER],
        arrivals=at(0.6, 1, 2, 4, 5, 7),
        steps=[task(duration="1s")],
    )
    assert [line for line in log if "Finished" not in line] == [
        "0.5 ConstraintChanged bad 0",
        "0.6 TaskRejected a_0_t#0 bad never",
        "1 TaskRejected a_1_t#0 bad never",
        "1 ConstraintChanged breaker 0",
        "2 TaskRejected a_2_t#0 breaker 2",
        "4 ConstraintChanged breaker 1",
        "4 TaskRejected a_3_t#0 bad never",
        "4 ConstraintChanged breaker 0",
        "5 TaskRejected a_4_t#0 breaker 2",
        "5.5 ConstraintChanged bad -1",
        "7 ConstraintChanged breaker 1",
        "7 TaskStarted a_5_t#0 0",
        "8 ConstraintChanged breaker -1",
    ]


@pytest.mark.parametrize("acquire", ["atomic", ["slots", "late"]])
def test_an_adaptive_limit_hears_of_what_a_provider_refuses_and_of_nothing_else_that_is_refused(acquire: Any) -> None:
    slots = {"id": "slots", "type": "adaptive", "limit": 8, "decrease": 0.5, "cooldown": 0}
    late = {"id": "late", "type": "concurrency", "limit": 1, "on_limit": "reject"}
    log = lines(
        incident(at="5s", lasts="1s", refuse=1.0),
        constraints=[slots, late],
        arrivals=at(0, 1, 5.5),
        steps=[task(duration="3s", acquire=acquire)],
    )
    changes = [line for line in log if "ConstraintChanged slots" in line or "Rejected" in line]
    assert changes == [
        "1 TaskRejected a_1_t#0 late never",
        "5.5 TaskRejected a_2_t#0 bad never",
        "5.5 ConstraintChanged slots 4",
    ]


def test_any_number_may_be_refused_one_after_the_other() -> None:
    """Each refusal is heard of, and lets the next be tried."""
    slots = {"id": "slots", "type": "adaptive", "limit": 1, "min": 1, "scope": "global"}
    log = lines(incident(at="500ms", lasts="1s", refuse=1.0), constraints=[slots], count=3000, steps=[task("1s")])
    assert sum("Rejected" in line and line.startswith("1 ") for line in log) == 2999


def test_a_provider_may_be_slower_and_refuse_at_once() -> None:
    """Half of them are refused: which is drawn, whatever else the incident does."""

    def refused(**rest: Any) -> list[str]:
        log = lines(incident(at=0, refuse=0.5, **rest), count=40)
        return [line for line in log if "Rejected" in line]

    assert 10 < len(refused()) < 30
    assert refused(slow=3) == refused() == refused(fail=0.3)
    assert set(ends(incident(at=0, refuse=0.5, slow=3), count=40)) - set(ends(incident(at=0, refuse=0.5), count=40))


# Whom, when, and which draws


def test_it_hits_those_that_its_scope_says() -> None:
    fleets = [
        {"name": "x", "count": 1, "steps": [task()]},
        {"name": "y", "count": 1, "tenant": "t", "steps": [task(needs={"slot": 1})]},
    ]
    for scope, hit in (
        ("global", ["x_0_t", "y_0_t"]),
        ("task:x_*", ["x_0_t"]),
        ("fleet:y", ["y_0_t"]),
        ("tenant:t", ["y_0_t"]),
        ("constraint:slot", ["y_0_t"]),
        ("constraint:*", ["x_0_t", "y_0_t"]),
        ("constraint:all", ["x_0_t", "y_0_t"]),
    ):
        limits = [{**SLOT, "scope": None}, {"id": "all", "type": "concurrency", "limit": 9, "scope": "global"}]
        data = scenario(
            until=None, constraints=limits, fleets=fleets, incidents=[incident(at=0, refuse=1.0, scope=scope)]
        )
        log = told(run(data))
        assert [line.split()[2].split("#")[0] for line in log if "Rejected" in line] == hit, scope


def test_some_agents_of_a_fleet_may_be_hit() -> None:
    log = lines(incident(at=0, slow=2, scope="task:a_1_*"), count=3)
    assert [line for line in log if "TaskFinished" in line] == [
        "4 TaskFinished a_0_t#0 succeeded",
        "4 TaskFinished a_2_t#0 succeeded",
        "8 TaskFinished a_1_t#0 succeeded",
    ]


def test_agents_that_are_spawned_are_hit_too() -> None:
    fleets = [
        {"name": "p", "count": 1, "steps": [{"spawn": "c", "count": 1}]},
        {"name": "c", "steps": [task()]},
    ]
    data = scenario(until=None, fleets=fleets, incidents=[incident(at=0, slow=2, scope="fleet:c")])
    assert "8 TaskFinished c_0_t#0 succeeded" in told(run(data))


def spells(until: int | None = 100, **rest: Any) -> list[tuple[float, bool]]:
    row = Incident.model_validate(incident(block=True, **rest))
    settings = incident_settings(row, 7, None if until is None else until * 10**9, {})
    return [(each.time_ns / 1e9, each.numbers is not None) for each in settings]


def test_what_comes_again_before_it_is_over_is_one() -> None:
    assert spells(at="5s", lasts="2s") == [(0, False), (5, True), (7, False)]
    assert spells(at=["5s", "6s", "8s", "9s"], lasts="2s") == [(0, False), (5, True), (11, False)]
    assert spells(at=["0s", "3s"], lasts="2s") == [(0, True), (2, False), (3, True), (5, False)]
    assert spells(at=["0s", "3s"]) == [(0, True)]
    assert spells(at=["4s", "5s"], lasts="0s") == [(0, False)]
    assert spells(at=["99s", "100s", "101s"], lasts="1s") == [(0, False), (99, True), (101, False)]
    assert spells(None, at="1h") == [(0, False), (3600, True)]


def test_drawn_times_hang_on_the_seed_and_the_id_alone() -> None:
    drawn = {"between": {"exponential": "10s"}, "lasts": {"uniform": ["1s", "2s"]}}
    times = spells(1000, **drawn)
    assert 50 < len(times) < 250
    assert times == sorted(times)
    assert all(1 <= after - before <= 2 for (before, on), (after, _) in pairwise(times) if on)
    early = spells(500, **drawn)
    assert times[: len(early) - 1] == early[:-1]
    assert spells(1000, **{**drawn, "lasts": "1ns"})[1][0] == times[1][0]  # the first begins after the same time


def test_it_is_on_where_any_of_its_times_would_have_it_on() -> None:
    lasts = {"lasts": {"uniform": ["0s", "9s"]}}
    apart = spells(None, at=[f"{1000 * number}s" for number in range(1, 41)], **lasts)[1:]
    lasted = [after - before for (before, _), (after, _) in zip(apart[::2], apart[1::2], strict=True)]
    close = spells(None, at=[f"{2 * number}s" for number in range(1, 41)], **lasts)
    for tenth in range(1000):
        time = tenth / 10
        on = any(2 * number <= time < 2 * number + ns for number, ns in enumerate(lasted, 1))
        assert [is_on for since, is_on in close if since <= time][-1] == on, time


def test_what_begins_as_the_run_ends_begins() -> None:
    assert spells(10, between="10s", lasts="1s") == [(0, False), (10, True), (11, False)]
    assert spells(10, between="11s", lasts="1s") == [(0, False)]


def test_a_visit_that_is_skipped_leaves_its_luck_to_nobody() -> None:
    def refused(**rest: Any) -> set[str]:
        graph = [{"task": "before", "duration": "1s", **rest}, task("1s", after=["before"])]
        steps = [{"repeat": 40, "steps": [{"graph": graph}]}]
        log = lines(incident(at=0, refuse=0.5, scope="task:*_t"), steps=steps)
        return {line.split()[2] for line in log if "Rejected" in line}

    assert 5 < len(refused(fail=0.5)) < len(refused())
    assert refused(fail=0.5) < refused()


def test_an_incident_leaves_all_other_draws_alone() -> None:
    steps = [{"repeat": 30, "steps": [task({"exponential": "1s"}, fail=0.2), {"think": {"exponential": "1s"}}]}]

    def drawn(*incidents: dict[str, Any]) -> list[str]:
        """How each visit fails and how long it works, of the visits that no incident changes."""
        return ends(*incidents, count=3, steps=steps)

    plain = drawn()
    assert drawn(incident(at="1h", slow=2, refuse=0.5, fail=0.5)) == plain
    assert drawn(incident(at=0, slow=2, refuse=0.5, fail=0.5, scope="fleet:b")) == plain
    refused = drawn(incident(at=0, refuse=0.3))
    other = drawn(incident(at=0, refuse=0.3), incident(id="other", at=0, fail=1.0))
    assert refused != plain
    assert [line.split()[0] for line in other] == [line.split()[0] for line in refused]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"slow": 2}, "neither at nor between; allowed: at for known times, between for drawn ones"),
        ({"at": 1, "between": 2, "slow": 2}, "both at and between"),
        ({"between": 2, "slow": 2}, "between without lasts; allowed: lasts with between"),
        ({"at": 1}, "it does nothing; allowed: slow, refuse, block or fail, in up to six decimals"),
        ({"at": 1, "slow": 1.0000001, "fail": 0.0000001}, "it does nothing"),
        ({"at": 1, "block": True, "refuse": 0.1}, "both block and refuse"),
        ({"at": 1, "block": True, "retry_after": 1}, "retry_after without refuse"),
        ({"at": 1, "fail": 0.1, "applies_to": "new"}, "applies_to without slow"),
        ({"at": [2, 1], "fail": 0.1}, "the times of at are not in order"),
        ({"at": 1, "slow": 0.5}, "greater than or equal to 1"),
    ],
)
def test_an_incident_that_means_nothing_is_refused(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem.replace("(", r"\(")):
        Incident.model_validate(incident(**row))


def test_a_scenario_with_incidents_dumps_to_one_that_runs_the_same() -> None:
    data = scenario(
        until="60s",
        constraints=[SLOT],
        count=3,
        steps=[{"repeat": "forever", "steps": [task({"exponential": "1s"})]}],
        incidents=[incident(between={"exponential": "5s"}, lasts="2s", slow=3, refuse=0.2, scope="constraint:slot")],
        crash={"uptime": {"exponential": "20s"}, "repair": "1s"},
    )
    again = Scenario.model_validate(data).as_json()
    assert run(again).digest() == run(data).digest()
    assert starts(run(data))


def test_an_incident_is_used_while_it_is_on() -> None:
    """5 of 8 s; a crash is counted."""
    from sim.analysis.summary import Summary
    from sim.analysis.waits import Waits

    log = run(
        scenario(
            until="8s",
            count=1,
            steps=[task("9s")],
            crash={"uptime": "3s"},
            incidents=[incident(at=["1s", "6s"], lasts="3s", slow=2)],
        )
    )
    summary, waits = Summary(log.header), Waits()
    for batch in log.batches():
        summary.feed(batch, waits.feed(batch))
    result = summary.result()
    assert result["constraints"]["bad"]["utilisation"] == 5 / 8
    assert result["crashes"] == 2
