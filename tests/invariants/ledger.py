"""The wait ledger of each task sums to its wait (contract, sections 5 and 7.9).

From the times of its rows alone, every nanosecond between TaskBlocked and TaskResumed (or TaskRejected, TaskAbandoned) is
charged to the constraint that the task was bound to. For each attempt that starts or gives up, the charges sum to the wait
that TaskStarted or TaskAbandoned states: no nanosecond is charged to nobody, none twice. (Who acquires one thing after
another has an episode for each: the start states the whole wait, giving up that of the last. What a hold waits for when it
asks again for what it gave back ends with no start; TaskResumed states that wait, by the rule `values`.) A back-off that
is called off is stated by a TaskAbandoned that names no constraint: the time since TaskRetrying, no longer than that says.
"""

from collections import Counter

from model.events import Kind
from model.log import Log

from .reading import Reading, Row, Task, Visit, read

RULE = "ledger"
ENDS = (Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned)


def check(log: Log) -> list[str]:
    """Return the tasks whose charges do not sum to their wait."""
    reading = read(log)
    charges: dict[Task, Counter[int]] = {}
    episode: dict[Task, Counter[int]] = {}
    bound: dict[Task, tuple[int, int]] = {}
    retries: dict[Visit, Row] = {}
    found = []
    for row in reading.rows:
        if row.kind == Kind.TaskRetrying:
            retries[row.task.whole] = row
        if row.kind == Kind.TaskAbandoned and row.constraint < 0:
            found += _called_off(reading, row, retries.get(row.task.whole))
            continue
        if row.kind in (Kind.TaskRebound, *ENDS) and row.task in bound:
            constraint, since = bound.pop(row.task)
            for each in (charges, episode):
                each.setdefault(row.task, Counter())[constraint] += row.time - since
        if row.kind in (Kind.TaskBlocked, Kind.TaskRebound):
            bound[row.task] = (row.constraint, row.time)
        if row.kind == Kind.TaskBlocked:
            episode.pop(row.task, None)
        if row.kind in (Kind.TaskStarted, Kind.TaskAbandoned):
            by_constraint = charges.pop(row.task, Counter())
            if row.kind == Kind.TaskAbandoned:
                by_constraint = episode.pop(row.task, Counter())
            if sum(by_constraint.values()) != row.value:
                each = ", ".join(f"{reading.constraint(number)} {ns}" for number, ns in sorted(by_constraint.items()))
                text = f"it waited {row.value} ns; charged: {each or 'nothing'}"
                found.append(reading.say(RULE, row, text))
    return found


def _called_off(reading: Reading, row: Row, retry: Row | None) -> list[str]:
    """Check the end of a back-off before its time."""
    if retry is None or row.attempt != retry.attempt + 1:
        return [reading.say(RULE, row, "it does not back off before that attempt")]
    backed_off = row.time - retry.time
    if row.value == backed_off <= retry.value:
        return []
    return [
        reading.say(RULE, row, f"it backed off for {row.value} ns; it has to be {backed_off}, at most {retry.value}")
    ]
