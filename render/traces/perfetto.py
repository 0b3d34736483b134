"""A log as a Perfetto trace: protocol buffers that https://ui.perfetto.dev opens.

Rules:

1. A process is a fleet and a thread is an agent; where an agent does several things at a time, the others are on tracks
   below its own. A slice is what lasts: its category is `running`, `held`, `blocked`, `back-off` or `down`, its name the
   step or the constraint. Times are those of the log, in ns from 0.
2. A flow goes from what ended a wait to the slice in which the task went on: from the slice that ended in that instant,
   from an instant event where none did, or from the change of a constraint.
3. A counter tells what of a constraint is used, or was taken, how many wait, and what its limit is (`counters`).
4. Packets need no others but the first, which holds the names. What is kept is what goes on, and the packets of one
   instant, in which a flow may still begin.
5. A slice that goes on when the log ends, ends there, and has the annotation `open`.
"""

from collections.abc import Iterator
from functools import lru_cache
from heapq import merge
from operator import itemgetter
from typing import BinaryIO

from model.events import Kind
from model.log import Header, Log
from model.roster import Roster
from render.traces.counters import Counters, Level, Point
from render.traces.protobuf import fixed64, key_of, message, number, text, varint
from render.traces.spans import BEGINS, Cause, Key, Row, Sort, Span, Spans, Told, fleet_of, folded
from sim.analysis.releases import Why
from sim.analysis.sojourns import Outcome

# The fields of the messages, by the names that they have in Perfetto's protos/perfetto/trace.
_PACKET = 1  # of a Trace
_TIMESTAMP, _SEQUENCE, _TRACK_EVENT, _INTERNED, _FLAGS, _TRACK = 8, 10, 11, 12, 13, 60  # of a TracePacket
_TYPE, _TRACK_UUID, _CATEGORY, _NAME, _ANNOTATION, _VALUE, _FLOW, _FLOW_ENDS = (
    9,
    11,
    3,
    10,
    4,
    30,
    47,
    48,
)  # of an event
_CLEARED, _NEEDED = 1, 2  # what a packet says of the names: it begins them, it needs them
_BEGIN, _END, _INSTANT, _COUNTER = (number(_TYPE, type_) for type_ in (1, 2, 3, 4))

_CATEGORIES = {
    Sort.RUNNING: "running",
    Sort.HELD: "held",
    Sort.BLOCKED: "blocked",
    Sort.BACK_OFF: "back-off",
    Sort.DOWN: "down",
}
_FLOWS_FROM = frozenset({Sort.RUNNING, Sort.HELD, Sort.BLOCKED})
_TAKE_A_TRACK = frozenset({Sort.ATTEMPT, Sort.BACK_OFF, Sort.DOWN})
_POINTS = {
    Kind.TaskSkipped: "skipped",
    Kind.TaskRejected: "rejected",
    Kind.TaskAbandoned: "gave up",
    Kind.DeadlockDetected: "deadlock",
    Kind.ConstraintChanged: "changed",
}
_NEVER = 2**63 - 1
_WENT_ON, _MADE_WAY = "went on", "made way"
_UNITS = {
    "rate_limit": {"limit": "millionths of a token a second", "taken": "tokens"},
    "resource": {"limit": "millionths of a unit", "used": "millionths of a unit"},
    "quota": {"limit": "millionths of a unit", "taken": "millionths of a unit"},
}


Timed = tuple[int, bytes]
"""A packet, and its time in ns."""


def to_perfetto(log: Log, out: BinaryIO) -> None:
    """Write a trace; raises LogError where the log is damaged."""
    roster, spans, counters = Roster(log.header), Spans(log.header), Counters(log.header)
    trace = _Trace(log.header, roster)
    out.write(b"".join(trace.head(counters)))
    for part in folded(log, roster):
        until_ns = int(part.batch.time[-1])
        _write(out, trace.slices(spans.feed(part), until_ns), trace.counts(counters.feed(part)))
    _write(out, trace.slices(spans.end(), _NEVER), trace.counts(counters.end()))


def _write(out: BinaryIO, *streams: Iterator[Timed]) -> None:
    """Write packets in order of time, so that they do not depend on how the log is cut into batches."""
    out.write(b"".join(packet for _, packet in merge(*streams, key=itemgetter(0))))


class _Names:
    """Texts that are written once and then called by their numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers) + 1)

    def interned(self, field: int) -> bytes:
        return b"".join(message(field, number(1, each), text(2, name)) for name, each in self._numbers.items())


class _Agent:
    """The tracks of an agent, its own and those below it, and which of them are taken."""

    __slots__ = ("taken", "tracks", "uuid")

    def __init__(self, uuid: int) -> None:
        self.uuid = uuid
        self.tracks = [number(_TRACK_UUID, uuid)]
        self.taken: set[int] = set()


class _Event:
    """An event of the instant; it may still get flows."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content


class _Trace:
    """The packets of a trace, instant by instant."""

    def __init__(self, header: Header, roster: Roster) -> None:
        self._header = header
        self._roster = roster
        self._steps = [step.name for step in header.steps]
        self._ids = [entry.id for entry in header.constraints]
        self._categories, self._names, self._keys, self._values = _Names(), _Names(), _Names(), _Names()
        self._called: dict[tuple[str, str], bytes] = {}  # a category and a name, as fields
        self._uuids = 0
        self._agents: dict[int, _Agent] = {}
        self._places: dict[Key, int] = {}  # the numbers of the tracks on which visits are, among those of their agents
        self._held: set[Key] = set()
        self._constraints: list[bytes] = []
        self._counters: dict[Level, bytes] = {}
        self._flows = 0
        self._instant: list[_Event | bytes] = []
        self._instant_ns = 0
        self._ended: dict[Key, _Event] = {}  # in this instant, by visit
        self._changed: dict[int, _Event] = {}  # likewise, by the number of the row

    # What stands first.

    def head(self, counters: Counters) -> Iterator[bytes]:
        """Yield the names, the fleets and the constraints."""
        self._know_names()
        for fleet, entry in enumerate(self._header.fleets):
            process = message(3, number(1, fleet + 1), text(6, entry.name))
            yield _track(number(1, self._new_uuid()), process)
        of_all = self._new_uuid()
        yield _track(number(1, of_all), text(2, "constraints"))
        parents = []
        for name in self._ids:
            parents.append(self._new_uuid())
            self._constraints.append(number(_TRACK_UUID, parents[-1]))
            yield _track(number(1, parents[-1]), text(2, name), number(5, of_all))
        for level in counters.names():
            uuid = self._new_uuid()
            self._counters[level] = _COUNTER + number(_TRACK_UUID, uuid)
            unit = _UNITS.get(self._header.constraints[level.constraint].type, {}).get(level.what, "")
            named = text(2, f"{self._ids[level.constraint]} {level.what}")
            counter = message(8, text(6, unit)) if unit else message(8)
            yield _track(number(1, uuid), named, number(5, parents[level.constraint]), counter)
        names = self._categories.interned(1) + self._names.interned(2)
        names += self._keys.interned(3) + self._values.interned(29)
        yield message(_PACKET, number(_SEQUENCE, 1), number(_FLAGS, _CLEARED), message(_INTERNED, names))

    def _know_names(self) -> None:
        for name in (*_CATEGORIES.values(), *_POINTS.values(), "flow"):
            self._categories[name]
        for name in (*self._steps, *self._ids, *_CATEGORIES.values(), *_POINTS.values(), _WENT_ON, _MADE_WAY):
            self._names[name]
        for name in ("visit", "attempt", "task", "constraint", "status", "open", "limit"):
            self._keys[name]
        for name in (*self._steps, *self._ids, *(outcome.name for outcome in Outcome)):
            self._values[name]

    def _new_uuid(self) -> int:
        self._uuids += 1
        return self._uuids

    # Slices, instant events and flows.

    def slices(self, told: list[Told], until_ns: int) -> Iterator[Timed]:
        """Yield the packets of the instants before a time, up to which is told."""
        for how, what in told:
            if isinstance(what, Row):
                if what.time > self._instant_ns:
                    yield from self._flush()
                    self._instant_ns = what.time
                self._point(what)
                continue
            if what.sort == Sort.VISIT:
                continue
            time_ns = what.begin.time if how == BEGINS else what.end_ns
            if time_ns > self._instant_ns:
                yield from self._flush()
                self._instant_ns = time_ns
            if how == BEGINS:
                self._begin(what)
            else:
                self._end(what)
        if until_ns > self._instant_ns:
            yield from self._flush()

    def _flush(self) -> Iterator[Timed]:
        """Yield the packets of this instant, which is over."""
        time = key_of(_TIMESTAMP, 0) + varint(self._instant_ns)
        for each in self._instant:
            yield self._instant_ns, each if isinstance(each, bytes) else _packet(time, each.content)
        self._instant.clear()
        self._ended.clear()
        self._changed.clear()

    def _begin(self, span: Span) -> None:
        row, sort = span.begin, span.sort
        if sort == Sort.AGENT:
            self._agent(row.agent)
            return
        key = row.agent, row.step, row.visit
        if sort in _TAKE_A_TRACK:
            self._take_track(key)
        if sort == Sort.ATTEMPT:
            return
        name = _CATEGORIES[sort]
        if sort == Sort.BLOCKED:
            notes = self._whose(row) + self._note("task", self._values[self._steps[row.step]], 17)
            name = self._ids[row.constraint]
        elif sort == Sort.DOWN:
            notes = b""
        else:
            notes = self._whose(row)
            name = name if sort == Sort.BACK_OFF else self._steps[row.step]
        if sort == Sort.HELD:
            self._held.add(key)
        notes += b"" if span.after is None else self._flow(span.after)
        self._add(_BEGIN, self._track_of(key), _CATEGORIES[sort], name, notes)

    def _end(self, span: Span) -> None:
        row, sort = span.begin, span.sort
        key = row.agent, row.step, row.visit
        if sort in _CATEGORIES:
            notes = b""
            if span.open:
                notes = self._note("open", 1, 2)
            elif span.outcome is not None:
                notes = self._note("status", self._values[span.outcome.name], 17)
            event = _Event(_END + self._track_of(key) + notes)
            self._instant.append(event)
            if sort in _FLOWS_FROM:
                self._ended[key] = event
        if sort == Sort.HELD:
            self._held.discard(key)
        if sort in _TAKE_A_TRACK:
            self._agent(row.agent).taken.discard(self._places.pop(key, 0))  # 0 where rows are missing
        if sort == Sort.BLOCKED and span.cause is not None and key in self._held:
            # What is held goes on, and no slice begins.
            self._add(_INSTANT, self._track_of(key), "flow", _WENT_ON, self._whose(row) + self._flow(span))

    def _point(self, row: Row) -> None:
        name = _POINTS[Kind(row.kind)]
        if row.kind == Kind.ConstraintChanged:
            limit = self._note("limit", row.value, 4)
            self._changed[row.event] = self._add(_INSTANT, self._constraints[row.constraint], name, name, limit)
            return
        notes = self._whose(row)
        if row.constraint >= 0:
            notes += self._note("constraint", self._values[self._ids[row.constraint]], 17)
        self._add(_INSTANT, self._track_of((row.agent, row.step, row.visit)), name, name, notes)

    def _flow(self, blocked: Span) -> bytes:
        """Begin an arrow at what ended a wait, and return its end; where no row ended it, there is none."""
        cause = blocked.cause
        if cause is None or cause.event < 0:
            return b""
        self._flows += 1
        self._source(cause, blocked.begin.constraint).content += fixed64(_FLOW, self._flows)
        return fixed64(_FLOW_ENDS, self._flows)

    def _source(self, cause: Cause, constraint: int) -> _Event:
        key = cause.agent, cause.step, cause.visit
        found = self._changed.get(cause.event) if cause.why == Why.changed else self._ended.get(key)
        if found is not None:
            return found
        notes = self._note("constraint", self._values[self._ids[constraint]], 17)
        return self._add(_INSTANT, self._track_of(key), "flow", _MADE_WAY, notes)

    # The parts of an event.

    def _add(self, type_: bytes, track: bytes, category: str, name: str, notes: bytes) -> _Event:
        called = self._called.get((category, name))
        if called is None:
            called = number(_CATEGORY, self._categories[category]) + number(_NAME, self._names[name])
            self._called[category, name] = called
        event = _Event(b"".join((type_, track, called, notes)))
        self._instant.append(event)
        return event

    def _whose(self, row: Row) -> bytes:
        return self._note("visit", row.visit, 4) + (self._note("attempt", row.attempt, 4) if row.attempt else b"")

    def _note(self, key: str, value: int, field: int) -> bytes:
        """Return an annotation: field 2 of it is a flag, 4 a number, 17 the number of a text."""
        return _annotation(self._keys[key], value, field)

    # Tracks.

    def _add_agent(self, agent: int) -> _Agent:
        uuid, fleets = self._new_uuid(), len(self._header.fleets)
        added = self._agents[agent] = _Agent(uuid)
        fleet = fleet_of(self._roster, agent)
        # The number of a thread that is that of a process would be its main thread.
        thread = (number(1, fleet + 1), number(2, fleets + 1 + agent), text(5, self._roster.name(agent)))
        self._instant.append(_track(number(1, uuid), message(4, *thread)))
        return added

    def _take_track(self, key: Key) -> None:
        agent = self._agent(key[0])
        place = next(place for place in range(len(agent.tracks) + 1) if place not in agent.taken)
        if place == len(agent.tracks):
            uuid = self._new_uuid()
            agent.tracks.append(number(_TRACK_UUID, uuid))
            name = f"{self._roster.name(key[0])} ({place + 1})"
            self._instant.append(_track(number(1, uuid), text(2, name), number(5, agent.uuid)))
        agent.taken.add(place)
        self._places[key] = place

    def _track_of(self, key: Key) -> bytes:
        return self._agent(key[0]).tracks[self._places.get(key, 0)]

    def _agent(self, agent: int) -> _Agent:
        return self._agents.get(agent) or self._add_agent(agent)

    # Counters.

    def counts(self, told: list[Point]) -> Iterator[Timed]:
        """Yield the packets of counters."""
        for time, level, value in told:
            yield time, _packet(number(_TIMESTAMP, time), self._counters[level] + number(_VALUE, value))


@lru_cache(maxsize=1 << 14)
def _annotation(key: int, value: int, field: int) -> bytes:
    return message(_ANNOTATION, number(1, key) + number(field, value))


_ON_THE_SEQUENCE = number(_SEQUENCE, 1) + number(_FLAGS, _NEEDED)


_PACKET_KEY, _EVENT_KEY = key_of(_PACKET, 2), key_of(_TRACK_EVENT, 2)


def _packet(time: bytes, event: bytes) -> bytes:
    # The same as by `message`, in one step: it is done for every packet.
    content = b"".join((time, _ON_THE_SEQUENCE, _EVENT_KEY, varint(len(event)), event))
    return b"".join((_PACKET_KEY, varint(len(content)), content))


def _track(*parts: bytes) -> bytes:
    return message(_PACKET, number(_SEQUENCE, 1), message(_TRACK, *parts))
