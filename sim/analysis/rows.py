"""A row of a log in words."""

from model.events import Batch, Kind, Status
from model.roster import Roster


def told(batch: Batch, row: int, roster: Roster) -> str:
    """Say in words what a row holds; `roster` knows everybody up to it."""
    time, kind, agent, step, visit, attempt, constraint, value = (int(column[row]) for column in batch.columns())
    try:
        name = Kind(kind).name
    except ValueError:
        name = f"unknown kind {kind}"
    words = [f"{time / 1e9:.9f} s {name}"]
    header = roster.header
    if 0 <= agent < roster.agents and step < len(header.steps):
        words.append(roster.task_name(agent, step) or f"agent {agent}")
    elif agent != -1 or step != -1:
        words.append(f"agent {agent}, step {step}")
    if visit != -1:
        words.append(f"visit {visit}, attempt {attempt}")
    if 0 <= constraint < len(header.constraints):
        words.append(f"on {header.constraints[constraint].id}")
    elif constraint != -1:
        words.append(f"on constraint {constraint}")
    ended = kind == Kind.TaskFinished and value in list(Status)
    words.append(Status(value).name if ended else f"value {value}")
    return ", ".join(words)
