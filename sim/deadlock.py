"""Who waits for good: a deadlock is found at the event that closes it.

Rules:

1. A strand waits for good when it waits for something that only strands which wait for good could give: slots that they
   hold, or their being over. (The greatest set of strands of which that is true; Holt, Some deadlock properties of computer
   systems, ACM Computing Surveys 4, 1972: where there are several of a thing, a cycle alone is no deadlock.)
2. Whoever works, thinks or backs off will go on, and so will whoever has a patience or a limited life or crashes now and
   then, and whoever waits for time to bring something. A limit counts for the largest that it will be.
3. Nothing but a strand that begins to wait, or a limit that is lowered, can close a deadlock.
4. All who wait for each other for good are told of together, each in a row: who waits for branches or for agents that it
   spawned by what it holds. Who is told of already is not told of again.
"""

from collections import deque
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from model.events import Kind
from sim.policy import PolicyTask
from sim.recorder import code

if TYPE_CHECKING:
    from sim.agent import Strand
    from sim.constraints.base import GlobalConstraint
    from sim.environment import Environment
    from sim.recorder import Recorder
    from sim.workflow import Join

_DETECTED = code(Kind.DeadlockDetected)


class Watch:
    """Knows the strands that wait, for a task to be admitted or for others to be over, and what they hold meanwhile."""

    def __init__(self, env: "Environment", recorder: "Recorder") -> None:
        self._env = env
        self._record = recorder.record
        self._waiting: dict[Strand, PolicyTask | Join] = {}
        self._holding: dict[Strand, dict[GlobalConstraint, int]] = {}  # what each of them holds
        self._held: dict[GlobalConstraint, dict[Strand, int]] = {}  # the same by constraint
        self._sums: dict[GlobalConstraint, int] = {}  # and in all
        self._told: set[Strand] = set()

    def waits(self, strand: "Strand", wanted: "PolicyTask | Join") -> None:
        """A strand begins to wait."""
        self.goes_on(strand)
        gives_up = isinstance(wanted, PolicyTask) and wanted.patience_ns is not None and not wanted.is_lent
        if gives_up or strand.agent.is_mortal:
            return
        self._waiting[strand] = wanted
        holding = self._holding[strand] = _holdings(strand)
        for constraint, amount in holding.items():
            self._held.setdefault(constraint, {})[strand] = amount
            self._sums[constraint] = self._sums.get(constraint, 0) + amount
        if holding or strand.is_waited_for:  # else it stands in nobody's way
            self._look(strand)

    def goes_on(self, strand: "Strand") -> None:
        """A strand does not wait any more."""
        if self._waiting.pop(strand, None) is not None:
            for constraint, amount in self._holding.pop(strand).items():
                del self._held[constraint][strand]
                self._sums[constraint] -= amount
            self._told.discard(strand)

    def look_again(self) -> None:
        """A limit was lowered: look at all who wait."""
        for strand in list(self._waiting):
            self._look(strand)

    def _look(self, strand: "Strand") -> None:
        """Tell of the deadlock that the strand has closed by waiting, if there is one."""
        if strand in self._told or self._goes_on_unless(strand, self._waiting):
            return
        stuck = self._stuck(strand)
        knot = self._knot(strand, stuck) if strand in stuck else []
        if not knot or not self._told.isdisjoint(knot):
            return
        self._told.update(knot)
        value = len({each.agent for each in knot})
        for each in knot:
            wanted = self._waiting[each]
            if isinstance(wanted, PolicyTask):
                assert wanted.binding is not None
                self._record((self._env._now, _DETECTED + wanted.code + wanted.binding.code, wanted.who, value))
            elif each.holds:
                hold = each.holds[-1]
                self._record((self._env._now, _DETECTED + hold.code, hold.who, value))
            else:
                continue
            value = 0

    def _stuck(self, strand: "Strand") -> "dict[Strand, None]":
        """Return those of the strands that it waits for, directly or not, that wait for good; itself included."""
        stuck, todo = {strand: None}, [strand]
        while todo:
            for other in self._waits_for(todo.pop(), self._waiting):
                if other in self._waiting and other not in stuck:
                    stuck[other] = None
                    todo.append(other)
        while going_on := [each for each in stuck if self._goes_on_unless(each, stuck)]:
            for each in going_on:
                del stuck[each]
        return stuck

    def _knot(self, strand: "Strand", stuck: "dict[Strand, None]") -> "list[Strand]":
        """Return those that wait for good and for each other, from `strand` on; none where nobody waits for `strand`."""
        waited_by: dict[Strand, list[Strand]] = {}
        for each in self._waiting:  # the order in which they began to wait
            for other in self._waits_for(each, stuck) if each in stuck else ():
                waited_by.setdefault(other, []).append(each)
        found: dict[Strand, None] = {}
        todo = deque(waited_by.get(strand, ()))
        while todo:
            here = todo.popleft()
            if here not in found:
                found[here] = None
                todo.extend(waited_by.get(here, ()))
        return [strand, *(each for each in found if each is not strand)] if strand in found else []

    def _goes_on_unless(self, strand: "Strand", stuck: "Collection[Strand]") -> bool:
        """Say whether the strand could go on if all those that are not in `stuck` did."""
        join = strand.join
        while join is not None:
            if not join.needs_all and join.comes_without(stuck):
                return True  # it will be called off
            join = join.strand.join
        wanted = self._waiting[strand]
        if isinstance(wanted, PolicyTask):
            return not any(True for _ in self._short_of(wanted, stuck))
        return wanted.comes_without(stuck)

    def _short_of(self, task: PolicyTask, stuck: "Collection[Strand]") -> "Iterator[GlobalConstraint]":
        """Yield what the task will not have enough of if none of `stuck` gives anything back."""
        for constraint, amount in task.demands:
            if constraint.holds:
                if stuck is self._waiting:
                    kept = self._sums.get(constraint, 0)
                else:
                    kept = sum(held for other, held in self._held.get(constraint, {}).items() if other in stuck)
                if constraint.ceiling - kept < amount:
                    yield constraint

    def _waits_for(self, strand: "Strand", stuck: "Collection[Strand]") -> "Iterator[Strand]":
        """Yield the strands that stand in its way."""
        wanted = self._waiting[strand]
        if isinstance(wanted, PolicyTask):
            for constraint in self._short_of(wanted, stuck):
                yield from (other for other in self._held.get(constraint, ()) if other in stuck)
        else:
            yield from (other for other in wanted.members if not other.is_over)


def _holdings(strand: "Strand") -> "dict[GlobalConstraint, int]":
    """Return what a strand that waits holds, by constraint."""
    holding: dict[GlobalConstraint, int] = {}
    doing = () if strand.doing is None else strand.doing.acquired + strand.doing.kept
    for constraint, amount in (*doing, *(demand for hold in strand.holds for demand in hold.held)):
        if constraint.holds:
            holding[constraint] = holding.get(constraint, 0) + amount
    return holding
