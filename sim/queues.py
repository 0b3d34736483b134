"""Where blocked tasks wait, and who of them is next: the queue disciplines.

Rules:

1. Every waiting task has an age, the number that it gets when it asks: lower is older. First come, first served is the
   order by age; every other discipline breaks its ties by age. A task that is bound to another constraint keeps its age,
   so it can come in anywhere.
2. `peek(free)` is the first task that asks for at most `free`: under first-fit a smaller request passes one that does not
   fit yet. A strict queue has only its first task to offer.
3. No operation looks at all who wait: each costs at most a logarithm of their number (and, where the queue is fair, a look
   at each group).
"""

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import lcm
from typing import TYPE_CHECKING, Any, Protocol

from model import streams

if TYPE_CHECKING:
    from model.plan import ConstraintPlan
    from sim.policy import PolicyTask
    from sim.task import Task

Key = Callable[[Any], Any]
"""From a waiting task to its place in the order; it must not change while the task waits."""

EVERYTHING = 2**62
"""More than anybody asks for."""


class Queue(Protocol):
    """The tasks that wait for one constraint."""

    def __len__(self) -> int: ...

    def __iter__(self) -> "Iterator[tuple[Task, int]]":
        """Yield the waiting tasks with their amounts, in the order of the queue."""

    def add(self, task: "Task", amount: int) -> int:
        """Let a task wait, at the place that is its own; return how many waited before."""

    def peek(self, free: int) -> "Task | None":
        """Return the first task that asks for at most `free`, or None."""

    def pop(self, free: int) -> "Task | None":
        """Take out and return the task that `peek` returns."""

    def remove(self, task: "Task") -> None:
        """Take out a task that waits here."""

    def precedes(self, waiting: "Task", other: "Task") -> bool:
        """Say whether a task that waits here comes before another that does not (yet)."""

    def served(self, task: "Task", amount: int) -> None:
        """Hear that a task got its amount, whether it waited or not."""

    @property
    def least(self) -> int:
        """The smallest amount that would let a task go; there must be a task."""


def queue_of(row: "ConstraintPlan", seed: int) -> Queue:
    """Return the queue of a constraint."""
    discipline = row.discipline
    if discipline.queue == "fair":
        return FairQueue(discipline.share_of, discipline.strict)
    if discipline.queue == "random":
        return RandomQueue(streams.Stream(seed, f"constraints/{row.id}/queue", 1, streams.bits).of(0))
    if discipline.queue == "fifo" and row.amount is not None:
        return UniformQueue(row.amount)
    return SizedQueue(_KEYS[discipline.queue], discipline.strict)


def stands_behind(task: "Task", queue: Queue) -> bool:
    """Say whether somebody waits in a queue whom the task must not pass where it is strict."""
    first = queue.peek(EVERYTHING)
    return first is not None and queue.precedes(first, task)


def _age(task: "Task") -> int:
    return task.age


def _youth(task: "Task") -> int:
    return -task.age


def _importance(task: "PolicyTask") -> tuple[int, int]:
    return -task.priority, task.age


def _urgency(task: "PolicyTask") -> tuple[int, int]:
    return task.due_ns, task.age


def _work(task: "PolicyTask") -> tuple[int, int]:
    return task.duration_ns, task.age


_KEYS: dict[str, Key] = {"fifo": _age, "lifo": _youth, "priority": _importance, "edf": _urgency, "sjf": _work}


class UniformQueue:
    """A queue in which everybody asks for the same amount: a deque, and a heap for those that came back.

    When somebody leaves it who is not the oldest it becomes a tree, for good.
    """

    def __init__(self, amount: int) -> None:
        self.least = amount
        self._tree: SizedQueue | None = None
        self._asked: deque[Task] = deque()  # in order of age: everybody who blocks is younger than all before
        self._returned: list[tuple[int, Task]] = []  # heap by age of those that were bound elsewhere in between

    def __len__(self) -> int:
        return len(self._asked) + len(self._returned) if self._tree is None else len(self._tree)

    def __iter__(self) -> "Iterator[tuple[Task, int]]":
        if self._tree is not None:
            return iter(self._tree)
        everybody = [*self._asked, *(task for _, task in self._returned)]
        return ((task, self.least) for task in sorted(everybody, key=lambda task: task.age))

    def add(self, task: "Task", amount: int) -> int:
        asked = self._asked
        before = len(asked) + len(self._returned)
        if not asked or asked[-1].age < task.age:
            asked.append(task)
        else:
            heappush(self._returned, (task.age, task))
        return before

    def peek(self, free: int) -> "Task | None":
        if free < self.least:
            return None
        if self._returned and (not self._asked or self._returned[0][0] < self._asked[0].age):
            return self._returned[0][1]
        return self._asked[0] if self._asked else None

    def pop(self, free: int) -> "Task | None":
        if free < self.least:
            return None
        asked = self._asked
        if not self._returned:
            return asked.popleft() if asked else None
        if asked and asked[0].age < self._returned[0][0]:
            return asked.popleft()
        return heappop(self._returned)[1]

    def remove(self, task: "Task") -> None:
        if self._asked and self._asked[0] is task:
            self._asked.popleft()
        elif self._returned and self._returned[0][1] is task:
            heappop(self._returned)
        else:
            self._become_tree()
            self.remove(task)

    def _become_tree(self) -> None:
        tree = SizedQueue()
        for task, amount in self:
            tree.add(task, amount)
        self._tree = tree
        self._asked.clear()
        self._returned.clear()
        # Its own methods stand in for those of the class: whoever never needs a tree pays nothing for that.
        for name in ("add", "peek", "pop", "remove"):
            setattr(self, name, getattr(tree, name))

    def precedes(self, waiting: "Task", other: "Task") -> bool:
        return waiting.age < other.age

    def served(self, task: "Task", amount: int) -> None:
        """Nothing depends on it."""


class _Node:
    __slots__ = ("amount", "heat", "key", "least", "left", "right", "size", "task")

    def __init__(self, task: "Task", amount: int, key: Any) -> None:
        self.key = key
        self.size = 1
        self.amount = self.least = amount
        self.heat = _scrambled(task.age)
        self.left: _Node | None = None
        self.right: _Node | None = None
        self.task = task

    def update(self) -> "_Node":
        least, size = self.amount, 1
        if self.left is not None:
            size += self.left.size
            if self.left.least < least:
                least = self.left.least
        if self.right is not None:
            size += self.right.size
            if self.right.least < least:
                least = self.right.least
        self.least, self.size = least, size
        return self


class SizedQueue:
    """A queue in the order of a key, in which amounts differ: a treap, each subtree of which knows its smallest amount.

    (Seidel and Aragon, Randomized search trees, Algorithmica 16, 1996; the priorities are a fixed scrambling of the age,
    so that the shape depends on nothing but who waits.)
    """

    def __init__(self, key: Key = _age, strict: bool = False) -> None:
        self._root: _Node | None = None
        self._key = key
        self._strict = strict

    def __len__(self) -> int:
        return 0 if self._root is None else self._root.size

    def __iter__(self) -> "Iterator[tuple[Task, int]]":
        above: list[_Node] = []
        node = self._root
        while above or node is not None:
            while node is not None:
                above.append(node)
                node = node.left
            node = above.pop()
            yield node.task, node.amount
            node = node.right

    def add(self, task: "Task", amount: int) -> int:
        before, key = len(self), self._key(task)
        first, second = _split(self._root, key)
        self._root = _join(_join(first, _Node(task, amount, key)), second)
        return before

    def peek(self, free: int) -> "Task | None":
        if self._root is None or self.least > free:
            return None
        return self._first().task if self._strict else _fitting(self._root, free)

    def pop(self, free: int) -> "Task | None":
        task = self.peek(free)
        if task is not None:
            self.remove(task)
        return task

    def remove(self, task: "Task") -> None:
        self._root = _without(self._root, self._key(task))

    def precedes(self, waiting: "Task", other: "Task") -> bool:
        return bool(self._key(waiting) < self._key(other))

    def served(self, task: "Task", amount: int) -> None:
        """Nothing depends on it."""

    @property
    def least(self) -> int:
        assert self._root is not None
        return self._first().amount if self._strict else self._root.least

    def _first(self) -> _Node:
        node = self._root
        assert node is not None
        while node.left is not None:
            node = node.left
        return node


class RandomQueue(SizedQueue):
    """A queue that serves in random order: each time any of those who wait, all alike.

    Where amounts differ it is the first that fits from a random place on, by age, round to the oldest.
    """

    def __init__(self, draws: "Iterator[int]") -> None:
        super().__init__()
        self._draws = draws
        self._chosen: tuple[Task, int] | None = None  # stays chosen until it goes or somebody comes

    def add(self, task: "Task", amount: int) -> int:
        self._chosen = None
        return super().add(task, amount)

    def remove(self, task: "Task") -> None:
        self._chosen = None
        super().remove(task)

    def peek(self, free: int) -> "Task | None":
        if self._root is None or self._root.least > free:
            return None
        if self._chosen is None or self._chosen[1] > free:
            place = next(self._draws) * self._root.size >> _BITS
            node = _fitting_from(self._root, place, free) or _fitting_from(self._root, 0, free)
            assert node is not None
            self._chosen = node.task, node.amount
        return self._chosen[0]

    def precedes(self, waiting: "Task", other: "Task") -> bool:
        """Whoever comes, be it from another limit, stands behind those who wait, one of whom may be the one."""
        binding = other.binding  # type: ignore[attr-defined] # only tasks with a policy come here
        return binding is None or binding.waiting is not self


class FairQueue:
    """A queue that lets groups of fleets have their shares: start-time fair queueing over the groups, by age in each.

    `share_of` holds for each fleet its group and the weight of the group. A group that was away comes back with the
    virtual time of that moment, so that nobody saves up. (Goyal, Vin and Cheng, Start-time fair queueing, SIGCOMM 1996.)
    """

    def __init__(self, share_of: tuple[tuple[int, int], ...], strict: bool) -> None:
        unit = lcm(*(weight for _, weight in share_of))
        self._share_of = [(group, unit // weight) for group, weight in share_of]
        groups = 1 + max(group for group, _ in share_of)
        self._queues = [SizedQueue(strict=strict) for _ in range(groups)]
        self._tags = [0] * groups  # the virtual time at which each group is to be served next
        self._virtual = 0
        self._left: Task | None = None  # the last that left: if it is served, it is so from the place where it stood
        self._strict = strict

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues)

    def __iter__(self) -> "Iterator[tuple[Task, int]]":
        for _, _, queue in self._waiting():
            yield from queue

    def add(self, task: "Task", amount: int) -> int:
        before = len(self)
        group = self._group(task)
        if not len(self._queues[group]):
            self._tags[group] = max(self._tags[group], self._virtual)
        self._queues[group].add(task, amount)
        return before

    def peek(self, free: int) -> "Task | None":
        for _, _, queue in self._waiting():
            task = queue.peek(free)
            if task is not None or self._strict:
                return task
        return None

    def pop(self, free: int) -> "Task | None":
        task = self.peek(free)
        if task is not None:
            self.remove(task)
        return task

    def remove(self, task: "Task") -> None:
        self._queues[self._group(task)].remove(task)
        self._left = task

    def precedes(self, waiting: "Task", other: "Task") -> bool:
        if self._group(waiting) == self._group(other):
            return waiting.age < other.age
        return self._place(waiting) < self._place(other)

    def served(self, task: "Task", amount: int) -> None:
        group, unit = self._share_of[task.fleet]  # type: ignore[attr-defined] # only tasks with a policy come here
        start = self._tags[group]
        if not len(self._queues[group]) and task is not self._left:
            start = max(start, self._virtual)
        self._left = None
        self._virtual = max(start, self._virtual)
        self._tags[group] = start + amount * unit

    @property
    def least(self) -> int:
        waiting = self._waiting()
        return waiting[0][2].least if self._strict else min(queue.least for _, _, queue in waiting)

    def _place(self, task: "Task") -> tuple[int, int]:
        """Return the place that the group of a task has or would have in the order of the groups."""
        group = self._group(task)
        first = self._queues[group].peek(EVERYTHING)
        if first is None:
            return max(self._tags[group], self._virtual), task.age
        return self._tags[group], min(first.age, task.age)

    def _group(self, task: "Task") -> int:
        return self._share_of[task.fleet][0]  # type: ignore[attr-defined]

    def _waiting(self) -> list[tuple[int, int, SizedQueue]]:
        """Return the queues of the groups that have somebody waiting, the one to serve next first."""
        waiting = []
        for tag, queue in zip(self._tags, self._queues, strict=True):
            first = queue.peek(EVERYTHING)
            if first is not None:
                waiting.append((tag, first.age, queue))
        return sorted(waiting, key=lambda entry: entry[:2])


_BITS = 53
"""Random bits in a draw."""


def _fitting(node: _Node, free: int) -> "Task":
    """Return the first task in order that asks for at most `free`; there must be one."""
    while True:
        if node.left is not None and node.left.least <= free:
            node = node.left
        elif node.amount <= free:
            return node.task
        else:
            assert node.right is not None
            node = node.right


def _fitting_from(node: _Node | None, place: int, free: int) -> _Node | None:
    """Return the first that asks for at most `free` among those at `place` (from 0) and later."""
    if node is None or node.least > free or place >= node.size:
        return None
    before = 0 if node.left is None else node.left.size
    found = _fitting_from(node.left, place, free) if place < before else None
    if found is not None:
        return found
    if place <= before and node.amount <= free:
        return node
    return _fitting_from(node.right, max(0, place - before - 1), free)


def _scrambled(age: int) -> int:
    """Return 64 bits that look random and depend on `age` alone (the finaliser of SplitMix64)."""
    mixed = (age + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    return mixed ^ mixed >> 27


def _split(node: _Node | None, key: Any) -> tuple[_Node | None, _Node | None]:
    """Part a tree into those before `key` and the others."""
    if node is None:
        return None, None
    if node.key < key:
        node.right, second = _split(node.right, key)
        return node.update(), second
    first, node.left = _split(node.left, key)
    return first, node.update()


def _join(first: _Node | None, second: _Node | None) -> _Node | None:
    if first is None or second is None:
        return first or second
    if first.heat > second.heat:
        first.right = _join(first.right, second)
        return first.update()
    second.left = _join(first, second.left)
    return second.update()


def _without(node: _Node | None, key: Any) -> _Node | None:
    if node is None:
        raise KeyError(key)
    if node.key == key:
        return _join(node.left, node.right)
    if key < node.key:
        node.left = _without(node.left, key)
    else:
        node.right = _without(node.right, key)
    return node.update()
