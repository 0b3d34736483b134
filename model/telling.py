"""Tells in our words what pydantic found wrong: where, what, and what is allowed there.

pydantic says where a fault is by a path through its own types. `_Shape` follows such a path through the JSON Schema, and
so finds the path through the data and what is allowed at its end.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic_core import ErrorDetails

from model.faults import did_you_mean, listed, nearest, shown
from model.incidents import INCIDENT_SCOPE_HINT, INCIDENT_SCOPE_PATTERN
from model.limits import SCOPE_HINT, SCOPE_PATTERN
from model.scenario import Scenario
from model.schema import NAME_HINT, NAME_PATTERN, Reader
from model.source import Path, descend, upwards
from model.units import counted, format_number


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
class Wrong:
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

    @staticmethod
    def most(node: Mapping[str, Any]) -> int | None:
        """Return the bound that is checked after what people write is read, or None."""
        while node["type"] in _WRAPPERS:
            check = node["function"]["function"] if node["type"] == "function-after" else None
            if isinstance(check, partial) and "le" in check.keywords:
                return int(check.keywords["le"])
            node = node["schema"]
        return None

    def tags(self, union: Mapping[str, Any]) -> list[str]:
        """Return the keys by which the members of a union are told, where they are told by a key of their own."""
        if isinstance(union["discriminator"], str):
            return []
        return [tag for tag, choice in union["choices"].items() if tag in self.keys(choice)]

    def keys(self, choice: Mapping[str, Any]) -> Collection[str]:
        """Return the keys of a member of a union; none where it is no mapping."""
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
_PATTERNS = {
    NAME_PATTERN: ("a name", NAME_HINT),
    SCOPE_PATTERN: ("a scope", SCOPE_HINT),
    INCIDENT_SCOPE_PATTERN: ("a scope", INCIDENT_SCOPE_HINT),
}
_BOUNDS = {
    # error: (the key of the bound, what is wrong, what is allowed)
    "greater_than": ("gt", "is not above {}", "above {}"),
    "greater_than_equal": ("ge", "is below {}", "{} or more"),
    "less_than_equal": ("le", "is above {}", "at most {}"),
}


class Teller:
    """Puts the errors of pydantic into our words."""

    def __init__(self) -> None:
        self._shape = _Shape()

    def tell(self, errors: Iterable[ErrorDetails], data: Any) -> list[Wrong]:
        """Return what is wrong with `data`, each fault once."""
        found: dict[Path, Wrong] = {}
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
            and all(covering.get(path, wrong) is wrong for path in upwards(wrong.path))
        ]

    def _told(self, error: ErrorDetails, spot: _Spot, data: Any) -> Wrong:
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
            most = self._shape.most(spot.node)
            if problem.endswith(" is too large") and most is not None:
                allowed = f"at most {most:,}"
            if kind == "quantity" and not isinstance(value, (str, int, float)) and spot.path in spot.unions:
                allowed = hint(spot.unions[spot.path])
        elif kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
            noun, allowed = _PATTERNS[context["pattern"]]
            problem = f"{given} is not {noun}"
        elif kind == "less_than":  # of whole numbers alone
            problem, allowed = f"{given} is too large", f"at most {context['lt'] - 1:,}"
        elif kind in _BOUNDS:
            name, problem, allowed = _BOUNDS[kind]
            bound = format_number(context[name]) if isinstance(context[name], float) else f"{context[name]:,}"
            problem, allowed = f"{given} {problem.format(bound)}", allowed.format(bound)
        elif kind in ("too_short", "too_long"):
            count = len(value)
            problem = "an empty list" if not count else counted(count, "item")
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
        return Wrong(spot.path, problem, allowed, key=spot.key, loose=spot.loose)

    def _missing(self, spot: _Spot, around: Any) -> Wrong:
        if isinstance(around, list):
            count = len(self._shape.bare(spot.around)["items_schema"])
            return Wrong(spot.path[:-1], f"{len(around)} of {count} values", self._shape.hint(spot.around))
        problem = f"the key {str(spot.path[-1])!r} is missing"
        return Wrong(spot.path, problem, self._shape.hint(spot.node), missing=True)

    def _unknown(self, spot: _Spot, around: dict[str, Any]) -> Wrong:
        key, parent = str(spot.path[-1]), spot.path[:-1]
        tags = self._shape.tags(spot.unions[parent]) if parent in spot.unions else []
        if key in tags:
            given = [repr(tag) for tag in tags if tag in around]
            return Wrong(parent, f"{' and '.join(given)} together", f"one of {listed(tags)}", covers=parent)
        fields = self._shape.fields(spot.around)
        like = nearest(key, fields)
        problem = f"unknown key {shown(key)}{did_you_mean(key, fields)}"
        rename = like if like not in around else None
        return Wrong(spot.path, problem, listed(fields), key=True, unknown=True, rename=rename)

    def _tag(self, spot: _Spot, value: Any) -> Wrong:
        """Say why it cannot be told which member of a union is meant."""
        union = self._shape.bare(spot.node)
        if not isinstance(value, dict) or not value:
            return Wrong(spot.path, f"{shown(value)} is not allowed here", self._shape.hint(union))
        told_by = union["discriminator"]
        if isinstance(told_by, str) and told_by in value:
            given, known = value[told_by], list(union["choices"])
            like = did_you_mean(given, known) if isinstance(given, str) else ""
            problem = f"unknown {told_by} {shown(given)}{like}"
            return Wrong((*spot.path, told_by), problem, listed(known))
        known = [told_by] if isinstance(told_by, str) else self._shape.tags(union)
        allowed = listed(list(union["choices"])) if isinstance(told_by, str) else f"one of {listed(known)}"
        # A key that some member knows is not a misspelt tag.
        strange = [
            key for key in value if not any(key in self._shape.keys(choice) for choice in union["choices"].values())
        ]
        for key in strange:
            if meant := nearest(key, known):
                path = (*spot.path, key)
                problem = f"unknown key {shown(key)}{did_you_mean(key, known)}"
                return Wrong(path, problem, allowed, key=True, rename=meant, covers=spot.path)
        if isinstance(told_by, str):
            return Wrong((*spot.path, told_by), f"the key {told_by!r} is missing", allowed, missing=True)
        if len(value) == 1:
            key = next(iter(value))
            return Wrong((*spot.path, key), f"unknown key {shown(key)}", allowed, key=True, covers=spot.path)
        return Wrong(spot.path, f"none of its keys ({listed(value)}) says what it is", allowed, covers=spot.path)


def _merged(one: Wrong, other: Wrong) -> Wrong:
    """Make one of two faults of the same value: where it could be one thing or another, it may be either."""
    if not (one.loose and other.loose):
        return one
    told = other if "did you mean" in other.problem else one
    return replace(told, allowed=f"{one.allowed}, or {other.allowed}")
