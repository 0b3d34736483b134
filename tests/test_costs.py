"""What a run costs, in bytecodes that the interpreter executes: no feature costs a run that does not use it more than 2 %.

Bytecodes do not depend on the machine or on what else it does, so that a hundredth can be told. The run is the bottleneck
in small; the feature is in the scenario, and none of the agents that run meets it.
"""

import sys
from types import FrameType
from typing import Any

import pytest

from model.planner import plan
from model.scenario import Scenario
from sim.engine import Engine

MOST = 1.02
SLOTS = {"id": "slots", "type": "concurrency", "limit": 5, "scope": "fleet:agent"}
WORK = {
    "repeat": "forever",
    "steps": [{"think": {"uniform": ["0.5s", "1.5s"]}}, {"task": "work", "duration": {"uniform": ["0.1s", "0.3s"]}}],
}
AGENTS = {"name": "agent", "count": 50, "steps": [WORK]}


def bytecodes(constraints: list[Any], fleets: list[Any], **rest: Any) -> int:
    """Count what the engine executes of one run."""
    scenario = {"name": "x", "until": "20s", "constraints": [SLOTS, *constraints], "fleets": [AGENTS, *fleets], **rest}
    engine = Engine(plan(Scenario.model_validate(scenario), {}), None)
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        engine.run()
    finally:
        sys.settrace(before)
    return count


def limit(type_: str, **rest: Any) -> list[Any]:
    return [{"id": "other", "type": type_, "scope": "fleet:other", **rest}]


def doing(*steps: Any, **rest: Any) -> list[Any]:
    """A fleet that is in the scenario, and whose agent would come after the end of the run."""
    return [{"name": "other", "arrivals": {"at": ["1h"]}, "steps": list(steps), **rest}]


TASK = {"task": "t", "duration": "1s"}
RETRY = {"max_attempts": 3, "delay": "1s", "jitter": "full", "hold_during_backoff": True}
FEATURES: dict[str, tuple[list[Any], list[Any]]] = {
    "resource": (limit("resource", capacity=8), doing(TASK)),
    "rate limit": (limit("rate_limit", rate="5/s"), doing({**TASK, "cost": {"requests": {"uniform": [1, 4]}}})),
    "windows": (limit("rate_limit", rate="60/m", algorithm="sliding_window", on_limit="reject"), doing(TASK)),
    "as produced": (limit("rate_limit", rate="60/m", charge="as_produced", cached="exempt"), doing(TASK)),
    "quota": (limit("quota", total=5, charge="on_finish"), doing(TASK)),
    "breaker": (limit("circuit_breaker", window="5s", open_for="5s"), doing({**TASK, "fail": 0.5})),
    "adaptive": (limit("adaptive", limit=4), doing(TASK)),
    "pause": (limit("pause", expires="5s"), doing(TASK)),
    "changes": (limit("concurrency", limit=2, every="20s", changes=[{"at": "9s", "limit": 1}]), doing(TASK)),
    "priority": (limit("concurrency", limit=2, queue="priority", preempt="resume"), doing(TASK)),
    "fair": (limit("concurrency", limit=2, queue="fair", room=3), doing(TASK, tenant="red")),
    "sharing": (limit("concurrency", limit=2, queue="processor_sharing"), doing(TASK)),
    "retries": ([], doing({**TASK, "retry": RETRY, "fail": 0.3, "timeout": "5s", "patience": "1s", "skip_if": 0.1})),
    "acquire": (limit("concurrency", limit=2), doing({**TASK, "acquire": ["other"]})),
    "choose": ([], doing({"choose": [{"steps": [TASK]}, {"weight": 2}]})),
    "fork": ([], doing({"fork": 3, "join": "any", "width": 2, "steps": [TASK]})),
    "hold": (limit("concurrency", limit=2), doing({"hold": "h", "give_back": True, "steps": [TASK]})),
    "graph": ([], doing({"graph": [TASK, {"task": "u", "duration": "1s", "after": ["t"]}]})),
    "spawn": ([], [*doing({"spawn": "child", "count": 2}), {"name": "child", "life": "5s", "steps": [TASK]}]),
}  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> int:
    """The run without anything else."""
    return bytecodes([], [])


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_costs_a_run_that_does_not_use_it_next_to_nothing(feature: str, plain: int) -> None:
    constraints, fleets = FEATURES[feature]
    assert bytecodes(constraints, fleets) < plain * MOST


def test_what_is_used_is_seen_in_the_count(plain: int) -> None:
    """The check can fail: agents that do use a feature cost more."""
    assert bytecodes([{**SLOTS, "id": "again", "queue": "priority"}], []) > plain * MOST
