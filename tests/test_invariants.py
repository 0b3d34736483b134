"""The checkers can fail: for each rule there are hand-corrupted logs that are refused by exactly that rule.

A log is corrupted in its rows, or in what its header says where the rows are to be wrong by it. Where a corruption cannot
be refused by one rule alone, the case says which others go with it, and why.
"""

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from invariants import RULES, bucket, check_all
from invariants.reading import Row, read
from strategies import scenarios, simulate

from model.events import COLUMNS, Batch, Kind, Status
from model.log import Header, Log, LogWriter

MS = 1_000_000
Edit = Callable[[Header, list[Row]], tuple[Header, list[Row]]]


def rebuilt(header: Header, rows: list[Row]) -> Log:
    """Write a log with this header and these rows."""
    file = io.BytesIO()
    writer = LogWriter(file, header)
    columns = zip(*(row[1:] for row in rows), strict=True)
    writer.write(Batch(*(np.array(column, dtype) for column, dtype in zip(columns, COLUMNS.values(), strict=True))))
    writer.close()
    return Log.from_bytes(file.getvalue(), checked=False)


def corrupted(scenario: dict[str, Any], edit: Edit) -> Log:
    """Run the scenario and corrupt its log."""
    log = simulate(scenario)
    assert check_all(log) == []
    header, rows = edit(log.header, list(read(log).all_rows))
    return rebuilt(header, rows)


def refusing(log: Log) -> set[str]:
    """Return the rules that refuse a log."""
    return {name for name, check in RULES.items() if check(log)}


# Builders: a scenario names only what matters.


def task(duration: str = "100ms", name: str = "work", **more: Any) -> dict[str, Any]:
    return {"task": name, "duration": duration, **more}


def fleet(name: str, *steps: dict[str, Any], count: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": name, **({} if "arrivals" in more else {"count": count}), **more, "steps": list(steps)}


def limit(number: int, name: str = "slots", **more: Any) -> dict[str, Any]:
    return {"id": name, "type": "concurrency", "limit": number, "scope": "global", **more}


def rate(text: str, burst: int, name: str = "rate", **more: Any) -> dict[str, Any]:
    return {"id": name, "type": "rate_limit", "rate": text, "burst": burst, "scope": "global", **more}


def scenario(*parts: dict[str, Any], until: str | None = None) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "name": "x",
        "constraints": [part for part in parts if "type" in part],
        "fleets": [part for part in parts if "steps" in part],
    }
    return whole | ({} if until is None else {"until": until})


# Edits of rows. `at` finds the only row that has these values.


def at(rows: list[Row], kind: Kind, **values: int) -> int:
    found = [
        number
        for number, row in enumerate(rows)
        if row.kind == kind and all(getattr(row, name) == value for name, value in values.items())
    ]
    assert len(found) == 1, found
    return found[0]


def put(kind: Kind, where: dict[str, int], **values: int) -> Edit:
    """Change values of one row."""

    def edit(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
        number = at(rows, kind, **where)
        rows[number] = rows[number]._replace(**values)
        return header, rows

    return edit


def drop(kind: Kind, **where: int) -> Edit:
    """Leave one row out."""

    def edit(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
        del rows[at(rows, kind, **where)]
        return header, rows

    return edit


def swap(first: tuple[Kind, dict[str, int]], second: tuple[Kind, dict[str, int]]) -> Edit:
    """Let two rows change places."""

    def edit(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
        a, b = at(rows, first[0], **first[1]), at(rows, second[0], **second[1])
        rows[a], rows[b] = rows[b], rows[a]
        return header, rows

    return edit


def insert(before: Kind, where: dict[str, int], **values: int) -> Edit:
    """Put a copy of a row, with other values, before it."""

    def edit(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
        number = at(rows, before, **where)
        rows.insert(number, rows[number]._replace(**values))
        return header, rows

    return edit


def each(change: Callable[[Row], Row]) -> Edit:
    """Change every row."""
    return lambda header, rows: (header, [change(row) for row in rows])


def both(*edits: Edit) -> Edit:
    """Make one edit after another."""

    def edit(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
        for one in edits:
            header, rows = one(header, rows)
        return header, rows

    return edit


def told(change: Callable[[dict[str, Any]], object]) -> Edit:
    """Change the scenario that the header carries."""

    def edit(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
        changed = copy.deepcopy(header.scenario)
        change(changed)
        return replace(header, scenario=changed), rows

    return edit


def numbers(constraint: int, time: int, new: dict[str, int], written: dict[str, Any]) -> Edit:
    """Change the numbers of a constraint from a time on, both in the header and as the scenario has them written."""

    def edit(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
        entry = header.constraints[constraint]
        settings = {**dict(entry.settings), time: new}
        constraints = list(header.constraints)
        constraints[constraint] = replace(entry, settings=tuple(sorted(settings.items())))
        return replace(header, constraints=tuple(constraints)), rows

    def write(changed: dict[str, Any]) -> None:
        row = changed["constraints"][constraint]
        if time == 0:
            row.update(written)
            return
        changes = [change for change in row.get("changes", []) if change["at"] != f"{time // MS}ms"]
        row["changes"] = [*changes, {"at": f"{time // MS}ms", **written}]

    return both(edit, told(write))


def moved_up(kind: Kind, where: dict[str, int], before: tuple[Kind, dict[str, int]], lift: bool = False) -> Edit:
    """Move a row up, before another; with `lift` it takes on that one's time, and its value shrinks by as much."""

    def edit(header: Header, rows: list[Row]) -> tuple[Header, list[Row]]:
        row = rows.pop(at(rows, kind, **where))
        number = at(rows, before[0], **before[1])
        if lift:
            row = row._replace(time=rows[number].time, value=row.value - (row.time - rows[number].time))
        rows.insert(number, row)
        return header, rows

    return edit


# Scenarios that the cases corrupt.

TWO_ALONE = scenario(fleet("a", task("100ms")), fleet("b", task("200ms")))
EARNS = scenario(rate("1/s", 1), fleet("a", task("0s"), count=2), until="500ms")
CLOSED: dict[str, Any] = {"id": "door", "type": "pause", "scope": "task:*"}
LIFTED = scenario({**CLOSED, "expires": "2s"}, fleet("a", task()), until="1s")
ONE_THINKS = scenario(CLOSED, fleet("a", task()), fleet("b", {"think": "2s"}), until="1s")
MORE_COME = scenario(CLOSED, fleet("a", task(), count=2, stagger="2s"), until="1s")
THINK_AFTERWARDS = scenario(fleet("a", task("100ms"), {"think": "1s"}), fleet("b", task("200ms"), {"think": "1s"}))
ARRIVAL_AT_COMPLETION = scenario(fleet("a", task("100ms")), fleet("b", task(), arrivals={"at": ["100ms"]}))
CHANGE_AT_COMPLETION = scenario(limit(5, changes=[{"at": "100ms", "limit": 6}]), fleet("a", task("100ms")))
TWICE = scenario(fleet("a", {"repeat": 2, "steps": [task()]}))
QUEUE = scenario(limit(1), fleet("a", task(), count=3))
SLOTS_OF_TWO = scenario(limit(2), fleet("a", task(), count=3))
TWO_LIMITS = scenario(limit(1, "first"), limit(1, "second", scope="fleet:*"), fleet("a", task(), count=2))
WIDE = scenario(limit(1), limit(5, "wide", scope="fleet:*"), fleet("a", task(), count=2))
BOTH_TAKEN = scenario(
    limit(1, "first", scope="fleet:[bc]"),
    limit(1, "second", scope="fleet:[ab]"),
    fleet("a", task("500ms")),
    fleet("b", task()),
    fleet("c", {"think": "100ms"}, task("500ms")),
    until="300ms",
)
REBOUND = scenario(limit(1), rate("2/s", 1), fleet("a", task(), count=2))
BUCKET = scenario(rate("5/s", 2), fleet("a", task(), count=5))
NOT_YET = scenario(rate("5/s", 2, **{"from": "900ms"}), fleet("a", task(cost={"uniform": [1, 2]})))
AWAKE = scenario({"id": "night", "type": "pause", "scope": "global", "paused": False}, fleet("a", task()))
REFUSED = scenario(rate("5/s", 1), fleet("a", task(cost={"uniform": [3, 3]})), until="500ms")
REFUSED_CONSTANT = scenario(
    limit(2, changes=[{"at": "100ms", "limit": 1}]),
    fleet("a", {"think": "200ms"}, task(needs={"slots": 2})),
    until="500ms",
)
SAME_LIMIT_AGAIN = scenario(
    limit(1, changes=[{"at": "100ms", "limit": 1}]), fleet("a", task("200ms"), count=2), until="700ms"
)
SAME_RATE_AGAIN = scenario(rate("1/s", 1, changes=[{"at": "100ms", "rate": "1/s"}]), fleet("a", task(), count=2))
WANTS_TWO = scenario(
    limit(2, changes=[{"at": "100ms", "limit": 2}]),
    fleet("a", task("400ms")),
    fleet("b", task("400ms", needs={"slots": 2})),
    until="300ms",
)
STARTS_AT_THE_END = scenario(limit(1), fleet("a", task("300ms"), count=2), until="300ms")
STAGGERED = scenario(fleet("a", task(), count=3, stagger="50ms"))
OTHERS_MEANWHILE = scenario(limit(1, scope="fleet:a"), fleet("a", task("300ms"), count=2), fleet("b", task("100ms")))

FIRST, SECOND, THIRD = {"agent": 0}, {"agent": 1}, {"agent": 2}

CASES: list[tuple[str, dict[str, Any], Edit, set[str]]] = [
    (
        "time goes back",
        THINK_AFTERWARDS,
        swap((Kind.TaskFinished, FIRST), (Kind.TaskFinished, SECOND)),
        {"order"},
    ),
    ("the run ends twice", TWO_ALONE, insert(Kind.RunFinished, {}), {"order"}),
    ("no beginning", TWO_ALONE, drop(Kind.RunStarted), {"order"}),
    ("the run ends with an unknown status", TWO_ALONE, put(Kind.RunFinished, {}, value=2), {"stall"}),
    ("the run stalls, and nobody waits", TWO_ALONE, put(Kind.RunFinished, {}, value=1), {"stall"}),
    ("the run stalls, and one works", {**QUEUE, "until": "50ms"}, put(Kind.RunFinished, {}, value=1), {"stall"}),
    ("the run stalls, and a token is earned", EARNS, put(Kind.RunFinished, {}, value=1), {"stall"}),
    ("the run stalls, and a pause will be over", LIFTED, put(Kind.RunFinished, {}, value=1), {"stall"}),
    ("the run stalls, and one thinks", ONE_THINKS, put(Kind.RunFinished, {}, value=1), {"stall"}),
    ("the run stalls, and more are to come", MORE_COME, put(Kind.RunFinished, {}, value=1), {"stall"}),
    (
        "an unknown constraint",
        CHANGE_AT_COMPLETION,
        insert(Kind.ConstraintChanged, {}, constraint=7),
        {"order"},
    ),
    ("an unknown kind", TWO_ALONE, insert(Kind.RunFinished, {}, kind=99), {"order"}),
    ("an agent that is not there", TWO_ALONE, insert(Kind.AgentStarted, FIRST, agent=2), {"order"}),
    (
        "an agent acts before it starts",
        TWO_ALONE,
        swap((Kind.AgentStarted, FIRST), (Kind.TaskStarted, FIRST)),
        {"order"},
    ),
    (
        "a completion after an arrival",
        ARRIVAL_AT_COMPLETION,
        moved_up(Kind.AgentStarted, SECOND, (Kind.TaskFinished, FIRST)),
        {"order"},
    ),
    (
        "a change after a completion",
        CHANGE_AT_COMPLETION,
        moved_up(Kind.TaskFinished, FIRST, (Kind.ConstraintChanged, {})),
        {"order"},
    ),
    (
        "the run ends before its time",
        WANTS_TWO,
        lambda header, rows: (replace(header, until_ns=301 * MS), rows),
        {"order"},
    ),
    ("the run ends later than its last event", TWO_ALONE, put(Kind.RunFinished, {}, time=201 * MS), {"order"}),
    (
        "a visit is left out",
        TWICE,
        each(lambda row: row._replace(visit=2) if row.visit == 1 else row),
        {"lifecycle"},
    ),
    (
        "a second attempt without a first",
        TWICE,
        each(lambda row: row._replace(attempt=1) if row.visit == 1 else row),
        {"lifecycle"},
    ),
    ("refused and succeeded", REFUSED, put(Kind.TaskFinished, {}, value=Status.succeeded), {"lifecycle"}),
    ("an unknown status", TWO_ALONE, put(Kind.TaskFinished, FIRST, value=9), {"lifecycle"}),
    ("a drawn amount is not stated", NOT_YET, drop(Kind.ResourceAcquired), {"lifecycle"}),
    ("resumed, never started", STARTS_AT_THE_END, drop(Kind.TaskStarted, agent=1), {"lifecycle"}),
    (
        "blocked twice",
        QUEUE,
        both(put(Kind.TaskBlocked, THIRD, value=2), insert(Kind.TaskBlocked, THIRD, value=1)),
        {"lifecycle"},
    ),
    ("another number waits there", QUEUE, put(Kind.TaskBlocked, THIRD, value=2), {"values"}),
    ("another wait is charged", REBOUND, put(Kind.TaskRebound, SECOND, value=99 * MS), {"values"}),
    ("another episode", QUEUE, put(Kind.TaskResumed, SECOND, value=99 * MS), {"values"}),
    ("resumed from another constraint", TWO_LIMITS, put(Kind.TaskResumed, SECOND, constraint=1), {"values"}),
    ("could be admitted in a while", REFUSED, put(Kind.TaskRejected, {}, value=5), {"values"}),
    (
        "bound to where it is bound",
        QUEUE,
        insert(Kind.TaskBlocked, THIRD, kind=Kind.TaskRebound, agent=1, value=0),
        {"values"},
    ),
    # That wait is what the ledger and Little's law compare with, so they do not agree with it either.
    ("another wait", QUEUE, put(Kind.TaskStarted, SECOND, value=99 * MS), {"values", "ledger", "little"}),
    ("another limit is told", CHANGE_AT_COMPLETION, put(Kind.ConstraintChanged, {}, value=7), {"changes"}),
    ("a change is left out", CHANGE_AT_COMPLETION, drop(Kind.ConstraintChanged), {"changes"}),
    ("a change is told twice", CHANGE_AT_COMPLETION, insert(Kind.ConstraintChanged, {}), {"changes"}),
    ("the limit is lower", SLOTS_OF_TWO, numbers(0, 0, {"limit": 1}, {"limit": 1}), {"usage"}),
    (
        "the bucket is less deep",
        BUCKET,
        numbers(0, 0, {"tokens": 5, "period_ns": 1000 * MS, "burst": 1}, {"burst": 1}),
        {"bucket"},
    ),
    (
        "the bucket earns less",
        BUCKET,
        numbers(0, 0, {"tokens": 4, "period_ns": 1000 * MS, "burst": 2}, {"rate": "4/s"}),
        {"bucket"},
    ),
    ("it is paused", AWAKE, numbers(0, 0, {"paused": 1}, {"paused": True}), {"pause"}),
    (
        "the younger goes first",
        QUEUE,
        each(lambda row: row._replace(agent={1: 2, 2: 1}.get(row.agent, row.agent)) if row.time else row),
        {"fifo"},
    ),
    (
        "there would have been a slot",
        SAME_LIMIT_AGAIN,
        both(numbers(0, 100 * MS, {"limit": 2}, {"limit": 2}), put(Kind.ConstraintChanged, {}, value=2)),
        {"conservation"},
    ),
    (
        "the bucket earns more, and enough between two rows",
        SAME_RATE_AGAIN,
        both(
            numbers(0, 100 * MS, {"tokens": 2, "period_ns": 1000 * MS, "burst": 1}, {"rate": "2/s"}),
            put(Kind.ConstraintChanged, {}, value=2_000_000),
        ),
        {"conservation"},
    ),
    (
        "a slot is given out only after the next completion",
        SLOTS_OF_TWO,
        moved_up(Kind.TaskFinished, SECOND, (Kind.TaskResumed, THIRD)),
        {"conservation"},
    ),
    (
        "an earlier one refuses",
        TWO_LIMITS,
        both(put(Kind.TaskBlocked, SECOND, constraint=1), put(Kind.TaskResumed, SECOND, constraint=1)),
        {"binding"},
    ),
    (
        "bound for a moment to one that admits it",
        WIDE,
        both(
            put(Kind.TaskBlocked, SECOND, constraint=1),
            insert(Kind.TaskFinished, FIRST, time=0, kind=Kind.TaskRebound, agent=1, constraint=0),
        ),
        {"binding"},
    ),
    (
        "it leaves what refuses it still",
        BOTH_TAKEN,
        insert(
            Kind.RunFinished,
            {},
            **{"kind": Kind.TaskRebound, "agent": 1, "step": 1, "visit": 0, "attempt": 0, "constraint": 0},
            value=300 * MS,
        ),
        {"binding"},
    ),
    (
        "what it asks for comes later",
        REFUSED_CONSTANT,
        numbers(0, 900 * MS, {"limit": 2}, {"limit": 2}),
        {"refusal"},
    ),
    (
        "it waits for what never comes",
        WANTS_TWO,
        both(numbers(0, 100 * MS, {"limit": 1}, {"limit": 1}), put(Kind.ConstraintChanged, {}, value=1)),
        {"refusal"},
    ),
    (
        "part of the wait is charged to nobody",
        OTHERS_MEANWHILE,
        moved_up(Kind.TaskResumed, SECOND, (Kind.TaskFinished, THIRD), lift=True),
        {"ledger"},
    ),
    # The number in the system is counted from the very rows by which an agent comes and goes, so Little's law holds for
    # every log in which each agent comes once and goes once at most: it cannot fail where `order` does not.
    ("an agent comes twice", STAGGERED, insert(Kind.AgentStarted, THIRD), {"order", "little"}),
    (
        "the work takes longer than it should",
        TWO_ALONE,
        told(lambda it: it["fleets"][0]["steps"][0].update(duration="90ms")),
        {"services"},
    ),
    (
        "the agent has more to do",
        TWICE,
        told(lambda it: it["fleets"][0]["steps"][0].update(repeat=3)),
        {"services"},
    ),
    (
        "the agents start at other times",
        STAGGERED,
        told(lambda it: it["fleets"][0].update(stagger="40ms")),
        {"services"},
    ),
    (
        "an agent never starts",
        STAGGERED,
        lambda header, rows: (header, [row for row in rows if row.agent != 1]),
        {"services"},
    ),
    ("an agent never finishes", TWO_ALONE, drop(Kind.AgentFinished, agent=0), {"services"}),
    (
        "the scenario has another step",
        TWO_ALONE,
        told(lambda it: it["fleets"][0]["steps"].append({"think": "10ms"})),
        {"declared"},
    ),
    (
        "the scenario has another limit",
        QUEUE,
        told(lambda it: it["constraints"][0].update(limit=2)),
        {"declared"},
    ),
    (
        "the scenario lets it expire",
        QUEUE,
        told(lambda it: it["constraints"][0].update(expires="100ms")),
        {"declared"},
    ),
    (
        "the scenario governs another fleet",
        OTHERS_MEANWHILE,
        told(lambda it: it["constraints"][0].update(scope="fleet:b")),
        {"declared"},
    ),
    (
        "the task needs more",
        SLOTS_OF_TWO,
        told(lambda it: it["fleets"][0]["steps"][0].update(needs={"slots": 2})),
        {"declared"},
    ),
]


@pytest.mark.parametrize(("base", "edit", "rules"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_corrupted_log_is_refused_by_its_rule(base: dict[str, Any], edit: Edit, rules: set[str]) -> None:
    log = corrupted(base, edit)
    assert refusing(log) == rules, "\n".join(check_all(log))


def test_both_ways_to_check_a_bucket_can_fail() -> None:
    edit = numbers(0, 0, {"tokens": 5, "period_ns": 1000 * MS, "burst": 1}, {"burst": 1})
    reading = read(corrupted(BUCKET, edit))
    assert bucket.levels(reading)
    assert bucket.windows(reading, 0)


def test_a_violation_says_where_who_which_rule_and_which_values() -> None:
    (violation,) = check_all(corrupted(QUEUE, put(Kind.TaskBlocked, THIRD, value=2)))
    assert violation == (
        "values: event 6 (TaskBlocked) at 0 ns, agent 2 (a_2_work, visit 0): the value is 2; it has to be 1"
    )


@given(scenarios("none"), st.data())
def test_a_run_under_other_limits_is_noticed(drawn: dict[str, Any], data: st.DataObject) -> None:
    """A log says something of its own limits: the rows of a run with another one are no run of this scenario.

    Nothing is drawn, as the log does not hold a drawn amount that was refused. That the changes are told with other
    values is not enough.
    """
    assume(drawn["constraints"])
    other = copy.deepcopy(drawn)
    row = data.draw(st.sampled_from(other["constraints"]), label="constraint")
    key = data.draw(
        st.sampled_from([key for key in ("limit", "burst", "rate") if key in row] or ["paused"]), label="key"
    )
    if key in ("limit", "burst"):
        row[key] += data.draw(st.sampled_from([1, -1] if row[key] > 1 else [1]), label="more")
    else:
        row[key] = "11/s" if key == "rate" else not row.get("paused", True)
    log, rows = simulate(drawn), read(simulate(other)).all_rows
    told = [line[1:] for line in read(log).all_rows if line.kind != Kind.ConstraintChanged]
    assume(told != [line[1:] for line in rows if line.kind != Kind.ConstraintChanged])
    assert refusing(rebuilt(log.header, list(rows))) - {"changes"}


GIVEN_AWAY = {Kind.ResourceAcquired, Kind.TaskFinished}
"""Their values are known from nowhere else: a drawn amount, and whether a task failed."""


@given(scenarios(), st.data())
def test_a_row_that_is_left_out_or_changed_is_noticed(drawn: dict[str, Any], data: st.DataObject) -> None:
    log = simulate(drawn)
    assert check_all(one_row_is_wrong(log, data, untold))


def untold(log: Log, row: Row, what: str, rows: list[Row]) -> bool:
    """Whether the log would be another that could be."""
    if what == "drop":
        # The last thing that an agent does may be missing where a drawn time could be longer than what is left.
        return row.agent >= 0 and all(later.agent != row.agent for later in rows[row.number + 1 :])
    if what == "constraint" and row.kind in (Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskRejected):
        # Which constraint refuses cannot be told where the log does not hold what was asked for.
        return None in read(log).amounts(row.task).values()
    return what == "value" and row.kind in GIVEN_AWAY


def one_row_is_wrong(log: Log, data: st.DataObject, untold: Callable[[Log, Row, str, list[Row]], bool]) -> Log:
    """Leave out, double or change one row of a log, but not so that it is `untold`."""
    rows = list(read(log).all_rows)
    number = data.draw(st.integers(0, len(rows) - 1), label="row")
    row = rows[number]
    what = data.draw(st.sampled_from(["drop", "twice", "value", "visit", "constraint", "kind"]), label="corruption")
    assume(not untold(log, row, what, rows))
    if what == "drop":
        del rows[number]
    elif what == "twice":
        rows.insert(number, row)
    elif what == "kind":
        rows[number] = row._replace(kind=data.draw(st.sampled_from([k for k in Kind if k != row.kind]), label="kind"))
    else:
        rows[number] = row._replace(**{what: getattr(row, what) + 1})
    return rebuilt(log.header, rows)
