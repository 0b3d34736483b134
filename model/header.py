"""The header of a log: the names behind the numbers of its rows, and all that is needed to make the run again.

Rules:

1. It is stored as the metadata of the Arrow schema: canonical JSON with its SHA-256, and the input files compressed.
2. What is read back has the types and the ranges that the classes here state, and fits together, or it is refused: nobody
   who has a header has to look again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field, TypeAdapter, ValidationError

from model.events import LOG_FORMAT
from model.faults import BadInput, cut

_HEADER_KEY = b"fleetsim"
_DIGEST_KEY = b"fleetsim.sha256"
_INPUT_KEY = b"fleetsim.input."

_AGENTS_MAX = 200_000_000
"""Ten of the largest fleets. A state of so many agents takes 1 GB."""
_INPUT_BYTES_MAX = 2**30
_SHOWN_MAX = 60
HELD = frozenset({"concurrency", "adaptive", "resource"})
"""The types of constraints of which a task holds some until it gives it back."""
_NUMBERS = {
    "rate_limit": ("tokens", "period_ns", "burst"),
    "pause": ("paused",),
    "adaptive": ("limit", "most"),
    "resource": ("capacity",),
    "quota": ("total", "period_ns"),
    "incident": ("slow", "new", "refuse", "block", "fail"),
    "circuit_breaker": ("ratio", "min_calls", "window_ns", "open_ns", "probes"),
}
"""What the settings of a constraint hold, by its type; `limit` for all others."""

_Whole = Annotated[int, Field(ge=0, lt=2**63)]


class LogError(BadInput):
    """The file is no log that can be read, or it cannot be written; the text says which and why."""


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """A fleet: its agents are numbered from `first`, `count` of them."""

    name: str
    first: _Whole
    count: _Whole
    tenant: str | None
    priority: int


@dataclass(frozen=True, slots=True)
class DemandEntry:
    """What a task asks of one constraint; `amount` is None where it is drawn and so recorded in the rows."""

    constraint: _Whole
    amount: _Whole | None


@dataclass(frozen=True, slots=True)
class StepEntry:
    """A step. `demands` has one entry for each group of agents of the fleet that the same constraints govern.

    `groups` says which agents (numbers within the fleet) are in which group, as (first, last, group); empty where
    there is only one group. Where it `states_all`, every amount that is taken or given back has a row of its own. A step
    that spawns agents has the number of their fleet in `spawned`.
    """

    fleet: _Whole
    name: str
    kind: str
    demands: tuple[tuple[DemandEntry, ...], ...]
    groups: tuple[tuple[_Whole, _Whole, _Whole], ...]
    states_all: bool = False
    spawned: _Whole | None = None


@dataclass(frozen=True, slots=True)
class ConstraintEntry:
    """A constraint; `settings` holds (time in ns, its numbers from then on, or None when it is not in force)."""

    id: str
    type: str
    scope: str | None
    counts: str | None
    settings: tuple[tuple[_Whole, dict[str, _Whole] | None], ...]

    def at(self, time_ns: int) -> dict[str, int] | None:
        """Return its numbers at a time; None where it is not in force."""
        return next((numbers for since_ns, numbers in reversed(self.settings) if since_ns <= time_ns), None)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the JSON of a header holds beside its format and what it says about the input files."""

    name: str
    seed: int
    until_ns: _Whole | None
    fleets: tuple[FleetEntry, ...]
    steps: tuple[StepEntry, ...]
    constraints: tuple[ConstraintEntry, ...]
    scenario: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Header(_Stored):
    """What a log says about itself: the names behind the numbers, and how to make the run again."""

    inputs: dict[str, bytes] = field(default_factory=dict)

    @property
    def agents(self) -> int:
        """How many agents there are that nobody spawns."""
        return sum(fleet.count for fleet in self.fleets)

    def fleet_of(self, agent: int) -> FleetEntry:
        """Return the fleet that `agent` (its number in the run) belongs to."""
        return next(fleet for fleet in self.fleets if fleet.first <= agent < fleet.first + fleet.count)

    def to_metadata(self) -> dict[bytes, bytes]:
        """Return the header as Arrow schema metadata: canonical JSON with its SHA-256, and the input files compressed."""
        body = {key: value for key, value in asdict(self).items() if key != "inputs"}
        body["format"] = LOG_FORMAT
        body["inputs"] = {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in self.inputs.items()
        }
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        metadata = {_HEADER_KEY: text.encode(), _DIGEST_KEY: _digest(text.encode())}
        for name, content in self.inputs.items():
            metadata[_INPUT_KEY + name.encode()] = pa.compress(content, codec="zstd", asbytes=True)
        return metadata

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes] | None) -> "Header":
        """Read a header back; raises LogError where there is none, or it is damaged or of another format."""
        if not metadata or _HEADER_KEY not in metadata:
            raise LogError("not a fleetsim log: another program wrote it; allowed: a log that a run has written")
        try:
            stamp = _STAMP.validate_json(metadata[_HEADER_KEY], strict=True)
            if stamp.format != LOG_FORMAT:
                raise LogError(f"this log is of format {stamp.format}{_needs(stamp)}; allowed: format {LOG_FORMAT}")
            outline = _OUTLINE.validate_json(metadata[_HEADER_KEY], strict=True)
            if metadata.get(_DIGEST_KEY) != _digest(metadata[_HEADER_KEY]):
                raise LogError("the header of this log is damaged: it is not what its SHA-256 says")
            stored = _STORED.validate_json(metadata[_HEADER_KEY], strict=True)
        except ValidationError as error:
            raise LogError(f"the header of this log is damaged: {_told(error)}") from None
        inputs = {name: _input(name, entry, metadata) for name, entry in outline.inputs.items()}
        header = cls(**{each.name: getattr(stored, each.name) for each in fields(_Stored)}, inputs=inputs)
        for problem in _problems(header):
            raise LogError(f"the header of this log is damaged: {problem}")
        return header


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


@dataclass(frozen=True, slots=True)
class _InputEntry:
    sha256: str
    bytes: Annotated[int, Field(ge=0, le=_INPUT_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What a header of any format has."""

    format: int
    versions: Any = None


@dataclass(frozen=True, slots=True)
class _Outline:
    inputs: dict[str, _InputEntry] = field(default_factory=dict)


_STAMP = TypeAdapter(_Stamp)
_OUTLINE = TypeAdapter(_Outline)
_STORED = TypeAdapter(_Stored)


def _needs(stamp: _Stamp) -> str:
    """Say which version wrote a log of another format, where the header says so."""
    version = stamp.versions.get("fleetsim") if isinstance(stamp.versions, dict) else None
    if not isinstance(version, str) or not version.isprintable():
        return ""
    return f", and was written by fleetsim {cut(version, _SHOWN_MAX)}, which is needed to read it"


def _told(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "it is not JSON that this version reads"
    return f"{'.'.join(map(str, first['loc']))} is not what it has to be"


def _input(name: str, entry: _InputEntry, metadata: Mapping[bytes, bytes]) -> bytes:
    try:
        packed = metadata[_INPUT_KEY + name.encode()]
        content: bytes = pa.decompress(packed, entry.bytes, codec="zstd", asbytes=True)
    except (KeyError, OSError, pa.ArrowException):
        content = b""
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise LogError(f"the input file {name} in this log is damaged")
    return content


def _problems(header: Header) -> Iterator[str]:
    """Yield what does not fit together."""
    if not header.fleets:
        yield "it names no fleet"
    first = 0
    for fleet in header.fleets:
        if fleet.first != first:
            yield f"fleet {fleet.name} begins with agent {fleet.first}; it has to be {first}"
        first += fleet.count
    if first > _AGENTS_MAX:
        yield f"it names {first:,} agents; allowed: at most {_AGENTS_MAX:,}"
    for entry in header.constraints:
        yield from _constraint_problems(entry)
    for step in header.steps:
        yield from _step_problems(step, header)


def _constraint_problems(entry: ConstraintEntry) -> Iterator[str]:
    times = [time for time, _ in entry.settings]
    if not times or times[0] or any(later <= time for time, later in pairwise(times)):
        yield f"the settings of constraint {entry.id} do not begin at 0 and go on in order of time"
    for _, numbers in entry.settings:
        if numbers is not None and not numbers.keys() >= set(_NUMBERS.get(entry.type, ("limit",))):
            yield f"constraint {entry.id} lacks a number that a {entry.type} has"
        if numbers is not None and entry.type == "rate_limit" and numbers["period_ns"] == 0:
            yield f"constraint {entry.id} has a period of 0"


def _step_problems(step: StepEntry, header: Header) -> Iterator[str]:
    if step.fleet >= len(header.fleets):
        yield f"step {step.name} is of fleet {step.fleet}, and there are {len(header.fleets)}"
        return
    if step.spawned is not None and step.spawned >= len(header.fleets):
        yield f"step {step.name} spawns agents of fleet {step.spawned}, and there are {len(header.fleets)}"
    for group in step.demands:
        numbers = {demand.constraint for demand in group}
        if len(numbers) < len(group) or any(number >= len(header.constraints) for number in numbers):
            yield f"step {step.name} asks for a constraint twice, or for one that is not there"
    for first, last, number in step.groups:
        if not (first <= last < header.fleets[step.fleet].count and number < len(step.demands)):
            yield f"step {step.name} has a group of agents that is not there"
