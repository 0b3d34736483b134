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
