"""Reality beside the simulation: every settled fact in which they differ, and every instant that is too far off.

Rules:

1. What is compared was settled before the fleet ran, by the scenario, and by the tolerance; what the fleet did has no say
   in it.
2. The tolerance is that of the witnesses of the same run. It is the same for a scenario that was changed on purpose.
3. Every kind of fact has its own line of the verdict, so that a test can say which one told a fault.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .noise import Noise
from .records import Attempt, Records, times
from .settled import Chain, Settled, Tolerance, admissions, before, places, totals

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """In what reality and simulation differ; `furthest` is the largest distance of an instant, and its tolerance."""

    totals: list[str]
    outcomes: list[str]
    waits: list[str]
    order: list[str]
    instants: list[str]
    admissions: list[str]
    furthest: tuple[float, float]

    @property
    def differences(self) -> list[str]:
        """The first few differences of each kind."""
        kinds = (self.totals, self.outcomes, self.waits, self.order, self.instants, self.admissions)
        return [
            line for kind in kinds for line in [*kind[:SHOWN], *([f"... {len(kind)} in all"] if kind[SHOWN:] else [])]
        ]


def compare(settled: Settled, simulated: Records, real: Records, noise: Noise) -> Verdict:
    """Compare what happened with what a simulation says, in all that is settled."""
    tolerance = noise.tolerance()
    outcomes = [
        f"{key}: simulated {_outcome(simulated.attempts.get(key))}, real {_outcome(real.attempts.get(key))}"
        for key in sorted(set(settled.outcomes) | (set(real.attempts) - settled.everything))
        if _outcome(simulated.attempts.get(key)) != _outcome(real.attempts.get(key))
    ]
    told, happened = totals(simulated), totals(real)
    apart = [
        f"{kind}: simulated {told[kind]}, real {happened[kind]}; late waits move it by {within} at most"
        for kind, within in settled.totals.items()
        if abs(told[kind] - happened[kind]) > within
    ]
    both = simulated.attempts.keys() & real.attempts.keys()
    waits = [
        f"{key}: simulated {_waits(simulated.attempts[key])}, real {_waits(real.attempts[key])}"
        for key in sorted(settled.waited & settled.sure(tolerance) & both)
        if simulated.attempts[key].waited != real.attempts[key].waited
    ]
    order = _order(settled, simulated, real, tolerance)
    instants = list(_instants(settled, simulated, real, tolerance))
    kth = list(_admissions(settled, simulated, real, tolerance))
    far, too_far = ([str(each) for each in found if each.is_too_far] for found in (instants, kth))
    furthest = max(((abs(each.off), each.within) for each in (*instants, *kth)), default=(0.0, 0.0))
    return Verdict(apart, outcomes, waits, order, far, too_far, furthest)


def _order(settled: Settled, simulated: Records, real: Records, tolerance: Tolerance) -> list[str]:
    keys = settled.started
    told, happened = places(keys, simulated.order), places(keys, real.order)
    known = (told >= 0) & (happened >= 0)
    differ = settled.pairs(tolerance) & known[:, None] & known[None, :] & (before(told) != before(happened))
    return [
        f"{keys[one]} and {keys[other]}: admitted first was {keys[one if told[one] < told[other] else other]} "
        f"in the simulation, {keys[one if happened[one] < happened[other] else other]} in reality"
        for one, other in zip(*differ.nonzero(), strict=True)
    ]


def _instants(settled: Settled, simulated: Records, real: Records, tolerance: Tolerance) -> Iterator["_Distance"]:
    for key, name in sorted(settled.compared(tolerance)):
        if key in simulated.attempts and key in real.attempts:  # else it is a difference of outcomes
            told, happened = times(simulated.attempts[key]), times(real.attempts[key])
            if name in told and name in happened:
                yield _Distance(f"{key} {name}", told[name], happened[name], settled.chains[key, name], tolerance)


def _admissions(settled: Settled, simulated: Records, real: Records, tolerance: Tolerance) -> Iterator["_Distance"]:
    for step in {each.step for each in settled.admissions}:
        told, happened = admissions(simulated, step), admissions(real, step)
        for _, number, chain in (each for each in settled.admissions if each.step == step):
            if number < min(len(told), len(happened)):
                name = f"admission {number} to {step}"
                yield _Distance(name, told[number], happened[number], chain, tolerance)


class _Distance:
    """How far an instant is off, and how far it may be."""

    def __init__(self, name: str, told: float, happened: float, chain: Chain, tolerance: Tolerance) -> None:
        self.off, self.within = happened - told, tolerance(*chain)
        self._text = (
            f"{name}: simulated at {told:.3f} s, real {1e3 * self.off:+.1f} ms; after {chain.waits} waits and "
            f"{chain.calls} calls {1e3 * self.within:.1f} ms are allowed"
        )

    @property
    def is_too_far(self) -> bool:
        """Whether no tolerance explains it."""
        return abs(self.off) > self.within

    def __str__(self) -> str:
        return self._text


def _outcome(attempt: Attempt | None) -> str:
    return "not made" if attempt is None else str(attempt.outcome)


def _waits(attempt: Attempt) -> str:
    return "waited" if attempt.waited else "did not wait"
