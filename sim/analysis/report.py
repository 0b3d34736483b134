"""The report of a run: all that its log says about it, by the names of `python -m sim report --json`.

Rules:

1. Every fold is fed the same batches, once. What takes a second reading is in `findings`.
2. The ledger comes first: what was waited, for what. All other numbers have the definitions of their folds.
3. Each number is said of the part of the log that there is, up to its last event.
4. A mean wait has a warm-up and an interval (`series`). The series of a group has the waits of its tasks in the order in
   which they start, whatever their fleets and steps; that of a constraint the episodes of waiting for it in the order in
   which they end.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind, concatenate
from model.header import Header
from model.log import BATCH_ROWS, Log
from model.roster import Roster
from model.units import NS_PER_SECOND
from sim.analysis.conservation import Conservation
from sim.analysis.costs import Costs
from sim.analysis.findings import Findings
from sim.analysis.ledger import BACK_OFF, JOIN, NAMES, NO_STEP, Charges, Ledger
from sim.analysis.sample import Sample, total
from sim.analysis.series import Grouped
from sim.analysis.visits import Times, Visits
from sim.analysis.waits import Stretches

BLOCK_ROWS = 8 * BATCH_ROWS
"""Rows that are taken in at once: the more, the less often is sorted what goes on."""
LONGEST = 10
"""Of how many tasks is told that have waited longest in all."""


class Report:
    """Feed it every batch of a log, then ask for `result`."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._roster = Roster(header)
        self._findings = Findings(header)
        self._ledger = Ledger(header)
        self._visits = Visits(header)
        self._conservation = Conservation(header)
        self._costs = Costs(header)
        self._means = _Means(header)
        self._episodes = [Sample() for _ in header.constraints]

    def feed(self, batch: Batch) -> None:
        """Take in the next rows."""
        self._roster.feed(batch)
        self._findings.feed(batch)
        ended = self._findings.ended
        self._ledger.feed(batch, ended, self._findings.waits.rest())
        self._visits.feed(batch)
        self._conservation.feed(batch, ended)
        self._costs.feed(batch)
        self._means.feed(batch, ended)
        for number in np.unique(ended.constraint).tolist():
            self._episodes[number].add((ended.end_ns - ended.since_ns)[ended.constraint == number])

    def charges(self) -> Charges:
        """Return the wait ledger, an entry for each agent, step and cause."""
        return self._ledger.charges(self._findings.waits.rest())

    def result(self, log: Log | None) -> dict[str, Any]:
        """Return all numbers; `log` is that of the batches, or None where it cannot be read again."""
        found = self._findings.result(log)
        charges, steps = self.charges(), self._visits.times()
        end_ns = found["end_ns"]
        groups = _Groups(self._header, self._roster, charges, steps, self._means, end_ns)
        means = self._means.of_constraints()
        constraints = {
            name: {
                **numbers,
                "mean_waiting": numbers["blocked_ns"] / end_ns if end_ns else 0.0,
                "wait_ns": self._episodes[number].result(),
                "wait_mean": means[number],
            }
            for number, (name, numbers) in enumerate(found["constraints"].items())
        }
        return {
            "scenario": self._header.name,
            "seed": self._header.seed,
            "cut": None if log is None else log.cut,
            **found,
            "ledger": groups.ledger(),
            "all": groups.by("all")["all"],
            "fleets": groups.by("fleet"),
            "tenants": groups.by("tenant"),
            "steps": groups.by("step"),
            "constraints": constraints,
            "cost": self._costs.result(),
            "fairness": self._fairness(),
            "checks": self._checks(charges),
        }

    def _fairness(self) -> dict[str, Any]:
        """Return Jain's index of the successes of agents and of tenants; None where nobody had any."""
        succeeded = self._visits.succeeded
        fleets, _ = self._roster.places(np.arange(len(succeeded)))
        by_fleet = np.bincount(fleets, weights=succeeded, minlength=len(self._header.fleets))
        tenants: dict[str, float] = {}
        for fleet, count in zip(self._header.fleets, by_fleet.tolist(), strict=True):
            if fleet.tenant is not None:
                tenants[fleet.tenant] = tenants.get(fleet.tenant, 0.0) + count
        of_fleets = {fleet.name: jain(succeeded[fleets == number]) for number, fleet in enumerate(self._header.fleets)}
        return {"agents": jain(succeeded), "tenants": jain(np.array(list(tenants.values()))), "fleets": of_fleets}

    def _checks(self, charges: Charges) -> dict[str, Any]:
        """Return whether Little's law and work conservation hold, with what was found."""
        is_task = np.array([*(step.kind == "task" for step in self._header.steps), False])
        waited = total(charges.ns[is_task[charges.step] & (charges.cause >= BACK_OFF)])
        by_state, by_visit = waited + self._visits.worked_ns(), self._visits.in_system_ns()
        return {
            "little": {"holds": by_state == by_visit, "in_system_ns": by_state, "sojourns_ns": by_visit},
            "work_conservation": self._conservation.result(),
        }


def jain(values: "np.ndarray[Any, Any]") -> float | None:
    """Return Jain's fairness index: 1 where all are alike, 1 / n where one of n has all; None where there is nothing.

    (Jain, Chiu and Hawe, A quantitative measure of fairness and discrimination, DEC-TR-301, 1984.)
    """
    values = values.astype(np.float64)
    squares = float((values**2).sum())
    return float(values.sum()) ** 2 / (len(values) * squares) if squares else None


def _members(header: Header, kind: str) -> dict[str, list[int]]:
    """Return the steps of each group of a kind, "all", "fleet", "tenant" or "step"; no step is in two of them."""
    members: dict[str, list[int]] = {}
    for number, step in enumerate(header.steps):
        fleet = header.fleets[step.fleet]
        asks = step.kind in ("task", "hold")
        names = {"all": "all", "fleet": fleet.name, "tenant": fleet.tenant}
        name = names.get(kind, f"{fleet.name}.{step.name}" if asks else None)
        if name is not None:
            members.setdefault(name, []).append(number)
    return members


class _Means:
    """How sure one may be of the mean wait of all, of each fleet, tenant and step, and of each constraint."""

    def __init__(self, header: Header) -> None:
        self._of_step: dict[str, NDArray[np.int16]] = {}  # by kind of group, the number of the group of each step
        self._waits: dict[str, Grouped] = {}
        for kind in ("all", "fleet", "tenant", "step"):
            groups = list(_members(header, kind).values())
            self._of_step[kind] = np.full(len(header.steps), -1, np.int16)
            self._waits[kind] = Grouped(len(groups))
            for number, steps in enumerate(groups):
                self._of_step[kind][steps] = number
        self._episodes = Grouped(len(header.constraints))

    def feed(self, batch: Batch, ended: Stretches) -> None:
        """Take in the next rows, and the stretches of waiting that ended there."""
        started = np.flatnonzero(batch.kind == Kind.TaskStarted)
        steps, waits = batch.step[started], batch.value[started]
        for kind, series in self._waits.items():
            series.add(self._of_step[kind][steps], waits)
        order = np.argsort(ended.end)  # they come task by task
        self._episodes.add(ended.constraint[order], (ended.end_ns - ended.since_ns)[order])

    def of_waits(self, kind: str) -> list[dict[str, Any]]:
        """Return what is known of each group of a kind, in the order of `_members`."""
        return [series.result() for series in self._waits[kind].series]

    def of_constraints(self) -> list[dict[str, Any]]:
        """Return what is known of each constraint."""
        return [series.result() for series in self._episodes.series]


class _Groups:
    """What is said of all, and of each fleet, tenant and step."""

    def __init__(
        self, header: Header, roster: Roster, charges: Charges, steps: list[Times], means: _Means, end_ns: int
    ) -> None:
        self._header = header
        self._roster = roster
        self._charges = charges
        self._steps = steps
        self._means = means
        self._end_ns = end_ns
        fleets, _ = roster.places(charges.agent)
        self._fleet = fleets

    def by(self, kind: str) -> dict[str, Any]:
        """Return what is said of each group of a kind."""
        told = {}
        for (name, steps), mean in zip(_members(self._header, kind).items(), self._means.of_waits(kind), strict=True):
            if kind == "step":
                charged = self._charges.step == steps[0]
            else:  # what is charged to no step as well
                charged = np.isin(self._fleet, [self._header.steps[step].fleet for step in steps])
            told[name] = {**self._told(steps, charged), "wait_mean": mean}
        return told

    def ledger(self) -> dict[str, Any]:
        """Return what was waited in all, by cause, and by whom most."""
        charges = self._charges
        by_task = np.flatnonzero(np.append(True, (np.diff(charges.agent) != 0) | (np.diff(charges.step) != 0)))
        longest: list[dict[str, Any]] = []
        if len(charges.ns):
            sums = np.add.reduceat(charges.ns, by_task)
            for place in np.argsort(-sums, kind="stable")[:LONGEST].tolist():
                first = int(by_task[place])
                agent, step = int(charges.agent[first]), int(charges.step[first])
                mine = (charges.agent == agent) & (charges.step == step)
                name = self._roster.name(agent) if step == NO_STEP else self._roster.task_name(agent, step)
                longest.append({"task": name, "ns": int(sums[place]), "causes": self._causes(mine)})
        everything = np.ones(len(charges.ns), np.bool_)
        return {"ns": total(charges.ns), "causes": self._causes(everything), "longest": longest}

    def _told(self, steps: list[int], charged: "np.ndarray[Any, np.dtype[np.bool_]]") -> dict[str, Any]:
        times = Times()
        for step in steps:
            times.merge(self._steps[step])
        seconds = self._end_ns / NS_PER_SECOND
        return {
            "succeeded": times.succeeded,
            "lost": times.sojourn.count - times.succeeded,
            **times.counts,
            "throughput_per_s": times.succeeded / seconds if seconds else 0.0,
            "wait_ns": times.wait.result(),
            "service_ns": times.service.result(),
            "sojourn_ns": times.sojourn.result(),
            "waited_ns": total(self._charges.ns[charged]),
            "causes": self._causes(charged),
        }

    def _causes(self, charged: "np.ndarray[Any, np.dtype[np.bool_]]") -> dict[str, dict[str, int]]:
        """Return what is charged by cause, the most first; causes that cost nothing are left out."""
        charges, told = self._charges, {}
        for cause in (*range(len(self._header.constraints)), *range(BACK_OFF, JOIN - 1, -1)):
            mine = charged & (charges.cause == cause)
            if mine.any():
                name = NAMES[cause] if cause < 0 else self._header.constraints[cause].id
                told[name] = {"ns": total(charges.ns[mine]), "overtaken_ns": total(charges.overtaken_ns[mine])}
        return dict(sorted(told.items(), key=lambda item: -item[1]["ns"]))


def report(log: Log) -> tuple[dict[str, Any], Charges]:
    """Return the report of a log, and its ledger; raises LogError where the log is damaged."""
    fold, waiting, rows = Report(log.header), list[Batch](), 0
    for batch in log.batches():
        waiting.append(batch)
        rows += len(batch)
        if rows >= BLOCK_ROWS:
            fold.feed(concatenate(waiting))
            waiting, rows = [], 0
    if waiting:
        fold.feed(concatenate(waiting))
    return fold.result(log), fold.charges()


def names_of(header: Header) -> Mapping[int, str]:
    """Return what the causes of the ledger are called."""
    return {**NAMES, **{number: entry.id for number, entry in enumerate(header.constraints)}}
