"""The Plan: a scenario worked out into flat, numbered tables, all that an engine needs to run it.

Rules:

1. Everything is resolved before the clock starts: steps, constraints and agents are numbers, and for each step the
   constraints that govern it are listed. Nothing is matched, parsed or validated while simulated time runs.
2. Times are whole nanoseconds, amounts are whole units.
3. The order of the tables is the order of the scenario, and is the order in which ties are broken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from model.log import ConstraintEntry, DemandEntry, FleetEntry, Header, StepEntry

Transform = Callable[[NDArray[np.float64]], NDArray[np.int64]]
END = -1
"""The number of the step after the last one."""
GO_ON = -2
"""In place of the step after a failure: the one after the task."""


class PlanError(Exception):
    """A scenario that is valid by itself and yet cannot be planned; the text has the place, the fault and the remedy."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same whole number every time."""

    value: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A named random variable: `transform` maps uniforms to whole numbers; `draws` is the most that one agent takes."""

    name: str
    transform: Transform
    draws: int | None


@dataclass(frozen=True, slots=True)
class PerAgent:
    """A whole number for each agent of the fleet, known beforehand: it comes from the agent's row of a trace."""

    values: NDArray[np.int64]


Quantity = Constant | Drawn | PerAgent


@dataclass(frozen=True, slots=True)
class Demand:
    """How much a task asks of one constraint, and what it costs in the end, where that is known only then."""

    constraint: int
    amount: Quantity
    cost: Quantity | None = None


@dataclass(frozen=True, slots=True)
class ThinkPlan:
    """Wait for `duration`, then go to `next`."""

    number: int
    fleet: int
    name: str
    duration: Quantity
    next: int

    def quantities(self) -> dict[str, Quantity]:
        """Return the random variables of the step by the names under which the engine draws them; so do all steps."""
        return _named(duration=self.duration)


def _named(**quantities: Quantity | None) -> dict[str, Quantity]:
    return {name: quantity for name, quantity in quantities.items() if quantity is not None}


@dataclass(frozen=True, slots=True)
class Chance:
    """Whether something happens: it does where the draw, 53 random bits, is below the threshold of the attempt.

    The last threshold holds for all further attempts. `first` is drawn at each visit, `again` at each further attempt.
    """

    first: Drawn
    again: Drawn | None
    thresholds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """A budget of retries, in millionths of one: what a first attempt pays in, and what it holds at first and at most."""

    ratio: int
    burst: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """What an incident may do to a task beside what it does to all: whether it refuses an attempt, or lets it fail."""

    incident: int
    refuse: Chance | None
    fail: Chance | None

    def quantities(self) -> dict[str, Quantity | None]:
        """Return the random variables by the names under which the engine draws them."""
        named: dict[str, Quantity | None] = {}
        for what, chance in (("refuse", self.refuse), ("fail", self.fail)):
            if chance is not None:
                named[f"{what}/{self.incident}"] = chance.first
                named[f"{what}_again/{self.incident}"] = chance.again
        return named


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """At most `attempts` attempts; the back-off before the next is at most `cap_ns`. `draws` is its jitter, 53 bits."""

    attempts: int
    delay_ns: int
    factor: Fraction
    cap_ns: int
    jitter: str
    draws: Drawn | None
    holds: bool
    retry_after: bool
    duration: Quantity
    budget: BudgetPlan | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What a task does beside working: all of it optional.

    `skip` has the reason that the log states. `resample` is the duration after a pre-emption. `after_failure` is the step
    to go on with, END or GO_ON; `laps_left` the repeats that are left on the way there. A task that keeps something from
    one attempt to the next, or while it does other steps, `states_all` that it takes and gives back in the log.
    """

    priority: int
    deadline_ns: int | None
    fail: Chance | None
    timeout_ns: int | None
    patience: Quantity | None
    retry: RetryPlan | None
    skip: tuple[Chance, int] | None
    resample: Quantity | None
    states_all: bool
    after_failure: int
    laps_left: tuple[int, ...]
    exposures: tuple[Exposure, ...]

    def quantities(self) -> dict[str, Quantity]:
        """Return the random variables by the names under which the engine draws them."""
        retry = self.retry
        named: dict[str, Quantity | None] = {
            "fail": None if self.fail is None else self.fail.first,
            "fail_again": None if self.fail is None else self.fail.again,
            "skip": None if self.skip is None else self.skip[0].first,
            "patience": self.patience,
            "jitter": None if retry is None else retry.draws,
            "duration_again": None if retry is None else retry.duration,
            "preempted": self.resample,
        }
        for exposure in self.exposures:
            named |= exposure.quantities()
        return _named(**named)


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """Ask for the demands, work for `duration`, then go to `next`.

    A `body` is what is done while the task holds what it got, in place of the duration; with `gives_back` it holds nothing
    while it waits for others. `policy` is None for a task without a body of which every visit is one attempt that succeeds,
    under constraints that all keep the plain discipline.

    `demands` has one entry for each group of agents that the same constraints govern, in the order of the constraints;
    `groups` holds each agent's group, or None where there is only one. The constraints of `acquire` are taken one after the
    other, then the rest.
    """

    number: int
    fleet: int
    name: str
    duration: Quantity
    demands: tuple[tuple[Demand, ...], ...]
    groups: NDArray[np.int64] | None
    policy: Policy | None
    next: int
    body: int | None = None
    gives_back: bool = False
    acquire: tuple[int, ...] = ()

    def quantities(self) -> dict[str, Quantity]:
        """The duration, and what the policy draws."""
        return {"duration": self.duration} | ({} if self.policy is None else self.policy.quantities())


@dataclass(frozen=True, slots=True)
class RepeatPlan:
    """Go to `body` this many times, then to `next`. (Repeating for ever needs no step: the body leads to itself.)"""

    number: int
    fleet: int
    name: str
    times: int
    body: int
    next: int

    def quantities(self) -> dict[str, Quantity]:
        """None."""
        return {}


@dataclass(frozen=True, slots=True)
class ChoosePlan:
    """Go to the first of the `bodies` whose threshold is above the draw of 53 bits; GO_ON stands for `next`."""

    number: int
    fleet: int
    name: str
    draw: Drawn
    thresholds: tuple[int, ...]
    bodies: tuple[int, ...]
    next: int

    def quantities(self) -> dict[str, Quantity]:
        """The branch."""
        return _named(branch=self.draw)


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """Go through `body` in `copies` copies, at most `width` at a time, until `join` of them are done (None: all)."""

    number: int
    fleet: int
    name: str
    copies: Quantity
    join: int | None
    width: int | None
    body: int
    next: int

    def quantities(self) -> dict[str, Quantity]:
        """The number of copies."""
        return _named(copies=self.copies)


@dataclass(frozen=True, slots=True)
class GraphPlan:
    """Go through the tasks `nodes`, each when those of `after` (places in `nodes`) are done, or stage by stage."""

    number: int
    fleet: int
    name: str
    nodes: tuple[int, ...]
    after: tuple[tuple[int, ...], ...]
    stages: bool
    next: int

    def quantities(self) -> dict[str, Quantity]:
        """None."""
        return {}


@dataclass(frozen=True, slots=True)
class SpawnPlan:
    """Start `count` agents of fleet `spawned`, and wait for them or go on; none from `depth` generations on."""

    number: int
    fleet: int
    name: str
    spawned: int
    count: Quantity
    waits: bool
    depth: Quantity | None
    next: int

    def quantities(self) -> dict[str, Quantity]:
        """How many are spawned, and how deep."""
        return _named(count=self.count, depth=self.depth)


StepPlan = ThinkPlan | TaskPlan | RepeatPlan | ChoosePlan | ForkPlan | GraphPlan | SpawnPlan


@dataclass(frozen=True, slots=True)
class Setting:
    """The numbers of a constraint from a time on, or None while it is not in force.

    `ceiling` is the largest amount that can be admitted from this time on, now or after a later change; None where
    there is no bound.
    """

    time_ns: int
    numbers: dict[str, int] | None
    ceiling: int | None


@dataclass(frozen=True, slots=True)
class Discipline:
    """Who of those that a constraint refuses waits, and in which order; the plain one blocks, first come, first served.

    At most `room` wait, None where there is no bound. `shared` says that nobody waits and all share, `hears` that the limit
    depends on how tasks end. `share_of` holds for each fleet its group and its weight, where the queue is fair.
    """

    queue: str = "fifo"
    strict: bool = False
    rejects: bool = False
    room: int | None = None
    overflow: str = "newest"
    preempt: str | None = None
    shared: bool = False
    hears: bool = False
    share_of: tuple[tuple[int, int], ...] = ()


PLAIN = Discipline()


@dataclass(frozen=True, slots=True)
class ConstraintPlan:
    """A constraint and its settings in time order, the first at 0.

    `behaviour` is the name under which the engine knows it, `charge` when a cost is charged, `produced_ns` every how many
    ns of work where it is charged as it is produced, else 0. `retry_after` is what a refusal says: a rule, or so many ns.

    `amount` is what every task asks of it where that is the same constant for all, else None. `exclusive` says that
    they all ask for that and for nothing else.
    """

    number: int
    id: str
    type: str
    scope: str | None
    counts: str | None
    behaviour: str
    charge: str
    produced_ns: int
    retry_after: str | int
    settings: tuple[Setting, ...]
    discipline: Discipline
    amount: int | None
    exclusive: bool

    @property
    def defers(self) -> bool:
        """Whether nothing is charged when a task starts."""
        return self.charge in ("on_finish", "as_produced")

    @property
    def settles(self) -> bool:
        """Whether something is charged or handed back after the start of a task."""
        return self.charge != "on_start"


@dataclass(frozen=True, slots=True)
class Change:
    """A constraint takes on new numbers at a time."""

    time_ns: int
    constraint: int
    setting: Setting


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """A fleet: its agents are numbered from `first`, and agent i of it starts at `starts_ns[i]` with step `entry`.

    Those that are spawned get their numbers after all others. An agent is gone after its `life`, and for the time of its
    `repair` whenever its `uptime` is over. `more_come` says that the fleet has no end, or that it would have
    more agents if the run ended later.
    """

    number: int
    name: str
    tenant: str | None
    priority: int
    first: int
    starts_ns: NDArray[np.int64]
    more_come: bool
    life: Quantity | None
    uptime: Quantity | None
    repair: Quantity | None
    entry: int
    steps: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many agents the fleet has."""
        return len(self.starts_ns)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run, worked out. `changes` is sorted by time, then by constraint."""

    name: str
    seed: int
    until_ns: int | None
    constraints: tuple[ConstraintPlan, ...]
    changes: tuple[Change, ...]
    steps: tuple[StepPlan, ...]
    fleets: tuple[FleetPlan, ...]

    @property
    def waits_while_holding(self) -> bool:
        """Whether somebody may wait while he holds something, so that a deadlock is possible."""
        return any(
            isinstance(step, TaskPlan)
            and (
                step.body is not None or step.acquire or (step.policy and step.policy.retry and step.policy.retry.holds)
            )
            for step in self.steps
        )

    def header(self, scenario: dict[str, object], versions: dict[str, str], inputs: dict[str, bytes]) -> Header:
        """Return the header of a log of this run."""
        return Header(
            name=self.name,
            seed=self.seed,
            until_ns=self.until_ns,
            fleets=tuple(
                FleetEntry(fleet.name, fleet.first, fleet.count, fleet.tenant, fleet.priority) for fleet in self.fleets
            ),
            steps=tuple(_step_entry(step) for step in self.steps),
            constraints=tuple(
                ConstraintEntry(
                    row.id, row.type, row.scope, row.counts, tuple((s.time_ns, s.numbers) for s in row.settings)
                )
                for row in self.constraints
            ),
            scenario=scenario,
            versions=versions,
            inputs=inputs,
        )


_KINDS = {
    ThinkPlan: "think",
    RepeatPlan: "repeat",
    ChoosePlan: "choose",
    ForkPlan: "fork",
    GraphPlan: "graph",
    SpawnPlan: "spawn",
}


def _step_entry(step: StepPlan) -> StepEntry:
    if not isinstance(step, TaskPlan):
        spawned = step.spawned if isinstance(step, SpawnPlan) else None
        return StepEntry(step.fleet, step.name, _KINDS[type(step)], (), (), spawned=spawned)
    demands = tuple(
        tuple(
            DemandEntry(demand.constraint, demand.amount.value if isinstance(demand.amount, Constant) else None)
            for demand in group
        )
        for group in step.demands
    )
    groups = () if step.groups is None else _runs(step.groups)
    states_all = step.policy is not None and step.policy.states_all
    kind = "task" if step.body is None else "hold"
    return StepEntry(step.fleet, step.name, kind, demands, groups, states_all)


def _runs(groups: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """Return the runs of equal values as (first, last, value)."""
    edges = np.flatnonzero(np.diff(groups)) + 1
    firsts = [0, *edges.tolist()]
    lasts = [*(edges - 1).tolist(), len(groups) - 1]
    return tuple((first, last, int(groups[first])) for first, last in zip(firsts, lasts, strict=True))
