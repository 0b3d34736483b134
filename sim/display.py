"""What the command line shows a person: the progress of a run, and its summary.

Rules:

1. The summary goes to standard output, the progress to standard error; both say times as people do.
2. What a person wrote is shown as it is written: text from a scenario or a path is never read as markup.
3. Where standard output is no terminal a line is never broken. On a narrow terminal it is broken between words, and the
   table gives each constraint two lines.
"""

import os
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from model.log import ConstraintEntry, Header
from model.providers import Preset
from model.units import MICRO, counted, format_duration, format_number
from sim.engine import Observer
from sim.pages import short

PROGRESS_SECONDS = 10
"""Wall time between two lines of progress where there is no terminal."""

_NS_PER_SECOND = 1_000_000_000
_LABEL = 10
_ALWAYS = frozenset({"started", "finished", "failed", "blocked", "open"})
"""What is said of the tasks even where it is 0."""

_TITLES = ("constraint", "limit", "used", "blocked", "episodes", "peak queue", "rejected")
_TITLES_LEFT = 2
_GAP = "   "
_STORMS_MAX = 5
"""How many triggers are told of, each on a line of its own."""
_UNBROKEN = "\xa0"


def console() -> Console:
    """Return the console of standard output."""
    unknown = os.environ.get("COLUMNS", "").strip() == "0"  # what some programs say of a terminal that they do not know
    return Console(highlight=False, width=80 if unknown else None)


@contextmanager
def counting_runs() -> Iterator[Callable[[int], None]]:
    """Show how many runs have begun, on standard error where that is a terminal."""
    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield lambda runs: None
        return
    with terminal.status("run 1") as status:
        yield lambda runs: status.update(f"run {runs:,}")


@contextmanager
def progress(name: str, until_ns: int | None) -> Iterator[Observer]:
    """Show how far a run is, on standard error: a bar where that is a terminal, else a line now and then."""
    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield plain_progress(name, until_ns, lambda line: terminal.print(Text(line), soft_wrap=True), time.monotonic)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[where]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal, transient=True) as bars:
        bar = bars.add_task(name, total=until_ns, where="")

        def observe(now_ns: int, records: int) -> None:
            bars.update(bar, completed=now_ns, where=f"{now_ns / _NS_PER_SECOND:,.1f} s, {counted(records, 'record')}")

        yield observe


def plain_progress(name: str, until_ns: int | None, say: Callable[[str], None], clock: Callable[[], float]) -> Observer:
    """Return an observer that says where the run is whenever `PROGRESS_SECONDS` have passed by the clock."""
    end = "" if until_ns is None else f" of {short(until_ns)}"
    due = clock() + PROGRESS_SECONDS

    def observe(now_ns: int, records: int) -> None:
        nonlocal due
        if clock() >= due:
            due = clock() + PROGRESS_SECONDS
            say(f"{name}: {short(now_ns)}{end} of virtual time, {counted(records, 'record')}")

    return observe


def summary(out: Console, result: dict[str, Any], header: Header) -> None:
    """Print what `python -m sim run --json` gives, for people."""
    tasks, wait = result["tasks"], result["wait_ns"]
    about = f"  seed {result['seed']}, {agents(result, header)}, {short(result['end_ns'])} of virtual time"
    interrupted = (" (interrupted)", "bold red") if result["interrupted"] else ""
    stopped = (f" (stopped: {result['stopped']})", "bold red") if result["stopped"] else ""
    _print(out, Text.assemble((result["scenario"], "bold"), about, interrupted, stopped))
    said = [name for name in tasks if name in _ALWAYS or tasks[name]]
    _print(out, _told(out, "tasks", [f"{tasks[name]:,} {name.replace('_', ' ')}" for name in said]))
    if wait["mean"] is not None:
        names = ("mean", "p50", "p95", "p99", "max")
        _print(out, _told(out, "wait", [f"{name} {short(wait[name])}" for name in names]))
    if result["crashes"]:
        _print(out, _told(out, "crashes", [f"{result['crashes']:,}"]))
    for line in _constraints(out, result["constraints"], header):
        _print(out, line)
    for each in result["deadlocks"]:
        for line in _deadlock(out, each):
            _print(out, line)
    storms = result["storms"] or []
    for each in storms[:_STORMS_MAX]:
        _print(out, _told(out, "storm", _storm(each)))
    more = Counter(each["verdict"] for each in storms[_STORMS_MAX:])
    if more:
        _print(out, _told(out, "storms", [f"{count:,} more {verdict}" for verdict, count in more.items()]))
    for line in _stalled(out, result["stalled"]) if result["stalled"] else ():
        _print(out, line)
    for line in _delays(out, result["starvation"], result["priority_inversions"]):
        _print(out, line)
    rate = f"{counted(result['events'], 'event')} in {result['wall_s']:.2f} s ({result['events_per_s']:,.0f} a second)"
    _print(out, Text(f"  {rate}\n  digest  {result['digest']}\n  log     {result['log']}"))


def agents(result: dict[str, Any], header: Header) -> str:
    """Say how many agents the scenario lists, and how many were spawned beside them, if any were."""
    return counted(header.agents, "agent") + (f" and {result['spawned']:,} spawned" if result["spawned"] else "")


def _deadlock(out: Console, each: dict[str, Any]) -> Iterator[Text]:
    """Yield what a deadlock is: who waits for whom in a circle, and with which limits nobody would."""
    about = f"{each['agents']:,} agents wait for each other" if each["agents"] > 1 else "an agent waits for itself"
    yield Text(f"  deadlock at {short(each['time_ns'])} (event {each['event']:,}): {about} for good", "bold red")
    for step in each.get("cycle", ()):
        holder = step["held_by"]
        waits = (
            f"{step['task']} waits for {step['waits_for']} since {short(step['since_ns'])} (event {step['event']:,})"
        )
        held = f"held by {holder['task']} since {short(holder['since_ns'])} (event {holder['event']:,})"
        others = [f"and by {step['held_by_others']:,} more"] if step["held_by_others"] else []
        yield _broken(out, "    ", [waits, held, *others], 6, "red")
    safe = [f"{format_number(limit)} of {name}" for name, limit in each.get("safe_limits", {}).items()]
    if safe:
        yield _broken(out, "    safe: ", [" or ".join(safe)], 6)


def _storm(each: dict[str, Any]) -> list[str]:
    """Return what became of the fleet after a trigger, in parts of a line."""
    start, end = short(each["from_ns"]), "the end" if each["to_ns"] is None else short(each["to_ns"])
    verdict = f"{' and '.join(each['incidents'])} {start} to {end}: {each['verdict']}"
    if each["why"] is not None:
        return [f"{verdict} ({each['why']})"]
    before, after = each["before"], each["after"]
    parts = [verdict] if each["time_to_recover_ns"] is None else [f"{verdict} in {short(each['time_to_recover_ns'])}"]
    parts.append(f"goodput {_a_second(before)} before and {_a_second(after)} after")
    if after["amplification"] is not None:
        attempts = format_number(after["amplification"], 3)
        parts.append(f"{attempts} {'attempt' if attempts == '1' else 'attempts'} a success")
    if not before["keeps_up"]:
        parts.append("and it did not keep up before")
    return parts


def _a_second(phase: dict[str, Any]) -> str:
    return f"{format_number(phase['goodput_per_s'], 4)}/s"


def _stalled(out: Console, each: dict[str, Any]) -> Iterator[Text]:
    """Yield since when nothing could happen any more, and who waits for what in vain."""
    agents = counted(each["agents"], "agent waits", "agents wait")
    about = f"stalled since {short(each['since_ns'])} (event {each['event']:,})"
    yield Text(f"  {about}: {agents}, and nothing could happen any more", "bold red")
    for queue in each.get("waiting", ()):
        first, holder = queue["first"], queue["held_by"]
        tasks = counted(queue["tasks"], "task waits", "tasks wait")
        since = f"{first['task']} since {short(first['since_ns'])} (event {first['event']:,})"
        parts = [f"{tasks} for {queue['constraint']}: {'' if queue['tasks'] == 1 else 'first '}{since}"]
        if holder is None:
            parts.append(queue["why"])
        else:
            parts.append(f"held by {holder['task']} since {short(holder['since_ns'])} (event {holder['event']:,})")
            others = queue["held_by_others"]
            parts += [f"and by {others:,} more", "who wait themselves"] if others else ["who waits itself"]
        yield _broken(out, "    ", parts, 6, "red")


def _delays(out: Console, starvation: Sequence[dict[str, Any]], inversions: dict[str, Any]) -> Iterator[Text]:
    """Yield who waited longer than he may, and how long people waited for the less important: of each the worst case."""
    for each in starvation:
        if each["exceeded"]:
            worst = each["worst"][0]
            kind = "fleet" if "fleet" in each else "tenant"
            waits = f"{each['exceeded']:,} of {counted(each['waits'], 'wait')} above {short(each['bound_ns'])}"
            counts = f"{kind} {each[kind]}: {waits}"
            since, end = f"{worst['event']:,}", worst["end_event"]
            where = f"since event {since}" if end is None else f"events {since} to {end:,}"
            about = f"worst {worst['task']} {short(worst['wait_ns'])} ({where})"
            yield _broken(out, "  starved   ", [counts, about, *_overtaken(worst)], _LABEL + 2, "red")
    if inversions["episodes"]:
        worst = inversions["worst"][0]
        counts = f"{_times(inversions['episodes'])} a task waited for a less important one"
        lasted = f"{short(inversions['inverted_ns'])} in all"
        about = (
            f"worst {worst['task']} {short(worst['inverted_ns'])} for {worst['waits_for']} (event {worst['event']:,})"
        )
        held = [f"held by {by['task']} (event {by['event']:,})" for by in [worst.get("held_by")] if by is not None]
        yield _broken(out, "  inverted  ", [counts, lasted, about, *held], _LABEL + 2, "red")


def _overtaken(wait: dict[str, Any]) -> list[str]:
    """Say how often a wait was overtaken, and by which fleet the most; nothing where it was not, or is not known."""
    by_fleet = wait.get("overtaken_by", {})
    if not by_fleet:
        return []
    fleet, count = next(iter(by_fleet.items()))
    if len(by_fleet) == 1:
        return [f"overtaken {_times(count)} by {fleet}"]
    return [f"overtaken {_times(wait['overtaken'])}", f"{count:,} by {fleet}"]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _print(out: Console, line: Text) -> None:
    """Print a line as it is: not wrapped, not cut, without blanks at its end."""
    out.print(line, soft_wrap=True)


def _told(out: Console, label: str, parts: Sequence[str]) -> Text:
    return _broken(out, f"  {label:<{_LABEL - 2}}", parts, _LABEL)


def _broken(out: Console, label: str, parts: Sequence[str], indent: int, style: str = "") -> Text:
    """Return a line, broken between its parts where it is wider than the terminal."""
    if not out.is_terminal:
        return Text(label + ", ".join(parts), style)
    whole = label + ", ".join(part.replace(" ", _UNBROKEN) for part in parts)
    text = textwrap.fill(whole, out.width, subsequent_indent=" " * indent, break_long_words=False)
    return Text(text.replace(_UNBROKEN, " "), style)


def _constraints(out: Console, numbers: dict[str, Any], header: Header) -> Iterator[Text]:
    """Yield a table of the constraints, those that blocked most in red."""
    if not header.constraints:
        return
    worst = max(each["blocked_ns"] for each in numbers.values())
    rejects = any(each["rejected"] for each in numbers.values())
    rows: list[tuple[str, ...]] = [_TITLES if rejects else _TITLES[:-1]]
    styles = ["dim"]
    for entry in header.constraints:
        each = numbers[entry.id]
        used, blocked = f"{each['utilisation']:.1%}", short(each["blocked_ns"])
        counts = [f"{each[name]:,}" for name in ("blocked_episodes", "peak_waiting", "rejected")]
        rows.append((entry.id, limit(entry), used, blocked, *counts)[: len(rows[0])])
        styles.append("red" if worst and each["blocked_ns"] == worst else "")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_GAP.join(map(_justified, range(len(row)), row, widths)) for row in rows]
    if out.is_terminal and len(lines[0]) + 2 > out.width:
        for (name, admits, used, blocked, *counts), style in zip(rows[1:], styles[1:], strict=True):
            yield Text(f"  {name}  {admits}", style)
            parts = [f"{used} used", f"{blocked} blocked", *map(" ".join, zip(_TITLES[4:], counts, strict=False))]
            yield _broken(out, "    ", parts, 4, style)
    else:
        for line, style in zip(lines, styles, strict=True):
            yield Text(f"  {line}", style)


def _justified(place: int, cell: str, width: int) -> str:
    return f"{cell:<{width}}" if place < _TITLES_LEFT else f"{cell:>{width}}"


def _period(ns: int) -> str:
    """Write a period as people do after a slash: `m` for a minute, but `10m`."""
    written = format_duration(ns)
    return written[1:] if written[0] == "1" and written[1:].isalpha() else written


def limit(entry: ConstraintEntry) -> str:
    """Say what a constraint admits at first, and whether that changes."""
    numbers = next((numbers for _, numbers in entry.settings if numbers is not None), None)
    if numbers is None:
        return "never in force"
    if entry.type == "incident":
        return _incident(numbers)
    if entry.type == "rate_limit":
        text = f"{numbers['tokens']:,}/{_period(numbers['period_ns'])} {entry.counts}"
    elif entry.type == "circuit_breaker":
        text = f"opens at {numbers['ratio'] / MICRO:.0%} failures"
    elif entry.type == "adaptive":
        text = f"{numbers['least']:,} to {numbers['most']:,} at once"
    elif entry.type == "concurrency":
        text = f"{numbers['limit']:,} at once"
    elif entry.type == "resource":
        text = f"{format_number(numbers['capacity'] / MICRO)} at once"
    elif entry.type == "quota":
        period = f"/{_period(numbers['period_ns'])}" if numbers["period_ns"] else " in all"
        text = f"{format_number(numbers['total'] / MICRO)}{period} {entry.counts}"
    else:
        text = "nobody"
    return text + (", changes" if len(entry.settings) > 1 else "")


def _incident(numbers: dict[str, int]) -> str:
    """Say what an incident does while it lasts."""
    parts = [f"{format_number(numbers['slow'] / MICRO, 6)} times as slow" + ", new work alone" * numbers["new"]]
    parts = parts if numbers["slow"] > MICRO else []
    parts += [f"{name}s {format_number(numbers[name] / MICRO, 6)}" for name in ("refuse", "fail") if numbers[name]]
    return ", ".join([*parts, *["blocks"] * numbers["block"]])


def presets(known: Iterable[Preset]) -> Iterator[str]:
    """Yield a line for each preset: its name and its figures."""
    rows = [(each.name, ", ".join(_figure(row) for row in each.limits)) for each in known]
    width = max(len(name) for name, _ in rows)
    return (f"{name:<{width}}  {figures}" for name, figures in rows)


def _figure(row: dict[str, Any]) -> str:
    if "limit" in row:
        return f"{row['limit']:,} {row['id']}"
    figure = row["rate"] if "rate" in row else f"{row['total']}/{row['period']}"
    number, _, period = figure.partition("/")
    return f"{int(number):,}/{period} {row.get('counts', 'requests')}"


def preset(one: Preset) -> str:
    """Return what a preset stands for as a piece of a scenario, with where it is from."""
    lines = [f"# {one.name}: {one.about}", f"# as of {one.as_of}, from {one.source}", "constraints:"]
    for row in one.limits:
        lines.append("  - {" + ", ".join(f"{key}: {value}" for key, value in {**row, "scope": "global"}.items()) + "}")
    return "\n".join(lines)


def storm(out: Console, result: dict[str, Any]) -> None:
    """Print what `python -m sim storm --json` gives, for people."""
    runs = counted(result["runs"], "run")
    about = f"  seed {result['seed']}, incident {result['incident']}, {runs} on the same draws"
    _print(out, Text.assemble((result["scenario"], "bold"), about))
    given = result["as_it_is"]
    _print(out, _told(out, "given", _storm(given) if given["from_ns"] is not None else [given["why"]]))
    if result["shortest"] is not None:
        _print(out, _told(out, "trigger", _shortest(result["shortest"])))
        _print(out, _told(out, "load", _lowest(result["lowest_load"])))
    rows = [_REMEDY_TITLES, *map(_remedy, result["remedies"])] if result["remedies"] else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (_justified(place, cell, width) for place, (cell, width) in enumerate(zip(row, widths, strict=True)))
        _print(out, Text(f"  {_GAP.join(cells)}".rstrip(), "bold" if row is rows[0] else ""))


def _shortest(found: dict[str, Any]) -> list[str]:
    """Say which length of the trigger tips the fleet over, and which does not."""
    if found["why"] is not None:
        return [f"not looked for: {found['why']}"]
    tips, does_not = (None if found[key] is None else short(found[key]) for key in ("tips_over_ns", "does_not_ns"))
    edge = _edge(found, tips, does_not, f"no length up to {does_not}")
    return [f"{edge} (given: {short(found['given_ns'])})", *_caveats(found, short)]


def _lowest(found: dict[str, Any]) -> list[str]:
    """Say which load tips the fleet over with the trigger as it is, and which does not."""
    if found["why"] is not None:
        return [f"not looked for: {found['why']}"]
    tips, does_not = None, None
    if found["tips_over"] is not None:
        tips = f"{_multiple(found['tips_over'])}, {format_number(found['load_per_s'], 4)} visits a second,"
    none = ""
    if found["does_not"] is not None:
        does_not = _times_the_load(found["does_not"])
        none = f"none up to {_multiple(found['does_not'])}"
    return [_edge(found, tips, does_not, none), *_caveats(found)]


def _times_the_load(multiple: float) -> str:
    return "the given one" if multiple == 1 else f"{format_number(multiple, 4)} times"


def _multiple(multiple: float) -> str:
    return "the given one" if multiple == 1 else f"{_times_the_load(multiple)} the given one"


def _edge(found: dict[str, Any], tips: str | None, does_not: str | None, none: str) -> str:
    """Say what tips the fleet over, what does not, and on which side of that nothing is known."""
    if tips is None:
        edge = f"{none} tips it over"
    elif does_not is not None:
        edge = f"{tips} tips it over and {does_not} does not"
    else:
        edge = f"{'' if found['nothing_known'] else 'even '}{tips} tips it over"
    return (
        edge if found["nothing_known"] is None else f"{edge}; {_NOTHING_KNOWN[found['nothing_known']]} nothing is known"
    )


_NOTHING_KNOWN = {"below": "below that", "above": "above that", "between": "between these"}


def _caveats(found: dict[str, Any], say: Callable[[float], str] = _times_the_load) -> list[str]:
    """Say what is not certain about what was found."""
    caveats = []
    if found["mixed"] is not None:
        caveats.append(f"{say(found['mixed'][0])} tips it over as well and {say(found['mixed'][1])} does not")
    if found["unknown"] and found["nothing_known"] is None:
        caveats.append(f"of {counted(found['unknown'], 'run')} nothing is known")
    return caveats


_REMEDY_TITLES = ("remedy", "verdict", "back after", "goodput before", "after", "attempts a success")


def _remedy(each: dict[str, Any]) -> tuple[str, ...]:
    before, after = each["before"], each["after"]
    return (
        each["remedy"],
        each["verdict"],
        "" if each["time_to_recover_ns"] is None else short(each["time_to_recover_ns"]),
        "" if before is None else _a_second(before),
        "" if after is None else _a_second(after),
        "" if after is None or after["amplification"] is None else format_number(after["amplification"], 3),
    )
