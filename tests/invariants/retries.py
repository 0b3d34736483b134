"""An attempt is followed by another as the retry policy says, and by none otherwise (the scenario in the header says it).

- `TaskRetrying` comes only after an attempt that failed, timed out or was rejected with hope, or was pre-empted where a
  limit lets those fail, and not after the last that is allowed. After one that failed or timed out at its end it has to
  come while attempts are left; after a rejection, too. Nobody is tried again who gave up, was called off, or asked for what
  there never is. A hold fails only where its agent stops.
- The back-off is `delay` times `factor` to the attempt, at most `cap`, and as jitter says: exactly that; between 0 and
  that; between half of that and that; between the delay and three times the back-off before, at most `cap`. With
  `retry_after` it is at least what the rejection said.
- A further attempt costs 1 of a `budget`, which is that of a step; the first attempt of a visit pays in. There is none
  where less than 1 is left, and has to be one where there is more during the whole rest of the instant.
- How an attempt ended that worked agrees with `fail` where that is 0 or 1.
"""

from fractions import Fraction
from itertools import takewhile
from typing import Any

from model.events import Kind, Status
from model.log import Log
from model.units import parse_duration

from .lifecycle import one_at_a_time
from .reading import Reading, Row, Task, Visit, read
from .replay import Replay
from .values import never

RULE = "retries"
FAILURES = (Status.failed, Status.timed_out)


def check(log: Log) -> list[str]:
    """Return the attempts that should not have been, and those that are missing."""
    reading = read(log)
    replay = Replay(reading)
    found: list[str] = []
    rejected: dict[Task, int] = {}  # after how many ns they were to ask again
    hopeless: dict[Task, bool | None] = {}  # whether they asked for what there never is, None where that is not known
    single = one_at_a_time(reading)
    backed_off: dict[Visit, int] = {}
    left = _budgets(reading)
    crashes = {(row.agent, row.time) for row in reading.rows if row.kind == Kind.AgentCrashed}
    for place, row in enumerate(reading.rows):
        retry = reading.policy(row.step).get("retry") if row.step >= 0 else None
        if row.kind == Kind.TaskRejected:
            waiter = replay.waiting.get(row.task)
            asks = replay.asks(row.task, row.constraint) if waiter is None else waiter.asks
            rejected[row.task] = row.value
            if any(never(replay, number, amount) for number, amount in asks.items()):
                hopeless[row.task] = True
            elif None in asks.values() or not single[reading.header.steps[row.step].fleet]:
                hopeless[row.task] = None  # another strand may have stopped the agent, or called this one off
            elif (row.agent, row.time) in crashes:
                hopeless[row.task] = None  # before it is told so
        elif row.kind == Kind.TaskFinished:
            hopeless_now = hopeless.get(row.task, False)
            found += _ended(reading, row, retry, place, hopeless_now, row.task in replay.running, left)
        elif row.kind == Kind.TaskRetrying:
            if retry is None:
                found.append(reading.say(RULE, row, "it has no retry policy"))
            else:
                found += _backs_off(reading, row, retry, rejected.get(row.task, -1), backed_off)
                if left and left[place].get(row.step, 0) < 0:
                    found.append(reading.say(RULE, row, "the budget has less than one retry left"))
        replay.apply(row)
    return found


def _budgets(reading: Reading) -> list[dict[int, Fraction]]:
    """Return for each row what is left of the budgets of the steps that have one, after that row."""
    bursts, ratios = dict[int, Fraction](), dict[int, Fraction]()
    for step in range(len(reading.header.steps)):
        budget = (reading.policy(step).get("retry") or {}).get("budget")
        if budget is not None:
            said = budget if isinstance(budget, dict) else {"ratio": budget}
            ratios[step], bursts[step] = Fraction(str(said["ratio"])), Fraction(said.get("burst", 10))
    if not bursts:
        return []
    left, begun, lefts = dict(bursts), set[Visit](), []
    for row in reading.rows:
        if row.step in left and row.kind != Kind.TaskSkipped and row.task.whole not in begun:
            begun.add(row.task.whole)
            left[row.step] = min(bursts[row.step], left[row.step] + ratios[row.step])
        if row.step in left and row.kind == Kind.TaskRetrying:
            left[row.step] -= 1
        lefts.append(dict(left))
    return lefts


def _ended(
    reading: Reading,
    row: Row,
    retry: dict[str, Any] | None,
    place: int,
    hopeless: bool | None,
    worked: bool,
    left: list[dict[int, Fraction]],
) -> list[str]:
    """Check whether another attempt is to come."""
    attempts_left = retry is not None and row.attempt + 1 < retry["max_attempts"]
    following = (other for other in reading.rows[place + 1 :] if other.task == row.task)
    retrying = next((other.kind == Kind.TaskRetrying for other in following if other.kind not in GIVING), False)
    stops = worked and reading.header.steps[row.step].kind == "hold"  # what it was held for has stopped the agent
    fails = any(each.get("preempt") == "fail" for each in reading.written.constraints)
    ended = row.value in FAILURES or (fails and row.value == Status.preempted)
    may = attempts_left and ended and not hopeless and not stops
    if retrying and not may:
        return [reading.say(RULE, row, "no attempt may follow this one")]
    must = may and row.value in FAILURES and hopeless is not None
    if left and row.step in left[place]:
        instant = takewhile(lambda other: reading.rows[other].time == row.time, range(place, len(reading.rows)))
        must = must and all(left[other][row.step] >= 1 for other in instant)
    if must and not retrying:
        return [reading.say(RULE, row, "another attempt has to follow this one")]
    return []


GIVING = (Kind.ResourceReleased,)


def _backs_off(reading: Reading, row: Row, retry: dict[str, Any], said: int, backed_off: dict[Visit, int]) -> list[str]:
    delay = parse_duration(retry.get("delay", 0))
    cap = parse_duration(retry["cap"]) if retry.get("cap") is not None else None
    jitter = retry.get("jitter", "none")
    base = delay * Fraction(str(retry.get("factor", 1))) ** row.attempt
    base = base if cap is None else min(base, cap)
    low, high = {"none": (base, base), "full": (0, base), "equal": (base / 2, base)}.get(jitter, (delay, delay))
    if jitter == "decorrelated":
        high = max(delay, 3 * backed_off.get(row.task.whole, delay))
        low, high = (low, high) if cap is None else (min(low, cap), min(high, cap))
    least = max(0, said) if retry.get("retry_after", True) else 0
    backed_off[row.task.whole] = row.value
    if not max(round(low), least) <= row.value <= max(round(high), least):
        text = f"the back-off is {row.value} ns; allowed: {max(round(low), least)} to {max(round(high), least)}"
        return [reading.say(RULE, row, text)]
    return []
