"""Priority inversions: a more important task waits for what a less important one holds.

Rules:

1. A task waits in an inversion while it is bound to a constraint of which some task of strictly lower priority holds some:
   slots or a resource, which are given back. Where all holders are at least as important there is none. (Sha, Rajkumar and
   Lehoczky, Priority inheritance protocols, IEEE Transactions on Computers 39(9), 1990: a job is blocked by one of lower
   priority. Here the holder alone counts, not whom it waits for in its turn.) Tasks of the same agent are no exception.
2. An inversion is a stretch of waiting for one constraint (`waits`) with some time of that; how often it ceases in
   between does not count, nor does what lasts no time. What still goes on counts with its time so far.
3. It is a fold over the log alone. For each constraint and each priority of those who ask for it, it keeps for how long
   less important tasks have held some so far: of a stretch that is what it is at the end less what it was at the beginning.
4. Kept are the worst: the longest time in inversion, of equals the first. For who held it the log is read once more.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.events import Batch
from model.header import HELD, Header
from model.log import Log
from model.roster import Roster
from sim.analysis.sample import total
from sim.analysis.scenario import scenario_of
from sim.analysis.starvation import WORST
from sim.analysis.takes import Ended, Takes, asking
from sim.analysis.waits import Flags, Integers, Kept, Stretches

_NO_PAIR = -1


class _Inversion(NamedTuple):
    """An inversion; the order of these is from the worst to the least."""

    less_ns: int  # how long it was, below 0
    asked: int
    since_ns: int  # when the stretch of waiting began
    to_ns: int  # the end of its last inversion
    agent: int
    step: int
    visit: int
    attempt: int
    constraint: int


@dataclass(slots=True)
class _Lower:
    """Whether somebody less important than `priority` holds some of a constraint, and for how long that was so.

    After `feed` there is an entry for the time of each change since `since_ns`: how many hold some from then on, and up to
    then the ns for which somebody did, and when somebody last did for some time.
    """

    constraint: int
    priority: int
    times: Integers
    holders: Integers
    so_far_ns: Integers
    last_ns: Integers

    @classmethod
    def before_all(cls, constraint: int, priority: int) -> "_Lower":
        return cls(constraint, priority, *(np.zeros(1, np.int64) for _ in range(4)))

    def feed(self, times: Integers, changes: Integers) -> None:
        """Take in the next changes of how many hold some."""
        before_ns, last_ns = self.so_far_ns[-1], self.last_ns[-1]
        self.times = np.append(self.times[-1], times)
        self.holders = self.holders[-1] + np.append(0, np.cumsum(changes))
        lasted = np.diff(self.times) * (self.holders[:-1] > 0)
        self.so_far_ns = before_ns + np.append(0, np.cumsum(lasted))
        self.last_ns = np.maximum.accumulate(np.append(last_ns, np.where(lasted > 0, self.times[1:], 0)))

    def at(self, times: Integers) -> tuple[Integers, Integers]:
        """Return the ns for which somebody held some before each time, and when somebody last did."""
        place = np.searchsorted(self.times, times, side="right") - 1
        more = (times - self.times[place]) * (self.holders[place] > 0)
        return self.so_far_ns[place] + more, np.where(more > 0, times, self.last_ns[place])


class Inversions:
    """Feed it every batch of a log, then ask for `result`. Where nobody is more important it does nothing."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._scenario = scenario_of(header)
        self._roster = Roster(header)
        self._ended = Ended()
        self._priority = np.zeros(len(header.steps) + 1, np.int64)
        for number, task in asking(header, self._scenario).items():
            fleet = header.fleets[header.steps[number].fleet]
            self._priority[number] = fleet.priority if task.priority is None else task.priority
        self._pairs = [_Lower.before_all(*pair) for pair in _pairs(header, self._priority)]
        self._pair_of = np.full((len(header.steps) + 1, len(header.constraints)), _NO_PAIR)
        for number, pair in enumerate(self._pairs):
            self._pair_of[self._priority == pair.priority, pair.constraint] = number
        self._takes = {pair.constraint: Takes(header, self._scenario, pair.constraint) for pair in self._pairs}
        self._found = _Found(0, 0, [])
        # Of each stretch that goes on, for how long less important tasks had held some before it.
        self._before_ns = Kept()
        self._fed = 0

    def feed(self, batch: Batch, stretches: Stretches, rest: Stretches) -> None:
        """Take in the next rows, the stretches of waiting that ended there, and those that go on after them."""
        if not self._pairs:
            return
        self._roster.feed(batch)
        ended = self._ended.feed(batch)
        changes = {number: _changes(takes, batch, ended) for number, takes in self._takes.items()}
        for pair in self._pairs:
            rows, steps = changes[pair.constraint]
            mine = self._priority[batch.step[rows]] < pair.priority
            pair.feed(batch.time[rows[mine]], steps[mine])
        self._found = self._with(stretches, self._before(stretches))
        self._before_ns.keep(rest, self._before(rest))
        self._fed += len(batch)

    def result(self, log: Log | None, rest: Stretches) -> dict[str, Any]:
        """Return what `python -m sim run --json` gives.

        `rest` are the stretches of waiting that go on. Who held what is wanted is read from the log.
        """
        found = self._with(rest, self._before_ns.of(rest)) if self._pairs else self._found
        holders = self._holders(log, found.worst) if log is not None and found.worst else {}
        told = [self._told(each) | holders.get(each, {}) for each in found.worst]
        return {"episodes": found.episodes, "inverted_ns": found.inverted_ns, "worst": told}

    def _at(
        self, steps: NDArray[np.int16], constraints: NDArray[np.int16], times: Integers
    ) -> tuple[Integers, Integers]:
        """Return for how long, and when last, less important tasks held what these tasks want, up to these times."""
        so_far_ns, last_ns = np.zeros((2, len(times)), np.int64)
        pairs = self._pair_of[steps, constraints]
        for number, pair in enumerate(self._pairs):
            mine = np.flatnonzero(pairs == number)
            so_far_ns[mine], last_ns[mine] = pair.at(times[mine])
        return so_far_ns, last_ns

    def _before(self, stretches: Stretches) -> Integers:
        """Return for how long less important tasks had held some before each of these began, the last batch being fed."""
        before_ns = self._before_ns.of(stretches)
        fresh = np.flatnonzero(stretches.begun >= self._fed)
        before_ns[fresh], _ = self._at(stretches.step[fresh], stretches.constraint[fresh], stretches.since_ns[fresh])
        return before_ns

    def _with(self, stretches: Stretches, before_ns: Integers) -> "_Found":
        """Return what was found, with the stretches that end now."""
        so_far_ns, last_ns = self._at(stretches.step, stretches.constraint, stretches.end_ns)
        inverted_ns = so_far_ns - before_ns
        inverted = np.flatnonzero(inverted_ns > 0)
        longest = inverted[np.lexsort((stretches.asked[inverted], -inverted_ns[inverted]))[:WORST]]
        told = stretches.some(longest)
        columns = (told.agent, told.step, told.visit, told.attempt, told.constraint)
        times = (-inverted_ns[longest], told.asked, told.since_ns, last_ns[longest])
        found = map(_Inversion, *(column.tolist() for column in times), *(column.tolist() for column in columns))
        return _Found(
            self._found.episodes + len(inverted),
            self._found.inverted_ns + total(inverted_ns),
            nsmallest(WORST, [*self._found.worst, *found]),
        )

    def _told(self, each: _Inversion) -> dict[str, Any]:
        return {
            "task": self._roster.task_name(each.agent, each.step),
            "visit": each.visit,
            "attempt": each.attempt,
            "priority": int(self._priority[each.step]),
            "waits_for": self._header.constraints[each.constraint].id,
            "event": each.asked,
            "inverted_ns": -each.less_ns,
            "to_ns": each.to_ns,
        }

    def _holders(self, log: Log, worst: list[_Inversion]) -> dict[_Inversion, dict[str, Any]]:
        """Return for each inversion when it began, and the least important task that held some then."""
        found: dict[_Inversion, dict[str, Any]] = {}
        queues = {each.constraint: _Holders([]) for each in worst}
        for each in sorted(worst, key=lambda each: each.since_ns):
            queues[each.constraint].pending.append(each)
        ended, first, now_ns = Ended(), 0, 0
        for batch in log.batches():
            ends = ended.feed(batch)
            for constraint, queue in queues.items():
                rows, steps = _changes(self._takes[constraint], batch, ends)
                columns = (self._priority[batch.step[rows]], first + rows, batch.time[rows])
                tasks = (batch.agent[rows], batch.step[rows], batch.visit[rows])
                holds = map(_Hold, *(column.tolist() for column in columns), *(column.tolist() for column in tasks))
                for hold, step in zip(holds, steps.tolist(), strict=True):
                    if not queue.pending:
                        break
                    found |= self._begun(queue, hold.since_ns)
                    queue.take_in(hold, step)
            first, now_ns = first + len(batch), int(batch.time[-1])
            if not any(queue.pending for queue in queues.values()):
                break
        for queue in queues.values():
            found |= self._begun(queue, now_ns)
        return found

    def _begun(self, queue: "_Holders", now_ns: int) -> dict[_Inversion, dict[str, Any]]:
        """Return those inversions that have begun before now, and let them be pending no more."""
        if not queue.pending or queue.pending[0].since_ns >= now_ns or queue.changed_ns >= now_ns or not queue.held:
            return {}
        least = min(queue.held.values())
        found = {
            each: {
                "from_ns": max(each.since_ns, queue.changed_ns),
                "held_by": {
                    "task": self._roster.task_name(least.agent, least.step),
                    "visit": least.visit,
                    "priority": least.priority,
                    "since_ns": least.since_ns,
                    "event": least.event,
                },
            }
            for each in queue.pending
            if each.since_ns < now_ns and least.priority < self._priority[each.step]
        }
        queue.pending = [each for each in queue.pending if each not in found]
        return found


class _Found(NamedTuple):
    """What was found so far."""

    episodes: int
    inverted_ns: int
    worst: list[_Inversion]


class _Hold(NamedTuple):
    """What a task holds since when, and the event in which it took that; the least important come first."""

    priority: int
    event: int
    since_ns: int
    agent: int
    step: int
    visit: int


@dataclass(slots=True)
class _Holders:
    """Who holds some of a constraint since its last change, and the inversions of which it is not known yet who did."""

    pending: list[_Inversion]
    held: dict[tuple[int, ...], _Hold] = field(default_factory=dict)
    changed_ns: int = 0

    def take_in(self, hold: _Hold, step: int) -> None:
        """Take in that somebody takes some, or gives it back where `step` is below 0."""
        task = hold.agent, hold.step, hold.visit
        if step > 0:
            self.held[task] = hold
        else:
            del self.held[task]
        self.changed_ns = hold.since_ns


def _pairs(header: Header, priority: Integers) -> Iterator[tuple[int, int]]:
    """Yield each constraint that is held, with each priority of those who ask for it but the lowest."""
    asked: dict[int, set[int]] = {}
    for number, step in enumerate(header.steps):
        for demand in (demand for group in step.demands for demand in group):
            asked.setdefault(demand.constraint, set()).add(int(priority[number]))
    for constraint, priorities in sorted(asked.items()):
        if header.constraints[constraint].type in HELD:
            yield from ((constraint, each) for each in sorted(priorities)[1:])


def _changes(takes: Takes, batch: Batch, ended: Flags) -> tuple[NDArray[np.intp], Integers]:
    """Return the places of the rows that take some or give it back, in order, with 1 or -1 for each."""
    taking, giving = takes.taking(batch), takes.giving(batch, ended)
    rows = np.concatenate([taking, giving])
    order = np.argsort(rows)
    return rows[order], np.repeat(np.array([1, -1]), (len(taking), len(giving)))[order]
