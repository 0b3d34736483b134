"""Who holds what, by the frames of a page.

Rules:

1. It is what `sim.analysis.holdings` finds: whatever an agent does beside, and through its back-offs.
2. What is taken and given back between two frames is not shown by any, and left out.
3. Constraints that are taken and given back together, as nearly all of one task are, share their columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.header import HELD
from render.film import Film
from render.page.columns import folded
from render.page.frames import Frames
from sim.analysis.holdings import holdings
from sim.analysis.record import Record
from sim.analysis.waits import GOES_ON

Columns = dict[str, NDArray[Any]]


def held(film: Film, frames: Frames) -> tuple[Columns, list[int | None]]:
    """Return who holds what as columns, and for each constraint the number of its own; None is nothing that is held.

    `held.N.count` has how many holdings each agent has, one agent's after another's in the order in which they began;
    `gap` is how many frames each begins after the end of the one before, of an agent's first after frame 0, and `length`
    for how many frames it lasts.
    """
    record = Record(film.roster, film.rows, film.end_ns, film.cut)
    found: list[Columns] = []
    numbers: list[int | None] = []
    for number, entry in enumerate(film.header.constraints):
        if entry.type not in HELD:
            numbers.append(None)
            continue
        mine = _columns(record, number, frames)
        same = (place for place, other in enumerate(found) if _is_same(mine, other))
        numbers.append(next(same, len(found)))
        if numbers[-1] == len(found):
            found.append(mine)
    return {
        f"held.{place}.{name}": each for place, columns in enumerate(found) for name, each in columns.items()
    }, numbers


def _columns(record: Record, constraint: int, frames: Frames) -> Columns:
    had = holdings(record, constraint)
    begin = np.searchsorted(frames.time_ns, had.took_ns)
    end = np.where(had.gave == GOES_ON, len(frames.time_ns), np.searchsorted(frames.time_ns, had.gave_ns))
    shown = np.flatnonzero(begin < end)
    shown = shown[np.lexsort((begin[shown], had.agent[shown]))]
    agent, begin, end = had.agent[shown], begin[shown], end[shown]
    before = np.append(0, end[:-1])[: len(end)]
    before[np.append(True, agent[1:] != agent[:-1])[: len(agent)]] = 0
    count = np.bincount(agent, minlength=record.roster.agents)
    return {"count": count, "gap": folded(begin - before), "length": end - begin}


def _is_same(one: Columns, other: Columns) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)
