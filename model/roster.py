"""Who is who in a log: the agents that the header lists, and those that were spawned while the run went on.

An agent that was spawned is numbered after all that the header lists, in the order in which the log has them start; within
its fleet likewise. Its `AgentStarted` has the step and the visit that spawned it, and its parent as the value.
"""

import numpy as np
from numpy.typing import NDArray

from model.events import Batch, Kind
from model.header import Header


class Roster:
    """Feed it the batches of a log in order: it then knows everybody in them."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self._firsts = np.array([fleet.first for fleet in header.fleets], np.int64)
        self._counts = [fleet.count for fleet in header.fleets]
        self._spawned: list[tuple[int, int]] = []  # fleet, and number within the fleet

    @property
    def agents(self) -> int:
        """How many agents there are so far."""
        return self.header.agents + len(self._spawned)

    def feed(self, batch: Batch) -> tuple[int, str] | None:
        """Take in the next rows; return the place of a row whose agent cannot be spawned, and why, if there is one."""
        for row in np.flatnonzero((batch.kind == Kind.AgentStarted) & (batch.step >= 0)).tolist():
            agent, parent = int(batch.agent[row]), int(batch.value[row])
            fleet = self.header.steps[batch.step[row]].spawned
            if fleet is None:
                return row, f"agent {agent} is spawned by step {batch.step[row]}, which spawns nobody"
            if agent != self.agents or not 0 <= parent < agent:
                return row, f"agent {agent} is spawned by agent {parent}; the next that is spawned is {self.agents}"
            self._spawned.append((fleet, self._counts[fleet]))
            self._counts[fleet] += 1
        return None

    def places(self, agents: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the fleet of each agent, and its number within the fleet; -1 in place of an agent gives anything."""
        # Of several fleets with the same first number only the last has agents.
        fleets = np.searchsorted(self._firsts, agents, side="right") - 1
        numbers = agents - self._firsts[fleets]
        late = np.flatnonzero(agents >= self.header.agents)
        if len(late):
            of_late = np.array(self._spawned, np.int64)[agents[late] - self.header.agents]
            fleets[late], numbers[late] = of_late.T
        return fleets, numbers

    def count(self, fleet: int) -> int:
        """Return how many agents a fleet has so far."""
        return self._counts[fleet]

    def number(self, fleet: int, local: int) -> int | None:
        """Return the number of an agent of a fleet in the run, or None where there is none so far."""
        if not 0 <= local < self._counts[fleet]:
            return None
        if local < self.header.fleets[fleet].count:
            return int(self._firsts[fleet]) + local
        return self.header.agents + self._spawned.index((fleet, local))

    def name(self, agent: int) -> str:
        """Return FLEET_NUMBER, the name of an agent."""
        fleets, numbers = self.places(np.array([agent]))
        return f"{self.header.fleets[fleets[0]].name}_{numbers[0]}"

    def task_name(self, agent: int, step: int) -> str | None:
        """Return FLEET_NUMBER_STEP, the name of a task, or None where the event has none."""
        if agent < 0 or step < 0:
            return None
        return f"{self.name(agent)}_{self.header.steps[step].name}"

    def task_names(self, batch: Batch) -> list[str | None]:
        """Return the name of the task of each row, or None where the event has none."""
        fleets, numbers = self.places(batch.agent)
        by_fleet = [fleet.name for fleet in self.header.fleets]
        by_step = [step.name for step in self.header.steps]
        tasks = (batch.step >= 0) & (batch.kind != Kind.AgentStarted)
        return [
            f"{by_fleet[fleet]}_{number}_{by_step[step]}" if is_task else None
            for fleet, number, step, is_task in zip(
                fleets.tolist(), numbers.tolist(), batch.step.tolist(), tasks.tolist(), strict=True
            )
        ]
