"""The state of a fleet right before an event: who works, who waits for what, how much of each limit is taken.

How much is taken is known of what is held (slots, units of a resource); of a bucket, a window and a quota a log states no
level.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from model.events import Batch
from model.log import Header
from model.roster import Roster
from model.state import FleetState, Moment, Phase
from model.units import MICRO
from sim.analysis.rows import told
from sim.analysis.sojourns import BACK_OFF, WORK, Doing, Sojourns

LISTED_MAX = 10
"""How many of those who work, and of those who wait for a constraint, are named."""
_ROWS = 5
_SCALED = frozenset({"rate_limit", "resource", "quota"})
"""The types of which the log states the limit in millionths."""


def around(header: Header, batches: Iterable[Batch], event: int, agents: Iterable[int]) -> dict[str, Any]:
    """Return the state before event number `event` of these rows, by the names of `--json`, and the rows before it.

    Of the `agents` it has the last rows as well.
    """
    state, visits, roster = FleetState(header), Sojourns(), Roster(header)
    last: deque[str] = deque(maxlen=_ROWS)
    of_agents: dict[int, deque[str]] = {agent: deque(maxlen=_ROWS) for agent in agents if agent >= 0}
    left = event
    for each in batches:
        batch = each.rows(0, left)
        if not len(batch):
            break
        left -= len(batch)
        roster.feed(batch)
        state.apply(batch)
        visits.feed(batch)
        last.extend(told(batch, row, roster) for row in range(max(0, len(batch) - _ROWS), len(batch)))
        for agent, rows in of_agents.items():
            rows.extend(told(batch, row, roster) for row in np.flatnonzero(batch.agent == agent)[-_ROWS:].tolist())
    doing, now = visits.doing(), state.moment()
    counts, used = now.counts(), now.used.tolist()
    return {
        "time_ns": now.time_ns,
        "agents": {phase.name.lower(): int(counts[phase]) for phase in Phase if counts[phase]},
        "working": _who(doing, WORK, roster),
        "backing_off": _who(doing, BACK_OFF, roster),
        "constraints": [_usage(number, held, now, doing, roster) for number, held in enumerate(used)],
        "events": list(last),
        "of_agents": {roster.name(agent): list(rows) for agent, rows in of_agents.items() if agent < roster.agents},
    }


def _usage(number: int, used: int, state: Moment, doing: Doing, roster: Roster) -> dict[str, Any]:
    entry, limit = roster.header.constraints[number], int(state.limit[number])
    scale = MICRO if entry.type in _SCALED else 1
    return {
        "constraint": entry.id,
        "type": entry.type,
        "limit": None if limit < 0 else limit / scale if scale > 1 else limit,
        "used": None if used < 0 else used / scale if scale > 1 else used,
        "waiting": _who(doing, number, roster),
    }


def _who(doing: Doing, cause: int, roster: Roster) -> dict[str, Any]:
    """Say how many do so, and who has done so for longest."""
    places = np.flatnonzero(doing.cause == cause)
    first = places[np.lexsort((doing.agent[places], doing.since_ns[places]))][:LISTED_MAX]
    return {
        "tasks": len(places),
        "first": [
            {
                "task": roster.task_name(int(doing.agent[place]), int(doing.step[place])),
                "visit": int(doing.visit[place]),
                "since_ns": int(doing.since_ns[place]),
            }
            for place in first.tolist()
        ],
    }
