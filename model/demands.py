"""Who demands what: the demands of each step, and in which of its groups an agent is, as the header has it.

Rules:

1. Each group of a step has a row, one step's after another's. A step without demands has one row without any, and so has
   what belongs to no step.
2. The agents of a step are in the group that the header says; an agent past those of the header, which was spawned, is in
   that of the last of them.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from model.header import DemandEntry, Header, StepEntry

Integers = NDArray[np.int64]


class Demands:
    """The rows of demands: `rows` has the step (None for no step) and the demands of each."""

    def __init__(self, header: Header) -> None:
        self.rows: list[tuple[StepEntry | None, tuple[DemandEntry, ...]]] = []
        first = []
        self._grouped: list[tuple[int, Integers, Integers]] = []
        for number, step in enumerate(header.steps):
            first.append(len(self.rows))
            self.rows += [(step, group) for group in step.demands or ((),)]
            if step.groups:
                agents = np.array([first for first, _, _ in step.groups]) + header.fleets[step.fleet].first
                self._grouped.append((number, agents, np.array([group for _, _, group in step.groups])))
        self._first = np.array([*first, len(self.rows)], np.int64)
        self.rows.append((None, ()))

    def of(self, steps: NDArray[np.int16], agents: NDArray[np.int32]) -> Integers:
        """Return the row of demands that each row of a log has, given as its step and its agent."""
        rows: Integers = self._first[steps]
        for number, firsts, groups in self._grouped:
            mine = np.flatnonzero(steps == number)
            rows[mine] += groups[np.searchsorted(firsts, agents[mine], side="right") - 1]
        return rows

    def table(self, value: Callable[[StepEntry, tuple[DemandEntry, ...]], int]) -> Integers:
        """Return a value for each row of demands; 0 where there is no step."""
        return np.array([0 if step is None else value(step, demands) for step, demands in self.rows], np.int64)

    def steps_with(self, table: Integers) -> NDArray[np.bool_]:
        """Return by step, and at the end for no step, whether any of its rows has something in a table."""
        return np.logical_or.reduceat(table != 0, self._first)
