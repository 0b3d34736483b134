"""Each exact result inside its interval, with pinned seeds; the bursts to the nanosecond; nothing left out."""

import pytest

from .bursts import expected, found
from .experiment import compare, not_yet
from .reference import cases
from .rows import BURSTS, UNCOMPARED, rows


@pytest.mark.parametrize("name", rows())
def test_the_interval_is_narrow_and_covers_the_exact_value(name):
    row = rows()[name]
    if missing := not_yet(row):
        pytest.skip(f"needs {', '.join(sorted(missing))}")
    verdicts = compare(row)
    assert not [str(verdict) for verdict in verdicts if not verdict.agrees]
    assert not [str(verdict) for verdict in verdicts if not verdict.narrow]


@pytest.mark.parametrize("name", BURSTS)
def test_a_burst_is_released_as_computed(name):
    assert found(cases()[name]) == expected(cases()[name])


def test_every_exact_result_is_compared_or_excused():
    stated = {(case.id, name) for case in cases().values() if case.id not in BURSTS for name in case.results}
    compared = {(row.case.id, result.name) for row in rows().values() for result in row.results}
    assert {row.case.id for row in rows().values()} | set(BURSTS) == set(cases())
    assert compared | set(UNCOMPARED) == stated
    assert not compared & set(UNCOMPARED)
