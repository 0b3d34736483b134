"""A series of times: where its warm-up ends, and how sure one may be of its mean.

Rules:

1. Observations are taken together in groups of 5, and of 10, 20 ... when there are more than `GROUPS` of them: bounded
   memory. In what parts they come makes no difference (sums are exact up to 2^53 ns, which is 104 days).
2. The warm-up ends where MSER-5 says: after the number of groups, at most half, without which the squared standard error
   of the mean is smallest. (White, An effective truncation heuristic for bias reduction in simulation output, Simulation
   69(6), 1997; White, Cobb and Spratt, A comparison of five steady-state truncation heuristics for simulation, Winter
   Simulation Conference 2000.)
3. The interval is that of `BATCHES` batch means of what is left, at 95 %. (Law, Simulation Modeling and Analysis, ch. 9.)
4. The run is too short to say where there are too few groups, where neighbouring batch means are correlated, so that the
   interval would be too narrow, or where the warm-up takes more than a quarter of it: what is left out may be the outage
   that one wants to know of.
"""

from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 5
GROUPS = 1 << 13
BATCHES = 20
T_19 = 2.093024
"""The 97.5 % quantile of Student's t with 19 degrees of freedom, one less than there are batches."""
CORRELATED = 0.4
"""The correlation of neighbouring batch means above which they are not taken for independent: by chance one of twenty such
series has 1.645 / sqrt(20) = 0.37 or more."""


class Series:
    """Observations in their order, in ns; add them, then ask for `result`."""

    def __init__(self) -> None:
        self.count = 0
        self.size = SIZE
        self._sums: NDArray[np.float64] = np.zeros(0)  # of each group
        self._begun, self._sum = 0, 0.0  # how many there are of the group that is not full yet, and their sum

    def add(self, values: NDArray[np.int64]) -> None:
        """Take in the next observations."""
        self.count += len(values)
        missing = self.size - self._begun
        if len(values) < missing:
            self._begun += len(values)
            self._sum += float(values.sum(dtype=np.float64))
            return
        first = self._sum + float(values[:missing].sum(dtype=np.float64))
        values = values[missing:]
        whole = len(values) // self.size * self.size
        rest = values[whole:]
        fresh = np.add.reduceat(values[:whole].astype(np.float64), np.arange(0, whole, self.size)) if whole else ()
        self._sums = np.concatenate([self._sums, [first], fresh])
        self._begun, self._sum = len(rest), float(rest.sum(dtype=np.float64))
        while len(self._sums) > GROUPS:
            self._take_together()

    def _take_together(self) -> None:
        """Make groups of twice the size; an odd one is the beginning of the next."""
        even = len(self._sums) // 2 * 2
        if even < len(self._sums):
            self._begun += self.size
            self._sum += float(self._sums[even])
        self._sums = self._sums[:even].reshape(-1, 2).sum(axis=1)
        self.size *= 2

    def result(self) -> dict[str, Any]:
        """Return the warm-up in observations, the mean after it, half the width of its interval, and any doubt.

        It has the names of `--json`; what is not known is None.
        """
        means = self._sums / self.size
        cut = _mser(means)
        left = means[cut:]
        warm_up = cut * self.size
        # Those of the group that is not full are after the warm-up as well.
        total = float(self._sums[cut:].sum()) + self._sum
        told: dict[str, Any] = {
            "observations": self.count,
            "warm_up": warm_up,
            "mean_ns": total / (self.count - warm_up) if self.count else None,
            "half_width_ns": None,
            "batches": None,
            "doubt": None,
        }
        size = len(left) // BATCHES
        if not size:
            return {**told, "doubt": f"fewer than {BATCHES * SIZE} observations after the warm-up"}
        batches = left[len(left) - size * BATCHES :].reshape(BATCHES, size).mean(axis=1)
        told["half_width_ns"] = T_19 * float(batches.std(ddof=1)) / sqrt(BATCHES)
        told["batches"] = BATCHES
        if cut >= len(means) // 2:
            told["doubt"] = "the warm-up may not be over"
        elif cut > len(means) // 4:
            told["doubt"] = "more than a quarter was taken for the warm-up: it may be what matters"
        elif _correlation(batches) > CORRELATED:
            told["doubt"] = "what follows each other is alike: the run is too short for an interval"
        return told


class Grouped:
    """A series for each of some groups, by their numbers."""

    def __init__(self, groups: int) -> None:
        self.series = [Series() for _ in range(groups)]

    def add(self, groups: NDArray[np.int16], values: NDArray[np.int64]) -> None:
        """Take in the next observations in their order, each of a group; those below 0 are of none."""
        order = np.argsort(groups, kind="stable")
        edges = np.searchsorted(groups[order], np.arange(len(self.series) + 1))
        for series, (first, stop) in zip(self.series, pairwise(edges.tolist()), strict=True):
            if first < stop:
                series.add(values[order[first:stop]])


def _mser(means: NDArray[np.float64]) -> int:
    """Return how many of the first are best left out: at most half."""
    count = len(means)
    if count < 2:
        return 0
    left = np.arange(count, 0, -1, dtype=np.float64)  # how many are left without the first 0, 1, 2 ...
    shifted = means - means.mean()  # else squares of large numbers would be taken from each other
    sums = np.cumsum(shifted[::-1])[::-1]
    squares = np.cumsum((shifted**2)[::-1])[::-1]
    errors = np.maximum(squares - sums**2 / left, 0) / left**2
    return int(np.argmin(errors[: count // 2 + 1]))


def _correlation(values: NDArray[np.float64]) -> float:
    """Return the correlation of neighbours; 0 where all are the same."""
    off = values - values.mean()
    spread = float((off**2).sum())
    return float((off[1:] * off[:-1]).sum()) / spread if spread else 0.0
