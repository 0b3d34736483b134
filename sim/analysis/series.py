"""A series of observations: where its warm-up ends, and how sure one may be of its mean.

Rules:

1. Observations are taken together in groups of 5, and of 10, 20 ... when there are more than `GROUPS` of them: bounded
   memory.
2. The warm-up ends where MSER-5 says: after the number of groups, at most half, without which the squared standard error
   of the mean is smallest. (White, An effective truncation heuristic for bias reduction in simulation output, Simulation
   69(6), 1997; White, Cobb and Spratt, A comparison of five steady-state truncation heuristics for simulation, Winter
   Simulation Conference 2000.)
3. The interval is that of `BATCHES` batch means of what is left, at 95 %. (Law, Simulation Modeling and Analysis, ch. 9.)
4. The run is too short to say where the warm-up might go on past half of it, where there are too few groups, or where
   neighbouring batch means are correlated: then the interval would be too narrow.
"""

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
    """Observations in their order; add them, then ask for `result`."""

    def __init__(self) -> None:
        self.count = 0
        self.size = SIZE
        self._sums: NDArray[np.float64] = np.zeros(0)
        self._rest: NDArray[np.float64] = np.zeros(0)  # what does not fill a group yet

    def add(self, values: NDArray[np.int64]) -> None:
        """Take in the next observations."""
        self.count += len(values)
        waiting = np.concatenate([self._rest, values.astype(np.float64)])
        whole = len(waiting) // self.size
        fresh = waiting[: whole * self.size].reshape(whole, self.size).sum(axis=1)
        self._rest = waiting[whole * self.size :]
        self._sums = np.concatenate([self._sums, fresh])
        while len(self._sums) > GROUPS:
            if len(self._sums) % 2:
                # The odd one out goes back: its sum stands for its observations.
                mean = self._sums[-1] / self.size
                self._rest = np.concatenate([np.full(self.size, mean), self._rest])
                self._sums = self._sums[:-1]
            self._sums = self._sums.reshape(-1, 2).sum(axis=1)
            self.size *= 2
            if len(self._rest) >= self.size:
                self._sums = np.append(self._sums, self._rest[: self.size].sum())
                self._rest = self._rest[self.size :]

    def result(self) -> dict[str, Any]:
        """Return the warm-up in observations, the mean after it, half the width of its interval, and any doubt."""
        means = self._sums / self.size
        cut = _mser(means)
        left = means[cut:]
        told: dict[str, Any] = {
            "observations": self.count,
            "warm_up": cut * self.size,
            "mean": float(left.mean()) if len(left) else None,
            "half_width": None,
            "batches": None,
            "doubt": None,
        }
        size = len(left) // BATCHES
        if not size:
            return {**told, "doubt": f"{self.count} observations are too few; it takes {2 * BATCHES * SIZE} or more"}
        batches = left[len(left) - size * BATCHES :].reshape(BATCHES, size).mean(axis=1)
        told["half_width"] = T_19 * float(batches.std(ddof=1)) / sqrt(BATCHES)
        told["batches"] = BATCHES
        if cut >= len(means) // 2:
            told["doubt"] = "the warm-up may not be over"
        elif _correlation(batches) > CORRELATED:
            told["doubt"] = "what follows each other is alike: the run is too short for an interval"
        return told


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
