"""The page of a report: what `sim.analysis.report` found, in words and tables.

Rules:

1. What was waited comes first, by cause; then the rest from the whole to its parts. A table with nothing in it is left out.
2. Times are said as people say them; the exact numbers are in `--json`.
"""

from collections.abc import Iterator
from typing import Any

from model.log import ConstraintEntry, Header
from model.units import counted, format_number
from sim.analysis.visits import COUNTED
from sim.display import agents, limit
from sim.pages import Grid, Page, share, short

_TIMES = ("mean", "p50", "p95", "p99", "max")


def page(result: dict[str, Any], header: Header) -> Page:
    """Return the page."""
    whole = f"{short(result['end_ns'])} of virtual time, {counted(result['events'], 'event')}"
    about = f"seed {result['seed']}, {agents(result, header)}, {whole}"
    told = Page(result["scenario"], about + (", cut" if result["cut"] else ""))
    told.blocks += [_tasks(result["tasks"]), *_verdicts(result)]
    told.blocks.append(_ledger(result["ledger"]))
    told.blocks.append(_longest(result["ledger"]))
    for heading, key, first in (("all and by fleet", "fleets", True), ("by tenant", "tenants", False)):
        rows = ([("all", result["all"])] if first else []) + list(result[key].items())
        told.blocks.append(_times(heading, rows))
    told.blocks.append(_times("by step", list(result["steps"].items())))
    told.blocks.append(_ends([("all", result["all"]), *result["fleets"].items(), *result["steps"].items()]))
    if result["cost"] is not None:
        told.blocks.append(_cost(result["cost"]))
    told.blocks.append(_constraints(result["constraints"], header.constraints))
    told.blocks += _means(result)
    told.blocks += _trust(result)
    return told


def _tasks(tasks: dict[str, int]) -> str:
    said = [f"{count:,} {name.replace('_', ' ')}" for name, count in tasks.items() if count or name == "finished"]
    return f"tasks: {', '.join(said)}"


def _verdicts(result: dict[str, Any]) -> Iterator[str]:
    for each in result["deadlocks"]:
        yield f"deadlock at {short(each['time_ns'])} (event {each['event']:,}): {counted(each['agents'], 'agent')}"
    if result["stalled"] is not None:
        stalled = result["stalled"]
        waits = counted(stalled["tasks"], "task waits", "tasks wait")
        yield f"stalled since {short(stalled['since_ns'])} (event {stalled['event']:,}): {waits}"
    for each in result["storms"] or []:
        yield f"{' and '.join(each['incidents'])} at {short(each['from_ns'])}: {each['verdict']}"
    for each in result["starvation"]:
        name = each.get("fleet", each.get("tenant"))
        yield f"{name}: {each['exceeded']:,} of {counted(each['waits'], 'wait')} above {short(each['bound_ns'])}"
    inverted = result["priority_inversions"]
    if inverted["episodes"]:
        yield f"priority inversions: {inverted['episodes']:,}, {short(inverted['inverted_ns'])} in all"


def _ledger(ledger: dict[str, Any]) -> Grid:
    rows = [
        (cause, short(each["ns"]), share(each["ns"], ledger["ns"]), short(each["overtaken_ns"]))
        for cause, each in ledger["causes"].items()
    ]
    heading = f"what was waited for: {short(ledger['ns'])} in all"
    return Grid(heading, ("cause", "waited", "share", "of that since overtaken"), rows)


def _longest(ledger: dict[str, Any]) -> Grid:
    rows = [
        (
            each["task"],
            short(each["ns"]),
            ", ".join(f"{cause} {short(of['ns'])}" for cause, of in each["causes"].items()),
        )
        for each in ledger["longest"]
    ]
    return Grid("who waited longest in all", ("task", "waited", "for"), rows)


def _times(heading: str, rows: list[tuple[str, dict[str, Any]]]) -> Grid:
    columns = (
        "",
        "succeeded",
        "a second",
        *(f"wait {name}" for name in _TIMES),
        "service mean",
        "sojourn mean",
        "sojourn p95",
    )
    cells = [
        (
            name,
            f"{each['succeeded']:,}",
            format_number(each["throughput_per_s"], 4),
            *(_time(each["wait_ns"][name]) for name in _TIMES),
            _time(each["service_ns"]["mean"]),
            _time(each["sojourn_ns"]["mean"]),
            _time(each["sojourn_ns"]["p95"]),
        )
        for name, each in rows
    ]
    return Grid(heading, columns, cells)


def _ends(rows: list[tuple[str, dict[str, Any]]]) -> Grid:
    """Tell how attempts ended that did not succeed; what has not happened has no column."""
    names = [name for name in ("lost", *COUNTED) if name != "started" and any(each[name] for _, each in rows)]
    cells = [(name, *(f"{each[count]:,}" for count in names)) for name, each in rows] if names else []
    return Grid("what did not succeed", ("", *(name.replace("_", " ") for name in names)), cells)


def _cost(cost: dict[str, Any]) -> Grid:
    rows = [(f"{format_number(each['amount'])} {unit}", f"{each['cost']:,.2f}") for unit, each in cost["units"].items()]
    rows += [(f"fleet {name}", f"{each:,.2f}") for name, each in cost["fleets"].items()]
    rows += [(f"tenant {name}", f"{each:,.2f}") for name, each in cost["tenants"].items()]
    return Grid(f"cost: {cost['total']:,.2f}", ("of", "cost"), rows)


def _constraints(constraints: dict[str, Any], entries: tuple[ConstraintEntry, ...]) -> Grid:
    rows = [
        (
            entry.id,
            limit(entry),
            f"{100 * each['utilisation']:.1f}%",
            format_number(each["mean_waiting"], 4),
            f"{each['peak_waiting']:,}",
            f"{each['blocked_episodes'] + each['rebounds']:,}",
            _time(each["wait_ns"]["mean"]),
            _time(each["wait_ns"]["p95"]),
            f"{each['rejected']:,}",
        )
        for entry, each in zip(entries, constraints.values(), strict=True)
    ]
    columns = ("constraint", "limit", "used", "mean queue", "peak", "waits", "wait mean", "wait p95", "rejected")
    return Grid("constraints", columns, rows, left=2)


def _means(result: dict[str, Any]) -> Iterator[Grid | str]:
    """Yield how sure the mean waits are, and what the signs of that table say."""
    groups = [("", {"all": result["all"]})]
    groups += [(of, result[f"{of}s"]) for of in ("fleet", "tenant", "step", "constraint")]
    told = [(f"{of} {name}".lstrip(), each["wait_mean"]) for of, group in groups for name, each in group.items()]
    told = [(name, mean) for name, mean in told if mean["observations"]]
    rows = [(name, f"{mean['observations']:,}", f"{mean['warm_up']:,}", _interval(mean)) for name, mean in told]
    yield Grid("mean waits after the warm-up", ("of", "waits", "warm-up", "mean, 95 %"), rows)
    doubts = {mean["doubt"] for _, mean in told if mean["doubt"] is not None}
    if doubts:
        yield f"? of these it is too short to say: {'; '.join(sorted(doubts))}"


def _interval(mean: dict[str, Any]) -> str:
    known = [short(ns) for ns in (mean["mean_ns"], mean["half_width_ns"]) if ns is not None]
    return " ± ".join(known) + ("" if mean["doubt"] is None else " ?")


def _trust(result: dict[str, Any]) -> Iterator[str]:
    """Yield how fair it was, and whether the log keeps the laws."""
    fair = result["fairness"]
    parts = [f"{name} {index:.3f}" for name, index in fair["fleets"].items() if index is not None]
    parts += [] if fair["tenants"] is None else [f"tenants {fair['tenants']:.3f}"]
    if parts:
        yield f"fairness (Jain's index of the successes of agents, 1 is even): {', '.join(parts)}"
    checks = result["checks"]
    for name, each in (("Little's law", checks["little"]), ("work conservation", checks["work_conservation"])):
        yield f"{name}: {'holds' if each['holds'] else 'DOES NOT HOLD'}"


def _time(ns: float | None) -> str:
    return "" if ns is None else short(ns)
