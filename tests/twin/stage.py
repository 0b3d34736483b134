"""Lets real fleets run, with the witnesses of the clock beside them.

Fleets that run together share a loop and nothing else; each has its own time 0, so that not all begin at once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from .fleets import Fleet, Life
from .noise import Noise, no_collection, witnessed
from .records import Diary, Records, agents

LEAD_S = 0.2
"""Time 0 is so long after the agents were created, so that all of them are ready then."""
APART_S = 0.13
"""The time 0 of one fleet is so long after that of another."""
LONGEST_S = 30
"""No fleet takes so long: one that does is stuck."""


def live(*together: tuple[type[Fleet], Records]) -> tuple[list[Records], Noise]:
    """Let fleets do what the simulator drew, and return what happened and how noisy the clock was."""
    with no_collection():
        return asyncio.run(asyncio.wait_for(_live(together), LONGEST_S))


async def _live(together: Sequence[tuple[type[Fleet], Records]]) -> tuple[list[Records], Noise]:
    async with AsyncExitStack() as stack:
        fleets = [await stack.enter_async_context(fleet()) for fleet, _ in together]
        call = next((fleet.call for fleet in fleets if fleet.call is not None), None)
        noise = await stack.enter_async_context(witnessed(call))
        clock = asyncio.get_running_loop().time
        began = clock() + LEAD_S
        diaries = [Diary(clock, began + number * APART_S) for number in range(len(fleets))]
        await asyncio.gather(
            *(
                fleet.agent(life)
                for fleet, diary, (_, drawn) in zip(fleets, diaries, together, strict=True)
                for life in _begin(fleet, diary, drawn)
            )
        )
    return [diary.records for diary in diaries], noise


def _begin(fleet: Fleet, diary: Diary, drawn: Records) -> list[Life]:
    fleet.begins(diary)
    return [Life(agent, drawn.arrived[agent], attempts, diary) for agent, attempts in agents(drawn).items()]
