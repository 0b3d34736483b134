"""Reality beside the simulation: every settled fact in which they differ, and every instant that is too far off.

Rules:

1. What is compared was settled before the fleet ran, by the scenario alone; what reality did has no say in it.
2. The tolerance is that of the witnesses of the same run. It is the same for a scenario that was changed on purpose.
3. Every kind of fact has its own line of the verdict, so that a test can say which one told a fault.
"""

from dataclasses import dataclass

from .lateness import Settled, before, places, times, totals
from .noise import Noise
from .records import Attempt, Records

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """In what reality and simulation differ; `furthest` is the largest distance of an instant, and its tolerance."""

    totals: list[str]
    outcomes: list[str]
    waits: list[str]
    order: list[str]
    instants: list[str]
    furthest: tuple[float, float]

    @property
    def differences(self) -> list[str]:
        """The first few differences of each kind."""
        kinds = (self.totals, self.outcomes, self.waits, self.order, self.instants)
        return [
            line for kind in kinds for line in [*kind[:SHOWN], *([f"... {len(kind)} in all"] if kind[SHOWN:] else [])]
        ]


def compare(settled: Settled, simulated: Records, real: Records, noise: Noise) -> Verdict:
    """Compare what happened with what a simulation says, in all that is settled."""
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
        for key in sorted(settled.waited & both)
        if simulated.attempts[key].waited != real.attempts[key].waited
    ]
    instants, furthest = _instants(settled, simulated, real, noise)
    return Verdict(apart, outcomes, waits, _order(settled, simulated, real), instants, furthest)


def _order(settled: Settled, simulated: Records, real: Records) -> list[str]:
    keys, told, happened = (
        settled.started,
        places(settled.started, simulated.order),
        places(settled.started, real.order),
    )
    known = (told >= 0) & (happened >= 0)
    differ = settled.pairs & known[:, None] & known[None, :] & (before(told) != before(happened))
    return [
        f"{keys[one]} and {keys[other]}: admitted first was {keys[one if told[one] < told[other] else other]} "
        f"in the simulation, {keys[one if happened[one] < happened[other] else other]} in reality"
        for one, other in zip(*differ.nonzero(), strict=True)
    ]


def _instants(
    settled: Settled, simulated: Records, real: Records, noise: Noise
) -> tuple[list[str], tuple[float, float]]:
    tolerance, lines, furthest = noise.tolerance(), [], (0.0, 0.0)
    for key, name in sorted(settled.instants):
        if key not in simulated.attempts or key not in real.attempts:
            continue  # that is a difference of outcomes
        told, happened = times(simulated.attempts[key]), times(real.attempts[key])
        if name not in told or name not in happened:
            continue
        chain = settled.chains[key, name]
        off, within = happened[name] - told[name], tolerance(chain.waits, chain.calls)
        if abs(off) > furthest[0]:
            furthest = abs(off), within
        if abs(off) > within:
            lines.append(
                f"{key} {name}: simulated at {told[name]:.3f} s, real {1e3 * off:+.1f} ms; after {chain.waits} waits "
                f"and {chain.calls} calls {1e3 * within:.1f} ms are allowed"
            )
    return lines, furthest


def _outcome(attempt: Attempt | None) -> str:
    return "not made" if attempt is None else str(attempt.outcome)


def _waits(attempt: Attempt) -> str:
    return "waited" if attempt.waited else "did not wait"
