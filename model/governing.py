"""Which tasks a constraint of a scenario governs, as far as that can be told before the run.

Rules:

1. A pattern may look at the number of an agent. What it says of the first thousand agents is taken for what it says of all;
   where there may be more, such a constraint may govern.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from model.incidents import BY_CONSTRAINT, Incident
from model.limits import Constraint
from model.scenario import At, Hold, Scenario, Step, Task, name_of, parts
from model.scopes import governed, is_called
from model.source import Path
from model.tables import Table

AGENTS_LOOKED_AT = 1000


class Governing:
    """The steps of a scenario with their paths, and what governs them.

    `tables` holds the trace by which each fleet arrives, or None.
    """

    def __init__(self, scenario: Scenario, tables: Sequence[Table | None]) -> None:
        self._scenario = scenario
        self._tables = tables

    def steps(self, fleet: int) -> Iterator[tuple[Path, Step]]:
        """Yield the steps of a fleet and those inside them, in the order of the file, with their paths."""
        return _steps(self._scenario.fleets[fleet].steps, ("fleets", fleet, "steps"))

    def all_steps(self) -> Iterator[tuple[Path, Step]]:
        """Yield the steps of all fleets."""
        for number in range(len(self._scenario.fleets)):
            yield from self.steps(number)

    def tasks(self) -> Iterator[tuple[Path, Task | Hold]]:
        """Yield the steps of all fleets that ask for something."""
        return ((path, step) for path, step in self.all_steps() if isinstance(step, (Task, Hold)))

    def may_govern(self, row: Constraint, fleet: int, task: Task | Hold) -> bool:
        """Say whether a task is governed, or may be."""
        return row.id in task.needs or self._may_match(row.scope, fleet, name_of(task) or "")

    def governs_any(self, row: Constraint) -> bool:
        """Say whether the scope matches some task, or may."""
        return any(self._may_match(row.scope, int(path[1]), name_of(task) or "") for path, task in self.tasks())

    def may_hit(self, row: Incident, fleet: int, task: Task | Hold) -> bool:
        """Say whether an incident may hit a task."""
        if not row.scope.startswith(BY_CONSTRAINT):
            return self._may_match(row.scope, fleet, name_of(task) or "")
        pattern = row.scope.removeprefix(BY_CONSTRAINT)
        limits = (limit for limit in self._scenario.constraints if is_called(limit.id, pattern))
        return any(self.may_govern(limit, fleet, task) for limit in limits)

    def counting(
        self, rows: Sequence[Constraint], fleet: int, task: Task | Hold
    ) -> list[tuple[Constraint, NDArray[np.bool_]]]:
        """Return those of the limits that count something and govern the task, and for each which agents."""
        agents = min(self._agents(fleet) or AGENTS_LOOKED_AT, AGENTS_LOOKED_AT)
        limits = []
        for row in rows:
            if row.counted is not None:
                matched = governed(row.scope, self._scenario.fleets[fleet], agents, name_of(task) or "")
                flags = np.atleast_1d(row.id in task.needs or matched)
                if flags.any():
                    limits.append((row, flags))
        return limits

    def _may_match(self, scope: str | None, fleet: int, task: str) -> bool:
        by_number = scope is not None and re.search(r"^task:.*[0-9?\[]", scope) is not None
        agents = self._agents(fleet)
        if by_number and (agents is None or agents > AGENTS_LOOKED_AT):
            return True
        looked_at = min(agents or AGENTS_LOOKED_AT, AGENTS_LOOKED_AT)
        return bool(np.any(governed(scope, self._scenario.fleets[fleet], looked_at, task)))

    def _agents(self, number: int) -> int | None:
        """Return how many agents a fleet has, or None where that is known only when it runs."""
        table, fleet = self._tables[number], self._scenario.fleets[number]
        if table is not None:
            return table.rows
        return len(fleet.arrivals.at) if isinstance(fleet.arrivals, At) else fleet.count


def _steps(steps: Sequence[Step], path: Path) -> Iterator[tuple[Path, Step]]:
    """Yield the steps and those inside them, in the order of the file, with their paths."""
    for number, step in enumerate(steps):
        at: Path = (*path, number)
        yield at, step
        for keys, inner in parts(step):
            yield from _steps(inner, (*at, *keys))
