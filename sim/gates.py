"""Gates: what a run must keep to, such as `wait.p95 < 2s`, held against its report.

Rules:

1. A gate is a name, one of `<`, `<=`, `>`, `>=`, `==`, `!=`, and a value: a number, a time (`2s`) or a share (`90%`).
2. A name goes through the report with dots, without the unit at the end of its keys: `fleets.writer.wait.p95`,
   `constraints.rpm.utilisation`, `deadlocks` (how many), `tasks.rejected`. What is said of all tasks needs no prefix:
   `wait.p95`, `sojourn.mean`, `throughput`.
3. A time is compared with a time; a bare number that is compared with one is seconds. A gate on a number that the run
   does not have (no task has started) does not hold.
"""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from model.faults import BadInput, did_you_mean
from model.units import UnitError, parse_duration
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
_ALLOWED = "allowed: such as 'wait.p95 < 2s', 'deadlocks == 0' or 'constraints.rpm.utilisation <= 90%'"
_UNITS = ("_ns", "_per_s")


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
    is_time: bool

    def judge(self, report: dict[str, Any]) -> Outcome:
        """Hold a report against it; raises BadInput where the report has no such number."""
        key, found = self._find(report)
        if found is None:
            return Outcome(self.expression, False, "not known: nothing of it has happened")
        of_time = key.endswith("_ns")
        if self.is_time and not of_time:
            raise BadInput(f"--require: {self.expression}: {self.name} is no time; allowed: a number")
        bound = self.value * 10**9 if of_time and not self.is_time else self.value
        number = len(found) if isinstance(found, (list, tuple)) else found
        holds = _OPERATORS[self.operator](float(number), float(bound))
        return Outcome(self.expression, holds, short(number) if of_time else f"{number:,.6g}")

    def _find(self, report: dict[str, Any]) -> tuple[str, Any]:
        names = dict(_names(report))
        if self.name not in names:
            near = did_you_mean(self.name, list(names))
            raise BadInput(f"--require: {self.expression}: nothing is called {self.name!r}{near}; {_ALLOWED}")
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
    if _NUMBER.match(number):
        return Gate(expression.strip(), name, sign, float(number) / (100 if of_hundred else 1), is_time=False)
    try:
        return Gate(expression.strip(), name, sign, parse_duration(written), is_time=True)
    except UnitError:
        raise BadInput(
            f"--require: {expression!r}: {written!r} is neither a number, a time nor a share; {_ALLOWED}"
        ) from None


def _names(report: dict[str, Any]) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield what can be named, with the key of the time or number and what it is; names without a prefix last."""
    yield from _walk("", "", {key: value for key, value in report.items() if key != "require"})
    yield from _walk("", "", report["all"])


def _walk(prefix: str, unit_of: str, value: Any) -> Iterator[tuple[str, tuple[str, Any]]]:
    if isinstance(value, dict):
        for key, each in value.items():
            name = key
            for unit in _UNITS:
                name = name.removesuffix(unit)
            if key == "ns":
                yield prefix, ("_ns", each)
            else:
                yield from _walk(f"{prefix}.{name}" if prefix else name, key if key.endswith(_UNITS) else unit_of, each)
    elif prefix and not isinstance(value, str):
        yield prefix, (unit_of, value)
