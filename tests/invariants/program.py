"""The scenario as its writer means it: who arrives when, and what each agent does one after another.

This is the one place where the checkers read the scenario (the header carries it as plain data). It knows only how
times are written (`model.units`); nothing of the planner.

Steps are numbered in the order in which they are written, those within a step after it; a `repeat: forever` has no number.
What an agent does can be followed where it does one thing after another that the rows tell (`followed`): thinking, tasks
and repeats, with attempts, skipped visits, jumps and stops, for as long as it likes. Who draws its way, does several things
at once, holds something meanwhile, spawns others or has a limited life is not followed.
"""

from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from model.log import Header
from model.units import MICRO, parse_amount, parse_duration

Step = dict[str, Any]


class Busy(NamedTuple):
    """The agent thinks for `ns`; None where that is drawn."""

    ns: int | None


class Work(NamedTuple):
    """The agent comes to the task of step number `step`; whoever follows it answers whether the visit ended well."""

    step: int
    task: Step


class Written(NamedTuple):
    """The constraints and incidents, and the tasks and holds by the number of their step, as they are written."""

    constraints: list[Step]
    steps: dict[int, Step]


class _Jump(Exception):
    """The agent goes on with another step."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


class _Stop(Exception):
    """The agent stops."""


def constant(value: object) -> int | None:
    """Return the nanoseconds of a duration that is not drawn, or None."""
    return None if isinstance(value, dict) else parse_duration(value)


_DISTRIBUTIONS = {
    "uniform", "exponential", "lognormal", "gamma", "erlang", "weibull", "pareto", "triangular", "empirical", "mixture"
}  # fmt: skip


def is_drawn(value: object) -> bool:
    """Whether an amount is drawn."""
    return isinstance(value, dict) and len(value) == 1 and set(value) <= _DISTRIBUTIONS


def scale(kind: str) -> int:
    """Return how many of the whole numbers in a log make up a unit."""
    return MICRO if kind in ("resource", "quota") else 1


def cost_of(task: Step, counts: str | None) -> Any:
    """Return what a task costs of what is counted; None where it does not say."""
    cost = task.get("cost")
    return cost.get(counts) if isinstance(cost, dict) and not is_drawn(cost) else cost


def constant_cost(task: Step, row: dict[str, Any]) -> int | None:
    """Return what a task is charged by a limit, both as they are written; None where that is drawn."""
    counts = row.get("counts", "requests")
    cost = cost_of(task, counts) if row["type"] in ("rate_limit", "quota") else None
    amount = task.get("needs", {}).get(row["id"], 1) if cost is None else cost
    if isinstance(amount, dict):
        return None
    whole = round(parse_amount(amount) * scale(row["type"]))
    is_exempt = cost is not None and row.get("cached") == "exempt"
    share = Fraction(str(task.get("cached", {}).get(counts, 0))) if is_exempt else Fraction(0)
    return round(whole * (1 - share))


def starts(fleet: dict[str, Any], until: int | None) -> list[int | None] | None:
    """Return when each agent starts (None where that is drawn), or None where even their number is drawn.

    Agents of a closed fleet are there whether or not their time comes before the end; arrivals end with the run.
    """
    arrivals = fleet.get("arrivals")
    if arrivals is None and "count" not in fleet:
        return []
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
        expected += [(number, name_of(step), kind_of(step)) for _, step, _ in flat(fleet["steps"], 0)]
    stated = [(step.fleet, step.name if step.kind in ("task", "hold") else None, step.kind) for step in header.steps]
    return stated == expected and [fleet["name"] for fleet in fleets] == [fleet.name for fleet in header.fleets]


_KINDS = ("think", "task", "repeat", "choose", "fork", "hold", "graph", "spawn")


def kind_of(step: Step) -> str:
    """Return what a step is."""
    return next(kind for kind in _KINDS if kind in step)


def name_of(step: Step) -> str | None:
    """Return the name of a task or a hold; None for all other steps."""
    name: str | None = step.get("task", step.get("hold"))
    return name


Numbered = list[tuple[int, Step, list[Any]]]
"""Steps with their numbers, and with the lists of steps that are within them, numbered likewise."""


def _bodies(step: Step) -> list[list[Step]]:
    if "graph" in step:
        return [step["graph"]]
    return [branch["steps"] for branch in step["choose"]] if "choose" in step else [step.get("steps", [])]


def numbered(steps: list[Step], number: int) -> tuple[Numbered, int]:
    """Number the steps, the first with `number`; return them, and the number after the last."""
    result: Numbered = []
    for step in steps:
        own, inner = number, []
        number += 0 if step.get("repeat") == "forever" else 1
        for body in _bodies(step):
            within, number = numbered(body, number)
            inner.append(within)
        result.append((own, step, inner))
    return result, number


def flat(steps: list[Step], first: int) -> Iterator[tuple[int, Step, tuple[str, ...]]]:
    """Yield all steps that have a number, with it and with the kinds of the steps around them."""

    def each(found: Numbered, around: tuple[str, ...]) -> Iterator[tuple[int, Step, tuple[str, ...]]]:
        for number, step, bodies in found:
            if step.get("repeat") != "forever":
                yield number, step, around
            for body in bodies:
                yield from each(body, (*around, kind_of(step)))

    yield from each(numbered(steps, first)[0], ())


def tasks(steps: list[Step], first: int) -> dict[int, Step]:
    """Return the tasks and holds of a fleet by their step number."""
    return {number: step for number, step, _ in flat(steps, first) if name_of(step) is not None}


def size(steps: list[Step]) -> int:
    """Return how many numbers the steps of a fleet take."""
    return numbered(steps, 0)[1]


def written(header: Header) -> Written:
    """Return the constraints and tasks of the scenario; without one, or with another, nothing is said of any."""
    steps: dict[int, Step] = {}
    rows = limits(header.scenario)
    first = 0
    for fleet in header.scenario.get("fleets", []):
        steps |= tasks(fleet["steps"], first)
        first += size(fleet["steps"])
    return Written(rows if len(rows) == len(header.constraints) else [{}] * len(header.constraints), steps)


def limits(scenario: Step) -> list[Step]:
    """Return the constraints as they are written, and after them the incidents as the constraints that they are."""
    return [*scenario.get("constraints", []), *map(_as_constraint, scenario.get("incidents", []))]


def _as_constraint(incident: Step) -> Step:
    refuses = incident.get("refuse", 0) > 0
    return {
        "id": incident["id"],
        "type": "incident",
        "scope": incident.get("scope", "global"),
        "on_limit": "reject" if refuses else "block",
        "retry_after": incident.get("retry_after") or "none",
    }


def followed(fleet: Step) -> bool:
    """Whether what its agents do can be followed."""
    kinds = {kind_of(step) for _, step, _ in flat(fleet["steps"], 0)}
    return kinds <= {"think", "task", "repeat"} and "life" not in fleet


Way = Generator[Busy | Work, bool | None, None]


def walk(steps: list[Step], first: int) -> Way:
    """Yield what an agent does, one after another; `first` is the number of the fleet's first step."""
    try:
        yield from _walk(numbered(steps, first)[0])
    except _Stop:
        return


def _walk(steps: Numbered) -> Way:
    place = 0
    while place < len(steps):
        number, step, bodies = steps[place]
        place += 1
        try:
            if "think" in step:
                yield Busy(constant(step["think"]))
            elif "task" in step:
                if not (yield Work(number, step)):
                    _fail(step.get("on_failure", "continue"))
            else:
                left = step["repeat"]
                while left == "forever" or left > 0:
                    yield from _walk(bodies[0])
                    left = left if left == "forever" else left - 1
        except _Jump as jump:
            names = [_label(each) for _, each, _ in steps]
            if jump.target not in names:
                raise
            place = names.index(jump.target)


def _label(step: Step) -> str | None:
    label: str | None = step.get("name", name_of(step))
    return label


def _fail(then: object) -> None:
    if then == "stop":
        raise _Stop
    if isinstance(then, dict):
        raise _Jump(then["goto"])
