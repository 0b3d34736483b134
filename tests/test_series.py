"""Warm-up and intervals: by hand, by their definition, and by how often they cover a known mean."""

from math import sqrt
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.analysis import series
from sim.analysis.series import BATCHES, T_19, Grouped, Series


def told(values: Any, *cuts: int) -> dict[str, Any]:
    """What is said of values that come in parts."""
    found = Series()
    for part in np.split(np.asarray(values, np.int64), cuts):
        found.add(part)
    return found.result()


def mser_5(values: list[int]) -> int:
    """Where the warm-up ends, in observations, by the definition: the squared standard error for each cut, one by one."""
    means = [mean(values[start : start + 5]) for start in range(0, len(values) - 4, 5)]
    errors = []
    for cut in range(len(means) // 2 + 1):
        left = means[cut:]
        centre = mean(left)
        errors.append(sum((each - centre) ** 2 for each in left) / len(left) ** 2)
    return 5 * min(range(len(errors)), key=lambda cut: (errors[cut], cut))


@given(st.lists(st.integers(0, 1000), min_size=10, max_size=120), st.integers(0, 60))
def test_the_warm_up_is_where_the_error_is_smallest(values: list[int], cut: int) -> None:
    found = told(values, min(cut, len(values)))
    chosen, wanted = found["warm_up"], mser_5(values)
    if chosen != wanted:  # equally good but for rounding
        means = np.array([mean(values[start : start + 5]) for start in range(0, len(values) - 4, 5)])
        left = [means[int(cut) // 5 :] for cut in (chosen, wanted)]
        one, other = (float(((each - each.mean()) ** 2).mean() / len(each)) for each in left)
        assert one == pytest.approx(other, abs=1e-9)


def test_what_rises_at_first_is_left_out_and_the_interval_is_that_of_batch_means() -> None:
    values = [100] * 50 + [1000 + (n * 7919) % 101 for n in range(2000)]
    found = told(values)
    assert 50 <= found["warm_up"] <= 100
    left = values[found["warm_up"] :]
    size = len(left) // 5 // BATCHES * 5
    batches = [mean(left[start : start + size]) for start in range(len(left) - BATCHES * size, len(left), size)]
    assert found["mean_ns"] == pytest.approx(mean(left))
    assert found["half_width_ns"] == pytest.approx(T_19 * stdev(batches) / sqrt(BATCHES))
    assert (found["batches"], found["doubt"]) == (20, None)


def test_what_is_too_short_or_correlated_is_doubted() -> None:
    assert told([1, 2, 3])["doubt"] == "fewer than 100 observations after the warm-up"
    assert told([1, 2, 3])["half_width_ns"] is None
    rising = told(list(range(1000)))
    assert rising["doubt"] == "the warm-up may not be over"
    slow = [int(1000 * np.sin(n / 400)) + 1000 for n in range(4000)]
    assert told(slow)["doubt"] in (
        "what follows each other is alike: the run is too short for an interval",
        "the warm-up may not be over",
    )


def test_memory_is_bounded_and_the_groups_become_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "GROUPS", 64)
    values = np.random.default_rng(1).integers(0, 1000, 10_001)
    found = Series()
    for part in np.array_split(values, 37):
        found.add(part)
    assert len(found._sums) <= 64
    assert found.size == 5 * 2**5  # 2,000 groups of 5 are 62 of 160
    whole = found.size * len(found._sums)
    assert found._sums.tolist() == values[:whole].reshape(-1, found.size).sum(axis=1).tolist()


@given(st.integers(0, 300), st.lists(st.integers(0, 300), max_size=6), st.integers(2, 30), st.integers(0, 2**32))
def test_in_what_parts_they_come_makes_no_difference(count: int, cuts: list[int], groups: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 10**12, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "GROUPS", groups)
        assert told(values, *sorted(cuts)) == told(values, *range(len(values)))


def test_groups_have_series_of_their_own_in_the_order_in_which_values_come() -> None:
    values = np.random.default_rng(2).integers(0, 1000, 900)
    groups = np.random.default_rng(3).integers(-1, 3, 900).astype(np.int16)
    found = Grouped(4)
    for part in (slice(0, 1), slice(1, 500), slice(500, None)):
        found.add(groups[part], values[part])
    wanted = [told([value for value, of in zip(values, groups, strict=True) if of == group]) for group in range(4)]
    assert [each.result() for each in found.series] == wanted
    assert [each["observations"] > 0 for each in wanted] == [True, True, True, False]


def test_the_mean_is_of_all_that_follow_the_warm_up() -> None:
    assert told([1, 2, 3, 4, 5, 6, 7])["mean_ns"] == 4.0
    assert told([7])["mean_ns"] == 7.0
    assert told([])["mean_ns"] is None
    values = [10**6] * 20 + [1, 2] * 101
    found = told(values)
    assert (found["warm_up"], found["mean_ns"]) == (20, 1.5)


def test_a_warm_up_of_more_than_a_quarter_is_a_doubt() -> None:
    outage = [0, 10**6] * 200 + [1, 0, 0, 0, 0] * 120
    found = told(outage)
    assert (found["warm_up"], found["mean_ns"]) == (400, 0.2)
    assert found["doubt"] == "more than a quarter was taken for the warm-up: it may be what matters"


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    """Of 400 series of 2,000 independent values 95 % should; by chance 91.7 % to 98.3 % (three standard deviations)."""
    draws = np.random.default_rng(7).exponential(1000, (400, 2000)).astype(np.int64)
    hits = 0
    for row in draws:
        found = told(row)
        hits += abs(found["mean_ns"] - 999.5) <= found["half_width_ns"]
    assert 0.917 <= hits / 400 <= 0.983
