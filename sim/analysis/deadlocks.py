"""The deadlocks of a run, each with its proof: who waits for what since when, who holds it since when, by event numbers.

It is a fold over the log, which says that there is a deadlock and whose tasks are caught in it (`DeadlockDetected`). What
would have been safe is worked out from the scenario in its header (`model.locks`).
"""

from collections import deque
from typing import Any

from model.events import Kind
from model.governing import Governing
from model.locks import Locks
from model.log import Header, Log
from model.roster import Roster
from sim.analysis.claims import Claims, Task, follow
from sim.analysis.scenario import scenario_of


def deadlocks(log: Log) -> list[dict[str, Any]]:
    """Return the deadlocks in the order in which they were closed, as `python -m sim run --json` gives them."""
    roster, moment = Roster(log.header), Claims()
    found: list[dict[str, Any]] = []
    knot: list[Task] = []
    for kind, task, claim in follow(log, roster):
        if kind == Kind.DeadlockDetected:
            if claim.amount:
                _close(found, knot, moment, roster)
                found.append({"time_ns": claim.time_ns, "event": claim.event, "agents": claim.amount})
            knot.append(task)
        else:
            _close(found, knot, moment, roster)
            moment.take_in(kind, task, claim)
    _close(found, knot, moment, roster)
    if found:
        remedies = _remedies(log.header)
        for each in found:
            names = {step["waits_for"] for step in each["cycle"]}
            each["safe_limits"] = {name: safe for name, safe in remedies.items() if name in names}
    return found


def _close(found: list[dict[str, Any]], knot: list[Task], moment: Claims, roster: Roster) -> None:
    """Tell the deadlock that was found last, of which these are the tasks."""
    if not knot:
        return
    waiting = [task for task in knot if task in moment.waiting]
    found[-1]["tasks"] = len(waiting)
    found[-1]["cycle"] = [_step(task, holder, moment, roster) for task, holder in _cycle(waiting, moment)]
    knot.clear()


def _cycle(waiting: list[Task], moment: Claims) -> list[tuple[Task, Task]]:
    """Return the shortest way from the first task that waits over those who hold what it waits for back to itself."""
    start, of_agent = waiting[0], moment.by_agent(waiting)
    holders: dict[int, list[Task]] = {}
    for task, held in moment.holding.items():
        for constraint in held:
            holders.setdefault(constraint, []).append(task)
    before: dict[Task, tuple[Task, Task]] = {}
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


def _way_back(start: Task, before: dict[Task, tuple[Task, Task]]) -> list[tuple[Task, Task]]:
    way = [before[start]]
    while way[-1][0] != start:
        way.append(before[way[-1][0]])
    return way[::-1]


def _step(task: Task, holder: Task, moment: Claims, roster: Roster) -> dict[str, Any]:
    wanted = moment.waiting[task]
    return {
        "task": roster.task_name(task.agent, task.step),
        "visit": task.visit,
        "waits_for": roster.header.constraints[wanted.constraint].id,
        "since_ns": wanted.time_ns,
        "event": wanted.event,
        "held_by": moment.holder(holder, wanted.constraint, roster),
        "held_by_others": len(moment.holders(wanted.constraint)) - 1,
    }


def _remedies(header: Header) -> dict[str, float]:
    """Return for each constraint the smallest limit with which nobody can wait for it for good, where there is one."""
    scenario = scenario_of(header)
    locks = Locks(scenario, Governing(scenario, [None] * len(scenario.fleets))).locks
    return {name: lock.safe for name, lock in locks.items() if lock.safe is not None and lock.asked}
