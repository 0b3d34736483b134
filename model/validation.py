"""From a scenario file to a valid `Scenario`, or to every fault in it at once.

Rules:

1. Each fault is reported once: what follows from a fault that is reported already is not.
2. pydantic judges one value at a time. Where it finds faults, they are reported, stand-ins are put in place of the faulty
   values, and it judges again, until nothing is wrong; then what two places have to agree on is checked. A check that
   would look at a stand-in is left out.
3. Data files are read under the names that the scenario gives them, from the folder of the scenario or from a log.
4. Warnings are for scenarios without faults.

pydantic says where a fault is by a path through its own types. `_Shape` follows such a path through the schema, and so
finds the path through the data and what is allowed at its end.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from model import tables as data_files
from model.distributions import Empirical, Linear, Mixture, upper
from model.faults import Fault, ScenarioError, did_you_mean, listed, nearest, shown
from model.limits import SCOPE_HINT, SCOPE_PATTERN, Constraint, Pause
from model.scenario import AGENTS_MAX, At, Every, Fleet, Poisson, Repeat, Scenario, Step, Task, Think, Trace
from model.schema import NAME_HINT, NAME_PATTERN, Reader
from model.scopes import governed
from model.source import Finding, Path, Place, Source, descend, override, read, setting
from model.tables import Table, TableError

STEPS_MAX = 32_000
"""Most steps of all fleets together: a log numbers them with 16 bits."""

_PASSES_MAX = 8
_RENAMES_MAX = 100
"""Most misspelt keys that are read as what they seem to mean, for the sake of what else is wrong inside."""
_RENAMES_MAX = 100
"""Most misspelt keys that are read as what they seem to mean, for the sake of what else is wrong inside."""
_RENAMES_MAX = 100
"""Most misspelt keys that are read as what they seem to mean, for the sake of what else is wrong inside."""
_AGENTS_LOOKED_AT = 1000
_ONE_THINK = {"think": "1s"}
_STAND_INS: dict[str, Any] = {
    "arrivals": {"every": "1s"},
    "count": 1,
    "duration": "1s",
    "fleets": [{"name": "x", "count": 1, "steps": [_ONE_THINK]}],
    "id": "x",
    "limit": 1,
    "name": "x",
    "rate": "1/s",
    "repeat": 1,
    "steps": [_ONE_THINK],
    "task": "x",
    "think": "1s",
}
"""What takes the place of a faulty value, by its key; a key that is not here is left out."""
_WHOLE: dict[str, Any] = {
    "constraints": {"id": "x", "type": "pause"},
    "fleets": _STAND_INS["fleets"][0],
    "steps": _ONE_THINK,
}
"""What takes the place of a faulty member of these lists."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid scenario with its data files: as tables and as bytes, by the names that the scenario gives them."""

    scenario: Scenario
    tables: dict[str, Table]
    inputs: dict[str, bytes]
    warnings: tuple[Fault, ...]


def load(path: str | FilePath, overrides: Sequence[str] = ()) -> Loaded:
    """Read and validate a scenario file, changed by the `PATH=VALUE` of each override.

    Raises ScenarioError with all faults, in the order of the file, those of the overrides last.
    """
    path = FilePath(path)
    source = read(path)
    for number, text in enumerate(overrides, 1):
        key, equals, value = text.partition("=")
        if equals:
            override(source, key.strip(), value, number)
        else:
            allowed = "PATH=VALUE, such as constraints.funnel.limit=50"
            source.findings.append(Finding((), "no = in it", allowed, setting(text, number)))
    if isinstance(source.data, dict):
        source.data.setdefault("name", _name_of(path))
    folder = path.parent
    return _Validation(source, lambda name: data_files.read(folder / name), lambda name: str(folder / name)).run()


def load_embedded(data: dict[str, Any], inputs: Mapping[str, bytes]) -> Loaded:
    """Validate the scenario from a log's header, with the data files that the log holds.

    Raises ScenarioError with all faults.
    """

    def content(name: str) -> bytes:
        if name not in inputs:
            raise TableError("not in the log", listed(inputs, "a log that holds its data files"))
        return inputs[name]

    return _Validation(Source("scenario in the log", deepcopy(data)), content, lambda name: name).run()


def _name_of(path: FilePath) -> str:
    """Return the name of a scenario that gives none: that of its file, as far as it can be one."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-")
    return (name if re.match(r"[A-Za-z]", name) else f"scenario-{name}".rstrip("-"))[:64]


# What pydantic finds


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where an error of pydantic is: the path through the data, and the schema there and around it.

    `unions` holds the unions of tagged mappings on the way, by path; `loose` is true within a union without tags.
    """

    path: Path
    node: Mapping[str, Any]
    around: Mapping[str, Any]
    unions: dict[Path, Mapping[str, Any]]
    loose: bool
    key: bool


@dataclass(frozen=True, slots=True)
class _Wrong:
    """An error of pydantic in our words. `key` points at the key instead of the value."""

    path: Path
    problem: str
    allowed: str
    key: bool = False
    missing: bool = False
    unknown: bool = False
    rename: str | None = None
    covers: Path | None = None  # whatever else is wrong in there follows from this
    loose: bool = False


class _Shape:
    """The schema of a scenario as pydantic has it, to be walked."""

    def __init__(self) -> None:
        self._definitions: dict[str, Mapping[str, Any]] = {}
        self._root: Any = Scenario.__pydantic_core_schema__
        if self._root["type"] == "definitions":
            self._definitions = {entry["ref"]: entry for entry in self._root["definitions"]}
            self._root = self._root["schema"]

    def find(self, location: Sequence[str | int], data: Any) -> _Spot | None:
        """Follow a location; None where it leads into a branch of a union that is not meant for the data."""
        node, around, path = self._root, self._root, Path()
        unions: dict[Path, Mapping[str, Any]] = {}
        loose = False
        for part in location:
            bare = self.bare(node)
            if part == "[key]" and around["type"] == "dict":
                return _Spot(path, node, around, unions, loose, key=True)
            match bare["type"]:
                case "tagged-union":
                    unions[path] = bare
                    node = bare["choices"][part]
                    continue
                case "union":
                    choice = self._choice(bare, str(part))
                    if not self._meant(bare, choice, descend(data, path)):
                        return None
                    node, loose = choice, True
                    continue
                case "model-fields":
                    node = self.fields(bare).get(str(part)) or bare.get("extras_schema") or {"type": "any"}
                case "list":
                    node = bare["items_schema"]
                case "tuple":
                    node = bare["items_schema"][part]
                case "dict":
                    node = bare["values_schema"]
            around, path = bare, (*path, part)
        return _Spot(path, node, around, unions, loose, key=False)

    def bare(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema inside defaults, validators and models."""
        while True:
            if node["type"] == "definition-ref":
                node = self._definitions[node["schema_ref"]]
            elif node["type"] in ("model", *_WRAPPERS):
                node = node["schema"]
            else:
                return node

    @staticmethod
    def fields(bare: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Return the keys of a mapping and the schema of each."""
        return {entry.get("validation_alias", name): entry["schema"] for name, entry in bare["fields"].items()}

    def hint(self, node: Mapping[str, Any]) -> str:
        """Say in words what is allowed."""
        while node["type"] in _WRAPPERS:
            if node["type"] == "function-before" and isinstance(node["function"]["function"], Reader):
                return node["function"]["function"].hint
            node = node["schema"]
        node = self.bare(node)
        match node["type"]:
            case "str":
                return ": ".join(_PATTERNS[node["pattern"]]) if node.get("pattern") in _PATTERNS else "text"
            case "int":
                return "a whole number" + (" of 0 or more" if node.get("ge") == 0 else "")
            case "float":
                return "a number" + (" above 0" if node.get("gt") == 0 else "")
            case "bool":
                return "true or false"
            case "literal":
                return listed(node["expected"])
            case "list":
                return f"a list, each item {self.hint(node['items_schema'])}"
            case "tuple":
                items = node["items_schema"]
                return f"a list of {len(items)}, each {self.hint(items[0])}"
            case "dict":
                return f"a mapping from names, each to {self.hint(node['values_schema'])}"
            case "model-fields":
                more = f", or names, each to {self.hint(extras)}" if (extras := node.get("extras_schema")) else ""
                return f"a mapping with {listed(self.fields(node))}{more}"
            case "union":
                return ", or ".join(self.hint(choice) for choice in node["choices"])
            case "tagged-union":
                return self._hint_of_union(node)
        return "another value"

    def tags(self, union: Mapping[str, Any]) -> list[str]:
        """Return the keys by which the members of a union are told, where they are told by a key of their own."""
        if isinstance(union["discriminator"], str):
            return []
        return [tag for tag, choice in union["choices"].items() if tag in self._keys(choice)]

    def _keys(self, choice: Mapping[str, Any]) -> Collection[str]:
        bare = self.bare(choice)
        return self.fields(bare) if bare["type"] == "model-fields" else ()

    def _hint_of_union(self, union: Mapping[str, Any]) -> str:
        if isinstance(union["discriminator"], str):
            return f"a mapping with {union['discriminator']}: {' or '.join(union['choices'])}"
        tags = self.tags(union)
        others = [self.hint(choice) for tag, choice in union["choices"].items() if tag not in tags]
        return ", or ".join(others + ([f"a mapping with one of {listed(tags)}"] if tags else []))

    def _choice(self, union: Mapping[str, Any], label: str) -> Mapping[str, Any]:
        """Return the branch that pydantic calls `label`."""
        kinds: dict[str, Mapping[str, Any]] = {self.bare(c)["type"]: c for c in reversed(union["choices"])}
        kind = label.partition("[")[0]
        if kind in kinds:
            return kinds[kind]
        return kinds.get("model-fields") or next(c for k, c in kinds.items() if k not in ("list", "literal"))

    def _meant(self, union: Mapping[str, Any], choice: Mapping[str, Any], value: Any) -> bool:
        kinds = {"model-fields"} if isinstance(value, dict) else {"list"} if isinstance(value, list) else set()
        fitting = [branch for branch in union["choices"] if self.bare(branch)["type"] in kinds]
        return not fitting or any(branch is choice for branch in fitting)


_WRAPPERS = ("default", "nullable", "function-before", "function-after", "function-wrap")
_PATTERNS = {NAME_PATTERN: ("a name", NAME_HINT), SCOPE_PATTERN: ("a scope", SCOPE_HINT)}
_BOUNDS = {
    # error: (the key of the bound, what is wrong, what is allowed)
    "greater_than": ("gt", "is not above {}", "above {}"),
    "greater_than_equal": ("ge", "is below {}", "{} or more"),
    "less_than": ("lt", "is not below {}", "below {}"),
    "less_than_equal": ("le", "is above {}", "at most {}"),
}


class _Teller:
    """Puts the errors of pydantic into our words."""

    def __init__(self) -> None:
        self._shape = _Shape()

    def tell(self, errors: Iterable[ErrorDetails], data: Any) -> list[_Wrong]:
        """Return what is wrong with `data`, each fault once."""
        found: dict[Path, _Wrong] = {}
        for error in errors:
            spot = self._shape.find(error["loc"], data)
            if spot is not None:
                wrong = self._told(error, spot, data)
                found[wrong.path] = _merged(found[wrong.path], wrong) if wrong.path in found else wrong
        renamed = {(*wrong.path[:-1], wrong.rename) for wrong in found.values() if wrong.rename}
        covering = {wrong.covers: wrong for wrong in found.values() if wrong.covers is not None}
        return [
            wrong
            for wrong in found.values()
            if not (wrong.missing and wrong.path in renamed)
            and all(covering.get(path, wrong) is wrong for path in _upwards(wrong.path))
        ]

    def _told(self, error: ErrorDetails, spot: _Spot, data: Any) -> _Wrong:
        kind, context, given = error["type"], error.get("ctx", {}), shown(error["input"])
        hint, value = self._shape.hint, descend(data, spot.path)
        if kind == "missing":
            return self._missing(spot, error["input"])
        if kind == "extra_forbidden":
            return self._unknown(spot, descend(data, spot.path[:-1]))
        if kind == "union_tag_invalid" or kind == "union_tag_not_found":
            return self._tag(spot, value)
        if "message" in context:
            problem, _, allowed = str(context["message"]).rpartition("; allowed: ")
            if kind == "quantity" and not isinstance(value, (str, int, float)) and spot.path in spot.unions:
                allowed = hint(spot.unions[spot.path])
        elif kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
            noun, allowed = _PATTERNS[context["pattern"]]
            problem = f"{given} is not {noun}"
        elif kind in _BOUNDS:
            name, problem, allowed = _BOUNDS[kind]
            bound = f"{context[name]:,.12g}" if isinstance(context[name], float) else f"{context[name]:,}"
            problem, allowed = f"{given} {problem.format(bound)}", allowed.format(bound)
        elif kind in ("too_short", "too_long"):
            count = len(value)
            problem = "an empty list" if not count else "1 item" if count == 1 else f"{count:,} items"
            allowed = (
                f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']:,}"
            )
        elif kind == "literal_error":
            expected = self._shape.bare(spot.node)["expected"]
            problem, allowed = f"{given} is unknown{did_you_mean(str(value), expected)}", listed(expected)
        elif kind == "finite_number":
            problem, allowed = f"{given} is not a finite number", hint(spot.node)
        elif kind.endswith("_type"):
            problem, allowed = f"{given} is not allowed here", hint(spot.node)
        else:
            problem, allowed = f"{given} is wrong: {error['msg'][:1].lower()}{error['msg'][1:]}", hint(spot.node)
        return _Wrong(spot.path, problem, allowed, key=spot.key, loose=spot.loose)

    def _missing(self, spot: _Spot, around: Any) -> _Wrong:
        if isinstance(around, list):
            count = len(self._shape.bare(spot.around)["items_schema"])
            return _Wrong(spot.path[:-1], f"{len(around)} of {count} values", self._shape.hint(spot.around))
        problem = f"the key {str(spot.path[-1])!r} is missing"
        return _Wrong(spot.path, problem, self._shape.hint(spot.node), missing=True)

    def _unknown(self, spot: _Spot, around: dict[str, Any]) -> _Wrong:
        key, parent = str(spot.path[-1]), spot.path[:-1]
        tags = self._shape.tags(spot.unions[parent]) if parent in spot.unions else []
        if key in tags:
            given = [repr(tag) for tag in tags if tag in around]
            return _Wrong(parent, f"{' and '.join(given)} together", f"one of {listed(tags)}", covers=parent)
        fields = self._shape.fields(spot.around)
        like = nearest(key, fields)
        problem = f"unknown key {shown(key)}{did_you_mean(key, fields)}"
        rename = like if like not in around else None
        return _Wrong(spot.path, problem, listed(fields), key=True, unknown=True, rename=rename)

    def _tag(self, spot: _Spot, value: Any) -> _Wrong:
        """Say why it cannot be told which member of a union is meant."""
        union = self._shape.bare(spot.node)
        if not isinstance(value, dict) or not value:
            return _Wrong(spot.path, f"{shown(value)} is not allowed here", self._shape.hint(union))
        told_by = union["discriminator"]
        if isinstance(told_by, str) and told_by in value:
            given, known = value[told_by], list(union["choices"])
            like = did_you_mean(given, known) if isinstance(given, str) else ""
            problem = f"unknown {told_by} {shown(given)}{like}"
            return _Wrong((*spot.path, told_by), problem, listed(known))
        known = [told_by] if isinstance(told_by, str) else self._shape.tags(union)
        allowed = listed(list(union["choices"])) if isinstance(told_by, str) else f"one of {listed(known)}"
        for key in value:
            if meant := nearest(key, known):
                path = (*spot.path, key)
                problem = f"unknown key {shown(key)}{did_you_mean(key, known)}"
                return _Wrong(path, problem, allowed, key=True, rename=meant, covers=spot.path)
        if isinstance(told_by, str):
            return _Wrong((*spot.path, told_by), f"the key {told_by!r} is missing", allowed, missing=True)
        if len(value) == 1:
            key = next(iter(value))
            return _Wrong((*spot.path, key), f"unknown key {shown(key)}", allowed, key=True, covers=spot.path)
        return _Wrong(spot.path, f"none of its keys ({listed(value)}) says what it is", allowed, covers=spot.path)


def _merged(one: _Wrong, other: _Wrong) -> _Wrong:
    """Make one of two faults of the same value: where it could be one thing or another, it may be either."""
    if not (one.loose and other.loose):
        return one
    told = other if "did you mean" in other.problem else one
    return replace(told, allowed=f"{one.allowed}, or {other.allowed}")


def _upwards(path: Path) -> Iterator[Path]:
    """Yield the path itself and the paths that it lies in, from the longest."""
    return (path[:length] for length in range(len(path), -1, -1))


class _Validation:
    """The validation of one source."""

    def __init__(self, source: Source, content: Callable[[str], bytes], where: Callable[[str], str]) -> None:
        self._source = source
        self._content = content
        self._where = where
        self._faults: list[tuple[Place, Fault]] = []
        self._settled: set[Path] = set(source.broken)  # what is reported, with everything inside
        self._altered: set[Path] = source.broken | source.doubtful  # what nothing else is held against
        self._around = {above for path in self._altered for above in _upwards(path)}
        self._guessed: set[Path] = set()  # what misspelt keys seem to mean: where the guess is wrong, so is the value
        self._tables: dict[str, Table | None] = {}
        self._inputs: dict[str, bytes] = {}

    def run(self) -> Loaded:
        """Return the valid scenario; raises ScenarioError with all faults."""
        for finding in self._source.findings:
            self.report(finding.path, finding.problem, finding.allowed, place=finding.place)
        scenario = self._scenario()
        if scenario is not None:
            checks = _Checks(scenario, self._source, self)
            checks.run()
            if not self._faults:
                checks.warn()
        self._faults.sort(key=lambda pair: pair[0].order)
        faults = tuple(fault for _, fault in self._faults)
        if scenario is None or any(fault.severity == "error" for fault in faults):
            raise ScenarioError(faults)
        tables = {name: table for name, table in self._tables.items() if table is not None}
        return Loaded(scenario, tables, self._inputs, faults)

    def report(
        self,
        path: Path,
        problem: str,
        allowed: str,
        *,
        key: bool = False,
        place: Place | None = None,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        """Add a fault, which stands where the value at `path` stands, or its key."""
        place = place or self._source.place(path, key)
        shown_path = self._source.display(path)
        self._faults.append((place, Fault(*place[:3], shown_path, problem, allowed, severity)))

    def report_row(self, error: TableError, name: str, column: str, path: Path, key: bool = False) -> None:
        """Add a fault of a data file: in its line where that is known, else at `path`, where the scenario names it."""
        if error.line is None:
            problem = error.problem if column else f"{shown(name)}: {error.problem}"
            self.report(path, problem, error.allowed, key=key)
        else:
            fault = Fault(self._where(name), error.line, None, column, error.problem, error.allowed)
            if all(fault != other for _, other in self._faults):
                self._faults.append((self._source.place(path), fault))

    def faulty(self, path: Path) -> bool:
        """Say whether there is a fault in the value at `path` itself."""
        return path in self._altered

    def sure(self, path: Path) -> bool:
        """Say whether the value at `path` is what the person wrote: nothing in it or around it is faulty."""
        return path not in self._around and not any(map(self.faulty, _upwards(path)))

    def table(self, name: str, path: Path) -> Table | None:
        """Return the data file that is named at `path`, or None where there is a fault."""
        if name not in self._tables:
            self._tables[name] = None
            try:
                self._inputs[name] = self._content(name)
                self._tables[name] = Table(self._inputs[name])
            except TableError as error:
                self.report_row(error, name, "", path)
        return self._tables[name]

    def _scenario(self) -> Scenario | None:
        """Return the scenario, with stand-ins for what is faulty; None where there is too little to go by."""
        draft, teller, mender = self._source.data, None, None
        for _ in range(_PASSES_MAX):
            try:
                return Scenario.model_validate(draft)
            except ValidationError as error:
                errors = error.errors(include_url=False)
            if teller is None or mender is None:
                draft, teller = deepcopy(draft), _Teller()
                mender = _Mender(draft)
            for wrong in teller.tell(errors, draft):
                self._take(wrong, mender)
            if mender.hopeless:
                return None
        return None

    def _take(self, wrong: _Wrong, mender: "_Mender") -> None:
        """Report what is wrong unless that is done, and put something else in its place."""
        settled = wrong.path in self._guessed or any(path in self._settled for path in _upwards(wrong.path))
        if not settled:
            self.report(wrong.path, wrong.problem, wrong.allowed, key=wrong.key)
        self._alter(wrong.path)
        if settled or not self._renamed(wrong, mender):
            self._settled.add(wrong.path if wrong.covers is None else wrong.covers)
            mender.mend(wrong)

    def _renamed(self, wrong: _Wrong, mender: "_Mender") -> bool:
        """Read a misspelt key as what it seems to mean, so that what is wrong inside is found too; say whether it is."""
        if wrong.rename is None or len(self._guessed) == _RENAMES_MAX:
            return False
        meant = (*wrong.path[:-1], wrong.rename)
        if self._source.at(meant) is not None:
            return False
        self._source.rename(wrong.path, wrong.rename)
        mender.rename(wrong.path, wrong.rename)
        self._alter(meant)
        self._guessed.add(meant)
        return True

    def _alter(self, path: Path) -> None:
        self._altered.add(path)
        self._around.update(_upwards(path))


class _Mender:
    """Puts stand-ins in place of faulty values, so that the rest can be judged."""

    def __init__(self, draft: Any) -> None:
        self.hopeless = not isinstance(draft, dict)
        self._draft = draft
        self._done: set[Path] = set()

    def rename(self, path: Path, name: str) -> None:
        """Call the last key of `path` `name`."""
        mapping = descend(self._draft, path[:-1])
        if isinstance(mapping, dict) and path[-1] in mapping:
            mapping[name] = mapping.pop(path[-1])

    def mend(self, wrong: _Wrong) -> None:
        """Mend one value; what is wrong again, and a member of a list that is wrong as such, is replaced as a whole."""
        target = wrong.path if wrong.covers is None else wrong.covers
        owner = next((path for path in _upwards(target) if len(path) > 1 and path[-2] in _WHOLE), ())
        member, rest = descend(self._draft, owner), target[len(owner) :]
        again = target in self._done
        self._done.add(target)
        if not owner and (again or not rest):
            self.hopeless = True
        elif again or not rest or not isinstance(member, dict):
            self._replace(owner, again)
        elif rest[0] in _STAND_INS and not (wrong.unknown and len(rest) == 1):
            member[rest[0]] = deepcopy(_STAND_INS[str(rest[0])])
        elif rest[0] == "needs" and len(rest) > 1 and isinstance(member.get("needs"), dict):
            member["needs"].pop(rest[1], None)
        else:
            member.pop(rest[0], None)

    def _replace(self, owner: Path, again: bool) -> None:
        items, number = descend(self._draft, owner[:-1]), owner[-1]
        if not isinstance(items, list) or not isinstance(number, int) or number >= len(items):
            return  # a stand-in is there already
        member = items[number]
        if owner[-2] == "fleets" and isinstance(member, dict) and not again:
            # Its values are right one by one, but contradict each other.
            items[number] = {**member, "count": 1, "arrivals": None, "stagger": None}
        else:
            items[number] = deepcopy(_WHOLE[str(owner[-2])])


# What two places have to agree on


class _Checks:
    """The checks of a scenario as a whole, with the places of the source for what they find."""

    def __init__(self, scenario: Scenario, source: Source, found: _Validation) -> None:
        self._scenario = scenario
        self._source = source
        self._found = found
        rows = enumerate(scenario.constraints)
        self._rows = [row for number, row in rows if found.sure(("constraints", number))]
        self._by_id: dict[str, Constraint | None] = {}  # None where it is faulty; of two with one id, the first
        for number, row in enumerate(scenario.constraints):
            name = source.at(("constraints", number, "id"))
            self._by_id.setdefault(str(name), row if found.sure(("constraints", number)) else None)
        self._tables: list[Table | None] = []
        written = source.at(("constraints",))
        self._written: list[Any] = written if isinstance(written, list) else []
        self._ids = self._written_ids()
        self._units = self._written_units()

    def run(self) -> None:
        """Report everything that is wrong."""
        self._check_once([("constraints", number, "id") for number in range(len(self._written))], "a constraint")
        self._check_once([("fleets", number, "name") for number in range(len(self._scenario.fleets))], "a fleet")
        self._tables = [self._trace(fleet, number) for number, fleet in enumerate(self._scenario.fleets)]
        for number, fleet in enumerate(self._scenario.fleets):
            self._check_fleet(fleet, number)
        self._check_end()
        steps = sum(1 for _ in self._all_steps())
        if steps > STEPS_MAX:
            self._found.report(
                ("fleets",), f"{steps:,} steps", f"at most {STEPS_MAX:,} in all fleets together", key=True
            )

    def warn(self) -> None:
        """Report what is allowed and yet hardly meant."""
        rows = self._scenario.constraints
        needed = {name for _, step in self._all_steps() if isinstance(step, Task) for name in step.needs}
        for number, row in enumerate(rows):
            if row.id not in needed and not self._governs_any(row):
                path: Path = ("constraints", number) if row.scope is None else ("constraints", number, "scope")
                self._warn(path, "it governs nothing", self._scopes(row))
            later = next((other for other in rows[number + 1 :] if _replaces(other, row)), None)
            if later is not None:
                problem = f"{later.id} has the same scope and type, and replaces it before it is ever in force"
                self._warn(("constraints", number), problem, "another scope, or a later from")
        for path, step in self._all_steps():
            after = (*path[:-1], int(path[-1]) + 1)
            if isinstance(step, Repeat) and step.repeat == "forever" and self._source.at(after) is not None:
                problem = "never reached, for the repeat before it goes on for ever"
                self._warn(after, problem, "a number of repeats, or no step after it")

    def _warn(self, path: Path, problem: str, allowed: str) -> None:
        self._found.report(path, problem, allowed, severity="warning")

    def _written_ids(self) -> list[str] | None:
        """Return the ids of the constraints, faulty ones included; None where one cannot be told."""
        ids = [row.get("id") if isinstance(row, dict) else None for row in self._written]
        paths: list[Path] = [("constraints",), *(("constraints", number, "id") for number in range(len(ids)))]
        known = list(dict.fromkeys(name for name in ids if isinstance(name, str)))
        return known if all(isinstance(name, str) for name in ids) and not any(map(self._found.faulty, paths)) else None

    def _written_units(self) -> list[str] | None:
        """Return what the rate limits count, faulty ones included; None where that cannot be told for one of them."""
        if self._found.faulty(("constraints",)):
            return None
        units = []
        for number, (row, written) in enumerate(zip(self._scenario.constraints, self._written, strict=True)):
            path: Path = ("constraints", number)
            counts = written.get("counts") if isinstance(written, dict) else None
            if self._found.sure(path):
                units.append(row.counted)
            elif isinstance(counts, str) and not self._found.faulty((*path, "counts")):
                units.append(counts)
            elif not isinstance(written, dict) or written.get("type") != row.type or row.counted is not None:
                return None
        return list(dict.fromkeys(unit for unit in units if unit is not None))

    def _check_once(self, paths: Iterable[Path], noun: str, others: Mapping[str, str] | None = None) -> None:
        """Check that the names at `paths` differ from each other, and from those of `others`, which says whose they are."""
        first: dict[str, Path] = {}
        for path in paths:
            name = self._source.at(path)
            if not isinstance(name, str) or self._found.faulty(path):
                continue
            if name in first:
                line = self._source.place(first[name]).line
                where = "" if line is None else f" in line {line}"
                self._found.report(path, f"{noun} is called {shown(name)} already{where}", "a name of its own")
            elif others and name in others:
                self._found.report(path, f"{others[name]} is called {shown(name)} already", "a name of its own")
            first.setdefault(name, path)

    # Fleets

    def _trace(self, fleet: Fleet, number: int) -> Table | None:
        """Return the trace by which the fleet arrives, or None where there is none or it cannot be read."""
        path: Path = ("fleets", number, "arrivals", "trace")
        if not isinstance(fleet.arrivals, Trace) or not self._found.sure(path):
            return None
        trace = fleet.arrivals.trace
        table = self._found.table(trace.file, (*path, "file"))
        if table is not None:
            try:
                table.times(trace.time, trace.unit)
            except TableError as error:
                self._found.report_row(error, trace.file, trace.time, (*path, "time"))
            if table.rows > AGENTS_MAX:
                self._found.report((*path, "file"), f"{table.rows:,} rows", f"at most {AGENTS_MAX:,}")
        return table

    def _check_fleet(self, fleet: Fleet, number: int) -> None:
        names, thinks, unnamed = list[Path](), 0, dict[str, str]()
        if fleet.stagger is not None:
            self._check_quantity(fleet, number, ("fleets", number, "stagger"), fleet.stagger)
        for path, step in self._steps(number):
            written = self._source.at(path)
            if isinstance(written, dict):
                names.append((*path, "task" if "task" in written else "name"))
                thinks += "think" in written
                if "think" in written and "name" not in written:
                    unnamed["think" if thinks == 1 else f"think{thinks}"] = "a think step without a name"
            match step:
                case Think():
                    self._check_quantity(fleet, number, (*path, "think"), step.think)
                case Task():
                    self._check_quantity(fleet, number, (*path, "duration"), step.duration)
                    self._check_needs(step, path)
                    self._check_cost(fleet, number, step, path)
                case Repeat() if step.repeat == "forever" and _longest(step.steps) == 0 and self._found.sure(path):
                    problem = "the steps take no time, so that time would stand still for ever"
                    self._found.report((*path, "repeat"), problem, "a step that takes time, or a number of repeats")
        self._check_once(names, "a step of this fleet", unnamed)

    def _check_end(self) -> None:
        """Check that the run ends."""
        if self._scenario.until is not None or not self._found.sure(("until",)):
            return
        reasons = []
        for number, fleet in enumerate(self._scenario.fleets):
            name = self._source.display(("fleets", number))
            if isinstance(fleet.arrivals, (Poisson, Every)) and self._found.sure(("fleets", number, "arrivals")):
                reasons.append(f"the arrivals of {name} never end")
            elif any(isinstance(step, Repeat) and step.repeat == "forever" for _, step in self._steps(number)):
                reasons.append(f"{name} goes on for ever")
        if reasons:
            problem = f"the key 'until' is missing, and {' and '.join(reasons[:3])}"
            self._found.report(("until",), problem, "the time at which the run ends, such as until: 1h")

    # Steps

    def _check_needs(self, task: Task, path: Path) -> None:
        for name, amount in task.needs.items():
            at: Path = (*path, "needs", name)
            row = self._by_id.get(name)
            if row is None and self._ids is not None and name not in self._ids:
                problem = f"no constraint is called {shown(name)}{did_you_mean(name, self._ids)}"
                self._found.report(
                    at, problem, listed(self._ids, "the id of a constraint, and there is none"), key=True
                )
            elif row is None:
                continue
            elif isinstance(row, Pause):
                others = [name for name, other in self._by_id.items() if not isinstance(other, Pause)]
                problem = f"{name} is a pause, of which there is no amount"
                self._found.report(at, problem, listed(others, "a constraint of another type"), key=True)
            elif (most := _most(row)) is not None and amount > most:
                problem = f"{amount:,} of {name}, which never has more than {most:,}"
                self._found.report(at, problem, f"1 to {most:,}")

    def _check_cost(self, fleet: Fleet, number: int, task: Task, path: Path) -> None:
        path = (*path, "cost")
        if task.cost is None:
            return
        limits = self._rate_limits(fleet, number, task)
        if isinstance(task.cost, dict):
            for unit, cost in task.cost.items():
                if self._units is not None and unit not in self._units:
                    problem = f"no rate limit counts {shown(unit)}{did_you_mean(unit, self._units)}"
                    allowed = listed(self._units, "a cost where there is a rate limit")
                    self._found.report((*path, unit), problem, allowed, key=True)
                self._check_quantity(fleet, number, (*path, unit), cost)
                self._check_burst(cost, (*path, unit), [row for row, _ in limits if row.counted == unit])
            return
        self._check_quantity(fleet, number, path, task.cost)
        units = {str(row.counted): row.id for row, _ in reversed(limits)}
        governing = [
            sum((flags for row, flags in limits if row.counted == unit), start=np.zeros(1)) > 0 for unit in units
        ]
        if any(sum(governing, start=np.zeros(1)) > 1):
            counted = " and ".join(f"{unit} in {row}" for unit, row in sorted(units.items()))
            allowed = f"a cost for each: {{{', '.join(f'{unit}: COST' for unit in sorted(units))}}}"
            self._found.report(path, f"one cost, though the rate limits of this task count {counted}", allowed)
        else:
            self._check_burst(task.cost, path, [row for row, _ in limits])

    def _check_burst(self, cost: object, path: Path, rows: Sequence[Constraint]) -> None:
        bursts = [(most, row.id) for row in rows if (most := _most(row)) is not None]
        if bursts and isinstance(cost, (int, float)) and round(cost) > min(bursts)[0]:
            most, name = min(bursts)
            problem = f"{cost:,.12g}, more than {name} can ever hold: its burst is {most:,}"
            self._found.report(path, problem, f"at most {most:,}")

    # Distributions

    def _check_quantity(self, fleet: Fleet, number: int, path: Path, value: object) -> None:
        """Check what a distribution reads from data files."""
        for at, part in _parts(path, value):
            if isinstance(part, Linear):
                self._check_linear(fleet, number, (*at, "linear"), part)
            elif isinstance(part, Empirical) and part.source is not None and self._found.sure(at):
                file, column = part.source
                table = self._found.table(file, (*at, "empirical", "file"))
                if table is not None:
                    self._check_column(table, file, column, (*at, "empirical", "column"))

    def _check_linear(self, fleet: Fleet, number: int, path: Path, value: Linear[Any]) -> None:
        table = self._tables[number]
        if isinstance(fleet.arrivals, Trace):
            for column in value.linear.factors if table is not None else ():
                assert table is not None
                self._check_column(table, fleet.arrivals.trace.file, column, (*path, column), key=True)
        elif self._found.sure(("fleets", number, "arrivals")):
            problem = "linear reads the row by which an agent arrived, and these agents do not arrive by a trace"
            stagger = path[-2] == "stagger"
            allowed = "another distribution" if stagger else "arrivals by a trace, or another distribution"
            self._found.report(path, problem, allowed, key=True)

    def _check_column(self, table: Table, file: str, column: str, path: Path, key: bool = False) -> None:
        try:
            values = table.column(column)
            if (values < 0).any():
                row = int(np.argmax(values < 0))
                raise TableError(f"{values[row]:g} is negative", "0 or a positive number", table.line(row))
        except TableError as error:
            self._found.report_row(error, file, column, path, key)

    # Who is governed

    def _agents(self, fleet: Fleet, number: int) -> int | None:
        """Return how many agents the fleet has, or None where that is known only when it runs."""
        table = self._tables[number]
        if table is not None:
            return table.rows
        return len(fleet.arrivals.at) if isinstance(fleet.arrivals, At) else fleet.count

    def _rate_limits(self, fleet: Fleet, number: int, task: Task) -> list[tuple[Constraint, NDArray[np.bool_]]]:
        """Return the rate limits that govern the task, and for each which agents, of the first thousand."""
        agents = min(self._agents(fleet, number) or _AGENTS_LOOKED_AT, _AGENTS_LOOKED_AT)
        limits = []
        for row in self._rows:
            if row.counted is not None:
                flags = np.atleast_1d(row.id in task.needs or governed(row.scope, fleet, agents, task.task))
                if flags.any():
                    limits.append((row, flags))
        return limits

    def _governs_any(self, row: Constraint) -> bool:
        """Say whether some task is governed, or may be: a pattern that looks at numbers is tried on a thousand agents."""
        by_number = row.scope is not None and re.search(r"^task:.*[0-9?\[]", row.scope) is not None
        for number, fleet in enumerate(self._scenario.fleets):
            agents = self._agents(fleet, number)
            if by_number and (agents is None or agents > _AGENTS_LOOKED_AT):
                return True
            looked_at = min(agents or _AGENTS_LOOKED_AT, _AGENTS_LOOKED_AT)
            tasks = (step.task for _, step in self._steps(number) if isinstance(step, Task))
            if any(np.any(governed(row.scope, fleet, looked_at, task)) for task in tasks):
                return True
        return False

    def _scopes(self, row: Constraint) -> str:
        """Say which scopes would govern something."""
        fleets = self._scenario.fleets
        level = (row.scope or "").partition(":")[0]
        if level == "fleet":
            return f"fleet:PATTERN, for a fleet such as {listed([fleet.name for fleet in fleets])}"
        if level == "tenant":
            tenants = list(dict.fromkeys(fleet.tenant for fleet in fleets if fleet.tenant is not None))
            return f"tenant:PATTERN, for a tenant such as {listed(tenants)}" if tenants else "a tenant in a fleet"
        tasks = [f"{fleets[int(p[1])].name}_0_{step.task}" for p, step in self._all_steps() if isinstance(step, Task)]
        if not tasks:
            return "a fleet with a task"
        if level == "task":
            return f"task:PATTERN, for a task such as {listed(tasks)}"
        return "a scope, or a step that names it in its needs"

    def _all_steps(self) -> Iterator[tuple[Path, Step]]:
        for number in range(len(self._scenario.fleets)):
            yield from self._steps(number)

    def _steps(self, fleet: int) -> Iterator[tuple[Path, Step]]:
        return _steps(self._scenario.fleets[fleet].steps, ("fleets", fleet))


def _steps(steps: Sequence[Step], path: Path) -> Iterator[tuple[Path, Step]]:
    """Yield the steps and those inside them, in the order of the file, with their paths."""
    for number, step in enumerate(steps):
        at: Path = (*path, "steps", number)
        yield at, step
        if isinstance(step, Repeat):
            yield from _steps(step.steps, at)


def _parts(path: Path, value: object) -> Iterator[tuple[Path, object]]:
    """Yield a distribution and those that it mixes, with their paths."""
    yield path, value
    if isinstance(value, Mixture):
        for number, branch in enumerate(value.mixture):
            yield from _parts((*path, "mixture", number, "value"), branch.value)


def _longest(steps: Sequence[Step]) -> float:
    """Return a bound of the time that any of the steps takes, but for waiting."""
    longest = 0.0
    for step in steps:
        match step:
            case Think():
                longest = max(longest, upper(step.think))
            case Task():
                longest = max(longest, upper(step.duration))
            case Repeat():
                longest = max(longest, float("inf") if step.repeat == "forever" else _longest(step.steps))
    return longest


def _most(row: Constraint) -> int | None:
    """Return the largest amount that the constraint ever admits, or None where there is no bound."""
    amounts = [row.largest(numbers) for _, numbers in row.settings()]
    known = [amount for amount in amounts if amount is not None]
    return max(known) if len(known) == len(amounts) else None


def _replaces(later: Constraint, row: Constraint) -> bool:
    """Say whether `later`, further down the list, takes the place of `row` at the very time at which `row` begins."""
    same = (later.scope, later.type, later.counted, later.from_) == (row.scope, row.type, row.counted, row.from_)
    return same and row.scope is not None


# JSON Schema


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a scenario file."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    names = {name: _readable(definition["title"]) for name, definition in schema["$defs"].items()}
    assert len(set(names.values())) == len(names)
    schema = {"$schema": GenerateJsonSchema.schema_dialect, **_tidied(schema, names)}
    schema["$defs"] = {names[name]: definition for name, definition in schema["$defs"].items()}
    schema["required"].remove("name")  # a file without a name is called by its file's name
    return schema


def _readable(title: str) -> str:
    """Return what to call a class: `UniformDuration` for pydantic's `Uniform[Annotated[int, BeforeValidator, ...]]`."""
    name, _, argument = title.partition("[")
    quantity = re.search(r"\b(?:int|float)\b", argument)
    return name + ({"int": "Duration", "float": "Amount"}[quantity.group()] if quantity else "")


def _tidied(node: Any, names: Mapping[str, str]) -> Any:
    """Return a JSON Schema with readable names, and unions of which more than one member may fit, as ours may."""
    if isinstance(node, list):
        return [_tidied(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    result = {}
    for key, value in node.items():
        if key == "$ref":
            value = "#/$defs/" + names[value.removeprefix("#/$defs/")]
        elif key == "title" and isinstance(value, str):
            value = _readable(value)
        if key != "discriminator":
            result["anyOf" if key == "oneOf" else key] = _tidied(value, names)
    return result
