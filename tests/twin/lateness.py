"""Ways in which wakes can be late, and a scenario in which they are.

Rules:

1. All waits (arrivals, thinking, work) are late by the same amount; each by an amount of its own, from 0 to that; each on
   time or late by all of it. The amount is `FURTHER` times the margin, and a third, a ninth, ... of that. Back-offs and
   what a 429 says are late by one amount for the whole run, since a scenario has one for all.
2. Or the loop is held up once, at some moment of the run, and whatever is due meanwhile is late by what is left of that.
3. Timers that were set together ring in their order however late: agents never come in another order. Their calls may
   overtake each other: where there is a server, half of the lateness of an arrival is that of its call.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from model.tables import Table

from .records import Records, agents

FURTHER = 2
SCALES = 4
DICE = 3
STALLS = (18, 6, 6)
"""At how many moments the loop is held up, for the largest amount and for those that follow."""

Data = dict[str, Any]

_NEXT = 1e-9
"""What comes later comes a nanosecond later at least."""


@dataclass(frozen=True, slots=True)
class Way:
    """How late a wait is that is due at a time, in seconds; by how much it moves what comes after so many waits."""

    late: Callable[[float], float]
    tolerance: Callable[[int], float]


def patterns(margin: float, end: float) -> Iterator[Way]:
    """All the ways in which waits are late, in a run that takes so long."""
    for scale in range(SCALES):
        yield from _waits(FURTHER * margin / 3**scale)
    for scale, moments in enumerate(STALLS):
        for number in range(moments):
            yield _stall((number + random.Random(number).random()) * end / moments, FURTHER * margin / 3**scale)


def _waits(most: float) -> Iterator[Way]:
    def tolerance(waits: int) -> float:
        return waits * most

    yield Way(lambda due: most, tolerance)
    for number in range(DICE):
        yield Way(partial(_anything, random.Random(number), most), tolerance)
        yield Way(partial(_all_or_nothing, random.Random(number), most), tolerance)


def _anything(dice: random.Random, most: float, due: float) -> float:
    return dice.uniform(0, most)


def _all_or_nothing(dice: random.Random, most: float, due: float) -> float:
    return most * dice.randrange(2)


def _stall(begins: float, lasts: float) -> Way:
    def late(due: float) -> float:
        since = due - begins
        return lasts - since + since * _NEXT if 0 <= since <= lasts else 0.0  # in the order in which they are due

    return Way(late, lambda waits: lasts if waits else 0.0)


def later(data: Data, records: Records, way: Way, calls: int) -> tuple[Data, dict[str, Table]]:
    """Return the scenario with late waits, as arrivals and durations from tables; `records` are those on time."""
    share = 0.5 if calls else 1.0
    arrived = _arrivals(records, way, share)
    tables = {fleet["name"]: _table(fleet, records, arrived, way, 1 - share) for fleet in data["fleets"]}
    fleets = [_from_table(fleet, way) for fleet in data["fleets"]]
    constraints = [_told_late(each, way) for each in data["constraints"]]
    return {**data, "fleets": fleets, "constraints": constraints}, tables


def _arrivals(records: Records, way: Way, share: float) -> dict[str, float]:
    """When each agent comes, where the timers that tell it are late."""
    arrived, latest = {}, -_NEXT
    for agent, at in sorted(records.arrived.items(), key=lambda each: each[1]):
        arrived[agent] = latest = max(latest + _NEXT, at + share * way.late(at))
    return arrived


def _table(fleet: Data, records: Records, arrived: Mapping[str, float], way: Way, share: float) -> Table:
    """What the agents of a fleet do, a row each, in seconds: when they come, how late their call is, their steps."""
    names = [_step_name(step) for step in fleet["steps"]]
    lines = [",".join(["AT", "CALL", *names])]
    for agent, attempts in agents(records).items():
        if agent.rpartition("_")[0] != fleet["name"]:
            continue
        took, over = dict.fromkeys(names, 0.0), records.arrived[agent]
        for attempt in attempts:
            assert attempt.finished is not None
            if attempt.key.attempt == 0 and attempt.asked > over:
                took["think"] = attempt.asked - over + way.late(attempt.asked)
            if attempt.started is not None:
                took[attempt.key.step] = attempt.work_s + way.late(attempt.finished)
            over = attempt.finished
        called = share * way.late(records.arrived[agent])
        row = [arrived[agent], called, *(took[name] for name in names)]
        lines.append(",".join(f"{value:.9f}" for value in row))
    return Table("\n".join([*lines, ""]).encode())


def _step_name(step: Data) -> str:
    return str(step.get("task", "think"))


def _from_table(fleet: Data, way: Way) -> Data:
    kept = {key: value for key, value in fleet.items() if key not in ("count", "stagger", "arrivals", "steps")}
    steps: list[Data] = [{"think": {"linear": {"CALL": "1s"}}, "name": "call"}]
    for step in fleet["steps"]:
        took = {"linear": {_step_name(step): "1s"}}
        steps.append({**step, **({"think": took} if "think" in step else {"duration": took})})
        if "retry" in step:
            steps[-1]["retry"] = {**step["retry"], "delay": _longer(step["retry"]["delay"], way)}
    return {**kept, "arrivals": {"trace": {"file": fleet["name"], "time": "AT"}}, "steps": steps}


def _told_late(constraint: Data, way: Way) -> Data:
    if "retry_after" not in constraint:
        return constraint
    return {**constraint, "retry_after": _longer(constraint["retry_after"], way)}


def _longer(seconds: str, way: Way) -> str:
    return f"{float(seconds.removesuffix('s')) + way.late(-1.0):.9f}s"  # never within a stall
