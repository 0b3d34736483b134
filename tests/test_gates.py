"""Gates: what they hold a report against, and what is no gate."""

import itertools
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
    idle = {**SLOT, "id": "idle", "limit": 9, "scope": "fleet:a"}
    return report(
        run(scenario(until="4s", constraints=[SLOT, idle], count=2, steps=[{"task": "t", "duration": "1s"}]))
    )[0]


@pytest.mark.parametrize(
    ("expression", "holds", "told"),
    [
        ("wait.p95 < 2s", True, "1 s"),
        ("wait.p95 < 1s", False, "1 s"),
        ("wait.p95 == 0", False, "1s"),
        ("wait.p95<=999ms", False, "1 s"),
        ("wait.mean == 500ms", True, "500ms"),
        ("deadlocks == 0", True, "0"),
        ("tasks.finished >= 2", True, "2"),
        ("constraints.slot.utilisation <= 50%", True, "50%"),
        ("constraints.slot.utilisation < 50%", False, "50%"),
        ("fleets.a.sojourn.max > 1.5s", True, "2 s"),
        ("steps.a.t.throughput != 0.5", False, "0.5"),
        ("causes.slot <= 1s", True, "1 s"),
        ("checks.little.holds == 1", True, "1"),
        ("stalled == 0", True, "0"),
        ("starvation == 0", True, "0"),
        ("storms == 0", True, "0"),
        ("priority_inversions == 0", True, "0"),
        ("lost == 0", True, "0"),
        ("tasks.finished < 1k", True, "2"),
        ("causes.back-off < 1s", True, "0 s"),
        ("constraints.idle.wait.p95 < 1s", True, "0 s"),
        ("constraints.idle.wait_mean.half_width < 1s", False, "not known: too little of it has happened"),
        ("fleets.a.causes.idle == 0", True, "0s"),
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
    assert (outcome.holds, outcome.told) == (False, "not known: too little of it has happened")


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("wait.p95", "'wait.p95' is no comparison"),
        ("wait.p95 < soon", "'soon' is neither a number, a time nor a share"),
        ("waits.p95 < 2s", "nothing is called 'waits.p95' (did you mean 'wait.p95'?)"),
        ("deadlocks < 2s", "deadlocks is no time"),
        ("tasks.rejected < 5%", "tasks.rejected is no share"),
        ("wait.p95 < 50%", "wait.p95 is no share"),
        ("wait.p95 < -1s", "'-1s' is negative; allowed: 0 or a positive time"),
        ("wait.p95 < 3 days", "unknown unit 'days' in '3 days'; allowed: ns, "),
        ("deadlocks < -1", "'-1' is negative, or too large; allowed: a number from 0 to 1e40"),
        ("deadlocks < 1e400", "'1e400' is negative, or too large"),
        ("cost.total < 5", "nothing has a price in this scenario; allowed: a scenario with prices"),
        ("cost < 5", "nothing has a price in this scenario"),
        ("< 2s", "is no comparison"),
        ("a < 1 < 2", "is no comparison"),
        ("", "is no comparison"),
        ("wait.p95 <= 1", "wait.p95 is a time; allowed: a time such as 2s, or 0"),
        ("sojourn.mean != 7e9", "sojourn.mean is a time"),
    ],
)
def test_what_is_no_gate_is_told(expression: str, problem: str, found: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="--require: ") as error:
        gates([expression])[0].judge(found)
    assert problem in str(error.value)
    assert "; allowed: " in str(error.value)


def test_what_can_be_named_is_listed_shortly_and_whole(found: dict[str, Any]) -> None:
    """Every name comes of taking one of what is in braces, and what is in brackets or not; and each is a name."""
    with pytest.raises(BadInput, match=r"'p95' \(did you mean 'wait.p95'\?\); allowed: ") as error:
        gates(["p95 < 1s"])[0].judge(found)
    own, _, rest = str(error.value).partition("; allowed: ")[2].partition("; and of all, or after one of ")
    parts, _, shared = rest.partition(" and a dot, ")
    of_all = unfolded(shared)
    owners = unfolded(parts)
    assert owners == {"fleets.a", "steps.a.t"}
    named = unfolded(own) | of_all | {f"{owner}.{name}" for owner in (*owners, "all") for name in of_all}
    assert {"tasks.open", "constraints.idle.wait.p95", "causes.slot.overtaken", "steps.a.t.sojourn.max"} <= named
    for name in named:
        gates([f"{name} >= 0"])[0].judge(found)
    assert len(named) > 200


def unfolded(text: str) -> set[str]:
    """Write out a list such as `a, b.{c, d}, e[.f]`."""
    names, depth, start = [], 0, 0
    for place, letter in enumerate(f"{text}, "):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and not depth:
            names.append(text[start:place].strip())
            start = place + 1
    if len(names) > 1:
        return {each for name in names for each in unfolded(name)}
    [name] = names
    if name.endswith("]"):
        head, _, tail = name[:-1].rpartition("[")
        return unfolded(head) | unfolded(head + tail)
    if "{" not in name:
        return {name}
    head, _, rest = name.partition("{")
    depths = itertools.accumulate({"{": 1, "}": -1}.get(letter, 0) for letter in rest)
    end = list(depths).index(-1)
    return {each for inner in unfolded(rest[:end]) for each in unfolded(head + inner + rest[end + 1 :])}


def test_what_went_wrong_is_counted() -> None:
    """Two agents hold what the other wants; a fleet bounds its waits."""
    holds = [
        {
            "name": name,
            "count": 1,
            "starvation": "1s",
            "steps": [
                {
                    "hold": "h",
                    "needs": {mine: 1},
                    "steps": [{"think": "1s"}, {"task": "t", "duration": "1s", "needs": {other: 1}}],
                }
            ],
        }
        for name, mine, other in (("a", "one", "two"), ("b", "two", "one"))
    ]
    limits = [{"id": name, "type": "concurrency", "limit": 1, "scope": None} for name in ("one", "two")]
    found, _ = report(run(scenario(until="60s", constraints=limits, fleets=holds)))
    counts = {"deadlocks": 1, "stalled": 1, "starvation": 2}
    assert all(gate.judge(found).holds for gate in gates([f"{name} == {count}" for name, count in counts.items()]))
