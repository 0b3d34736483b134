"""What all parts of a scenario draw: times, durations, chances, and whether an optional key is there."""

from functools import cache
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from strategies import durations as plain_durations
from strategies import grid, odd

Draws = Literal["any", "exact", "none"]
Dict = dict[str, Any]
CHILDREN = ("k", "m")
"""The fleets that are spawned."""


@cache
def times(low: int, high: int) -> SearchStrategy[str]:
    """A time between `low` and `high` times 100 ms, three of four times a multiple of it."""
    return st.one_of(grid(low, high), grid(low, high), grid(low, high), odd(max(low, 1), high))


@cache
def durations(draws: Draws, low: int = 0, high: int = 4) -> SearchStrategy[Any]:
    """How long something takes; as often as not a multiple of 100 ms."""
    return st.one_of(grid(max(low, 1), 3), plain_durations(draws, low, high))


@cache
def chances(draws: Draws) -> SearchStrategy[float]:
    """A probability; where nothing may be drawn, none that takes a draw to know."""
    return st.sampled_from([1.0, 0.0] if draws == "none" else [0.5, 0.2, 0.8, 1.0])


def seldom(draw: DrawFn, one_in: int) -> bool:
    """Whether something happens that does once in so many times."""
    return draw(st.integers(1, one_in)) == one_in


def optional(draw: DrawFn, row: Dict, one_in: int, **values: SearchStrategy[Any]) -> None:
    """Add each of the keys once in so many times."""
    for key, strategy in values.items():
        if seldom(draw, one_in):
            row[key] = draw(strategy)
