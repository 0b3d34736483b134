"""The chain of causes that leads to a moment of an agent, going back: the critical path of it.

Rules:

1. It goes from a row to the one that made it possible, always an earlier one: from the end of work to its start; from a
   start to whoever gave back what was waited for, or to when it was asked for; from asking to what the agent did last
   before that; from an agent that was spawned to its parent, from a parent that waits to the last of those it spawned.
2. Its links join without a gap. It ends at the beginning of the run, at an arrival, at what only time brings (a refill, a
   crash), or at a change of a constraint.
3. Where an agent does several things side by side the log does not say which of them one follows: it is taken for the one
   that ended last.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from model.events import Kind, Status
from sim.analysis.causes import TIMED, Inquiry
from sim.analysis.holdings import is_held
from sim.analysis.record import Row, Wait
from sim.analysis.statements import Facts, Statement
from sim.analysis.waits import GOES_ON

LINKS_MAX = 20_000
"""After so many links the chain is not followed any further."""
_TAKING = (Kind.TaskStarted, Kind.ResourceAcquired)
LASTING = ("worked", "idle", "backed_off", "repaired", "gave_up", "spawned")
"""The links that take time."""


class Link(NamedTuple):
    """A link of the chain: what it says, and how to go on, if it goes on."""

    said: Statement | None
    on: "Callable[[], Link] | None"


class Path:
    """Goes back from a moment of an agent."""

    def __init__(self, inquiry: Inquiry) -> None:
        self._inquiry = inquiry
        self._record = inquiry.record
        self._seen: set[tuple[int, int, int]] = set()

    def of(self, agent: int) -> Iterator[Statement]:
        """Yield what leads to the end of an agent, or to what it does at the end of the record."""
        end = self._record.end_of_agent(agent)
        link = self._now(agent) if end is None else self._row(end)
        links = 0
        while True:
            if link.said is not None:
                yield link.said
                links += 1
            if link.on is None:
                return
            if links == LINKS_MAX:
                yield Statement("cut_off", {"links": links})
                return
            link = link.on()

    # What leads to a row.

    def _row(self, row: Row) -> Link:
        match row.kind:
            case Kind.TaskFinished:
                return self._end(row)
            case Kind.TaskStarted | Kind.ResourceAcquired:
                return self._taken(row)
            case Kind.AgentStarted if row.step >= 0:
                parent = row.value
                facts = {
                    "agent": self._name(row.agent),
                    "by": self._name(parent),
                    "at_ns": row.time,
                    "event": row.event,
                }
                return Link(Statement("was_spawned", facts), lambda: self._before(row.event, row.time, parent))
            case Kind.AgentStarted:
                facts = {"agent": self._name(row.agent), "at_ns": row.time, "event": row.event}
                return Link(Statement("came", facts), None)
            case Kind.AgentCrashed:
                facts = {"agent": self._name(row.agent), "at_ns": row.time, "event": row.event}
                return Link(Statement("crashed", facts), None)
            case Kind.AgentRestarted:
                crash = next(each for each in self._record.back(row.event, row.agent) if each.kind == Kind.AgentCrashed)
                return Link(self._lasted("repaired", crash, row.time, row.event), lambda: self._row(crash))
        return self._before(row.event, row.time, row.agent)

    def _end(self, row: Row) -> Link:
        """Go back from the end of an attempt."""
        last = next(self._of_visit(row), None)
        if last is None:
            return self._before(row.event, row.time, row.agent)
        if last.kind == Kind.TaskAbandoned and last.constraint < 0:
            retry = next(each for each in self._of_visit(last) if each.kind == Kind.TaskRetrying)
            return Link(self._lasted("backed_off", retry, row.time, row.event), lambda: self._end_before(retry))
        if last.kind in (Kind.TaskAbandoned, Kind.TaskRejected):
            return self._refused(last)
        started = next((each for each in self._of_attempt(row) if each.kind == Kind.TaskStarted), None)
        if started is None or self._record.header.steps[row.step].kind == "hold":
            return self._before(row.event, row.time, row.agent)
        return Link(self._lasted("worked", started, row.time, row.event, row.value), lambda: self._row(started))

    def _refused(self, row: Row) -> Link:
        """Go back from a refusal, or from the end of patience, to where it was asked for."""
        blocked = None
        for each in self._of_attempt(row):
            if each.kind == Kind.TaskBlocked:
                blocked = each
            if each.kind != Kind.TaskRebound:
                break
        if blocked is None:
            facts = {**self._task(row), **self._of(row), "at_ns": row.time, "event": row.event}
            return Link(Statement("refused", facts), lambda: self._asked(row))
        asked = blocked
        how = "rejected" if row.kind == Kind.TaskRejected else "abandoned"
        facts = {
            **self._task(row),
            **self._of(row),
            **_span(asked.time, row.time, asked.event, row.event),
            "how": how,
        }
        return Link(Statement("gave_up", facts), lambda: self._asked(asked))

    def _taken(self, row: Row) -> Link:
        """Go back from a start, or from what was taken, to what made it possible."""
        first = row
        for each in self._of_attempt(row):
            if each.time != row.time or each.kind not in (*_TAKING, Kind.TaskResumed):
                break
            if each.kind == Kind.TaskResumed:
                resumed = each
                wait = self._wait(resumed)
                return self._resumed(wait, self._record.row(wait.end))
            first = each
        return self._asked(first)

    def _resumed(self, wait: Wait, row: Row) -> Link:
        cause, record = self._inquiry.cause(wait), self._record
        facts: Facts = {
            **self._task(row),
            **self._of(row),
            "since_ns": wait.from_ns,
            "since_event": wait.begin,
            "at_ns": row.time,
            "resumed_event": row.event,
        }
        if cause.row is None:
            return Link(Statement(cause.kind, facts), None)
        facts["event"] = cause.row.event
        by = cause.row
        if cause.kind == "changed":
            return Link(Statement("changed", {**facts, "value": by.value}), None)
        facts["by"] = record.task(by.agent, by.step, by.visit)
        if cause.kind != "released":
            return Link(Statement(cause.kind, facts), lambda: self._row(self._end_of(by)))
        return Link(Statement("released", facts), lambda: self._given(by))

    def _given(self, row: Row) -> Link:
        """Go back from what is given back: to the end of the attempt, or where a hold only lent it, to what came before."""
        end = self._end_of(row)
        return self._row(end) if end.kind == Kind.TaskFinished else self._before(row.event, row.time, row.agent)

    def _end_of(self, row: Row) -> Row:
        """Return the end of the attempt that a row goes with; the row itself where it goes on."""
        if row.kind in (Kind.TaskRejected, Kind.TaskAbandoned):
            return next((each for each in self._record.on(row.event, row.agent) if each.visited == row.visited), row)
        if row.kind != Kind.TaskFinished:
            before = self._of_visit(row)
            return next((each for each in before if each.time == row.time and each.kind == Kind.TaskFinished), row)
        return row

    def _asked(self, row: Row) -> Link:
        """Go back from the first row with which an attempt, or what it takes next, asks."""
        before = next(self._of_visit(row), None)
        if before is None:
            return self._before(row.event, row.time, row.agent)
        if before.attempt == row.attempt:
            if before.kind in _TAKING:
                return self._row(before)
            return self._before(row.event, row.time, row.agent)
        retry = next((each for each in self._of_visit(row) if each.kind == Kind.TaskRetrying), None)
        if retry is not None and retry.attempt == row.attempt - 1:
            return Link(self._lasted("backed_off", retry, row.time, row.event), lambda: self._end_before(retry))
        return self._preempted(self._end_of_attempt(row))

    def _preempted(self, end: Row) -> Link:
        if end.value != Status.preempted:
            return self._row(end)
        return Link(preempted(self._inquiry, end), lambda: self._row(end))

    def _end_before(self, retry: Row) -> Link:
        return self._row(self._end_of_attempt(retry))

    def _end_of_attempt(self, row: Row) -> Row:
        """Return the last end of an attempt of a visit before a row."""
        return next(each for each in self._of_visit(row) if each.kind == Kind.TaskFinished)

    def _before(self, event: int, time_ns: int, agent: int) -> Link:
        """Go back to what an agent did last before an event, or to the last of those that it waited for."""
        last = self._last_before(event, agent)
        since = self._record.rows.time[last.event] if last is not None else 0
        children = [self._record.end_of_agent(child.agent) for child in self._record.spawned_by(agent)]
        ends = [
            child
            for child in children
            if child is not None and child.event < event and child.time == time_ns and (last is None or child > last)
        ]
        if ends:
            child = max(ends)
            facts = {
                "agent": self._name(agent),
                "by": self._name(child.agent),
                "at_ns": time_ns,
                "event": child.event,
            }
            return Link(Statement("joined", facts), lambda: self._row(child))
        if last is None:
            return Link(None, None)
        before = last
        if time_ns == since:
            return Link(None, lambda: self._row(before))
        if before.kind == Kind.AgentCrashed:  # its life is over before it is repaired
            return Link(self._lasted("repaired", before, time_ns, event), lambda: self._row(before))
        facts = {
            "agent": self._name(agent),
            **_span(before.time, time_ns, before.event, event if event < len(self._record.rows) else None),
            "alone": not self._inquiry.does_several(agent),
        }
        return Link(Statement("idle", facts), lambda: self._row(before))

    def _last_before(self, event: int, agent: int) -> Row | None:
        """Return the last row before an event after which an agent goes on to something else."""
        latest: dict[tuple[int, int, int], int] = {}  # the last attempt of each visit, be it one that is to come
        for row in self._record.back(event, agent):
            match row.kind:
                case Kind.AgentStarted | Kind.AgentRestarted | Kind.AgentCrashed | Kind.TaskSkipped:
                    return row
                case Kind.TaskFinished if latest.get(row.visited, 0) <= row.attempt:
                    return row
                case Kind.TaskStarted if self._record.header.steps[row.step].kind == "hold":
                    return row
                case Kind.ResourceAcquired if self._has_started(row):
                    return row
            attempt = row.attempt + (row.kind == Kind.TaskRetrying)
            latest[row.visited] = max(latest.get(row.visited, 0), attempt)
        return None

    def _has_started(self, row: Row) -> bool:
        if self._record.header.steps[row.step].kind != "hold":
            return False
        return any(each.kind == Kind.TaskStarted for each in self._of_attempt(row))

    # What goes on at the end of the record.

    def _now(self, agent: int) -> Link:
        record, doing = self._record, self._inquiry.doing(agent)
        end, end_ns = len(record.rows), record.end_ns
        what, _ = doing.now()
        if what == "repaired":
            assert doing.down is not None
            crash = doing.down
            return Link(self._lasted("repaired", crash, end_ns), lambda: self._row(crash))
        if what in ("worked", "waited", "backed_off"):
            row = min(row for state, row in doing.open.values() if state == what)
            if what == "waited":
                return self._waits(row)
            on = (lambda: self._row(row)) if what == "worked" else (lambda: self._end_before(row))
            return Link(self._lasted(what, row, end_ns), on)
        if what == "spawned":
            child = next(row for row in record.spawned_by(agent) if record.end_of_agent(row.agent) is None)
            facts = {"agent": self._name(agent), "by": self._name(child.agent), "at_ns": end_ns, "event": child.event}
            return Link(Statement("waits_for_spawned", facts), lambda: self._now(child.agent))
        return self._before(end, end_ns, agent)

    def _waits(self, blocked: Row) -> Link:
        """Go on with who holds what a task waits for at the end of the record."""
        record, constraint = self._record, blocked.constraint
        facts = {
            **self._task(blocked),
            "constraint": record.header.constraints[constraint].id,
            "since_ns": blocked.time,
            "since_event": blocked.event,
            "at_ns": record.end_ns,
        }
        if blocked.visited in self._seen:
            return Link(Statement("circle", facts), None)
        self._seen.add(blocked.visited)
        if not is_held(record, constraint):
            return self._shut(constraint, facts)
        held = self._inquiry.holdings(constraint)
        places = held.at(len(record.rows))
        if not len(places):
            return self._shut(constraint, facts)
        place = int(places[0])
        holder = int(held.agent[place]), int(held.step[place]), int(held.visit[place])
        took = record.row(int(held.took[place]))
        facts |= {
            "by": record.task(*holder),
            "others": len(places) - 1,
            "held_since_ns": took.time,
            "held_event": took.event,
        }
        return Link(Statement("still_held", facts), lambda: self._holder(holder, took))

    def _holder(self, holder: tuple[int, int, int], took: Row) -> Link:
        """Go on with what a task does that holds something."""
        doing = self._inquiry.doing(holder[0])
        state, row = doing.open.get(holder, ("held", took))
        if state == "waited":
            return self._waits(row)
        if state == "worked":
            return Link(self._lasted("worked", row, self._record.end_ns), lambda: self._row(row))
        return self._now(holder[0])

    def _shut(self, constraint: int, facts: Facts) -> Link:
        if self._record.header.constraints[constraint].type in TIMED:
            return Link(Statement("still_empty", facts), None)
        changes = self._inquiry.changes(constraint)
        if len(changes):
            facts |= {"event": int(changes[-1]), "changed_ns": int(self._record.rows.time[changes[-1]])}
        return Link(Statement("still_shut", facts), None)

    # Words of facts.

    def _of_visit(self, row: Row) -> Iterator[Row]:
        return (each for each in self._record.back(row.event, row.agent) if each.visited == row.visited)

    def _of_attempt(self, row: Row) -> Iterator[Row]:
        for each in self._of_visit(row):
            if each.attempt != row.attempt:
                return
            yield each

    def _wait(self, resumed: Row) -> Wait:
        """Return the wait that a row ends."""
        events = [resumed.event]
        for each in self._of_attempt(resumed):
            if each.kind in (Kind.TaskBlocked, Kind.TaskRebound):
                events.append(each.event)
            if each.kind == Kind.TaskBlocked:
                break
        return next(wait for wait in self._record.waits(np.array(events[::-1])) if wait.end != GOES_ON)

    def _name(self, agent: int) -> str:
        return self._record.roster.name(agent)

    def _task(self, row: Row) -> Facts:
        return self._record.task(row.agent, row.step, row.visit, row.attempt)

    def _of(self, row: Row) -> Facts:
        return {"constraint": self._record.header.constraints[row.constraint].id}

    def _lasted(
        self, kind: str, since: Row, to_ns: int, to_event: int | None = None, status: int | None = None
    ) -> Statement:
        """Say what lasted from a row to a time, and how it ended, if it did."""
        who: Facts = {"agent": self._name(since.agent)} if since.step < 0 else self._task(since)
        facts = {**who, **_span(since.time, to_ns, since.event, to_event)}
        return Statement(kind, facts if status is None else {**facts, "status": Status(status).name})


def preempted(inquiry: Inquiry, end: Row) -> Statement:
    """Say who took the place of an attempt that ended `preempted`."""
    record = inquiry.record
    times, mine = record.rows.time, record.priority(end.step)
    stop = int(np.searchsorted(times, end.time, side="right"))
    started = end.event + np.flatnonzero(record.rows.kind[end.event : stop] == Kind.TaskStarted)
    facts: Facts = {**record.task(end.agent, end.step, end.visit, end.attempt), "at_ns": end.time, "event": end.event}
    facts |= {"priority": mine, "by": None, "by_priority": None, "by_event": None}
    for event in started.tolist():
        other = record.row(event)
        if record.priority(other.step) > mine:
            by = record.task(other.agent, other.step, other.visit)
            facts |= {"by": by, "by_priority": record.priority(other.step), "by_event": event}
            break
    return Statement("preempted", facts)


def _span(from_ns: int, to_ns: int, from_event: int, to_event: int | None) -> Facts:
    return {"from_ns": from_ns, "to_ns": to_ns, "from_event": from_event, "to_event": to_event}
