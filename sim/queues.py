"""Where blocked tasks wait, in the order in which they asked.

Rules:

1. The order is by age, the number that a task gets when it first blocks: lower is older. A task that is bound to another
   constraint keeps its age, so it can come in anywhere.
2. `oldest(free)` is the oldest task that asks for at most `free`: under first-fit a smaller request passes one that does
   not fit yet.
3. No operation looks at all who wait: each costs at most a logarithm of their number.
"""

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.task import Task


class Queue(Protocol):
    """The tasks that wait for one constraint."""

    def __len__(self) -> int: ...

    def __iter__(self) -> "Iterator[tuple[Task, int]]":
        """Yield the waiting tasks with their amounts, oldest first."""

    def add(self, task: "Task", amount: int) -> int:
        """Let a task wait, at the place that its age gives it; return how many waited before."""

    def oldest(self, free: int) -> "Task | None":
        """Return the oldest task that asks for at most `free`, or None."""

    def pop(self, free: int) -> "Task | None":
        """Take out and return the task that `oldest` returns."""

    def remove(self, task: "Task") -> None:
        """Take out a task that waits here."""

    @property
    def least(self) -> int:
        """The smallest amount that is asked for; there must be a task."""


class UniformQueue:
    """A queue in which everybody asks for the same amount: a deque, and a heap for those that came back."""

    def __init__(self, amount: int) -> None:
        self.least = amount
        self._asked: deque[Task] = deque()  # in order of age: everybody who blocks is younger than all before
        self._returned: list[tuple[int, Task]] = []  # heap by age of those that were bound elsewhere in between

    def __len__(self) -> int:
        return len(self._asked) + len(self._returned)

    def __iter__(self) -> "Iterator[tuple[Task, int]]":
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

    def oldest(self, free: int) -> "Task | None":
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
        else:  # not the oldest: only a constraint that can never admit a task again turns it away out of turn
            self._asked = deque(other for other in self._asked if other is not task)
            self._returned = sorted(entry for entry in self._returned if entry[1] is not task)


class _Node:
    __slots__ = ("age", "amount", "heat", "least", "left", "right", "task")

    def __init__(self, task: "Task", amount: int) -> None:
        self.age = task.age
        self.amount = self.least = amount
        self.heat = _scrambled(task.age)
        self.left: _Node | None = None
        self.right: _Node | None = None
        self.task = task

    def update(self) -> "_Node":
        least = self.amount
        if self.left is not None and self.left.least < least:
            least = self.left.least
        if self.right is not None and self.right.least < least:
            least = self.right.least
        self.least = least
        return self


class SizedQueue:
    """A queue in which amounts differ: a treap by age, each subtree of which knows its smallest amount.

    (Seidel and Aragon, Randomized search trees, Algorithmica 16, 1996; the priorities are a fixed scrambling of the age,
    so that the shape depends on nothing but who waits.)
    """

    def __init__(self) -> None:
        self._root: _Node | None = None
        self._size = 0

    def __len__(self) -> int:
        return self._size

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
        older, younger = _split(self._root, task.age)
        self._root = _join(_join(older, _Node(task, amount)), younger)
        self._size += 1
        return self._size - 1

    def oldest(self, free: int) -> "Task | None":
        node = self._root
        if node is None or node.least > free:
            return None
        while True:
            if node.left is not None and node.left.least <= free:
                node = node.left
            elif node.amount <= free:
                return node.task
            else:
                assert node.right is not None
                node = node.right

    def pop(self, free: int) -> "Task | None":
        task = self.oldest(free)
        if task is not None:
            self.remove(task)
        return task

    def remove(self, task: "Task") -> None:
        self._root = _without(self._root, task.age)
        self._size -= 1

    @property
    def least(self) -> int:
        assert self._root is not None
        return self._root.least


def _scrambled(age: int) -> int:
    """Return 64 bits that look random and depend on `age` alone (the finaliser of SplitMix64)."""
    mixed = (age + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    return mixed ^ mixed >> 27


def _split(node: _Node | None, age: int) -> tuple[_Node | None, _Node | None]:
    """Part a tree into those older than `age` and the others."""
    if node is None:
        return None, None
    if node.age < age:
        node.right, younger = _split(node.right, age)
        return node.update(), younger
    older, node.left = _split(node.left, age)
    return older, node.update()


def _join(older: _Node | None, younger: _Node | None) -> _Node | None:
    if older is None or younger is None:
        return older or younger
    if older.heat > younger.heat:
        older.right = _join(older.right, younger)
        return older.update()
    younger.left = _join(older, younger.left)
    return younger.update()


def _without(node: _Node | None, age: int) -> _Node | None:
    if node is None:
        raise KeyError(age)
    if node.age == age:
        return _join(node.left, node.right)
    if age < node.age:
        node.left = _without(node.left, age)
    else:
        node.right = _without(node.right, age)
    return node.update()
