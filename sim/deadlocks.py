"""The deadlocks of a run, each with its proof: who waits for what since when, who holds it since when, by event numbers.

It is a fold over the log, which says that there is a deadlock and whose tasks are caught in it (`DeadlockDetected`). What
would have been safe is worked out from the scenario in its header (`model.locks`).
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from model.events import Kind
from model.governing import Governing
from model.locks import Locks
from model.log import Header, Log
from model.roster import Roster
from model.scenario import Scenario
from model.units import MICRO

_KINDS = (
    Kind.TaskBlocked,
    Kind.TaskRebound,
    Kind.TaskResumed,
    Kind.TaskRejected,
    Kind.TaskAbandoned,
    Kind.ResourceAcquired,
    Kind.ResourceReleased,
    Kind.AgentStarted,
    Kind.DeadlockDetected,
)


class _Task(NamedTuple):
    agent: int
    step: int
    visit: int


class _Since(NamedTuple):
    """Since when a task waits for or holds a constraint, and the event that says so."""

    constraint: int
    time_ns: int
    event: int
    amount: int


@dataclass(slots=True)
class _Moment:
    """Who waits for what and who holds what."""

    waiting: dict[_Task, _Since] = field(default_factory=dict)
    holding: dict[_Task, dict[int, _Since]] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)

    def by_agent(self, tasks: list[_Task]) -> dict[int, list[_Task]]:
        """Return the tasks of each agent and of those that it spawned, directly or not."""
        found: dict[int, list[_Task]] = {}
        for task in tasks:
            agent: int | None = task.agent
            while agent is not None:
                found.setdefault(agent, []).append(task)
                agent = self.parents.get(agent)
        return found


def deadlocks(log: Log) -> list[dict[str, Any]]:
    """Return the deadlocks in the order in which they were closed, as `python -m sim run --json` gives them."""
    roster, moment = Roster(log.header), _Moment()
    found: list[dict[str, Any]] = []
    knot: list[_Task] = []
    first = 0
    for batch in log.batches():
        roster.feed(batch)
        rows = np.flatnonzero(np.isin(batch.kind, _KINDS))
        columns = (batch.time, batch.kind, batch.agent, batch.step, batch.visit, batch.constraint, batch.value)
        for row, (time, kind, agent, step, visit, constraint, value) in zip(
            rows.tolist(), zip(*(column[rows].tolist() for column in columns), strict=True), strict=True
        ):
            task = _Task(agent, step, visit)
            if kind == Kind.DeadlockDetected:
                if value:
                    _close(found, knot, moment, roster)
                    found.append({"time_ns": time, "event": first + row, "agents": value})
                knot.append(task)
                continue
            _close(found, knot, moment, roster)
            _take_in(moment, kind, task, _Since(constraint, time, first + row, value))
        first += len(batch)
    _close(found, knot, moment, roster)
    if found:
        remedies = _remedies(log.header)
        for each in found:
            names = {step["waits_for"] for step in each["cycle"]}
            each["safe_limits"] = {name: safe for name, safe in remedies.items() if name in names}
    return found


def _take_in(moment: _Moment, kind: int, task: _Task, since: _Since) -> None:
    match kind:
        case Kind.TaskBlocked:
            moment.waiting[task] = since
        case Kind.TaskRebound:
            before = moment.waiting[task]
            moment.waiting[task] = since._replace(time_ns=before.time_ns, event=before.event)
        case Kind.TaskResumed | Kind.TaskRejected | Kind.TaskAbandoned:
            moment.waiting.pop(task, None)
        case Kind.ResourceAcquired:
            moment.holding.setdefault(task, {})[since.constraint] = since
        case Kind.ResourceReleased:
            held = moment.holding.get(task, {})
            held.pop(since.constraint, None)
            if not held:
                moment.holding.pop(task, None)
        case Kind.AgentStarted if task.step >= 0:
            moment.parents[task.agent] = since.amount


def _close(found: list[dict[str, Any]], knot: list[_Task], moment: _Moment, roster: Roster) -> None:
    """Tell the deadlock that was found last, of which these are the tasks."""
    if not knot:
        return
    waiting = [task for task in knot if task in moment.waiting]
    found[-1]["tasks"] = len(waiting)
    found[-1]["cycle"] = [_step(task, holder, moment, roster) for task, holder in _cycle(waiting, moment)]
    knot.clear()


def _cycle(waiting: list[_Task], moment: _Moment) -> list[tuple[_Task, _Task]]:
    """Return the shortest way from the first task that waits over those who hold what it waits for back to itself."""
    start, of_agent = waiting[0], moment.by_agent(waiting)
    holders: dict[int, list[_Task]] = {}
    for task, held in moment.holding.items():
        for constraint in held:
            holders.setdefault(constraint, []).append(task)
    before: dict[_Task, tuple[_Task, _Task]] = {}
    todo = deque([start])
    while todo:
        here = todo.popleft()
        for holder in holders.pop(moment.waiting[here].constraint, ()):
            for there in of_agent.get(holder.agent, ()):
                if there not in before:
                    before[there] = here, holder
                    todo.append(there)
        if start in before:
            return _way_back(start, before)
    return []


def _way_back(start: _Task, before: dict[_Task, tuple[_Task, _Task]]) -> list[tuple[_Task, _Task]]:
    way = [before[start]]
    while way[-1][0] != start:
        way.append(before[way[-1][0]])
    return way[::-1]


def _step(task: _Task, holder: _Task, moment: _Moment, roster: Roster) -> dict[str, Any]:
    wanted = moment.waiting[task]
    held = moment.holding[holder][wanted.constraint]
    entry = roster.header.constraints[wanted.constraint]
    others = sum(wanted.constraint in each for each in moment.holding.values()) - 1
    return {
        "task": roster.task_name(task.agent, task.step),
        "visit": task.visit,
        "waits_for": entry.id,
        "since_ns": wanted.time_ns,
        "event": wanted.event,
        "held_by": {
            "task": roster.task_name(holder.agent, holder.step),
            "visit": holder.visit,
            "amount": held.amount / MICRO if entry.type == "resource" else held.amount,
            "since_ns": held.time_ns,
            "event": held.event,
        },
        "held_by_others": others,
    }


def _remedies(header: Header) -> dict[str, float]:
    """Return for each constraint the smallest limit with which nobody can wait for it for good, where there is one."""
    scenario = Scenario.model_validate(header.scenario)
    locks = Locks(scenario, Governing(scenario, [None] * len(scenario.fleets))).locks
    return {name: lock.safe for name, lock in locks.items() if lock.safe is not None and lock.asked}
