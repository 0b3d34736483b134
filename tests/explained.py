"""Checks what an explanation says against the rows of the log: brute force, and nothing of what made it.

`wrong(log, claims, until)` returns what is not so. What is known of the log is in `tests.truth`. `until` is the
moment up to which was explained: later rows are not looked at.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from model.events import Kind, Skip, Status
from model.log import Log

from . import starving
from .invariants.reading import Row, Visit
from .truth import FOR_GOOD, TIMED, Dict, Interval, Truth

LASTING = ("worked", "idle", "backed_off", "repaired", "gave_up")
LINKS = (
    *(
        *LASTING,
        "released",
        "changed",
        "left",
        "heard",
        "refilled",
        "unknown",
        "refused",
        "preempted",
        "came",
        "crashed",
    ),
    *("was_spawned", "joined", "waits_for_spawned", "still_held", "still_shut", "still_empty", "circle"),
)


# What each kind of claim says.


def _lived(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["from_event"], Kind.AgentStarted, facts, facts["from_ns"])
    if truth.names[facts["agent"]] != facts["number"]:
        yield "it has another number"
    end = [row for row in truth.rows if row.kind == Kind.AgentFinished and row.agent == facts["number"]]
    if facts["to_event"] is None:
        if end or facts["to_ns"] != truth.until:
            yield "it is done"
    else:
        yield from truth.row(facts["to_event"], Kind.AgentFinished, facts, facts["to_ns"])


def _spent(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _lived(truth, facts)
    if sum(part["ns"] for part in facts["parts"]) != facts["whole_ns"]:
        yield "the parts are not the whole"
    said = {(part["what"], part["constraint"]): part["ns"] for part in facts["parts"]}
    found = truth.spent(truth.names[facts["agent"]], facts["from_ns"], facts["to_ns"])
    if said != found:
        yield f"it is {found}"


def _waited(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["from_event"], Kind.TaskBlocked, facts, facts["from_ns"])
    if truth.rows[facts["from_event"]].value != facts["behind"]:
        yield "others waited there"
    wait = next(wait for wait in truth.waits if wait.begin.number == facts["from_event"])
    if facts["to_event"] is None:
        if wait.end is not None or facts["ended"] != "goes_on" or facts["to_ns"] != truth.until:
            yield "it is over"
    else:
        kind = {"resumed": Kind.TaskResumed, "rejected": Kind.TaskRejected, "abandoned": Kind.TaskAbandoned}[
            facts["ended"]
        ]
        yield from truth.row(facts["to_event"], kind, facts, facts["to_ns"])
        row = truth.rows[facts["to_event"]]
        if kind != Kind.TaskRejected and row.value != facts["to_ns"] - facts["from_ns"]:
            yield f"the row says {row.value}"
        if wait.end is None or wait.end.number != facts["to_event"]:
            yield "another row ends it"
    parts = facts["parts"]
    if sum(part["to_ns"] - part["from_ns"] for part in parts) != facts["to_ns"] - facts["from_ns"]:
        yield "the parts are not the whole"
    bound = {number: truth.ids[c] for number, c in wait.bound.items() if truth.reading.rows[number].time <= truth.until}
    if {part["from_event"]: part["constraint"] for part in parts} != bound:
        yield f"it is bound to {bound}"
    edges = [*(part["from_ns"] for part in parts), facts["to_ns"]]
    if [part["to_ns"] for part in parts] != edges[1:]:
        yield "the parts do not join"
    for part in parts:
        yield from truth.row(part["from_event"], Kind(truth.rows[part["from_event"]].kind), facts, part["from_ns"])
    if facts.get("held"):
        has = {
            **facts,
            **facts["held"],
            "constraint": max(parts, key=lambda each: each["to_ns"] - each["from_ns"])["constraint"],
        }
        check = _held if "holders" in has else _took if "takes" in has else _shut
        yield from check(truth, has)


def _comes(truth: Truth, facts: Dict) -> Iterator[str]:
    """Say what is wrong with the row in which a task came to what it waits for, and with how much it asked for."""
    kind = Kind(truth.rows[facts["at_event"]].kind)
    if kind not in (Kind.TaskBlocked, Kind.TaskRebound):
        yield f"it came in {kind.name}"
    yield from truth.row(facts["at_event"], kind, facts, facts["at_ns"])
    yield from truth.about(facts["at_event"], facts)
    if facts.get("asked") is not None:
        amounts = truth.reading.amounts(truth.rows[facts["at_event"]].task)
        if amounts[truth.ids.index(facts["constraint"])] != facts["asked"]:
            yield f"it asked for {amounts}"


def _held(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _comes(truth, facts)
    number = truth.ids.index(facts["constraint"])
    there = truth.holders(number, facts["at_event"])
    if (len(there), sum(each.amount for each in there)) != (facts["holders"], facts["used"]):
        yield f"{there} held it"
    if truth.limits[facts["at_event"]][number] != facts["limit"]:
        yield f"the limit is {truth.limits[facts['at_event']][number]}"
    for by in facts["by"]:
        found = [each for each in there if _is(truth, each.visit, by)]
        if len(found) != 1:
            yield f"{by} did not hold it"
            continue
        one = found[0]
        if (one.amount, one.first.time) != (by["amount"], by["from_ns"]):
            yield f"{by} held {one}"
        if (by["to_event"] is None) != (one.last is None) or by["to_ns"] != (
            truth.until if one.last is None else one.last.time
        ):
            yield f"{by} gave it back in {one.last}"


def _is(truth: Truth, visit: Visit, facts: Dict) -> bool:
    name = f"{truth.reading.name(visit.agent)}_{truth.reading.header.steps[visit.step].name}"
    return (name, visit.visit) == (facts["task"], facts["visit"])


def _amounts(truth: Truth, number: int) -> list[tuple[Row, int]]:
    """Return the rows that take of a limit that is not held, and how much; less than nothing is handed back."""
    found = []
    for row in truth.rows:
        if row.kind == Kind.ResourceAcquired and row.constraint == number:
            found.append((row, row.value))
        elif row.kind == Kind.ResourceReleased and row.constraint == number:
            found.append((row, -row.value))
        elif row.kind == Kind.TaskStarted and not truth.reading.header.steps[row.step].states_all:
            demands = (d for group in truth.reading.header.steps[row.step].demands for d in group)
            if not any(d.constraint == number and d.amount is None for d in demands):
                found.append((row, truth.reading.amounts(row.task).get(number) or 0))
    return [(row, amount) for row, amount in found if amount]


def _window(truth: Truth, number: int) -> int:
    settings = truth.reading.header.constraints[number].settings
    numbers = next((n for _, n in settings if n is not None), {})
    if truth.types[number] == "quota":
        return numbers.get("period_ns", 0) or FOR_GOOD
    return numbers["burst"] * numbers["period_ns"] // max(1, numbers["tokens"])


def _took(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _comes(truth, facts)
    number = truth.ids.index(facts["constraint"])
    window = _window(truth, number)
    if facts["window_ns"] != (None if window == FOR_GOOD else window):
        yield f"the window is {window}"
    takes = [
        (row, amount)
        for row, amount in _amounts(truth, number)
        if row.number < facts["at_event"] and row.time + window > facts["at_ns"]
    ]
    if (len(takes), sum(amount for _, amount in takes)) != (facts["takes"], facts["taken"]):
        yield f"taken was {takes}"
    for by in facts["by"]:
        if not any(
            row.number == by["event"] and amount == by["amount"] and _is(truth, row.task.whole, by)
            for row, amount in takes
        ):
            yield f"{by} did not take that"
    if facts["by"] and max(amount for _, amount in takes) != facts["by"][0]["amount"]:
        yield "somebody took more"


def _shut(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _comes(truth, facts)
    number = truth.ids.index(facts["constraint"])
    changes = [
        row
        for row in truth.rows[: facts["at_event"]]
        if row.kind == Kind.ConstraintChanged and row.constraint == number
    ]
    last = changes[-1] if changes else None
    if (facts["event"], facts["since_ns"]) != ((None, 0) if last is None else (last.number, last.time)):
        yield f"it changed in {last}"


def _ahead(truth: Truth, facts: Dict) -> Iterator[str]:
    number, stop = truth.ids.index(facts["constraint"]), facts["to_event"] or len(truth.rows)
    wait = next(wait for wait in truth.waits if wait.begin.number == facts["asked_event"])
    reading, begin = truth.reading, wait.begin
    yield from truth.row(facts["asked_event"], Kind.TaskBlocked, facts)
    if wait.bound_at(facts["from_event"]) != number or wait.bound_at(stop - 1) != number:
        yield "it waited for something else"
    later = [
        event
        for event in (*wait.bound, wait.end.number if wait.end else len(truth.rows))
        if event > facts["from_event"]
    ]
    if facts["from_event"] not in wait.bound or min(later) != stop:
        yield f"it waited for that up to event {min(later)}"
    taking = [
        row
        for row in truth.rows[facts["from_event"] + 1 : stop]
        if number in starving.taken(reading, row) and row.task.whole != begin.task.whole
    ]
    queue = reading.rule_of(number, "queue")
    mine = reading.amounts(begin.task)[number]
    if mine is not None and not any(
        row.kind == Kind.ResourceAcquired and row.task.whole == begin.task.whole and row.constraint == number
        for row in truth.rows
    ):
        known = [
            d.amount for group in reading.header.steps[begin.step].demands for d in group if d.constraint == number
        ]
        mine = mine if None not in known else None

    def reason(row: Row) -> str:
        if queue in ("edf", "sjf", "fair", "random"):
            return str(queue)
        asked = starving.asked(reading, row, number)
        mine_, other = reading.priority(begin.task), reading.priority(row.task)
        if queue == "lifo" and asked >= begin.number:
            return "lifo"
        if queue == "priority" and other > mine_:
            return "priority"
        if queue != "lifo" and asked < begin.number and (queue != "priority" or other == mine_):
            return "earlier"
        amount = row.value if row.kind == Kind.ResourceAcquired else reading.amounts(row.task)[number]
        deferred = row.kind == Kind.TaskStarted and reading.header.steps[row.step].states_all
        if mine is not None and amount and amount < mine and not deferred:
            return "smaller"
        before = (r for r in truth.rows[: row.number] if r.task.whole == row.task.whole and r.kind == Kind.TaskFinished)
        return "kept_place" if any(r.value == Status.preempted for r in before) else "unknown"

    same = [row for row in taking if reason(row) == facts["reason"]]
    if len(same) != facts["count"]:
        yield f"for this reason came {[row.number for row in same]} of {[(row.number, reason(row)) for row in taking]}"
    for by, row in zip(facts["by"], same, strict=False):
        if by["took_event"] != row.number or by["asked_event"] != starving.asked(reading, row, number):
            yield f"{by} is {row}"
        if not _is(truth, row.task.whole, by) or by.get("priority", reading.priority(row.task)) != reading.priority(
            row.task
        ):
            yield f"{by} is {row}"


def _got(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["resumed_event"], Kind.TaskResumed, facts, facts["at_ns"])
    yield from truth.about(facts["resumed_event"], facts)
    yield from truth.row(facts["since_event"], Kind.TaskBlocked, facts, facts["since_ns"])
    if "event" in facts:
        if truth.rows[facts["event"]].time != facts["at_ns"] or facts["event"] >= facts["resumed_event"]:
            yield "the cause is at another time"
        if "by" in facts and not _is(truth, truth.rows[facts["event"]].task.whole, facts["by"]):
            yield "the cause is of another task"


def _released(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _got(truth, facts)
    number, row = truth.ids.index(facts["constraint"]), truth.rows[facts["event"]]
    if not truth.reading.holds(number):
        if row.kind != Kind.ResourceReleased or row.constraint != number or row.value <= 0:
            yield "nothing is given back"
        return
    gave = [each for each in truth.held if each.constraint == number and each.last == row]
    if not gave:
        yield "nothing is given back"
    elif "held_since_ns" in facts:
        yield from _since(truth, facts, gave[0], "held_since_ns", "held_since_event")


def _since(truth: Truth, facts: Dict, held: Interval, ns: str, event: str) -> Iterator[str]:
    """Say what is wrong with when something was taken; the amount may have a row before the start."""
    row = truth.rows[facts[event]]
    taking = row.kind in (Kind.TaskStarted, Kind.ResourceAcquired)
    if facts[ns] != held.first.time or row.time != facts[ns] or row.task.whole != held.visit or not taking:
        yield f"held as {held}"


def _changed(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _got(truth, facts)
    yield from truth.about(facts["event"], facts)
    row = truth.rows[facts["event"]]
    if row.kind != Kind.ConstraintChanged or row.value != facts["value"]:
        yield "it did not change so"


def _left(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _got(truth, facts)
    yield from truth.about(facts["event"], facts)
    if truth.rows[facts["event"]].kind not in (Kind.TaskRejected, Kind.TaskAbandoned):
        yield "nobody left"


def _heard(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _got(truth, facts)
    if truth.rows[facts["event"]].kind != Kind.TaskFinished or not truth.reading.hears(
        truth.ids.index(facts["constraint"])
    ):
        yield "it heard nothing"


def _refilled(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _got(truth, facts)
    number = truth.ids.index(facts["constraint"])
    if truth.types[number] not in TIMED:
        yield "time does not fill it"
    bound = next(wait for wait in truth.waits if wait.begin.number == facts["since_event"]).bound
    for row in truth.rows[max(bound) + 1 : facts["resumed_event"]]:
        gives = row.kind == Kind.ConstraintChanged or (row.kind == Kind.ResourceReleased and row.value > 0)
        if gives and row.constraint == number and row.time == facts["at_ns"]:
            yield f"it is {row}"


def _unknown(truth: Truth, facts: Dict) -> Iterator[str]:
    yield "nothing is known of why"


def _worked(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["from_event"], Kind.TaskStarted, facts, facts["from_ns"])
    ends = [row for row in truth.of_visit(facts) if row.attempt == facts["attempt"] and row.kind == Kind.TaskFinished]
    if facts["to_event"] is None:
        if ends or facts["to_ns"] != truth.until:
            yield "it is over"
    else:
        yield from truth.row(facts["to_event"], Kind.TaskFinished, facts, facts["to_ns"])
        if Status(truth.rows[facts["to_event"]].value).name != facts["status"]:
            yield "it ended otherwise"


def _idle(truth: Truth, facts: Dict) -> Iterator[str]:
    agent = truth.names[facts["agent"]]
    if truth.rows[facts["from_event"]].agent != agent or truth.rows[facts["from_event"]].time != facts["from_ns"]:
        yield "it did nothing then"
    if facts["to_event"] is not None:
        row = truth.rows[facts["to_event"]]
        spawned = row.kind == Kind.AgentStarted and row.step >= 0 and row.value == agent
        if row.time != facts["to_ns"] or (row.agent != agent and not spawned):
            yield f"it ends with {row}"
    for row in truth.rows:
        inside = row.agent == agent and facts["from_ns"] < row.time < facts["to_ns"]
        if inside and facts["alone"] and row.kind not in (Kind.ResourceReleased, Kind.DeadlockDetected):
            yield f"meanwhile {row}"
        if inside and row.kind in (Kind.TaskSkipped, Kind.AgentRestarted):
            yield f"meanwhile {row}"
    for what, _, begin, end in truth.spans(agent) if facts["alone"] else ():
        if begin < facts["to_ns"] and end > facts["from_ns"]:
            yield f"it {what} from {begin} to {end}"


def _backed_off(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["from_event"], Kind.TaskRetrying, facts, facts["from_ns"])
    if facts["to_event"] is not None:
        row = truth.rows[facts["to_event"]]
        called_off = row.kind == Kind.TaskFinished
        if row.time != facts["to_ns"] or (row.attempt != facts["attempt"] + 1):
            yield f"it ends with {row}"
        if not called_off and truth.rows[facts["from_event"]].value != facts["to_ns"] - facts["from_ns"]:
            yield "it was to be longer"


def _repaired(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["from_event"], Kind.AgentCrashed, facts, facts["from_ns"])
    if facts["to_event"] is not None:
        over = truth.rows[facts["to_event"]].kind == Kind.AgentFinished  # its life, before it is repaired
        yield from truth.row(
            facts["to_event"], Kind.AgentFinished if over else Kind.AgentRestarted, facts, facts["to_ns"]
        )
        if not over and truth.rows[facts["from_event"]].value != facts["to_ns"] - facts["from_ns"]:
            yield "it was to be longer"


def _gave_up(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["from_event"], Kind.TaskBlocked, facts, facts["from_ns"])
    kind = Kind.TaskRejected if facts["how"] == "rejected" else Kind.TaskAbandoned
    yield from truth.row(facts["to_event"], kind, facts, facts["to_ns"])
    yield from truth.about(facts["to_event"], facts)


def _of_kind(
    kind: Kind, about: bool = False, **values: Callable[[Dict], int]
) -> Callable[[Truth, Dict], Iterator[str]]:
    def check(truth: Truth, facts: Dict) -> Iterator[str]:
        yield from truth.row(facts["event"], kind, facts, facts["at_ns"])
        if about:
            yield from truth.about(facts["event"], facts)
        for value in values.values():
            if truth.rows[facts["event"]].value != value(facts):
                yield f"the row says {truth.rows[facts['event']].value}"

    return check


def _preempted(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["event"], Kind.TaskFinished, facts, facts["at_ns"])
    if truth.rows[facts["event"]].value != Status.preempted:
        yield "it was not pre-empted"
    if truth.reading.priority(truth.rows[facts["event"]].task) != facts["priority"]:
        yield "it is of another priority"
    if facts["by"] is not None:
        yield from truth.row(facts["by_event"], Kind.TaskStarted, facts["by"], facts["at_ns"])
        priority = truth.reading.priority(truth.rows[facts["by_event"]].task)
        if priority != facts["by_priority"] or priority <= facts["priority"]:
            yield "it is no more important"


def _was_spawned(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["event"], Kind.AgentStarted, facts, facts["at_ns"])
    row = truth.rows[facts["event"]]
    if row.step < 0 or truth.reading.name(row.value) != facts["by"]:
        yield f"spawned in {row}"


def _came(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["event"], Kind.AgentStarted, facts, facts["at_ns"])
    if truth.rows[facts["event"]].step >= 0:
        yield "it was spawned"


def _joined(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["event"], Kind.AgentFinished, {"agent": facts["by"]}, facts["at_ns"])
    yield from _is_parent(truth, facts)


def _waits_for_spawned(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["event"], Kind.AgentStarted, {"agent": facts["by"]})
    yield from _is_parent(truth, facts)
    child = truth.names[facts["by"]]
    if any(row.agent == child and row.kind == Kind.AgentFinished for row in truth.rows):
        yield "it is done"


def _is_parent(truth: Truth, facts: Dict) -> Iterator[str]:
    born = truth.reading.parents.get(truth.names[facts["by"]])
    if born is None or truth.reading.name(born.value) != facts["agent"] or not truth.spawn_waits(born.step):
        yield f"it does not wait for {facts['by']}"


def _still(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["since_event"], Kind.TaskBlocked, facts, facts["since_ns"])
    wait = next(wait for wait in truth.waits if wait.begin.number == facts["since_event"])
    if wait.end is not None or facts["at_ns"] != truth.until:
        yield "it waits no longer"
    if truth.ids[wait.bound_at(len(truth.rows) - 1)] != facts["constraint"]:
        yield "it waits for something else"


def _still_held(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _still(truth, facts)
    there = truth.holders(truth.ids.index(facts["constraint"]), len(truth.rows))
    if len(there) != facts["others"] + 1:
        yield f"{there} hold it"
    mine = [each for each in there if _is(truth, each.visit, facts["by"])]
    if not mine:
        yield f"{there} hold it"
    else:
        yield from _since(truth, facts, mine[0], "held_since_ns", "held_event")


def _still_shut(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _still(truth, facts)
    if truth.holders(truth.ids.index(facts["constraint"]), len(truth.rows)):
        yield "somebody holds it"
    if "event" in facts:
        yield from truth.row(facts["event"], Kind.ConstraintChanged, {}, facts["changed_ns"])
        yield from truth.about(facts["event"], facts)


def _still_empty(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from _still(truth, facts)
    if truth.types[truth.ids.index(facts["constraint"])] not in TIMED:
        yield "time does not fill it"


def _deadlocked(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from truth.row(facts["event"], Kind.DeadlockDetected, facts, facts["at_ns"])


def _nothing(truth: Truth, facts: Dict) -> Iterator[str]:
    """What is checked with others."""
    yield from ()


# What is said of a constraint.


def _stretches(truth: Truth, number: int) -> list[tuple[Row, int, int, Row | None]]:
    """Return each stretch of waiting for a constraint: whose, from when, to when, and what ends it."""
    found = []
    for wait in truth.waits:
        comes = [
            truth.reading.rows[each] for each in sorted(wait.bound) if truth.reading.rows[each].time <= truth.until
        ]
        ends = [*comes[1:], wait.end]
        for row, end in zip(comes, ends, strict=True):
            until = truth.until if end is None else end.time
            if wait.bound[row.number] == number and until > row.time:
                found.append((row, row.time, until, end))
    return found


def _periods(truth: Truth, number: int) -> list[tuple[int, int, int]]:
    """Return from when to when somebody waited, and how many at most."""
    stretches = _stretches(truth, number)
    times = sorted({time for _, since, until, _ in stretches for time in (since, until)})
    found: list[tuple[int, int, int]] = []
    for since, until in pairwise(times):
        count = sum(1 for _, begin, end, _ in stretches if begin <= since and end >= until)
        if count and found and found[-1][1] == since:
            found[-1] = found[-1][0], until, max(found[-1][2], count)
        elif count:
            found.append((since, until, count))
    return found


def _bound(truth: Truth, facts: Dict) -> Iterator[str]:
    number = truth.ids.index(facts["constraint"])
    periods, stretches = _periods(truth, number), _stretches(truth, number)
    waited = sum(until - since for _, since, until, _ in stretches)
    yield from _edges(truth, number, facts)
    found = (sum(end - begin for begin, end, _ in periods), truth.until, len(periods), len(stretches), waited)
    if found != tuple(facts[key] for key in ("ns", "whole_ns", "periods", "waits", "waited_ns")):
        yield f"it is {found}"


def _edges(truth: Truth, number: int, facts: Dict) -> Iterator[str]:
    """Say what is wrong with the events that begin the first time in which somebody waited, and end the last."""
    periods, stretches = _periods(truth, number), _stretches(truth, number)
    if facts["from_event"] not in {row.number for row, since, _, _ in stretches if since == periods[0][0]}:
        yield "another event begins it"
    if facts["to_event"] not in {end and end.number for _, _, until, end in stretches if until == periods[-1][1]}:
        yield "another event ends it"


def _bound_from(truth: Truth, facts: Dict) -> Iterator[str]:
    number = truth.ids.index(facts["constraint"])
    if (facts["from_ns"], facts["to_ns"], facts["most"]) not in _periods(truth, number):
        yield f"it bound {_periods(truth, number)}"
    stretches = _stretches(truth, number)
    if facts["from_event"] not in {row.number for row, since, _, _ in stretches if since == facts["from_ns"]}:
        yield "another event begins it"
    if facts["to_event"] not in {end and end.number for _, _, until, end in stretches if until == facts["to_ns"]}:
        yield "another event ends it"


def _pieces(truth: Truth, number: int) -> Iterator[tuple[int, int, int]]:
    """Yield each time between two rows with how many wait in it."""
    stretches = _stretches(truth, number)
    times = sorted(
        {0, truth.until, *(row.time for row in truth.rows)} | {t for _, b, e in _had_by(truth, number) for t in (b, e)}
    )
    for since, until in pairwise(times):
        yield since, until, sum(1 for _, begin, end, _ in stretches if begin <= since and end >= until)


def _had_by(truth: Truth, number: int) -> list[tuple[tuple[int, int], int, int]]:
    """Return who had how much, given with the step, from when to when."""
    if truth.reading.holds(number):
        return [
            ((each.visit.step, each.amount), each.first.time, truth.until if each.last is None else each.last.time)
            for each in truth.held
            if each.constraint == number
        ]
    window = _window(truth, number)
    return [
        ((row.step, amount), row.time, min(truth.until, row.time + window)) for row, amount in _amounts(truth, number)
    ]


def _used(truth: Truth, facts: Dict) -> Iterator[str]:
    number = truth.ids.index(facts["constraint"])
    used = available = 0.0
    yield from _edges(truth, number, facts)
    if facts["ns"] != sum(end - begin for begin, end, _ in _periods(truth, number)):
        yield "it bound for another time"
    if truth.reading.holds(number):
        for since, until, waiting in _pieces(truth, number):
            if waiting:
                last = max((row.number for row in truth.rows if row.time <= since), default=-1)
                held = (amount for (_, amount), begin, end in _had_by(truth, number) if begin <= since and end >= until)
                used += sum(held) * (until - since)
                available += max(0, truth.limits[last + 1][number]) * (until - since)
    else:
        for begin, end, _ in _periods(truth, number):
            used += sum(amount for row, amount in _amounts(truth, number) if begin < row.time <= end)
        available = facts["available"]
    if used != facts["used"] or abs(available - facts["available"]) > 1e-9 * available:
        yield f"it is {used} of {available}"


def _had(truth: Truth, facts: Dict) -> Iterator[str]:
    number = truth.ids.index(facts["constraint"])
    had, charged = _had_by(truth, number), 0.0
    for since, until, waiting in _pieces(truth, number):
        there = [(step, amount) for (step, amount), begin, end in had if begin <= since and end >= until]
        whole = sum(amount for _, amount in there)
        mine = sum(amount for step, amount in there if _named(truth, step, facts))
        charged += waiting * (until - since) * mine / whole if whole > 0 else 0
    if facts["waited_ns"] != sum(until - since for _, since, until, _ in _stretches(truth, number)):
        yield "tasks waited for another time"
    first = truth.rows[facts["event"]]
    if not _named(truth, first.step, facts) or first.kind not in (
        Kind.TaskStarted,
        Kind.ResourceAcquired,
        Kind.ResourceReleased,
    ):
        yield f"it took in {first}"
    if abs(charged - facts["charged_ns"]) > 1e-6 * (1 + abs(charged)):
        yield f"charged with {charged}"
    held = truth.reading.holds(number)
    amount = sum(a * (end - begin if held else 1) for (step, a), begin, end in had if _named(truth, step, facts))
    whole = sum(a * (end - begin if held else 1) for (_, a), begin, end in had)
    if abs(amount - facts["amount"]) > 1e-9 * abs(amount) or abs(whole - facts["whole_amount"]) > 1e-9 * abs(whole):
        yield f"it had {amount} of {whole}"
    if len([step for (step, _), _, _ in had if _named(truth, step, facts)]) != facts["takes"]:
        yield "it took otherwise"


def _named(truth: Truth, step: int, facts: Dict) -> bool:
    entry = truth.reading.header.steps[step]
    return (truth.reading.header.fleets[entry.fleet].name, entry.name) == (facts["fleet"], facts["step"])


def _waited_for(truth: Truth, facts: Dict) -> Iterator[str]:
    number = truth.ids.index(facts["constraint"])
    stretches = [each for each in _stretches(truth, number) if _named(truth, each[0].step, facts)]
    mine = [until - since for _, since, until, _ in stretches]
    longest = {(row.number, end and end.number) for row, since, until, end in stretches if until - since == max(mine)}
    if (facts["from_event"], facts["to_event"]) not in longest:
        yield f"the longest is {longest}"
    if (len(mine), sum(mine), max(mine)) != (facts["waits"], facts["ns"], facts["longest_ns"]):
        yield f"it waited {mine}"


def _refused_by(truth: Truth, facts: Dict) -> Iterator[str]:
    number = truth.ids.index(facts["constraint"])
    mine = [
        row
        for row in truth.rows
        if row.kind == Kind.TaskRejected and row.constraint == number and _named(truth, row.step, facts)
    ]
    edges = (mine[0].time, mine[0].number, mine[-1].time, mine[-1].number)
    if (len(mine), *edges) != tuple(facts[key] for key in ("refusals", "from_ns", "from_event", "to_ns", "to_event")):
        yield f"it was refused in {mine}"


def _nobody_waited(truth: Truth, facts: Dict) -> Iterator[str]:
    yield from (str(wait) for wait in truth.waits if (wait.end.time if wait.end else truth.until) > wait.begin.time)
    if facts["retries"] != sum(row.kind == Kind.TaskRetrying for row in truth.rows):
        yield "other retries"


def _never_bound(truth: Truth, facts: Dict) -> Iterator[str]:
    if _stretches(truth, truth.ids.index(facts["constraint"])) or facts["to_ns"] != truth.until:
        yield "somebody waited"


CHECKS: dict[str, Callable[[Truth, Dict], Iterator[str]]] = {
    "lived": _lived,
    "spent": _spent,
    "waited": _waited,
    "held": _held,
    "took": _took,
    "shut": _shut,
    "ahead": _ahead,
    "released": _released,
    "changed": _changed,
    "left": _left,
    "heard": _heard,
    "refilled": _refilled,
    "unknown": _unknown,
    "worked": _worked,
    "idle": _idle,
    "backed_off": _backed_off,
    "repaired": _repaired,
    "gave_up": _gave_up,
    "refused": _of_kind(Kind.TaskRejected, about=True),
    "preempted": _preempted,
    "retried": _of_kind(Kind.TaskRetrying, value=lambda facts: facts["ns"]),
    "started": _of_kind(Kind.TaskStarted),
    "ended": _of_kind(Kind.TaskFinished, value=lambda facts: Status[facts["status"]]),
    "skipped": _of_kind(Kind.TaskSkipped, value=lambda facts: Skip[facts["why"]]),
    "called_off": _of_kind(Kind.TaskAbandoned, value=lambda facts: facts["ns"]),
    "abandoned": lambda truth, facts: _of_kind(Kind.TaskAbandoned, about=True, value=lambda facts: facts["ns"])(
        truth, {**facts, "event": facts["resumed_event"]}
    ),
    "was_spawned": _was_spawned,
    "came": _came,
    "crashed": _of_kind(Kind.AgentCrashed),
    "joined": _joined,
    "waits_for_spawned": _waits_for_spawned,
    "still_held": _still_held,
    "still_shut": _still_shut,
    "still_empty": _still_empty,
    "circle": _still,
    "deadlocked": _deadlocked,
    "chain": _nothing,
    "links_left_out": _nothing,
    "waits_left_out": _nothing,
    "attempts_left_out": _nothing,
    "nobody_waited": _nobody_waited,
    "bound": _bound,
    "bound_from": _bound_from,
    "periods_left_out": _nothing,
    "used": _used,
    "had": _had,
    "had_left_out": _nothing,
    "waited_for": _waited_for,
    "refused_by": _refused_by,
    "never_bound": _never_bound,
}


def wrong(log: Log, claims: list[Dict], until: int) -> list[str]:
    """Return what of some claims is not so."""
    truth, found = Truth(log, until), []
    for claim in claims:
        cited = {
            int(text.replace(",", ""))
            for text in re.findall(r"events? ([\d,]*\d)|(?<=to )[\d,]*\d(?=\))", claim["text"])
            if text
        }
        if not cited <= set(claim["events"]):
            found.append(f"{claim['text']}: cites {cited - set(claim['events'])}")
        if any(event >= len(truth.rows) for event in claim["events"]):
            found.append(f"{claim['text']}: events after the moment")
        found += [f"{claim['text']}: {what}" for what in CHECKS[claim["kind"]](truth, claim["facts"])]
    found += _joins(claims)
    found += _all_told(truth, claims)
    return found


def _joins(claims: list[Dict]) -> Iterator[str]:
    """Say where a chain has a gap, or is not what is said of it."""
    kinds = [claim["kind"] for claim in claims]
    if "chain" not in kinds:
        return
    chain = claims[kinds.index("chain")]["facts"]
    if sum(part["ns"] for part in chain["parts"]) != chain["to_ns"] - chain["from_ns"]:
        yield "the parts of the chain are not the whole"
    links = [claim for claim in claims[kinds.index("chain") + 1 :] if claim["kind"] in (*LINKS, "links_left_out")]
    left = sum(claim["facts"]["count"] - 1 for claim in links if claim["kind"] == "links_left_out")
    if len(links) + left != chain["links"]:
        yield f"there are {len(links) + left} links"
    now = chain["to_ns"]
    for claim in links:
        facts = claim["facts"]
        if claim["kind"] in (*LASTING, "links_left_out") and "to_ns" in facts:
            if facts["to_ns"] != now:
                yield f"{claim['text']} does not join {now}"
            now = facts["from_ns"]
        elif "at_ns" in facts and facts["at_ns"] != now:
            yield f"{claim['text']} does not join {now}"
    if now != chain["from_ns"]:
        yield f"the chain ends at {now}"


def _all_told(truth: Truth, claims: list[Dict]) -> Iterator[str]:
    """Say where a wait of an agent is neither told nor left out, or who took meanwhile does not add up."""
    lived = next((claim["facts"] for claim in claims if claim["kind"] == "lived"), None)
    if lived is not None:
        waits = [wait for wait in truth.waits if wait.begin.agent == lived["number"]]
        lengths = [(truth.until if wait.end is None else wait.end.time) - wait.begin.time for wait in waits]
        told = [c["facts"]["to_ns"] - c["facts"]["from_ns"] for c in claims if c["kind"] == "waited"]
        left = next(
            (c["facts"] for c in claims if c["kind"] == "waits_left_out"), {"count": 0, "ns": 0, "longest_ns": 0}
        )
        lengths = sorted(length for length in lengths if length > 0)
        if (len(told) + left["count"], sum(told) + left["ns"]) != (len(lengths), sum(lengths)):
            yield "there are other waits"
        if told and min(told) < left["longest_ns"]:
            yield "a longer wait is left out"
    ahead: dict[tuple[int, Any], int] = {}
    for claim in claims:
        if claim["kind"] == "ahead":
            facts = claim["facts"]
            key = facts["from_event"], (facts["to_event"], facts["constraint"], facts["asked_event"])
            ahead[key] = ahead.get(key, 0) + facts["count"]
    for (begin, (end, name, asked)), count in ahead.items():
        number, task = truth.ids.index(name), truth.rows[asked].task.whole
        taking = [
            row
            for row in truth.rows[begin + 1 : end or len(truth.rows)]
            if number in starving.taken(truth.reading, row) and row.task.whole != task
        ]
        if len(taking) != count:
            yield f"{len(taking)} took {name} between events {begin} and {end}, {count} are told"
