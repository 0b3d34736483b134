"""What was charged of all that has a price, and what that costs.

Rules:

1. A unit is what a rate limit or a quota counts. What a task is charged of it is told by the first constraint of the
   scenario that governs the task and counts it, one that counts cached shares rather than one that does not: no unit is
   counted twice.
2. What is charged at the start is in the header, or in a `ResourceAcquired`; what is charged or handed back later is in a
   `ResourceReleased`, below 0 where it is charged.
3. A fold over the log alone, exact in whole numbers; only prices are fractions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.header import Header
from model.scenario import Scenario
from model.units import MICRO
from sim.analysis.scenario import scenario_of
from sim.analysis.summary import Amounts
from sim.analysis.takes import DEFERRED
from sim.analysis.waits import Integers


class Costs:
    """Feed it every batch of a log, then ask for `result`."""

    def __init__(self, header: Header) -> None:
        self._header = header
        scenario = scenario_of(header)
        self._prices = scenario.prices or {}
        self._units = [_Unit(header, scenario, unit) for unit in self._prices]

    def feed(self, batch: Batch) -> None:
        """Take in the next rows."""
        for unit in self._units:
            unit.feed(batch)

    def result(self) -> dict[str, Any] | None:
        """Return what was charged and what it costs, in all, by fleet and by tenant; None where nothing has a price."""
        if not self._prices:
            return None
        fleets = np.zeros(len(self._header.fleets))
        units = {}
        for unit in self._units:
            charged = unit.by_fleet()
            price = self._prices[unit.name]
            units[unit.name] = {"amount": float(charged.sum()), "cost": float(charged.sum() * price)}
            fleets += charged * price
        tenants: dict[str, float] = {}
        for fleet, cost in zip(self._header.fleets, fleets.tolist(), strict=True):
            if fleet.tenant is not None:
                tenants[fleet.tenant] = tenants.get(fleet.tenant, 0.0) + cost
        by_fleet = {fleet.name: cost for fleet, cost in zip(self._header.fleets, fleets.tolist(), strict=True)}
        return {"total": float(fleets.sum()), "units": units, "fleets": by_fleet, "tenants": tenants}


def side_by_side(one: dict[str, Any] | None, two: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what two runs cost, each number with `a`, `b` and the `change`; None where neither has prices.

    What only one of them has is None in the other, and has no change.
    """
    if one is None and two is None:
        return None
    first, second = (run or {"total": None, "units": {}, "fleets": {}, "tenants": {}} for run in (one, two))
    units = {}
    for unit in {**first["units"], **second["units"]}:
        sides = first["units"].get(unit, {}), second["units"].get(unit, {})
        units[unit] = {what: _change(*(side.get(what) for side in sides)) for what in ("amount", "cost")}
    groups = {
        kind: {name: _change(first[kind].get(name), second[kind].get(name)) for name in {**first[kind], **second[kind]}}
        for kind in ("fleets", "tenants")
    }
    return {"total": _change(first["total"], second["total"]), "units": units, **groups}


def _change(one: float | None, two: float | None) -> dict[str, float | None]:
    return {"a": one, "b": two, "change": None if one is None or two is None else two - one}


class _Unit:
    """What is charged of one unit, by step."""

    def __init__(self, header: Header, scenario: Scenario, name: str) -> None:
        self.name = name
        self._header = header
        self._charged = [0] * len(header.steps)  # in the whole numbers of the constraint that tells
        self._scale = [1] * len(header.steps)
        counting = [
            (getattr(row, "cached", None) == "exempt", number)
            for number, row in enumerate(scenario.constraints)
            if row.counted == name
        ]
        self._teller = np.full(len(header.steps) + 1, -1)
        self._implied: dict[int, Amounts] = {}
        for _, number in sorted(counting, reverse=True):  # the first that counts all overrules the others
            governed = [
                place
                for place, step in enumerate(header.steps)
                if any(demand.constraint == number for group in step.demands for demand in group)
            ]
            self._teller[governed] = number
            for place in governed:
                self._scale[place] = MICRO if header.constraints[number].type == "quota" else 1
            if getattr(scenario.constraints[number], "charge", None) not in DEFERRED:
                self._implied[number] = Amounts(header, number)

    def feed(self, batch: Batch) -> None:
        """Take in the next rows."""
        tellers = self._teller[batch.step]
        started = batch.kind == Kind.TaskStarted
        for number, amounts in self._implied.items():
            rows = np.flatnonzero(started & (tellers == number) & amounts.asked[batch.step])
            self._add(batch.step[rows], amounts.of(batch.step[rows], batch.agent[rows]))
        told = (tellers == batch.constraint) & (tellers >= 0)
        for kind, sign in ((Kind.ResourceAcquired, 1), (Kind.ResourceReleased, -1)):
            rows = np.flatnonzero(told & (batch.kind == kind))
            self._add(batch.step[rows], sign * batch.value[rows])

    def by_fleet(self) -> NDArray[np.float64]:
        """Return what was charged to each fleet."""
        fleets = np.zeros(len(self._header.fleets))
        for step, charged, scale in zip(self._header.steps, self._charged, self._scale, strict=True):
            fleets[step.fleet] += charged / scale
        return fleets

    def _add(self, steps: NDArray[np.int16], amounts: Integers) -> None:
        for step in np.unique(steps).tolist():
            self._charged[step] += sum(amounts[steps == step].tolist())
