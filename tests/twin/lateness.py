"""Which facts of a scenario do not hang on a late wake: those that hold however late every wait is, up to a margin.

Rules:

1. A scenario is run again many times with every wait (arrivals, thinking, work) late: all by the same amount; each by an
   amount of its own, from 0 to that; each on time or late by all of it. The amount is `FURTHER` times the margin, and a
   half, a quarter, ... of that. Back-offs and what a 429 says are late by one amount for the whole run, since a scenario
   has one for all.
2. Timers that were set together ring in their order however late: agents never come in another order. Their calls may
   overtake each other: where there is a server, half of the lateness of an arrival is that of its call.
3. A fact is settled if it is the same in all those runs: how an attempt ended, whether it waited, which of two was
   admitted first. An instant is settled if it moved in each of them by no more than its waits and calls can be late by.
4. What is not settled is not compared, and each twin says how much is: the tests hold it to that.

How many waits and calls come before an instant (`Chain`) is read off the records: an attempt comes after what its agent
did before. Who waited for something that is given back comes after all that had ended by then: the k-th of several
instants is late by no more than the latest of the first k. Who waited for a rate limit comes after one more timer.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.tables import Table
from tests.runs import run

from .records import Attempt, Key, Outcome, Records, simulated

FURTHER = 1.5
SCALES = tuple(FURTHER / 2**halved for halved in range(6))
DICE = 4

Data = dict[str, Any]
Late = Callable[[], float]
"""How late a wait is, in seconds."""
Instant = tuple[Key, str]
"""An attempt, and `asked`, `started` or `finished`."""

_EPS = 1e-9
_NEXT = 1e-9
"""What comes later comes a nanosecond later at least."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What comes before an instant: so many waits and so many calls, one after the other."""

    waits: int
    calls: int

    def __or__(self, other: "Chain") -> "Chain":
        return Chain(max(self.waits, other.waits), max(self.calls, other.calls))

    def then(self, waits: int = 0, calls: int = 0) -> "Chain":
        return Chain(self.waits + waits, self.calls + calls)


class Settled:
    """The facts of a scenario that hold in all its late runs; `calls` is 1 where an attempt is a call to a server."""

    def __init__(self, data: Data, margin: float, calls: int = 0) -> None:
        self.records = simulated(run(data))
        self.chains = chains(
            self.records, calls, any(each["type"] in ("concurrency", "resource") for each in data["constraints"])
        )
        patterns = [(scale * margin, each) for scale in SCALES for each in _patterns(scale * margin)]
        late = [simulated(run(*_late(data, self.records, each, calls))) for _, each in patterns]
        made = self.records.attempts.keys()
        self.everything = set(made).union(*(each.attempts for each in late))
        always = set(made).intersection(*(each.attempts for each in late))
        self.outcomes, self.waited = (
            {
                key
                for key in always
                if all(fact(each.attempts[key]) == fact(self.records.attempts[key]) for each in late)
            }
            for fact in (_outcome, _waited)
        )
        self.totals = {
            kind: max(abs(totals(each)[kind] - count) for each in late) for kind, count in totals(self.records).items()
        }
        self.instants = {
            instant
            for instant, chain in self.chains.items()
            if all(
                _moved(instant, each, self.records) <= (chain.waits + chain.calls) * within + _EPS
                for each, (within, _) in zip(late, patterns, strict=True)
            )
        }
        self._late = late

    @cached_property
    def started(self) -> list[Key]:
        """The attempts that were admitted in every run, in the order of the run that is on time."""
        always = set(self.records.order).intersection(*(each.order for each in self._late))
        return [key for key in self.records.order if key in always]

    @cached_property
    def pairs(self) -> NDArray[np.bool_]:
        """Whether the one in the row always starts before the one in the column, both numbered as in `started`."""
        steps = np.array([key.step for key in self.started])
        always = steps[:, None] == steps[None, :]
        for each in [self.records, *self._late]:
            always &= before(places(self.started, each.order))
        return always

    @property
    def shares(self) -> Mapping[str, float]:
        """How much of each kind of fact is settled, from 0 to 1."""
        n = Counter(key.step for key in self.records.order)
        return {
            "outcomes": len(self.outcomes) / len(self.everything),
            "waits": len(self.waited) / len(self.everything),
            "order": float(self.pairs.sum()) / sum(each * (each - 1) // 2 for each in n.values()),
            "instants": len(self.instants) / len(self.chains),
        }


def totals(records: Records) -> dict[str, int]:
    """How many attempts ended how, and how many waited."""
    ended = {outcome.value: records.count(outcome) for outcome in Outcome}
    return {**ended, "waited": records.waits}


def places(keys: list[Key], order: list[Key]) -> NDArray[np.int64]:
    """Return the place of each key in an order, -1 where it is not in it."""
    place = {key: number for number, key in enumerate(order)}
    return np.array([place.get(key, -1) for key in keys], np.int64)


def before(place: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the one in the row comes before the one in the column."""
    return place[:, None] < place[None, :]


def times(attempt: Attempt) -> dict[str, float]:
    """The instants of an attempt, by name."""
    named = {"asked": attempt.asked, "started": attempt.started, "finished": attempt.finished}
    return {name: at for name, at in named.items() if at is not None}


def chains(records: Records, calls: int, given_back: bool) -> dict[Instant, Chain]:
    """Return what comes before each instant of the records; `given_back` where who ends makes room for who waits."""
    found: dict[Instant, Chain] = {}
    over = {agent: (at, Chain(1, 0)) for agent, at in records.arrived.items()}
    ended = Chain(0, 0)
    for at, _, _, key, name in sorted(_instants(records)):
        attempt = records.attempts[key]
        if name == "asked":
            since, chain = over[key.agent]
            found[key, name] = chain = chain.then(int(at > since))
            if attempt.outcome is Outcome.refused:  # at once, but for the call
                found[key, "finished"] = chain = chain.then(calls=calls)
                over[key.agent] = (at, chain)
        elif name == "started":
            chain = found[key, "asked"].then(calls=calls)
            if attempt.waited:
                chain = chain | ended if given_back else chain.then(1)
            found[key, name] = chain
        else:
            chain = found[key, "asked" if attempt.started is None else "started"].then(1, calls)
            found[key, name] = chain
            over[key.agent] = (at, chain)
            ended |= chain
    return found


def _instants(records: Records) -> Iterator[tuple[float, int, int, Key, str]]:
    """The instants of the records; of those at one time what ends comes first, and then what is asked."""
    for number, (key, attempt) in enumerate(records.attempts.items()):
        for name, at in times(attempt).items():
            if name != "finished" or attempt.outcome is not Outcome.refused:
                yield at, ("finished", "asked", "started").index(name), number, key, name


def agents(records: Records) -> dict[str, list[Attempt]]:
    """The attempts of each agent, in the order in which it made them."""
    found: dict[str, list[Attempt]] = {agent: [] for agent in records.arrived}
    for attempt in records.attempts.values():
        found[attempt.key.agent].append(attempt)
    return found


def _patterns(most: float) -> Iterator[Late]:
    """How late waits can be, `most` at most: all the same, or by dice."""
    yield lambda: most
    for number in range(DICE):
        yield partial(random.Random(number).uniform, 0, most)
        yield partial(random.Random(number).choice, (0, most))


def _outcome(attempt: Attempt) -> object:
    return attempt.outcome


def _waited(attempt: Attempt) -> object:
    return attempt.waited


def _moved(instant: Instant, late: Records, on_time: Records) -> float:
    key, name = instant
    if key not in late.attempts or name not in (then := times(late.attempts[key])):
        return float("inf")
    return abs(then[name] - times(on_time.attempts[key])[name])


def _late(data: Data, records: Records, late: Late, calls: int) -> tuple[Data, dict[str, Table]]:
    """Return the scenario with every wait late, as arrivals and durations from tables."""
    share = 0.5 if calls else 1.0
    arrived = _arrivals(records, lambda: share * late())
    tables = {
        fleet["name"]: _table(fleet, records, arrived, lambda: (1 - share) * late(), late) for fleet in data["fleets"]
    }
    fleets = [_from_table(fleet, late) for fleet in data["fleets"]]
    constraints = [_told_late(each, late) for each in data["constraints"]]
    return {**data, "fleets": fleets, "constraints": constraints}, tables


def _arrivals(records: Records, late: Late) -> dict[str, float]:
    """When each agent comes, where the timers that tell it are late."""
    arrived, latest = {}, -_NEXT
    for agent, at in sorted(records.arrived.items(), key=lambda each: each[1]):
        arrived[agent] = latest = max(latest + _NEXT, at + late())
    return arrived


def _table(fleet: Data, records: Records, arrived: Mapping[str, float], called: Late, late: Late) -> Table:
    """What the agents of a fleet do, a row each, in seconds: when they come, how late their call is, their steps."""
    names = [_step_name(step) for step in fleet["steps"]]
    lines = [",".join(["AT", "CALL", *names])]
    done = agents(records)
    for agent, attempts in done.items():
        if agent.rpartition("_")[0] != fleet["name"]:
            continue
        works, over, thinks = {}, records.arrived[agent], 0.0
        for attempt in attempts:
            if attempt.key.attempt == 0:
                thinks += attempt.asked - over
            works[attempt.key.step] = attempt.work_s
            over = attempt.finished
        row = [thinks if name == "think" else works.get(name, 0.0) for name in names]
        lines.append(",".join(f"{value:.9f}" for value in [arrived[agent], called(), *(each + late() for each in row)]))
    return Table("\n".join([*lines, ""]).encode())


def _step_name(step: Data) -> str:
    return step.get("task", "think")


def _from_table(fleet: Data, late: Late) -> Data:
    kept = {key: value for key, value in fleet.items() if key not in ("count", "stagger", "arrivals", "steps")}
    steps: list[Data] = [{"think": {"linear": {"CALL": "1s"}}, "name": "call"}]
    for step in fleet["steps"]:
        took = {"linear": {_step_name(step): "1s"}}
        steps.append({**step, **({"think": took} if "think" in step else {"duration": took})})
        if "retry" in step:
            steps[-1]["retry"] = {**step["retry"], "delay": _later(step["retry"]["delay"], late)}
    return {**kept, "arrivals": {"trace": {"file": fleet["name"], "time": "AT"}}, "steps": steps}


def _told_late(constraint: Data, late: Late) -> Data:
    if "retry_after" not in constraint:
        return constraint
    return {**constraint, "retry_after": _later(constraint["retry_after"], late)}


def _later(seconds: str, late: Late) -> str:
    return f"{float(seconds.removesuffix('s')) + late():.9f}s"
