"""Limits beyond slots and buckets, by timelines worked out by hand: windows, quotas, resources, when a cost is charged."""

from tests.runs import run, scenario, starts, told


def limit(**rest):
    return {"id": "limit", "type": "rate_limit", "scope": "global", **rest}


def at(*times):
    return {"at": [f"{time}s" for time in times]}


NOW = [{"task": "t", "duration": "0s"}]


def test_a_fixed_window_begins_again_at_every_multiple_of_its_period():
    rows = [limit(rate="2/10s", algorithm="fixed_window")]
    assert starts(run(scenario(until=None, constraints=rows, arrivals=at(9, 9, 9, 11, 12), steps=NOW))) == [
        9,
        9,
        10,
        11,
        20,
    ]


def test_a_fixed_window_rejects_until_the_next():
    rows = [limit(rate="1/10s", algorithm="fixed_window", on_limit="reject")]
    log = told(run(scenario(until=None, constraints=rows, arrivals=at(1, 7, 10), steps=NOW)))
    assert [line for line in log if "Started" in line or "Rejected" in line] == [
        "1 TaskStarted a_0_t#0 0",
        "7 TaskRejected a_1_t#0 limit 3",
        "10 TaskStarted a_2_t#0 0",
    ]


def test_a_change_of_a_fixed_window_knows_nothing_of_the_window_before():
    rows = [limit(rate="2/10s", algorithm="fixed_window", changes=[{"at": "15s", "rate": "3/10s"}])]
    log = run(scenario(until=None, constraints=rows, arrivals=at(0, 0, 16, 16, 16, 16), steps=NOW))
    assert starts(log) == [0, 0, 16, 16, 16, 20]


def test_a_change_of_a_sliding_window_does_not_count_again_what_was_gone():
    rows = [limit(rate="1/2s", algorithm="sliding_window", changes=[{"at": "5s", "rate": "1/10s"}])]
    assert starts(run(scenario(until=None, constraints=rows, arrivals=at(0, 6, 7), steps=NOW))) == [0, 6, 16]


def test_a_sliding_window_admits_so_many_in_any_window():
    rows = [limit(rate="2/10s", algorithm="sliding_window")]
    log = run(scenario(until=None, constraints=rows, arrivals=at(0, 9, 9, 9, 9), steps=NOW))
    assert starts(log) == [0, 9, 10, 19, 20]


def test_a_cost_in_a_sliding_window_waits_until_enough_is_gone():
    rows = [limit(rate="3/10s", algorithm="sliding_window")]
    fleets = [
        {"name": "a", "arrivals": at(0, 4), "steps": NOW},
        {"name": "b", "arrivals": at(5), "steps": [{"task": "t", "duration": "0s", "cost": 3}]},
    ]
    assert starts(run(scenario(until=None, constraints=rows, fleets=fleets))) == [0, 4, 14]


def test_a_quota_comes_back_each_period():
    rows = [{"id": "day", "type": "quota", "total": 2, "period": "1h", "scope": "global"}]
    assert starts(run(scenario(until=None, constraints=rows, arrivals=at(0, 1, 2, 3), steps=NOW))) == [0, 1, 3600, 3600]


def test_a_quota_without_a_period_is_used_up():
    budget = {"id": "budget", "type": "quota", "total": 0.1, "counts": "usd", "scope": "global", "on_limit": "reject"}
    steps = [{"task": "t", "duration": "0s", "cost": {"usd": 0.04}}]
    log = told(run(scenario(until=None, constraints=[budget], arrivals=at(0, 1, 2), steps=steps)))
    assert [line for line in log if "Started" in line or "Rejected" in line] == [
        "0 TaskStarted a_0_t#0 0",
        "1 TaskStarted a_1_t#0 0",
        "2 TaskRejected a_2_t#0 budget never",
    ]


def test_a_resource_is_held_in_fractions():
    memory = {"id": "memory", "type": "resource", "capacity": 1}
    steps = [{"task": "t", "duration": "1s", "needs": {"memory": 0.3}}]
    assert starts(run(scenario(until=None, constraints=[memory], count=4, steps=steps))) == [0, 0, 0, 1]


def test_a_drawn_amount_of_a_resource_is_stated_and_given_back():
    memory = {"id": "memory", "type": "resource", "capacity": 2}
    steps = [{"task": "t", "duration": "1s", "needs": {"memory": {"uniform": [1.5, 1.5]}}}]
    assert told(run(scenario(until=None, constraints=[memory], count=2, steps=steps)))[:6] == [
        "0 ResourceAcquired a_0_t#0 memory 1500000",
        "0 TaskStarted a_0_t#0 0",
        "0 TaskBlocked a_1_t#0 memory 0",
        "1 TaskFinished a_0_t#0 succeeded",
        "1 ResourceReleased a_0_t#0 memory 1500000",
        "1 TaskResumed a_1_t#0 memory 1",
    ]


def test_a_cost_that_is_charged_at_the_end_may_take_the_level_below_zero():
    rows = [limit(rate="1/s", burst=2, charge="on_finish")]
    fleets = [
        {"name": "a", "arrivals": at(0), "steps": [{"task": "t", "duration": "1s", "cost": 5}]},
        {"name": "b", "arrivals": at(0, 1), "steps": [{"task": "t", "duration": "10s"}]},
    ]
    # At 1 s the bucket is full and 5 are charged: 2 - 5 = -3, so that it has a token again at 5 s.
    log = told(run(scenario(until=None, constraints=rows, fleets=fleets)))
    assert log[:6] == [
        "0 TaskStarted a_0_t#0 0",
        "0 TaskStarted b_0_t#0 0",
        "1 TaskFinished a_0_t#0 succeeded",
        "1 ResourceReleased a_0_t#0 limit -5",
        "1 TaskBlocked b_1_t#0 limit 0",
        "5 TaskResumed b_1_t#0 limit 4",
    ]


def test_what_is_reserved_is_settled_at_the_end():
    rows = [limit(rate="1/s", burst=10, counts="tokens", charge="settle")]
    steps = [{"task": "t", "duration": "1s", "cost": {"tokens": 2}, "reserve": {"tokens": 8}}]
    # 8 of 10 are reserved. At 1 s there are 3, and 6 come back: 9, of which the second reserves 8.
    assert told(run(scenario(until="1s", constraints=rows, count=2, steps=steps))) == [
        "0 ResourceAcquired a_0_t#0 limit 8",
        "0 TaskStarted a_0_t#0 0",
        "0 TaskBlocked a_1_t#0 limit 0",
        "1 TaskFinished a_0_t#0 succeeded",
        "1 ResourceReleased a_0_t#0 limit 6",
        "1 TaskResumed a_1_t#0 limit 1",
        "1 ResourceAcquired a_1_t#0 limit 8",
        "1 TaskStarted a_1_t#0 1",
        "1 RunFinished",
    ]


def test_what_is_handed_back_brings_forward_when_there_is_enough():
    # At 0.5 s there is half a token, and one is handed back; the second half is there at 1 s, not at 2 s.
    bucket = limit(rate="1/s", burst=2, charge="settle")
    asks = {"task": "t", "duration": "500ms", "cost": {"requests": 1}, "reserve": {"requests": 2}}
    fleets = [
        {"name": "a", "count": 1, "steps": [asks]},
        {"name": "b", "count": 1, "steps": [{"task": "t", "duration": "0s", "cost": {"requests": 2}}]},
    ]
    assert starts(run(scenario(until=None, constraints=[bucket], fleets=fleets))) == [0, 1]


def reserving(algorithm):
    """Starts where 2 of 2 are reserved at 0 s, of which 1 is handed back at 3 s, and others want one each at 2.5 s."""
    rows = [limit(rate="2/2s", algorithm=algorithm, charge="settle")]
    asks = {"task": "t", "duration": "3s", "cost": {"requests": 1}, "reserve": {"requests": 2}}
    fleets = [{"name": "a", "count": 1, "steps": [asks]}, {"name": "b", "arrivals": at(2.5, 2.5, 2.5), "steps": NOW}]
    return starts(run(scenario(until=None, constraints=rows, fleets=fleets)))


def test_what_is_handed_back_of_a_window_that_is_over_makes_no_room_in_the_next():
    assert reserving("fixed_window") == [0, 2.5, 2.5, 4]


def test_what_is_handed_back_in_a_sliding_window_counts_no_longer_than_what_was_taken():
    assert reserving("sliding_window") == [0, 2.5, 2.5, 4.5]
    # 1 of 2 is handed back at 1.5 s, and would make room for three from 2 s on if it counted until 3.5 s.
    rows = [limit(rate="2/2s", algorithm="sliding_window", charge="settle")]
    asks = {"task": "t", "duration": "1500ms", "cost": {"requests": 1}, "reserve": {"requests": 2}}
    fleets = [{"name": "a", "count": 1, "steps": [asks]}, {"name": "b", "arrivals": at(1.6, 1.6, 1.6), "steps": NOW}]
    assert starts(run(scenario(until=None, constraints=rows, fleets=fleets))) == [0, 1.6, 2, 3.6]


def test_changes_come_again_and_again():
    changes = [{"at": "2s", "limit": 1}, {"at": "4s", "limit": 2}]
    rows = [{"id": "slots", "type": "concurrency", "limit": 2, "scope": "global", "every": "10s", "changes": changes}]
    log = told(run(scenario(until="14s", constraints=rows, steps=[{"think": "14s"}])))
    assert log == [
        "2 ConstraintChanged slots 1",
        "4 ConstraintChanged slots 2",
        "12 ConstraintChanged slots 1",
        "14 ConstraintChanged slots 2",
        "14 RunFinished",
    ]


BREAKER = {"id": "breaker", "type": "circuit_breaker", "scope": "global", "window": "60s", "open_for": "10s"}


def calls(*ends):
    """A fleet for each call: it starts at a time, lasts 1 s, and fails or not."""
    return [
        {
            "name": f"f{number}",
            "arrivals": at(time),
            "steps": [{"task": "t", "duration": "1s", "fail": 1.0 if failed else 0.0}],
        }
        for number, (time, failed) in enumerate(ends)
    ]


def test_a_circuit_breaker_opens_probes_and_closes():
    rows = [{**BREAKER, "min_calls": 2, "failure_ratio": 0.5}]
    fleets = calls((0, False), (1, True), (3, True), (12, False), (12, True), (14, True))
    # At 2 s one of two has failed: open until 12 s. Then one probe, which succeeds at 13 s.
    log = told(run(scenario(until=None, constraints=rows, fleets=fleets)))
    assert [line for line in log if "Changed" in line or "Rejected" in line] == [
        "2 ConstraintChanged breaker 0",
        "3 TaskRejected f2_0_t#0 breaker 9",
        "12 ConstraintChanged breaker 1",
        "12 TaskRejected f4_0_t#0 breaker never",
        "13 ConstraintChanged breaker -1",
    ]
    assert [line for line in log if "Started" in line][-1] == "14 TaskStarted f5_0_t#0 0"


def test_a_circuit_breaker_opens_again_when_its_probe_fails():
    rows = [{**BREAKER, "min_calls": 1}]
    log = told(run(scenario(until="30s", constraints=rows, fleets=calls((0, True), (11, True), (12, False)))))
    assert [line for line in log if "Changed" in line or "Rejected" in line] == [
        "1 ConstraintChanged breaker 0",
        "11 ConstraintChanged breaker 1",
        "12 ConstraintChanged breaker 0",
        "12 TaskRejected f2_0_t#0 breaker 10",
        "22 ConstraintChanged breaker 1",
    ]


def test_what_a_change_that_comes_again_leaves_out_stays_as_it_was():
    # At 3 s the burst becomes 1 again, and the rate stays at the 4/s that it has had since 1.5 s.
    changes = [{"at": "1s", "burst": 1}, {"at": "1500ms", "rate": "4/s"}]
    rows = [limit(rate="1/s", burst=2, changes=changes, every="2s")]
    log = run(scenario(until="5s", constraints=rows, arrivals=at(3, 3, 3), steps=NOW))
    assert starts(log) == [3, 3.25, 3.5]


def test_a_circuit_breaker_that_expires_while_it_is_open_stays_out_of_force():
    rows = [{**BREAKER, "min_calls": 1, "expires": "5s"}]
    steps = [{"task": "t", "duration": "1s", "fail": 1.0}]
    log = told(run(scenario(until="20s", constraints=rows, arrivals=at(0, 2, 6), steps=steps)))
    assert [line for line in log if "Task" not in line or "Started" in line or "Rejected" in line] == [
        "0 TaskStarted a_0_t#0 0",
        "1 ConstraintChanged breaker 0",
        "2 TaskRejected a_1_t#0 breaker 9",
        "5 ConstraintChanged breaker -1",
        "6 TaskStarted a_2_t#0 0",
        "20 RunFinished",
    ]


def test_a_circuit_breaker_forgets_what_is_out_of_its_window():
    rows = [{**BREAKER, "min_calls": 2, "window": "5s"}]
    log = told(run(scenario(until=None, constraints=rows, fleets=calls((0, True), (9, True)))))
    assert not [line for line in log if "Changed" in line]


def test_an_adaptive_limit_grows_with_success_and_shrinks_with_failure():
    rows = [{"id": "slots", "type": "adaptive", "limit": 2, "max": 4, "scope": "global"}]
    fleets = [{"name": "a", "count": 6, "steps": [{"task": "t", "duration": "1s"}]}, *calls((5, True))]
    # 2, then 2 + 1/2 = 2.5, 2.5 + 1/2.5 = 2.9 at 1 s; 3.24 and 3.55 at 2 s; 3.83 and 4.09, which is too much, at 3 s.
    log = told(run(scenario(until=None, constraints=rows, fleets=fleets)))
    assert [line for line in log if "Changed" in line] == [
        "2 ConstraintChanged slots 3",
        "3 ConstraintChanged slots 4",
        "6 ConstraintChanged slots 2",
    ]
    assert starts(run(scenario(until=None, constraints=rows, fleets=fleets))) == [0, 0, 1, 1, 2, 2, 5]


def test_an_adaptive_limit_takes_a_slow_task_for_a_failure():
    rows = [{"id": "slots", "type": "adaptive", "limit": 4, "latency": "500ms", "cooldown": "10s", "scope": "global"}]
    steps = [{"task": "t", "duration": "1s"}]
    log = told(run(scenario(until=None, constraints=rows, count=3, steps=steps)))
    assert [line for line in log if "Changed" in line] == ["1 ConstraintChanged slots 2"]


def test_who_gives_up_before_it_works_gives_back_its_probe_and_what_it_reserved():
    rows = [
        {**BREAKER, "min_calls": 1, "open_for": "1s", "scope": "task:[acd]_*"},
        {"id": "tokens", "type": "rate_limit", "rate": "1/h", "burst": 10, "charge": "settle", "scope": "task:[acd]_*"},
        {"id": "slot", "type": "concurrency", "limit": 1},
    ]
    asks = {"task": "t", "duration": "1s", "reserve": {"requests": 6}, "acquire": ["breaker", "tokens", "slot"]}
    fleets = [
        {"name": "a", "arrivals": at(0), "steps": [{**asks, "fail": 1.0}]},
        {"name": "b", "arrivals": at(2), "steps": [{"task": "t", "duration": "9s"}]},
        {"name": "c", "arrivals": at(3), "steps": [{**asks, "patience": "1s"}]},
        {"name": "d", "arrivals": at(5), "steps": [asks]},
    ]
    # At 1 s the breaker opens until 2 s, and 9 tokens are left. c takes the one probe and 6 tokens, and gives them back.
    log = told(run(scenario(until="11s", constraints=rows, fleets=fleets)))
    assert [line for line in log if "c_0" in line or "d_0" in line] == [
        "3 ResourceAcquired c_0_t#0 breaker 1",
        "3 ResourceAcquired c_0_t#0 tokens 6",
        "3 TaskBlocked c_0_t#0 slot 0",
        "4 TaskAbandoned c_0_t#0 slot 1",
        "4 TaskFinished c_0_t#0 cancelled",
        "4 ResourceReleased c_0_t#0 tokens 6",
        "5 ResourceAcquired d_0_t#0 breaker 1",
        "5 ResourceAcquired d_0_t#0 tokens 6",
        "5 TaskBlocked d_0_t#0 slot 0",
        "11 TaskResumed d_0_t#0 slot 6",
        "11 ResourceAcquired d_0_t#0 slot 1",
        "11 TaskStarted d_0_t#0 6",
    ]
