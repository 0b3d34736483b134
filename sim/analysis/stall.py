"""Who waits for what in a run that has stalled, who holds it, and why it will not come: a fold over the log.

That nothing could happen any more is what `RunFinished` says. So nobody works or thinks then, what is held is held by those
who wait themselves, and what time would bring is not to come.
"""

from typing import Any

from model.log import Log
from model.roster import Roster
from sim.analysis.claims import Claims, follow

_HELD = "held by agents that wait themselves"
_WHY = {
    "pause": "paused, and nothing lifts it",
    "incident": "it blocks, and is never over",
    "quota": "used up, and it does not come back",
    "circuit_breaker": "half-open, and its probes are not over",
    "adaptive": "lower than what is asked for, and nobody works who could raise it",
}
"""Why a constraint of which nobody holds any lets nobody go any more."""


def who_waits(log: Log) -> list[dict[str, Any]]:
    """Return for each constraint that is waited for at the end of a log who waits, and why in vain."""
    roster, claims = Roster(log.header), Claims()
    for kind, task, claim in follow(log, roster):
        claims.take_in(kind, task, claim)
    told = []
    for number, entry in enumerate(log.header.constraints):
        waiting = [(claim.event, task) for task, claim in claims.waiting.items() if claim.constraint == number]
        if not waiting:
            continue
        event, first = min(waiting)
        holders = claims.holders(number)
        told.append(
            {
                "constraint": entry.id,
                "tasks": len(waiting),
                "first": {
                    "task": roster.task_name(first.agent, first.step),
                    "visit": first.visit,
                    "since_ns": claims.waiting[first].time_ns,
                    "event": event,
                },
                "held_by": claims.holder(holders[0], number, roster) if holders else None,
                "held_by_others": max(0, len(holders) - 1),
                "why": _HELD if holders else _WHY.get(entry.type, "nothing brings it"),
            }
        )
    return told
