"""Little's law as an identity on a log (contract, section 7.8), in whole nanoseconds.

The number of agents in the system, integrated over the run, equals the sum over agents of their time in the system;
the same holds for the attempts of tasks from asking to ending, where the time in the system is what the rows state as wait
plus the time from start to end. Those still there at the end have been there until the end.

The left side counts rows up and down and never looks at who they are about; the right side looks at each agent and task.
"""

from model.events import Kind
from model.log import Log

from .reading import Reading, Task, read

RULE = "little"


def check(log: Log) -> list[str]:
    """Return which of the two sums does not agree."""
    reading = read(log)
    found = []
    for what, integral, times in (("agents", *_agents(reading)), ("tasks", *_tasks(reading))):
        if integral != times:
            text = f"the number of {what} in the system sums to {integral} ns, their times in the system to {times} ns"
            found.append(f"{RULE}: up to event {len(reading.all_rows) - 1} at {reading.end} ns, {text}")
    return found


def _integral(reading: Reading, moves: list[tuple[int, int]]) -> int:
    """Return the integral of the number that changes by `move` at `time`, up to the end."""
    number = integral = now = 0
    for time, move in moves:
        integral += number * (time - now)
        number, now = number + move, time
    return integral + number * (reading.end - now)


def _agents(reading: Reading) -> tuple[int, int]:
    moves, since, total = [], dict[int, int](), 0
    for row in reading.rows:
        if row.kind == Kind.AgentStarted:
            moves.append((row.time, 1))
            since[row.agent] = row.time
        elif row.kind == Kind.AgentFinished:
            moves.append((row.time, -1))
            total += row.time - since.pop(row.agent, row.time)
    return _integral(reading, moves), total + sum(reading.end - time for time in since.values())


def _tasks(reading: Reading) -> tuple[int, int]:
    moves, asked, started, total = [], dict[Task, int](), dict[Task, int](), 0
    for row in reading.rows:
        if reading.asked_at.get(row.task) == row:
            moves.append((row.time, 1))
            asked[row.task] = row.time
        if row.kind == Kind.TaskStarted:
            total += row.value  # the wait, as it is stated
            started[row.task] = row.time
            asked.pop(row.task, None)
        elif row.kind == Kind.TaskFinished:
            moves.append((row.time, -1))
            since = started.pop(row.task, None)
            total += row.time - (asked.pop(row.task, row.time) if since is None else since)
    return _integral(reading, moves), total + sum(reading.end - time for time in (*asked.values(), *started.values()))
