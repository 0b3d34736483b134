"""What a limiter in front of a real workflow engine does, each rule by name. More of them: `tests/test_timelines.py`."""

import pytest

from model.faults import ScenarioError
from model.validation import load
from tests.runs import run, scenario, starts, told

SLOTS = {"id": "slots", "type": "concurrency", "limit": 1, "scope": "task:agent_*_work"}
WORK = {"task": "work", "duration": "1s"}


def test_a_deferred_task_is_blocked_once_however_often_it_is_tried_again():
    pause = {"id": "pause", "type": "pause", "scope": "global", "expires": "5s"}
    pause["changes"] = [{"at": "1s", "paused": False}, {"at": "2s", "paused": True}, {"at": "3s", "paused": False}]
    never = {"id": "slow", "type": "rate_limit", "rate": "1/10s", "burst": 1, "scope": "global"}
    log = told(run(scenario(until="9s", constraints=[pause, never], count=2, steps=[WORK])))
    assert [line for line in log if "a_1" in line] == [
        "0 TaskBlocked a_1_work#0 pause 1",
        "1 TaskRebound a_1_work#0 slow 1",
    ]


def test_a_task_that_was_deferred_is_forgotten_when_it_runs():
    limits = [{**SLOTS, "scope": "global"}]
    steps = [{"repeat": 2, "steps": [WORK, {"think": "3s"}]}]
    log = told(run(scenario(until=None, constraints=limits, count=2, steps=steps)))
    # Deferred at its first visit, resumed once, and not at its second.
    assert [line for line in log if "a_1" in line and "Finished" not in line] == [
        "0 TaskBlocked a_1_work#0 slots 0",
        "1 TaskResumed a_1_work#0 slots 1",
        "1 TaskStarted a_1_work#0 1",
        "5 TaskStarted a_1_work#1 0",
    ]


def test_a_pattern_matches_the_task_and_not_the_loop_around_it():
    loop = {"hold": "loop", "steps": [WORK]}
    log = run(scenario(until=None, constraints=[SLOTS], fleets=[{"name": "agent", "count": 2, "steps": [loop]}]))
    # Both loops are held at once; the work is one after the other.
    assert [line for line in told(log) if "Started" in line] == [
        "0 TaskStarted agent_0_loop#0 0",
        "0 TaskStarted agent_1_loop#0 0",
        "0 TaskStarted agent_0_work#0 0",
        "1 TaskStarted agent_1_work#0 1",
    ]


def test_a_global_limit_that_governs_the_orchestrating_task_too_can_lock_the_fleet_up():
    limits = [{**SLOTS, "scope": "global", "limit": 2}]
    log = told(run(scenario(until="60s", constraints=limits, count=2, steps=[{"hold": "loop", "steps": [WORK]}])))
    assert [line.split()[1] for line in log if "work" in line] == ["TaskBlocked"] * 2 + ["DeadlockDetected"] * 2


def test_a_requirement_above_the_capacity_is_refused(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(
        "constraints: [{id: gpus, type: concurrency, limit: 4}]\n"
        "fleets: [{name: a, count: 1, steps: [{task: t, duration: 1s, needs: {gpus: 5}}]}]\n"
    )
    with pytest.raises(ScenarioError, match="5 of gpus, which never has more than 4; allowed: 1 to 4"):
        load(file)


def test_ten_a_minute_without_a_burst_admits_ten_and_not_none():
    limit = {"id": "rpm", "type": "rate_limit", "rate": "10/m", "scope": "global"}
    log = run(scenario(until="1s", constraints=[limit], count=12, steps=[{"task": "t", "duration": "1s"}]))
    assert starts(log) == [0] * 10


def test_five_a_second_with_a_burst_of_two():
    limit = {"id": "rps", "type": "rate_limit", "rate": "5/s", "burst": 2, "scope": "global"}
    assert starts(run(scenario(until=None, constraints=[limit], count=4, steps=[WORK]))) == [0, 0, 0.2, 0.4]
