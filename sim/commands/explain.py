"""`python -m sim explain`: why an agent took so long, what a task waited for, who made a limit bind."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from model import options
from model.faults import BadInput, did_you_mean, listed, nearest, shown
from model.program import DONE
from sim.commands.answers import AsMarkdown, Out, answer, one_way, write_rows
from sim.commands.files import AsJson, LogOrScenario, opened, read_files

if TYPE_CHECKING:
    from sim.analysis.explain import Explanation
    from sim.analysis.record import Record

_WORST_MAX = 1000
_DIGITS_MAX = 12


def explain(
    log: LogOrScenario,
    agent: Annotated[
        str | None, Option(help="What took this agent so long: its name, or its number in the run.", show_default=False)
    ] = None,
    at: Annotated[
        str | None, Option(help="With --agent: up to this time, such as 12s; else to its end.", show_default=False)
    ] = None,
    task: Annotated[
        str | None, Option(help="What this task waited for, such as agent_42_work.", show_default=False)
    ] = None,
    visit: Annotated[
        str | None, Option(metavar="N", help="With --task: which visit, from 0.", show_default=False)
    ] = None,
    worst: Annotated[
        str | None, Option(metavar="N", help="The N longest waits of the run.", show_default=False)
    ] = None,
    constraint: Annotated[str | None, Option(help="Who made this constraint bind.", show_default=False)] = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
    out: Out = None,
) -> int:
    """Say what something in a run waited for, who was in the way, and how it came to that, with the events that say so."""
    _check(agent, at, task, visit, worst, constraint)
    number = None if worst is None else options.whole("--worst", worst, 1, _WORST_MAX)
    chosen = None if visit is None else options.whole("--visit", visit)
    at_ns = None if at is None else options.duration("--at", at)
    one_way(as_json, as_markdown)
    from sim.analysis.record import Record

    with opened(log) as read:
        record = Record.of(read)
        if not len(record.rows):
            raise BadInput(f"{log}: the log is cut before its first event; allowed: a log with events")
        try:
            if agent is not None:
                found, title = _of_agent(record, agent, at_ns)
            elif task is not None:
                found, title = _of_task(record, task, chosen)
            elif number is not None:
                found, title = _worst(record, number)
            else:
                found, title = _of_constraint(record, str(constraint))
        except (LookupError, ValueError, StopIteration, RuntimeError):
            # Rows that one by one are as they have to be, and do not follow each other as in any run.
            raise BadInput(
                f"{log}: its rows do not fit together; allowed: a log that python -m sim verify agrees with"
            ) from None
        return _answer(log, record, found, title, as_json, as_markdown, out)


def _check(
    agent: str | None, at: str | None, task: str | None, visit: str | None, worst: str | None, constraint: str | None
) -> None:
    given = {"--agent": agent, "--task": task, "--worst": worst, "--constraint": constraint}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        said = " and ".join(named) or "nothing"
        raise BadInput(f"{said} to explain; allowed: exactly one of {', '.join(given)}")
    if at is not None and agent is None:
        raise BadInput("--at without --agent; allowed: --at with --agent")
    if visit is not None and task is None:
        raise BadInput("--visit without --task; allowed: --visit with --task")


def _of_agent(record: "Record", given: str, at_ns: int | None) -> "tuple[Explanation, str]":
    from model.units import format_duration
    from sim.analysis.explain import of_agent

    agent = _agent(record, given)
    name, end = record.roster.name(agent), record.end_of_agent(agent)
    first_ns = record.row(int(record.of_agent(agent)[0])).time
    last_ns = record.end_ns if end is None else end.time
    if at_ns is not None:
        if not first_ns <= at_ns <= last_ns:
            early = at_ns < first_ns
            what = "before the start of" if early else "after the end of"
            whom = name if early or end is not None else "the log"
            allowed = f"from {format_duration(first_ns)} to {format_duration(last_ns)}"
            raise BadInput(f"--at: {format_duration(at_ns)} is {what} {whom}; allowed: {allowed}")
        record = record.until(at_ns)
    return of_agent(record, agent), name


def _agent(record: "Record", given: str) -> int:
    """Return the number of an agent that has started; raises BadInput where there is none."""
    roster = record.roster
    number = _whole(given)
    if number is None:
        fleets = [fleet.name for fleet in record.header.fleets]
        if given in fleets:
            raise BadInput(f"--agent: {given} is a fleet; allowed: {_agents_of(record, fleets.index(given))}")
        fleet, _, local = given.rpartition("_")
        place = _whole(local)
        if fleet not in fleets or place is None:
            problem = f"no agent is called {shown(given)}{_meant(given, fleets)}"
            raise BadInput(f"--agent: {problem}; allowed: a number, or FLEET_NUMBER of {listed(fleets)}")
        number = roster.number(fleets.index(fleet), place)
    if number is None or number >= roster.agents:
        raise BadInput(f"--agent: there is no agent {given}; allowed: {_allowed(record, given)}")
    if not len(record.of_agent(number)):
        from sim.sentences import clock

        end = clock(record.end_ns)
        raise BadInput(f"--agent: {roster.name(number)} had not started by {end}, the end of the log; allowed: another")
    return number


def _meant(given: str, fleets: list[str]) -> str:
    """Return which agent may be meant: that of a task, or of a fleet that is misspelt."""
    for name in fleets:
        place, _, step = given.removeprefix(f"{name}_").partition("_")
        if given.startswith(f"{name}_") and step and _whole(place) is not None:
            return f" (did you mean '{name}_{place}'?)"
    fleet, _, local = given.rpartition("_")
    near = nearest(fleet or given, fleets) if fleet not in fleets else None
    return "" if near is None else f" (did you mean '{near}_{0 if _whole(local) is None else local}'?)"


def _whole(text: str) -> int | None:
    """Return the whole number that a text stands for, or None where it is none that an agent may have."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) < _DIGITS_MAX else None


def _allowed(record: "Record", given: str) -> str:
    fleet = given.rpartition("_")[0]
    for number, entry in enumerate(record.header.fleets):
        if entry.name == fleet:
            return _agents_of(record, number)
    return f"0 to {record.roster.agents - 1}"


def _agents_of(record: "Record", fleet: int) -> str:
    """Say which agents a fleet has."""
    name, count = record.header.fleets[fleet].name, record.roster.count(fleet)
    if not count:
        return f"an agent of another fleet, for {name} has none"
    return f"{name}_0" if count == 1 else f"{name}_0 to {name}_{count - 1}"


def _of_task(record: "Record", given: str, visit: int | None) -> "tuple[Explanation, str]":
    from model.events import Kind
    from sim.analysis.explain import of_task

    agent, step = _task(record, given)
    events = record.of_agent(agent)
    mine = events[record.rows.step[events] == step]
    mine = mine[record.rows.kind[mine] != Kind.AgentStarted]
    visits = sorted(set(record.rows.visit[mine].tolist()))
    if not visits:
        raise BadInput(f"--task: {given} was never begun in this log; allowed: a task that was")
    if visit is None and len(visits) > 1:
        raise BadInput(f"--visit: missing, and {given} was begun {len(visits):,} times; allowed: 0 to {visits[-1]}")
    chosen = visits[0] if visit is None else visit
    if chosen not in visits:
        allowed = f"0 to {visits[-1]}" if len(visits) > 1 else f"{visits[0]}"
        raise BadInput(f"--visit: {given} has no visit {chosen}; allowed: {allowed}")
    return of_task(record, agent, step, chosen), f"{given}, visit {chosen}"


def _task(record: "Record", given: str) -> tuple[int, int]:
    """Return the agent and the step of a task; raises BadInput where there is none."""
    header, roster = record.header, record.roster
    steps = [(number, step) for number, step in enumerate(header.steps) if step.kind in ("task", "hold")]
    for number, step in steps:
        fleet = header.fleets[step.fleet].name
        if given.startswith(f"{fleet}_") and given.endswith(f"_{step.name}"):
            local = given[len(fleet) + 1 : -len(step.name) - 1]
            place = _whole(local)
            if place is not None:
                agent = roster.number(step.fleet, place)
                if agent is None:
                    last = roster.count(step.fleet) - 1
                    raise BadInput(
                        f"--task: there is no agent {fleet}_{local}; allowed: {fleet}_0 to {fleet}_{last}, in {step.name}"
                    )
                return agent, number
    digits = next((part for part in given.split("_") if part.isdecimal()), "0")
    known = [f"{header.fleets[step.fleet].name}_{digits}_{step.name}" for _, step in steps]
    problem = f"no task is called {shown(given)}{did_you_mean(given, known)}"
    raise BadInput(f"--task: {problem}; allowed: FLEET_NUMBER_STEP, such as {listed(known, 'none here')}")


def _worst(record: "Record", number: int) -> "tuple[Explanation, str]":
    from sim.analysis.explain import worst

    return worst(record, number), record.header.name


def _of_constraint(record: "Record", given: str) -> "tuple[Explanation, str]":
    from sim.analysis.binding import of_constraint

    known = [entry.id for entry in record.header.constraints]
    if given not in known:
        near = did_you_mean(given, known)
        raise BadInput(f"--constraint: no constraint is called {shown(given)}{near}; allowed: {listed(known)}")
    return of_constraint(record, known.index(given)), given


def _answer(
    log: Path, record: "Record", found: "Explanation", title: str, as_json: bool, as_markdown: bool, out: Path | None
) -> int:
    from sim.analysis.statements import Statement
    from sim.pages import Page
    from sim.sentences import clock, told

    statements = list(found.statements)
    if record.cut:
        end = len(record.rows) - 1
        statements.append(Statement("cut", {"to_ns": int(record.rows.time[end]), "to_event": end}))
    claims = [told(statement) for statement in statements]
    span = f"{clock(found.about['from_ns'])} to {clock(found.about['to_ns'])}"
    about = f"{record.header.name}, seed {record.header.seed}, {span}"
    page = Page(title, about, [claim["text"] for claim in claims])
    result: dict[str, Any] = {
        "scenario": record.header.name,
        "seed": record.header.seed,
        "about": found.about,
        "cut": record.cut,
        "claims": claims,
    }
    if out is not None:
        write_rows(out, _rows(claims), read_files(log, record.header))
    answer(result, page, as_json, as_markdown)
    return DONE


def _rows(claims: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    schema = pa.schema(
        [("kind", pa.string()), ("text", pa.string()), ("events", pa.list_(pa.int64())), ("facts", pa.string())]
    )
    return pa.Table.from_pylist([{**claim, "facts": json.dumps(claim["facts"])} for claim in claims], schema)
