"""From a scenario file to a valid `Scenario`, or to every fault in it at once.

Rules:

1. Each fault is reported once: what follows from a fault that is reported already is not.
2. pydantic judges one value at a time. Where it finds faults, they are reported, stand-ins are put in place of the faulty
   values, and it judges again, until nothing is wrong; then what two places have to agree on is checked. A check that
   would look at a stand-in is left out.
3. Data files are read under the names that the scenario gives them, from the folder of the scenario or from a log.
4. Warnings are for scenarios without faults.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Literal

from pydantic import ValidationError

from model import tables as data_files
from model.checks import Checks
from model.faults import Fault, ScenarioError, listed, shown
from model.providers import expand, name_providers
from model.scenario import Scenario
from model.source import Finding, Path, Place, Source, descend, override, read, setting, upwards
from model.tables import Table, TableError
from model.telling import Teller, Wrong

_PASSES_MAX = 8
_RENAMES_MAX = 100
"""Most misspelt keys that are read as what they seem to mean, for the sake of what else is wrong inside."""
_ONE_THINK = {"think": "1s"}
_STAND_INS: dict[str, Any] = {
    "arrivals": {"every": "1s"},
    "at": "0s",
    "between": "1s",
    "block": True,
    "count": 1,
    "duration": "1s",
    "fail": 0.5,
    "fleets": [{"name": "x", "count": 1, "steps": [_ONE_THINK]}],
    "id": "x",
    "lasts": "1s",
    "limit": 1,
    "name": "x",
    "rate": "1/s",
    "refuse": 0.5,
    "repeat": 1,
    "slow": 2.0,
    "steps": [_ONE_THINK],
    "task": "x",
    "think": "1s",
}
"""What takes the place of a faulty value, by its key; a key that is not here is left out."""
_WHOLE: dict[str, Any] = {
    "constraints": {"id": "x", "type": "pause"},
    "incidents": {"id": "x", "at": 0, "block": True},
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
    settings = list(enumerate(overrides, 1))
    name_providers(source.data)
    # What is set of a provider comes before its limits are listed, all else after that.
    _override(source, [(number, text) for number, text in settings if text.lstrip().startswith("providers")])
    for provider, row in expand(source.data):
        number = source.data["constraints"].index(row)
        source.values[("constraints", number)] = source.place(("providers", provider))
    _override(source, [(number, text) for number, text in settings if not text.lstrip().startswith("providers")])
    if isinstance(source.data, dict):
        source.data.setdefault("name", _name_of(path))
    folder = path.parent
    return _Validation(source, lambda name: data_files.read(folder / name), lambda name: str(folder / name)).run()


def _override(source: Source, settings: Sequence[tuple[int, str]]) -> None:
    for number, text in settings:
        key, equals, value = text.partition("=")
        if equals:
            override(source, key.strip(), value, number)
        else:
            allowed = "PATH=VALUE, such as constraints.funnel.limit=50"
            source.findings.append(Finding((), "no = in it", allowed, setting(text, number)))


def load_data(data: Mapping[str, Any]) -> Loaded:
    """Validate a scenario that is given as data, which is called `scenario` where it has no name, and has no data files.

    Raises ScenarioError with all faults.
    """
    source = Source("the scenario", deepcopy(dict(data)))
    name_providers(source.data)
    expand(source.data)
    source.data.setdefault("name", "scenario")

    def content(name: str) -> bytes:
        raise TableError("a scenario that is given as data has no folder", "a scenario file beside its data files")

    return _Validation(source, content, lambda name: name).run()


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


class _Validation:
    """The validation of one source."""

    def __init__(self, source: Source, content: Callable[[str], bytes], where: Callable[[str], str]) -> None:
        self._source = source
        self._content = content
        self._where = where
        self._faults: list[tuple[Place, Fault]] = []
        self._settled: set[Path] = set(source.broken)  # what is reported, with everything inside
        self._altered: set[Path] = source.broken | source.doubtful  # what nothing else is held against
        self._around = {above for path in self._altered for above in upwards(path)}
        self._guessed: set[Path] = set()  # what misspelt keys seem to mean: where the guess is wrong, so is the value
        self._tables: dict[str, Table | None] = {}
        self._inputs: dict[str, bytes] = {}

    def run(self) -> Loaded:
        """Return the valid scenario; raises ScenarioError with all faults."""
        for finding in self._source.findings:
            self.report(finding.path, finding.problem, finding.allowed, place=finding.place)
        scenario = self._scenario()
        if scenario is not None:
            checks = Checks(scenario, self._source, self)
            checks.run()
            if not self._faults:
                checks.doubts()
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
        return path not in self._around and not any(map(self.faulty, upwards(path)))

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
                draft, teller = deepcopy(draft), Teller()
                mender = _Mender(draft)
            for wrong in teller.tell(errors, draft):
                self._take(wrong, mender)
            if mender.hopeless:
                return None
        return None

    def _take(self, wrong: Wrong, mender: "_Mender") -> None:
        """Report what is wrong unless that is done, and put something else in its place."""
        settled = wrong.path in self._guessed or any(path in self._settled for path in upwards(wrong.path))
        if not settled:
            self.report(wrong.path, wrong.problem, wrong.allowed, key=wrong.key)
        self._alter(wrong.path)
        if settled or not self._renamed(wrong, mender):
            self._settled.add(wrong.path if wrong.covers is None else wrong.covers)
            mender.mend(wrong)

    def _renamed(self, wrong: Wrong, mender: "_Mender") -> bool:
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
        self._around.update(upwards(path))


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

    def mend(self, wrong: Wrong) -> None:
        """Mend one value; what is wrong again, and a member of a list that is wrong as such, is replaced as a whole."""
        target = wrong.path if wrong.covers is None else wrong.covers
        owner = next((path for path in upwards(target) if len(path) > 1 and path[-2] in _WHOLE), ())
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
