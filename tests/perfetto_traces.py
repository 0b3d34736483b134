"""A Perfetto trace, read with the message classes that Perfetto publishes: slices, instants, flows and counters.

Slices of a track have to nest, and what is named by a number has to have been named.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackDescriptor, TrackEvent

Dict = dict[str, Any]


@dataclass
class Slice:
    track: int
    category: str
    name: str
    begin: int
    end: int
    notes: Dict


@dataclass
class Told:
    """What a trace says. `flows` has for each number (where and when it begins, where and when it ends)."""

    tracks: dict[int, TrackDescriptor] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    instants: list[Slice] = field(default_factory=list)
    counters: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    flows: dict[int, list[Slice]] = field(default_factory=dict)

    def owner(self, track: int) -> str:
        """The name of the agent whose track it is, or that is above it, or else of what it is a track of."""
        descriptor = self.tracks[track]
        while not descriptor.HasField("thread"):
            if descriptor.parent_uuid not in self.tracks:
                return self.tracks[track].name
            descriptor = self.tracks[descriptor.parent_uuid]
        return descriptor.thread.thread_name

    def ns(self, category: str) -> Counter[str]:
        """How long all slices of a category last, by name."""
        found: Counter[str] = Counter()
        for each in self.slices:
            if each.category == category:
                found[each.name] += each.end - each.begin
        return found


def _notes(event: TrackEvent, keys: dict[int, str], values: dict[int, str]) -> Dict:
    notes: Dict = {}
    for note in event.debug_annotations:
        which = note.WhichOneof("value")
        value = getattr(note, which)
        notes[keys[note.name_iid]] = values[value] if which == "string_value_iid" else value
    return notes


def read(content: bytes) -> Told:
    trace, told = Trace(), Told()
    trace.ParseFromString(content)
    trace.DiscardUnknownFields()
    assert trace.ByteSize() == len(content), "all fields are those that the format has"
    categories: dict[int, str] = {}
    names: dict[int, str] = {}
    keys: dict[int, str] = {}
    values: dict[int, str] = {}
    open_slices: dict[int, list[Slice]] = {}
    last_ns: Counter[int] = Counter()
    begun: dict[int, Slice] = {}
    for packet in trace.packet:
        assert packet.trusted_packet_sequence_id == 1
        if packet.HasField("interned_data"):
            assert packet.sequence_flags == 1
            data = packet.interned_data
            categories |= {each.iid: each.name for each in data.event_categories}
            names |= {each.iid: each.name for each in data.event_names}
            keys |= {each.iid: each.name for each in data.debug_annotation_names}
            values |= {each.iid: each.str.decode() for each in data.debug_annotation_string_values}
        if packet.HasField("track_descriptor"):
            assert packet.track_descriptor.uuid not in told.tracks
            told.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
        if not packet.HasField("track_event"):
            continue
        assert packet.sequence_flags == 2
        event, track, time = packet.track_event, packet.track_event.track_uuid, packet.timestamp
        assert time >= last_ns[track], "the packets of a track are in order of time"
        last_ns[track] = time
        if event.type == TrackEvent.TYPE_COUNTER:
            told.counters.setdefault(told.tracks[track].name, []).append((time, event.counter_value))
            continue
        notes = _notes(event, keys, values)
        if event.type == TrackEvent.TYPE_SLICE_END:
            each = open_slices[track].pop()
            each.end = time
            each.notes |= notes
        else:
            (category,) = (categories[iid] for iid in event.category_iids)
            each = Slice(track, category, names[event.name_iid], time, time, notes)
            if event.type == TrackEvent.TYPE_SLICE_BEGIN:
                open_slices.setdefault(track, []).append(each)
                told.slices.append(each)
            else:
                assert event.type == TrackEvent.TYPE_INSTANT
                told.instants.append(each)
        begun |= dict.fromkeys(event.flow_ids, each)
        for number in event.terminating_flow_ids:
            told.flows[number] = [begun.pop(number), each]
    assert not begun, "a flow begins and does not end"
    assert not any(open_slices.values()), "a slice does not end"
    return told


def integral(points: Iterable[tuple[int, int]], end_ns: int, of: Any = lambda value: value) -> int:
    """The sum of a counter's values, or of something of them, times ns."""
    points = [*points]
    ends = [*(time for time, _ in points[1:]), end_ns]
    return sum(of(value) * (until - time) for (time, value), until in zip(points, ends, strict=True))
