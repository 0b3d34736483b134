"""What the places of a scenario have to agree on: ids, references, capacities, columns, and that a run comes to an end.

Rules:

1. A check that would look at a value that is faulty by itself is left out: each fault is reported once.
2. What is allowed and yet hardly meant is in `model.doubts`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from model.distributions import Empirical, Linear, Mixture, upper
from model.doubts import Doubts
from model.faults import did_you_mean, listed, shown
from model.governing import AGENTS_LOOKED_AT, Governing
from model.incidents import BY_CONSTRAINT, Incident
from model.limits import Constraint, Pause, Resource
from model.scenario import (
    AGENTS_MAX,
    Choose,
    Every,
    Fleet,
    Fork,
    Goto,
    Graph,
    Hold,
    Node,
    Poisson,
    Repeat,
    Scenario,
    Spawn,
    Step,
    Task,
    Think,
    Trace,
    name_of,
    parts,
)
from model.scopes import governed, is_called
from model.source import Path, Place, Source
from model.tables import Table, TableError
from model.units import TIME_MAX_NS, UnitError, format_duration, format_number, parse_count

BRANCHES_MAX = 1_000_000
"""Most copies of a fork, and agents that are spawned at once."""
STEPS_MAX = 32_000
"""Most steps of all fleets together: a log numbers them with 16 bits."""


class Findings(Protocol):
    """Where the checks report, and what they must know of faults that were found before."""

    def report(
        self,
        path: Path,
        problem: str,
        allowed: str,
        *,
        key: bool = False,
        place: Place | None = None,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        """Add a fault, which stands where the value at `path` stands, or its key."""

    def report_row(self, error: TableError, name: str, column: str, path: Path, key: bool = False) -> None:
        """Add a fault of a data file."""

    def faulty(self, path: Path) -> bool:
        """Say whether there is a fault in the value at `path` itself."""

    def sure(self, path: Path) -> bool:
        """Say whether the value at `path` is what the person wrote."""

    def table(self, name: str, path: Path) -> Table | None:
        """Return the data file that is named at `path`, or None where there is a fault."""


class Checks:
    """The checks of a scenario as a whole, with the places of the source for what they find."""

    def __init__(self, scenario: Scenario, source: Source, found: Findings) -> None:
        self._scenario = scenario
        self._source = source
        self._found = found
        rows = enumerate(scenario.constraints)
        self._rows = [row for number, row in rows if found.sure(("constraints", number))]
        self._by_id: dict[str, Constraint | None] = {}  # None where it is faulty; of two with one id, the first
        for number, row in enumerate(scenario.constraints):
            name = source.at(("constraints", number, "id"))
            self._by_id.setdefault(str(name), row if found.sure(("constraints", number)) else None)
        self._tables: list[Table | None] = []
        self._governing = Governing(scenario, self._tables)
        self._files: dict[str, tuple[Path, Table]] = {}  # the data files that were read, and where they are named first
        self._lines: set[tuple[str, str, int]] = set()  # what is reported of data files: file, column, line
        written = source.at(("constraints",))
        self._written: list[Any] = written if isinstance(written, list) else []
        self._ids = self._written_ids()
        self._units = self._written_units()

    def run(self) -> None:
        """Report everything that is wrong."""
        self._check_once([("constraints", number, "id") for number in range(len(self._written))], "a constraint")
        self._check_once([("fleets", number, "name") for number in range(len(self._scenario.fleets))], "a fleet")
        self._tables += [self._trace(fleet, number) for number, fleet in enumerate(self._scenario.fleets)]
        incidents: list[Path] = [("incidents", number, "id") for number in range(len(self._scenario.incidents))]
        self._check_once(incidents, "an incident", dict.fromkeys(self._ids or (), "a constraint"))
        for unit in self._scenario.prices or {}:
            if self._units is not None and unit not in self._units:
                problem = f"no rate limit or quota counts {shown(unit)}{did_you_mean(unit, self._units)}"
                allowed = listed(self._units, "no prices, for no constraint of this scenario counts anything")
                self._found.report(("prices", unit), problem, allowed, key=True)
        for number, incident in enumerate(self._scenario.incidents):
            self._check_incident(incident, ("incidents", number))
        for number, fleet in enumerate(self._scenario.fleets):
            self._check_fleet(fleet, number)
        self._check_end()
        steps = sum(1 for _ in self._governing.all_steps())
        if steps > STEPS_MAX:
            self._found.report(
                ("fleets",), f"{steps:,} steps", f"at most {STEPS_MAX:,} in all fleets together", key=True
            )

    def doubts(self) -> None:
        """Report what is allowed and yet hardly meant; only of a scenario in which nothing is wrong."""
        Doubts(self._scenario, self._source, self._governing, self._tables, self._files, self._found.report).run()

    def _written_ids(self) -> list[str] | None:
        """Return the ids of the constraints, faulty ones included; None where one cannot be told."""
        ids = [row.get("id") if isinstance(row, dict) else None for row in self._written]
        paths: list[Path] = [("constraints",), *(("constraints", number, "id") for number in range(len(ids)))]
        known = list(dict.fromkeys(name for name in ids if isinstance(name, str)))
        return known if all(isinstance(name, str) for name in ids) and not any(map(self._found.faulty, paths)) else None

    def _written_units(self) -> list[str] | None:
        """Return what the rate limits count, faulty ones included; None where that cannot be told for one of them."""
        if self._found.faulty(("constraints",)) or len(self._written) < len(self._scenario.constraints):
            return None  # of what a misspelt `providers` stands for nothing is written
        units = []
        for number, (row, written) in enumerate(zip(self._scenario.constraints, self._written, strict=True)):
            path: Path = ("constraints", number)
            counts = written.get("counts") if isinstance(written, dict) else None
            if self._found.sure(path):
                units.append(row.counted)
            elif isinstance(counts, str) and not self._found.faulty((*path, "counts")):
                units.append(counts)
            elif not isinstance(written, dict) or written.get("type") != row.type or row.counted is not None:
                return None
        return list(dict.fromkeys(unit for unit in units if unit is not None))

    def _check_once(self, paths: Iterable[Path], noun: str, others: Mapping[str, str] | None = None) -> None:
        """Check that the names at `paths` differ from each other, and from those of `others`, which says whose they are."""
        first: dict[str, Path] = {}
        for path in paths:
            name = self._source.at(path)
            if not isinstance(name, str) or self._found.faulty(path):
                continue
            if name in first:
                line = self._source.place(first[name]).line
                where = "" if line is None else f" in line {line}"
                self._found.report(path, f"{noun} is called {shown(name)} already{where}", "a name of its own")
            elif others and name in others:
                self._found.report(path, f"{others[name]} is called {shown(name)} already", "a name of its own")
            first.setdefault(name, path)

    # Incidents

    def _check_incident(self, row: Incident, path: Path) -> None:
        pattern = row.scope.removeprefix(BY_CONSTRAINT)
        known = self._ids or []
        by_constraint = (
            row.scope.startswith(BY_CONSTRAINT) and self._ids is not None and self._found.sure((*path, "scope"))
        )
        if by_constraint and not any(is_called(name, pattern) for name in known):
            problem = f"no constraint is called {shown(pattern)}{did_you_mean(pattern, known)}"
            self._found.report((*path, "scope"), problem, listed(known, "global, for there is no constraint"))
        for key in ("between", "lasts"):
            self._check_quantity(None, (*path, key), getattr(row, key))

    # Fleets

    def _trace(self, fleet: Fleet, number: int) -> Table | None:
        """Return the trace by which the fleet arrives, or None where there is none or it cannot be read."""
        path: Path = ("fleets", number, "arrivals", "trace")
        if not isinstance(fleet.arrivals, Trace) or not self._found.sure(path):
            return None
        trace = fleet.arrivals.trace
        table = self._table(trace.file, (*path, "file"))
        if trace.unit == 0:
            self._found.report((*path, "unit"), "a 1 that stands for no time", "a time above 0")
        elif table is not None:
            try:
                table.times(trace.time, trace.unit)
            except TableError as error:
                self._report_row(error, trace.file, trace.time, (*path, "time"))
        if table is not None and table.rows > AGENTS_MAX:
            self._found.report((*path, "file"), f"{table.rows:,} rows", f"at most {AGENTS_MAX:,}")
        return table

    def _check_fleet(self, fleet: Fleet, number: int) -> None:
        names, thinks, unnamed = list[Path](), 0, dict[str, str]()
        self._check_quantity(number, ("fleets", number, "stagger"), fleet.stagger)
        self._check_quantity(number, ("fleets", number, "life"), fleet.life)
        for key in ("uptime", "repair") if fleet.crash is not None else ():
            self._check_quantity(number, ("fleets", number, "crash", key), getattr(fleet.crash, key))
        if fleet.crash is not None and fleet.crash.uptime == fleet.crash.repair == 0:
            problem = "its agents are neither up nor down for any time"
            self._found.report(("fleets", number, "crash"), problem, "an uptime or a repair above 0")
        for path, step in self._governing.steps(number):
            written = self._source.at(path)
            if isinstance(written, dict):
                names.append((*path, next((key for key in ("task", "hold") if key in written), "name")))
                thinks += "think" in written
                if "think" in written and "name" not in written:
                    unnamed["think" if thinks == 1 else f"think{thinks}"] = "a think step without a name"
            match step:
                case Think():
                    self._check_quantity(number, (*path, "think"), step.think)
                case Task():
                    self._check_quantity(number, (*path, "duration"), step.duration)
                    self._check_asking(fleet, number, step, path)
                case Hold():
                    self._check_asking(fleet, number, step, path)
                case Fork():
                    self._check_quantity(number, (*path, "fork"), step.fork)
                    self._check_branches((*path, "fork"), step.fork, "copies")
                    if isinstance(step.join, int) and isinstance(step.fork, float) and step.join > step.fork:
                        problem = (
                            f"{step.join} of {format_number(step.fork)} {'branch' if step.fork == 1 else 'branches'}"
                        )
                        self._found.report((*path, "join"), problem, f"all, any, or at most {format_number(step.fork)}")
                case Graph():
                    self._check_graph(step, path)
                case Spawn():
                    self._check_spawn(fleet, number, step, path)
                case Repeat() if step.repeat == "forever" and _longest(step.steps) == 0 and self._found.sure(path):
                    problem = "the steps take no time, so that time would stand still for ever"
                    self._found.report((*path, "repeat"), problem, "a step that takes time, or a number of repeats")
        self._check_once(names, "a step of this fleet", unnamed)
        self._check_spawned(fleet, number)

    def _check_end(self) -> None:
        """Check that the run ends."""
        if self._scenario.until is not None or not self._found.sure(("until",)):
            return
        reasons = [f"the changes of {row.id} come again and again" for row in self._rows if row.every is not None]
        for number, incident in enumerate(self._scenario.incidents):
            if incident.between is not None and self._found.sure(("incidents", number)):
                reasons.append(f"{incident.id} comes again and again")
        for number, fleet in enumerate(self._scenario.fleets):
            name = self._source.display(("fleets", number))
            if isinstance(fleet.arrivals, (Poisson, Every)) and self._found.sure(("fleets", number, "arrivals")):
                reasons.append(f"the arrivals of {name} never end")
            elif any(
                isinstance(step, Repeat) and step.repeat == "forever" for _, step in self._governing.steps(number)
            ):
                reasons.append(f"{name} goes on for ever")
            elif fleet.crash is not None and self._found.sure(("fleets", number, "crash")):
                reasons.append(f"{name} crashes again and again")
        if reasons:
            problem = f"the key 'until' is missing, and {' and '.join(reasons[:3])}"
            self._found.report(("until",), problem, "the time at which the run ends, such as until: 1h")

    # Steps

    def _check_asking(self, fleet: Fleet, number: int, step: Task | Hold, path: Path) -> None:
        if step.patience is not None:
            self._check_quantity(number, (*path, "patience"), step.patience)
        self._check_goto(step, path, fleet)
        self._check_acquire(fleet, number, step, path)
        shared = [
            row.id
            for row in self._rows
            if row.queue == "processor_sharing" and self._governing.may_govern(row, number, step)
        ]
        produced = [
            row.id for row in self._rows if row.produced_every and self._governing.may_govern(row, number, step)
        ]
        if produced and (shared or isinstance(step, Hold)):
            problem = (
                f"{produced[0]} charges what it costs as it is produced, and how long it works is not known before"
            )
            self._found.report(path, problem, "charge: on_finish or settle, or a task that shares no processor")
        slowed = [
            row.id for row in self._scenario.incidents if row.slows_all and self._governing.may_hit(row, number, step)
        ]
        if shared and slowed:
            problem = f"it shares {shared[0]}, and {slowed[0]} slows it"
            self._found.report(path, problem, f"changes of {shared[0]}, or applies_to: new in {slowed[0]}")
        if len(shared) > 1:
            problem = f"it shares {' and '.join(shared)}, and can go at the speed of one only"
            self._found.report(path, problem, "one constraint with queue: processor_sharing")
        self._check_needs(fleet, number, step, path)
        self._check_cost(fleet, number, step, path)

    def _check_acquire(self, fleet: Fleet, number: int, task: Task | Hold, path: Path) -> None:
        """Check that a task takes what governs it, once each."""
        if task.acquire == "atomic":
            return
        governing = [row.id for row in self._rows if self._governing.may_govern(row, number, task)]
        for place, wanted in enumerate(task.acquire):
            if wanted not in governing:
                problem = f"no constraint of this task is called {shown(wanted)}{did_you_mean(wanted, governing)}"
                self._found.report((*path, "acquire", place), problem, listed(governing, "atomic"))
            elif wanted in task.acquire[:place]:
                self._found.report((*path, "acquire", place), f"{shown(wanted)} twice", "each constraint once")

    def _check_graph(self, graph: Graph, path: Path) -> None:
        """Check that tasks come after tasks of the graph, and none after itself."""
        names = [node.task for node in graph.graph]
        ready: set[str] = set()
        for number, node in enumerate(graph.graph):
            for place, name in enumerate(node.after):
                if name not in names:
                    problem = f"no task of the graph is called {shown(name)}{did_you_mean(name, names)}"
                    self._found.report((*path, "graph", number, "after", place), problem, listed(names, "a task"))
                    return
        for _ in names:
            ready |= {node.task for node in graph.graph if ready.issuperset(node.after)}
        circle = [name for name in names if name not in ready]
        if circle:
            problem = f"{', '.join(circle)} come after each other in a circle"
            self._found.report((*path, "graph"), problem, "tasks that come after others, none after itself")

    def _check_spawn(self, fleet: Fleet, number: int, step: Spawn, path: Path) -> None:
        for key in ("count", "depth"):
            self._check_quantity(number, (*path, key), getattr(step, key))
        self._check_branches((*path, "count"), step.count, "agents")
        names = [other.name for other in self._scenario.fleets]
        if step.spawn not in names:
            problem = f"no fleet is called {shown(step.spawn)}{did_you_mean(step.spawn, names)}"
            self._found.report((*path, "spawn"), problem, listed(names, "a fleet"))

    def _check_branches(self, path: Path, count: object, what: str) -> None:
        most = upper(count)
        if BRANCHES_MAX < most < float("inf"):
            self._found.report(path, f"up to {format_number(most)} {what}", f"at most {BRANCHES_MAX:,}")

    def _check_spawned(self, fleet: Fleet, number: int) -> None:
        """Check a fleet whose agents have no numbers before the run."""
        path: Path = ("fleets", number)
        spawned = any(isinstance(step, Spawn) and step.spawn == fleet.name for _, step in self._governing.all_steps())
        if not spawned and fleet.count is None and fleet.arrivals is None and self._found.sure((*path, "count")):
            problem = "neither count nor arrivals, and no step spawns it"
            self._found.report(
                path, problem, "count for a closed fleet, arrivals for an open one, or a step that spawns it"
            )
        incidents = [row for row in self._scenario.incidents if not row.scope.startswith(BY_CONSTRAINT)]
        for row in (*self._rows, *incidents) if spawned else ():
            for _, step in self._governing.steps(number):
                name = name_of(step)
                flags = governed(row.scope, fleet, AGENTS_LOOKED_AT, name) if name is not None else True
                if isinstance(step, (Task, Hold)) and not isinstance(flags, bool):
                    problem = f"the scope of {row.id} looks at the numbers of its agents, and these are spawned"
                    self._found.report(path, problem, "scopes that do not tell the agents of the fleet apart")
                    return

    def _check_goto(self, task: Task | Hold, path: Path, fleet: Fleet) -> None:
        """Check that a jump leads to a step of the list that the task is in, or of a list around it.

        Nothing jumps out of a branch, a graph, or what is held.
        """
        if not isinstance(task.on_failure, Goto):
            return
        around: Sequence[Step] = fleet.steps
        targets, at = list[str](), 3
        while True:
            step = around[int(path[at])]
            targets += [] if isinstance(around[0], Node) else filter(None, map(name_of, around))
            inner = next((each for each in parts(step) if path[at + 1 :][: len(each[0])] == each[0]), None)
            if inner is None:
                break
            if not isinstance(step, (Repeat, Choose)):
                targets = []
            at, around = at + 1 + len(inner[0]), inner[1]
        target = task.on_failure.goto
        if target not in targets:
            problem = (
                f"no step of this list or of one around it is called {shown(target)}{did_you_mean(target, targets)}"
            )
            self._found.report((*path, "on_failure", "goto"), problem, listed(targets, "the name of a step"))

    def _check_needs(self, fleet: Fleet, number: int, task: Task | Hold, path: Path) -> None:
        for name, amount in task.needs.items():
            at: Path = (*path, "needs", name)
            row = self._by_id.get(name)
            if row is None and self._ids is not None and name not in self._ids:
                problem = f"no constraint is called {shown(name)}{did_you_mean(name, self._ids)}"
                self._found.report(
                    at, problem, listed(self._ids, "the id of a constraint, and there is none"), key=True
                )
            elif row is None:
                continue
            elif isinstance(row, Pause):
                others = [name for name, other in self._by_id.items() if not isinstance(other, Pause)]
                problem = f"{name} is a pause, of which there is no amount"
                self._found.report(at, problem, listed(others, "a constraint of another type"), key=True)
            else:
                self._check_quantity(number, at, amount)
                self._check_amount(task, row, amount, at)

    def _check_amount(self, task: Task | Hold, row: Constraint, amount: object, at: Path) -> None:
        """Check how much of a constraint a task needs."""
        known = isinstance(amount, (int, float))
        if not known and not isinstance(row, Resource):
            problem = f"an amount of {row.id} that is drawn"
            self._found.report(at, problem, "a whole number, or a cost where it is a limit that counts something")
            return
        if not isinstance(amount, (int, float)):
            return
        if row.scale == 1:
            try:
                parse_count(amount)
            except UnitError as error:
                problem, _, allowed = str(error).partition("; allowed: ")
                self._found.report(at, problem, allowed)
                return
        most = _most(row)
        if most is not None and amount * row.scale > most:
            problem = (
                f"{format_number(amount)} of {row.id}, which never has more than {format_number(most / row.scale)}"
            )
            self._found.report(at, problem, f"{'1' if row.scale == 1 else '0'} to {format_number(most / row.scale)}")
        elif amount > 1 and row.counted is not None and _costs(task, row.counted):
            problem = f"{format_number(amount)} of {row.id} beside a cost of {row.counted}, which is what counts"
            self._found.report(at, problem, f"1, or no cost of {row.counted}")

    def _check_cost(self, fleet: Fleet, number: int, task: Task | Hold, path: Path) -> None:
        limits = self._governing.counting(self._rows, number, task)
        rows = [row for row, _ in limits]
        for key, by_unit in (("cost", task.cost), ("reserve", task.reserve), ("cached", task.cached)):
            for unit, amount in by_unit.items() if isinstance(by_unit, dict) else ():
                at: Path = (*path, key, unit)
                if self._units is not None and unit not in self._units:
                    problem = f"no rate limit counts {shown(unit)}{did_you_mean(unit, self._units)}"
                    self._found.report(
                        at, problem, listed(self._units, f"a {key} where there is a rate limit"), key=True
                    )
                if key != "cached":
                    self._check_quantity(number, at, amount)
                    self._check_burst(task, key, amount, at, [row for row in rows if row.counted == unit])
        if task.cost is None or isinstance(task.cost, dict):
            return
        path = (*path, "cost")
        self._check_quantity(number, path, task.cost)
        units = {str(row.counted): row.id for row in reversed(rows)}
        governing = [
            sum((flags for row, flags in limits if row.counted == unit), start=np.zeros(1)) > 0 for unit in units
        ]
        if any(sum(governing, start=np.zeros(1)) > 1):
            counted = " and ".join(f"{unit} in {row}" for unit, row in sorted(units.items()))
            allowed = f"a cost for each: {{{', '.join(f'{unit}: COST' for unit in sorted(units))}}}"
            self._found.report(path, f"one cost, though the rate limits of this task count {counted}", allowed)
        else:
            self._check_burst(task, "cost", task.cost, path, rows)

    def _check_burst(self, task: Task | Hold, key: str, amount: object, path: Path, rows: Sequence[Constraint]) -> None:
        """Check that what a task asks for when it starts, its cost or what it reserves, can ever be had."""
        if not isinstance(amount, (int, float)):
            return
        too_small = []
        for row in rows:
            most, share = _most(row), task.cached.get(str(row.counted), 0.0) if row.exempts_cached else 0.0
            reserves = row.charge == "settle" and row.counted in task.reserve
            asks = key == "reserve" if reserves else key == "cost" and row.charge in ("on_start", "settle")
            wanted = amount * (1 - share) if key == "cost" else amount
            if asks and most is not None and wanted > most / row.scale + 0.5:
                too_small.append((most / row.scale, row.id, wanted, "total" if row.type == "quota" else "burst"))
        if too_small:
            least, name, wanted, noun = min(too_small)
            problem = f"{format_number(wanted)}, more than {name} can ever hold: its {noun} is {format_number(least)}"
            self._found.report(path, problem, f"at most {format_number(least)}")

    # Distributions

    def _check_quantity(self, fleet: int | None, path: Path, value: object) -> None:
        """Check what a distribution of a fleet, or of none, reads from data files."""
        for at, part in _parts(path, value):
            if isinstance(part, Linear):
                self._check_linear(fleet, (*at, "linear"), part)
            elif isinstance(part, Empirical) and part.source is not None and self._found.sure(at):
                file, column, scale = part.source
                table = self._table(file, (*at, "empirical", "file"))
                if table is not None:
                    self._check_column(table, file, column, (*at, "empirical", "column"), scale)

    def _check_linear(self, number: int | None, path: Path, value: Linear[Any]) -> None:
        if number is None:
            problem = "linear reads the row by which an agent arrived, and an incident is no agent"
            self._found.report(path, problem, "another distribution", key=True)
            return
        fleet, table = self._scenario.fleets[number], self._tables[number]
        if isinstance(fleet.arrivals, Trace):
            for column, factor in value.linear.factors.items() if table is not None else ():
                assert table is not None
                self._check_column(table, fleet.arrivals.trace.file, column, (*path, column), factor, key=True)
        elif self._found.sure(("fleets", number, "arrivals")):
            problem = "linear reads the row by which an agent arrived, and these agents do not arrive by a trace"
            stagger = path[-2] == "stagger"
            allowed = "another distribution" if stagger else "arrivals by a trace, or another distribution"
            self._found.report(path, problem, allowed, key=True)

    def _check_column(self, table: Table, file: str, column: str, path: Path, factor: float, key: bool = False) -> None:
        """Check a column of which a 1 stands for `factor`: nanoseconds, a whole number, or tokens."""
        try:
            values = table.column(column)
            if (values < 0).any():
                row = int(np.argmax(values < 0))
                raise TableError(f"{values[row]:g} is negative", "0 or a positive number", table.line(row))
            with np.errstate(over="ignore"):
                large = values * float(factor) > TIME_MAX_NS
            if large.any():
                row, is_time = int(np.argmax(large)), isinstance(factor, int)
                stands = format_duration(int(factor)) if is_time else f"{factor:g}"
                most = "146 years" if is_time else f"{TIME_MAX_NS:,} in all"
                problem = f"{values[row]:g} is too large where a 1 stands for {stands}"
                raise TableError(problem, f"at most {most}", table.line(row))
        except TableError as error:
            self._report_row(error, file, column, path, key)

    def _table(self, name: str, path: Path) -> Table | None:
        table = self._found.table(name, path)
        if table is not None:
            self._files.setdefault(name, (path, table))
        return table

    def _report_row(self, error: TableError, file: str, column: str, path: Path, key: bool = False) -> None:
        """Report a fault of a data file; a value that is bad for two uses, or a header, is reported once."""
        if error.line is not None:
            told = (file, error.problem if error.line == 1 else column, error.line)
            if told in self._lines:
                return
            self._lines.add(told)
        self._found.report_row(error, file, column, path, key)


def _parts(path: Path, value: object) -> Iterator[tuple[Path, object]]:
    """Yield a distribution and those that it mixes, with their paths."""
    yield path, value
    if isinstance(value, Mixture):
        for number, branch in enumerate(value.mixture):
            yield from _parts((*path, "mixture", number, "value"), branch.value)


def _longest(steps: Sequence[Step]) -> float:
    """Return a bound of the time that any of the steps takes, but for waiting."""
    longest = 0.0
    for step in steps:
        match step:
            case Think():
                longest = max(longest, upper(step.think))
            case Task():
                longest = max(longest, upper(step.duration))
            case Repeat() if step.repeat == "forever":
                return float("inf")
            case Spawn():
                return float("inf")  # what it takes is up to others
            case _:
                longest = max([longest, *(_longest(inner) for _, inner in parts(step))])
    return longest


def _costs(task: Task | Hold, unit: str) -> bool:
    """Say whether the task says what it costs of what a rate limit counts."""
    return unit in task.cost if isinstance(task.cost, dict) else task.cost is not None


def _most(row: Constraint) -> int | None:
    """Return the largest amount that the constraint ever admits, or None where there is no bound."""
    amounts = [row.largest(numbers) for _, numbers in row.settings()]
    known = [amount for amount in amounts if amount is not None]
    return max(known) if len(known) == len(amounts) else None
