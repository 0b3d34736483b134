"""Which facts of a scenario do not hang on a late wake: those that hold in every way in which wakes can be late.

Rules:

1. A fact is settled if it is the same in all late runs of the scenario (`lateness`): how an attempt ended, whether it
   waited, which of two was admitted first at a step. An instant is settled if in each of them it moved by no more than the
   tolerance of that run allows; so is the n-th admission of a step, whoever it is. A total may be off by as much as it is
   in some late run.
2. Late runs are samples. So what hangs on the order in which two ask has to have a reason as well: both ask at timers that
   were set together, or further apart than the tolerance of the real run. Otherwise it is not compared.
3. What is not settled is not compared, and each twin says how much is: the tests hold it to that.
4. How many waits and calls come before an instant (`Chain`) is read off the records. An attempt comes after what its agent
   did before. Who waited for something that is given back comes after all that had ended by then: the k-th of several
   instants is late by no more than the latest of the first k. Who waited for a rate limit comes after one more timer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.runs import run

from .lateness import Way, later, patterns
from .records import Attempt, Key, Outcome, Records, simulated, times

Data = dict[str, Any]
Tolerance = Callable[[int, int], float]
"""How late may be what comes after so many waits and calls, in seconds."""
Pairs = NDArray[np.bool_]
Times = NDArray[np.float64]
Instant = tuple[Key, str]
"""An attempt, and `asked`, `started` or `finished`."""

_EPS = 1e-8


class Chain(NamedTuple):
    """What comes before an instant: so many waits and so many calls, one after the other."""

    waits: int
    calls: int

    def __or__(self, other: "Chain") -> "Chain":
        return Chain(max(self.waits, other.waits), max(self.calls, other.calls))

    def then(self, waits: int = 0, calls: int = 0) -> "Chain":
        return Chain(self.waits + waits, self.calls + calls)


class Admission(NamedTuple):
    """The n-th admission of a step, from 0, whoever it is; what comes before the latest of those up to it."""

    step: str
    number: int
    chain: Chain


class Settled:
    """The facts of a scenario that hold in all its late runs; `calls` is 1 where an attempt is a call to a server."""

    def __init__(self, data: Data, margin: float, calls: int = 0) -> None:
        self._calls, self._margin = calls, margin
        self.records = simulated(run(data))
        given_back = any(each["type"] in ("concurrency", "resource") for each in data["constraints"])
        self.chains = chains(self.records, calls, given_back)
        ways = list(patterns(margin, self.records.end))
        late = [simulated(run(*later(data, self.records, way, calls))) for way in ways]
        self._late = late
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
                _moved(instant, each, self.records) <= way.tolerance(chain.waits + chain.calls) + _EPS
                for each, way in zip(late, ways, strict=True)
            )
        }
        self.admissions = list(self._admissions(late, ways))

    def _admissions(self, late: list[Records], ways: list[Way]) -> Iterator[Admission]:
        for step, keys in by_step(self.records.order).items():
            before_it, on_time = Chain(0, 0), admissions(self.records, step)
            others = [admissions(each, step) for each in late]
            for number, key in enumerate(keys):
                before_it |= self.chains[key, "started"]
                if all(
                    number < len(other)
                    and abs(other[number] - on_time[number]) <= way.tolerance(before_it.waits + before_it.calls) + _EPS
                    for other, way in zip(others, ways, strict=True)
                ):
                    yield Admission(step, number, before_it)

    @cached_property
    def started(self) -> list[Key]:
        """The attempts that were admitted in every run, in the order of the run that is on time."""
        always = set(self.records.order).intersection(*(each.order for each in self._late))
        return [key for key in self.records.order if key in always]

    @cached_property
    def _always_before(self) -> Pairs:
        steps = np.array([key.step for key in self.started])
        always: Pairs = steps[:, None] == steps[None, :]
        for each in [self.records, *self._late]:
            always &= before(places(self.started, each.order))
        return always

    def _latest(self, keys: Sequence[Key], name: str, tolerance: Tolerance) -> tuple[Times, Times]:
        """The times of an instant of these attempts, and how late they may be."""
        on_time = np.array([times(self.records.attempts[key])[name] for key in keys])
        return on_time, on_time + [tolerance(*self.chains[key, name]) for key in keys]

    def pairs(self, tolerance: Tolerance) -> Pairs:
        """Whether the one in the row starts before the one in the column, both numbered as in `started`.

        It has to in all late runs, and for a reason: they want as much and ask in this order (by timers, or so far apart
        that no tolerance reaches), or they start so far apart.
        """
        keys = self.started
        asked, asked_latest = self._latest(keys, "asked", tolerance)
        began, began_latest = self._latest(keys, "started", tolerance)
        timers, places_sure = self._by_timer(keys), self.sure(tolerance)
        amounts = np.array([self.records.attempts[key].amount for key in keys])
        in_order = asked_latest[:, None] < asked[None, :]
        in_order |= timers[:, None] & timers[None, :] & (asked[:, None] < asked[None, :])
        in_order &= amounts[:, None] == amounts[None, :]
        sure = np.array([key in places_sure for key in keys])
        apart = sure[:, None] & sure[None, :] & (began_latest[:, None] < began[None, :])
        pairs: Pairs = self._always_before & (in_order | apart)
        return pairs

    def compared(self, tolerance: Tolerance) -> set[Instant]:
        """The settled instants of those whose place in the queue is sure, up to here."""
        unsure: set[str] = set()
        found: set[Instant] = set()
        sure = self.sure(tolerance)
        for key in self.records.attempts:
            found |= {(key, "asked")} if key.agent not in unsure else set()
            if key not in sure:
                unsure.add(key.agent)
            found |= {(key, "started"), (key, "finished")} if key.agent not in unsure else set()
        return found & self.instants

    def sure(self, tolerance: Tolerance) -> set[Key]:
        """Those whose place among all that ask for a step is sure: by timers, or because no other may change with them.

        Where nobody waits, a place means nothing.
        """
        found: set[Key] = set()
        for keys in by_step(self.records.attempts).values():
            keys.sort(key=lambda key: self.records.attempts[key].asked)
            asked, latest = self._latest(keys, "asked", tolerance)
            no_earlier = np.maximum.accumulate(np.concatenate([[-np.inf], latest[:-1]])) < asked
            no_later = latest < np.concatenate([asked[1:], [np.inf]])
            no_queue = not any(self.records.attempts[key].waited for key in keys)
            mask = self._by_timer(keys) | (no_earlier & no_later) | (no_queue and bool(self._calls))
            found.update(key for key, is_sure in zip(keys, mask.tolist(), strict=True) if is_sure)
        return found

    def _by_timer(self, keys: Sequence[Key]) -> Pairs:
        return np.array([not self._calls and self.chains[key, "asked"].waits == 1 for key in keys])

    @property
    def shares(self) -> Mapping[str, float]:
        """How much of each kind of fact is compared at least, from 0 to 1: on the noisiest clock that the margin allows."""

        def tolerance(waits: int, calls: int) -> float:
            return (waits + calls) * self._margin

        n = [len(keys) for keys in by_step(self.records.order).values()]
        return {
            "outcomes": len(self.outcomes) / len(self.everything),
            "waits": len(self.waited & self.sure(tolerance)) / len(self.everything),
            "order": float(self.pairs(tolerance).sum()) / sum(each * (each - 1) // 2 for each in n),
            "instants": len(self.compared(tolerance)) / len(self.chains),
            "admissions": len(self.admissions) / len(self.records.order),
        }


def totals(records: Records) -> dict[str, int]:
    """How many attempts ended how, and how many waited."""
    ended = {outcome.value: records.count(outcome) for outcome in Outcome}
    return {**ended, "waited": records.waits}


def places(keys: list[Key], order: list[Key]) -> NDArray[np.int64]:
    """Return the place of each key in an order, -1 where it is not in it."""
    place = {key: number for number, key in enumerate(order)}
    return np.array([place.get(key, -1) for key in keys], np.int64)


def before(place: NDArray[np.int64]) -> Pairs:
    """Whether the one in the row comes before the one in the column."""
    return place[:, None] < place[None, :]


def by_step(keys: Iterable[Key]) -> dict[str, list[Key]]:
    """The attempts at each step, in their order."""
    found: dict[str, list[Key]] = {}
    for key in keys:
        found.setdefault(key.step, []).append(key)
    return found


def admissions(records: Records, step: str) -> list[float]:
    """When somebody was admitted to a step, time by time."""
    admitted = (records.attempts[key].started for key in records.order if key.step == step)
    return [at for at in admitted if at is not None]


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


def _outcome(attempt: Attempt) -> object:
    return attempt.outcome


def _waited(attempt: Attempt) -> object:
    return attempt.waited


def _moved(instant: Instant, late: Records, on_time: Records) -> float:
    key, name = instant
    if key not in late.attempts or name not in (then := times(late.attempts[key])):
        return float("inf")
    return abs(then[name] - times(on_time.attempts[key])[name])
