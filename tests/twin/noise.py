"""How late things happen on this machine at this moment, and what tolerance follows from it.

Rules:

1. A witness sleeps for `PERIOD_S` again and again in the loop of the fleet, and notes how late it wakes. Whatever holds
   the loop up, another process or a long callback, holds the witness up as well. What it cannot see is what happens
   between two of its wakings, so that a period is added to every delay.
2. Where the fleet calls a server, a second witness calls it too, every `CALL_PERIOD_S`, and notes how long a call takes.
   The calls between are held up as waits are, unseen by it: each call may be late by a delay as well.
3. An instant that comes after h waits and c calls may be late by the tolerance

       sum of the h + c largest delays + (h + c) * PERIOD_S + c * the longest call

   for each wait is late by one delay at most, and the waits of one chain do not overlap, so that no delay counts twice.
   Nothing is added by hand.
4. The worst wait is the tolerance of one wait, with its call where there is a server. Where that is more than the margin of
   a scenario, nothing is compared.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import accumulate

PERIOD_S = 0.002
CALL_PERIOD_S = 0.025


@dataclass(slots=True)
class Noise:
    """What the witnesses saw, in seconds."""

    delays: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)

    @property
    def call(self) -> float:
        """The longest call."""
        return max(self.calls, default=0.0)

    @property
    def worst(self) -> float:
        """What a single wait, with its call, may be late by."""
        return self.tolerance()(1, int(bool(self.calls)))

    def tolerance(self) -> Callable[[int, int], float]:
        """Return the tolerance by the number of waits and calls that came before."""
        sums = [0.0, *accumulate(sorted(self.delays, reverse=True))]

        def tolerance(waits: int, calls: int) -> float:
            each = waits + calls
            return sums[min(each, len(sums) - 1)] + each * PERIOD_S + calls * self.call

        return tolerance

    def doubled(self) -> "Noise":
        """Return a noise of which the tolerance is twice as large."""
        return Noise([2 * each + PERIOD_S for each in self.delays], [2 * each for each in self.calls])

    def __str__(self) -> str:
        delays = sorted(self.delays)
        told = (
            f"asyncio.sleep wakes {1e3 * delays[len(delays) // 2]:.2f} ms late by the median and "
            f"{1e3 * delays[-1]:.2f} ms at worst ({len(delays):,} sleeps)"
        )
        return told + (f", a call takes {1e3 * self.call:.2f} ms at most ({len(self.calls)})" if self.calls else "")


@asynccontextmanager
async def witnessed(call: Callable[[], Awaitable[object]] | None = None) -> AsyncIterator[Noise]:
    """Measure the noise of the clock as long as the context is entered."""
    noise = Noise()
    witnesses = [asyncio.create_task(_sleeps(noise))]
    if call is not None:
        await call()  # the first call opens the connection
        witnesses.append(asyncio.create_task(_calls(noise, call)))
    await asyncio.sleep(2 * PERIOD_S)
    try:
        yield noise
    finally:
        for each in witnesses:
            each.cancel()
        await asyncio.gather(*witnesses, return_exceptions=True)


async def _sleeps(noise: Noise) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + PERIOD_S
        await asyncio.sleep(PERIOD_S)
        noise.delays.append(max(0.0, clock() - due))


async def _calls(noise: Noise, call: Callable[[], Awaitable[object]]) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        await call()
        noise.calls.append(clock() - began)
        await asyncio.sleep(CALL_PERIOD_S)


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the garbage collector from stopping the loop: it walks over all that the tests have loaded."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
