"""How much of a limit was used, stretch by stretch of a run.

Rules:

1. Of what is held it is the mean of what was held over the mean of the limit.
2. Of a rate it is what was charged over what is earned in that time: in the stretch, or in the last period where that is
   longer, as if it had been so before the beginning. After a burst it is above 1, as is a limit that is charged afterwards.
3. There is none where no limit was in force, nor of a quota or of a switch (a pause, a breaker, an incident).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.units import MICRO, NS_PER_SECOND
from render.film import Film

Floats = NDArray[np.float64]


def utilisation(film: Film, number: int, edges_ns: NDArray[np.int64]) -> Floats | None:
    """Return what was used of a constraint between each edge and the next, 1 being all of it; NaN where it has no limit.

    None where there is nothing of the constraint to use.
    """
    entry, held, taken = film.header.constraints[number], film.used[number], film.taken[number]
    starts, ends = edges_ns[:-1], edges_ns[1:]
    if held is not None:
        used: NDArray[np.floating[Any]] = held.areas(ends) - held.areas(starts)
    elif entry.type == "rate_limit" and taken is not None:
        period_ns = next((numbers["period_ns"] for _, numbers in entry.settings if numbers is not None), 0)
        spans = np.maximum(ends - starts, period_ns)
        # What is charged at an edge belongs to what ends there, and at 0 to what begins there.
        begins = (starts == 0) | (ends < spans)
        starts = np.maximum(0, ends - spans)
        before = np.where(begins, 0, taken.values(starts))
        used = (taken.values(ends) - before) * float(NS_PER_SECOND * MICRO) * ((ends - starts) / spans)
    else:
        return None
    limit = film.limit[number]
    there = limit.areas(ends) - limit.areas(starts)
    share = np.full(len(used), np.nan)
    np.divide(used, there, out=share, where=(there > 0) & (limit.means(edges_ns) > 0))
    return share
