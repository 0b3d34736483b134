"""Distributions: how a duration or a cost is written, and its inverse cumulative distribution function.

Rules:

1. `inverse_cdf` maps uniforms in (0, 1) to values, one value a uniform (inversion), in the unit of the parameters:
   nanoseconds for durations, tokens for costs. It is vectorised and depends on nothing but its argument.
2. It uses only `model.elementary` beyond the four operations and the square root, so that it gives the same bits on
   every machine.
3. `upper` bounds every value from above (infinity where there is no bound).
4. A `linear` value is not drawn: it is computed from the row of the trace by which the agent arrived.

Each is written as a mapping with one key, its name: `{uniform: [0.1s, 0.3s]}`. A bare quantity is a constant.
The parameter `Q` is the quantity, a `Duration` or an `Amount`.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from model import elementary
from model.schema import Amount, Count, Duration, Model, Positive, tag_of

Array = NDArray[np.float64]
InverseCdf = Callable[[Array], Array]
Q = TypeVar("Q", bound=float)
C = TypeVar("C")

NORMAL_95 = 1.6448536269514722
"""The 95 % point of the standard normal distribution."""


class Table(Protocol):
    """The rows of a data file."""

    def column(self, name: str) -> Array:
        """Return one numeric column."""


Tables = Mapping[str, Table]
"""The data files of a scenario, by the name under which the scenario knows them."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise PydanticCustomError("distribution", "{message}", {"message": message})


class Random(Model, Generic[Q]):
    """What every distribution answers."""

    @abstractmethod
    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """Return the inverse cumulative distribution function: an array in (0, 1) to an array of that shape."""

    @property
    def upper(self) -> float:
        """An upper bound of every value, in the unit of the parameters."""
        return float("inf")

    @property
    def source(self) -> tuple[str, str, float] | None:
        """The data file and the column that the distribution reads, and what a 1 there stands for, or None."""
        return None


class Uniform(Random[Q], Generic[Q]):
    """Every value between two bounds is equally likely: `{uniform: [LOW, HIGH]}`."""

    uniform: tuple[Q, Q]

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require(self.uniform[0] <= self.uniform[1], "LOW is above HIGH; allowed: [LOW, HIGH]")
        return self

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """Low + u (high - low)."""
        low, high = self.uniform
        return lambda u: low + u * (high - low)

    @property
    def upper(self) -> float:
        """The higher bound."""
        return float(self.uniform[1])


class Exponential(Random[Q], Generic[Q]):
    """Memoryless, by its mean: `{exponential: MEAN}`."""

    exponential: Q

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """-mean ln(1 - u), where 1 - u is as uniform as u."""
        mean = float(self.exponential)
        return lambda u: -mean * elementary.log(u)


class LognormalShape(Model, Generic[Q]):
    """By median and 95th percentile, or by mean and coefficient of variation."""

    median: Q | None = None
    p95: Q | None = None
    mean: Q | None = None
    cv: Positive | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = {name for name, value in self if value is not None}
        _require(
            given in ({"median", "p95"}, {"mean", "cv"}),
            f"{' and '.join(sorted(given)) or 'nothing'} {'are' if len(given) > 1 else 'is'} given; "
            "allowed: median and p95, or mean and cv",
        )
        location = self.median if self.median is not None else self.mean
        _require(bool(location), "the median or the mean is 0; allowed: above 0")
        _require(
            self.p95 is None or self.p95 >= (self.median or 0),
            "p95 is below the median; allowed: at or above it",
        )
        return self


class Lognormal(Random[Q], Generic[Q]):
    """The logarithm is normal: `{lognormal: {median: 2s, p95: 8s}}` or `{lognormal: {mean: 3s, cv: 1.2}}`."""

    lognormal: LognormalShape[Q]

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """exp(mu + sigma z), z the standard normal quantile."""
        shape = self.lognormal
        if shape.median is not None and shape.p95 is not None:
            mu = _log(shape.median)
            sigma = (_log(shape.p95) - mu) / NORMAL_95
        else:
            assert shape.mean is not None
            assert shape.cv is not None
            variance = _log(1.0 + shape.cv * shape.cv)
            mu, sigma = _log(shape.mean) - variance / 2, float(np.sqrt(variance))
        return lambda u: elementary.exp(mu + sigma * elementary.normal_quantile(u))


class GammaShape(Model, Generic[Q]):
    """By shape and mean."""

    shape: Annotated[Positive, Field(ge=0.01, le=10_000)]
    mean: Q


class Gamma(Random[Q], Generic[Q]):
    """`{gamma: {shape: 2.5, mean: 3s}}`; the scale is mean / shape."""

    gamma: GammaShape[Q]

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """Mean / shape times the standard gamma quantile."""
        return _gamma(self.gamma.shape, float(self.gamma.mean))


class ErlangShape(Model, Generic[Q]):
    """By the number of stages and the mean of their sum."""

    k: Annotated[Count, Field(le=10_000)]
    mean: Q


class Erlang(Random[Q], Generic[Q]):
    """The sum of `k` equal exponential stages: `{erlang: {k: 3, mean: 3s}}`."""

    erlang: ErlangShape[Q]

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """The gamma quantile with a whole shape."""
        return _gamma(float(self.erlang.k), float(self.erlang.mean))


class WeibullShape(Model, Generic[Q]):
    """By shape and scale."""

    shape: Annotated[Positive, Field(ge=0.05)]
    scale: Q


class Weibull(Random[Q], Generic[Q]):
    """`{weibull: {shape: 0.7, scale: 2s}}`."""

    weibull: WeibullShape[Q]

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """scale (-ln(1 - u)) ** (1 / shape), where 1 - u is as uniform as u."""
        power, scale = 1.0 / self.weibull.shape, float(self.weibull.scale)
        return lambda u: scale * elementary.power(-elementary.log(u), power)


class ParetoShape(Model, Generic[Q]):
    """By shape (the tail index) and minimum."""

    shape: Annotated[Positive, Field(ge=0.05)]
    minimum: Q

    @model_validator(mode="after")
    def _check(self) -> Self:
        # The tail of a small shape reaches infinity, and infinity times 0 is no number.
        _require(self.minimum > 0, "the minimum is 0; allowed: above 0")
        return self


class Pareto(Random[Q], Generic[Q]):
    """A heavy tail above a minimum: `{pareto: {shape: 1.5, minimum: 1s}}`; with a shape of 1 or less it has no mean."""

    pareto: ParetoShape[Q]

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """Minimum / (1 - u) ** (1 / shape), where 1 - u is as uniform as u."""
        power, minimum = -1.0 / self.pareto.shape, float(self.pareto.minimum)
        return lambda u: minimum * elementary.power(u, power)


class Triangular(Random[Q], Generic[Q]):
    """`{triangular: [LOW, MODE, HIGH]}`."""

    triangular: tuple[Q, Q, Q]

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, mode, high = self.triangular
        _require(low <= mode <= high and low < high, "not in order; allowed: [LOW, MODE, HIGH] with LOW below HIGH")
        return self

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """The rising side up to the mode, the falling side after it."""
        low, mode, high = (float(value) for value in self.triangular)
        width, rise, fall = high - low, mode - low, high - mode

        def inverse(u: Array) -> Array:
            rising = np.minimum(low + np.sqrt(u * width * rise), mode)  # rounding may lead past it
            return np.where(u * width < rise, rising, high - np.sqrt((1.0 - u) * width * fall))

        return inverse

    @property
    def upper(self) -> float:
        """The highest value."""
        return float(self.triangular[2])


class EmpiricalColumn(Model, Generic[Q]):
    """A numeric column of a CSV file; `scale` is what a 1 in it stands for."""

    file: str
    column: str
    scale: Q


class Empirical(Random[Q], Generic[Q]):
    """What was measured: `{empirical: [0.1s, 0.4s, 9s]}` or `{empirical: {file: F, column: C, scale: 1ms}}`.

    A list holds evenly spaced quantiles, from the minimum to the maximum, joined by straight lines. From a file, each
    row is equally likely.
    """

    empirical: Annotated[list[Q], Field(min_length=2, max_length=10_000)] | EmpiricalColumn[Q]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.empirical, list):
            ordered = all(a <= b for a, b in pairwise(self.empirical))
            _require(ordered, "the quantiles are not in order; allowed: from the minimum to the maximum")
        return self

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """The quantiles joined by lines, or the sorted column as steps."""
        if isinstance(self.empirical, list):
            points = np.array(self.empirical, dtype=np.float64)

            def joined(u: Array) -> Array:
                at = u * (len(points) - 1)
                below = np.minimum(at.astype(np.int64), len(points) - 2)
                between: Array = points[below] + (at - below) * (points[below + 1] - points[below])
                return between

            return joined
        values: Array = np.sort(tables[self.empirical.file].column(self.empirical.column)) * float(self.empirical.scale)

        def steps(u: Array) -> Array:
            at: Array = values[np.minimum((u * len(values)).astype(np.int64), len(values) - 1)]
            return at

        return steps

    @property
    def upper(self) -> float:
        """The last quantile."""
        return float(self.empirical[-1]) if isinstance(self.empirical, list) else float("inf")

    @property
    def source(self) -> tuple[str, str, float] | None:
        """The file, column and scale, unless the quantiles are inline."""
        column = self.empirical
        return None if isinstance(column, list) else (column.file, column.column, column.scale)


class LinearTerms(Model, Generic[Q]):
    """A base, and for each named trace column what a 1 in it adds."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Q]

    base: Q | None = None

    @property
    def factors(self) -> dict[str, Q]:
        """What a 1 in each column adds."""
        return self.__pydantic_extra__

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require(bool(self.factors), "no column is named; allowed: {base: 200ms, COLUMN: 20ms}")
        return self


class Linear(Random[Q], Generic[Q]):
    """Computed from the agent's own row of its arrival trace: `{linear: {base: 200ms, GeneratedTokens: 20ms}}`."""

    linear: LinearTerms[Q]

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """Raise TypeError: a linear value is not drawn."""
        raise TypeError("a linear value is computed from the rows of a trace, not drawn")

    def of_rows(self, table: Table) -> Array:
        """Return the value of every row: the base plus each column times its factor, in the order written."""
        total: Array | float = float(self.linear.base or 0)
        for name, factor in self.linear.factors.items():
            total = total + table.column(name) * float(factor)
        assert isinstance(total, np.ndarray)
        return total


class Branch(Model, Generic[C]):
    """One component of a mixture."""

    weight: Positive
    value: C


class Mixture(Random[float], Generic[C]):
    """One of several, by weight: `{mixture: [{weight: 9, value: 1s}, {weight: 1, value: {exponential: 30s}}]}`."""

    mixture: Annotated[list[Branch[C]], Field(min_length=1, max_length=1000)]

    def inverse_cdf(self, tables: Tables) -> InverseCdf:
        """The uniform chooses the component; what is left of it, stretched over (0, 1) again, draws from it."""
        weights = np.array([branch.weight for branch in self.mixture])
        # Not np.sum: its order, and so its last bit, is NumPy's choice, and the last edge would not be 1.
        edges = np.concatenate([[0.0], np.cumsum(weights)])
        edges /= edges[-1]
        parts = [inverse_cdf(branch.value, tables) for branch in self.mixture]

        def inverse(u: Array) -> Array:
            chosen = np.searchsorted(edges, u, side="right") - 1
            rest = (u - edges[chosen]) / (edges[chosen + 1] - edges[chosen])
            rest = np.clip(rest, 2.0**-54, 1 - 2.0**-53)  # stays open at both ends after rounding
            values = np.empty_like(u)
            for number, part in enumerate(parts):
                values[chosen == number] = part(rest[chosen == number])
            return values

        return inverse

    @property
    def upper(self) -> float:
        """The highest bound of the components."""
        return max(upper(branch.value) for branch in self.mixture)


_COMPONENTS: tuple[Any, ...] = (
    Uniform,
    Exponential,
    Lognormal,
    Gamma,
    Erlang,
    Weibull,
    Pareto,
    Triangular,
    Empirical,
)
DISTRIBUTION_TAGS = tuple(next(iter(member.model_fields)) for member in (*_COMPONENTS, Linear, Mixture))
"""The keys by which a distribution is written."""


def _union(quantity: Any, *members: Any) -> Any:
    """Return the discriminated union of a bare quantity and `members`, each told by its one key."""
    annotated: Any = Annotated  # built at run time, so there is nothing for a type checker to see
    tags = tuple(next(iter(member.model_fields)) for member in members)
    tagged = [annotated[member, Tag(tag)] for member, tag in zip(members, tags, strict=True)]
    union = reduce(or_, tagged, annotated[quantity, Tag("constant")])
    return annotated[union, Discriminator(lambda value: tag_of(value, tags, "constant"))]


def _family(quantity: Any) -> Any:
    mixture: Any = Mixture
    components = [member[quantity] for member in _COMPONENTS]
    return _union(quantity, *components, Linear[quantity], mixture[_union(quantity, *components)])


if TYPE_CHECKING:
    DurationDistribution = int | Random[int]
    AmountDistribution = float | Random[float]
else:
    DurationDistribution = _family(Duration)
    AmountDistribution = _family(Amount)


def inverse_cdf(value: object, tables: Tables) -> InverseCdf:
    """Return the inverse cumulative distribution function of a distribution or a constant."""
    if isinstance(value, Random):
        return value.inverse_cdf(tables)
    assert isinstance(value, (int, float))
    constant = float(value)
    return lambda u: np.full_like(u, constant)


def upper(value: object) -> float:
    """Return an upper bound of a distribution or a constant."""
    return value.upper if isinstance(value, Random) else float(value)  # type: ignore[arg-type] # a constant is a number


def _log(x: float) -> float:
    return float(elementary.log(np.array([float(x)]))[0])


def _gamma(shape: float, mean: float) -> InverseCdf:
    scale = mean / shape
    return lambda u: scale * elementary.gamma_quantile(shape, u)
