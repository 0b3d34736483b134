"""The checkers can fail over everything, too: corrupted logs of the features that `test_invariants` does not know.

The builders and edits are those of `test_invariants`; what is said there of the cases holds here.
"""

from dataclasses import replace
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
    both,
    corrupted,
    drop,
    fleet,
    insert,
    limit,
    moved_up,
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

from model.events import Kind, Status
from model.log import Header, Log

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

SHARED_TOO_LONG = scenario(limit(1, queue="processor_sharing"), fleet("a", task(timeout="150ms"), count=2))
GIVES_UP_RESERVED = scenario(
    rate("1/s", 2, charge="settle"),
    limit(1, "slots", on_limit="reject"),
    fleet("a", task("300ms", acquire=["rate"]), count=2),
    until="500ms",
)


def troubled(incident: dict[str, Any], *parts: dict[str, Any], until: str | None = None) -> dict[str, Any]:
    return scenario(*parts, until=until) | {"incidents": [{"id": "bad", **incident}]}


def does(**what: Any) -> Edit:
    """Let the only incident do something else, in the header and as the scenario has it written."""

    def edit(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
        entry = header.constraints[-1]
        told_as = {key: value if key == "block" else round(value * MICRO) for key, value in what.items()}
        settings = tuple((at, on if on is None else {**on, **told_as}) for at, on in entry.settings)
        return replace(header, constraints=(*header.constraints[:-1], replace(entry, settings=settings))), rows

    written = {key: bool(value) if key == "block" else value for key, value in what.items()}
    return both(edit, told(lambda it: it["incidents"][0].update(written)))


def bad(**values: Any) -> Edit:
    """Change what is written of the only incident."""
    return told(lambda it: it["incidents"][0].update(values))


def crash(**values: Any) -> Edit:
    return told(lambda it: it["fleets"][0]["crash"].update(values))


ALL_SLOW = troubled({"at": "100ms", "lasts": "200ms", "slow": 2}, fleet("a", task("400ms")))
TOO_SLOW = troubled({"at": "100ms", "slow": 1.5}, fleet("a", task("400ms", timeout="450ms")), until="1s")
NEW_SLOW = troubled(
    {"at": "100ms", "lasts": "200ms", "slow": 2, "applies_to": "new"}, fleet("a", {"think": "100ms"}, task("400ms"))
)
SLOW_AGAIN = troubled(
    {"at": 0, "slow": 2, "applies_to": "new", "scope": "fleet:a"},
    limit(1, queue="priority", preempt="resume"),
    fleet("a", task("400ms")),
    fleet("b", task(priority=1), arrivals={"at": ["300ms"]}),
    until="2s",
)
ALL_FAIL = troubled({"at": 0, "lasts": "150ms", "fail": 1.0}, fleet("a", {"fork": 1, "steps": [task()]}))
THEN_NONE = troubled(
    {"at": 0, "lasts": "150ms", "fail": 1.0}, fleet("a", {"think": "200ms"}, {"fork": 1, "steps": [task()]})
)
ALL_REFUSED = troubled({"at": 0, "lasts": "150ms", "refuse": 1.0}, fleet("a", task()))
BY_LIMIT = troubled(
    {"at": "50ms", "lasts": {"uniform": ["10ms", "20ms"]}, "fail": 1.0, "scope": "constraint:s*"},
    limit(1),
    fleet("a", task()),
)
CRASHES = scenario(
    fleet("a", task(), {"think": "1s"}, crash={"uptime": "150ms", "repair": "50ms"}),
    fleet("b", task("150ms")),
    until="500ms",
)
CHANGES_AND_CRASHES = scenario(
    limit(2, changes=[{"at": "150ms", "limit": 3}]),
    fleet("a", {"think": "1s"}, crash={"uptime": "150ms", "repair": "50ms"}),
    until="210ms",
)
CRASHES_WORKING = scenario(
    fleet("a", task("1s"), task(name="next"), crash={"uptime": "150ms", "repair": "50ms"}), until="210ms"
)
CRASHES_TOGETHER = scenario(
    limit(1),
    fleet("a", {"fork": 2, "steps": [task("1s")]}, crash={"uptime": "150ms", "repair": "1s"}),
    until="1s",
)
CRASHES_TRYING = scenario(
    fleet("a", task(fail=1.0, retry=RETRY), crash={"uptime": "150ms", "repair": "50ms"}), until="210ms"
)
GO_TOGETHER = scenario(
    limit(2),
    *(fleet(name, task("1s"), life="150ms") for name in "ab"),
    fleet("c", task(), arrivals={"at": ["50ms"]}),
)
TOO_LATE = scenario(
    limit(2),
    fleet("a", {"fork": 2, "join": "any", "steps": [task({"uniform": ["100ms", "200ms"]})]}),
    fleet("c", task(), arrivals={"at": ["50ms"]}),
)
HEARD = troubled(
    {"at": 0, "lasts": "150ms", "refuse": 1.0},
    {"id": "slots", "type": "adaptive", "limit": 2, "scope": "global"},
    fleet("a", task()),
)
HEARD_NOTHING = scenario(
    {"id": "slots", "type": "adaptive", "limit": 2, "scope": "global"},
    rate("1/s", 1, on_limit="reject"),
    fleet("a", task("1s"), count=2),
    until="500ms",
)
RAMP = scenario(
    {"id": "rate", "type": "rate_limit", "rate": "2/100ms", "algorithm": "ramp", "growth": 2, "scope": "global"},
    fleet("a", task("50ms")),
    fleet("b", task(cost=2), arrivals={"at": ["100ms"]}),
)
DOWN, UP = (Kind.AgentCrashed, {"time": 150 * MS}), (Kind.AgentRestarted, {"time": 200 * MS})


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
    (
        "one takes more of a ramp than the rate says, though there is as much",
        RAMP,
        numbers(0, 0, {"tokens": 1, "period_ns": 100 * MS, "burst": 1, "growth": 2 * MICRO}, {"rate": "1/100ms"}),
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
    (
        "a limit does not hear of what an incident refuses",
        HEARD,
        drop(Kind.ConstraintChanged, constraint=0),
        {"hearing"},
    ),
    (
        "a limit hears of what another refuses",
        HEARD_NOTHING,
        insert(Kind.RunFinished, {}, kind=Kind.ConstraintChanged, constraint=0, value=1, time=0),
        {"hearing"},
    ),
    ("the processor is faster", SHARED, numbers(0, 0, {"limit": 2}, {"limit": 2}), {"sharing"}),
    # Who waits for good.
    ("a deadlock of three", LOCKED, put(Kind.DeadlockDetected, {"value": 2}, value=3), {"deadlock"}),
    ("one of two is caught", LOCKED, drop(Kind.DeadlockDetected, value=0), {"deadlock"}),
    ("nobody told of the deadlock", LOCKED, drop(Kind.DeadlockDetected, value=2), {"deadlock"}),
    ("caught twice", LOCKED, insert(Kind.DeadlockDetected, {"value": 0}), {"deadlock"}),
    ("it waits for something else", LOCKED, put(Kind.DeadlockDetected, {"value": 0}, constraint=0), {"deadlock"}),
    # What goes wrong.
    ("a shared processor takes longer", SHARED_TOO_LONG, rewritten(timeout="140ms"), {"sharing"}),
    (
        "not all is handed back of what was reserved",
        GIVES_UP_RESERVED,
        put(Kind.ResourceReleased, {"agent": 1}, value=0),
        {"lifecycle"},
    ),
    ("slowed work is longer", ALL_SLOW, rewritten(duration="390ms"), {"incidents"}),
    ("slowed work is slower", ALL_SLOW, does(slow=2.5), {"incidents"}),
    ("it times out later", TOO_SLOW, rewritten(timeout="440ms"), {"incidents"}),
    ("it would have been done in time", TOO_SLOW, does(slow=1.1), {"incidents"}),
    ("new work is longer", NEW_SLOW, does(slow=1.5), {"incidents"}),
    ("all work is slower, not new work alone", NEW_SLOW, both(does(new=0), bad(applies_to="all")), {"incidents"}),
    ("what was pre-empted is shorter", SLOW_AGAIN, rewritten(duration="390ms"), {"incidents"}),
    ("it succeeds where all fail", ALL_FAIL, put(Kind.TaskFinished, {}, value=Status.succeeded), {"incidents"}),
    ("it fails where nothing does", THEN_NONE, put(Kind.TaskFinished, {}, value=Status.failed), {"incidents"}),
    ("it is let in where all wait", ALL_FAIL, does(block=1), {"incidents"}),
    ("it is let in where all are refused", ALL_FAIL, does(refuse=1.0), {"incidents"}),
    ("refused by one that refuses nobody", ALL_REFUSED, does(refuse=0, fail=1.0), {"refusal"}),
    ("it says when to come again", ALL_REFUSED, bad(retry_after="300ms"), {"values"}),
    ("it lasts longer", ALL_FAIL, bad(lasts="160ms"), {"declared"}),
    ("it comes earlier", BY_LIMIT, bad(at="40ms"), {"declared"}),
    ("it hits others", BY_LIMIT, bad(scope="constraint:t*"), {"declared"}),
    ("it is over twice", ALL_FAIL, insert(Kind.ConstraintChanged, {}), {"changes"}),
    ("it crashes later", CRASHES, crash(uptime="160ms"), {"crashes"}),
    ("its fleet does not crash", CRASHES, told(lambda it: it["fleets"][0].pop("crash")), {"crashes"}),
    ("the repair takes longer", CRASHES, crash(repair="60ms"), {"crashes"}),
    ("it is up before the repair is over", CRASHES, put(*DOWN, value=60 * MS), {"crashes"}),
    (
        "it never crashes again",
        CRASHES,
        both(drop(Kind.AgentCrashed, time=350 * MS), drop(Kind.AgentRestarted, time=400 * MS)),
        {"crashes", "services"},
    ),
    ("it crashes twice", CRASHES, insert(*DOWN), {"crashes"}),
    ("it is up twice", CRASHES, insert(*UP), {"crashes", "services"}),
    ("a crash before a change", CHANGES_AND_CRASHES, moved_up(*DOWN, (Kind.ConstraintChanged, {})), {"order"}),
    ("a completion before a crash", CRASHES, moved_up(Kind.TaskFinished, SECOND, DOWN), {"order"}),
    ("a restart has a value", CRASHES, put(*UP, value=1), {"order"}),
    # It is open still when the next begins.
    ("what it worked on is open", CRASHES_WORKING, drop(Kind.TaskFinished), {"lifecycle"}),
    (
        "it does not begin with its first step",
        CRASHES_WORKING,
        put(Kind.TaskStarted, {"visit": 1}, step=1, visit=0),
        {"crashes", "services"},
    ),
    (
        "it goes on with what it did before",
        CRASHES_TRYING,
        put(Kind.TaskStarted, {"visit": 1}, visit=0, attempt=1),
        {"crashes", "lifecycle", "values", "little"},
    ),
    (
        "what it backed off from is open",
        CRASHES_TRYING,
        both(drop(Kind.TaskAbandoned), drop(Kind.TaskFinished, attempt=1)),
        {"lifecycle"},
    ),
    ("it has backed off for longer", CRASHES_TRYING, put(Kind.TaskAbandoned, {}, value=60 * MS), {"ledger"}),
    (
        "it backs off before another attempt",
        CRASHES_TRYING,
        put(Kind.TaskAbandoned, {}, attempt=2),
        {"ledger", "lifecycle"},
    ),
    (
        "what one of its branches gives back goes to another",
        CRASHES_TOGETHER,
        both(
            moved_up(Kind.TaskFinished, {"visit": 0}, (Kind.TaskAbandoned, {})),
            drop(Kind.TaskAbandoned),
            insert(Kind.TaskFinished, {"visit": 1}, kind=Kind.TaskResumed, constraint=0, value=150 * MS),
            insert(Kind.TaskFinished, {"visit": 1}, kind=Kind.TaskStarted, value=150 * MS),
        ),
        {"crashes"},
    ),
    (
        "nobody is tried between two agents that end at one instant, though not together",
        GO_TOGETHER,
        moved_up(Kind.TaskFinished, {"agent": 1}, (Kind.TaskResumed, {})),
        {"conservation"},
    ),
    (
        "nobody is tried between who reaches a join and what is called off then",
        TOO_LATE,
        moved_up(Kind.TaskFinished, {"value": Status.cancelled}, (Kind.TaskResumed, {})),
        {"conservation"},
    ),
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
            or (kind is Kind.AgentCrashed and not _comes_back(rows, row))
            or kind is Kind.DeadlockDetected  # it may begin another deadlock
            or (kind is Kind.RunFinished and row.value == 0)  # one of several branches may think, and nobody can tell
        )
    if what == "constraint" and kind in (Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskRejected):
        return None in reading.amounts(row.task).values()
    return what == "visit" and kind is Kind.AgentStarted


def _comes_back(rows: list[Row], crash: Row) -> bool:
    """Whether a repair is over before the end of the log."""
    return any(row.kind == Kind.AgentRestarted and row.agent == crash.agent for row in rows[crash.number + 1 :])


@settings(max_examples=settings.default.max_examples // 2)  # type: ignore[union-attr] # a profile is loaded
@given(rich(), st.data())
def test_a_row_that_is_left_out_or_changed_is_noticed(drawn: dict[str, Any], data: st.DataObject) -> None:
    assert check_all(one_row_is_wrong(simulate(drawn), data, untold))


def test_every_rule_has_a_case() -> None:
    cases = [rules for *_, rules in (*FIRST_CASES, *CASES)]
    assert {rule for rules in cases for rule in rules} == set(RULES)
    alone = {next(iter(rules)) for rules in cases if len(rules) == 1}
    assert set(RULES) - alone == {"little"}
