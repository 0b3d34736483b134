"""Small scenarios whose whole list of events was worked out by hand from the design, and is written out here."""

import pytest

from model.tables import Table
from tests.runs import run, scenario, starts, told

SLOT = {"id": "slot", "type": "concurrency", "limit": 1}
WORK = {"task": "work", "duration": "1s"}


def test_one_slot_is_handed_from_task_to_task_in_order_of_asking():
    log = run(scenario(constraints=[SLOT], count=3, until="10s", steps=[WORK]))
    assert told(log, without=()) == [
        "0 RunStarted",
        "0 AgentStarted 0",
        "0 TaskStarted a_0_work#0 0",
        "0 AgentStarted 1",
        "0 TaskBlocked a_1_work#0 slot 0",
        "0 AgentStarted 2",
        "0 TaskBlocked a_2_work#0 slot 1",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 TaskResumed a_1_work#0 slot 1",
        "1 TaskStarted a_1_work#0 1",
        "1 AgentFinished 0",
        "2 TaskFinished a_1_work#0 succeeded",
        "2 TaskResumed a_2_work#0 slot 2",
        "2 TaskStarted a_2_work#0 2",
        "2 AgentFinished 1",
        "3 TaskFinished a_2_work#0 succeeded",
        "3 AgentFinished 2",
        "10 RunFinished",
    ]


def test_without_an_end_a_run_finishes_with_its_last_event():
    assert told(run(scenario(until=None, steps=[{"think": "2s"}, WORK]))) == [
        "2 TaskStarted a_0_work#0 0",
        "3 TaskFinished a_0_work#0 succeeded",
        "3 RunFinished",
    ]


def test_everything_at_the_last_instant_still_happens():
    assert told(run(scenario(until="1s", constraints=[SLOT], count=2, steps=[WORK]))) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskBlocked a_1_work#0 slot 0",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 TaskResumed a_1_work#0 slot 1",
        "1 TaskStarted a_1_work#0 1",
        "1 RunFinished",
    ]


def test_a_completion_comes_before_a_request_of_the_same_instant():
    fleets = [
        {"name": "late", "count": 1, "steps": [{"think": "1s"}, WORK]},  # scheduled first, asks at 1 s
        {"name": "early", "count": 1, "steps": [WORK]},  # gives the slot back at 1 s
    ]
    assert told(run(scenario(until="3s", constraints=[SLOT], fleets=fleets))) == [
        "0 TaskStarted early_0_work#0 0",
        "1 TaskFinished early_0_work#0 succeeded",
        "1 TaskStarted late_0_work#0 0",
        "2 TaskFinished late_0_work#0 succeeded",
        "3 RunFinished",
    ]


def test_a_task_after_a_task_asks_when_all_completions_of_the_instant_are_over():
    fleets = [
        {"name": "late", "count": 1, "steps": [{"task": "first", "duration": "2s"}, {"task": "use", "duration": "1s"}]},
        {"name": "early", "count": 1, "steps": [{"think": "1s"}, {"task": "use", "duration": "1s"}]},
    ]
    limit = {**SLOT, "scope": "task:*_use"}
    assert told(run(scenario(until="2s", constraints=[limit], fleets=fleets))) == [
        "0 TaskStarted late_0_first#0 0",
        "1 TaskStarted early_0_use#0 0",
        "2 TaskFinished late_0_first#0 succeeded",
        "2 TaskFinished early_0_use#0 succeeded",
        "2 TaskStarted late_0_use#0 0",
        "2 RunFinished",
    ]


def test_a_change_comes_before_a_completion_of_the_same_instant():
    limit = {**SLOT, "changes": [{"at": "1s", "limit": 2}]}
    assert told(run(scenario(until="2s", constraints=[limit], count=3, steps=[WORK]))) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskBlocked a_1_work#0 slot 0",
        "0 TaskBlocked a_2_work#0 slot 1",
        "1 ConstraintChanged slot 2",
        "1 TaskResumed a_1_work#0 slot 1",
        "1 TaskStarted a_1_work#0 1",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 TaskResumed a_2_work#0 slot 1",
        "1 TaskStarted a_2_work#0 1",
        "2 TaskFinished a_1_work#0 succeeded",
        "2 TaskFinished a_2_work#0 succeeded",
        "2 RunFinished",
    ]


def test_lowering_a_limit_revokes_nobody_and_admits_nobody_until_usage_is_below_it():
    limit = {**SLOT, "limit": 3, "changes": [{"at": "500ms", "limit": 1}]}
    steps = [{"task": "work", "duration": {"linear": {"D": "1s"}}}]
    arrivals = {"trace": {"file": "t", "time": "T"}}
    table = Table(b"T,D\n0,1\n0,2\n0,3\n0,1\n")
    log = run(scenario(until="5s", constraints=[limit], arrivals=arrivals, steps=steps), {"t": table})
    assert told(log) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskStarted a_1_work#0 0",
        "0 TaskStarted a_2_work#0 0",
        "0 TaskBlocked a_3_work#0 slot 0",
        "0.5 ConstraintChanged slot 1",
        "1 TaskFinished a_0_work#0 succeeded",
        "2 TaskFinished a_1_work#0 succeeded",
        "3 TaskFinished a_2_work#0 succeeded",
        "3 TaskResumed a_3_work#0 slot 3",
        "3 TaskStarted a_3_work#0 3",
        "4 TaskFinished a_3_work#0 succeeded",
        "5 RunFinished",
    ]


def test_an_expired_constraint_wakes_those_it_held_and_admits_everybody():
    limit = {**SLOT, "expires": "500ms"}
    steps = [{"think": "100ms"}, WORK]
    assert told(run(scenario(until="2s", constraints=[limit], count=3, steps=steps))) == [
        "0.1 TaskStarted a_0_work#0 0",
        "0.1 TaskBlocked a_1_work#0 slot 0",
        "0.1 TaskBlocked a_2_work#0 slot 1",
        "0.5 ConstraintChanged slot -1",
        "0.5 TaskResumed a_1_work#0 slot 0.4",
        "0.5 TaskStarted a_1_work#0 0.4",
        "0.5 TaskResumed a_2_work#0 slot 0.4",
        "0.5 TaskStarted a_2_work#0 0.4",
        "1.1 TaskFinished a_0_work#0 succeeded",
        "1.5 TaskFinished a_1_work#0 succeeded",
        "1.5 TaskFinished a_2_work#0 succeeded",
        "2 RunFinished",
    ]


def test_a_limit_that_comes_into_force_counts_those_who_run_already():
    limit = {**SLOT, "from": "500ms"}
    arrivals = {"at": ["0s", "0s", "600ms"]}
    assert told(run(scenario(until="3s", constraints=[limit], arrivals=arrivals, steps=[WORK]))) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskStarted a_1_work#0 0",
        "0.5 ConstraintChanged slot 1",
        "0.6 TaskBlocked a_2_work#0 slot 0",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 TaskFinished a_1_work#0 succeeded",
        "1 TaskResumed a_2_work#0 slot 0.4",
        "1 TaskStarted a_2_work#0 0.4",
        "2 TaskFinished a_2_work#0 succeeded",
        "3 RunFinished",
    ]


def test_of_two_constraints_with_one_scope_and_type_the_later_replaces_the_earlier():
    wide = {"id": "wide", "type": "concurrency", "limit": 2}
    narrow = {"id": "narrow", "type": "concurrency", "limit": 1, "from": "500ms"}
    arrivals = {"at": ["0s", "0s", "1s", "1s"]}
    assert told(run(scenario(until="2s", constraints=[wide, narrow], arrivals=arrivals, steps=[WORK]))) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskStarted a_1_work#0 0",
        "0.5 ConstraintChanged wide -1",
        "0.5 ConstraintChanged narrow 1",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 TaskFinished a_1_work#0 succeeded",
        "1 TaskStarted a_2_work#0 0",
        "1 TaskBlocked a_3_work#0 narrow 0",
        "2 TaskFinished a_2_work#0 succeeded",
        "2 TaskResumed a_3_work#0 narrow 1",
        "2 TaskStarted a_3_work#0 1",
        "2 RunFinished",
    ]


def test_a_pause_admits_nobody_and_stops_nobody():
    pause = {
        "id": "stop",
        "type": "pause",
        "from": "500ms",
        "expires": "4s",
        "changes": [{"at": "2s", "paused": False}],
    }
    arrivals = {"at": ["0s", "1s", "3s"]}
    assert told(run(scenario(until="5s", constraints=[pause], arrivals=arrivals, steps=[WORK]))) == [
        "0 TaskStarted a_0_work#0 0",
        "0.5 ConstraintChanged stop 0",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 TaskBlocked a_1_work#0 stop 0",
        "2 ConstraintChanged stop -1",
        "2 TaskResumed a_1_work#0 stop 1",
        "2 TaskStarted a_1_work#0 1",
        "3 TaskFinished a_1_work#0 succeeded",
        "3 TaskStarted a_2_work#0 0",
        "4 ConstraintChanged stop -1",
        "4 TaskFinished a_2_work#0 succeeded",
        "5 RunFinished",
    ]


def test_a_token_bucket_starts_full_and_refills_exactly():
    bucket = {"id": "rate", "type": "rate_limit", "rate": "5/s", "burst": 2}
    log = run(scenario(until="2s", constraints=[bucket], count=4, steps=[{"task": "t", "duration": "1ms"}]))
    assert told(log) == [
        "0 TaskStarted a_0_t#0 0",
        "0 TaskStarted a_1_t#0 0",
        "0 TaskBlocked a_2_t#0 rate 0",
        "0 TaskBlocked a_3_t#0 rate 1",
        "0.001 TaskFinished a_0_t#0 succeeded",
        "0.001 TaskFinished a_1_t#0 succeeded",
        "0.2 TaskResumed a_2_t#0 rate 0.2",
        "0.2 TaskStarted a_2_t#0 0.2",
        "0.201 TaskFinished a_2_t#0 succeeded",
        "0.4 TaskResumed a_3_t#0 rate 0.4",
        "0.4 TaskStarted a_3_t#0 0.4",
        "0.401 TaskFinished a_3_t#0 succeeded",
        "2 RunFinished",
    ]


@pytest.mark.parametrize(("rate", "admitted"), [("10/m", 10), ("1/m", 1), ("0.5/s", 1), ("2.5/s", 3)])
def test_a_bucket_without_a_burst_is_as_deep_as_its_rate(rate, admitted):
    log = run(
        scenario(until="0s", constraints=[{"id": "r", "type": "rate_limit", "rate": rate}], count=20, steps=[WORK])
    )
    assert len(starts(log)) == admitted


def test_a_refill_time_that_is_no_whole_nanosecond_is_never_early():
    bucket = {"id": "rate", "type": "rate_limit", "rate": "3/s", "burst": 1}
    log = run(scenario(until="2s", constraints=[bucket], count=4, steps=[WORK]))
    # Full after 1/3 s, at the next whole nanosecond it lets one go: what it could not hold in between is lost.
    assert starts(log) == [0, 0.333333334, 0.666666668, 1.000000002]
    deeper = run(scenario(until="2s", constraints=[{**bucket, "burst": 2}], count=5, steps=[WORK]))
    assert starts(deeper) == [0, 0, 0.333333334, 0.666666667, 1]


def test_a_change_of_rate_keeps_the_level_and_clamps_it_to_the_new_burst():
    # 4 of 10 tokens are left at 1 s less 1 earned a second from 0: 4 + 1 = 5, clamped to 2; then two a second.
    bucket = {"id": "rate", "type": "rate_limit", "rate": "1/s", "burst": 10}
    bucket["changes"] = [{"at": "1s", "rate": "2/s", "burst": 2}]
    arrivals = {"at": ["0s"] * 6 + ["2s"] * 4}
    log = run(scenario(until="4s", constraints=[bucket], arrivals=arrivals, steps=[WORK]))
    assert starts(log) == [0] * 6 + [2, 2, 2.5, 3]


def test_a_change_of_rate_moves_the_refill_that_is_due():
    bucket = {"id": "rate", "type": "rate_limit", "rate": "1/10s", "burst": 1}
    bucket["changes"] = [{"at": "2s", "rate": "1/2s"}]  # a fifth was earned: four fifths more take 1.6 s
    assert starts(run(scenario(until="5s", constraints=[bucket], count=2, steps=[WORK]))) == [0, 3.6]


def test_a_refill_comes_after_a_completion_and_before_a_request():
    # At 1 s: `a` gives its slot back (rank 1), one token is earned for `b` (rank 2), `c` asks (rank 3).
    rate = {"id": "rate", "type": "rate_limit", "rate": "1/s", "burst": 1}
    arrivals = {"at": ["0s", "100ms", "1s"]}
    assert told(run(scenario(until="2s", constraints=[rate], arrivals=arrivals, steps=[WORK]))) == [
        "0 TaskStarted a_0_work#0 0",
        "0.1 TaskBlocked a_1_work#0 rate 0",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 TaskResumed a_1_work#0 rate 0.9",
        "1 TaskStarted a_1_work#0 0.9",
        "1 TaskBlocked a_2_work#0 rate 0",
        "2 TaskFinished a_1_work#0 succeeded",
        "2 TaskResumed a_2_work#0 rate 1",
        "2 TaskStarted a_2_work#0 1",
        "2 RunFinished",
    ]


def test_a_younger_task_cannot_take_what_an_older_one_has_earned_at_the_same_instant():
    # At 1 s the slot falls free (rank 1) and a token has just been earned (rank 2). `slot_1` is younger than `free_0`,
    # which waits for the token: it is tried first, for the slot, and must leave the token alone.
    constraints = [
        {"id": "slot", "type": "concurrency", "limit": 1, "scope": "fleet:slot"},
        {"id": "rate", "type": "rate_limit", "rate": "1/s", "burst": 1},
    ]
    fleets = [
        {"name": "slot", "arrivals": {"at": ["0s", "200ms"]}, "steps": [WORK]},
        {"name": "free", "arrivals": {"at": ["100ms"]}, "steps": [WORK]},
    ]
    assert told(run(scenario(until="2s", constraints=constraints, fleets=fleets))) == [
        "0 TaskStarted slot_0_work#0 0",
        "0.1 TaskBlocked free_0_work#0 rate 0",
        "0.2 TaskBlocked slot_1_work#0 slot 0",
        "1 TaskFinished slot_0_work#0 succeeded",
        "1 TaskRebound slot_1_work#0 rate 0.8",
        "1 TaskResumed free_0_work#0 rate 0.9",
        "1 TaskStarted free_0_work#0 0.9",
        "2 TaskFinished free_0_work#0 succeeded",
        "2 TaskResumed slot_1_work#0 rate 1.8",
        "2 TaskStarted slot_1_work#0 1.8",
        "2 RunFinished",
    ]


def test_no_token_is_spent_for_a_task_that_another_constraint_refuses():
    constraints = [{"id": "rate", "type": "rate_limit", "rate": "1/h", "burst": 2}, SLOT]
    fleets = [
        {"name": "a", "count": 2, "steps": [WORK]},  # the second is refused by the slot, after the rate said yes
        {"name": "b", "arrivals": {"at": ["500ms"]}, "steps": [WORK]},
    ]
    assert told(run(scenario(until="2s", constraints=constraints, fleets=fleets))) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskBlocked a_1_work#0 slot 0",
        "0.5 TaskBlocked b_0_work#0 slot 1",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 TaskResumed a_1_work#0 slot 1",
        "1 TaskStarted a_1_work#0 1",
        "2 TaskFinished a_1_work#0 succeeded",
        "2 TaskRebound b_0_work#0 rate 1.5",
        "2 RunFinished",
    ]


def test_all_or_nothing_over_several_constraints():
    constraints = [
        {"id": "cpu", "type": "concurrency", "limit": 2, "scope": None},
        {"id": "gpu", "type": "concurrency", "limit": 1, "scope": None},
    ]
    fleets = [
        {"name": "g", "count": 1, "steps": [{**WORK, "needs": {"gpu": 1}}]},
        {"name": "both", "count": 1, "steps": [{**WORK, "needs": {"cpu": 2, "gpu": 1}}]},  # holds no cpu while it waits
        {"name": "c", "count": 1, "steps": [{**WORK, "needs": {"cpu": 2}}]},
    ]
    assert told(run(scenario(until="2s", constraints=constraints, fleets=fleets))) == [
        "0 TaskStarted g_0_work#0 0",
        "0 TaskBlocked both_0_work#0 gpu 0",
        "0 TaskStarted c_0_work#0 0",
        "1 TaskFinished g_0_work#0 succeeded",
        "1 TaskRebound both_0_work#0 cpu 1",
        "1 TaskFinished c_0_work#0 succeeded",
        "1 TaskResumed both_0_work#0 cpu 1",
        "1 TaskStarted both_0_work#0 1",
        "2 TaskFinished both_0_work#0 succeeded",
        "2 RunFinished",
    ]


def test_those_who_wait_for_different_constraints_of_one_release_are_tried_by_age():
    # `x` (older) waits for d, `y` for c; the end of `both` frees both, and either would fit only alone.
    constraints = [
        {"id": "c", "type": "concurrency", "limit": 1, "scope": None},
        {"id": "d", "type": "concurrency", "limit": 1, "scope": None},
    ]
    fleets = [
        {"name": "both", "count": 1, "steps": [{**WORK, "needs": {"c": 1, "d": 1}}]},
        {"name": "x", "count": 1, "steps": [{**WORK, "needs": {"d": 1}}]},
        {"name": "y", "count": 1, "steps": [{**WORK, "needs": {"c": 1, "d": 1}}]},
    ]
    assert told(run(scenario(until="2s", constraints=constraints, fleets=fleets))) == [
        "0 TaskStarted both_0_work#0 0",
        "0 TaskBlocked x_0_work#0 d 0",
        "0 TaskBlocked y_0_work#0 c 0",
        "1 TaskFinished both_0_work#0 succeeded",
        "1 TaskResumed x_0_work#0 d 1",
        "1 TaskStarted x_0_work#0 1",
        "1 TaskRebound y_0_work#0 d 1",
        "2 TaskFinished x_0_work#0 succeeded",
        "2 TaskResumed y_0_work#0 d 2",
        "2 TaskStarted y_0_work#0 2",
        "2 RunFinished",
    ]


def test_a_smaller_request_passes_one_that_does_not_fit_yet():
    constraints = [{"id": "gpu", "type": "concurrency", "limit": 3, "scope": None}]
    fleets = [
        {"name": "two", "count": 1, "steps": [{**WORK, "needs": {"gpu": 2}}]},
        {"name": "big", "count": 1, "steps": [{**WORK, "needs": {"gpu": 3}}]},
        {"name": "one", "count": 2, "steps": [{"think": "100ms"}, {**WORK, "needs": {"gpu": 1}}]},
    ]
    assert told(run(scenario(until="2.1s", constraints=constraints, fleets=fleets))) == [
        "0 TaskStarted two_0_work#0 0",
        "0 TaskBlocked big_0_work#0 gpu 0",
        "0.1 TaskStarted one_0_work#0 0",
        "0.1 TaskBlocked one_1_work#0 gpu 1",
        "1 TaskFinished two_0_work#0 succeeded",
        "1 TaskResumed one_1_work#0 gpu 0.9",
        "1 TaskStarted one_1_work#0 0.9",
        "1.1 TaskFinished one_0_work#0 succeeded",
        "2 TaskFinished one_1_work#0 succeeded",
        "2 TaskResumed big_0_work#0 gpu 2",
        "2 TaskStarted big_0_work#0 2",
        "2.1 RunFinished",
    ]


def test_a_cost_that_comes_from_the_trace_is_recorded_when_it_is_taken():
    table = Table(b"T,N\n0,7\n0,5\n1,2\n")
    steps = [{**WORK, "cost": {"tokens": {"linear": {"base": 1, "N": 1}}}}]
    constraints = [
        {"id": "rpm", "type": "rate_limit", "rate": "100/s"},
        {"id": "tpm", "type": "rate_limit", "rate": "1/s", "burst": 10, "counts": "tokens"},
    ]
    arrivals = {"trace": {"file": "t", "time": "T"}}
    log = run(scenario(until="6s", constraints=constraints, arrivals=arrivals, steps=steps), {"t": table})
    assert told(log) == [
        "0 ResourceAcquired a_0_work#0 tpm 8",
        "0 TaskStarted a_0_work#0 0",
        "0 TaskBlocked a_1_work#0 tpm 0",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 ResourceAcquired a_2_work#0 tpm 3",  # 2 left and 1 earned: it passes the larger one
        "1 TaskStarted a_2_work#0 0",
        "2 TaskFinished a_2_work#0 succeeded",
        "6 RunFinished",
    ]


def test_a_drawn_cost_above_the_burst_fails_the_task_and_the_agent_goes_on():
    table = Table(b"T,N\n0,11\n")
    bucket = {"id": "tpm", "type": "rate_limit", "rate": "1/s", "burst": 10, "counts": "tokens"}
    steps = [{**WORK, "cost": {"tokens": {"linear": {"N": 1}}}}, {"task": "next", "duration": "1s"}]
    arrivals = {"trace": {"file": "t", "time": "T"}}
    log = run(scenario(until="2s", constraints=[bucket], arrivals=arrivals, steps=steps), {"t": table})
    assert told(log) == [
        "0 TaskRejected a_0_work#0 tpm never",
        "0 TaskFinished a_0_work#0 failed",
        "0 TaskStarted a_0_next#0 0",
        "1 TaskFinished a_0_next#0 succeeded",
        "2 RunFinished",
    ]


def test_a_waiting_request_that_a_change_makes_impossible_fails():
    bucket = {"id": "rate", "type": "rate_limit", "rate": "1/s", "burst": 5, "changes": [{"at": "1s", "burst": 3}]}
    steps = [{**WORK, "cost": 5}]
    assert told(run(scenario(until="2s", constraints=[bucket], count=2, steps=steps))) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskBlocked a_1_work#0 rate 0",
        "1 ConstraintChanged rate 1000000",
        "1 TaskRejected a_1_work#0 rate never",
        "1 TaskFinished a_1_work#0 failed",
        "1 TaskFinished a_0_work#0 succeeded",
        "2 RunFinished",
    ]


def test_repeats_nest_and_visits_count_up():
    steps = [
        {"repeat": 2, "steps": [{"repeat": 2, "steps": [WORK]}, {"think": "1s"}]},
        {"task": "end", "duration": "0s"},
    ]
    assert told(run(scenario(until=None, steps=steps))) == [
        "0 TaskStarted a_0_work#0 0",
        "1 TaskFinished a_0_work#0 succeeded",
        "1 TaskStarted a_0_work#1 0",
        "2 TaskFinished a_0_work#1 succeeded",
        "3 TaskStarted a_0_work#2 0",
        "4 TaskFinished a_0_work#2 succeeded",
        "4 TaskStarted a_0_work#3 0",
        "5 TaskFinished a_0_work#3 succeeded",
        "6 TaskStarted a_0_end#0 0",
        "6 TaskFinished a_0_end#0 succeeded",
        "6 RunFinished",
    ]


def test_starts_of_closed_and_open_fleets():
    fleets = [
        {"name": "closed", "count": 3, "stagger": "400ms", "steps": [WORK]},
        {"name": "every", "arrivals": {"every": "500ms"}, "steps": [WORK]},
        {"name": "at", "arrivals": {"at": ["100ms", "100ms", "2s"]}, "steps": [WORK]},
    ]
    lines = told(run(scenario(until="1s", fleets=fleets)), without=("RunStarted", "TaskFinished", "AgentFinished"))
    assert [line for line in lines if "AgentStarted" in line] == [
        "0 AgentStarted 0",
        "0 AgentStarted 3",  # the first of `every`, whose agents are numbered after those of `closed`
        "0.1 AgentStarted 6",
        "0.1 AgentStarted 7",
        "0.4 AgentStarted 1",
        "0.5 AgentStarted 4",
        "0.8 AgentStarted 2",
        "1 AgentStarted 5",
    ]


def test_a_scope_governs_the_tasks_that_it_matches_and_no_other():
    limit = {"id": "one", "type": "concurrency", "limit": 1, "scope": "task:agent_*_work"}
    fleets = [
        {"name": "agent", "count": 2, "steps": [{"task": "loop", "duration": "1s"}, WORK]},
        {"name": "other", "count": 2, "steps": [WORK]},
    ]
    lines = told(run(scenario(until="2s", constraints=[limit], fleets=fleets)))
    assert [line for line in lines if "Blocked" in line] == ["1 TaskBlocked agent_1_work#0 one 0"]


def test_a_scope_may_look_at_the_number_of_the_agent():
    limit = {"id": "odd", "type": "concurrency", "limit": 1, "scope": "task:a_[13]_work"}
    lines = told(run(scenario(until="2s", constraints=[limit], count=12, steps=[WORK])))
    assert [line for line in lines if "Blocked" in line] == ["0 TaskBlocked a_3_work#0 odd 0"]


@pytest.mark.parametrize("rate", ["1.5/s", "0.5/s", "2.5/s", "10/m", "5/200ms"])
def test_a_log_holds_the_rate_and_the_depth_that_the_scenario_meant(rate):
    log = run(
        scenario(until="3s", constraints=[{"id": "r", "type": "rate_limit", "rate": rate}], count=20, steps=[WORK])
    )
    assert run(log.header.scenario).digest() == log.digest()


def test_changes_of_one_instant_are_made_before_anybody_is_tried():
    pauses = [{"id": "first", "type": "pause"}, {"id": "second", "type": "pause", "from": "2s", "expires": "4s"}]
    steps = [{"task": "t", "duration": "1s"}]
    assert told(run(scenario(until=None, constraints=pauses, arrivals={"at": ["1s"]}, steps=steps))) == [
        "1 TaskBlocked a_0_t#0 first 0",
        "2 ConstraintChanged first -1",
        "2 ConstraintChanged second 0",
        "2 TaskRebound a_0_t#0 second 1",
        "4 ConstraintChanged second -1",
        "4 TaskResumed a_0_t#0 second 3",
        "4 TaskStarted a_0_t#0 3",
        "5 TaskFinished a_0_t#0 succeeded",
        "5 RunFinished",
    ]


def test_buckets_that_refill_at_one_instant_let_the_oldest_go_first():
    buckets = [
        {"id": bucket, "type": "rate_limit", "rate": "1/s", "scope": f"task:*_{bucket}"} for bucket in ("one", "two")
    ]
    slot = {"id": "slot", "type": "concurrency", "limit": 1, "scope": "task:*"}
    now, work = {"duration": "0s"}, {"duration": "1s"}
    fleets = [
        {"name": "empty", "count": 1, "steps": [{"task": "one", **now}, {"task": "two", **now}]},
        {"name": "early", "arrivals": {"at": ["0.1s"]}, "steps": [{"task": "one", **work, "patience": "400ms"}]},
        {"name": "older", "arrivals": {"at": ["0.2s"]}, "steps": [{"task": "two", **work}]},
        {"name": "younger", "arrivals": {"at": ["0.3s"]}, "steps": [{"task": "one", **work}]},
    ]
    log = run(scenario(until=None, constraints=[*buckets, slot], fleets=fleets))
    assert [line for line in told(log) if float(line.split()[0]) >= 1] == [
        "1 TaskResumed older_0_two#0 two 0.8",
        "1 TaskStarted older_0_two#0 0.8",
        "1 TaskRebound younger_0_one#0 slot 0.7",
        "2 TaskFinished older_0_two#0 succeeded",
        "2 TaskResumed younger_0_one#0 slot 1.7",
        "2 TaskStarted younger_0_one#0 1.7",
        "3 TaskFinished younger_0_one#0 succeeded",
        "3 RunFinished",
    ]
