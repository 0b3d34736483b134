"""A log as OpenTelemetry spans: OTLP/JSON, a line an `ExportTraceServiceRequest`.

Rules:

1. Each line is a whole request of at most `SPANS_MAX` spans, as files of the OpenTelemetry Protocol are
   (https://opentelemetry.io/docs/specs/otel/protocol/file-exporter), and small enough to be posted to a collector. A
   resource is a fleet. A span is written when it ends, so that those within it stand before it.
2. An agent is a trace with a root span. Below it are its visits and the times for which it was down, below a visit its
   attempts and back-offs, below an attempt its waits, a span for each constraint. An attempt that started has the event
   `started`.
3. A wait that ended says by what; it has a link to the attempt that ended it. Of an agent that was spawned the root has one
   to that of its parent.
4. Ids are of the scenario, the seed, the agent, the step, the visit and the attempt; those of waits, back-offs and repairs
   of the number of their first event. So the same run has the same ids, and another has others.
5. Times are those of the log, as if it began at 1970-01-01T00:00:00Z. What goes on when the log ends, ends there, and has
   `fleetsim.open`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import BinaryIO

from model.events import Kind, Skip
from model.log import Header, Log
from model.roster import Roster
from render.traces.spans import BEGINS, Cause, Key, Sort, Span, Spans, Told, fleet_of, folded
from sim.analysis.record import Row
from sim.analysis.sojourns import Outcome

SPANS_MAX = 1_000
"""How many spans a request has at most: some 400 kB."""
_INTERNAL = 1  # the kind of all spans
_OK, _ERROR = 1, 2  # codes of the status
_SORTS = {
    Sort.AGENT: "agent",
    Sort.VISIT: "visit",
    Sort.ATTEMPT: "attempt",
    Sort.BLOCKED: "wait",
    Sort.BACK_OFF: "back-off",
    Sort.DOWN: "down",
}
Value = str | int | bool
Attributes = dict[str, Value]
_WORKS = frozenset({Sort.RUNNING, Sort.HELD})
_ENDS = {Kind.TaskRebound: "rebound", Kind.TaskRejected: "rejected", Kind.TaskAbandoned: "gave_up"}
"""By what a wait ended where it did not end with going on."""
_POINTS = {Kind.TaskRejected: "rejected", Kind.TaskAbandoned: "gave up"}


def to_otlp(log: Log, out: BinaryIO) -> None:
    """Write the requests; raises LogError where the log is damaged."""
    roster, spans = Roster(log.header), Spans(log.header)
    requests = _Requests(log.header, roster)
    for part in folded(log, roster):
        requests.tell(spans.feed(part), out)
    requests.tell(spans.end(), out)
    requests.end(out)


class _Ids:
    """The ids of traces and spans, in hexadecimal."""

    def __init__(self, header: Header) -> None:
        text = json.dumps([header.scenario, header.name, header.seed], sort_keys=True)
        self._key = hashlib.sha256(text.encode()).digest()

    def trace(self, agent: str) -> str:
        return self._hashed(agent, 16)

    def span(self, *parts: object) -> str:
        return self._hashed("/".join(map(str, parts)), 8)

    def _hashed(self, text: str, size: int) -> str:
        found = hashlib.blake2b(text.encode(), digest_size=size, key=self._key).hexdigest()
        return found if found.strip("0") else "1".zfill(2 * size)  # an id of zeros only is none


class _Agent:
    """An agent as JSON texts: its trace, its root span, and its name."""

    __slots__ = ("fleet", "name", "root", "trace")

    def __init__(self, name: str, fleet: int, ids: _Ids) -> None:
        self.name = name
        self.fleet = fleet
        self.trace = ids.trace(name)
        self.root = ids.span(name)


class _Requests:
    """The spans that ended and are not written yet, and what is known of those that go on."""

    def __init__(self, header: Header, roster: Roster) -> None:
        self._header = header
        self._roster = roster
        self._ids = _Ids(header)
        self._agents: dict[int, _Agent] = {}
        self._events_of_agents: dict[int, list[str]] = {}
        self._events_of_attempts: dict[Key, list[str]] = {}
        self._events_of_visits: dict[Key, list[str]] = {}
        self._waiting: dict[int, list[str]] = {}  # spans by fleet
        self._count = 0
        self._written = False
        self._resources = [self._resource(fleet) for fleet in range(len(header.fleets))]
        self._scope = _json({"name": "fleetsim", "version": header.versions.get("fleetsim", "")})
        self._steps = [_json(step.name) for step in header.steps]
        self._constraints = [_json(entry.id) for entry in header.constraints]

    def tell(self, told: list[Told], out: BinaryIO) -> None:
        """Take in what begins and ends; write the requests that are full."""
        for how, what in told:
            if isinstance(what, Row):
                self._point(what)
            elif how == BEGINS:
                self._begin(what)
            elif what.sort not in _WORKS:
                self._end(what)
                if self._count == SPANS_MAX:
                    self.flush(out)

    def end(self, out: BinaryIO) -> None:
        """Write the last request; without any span that is an empty one."""
        if self._count or not self._written:
            self.flush(out)

    def flush(self, out: BinaryIO) -> None:
        """Write what waits."""
        self._written = True
        resources = [
            f'{{"resource":{self._resources[fleet]},"scopeSpans":[{{"scope":{self._scope},"spans":[{",".join(spans)}]}}]}}'
            for fleet, spans in sorted(self._waiting.items())
        ]
        out.write(f'{{"resourceSpans":[{",".join(resources)}]}}\n'.encode())
        self._waiting.clear()
        self._count = 0

    def _resource(self, number: int) -> str:
        fleet = self._header.fleets[number]
        told: Attributes = {"service.name": fleet.name, "service.namespace": self._header.name}
        if fleet.tenant is not None:
            told["fleetsim.tenant"] = fleet.tenant
        return f'{{"attributes":[{_attributes({**told, "fleetsim.seed": self._header.seed})}]}}'

    # What happens within a span.

    def _begin(self, span: Span) -> None:
        row, key = span.begin, _key(span.begin)
        if span.sort in _WORKS:
            self._events_of_attempts.setdefault(key, []).append(_event(row.time, "started", {}))
        elif span.sort == Sort.BACK_OFF:
            event = _event(row.time, "retrying", {"fleetsim.delay_ns": row.value})
            self._events_of_visits.setdefault(key, []).append(event)

    def _point(self, row: Row) -> None:
        told = {} if row.constraint < 0 else {"fleetsim.constraint": self._header.constraints[row.constraint].id}
        if row.kind == Kind.DeadlockDetected:  # of an agent, since it may wait for its branches
            self._events_of_agents.setdefault(row.agent, []).append(_event(row.time, "deadlock", told))
        elif row.kind in _POINTS:
            event = _event(row.time, _POINTS[Kind(row.kind)], told)
            self._events_of_attempts.setdefault(_key(row), []).append(event)

    # Spans that end.

    def _end(self, span: Span) -> None:
        agent = self._agent(span.begin.agent)
        id_, parent, name = self._identity(span, agent)
        told, events, links = self._details(span)
        if span.open:
            told["fleetsim.open"] = True
        text = [
            f'{{"traceId":"{agent.trace}","spanId":"{id_}"',
            f'"parentSpanId":"{parent}"' if parent else "",
            f'"name":{name},"kind":{_INTERNAL}',
            f'"startTimeUnixNano":"{span.begin.time}","endTimeUnixNano":"{span.end_ns}"',
            f'"attributes":[{_attributes(told)}]',
            f'"events":[{",".join(events)}]' if events else "",
            f'"links":[{links}]' if links else "",
            _status(span.outcome),
        ]
        self._waiting.setdefault(agent.fleet, []).append(",".join(filter(None, text)) + "}")
        self._count += 1

    def _identity(self, span: Span, agent: _Agent) -> tuple[str, str, str]:
        """Return the id of a span, that of the one above it, and its name as JSON."""
        row = span.begin
        visit, attempt = (row.step, row.visit), (row.step, row.visit, row.attempt)
        match span.sort:
            case Sort.AGENT:
                return agent.root, "", _json(agent.name)
            case Sort.DOWN:
                return self._ids.span(agent.name, "event", row.event), agent.root, '"down"'
            case Sort.VISIT:
                return self._ids.span(agent.name, *visit), agent.root, self._steps[row.step]
            case Sort.ATTEMPT:
                return self._ids.span(agent.name, *attempt), self._ids.span(agent.name, *visit), self._steps[row.step]
            case Sort.BACK_OFF:
                above = self._ids.span(agent.name, *visit)
                return self._ids.span(agent.name, "event", row.event), above, '"back-off"'
        above = self._ids.span(agent.name, *attempt)
        return self._ids.span(agent.name, "event", row.event), above, self._constraints[row.constraint]

    def _details(self, span: Span) -> tuple[Attributes, list[str], str]:
        """Return the attributes of a span, and its events and its links as JSON."""
        row, sort, told = span.begin, span.sort, Attributes({"fleetsim.span": _SORTS[span.sort]})
        if sort == Sort.AGENT:
            links = self._parent(row, told) if row.step >= 0 else ""
            return told, self._events_of_agents.pop(row.agent, []), links
        if sort == Sort.DOWN:
            return told, [], ""
        told |= {"fleetsim.step": self._header.steps[row.step].kind, "fleetsim.visit": row.visit}
        if sort == Sort.VISIT:
            if row.kind == Kind.TaskSkipped:
                told["fleetsim.skipped"] = Skip(row.value).name
            return told, self._events_of_visits.pop(_key(row), []), ""
        told["fleetsim.attempt"] = row.attempt
        if sort == Sort.ATTEMPT:
            return told, self._events_of_attempts.pop(_key(row), []), ""
        if span.ended_by is not None and span.ended_by.kind in _ENDS:
            told["fleetsim.ended_by"] = _ENDS[Kind(span.ended_by.kind)]
        return told, [], "" if span.cause is None else self._ended_by(span.cause, told)

    def _parent(self, row: Row, told: Attributes) -> str:
        parent = self._agent(row.value)
        told["fleetsim.spawned_by"] = parent.name
        return f'{{"traceId":"{parent.trace}","spanId":"{parent.root}"}}'

    def _ended_by(self, cause: Cause, told: Attributes) -> str:
        told["fleetsim.ended_by"] = cause.why.name
        if cause.event >= 0:
            told["fleetsim.ended_by_event"] = cause.event
        if cause.visit < 0:
            return ""
        other = self._agent(cause.agent)
        attempt = self._ids.span(other.name, cause.step, cause.visit, cause.attempt)
        return f'{{"traceId":"{other.trace}","spanId":"{attempt}"}}'

    def _agent(self, agent: int) -> _Agent:
        found = self._agents.get(agent)
        if found is None:
            name, fleet = self._roster.name(agent), fleet_of(self._roster, agent)
            found = self._agents[agent] = _Agent(name, fleet, self._ids)
        return found


def _key(row: Row) -> Key:
    return row.agent, row.step, row.visit


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _attributes(told: Mapping[str, Value]) -> str:
    """Return attributes as JSON; that of protocol buffers has whole numbers of 64 bits as texts."""
    return ",".join(f'{{"key":"{key}","value":{_value(value)}}}' for key, value in told.items())


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return f'{{"boolValue":{_json(value)}}}'
    return f'{{"intValue":"{value}"}}' if isinstance(value, int) else f'{{"stringValue":{_json(value)}}}'


def _event(time_ns: int, name: str, told: Mapping[str, Value]) -> str:
    attributes = f',"attributes":[{_attributes(told)}]' if told else ""
    return f'{{"timeUnixNano":"{time_ns}","name":"{name}"{attributes}}}'


def _status(outcome: Outcome | None) -> str:
    if outcome is None or outcome == Outcome.skipped:
        return ""
    if outcome == Outcome.finished:
        return f'"status":{{"code":{_OK}}}'
    return f'"status":{{"code":{_ERROR},"message":"{outcome.name}"}}'
