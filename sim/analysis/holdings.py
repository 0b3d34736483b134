"""Who held how much of a constraint from which event to which, and who took how much of a rate limit: from the log.

Rules:

1. What a step with all amounts stated takes is in its `ResourceAcquired`, what it gives back in its `ResourceReleased`. Any
   other takes at its `TaskStarted`, or where the amount is drawn at its `ResourceAcquired`, and gives back when it ends.
2. Of what is not held nothing is given back. There a task counts as having what it took for as long as the limit takes to
   have it again: the period of a window or a quota, the time in which a bucket fills. What is charged or handed back later
   counts from then on.
3. Amounts of 0 are no amounts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.events import Kind
from model.header import HELD
from sim.analysis.record import Record
from sim.analysis.summary import Amounts
from sim.analysis.takes import Ended
from sim.analysis.waits import GOES_ON, Integers

FOR_GOOD = 2**62
"""When there is again what does not come back."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What was held, an entry a holding, in the order in which it was taken."""

    agent: Integers
    step: Integers
    visit: Integers
    amount: Integers
    took: Integers
    took_ns: Integers
    gave: Integers
    gave_ns: Integers

    def at(self, event: int) -> NDArray[np.intp]:
        """Return the places of what is held right before an event."""
        return np.flatnonzero((self.took < event) & ((self.gave >= event) | (self.gave == GOES_ON)))


def holdings(record: Record, constraint: int) -> Holdings:
    """Return who held some of a constraint that is held."""
    rows = record.rows
    taking, amounts = _taking(record, constraint)
    steps = record.header.steps
    states_all = np.array([*(step.states_all for step in steps), False])
    asks = np.array([*(any(d.constraint == constraint for group in s.demands for d in group) for s in steps), False])
    ended = Ended().feed(rows) & asks[rows.step] & ~states_all[rows.step]
    released = (rows.kind == Kind.ResourceReleased) & (rows.constraint == constraint) & states_all[rows.step]
    giving = np.flatnonzero(ended | released)
    events = np.concatenate([taking, giving])
    takes = np.arange(len(events)) < len(taking)
    amounts = np.append(amounts, np.zeros(len(giving), np.int64))
    order = np.lexsort((events, rows.visit[events], rows.step[events], rows.agent[events]))
    events, takes, amounts = events[order], takes[order], amounts[order]
    same = np.ones(max(0, len(events) - 1), np.bool_)
    for column in (rows.agent, rows.step, rows.visit):
        same &= np.diff(column[events]) == 0
    followed = np.append(same & ~takes[1:], np.zeros(min(1, len(events)), np.bool_))
    gave = np.where(followed, np.append(events[1:], np.zeros(min(1, len(events)), np.int64)), GOES_ON)
    in_order = np.flatnonzero(takes)[np.argsort(events[takes])]
    took, gave = events[in_order], gave[in_order]
    gave_ns = np.where(gave == GOES_ON, record.end_ns, rows.time[gave])
    return _of(record, took, amounts[in_order], gave, gave_ns)


def taken(record: Record, constraint: int) -> Holdings:
    """Return who took some of a constraint that is not held, each until the limit has it again."""
    rows = record.rows
    events, amounts = _taking(record, constraint)
    later = np.flatnonzero((rows.kind == Kind.ResourceReleased) & (rows.constraint == constraint) & (rows.value != 0))
    events, amounts = np.append(events, later), np.append(amounts, -rows.value[later])
    order = np.argsort(events)
    again_ns = np.minimum(FOR_GOOD, rows.time[events[order]] + window_ns(record, constraint))
    return _of(record, events[order], amounts[order], np.full(len(events), GOES_ON), again_ns)


def window_ns(record: Record, constraint: int) -> int:
    """Return in what time a limit has again what was taken of it, by its first numbers in force."""
    entry = record.header.constraints[constraint]
    numbers = next((numbers for _, numbers in entry.settings if numbers is not None), {})
    if entry.type == "rate_limit":
        return numbers["burst"] * numbers["period_ns"] // max(1, numbers["tokens"])
    return numbers.get("period_ns", 0) or FOR_GOOD


def limit_at(record: Record, constraint: int, event: int) -> int:
    """Return the limit in force right before an event, as `ConstraintChanged` states it; -1 where there is none."""
    times, values = limits(record, constraint)
    return int(values[np.searchsorted(times, event) - 1])


def limits(record: Record, constraint: int) -> tuple[Integers, Integers]:
    """Return the events at which the limit of what is held changed, -1 for the beginning, and what it was from then on."""
    entry = record.header.constraints[constraint]
    numbers = entry.settings[0][1]
    begins = -1 if numbers is None else numbers.get("limit", numbers.get("capacity", -1))
    events = record.events_of(Kind.ConstraintChanged, constraint)
    return np.append(-1, events), np.append(begins, record.rows.value[events])


def is_held(record: Record, constraint: int) -> bool:
    """Say whether what is taken of a constraint is given back."""
    return record.header.constraints[constraint].type in HELD


def _taking(record: Record, constraint: int) -> tuple[Integers, Integers]:
    """Return the events at which some of a constraint is taken, and how much."""
    rows = record.rows
    amounts = Amounts(record.header, constraint)
    implied = np.flatnonzero((rows.kind == Kind.TaskStarted) & amounts.asked[rows.step])
    taken_of = amounts.of(rows.step[implied], rows.agent[implied])
    implied, taken_of = implied[taken_of > 0], taken_of[taken_of > 0]
    stated = record.events_of(Kind.ResourceAcquired, constraint)
    stated = stated[rows.value[stated] > 0]
    return np.append(implied, stated), np.append(taken_of, rows.value[stated])


def _of(record: Record, took: Integers, amount: Integers, gave: Integers, gave_ns: Integers) -> Holdings:
    rows = record.rows
    who = (rows.agent[took], rows.step[took], rows.visit[took])
    agent, step, visit = (column.astype(np.int64) for column in who)
    return Holdings(agent, step, visit, amount, took, rows.time[took], gave, gave_ns)
