"""Incidents: what goes wrong for a while, as a person writes it down, and what becomes of an agent that crashes.

Rules:

1. An incident does something to the tasks that it governs while it lasts: it slows them down, refuses or blocks them, or
   lets them fail. In the Plan and in a log it is a constraint, so that who is refused is charged to it.
2. When it begins and ends is known before the run (`model.timeline`), and hangs on nothing that happens in it.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError

from model.distributions import DurationDistribution
from model.limits import SCOPE_HINT, in_micro
from model.schema import Duration, Flag, Model, Name, Positive, Probability
from model.units import MICRO

INCIDENT_SCOPE_PATTERN = r"^(global|(task|fleet|tenant|constraint):.+)$"
INCIDENT_SCOPE_HINT = f"{SCOPE_HINT.replace(' or', ',')} or constraint:PATTERN"
BY_CONSTRAINT = "constraint:"
"""How a scope begins that means all tasks that these constraints govern."""

IncidentScope = Annotated[str, StringConstraints(pattern=INCIDENT_SCOPE_PATTERN)]
"""Whom an incident hits: as for a constraint, or all that the constraints with these ids govern."""

_Times = Annotated[
    Annotated[Duration, Tag("one")] | Annotated[list[Duration], Field(min_length=1, max_length=10_000), Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list) else "one"),
]


class Incident(Model):
    """Something that goes wrong `at` a time, at several, or again and again with a drawn time `between`, and `lasts`.

    While it lasts, work takes `slow` times as long: that of `all`, or only that of attempts that begin meanwhile (`new`),
    and that to its end. The share `refuse` of the requests is refused at once; with `block` nobody is admitted, and all
    wait. The share `fail` of the attempts that begin meanwhile ends in failure. Without `lasts` it never ends.
    `retry_after` is what a refusal says, if it says anything.
    """

    id: Name
    scope: IncidentScope = "global"
    at: _Times | None = None
    between: DurationDistribution | None = None
    lasts: DurationDistribution | None = None
    slow: Annotated[Positive, Field(ge=1, le=1_000_000)] = 1.0
    applies_to: Literal["all", "new"] = "all"
    refuse: Probability = 0.0
    block: Flag = False
    fail: Probability = 0.0
    retry_after: Duration | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        problem = None
        if (self.at is None) == (self.between is None):
            both = "neither at nor between" if self.at is None else "both at and between"
            problem = f"{both}; allowed: at for known times, between for drawn ones"
        elif self.between is not None and self.lasts is None:
            problem = "between without lasts; allowed: lasts with between"
        elif isinstance(self.at, list) and any(b <= a for a, b in pairwise(self.at)):
            problem = "the times of at are not in order; allowed: each after the one before"
        elif not any((in_micro(self.slow) > MICRO, in_micro(self.refuse), self.block, in_micro(self.fail))):
            problem = "it does nothing; allowed: slow, refuse, block or fail, in up to six decimals"
        elif self.block and self.refuse:
            problem = "both block and refuse; allowed: block where all wait, refuse where they are told so at once"
        elif self.retry_after is not None and not self.refuse:
            problem = "retry_after without refuse; allowed: retry_after with refuse"
        elif self.applies_to == "new" and self.slow == 1:
            problem = "applies_to without slow; allowed: applies_to with slow"
        if problem is not None:
            raise PydanticCustomError("incident", "{message}", {"message": problem})
        return self

    @property
    def waits_only(self) -> bool:
        """Whether it does nothing but let tasks wait."""
        return self.slow == 1 and not self.refuse and not self.fail

    @property
    def slows_all(self) -> bool:
        """Whether work that is going on changes its speed."""
        return self.slow > 1 and self.applies_to == "all"

    def numbers(self) -> dict[str, int]:
        """Return what it does in whole numbers: `slow`, `refuse` and `fail` in millionths, the others 1 or 0."""
        return {
            "slow": in_micro(self.slow),
            "new": int(self.applies_to == "new"),
            "refuse": in_micro(self.refuse),
            "block": int(self.block),
            "fail": in_micro(self.fail),
        }


class Crash(Model):
    """An agent crashes after an `uptime`, is gone for the time of its `repair`, and begins again with its first step.

    The means of the two are known as MTBF or MTTF, and MTTR. The uptime counts from the start, and from each restart.
    """

    uptime: DurationDistribution
    repair: DurationDistribution = 0
