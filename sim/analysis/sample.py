"""A sample of whole numbers: its mean, quantiles and maximum, in bounded memory.

Rules:

1. Count, sum, minimum and maximum are exact, whatever the size of the sample.
2. Quantiles are nearest-rank: each is a value of the sample. That is exact as long as at most `DIFFERENT` values differ;
   beyond that they are rounded up to `BITS` binary digits, by less than one part in a thousand.
3. What order values come in, and in what parts, makes no difference while quantiles are exact.
"""

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

DIFFERENT = 1 << 19
BITS = 11
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def total(values: Integers) -> int:
    """Return the sum of 64-bit values exactly, in two halves so that it cannot overflow."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


class Sample:
    """Values that are 0 or more, and how often each occurs."""

    __slots__ = ("_counts", "_fresh", "_fresh_rows", "_values", "count", "max", "min", "sum")

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        self.min: int | None = None
        self.max: int | None = None
        self._values = self._counts = np.zeros(0, np.int64)  # each different value once, in order
        self._fresh: list[Integers] = []  # what is not among them yet
        self._fresh_rows = 0

    def add(self, values: Integers) -> None:
        """Take in more values."""
        if not len(values):
            return
        self._account(len(values), total(values), int(values.min()), int(values.max()))
        self._fresh.append(values.astype(np.int64))
        self._fresh_rows += len(values)
        if self._fresh_rows > DIFFERENT:
            self._sort()

    def merge(self, other: "Sample") -> None:
        """Take in all values of another sample."""
        if other.min is None or other.max is None:
            return
        other._sort()
        self._account(other.count, other.sum, other.min, other.max)
        self._take_in(other._values, other._counts)

    @property
    def mean(self) -> float | None:
        """The mean; None where there is no value."""
        return self.sum / self.count if self.count else None

    def quantile(self, share: float) -> int | None:
        """Return the smallest value that at least this share of the values do not exceed; None where there is no value."""
        if not self.count:
            return None
        self._sort()
        rank = max(1, ceil(share * self.count))
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(int(self._values[place]), self.max or 0)

    def result(self) -> dict[str, Any]:
        """Return mean, quantiles and maximum, by the names of `--json`; None each where there is no value."""
        quantiles = {name: self.quantile(share) for name, share in QUANTILES.items()}
        return {"mean": self.mean, **quantiles, "max": self.max}

    def _account(self, count: int, sum_: int, least: int, most: int) -> None:
        self.count += count
        self.sum += sum_
        self.min = least if self.min is None else min(self.min, least)
        self.max = most if self.max is None else max(self.max, most)

    def _sort(self) -> None:
        """Put what is fresh among the others."""
        if self._fresh:
            values = np.sort(np.concatenate(self._fresh))
            self._fresh, self._fresh_rows = [], 0
            self._take_in(*_grouped(values, np.ones(len(values), np.int64)))

    def _take_in(self, values: Integers, counts: Integers) -> None:
        values, counts = np.concatenate([self._values, values]), np.concatenate([self._counts, counts])
        order = np.argsort(values, kind="stable")  # two runs that are in order: a merge
        self._values, self._counts = _grouped(values[order], counts[order])
        if len(self._values) > DIFFERENT:
            self._values, self._counts = _grouped(_rounded_up(self._values), self._counts)


def _grouped(values: Integers, counts: Integers) -> tuple[Integers, Integers]:
    """Return values that are in order once each, with the sums of their counts."""
    first = np.flatnonzero(np.append(True, np.diff(values) != 0))
    return values[first], np.add.reduceat(counts, first)


def _rounded_up(values: Integers) -> Integers:
    """Round values up to `BITS` binary digits; the largest there are, down."""
    shift = np.maximum(np.frexp(values.astype(np.float64))[1].astype(np.int64) - BITS, 0)
    up = (values + (np.int64(1) << shift) - 1) >> shift << shift
    return np.where(up < values, values >> shift << shift, up)
