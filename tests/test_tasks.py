"""Rows task by task: the order is that of sorting them by task, whether all of it fits into one number or not."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.analysis.tasks import agents_and_numbers, by_task, visits

PLACES = st.tuples(
    st.sampled_from([0, 1, 2, 70_000, 2**31 - 1]),
    st.sampled_from([0, 1, 5, 2**31 - 1]),
    st.sampled_from([0, 3, 32_767]),
)


@given(st.lists(PLACES, max_size=40))
def test_rows_of_a_task_follow_each_other_in_their_order(rows: list[tuple[int, int, int]]) -> None:
    agents, numbers, steps = (np.array([row[column] for row in rows], np.int64) for column in range(3))
    joined = visits(agents.astype(np.int32), numbers.astype(np.int32))
    order, same = by_task(joined, steps.astype(np.int16))
    wanted = sorted(range(len(rows)), key=lambda place: rows[place])  # stable
    assert order.tolist() == wanted
    assert same.tolist() == [rows[one] == rows[next_] for one, next_ in pairwise(wanted)]
    assert [each.tolist() for each in agents_and_numbers(joined)] == [agents.tolist(), numbers.tolist()]
