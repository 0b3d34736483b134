"""The summary of a run: a fold over its log.

Rules:

1. It reads the log alone, batch by batch: fed while a run goes on or from a file, in batches of any size, the result is
   the same.
2. Sums are exact, of whole numbers of any size. Quantiles are nearest-rank (`sample`): each is a wait that a task really
   had, as long as there are not too many different ones.
3. A wait is counted when the task starts; who is still waiting at the end is in `open`, and its time so far in
   `blocked_ns`.
4. A time that lasts is kept as the time at which it ended less the time at which it began, so that a batch asks for
   nothing but its own rows, however often a constraint changes.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.demands import Demands
from model.events import Batch, Ending, Kind, Status
from model.log import ConstraintEntry, Header
from sim.analysis.sample import Sample, total
from sim.analysis.takes import Ended
from sim.analysis.waits import COMES, Stretches, flags

Integers = NDArray[np.int64]

_NOBODY = -1
_SWITCHES = frozenset({"pause", "circuit_breaker", "incident"})
_CHANGES_BY_ITSELF = frozenset({"adaptive", "circuit_breaker"})
_HELD = {"concurrency": "limit", "adaptive": "limit", "resource": "capacity"}
"""The types of which a task holds a part while it works, and what their settings call the whole."""


_STATED = flags(Kind.ResourceAcquired, Kind.ResourceReleased)
_TAKES = flags(Kind.TaskStarted, Kind.ResourceAcquired)


def dot(one: Integers, other: Integers) -> int:
    """Return the sum of products exactly: factors so large that it might overflow are halved until it cannot."""
    if not len(one):
        return 0
    one_max, other_max = (max(int(values.max()), -int(values.min())) for values in (one, other))
    if one_max * other_max * len(one) < 2**63:
        return int(np.dot(one, other))
    if one_max < other_max:
        one, other, one_max = other, one, other_max
    half = one_max.bit_length() // 2
    return (dot(one >> half, other) << half) + dot(one & ((1 << half) - 1), other)


@dataclass(slots=True)
class _Queue:
    """Who waits for one constraint."""

    now: int = 0
    peak: int = 0
    blocked_ns: int = 0  # the times at which somebody left, less those at which somebody came
    episodes: int = 0
    rebounds: int = 0


class _Waiting:
    """Who waits for what."""

    def __init__(self, constraints: int) -> None:
        self.queues = [_Queue() for _ in range(constraints)]

    def feed(self, batch: Batch, ended: Stretches, fed: int) -> None:
        """Take in the next rows, the first of which is event `fed`, and the stretches of waiting that ended there."""
        before = np.full(len(batch), _NOBODY, np.int16)
        before[ended.end - fed] = ended.constraint
        after = np.where(COMES[batch.kind], batch.constraint, np.int16(_NOBODY))
        rows = np.flatnonzero((before != _NOBODY) | (after != _NOBODY))
        kinds, times = batch.kind[rows], batch.time[rows]
        # Each row is up to two moves: it leaves one queue, then comes to another.
        numbers = np.stack([before[rows], after[rows]], axis=1).ravel()
        moves = np.argsort(numbers, kind="stable")
        edges = np.cumsum(np.bincount(numbers + 1, minlength=len(self.queues) + 1))  # nobody comes first
        for queue, (first, last) in zip(self.queues, pairwise(edges.tolist()), strict=True):
            if first == last:
                continue
            mine = moves[first:last]
            steps = (mine & 1) * 2 - 1  # -1 leaves, 1 comes
            came = kinds[mine[steps > 0] >> 1]
            queue.peak = max(queue.peak, queue.now + int(np.cumsum(steps).max()))
            queue.now += int(steps.sum())
            queue.blocked_ns -= total(steps * times[mine >> 1])
            queue.episodes += int(np.count_nonzero(came == Kind.TaskBlocked))
            queue.rebounds += int(np.count_nonzero(came == Kind.TaskRebound))


class _Use:
    """How much of a constraint was used, and how much there was, while it was in force.

    A concurrency limit has slots times nanoseconds, as a resource has; a rate limit and a quota have tokens, a pause
    nanoseconds.
    """

    def __init__(self, entry: ConstraintEntry, header: Header, number: int) -> None:
        self._type = entry.type
        self._number = number
        self._settings = entry.settings
        self._times = np.array([time for time, _ in entry.settings], np.int64)
        self._in_force = np.array([numbers is not None for _, numbers in entry.settings])
        lasted = np.append(0, np.diff(self._times) * self._in_force[:-1])
        self._force_ns = np.cumsum(lasted)  # for how long it was in force before each setting
        self._amounts = Amounts(header, number)
        # Of a limit that changes by itself: what it is, since when, and the sum of that times ns.
        numbers = entry.settings[0][1]
        self._level = numbers["limit"] if numbers is not None and entry.type == "adaptive" else 0
        self._level_since = self._level_ns = 0
        self._changes = 0  # how many of its changes have happened
        self._taken = 0  # tokens of a rate limit; slots that are held now
        self._taken_ns = 0  # slots, each times the ns in force before it was taken, less those before it was given back

    def feed(self, batch: Batch, implied: Integers, stated: Integers, changes: Integers) -> None:
        """Take in the next rows: those with amounts that the header says, with amounts of their own, and the changes."""
        changes = changes[batch.constraint[changes] == self._number]
        if self._type in _CHANGES_BY_ITSELF:
            for time, value in zip(batch.time[changes].tolist(), batch.value[changes].tolist(), strict=True):
                self._level_ns += self._level * (time - self._level_since)
                self._level_since = time
                self._level = max(value, 0) if self._type == "adaptive" else int(value == 0)
        if self._type not in _SWITCHES:
            implied = implied[self._amounts.asked[batch.step[implied]]]
            stated = stated[batch.constraint[stated] == self._number]
            rows = np.concatenate([implied, stated])
            amounts = np.concatenate([self._amounts.of(batch.step[implied], batch.agent[implied]), batch.value[stated]])
            takes = _TAKES[batch.kind[rows]]
            amounts = np.where(takes, amounts, -amounts)
            if self._type in _HELD:
                self._taken += total(amounts)
                self._taken_ns += dot(amounts, self._force(batch.time[rows]))
            else:
                # What a task gives back at its end is nothing, but for what has a row that says so.
                setting = self._changes + np.searchsorted(changes, rows)
                counts = takes | _STATED[batch.kind[rows]]
                self._taken += total(amounts[counts & self._in_force[setting]])
        self._changes += len(changes)

    def utilisation(self, now_ns: int) -> float:
        """What was used of what there was; of a switch, the share of the run during which it was shut.

        It is above 1 where more was used than is to be had: README.md says of which limits.
        """
        used, available = 0, Fraction(0)
        if self._type in _CHANGES_BY_ITSELF:
            level_ns = self._level_ns + self._level * (now_ns - self._level_since)
            if self._type == "circuit_breaker":
                return level_ns / now_ns if now_ns else 0.0
            used = self._taken * int(self._force(np.array([now_ns]))[0]) - self._taken_ns
            return used / level_ns if level_ns else 0.0
        happened = self._settings[: self._changes + 1]
        before = None
        for (time, numbers), (until, _) in pairwise([*happened, (now_ns, None)]):
            span = until - time
            if self._type == "pause":
                used += span if numbers is not None and numbers["paused"] else 0
                available += span
            elif self._type == "incident":
                used += span if numbers is not None else 0
                available += span
            elif numbers is not None and self._type in _HELD:
                available += numbers[_HELD[self._type]] * span
            elif numbers is not None and self._type == "quota":
                available += numbers["total"] * _periods(numbers["period_ns"], time, until, before is None)
            elif numbers is not None:
                available += Fraction(numbers["tokens"] * span, numbers["period_ns"])
                available += numbers["burst"] if before is None else 0
            before = numbers
        if self._type in _HELD:
            used = self._taken * int(self._force(np.array([now_ns]))[0]) - self._taken_ns
        elif self._type not in _SWITCHES:
            used = self._taken
        return float(used / available) if available else 0.0

    def _force(self, times: Integers) -> Integers:
        """Return for how long it was in force before each of these times, in ns."""
        setting = np.searchsorted(self._times, times, side="right") - 1
        force_ns: Integers = self._force_ns[setting] + (times - self._times[setting]) * self._in_force[setting]
        return force_ns


def _periods(period_ns: int, start_ns: int, end_ns: int, is_first: bool) -> int:
    """Return how often a quota came anew in a time: at the beginning, and at each multiple of its period."""
    if not period_ns:
        return int(is_first)
    begun = (max(end_ns, start_ns + 1) - 1) // period_ns - start_ns // period_ns
    return begun + int(is_first)


class Amounts:
    """The amounts that tasks take of one constraint without a row that says so, by step and agent.

    `asked` says by step whether there is any.
    """

    def __init__(self, header: Header, constraint: int) -> None:
        self._demands = Demands(header)
        self._amounts = self._demands.table(
            lambda step, demands: (
                0 if step.states_all else sum(each.amount or 0 for each in demands if each.constraint == constraint)
            )
        )
        self.asked = self._demands.steps_with(self._amounts)

    def of(self, steps: NDArray[np.int16], agents: NDArray[np.int32]) -> Integers:
        """Return the amount of each row."""
        amounts: Integers = self._amounts[self._demands.of(steps, agents)]
        return amounts


class Summary:
    """Counts, waits, and what each constraint cost; feed it every batch of a log, then ask for `result`."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._counts = np.zeros(len(Kind), np.int64)
        self._ended = np.zeros(len(Status), np.int64)  # attempts that worked, by how they ended
        self._rejected = np.zeros(len(header.constraints), np.int64)
        self._now = 0
        self._gave_up = self._spawned = 0
        self._waits = Sample()
        self._waiting = _Waiting(len(header.constraints))
        self._use = [_Use(entry, header, number) for number, entry in enumerate(header.constraints)]
        self._attempts = Ended()
        self._deadlocks: list[dict[str, Any]] = []
        self._stalled_ns: int | None = None  # when the last thing happened before the end of a run that has stalled
        self._fed = 0

    def feed(self, batch: Batch, stretches: Stretches) -> None:
        """Take in the next rows, and the stretches of waiting (`waits`) that ended there."""
        if not len(batch):
            return
        kinds = batch.kind
        self._counts += np.bincount(kinds, minlength=len(Kind))
        ended = self._attempts.feed(batch)
        self._ended += np.bincount(batch.value[ended], minlength=len(Status))
        self._spawned += int(np.count_nonzero((kinds == Kind.AgentStarted) & (batch.step >= 0)))
        self._gave_up += int(
            np.count_nonzero(batch.constraint[kinds == Kind.TaskAbandoned] >= 0)
        )  # the others backed off
        rejected = batch.constraint[kinds == Kind.TaskRejected]
        self._rejected += np.bincount(rejected, minlength=len(self._rejected))
        started = kinds == Kind.TaskStarted
        self._waits.add(batch.value[started])
        self._waiting.feed(batch, stretches, self._fed)
        implied = np.flatnonzero(started | ended)
        stated, changes = np.flatnonzero(_STATED[kinds]), np.flatnonzero(kinds == Kind.ConstraintChanged)
        for use in self._use:
            use.feed(batch, implied, stated, changes)
        for row in np.flatnonzero((kinds == Kind.DeadlockDetected) & (batch.value > 0)).tolist():
            told = {"time_ns": int(batch.time[row]), "event": self._fed + row, "agents": int(batch.value[row])}
            self._deadlocks.append(told)
        if kinds[-1] == Kind.RunFinished and batch.value[-1] == Ending.stalled:
            self._stalled_ns = int(batch.time[-2]) if len(batch) > 1 else self._now
        self._fed += len(batch)
        self._now = int(batch.time[-1])

    def reach(self, time_ns: int) -> None:
        """Take in that nothing more has happened up to a time."""
        self._now = max(self._now, time_ns)

    def result(self) -> dict[str, Any]:
        """Return the numbers so far, by the names that `python -m sim run --json` gives them."""
        counts = {kind: int(self._counts[kind]) for kind in Kind}
        ended = {status: int(self._ended[status]) for status in Status}
        waiting = sum(queue.now for queue in self._waiting.queues)
        return {
            "events": int(self._counts.sum()),
            "end_ns": self._now,
            "tasks": {
                "started": counts[Kind.TaskStarted],
                "finished": ended[Status.succeeded],
                "failed": ended[Status.failed],
                "timed_out": ended[Status.timed_out],
                "rejected": counts[Kind.TaskRejected],
                "gave_up": self._gave_up,
                "preempted": ended[Status.preempted],
                "cancelled": ended[Status.cancelled],
                "skipped": counts[Kind.TaskSkipped],
                "blocked": counts[Kind.TaskBlocked],
                "open": waiting + counts[Kind.TaskStarted] - sum(ended.values()),
            },
            "spawned": self._spawned,
            "crashes": counts[Kind.AgentCrashed],
            "wait_ns": self._waits.result(),
            "deadlocks": self._deadlocks,
            "stalled": None
            if self._stalled_ns is None
            else {
                "since_ns": self._stalled_ns,
                "event": self._fed - 2,
                "agents": counts[Kind.AgentStarted] - counts[Kind.AgentFinished],
                "tasks": waiting,
            },
            "constraints": {
                entry.id: {
                    "utilisation": use.utilisation(self._now),
                    "blocked_ns": queue.blocked_ns + queue.now * self._now,
                    "blocked_episodes": queue.episodes,
                    "rebounds": queue.rebounds,
                    "peak_waiting": queue.peak,
                    "rejected": int(rejected),
                }
                for entry, use, queue, rejected in zip(
                    self._header.constraints, self._use, self._waiting.queues, self._rejected, strict=True
                )
            },
        }
