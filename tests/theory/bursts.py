"""The cases without chance: a burst at a full token bucket, to the nanosecond.

Every request asks at 0, so a wait is the time of release. The JSON's seconds are read to the nearest nanosecond, which is
what its rounding to doubles hides; what the log says is compared as it is, in whole nanoseconds and exact fractions.
"""

from fractions import Fraction

from model.events import Kind, concatenate

from .experiment import run
from .reference import Case
from .scenarios import burst

_NS_PER_SECOND = 1_000_000_000

Exact = dict[str, Fraction | int]


def expected(case: Case) -> Exact:
    """Return the results that the case states, in ns."""
    return {name: round(value * _NS_PER_SECOND) for name, value in case.results.items()}


def found(case: Case) -> Exact:
    """Run the burst and return the same results from its log, in ns."""
    rows = concatenate(list(run(burst(case.parameters)).batches()))
    releases_ns = rows.time[rows.kind == Kind.TaskStarted].tolist()
    waits_ns = rows.value[rows.kind == Kind.TaskStarted].tolist()
    assert len(waits_ns) == case.parameters["n"]
    return {
        "last_release": max(releases_ns),
        "mean_wait": Fraction(sum(waits_ns), len(waits_ns)),
        "total_wait": sum(waits_ns),
    }
