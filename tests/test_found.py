"""What random scenarios found that the fixed examples do not: each cut down to a few lines, with its timeline by hand.

Each has to go as its timeline says, by the oracle too, and break no rule. A rule that does not know one of these kinds
refuses a run as it has to be.
"""

from typing import Any

import pytest
from invariants import check_all

from model.validation import load_embedded
from tests.oracle.compare import difference
from tests.runs import run, scenario, told

SLOT = {"id": "slot", "type": "concurrency", "limit": 2}
BREAKER = {
    "id": "breaker", "type": "circuit_breaker", "min_calls": 1, "window": "10s", "open_for": "1s", "probes": 1
}  # fmt: skip


def task(duration: str = "1s", **rest: Any) -> dict[str, Any]:
    return {"task": "t", "duration": duration, **rest}


def once(name: str, at: float, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "arrivals": {"at": [f"{at}s"]}, "steps": list(steps)}


BREAK = {"id": "break", "type": "pause", "from": "1s", "expires": "2s"}
TWO_WAIT = {"name": "b", "arrivals": {"at": ["500ms", "500ms"]}, "steps": [task()]}
COME = ["0.5 TaskBlocked b_0_t#0 slot 0", "0.5 TaskBlocked b_1_t#0 slot 1"]
GO_ON = [
    "1 TaskResumed b_0_t#0 slot 0.5",
    "1 TaskStarted b_0_t#0 0.5",
    "1 TaskResumed b_1_t#0 slot 0.5",
    "1 TaskStarted b_1_t#0 0.5",
]
STOPS = {"hold": "h", "steps": [task(fail=1.0, on_failure="stop")]}


def gone(limit: dict[str, Any]) -> dict[str, Any]:
    """c has what there is; a asked first and waits for the gate, b for the limit, in whose queue it is the first."""
    gate = {"id": "gate", "type": "pause", "scope": "fleet:a", "expires": "1s"}
    fleets = [once("c", 0, task("3s")), once("a", 0, task("2s")), once("b", 0.5, task("1s"))]
    return scenario(until="1s", constraints=[gate, {**limit, "expires": "1s"}], fleets=fleets)


FOUND: dict[str, tuple[dict[str, Any], list[str]]] = {
    "who is gone gives back both slots before anybody is tried": (
        scenario(
            until="1s",
            constraints=[SLOT],
            fleets=[{"name": "a", "count": 1, "life": "1s", "steps": [{"fork": 2, "steps": [task("3s")]}]}, TWO_WAIT],
        ),
        [*COME, "1 TaskFinished a_0_t#1 cancelled", "1 TaskFinished a_0_t#0 cancelled", *GO_ON],
    ),
    "so do those who crash at one instant": (
        scenario(
            until="1s",
            constraints=[SLOT],
            fleets=[{"name": "a", "count": 2, "crash": {"uptime": "1s", "repair": "5s"}, "steps": [task("3s")]}, TWO_WAIT],
        ),
        [
            *COME,
            "1 TaskFinished a_0_t#0 cancelled",
            "1 AgentCrashed 0 5",
            "1 TaskFinished a_1_t#0 cancelled",
            "1 AgentCrashed 1 5",
            *GO_ON,
        ],
    ),
    "so does who stops, from the attempt on that makes it stop": (
        scenario(
            until="1s",
            constraints=[{**SLOT, "limit": 4}],
            fleets=[{"name": "a", "count": 1, "steps": [{"fork": 2, "steps": [STOPS]}]}, TWO_WAIT],
        ),
        [
            *COME,
            "1 TaskFinished a_0_t#0 failed",
            "1 TaskFinished a_0_h#0 failed",
            "1 ResourceReleased a_0_h#0 slot 1",
            "1 TaskFinished a_0_t#1 cancelled",
            "1 TaskFinished a_0_h#1 cancelled",
            "1 ResourceReleased a_0_h#1 slot 1",
            *GO_ON,
        ],
    ),
    "so does what is left at a join, after the last that reached it": (
        scenario(
            until="1s",
            constraints=[{**SLOT, "limit": 3}, {"id": "key", "type": "concurrency", "limit": 1, "scope": "fleet:a"}],
            fleets=[
                {
                    "name": "a", "count": 1,
                    "steps": [{"fork": 3, "join": "any", "steps": [task(acquire=["slot", "key"])]}],
                },
                TWO_WAIT,
            ],
        ),
        [
            *COME,
            "1 TaskFinished a_0_t#0 succeeded",
            "1 ResourceReleased a_0_t#0 slot 1",
            "1 ResourceReleased a_0_t#0 key 1",
            "1 TaskResumed a_0_t#1 key 1",
            "1 ResourceAcquired a_0_t#1 key 1",
            "1 TaskStarted a_0_t#1 1",
            "1 TaskResumed b_0_t#0 slot 0.5",
            "1 TaskStarted b_0_t#0 0.5",
            "1 TaskAbandoned a_0_t#2 key 1",
            "1 TaskFinished a_0_t#2 cancelled",
            "1 ResourceReleased a_0_t#2 slot 1",
            "1 TaskFinished a_0_t#1 cancelled",
            "1 ResourceReleased a_0_t#1 slot 1",
            "1 ResourceReleased a_0_t#1 key 1",
            "1 TaskResumed b_1_t#0 slot 0.5",
            "1 TaskStarted b_1_t#0 0.5",
        ],
    ),
    "limits hear of what an incident refuses": (
        scenario(
            until="5s",
            constraints=[{"id": "slots", "type": "adaptive", "limit": 4, "decrease": 0.5, "cooldown": 0}, BREAKER],
            incidents=[{"id": "bad", "at": "500ms", "lasts": "1s", "refuse": 1.0}],
            fleets=[once("a", 1, task()), once("b", 2, task())],
        ),
        [
            "0.5 ConstraintChanged bad 0",
            "1 TaskRejected a_0_t#0 bad never",
            "1 TaskFinished a_0_t#0 failed",
            "1 ConstraintChanged slots 2",
            "1 ConstraintChanged breaker 0",
            "1.5 ConstraintChanged bad -1",
            "2 ConstraintChanged breaker 1",
            "2 TaskStarted b_0_t#0 0",
            "3 TaskFinished b_0_t#0 succeeded",
            "3 ConstraintChanged breaker -1",
        ],
    ),
    "who was admitted before a breaker was half-open is no probe, whenever it begins to work": (
        scenario(
            until="9s",
            constraints=[BREAKER, {**SLOT, "limit": 1}],
            fleets=[
                once(name, at, task(works, fail=float(fails), acquire=["breaker", "slot"]))
                for name, at, works, fails in (("a", 0, "1s", 1), ("b", 0, "2s", 0), ("c", 0, "2s", 1), ("d", 6, "1s", 0))
            ],
        ),
        [
            "1 TaskFinished a_0_t#0 failed",
            "1 ConstraintChanged breaker 0",
            "1 ResourceReleased a_0_t#0 slot 1",
            "1 TaskResumed b_0_t#0 slot 1",
            "1 ResourceAcquired b_0_t#0 slot 1",
            "1 TaskStarted b_0_t#0 1",
            "2 ConstraintChanged breaker 1",
            "3 TaskFinished b_0_t#0 succeeded",
            "3 ResourceReleased b_0_t#0 slot 1",
            "3 TaskResumed c_0_t#0 slot 3",
            "3 ResourceAcquired c_0_t#0 slot 1",
            "3 TaskStarted c_0_t#0 3",
            "5 TaskFinished c_0_t#0 failed",
            "5 ResourceReleased c_0_t#0 slot 1",
            "6 ResourceAcquired d_0_t#0 breaker 1",
            "6 ResourceAcquired d_0_t#0 slot 1",
            "6 TaskStarted d_0_t#0 0",
            "7 TaskFinished d_0_t#0 succeeded",
            "7 ConstraintChanged breaker -1",
            "7 ResourceReleased d_0_t#0 slot 1",
        ],
    ),
    "nobody has more of a ramp than the rate says, however much there is": (
        scenario(
            until=None,
            constraints=[
                {
                    "id": "rpm", "type": "rate_limit", "rate": "1/10s", "algorithm": "ramp", "growth": 2,
                    "changes": [{"at": "25s", "rate": "2/10s"}],
                }
            ],
            fleets=[once("a", 5, task()), once("b", 12, task(cost=2))],
        ),
        [
            "5 TaskStarted a_0_t#0 0",
            "6 TaskFinished a_0_t#0 succeeded",
            "12 TaskBlocked b_0_t#0 rpm 0",
            "25 ConstraintChanged rpm 200000",
            "25 TaskResumed b_0_t#0 rpm 13",
            "25 TaskStarted b_0_t#0 13",
            "26 TaskFinished b_0_t#0 succeeded",
        ],
    ),
    "a full room ends a deadlock, and who held something in it may be caught again": (
        scenario(
            until="4s",
            constraints=[{**SLOT, "limit": 1, "room": 1, "overflow": "oldest"}],
            fleets=[
                once("a", 0, {"hold": "h", "steps": [{"repeat": 2, "steps": [{"spawn": "k"}]}]}),
                once("b", 1, task()),
                {"name": "k", "steps": [task()]},
            ],
        ),
        [
            "1 TaskRejected k_0_t#0 slot never",
            "1 TaskFinished k_0_t#0 failed",
            "1 TaskBlocked b_0_t#0 slot 0",
            "1 TaskRejected b_0_t#0 slot never",
            "1 TaskFinished b_0_t#0 failed",
            "1 TaskBlocked k_1_t#0 slot 0",
            "1 DeadlockDetected a_0_h#0 2",
            "1 DeadlockDetected k_1_t#0 slot 0",
        ],
    ),
    "what is not kept is acquired in order again": (
        scenario(
            until="4s",
            constraints=[{**SLOT, "limit": 1}, {"id": "rpm", "type": "rate_limit", "rate": "2/2s", "burst": 2}, BREAK],
            count=1,
            steps=[
                task(
                    fail=[1.0, 0.0],
                    acquire=["rpm", "slot"],
                    retry={"max_attempts": 2, "delay": "500ms", "hold_during_backoff": True},
                )
            ],
        ),
        [
            "1 ConstraintChanged break 0",
            "1 TaskFinished a_0_t#0 failed",
            "1 TaskRetrying a_0_t#0 0.5",
            "1.5 ResourceAcquired a_0_t#0.1 rpm 1",
            "1.5 TaskBlocked a_0_t#0.1 break 0",
            "2 ConstraintChanged break -1",
            "2 TaskResumed a_0_t#0.1 break 0.5",
            "2 ResourceAcquired a_0_t#0.1 break 1",
            "2 TaskStarted a_0_t#0.1 0.5",
            "3 TaskFinished a_0_t#0.1 succeeded",
            "3 ResourceReleased a_0_t#0.1 slot 1",
        ],
    ),
    "nobody waits for a change that is unforeseen": (
        scenario(
            until="3s",
            constraints=[{**SLOT, "changes": [{"at": "1s", "limit": 1}], "unforeseen": [{"at": "2s", "limit": 2}]}],
            fleets=[once("a", 0, task("3s")), once("b", 0.5, task(needs={"slot": 2}))],
        ),
        [
            "0.5 TaskBlocked b_0_t#0 slot 0",
            "1 ConstraintChanged slot 1",
            "1 TaskRejected b_0_t#0 slot never",
            "1 TaskFinished b_0_t#0 failed",
            "2 ConstraintChanged slot 2",
            "3 TaskFinished a_0_t#0 succeeded",
        ],
    ),
    "a change that is unforeseen ends a deadlock": (
        scenario(
            until="2s",
            constraints=[{**SLOT, "unforeseen": [{"at": "2s", "limit": 3}]}],
            count=2,
            steps=[{"hold": "h", "steps": [{"think": "1s"}, task()]}],
        ),
        [
            "1 TaskBlocked a_0_t#0 slot 0",
            "1 TaskBlocked a_1_t#0 slot 1",
            "1 DeadlockDetected a_1_t#0 slot 2",
            "1 DeadlockDetected a_0_t#0 slot 0",
            "2 ConstraintChanged slot 3",
            "2 TaskResumed a_0_t#0 slot 1",
            "2 TaskStarted a_0_t#0 1",
        ],
    ),
    "who comes from another limit passes who waits for one that goes out of force": (
        gone({"id": "rpm", "type": "rate_limit", "rate": "1/h", "queue": "sjf"}),
        [
            "0.5 TaskBlocked b_0_t#0 rpm 0",
            "1 ConstraintChanged gate -1",
            "1 ConstraintChanged rpm -1",
            "1 TaskResumed a_0_t#0 gate 1",
            "1 TaskStarted a_0_t#0 1",
            "1 TaskResumed b_0_t#0 rpm 0.5",
            "1 TaskStarted b_0_t#0 0.5",
        ],
    ),
    "so it does where nobody may pass the first": (
        gone({**SLOT, "limit": 1, "queue": "sjf", "admission": "strict"}),
        [
            "0.5 TaskBlocked b_0_t#0 slot 0",
            "1 ConstraintChanged gate -1",
            "1 ConstraintChanged slot -1",
            "1 TaskResumed a_0_t#0 gate 1",
            "1 TaskStarted a_0_t#0 1",
            "1 TaskResumed b_0_t#0 slot 0.5",
            "1 TaskStarted b_0_t#0 0.5",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("row", "lines"), FOUND.values(), ids=FOUND)
def test_what_was_found_goes_as_it_has_to(row: dict[str, Any], lines: list[str]) -> None:
    load_embedded(row, {})
    log = run(row)
    without = ("RunStarted", "RunFinished", "AgentStarted", "AgentFinished")
    assert [line for line in told(log, without=without) if not line.startswith("0 ")] == lines
    assert check_all(log) == []
    assert difference(row, log) is None
