"""The constraints of a scenario as a person writes them: one class a type, and the union of them all.

Rules:

1. A type has its own settings (`limit`, `rate` and `burst` ...) and a `changes` list that gives new values at a time.
2. `settings()` turns them into plain whole numbers, the only thing that the Plan and the engine see of a type.
3. A new type is a class here, in the union at the end, and a class of the same name in `sim/constraints`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from model.schema import Count, Duration, Flag, Model, Name, RateField, WholeNumber

SCOPE_HINT = "global, task:PATTERN, fleet:PATTERN or tenant:PATTERN"

SCOPE_PATTERN = r"^(global|(task|fleet|tenant):.+)$"

Scope = Annotated[str, StringConstraints(pattern=SCOPE_PATTERN)]
"""Whom a constraint governs; patterns are shell-style, and a task is called FLEET_NUMBER_STEP."""

Settings = dict[str, int]
"""The numbers of a constraint while no change comes between, by the names that its type gives them."""


class _Change(Model):
    """New values from a time on."""

    at: Duration


class _Constraint(Model):
    """What all types share: an id, whom it governs, when it is in force, and what becomes of whom it refuses.

    Who is refused waits, or with `on_limit: reject` is told so at once. `queue` is the order in which those who wait are
    served: `priority` the highest first, `edf` the earliest deadline, `sjf` the shortest duration, `random` a uniform
    choice, `fair` the tenant (or fleet) that had least by its weight. Under `admission: strict` nobody passes the first
    in the queue. At most `room` wait; then `overflow` says who is refused: the `newest`, the `oldest`, or `all`.
    """

    id: Name
    scope: Scope | None = None
    from_: Annotated[Duration, Field(alias="from")] = 0
    expires: Duration | None = None
    changes: Sequence[_Change] = ()
    on_limit: Literal["block", "reject"] = "block"
    queue: Literal["fifo", "lifo", "priority", "edf", "sjf", "random", "fair"] = "fifo"
    fair_by: Literal["tenant", "fleet"] = "tenant"
    admission: Literal["first_fit", "strict"] = "first_fit"
    room: Annotated[WholeNumber, Field(ge=0)] | None = None
    overflow: Literal["newest", "oldest", "all"] = "newest"

    @model_validator(mode="after")
    def _check(self) -> Self:
        times = [change.at for change in self.changes]
        problem = None
        if self.expires is not None and self.expires <= self.from_:
            problem = "it expires before it begins; allowed: expires after from"
        elif any(b <= a for a, b in pairwise(times)):
            problem = "the changes are not in order; allowed: each change after the one before"
        elif times and times[0] <= self.from_:
            problem = "the first change comes before the constraint begins; allowed: at after from"
        elif times and self.expires is not None and times[-1] >= self.expires:
            problem = "the last change comes after the constraint expires; allowed: at before expires"
        if problem is not None:
            raise PydanticCustomError("timeline", "{message}", {"message": problem})
        return self

    @property
    def preempted(self) -> str | None:
        """What becomes of a task whose slots a more important one takes; None where none is taken."""
        return None

    @property
    def counted(self) -> str | None:
        """What a limit with a cost counts; None for a type without a cost."""
        return None

    def largest(self, numbers: Settings) -> int | None:
        """Return the largest amount that can be admitted under these numbers, or None where there is no bound."""
        return None

    @abstractmethod
    def settings(self) -> list[tuple[int, Settings]]:
        """Return (time in ns, whole numbers in force from then on) from the beginning through every change."""


class ConcurrencyChange(_Change):
    """A new limit from a time on."""

    limit: Count


class Concurrency(_Constraint):
    """At most `limit` holders at once. Lowering it revokes nobody.

    With `preempt` a task takes the slots of less important ones that run; they `resume` where they were, `restart`,
    start again with a new duration (`resample`), or `fail`.
    """

    type: Literal["concurrency"]
    limit: Count
    changes: Annotated[list[ConcurrencyChange], Field(max_length=10_000)] = []
    preempt: Literal["resume", "restart", "resample", "fail"] | None = None

    @model_validator(mode="after")
    def _check_preemption(self) -> Self:
        if self.preempt is not None and self.queue != "priority":
            message = f"preempt with queue {self.queue}; allowed: preempt with queue: priority"
            raise PydanticCustomError("preempt", "{message}", {"message": message})
        return self

    @property
    def preempted(self) -> str | None:
        """`preempt`."""
        return self.preempt

    def largest(self, numbers: Settings) -> int:
        """The limit."""
        return numbers["limit"]

    def settings(self) -> list[tuple[int, Settings]]:
        """`limit` in slots."""
        return [(self.from_, {"limit": self.limit}), *((c.at, {"limit": c.limit}) for c in self.changes)]


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


class RateLimit(_Constraint):
    """A token bucket: `rate` earns tokens up to `burst`, which it starts with; by default `10/m` is ten deep.

    `counts` says what it counts. A task costs 1 of everything unless its `cost` says otherwise.
    """

    type: Literal["rate_limit"]
    rate: RateField
    burst: Count | None = None
    counts: Name = "requests"
    changes: Annotated[list[RateLimitChange], Field(max_length=10_000)] = []

    @property
    def counted(self) -> str:
        """What this limit counts."""
        return self.counts

    def largest(self, numbers: Settings) -> int:
        """The burst: a cost above it is never earned."""
        return numbers["burst"]

    def settings(self) -> list[tuple[int, Settings]]:
        """`tokens` earned every `period_ns`, `burst` in tokens. What a change leaves out stays as it was."""
        rate, burst, settings = self.rate, self.burst, []
        for time, change in ((self.from_, None), *((change.at, change) for change in self.changes)):
            if change is not None:
                rate, burst = change.rate or rate, change.burst or burst
            numbers = {"tokens": rate.tokens, "period_ns": rate.period_ns, "burst": burst or rate.depth}
            settings.append((time, numbers))
        return settings


class PauseChange(_Change):
    """Paused or not from a time on."""

    paused: Flag


class Pause(_Constraint):
    """Admits nobody that it matches while it is in force and `paused` is true. What runs goes on."""

    type: Literal["pause"]
    paused: Flag = True
    changes: Annotated[list[PauseChange], Field(max_length=10_000)] = []

    def settings(self) -> list[tuple[int, Settings]]:
        """`paused`: 1 or 0."""
        return [
            (self.from_, {"paused": int(self.paused)}),
            *((c.at, {"paused": int(c.paused)}) for c in self.changes),
        ]


Constraint = Annotated[Concurrency | RateLimit | Pause, Field(discriminator="type")]
