"""The bottleneck as a SimPy textbook would write it: a process an agent, a stock Resource, nothing recorded."""

import random

import simpy


def bottleneck(agents: int, slots: int, until_s: float, seed: int = 1) -> int:
    """Run the model and return the number of completed tasks."""
    env = simpy.Environment()
    resource = simpy.Resource(env, capacity=slots)
    draw = random.Random(seed).uniform
    completed = 0

    def agent():  # type: ignore[no-untyped-def] # as a textbook has it
        nonlocal completed
        while True:
            yield env.timeout(draw(0.5, 1.5))
            with resource.request() as request:
                yield request
                yield env.timeout(draw(0.1, 0.3))
            completed += 1

    for _ in range(agents):
        env.process(agent())
    env.run(until=until_s)
    return completed
