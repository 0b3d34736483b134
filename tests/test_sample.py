"""Samples: against sorting, and within the stated error where there are too many different values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.analysis import sample
from sim.analysis.sample import QUANTILES, Sample

VALUES = st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 20), max_size=60)


def nearest_rank(values: list[int], share: float) -> int:
    """The smallest value that at least this share of the values do not exceed, by counting."""
    return next(value for value in sorted(values) if sum(each <= value for each in values) >= share * len(values))


@given(st.lists(VALUES, max_size=4))
def test_it_says_what_sorting_says_however_the_values_come(parts: list[list[int]]) -> None:
    one, several = Sample(), Sample()
    for part in parts:
        one.add(np.array(part, np.int64))
        other = Sample()
        other.add(np.array(part, np.int64))
        several.merge(other)
    values = [value for part in parts for value in part]
    if not values:
        assert one.result() == several.result() == dict.fromkeys(("mean", *QUANTILES, "max"))
        return
    expected = {name: nearest_rank(values, share) for name, share in QUANTILES.items()}
    assert one.result() == several.result() == {"mean": sum(values) / len(values), **expected, "max": max(values)}
    assert (one.min, one.count, one.sum) == (min(values), len(values), sum(values))


@given(VALUES.filter(len))
def test_where_too_many_differ_a_quantile_is_at_most_a_thousandth_above(values: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "DIFFERENT", 3)
        found = Sample()
        for value in values:
            found.add(np.array([value], np.int64))
        for share in (0.01, 0.5, 0.95, 1.0):
            exact, told = nearest_rank(values, share), found.quantile(share)
            assert told is not None
            assert abs(told - exact) <= exact / 1024
            assert told >= exact or exact > 2**62  # the largest there are have nothing above them
        assert (found.sum, found.max) == (sum(values), max(values))
        assert len(found._values) < 3 + 64 * 2**10
