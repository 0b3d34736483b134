"""A run that says that it has stalled has: somebody waits, and nothing could happen any more (docs/log.md, RunFinished).

- Somebody waits, for something that does not come as time passes.
- Nobody works or backs off, and every agent that is not finished waits, or has spawned one that is not finished.
- No agent and no change of a constraint is still to come.

More cannot be told from a log: an agent of several branches may think in one of them. That a run does not say so proves
nothing, for what was called off may still be to come to nothing.
"""

from collections import Counter

from model.events import Ending, Kind
from model.log import Log

from .reading import Reading, Visit, read

RULE = "stall"
_AFTER = {
    Kind.TaskBlocked: "waits",
    Kind.TaskRebound: "waits",
    Kind.TaskStarted: "works",
    Kind.TaskRetrying: "backs off",
    **dict.fromkeys((Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned, Kind.TaskFinished, Kind.TaskSkipped), ""),
}


def check(log: Log) -> list[str]:
    """Return what contradicts the end of the run."""
    reading = read(log)
    found = []
    for row in reading.rows:
        if row.kind == Kind.RunFinished and row.value not in list(Ending):
            found.append(reading.say(RULE, row, f"the value is {row.value}; it has to be 0 or 1"))
        elif row.kind == Kind.RunFinished and row.value == Ending.stalled:
            found += [reading.say(RULE, row, text) for text in _contradictions(reading, row.time)]
    return found


def _contradictions(reading: Reading, end_ns: int) -> list[str]:
    doing: dict[Visit, tuple[str, int]] = {}
    there: dict[int, None] = {}
    started: Counter[str] = Counter()
    for row in reading.rows:
        if row.kind == Kind.AgentStarted:
            there[row.agent] = None
            started[reading.fleet(row.agent).name] += 1
        elif row.kind == Kind.AgentFinished:
            there.pop(row.agent, None)
        elif row.kind in _AFTER:
            word = _AFTER[Kind(row.kind)]
            held = row.kind == Kind.TaskStarted and reading.header.steps[row.step].kind == "hold"
            doing[row.task.whole] = "" if held else word, row.constraint
    texts = [f"agent {visit.agent} {word}" for visit, (word, _) in doing.items() if word in ("works", "backs off")]
    waiting = {visit.agent: number for visit, (word, number) in doing.items() if word == "waits"}
    if not waiting:
        texts.append("nobody waits")
    for agent, number in waiting.items():
        if reading.header.constraints[number].type == "rate_limit":
            texts.append(f"agent {agent} waits for {reading.constraint(number)}, which earns what it has to")
    parents = {reading.parents[agent].value for agent in there if agent in reading.parents}
    texts += [f"agent {agent} does not wait" for agent in there if agent not in waiting and agent not in parents]
    for number, entry in enumerate(reading.header.constraints):
        if any(time > end_ns for time, _ in entry.settings):
            texts.append(f"{reading.constraint(number)} is going to change")
    for fleet, written in zip(reading.header.fleets, reading.header.scenario["fleets"], strict=True):
        arrivals = written.get("arrivals") or {}
        is_open = "every" in arrivals or "poisson" in arrivals or len(arrivals.get("at", ())) > fleet.count
        if is_open or started[fleet.name] < fleet.count:
            texts.append(f"agents of {fleet.name} are still to come")
    return texts
