"""Gates: what a run must keep to, such as `wait.p95 < 2s`, held against its report.

Rules:

1. A gate is a name, one of `<`, `<=`, `>`, `>=`, `==`, `!=`, and a value: a number, a time (`2s`) or a share (`90%`).
2. A name goes through the report with dots, without the unit at the end of its keys: `fleets.writer.wait.p95`,
   `constraints.rpm.utilisation`, `tasks.rejected`. What is said of all tasks needs no prefix: `wait.p95`, `sojourn.mean`,
   `throughput`. Counted are `deadlocks`, `stalled` (0 or 1), `starvation` (waits above their bound), `storms` (from which
   the fleet does not recover) and `priority_inversions`.
3. A time is compared with a time, or with 0: a number without a unit might be ns, as `--json` has them, or seconds. A gate
   on a number that the run does not have (no task has started) does not hold.
"""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from model.faults import BadInput, listed, nearest, shown
from model.units import UnitError, format_duration, parse_amount, parse_duration
from sim.analysis.ledger import NAMES
from sim.pages import short

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_EXPRESSION = re.compile(r"^\s*(?P<name>[^<>=!]+?)\s*(?P<operator><=|>=|==|!=|<|>)\s*(?P<value>[^<>=!]+?)\s*$")
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$", re.IGNORECASE)
_BEGINS_AS_NUMBER = re.compile(r"[+-]?\.?\d")
_ALLOWED = "allowed: such as 'wait.p95 < 2s', 'deadlocks == 0' or 'constraints.rpm.utilisation <= 90%'"
_UNITS = ("_ns", "_per_s")
_PARTS = ("all", "fleets", "tenants", "steps")
_OF_EACH = ".sojourn.mean"
"""What is told of each part."""
_COUNTED = ("deadlocks", "stalled", "starvation", "storms", "priority_inversions", "require", "ledger")
"""What is told in full, and counted here."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a gate."""

    expression: str
    holds: bool
    told: str  # what the number is

    def __str__(self) -> str:
        return f"{'passed' if self.holds else 'FAILED'}: {self.expression} (it is {self.told})"

    def as_json(self) -> dict[str, Any]:
        """Return it by the names of `--json`."""
        return {"expression": self.expression, "holds": self.holds, "told": self.told}


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on a number of the report."""

    expression: str
    name: str
    operator: str
    value: float
    unit: str  # of the value: "number", "time" or "share"

    def judge(self, report: dict[str, Any]) -> Outcome:
        """Hold a report against it; raises BadInput where the report has no such number."""
        key, found = self._find(report)
        if found is None:
            return Outcome(self.expression, False, "not known: too little of it has happened")
        of_time = key.endswith("_ns")
        if self.unit == "time" and not of_time:
            raise BadInput(f"--require: {self.expression}: {self.name} is no time; allowed: a number")
        if self.unit == "share" and key != "utilisation":
            raise BadInput(f"--require: {self.expression}: {self.name} is no share; allowed: a number or a time")
        if of_time and self.unit == "number" and self.value:
            raise BadInput(f"--require: {self.expression}: {self.name} is a time; allowed: a time such as 2s, or 0")
        holds = _OPERATORS[self.operator](float(found), float(self.value))
        exact = self.operator in ("==", "!=")
        if of_time:
            return Outcome(self.expression, holds, format_duration(round(found)) if exact else short(found))
        digits = 15 if exact else 6
        if key == "utilisation":
            return Outcome(self.expression, holds, f"{100 * found:,.{digits}g}%")
        return Outcome(self.expression, holds, f"{found:,.{digits}g}")

    def _find(self, report: dict[str, Any]) -> tuple[str, Any]:
        names = _names(report)
        if report["cost"] is None and self.name.partition(".")[0] == "cost":
            allowed = "a scenario with prices, or a gate on something else"
            raise BadInput(f"--require: {self.expression}: nothing has a price in this scenario; allowed: {allowed}")
        if self.name not in names:
            near = nearest(self.name, names) or next((name for name in names if name.endswith(f".{self.name}")), None)
            meant = "" if near is None else f" (did you mean {near!r}?)"
            problem = f"nothing is called {shown(self.name)}{meant}"
            raise BadInput(f"--require: {self.expression}: {problem}; allowed: {_grouped(list(names))}")
        return names[self.name]


def gates(expressions: Sequence[str]) -> list[Gate]:
    """Return the gates that expressions say; raises BadInput for one that says none."""
    return [_parse(expression) for expression in expressions]


def _parse(expression: str) -> Gate:
    match = _EXPRESSION.match(expression)
    if match is None:
        raise BadInput(f"--require: {expression!r} is no comparison; {_ALLOWED}")
    name, sign, written = match["name"], match["operator"], match["value"]
    number, of_hundred = written.removesuffix("%").strip(), written.endswith("%")
    with suppress(UnitError):
        value = parse_amount(float(number) if _NUMBER.match(number) else number)
        gate = Gate(
            expression.strip(), name, sign, value / (100 if of_hundred else 1), "share" if of_hundred else "number"
        )
        return gate
    try:
        return Gate(expression.strip(), name, sign, parse_duration(written), "time")
    except UnitError as error:
        problem = f"{shown(written)} is neither a number, a time nor a share; {_ALLOWED}"
        if _NUMBER.match(number):
            problem = f"{shown(written)} is negative, or too large; allowed: a number from 0 to 1e40"
        elif _BEGINS_AS_NUMBER.match(written):
            problem = str(error).removesuffix("; a bare number is seconds")  # not of a gate (rule 3)
        raise BadInput(f"--require: {shown(expression)}: {problem}") from None


def _names(report: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """Return what can be named, with the key of the time or number and what it is."""
    causes = [*report["constraints"], *NAMES.values()]
    unknown = {*_COUNTED, *(["cost"] if report["cost"] is None else [])}
    names = dict(_walk("", "", {key: value for key, value in report.items() if key not in unknown}, causes))
    names.update(_walk("", "", report["all"], causes))
    storms, inversions = report["storms"] or (), report["priority_inversions"]
    counts = {
        "deadlocks": len(report["deadlocks"]),
        "stalled": int(report["stalled"] is not None),
        "starvation": sum(each["exceeded"] for each in report["starvation"]),
        "storms": sum(each["verdict"] in ("metastable", "collapsed") for each in storms),
        "priority_inversions": inversions["episodes"],
    }
    return {**names, **{name: ("", count) for name, count in counts.items()}}


def _grouped(names: Sequence[str]) -> str:
    """List names shortly: `tasks.{started, open}` is two, `a[.b]` is `a` and `a.b`. What parts have is listed once."""
    in_all = {name.removeprefix("all.") for name in names if name.startswith("all.")}
    own = [name for name in names if name not in in_all and name.partition(".")[0] not in _PARTS]
    parts = [name.removesuffix(_OF_EACH) for name in names if name.endswith(_OF_EACH) and not name.startswith("all.")]
    shared = [name for name in names if name in in_all]
    return f"{_folded(own)}; and of all, or after one of {_folded(parts)} and a dot, {_folded(shared)}"


def _folded(names: Sequence[str]) -> str:
    tree: dict[str, Any] = {}
    for name in names:
        inner = tree
        for word in name.split("."):
            inner = inner.setdefault(word, {})
        inner[""] = {}
    return ", ".join(_branches(tree))


def _branches(tree: dict[str, Any]) -> list[str]:
    """Return what is below a name, those together that go on alike."""
    alike: dict[str, list[str]] = {}
    for word, inner in tree.items():
        if word:
            alike.setdefault(_rest(inner), []).append(word)
    told = []
    for rest, words in alike.items():
        told += [f"{{{listed(words)}}}{rest}"] if rest and len(words) > 1 else [f"{word}{rest}" for word in words]
    return told


def _rest(tree: dict[str, Any]) -> str:
    branches = _branches(tree)
    if not branches:
        return ""
    rest = f".{branches[0]}" if len(branches) == 1 else f".{{{', '.join(branches)}}}"
    return f"[{rest}]" if "" in tree else rest


def _walk(prefix: str, of: str, value: Any, causes: Sequence[str]) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield what can be named below a prefix; `of` is the key that says the unit."""
    if not isinstance(value, dict):
        if isinstance(value, (int, float)) or value is None:
            # Nobody waited there: for no time. (How sure a mean is may not be known where somebody did.)
            never = value is None and of == "wait_ns" and prefix.startswith("constraints.")
            yield prefix, (of, 0 if never else value)
        return
    for key, each in value.items():
        if key == "ns":
            yield prefix, ("_ns", each)
            continue
        name = key
        for unit in _UNITS:
            name = name.removesuffix(unit)
        name = f"{prefix}.{name}" if prefix else name
        if key == "causes":
            each = {**{cause: {"ns": 0, "overtaken_ns": 0} for cause in causes}, **each}
        yield from _walk(name, key if key.endswith((*_UNITS, "utilisation")) else of, each, causes)
