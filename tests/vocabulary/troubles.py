"""What goes wrong: incidents of every kind, and agents that crash."""

from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from strategies import grid

from .common import Dict, Draws, chances, durations, optional, seldom, times
from .limits import scopes

EFFECTS = ("refuse", "block", "fail", "slow", "new")
"""`slow` is that of all work, `new` that of attempts that begin meanwhile."""


@st.composite
def incidents(draw: DrawFn, fleets: list[Dict], rows: list[Dict], draws: Draws, ends: bool) -> list[Dict]:
    """None most of the time; `ends` says that the run has an end, so that they may come again and again."""
    number = draw(st.sampled_from([0, 0, 1, 1, 2]))
    return [draw(_incident(place, fleets, rows, draws, ends)) for place in range(number)]


@st.composite
def _incident(draw: DrawFn, number: int, fleets: list[Dict], rows: list[Dict], draws: Draws, ends: bool) -> Dict:
    row: Dict = {"id": f"i{number}", "scope": draw(_scopes(fleets, rows))}
    row |= draw(_effects(rows, draws))
    if ends and seldom(draw, 3):
        row |= {"between": draw(durations(draws, 1, 6)), "lasts": draw(durations(draws, 0, 4))}
        return row
    row["at"] = draw(times(0, 8) | st.lists(st.integers(0, 12), min_size=1, max_size=3, unique=True).map(_in_order))
    if not seldom(draw, 4):
        row["lasts"] = draw(durations(draws, 0, 6))
    return row


def _in_order(numbers: list[int]) -> list[str]:
    return [f"{100 * number}ms" for number in sorted(numbers)]


def _scopes(fleets: list[Dict], rows: list[Dict]) -> SearchStrategy[Any]:
    names = tuple(fleet["name"] for fleet in fleets)
    by_constraint = ["constraint:*", "constraint:c[01]", *(f"constraint:{row['id']}" for row in rows)]
    return st.just("global") | scopes(names, False) | st.sampled_from(by_constraint)


@st.composite
def _effects(draw: DrawFn, rows: list[Dict], draws: Draws) -> Dict:
    """What it does: one thing, or two."""
    effects = list(EFFECTS)
    shared = any(row.get("queue") == "processor_sharing" for row in rows)
    resumes = any(row.get("preempt") == "resume" for row in rows)
    if shared or draws == "exact":  # what goes slower for a while is rounded, and so is what was longer and is resumed
        effects.remove("slow")
    if resumes and draws == "exact":
        effects.remove("new")
    chosen = draw(st.lists(st.sampled_from(effects), min_size=1, max_size=2, unique=True))
    row: Dict = {}
    for effect in chosen:
        if effect in ("slow", "new") and "slow" not in row:
            row["slow"] = draw(st.sampled_from([2, 3] if draws == "exact" else [2, 3, 1.5, 1.000001, 7.3]))
            row |= {"applies_to": "new"} if effect == "new" else {}
        elif effect == "block" and "refuse" not in row:
            row["block"] = True
        elif effect == "fail" or (effect == "refuse" and "block" not in row):
            row[effect] = draw(chances(draws).filter(bool))
    if "refuse" in row:
        optional(draw, row, 3, retry_after=st.sampled_from(["300ms", "1s"]))
    return row


@cache
@st.composite
def crashes(draw: DrawFn, draws: Draws) -> Dict:
    """How long an agent is up and down; never without a time between."""
    crash: Dict = {"uptime": draw(durations(draws, 1, 9))}
    if not seldom(draw, 4):
        crash["repair"] = draw(grid(0, 3) | durations(draws, 0, 5))
    return crash
