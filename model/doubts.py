"""What a scenario may say and hardly means: each a warning, with what was probably meant."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

from model.faults import listed, shown
from model.governing import Governing
from model.incidents import Incident
from model.limits import Constraint, Pause
from model.locks import Locks
from model.scenario import Fleet, Hold, Repeat, Scenario, Task, Trace, name_of
from model.source import Path, Source
from model.tables import Table
from model.units import counted, format_duration, format_number

_LATE_NS = 365 * 86_400 * 10**9
_FEW = 100
"""Of a trace with numbers as times at least one row in a hundred is expected before the end of the run."""
_ONE_EACH = "requests"
"""What every task costs 1 of by nature."""


class Report(Protocol):
    """Where warnings are reported."""

    def __call__(self, path: Path, problem: str, allowed: str, *, severity: Literal["warning"]) -> None:
        """Add a warning, which stands where the value at `path` stands."""


class Doubts:
    """The warnings of a scenario in which nothing is wrong.

    `tables` holds the trace of each fleet, or None; `files` where each data file is named first.
    """

    def __init__(
        self,
        scenario: Scenario,
        source: Source,
        governing: Governing,
        tables: Sequence[Table | None],
        files: Mapping[str, tuple[Path, Table]],
        report: Report,
    ) -> None:
        self._scenario = scenario
        self._source = source
        self._governing = governing
        self._tables = tables
        self._files = files
        self._report = report

    def run(self) -> None:
        """Report them all."""
        rows = self._scenario.constraints
        needed = {name for _, task in self._governing.tasks() for name in task.needs}
        for number, row in enumerate(rows):
            if row.id not in needed and not self._governing.governs_any(row):
                path: Path = ("constraints", number) if row.scope is None else ("constraints", number, "scope")
                self._warn(path, "it governs nothing", self._scopes(row))
            later = next((other for other in rows[number + 1 :] if _replaces(other, row)), None)
            if later is not None:
                problem = f"{later.id} has the same scope and type, and replaces it before it is ever in force"
                self._warn(("constraints", number), problem, "another scope, or a later from")
            self._warn_time(row, number)
        for number, incident in enumerate(self._scenario.incidents):
            self._warn_incident(incident, ("incidents", number))
        if not self._scenario.expect_deadlock:
            self._warn_deadlock()
        for path, step in self._governing.all_steps():
            after = (*path[:-1], int(path[-1]) + 1)
            if isinstance(step, Repeat) and step.repeat == "forever" and self._source.at(after) is not None:
                problem = "never reached, for the repeat before it goes on for ever"
                self._warn(after, problem, "a number of repeats, or no step after it")
            if isinstance(step, (Task, Hold)):
                self._warn_cost(int(path[1]), step, path)
        for number, fleet in enumerate(self._scenario.fleets):
            self._warn_late(fleet, number)
        bounded = {fleet.tenant for fleet in self._scenario.fleets if fleet.starvation is None}
        for name, tenant in self._scenario.tenants.items():
            if tenant.starvation is not None and name not in bounded:
                allowed = "a tenant of a fleet that has no bound of its own"
                self._warn(("tenants", name, "starvation"), "it bounds nobody's wait", allowed)
        for name, (path, table) in self._files.items():
            if table.cut:
                problem = (
                    f"{shown(name)}: its last line has no end and a shorter last value than all others: was it cut?"
                )
                self._warn(path, problem, "a line end after the last row")

    def _warn_deadlock(self) -> None:
        """Warn of limits that may be waited for in a circle."""
        locks = Locks(self._scenario, self._governing)
        circle = locks.circle()
        if circle:
            number = next(number for number, row in enumerate(self._scenario.constraints) if row.id == circle[0])
            problem = f"a deadlock is possible: {', and '.join(locks.told(circle))}"
            self._warn(
                ("constraints", number), problem, " or ".join([*locks.remedies(circle), "expect_deadlock: true"])
            )

    def _warn_time(self, row: Constraint, number: int) -> None:
        """Warn of a constraint that comes too late to matter, or stops everybody for good."""
        until = self._scenario.until
        if until is not None and row.from_ >= until:
            self._warn(("constraints", number, "from"), "not before the run ends", "a time before until")
        alone = [other.scope for other in self._scenario.constraints if isinstance(other, Pause)].count(row.scope) == 1
        if (
            until is None
            and isinstance(row, Pause)
            and alone
            and row.on_limit == "block"
            and self._governing.governs_any(row)
        ):
            _, numbers = row.settings()[-1]
            if numbers["paused"] and row.expires is None:
                problem = "it is never lifted, and without until whoever it stops is left waiting"
                self._warn(("constraints", number), problem, "expires, a change to paused: false, or until")

    def _warn_incident(self, incident: Incident, path: Path) -> None:
        """Warn of an incident that hits nobody, comes too late to matter, or stops everybody for good."""
        until = self._scenario.until
        hit = any(self._governing.may_hit(incident, int(at[1]), task) for at, task in self._governing.tasks())
        times = [] if incident.at is None else [incident.at] if isinstance(incident.at, int) else incident.at
        if not hit:
            self._warn(
                (*path, "scope") if incident.scope != "global" else path, "it hits nothing", "a scope with tasks"
            )
        elif until is not None and times and times[0] >= until:
            self._warn((*path, "at"), "not before the run ends", "a time before until")
        elif until is None and incident.block and incident.lasts is None:
            problem = "it is never over, and without until whoever it blocks is left waiting"
            self._warn(path, problem, "lasts, or until")

    def _warn_cost(self, fleet: int, task: Task | Hold, path: Path) -> None:
        """Warn of a cost that no limit of the task counts, and of a limit of whose costs it says nothing."""
        limits = [row for row in self._scenario.constraints if self._governing.may_govern(row, fleet, task)]
        units = list(dict.fromkeys(row.counted for row in limits if row.counted is not None))
        exempt = [row.counted for row in limits if row.exempts_cached]
        for unit in task.cost if isinstance(task.cost, dict) else ():
            if unit not in units:
                self._warn((*path, "cost", unit), f"no limit of this task counts {unit}", listed(units, "no cost"))
        for unit in task.cached:
            if unit not in exempt:
                problem = f"no limit of this task exempts {unit} that came from a cache"
                self._warn((*path, "cached", unit), problem, "a limit with cached: exempt")
        if task.cost is not None and not isinstance(task.cost, dict):
            if not units:
                problem = "no limit of this task counts anything"
                self._warn((*path, "cost"), problem, "no cost, or a rate limit that governs the task")
            return
        said = {*(task.cost or {}), *(row.counted for row in limits if row.id in task.needs), _ONE_EACH}
        unsaid = [unit for unit in units if unit not in said]
        if unsaid:
            costs = ", ".join(f"{unit}: COST" for unit in unsaid)
            problem = f"it costs 1 of {' and 1 of '.join(unsaid)}, for it says nothing of that"
            self._warn(path, problem, f"cost: {{{costs}}}")

    def _warn_late(self, fleet: Fleet, number: int) -> None:
        """Warn of a trace whose rows come after the run, as they do where its times count from 1970."""
        table, until = self._tables[number], self._scenario.until
        if table is None or not isinstance(fleet.arrivals, Trace):
            return
        trace = fleet.arrivals.trace
        times = table.times(trace.time, trace.unit)
        early = len(times) if until is None else int(np.searchsorted(times, until, side="right"))
        problem = None
        if not early or (until is None and times[0] > _LATE_NS):
            before = "" if until is None else f"; until is {format_duration(until)}"
            problem = f"the first row comes at {format_number(times[0] / 10**9)} s{before}"
        elif early * _FEW < len(times) and table.numeric(trace.time):
            come = "comes" if early == 1 else "come"
            problem = f"only {early:,} of {counted(len(times), 'row')} {come} before until"
        if problem is not None:
            allowed = "times since the start of the run in what unit says, or timestamps, which count from the first"
            self._warn(("fleets", number, "arrivals", "trace", "time"), problem, allowed)

    def _warn(self, path: Path, problem: str, allowed: str) -> None:
        self._report(path, problem, allowed, severity="warning")

    def _scopes(self, row: Constraint) -> str:
        """Say which scopes would govern something."""
        fleets = self._scenario.fleets
        level = (row.scope or "").partition(":")[0]
        if level == "fleet":
            return f"fleet:PATTERN, for a fleet such as {listed([fleet.name for fleet in fleets])}"
        if level == "tenant":
            tenants = list(dict.fromkeys(fleet.tenant for fleet in fleets if fleet.tenant is not None))
            return f"tenant:PATTERN, for a tenant such as {listed(tenants)}" if tenants else "a tenant in a fleet"
        tasks = [f"{fleets[int(path[1])].name}_0_{name_of(task)}" for path, task in self._governing.tasks()]
        if not tasks:
            return "a fleet with a task"
        if level == "task":
            return f"task:PATTERN, for a task such as {listed(tasks)}"
        return "a scope, or a step that names it in its needs"


def _replaces(later: Constraint, row: Constraint) -> bool:
    """Say whether `later`, further down the list, takes the place of `row` at the very time at which `row` begins."""
    same = all(getattr(later, key) == getattr(row, key) for key in ("scope", "kin", "from_"))
    return same and row.scope is not None
