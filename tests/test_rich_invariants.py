"""The checkers can fail over everything, too: corrupted logs of the features that `test_invariants` does not know.

The builders and edits are those of `test_invariants`; what is said there of the cases holds here.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import RULES, check_all
from invariants.reading import Row, read
from strategies import simulate
from test_invariants import CASES as FIRST_CASES
from test_invariants import (
    MS,
    SECOND,
    Edit,
    corrupted,
    drop,
    fleet,
    insert,
    limit,
    numbers,
    one_row_is_wrong,
    put,
    rate,
    refusing,
    scenario,
    task,
    told,
)
from vocabulary import rich

from model.events import Kind
from model.log import Log

MICRO = 1_000_000
ONE_A_SECOND = {"tokens": 1, "period_ns": 1000 * MS, "burst": 1}


def window(algorithm: str) -> dict[str, Any]:
    return {"id": "rate", "type": "rate_limit", "rate": "2/s", "algorithm": algorithm, "scope": "global"}


def budget(total: float, **more: Any) -> dict[str, Any]:
    return {"id": "budget", "type": "quota", "total": total, "scope": "global", **more}


def rewritten(**values: Any) -> Edit:
    """Change keys of the only task of the first fleet, as the scenario has it written."""
    return told(lambda it: it["fleets"][0]["steps"][0].update(values))


RETRY = {"max_attempts": 2, "delay": "100ms"}
MEMORY = {"id": "memory", "type": "resource", "capacity": 2, "scope": "global"}
SHARED_MEMORY = scenario(MEMORY, fleet("a", task(), count=3))
FIXED = scenario(window("fixed_window"), fleet("a", task(), count=3))
SLIDING = scenario(window("sliding_window"), fleet("a", task(), count=3))
BUDGET = scenario(budget(2), fleet("a", task(), count=2))
RESERVED = scenario(
    rate("1/s", 2, charge="settle"), fleet("a", task(cost={"requests": 1}, reserve={"requests": 2})), until="500ms"
)
CHARGED_AFTERWARDS = scenario(budget(2, charge="on_finish"), fleet("a", task()))
SIX_THEN_FIVE = [{"at": "100ms", "limit": 6}, {"at": "200ms", "limit": 5}]
AGAIN = scenario(limit(5, changes=SIX_THEN_FIVE, every="300ms"), fleet("a", task()), until="500ms")
IN_ORDER = scenario(
    limit(1, "first", scope="fleet:?"),
    limit(1, "second", scope="fleet:*"),
    fleet("a", task(acquire=["first", "second"])),
)
PASSED = scenario(
    limit(2),
    fleet("a", task("400ms")),
    fleet("b", task("400ms", needs={"slots": 2})),
    fleet("c", {"think": "100ms"}, task()),
)
TRIED_TWICE = scenario(fleet("a", task(fail=1, retry=RETRY, on_failure="stop")))
PAID = scenario(fleet("a", task(fail=1, retry={**RETRY, "budget": {"ratio": 0, "burst": 2}}), count=3))
TOLD_WHEN = scenario(rate("2/s", 1, on_limit="reject"), fleet("a", task(retry=RETRY), count=2))
GROWS = scenario(
    {"id": "slots", "type": "adaptive", "limit": 1, "scope": "global"}, fleet("a", task(), {"think": "100ms"})
)
BREAKS = scenario(
    {
        "id": "breaker", "type": "circuit_breaker", "min_calls": 1, "window": "1s", "open_for": "200ms", "probes": 2,
        "scope": "global",
    },
    fleet("a", task(fail=1)),
    fleet("b", {"think": "400ms"}, task()),
    until="1s",
)  # fmt: skip
LOCKED = scenario(
    limit(1, "first", scope=None),
    limit(1, "second", scope=None),
    *(
        fleet(name, {"hold": "h", "needs": {mine: 1}, "steps": [{"think": "100ms"}, task(needs={other: 1})]})
        for name, mine, other in (("a", "first", "second"), ("b", "second", "first"))
    ),
    until="1s",
)
SHARED = scenario(limit(1, queue="processor_sharing"), fleet("a", task(), count=2))
SPAWNED = scenario(fleet("a", {"spawn": "k"}), {"name": "k", "steps": [task()]})

CASES: list[tuple[str, dict[str, Any], Edit, set[str]]] = [
    # What can be held, and what is counted over time.
    ("less of the resource", SHARED_MEMORY, numbers(0, 0, {"capacity": MICRO}, {"capacity": 1}), {"usage"}),
    ("less in a window", FIXED, numbers(0, 0, ONE_A_SECOND, {"rate": "1/s"}), {"bucket"}),
    ("less in a sliding window", SLIDING, numbers(0, 0, ONE_A_SECOND, {"rate": "1/s"}), {"bucket"}),
    ("a smaller budget", BUDGET, numbers(0, 0, {"total": MICRO, "period_ns": 0}, {"total": 1}), {"bucket"}),
    ("another amount is handed back", RESERVED, put(Kind.ResourceReleased, {}, value=0), {"lifecycle"}),
    ("nothing is handed back", RESERVED, drop(Kind.ResourceReleased), {"lifecycle"}),
    ("it is handed back twice", RESERVED, insert(Kind.ResourceReleased, {}), {"lifecycle"}),
    ("nothing is charged at the end", CHARGED_AFTERWARDS, drop(Kind.ResourceReleased), {"lifecycle"}),
    # What asks for more than there ever is has to be refused besides.
    (
        "nothing is left, and it is let in",
        CHARGED_AFTERWARDS,
        numbers(0, 0, {"total": 0, "period_ns": 0}, {"total": 0}),
        {"bucket"},
    ),
    ("a change that comes again is left out", AGAIN, drop(Kind.ConstraintChanged, time=400 * MS), {"changes"}),
    (
        "the changes come again at other times",
        AGAIN,
        told(lambda it: it["constraints"][0].update(every="350ms")),
        {"declared"},
    ),
    # What is acquired in order, and who may pass whom.
    ("it acquires in another order", IN_ORDER, rewritten(acquire=["second", "first"]), {"lifecycle"}),
    ("one thing is not acquired", IN_ORDER, drop(Kind.ResourceAcquired, constraint=1), {"lifecycle"}),
    ("nobody may pass", PASSED, told(lambda it: it["constraints"][0].update(admission="strict")), {"fifo"}),
    # Attempts.
    ("more attempts are allowed", TRIED_TWICE, rewritten(retry={**RETRY, "max_attempts": 3}), {"retries"}),
    ("no further attempt is allowed", TRIED_TWICE, rewritten(retry=None), {"retries"}),
    ("another back-off", TRIED_TWICE, rewritten(retry={**RETRY, "delay": "90ms"}), {"retries"}),
    ("it is not to heed the rejection", TOLD_WHEN, rewritten(retry={**RETRY, "retry_after": False}), {"retries"}),
    ("there is less in the budget", PAID, rewritten(retry={**RETRY, "budget": {"ratio": 0, "burst": 1}}), {"retries"}),
    ("there is more in the budget", PAID, rewritten(retry={**RETRY, "budget": {"ratio": 0, "burst": 3}}), {"retries"}),
    # What changes by itself, and what is shared.
    ("the limit becomes another by itself", GROWS, put(Kind.ConstraintChanged, {}, value=3), {"hearing"}),
    ("the limit stays as it was", GROWS, drop(Kind.ConstraintChanged), {"hearing"}),
    ("the limit changes twice", GROWS, insert(Kind.ConstraintChanged, {}), {"hearing"}),
    ("the breaker stays open", BREAKS, drop(Kind.ConstraintChanged, value=2), {"hearing"}),
    (
        "the breaker is open for longer",
        BREAKS,
        put(Kind.ConstraintChanged, {"value": 2}, time=350 * MS),
        {"hearing"},
    ),
    ("the processor is faster", SHARED, numbers(0, 0, {"limit": 2}, {"limit": 2}), {"sharing"}),
    # Who waits for good.
    ("a deadlock of three", LOCKED, put(Kind.DeadlockDetected, {"value": 2}, value=3), {"deadlock"}),
    ("one of two is caught", LOCKED, drop(Kind.DeadlockDetected, value=0), {"deadlock"}),
    ("nobody told of the deadlock", LOCKED, drop(Kind.DeadlockDetected, value=2), {"deadlock"}),
    ("caught twice", LOCKED, insert(Kind.DeadlockDetected, {"value": 0}), {"deadlock"}),
    ("it waits for something else", LOCKED, put(Kind.DeadlockDetected, {"value": 0}, constraint=0), {"deadlock"}),
    ("the end of an agent has a value", SPAWNED, put(Kind.AgentFinished, SECOND, value=1), {"order"}),
]


@pytest.mark.parametrize(("base", "edit", "rules"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_corrupted_log_is_refused_by_its_rule(base: dict[str, Any], edit: Edit, rules: set[str]) -> None:
    log = corrupted(base, edit)
    assert refusing(log) == rules, "\n".join(check_all(log))


def untold(log: Log, row: Row, what: str, rows: list[Row]) -> bool:
    """Whether the log would be another that could be: what is drawn, or done last, is told nowhere else."""
    reading, kind = read(log), Kind(row.kind)
    if what == "drop":
        if kind is Kind.DeadlockDetected:
            return True  # whether all are told of is tests/test_deadlock.py
        # Who stops, skips or never comes to what it was to do may have other strands that go on.
        return kind is Kind.AgentFinished or not any(
            other.task == row.task for other in rows[row.number + 1 :] if row.step >= 0
        )
    if what == "value":
        policy = reading.policy(row.step)
        jitter = (policy.get("retry") or {}).get("jitter", "none") != "none"
        return (
            kind in (Kind.ResourceAcquired, Kind.TaskFinished)
            or (kind is Kind.TaskRetrying and jitter)
            or (kind is Kind.ResourceReleased and reading.settles(row.step, row.constraint))
            or (kind is Kind.AgentStarted and row.agent in reading.parents)
            or kind is Kind.DeadlockDetected  # it may begin another deadlock
            or (kind is Kind.RunFinished and row.value == 0)  # one of several branches may think, and nobody can tell
        )
    if what == "constraint" and kind in (Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskRejected):
        return None in reading.amounts(row.task).values()
    return what == "visit" and kind is Kind.AgentStarted


@settings(max_examples=settings.default.max_examples // 2)  # type: ignore[union-attr] # a profile is loaded
@given(rich(), st.data())
def test_a_row_that_is_left_out_or_changed_is_noticed(drawn: dict[str, Any], data: st.DataObject) -> None:
    assert check_all(one_row_is_wrong(simulate(drawn), data, untold))


def test_every_rule_has_a_case() -> None:
    cases = [rules for *_, rules in (*FIRST_CASES, *CASES)]
    assert {rule for rules in cases for rule in rules} == set(RULES)
    alone = {next(iter(rules)) for rules in cases if len(rules) == 1}
    assert set(RULES) - alone == {"little"}
