"""A film as frames: the instants that a page can show, and what changes at each.

Rules:

1. A short log (`EXACT_MOVES`) has a frame for each instant at which it has a row: nothing is left out.
2. A longer one has frames of equal length, as short as can be so that at most `FRAMES` have rows: a time in which nothing
   happens costs nothing. A frame shows the moment at its end, so what it shows is exact; what came and went within it is
   not shown. Frames are longer where the changes would still be more than `MOVES_MAX`.
3. The first frame is at 0, the last at the end of the log.
4. What an agent does is one number, its state: phase, constraint and step. Within a frame agents are in order.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.moves import Phase
from render.film import Film, Steps, Turns
from render.page.columns import folded

EXACT_MOVES = 250_000
FRAMES = 20_000
MOVES_MAX = 6_000_000
_EXACT_NS = 2**53
"""Up to here a browser counts every nanosecond."""
_VALUE_MAX = 2**60
"""What is more, such as a limit that is none, is shown as this: so differences are numbers of 64 bits."""

Integers = NDArray[np.int64]


class Frames:
    """The frames of a film.

    `time_ns` has the time of each. The changes of frame k are those from `firsts[k]` up to `firsts[k + 1]`: `agent` is in
    `state` from then on, and where it `turned` it came into that phase then. `states` holds (phase, constraint, step).
    `moves` counts the changes in the log, `every_ns` is the length of a frame or None where they are all instants.
    """

    def __init__(self, film: Film) -> None:
        turns = film.turns()
        self.moves = len(turns.agent)
        self.every_ns: int | None = None
        if self.moves <= EXACT_MOVES and film.end_ns < _EXACT_NS:
            self.time_ns = np.unique(np.append(film.rows.time, [0]))
            frames = np.searchsorted(self.time_ns, turns.time_ns)
            last, groups = _last_of_each(frames, turns.agent, film.agents)
        else:
            frames, last, groups = self._thinned(film, turns)
        self._keep(turns, frames, last, groups)

    def _thinned(self, film: Film, turns: Turns) -> tuple[Integers, Integers, Integers]:
        every_ns = _length(film)
        with_rows, frames = _numbered(film, turns, every_ns)
        last, groups = _last_of_each(frames, turns.agent, film.agents)
        while len(last) > MOVES_MAX and every_ns < film.end_ns:
            every_ns *= 2
            with_rows, frames = _numbered(film, turns, every_ns)
            last, groups = _last_of_each(frames, turns.agent, film.agents)
        self.every_ns = every_ns
        # Multiplied as it is, the last might overflow.
        self.time_ns = np.append(with_rows[:-1] * every_ns, film.end_ns)
        return frames, last, groups

    def _keep(self, turns: Turns, frames: Integers, last: Integers, groups: Integers) -> None:
        """Keep the `last` moves; `groups` are all moves of one frame and agent after another, as (place, first of each)."""
        order, starts = groups
        self.agent = turns.agent[last].astype(np.int64)
        self.turned = np.logical_or.reduceat(turns.turned[order], starts) if len(last) else np.zeros(0, np.bool_)
        self.firsts = np.append(0, np.cumsum(np.bincount(frames[last], minlength=len(self.time_ns))))
        constraints, steps = turns.constraint[last].astype(np.int64) + 1, turns.step[last].astype(np.int64) + 1
        constraint_span, step_span = int(constraints.max(initial=0)) + 1, int(steps.max(initial=0)) + 1
        codes = (turns.phase[last].astype(np.int64) * constraint_span + constraints) * step_span + steps
        # Absent, with neither constraint nor step, is 0, and so is always the first state.
        known, self.state = np.unique(np.append(int(Phase.ABSENT), codes), return_inverse=True)
        self.state = self.state[1:]
        both, of_step = np.divmod(known, step_span)
        phase, of_constraint = np.divmod(both, constraint_span)
        self.states = [phase.tolist(), (of_constraint - 1).tolist(), (of_step - 1).tolist()]

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the frames as columns: times and agents as what they are more than the one before."""
        firsts = self.firsts[:-1][np.diff(self.firsts) > 0]
        agents = np.diff(self.agent, prepend=0)
        agents[firsts] = self.agent[firsts]
        return {
            "time": np.diff(self.time_ns, prepend=0),
            "moves": np.diff(self.firsts),
            "agent": agents,
            "state": self.state << 1 | self.turned,
        }

    def steps(self, name: str, steps: Steps) -> dict[str, NDArray[Any]]:
        """Return a step function as columns: the frames at which it changes, and by how much."""
        values = np.clip(steps.values(self.time_ns), -_VALUE_MAX, _VALUE_MAX)
        frames = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
        return {
            f"{name}.frame": np.diff(frames, prepend=0),
            f"{name}.value": folded(np.diff(values[frames], prepend=0)),
        }


def _up(times_ns: Integers, every_ns: int) -> Integers:
    """Return the frame of each time: those after the end of one, up to its own end."""
    frames: Integers = -(-times_ns // every_ns)
    return frames


def _numbered(film: Film, turns: Turns, every_ns: int) -> tuple[Integers, Integers]:
    """Return the frames that have rows, and the number of that of each turn among them, which is small."""
    with_rows = np.unique(np.append(_up(film.rows.time, every_ns), 0))
    return with_rows, np.searchsorted(with_rows, _up(turns.time_ns, every_ns))


def _length(film: Film) -> int:
    """Return how long frames are: halved as long as not too many of them have rows."""
    length = max(1, -(-film.end_ns // FRAMES))
    while length > 1:
        half = -(-length // 2)
        if np.count_nonzero(np.diff(_up(film.rows.time, half))) >= FRAMES:
            break
        length = half
    return length


def _last_of_each(frames: Integers, agents: NDArray[np.int32], count: int) -> tuple[Integers, Any]:
    """Return the last move of each agent in each frame, by frame and agent, and all moves in groups."""
    keys = frames * count + agents
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    starts = np.append(0, edges)[: len(order)]
    last = order[np.append(edges, len(order))[: len(order)] - 1]
    return last, (order, starts)
