"""Logs for tests, written without an engine: headers and rows by hand, and a small think-and-work loop."""

import io
from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from random import Random

import numpy as np

from model.events import COLUMNS, Batch, Kind
from model.log import ConstraintEntry, DemandEntry, FleetEntry, Header, Log, LogWriter, StepEntry

S = 1_000_000_000
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
Row = tuple[int, int, int, int, int, int, int, int]


def concurrency(name: str, limit: int, *changes: tuple[int, int | None]) -> ConstraintEntry:
    later = tuple((time, None if new is None else {"limit": new}) for time, new in changes)
    return ConstraintEntry(name, "concurrency", "global", None, ((0, {"limit": limit}), *later))


def rate_limit(name: str, tokens: int, period_ns: int) -> ConstraintEntry:
    numbers = {"tokens": tokens, "period_ns": period_ns, "burst": tokens}
    return ConstraintEntry(name, "rate_limit", "global", "requests", ((0, numbers),))


def pause(name: str, paused: bool) -> ConstraintEntry:
    return ConstraintEntry(name, "pause", "global", None, ((0, {"paused": int(paused)}),))


def header(
    fleets: dict[str, int], constraints: Sequence[ConstraintEntry] = (), steps: Sequence[StepEntry] | None = None
) -> Header:
    """A header in which each fleet has one task, its step of the same number, that asks 1 of the constraint in turn."""
    entries, first = [], 0
    for name, count in fleets.items():
        entries.append(FleetEntry(name, first, count, None, 0))
        first += count
    if steps is None:
        demands = [(DemandEntry(fleet % len(constraints), 1),) if constraints else () for fleet in range(len(entries))]
        steps = [StepEntry(fleet, "work", "task", (demands[fleet],), ()) for fleet in range(len(entries))]
    return Header("bottleneck", 1, None, tuple(entries), tuple(steps), tuple(constraints), {}, {})


def row(
    time: int,
    kind: Kind,
    agent: int = -1,
    step: int | None = None,
    constraint: int = -1,
    value: int = 0,
    visit: int = 0,
) -> Row:
    if step is None:
        step = -1 if kind in (Kind.AgentStarted, Kind.AgentFinished) else 0
    return (time, kind, agent, step, visit, 0, constraint, value)


def batch(rows: Iterable[Row]) -> Batch:
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    return Batch(*(np.array(column, dtype) for column, dtype in zip(columns, COLUMNS.values(), strict=True)))


def content(head: Header, rows: Sequence[Row], batch_rows: int = 1000, end: bool = True) -> bytes:
    """The bytes of a log with these rows; without `end` it stops as that of a killed run does."""
    file = io.BytesIO()
    writer = LogWriter(file, head)
    for start in range(0, len(rows), batch_rows):
        writer.write(batch(rows[start : start + batch_rows]))
    writer.close()
    return file.getvalue() if end else file.getvalue().removesuffix(_END_OF_STREAM)


def log(head: Header, rows: Sequence[Row], batch_rows: int = 1000) -> Log:
    return Log.from_bytes(content(head, rows, batch_rows))


def loop(
    head: Header, until: int, seed: int = 1, stagger: int = 0, visits: int = 10**9, work: int = S // 5
) -> list[Row]:
    """Every agent thinks about 1 s, wants a slot of the constraint of its fleet's number, and works for about `work`."""
    random = Random(seed)
    rows = [row(0, Kind.RunStarted, step=-1)]
    free = [entry.settings[0][1]["limit"] for entry in head.constraints]  # type: ignore[index]
    queues: list[deque[tuple[int, int]]] = [deque() for _ in free]
    done = [0] * head.agents
    due = [(agent * stagger, agent, "start") for agent in range(head.agents)]

    def start(now: int, agent: int, step: int, waited: int) -> None:
        rows.append(row(now, Kind.TaskStarted, agent, step, value=waited, visit=done[agent]))
        heappush(due, (now + random.randrange(work // 2, work * 3 // 2), agent, "finish"))

    while due and due[0][0] <= until:
        now, agent, what = heappop(due)
        step = next(number for number, fleet in enumerate(head.fleets) if agent < fleet.first + fleet.count)
        limit = step % len(free)
        if what == "ask" and free[limit]:
            free[limit] -= 1
            start(now, agent, step, 0)
            continue
        if what == "ask":
            waiting = len(queues[limit])
            rows.append(row(now, Kind.TaskBlocked, agent, step, limit, waiting, done[agent]))
            queues[limit].append((agent, now))
            continue
        if what == "finish":
            rows.append(row(now, Kind.TaskFinished, agent, step, visit=done[agent]))
            done[agent] += 1
            if queues[limit]:
                other, since = queues[limit].popleft()
                other_step = next(n for n, fleet in enumerate(head.fleets) if other < fleet.first + fleet.count)
                rows.append(row(now, Kind.TaskResumed, other, other_step, limit, now - since, done[other]))
                start(now, other, other_step, now - since)
            else:
                free[limit] += 1
        else:
            rows.append(row(now, Kind.AgentStarted, agent, -1))
        if done[agent] == visits:
            rows.append(row(now, Kind.AgentFinished, agent, -1))
        else:
            heappush(due, (now + random.randrange(S // 2, S * 3 // 2), agent, "ask"))
    rows.append(row(until, Kind.RunFinished, step=-1))
    return rows
