"""The scenario of a log with a constraint changed at a time: the same past, another future.

Rules:

1. The change is `unforeseen`: before its time nothing is told or judged by it, so that every event strictly before is the
   same. At its instant it comes after the changes that the scenario has there, and later ones come as they are.
2. What may be set is what the type of the constraint lets a change set, while it is in force.
3. A value may be relative to what is in force at that time, what comes at that instant included: `+20%`, `-10%`, `*2`,
   `+5`, `-5`. It is worked out exactly. What has to be whole (slots, a burst, the tokens of a window) is rounded to the
   nearest, a half upwards; capacities and totals to six decimals.
"""

import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, get_args

from model.faults import BadInput, Fault, ScenarioError, did_you_mean, listed, shown
from model.header import ConstraintEntry, Header
from model.limits import Constraint, RateLimit
from model.scenario import Scenario
from model.source import Source, override
from model.timeline import changes_of
from model.units import MICRO, UnitError, format_duration, parse_amount, parse_duration
from model.validation import Loaded, load_embedded

_RELATIVE = re.compile(r"([+*-])\s*([0-9.]+[kMG]?)\s*(%?)")
_SYNTAX = "constraints.ID.KEY=VALUE, such as constraints.tpm.rate=+20%"
_SIGNS = "+-*"
_WHOLE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Fork:
    """A scenario that is changed, and what of it: the path of each value, what it was at that time, and what it becomes."""

    loaded: Loaded
    changes: list[dict[str, str]]


def fork(header: Header, at_ns: int, settings: Sequence[str]) -> Fork:
    """Return the scenario of a log with constraints changed at `at_ns`, each setting being `constraints.ID.KEY=VALUE`.

    Raises BadInput for what cannot be changed then, ScenarioError where the scenario itself is not valid any more.
    """
    scenario = load_embedded(header.scenario, header.inputs).scenario
    data, changes = deepcopy(header.scenario), []
    set_by: dict[tuple[str, str], str] = {}
    for text in settings:
        name, key, value = _read(text, scenario)
        if (name, key) in set_by:
            raise BadInput(f"--set {text}: constraints.{name}.{key} is set twice; allowed: each value once")
        number = next(number for number, row in enumerate(scenario.constraints) if row.id == name)
        row, entry = scenario.constraints[number], header.constraints[number]
        before = _before(row, entry, key, at_ns, scenario.until, text)
        after = _after(row, key, before, value, text)
        _put(data["constraints"][number], at_ns, key, after)
        changes.append({"path": f"constraints.{name}.{key}", "before": _said(before), "after": _said(after)})
        set_by[name, key] = f"{text} (which makes {_said(after)})" if value[0] in _SIGNS else text
    try:
        return Fork(load_embedded(data, header.inputs), changes)
    except ScenarioError as error:
        raise BadInput("\n".join(_told(fault, set_by) for fault in error.faults)) from None


def _read(text: str, scenario: Scenario) -> tuple[str, str, str]:
    """Return the constraint, the key and the value that a setting names; raises BadInput."""
    path, equals, value = text.partition("=")
    words = path.strip().split(".")
    if not equals or not value.strip():
        raise BadInput(f"--set {text}: no {'value' if equals else '='} in it; allowed: {_SYNTAX}")
    known = {row.id: row for row in scenario.constraints}
    open_to_change = [name for name, row in known.items() if _keys(row)]
    if words[0] != "constraints" or len(words) != len(("constraints", "id", "key")):
        raise BadInput(
            f"--set {text}: only a value of a constraint can change while a run goes on; allowed: {_SYNTAX}, "
            f"of {listed(open_to_change, 'no constraint here')}"
        )
    _, name, key = words
    if name not in known:
        meant = did_you_mean(name, known)
        what = "an incident" if name in [row.id for row in scenario.incidents] else "no constraint"
        raise BadInput(f"--set {text}: {shown(name)} is {what}{meant}; allowed: {listed(open_to_change)}")
    keys = _keys(known[name])
    if not keys:
        raise BadInput(
            f"--set {text}: {name} is of type {known[name].type}, of which nothing changes; "
            f"allowed: {listed(open_to_change)}"
        )
    if key not in keys:
        raise BadInput(f"--set {text}: {shown(key)} may not change{did_you_mean(key, keys)}; allowed: {listed(keys)}")
    return name, key, value.strip()


def _keys(row: Constraint) -> list[str]:
    """Return what a change of such a constraint may set."""
    (change,) = get_args(type(row).model_fields["changes"].annotation)
    return [name for name in change.model_fields if name != "at"]


def _before(row: Constraint, entry: ConstraintEntry, key: str, at_ns: int, until: int | None, text: str) -> Any:
    """Return the value of a key that is in force at a time: text of a rate, else a number, or whether it is paused."""
    numbers = next(numbers for time, numbers in reversed(entry.settings) if time <= at_ns)
    if numbers is None:
        times = [format_duration(time) for time, each in entry.settings if each is not None]
        allowed = f"a time at which it is, such as {times[0]}" if times else "a constraint that is in force"
        raise BadInput(f"--set {text}: {row.id} is not in force at {format_duration(at_ns)}; allowed: {allowed}")
    if isinstance(row, RateLimit) and key == "rate":
        rates = [change.rate for change in changes_of(row, until) if change.at <= at_ns and change.rate is not None]
        return str(rates[-1] if rates else row.rate)
    if key == "paused":
        return bool(numbers["paused"])
    return Decimal(numbers[key]) / row.scale


def _after(row: Constraint, key: str, before: Any, value: str, text: str) -> Any:
    """Return the new value, relative to the one before where it says so."""
    if not value.startswith(("+", "-", "*")):
        return _plain(value, text)
    if key == "paused":
        raise BadInput(f"--set {text}: {shown(value)} of what is on or off; allowed: true or false")
    if key != "rate":
        return _rounded(_moved(before, value, text), 1 if row.scale == 1 else MICRO)
    amount, _, period = before.partition("/")
    moved = _moved(_exact(amount), value, text)
    assert isinstance(row, RateLimit)
    if row.algorithm != "token_bucket":
        moved = _rounded(moved, 1)
    return f"{_said(moved)}/{period or 's'}"


def _moved(amount: Decimal, value: str, text: str) -> Decimal:
    """Return an amount moved by a relative value; raises BadInput where it is none."""
    match = _RELATIVE.fullmatch(value)
    try:
        sign, number, percent = match.groups() if match is not None else ("", "", "")
        by = _exact(number) / (100 if percent else 1)
    except UnitError:
        allowed = "+20%, -10%, *2, +5, -5, or a value without a sign"
        raise BadInput(f"--set {text}: {shown(value)} is no relative value; allowed: {allowed}") from None
    if sign == "*":
        return amount * by
    by = amount * by if percent else by
    return amount + by if sign == "+" else amount - by


def _exact(amount: str) -> Decimal:
    return Decimal(repr(parse_amount(amount)))


def _rounded(amount: Decimal, scale: int) -> Decimal:
    return (amount * scale).quantize(_WHOLE, ROUND_HALF_UP) / scale


def _plain(value: str, text: str) -> Any:
    """Return an absolute value as a scenario would have it."""
    source = Source("", {"value": None})
    override(source, "value", value)
    if source.findings:
        raise BadInput(f"--set {text}: {source.findings[0].problem}; allowed: {source.findings[0].allowed}")
    return source.data["value"]


def _said(value: Any) -> str:
    """Write a value so that a scenario reads the same back."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value)


def _put(row: dict[str, Any], at_ns: int, key: str, value: Any) -> None:
    """Add a change to those that are unforeseen, or to the one that comes at the same time."""
    at = format_duration(at_ns)
    unforeseen = row.get("unforeseen", [])
    change = next((each for each in unforeseen if each["at"] == at), None)
    if change is None:
        change = {"at": at}
        row["unforeseen"] = sorted([*unforeseen, change], key=lambda each: parse_duration(each["at"]))
    change[key] = _said(value) if isinstance(value, Decimal) else value


def _told(fault: Fault, set_by: dict[tuple[str, str], str]) -> str:
    """Tell of a fault by the setting that brought it about."""
    words = fault.path.split(".")
    mine = [
        text for (name, key), text in set_by.items() if name in words and (key in words or "unforeseen" not in words)
    ]
    problem = f"{fault.problem}; allowed: {fault.allowed}"
    return f"--set {mine[0]}: {problem}" if mine else str(fault)
