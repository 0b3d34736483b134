"""Why an agent took as long as it did, and what a task waited for: as statements, each with the events that say so.

Rules:

1. Of a wait is told: for what, who held it when the wait began, who took of it meanwhile and why that one came first, and
   what ended it. B is ahead of A where B took some of what A was bound to while A waited.
2. Why B came first: it asked before A, or the queue says so (it is more important, ...), or it asked for less. Of queues
   that go by what the log does not tell (deadlines, lengths, turns, chance) the rule of the queue is the reason.
3. A long story is cut short in the middle, and says how much is left out. What is told in full are the longest waits.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.events import Kind, Skip, Status
from sim.analysis.causes import TIMED, Inquiry
from sim.analysis.holdings import FOR_GOOD, is_held, limit_at, window_ns
from sim.analysis.path import LASTING, Path, preempted
from sim.analysis.record import Record, Row, Stretch, Wait
from sim.analysis.requests import Requests
from sim.analysis.statements import Facts, Statement
from sim.analysis.summary import Amounts
from sim.analysis.takes import Takes
from sim.analysis.waits import GOES_ON, Integers, Waits

NAMED = 3
"""How many of several are named."""
WAITS_OF_AN_AGENT = 3
"""How many waits of an agent are told in full."""
WAITS_OF_A_TASK = 4
"""How many waits of one visit are told in full."""
ATTEMPTS = 8
"""How many attempts of a visit are told, the first and the last of them."""
HEAD, TAIL = 11, 4
"""How many links of a chain are told, from the moment back and from the beginning on."""
_RULES = ("edf", "sjf", "fair", "random")
"""The queues whose order the log does not tell."""


@dataclass(slots=True)
class Explanation:
    """What was asked about, and what there is to say."""

    about: Facts
    statements: list[Statement] = field(default_factory=list)


def of_agent(record: Record, agent: int) -> Explanation:
    """Explain what an agent did up to the end of the record."""
    inquiry = Inquiry(record)
    events = record.of_agent(agent)
    first, end = record.row(int(events[0])), record.end_of_agent(agent)
    end_ns = record.end_ns if end is None else end.time
    name = record.roster.name(agent)
    found = Explanation({"agent": name, "from_ns": first.time, "to_ns": end_ns})
    facts: Facts = {
        "agent": name,
        "number": agent,
        "from_ns": first.time,
        "from_event": first.event,
        "to_ns": end_ns,
        "to_event": None if end is None else end.event,
    }
    found.statements.append(Statement("lived", facts))
    doing = inquiry.doing(agent)
    parts = [
        {"what": what, "constraint": record.header.constraints[number].id if number >= 0 else None, "ns": ns}
        for (what, number), ns in sorted(doing.spent.items(), key=lambda pair: -pair[1])
    ]
    if parts:
        found.statements.append(Statement("spent", {**facts, "whole_ns": end_ns - first.time, "parts": parts}))
    waits = [wait for wait in record.waits(events) if wait.ns > 0]
    found.statements += _longest(inquiry, waits, WAITS_OF_AN_AGENT)
    found.statements += list(_chain(list(Path(inquiry).of(agent)), name, end_ns))
    return found


def of_task(record: Record, agent: int, step: int, visit: int) -> Explanation:
    """Explain one visit of an agent to a step."""
    inquiry = Inquiry(record)
    rows = [row for row in record.on(-1, agent) if row.visited == (agent, step, visit)]
    rows = [row for row in rows if row.kind not in (Kind.AgentStarted, Kind.DeadlockDetected)]
    goes_on = rows[-1].kind not in (Kind.TaskFinished, Kind.TaskSkipped, Kind.ResourceReleased)
    about = {**record.task(agent, step, visit), "from_ns": rows[0].time}
    found = Explanation({**about, "to_ns": record.end_ns if goes_on else rows[-1].time})
    waits = record.waits(np.array([row.event for row in rows]))
    told = sorted(sorted(waits, key=lambda wait: -wait.ns)[:WAITS_OF_A_TASK])
    ahead = _ahead(inquiry, [(wait, stretch) for wait in told for stretch in _main(wait)])
    by_begin = {wait.begin: wait for wait in waits}
    attempts = sorted({row.attempt for row in rows})
    left = attempts[ATTEMPTS // 2 : len(attempts) - ATTEMPTS // 2]
    for row in rows:
        if row.attempt in left:
            if row.attempt == left[0] and row == next(each for each in rows if each.attempt == left[0]):
                of_left = [each for each in rows if each.attempt in left]
                waited_ns = sum(wait.ns for wait in waits if wait.attempt in left)
                span = {"from_ns": of_left[0].time, "from_event": of_left[0].event}
                span |= {"to_ns": of_left[-1].time, "to_event": of_left[-1].event}
                found.statements.append(
                    Statement("attempts_left_out", {"count": len(left), "waited_ns": waited_ns, **span})
                )
            continue
        if row.event in by_begin:
            wait = by_begin[row.event]
            found.statements += _wait(inquiry, wait, ahead, wait in told)
        found.statements += _life(inquiry, row)
    return found


def worst(record: Record, number: int) -> Explanation:
    """Tell the longest waits of a run, of equals the first."""
    inquiry = Inquiry(record)
    longest: list[tuple[int, int]] = []
    fold = Waits()
    for told in [*(fold.feed(batch) for _, batch in record.chunks()), fold.rest()]:
        over = np.flatnonzero(told.is_over)
        ns = np.where(told.end[over] == GOES_ON, record.end_ns, told.end_ns[over]) - told.asked_ns[over]
        over, ns = over[ns > 0], ns[ns > 0]
        places = np.lexsort((told.asked[over], -ns))[:number]
        found = zip((-ns[places]).tolist(), told.asked[over[places]].tolist(), strict=True)
        longest = sorted([*longest, *found])[:number]
    result = Explanation({"worst": number, "from_ns": 0, "to_ns": record.end_ns})
    for _, begin in longest:
        row = record.row(begin)
        wait = next(wait for wait in record.waits(_of_visit(record, row)) if wait.begin == begin)
        result.statements.append(_waited(inquiry, wait, held=True))
    if not longest:
        retries = int(np.count_nonzero(record.rows.kind == Kind.TaskRetrying))
        result.statements.append(Statement("nobody_waited", {"to_ns": record.end_ns, "retries": retries}))
    return result


def _of_visit(record: Record, row: Row) -> Integers:
    events = record.of_agent(row.agent)
    same = (record.rows.step[events] == row.step) & (record.rows.visit[events] == row.visit)
    found: Integers = events[same]
    return found


def _longest(inquiry: Inquiry, waits: list[Wait], number: int) -> Iterator[Statement]:
    """Tell the longest waits, in the order in which they began, and how many there are besides."""
    told = sorted(sorted(waits, key=lambda wait: -wait.ns)[:number], key=lambda wait: wait.begin)
    ahead = _ahead(inquiry, [(wait, stretch) for wait in told for stretch in _main(wait)[:1]])
    for wait in told:
        yield from _preempted_before(inquiry, wait)
        yield from _wait(inquiry, wait, ahead, True, stretches=1)
    left = [wait for wait in waits if wait not in told]
    if left:
        facts = {"count": len(left), "ns": sum(wait.ns for wait in left), "longest_ns": max(wait.ns for wait in left)}
        longest = max(left, key=lambda wait: wait.ns)
        yield Statement("waits_left_out", {**facts, "from_event": longest.begin})


def _preempted_before(inquiry: Inquiry, wait: Wait) -> Iterator[Statement]:
    """Tell of the pre-emption because of which a wait began, if there was one."""
    before = inquiry.record.back(wait.begin, wait.agent)
    mine = (row for row in before if row.visited == (wait.agent, wait.step, wait.visit))
    last = next((row for row in mine if row.kind != Kind.ResourceReleased), None)
    if last is not None and last.kind == Kind.TaskFinished and last.value == Status.preempted:
        yield preempted(inquiry, last)


def _chain(found: list[Statement], name: str, end_ns: int) -> Iterator[Statement]:
    """Tell a chain of causes, without its middle where it is long."""
    links = [link for link in found if link.kind != "cut_off"]
    lasted: Counter[str] = Counter()
    for link in links:
        if link.kind in LASTING:
            lasted[link.kind] += link.facts["to_ns"] - link.facts["from_ns"]
    whole = sum(lasted.values())
    parts = [{"what": what, "ns": ns} for what, ns in lasted.most_common()]
    lasting = [link.facts for link in links if link.kind in LASTING]
    facts = {"agent": name, "from_ns": end_ns - whole, "to_ns": end_ns, "links": len(links), "parts": parts}
    facts |= {"from_event": lasting[-1]["from_event"], "to_event": lasting[0]["to_event"]} if lasting else {}
    yield Statement("chain", facts)
    if len(links) <= HEAD + TAIL + 1:
        yield from links
    else:
        yield from links[:HEAD]
        yield _left_out(links[HEAD:-TAIL])
        yield from links[-TAIL:]
    yield from found[len(links) :]


def _left_out(links: list[Statement]) -> Statement:
    """Say what the middle of a chain is."""
    released = Counter(link.facts["constraint"] for link in links if link.kind == "released")
    facts: Facts = {"count": len(links), "released": dict(released.most_common())}
    lasting = [link.facts for link in links if link.kind in LASTING]
    if lasting:
        facts |= {key: lasting[-1][key] for key in ("from_ns", "from_event")}
        facts |= {key: lasting[0][key] for key in ("to_ns", "to_event")}
    return Statement("links_left_out", facts)


# What becomes of an attempt beside waiting.


def _life(inquiry: Inquiry, row: Row) -> Iterator[Statement]:
    record = inquiry.record
    facts: Facts = {**record.task(row.agent, row.step, row.visit, row.attempt), "at_ns": row.time, "event": row.event}
    match row.kind:
        case Kind.TaskStarted:
            yield Statement("started", facts)
        case Kind.TaskFinished if row.value == Status.preempted:
            yield preempted(inquiry, row)
        case Kind.TaskFinished:
            yield Statement("ended", {**facts, "status": Status(row.value).name})
        case Kind.TaskRetrying:
            yield Statement("retried", {**facts, "ns": row.value})
        case Kind.TaskRejected:
            constraint = record.header.constraints[row.constraint].id
            yield Statement("refused", {**facts, "constraint": constraint, "after_ns": row.value})
        case Kind.TaskSkipped:
            yield Statement("skipped", {**facts, "why": Skip(row.value).name})
        case Kind.TaskAbandoned if row.constraint < 0:
            yield Statement("called_off", {**facts, "ns": row.value})


# A wait.


def _main(wait: Wait) -> list[Stretch]:
    """Return the stretches of a wait that are told, the longest first."""
    return sorted(
        (each for each in wait.stretches if each.to_ns > each.from_ns), key=lambda each: each.from_ns - each.to_ns
    )[:2]


def _wait(
    inquiry: Inquiry, wait: Wait, ahead: "dict[int, _Ahead]", in_full: bool, stretches: int = 2
) -> Iterator[Statement]:
    yield _waited(inquiry, wait)
    if in_full:
        for stretch in sorted(_main(wait)[:stretches], key=lambda each: each.begin):
            yield from _who_has(inquiry, wait, stretch)
            if stretch.begin in ahead:
                yield from _who_is_ahead(inquiry, wait, stretch, ahead[stretch.begin])
    yield from _deadlocked(inquiry, wait)
    yield from _end_of(inquiry, wait)


def _waited(inquiry: Inquiry, wait: Wait, held: bool = False) -> Statement:
    record = inquiry.record
    first = record.row(wait.begin)
    ended = "goes_on" if wait.end == GOES_ON else _ENDED[Kind(record.row(wait.end).kind)]
    facts: Facts = {
        **record.task(wait.agent, wait.step, wait.visit, wait.attempt),
        "from_ns": wait.from_ns,
        "to_ns": wait.to_ns,
        "from_event": wait.begin,
        "to_event": None if wait.end == GOES_ON else wait.end,
        "ended": ended,
        "behind": first.value,
        "parts": [
            {
                "constraint": record.header.constraints[each.constraint].id,
                "from_ns": each.from_ns,
                "to_ns": each.to_ns,
                "from_event": each.begin,
            }
            for each in wait.stretches
        ],
    }
    if held:
        facts["held"] = next((_has(inquiry, each) for each in _main(wait)[:1]), None)
    return Statement("waited", facts)


_ENDED = {Kind.TaskResumed: "resumed", Kind.TaskRejected: "rejected", Kind.TaskAbandoned: "abandoned"}


def _task_of(record: Record, stretch: Stretch, wait: Wait) -> Facts:
    return {
        **record.task(wait.agent, wait.step, wait.visit, wait.attempt),
        "constraint": record.header.constraints[stretch.constraint].id,
    }


def _who_has(inquiry: Inquiry, wait: Wait, stretch: Stretch) -> Iterator[Statement]:
    """Tell who had what was waited for at the beginning of a stretch."""
    record, has = inquiry.record, _has(inquiry, stretch)
    if has is None:
        return
    facts = {**_task_of(record, stretch, wait), **has}
    if is_held(record, stretch.constraint):
        facts["asked"] = inquiry.amount(wait.agent, wait.step, wait.visit, stretch.constraint)
        yield Statement("held", facts)
    elif record.header.constraints[stretch.constraint].type in TIMED:
        facts["asked"] = inquiry.amount(wait.agent, wait.step, wait.visit, stretch.constraint)
        yield Statement("took", facts)
    else:
        yield Statement("shut", facts)


def _has(inquiry: Inquiry, stretch: Stretch) -> Facts | None:
    """Return who had what was waited for when a stretch began, or since when it let nobody pass."""
    record, constraint = inquiry.record, stretch.constraint
    entry = record.header.constraints[constraint]
    at: Facts = {"at_ns": stretch.from_ns, "at_event": stretch.begin, "type": entry.type}
    if is_held(record, constraint):
        held = inquiry.holdings(constraint)
        places = held.at(stretch.begin)
        amounts = held.amount[places]
        ends = [
            (None if held.gave[place] == GOES_ON else int(held.gave[place]), int(held.gave_ns[place]))
            for place in places[:NAMED].tolist()
        ]
        by = [
            {
                **record.task(int(held.agent[place]), int(held.step[place]), int(held.visit[place])),
                "amount": int(held.amount[place]),
                "from_ns": int(held.took_ns[place]),
                "from_event": int(held.took[place]),
                "to_ns": to_ns,
                "to_event": to_event,
            }
            for place, (to_event, to_ns) in zip(places[:NAMED].tolist(), ends, strict=True)
        ]
        limit = limit_at(record, constraint, stretch.begin + 1)
        return {**at, "holders": len(places), "used": int(amounts.sum()), "limit": limit, "by": by}
    if entry.type in TIMED:
        had = inquiry.holdings(constraint)
        window = window_ns(record, constraint)
        places = np.flatnonzero((had.took < stretch.begin) & (had.gave_ns > stretch.from_ns))
        most = places[np.lexsort((had.took[places], -had.amount[places]))[:NAMED]]
        by = [
            {
                **record.task(int(had.agent[place]), int(had.step[place]), int(had.visit[place])),
                "amount": int(had.amount[place]),
                "event": int(had.took[place]),
            }
            for place in most.tolist()
            if had.amount[place] > 0
        ]
        amount = int(had.amount[places].sum())
        over = {"window_ns": None if window >= FOR_GOOD else window}
        return {**at, **over, "takes": len(places), "taken": amount, "by": by} if by else None
    changes = inquiry.changes(constraint)
    place = int(np.searchsorted(changes, stretch.begin)) - 1
    event = int(changes[place]) if place >= 0 else None
    return {**at, "event": event, "since_ns": 0 if event is None else int(record.rows.time[event])}


@dataclass(slots=True)
class _Ahead:
    """Who took of what a task waited for in a stretch: in which rows, and by which events they asked."""

    rows: Integers
    asked: Integers


def _ahead(inquiry: Inquiry, stretches: Iterable[tuple[Wait, Stretch]]) -> dict[int, _Ahead]:
    """Return who took meanwhile, for each stretch by its first event."""
    record, wanted = inquiry.record, [stretch for _, stretch in stretches]
    if not wanted:
        return {}
    requests, waits = Requests(record.header, record.scenario), Waits()
    takes = {each.constraint: Takes(record.header, record.scenario, each.constraint) for each in wanted}
    stops = {each.begin: len(record.rows) if each.end == GOES_ON else each.end for each in wanted}
    found: dict[int, tuple[list[Integers], list[Integers]]] = {each.begin: ([], []) for each in wanted}
    for first, batch in record.chunks(max(stops.values())):
        requests.feed(batch, waits.feed(batch))
        for constraint, take in takes.items():
            here = [
                each
                for each in wanted
                if each.constraint == constraint and each.begin < first + len(batch) and stops[each.begin] > first
            ]
            if not here:
                continue
            rows = take.taking(batch)
            asked = requests.asked(rows, constraint)
            for each in here:
                inside = (first + rows > each.begin) & (first + rows < stops[each.begin])
                found[each.begin][0].append(first + rows[inside])
                found[each.begin][1].append(asked[inside])
    return {begin: _Ahead(np.concatenate(rows), np.concatenate(asked)) for begin, (rows, asked) in found.items()}


def _who_is_ahead(inquiry: Inquiry, wait: Wait, stretch: Stretch, ahead: _Ahead) -> Iterator[Statement]:
    """Tell who took meanwhile, by the reason why that one came first."""
    record, columns = inquiry.record, inquiry.record.rows
    rows = ahead.rows
    own = (columns.agent[rows] == wait.agent) & (columns.step[rows] == wait.step) & (columns.visit[rows] == wait.visit)
    rows, asked = rows[~own], ahead.asked[~own]
    if not len(rows):
        return
    reasons = _reasons(inquiry, wait, stretch, rows, asked)
    facts = {**_task_of(record, stretch, wait), "from_event": stretch.begin, "asked_event": wait.begin}
    facts["to_event"] = None if stretch.end == GOES_ON else stretch.end
    for reason in dict.fromkeys(reasons):
        places = [place for place, each in enumerate(reasons) if each == reason]
        by = [
            {
                **record.task(*record.row(int(rows[place])).visited),
                "asked_event": int(asked[place]),
                "took_event": int(rows[place]),
            }
            for place in places[:NAMED]
        ]
        told: Facts = {**facts, "reason": reason, "count": len(places), "by": by}
        if reason == "priority":
            told["priority"] = record.priority(wait.step)
            for each, place in zip(by, places, strict=False):
                each["priority"] = record.priority(int(columns.step[rows[place]]))
        yield Statement("ahead", told)


def _reasons(
    inquiry: Inquiry, wait: Wait, stretch: Stretch, rows: NDArray[np.int64], asked: NDArray[np.int64]
) -> list[str]:
    """Return for each row in which somebody took meanwhile why that one came first."""
    record, columns = inquiry.record, inquiry.record.rows
    limits = record.scenario.constraints[stretch.constraint : stretch.constraint + 1]
    queue = limits[0].queue if limits else "fifo"
    if queue in _RULES:
        return [queue] * len(rows)
    mine = inquiry.amount(wait.agent, wait.step, wait.visit, stretch.constraint)
    stated = columns.kind[rows] == Kind.ResourceAcquired
    implied = Amounts(record.header, stretch.constraint).of(columns.step[rows], columns.agent[rows])
    amounts = np.where(stated, columns.value[rows], implied)
    less = np.zeros(len(rows), np.bool_) if mine is None else (amounts > 0) & (amounts < mine)
    earlier = asked < wait.begin
    if queue == "lifo":
        first = np.where(earlier, "", "lifo")
    elif queue == "priority":
        priorities = np.array([*map(record.priority, range(len(record.header.steps))), 0])
        higher = priorities[columns.step[rows]] - priorities[wait.step]
        first = np.where(higher > 0, "priority", np.where((higher == 0) & earlier, "earlier", ""))
    else:
        first = np.where(earlier, "earlier", "")
    reasons = np.where((first == "") & less, "smaller", first).tolist()
    return [
        reason or ("kept_place" if _was_preempted(record, row) else "unknown")
        for reason, row in zip(reasons, rows.tolist(), strict=True)
    ]


def _was_preempted(record: Record, event: int) -> bool:
    """Say whether a task has been pre-empted before: it keeps its place."""
    row = record.row(event)
    if row.attempt == 0:
        return False
    return any(
        each.visited == row.visited and each.kind == Kind.TaskFinished and each.value == Status.preempted
        for each in record.back(event, row.agent)
    )


def _deadlocked(inquiry: Inquiry, wait: Wait) -> Iterator[Statement]:
    """Tell where a wait is caught in a deadlock."""
    record = inquiry.record
    for event in np.flatnonzero(record.rows.kind == Kind.DeadlockDetected).tolist():
        row = record.row(event)
        if row.visited == (wait.agent, wait.step, wait.visit) and wait.begin < event and wait.end == GOES_ON:
            facts = record.task(wait.agent, wait.step, wait.visit, wait.attempt)
            yield Statement("deadlocked", {**facts, "at_ns": row.time, "event": event})
            return


def _end_of(inquiry: Inquiry, wait: Wait) -> Iterator[Statement]:
    """Tell what ended a wait."""
    record = inquiry.record
    if wait.end == GOES_ON:
        return
    stretch, row = wait.stretches[-1], record.row(wait.end)
    facts = {**_task_of(record, stretch, wait), "at_ns": row.time, "resumed_event": row.event}
    if row.kind == Kind.TaskAbandoned:
        yield Statement("abandoned", {**facts, "ns": row.value})
    if row.kind != Kind.TaskResumed:
        return
    cause = inquiry.cause(wait)
    facts |= {"since_ns": wait.from_ns, "since_event": wait.begin}
    if cause.row is None:
        yield Statement(cause.kind, facts)
        return
    facts["event"] = cause.row.event
    if cause.kind == "changed":
        yield Statement("changed", {**facts, "value": cause.row.value})
        return
    facts["by"] = record.task(*cause.row.visited)
    if cause.kind == "released" and is_held(record, stretch.constraint):
        held = inquiry.holdings(stretch.constraint)
        place = int(np.flatnonzero(held.gave == cause.row.event)[-1])
        facts |= {"held_since_ns": int(held.took_ns[place]), "held_since_event": int(held.took[place])}
    yield Statement(cause.kind, facts)
