"""What a task does beside working, by timelines worked out by hand: failures, retries, patience, skipping."""

import pytest

from tests.runs import run, scenario, starts, told

SLOT = {"id": "slot", "type": "concurrency", "limit": 1}
RETRY = {"max_attempts": 3, "delay": "1s"}


def task(**rest):
    return {"task": "work", "duration": "1s", **rest}


def test_a_failed_attempt_is_tried_again_after_the_delay():
    log = run(scenario(until=None, steps=[task(fail=[1, 1, 0], retry=RETRY)]))
    assert told(log) == [
        "0 TaskStarted a_0_work#0 0",
        "1 TaskFinished a_0_work#0 failed",
        "1 TaskRetrying a_0_work#0 1",
        "2 TaskStarted a_0_work#0.1 0",
        "3 TaskFinished a_0_work#0.1 failed",
        "3 TaskRetrying a_0_work#0.1 1",
        "4 TaskStarted a_0_work#0.2 0",
        "5 TaskFinished a_0_work#0.2 succeeded",
        "5 RunFinished",
    ]


def test_after_the_last_attempt_the_agent_goes_on():
    steps = [task(fail=1.0, retry={"max_attempts": 2, "delay": "1s"}), {"task": "next", "duration": "1s"}]
    assert told(run(scenario(until=None, steps=steps))) == [
        "0 TaskStarted a_0_work#0 0",
        "1 TaskFinished a_0_work#0 failed",
        "1 TaskRetrying a_0_work#0 1",
        "2 TaskStarted a_0_work#0.1 0",
        "3 TaskFinished a_0_work#0.1 failed",
        "3 TaskStarted a_0_next#0 0",
        "4 TaskFinished a_0_next#0 succeeded",
        "4 RunFinished",
    ]


def test_a_failure_may_stop_the_agent():
    steps = [task(fail=1.0, on_failure="stop"), {"task": "next", "duration": "1s"}]
    assert told(run(scenario(until=None, steps=steps)), without=("RunStarted",)) == [
        "0 AgentStarted 0",
        "0 TaskStarted a_0_work#0 0",
        "1 TaskFinished a_0_work#0 failed",
        "1 AgentFinished 0",
        "1 RunFinished",
    ]


def test_a_failure_may_jump_out_of_a_loop_whose_laps_start_again():
    inner = [task(fail=1.0, on_failure={"goto": "plan"}), {"task": "never", "duration": "1s"}]
    steps = [{"think": "1s", "name": "plan"}, {"repeat": 2, "steps": inner}]
    assert told(run(scenario(until="5s", steps=steps))) == [
        "1 TaskStarted a_0_work#0 0",
        "2 TaskFinished a_0_work#0 failed",
        "3 TaskStarted a_0_work#1 0",
        "4 TaskFinished a_0_work#1 failed",
        "5 TaskStarted a_0_work#2 0",
        "5 RunFinished",
    ]


def test_back_off_grows_by_its_factor_up_to_its_cap():
    retry = {"max_attempts": 5, "delay": "1s", "factor": 2, "cap": "3s"}
    assert starts(run(scenario(until=None, steps=[task(fail=1.0, retry=retry)]))) == [0, 2, 5, 9, 13]


def test_a_budget_of_retries_is_shared_by_the_fleet():
    # Two to begin with: the first two of the three who fail at 1 s are tried again, the third is not.
    steps = [task(fail=1.0, retry={**RETRY, "budget": {"ratio": 0, "burst": 2}})]
    assert told(run(scenario(until=None, count=3, steps=steps))) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskStarted a_1_work#0 0",
        "0 TaskStarted a_2_work#0 0",
        "1 TaskFinished a_0_work#0 failed",
        "1 TaskRetrying a_0_work#0 1",
        "1 TaskFinished a_1_work#0 failed",
        "1 TaskRetrying a_1_work#0 1",
        "1 TaskFinished a_2_work#0 failed",
        "2 TaskStarted a_0_work#0.1 0",
        "2 TaskStarted a_1_work#0.1 0",
        "3 TaskFinished a_0_work#0.1 failed",
        "3 TaskFinished a_1_work#0.1 failed",
        "3 RunFinished",
    ]


def test_first_attempts_pay_into_the_budget_and_it_holds_no_more_than_its_burst():
    # One to begin with, of which the first two visits could not add anything. The retry of the first leaves 0; then each of
    # the next visits pays in a half: the second has 0.5 and is not tried again, the third has 1 and is.
    steps = [{"repeat": 3, "steps": [task(fail=1.0, retry={"max_attempts": 2, "budget": {"ratio": 0.5, "burst": 1}})]}]
    assert told(run(scenario(until=None, steps=steps)), without=("RunStarted", "AgentStarted", "TaskFinished"))[
        :-2
    ] == [
        "0 TaskStarted a_0_work#0 0",
        "1 TaskRetrying a_0_work#0 0",
        "1 TaskStarted a_0_work#0.1 0",
        "2 TaskStarted a_0_work#1 0",
        "3 TaskStarted a_0_work#2 0",
        "4 TaskRetrying a_0_work#2 0",
        "4 TaskStarted a_0_work#2.1 0",
    ]


def test_a_ratio_alone_is_a_budget_that_begins_with_ten():
    steps = [task(fail=1.0, retry={"max_attempts": 100, "budget": 0.5})]
    assert len(starts(run(scenario(until=None, steps=steps)))) == 11


def test_tenths_in_a_budget_are_exact():
    # Ten visits pay in a tenth each: exactly one retry, though the sum of ten floats 0.1 is below 1.
    retry = {"max_attempts": 2, "budget": {"ratio": 0.1, "burst": 1}}
    steps = [{"repeat": 11, "steps": [task(fail=1.0, retry=retry)]}]
    again = [line for line in told(run(scenario(until=None, steps=steps))) if "Retrying" in line]
    assert again == ["1 TaskRetrying a_0_work#0 0", "12 TaskRetrying a_0_work#10 0"]


def test_a_visit_that_is_skipped_pays_nothing_and_who_gives_up_costs_nothing():
    retry = {"max_attempts": 2, "budget": {"ratio": 1, "burst": 1}}
    skipped = task(fail=1.0, skip_if=1.0, retry=retry)
    log = run(scenario(until=None, steps=[{"repeat": 3, "steps": [skipped]}]))
    assert not starts(log)
    waits = task(duration="3s", patience="1s", fail=1.0, retry={**retry, "budget": {"ratio": 0, "burst": 1}})
    log = run(scenario(until=None, constraints=[SLOT], count=2, steps=[waits]))
    assert [line for line in told(log) if "Retrying" in line] == ["3 TaskRetrying a_0_work#0 0"]


def test_steps_have_budgets_of_their_own():
    retry = {"max_attempts": 2, "budget": {"ratio": 0, "burst": 1}}
    steps = [task(fail=1.0, retry=retry), {**task(fail=1.0, retry=retry), "task": "other"}]
    again = [line for line in told(run(scenario(until=None, steps=steps))) if "Retrying" in line]
    assert again == ["1 TaskRetrying a_0_work#0 0", "3 TaskRetrying a_0_other#0 0"]


def test_a_timeout_ends_an_attempt_and_is_a_failure():
    steps = [task(duration="3s", timeout="2s", retry={"max_attempts": 2, "delay": "1s"})]
    assert told(run(scenario(until=None, steps=steps))) == [
        "0 TaskStarted a_0_work#0 0",
        "2 TaskFinished a_0_work#0 timed_out",
        "2 TaskRetrying a_0_work#0 1",
        "3 TaskStarted a_0_work#0.1 0",
        "5 TaskFinished a_0_work#0.1 timed_out",
        "5 RunFinished",
    ]


def test_who_finishes_at_the_timeout_has_succeeded():
    assert "succeeded" in told(run(scenario(until=None, steps=[task(duration="2s", timeout="2s")])))[1]


def test_who_has_waited_too_long_gives_up():
    log = run(scenario(until=None, constraints=[SLOT], count=2, steps=[task(duration="3s", patience="2s")]))
    assert told(log) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskBlocked a_1_work#0 slot 0",
        "2 TaskAbandoned a_1_work#0 slot 2",
        "2 TaskFinished a_1_work#0 cancelled",
        "3 TaskFinished a_0_work#0 succeeded",
        "3 RunFinished",
    ]


def test_a_grant_at_the_end_of_the_patience_wins():
    log = run(scenario(until=None, constraints=[SLOT], count=2, steps=[task(duration="2s", patience="2s")]))
    assert told(log)[2:5] == [
        "2 TaskFinished a_0_work#0 succeeded",
        "2 TaskResumed a_1_work#0 slot 2",
        "2 TaskStarted a_1_work#0 2",
    ]


def test_a_rejection_says_when_and_the_retry_waits_for_it():
    rpm = {"id": "rps", "type": "rate_limit", "rate": "1/4s", "burst": 1, "on_limit": "reject"}
    log = run(scenario(until=None, constraints=[rpm], count=2, steps=[task(retry=RETRY)]))
    assert told(log) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskRejected a_1_work#0 rps 4",
        "0 TaskFinished a_1_work#0 failed",
        "0 TaskRetrying a_1_work#0 4",
        "1 TaskFinished a_0_work#0 succeeded",
        "4 TaskStarted a_1_work#0.1 0",
        "5 TaskFinished a_1_work#0.1 succeeded",
        "5 RunFinished",
    ]


def test_a_retry_that_does_not_heed_the_rejection_is_rejected_again():
    rpm = {"id": "rps", "type": "rate_limit", "rate": "1/4s", "burst": 1, "on_limit": "reject"}
    steps = [task(retry={**RETRY, "retry_after": False})]
    assert [
        line for line in told(run(scenario(until=None, constraints=[rpm], count=2, steps=steps))) if "a_1" in line
    ] == [
        "0 TaskRejected a_1_work#0 rps 4",
        "0 TaskFinished a_1_work#0 failed",
        "0 TaskRetrying a_1_work#0 1",
        "1 TaskRejected a_1_work#0.1 rps 3",
        "1 TaskFinished a_1_work#0.1 failed",
        "1 TaskRetrying a_1_work#0.1 1",
        "2 TaskRejected a_1_work#0.2 rps 2",
        "2 TaskFinished a_1_work#0.2 failed",
    ]


def test_a_full_slot_rejects_and_cannot_say_when():
    log = run(scenario(until=None, constraints=[{**SLOT, "on_limit": "reject"}], count=2, steps=[task()]))
    assert told(log)[:3] == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskRejected a_1_work#0 slot never",
        "0 TaskFinished a_1_work#0 failed",
    ]


def test_a_retry_gives_its_slot_back_while_it_backs_off():
    steps = [task(fail=[1, 0], retry={"max_attempts": 2, "delay": "1s"})]
    assert told(run(scenario(until=None, constraints=[SLOT], count=2, steps=steps)))[:5] == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskBlocked a_1_work#0 slot 0",
        "1 TaskFinished a_0_work#0 failed",
        "1 TaskResumed a_1_work#0 slot 1",
        "1 TaskStarted a_1_work#0 1",
    ]


def test_a_retry_keeps_its_slot_while_it_backs_off():
    retry = {"max_attempts": 2, "delay": "1s", "hold_during_backoff": True}
    steps = [task(fail=[1, 0], retry=retry)]
    assert told(run(scenario(until=None, constraints=[SLOT], count=2, steps=steps)))[:12] == [
        "0 ResourceAcquired a_0_work#0 slot 1",
        "0 TaskStarted a_0_work#0 0",
        "0 TaskBlocked a_1_work#0 slot 0",
        "1 TaskFinished a_0_work#0 failed",
        "1 TaskRetrying a_0_work#0 1",
        "2 TaskStarted a_0_work#0.1 0",
        "3 TaskFinished a_0_work#0.1 succeeded",
        "3 ResourceReleased a_0_work#0.1 slot 1",
        "3 TaskResumed a_1_work#0 slot 3",
        "3 ResourceAcquired a_1_work#0 slot 1",
        "3 TaskStarted a_1_work#0 3",
        "4 TaskFinished a_1_work#0 failed",
    ]


def test_who_is_called_off_while_it_backs_off_gives_back_what_the_attempt_before_held():
    steps = [task(fail=1, retry={"max_attempts": 2, "delay": "5s", "hold_during_backoff": True})]
    fleet = {"name": "a", "count": 1, "life": "2s", "steps": steps}
    assert told(run(scenario(until=None, constraints=locks("x"), fleets=[fleet])))[3:-1] == [
        "1 TaskRetrying a_0_work#0 5",
        "2 TaskAbandoned a_0_work#0.1 1",  # of the back-off
        "2 TaskFinished a_0_work#0.1 cancelled",
        "2 ResourceReleased a_0_work#0.1 x 1",
    ]


def test_a_task_is_skipped_by_condition():
    steps = [task(skip_if=1.0), {"task": "next", "duration": "1s"}]
    assert told(run(scenario(until=None, steps=steps)))[:2] == [
        "0 TaskSkipped a_0_work#0 condition",
        "0 TaskStarted a_0_next#0 0",
    ]


def test_a_task_is_skipped_by_a_cache_hit():
    log = run(scenario(until=None, steps=[task(skip_if={"cache_hit": 1.0})]))
    assert told(log)[0] == "0 TaskSkipped a_0_work#0 cache_hit"


def locks(*names):
    return [{"id": name, "type": "concurrency", "limit": 1} for name in names]


def both(*order, **rest):
    return [{"task": "t", "duration": "1s", "needs": {"a": 1, "b": 1}, "acquire": list(order), **rest}]


def test_what_is_acquired_in_order_is_held_while_the_task_waits_for_the_next():
    fleets = [
        {"name": "x", "count": 1, "steps": [{"task": "only", "duration": "1s", "needs": {"b": 1}}]},
        {"name": "y", "count": 1, "steps": both("a", "b")},
        {"name": "z", "count": 1, "steps": [{"task": "only", "duration": "1s", "needs": {"a": 1}}]},
    ]
    assert told(
        run(scenario(until=None, constraints=[{**row, "scope": None} for row in locks("a", "b")], fleets=fleets))
    )[:8] == [
        "0 TaskStarted x_0_only#0 0",
        "0 ResourceAcquired y_0_t#0 a 1",
        "0 TaskBlocked y_0_t#0 b 0",
        "0 TaskBlocked z_0_only#0 a 0",
        "1 TaskFinished x_0_only#0 succeeded",
        "1 TaskResumed y_0_t#0 b 1",
        "1 ResourceAcquired y_0_t#0 b 1",
        "1 TaskStarted y_0_t#0 1",
    ]


def test_two_locks_in_opposite_order_wait_for_each_other_for_good():
    steps = [
        [{"task": "t", "duration": "1s", "needs": {"a": 1, "b": 1, "pace": 1}, "acquire": order}]
        for order in (["a", "pace", "b"], ["b", "a"])
    ]
    pace = {"id": "pace", "type": "rate_limit", "rate": "1/s", "burst": 1}
    fleets = [
        {"name": "w", "count": 1, "steps": [{"task": "t", "duration": "0s", "needs": {"pace": 1}}]},
        {"name": "x", "count": 1, "steps": steps[0]},
        {"name": "y", "count": 1, "steps": steps[1]},
    ]
    rows = [{**row, "scope": None} for row in [*locks("a", "b"), pace]]
    log = told(run(scenario(until="9s", constraints=rows, fleets=fleets)))
    assert log[-7:-1] == [
        "0 TaskBlocked y_0_t#0 a 0",
        "1 TaskResumed x_0_t#0 pace 1",
        "1 ResourceAcquired x_0_t#0 pace 1",
        "1 TaskBlocked x_0_t#0 b 0",
        "1 DeadlockDetected x_0_t#0 b 2",
        "1 DeadlockDetected y_0_t#0 a 0",
    ]


def test_who_gives_up_in_between_gives_back_what_it_has():
    fleets = [
        {"name": "x", "count": 1, "steps": [{"task": "only", "duration": "9s", "needs": {"b": 1}}]},
        {"name": "y", "count": 1, "steps": both("a", "b", patience="2s")},
    ]
    rows = [{**row, "scope": None} for row in locks("a", "b")]
    assert told(run(scenario(until=None, constraints=rows, fleets=fleets)))[3:6] == [
        "2 TaskAbandoned y_0_t#0 b 2",
        "2 TaskFinished y_0_t#0 cancelled",
        "2 ResourceReleased y_0_t#0 a 1",
    ]


def test_every_attempt_that_waits_has_the_patience_of_its_visit():
    slot = {**SLOT, "on_limit": "block"}
    steps = [task(fail=1.0, retry={"max_attempts": 3}, patience={"uniform": ["9s", "10s"]})]
    log = told(run(scenario(until=None, constraints=[slot], count=2, steps=steps)))
    # They take turns, and each waits before each of its attempts but the very first.
    assert sum("TaskBlocked" in line for line in log) == 5
    assert sum("TaskStarted" in line for line in log) == 6


def test_all_that_was_acquired_in_order_goes_to_a_more_important_task():
    slot = {"id": "a", "type": "concurrency", "limit": 1, "queue": "priority", "preempt": "restart", "scope": None}
    fleets = [
        {"name": "low", "count": 1, "steps": [{**both("a", "b")[0], "duration": "2s"}]},
        {"name": "high", "arrivals": {"at": ["1s"]}, "priority": 5, "steps": [task(needs={"a": 1})]},
    ]
    constraints = [slot, {**locks("b")[0], "scope": None}]
    assert told(run(scenario(until=None, constraints=constraints, fleets=fleets))) == [
        "0 ResourceAcquired low_0_t#0 a 1",
        "0 ResourceAcquired low_0_t#0 b 1",
        "0 TaskStarted low_0_t#0 0",
        "1 TaskFinished low_0_t#0 preempted",
        "1 ResourceReleased low_0_t#0 a 1",
        "1 ResourceReleased low_0_t#0 b 1",
        "1 TaskStarted high_0_work#0 0",
        "1 TaskBlocked low_0_t#0.1 a 0",
        "2 TaskFinished high_0_work#0 succeeded",
        "2 TaskResumed low_0_t#0.1 a 1",
        "2 ResourceAcquired low_0_t#0.1 a 1",
        "2 ResourceAcquired low_0_t#0.1 b 1",
        "2 TaskStarted low_0_t#0.1 1",
        "4 TaskFinished low_0_t#0.1 succeeded",
        "4 ResourceReleased low_0_t#0.1 a 1",
        "4 ResourceReleased low_0_t#0.1 b 1",
        "4 RunFinished",
    ]


def test_a_processor_that_was_acquired_first_is_shared():
    constraints = [{**locks("a")[0], "queue": "processor_sharing", "scope": None}, {**locks("b")[0], "limit": 2}]
    log = told(run(scenario(until=None, constraints=constraints, count=2, steps=both("a", "b"))))
    assert [line for line in log if "Finished" in line][:2] == [
        "2 TaskFinished a_0_t#0 succeeded",
        "2 TaskFinished a_1_t#0 succeeded",
    ]


def test_an_attempt_that_keeps_its_slot_is_charged_at_its_end_like_all_others():
    budget = {"id": "budget", "type": "quota", "total": 10, "charge": "on_finish"}
    retry = {"max_attempts": 2, "delay": "1s", "hold_during_backoff": True}
    log = told(run(scenario(until=None, constraints=[*locks("a"), budget], steps=[task(fail=[1, 0], retry=retry)])))
    assert [line for line in log if "Acquired" in line or "Released" in line] == [
        "0 ResourceAcquired a_0_work#0 a 1",
        "1 ResourceReleased a_0_work#0 budget -1000000",
        "3 ResourceReleased a_0_work#0.1 a 1",
        "3 ResourceReleased a_0_work#0.1 budget -1000000",
    ]


def test_who_acquires_one_thing_after_another_does_not_overtake_those_who_wait_for_the_next():
    rows = [{**row, "scope": None} for row in locks("a", "b")]
    only = [{"task": "only", "duration": "1s", "needs": {"b": 1}}]
    fleets = [
        {"name": "x", "count": 1, "steps": [{"task": "all", "duration": "1s", "needs": {"a": 1, "b": 1}}]},
        {"name": "y", "count": 1, "steps": both("a", "b")},
        {"name": "z", "count": 1, "steps": only},
    ]
    assert told(run(scenario(until=None, constraints=rows, fleets=fleets)))[3:9] == [
        "1 TaskFinished x_0_all#0 succeeded",
        "1 TaskResumed y_0_t#0 a 1",
        "1 ResourceAcquired y_0_t#0 a 1",
        "1 TaskResumed z_0_only#0 b 1",
        "1 TaskStarted z_0_only#0 1",
        "1 TaskBlocked y_0_t#0 b 0",
    ]


def test_all_who_can_never_be_admitted_leave_before_what_one_of_them_gives_back_goes_to_others():
    narrower = {"id": "b", "type": "concurrency", "limit": 2, "changes": [{"at": "1s", "limit": 1}], "scope": None}
    wants = {"duration": "1s", "needs": {"a": 1, "b": 2}}
    fleets = [
        {"name": "x", "count": 1, "steps": [{"task": "only", "duration": "9s", "needs": {"b": 1}}]},
        {"name": "y", "count": 1, "steps": [{"task": "t", "acquire": ["a", "b"], **wants}]},
        {"name": "z", "count": 1, "steps": [{"task": "t", **wants}]},
    ]
    log = run(scenario(until=None, constraints=[{**locks("a")[0], "scope": None}, narrower], fleets=fleets))
    assert told(log)[1:10] == [
        "0 ResourceAcquired y_0_t#0 a 1",
        "0 TaskBlocked y_0_t#0 b 0",
        "0 TaskBlocked z_0_t#0 a 0",
        "1 ConstraintChanged b 1",
        "1 TaskRejected y_0_t#0 b never",
        "1 TaskFinished y_0_t#0 failed",
        "1 ResourceReleased y_0_t#0 a 1",
        "1 TaskRejected z_0_t#0 b never",
        "1 TaskFinished z_0_t#0 failed",
    ]


@pytest.mark.parametrize("policy", [{}, {"patience": "1h"}, {"priority": 0, "retry": {"max_attempts": 2}}])
def test_who_is_refused_for_good_goes_on_alike_whatever_else_its_task_may_do(policy):
    limit = {"id": "limit", "type": "rate_limit", "rate": "1/s", "burst": 1}
    steps = [
        {"task": "big", "duration": "1s", "cost": {"uniform": [2, 2]}, **policy},
        {"task": "small", "duration": "1s"},
    ]
    fleets = [
        {"name": "a", "count": 1, "steps": steps},
        {"name": "b", "count": 1, "steps": [{"choose": [{"steps": [{"task": "t", "duration": "1s"}]}]}]},
    ]
    log = told(run(scenario(until="0s", constraints=[limit], fleets=fleets)))
    assert [line for line in log if "Started" in line] == ["0 TaskStarted a_0_small#0 0"]


def test_what_is_left_to_acquire_in_a_further_attempt_is_acquired_in_order_too():
    rows = [
        {"id": "slot", "type": "concurrency", "limit": 1},
        {"id": "one", "type": "rate_limit", "rate": "1/s", "burst": 9},
        {"id": "two", "type": "rate_limit", "rate": "1/9s", "burst": 1, "counts": "tokens"},
    ]
    retry = {"max_attempts": 2, "hold_during_backoff": True}
    log = told(run(scenario(until="1s", constraints=rows, steps=[task(fail=1.0, acquire=["one", "two"], retry=retry)])))
    assert [line for line in log if "#0.1" in line] == [
        "1 ResourceAcquired a_0_work#0.1 one 1",
        "1 TaskBlocked a_0_work#0.1 two 0",
    ]


def test_who_gives_up_while_he_holds_something_lets_all_try_who_waited_for_it_or_behind_him():
    """At 3 s x gives up: z, behind it for b, is older than y, who waits for a, and so has the one c."""
    rows = [
        {"id": "a", "type": "concurrency", "limit": 1, "scope": None},
        {"id": "b", "type": "concurrency", "limit": 2, "scope": None, "admission": "strict"},
        {"id": "c", "type": "concurrency", "limit": 1, "scope": None},
    ]

    def one(name, time, needs, **rest):
        step = {"task": "t", "duration": "9s", "needs": needs, **rest}
        return {"name": name, "arrivals": {"at": [time]}, "steps": [step]}

    fleets = [
        one("w", "0s", {"b": 1}),
        one("x", "0s", {"a": 1, "b": 2}, acquire=["a", "b"], patience="3s"),
        one("z", "1s", {"b": 1, "c": 1}),
        one("y", "2s", {"a": 1, "c": 1}),
    ]
    assert told(run(scenario(until="3s", constraints=rows, fleets=fleets)))[2:] == [
        "0 TaskBlocked x_0_t#0 b 0",
        "1 TaskBlocked z_0_t#0 b 1",
        "2 TaskBlocked y_0_t#0 a 0",
        "3 TaskAbandoned x_0_t#0 b 3",
        "3 TaskFinished x_0_t#0 cancelled",
        "3 ResourceReleased x_0_t#0 a 1",
        "3 TaskResumed z_0_t#0 b 2",
        "3 TaskStarted z_0_t#0 2",
        "3 TaskRebound y_0_t#0 c 1",
        "3 RunFinished",
    ]
