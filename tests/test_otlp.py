"""`export --to otlp`, read with the message classes that OpenTelemetry publishes: what it says is what the report says.

In its JSON ids are hexadecimal, unlike other bytes in the JSON of protocol buffers
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

import base64
import json
import re
from collections import Counter
from typing import Any

from google.protobuf.json_format import ParseDict
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from runs import run, scenario
from traced import Dict, ended, exported, logs, rows_of, some, worked_ns

from model.events import Kind
from model.log import Log
from render.traces import otlp
from sim.analysis.ledger import BACK_OFF, REPAIR
from sim.analysis.report import report


def in_base64(value: Any, key: str = "") -> Any:
    """What stands in a request with its ids as other bytes are."""
    if isinstance(value, dict):
        return {name: in_base64(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [in_base64(part) for part in value]
    if key in ("traceId", "spanId", "parentSpanId"):
        assert re.fullmatch(r"[0-9a-f]{32}" if key == "traceId" else r"[0-9a-f]{16}", value)
        assert value.strip("0")
        return base64.b64encode(bytes.fromhex(value)).decode()
    return value


def requests(log: Log) -> list[ExportTraceServiceRequest]:
    lines = exported(log, "otlp").splitlines()
    return [ParseDict(in_base64(json.loads(line)), ExportTraceServiceRequest()) for line in lines]


def told(attributes: Any) -> Dict:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


class Read:
    """The spans of a log by what they are, each with what its attributes say, and held against the one above it."""

    def __init__(self, log: Log) -> None:
        self.spans: dict[tuple[bytes, bytes], Span] = {}
        self.of: dict[str, list[tuple[Span, Dict]]] = {}
        self.fleets: dict[bytes, str] = {}
        for request in requests(log):
            assert sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans) <= otlp.SPANS_MAX
            for resource in request.resource_spans:
                fleet = told(resource.resource.attributes)["service.name"]
                for span in resource.scope_spans[0].spans:
                    assert (span.trace_id, span.span_id) not in self.spans
                    assert self.fleets.setdefault(span.trace_id, fleet) == fleet
                    self.spans[span.trace_id, span.span_id] = span
                    attributes = told(span.attributes)
                    self.of.setdefault(attributes["fleetsim.span"], []).append((span, attributes))
        for span in self.spans.values():
            assert span.start_time_unix_nano <= span.end_time_unix_nano
            above = self.spans[span.trace_id, span.parent_span_id] if span.parent_span_id else span
            assert above.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= above.end_time_unix_nano
            assert all((link.trace_id, link.span_id) in self.spans for link in span.links)

    def ns(self, what: str) -> Counter[str]:
        """How long all spans of a sort last, by name."""
        found: Counter[str] = Counter()
        for span, _ in self.of.get(what, []):
            found[span.name] += span.end_time_unix_nano - span.start_time_unix_nano
        return found


@some
@given(logs())
def test_the_spans_are_the_numbers_of_the_report(log: Log) -> None:
    read = Read(log)
    numbers, charges = report(log)
    rows = rows_of(log)
    kinds = Counter(rows.kind.tolist())
    assert len(read.of.get("agent", [])) == kinds[Kind.AgentStarted]
    assert all(bool(span.parent_span_id) == (what != "agent") for what, spans in read.of.items() for span, _ in spans)
    asked = (rows.kind >= Kind.TaskBlocked) & (rows.kind <= Kind.ResourceReleased)
    visited = zip(rows.agent[asked].tolist(), rows.step[asked].tolist(), rows.visit[asked].tolist(), strict=True)
    assert len(read.of.get("visit", [])) == len(set(visited))
    for name, said in numbers["constraints"].items():
        assert read.ns("wait")[name] == said["blocked_ns"]
    assert read.ns("back-off").total() == int(charges.ns[charges.cause == BACK_OFF].sum())
    assert read.ns("down").total() == int(charges.ns[charges.cause == REPAIR].sum())
    ran_ns, codes = 0, Counter[tuple[int, str]]()
    for span, attributes in read.of.get("attempt", []):
        started = [event.time_unix_nano for event in span.events if event.name == "started"]
        is_task = attributes["fleetsim.step"] == "task"
        codes[span.status.code, span.status.message] += 1
        assert span.status.code or attributes["fleetsim.open"]
        ran_ns += sum(span.end_time_unix_nano - time for time in started if is_task)
    assert ran_ns == worked_ns(log)
    said = numbers["tasks"]
    assert codes[Status.STATUS_CODE_OK, ""] == said["finished"]
    for outcome in ("failed", "timed_out", "rejected", "gave_up"):
        # Where a log is cut between a refusal and the end of the attempt, that is open.
        is_cut = (
            log.cut and {"rejected": Kind.TaskRejected, "gave_up": Kind.TaskAbandoned}.get(outcome) == rows.kind[-1]
        )
        assert said[outcome] - is_cut <= codes[Status.STATUS_CODE_ERROR, outcome] <= said[outcome]
    events = Counter(event.name for spans in read.of.values() for span, _ in spans for event in span.events)
    assert events["started"] == said["started"]
    assert events["retrying"] == kinds[Kind.TaskRetrying]
    assert events["deadlock"] == kinds[Kind.DeadlockDetected]


@some
@given(logs())
def test_a_wait_is_linked_to_the_attempt_that_ended_it(log: Log) -> None:
    read = Read(log)
    causes = ended(log).values()
    waits = read.of.get("wait", [])
    assert all(("fleetsim.ended_by" in each) != each.get("fleetsim.open", False) for _, each in waits)
    kinds = Counter(rows_of(log).kind.tolist())
    ends = Counter(each["fleetsim.ended_by"] for _, each in waits if "fleetsim.ended_by" in each)
    assert ends.pop("rebound", 0) == kinds[Kind.TaskRebound]
    assert ends.pop("rejected", 0) <= kinds[Kind.TaskRejected]  # most are refused without a wait
    assert ends.pop("gave_up", 0) <= kinds[Kind.TaskAbandoned]
    assert Counter(why for why, _, _ in causes) == ends
    assert sorted(event for _, event, _ in causes if event >= 0) == sorted(
        each["fleetsim.ended_by_event"] for _, each in waits if "fleetsim.ended_by_event" in each
    )
    whose = {event: whose for _, event, whose in causes}
    for span, attributes in waits:
        _, _, visit, attempt = whose.get(attributes.get("fleetsim.ended_by_event"), (-1,) * 4)
        assert len(span.links) == (visit >= 0)
        for link in span.links:
            linked = told(read.spans[link.trace_id, link.span_id].attributes)
            assert (linked["fleetsim.span"], linked["fleetsim.visit"], linked["fleetsim.attempt"]) == (
                "attempt",
                visit,
                attempt,
            )


def test_a_wait_says_how_it_ended() -> None:
    """All want the slot: `b` finds its door shut, `c` loses patience, and the other of `d` has taken the last of `once`."""
    closes = [{"at": "500ms", "paused": True}, {"at": "2s", "paused": False}]
    constraints = [
        {"id": "slot", "type": "concurrency", "limit": 1},
        {"id": "door", "type": "pause", "paused": False, "changes": closes, "scope": "fleet:b"},
        {"id": "once", "type": "quota", "total": 1, "scope": "fleet:d", "on_limit": "reject"},
    ]
    work = {"task": "work", "duration": "1s"}
    fleets = [
        {"name": "a", "count": 1, "steps": [work]},
        {"name": "b", "count": 1, "steps": [work]},
        {"name": "c", "count": 1, "steps": [{**work, "patience": "500ms"}]},
        {"name": "d", "count": 2, "steps": [work]},
        {"name": "e", "count": 2, "steps": [work]},
    ]
    read = Read(run(scenario(constraints=constraints, until="3500ms", fleets=fleets)))
    names = {span.trace_id: span.name for span, _ in read.of["agent"]}
    half = 500_000_000
    assert sorted(
        (names[span.trace_id], span.name, span.start_time_unix_nano // half, span.end_time_unix_nano // half)
        + ((each["fleetsim.ended_by"],) if "fleetsim.ended_by" in each else ())
        for span, each in read.of["wait"]
    ) == [
        ("b_0", "door", 2, 4, "rebound"),
        ("b_0", "slot", 0, 2, "rebound"),
        ("b_0", "slot", 4, 4, "released"),
        ("c_0", "slot", 0, 1, "gave_up"),
        ("d_0", "slot", 0, 2, "released"),
        ("d_1", "slot", 0, 6, "rejected"),
        ("e_0", "slot", 0, 6, "released"),
        ("e_1", "slot", 0, 7),
    ]
