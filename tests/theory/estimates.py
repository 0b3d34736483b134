"""From independent replications to a confidence interval, for every kind of result that is compared.

Rules:

1. A quantity observes a few sums in each replication. Its estimate is worked out from the sums over all of them, so that
   the bias of a ratio, a variance or a quantile is that of the whole sample and not of one replication.
2. The estimate is linearised: it is the exact value plus, to first order, the mean of one deviation a replication. These
   are independent and alike, so Student's t with R - 1 degrees of freedom gives the interval (Asmussen and Glynn,
   Stochastic Simulation, 2007, sections III.3, III.4; Law, Simulation Modeling and Analysis, section 9.4: replication and
   deletion). No variance is ever estimated inside a replication, where waits are correlated.
3. What never varies, such as a wait where there is no room to wait, has an interval of no width: an equality.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from .measures import Seconds, Window

Sums = NDArray[np.float64]
Measure = Callable[[Window], float]
Sample = Callable[[Window], Seconds]

_BAND = 0.1
"""Half of the stretch around a quantile in which the density there is estimated, as a share of the quantile."""


class Quantity(Protocol):
    """Something that is estimated from replications."""

    def observe(self, window: Window) -> Sequence[float]:
        """Return the sums of one replication."""

    def linearise(self, sums: Sums) -> tuple[float, Sums]:
        """Return the estimate from the sums, a row a replication, and the deviation of each replication."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One sum over another: a mean by its number, a rate or a number in system by time."""

    numerator: Measure
    denominator: Measure

    def observe(self, window: Window) -> Sequence[float]:
        return self.numerator(window), self.denominator(window)

    def linearise(self, sums: Sums) -> tuple[float, Sums]:
        over, under = sums.T
        ratio = over.sum() / under.sum()
        return float(ratio), (over - ratio * under) / under.mean()


@dataclass(frozen=True, slots=True)
class Moment:
    """The mean of a power of what is sampled."""

    sample: Sample
    power: int = 1

    def observe(self, window: Window) -> Sequence[float]:
        sample = self.sample(window)
        return float((sample**self.power).sum()), len(sample)

    def linearise(self, sums: Sums) -> tuple[float, Sums]:
        over, number = sums.T
        mean = over.sum() / number.sum()
        return float(mean), (over - mean * number) / number.mean()


@dataclass(frozen=True, slots=True)
class Variance:
    """The variance of what is sampled. (That its mean is estimated too changes nothing to first order.)"""

    sample: Sample

    def observe(self, window: Window) -> Sequence[float]:
        sample = self.sample(window)
        return len(sample), float(sample.sum()), float((sample**2).sum())

    def linearise(self, sums: Sums) -> tuple[float, Sums]:
        number, total, squares = sums.T
        mean = total.sum() / number.sum()
        centred = squares - 2 * mean * total + mean**2 * number
        variance = centred.sum() / number.sum()
        return float(variance), (centred - variance * number) / number.mean()


@dataclass(frozen=True, slots=True)
class Quantile:
    """The quantile at `level` of what is sampled, from how many lie above the exact one.

    The share above the exact quantile is a mean, so this test of the quantile has no bias. It is told on the scale of the
    quantile by Bahadur's representation (Annals of Mathematical Statistics 37, 1966): the sample quantile is, to first
    order, q + (share above q - (1 - level)) / density at q.
    """

    sample: Sample
    level: float
    exact: float

    def observe(self, window: Window) -> Sequence[float]:
        sample = self.sample(window)
        near = np.abs(sample - self.exact) < _BAND * self.exact
        return len(sample), int(np.count_nonzero(sample > self.exact)), int(np.count_nonzero(near))

    def linearise(self, sums: Sums) -> tuple[float, Sums]:
        number, above, near = sums.T
        density = near.sum() / number.sum() / (2 * _BAND * self.exact)
        share = above.sum() / number.sum()
        deviations = (above - share * number) / number.mean() / density
        return float(self.exact + (share - (1 - self.level)) / density), deviations


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the half-width of its confidence interval."""

    estimate: float
    half_width: float

    def covers(self, value: float) -> bool:
        """Say whether the value is in the interval."""
        return abs(self.estimate - value) <= self.half_width


def interval(quantity: Quantity, sums: Sums, false_alarm: float) -> Interval:
    """Return the interval that misses the true value with probability `false_alarm`."""
    estimate, deviations = quantity.linearise(sums)
    replications = len(deviations)
    error = float(deviations.std(ddof=1)) / replications**0.5
    return Interval(estimate, float(student.isf(false_alarm / 2, replications - 1)) * error)
