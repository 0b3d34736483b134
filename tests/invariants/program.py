"""The scenario as its writer means it: who arrives when, and what each agent does one after another.

This is the one place where the checkers read the scenario (the header carries it as plain data). It knows only how
times are written (`model.units`); nothing of the planner.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from model.log import Header
from model.units import parse_duration


class Busy(NamedTuple):
    """The agent thinks for `ns`; None where that is drawn."""

    ns: int | None


class Work(NamedTuple):
    """The agent asks for the task of step number `step` and works for `ns`; None where that is drawn."""

    step: int
    ns: int | None


def constant(value: object) -> int | None:
    """Return the nanoseconds of a duration that is not drawn, or None."""
    return None if isinstance(value, dict) else parse_duration(value)


def starts(fleet: dict[str, Any], until: int | None) -> list[int | None] | None:
    """Return when each agent starts (None where that is drawn), or None where even their number is drawn.

    Agents of a closed fleet are there whether or not their time comes before the end; arrivals end with the run.
    """
    arrivals = fleet.get("arrivals")
    if arrivals is None:
        gap = constant(fleet.get("stagger", 0))
        return [0 if i == 0 else None if gap is None else i * gap for i in range(fleet["count"])]
    if "at" in arrivals:
        times = [parse_duration(time) for time in arrivals["at"]]
    elif "every" in arrivals:
        assert until is not None
        times = list(range(0, until + 1, parse_duration(arrivals["every"])))
    else:
        return None
    return [time for time in times if until is None or time <= until]


def same_steps(header: Header) -> bool:
    """Whether the header numbers the very fleets and steps that the scenario has."""
    expected: list[tuple[int, str | None, str]] = []
    fleets = header.scenario["fleets"]
    for number, fleet in enumerate(fleets):
        expected += [(number, step.get("task"), _kind(step)) for step in _in_order(fleet["steps"])]
    stated = [(step.fleet, step.name if step.kind == "task" else None, step.kind) for step in header.steps]
    return stated == expected and [fleet["name"] for fleet in fleets] == [fleet.name for fleet in header.fleets]


def _in_order(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        if step.get("repeat") != "forever":
            yield step
        yield from _in_order(step.get("steps", []))


def _kind(step: dict[str, Any]) -> str:
    return next(kind for kind in ("think", "task", "repeat") if kind in step)


def walk(steps: list[dict[str, Any]], first: int) -> Iterator[Busy | Work]:
    """Yield what an agent does, one after another; `first` is the number of the fleet's first step."""
    yield from _walk(_numbered(steps, first)[0])


def tasks(steps: list[dict[str, Any]], first: int) -> dict[int, dict[str, Any]]:
    """Return the tasks of a fleet by their step number."""
    found: dict[int, dict[str, Any]] = {}

    def collect(numbered: list[tuple[int, dict[str, Any], Any]]) -> None:
        for number, step, body in numbered:
            if "task" in step:
                found[number] = step
            collect(body or [])

    collect(_numbered(steps, first)[0])
    return found


def _numbered(steps: list[dict[str, Any]], number: int) -> tuple[list[tuple[int, dict[str, Any], Any]], int]:
    """Number the steps in the order in which they are written; a `repeat: forever` takes no number."""
    result: list[tuple[int, dict[str, Any], Any]] = []
    for step in steps:
        own, body = number, None
        number += 0 if step.get("repeat") == "forever" else 1
        if "repeat" in step:
            body, number = _numbered(step["steps"], number)
        result.append((own, step, body))
    return result, number


def size(steps: list[dict[str, Any]]) -> int:
    """Return how many numbers the steps of a fleet take."""
    return _numbered(steps, 0)[1]


def _walk(numbered: list[tuple[int, dict[str, Any], Any]]) -> Iterator[Busy | Work]:
    for number, step, body in numbered:
        if "think" in step:
            yield Busy(constant(step["think"]))
        elif "task" in step:
            yield Work(number, constant(step["duration"]))
        else:
            left = step["repeat"]
            while left == "forever" or left > 0:
                yield from _walk(body)
                left = left if left == "forever" else left - 1
