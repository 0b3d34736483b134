"""A scenario file as plain data, and where in the file each part of it stands.

Rules:

1. The data are dicts with text keys, lists, text, whole numbers, floats, true, false and None, as YAML 1.2 reads them.
   Only plain text is read so: `012` is 12, `yes` and `1_000` are text.
2. A path is a tuple of keys and list indexes. People see and write it with dots, and call a member of a list by its `id`
   or name (`constraints.funnel.limit`); within the steps of a fleet a name finds the step at any depth. A think step
   without a name is found as `think`, `think2` ..., but shown by its index, for such a name moves when a step is added.
3. What makes the text unreadable ends the reading with one fault. Whatever else is wrong becomes a `Finding`, and the
   reading goes on.
4. Size, nesting and the number of values are bounded before anything is built of them.
5. A value from `--set` has that setting in place of a line and column.

The text is read as a stream of events rather than by the library's own composer, which is recursive and forgets where an
alias stands.
"""

import os
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NamedTuple, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from model.faults import Fault, ScenarioError, cut, did_you_mean, listed, shown

Path = tuple[str | int, ...]

BYTES_MAX = 2**20
NODES_MAX = 100_000
NESTING_MAX = 50
DIGITS_MAX = 20
"""The largest whole number that a scenario can hold, a seed, has twenty digits."""

_NAMED_BY = ("id", "name", "task", "hold")
_STEPS_OF_A_FLEET = len(("fleets", 0, "steps"))
_SETTING_MAX = 100
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_WORDS = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_KINDS = {type(None): "null", bool: "true or false", int: "a number", float: "a number"}
_TAG = "tag:yaml.org,2002:"
_TAGS = (None, "!", f"{_TAG}str", f"{_TAG}map", f"{_TAG}seq")

_SYNTAX = (
    # (what the parser says, what is wrong, what is allowed)
    (r"found character '\\t'", "a tab", "spaces, for indentation"),
    (r"found character '(.)'", "a value begins with {0!r}", "quotes around such text"),
    (r"mapping values", "a second ':' in one value, or a line that is not indented like the one before",
     "KEY: VALUE, and quotes around text that holds ': '"),
    (r"sequence entries", "a list item after other text on its line", "each '- ' at the start of a line of its own"),
    (r"<block end>", "a line that is not indented like the one before",
     "the keys of one mapping, and the items of one list, in one column"),
    (r"node content.*'<stream end>'", "the text ends inside a list or mapping", "] or }} at its end"),
    (r"node content.*'(.*)'", "a value is missing before {0!r}", "a value there"),
    (r"'([\]}])'", "a list or mapping that is not closed, or lacks a comma",
     "a comma between two values, and {0} at the end"),
    (r"unknown escape character '(.*)'", "the escape \\{0} is unknown",
     "\\n, \\t, \\\" and \\\\, or text in single quotes"),
    (r"not closed", "a quote that is not closed", "the same quote at the end of the text"),
)  # fmt: skip


class Place(NamedTuple):
    """Where a part of a scenario stands; settings come after the file, in the order in which they were given."""

    file: str
    line: int | None = None
    column: int | None = None
    setting: int = 0

    @property
    def order(self) -> tuple[int, int, int]:
        """The key by which faults are sorted."""
        return self.setting, self.line or 0, self.column or 0


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault that the reading survives; `place` where it is not that of the path's value."""

    path: Path
    problem: str
    allowed: str
    place: Place | None = None


@dataclass(slots=True)
class Source:
    """The data of a scenario, where each part stands, and what was found wrong on the way.

    `broken` holds the paths whose values are not what the person meant, so that judging them says nothing new;
    `doubtful` those that are there twice, so that nothing else should be held against them.
    """

    file: str
    data: Any = None
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    doubtful: set[Path] = field(default_factory=set)
    _written: dict[Path, str] = field(default_factory=dict)
    _names: dict[int, "_Names"] = field(default_factory=dict)

    def place(self, path: Path, key: bool = False) -> Place:
        """Return where the value at `path` stands, or its key; where it stands nowhere, the nearest part around it."""
        written = tuple(self._written.get(path[: at + 1], part) for at, part in enumerate(path))
        if key and written in self.keys:
            return self.keys[written]
        around = (written[:length] for length in range(len(written), -1, -1))
        return next((self.values[path] for path in around if path in self.values), Place(self.file))

    def display(self, path: Path) -> str:
        """Return the path as `--set` takes it: with dots, and list members by name where they have one."""
        words, data, at = list[str](), self.data, 0
        while at < len(path):
            word, length = str(path[at]), 1
            if isinstance(data, list):
                named = self._named(data, path[:at]).by_path
                lengths = (length for length in range(len(path) - at, 0, -1) if path[at : at + length] in named)
                length = next(lengths, 0)
                word, length = (named[path[at : at + length]], length) if length else (word, 1)
            words.append(word if word.isprintable() else repr(word))
            data = descend(data, path[at : at + length])
            at += length
        return ".".join(words)

    def at(self, path: Path) -> Any:
        """Return the value at `path`, or None."""
        return descend(self.data, path)

    def rename(self, path: Path, name: str) -> None:
        """Call the last key of `path` `name`, as if it had been written so; it stands where it stood."""
        mapping = self.at(path[:-1])
        items = [(name if key == path[-1] else key, value) for key, value in mapping.items()]
        mapping.clear()
        mapping.update(items)
        self._written[*path[:-1], name] = str(path[-1])
        self._names.clear()

    def put(self, path: Path, value: Any, place: Place) -> None:
        """Set the value at `path`, which from now on stands at `place`."""
        self.at(path[:-1])[path[-1]] = value
        for places in (self.values, self.keys):
            for inside in [inside for inside in places if inside[: len(path)] == path]:
                del places[inside]
        for paths in (self.broken, self.doubtful):
            paths.difference_update([inside for inside in paths if inside[: len(path)] == path])
        self.values[path] = self.keys[path] = place
        self._names.clear()

    def member(self, items: list[Any], name: str, at: Path) -> Path | None:
        """Return the path within `items`, which is at `at`, of the member called `name`; of a step, at any depth."""
        return self._named(items, at).by_name.get(name)

    def names(self, items: list[Any], at: Path) -> list[str]:
        """Return what the members of `items`, which is at `at`, are called."""
        return list(self._named(items, at).by_name)

    def _named(self, items: list[Any], at: Path) -> "_Names":
        if id(items) not in self._names:
            names, unnamed, thinks = _Names({}, {}), dict[str, Path](), 0
            for path, member in _members(items, deep=at[-1:] == ("steps",)):
                name = next((member[key] for key in _NAMED_BY if isinstance(member.get(key), str)), "")
                if name.isprintable() and not re.search(r"^$|^[0-9]+$|\.", name) and name not in names.by_name:
                    names.by_name[name] = path
                    names.by_path[path] = name
                thinks += "think" in member
                if "think" in member and not name:
                    unnamed["think" if thinks == 1 else f"think{thinks}"] = path
            if len(at) == _STEPS_OF_A_FLEET:  # they are counted from the first step of a fleet
                for name, path in unnamed.items():
                    names.by_name.setdefault(name, path)
            self._names[id(items)] = names
        return self._names[id(items)]


@dataclass(frozen=True, slots=True)
class _Names:
    """The members of a list that have a name of their own, both ways."""

    by_name: dict[str, Path]
    by_path: dict[Path, str]


def read(path: FilePath) -> Source:
    """Read the scenario file at `path`; raises ScenarioError where it cannot be read at all."""
    file = str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(BYTES_MAX + 1)
            size = max(os.fstat(stream.fileno()).st_size, len(content))
    except FileNotFoundError:
        _refuse(Place(file), "no such file", "a scenario file that is there")
    except IsADirectoryError:
        _refuse(Place(file), "a directory", "a scenario file")
    except PermissionError:
        _refuse(Place(file), "no permission to read it", "a file that you may read")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        _refuse(Place(file), f"cannot be read: {reason}", "a scenario file")
    if len(content) > BYTES_MAX:
        _refuse(
            Place(file),
            f"{size:,} bytes",
            f"at most {BYTES_MAX:,} bytes (1 MiB); traces belong in CSV files of their own, which the scenario names",
        )
    return parse(content, file)


def parse(content: bytes, file: str) -> Source:
    """Read YAML; raises ScenarioError, with one fault, where it cannot be read at all."""
    source = Source(file)
    root = _compose(_text(content, file), file)
    if root is None or (root.kind == "scalar" and not root.quoted and root.text in ("", "~", "null")):
        _refuse(Place(file, 1, 1), "the file is empty", "a mapping with name, constraints and fleets")
    _Expansion(source).expand(root)
    return source


def override(source: Source, path: str, text: str, number: int = 1) -> None:
    """Do what `--set path=text` says, the `number`-th setting; what is wrong with it becomes a finding."""
    place = setting(f"{path}={text}", number)
    try:
        value = _value(text, place)
    except ScenarioError as error:
        source.findings += [Finding((), fault.problem, fault.allowed, place) for fault in error.faults]
        return
    words, at, data = path.split("."), Path(), source.data
    if not all(words):
        problem, allowed = "a part of the path is empty", "PATH=VALUE, such as constraints.funnel.limit=50"
        source.findings.append(Finding((), problem, allowed, place))
        return
    for left, word in zip(reversed(range(len(words))), words, strict=True):
        step = _step(source, at, data, word)
        if isinstance(step, Finding):
            source.findings.append(Finding(step.path, step.problem, step.allowed, place))
            return
        at += step
        data = source.at(at)
        if data is None and left:
            data = {}
            source.put(at, data, place)
    source.put(at, value, place)


def setting(text: str, number: int) -> Place:
    """Return the place of the `number`-th `--set text`."""
    return Place(cut(f"--set {text}", _SETTING_MAX), setting=number)


def _step(source: Source, at: Path, data: Any, word: str) -> Path | Finding:
    """Return the keys that lead from `data`, which is at `at`, to what `word` calls there."""
    if isinstance(data, dict):
        return (word,)
    if not isinstance(data, list):
        return Finding(at, f"{shown(data)} has nothing inside that could be called {shown(word)}", "a path to a value")
    found = source.member(data, word, at)
    if found is not None:
        return found
    if re.fullmatch("[0-9]{1,6}", word) and int(word) < len(data):
        return (int(word),)
    names = source.names(data, at)
    index = f"an index below {len(data)}"
    allowed = listed([*names, f"or {index}"] if names else [index]) if data else "nothing, for the list is empty"
    return Finding(at, f"no member {shown(word)}{did_you_mean(word, names)}", allowed)


def _value(text: str, place: Place) -> Any:
    """Return the YAML value of a setting; raises ScenarioError."""
    if not text.strip():
        return None
    root = _compose(_text(text.encode(errors="surrogatepass"), place.file), place.file)
    if root is None:
        return None
    source = Source(place.file)
    _Expansion(source).expand(root)
    if source.findings:
        faults = (Fault(place.file, None, None, "", f.problem, f.allowed) for f in source.findings)
        raise ScenarioError(tuple(faults))
    return source.data


def upwards(path: Path) -> Iterator[Path]:
    """Yield the path itself and the paths that it lies in, from the longest."""
    return (path[:length] for length in range(len(path), -1, -1))


def descend(data: Any, path: Path) -> Any:
    """Return what is at `path` in `data`, or None."""
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _members(items: list[Any], deep: bool) -> Iterator[tuple[Path, dict[str, Any]]]:
    for number, member in enumerate(items):
        if isinstance(member, dict):
            yield (number,), member
            for keys, inner in _inner(member) if deep else ():
                yield from (((number, *keys, *path), step) for path, step in _members(inner, deep))


def _inner(step: dict[str, Any]) -> Iterator[tuple[Path, list[Any]]]:
    """Yield the lists of steps within a step, each with the keys that lead to it."""
    for key in ("steps", "graph"):
        if isinstance(step.get(key), list):
            yield (key,), step[key]
    branches = step.get("choose")
    for number, branch in enumerate(branches if isinstance(branches, list) else ()):
        if isinstance(branch, dict) and isinstance(branch.get("steps"), list):
            yield ("choose", number, "steps"), branch["steps"]


def _refuse(place: Place, problem: str, allowed: str) -> NoReturn:
    raise ScenarioError((Fault(place.file, place.line, place.column, "", problem, allowed),))


def _text(content: bytes, file: str) -> str:
    """Decode UTF-8 and look for what no text holds."""
    content = content.removeprefix(BOM_UTF8)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        wide = " (it looks like UTF-16)" if content[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else ""
        place = Place(file, *_position(before))
        _refuse(place, f"not UTF-8: the byte 0x{content[error.start]:02x}{wide}", "text in UTF-8")
    if match := _CONTROL.search(text):
        place = Place(file, *_position(text[: match.start()]))
        _refuse(place, f"the character {match.group()!r}", "text without control characters")
    return text


def _position(before: str) -> tuple[int, int]:
    """Return the line and column of what follows the text `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@dataclass(slots=True, eq=False)
class _Node:
    """A piece of YAML: a scalar, a mapping (keys and values in turn), a sequence, or an alias of another node."""

    kind: str
    line: int
    column: int
    tag: str | None = None
    text: str = ""
    quoted: bool = False
    inner: list["_Node"] = field(default_factory=list)


def _compose(text: str, file: str) -> _Node | None:
    """Return the root of the one document in `text`; raises ScenarioError where there is no such thing."""
    open_nodes: list[_Node] = []
    anchors: dict[str, _Node] = {}
    root: _Node | None = None
    documents = nodes = 0
    for event in _events(text, file):
        place = Place(file, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                _refuse(place, "a second document begins here", "one scenario a file, without '---' inside")
        if isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            open_nodes.pop()
        node = _node(event, anchors, place)
        if node is None:
            continue
        nodes += 1
        if nodes > NODES_MAX:
            _refuse(place, f"more than {NODES_MAX:,} values", f"at most {NODES_MAX:,}; traces belong in CSV files")
        if node.kind == "alias" and node.inner[0] in open_nodes:
            _refuse(place, f"*{node.text} is inside what it stands for", "an alias of something complete")
        if open_nodes:
            open_nodes[-1].inner.append(node)
        else:
            root = node
        if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            open_nodes.append(node)
            if len(open_nodes) > NESTING_MAX:
                _refuse(place, f"nested more than {NESTING_MAX} deep", f"at most {NESTING_MAX} levels")
    return root


def _node(event: Any, anchors: dict[str, _Node], place: Place) -> _Node | None:
    """Return the node that begins with `event`, or None where none does."""
    line, column = place.line or 1, place.column or 1
    match event:
        case ScalarEvent():
            quoted = event.style is not None or event.tag == f"{_TAG}str"
            node = _Node("scalar", line, column, event.tag, event.value, quoted)
        case MappingStartEvent():
            node = _Node("mapping", line, column, event.tag)
        case SequenceStartEvent():
            node = _Node("list", line, column, event.tag)
        case AliasEvent():
            name = str(event.anchor)
            if name not in anchors:
                problem = f"no anchor is called {shown(name)}{did_you_mean(name, anchors)}"
                _refuse(place, problem, f"an anchor before it: {listed(anchors, 'there is none')}")
            return _Node("alias", line, column, text=name, inner=[anchors[name]])
        case _:
            return None
    if event.anchor is not None:
        anchors[str(event.anchor)] = node
    return node


def _events(text: str, file: str) -> Iterator[Any]:
    """Yield what the parser reads; raises ScenarioError where the text is not YAML."""
    place = Place(file, 1, 1)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            yield event
            place = Place(file, event.end_mark.line + 1, event.end_mark.column + 1)
    except MarkedYAMLError as error:
        said, mark = str(error.problem), error.problem_mark
        if "end of stream" in said and "quoted" in str(error.context):
            said, mark = "not closed", error.context_mark
        problem, allowed = _explained(said)
        _refuse(Place(file, mark.line + 1, mark.column + 1) if mark else place, f"not YAML: {problem}", allowed)
    except Exception as error:  # on some texts that are not YAML the parser itself fails, each time in another way
        said = str(error) or type(error).__name__
        _refuse(
            place,
            f"not YAML: what comes next cannot be read ({said})",
            "KEY: VALUE lines, and escapes up to \\U0010FFFF",
        )


def _explained(said: str) -> tuple[str, str]:
    for pattern, problem, allowed in _SYNTAX:
        if match := re.search(pattern, said):
            return problem.format(*match.groups()), allowed.format(*match.groups())
    return said, "KEY: VALUE lines, and '- ' before each item of a list"


class _Expansion:
    """Builds the data of a node graph, each alias becoming a copy of what it stands for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._nodes = 0
        self._alias: Place | None = None  # the outermost alias that is being written out

    def expand(self, root: _Node) -> None:
        """Fill the source with the data of `root`; raises ScenarioError where they grow out of bounds."""
        self._source.data = self._value(root, ())

    def _value(self, node: _Node, path: Path) -> Any:
        place = self._place(node)
        self._source.values[path] = place
        if node.kind == "alias" and self._alias is None:
            self._alias = place
            value = self._value(node.inner[0], path)
            self._source.values[path] = place
            self._alias = None
            return value
        node = _target(node)
        self._count(node)
        if len(path) > NESTING_MAX:
            problem = f"nested more than {NESTING_MAX} deep once the aliases are written out"
            _refuse(self._alias or place, problem, f"at most {NESTING_MAX} levels")
        if node.tag not in _TAGS:
            self._broken(path, f"the tag {shown(node.tag)}", "values without tags", place)
        if node.kind == "scalar":
            return self._scalar(node, path, place)
        if node.kind == "list":
            return [self._value(item, (*path, number)) for number, item in enumerate(node.inner)]
        return self._mapping(node, path)

    def _mapping(self, node: _Node, path: Path) -> dict[str, Any]:
        source = self._source
        data: dict[str, Any] = {}
        for key, value, merged in self._pairs(node, path):
            name = self._key(key, path)
            if name is None or (merged and name in data):
                continue
            at = (*path, name)
            if name in data:
                problem = f"the key {shown(name)} is there twice, first in line {source.keys[at].line}"
                source.findings.append(Finding(at, problem, "each key once", self._place(key)))
                source.doubtful.add(at)
                continue
            source.keys[at] = self._place(key)
            data[name] = self._value(value, at)
        return data

    def _pairs(self, node: _Node, path: Path, depth: int = 0) -> Iterator[tuple[_Node, _Node, bool]]:
        """Yield the keys and values of a mapping, then those that `<<` adds, and whether they are of this kind."""
        merges: list[_Node] = []
        for key, value in zip(node.inner[::2], node.inner[1::2], strict=True):
            self._count(key)
            if key.kind == "scalar" and key.text == "<<" and not key.quoted:
                merges.append(value)
            else:
                yield key, value, depth > 0
        if merges and depth == NESTING_MAX:
            _refuse(
                self._place(merges[0]), f"'<<' nested more than {NESTING_MAX} deep", f"at most {NESTING_MAX} levels"
            )
        outer = self._alias
        for value in merges:
            self._alias = outer or self._place(value)
            target = _target(value)
            for other in target.inner if target.kind == "list" else [target]:
                self._count(other)
                if _target(other).kind == "mapping":
                    yield from self._pairs(_target(other), path, depth + 1)
                else:
                    problem = "'<<' is given something other than a mapping"
                    allowed = "an alias of a mapping, or a list of such"
                    self._source.findings.append(Finding(path, problem, allowed, self._place(value)))
        self._alias = outer

    def _key(self, node: _Node, path: Path) -> str | None:
        """Return a key as text, or None where it is a mapping or a list, as `{{ x }}` of a template is."""
        target = _target(node)
        if target.kind != "scalar":
            problem = f"a {target.kind} as a key"
            self._source.findings.append(
                Finding(path, problem, "text; '{' and '[' at the start need quotes", self._place(node))
            )
            if path:
                self._source.broken.add(path)
            return None
        at, place = (*path, target.text), self._place(node)
        value = self._scalar(target, at, place)
        if not isinstance(value, str) and at not in self._source.broken:
            problem = f"the key {target.text} is {_KINDS[type(value)]}" if target.text else "an empty key"
            self._broken(at, problem, "text as a key, in quotes where it looks like something else", place)
        return target.text

    def _scalar(self, node: _Node, path: Path, place: Place) -> Any:
        """Return what the text of a scalar stands for."""
        text = node.text
        if _SURROGATE.search(text):
            self._broken(path, f"{shown(text)} holds half a character", "a whole one, such as \\U0001F600", place)
        if node.quoted:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            digits = len(text.lstrip("+-0"))
            if digits > DIGITS_MAX:
                self._broken(path, f"a whole number of {digits:,} digits", f"at most {DIGITS_MAX} digits", place)
                return 0
            if text[:2] in ("0o", "0x"):
                return int(text, 0)
            number = int(text.lstrip("+-0") or "0")  # zeros in front count for Python's own bound of digits
            return -number if text[0] == "-" else number
        if _FLOAT.fullmatch(text):
            return float(text)
        if match := _INFINITE.fullmatch(text):
            return float(f"{match.group(1)}inf")
        return text

    def _broken(self, path: Path, problem: str, allowed: str, place: Place) -> None:
        self._source.findings.append(Finding(path, problem, allowed, place))
        self._source.broken.add(path)

    def _count(self, node: _Node) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            problem = f"more than {NODES_MAX:,} values once the aliases are written out"
            _refuse(self._alias or self._place(node), problem, f"at most {NODES_MAX:,}")

    def _place(self, node: _Node) -> Place:
        return Place(self._source.file, node.line, node.column)


def _target(node: _Node) -> _Node:
    return node.inner[0] if node.kind == "alias" else node
