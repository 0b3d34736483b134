"""The summary of a run: a fold over its log.

Rules:

1. It reads the log alone, batch by batch: fed while a run goes on or from a file, in batches of any size, the result is
   the same.
2. Times are exact sums in whole nanoseconds. Quantiles are nearest-rank: each is a wait that a task really had.
3. A wait is counted when the task starts; who is still waiting at the end is in `open`, and its time so far in
   `blocked_ns`.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind, Status
from model.log import ConstraintEntry, Header

_MICRO = 1_000_000
_NS_PER_SECOND = 1_000_000_000
_WAITING_CHANGES = [Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned]
_STATED = [Kind.ResourceAcquired, Kind.ResourceReleased]
_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def total(values: NDArray[np.int64]) -> int:
    """Return the sum of 64-bit values exactly, in two halves so that it cannot overflow."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


@dataclass(slots=True)
class _Waiting:
    """Who waits for one constraint."""

    now: int = 0
    peak: int = 0
    blocked_ns: int = 0  # the time of those who left, less the time at which each one came
    episodes: int = 0
    rebounds: int = 0


class _Use:
    """How much of a constraint was used, and how much there was, while it was in force.

    A concurrency limit has slots times nanoseconds, a rate limit tokens, a pause nanoseconds.
    """

    def __init__(self, entry: ConstraintEntry, header: Header, number: int) -> None:
        self._entry = entry
        self._amounts = _Amounts(header, number)
        self._number = number
        self._numbers = entry.settings[0][1]
        self._held = 0
        self._used = 0
        self._available = Fraction(self._burst())  # exact, so that it does not depend on the batches

    def feed(self, piece: Batch, unstarted: NDArray[np.bool_], start_ns: int, end_ns: int) -> None:
        """Take in rows between which the numbers of the constraint do not change."""
        started = piece.kind == Kind.TaskStarted
        stated = np.isin(piece.kind, _STATED) & (piece.constraint == self._number)
        span = end_ns - start_ns
        numbers = self._numbers
        if self._entry.type == "concurrency":
            taken, given = (
                stated & (piece.kind == Kind.ResourceAcquired),
                stated & (piece.kind == Kind.ResourceReleased),
            )
            finished = (piece.kind == Kind.TaskFinished) & ~unstarted
            changed = np.flatnonzero(started | finished | taken | given)
            implied = self._amounts.of(piece.step[changed], piece.agent[changed])
            amounts = np.where(stated[changed], piece.value[changed], implied)
            amounts = np.where((started | taken)[changed], amounts, -amounts)
            used = self._held * span + total(amounts * (end_ns - piece.time[changed]))
            self._held += int(amounts.sum())
            if numbers is not None:
                self._used += used
                self._available += numbers["limit"] * span
        elif self._entry.type == "rate_limit" and numbers is not None:
            rows = np.flatnonzero(started)
            self._used += int(self._amounts.of(piece.step[rows], piece.agent[rows]).sum()) + total(piece.value[stated])
            self._available += Fraction(numbers["tokens"] * span, numbers["period_ns"])
        elif self._entry.type == "pause":
            self._used += span if numbers is not None and numbers["paused"] else 0
            self._available += span

    def change(self, time_ns: int) -> None:
        """Take on the numbers that the header states for this time."""
        before = self._numbers
        self._numbers = next(numbers for time, numbers in self._entry.settings if time == time_ns)
        if before is None:
            self._available += self._burst()

    def _burst(self) -> int:
        return self._numbers["burst"] if self._entry.type == "rate_limit" and self._numbers is not None else 0

    @property
    def utilisation(self) -> float:
        """What was used of what there was, from 0 to 1; for a pause, the share of the run during which it was paused."""
        return float(self._used / self._available) if self._available else 0.0


class _Amounts:
    """The amounts that tasks take of one constraint without a row that says so, by step and agent."""

    def __init__(self, header: Header, constraint: int) -> None:
        self._single = np.zeros(len(header.steps) + 1, np.int64)
        self._grouped: list[tuple[int, int, NDArray[np.int64]]] = []
        for number, step in enumerate(header.steps):
            if step.states_all:
                continue
            amounts = [
                sum(demand.amount or 0 for demand in group if demand.constraint == constraint) for group in step.demands
            ]
            if step.groups:
                fleet = header.fleets[step.fleet]
                by_agent = np.zeros(fleet.count, np.int64)
                for first, last, group in step.groups:
                    by_agent[first : last + 1] = amounts[group]
                self._grouped.append((number, fleet.first, by_agent))
            elif amounts:
                self._single[number] = amounts[0]

    def of(self, steps: NDArray[np.int16], agents: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the amount of each row."""
        amounts = self._single[steps]
        for number, first, by_agent in self._grouped:
            rows = np.flatnonzero(steps == number)
            amounts[rows] = by_agent[agents[rows] - first]
        return amounts


class Summary:
    """Counts, waits, and what each constraint cost; feed it every batch of a log, then ask for `result`."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._counts = np.zeros(len(Kind), np.int64)
        self._succeeded = 0
        self._unstarted = 0
        self._now = 0
        self._waits: list[NDArray[np.int64]] = []
        self._waiting = [_Waiting() for _ in header.constraints]
        self._use = [_Use(entry, header, number) for number, entry in enumerate(header.constraints)]
        self._bound = np.full(header.agents, -1, np.int16)
        self._last_kind = -1

    def feed(self, batch: Batch) -> None:
        """Take in the next rows."""
        kinds = batch.kind
        self._counts += np.bincount(kinds, minlength=len(Kind))
        finished = kinds == Kind.TaskFinished
        before = np.concatenate([np.array([self._last_kind], np.int16), kinds[:-1].astype(np.int16)])
        unstarted = finished & ((before == Kind.TaskRejected) | (before == Kind.TaskAbandoned))
        self._succeeded += int(np.count_nonzero(finished & (batch.value == Status.succeeded)))
        self._unstarted += int(np.count_nonzero(unstarted))
        self._waits.append(batch.value[kinds == Kind.TaskStarted])
        self._feed_waiting(batch)
        changes = np.flatnonzero(kinds == Kind.ConstraintChanged)
        at = 0
        for row in changes.tolist():
            self._feed_use(batch.rows(at, row), unstarted[at:row], int(batch.time[row]))
            self._use[int(batch.constraint[row])].change(int(batch.time[row]))
            at = row
        self._feed_use(batch.rows(at, len(batch)), unstarted[at:], int(batch.time[-1]))
        self._last_kind = int(kinds[-1])

    def _feed_use(self, piece: Batch, unstarted: NDArray[np.bool_], end_ns: int) -> None:
        for use in self._use:
            use.feed(piece, unstarted, self._now, end_ns)
        self._now = end_ns

    def _feed_waiting(self, batch: Batch) -> None:
        rows = np.flatnonzero(np.isin(batch.kind, _WAITING_CHANGES))
        if not len(rows):
            return
        kinds, agents, times = batch.kind[rows], batch.agent[rows], batch.time[rows]
        comes = (kinds == Kind.TaskBlocked) | (kinds == Kind.TaskRebound)
        after = np.where(comes, batch.constraint[rows], np.int16(-1))
        # What each was bound to before: by its own row before this one, else by what the batches before left.
        order = np.argsort(agents, kind="stable")
        same = np.concatenate([[False], agents[order][1:] == agents[order][:-1]])
        before = np.empty(len(rows), np.int16)
        before[order] = np.where(same, np.roll(after[order], 1), self._bound[agents[order]])
        self._bound[agents] = after  # of several rows of one agent the last one stays
        for number, waiting in enumerate(self._waiting):
            coming, leaving = after == number, before == number
            moves = coming.astype(np.int64) - leaving
            if moves.any() or coming.any():
                waiting.peak = max(waiting.peak, waiting.now + int(np.cumsum(moves).max()))
                waiting.now += int(moves.sum())
                waiting.blocked_ns += total(times[leaving]) - total(times[coming])
                waiting.episodes += int(np.count_nonzero(coming & (kinds == Kind.TaskBlocked)))
                waiting.rebounds += int(np.count_nonzero(coming & (kinds == Kind.TaskRebound)))

    def result(self) -> dict[str, Any]:
        """Return the numbers so far, by the names that `python -m sim run --json` gives them."""
        counts = {kind: int(self._counts[kind]) for kind in Kind}
        ended = counts[Kind.TaskFinished]
        waiting = sum(each.now for each in self._waiting)
        return {
            "events": int(self._counts.sum()),
            "end_ns": self._now,
            "tasks": {
                "started": counts[Kind.TaskStarted],
                "finished": self._succeeded,
                "failed": ended - self._succeeded,
                "blocked": counts[Kind.TaskBlocked],
                "open": waiting + counts[Kind.TaskStarted] - (ended - self._unstarted),
            },
            "wait_ns": _distribution(np.concatenate(self._waits) if self._waits else np.zeros(0, np.int64)),
            "constraints": {
                entry.id: {
                    "utilisation": use.utilisation,
                    "blocked_ns": each.blocked_ns + each.now * self._now,
                    "blocked_episodes": each.episodes,
                    "rebounds": each.rebounds,
                    "peak_waiting": each.peak,
                }
                for entry, use, each in zip(self._header.constraints, self._use, self._waiting, strict=True)
            },
        }


def _distribution(waits: NDArray[np.int64]) -> dict[str, float | int | None]:
    """Mean, nearest-rank quantiles and maximum of the waits, in ns; None where no task has started."""
    if not len(waits):
        return dict.fromkeys(("mean", *_QUANTILES, "max"))
    ordered = np.sort(waits)
    ranks = {name: int(ordered[max(0, ceil(share * len(ordered)) - 1)]) for name, share in _QUANTILES.items()}
    return {"mean": total(ordered) / len(ordered), **ranks, "max": int(ordered[-1])}
