"""Gates: what they hold a report against, and what is no gate."""

from typing import Any

import pytest

from model.faults import BadInput
from sim.analysis.report import report
from sim.gates import gates
from tests.runs import run, scenario

SLOT = {"id": "slot", "type": "concurrency", "limit": 1}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Two agents work for a second each, one after the other."""
    return report(run(scenario(until="4s", constraints=[SLOT], count=2, steps=[{"task": "t", "duration": "1s"}])))[0]


@pytest.mark.parametrize(
    ("expression", "holds", "told"),
    [
        ("wait.p95 < 2s", True, "1 s"),
        ("wait.p95 < 1s", False, "1 s"),
        ("wait.p95 <= 1", True, "1 s"),
        ("wait.p95<=999ms", False, "1 s"),
        ("wait.mean == 500ms", True, "500 ms"),
        ("deadlocks == 0", True, "0"),
        ("tasks.finished >= 2", True, "2"),
        ("constraints.slot.utilisation <= 50%", True, "0.5"),
        ("constraints.slot.utilisation < 50%", False, "0.5"),
        ("fleets.a.sojourn.max > 1.5s", True, "2 s"),
        ("steps.a.t.throughput != 0.5", False, "0.5"),
        ("causes.slot <= 1s", True, "1 s"),
        ("checks.little.holds == 1", True, "1"),
    ],
)
def test_a_gate_is_held_against_the_report(expression: str, holds: bool, told: str, found: dict[str, Any]) -> None:
    [gate] = gates([expression])
    outcome = gate.judge(found)
    assert (outcome.holds, outcome.told) == (holds, told)
    assert str(outcome) == f"{'passed' if holds else 'FAILED'}: {expression} (it is {told})"


def test_what_has_not_happened_does_not_hold() -> None:
    nothing, _ = report(run(scenario(until="4s", count=1, steps=[{"think": "1s"}])))
    [gate] = gates(["wait.p95 < 2s"])
    outcome = gate.judge(nothing)
    assert (outcome.holds, outcome.told) == (False, "not known: nothing of it has happened")


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("wait.p95", "'wait.p95' is no comparison"),
        ("wait.p95 < soon", "'soon' is neither a number, a time nor a share"),
        ("waits.p95 < 2s", "nothing is called 'waits.p95' (did you mean 'wait.p95'?)"),
        ("deadlocks < 2s", "deadlocks is no time"),
        ("< 2s", "is no comparison"),
        ("a < 1 < 2", "is no comparison"),
        ("", "is no comparison"),
    ],
)
def test_what_is_no_gate_is_told(expression: str, problem: str, found: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="--require: ") as error:
        gates([expression])[0].judge(found)
    assert problem in str(error.value)
    assert "; allowed: " in str(error.value)
