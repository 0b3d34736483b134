"""Lets a real fleet run, with the witnesses of the clock beside it."""

import asyncio

from .fleets import Fleet, Life
from .noise import Noise, no_collection, witnessed
from .records import Diary, Records, agents

LEAD_S = 0.1
"""Time 0 is so long after the agents were created, so that all of them are ready then."""
LONGEST_S = 30
"""No fleet takes so long: one that does is stuck."""


def live(fleet: type[Fleet], drawn: Records) -> tuple[Records, Noise]:
    """Let a fleet do what the simulator drew, and return what happened and how noisy the clock was."""
    with no_collection():
        return asyncio.run(asyncio.wait_for(_live(fleet, drawn), LONGEST_S))


async def _live(fleet: type[Fleet], drawn: Records) -> tuple[Records, Noise]:
    async with fleet() as alive, witnessed(alive.call) as noise:
        clock = asyncio.get_running_loop().time
        diary = Diary(clock, clock() + LEAD_S)
        lives = [Life(agent, drawn.arrived[agent], attempts, diary) for agent, attempts in agents(drawn).items()]
        alive.begins(diary)
        await asyncio.gather(*(alive.agent(each) for each in lives))
    return diary.records, noise
