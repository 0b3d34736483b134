"""What the rows of a task state in `value` and `constraint` (contract, section 6).

- TaskBlocked: how many tasks were waiting for that constraint already.
- TaskRebound: the ns since it was bound to the constraint before, which is another one.
- TaskResumed: the ns since it was blocked; the constraint that it waited for last.
- TaskStarted: the ns since the attempt first asked.
- TaskRejected: the ns until there is room for what was asked for if nobody takes or gives back anything; -1 where time
  alone never makes room. Or what the limit says in place of that: in whole seconds, nothing, or always the same.
- TaskAbandoned: the ns since it asked; the constraint that it waited for last.
- TaskSkipped: 0 or 1 as `skip_if` is written; 2 only where the task comes after others in a graph.
- ResourceAcquired: an amount, 0 or more.
"""

from model.events import Kind, Skip
from model.log import Log
from model.units import NS_PER_SECOND, parse_duration

from .reading import Reading, Row, read
from .replay import Replay

RULE = "values"


def check(log: Log) -> list[str]:
    """Return the rows that state another number than the rows before them give."""
    reading = read(log)
    replay = Replay(reading)
    found = []
    for row in reading.rows:
        replay.advance(row.time)
        expected = _expected(reading, replay, row)
        if expected is not None and row.value != expected:
            found.append(reading.say(RULE, row, f"the value is {row.value}; it has to be {expected}"))
        waiter = replay.waiting.get(row.task)
        if waiter is not None:
            last = waiter.constraint
            if row.kind == Kind.TaskRebound and row.constraint == last:
                found.append(reading.say(RULE, row, f"it waits for {reading.constraint(last)} already"))
            if row.kind in (Kind.TaskResumed, Kind.TaskAbandoned) and row.constraint != last:
                text = f"it waited for {reading.constraint(last)} last, not for {reading.constraint(row.constraint)}"
                found.append(reading.say(RULE, row, text))
        if row.kind == Kind.ResourceAcquired and row.value < 0:
            found.append(reading.say(RULE, row, f"the amount is {row.value}; it has to be 0 or more"))
        if row.kind == Kind.TaskSkipped:
            found += _skipped(reading, row)
        replay.apply(row)
    return found


def _expected(reading: Reading, replay: Replay, row: Row) -> int | None:
    waiter = replay.waiting.get(row.task)
    if row.kind == Kind.TaskBlocked:
        return len(replay.waiting_for(row.constraint))
    if row.kind == Kind.TaskRebound and waiter is not None:
        return row.time - waiter.bound_at
    if row.kind == Kind.TaskResumed and waiter is not None:
        return row.time - waiter.blocked_at
    if row.kind == Kind.TaskAbandoned and waiter is not None:
        return row.time - waiter.blocked_at
    if row.kind == Kind.TaskStarted:
        return row.time - reading.asked_at[row.task].time
    if row.kind == Kind.TaskRejected:
        return _until(reading, replay, row)
    return None


def _until(reading: Reading, replay: Replay, row: Row) -> int | None:
    """Return after how many ns the constraint that rejects a task could have admitted it; None if that is not known."""
    waiter = replay.waiting.get(row.task)
    asks = replay.asks(row.task, row.constraint) if waiter is None else waiter.asks
    level, rule = replay.levels[row.constraint], reading.rule_of(row.constraint, "retry_after")
    if level.numbers is None or any(never(replay, number, amount) for number, amount in asks.items()):
        return -1
    amount = asks.get(row.constraint)
    if amount is None and level.timed and rule in ("exact", "seconds"):
        may_be_later = reading.rule_of(row.constraint, "on_limit") == "reject"
        return None if may_be_later or reading.rule_of(row.constraint, "room") is not None else -1
    if rule not in ("exact", "seconds", "none"):
        return None if None in asks.values() else parse_duration(rule)
    due = level.due(amount or 0, replay.now)
    if due is None or rule == "none":
        return -1
    wait = due - replay.now
    return wait if rule == "exact" else -(-wait // NS_PER_SECOND) * NS_PER_SECOND


def never(replay: Replay, number: int, amount: int | None) -> bool:
    ceiling = replay.ceiling(number)
    return amount is not None and ceiling is not None and amount > ceiling


def _skipped(reading: Reading, row: Row) -> list[str]:
    written = reading.policy(row.step)
    allowed = {Skip.upstream} if written.get("after") else set[Skip]()
    condition = written.get("skip_if")
    if condition:
        allowed.add(Skip.cache_hit if isinstance(condition, dict) else Skip.condition)
    if row.value not in allowed:
        return [reading.say(RULE, row, f"the value is {row.value}; allowed: {sorted(map(int, allowed))}")]
    return []
