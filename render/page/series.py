"""What the charts of a page show: what was counted over time, and how long tasks waited.

Rules:

1. A chart has `POINTS` stretches of equal length, or as many as there are nanoseconds. Each has the mean, the least and the
   greatest value in it, of all changes in the log, whatever frames the grid has.
2. Utilisation is that of `render.usage`, in ten thousandths.
3. The waits are those of all tasks that started, by their length: so many bins to each power of ten (`BINS`) that there are
   at most `BINS_MAX`. The first bin has the shortest hundredth too; those that did not wait are counted apart.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.events import Kind
from model.moves import Phase
from render.film import Film, Steps
from render.page.columns import folded
from render.usage import utilisation

POINTS = 600
BINS = (100, 50, 20, 10)
BINS_MAX = 100
MEAN_UNIT = 1000
"""Means are stored in thousandths."""
SHARE_UNIT = 10_000
_SHARE_MAX = 10 * SHARE_UNIT

Integers = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]


def edges_of(end_ns: int) -> Integers:
    """Return the edges of the stretches from 0 to the end."""
    points = max(1, min(POINTS, end_ns))
    # In whole numbers, and without a product that could overflow.
    whole, rest = divmod(max(1, end_ns), points)
    steps = np.arange(points + 1, dtype=np.int64)
    return steps * whole + steps * rest // points


def series(film: Film, end_ns: int) -> Columns:
    """Return the series of a film up to a time; beyond the end of its log it has no values."""
    edges = edges_of(end_ns)
    # A run that ended earlier than another beside it has values as far as it goes.
    edges = edges[: int(np.searchsorted(edges, film.end_ns, side="left")) + 1] if film.end_ns else edges[:2]
    columns: Columns = {}
    for phase in (Phase.RUNNING, Phase.BLOCKED, Phase.BACKING_OFF):
        if phase != Phase.BACKING_OFF or film.counts[phase].value.any():
            columns |= _extent(f"series.{phase.name.lower()}", film.counts[phase], edges)
    for number in range(len(film.header.constraints)):
        columns |= _extent(f"series.{number}.waiting", film.waiting[number], edges)
        share = shares(film, number, edges)
        if share is not None:
            columns[f"series.{number}.share"] = share
    return columns


def shares(film: Film, number: int, edges: Integers) -> Integers | None:
    """Return the utilisation in each stretch, in ten thousandths and one more; 0 where there was no limit."""
    used = utilisation(film, number, edges)
    if used is None:
        return None
    is_limited = ~np.isnan(used)
    whole = np.rint(np.clip(np.where(is_limited, used, 0) * SHARE_UNIT, 0, _SHARE_MAX)).astype(np.int64)
    return np.where(is_limited, whole + 1, 0)


def wait_edges(films: list[Film]) -> list[float]:
    """Return the edges in ns of the bins for the waits of films; none where nobody waited."""
    some = [values[values > 0] for values in map(_waits, films)]
    some = [values for values in some if len(values)]
    if not some:
        return []
    low = np.log10(min(int(np.partition(values, len(values) // 100)[len(values) // 100]) for values in some))
    high = np.log10(max(int(values.max()) for values in some))
    finest = next(bins for bins in BINS if (high - low) * bins <= BINS_MAX or bins == BINS[-1])
    edges: list[float] = (10.0 ** (np.arange(np.floor(low * finest), np.floor(high * finest) + 2) / finest)).tolist()
    return edges


def waits(film: Film, edges: list[float]) -> tuple[list[int], int]:
    """Return how many waits are in each bin, and how many were none."""
    values = _waits(film)
    some = values[values > 0]
    if not edges:
        return [], len(values)
    places = np.clip(np.searchsorted(edges, some, side="right") - 1, 0, len(edges) - 2)
    return np.bincount(places, minlength=len(edges) - 1).tolist(), len(values) - len(some)


def _waits(film: Film) -> Integers:
    values: Integers = film.rows.value[film.rows.kind == Kind.TaskStarted]
    return values


def _extent(name: str, steps: Steps, edges: Integers) -> Columns:
    # What changes in the last instant belongs to the last stretch.
    least, greatest = steps.extremes(np.append(edges[:-1], edges[-1] + 1))
    means = np.rint(steps.means(edges) * MEAN_UNIT).astype(np.int64)
    return {
        f"{name}.mean": folded(np.diff(means, prepend=0)),
        f"{name}.least": folded(np.diff(least, prepend=0)),
        f"{name}.greatest": folded(np.diff(greatest, prepend=0)),
    }
