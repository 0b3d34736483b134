"""What the limits of model providers add: tokens as they are produced, caches, slices, ramps, refusals; by hand."""

import pytest
from pydantic import ValidationError

from model.scenario import Scenario
from tests.runs import run, scenario, starts, told


def limit(**rest):
    return {"id": "limit", "type": "rate_limit", "scope": "global", **rest}


def at(*times):
    return {"at": [f"{time}s" for time in times]}


def task(duration="0s", **rest):
    return [{"task": "t", "duration": duration, **rest}]


def rejected(rows, times, steps):
    log = told(run(scenario(until=None, constraints=rows, arrivals=at(*times), steps=steps)))
    return [line for line in log if "Rejected" in line]


def test_tokens_are_charged_as_they_are_produced():
    rows = [limit(rate="60/m", counts="tokens", charge="as_produced")]
    steps = task("4s", cost={"tokens": 100})
    # Full at 60. At 1 s 60 - 25 = 35; at 2 s 36 - 25 = 11, enough for another to start; at 3 s 12 - 50 = -38, and so on
    # to -135 at 6 s, from which it takes 136 s to earn one.
    assert told(run(scenario(until="142s", constraints=rows, arrivals=at(0, 2, 3), steps=steps))) == [
        "0 TaskStarted a_0_t#0 0",
        "1 ResourceReleased a_0_t#0 limit -25",
        "2 ResourceReleased a_0_t#0 limit -25",
        "2 TaskStarted a_1_t#0 0",
        "3 ResourceReleased a_0_t#0 limit -25",
        "3 ResourceReleased a_1_t#0 limit -25",
        "3 TaskBlocked a_2_t#0 limit 0",
        "4 TaskFinished a_0_t#0 succeeded",
        "4 ResourceReleased a_0_t#0 limit -25",
        "4 ResourceReleased a_1_t#0 limit -25",
        "5 ResourceReleased a_1_t#0 limit -25",
        "6 TaskFinished a_1_t#0 succeeded",
        "6 ResourceReleased a_1_t#0 limit -25",
        "142 TaskResumed a_2_t#0 limit 139",
        "142 TaskStarted a_2_t#0 139",
        "142 RunFinished",
    ]


def test_two_limits_may_charge_in_chunks_of_their_own():
    rows = [
        limit(id="key", rate="1k/m", counts="tokens", charge="as_produced", chunk="400ms"),
        limit(id="all", rate="1k/m", counts="tokens", charge="as_produced", scope="fleet:a", chunk="700ms"),
    ]
    log = told(run(scenario(until=None, constraints=rows, steps=task("1s", cost={"tokens": 7}))))
    assert log == [
        "0 TaskStarted a_0_t#0 0",
        "0.4 ResourceReleased a_0_t#0 key -2",  # 2.8, of which whole tokens count
        "0.7 ResourceReleased a_0_t#0 all -4",
        "0.8 ResourceReleased a_0_t#0 key -3",
        "1 TaskFinished a_0_t#0 succeeded",
        "1 ResourceReleased a_0_t#0 key -2",
        "1 ResourceReleased a_0_t#0 all -3",
        "1 RunFinished",
    ]


def test_who_times_out_has_produced_a_part_and_who_tries_again_produces_anew():
    rows = [limit(rate="1k/m", counts="tokens", charge="as_produced")]
    steps = task("4s", cost={"tokens": 40}, timeout="1500ms", retry={"max_attempts": 2})
    log = told(run(scenario(until=None, constraints=rows, steps=steps)))
    assert [line for line in log if "Released" in line] == [
        "1 ResourceReleased a_0_t#0 limit -10",
        "1.5 ResourceReleased a_0_t#0 limit -5",
        "2.5 ResourceReleased a_0_t#0.1 limit -10",
        "3 ResourceReleased a_0_t#0.1 limit -5",
    ]


def test_who_is_preempted_goes_on_to_produce_what_is_left_of_its_work():
    slot = {"id": "slot", "type": "concurrency", "limit": 1, "queue": "priority", "preempt": "resume"}
    rows = [slot, limit(rate="1k/m", counts="tokens", charge="as_produced", chunk="10s", scope="fleet:low")]
    fleets = [
        {"name": "low", "count": 1, "steps": task("4s", cost={"tokens": 40})},
        {"name": "high", "arrivals": at(1), "priority": 1, "steps": task("1s")},
    ]
    log = told(run(scenario(until=None, constraints=rows, fleets=fleets)))
    assert [line for line in log if "low" in line and "d low_0_t#0 slot" not in line and "0.1 slot 1" not in line] == [
        "0 TaskStarted low_0_t#0 0",
        "1 TaskFinished low_0_t#0 preempted",
        "1 ResourceReleased low_0_t#0 limit -10",
        "1 TaskBlocked low_0_t#0.1 slot 0",
        "2 TaskStarted low_0_t#0.1 1",
        "5 TaskFinished low_0_t#0.1 succeeded",
        "5 ResourceReleased low_0_t#0.1 limit -40",  # the whole request again
    ]


def test_a_retry_that_keeps_its_slot_pays_at_its_end_too():
    rows = [
        {"id": "slot", "type": "concurrency", "limit": 1},
        limit(rate="10/m", charge="on_finish"),
    ]
    steps = task("1s", fail=1.0, retry={"max_attempts": 3, "hold_during_backoff": True})
    log = told(run(scenario(until=None, constraints=rows, steps=steps)))
    assert [line for line in log if "limit" in line] == [
        "1 ResourceReleased a_0_t#0 limit -1",
        "2 ResourceReleased a_0_t#0.1 limit -1",
        "3 ResourceReleased a_0_t#0.2 limit -1",
    ]


def test_what_a_cache_answered_may_cost_nothing():
    """Published for Claude: 2M uncached input tokens a minute, of which 80 % come from the cache, are 10M in all."""
    rows = [limit(rate="2M/m", burst="2M", counts="input", cached="exempt")]
    steps = task(cost={"input": "100k"}, cached={"input": 0.8})
    assert starts(run(scenario(until=None, constraints=rows, count=101, steps=steps))) == [0.0] * 100 + [0.6]
    rows = [limit(rate="2M/m", burst="2M", counts="input")]
    assert starts(run(scenario(until=None, constraints=rows, count=21, steps=steps))) == [0.0] * 20 + [3]


def test_a_drawn_cost_is_the_same_with_and_without_its_cache():
    rows = [limit(id="all", rate="1M/m", counts="input"), limit(id="new", rate="1M/m", counts="input", cached="exempt")]
    rows[1]["scope"] = "fleet:a"
    steps = task(cost={"input": {"uniform": [1000, 9000]}}, cached={"input": 0.75})
    log = told(run(scenario(until=None, constraints=rows, count=5, steps=steps)))
    costs = [[int(line.split()[-1]) for line in log if f"Acquired a_{agent}" in line] for agent in range(5)]
    assert [new for _, new in costs] == [round(whole * 0.25) for whole, _ in costs]
    assert len({whole for whole, _ in costs}) == 5


def test_a_minute_enforced_in_slices_admits_a_slice_of_it():
    """Published for Azure: of 600 requests a minute more than ten in a second are refused."""
    rows = [limit(rate="600/m", algorithm="fixed_window", slice="1s")]
    started = starts(run(scenario(until=None, constraints=rows, count=25, steps=task())))
    assert started == [0.0] * 10 + [1.0] * 10 + [2.0] * 5
    assert rejected([{**rows[0], "on_limit": "reject"}], [0.5] * 11, task()) == ["0.5 TaskRejected a_10_t#0 limit 0.5"]


def test_a_window_may_begin_with_its_first_use():
    rows = [limit(rate="2/5h", algorithm="fixed_window", begins="first_use")]
    # From 1 h to 6 h there are two; the third begins a window at 6 h, which ends at 11 h.
    times = [3600, 7200, 10800, 7 * 3600, 8 * 3600]
    started = starts(run(scenario(until=None, constraints=rows, arrivals=at(*times), steps=task())))
    assert [time / 3600 for time in started] == [1, 2, 6, 7, 11]


def test_a_quota_may_begin_with_its_first_use():
    rows = [{"id": "q", "type": "quota", "total": 1, "period": "1h", "begins": "first_use"}]
    assert starts(run(scenario(until=None, constraints=rows, arrivals=at(600, 660, 9000), steps=task()))) == [
        600,
        4200,
        9000,
    ]


def test_load_may_grow_by_so_much_a_window():
    rows = [limit(rate="4/m", algorithm="ramp", growth=1.5)]
    started = starts(run(scenario(until=None, constraints=rows, count=32, steps=task())))
    # 4, then 6, 9, and the 13 that are left: 13 is what 13.5 allows.
    assert [started.count(60.0 * minute) for minute in range(4)] == [4, 6, 9, 13]


def test_a_ramp_falls_back_after_a_window_of_less():
    rows = [limit(rate="2/m", algorithm="ramp", growth=2.0)]
    times = [*[0] * 2, *[60] * 4, 120, *[180] * 3, *[300] * 3]
    started = starts(run(scenario(until=None, constraints=rows, arrivals=at(*times), steps=task())))
    assert started == [0, 0, 60, 60, 60, 60, 120, 180, 180, 240, 300, 300, 360]


def test_a_ramp_begins_anew_after_a_window_in_which_nothing_was_used():
    """4 are used in the second minute and none in the third: in the fourth there are 2 again, and in the fifth 4."""
    rows = [limit(rate="2/m", algorithm="ramp", growth=2.0)]
    times = [*[0] * 2, *[60] * 4, *[180] * 5]
    started = starts(run(scenario(until=None, constraints=rows, arrivals=at(*times), steps=task())))
    assert started == [0, 0, 60, 60, 60, 60, 180, 180, 240, 240, 240]


@pytest.mark.parametrize(("rule", "says"), [("exact", "6.5"), ("seconds", "7"), ("none", "never"), ("90s", "90")])
def test_a_refusal_says_when_to_come_again_by_the_rule_of_its_limit(rule, says):
    rows = [limit(rate="1/10s", on_limit="reject", retry_after=rule)]
    assert rejected(rows, [0, 3.5], task()) == [f"3.5 TaskRejected a_1_t#0 limit {says}"]


@pytest.mark.parametrize(("cost", "says"), [(9_223_372_095, "9223372035"), (9_223_372_096, "never")])
def test_a_refusal_names_no_time_that_no_clock_can_say(cost, says):
    """A clock goes up to 2^63 - 1 ns, which is 9,223,372,036.85 s. At 1 s 61 of the tokens are earned that it takes."""
    rows = [limit(rate="60/m", on_limit="reject", charge="on_finish")]
    assert rejected(rows, [0, 1], task(cost={"requests": cost})) == [f"1 TaskRejected a_1_t#0 limit {says}"]


def test_a_full_concurrency_limit_may_name_a_time():
    rows = [{"id": "slots", "type": "concurrency", "limit": 1, "on_limit": "reject", "retry_after": "60s"}]
    assert rejected(rows, [0, 1], task("5s")) == ["1 TaskRejected a_1_t#0 slots 60"]


def test_limits_of_a_minute_and_a_day_both_hold():
    rows = [limit(id="rpm", rate="2/m"), limit(id="rpd", rate="3/d", algorithm="fixed_window")]
    assert starts(run(scenario(until=None, constraints=rows, count=5, steps=task()))) == [0, 0, 30, 86400, 86400]


def test_a_day_and_a_week_both_hold():
    def quota(period, total):
        return {"id": f"per_{period}", "type": "quota", "total": total, "period": period}

    rows = [quota("5h", 2), quota("7d", 3)]
    assert starts(run(scenario(until=None, constraints=rows, count=4, steps=task()))) == [0, 0, 18000, 604800]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"rate": "6/m", "chunk": "1s"}, "chunk without charge: as_produced"),
        ({"rate": "6/m", "slice": "10s"}, "slice without algorithm: fixed_window"),
        ({"rate": "6/m", "slice": "7s", "algorithm": "fixed_window"}, "a slice of 7s of 6/1m"),
        ({"rate": "6/m", "slice": "1s", "algorithm": "fixed_window"}, "a slice of 1s of 6/1m"),
        ({"rate": "6/m", "growth": 2.0}, "growth without algorithm: ramp"),
        ({"rate": "6/m", "begins": "first_use"}, "begins without algorithm: fixed_window"),
    ],
)
def test_a_key_that_would_mean_nothing_is_refused(row, text):
    with pytest.raises(ValidationError, match=text):
        Scenario.model_validate(scenario(constraints=[limit(**row)], steps=task()))
