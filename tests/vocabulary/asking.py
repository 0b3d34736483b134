"""What a task or a hold asks for, and its policy."""

from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from .common import Dict, Draws, chances, durations, optional, seldom, times
from .limits import most

COUNTING = ("rate_limit", "quota")


@st.composite
def asks(draw: DrawFn, rows: list[Dict], draws: Draws, is_hold: bool) -> Dict:
    """Everything beside a duration that a task may say, or a hold."""
    said: Dict = {}
    _amounts(draw, said, rows, draws)
    if seldom(draw, 5):
        certain = [row["id"] for row in rows if row["id"] in said.get("needs", {}) or row.get("scope") == "global"]
        if certain:
            said["acquire"] = draw(st.lists(st.sampled_from(certain), min_size=1, max_size=3, unique=True))
    preempts = any("preempt" in row for row in rows)
    optional(draw, said, 1 if preempts else 4, priority=st.integers(0, 3))
    optional(draw, said, 4, deadline=times(1, 6))
    optional(draw, said, 6, patience=durations(draws), skip_if=_skips(draws), on_failure=st.just("stop"))
    optional(draw, said, 3, retry=retries(draws))
    if not is_hold:
        optional(draw, said, 4, fail=_failures(draws), timeout=times(1, 3))
    return said


def _amounts(draw: DrawFn, said: Dict, rows: list[Dict], draws: Draws) -> None:
    needs: Dict = {}
    for row in rows:
        named = row["type"] not in ("pause", "circuit_breaker") and seldom(draw, 4 if "scope" in row else 2)
        if named:
            needs[row["id"]] = draw(_need(row["type"], most(row), draws))
    counted = sorted({row["counts"] for row in rows if row["type"] in COUNTING})
    if counted and seldom(draw, 2):
        limits = {unit: [row for row in rows if row.get("counts") == unit] for unit in counted}
        bound = {unit: min(2, *(int(most(row)) for row in limits[unit])) for unit in counted}
        said["cost"] = {unit: draw(_costs(bound[unit], draws)) for unit in counted}
        if seldom(draw, 2):
            said["cached"] = {unit: draw(st.sampled_from([0.5, 0.25, 1.0])) for unit in counted}
        if seldom(draw, 2):
            said["reserve"] = {unit: draw(st.integers(1, bound[unit])) for unit in counted}
    for row in rows:
        if row["id"] in needs and row["type"] in COUNTING and "cost" in said:
            needs[row["id"]] = 1  # beside a cost, which is what counts, nothing else is valid
    if needs:
        said["needs"] = needs


@cache
def _need(kind: str, most_: float, draws: Draws) -> SearchStrategy[Any]:
    if kind != "resource":
        return st.integers(1, min(2, int(most_)))
    constant = st.sampled_from([amount for amount in (0.5, 1, 0.000001, 1.25, 2) if amount <= most_])
    drawn = st.sampled_from([{"uniform": [0.5, 1.5]}, {"exponential": 0.5}, {"uniform": [0, 4]}])
    return constant if draws == "none" else constant | drawn


@cache
def _costs(most_: int, draws: Draws) -> SearchStrategy[Any]:
    constant = st.integers(1, most_)
    if draws == "none":
        return constant
    return st.one_of(constant, st.sampled_from([{"uniform": [0, 3]}, {"uniform": [1, 2]}, {"exponential": 1.5}]))


@cache
def _skips(draws: Draws) -> SearchStrategy[Any]:
    return chances(draws) | chances(draws).map(lambda chance: {"cache_hit": chance})


@cache
def _failures(draws: Draws) -> SearchStrategy[Any]:
    return chances(draws) | st.lists(chances(draws), min_size=1, max_size=3)


@cache
@st.composite
def retries(draw: DrawFn, draws: Draws) -> Dict:
    """A retry policy, whose back-offs are exact where they have to be."""
    retry: Dict = {"max_attempts": draw(st.integers(2, 4)), "delay": draw(times(0, 3))}
    factors = st.sampled_from([2, 1] if draws == "exact" else [2, 1, 1.5])
    optional(draw, retry, 3, factor=factors, cap=times(1, 4))
    if draws == "any":
        optional(draw, retry, 2, jitter=st.sampled_from(["full", "equal", "decorrelated"]))
    optional(draw, retry, 4, budget=st.sampled_from([0.25, {"ratio": 0, "burst": 1}, {"ratio": 0.5, "burst": 1}]))
    optional(draw, retry, 3, hold_during_backoff=st.just(True), retry_after=st.just(False))
    return retry
