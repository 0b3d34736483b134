"""Rows in the order of their tasks: those of a task follow each other.

A task is a visit of an agent to a step: an agent may be at several things at once.
"""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_VISIT_BITS = 32


def visits(agents: NDArray[np.integer], numbers: NDArray[np.integer]) -> Integers:
    """Return agent and number of a visit in one number."""
    joined: Integers = (agents.astype(np.int64) << _VISIT_BITS) | numbers
    return joined


def agents_and_numbers(visits: Integers) -> tuple[Integers, Integers]:
    """Return the agents and the numbers that are in these."""
    return visits >> _VISIT_BITS, visits & ((1 << _VISIT_BITS) - 1)


def by_task(visits: Integers, steps: NDArray[np.int16]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the places of rows task by task, of each task in their order, and which of them are of the task before.

    `visits` is as `visits` joins them. The first is of no task before: there is a flag less than there are rows.
    """
    if not len(visits):
        return np.zeros(0, np.intp), np.zeros(0, np.bool_)
    agents, numbers = agents_and_numbers(visits)
    number_bits, step_bits, place_bits = (
        int(most).bit_length() for most in (numbers.max(), steps.max(), len(visits) - 1)
    )
    bits = int(agents.max()).bit_length() + number_bits + step_bits + place_bits
    if bits < 64 and agents.min() >= 0 and steps.min() >= 0:
        # All of it fits into one number, and to sort such numbers is far quicker than to sort their places.
        tasks = (((agents << number_bits) | numbers) << step_bits) | steps
        keys = (tasks << place_bits) | np.arange(len(visits))
        keys.sort()
        order, tasks = keys & ((1 << place_bits) - 1), keys >> place_bits
        return order, tasks[1:] == tasks[:-1]
    order = np.lexsort((steps, visits))
    return order, (np.diff(visits[order]) == 0) & (np.diff(steps[order]) == 0)
