"""The queues against an obvious model: a list sorted by age."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.queues import SizedQueue, UniformQueue


@dataclass(eq=False)
class Waiter:
    age: int
    amount: int


class Model:
    """Looks at everybody."""

    def __init__(self):
        self.waiters = []

    def peek(self, free):
        return min((w for w in self.waiters if w.amount <= free), key=lambda w: w.age, default=None)


ACTIONS = st.lists(st.tuples(st.sampled_from(["add", "pop", "remove", "return"]), st.integers(0, 12)), max_size=80)


@pytest.mark.parametrize("uniform", [True, False])
@given(actions=ACTIONS)
def test_a_queue_does_what_a_sorted_list_does(uniform, actions):
    queue, model, age, gone = (UniformQueue(3) if uniform else SizedQueue()), Model(), 0, []
    for action, number in actions:
        if action == "add" or (action == "return" and gone):
            if action == "add":
                waiter, age = Waiter(age, 3 if uniform else number), age + 1
            else:
                waiter = gone.pop(number % len(gone))  # one that left comes back with its old age
            assert queue.add(waiter, waiter.amount) == len(model.waiters)
            model.waiters.append(waiter)
        elif action == "pop":
            expected = model.peek(number)
            assert queue.peek(number) is expected
            assert queue.pop(number) is expected
            if expected is not None:
                model.waiters.remove(expected)
                gone.append(expected)
        elif action == "remove" and model.waiters:
            waiter = model.waiters.pop(number % len(model.waiters))
            queue.remove(waiter)
            gone.append(waiter)
        assert len(queue) == len(model.waiters)
        assert [w for w, _ in queue] == sorted(model.waiters, key=lambda w: w.age)
        if model.waiters:
            assert queue.least == min(w.amount for w in model.waiters)


@pytest.mark.parametrize("size", [1_000, 64_000])
def test_a_treap_stays_shallow(size):
    queue = SizedQueue()
    for age in range(size):
        queue.add(Waiter(age, 1), 1)

    def depth(node):
        level, depth = [node], 0
        while level:
            level = [child for each in level for child in (each.left, each.right) if child is not None]
            depth += 1
        return depth

    assert depth(queue._root) < 4 * size.bit_length()
