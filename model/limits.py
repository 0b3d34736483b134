"""The constraints of a scenario as a person writes them: one class a type, and the union of them all.

Rules:

1. A type has its own settings (`limit`, `rate` and `burst` ...) and a `changes` list that gives new values at a time.
2. `settings()` turns them into plain whole numbers, the only thing that the Plan and the engine see of a type.
3. A new type is a class here, in the union at the end, and a class of the same name in `sim/constraints`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from model.schema import (
    Count,
    Duration,
    Flag,
    Level,
    Model,
    Name,
    Positive,
    Probability,
    RateField,
    WholeNumber,
)
from model.units import MICRO, NS_PER_SECOND, Rate, format_duration

_GROWTH = 1.5
_RETRY_AFTER = ("exact", "seconds", "none")

SCOPE_HINT = "global, task:PATTERN, fleet:PATTERN or tenant:PATTERN"

SCOPE_PATTERN = r"^(global|(task|fleet|tenant):.+)$"

Scope = Annotated[str, StringConstraints(pattern=SCOPE_PATTERN)]
"""Whom a constraint governs; patterns are shell-style, and a task is called FLEET_NUMBER_STEP."""

Settings = dict[str, int]
"""The numbers of a constraint while no change comes between, by the names that its type gives them."""


def in_micro(amount: float) -> int:
    """Return an amount in whole millionths, to the nearest."""
    return round(amount * MICRO)


class _Change(Model):
    """New values from a time on."""

    at: Duration


class _Constraint(Model):
    """What all types share: an id, whom it governs, when it is in force, and what becomes of whom it refuses.

    Who is refused waits, or with `on_limit: reject` is told so at once. `queue` is the order in which those who wait are
    served: `priority` the highest first, `edf` the earliest deadline, `sjf` the shortest duration, `random` a uniform
    choice, `fair` the tenant (or fleet) that had least by its weight. Under `admission: strict` nobody passes the first
    in the queue. At most `room` wait; then `overflow` says who is refused: the `newest`, the `oldest`, or `all`.

    The changes come again `every` so often. Those that are `unforeseen` come once, after what changes at the same instant;
    nobody reckons with them before. Amounts are kept in whole numbers, `scale` to the unit.

    `retry_after` is what a refusal says: `exact`, after how long there would have been room if nothing else had
    happened; `seconds`, the same in whole seconds, rounded up, as a header says it; `none`; or always the same time.
    """

    scale: ClassVar[int] = 1
    hears: ClassVar[bool] = False

    id: Name
    scope: Scope | None = None
    from_: Annotated[Duration, Field(alias="from")] = 0
    expires: Duration | None = None
    changes: Sequence[_Change] = ()
    unforeseen: Sequence[_Change] | None = None
    on_limit: Literal["block", "reject"] = "block"
    queue: Literal["fifo", "lifo", "priority", "edf", "sjf", "random", "fair", "processor_sharing"] = "fifo"
    fair_by: Literal["tenant", "fleet"] = "tenant"
    every: Duration | None = None
    admission: Literal["first_fit", "strict"] = "first_fit"
    room: Annotated[WholeNumber, Field(ge=0)] | None = None
    overflow: Literal["newest", "oldest", "all"] = "newest"
    retry_after: Annotated[
        Annotated[Literal["exact", "seconds", "none"], Tag("rule")] | Annotated[Duration, Tag("time")],
        Discriminator(lambda value: "rule" if value in _RETRY_AFTER else "time"),
    ] = "exact"

    @model_validator(mode="after")
    def _check(self) -> Self:
        times = [change.at for change in self.changes]
        surprises = [change.at for change in self.unforeseen or ()]
        problem = None
        if self.expires is not None and self.expires <= self.from_:
            problem = "it expires before it begins; allowed: expires after from"
        elif any(b <= a for a, b in pairwise(times)):
            problem = "the changes are not in order; allowed: each change after the one before"
        elif times and times[0] <= self.from_:
            problem = "the first change comes before the constraint begins; allowed: at after from"
        elif self.every is not None and (not times or times[-1] >= self.from_ + self.every):
            problem = (
                "every without changes, or with one that comes later than that; allowed: every after the last change"
            )
        elif times and self.expires is not None and times[-1] >= self.expires:
            problem = "the last change comes after the constraint expires; allowed: at before expires"
        elif any(b <= a for a, b in pairwise(surprises)):
            problem = "the unforeseen changes are not in order; allowed: each change after the one before"
        elif surprises and surprises[0] < self.from_:
            problem = "an unforeseen change comes before the constraint begins; allowed: at of from or later"
        elif surprises and self.expires is not None and surprises[-1] >= self.expires:
            problem = "an unforeseen change comes after the constraint expires; allowed: at before expires"
        if problem is not None:
            raise PydanticCustomError("timeline", "{message}", {"message": problem})
        return self

    @model_validator(mode="after")
    def _check_queue(self) -> Self:
        if self.queue == "processor_sharing" and not isinstance(self, Concurrency):
            message = "queue: processor_sharing of what no task holds; allowed: with type: concurrency"
            raise PydanticCustomError("queue", "{message}", {"message": message})
        return self

    @property
    def behaviour(self) -> str:
        """The name under which the engine knows how the limit behaves."""
        return str(getattr(self, "type", ""))

    @property
    def charge(self) -> str:
        """When a cost is charged: `on_start`, `on_finish`, or reserved and then `settle`d."""
        return "on_start"

    @property
    def preempted(self) -> str | None:
        """What becomes of a task whose slots a more important one takes; None where none is taken."""
        return None

    @property
    def counted(self) -> str | None:
        """What a limit with a cost counts; None for a type without a cost."""
        return None

    @property
    def kin(self) -> tuple[str | int | None, ...]:
        """What a later constraint with the same scope must be like to replace it.

        Limits that count something must do so over the same time: a limit a minute does not replace one a day.
        """
        return (getattr(self, "type", None),)

    @property
    def exempts_cached(self) -> bool:
        """Whether what came from a cache costs nothing."""
        return False

    @property
    def produced_every(self) -> int:
        """Every how many ns what a task has produced is charged; 0 where it is not charged so."""
        return 0

    def largest(self, numbers: Settings) -> int | None:
        """Return the largest amount that can be admitted under these numbers, or None where there is no bound."""
        return None

    @abstractmethod
    def settings(self) -> list[tuple[int, Settings]]:
        """Return (time in ns, whole numbers in force from then on) from the beginning through each of the `changes`."""


class ConcurrencyChange(_Change):
    """A new limit from a time on."""

    limit: Count


class Concurrency(_Constraint):
    """At most `limit` holders at once. Lowering it revokes nobody.

    With `queue: processor_sharing` nobody waits, and who works shares that many servers evenly.

    With `preempt` a task takes the slots of less important ones that run; they `resume` where they were, `restart`,
    start again with a new duration (`resample`), or `fail`.
    """

    type: Literal["concurrency"]
    limit: Count
    changes: Annotated[list[ConcurrencyChange], Field(max_length=10_000)] = []
    unforeseen: Annotated[list[ConcurrencyChange], Field(max_length=1000)] | None = None
    preempt: Literal["resume", "restart", "resample", "fail"] | None = None

    @model_validator(mode="after")
    def _check_preemption(self) -> Self:
        if self.preempt is not None and self.queue != "priority":
            message = f"preempt with queue {self.queue}; allowed: preempt with queue: priority"
            raise PydanticCustomError("preempt", "{message}", {"message": message})
        return self

    @property
    def behaviour(self) -> str:
        """Whether it is shared."""
        return self.queue if self.queue == "processor_sharing" else self.type

    @property
    def preempted(self) -> str | None:
        """`preempt`."""
        return self.preempt

    def largest(self, numbers: Settings) -> int | None:
        """The limit; there is none to who may share."""
        return None if self.queue == "processor_sharing" else numbers["limit"]

    def settings(self) -> list[tuple[int, Settings]]:
        """`limit` in slots."""
        return [(self.from_, {"limit": self.limit}), *((c.at, {"limit": c.limit}) for c in self.changes)]


class _Counting(_Constraint):
    """What all limits that count something share.

    A task costs 1 of everything unless its `cost` says otherwise. The cost is charged when the task starts or when it ends
    (`on_finish`: then a task starts while anything is left, and the level may go below 0), or what the task reserves is
    charged when it starts and settled when it ends, or it is charged as it is produced, evenly over the work of the task,
    every `chunk` (1s) of it (a task then starts as `on_finish`). What the task says is `cached` is charged like the rest
    (`counts`) or not at all (`exempt`).

    A window `begins` at every multiple of its period (`calendar`), or with the first cost after the end of the one
    before (`first_use`).
    """

    counts: Name = "requests"
    charge_: Annotated[Literal["on_start", "on_finish", "settle", "as_produced"], Field(alias="charge")] = "on_start"
    chunk: Annotated[Duration, Field(ge=1_000_000)] | None = None
    cached: Literal["counts", "exempt"] = "counts"
    begins: Literal["calendar", "first_use"] = "calendar"

    @property
    def charge(self) -> str:
        """`charge`."""
        return self.charge_

    @property
    def counted(self) -> str:
        """What this limit counts."""
        return self.counts

    @property
    def exempts_cached(self) -> bool:
        """`cached: exempt`."""
        return self.cached == "exempt"

    @property
    def produced_every(self) -> int:
        """`chunk`, where it matters."""
        return (self.chunk or NS_PER_SECOND) if self.charge_ == "as_produced" else 0

    def _refuse_unless(self, allowed: bool, key: str, where: str) -> None:
        """Refuse a key that is given where it means nothing."""
        if not allowed and getattr(self, key) != type(self).model_fields[key].default:
            message = f"{key} without {where}; allowed: {key} with {where}"
            raise PydanticCustomError("key", "{message}", {"message": message})

    @model_validator(mode="after")
    def _check_chunk(self) -> Self:
        self._refuse_unless(self.charge_ == "as_produced", "chunk", "charge: as_produced")
        return self


class RateLimitChange(_Change):
    """A new rate, a new burst or both from a time on."""

    rate: RateField | None = None
    burst: Count | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.rate is None and self.burst is None:
            message = "it changes nothing; allowed: rate, burst or both"
            raise PydanticCustomError("change", "{message}", {"message": message})
        return self


class RateLimit(_Counting):
    """A token bucket: `rate` earns tokens up to `burst`, which it starts with; by default `10/m` is ten deep.

    Or a window: at most the tokens of the `rate` in each period of it (`fixed_window`), or in any such period
    (`sliding_window`); or `ramp`, a fixed window in which there is `growth` (1.5) times what was used in the one before,
    and always what the rate says. A fixed window of a minute may be enforced in each `slice` of, say, a second.
    """

    type: Literal["rate_limit"]
    rate: RateField
    burst: Count | None = None
    algorithm: Literal["token_bucket", "fixed_window", "sliding_window", "ramp"] = "token_bucket"
    slice: Annotated[Duration, Field(gt=0)] | None = None
    growth: Annotated[Positive, Field(ge=1, le=1000)] | None = None
    changes: Annotated[list[RateLimitChange], Field(max_length=10_000)] = []
    unforeseen: Annotated[list[RateLimitChange], Field(max_length=1000)] | None = None

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        changes = [*self.changes, *(self.unforeseen or ())]
        bursts = [self.burst, *(change.burst for change in changes)]
        if self.algorithm != "token_bucket" and any(burst is not None for burst in bursts):
            message = f"a burst with {self.algorithm}; allowed: burst with algorithm: token_bucket"
            raise PydanticCustomError("burst", "{message}", {"message": message})
        self._refuse_unless(self.algorithm == "fixed_window", "slice", "algorithm: fixed_window")
        self._refuse_unless(self.algorithm == "fixed_window", "begins", "algorithm: fixed_window")
        self._refuse_unless(self.algorithm == "ramp", "growth", "algorithm: ramp")
        for rate in [self.rate, *(change.rate for change in changes if change.rate is not None)]:
            if self.slice is not None and (rate.period_ns % self.slice or not self._in_a_window(rate)[0]):
                message = (
                    f"a slice of {format_duration(self.slice)} of {rate}; "
                    "allowed: a time that divides the period, and in which the rate has a whole token"
                )
                raise PydanticCustomError("slice", "{message}", {"message": message})
        return self

    def _in_a_window(self, rate: Rate) -> tuple[int, int]:
        """Return how many whole tokens a window has, and how many ns it is long."""
        if self.slice is None:
            return rate.tokens, rate.period_ns
        return rate.tokens * self.slice // rate.period_ns, self.slice

    @property
    def behaviour(self) -> str:
        """The algorithm, where it is a window."""
        return self.type if self.algorithm == "token_bucket" else self.algorithm

    @property
    def kin(self) -> tuple[str | int | None, ...]:
        """What it counts, how, and over which time."""
        return self.type, self.counts, self.algorithm, self.rate.period_ns, self.slice

    def largest(self, numbers: Settings) -> int:
        """The burst, or what a window has: a cost above it is never earned."""
        return numbers["burst"]

    def settings(self) -> list[tuple[int, Settings]]:
        """`tokens` earned every `period_ns`, `burst` in tokens; `growth` in millionths, `first_use` 1 or 0.

        What a change leaves out stays as it was.
        """
        rate, burst, settings = self.rate, self.burst, []
        for time, change in ((self.from_, None), *((change.at, change) for change in self.changes)):
            if change is not None:
                rate, burst = change.rate or rate, change.burst or burst
            tokens, period_ns = self._in_a_window(rate)
            depth = burst or rate.depth if self.algorithm == "token_bucket" else tokens
            numbers = {"tokens": tokens, "period_ns": period_ns, "burst": depth}
            if self.algorithm == "ramp":
                numbers["growth"] = in_micro(self.growth or _GROWTH)
            elif self.begins == "first_use":
                numbers["first_use"] = 1
            settings.append((time, numbers))
        return settings


class ResourceChange(_Change):
    """A new capacity from a time on."""

    capacity: Level


class Resource(_Constraint):
    """A `capacity` in units of which a task holds an amount, in up to six decimals. Lowering it revokes nobody."""

    scale: ClassVar[int] = MICRO
    type: Literal["resource"]
    capacity: Level
    changes: Annotated[list[ResourceChange], Field(max_length=10_000)] = []
    unforeseen: Annotated[list[ResourceChange], Field(max_length=1000)] | None = None

    def largest(self, numbers: Settings) -> int:
        """The capacity."""
        return numbers["capacity"]

    def settings(self) -> list[tuple[int, Settings]]:
        """`capacity` in millionths of a unit."""
        timed = [(self.from_, self.capacity), *((change.at, change.capacity) for change in self.changes)]
        return [(time, {"capacity": in_micro(capacity)}) for time, capacity in timed]


class QuotaChange(_Change):
    """A new total from a time on."""

    total: Level


class Quota(_Counting):
    """A `total` of what it `counts` that does not come back, or comes back with each `period`."""

    scale: ClassVar[int] = MICRO
    type: Literal["quota"]
    total: Level
    period: Duration | None = None
    changes: Annotated[list[QuotaChange], Field(max_length=10_000)] = []
    unforeseen: Annotated[list[QuotaChange], Field(max_length=1000)] | None = None

    @model_validator(mode="after")
    def _check_period(self) -> Self:
        if self.period == 0:
            message = "a period of 0; allowed: a time above 0, or none"
            raise PydanticCustomError("period", "{message}", {"message": message})
        self._refuse_unless(self.period is not None, "begins", "a period")
        return self

    @property
    def kin(self) -> tuple[str | int | None, ...]:
        """What it counts, and over which time."""
        return self.type, self.counts, self.period

    def largest(self, numbers: Settings) -> int:
        """The total."""
        return numbers["total"]

    def settings(self) -> list[tuple[int, Settings]]:
        """`total` in millionths of a unit, `period_ns`, 0 where it does not come back, and `first_use` 1 or 0."""
        timed = [(self.from_, self.total), *((change.at, change.total) for change in self.changes)]
        first_use = {"first_use": 1} if self.begins == "first_use" else {}
        return [(time, {"total": in_micro(total), "period_ns": self.period or 0} | first_use) for time, total in timed]


class Adaptive(_Constraint):
    """Slots, of which there are more with each success and fewer with each failure or slow task, from `min` to `max`.

    For each `limit` successes it grows by `increase`; a failure, a timeout or a task that lasts longer than `latency`
    multiplies it by `decrease`, at most once every `cooldown`.
    """

    hears: ClassVar[bool] = True
    type: Literal["adaptive"]
    limit: Count
    min: Count = 1
    max: Count = 1000
    increase: Annotated[Positive, Field(le=1000)] = 1.0
    decrease: Annotated[Probability, Field(gt=0, lt=1)] = 0.5
    latency: Duration | None = None
    cooldown: Duration = 0
    changes: Annotated[list[_Change], Field(max_length=0)] = []
    unforeseen: Annotated[list[_Change], Field(max_length=0)] | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if not self.min <= self.limit <= self.max:
            message = f"a limit of {self.limit} that is not from {self.min} to {self.max}; allowed: min <= limit <= max"
            raise PydanticCustomError("bounds", "{message}", {"message": message})
        return self

    def largest(self, numbers: Settings) -> int:
        """The most it can become."""
        return numbers["most"]

    def settings(self) -> list[tuple[int, Settings]]:
        """`limit`, `least` and `most` in slots; `increase` and `decrease` in millionths; `latency_ns`, 0 for none."""
        numbers = {
            "limit": self.limit,
            "least": self.min,
            "most": self.max,
            "increase": in_micro(self.increase) * MICRO,
            "decrease": in_micro(self.decrease),
            "latency_ns": self.latency or 0,
            "cooldown_ns": self.cooldown,
        }
        return [(self.from_, numbers)]


class CircuitBreaker(_Constraint):
    """Opens when at least `failure_ratio` of at least `min_calls` that ended within `window` failed or timed out.

    Then it admits nobody for `open_for`, after that `probes` tasks: it closes when they all succeed, and opens again when
    one fails.
    """

    hears: ClassVar[bool] = True
    type: Literal["circuit_breaker"]
    on_limit: Literal["block", "reject"] = "reject"
    failure_ratio: Annotated[Probability, Field(gt=0)] = 0.5
    min_calls: Count = 10
    window: Duration
    open_for: Duration
    probes: Count = 1
    changes: Annotated[list[_Change], Field(max_length=0)] = []
    unforeseen: Annotated[list[_Change], Field(max_length=0)] | None = None

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        if not self.window or not self.open_for:
            message = "a window or an open_for of 0; allowed: times above 0"
            raise PydanticCustomError("times", "{message}", {"message": message})
        return self

    def settings(self) -> list[tuple[int, Settings]]:
        """`ratio` in millionths, `min_calls` and `probes` as numbers of tasks, `window_ns` and `open_ns`."""
        numbers = {
            "ratio": in_micro(self.failure_ratio),
            "min_calls": self.min_calls,
            "window_ns": self.window,
            "open_ns": self.open_for,
            "probes": self.probes,
        }
        return [(self.from_, numbers)]


class PauseChange(_Change):
    """Paused or not from a time on."""

    paused: Flag


class Pause(_Constraint):
    """Admits nobody that it matches while it is in force and `paused` is true. What runs goes on."""

    type: Literal["pause"]
    paused: Flag = True
    changes: Annotated[list[PauseChange], Field(max_length=10_000)] = []
    unforeseen: Annotated[list[PauseChange], Field(max_length=1000)] | None = None

    def settings(self) -> list[tuple[int, Settings]]:
        """`paused`: 1 or 0."""
        return [
            (self.from_, {"paused": int(self.paused)}),
            *((c.at, {"paused": int(c.paused)}) for c in self.changes),
        ]


Constraint = Annotated[
    Concurrency | Adaptive | Resource | RateLimit | Quota | CircuitBreaker | Pause,
    Field(discriminator="type"),
]
