"""A log as an object-centric event log: OCEL 2.0 JSON (https://www.ocel-standard.org), for process mining.

Rules:

1. Each row is an event: its type is the kind of the row, its id `event:NUMBER`. The objects are fleets, tenants,
   constraints, agents, and the visits of agents to tasks and holds; relationships say by their qualifier what an event or
   an object has to do with another. An event is related to one agent and one visit at most, its own: the path of an agent
   or a visit is what it did. Who spawned an agent and who ended a wait are relationships between objects.
2. Times are those of the log, as if it began at 1970-01-01T00:00:00Z, with nine digits of a second. For tools that keep
   fewer the attribute `time_ns` has the same as a number.
3. All values are texts, as the published schema has them; the declarations of the types say what they stand for.
4. The log is read twice: first the events are written, then the objects, which are known when they end. What goes on when
   the log ends has no `outcome`. What is kept is what goes on, the agents, and the changes of constraints.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from model.events import Ending, Kind, Skip, Status
from model.log import Header, Log
from model.roster import Roster
from model.state import limits_of
from render.traces.spans import BEGINS, Folded, Key, Sort, Span, Spans, fleet_of, folded
from sim.analysis.record import Row
from sim.analysis.releases import Why
from sim.analysis.waits import Integers

_ATTRIBUTES: dict[Kind, tuple[tuple[str, str], ...]] = {
    Kind.RunFinished: (("ending", "string"),),
    Kind.TaskBlocked: (("waiting_before", "integer"),),
    Kind.TaskRebound: (("blocked_ns", "integer"),),
    Kind.TaskResumed: (("blocked_ns", "integer"), ("ended_by", "string"), ("ended_by_event", "integer")),
    Kind.TaskStarted: (("waited_ns", "integer"),),
    Kind.TaskFinished: (("status", "string"),),
    Kind.TaskRetrying: (("delay_ns", "integer"),),
    Kind.TaskRejected: (("admissible_in_ns", "integer"),),
    Kind.TaskSkipped: (("reason", "string"),),
    Kind.TaskAbandoned: (("waited_ns", "integer"),),
    Kind.ResourceAcquired: (("amount", "integer"),),
    Kind.ResourceReleased: (("amount", "integer"),),
    Kind.ConstraintChanged: (("limit", "integer"),),
    Kind.DeadlockDetected: (("agents", "integer"),),
    Kind.AgentCrashed: (("repair_ns", "integer"),),
}
"""What the value of a row is called, by its kind; and what else an event of that kind has."""
_CODES = {Kind.RunFinished: Ending, Kind.TaskFinished: Status, Kind.TaskSkipped: Skip}
_OF_CONSTRAINT = {
    Kind.TaskBlocked: "waits for",
    Kind.TaskRebound: "waits for",
    Kind.TaskResumed: "waited for",
    Kind.TaskRejected: "is rejected by",
    Kind.TaskAbandoned: "waited for",
    Kind.ResourceAcquired: "takes of",
    Kind.ResourceReleased: "gives back to",
    Kind.ConstraintChanged: "changes",
    Kind.DeadlockDetected: "waits for",
}
_OBJECTS: dict[str, tuple[tuple[str, str], ...]] = {
    "fleet": (("priority", "integer"),),
    "tenant": (),
    "constraint": (("type", "string"), ("scope", "string"), ("counts", "string"), ("limit", "integer")),
    "agent": (),
    "visit": (
        *(("step", "string"), ("kind", "string"), ("visit", "integer"), ("outcome", "string"), ("attempts", "integer")),
        *(("blocked_ns", "integer"), ("worked_ns", "integer"), ("backed_off_ns", "integer")),
    ),
}
_VISITED = frozenset({"task", "hold"})
_Related = tuple[str, str]
"""The id of an object, and the qualifier."""


def to_ocel(log: Log, out: BinaryIO) -> None:
    """Write one JSON object; raises LogError where the log is damaged."""
    roster = Roster(log.header)
    events, objects = _Events(log.header, roster), _Objects(log.header, roster)
    out.write(f'{{"eventTypes":{_json(_event_types())},\n"objectTypes":{_json(_object_types())},\n"events":['.encode())
    separator = "\n"
    for part in folded(log, roster):
        for text in events.of(part):
            out.write((separator + text).encode())
            separator = ",\n"
    out.write(b'],\n"objects":[')
    separator = "\n"
    for text in objects.all(log, events.limits):
        out.write((separator + text).encode())
        separator = ",\n"
    out.write(b"]}\n")


def _event_types() -> list[dict[str, object]]:
    common = ("time_ns", "integer")
    of_tasks = (*range(Kind.TaskBlocked, Kind.ResourceReleased + 1), Kind.DeadlockDetected)
    return [
        _declared(
            kind.name, (common, *((("attempt", "integer"),) if kind in of_tasks else ()), *_ATTRIBUTES.get(kind, ()))
        )
        for kind in Kind
    ]


def _object_types() -> list[dict[str, object]]:
    return [_declared(name, attributes) for name, attributes in _OBJECTS.items()]


def _declared(name: str, attributes: Iterable[tuple[str, str]]) -> dict[str, object]:
    return {"name": name, "attributes": [{"name": each, "type": type_} for each, type_ in attributes]}


class _Ids:
    """The ids of objects. The type of an object is in its id, since names of fleets and constraints may be the same."""

    def __init__(self, header: Header, roster: Roster) -> None:
        self._header = header
        self._roster = roster
        self._agents: dict[int, str] = {}

    def agent(self, agent: int) -> str:
        found = self._agents.get(agent)
        if found is None:
            found = self._agents[agent] = self._roster.name(agent)
        return f"agent:{found}"

    def visit(self, agent: int, step: int, visit: int) -> str:
        return f"visit:{self.agent(agent)[6:]}_{self._header.steps[step].name}:{visit}"

    def constraint(self, number: int) -> str:
        return f"constraint:{self._header.constraints[number].id}"

    def fleet(self, number: int) -> str:
        return f"fleet:{self._header.fleets[number].name}"

    def tenants(self) -> list[str]:
        return [f"tenant:{name}" for name in dict.fromkeys(f.tenant for f in self._header.fleets) if name is not None]


class _Events:
    """The events as JSON texts; and, as they go by, the limits of constraints."""

    def __init__(self, header: Header, roster: Roster) -> None:
        self._header = header
        self._roster = roster
        self._ids = _Ids(header, roster)
        self.limits = [[(0, int(limit))] for limit in limits_of(header)]
        """By constraint its limits, each with the time in ns from which on."""

    def of(self, part: Folded) -> Iterator[str]:
        """Yield the events of a batch."""
        batch, causes = part.batch, _causes(part)
        times = _times(batch.time)
        columns = (column.tolist() for column in batch.columns())
        for event, (at, numbers) in enumerate(zip(times, zip(*columns, strict=True), strict=True), part.first):
            row = Row(event, *numbers)
            kind = Kind(row.kind)
            told = self._attributes(row, kind)
            related = self._related(row, kind)
            if kind == Kind.TaskResumed and event in causes:
                why, by = causes[event]
                told += [("ended_by", why.name), *([("ended_by_event", by)] if by >= 0 else [])]
            elif kind == Kind.ConstraintChanged:
                self.limits[row.constraint].append((row.time, row.value))
            yield (
                f'{{"id":"event:{event}","type":"{kind.name}","time":"{at}",'
                f'"attributes":{_values(told)},"relationships":{_relationships(related)}}}'
            )

    def _attributes(self, row: Row, kind: Kind) -> list[tuple[str, object]]:
        told: list[tuple[str, object]] = [("time_ns", row.time)]
        if row.attempt >= 0:
            told.append(("attempt", row.attempt))
        if kind in _ATTRIBUTES:
            value = _CODES[kind](row.value).name if kind in _CODES else row.value
            told.append((_ATTRIBUTES[kind][0][0], value))
        return told

    def _related(self, row: Row, kind: Kind) -> list[_Related]:
        ids, related = self._ids, list[_Related]()
        if row.agent >= 0:
            related.append((ids.agent(row.agent), "agent"))
        if kind == Kind.AgentStarted:
            related.append((ids.fleet(fleet_of(self._roster, row.agent)), "is of fleet"))
        elif row.step >= 0 and self._header.steps[row.step].kind in _VISITED:
            related.append((ids.visit(row.agent, row.step, row.visit), "visit"))
        elif row.agent < 0 and row.constraint < 0:  # of the run
            related += [(ids.fleet(number), "has fleet") for number in range(len(self._header.fleets))]
            related += [(tenant, "has tenant") for tenant in ids.tenants()]
            related += [(ids.constraint(number), "has constraint") for number in range(len(self._header.constraints))]
        if kind == Kind.TaskStarted:
            related += [(ids.constraint(number), "takes of") for number in self._taken(row)]
        if row.constraint >= 0:
            related.append((ids.constraint(row.constraint), _OF_CONSTRAINT[kind]))
        return related

    def _taken(self, row: Row) -> list[int]:
        """Return the constraints that a task takes of as the header says; of the others it has rows of its own."""
        step = self._header.steps[row.step]
        if step.states_all or not step.demands:
            return []
        group = 0
        if step.groups:
            _, numbers = self._roster.places(np.array([row.agent]))
            group = next((group for first, last, group in step.groups if first <= numbers[0] <= last), 0)
        return [demand.constraint for demand in step.demands[group] if demand.amount]


@dataclass(slots=True)
class _Sums:
    """What a visit did so far; and who ended its waits, each once, in order."""

    attempts: int = 0
    blocked_ns: int = 0
    worked_ns: int = 0
    backed_off_ns: int = 0
    admitted_by: dict[tuple[Why, Key], None] = field(default_factory=dict)


_SUMMED = ("attempts", "blocked_ns", "worked_ns", "backed_off_ns")


_Timed = tuple[str, int, object]
"""The name of an attribute, since when it has its value, and the value."""


class _Objects:
    """The objects as JSON texts."""

    def __init__(self, header: Header, roster: Roster) -> None:
        self._header = header
        self._ids = _Ids(header, roster)
        self._roster = roster
        self._sums: dict[Key, _Sums] = {}

    def all(self, log: Log, limits: list[list[tuple[int, int]]]) -> Iterator[str]:
        """Yield all objects: what the header names, and then, in the order of the log, agents and visits."""
        yield from self._named(limits)
        spans, roster = Spans(self._header), Roster(self._header)
        for part in folded(log, roster):
            for how, what in spans.feed(part):
                yield from self._of(how, what)
        for how, what in spans.end():
            yield from self._of(how, what)

    def _named(self, limits: list[list[tuple[int, int]]]) -> Iterator[str]:
        ids = self._ids
        for tenant in ids.tenants():
            yield _object(tenant, "tenant", [], [])
        for number, fleet in enumerate(self._header.fleets):
            tenants = [] if fleet.tenant is None else [(f"tenant:{fleet.tenant}", "is of tenant")]
            yield _object(ids.fleet(number), "fleet", [("priority", 0, fleet.priority)], tenants)
        for number, entry in enumerate(self._header.constraints):
            told: list[_Timed] = [("type", 0, entry.type)]
            told += [(name, 0, value) for name in ("scope", "counts") if (value := getattr(entry, name)) is not None]
            told += [("limit", time, limit) for time, limit in _last_of_each_instant(limits[number])]
            yield _object(ids.constraint(number), "constraint", told, [])

    def _of(self, how: int, what: Span | Row) -> Iterator[str]:
        if isinstance(what, Row):
            return
        row, sort = what.begin, what.sort
        key = row.agent, row.step, row.visit
        if sort == Sort.AGENT and how == BEGINS:
            related = [(self._ids.fleet(fleet_of(self._roster, row.agent)), "is of fleet")]
            if row.step >= 0:
                related.append((self._ids.agent(row.value), "is spawned by"))
            yield _object(self._ids.agent(row.agent), "agent", [], related)
        elif how == BEGINS or sort in (Sort.AGENT, Sort.DOWN):
            return
        elif sort == Sort.VISIT:
            yield self._visit(what, self._sums.pop(key, _Sums()))
        else:
            _add(self._sums.setdefault(key, _Sums()), what)

    def _visit(self, span: Span, sums: _Sums) -> str:
        row, step = span.begin, self._header.steps[span.begin.step]
        told: list[_Timed] = [("step", 0, step.name), ("kind", 0, step.kind), ("visit", 0, row.visit)]
        if span.outcome is not None and not span.open:
            told.append(("outcome", span.end_ns, span.outcome.name))
        told += [(name, span.end_ns, getattr(sums, name)) for name in _SUMMED]
        related = [(self._ids.agent(row.agent), "agent")]
        related += [(self._ids.visit(*key), f"is admitted: {why.name} by") for why, key in sums.admitted_by]
        return _object(self._ids.visit(row.agent, row.step, row.visit), "visit", told, related)


def _add(sums: _Sums, span: Span) -> None:
    match span.sort:
        case Sort.ATTEMPT:
            sums.attempts += 1
        case Sort.BLOCKED:
            sums.blocked_ns += span.ns
            if span.cause is not None and span.cause.visit >= 0:
                sums.admitted_by[span.cause.why, (span.cause.agent, span.cause.step, span.cause.visit)] = None
        case Sort.BACK_OFF:
            sums.backed_off_ns += span.ns
        case Sort.RUNNING | Sort.HELD:
            sums.worked_ns += span.ns


def _causes(part: Folded) -> dict[int, tuple[Why, int]]:
    """Return by the number of the event that ended a wait why it did, and the event that made it end, -1 for none."""
    told = part.causes
    rows = zip(told.end.tolist(), told.why.tolist(), told.event.tolist(), strict=True)
    return {end: (Why(why), event) for end, why, event in rows}


def _last_of_each_instant(values: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return list(dict(values).items())


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _times(times: Integers) -> list[str]:
    """Return times in ns as ISO 8601 has them."""
    texts: list[str] = np.datetime_as_string(times.astype("datetime64[ns]"), timezone="UTC").tolist()
    return texts


def _values(told: list[tuple[str, object]]) -> str:
    return "[" + ",".join(f'{{"name":"{name}","value":{_json(str(value))}}}' for name, value in told) + "]"


def _relationships(related: list[_Related]) -> str:
    texts = (f'{{"objectId":{_json(id_)},"qualifier":"{qualifier}"}}' for id_, qualifier in related)
    return "[" + ",".join(texts) + "]"


def _object(id_: str, type_: str, told: list[_Timed], related: list[_Related]) -> str:
    times = _times(np.array([time for _, time, _ in told], np.int64))
    values = (
        f'{{"name":"{name}","time":"{at}","value":{_json(str(value))}}}'
        for (name, _, value), at in zip(told, times, strict=True)
    )
    named = f'{{"id":{_json(id_)},"type":"{type_}"'
    return f'{named},"attributes":[{",".join(values)}],"relationships":{_relationships(related)}}}'
