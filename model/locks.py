"""Who may hold what while asking for what: where a deadlock is possible, and what would make it impossible.

Rules:

1. It looks at the steps of a scenario, before any run. What may be held is taken at its largest, and whoever may ask at
   some time may ask at any time: where nothing is found no deadlock is possible, and not the other way round.
2. Only what is given back by those who hold it can be waited for in a circle: slots and units of resources.
3. A limit is safe if all who may hold some of it while they wait for something could do so at once, and there would still
   be as much as one of them asks for. (Habermann, Prevention of system deadlocks, CACM 12, 1969.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from model.distributions import upper
from model.governing import Governing
from model.limits import Adaptive, Concurrency, Constraint, Resource
from model.scenario import Fork, Graph, Hold, Scenario, Spawn, Step, Task, name_of, parts
from model.units import format_number

Held = dict[str, float]
"""Amounts by constraint id."""


@dataclass(slots=True)
class Lock:
    """A limit that is held: `most` is the most that is held of it by those who wait, None where nobody can say."""

    row: Constraint
    most: float | None = 0.0
    asked: float = 0.0  # the most that somebody asks of it who holds something
    then: dict[str, str] = field(default_factory=dict)  # what is asked for while it is held, and by which task

    @property
    def safe(self) -> float | None:
        """The smallest limit with which nobody can wait for it for good; None where there is none."""
        return None if self.most is None else self.most + self.asked

    @property
    def least(self) -> float:
        """The smallest that the limit ever is."""
        keys = {Concurrency: "limit", Resource: "capacity", Adaptive: "least"}
        key = next(key for kind, key in keys.items() if isinstance(self.row, kind))
        return min(numbers[key] for _, numbers in self.row.settings()) / self.row.scale


class Locks:
    """The limits that are held while something is asked for."""

    def __init__(self, scenario: Scenario, governing: Governing) -> None:
        self._scenario = scenario
        self._governing = governing
        self.locks = {
            row.id: Lock(row)
            for row in scenario.constraints
            if isinstance(row, (Concurrency, Adaptive, Resource)) and row.behaviour != "processor_sharing"
        }
        for number, fleet in enumerate(scenario.fleets):
            count = fleet.count if fleet.arrivals is None else None
            spawned_only = fleet.count is None and fleet.arrivals is None
            if not spawned_only:
                held = self._most_held(number, {}, frozenset())
                for name, amount in held.items():
                    self._count(name, amount, count)

    def circle(self) -> list[str]:
        """Return the ids of limits that may be waited for in a circle, each held while the next is asked for."""
        unsafe = {name: lock for name, lock in self.locks.items() if lock.safe is None or lock.least < lock.safe}
        for start in unsafe:
            before = {start: start}
            todo = [start]
            while todo:
                here = todo.pop(0)
                for there in unsafe[here].then:
                    if there == start:
                        way = [here]
                        while way[-1] != start:
                            way.append(before[way[-1]])
                        return way[::-1]
                    if there in unsafe and there not in before:
                        before[there] = here
                        todo.append(there)
        return []

    def told(self, circle: Sequence[str]) -> list[str]:
        """Return the circle in words: who asks for what while what is held."""
        around = pairwise([*circle, circle[0]])
        return [f"{self.locks[held].then[asked]} asks for {asked} while {held} is held" for held, asked in around]

    def remedies(self, circle: Sequence[str]) -> list[str]:
        """Return what would make the circle impossible: an order, a larger limit, or giving back."""
        remedies = []
        if len(circle) > 1:
            order = [name for name in self.locks if name in circle]
            remedies.append(f"taking them in one order everywhere, such as {', then '.join(order)}")
        else:
            remedies.append("a hold with give_back: true")
        safe = [(limit, name) for name in circle if (limit := self.locks[name].safe) is not None]
        return [*remedies, *(f"a limit of {format_number(limit)} for {name}" for limit, name in safe[:1])]

    def _count(self, name: str, amount: float, agents: int | None) -> None:
        lock = self.locks[name]
        if amount and (agents is None or lock.most is None):
            lock.most = None
        elif lock.most is not None and agents is not None:
            lock.most += amount * agents

    def _most_held(self, fleet: int, held: Held, spawners: frozenset[int]) -> Held:
        """Go through a fleet whose agents begin with what their ancestors hold; return the most that one agent holds."""
        return self._go(fleet, self._scenario.fleets[fleet].steps, held, {}, spawners)

    def _go(self, fleet: int, steps: Sequence[Step], held: Held, lent: Held, spawners: frozenset[int]) -> Held:
        """Go through steps while `held`, and `lent` on top where nobody waits for others, are held.

        Returns the most that is held of each limit while something is asked for.
        """
        most: Held = {}
        for step in steps:
            match step:
                case Task() | Hold():
                    taken, asked_with = self._ask(fleet, step, _sum(held, lent))
                    most = _most(most, asked_with)
                    if isinstance(step, Hold) and step.give_back:
                        most = _most(most, self._go(fleet, step.steps, held, _sum(lent, taken), spawners))
                    elif isinstance(step, Hold):
                        most = _most(most, self._go(fleet, step.steps, _sum(held, taken), lent, spawners))
                case Fork() | Graph():
                    copies = upper(step.fork) if isinstance(step, Fork) else 1
                    for _, inner in parts(step):
                        within = self._go(fleet, inner, held, {}, spawners)
                        # What its copies hold beyond what the agent holds already may be held in each of them.
                        extra = {name: (amount - held.get(name, 0)) * copies for name, amount in within.items()}
                        most = _most(most, {name: held.get(name, 0) + amount for name, amount in extra.items()})
                    self._again(fleet, held, lent)
                case Spawn() if step.wait:
                    number = next(n for n, other in enumerate(self._scenario.fleets) if other.name == step.spawn)
                    if number not in spawners:
                        within = self._most_held(number, held, spawners | {number})
                        children = upper(step.count)
                        for name, amount in within.items():
                            extra_held = amount - held.get(name, 0)
                            most = _most(most, {name: held.get(name, 0) + extra_held * children})
                    self._again(fleet, held, lent)
                case _:
                    for _, inner in parts(step):
                        most = _most(most, self._go(fleet, inner, held, lent, spawners))
        return most

    def _ask(self, fleet: int, task: Task | Hold, held: Held) -> tuple[Held, Held]:
        """Return what a task takes, and the most that is held while it asks for some of it."""
        wanted = {
            name: upper(task.needs.get(name, 1.0)) for name, lock in self.locks.items()
            if self._governing.may_govern(lock.row, fleet, task)
        }  # fmt: skip
        first = [] if task.acquire == "atomic" else [name for name in task.acquire if name in wanted]
        stages = [*([name] for name in first), [name for name in wanted if name not in first]]
        most: Held = {}
        for stage in stages:
            if stage and held:
                most = _most(most, held)
                for name in stage:
                    self._asks(name, wanted[name], held, f"{self._scenario.fleets[fleet].name}.{name_of(task)}")
            held = _sum(held, {name: wanted[name] for name in stage})
        return wanted, most

    def _again(self, fleet: int, held: Held, lent: Held) -> None:
        """What was given back is asked for again, while the rest is held."""
        for name, amount in lent.items() if held else ():
            self._asks(name, amount, held, f"{self._scenario.fleets[fleet].name}, again,")

    def _asks(self, name: str, amount: float, held: Held, who: str) -> None:
        self.locks[name].asked = max(self.locks[name].asked, amount)
        for other in held:
            self.locks[other].then.setdefault(name, who)


def _sum(one: Mapping[str, float], other: Mapping[str, float]) -> Held:
    return {name: one.get(name, 0) + other.get(name, 0) for name in (*one, *other)}


def _most(one: Mapping[str, float], other: Mapping[str, float]) -> Held:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in (*one, *other)}
