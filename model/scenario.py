"""The scenario: what a person writes down about a fleet and the limits that it shares.

Rules:

1. These classes describe and validate one value at a time. What two places of a scenario have to agree on is checked in
   `model.validation`; what they mean as numbers is worked out in `model.planner`.
2. A scenario dumps to JSON that validates to the same scenario: that text goes into the header of every log.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from model.distributions import DISTRIBUTION_TAGS, AmountDistribution, DurationDistribution
from model.incidents import Crash, Incident
from model.limits import Constraint
from model.providers import Provider, expand
from model.schema import (
    Count,
    Duration,
    Flag,
    Model,
    Name,
    Positive,
    Price,
    Probability,
    RateField,
    WholeNumber,
    tag_of,
)

AGENTS_MAX = 20_000_000
"""Most agents that one fleet may have, so that a slip of the pen does not fill the memory."""


class Think(Model):
    """The agent is busy with itself and asks for nothing."""

    think: DurationDistribution
    name: Name | None = None


def _cost_tag(value: object) -> str:
    return "by_unit" if isinstance(value, dict) and not set(value) & set(DISTRIBUTION_TAGS) else "one"


Cost = Annotated[
    Annotated[AmountDistribution, Tag("one")] | Annotated[dict[Name, AmountDistribution], Tag("by_unit")],
    Discriminator(_cost_tag),
]
"""One cost for whatever the limits count, or a cost for each thing that they count."""


_Ratio = Annotated[float, Field(strict=True, ge=0, le=1000, allow_inf_nan=False)]


class RetryBudget(Model):
    """A budget of retries that all agents of a fleet share at a step: `{ratio: 0.2, burst: 10}`.

    The first attempt of each visit pays in `ratio`, in up to six decimals; a further attempt costs 1. It begins with
    `burst`, and never holds more. (The rule of Finagle's RetryBudget, without its time to live.)
    """

    ratio: _Ratio
    burst: Annotated[Count, Field(le=1_000_000_000)] = 10


Budget = Annotated[
    Annotated[_Ratio, Tag("ratio")] | Annotated[RetryBudget, Tag("budget")],
    Discriminator(lambda value: "budget" if isinstance(value, (dict, RetryBudget)) else "ratio"),
]
"""A budget of retries, or its `ratio` alone."""


class Retry(Model):
    """Tries again after an attempt that failed, timed out or was rejected, `max_attempts` times in all.

    The back-off before attempt k + 1 is `delay` * `factor` ** k, at most `cap`. `jitter` draws it: `full` between 0 and
    that, `equal` between half of that and that, `decorrelated` between `delay` and three times the back-off before.
    (Brooker, Exponential backoff and jitter, AWS Architecture Blog, 2015.)

    With `retry_after` it is never shorter than the time that a rejection named. With `hold_during_backoff` the task
    keeps its slots while it backs off. Where the `budget` has less than 1 left there is no further attempt.
    """

    max_attempts: Annotated[Count, Field(ge=2, le=10_000)]
    delay: Duration = 0
    factor: Annotated[Positive, Field(ge=1, le=1000)] = 1.0
    cap: Duration | None = None
    jitter: Literal["none", "full", "equal", "decorrelated"] = "none"
    hold_during_backoff: Flag = False
    retry_after: Flag = True
    budget: Budget | None = None


class CacheHit(Model):
    """The share of visits that a cache answers: `{cache_hit: 0.3}`."""

    cache_hit: Probability


class Goto(Model):
    """Goes on with another step: `{goto: review}`."""

    goto: Name


SkipIf = Annotated[
    Annotated[Probability, Tag("probability")] | Annotated[CacheHit, Tag("cache_hit")],
    Discriminator(lambda value: tag_of(value, ("cache_hit",), "probability")),
]

Fail = Annotated[
    Annotated[Probability, Tag("probability")]
    | Annotated[list[Probability], Field(min_length=1, max_length=10_000), Tag("by_attempt")],
    Discriminator(lambda value: "by_attempt" if isinstance(value, list) else "probability"),
]

OnFailure = Annotated[
    Annotated[Literal["continue", "stop"], Tag("word")] | Annotated[Goto, Tag("goto")],
    Discriminator(lambda value: tag_of(value, ("goto",), "word")),
]


class _Asking(Model):
    """What every step that asks for admission may say.

    `needs` names constraints beyond those whose scope matches, and how much of each. `cost` is charged to the rate
    limits that govern the task: by what they count, or one value where they all count the same thing; 1 where nothing
    is said.

    With `acquire: [a, b]` it takes these constraints in that order, and holds what it has while it waits for the next; the
    rest it takes at once at the end. `reserve` says what is charged when the task starts, by what is counted, where a limit
    settles the cost when it ends. `cached` is the share of a cost that came from a cache, by what is counted: some limits
    do not charge it.

    Who still waits after `patience` gives up. `deadline`, from when it asks, orders a queue by earliest deadline. After
    the last attempt `on_failure` says how the agent goes on.
    """

    needs: dict[Name, AmountDistribution] = {}
    cost: Cost | None = None
    reserve: dict[Name, AmountDistribution] = {}
    cached: dict[Name, Probability] = {}
    acquire: Annotated[list[Name], Field(min_length=1, max_length=1000)] | Literal["atomic"] = "atomic"
    priority: WholeNumber | None = None
    deadline: Duration | None = None
    patience: DurationDistribution | None = None
    retry: Retry | None = None
    skip_if: SkipIf = 0.0
    on_failure: OnFailure = "continue"


class Task(_Asking):
    """The agent asks for everything that governs the task, works for a duration, and gives back what it holds.

    `fail` is the probability that an attempt ends in failure, or one for each attempt, of which the last holds for all
    that follow. `timeout` ends an attempt that works longer.
    """

    task: Name
    duration: DurationDistribution
    fail: Fail = 0.0
    timeout: Duration | None = None


class Hold(_Asking):
    """The agent asks as for a task, and holds what it got while it goes through `steps`.

    With `give_back` it does not hold it while it waits for branches or for agents that it spawned, and asks for it again
    afterwards.
    """

    hold: Name
    give_back: Flag = False
    steps: Annotated[list["Step"], Field(min_length=1, max_length=1000)]


class Repeat(Model):
    """Goes through `steps` a number of times, or for ever."""

    repeat: Count | Literal["forever"]
    steps: Annotated[list["Step"], Field(min_length=1, max_length=1000)]


class Branch(Model):
    """One way to go on, as often as its `weight` says beside those of the others."""

    weight: Positive = 1.0
    steps: Annotated[list["Step"], Field(max_length=1000)] = []


class Choose(Model):
    """Goes through the steps of one branch, drawn by weight."""

    choose: Annotated[list[Branch], Field(min_length=1, max_length=1000)]


class Fork(Model):
    """Goes through `steps` in so many copies side by side, at most `width` of them at a time.

    It goes on when `join` of them are through: `all`, `any`, or a number. The others are called off then.
    """

    fork: AmountDistribution
    join: Literal["all", "any"] | Count = "all"
    width: Count | None = None
    steps: Annotated[list["Step"], Field(min_length=1, max_length=1000)]


class Node(Task):
    """A task of a graph: it begins when all tasks of `after` are done."""

    after: Annotated[list[Name], Field(max_length=1000)] = []


class Graph(Model):
    """Tasks that depend on each other.

    Each runs as soon as all that it comes after are done (`dataflow`), or all that are equally deep run together and the
    next begin when the last of them is done (`stages`). What comes after a task that failed or was skipped is skipped.
    """

    graph: Annotated[list[Node], Field(min_length=1, max_length=1000)]
    run: Literal["dataflow", "stages"] = "dataflow"


class Spawn(Model):
    """Starts `count` agents of another fleet, and waits until they are done, or with `wait: false` goes on.

    Nobody spawns who is `depth` generations or more below an agent that was not spawned.
    """

    spawn: Name
    count: AmountDistribution = 1
    wait: Flag = True
    depth: AmountDistribution | None = None


_STEP_TAGS = ("think", "task", "repeat", "choose", "fork", "hold", "graph", "spawn")

Step = Annotated[
    Annotated[Think, Tag("think")]
    | Annotated[Task, Tag("task")]
    | Annotated[Repeat, Tag("repeat")]
    | Annotated[Choose, Tag("choose")]
    | Annotated[Fork, Tag("fork")]
    | Annotated[Hold, Tag("hold")]
    | Annotated[Graph, Tag("graph")]
    | Annotated[Spawn, Tag("spawn")],
    Discriminator(lambda value: tag_of(value, _STEP_TAGS)),
]


def name_of(step: Step) -> str | None:
    """Return the name of a step, or None where it has none."""
    match step:
        case Task():
            return step.task
        case Hold():
            return step.hold
        case Think():
            return step.name
        case _:
            return None


def parts(step: Step) -> Iterator[tuple[tuple[str | int, ...], Sequence[Step]]]:
    """Yield the lists of steps within a step, each with the keys that lead to it."""
    match step:
        case Repeat() | Fork() | Hold():
            yield ("steps",), step.steps
        case Choose():
            for number, branch in enumerate(step.choose):
                yield ("choose", number, "steps"), branch.steps
        case Graph():
            yield ("graph",), step.graph


def walk(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps, those within steps included, in the order in which they are written."""
    for step in steps:
        yield step
        for _, inner in parts(step):
            yield from walk(inner)


class Poisson(Model):
    """Independent arrivals at a mean rate: `{poisson: 5/s}`."""

    poisson: RateField


class Every(Model):
    """An arrival every so often, the first at 0: `{every: 200ms}`."""

    every: Duration

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.every == 0:
            raise PydanticCustomError("every", "{message}", {"message": "0 between arrivals; allowed: a time above 0"})
        return self


class At(Model):
    """Arrivals at these times: `{at: [0s, 1s, 1s, 5s]}`."""

    at: Annotated[list[Duration], Field(min_length=1, max_length=10_000)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(b < a for a, b in pairwise(self.at)):
            raise PydanticCustomError("at", "{message}", {"message": "the times go back; allowed: times in order"})
        return self


class TraceFile(Model):
    """A CSV file with a row an arrival.

    `time` is the column of the arrival time: timestamps, of which the first is time 0, or numbers, of which a 1 stands
    for `unit`.
    """

    file: str
    time: str
    unit: Duration = 1_000_000_000


class Trace(Model):
    """Arrivals as recorded: `{trace: {file: requests.csv, time: TIMESTAMP}}`."""

    trace: TraceFile


Arrivals = Annotated[
    Annotated[Poisson, Tag("poisson")]
    | Annotated[Every, Tag("every")]
    | Annotated[At, Tag("at")]
    | Annotated[Trace, Tag("trace")],
    Discriminator(lambda value: tag_of(value, ("poisson", "every", "at", "trace"))),
]


class Fleet(Model):
    """Agents that all do the same steps.

    A closed fleet has a `count`; `stagger` is the time between the starts of two agents, 0 by default. An open fleet
    has `arrivals`: each arrival is an agent that goes through the steps and is done. A fleet that has neither is spawned
    by the agents of others. After its `life` an agent is gone, whatever it does then. With `crash` it is gone for a while
    now and then. `starvation` is how long its tasks may wait before a run
    tells of them.
    """

    name: Name
    count: Annotated[Count, Field(le=AGENTS_MAX)] | None = None
    arrivals: Arrivals | None = None
    tenant: Name | None = None
    priority: WholeNumber = 0
    weight: Count = 1
    stagger: DurationDistribution | None = None
    life: DurationDistribution | None = None
    crash: Crash | None = None
    starvation: Duration | None = None
    steps: Annotated[list[Step], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        problem = None
        if self.count is not None and self.arrivals is not None:
            problem = "both count and arrivals; allowed: count for a closed fleet, arrivals for an open one"
        elif self.stagger is not None and self.arrivals is not None:
            problem = "both arrivals and stagger; allowed: stagger for a closed fleet"
        if problem is not None:
            raise PydanticCustomError("fleet", "{message}", {"message": problem})
        return self


class Tenant(Model):
    """Whose fleets they are; its `weight` is its share in a fair queue, its `starvation` is that of fleets without one."""

    weight: Count = 1
    starvation: Duration | None = None


def _called_apart(providers: list[Provider]) -> list[Provider]:
    prefixes = [provider.prefix for provider in providers]
    twice = next((prefix for prefix in prefixes if prefixes.count(prefix) > 1), None)
    if twice is not None:
        message = f"the limits of two providers would be called {twice}_...; allowed: an id for each"
        raise PydanticCustomError("providers", "{message}", {"message": message})
    return providers


class Scenario(Model):
    """A whole scenario: limits, what goes wrong, fleets, and how long to watch them.

    `prices` are those of one of what a rate limit or a quota counts; they change nothing in a run.

    `constraints` holds those that its `providers` stand for as well, after those that are listed.
    """

    name: Name
    description: str | None = None
    seed: Annotated[WholeNumber, Field(ge=0, lt=2**64)] = 0
    until: Duration | None = None
    expect_deadlock: Flag = False
    constraints: Annotated[list[Constraint], Field(max_length=1000)] = []
    providers: Annotated[list[Provider], Field(max_length=1000), AfterValidator(_called_apart)] = []
    incidents: Annotated[list[Incident], Field(max_length=1000)] = []
    tenants: dict[Name, Tenant] = {}
    prices: dict[Name, Price] | None = None
    fleets: Annotated[list[Fleet], Field(min_length=1, max_length=1000)]

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("providers"):
            rows = data.get("constraints", [])
            data = {**data, "constraints": list(rows) if isinstance(rows, list) else rows}
            expand(data)
        return data

    def as_json(self) -> dict[str, Any]:
        """Return the scenario as plain data that runs the same: what the header of a log carries.

        Of its providers it has the constraints alone, so that it does not change where their figures do.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"providers"})
