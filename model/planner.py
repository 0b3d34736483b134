"""Works a scenario out into a Plan.

Rules:

1. What a task asks of a constraint: its `cost` where the constraint counts something and the task says what that costs,
   else what its `needs` say, else 1.
2. A random variable is called `fleet/step/what`; beside the seed, the agent and the visit its draws depend on nothing
   but that name.
3. A step after a `repeat: forever` is never reached, and gets a number all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import distributions, streams
from model.arrivals import starts_of
from model.events import Skip
from model.incidents import BY_CONSTRAINT, Incident
from model.limits import Constraint, in_micro
from model.plan import (
    END,
    GO_ON,
    PLAIN,
    BudgetPlan,
    Chance,
    Change,
    ChoosePlan,
    Constant,
    ConstraintPlan,
    Demand,
    Discipline,
    Drawn,
    Exposure,
    FleetPlan,
    ForkPlan,
    GraphPlan,
    PerAgent,
    Plan,
    Policy,
    Quantity,
    RepeatPlan,
    RetryPlan,
    SpawnPlan,
    StepPlan,
    TaskPlan,
    ThinkPlan,
)
from model.scenario import (
    CacheHit,
    Choose,
    Fleet,
    Fork,
    Goto,
    Graph,
    Hold,
    Repeat,
    Retry,
    RetryBudget,
    Scenario,
    Spawn,
    Step,
    Task,
    Think,
    Trace,
    name_of,
    walk,
)
from model.scopes import governed, is_called
from model.tables import Table
from model.timeline import incident_settings, settings_of
from model.units import MICRO, TIME_MAX_NS

_POLICY_KEYS = ("acquire", "deadline", "fail", "timeout", "patience", "retry", "skip_if", "on_failure", "hold")
_UNSAID = (None, 0.0, "continue", "atomic")


def plan(scenario: Scenario, tables: Mapping[str, Table]) -> Plan:
    """Return the Plan of a validated scenario; `tables` holds its data files by the names that it gives them.

    Raises PlanError where a fleet would have more than `AGENTS_MAX` agents.
    """
    settings = settings_of(scenario.constraints, scenario.until)
    fleets: list[FleetPlan] = []
    steps: list[StepPlan] = []
    for number, fleet in enumerate(scenario.fleets):
        starts, more_come = starts_of(fleet, scenario, tables)
        planner = _FleetPlanner(fleet, number, len(starts), scenario, tables, len(steps))
        entry = planner.plan()
        steps.extend(planner.steps)
        fleets.append(
            FleetPlan(
                number=number,
                name=fleet.name,
                tenant=fleet.tenant,
                priority=fleet.priority,
                first=sum(before.count for before in fleets),
                starts_ns=starts,
                more_come=more_come,
                life=planner.life,
                uptime=planner.uptime,
                repair=planner.repair,
                entry=entry,
                steps=tuple(step.number for step in planner.steps),
            )
        )
    constraints = []
    for number, row in enumerate(scenario.constraints):
        discipline = _discipline(row, scenario)
        amount, exclusive = _asked(steps, number)
        exclusive = exclusive and discipline == PLAIN
        constraints.append(
            ConstraintPlan(
                number,
                row.id,
                row.type,
                row.scope,
                row.counted,
                row.behaviour,
                row.charge,
                row.produced_every,
                row.retry_after,
                settings[number],
                discipline,
                amount,
                exclusive,
            )
        )
    constraints += [
        _incident(row, number, scenario, tables) for number, row in enumerate(scenario.incidents, len(constraints))
    ]
    changes = [Change(s.time_ns, row.number, s) for row in constraints for s in row.settings if s.time_ns > 0]
    return Plan(
        name=scenario.name,
        seed=scenario.seed,
        until_ns=scenario.until,
        constraints=tuple(constraints),
        changes=tuple(sorted(changes, key=lambda change: (change.time_ns, change.constraint))),
        steps=tuple(steps),
        fleets=tuple(fleets),
    )


def _incident(row: Incident, number: int, scenario: Scenario, tables: Mapping[str, Table]) -> ConstraintPlan:
    """Return the constraint that an incident is."""
    return ConstraintPlan(
        number=number,
        id=row.id,
        type="incident",
        scope=row.scope,
        counts=None,
        behaviour="incident",
        charge="on_start",
        produced_ns=0,
        retry_after="none" if row.retry_after is None else row.retry_after,
        settings=incident_settings(row, scenario.seed, scenario.until, tables),
        discipline=PLAIN if row.waits_only else Discipline(rejects=row.refuse > 0),
        amount=1,
        exclusive=False,
    )


def _discipline(row: Constraint, scenario: Scenario) -> Discipline:
    return Discipline(
        queue="fifo" if row.behaviour == "processor_sharing" else str(row.queue),
        hears=row.hears,
        shared=row.behaviour == "processor_sharing",
        strict=row.admission == "strict",
        rejects=row.on_limit == "reject",
        room=row.room,
        overflow=row.overflow,
        preempt=row.preempted,
        share_of=_shares(row.fair_by, scenario) if row.queue == "fair" else (),
    )


def _shares(by: str, scenario: Scenario) -> tuple[tuple[int, int], ...]:
    """Return for each fleet the group that it shares a fair queue with, and the weight of the group.

    A group is a tenant; a fleet without one, and every fleet where the queue is fair by fleet, is a group of its own.
    """
    groups: dict[str, int] = {}
    shares = []
    for fleet in scenario.fleets:
        by_tenant = by == "tenant" and fleet.tenant is not None
        name = f"tenant {fleet.tenant}" if by_tenant else f"fleet {fleet.name}"
        known = scenario.tenants.get(fleet.tenant or "") if by_tenant else None
        weight = fleet.weight if not by_tenant else known.weight if known is not None else 1
        shares.append((groups.setdefault(name, len(groups)), weight))
    return tuple(shares)


def _asked(steps: Sequence[StepPlan], constraint: int) -> tuple[int | None, bool]:
    """Return what every task asks of the constraint, None where it is not always the same, and whether only of it."""
    groups = [
        group
        for step in steps
        if isinstance(step, TaskPlan)
        for group in step.demands
        if any(demand.constraint == constraint for demand in group)
    ]
    amounts = {
        demand.amount.value if isinstance(demand.amount, Constant) else None
        for group in groups
        for demand in group
        if demand.constraint == constraint
    }
    amount = amounts.pop() if len(amounts) == 1 else None
    return amount, amount is not None and all(len(group) == 1 for group in groups)


def _thresholds(probabilities: Sequence[float]) -> tuple[int, ...]:
    """Return for each probability the number of 53-bit draws that lie below it."""
    return tuple(round(Fraction(probability) * 2**53) for probability in probabilities)


def _budget(budget: RetryBudget | float) -> BudgetPlan:
    if not isinstance(budget, RetryBudget):
        budget = RetryBudget(ratio=budget)
    return BudgetPlan(in_micro(budget.ratio), budget.burst * MICRO)


def _without(quantity: Quantity, share: float) -> Quantity:
    """Return what is left of a cost without this share of it, to the nearest whole number, ties to even."""
    left = np.float64(1 - Fraction(str(share)))
    match quantity:
        case _ if not share:
            return quantity
        case Constant():
            return Constant(round(quantity.value * float(left)))
        case PerAgent():
            return PerAgent(streams.rounded(quantity.values.astype(np.float64) * left))
        case Drawn():
            transform = quantity.transform
            return replace(quantity, transform=lambda u: streams.rounded(transform(u).astype(np.float64) * left))


@dataclass
class _List:
    """A list of steps: the numbers of those that have a name, and of the step that counts the laps through the list."""

    entries: dict[str, int]
    repeat: int | None


class _FleetPlanner:
    """Numbers the steps of one fleet in the order in which they are written, and links each to the one after it."""

    def __init__(
        self,
        fleet: Fleet,
        number: int,
        agents: int,
        scenario: Scenario,
        tables: Mapping[str, Table],
        first_step: int,
    ) -> None:
        self.steps: list[StepPlan] = []
        self._scenario = scenario
        self._fleet = fleet
        self._number = number
        self._agents = agents
        self._constraints = scenario.constraints
        self._tables = tables
        self._first_step = first_step
        self._unnamed: dict[str, int] = {}
        self._around: list[_List] = []  # the lists of steps around the one that is being planned, the innermost last
        self._gotos: list[tuple[int, str, list[_List]]] = []  # task, target, and the lists around the task

    def plan(self) -> int:
        """Plan all steps; return the number of the first."""
        # What can be called off, is done by several copies of an agent at once, or is waited for by others while they hold
        # something, needs more than a plain task has.
        self._interruptible = (
            self._fleet.life is not None
            or self._fleet.crash is not None
            or any(isinstance(step, (Fork, Graph, Hold)) for step in walk(self._fleet.steps))
            or any(
                isinstance(step, Spawn) and step.spawn == self._fleet.name
                for fleet in self._scenario.fleets
                for step in walk(fleet.steps)
            )
        )
        # A jump may lead to a step again and again, and so may a restart.
        again = self._fleet.crash is not None or any(
            isinstance(step, (Task, Hold)) and isinstance(step.on_failure, Goto) for step in walk(self._fleet.steps)
        )
        visits = None if again else 1
        entry, _ = self._sequence(self._fleet.steps, visits)
        for number, target, around in self._gotos:
            self._direct(number, target, around)
        return entry

    @property
    def life(self) -> Quantity | None:
        """How long an agent of the fleet is there."""
        return None if self._fleet.life is None else self._quantity("life/duration", self._fleet.life, 1)

    @property
    def uptime(self) -> Quantity | None:
        """How long an agent of the fleet goes without a crash."""
        return None if self._fleet.crash is None else self._quantity("crash/uptime", self._fleet.crash.uptime, None)

    @property
    def repair(self) -> Quantity | None:
        """How long an agent that crashed is gone."""
        return None if self._fleet.crash is None else self._quantity("crash/repair", self._fleet.crash.repair, None)

    def _sequence(self, steps: Sequence[Step], visits: int | None, repeat: int | None = None) -> tuple[int, list[int]]:
        """Plan `steps`, each at most `visits` times an agent; return the first and those that lead out of them.

        `repeat` is the number of the step that counts the laps through them.
        """
        entries, leaving = [], list[int]()
        self._around.append(_List({}, repeat))
        for step in steps:
            entry, exits = self._step(step, visits)
            self._link(leaving, entry)
            entries.append(entry)
            leaving = exits
        self._around.pop()
        return entries[0], leaving

    def _step(self, step: Step, visits: int | None) -> tuple[int, list[int]]:
        number = self._first_step + len(self.steps)
        match step:
            case Think():
                unnamed = self._name("think")
                name = step.name or unnamed
                self._around[-1].entries[name] = number
                duration = self._quantity(f"{name}/duration", step.think, visits)
                self.steps.append(ThinkPlan(number, self._number, name, duration, END))
            case Task():
                self._plan_task(step, number, visits)
            case Hold():
                self._plan_task(step, number, visits)
                self._set(number, body=self._apart(step.steps, visits), gives_back=step.give_back)
            case Choose():
                return self._choose(step, number, visits)
            case Fork():
                name = self._name("fork")
                copies = self._quantity(f"{name}/copies", step.fork, visits)
                each = None if visits is None or not isinstance(copies, Constant) else visits * max(1, copies.value)
                join = None if step.join == "all" else 1 if step.join == "any" else int(step.join)
                self.steps.append(ForkPlan(number, self._number, name, copies, join, step.width, END, END))
                self._set(number, body=self._apart(step.steps, each))
            case Graph():
                name = self._name("graph")
                names = [node.task for node in step.graph]
                after = tuple(tuple(names.index(other) for other in node.after) for node in step.graph)
                self.steps.append(GraphPlan(number, self._number, name, (), after, step.run == "stages", END))
                self._set(number, nodes=tuple(self._apart([node], visits) for node in step.graph))
            case Spawn():
                name = self._name("spawn")
                spawned = next(n for n, fleet in enumerate(self._scenario.fleets) if fleet.name == step.spawn)
                count = self._quantity(f"{name}/count", step.count, visits)
                depth = None if step.depth is None else self._quantity(f"{name}/depth", step.depth, visits)
                self.steps.append(SpawnPlan(number, self._number, name, spawned, count, step.wait, depth, END))
            case Repeat() if step.repeat == "forever":
                entry, exits = self._sequence(step.steps, None)
                self._link(exits, entry)
                return entry, []
            case Repeat():
                times = int(step.repeat)
                self.steps.append(RepeatPlan(number, self._number, "repeat", times, END, END))
                body, exits = self._sequence(step.steps, None if visits is None else visits * times, number)
                self._link(exits, number)
                self.steps[number - self._first_step] = RepeatPlan(number, self._number, "repeat", times, body, END)
        return number, [number]

    def _plan_task(self, step: Task | Hold, number: int, visits: int | None) -> None:
        name = name_of(step)
        assert name is not None
        duration = self._quantity(f"{name}/duration", step.duration, visits) if isinstance(step, Task) else Constant(0)
        demands, groups = self._demands(step, name, visits)
        policy = self._policy(step, name, demands, visits)
        self._around[-1].entries[name] = number
        if isinstance(step.on_failure, Goto):
            self._gotos.append((number, step.on_failure.goto, list(self._around)))
        ids = [row.id for row in self._constraints]
        acquire = () if step.acquire == "atomic" else tuple(ids.index(name) for name in step.acquire)
        task = TaskPlan(number, self._number, name, duration, demands, groups, policy, END, acquire=acquire)
        self.steps.append(task)

    def _choose(self, step: Choose, number: int, visits: int | None) -> tuple[int, list[int]]:
        name = self._name("choose")
        draw = self._bits(f"{name}/branch", visits)
        weights = list(accumulate(Fraction(str(branch.weight)) for branch in step.choose))
        thresholds = tuple(round(weight / weights[-1] * 2**53) for weight in weights)
        self.steps.append(ChoosePlan(number, self._number, name, draw, thresholds, (), END))
        bodies, leaving = list[int](), [number]
        for branch in step.choose:
            if branch.steps:
                entry, exits = self._sequence(branch.steps, visits)
                bodies.append(entry)
                leaving += exits
            else:
                bodies.append(GO_ON)
        self._set(number, bodies=tuple(bodies))
        return number, leaving

    def _apart(self, steps: Sequence[Step], visits: int | None) -> int:
        """Plan steps that are gone through on their own, and out of which nothing jumps; return the first."""
        around, self._around = self._around, []
        entry, _ = self._sequence(steps, visits)
        self._around = around
        return entry

    def _name(self, kind: str) -> str:
        """Return the name of a step that a person does not name: `fork`, `fork2`, ..."""
        self._unnamed[kind] = count = self._unnamed.get(kind, 0) + 1
        return kind if count == 1 else f"{kind}{count}"

    def _set(self, number: int, **fields: Any) -> None:
        at = number - self._first_step
        self.steps[at] = replace(self.steps[at], **fields)

    def _link(self, exits: Sequence[int], entry: int) -> None:
        for number in exits:
            self._set(number, next=entry)

    def _direct(self, number: int, target: str, around: Sequence["_List"]) -> None:
        """Let a task that failed go on with `target`, in one of the lists of steps around it."""
        left: list[int] = []
        for steps in reversed(around):
            if target in steps.entries:
                break
            left += [] if steps.repeat is None else [steps.repeat]
        at = number - self._first_step
        task = self.steps[at]
        assert isinstance(task, TaskPlan)
        assert task.policy is not None
        policy = replace(task.policy, after_failure=steps.entries[target], laps_left=tuple(left))
        self.steps[at] = replace(task, policy=policy)

    def _demands(
        self, task: Task | Hold, name: str, visits: int | None
    ) -> tuple[tuple[tuple[Demand, ...], ...], NDArray[np.int64] | None]:
        """Return what the task asks for, one tuple a group of agents, and each agent's group."""
        # One variable a thing counted, however many limits count it.
        amounts: dict[tuple[str, int, float], Quantity] = {}
        demands, flags = [], []
        for number, row in enumerate(self._constraints):
            governs = row.id in task.needs or governed(row.scope, self._fleet, self._agents, name)
            if governs is False:
                continue
            cost = task.cost.get(row.counted or "") if isinstance(task.cost, dict) else task.cost
            if row.counted is None or cost is None:
                amount = self._quantity(f"{name}/needs/{row.id}", task.needs.get(row.id, 1.0), visits, row.scale)
            else:
                what = f"{name}/cost" + (f"/{row.counted}" if isinstance(task.cost, dict) else "")
                share = task.cached.get(row.counted, 0.0) if row.exempts_cached else 0.0
                quantity = _without(self._quantity(what, cost, visits, row.scale), share)
                amount = amounts.setdefault((row.counted, row.scale, share), quantity)
            if row.charge in ("on_finish", "as_produced"):
                demands.append(Demand(number, Constant(1), amount))
            elif row.charge == "settle" and row.counted in task.reserve:
                what, reserve = f"{name}/reserve/{row.counted}", task.reserve[row.counted]
                demands.append(Demand(number, self._quantity(what, reserve, visits, row.scale), amount))
            else:
                demands.append(Demand(number, amount))
            flags.append(np.broadcast_to(np.asarray(governs), self._agents))
        for number, flag in self._incidents(name, [demand.constraint for demand in demands], flags):
            demands.append(Demand(number, Constant(1)))
            flags.append(flag)
        if all(flag.all() for flag in flags):
            return (tuple(demands),), None
        patterns, groups = np.unique(np.array(flags).T, axis=0, return_inverse=True)
        chosen = (tuple(demand for demand, flag in zip(demands, pattern, strict=True) if flag) for pattern in patterns)
        return tuple(chosen), groups.reshape(-1).astype(np.int64)

    def _incidents(
        self, name: str, limits: Sequence[int], flags: Sequence[NDArray[np.bool_]]
    ) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield the incidents that may hit a task which these limits govern, and which agents, as flags do."""
        by_id = {self._constraints[number].id: flag for number, flag in zip(limits, flags, strict=True)}
        for number, row in enumerate(self._scenario.incidents, len(self._constraints)):
            governs: bool | NDArray[np.bool_]
            if row.scope.startswith(BY_CONSTRAINT):
                pattern = row.scope.removeprefix(BY_CONSTRAINT)
                hit = [flag for limit, flag in by_id.items() if is_called(limit, pattern)]
                governs = bool(hit) and np.logical_or.reduce(hit)
            else:
                governs = governed(row.scope, self._fleet, self._agents, name)
            if governs is not False:
                yield number, np.broadcast_to(np.asarray(governs), self._agents)

    def _policy(
        self, task: Task | Hold, name: str, demands: Sequence[Sequence[Demand]], visits: int | None
    ) -> Policy | None:
        """Return what the task does beside working, or None where that is nothing."""
        governing = {demand.constraint for group in demands for demand in group}
        limits = [row for number, row in enumerate(self._constraints) if number in governing]
        incidents = [
            (number, row)
            for number, row in enumerate(self._scenario.incidents, len(self._constraints))
            if number in governing
        ]
        governed_plainly = all(_discipline(row, self._scenario) == PLAIN for row in limits)
        governed_plainly &= all(row.waits_only for _, row in incidents)
        said = any(getattr(task, key, None) not in _UNSAID for key in _POLICY_KEYS)
        settled = any(demand.cost is not None for group in demands for demand in group)
        drawn = any(
            not isinstance(demand.amount, Constant) and self._constraints[demand.constraint].counted is None
            for group in demands
            for demand in group
        )
        if governed_plainly and not said and not self._interruptible and not settled and not drawn:
            return None
        retry = None if task.retry is None else self._retry(task, name, task.retry)
        resampled = isinstance(task, Task) and any(row.preempted == "resample" for row in limits)
        return Policy(
            priority=self._fleet.priority if task.priority is None else task.priority,
            deadline_ns=task.deadline,
            fail=self._fail(task, visits) if isinstance(task, Task) else None,
            timeout_ns=task.timeout if isinstance(task, Task) else None,
            patience=None if task.patience is None else self._quantity(f"{name}/patience", task.patience, visits),
            retry=retry,
            skip=self._skip(task, name, visits),
            resample=self._again(task, f"{name}/preempted/duration") if resampled else None,
            states_all=isinstance(task, Hold)
            or (retry is not None and retry.holds)
            or task.acquire != "atomic"
            or settled
            or drawn,
            after_failure=END if task.on_failure == "stop" else GO_ON,
            laps_left=(),
            exposures=tuple(self._exposure(row, number, name, task, visits) for number, row in incidents),
        )

    def _exposure(self, row: Incident, number: int, name: str, task: Task | Hold, visits: int | None) -> Exposure:
        """Return what an incident may do to a task."""

        def chance(what: str, probability: float) -> Chance | None:
            if not probability:
                return None
            again = None if task.retry is None else self._bits(f"{name}/retry/incidents/{row.id}/{what}", None)
            first = self._bits(f"{name}/incidents/{row.id}/{what}", visits)
            return Chance(first, again, _thresholds([probability]))

        return Exposure(number, chance("refuse", row.refuse), chance("fail", row.fail))

    def _again(self, task: Task | Hold, what: str) -> Quantity:
        """Return the duration of attempts that are not the first."""
        return self._quantity(what, task.duration, None) if isinstance(task, Task) else Constant(0)

    def _skip(self, task: Task | Hold, name: str, visits: int | None) -> tuple[Chance, int] | None:
        probability, reason = task.skip_if, Skip.condition
        if isinstance(probability, CacheHit):
            probability, reason = probability.cache_hit, Skip.cache_hit
        if not probability:
            return None
        return Chance(self._bits(f"{name}/skip", visits), None, _thresholds([probability])), reason

    def _fail(self, task: Task, visits: int | None) -> Chance | None:
        probabilities = task.fail if isinstance(task.fail, list) else [task.fail]
        if not any(probabilities):
            return None
        again = None if task.retry is None else self._bits(f"{task.task}/retry/fail", None)
        return Chance(self._bits(f"{task.task}/fail", visits), again, _thresholds(probabilities))

    def _retry(self, task: Task | Hold, name: str, retry: Retry) -> RetryPlan:
        return RetryPlan(
            attempts=retry.max_attempts,
            delay_ns=retry.delay,
            factor=Fraction(str(retry.factor)),
            cap_ns=TIME_MAX_NS if retry.cap is None else retry.cap,
            jitter=retry.jitter,
            draws=None if retry.jitter == "none" else self._bits(f"{name}/retry/jitter", None),
            holds=retry.hold_during_backoff,
            retry_after=retry.retry_after,
            duration=self._again(task, f"{name}/retry/duration"),
            budget=None if retry.budget is None else _budget(retry.budget),
        )

    def _bits(self, what: str, visits: int | None) -> Drawn:
        """Return a variable of 53 random bits: what is compared with a threshold, or scaled exactly."""
        return Drawn(f"{self._fleet.name}/{what}", streams.bits, visits)

    def _quantity(self, what: str, value: object, visits: int | None, scale: int = 1) -> Quantity:
        """Return a quantity in whole numbers, `scale` to the unit."""
        if isinstance(value, distributions.Linear):
            assert isinstance(self._fleet.arrivals, Trace)
            rows = value.of_rows(self._tables[self._fleet.arrivals.trace.file])
            return PerAgent(streams.rounded(rows * scale)[: self._agents])
        inverse = distributions.inverse_cdf(value, self._tables)
        if isinstance(value, (int, float)):
            return Constant(int(streams.rounded(inverse(np.array([0.5])) * scale)[0]))
        return Drawn(f"{self._fleet.name}/{what}", lambda u: streams.rounded(inverse(u) * scale), visits)
