"""Who is who in a log: the agents that the header lists, and those that were spawned while the run went on.

An agent that was spawned is numbered after all that the header lists, in the order in which the log has them start; within
its fleet likewise. Its `AgentStarted` has the step and the visit that spawned it, and its parent as the value.
"""

from bisect import bisect_right

import numpy as np

from model.events import Batch, Kind
from model.log import Header, LogError


class Roster:
    """Feed it the batches of a log in order: it then knows everybody in them."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._firsts = [fleet.first for fleet in header.fleets]
        self._counts = [fleet.count for fleet in header.fleets]
        self._spawned: list[tuple[int, int]] = []  # fleet, and number within the fleet

    @property
    def agents(self) -> int:
        """How many agents there are so far."""
        return self._header.agents + len(self._spawned)

    def feed(self, batch: Batch) -> None:
        """Take in the next rows; raises LogError where an agent is spawned out of turn, or by a step that spawns nobody."""
        for row in np.flatnonzero((batch.kind == Kind.AgentStarted) & (batch.step >= 0)).tolist():
            agent, step = int(batch.agent[row]), int(batch.step[row])
            fleet = self._header.steps[step].spawned if step < len(self._header.steps) else None
            if fleet is None or agent != self.agents:
                raise LogError(f"agent {agent} is spawned by step {step}, which does not fit; the log is damaged")
            self._spawned.append((fleet, self._counts[fleet]))
            self._counts[fleet] += 1

    def place(self, agent: int) -> tuple[int, int]:
        """Return the fleet of an agent and its number within the fleet; raises LookupError where there is no such agent."""
        if agent >= self._header.agents:
            return self._spawned[agent - self._header.agents]
        # Of several fleets with the same first number only the last has agents.
        fleet = bisect_right(self._firsts, agent) - 1
        return fleet, agent - self._firsts[fleet]

    def name(self, agent: int) -> str:
        """Return FLEET_NUMBER, the name of an agent."""
        fleet, number = self.place(agent)
        return f"{self._header.fleets[fleet].name}_{number}"

    def task_name(self, agent: int, step: int) -> str | None:
        """Return FLEET_NUMBER_STEP, the name of a task, or None where the event has none."""
        if agent < 0 or step < 0:
            return None
        return f"{self.name(agent)}_{self._header.steps[step].name}"
