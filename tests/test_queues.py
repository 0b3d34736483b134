"""The queues against an obvious model: a list sorted by age."""

from copy import deepcopy
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.queues import FairQueue, SizedQueue, UniformQueue


@dataclass(eq=False)
class Waiter:
    age: int
    amount: int
    fleet: int = 0


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


def test_a_group_that_waits_keeps_its_place_and_one_that_was_away_comes_with_the_virtual_time():
    queue = FairQueue(((0, 1), (1, 1), (2, 1)), strict=False)
    away, waiting = Waiter(0, 1, fleet=2), Waiter(1, 1, fleet=0)
    queue.add(waiting, 1)  # its group is to be served at the virtual time 0
    for age in (2, 3, 4):  # these start at 0, 1 and 2: the virtual time is 2
        queue.served(Waiter(age, 1, fleet=1), 1)
    assert queue.precedes(waiting, away)  # 0 comes before 2, although the one that was away is older
    queue.add(away, 1)
    assert [each for each, _ in queue] == [waiting, away]


@pytest.mark.parametrize("strict", [False, True])
@given(
    weights=st.lists(st.integers(1, 3), min_size=2, max_size=4),
    actions=st.lists(
        st.tuples(st.sampled_from(["add", "serve", "pop", "remove", "return"]), st.integers(0, 3), st.integers(1, 4)),
        max_size=40,
    ),
    fleet=st.integers(0, 3),
)
def test_a_fair_queue_says_who_precedes_whom_as_it_would_serve_them(strict, weights, actions, fleet):
    queue = FairQueue(tuple(enumerate(weights)), strict)
    waiters, gone = [], []
    for age, (action, number, amount) in enumerate(actions, 1):
        if action == "add" or (action == "return" and gone):
            waiter = Waiter(age, amount, number % len(weights)) if action == "add" else gone.pop(number % len(gone))
            queue.add(waiter, waiter.amount)
            waiters.append(waiter)
        elif action == "serve":
            queue.served(Waiter(age, amount, number % len(weights)), amount)
        elif action == "pop" and (waiter := queue.pop(amount)) is not None:
            queue.served(waiter, waiter.amount)
            waiters.remove(waiter)
        elif action == "remove" and waiters:
            gone.append(waiters.pop(number % len(waiters)))
            queue.remove(gone[-1])
    order = [waiter for waiter, _ in queue]
    for place, waiter in enumerate(order):
        assert [queue.precedes(waiter, other) for other in order[place + 1 :]] == [True] * (len(order) - place - 1)
        assert not any(queue.precedes(waiter, other) for other in order[:place])
    for age in (0, len(actions) + 1):  # one that does not wait yet stands where it would if it did
        other, more = Waiter(age, 1, fleet % len(weights)), deepcopy(queue)
        more.add(other, 1)
        ages = [waiter.age for waiter, _ in more]
        for waiter in order:
            assert queue.precedes(waiter, other) is (ages.index(waiter.age) < ages.index(age))


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
