"""Who waits, and in which order they are served: timelines worked out by hand."""

import pytest

from tests.runs import run, scenario, starts, told

SLOT = {"id": "slot", "type": "concurrency", "limit": 1}


def order(constraint, fleets):
    """The fleets in the order in which their tasks start; each has one agent that does one task."""
    log = run(scenario(until=None, constraints=[constraint], fleets=fleets))
    return "".join(line.split()[2][0] for line in told(log) if "TaskStarted" in line)


def fleet(name, asks="0s", duration="10s", count=1, **rest):
    task = {key: rest.pop(key) for key in ("priority", "deadline", "needs") if key in rest}
    steps = [{"think": asks}, {"task": "t", "duration": duration, **task}]
    return {"name": name, "count": count, "steps": steps, **rest}


def test_lifo_serves_the_youngest_first():
    fleets = [fleet("a", "0s"), fleet("b", "1s"), fleet("c", "2s"), fleet("d", "3s")]
    assert order({**SLOT, "queue": "lifo"}, fleets) == "adcb"


def test_priority_serves_the_most_important_first_and_equals_by_age():
    fleets = [fleet("a"), fleet("b", "1s"), fleet("c", "2s", priority=1), fleet("d", "3s", priority=1)]
    assert order({**SLOT, "queue": "priority"}, fleets) == "acdb"


def test_the_priority_of_a_fleet_is_that_of_its_tasks():
    fleets = [fleet("a"), fleet("b", "1s"), {**fleet("c", "2s"), "priority": 1}]
    assert order({**SLOT, "queue": "priority"}, fleets) == "acb"


def test_edf_serves_the_earliest_deadline_and_who_has_none_last():
    # Due at 31, never, at 12 and at 33 s.
    fleets = [fleet("a"), fleet("b", "1s", deadline="30s"), fleet("c", "2s"), fleet("d", "3s", deadline="9s")]
    assert order({**SLOT, "queue": "edf"}, [*fleets, fleet("e", "3s", deadline="30s")]) == "adbec"


def test_sjf_serves_the_shortest():
    fleets = [fleet("a"), fleet("b", "1s", "5s"), fleet("c", "2s", "1s"), fleet("d", "3s", "2s")]
    assert order({**SLOT, "queue": "sjf"}, fleets) == "acdb"


def test_random_order_is_a_uniform_choice_of_those_who_wait():
    fleets = [fleet("a"), *(fleet(name, "1s") for name in "bcd")]
    seen = {}
    for seed in range(600):
        log = run(scenario(until=None, seed=seed, constraints=[{**SLOT, "queue": "random"}], fleets=fleets))
        served = "".join(line.split()[2][0] for line in told(log) if "TaskStarted" in line)
        seen[served] = seen.get(served, 0) + 1
    # 600 draws of 6 equally likely orders: 100 each, standard deviation 9.1; four of them either way.
    assert len(seen) == 6
    assert all(64 <= count <= 136 for count in seen.values())


def test_fair_takes_turns_between_tenants():
    fleets = [
        fleet("a"),
        fleet("b", "1s", count=4, tenant="big"),
        fleet("c", "2s", count=2, tenant="small"),
    ]
    # a was served at tag 0 to 1; big and small come at virtual time 0 and take turns, ties by age.
    assert order({**SLOT, "queue": "fair"}, fleets) == "abcbcbb"


def test_fair_by_weight_lets_a_tenant_have_its_share():
    fleets = [fleet("a"), fleet("b", "1s", count=6, tenant="big"), fleet("c", "2s", count=3, tenant="small")]
    tenants = {"big": {"weight": 2}, "small": {"weight": 1}}
    log = run(scenario(until=None, constraints=[{**SLOT, "queue": "fair"}], fleets=fleets, tenants=tenants))
    # Tags of big: 0, 1/2, 1, ...; of small: 0, 1, 2; ties by age.
    assert "".join(line.split()[2][0] for line in told(log) if "TaskStarted" in line) == "abcbbcbbcb"


def test_fair_by_fleet_knows_no_tenants():
    fleets = [fleet("a"), *(fleet(name, "1s", count=2, tenant="one") for name in "bc")]
    assert order({**SLOT, "queue": "fair", "fair_by": "fleet"}, fleets) == "abcbc"


def test_first_fit_lets_a_smaller_request_pass_and_strict_does_not():
    pool = {"id": "pool", "type": "concurrency", "limit": 3}
    fleets = [fleet("a", needs={"pool": 2}), fleet("b", "1s", needs={"pool": 2}), fleet("c", "2s", needs={"pool": 1})]
    assert starts(run(scenario(until=None, constraints=[pool], fleets=fleets))) == [0, 2, 10]
    assert order(pool, fleets) == "acb"
    assert order({**pool, "admission": "strict"}, fleets) == "abc"


def test_a_full_room_refuses_the_newest():
    log = run(
        scenario(until=None, constraints=[{**SLOT, "room": 1}], fleets=[fleet("a"), fleet("b", "1s"), fleet("c", "2s")])
    )
    assert told(log) == [
        "0 TaskStarted a_0_t#0 0",
        "1 TaskBlocked b_0_t#0 slot 0",
        "2 TaskRejected c_0_t#0 slot never",
        "2 TaskFinished c_0_t#0 failed",
        "10 TaskFinished a_0_t#0 succeeded",
        "10 TaskResumed b_0_t#0 slot 9",
        "10 TaskStarted b_0_t#0 9",
        "20 TaskFinished b_0_t#0 succeeded",
        "20 RunFinished",
    ]


def test_a_full_room_refuses_the_oldest():
    slot = {**SLOT, "room": 1, "overflow": "oldest"}
    log = run(scenario(until=None, constraints=[slot], fleets=[fleet("a"), fleet("b", "1s"), fleet("c", "2s")]))
    assert told(log)[1:5] == [
        "1 TaskBlocked b_0_t#0 slot 0",
        "2 TaskRejected b_0_t#0 slot never",
        "2 TaskFinished b_0_t#0 failed",
        "2 TaskBlocked c_0_t#0 slot 0",
    ]


def test_a_full_room_refuses_all():
    slot = {**SLOT, "room": 2, "overflow": "all"}
    log = run(scenario(until=None, constraints=[slot], fleets=[fleet(name, f"{n}s") for n, name in enumerate("abcd")]))
    assert [line for line in told(log) if "Rejected" in line] == [
        "3 TaskRejected b_0_t#0 slot never",
        "3 TaskRejected c_0_t#0 slot never",
        "3 TaskRejected d_0_t#0 slot never",
    ]


PREEMPTED = [fleet("a"), fleet("b", "4s", "2s", priority=1)]


def preempting(mode):
    return {**SLOT, "queue": "priority", "preempt": mode}


def test_a_more_important_task_takes_the_slot_and_the_other_resumes():
    assert told(run(scenario(until=None, constraints=[preempting("resume")], fleets=PREEMPTED))) == [
        "0 TaskStarted a_0_t#0 0",
        "4 TaskFinished a_0_t#0 preempted",
        "4 TaskStarted b_0_t#0 0",
        "4 TaskBlocked a_0_t#0.1 slot 0",
        "6 TaskFinished b_0_t#0 succeeded",
        "6 TaskResumed a_0_t#0.1 slot 2",
        "6 TaskStarted a_0_t#0.1 2",
        "12 TaskFinished a_0_t#0.1 succeeded",
        "12 RunFinished",
    ]


def test_a_preempted_task_may_start_from_the_beginning():
    log = told(run(scenario(until=None, constraints=[preempting("restart")], fleets=PREEMPTED)))
    assert log[-2] == "16 TaskFinished a_0_t#0.1 succeeded"


def test_a_preempted_task_may_draw_a_new_duration():
    fleets = [fleet("a", duration={"uniform": ["10s", "20s"]}), fleet("b", "4s", "2s", priority=1)]
    log = told(run(scenario(until=None, seed=1, constraints=[preempting("resample")], fleets=fleets)))
    ends = float(log[-2].split()[0])
    first = told(run(scenario(until=None, seed=1, fleets=fleets)))
    lasts = max(float(line.split()[0]) for line in first if "Finished a" in line)
    assert 16 <= ends <= 26
    assert ends != 6 + lasts


def test_a_preempted_task_may_fail():
    assert told(run(scenario(until=None, constraints=[preempting("fail")], fleets=PREEMPTED))) == [
        "0 TaskStarted a_0_t#0 0",
        "4 TaskFinished a_0_t#0 preempted",
        "4 TaskStarted b_0_t#0 0",
        "6 TaskFinished b_0_t#0 succeeded",
        "6 RunFinished",
    ]


def test_equals_do_not_preempt():
    fleets = [fleet("a", priority=1), fleet("b", "4s", "2s", priority=1)]
    assert starts(run(scenario(until=None, constraints=[preempting("resume")], fleets=fleets))) == [0, 10]


def test_the_least_important_and_then_the_last_to_start_is_preempted():
    slots = {**preempting("resume"), "limit": 3}
    fleets = [fleet("a"), fleet("b", "1s"), fleet("c", "2s", priority=1), fleet("d", "3s", "1s", priority=2)]
    log = told(run(scenario(until=None, constraints=[slots], fleets=fleets)))
    assert [line for line in log if "preempted" in line] == ["3 TaskFinished b_0_t#0 preempted"]


@pytest.mark.parametrize("queue", ["fifo", "lifo", "edf", "sjf", "random", "fair"])
def test_preemption_needs_priorities(queue):
    with pytest.raises(ValueError, match="allowed: preempt with queue: priority"):
        run(scenario(constraints=[{**SLOT, "queue": queue, "preempt": "resume"}], fleets=[fleet("a")]))


def test_who_shares_a_processor_works_at_half_speed_beside_another():
    shared = {**SLOT, "queue": "processor_sharing"}
    # a has 1 s for itself, then half: 3 of 4 are left, 6 s. b has had its 2 s at 1 + 4 = 5 s, when a has 1 left.
    fleets = [fleet("a", "0s", "4s"), fleet("b", "1s", "2s")]
    assert told(run(scenario(until=None, constraints=[shared], fleets=fleets))) == [
        "0 TaskStarted a_0_t#0 0",
        "1 TaskStarted b_0_t#0 0",
        "5 TaskFinished b_0_t#0 succeeded",
        "6 TaskFinished a_0_t#0 succeeded",
        "6 RunFinished",
    ]


def test_as_many_as_there_are_servers_work_at_full_speed():
    shared = {**SLOT, "limit": 2, "queue": "processor_sharing"}
    # Three share two servers from 1 s on: 2/3 each. c has its 2 s at 4 s, then a and b have 1 s left each.
    fleets = [fleet("a", "0s", "4s"), fleet("b", "0s", "4s"), fleet("c", "1s", "2s")]
    finished = [line for line in told(run(scenario(until=None, constraints=[shared], fleets=fleets))) if "Fin" in line]
    assert finished == [
        "4 TaskFinished c_0_t#0 succeeded",
        "5 TaskFinished a_0_t#0 succeeded",
        "5 TaskFinished b_0_t#0 succeeded",
        "5 RunFinished",
    ]


def test_who_is_called_off_at_the_instant_of_its_end_leaves_the_processor_once():
    shared = {**SLOT, "limit": 3, "queue": "processor_sharing"}
    graph = [
        {"task": "bad", "duration": "1s", "fail": 1.0, "on_failure": "stop"},
        {"task": "other", "duration": "1s"},
    ]
    log = told(run(scenario(until=None, constraints=[shared], steps=[{"graph": graph}])))
    assert log[-3:] == ["1 TaskFinished a_0_bad#0 failed", "1 TaskFinished a_0_other#0 cancelled", "1 RunFinished"]


@pytest.mark.parametrize("seed", [0, 5, 11])
def test_a_fair_queue_for_drawn_costs_has_one_order(seed):
    """A task that was passed over keeps its place while it is tried: these runs once went round for ever."""
    limit = {"id": "c", "type": "rate_limit", "scope": "tenant:red", "rate": "5/s", "queue": "fair", "fair_by": "fleet"}
    drawn = {"task": "drawn", "duration": "300ms", "cost": {"requests": {"uniform": [1, 2]}}}
    held = {"hold": "held", "steps": [{"task": "inner", "duration": "101653615ns"}]}
    inner = {"hold": "held", "steps": [{"task": "inner", "duration": {"exponential": "200ms"}}]}
    tasks = [
        {"task": f"t{n}", "duration": duration} for n, duration in enumerate(["213952025ns", "100000001ns", "100ms"])
    ]
    fleets = [
        {"name": "a", "count": 2, "tenant": "red", "steps": [{"repeat": 2, "steps": [drawn]}, held]},
        {"name": "b", "count": 1, "tenant": "red", "steps": [inner, *tasks]},
    ]
    log = run(scenario(until=None, seed=seed, constraints=[limit], fleets=fleets))
    assert sum("TaskFinished" in line for line in told(log)) == 13


def test_nobody_passes_in_a_strict_queue_by_preempting_nobody():
    # b wants both slots while a has one; c, as important, stands behind it although a slot is free.
    slots = {**SLOT, "limit": 2, "queue": "priority", "preempt": "restart", "admission": "strict"}
    fleets = [fleet("a"), fleet("b", "1s", needs={"slot": 2}), fleet("c", "2s")]
    assert order(slots, fleets) == "abc"


def test_a_shared_processor_refuses_nobody_whatever_it_needs():
    # b waits for a when the servers become fewer than it names, and is admitted all the same.
    cpu = {"id": "cpu", "type": "concurrency", "limit": 2, "queue": "processor_sharing"}
    constraints = [{**SLOT, "scope": "fleet:a"}, {**cpu, "changes": [{"at": "1s", "limit": 1}]}]
    steps = [{"task": "t", "duration": "2s", "needs": {"cpu": 2}}]
    log = run(scenario(until=None, constraints=constraints, count=2, steps=steps))
    assert starts(log) == [0, 2]


def test_who_stands_behind_nobody_any_more_is_admitted():
    # c stands behind b, for which it is too narrow; the room is full, b has to go, and there is a slot for c.
    slots = {**SLOT, "limit": 2, "admission": "strict", "room": 1, "overflow": "oldest"}
    fleets = [fleet("a"), fleet("b", "1s", needs={"slot": 2}), fleet("c", "2s")]
    log = told(run(scenario(until=None, constraints=[slots], fleets=fleets)))
    assert [line for line in log if line.startswith("2 ")] == [
        "2 TaskRejected b_0_t#0 slot never",
        "2 TaskFinished b_0_t#0 failed",
        "2 TaskStarted c_0_t#0 0",
    ]


def test_who_waits_in_a_fair_queue_is_served_from_the_place_where_it_stood():
    pool = {"id": "pool", "type": "concurrency", "limit": 2, "queue": "fair", "fair_by": "fleet"}
    a = {
        "arrivals": {"at": ["0s", "0.5s", "3.6s"]},
        "steps": [{"repeat": 3, "steps": [{"task": "t", "duration": "1s"}]}],
    }
    b = {"arrivals": {"at": ["0.6s", "3.7s"]}, "steps": [{"task": "t", "duration": "1s", "needs": {"pool": 2}}]}
    # b waits from 0.6 s on, at place 1, and fits at 3.5 s, when a has had 6 and the virtual time is 5. The tag of b is 3
    # then, not 5 + 2: when it comes back at 3.7 s it stands at 5, before a at 6.
    log = told(run(scenario(until=None, constraints=[pool], fleets=[{"name": "a", **a}, {"name": "b", **b}])))
    assert [line for line in log if "Started b" in line] == [
        "3.5 TaskStarted b_0_t#0 2.9",
        "4.5 TaskStarted b_1_t#0 0.8",
    ]


def test_looking_at_a_shared_processor_rounds_nothing():
    shared = {**SLOT, "queue": "processor_sharing"}
    # The first alarm, set when one worked alone, comes at 0.1 s; all three are done at 0.3 s and not a nanosecond later.
    log = told(run(scenario(until=None, constraints=[shared], count=3, steps=[{"task": "t", "duration": "100ms"}])))
    assert next(line for line in log if "Finished" in line) == "0.3 TaskFinished a_0_t#0 succeeded"


def test_a_timeout_counts_the_time_and_not_the_work_that_is_done_in_it():
    shared = {**SLOT, "queue": "processor_sharing"}
    fleets = [fleet("a", "0s", "2s"), fleet("b", "0s", "2s")]
    fleets[1]["steps"][1]["timeout"] = "3s"
    # Both work at half speed. b has had 1.5 s of its 2 s when its time is over; a has 0.5 s left then, for itself.
    assert told(run(scenario(until=None, constraints=[shared], fleets=fleets)))[2:] == [
        "3 TaskFinished b_0_t#0 timed_out",
        "3.5 TaskFinished a_0_t#0 succeeded",
        "3.5 RunFinished",
    ]


def test_a_shared_processor_is_shared_in_further_attempts_and_where_it_is_acquired_first():
    shared = {**SLOT, "queue": "processor_sharing"}
    other = {"id": "other", "type": "pause", "paused": False}
    steps = [{"task": "t", "duration": "1s", "acquire": ["slot"]}]
    log = told(run(scenario(until=None, constraints=[shared, other], count=2, steps=steps)))
    assert next(line for line in log if "Finished" in line) == "2 TaskFinished a_0_t#0 succeeded"


def test_who_yields_for_one_limit_is_counted_for_the_next():
    limits = [
        {"id": name, "type": "concurrency", "limit": 2, "queue": "priority", "preempt": "resume"} for name in "xy"
    ]
    limits[0] = {**limits[0], "limit": 1, "scope": None}
    limits[1] = {**limits[1], "scope": None}
    fleets = [
        fleet("a", priority=1, needs={"x": 1, "y": 1}),
        fleet("b", priority=0, needs={"y": 1}),
        fleet("c", "1s", "1s", priority=2, needs={"x": 1, "y": 1}),
    ]
    log = told(run(scenario(until=None, constraints=limits, fleets=fleets)))
    assert [line for line in log if "preempted" in line] == ["1 TaskFinished a_0_t#0 preempted"]


def test_who_waits_takes_the_slots_of_less_important_ones_as_soon_as_that_suffices():
    slots = {"id": "slots", "type": "concurrency", "limit": 2, "queue": "priority", "preempt": "resume"}
    rate = {"id": "rate", "type": "rate_limit", "rate": "1/4s", "burst": 1, "scope": "task:[cd]_*"}
    fleets = [
        fleet("a", "0s", "9s"),
        fleet("d", "0s", "3s"),
        fleet("c", "1s", "1s", priority=1, needs={"slots": 2}),
        fleet("b", "3s", "3s"),
    ]
    # At 1 s c would have to wait for a token anyhow. It has one when b ends at 6 s, and then a yields.
    log = told(run(scenario(until="6s", constraints=[slots, rate], fleets=fleets)))
    assert [line for line in log if line.startswith("6 ")][:3] == [
        "6 TaskFinished b_0_t#0 succeeded",
        "6 TaskFinished a_0_t#0 preempted",
        "6 TaskResumed c_0_t#0 slots 5",
    ]
