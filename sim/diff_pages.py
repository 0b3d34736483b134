"""What two runs differ in, as a page: for `diff`, `fork` and `bisect`.

Rules:

1. A is the first run, B the second; a change is B less A, with its sign.
2. A table has no row that is 0 in both runs, beside those that are always asked for.
"""

import json
from collections.abc import Iterator
from typing import Any

from model.faults import cut
from model.units import counted, format_number
from sim.pages import Grid, Page, short

_SHOWN_MAX = 120
_SCENARIO_MAX = 20
_NAMED_MAX = 3
_ALWAYS = ("started", "finished", "failed", "rejected")
_TASKS = (*_ALWAYS, "timed_out", "gave_up", "preempted", "cancelled", "skipped", "blocked", "open")
_WAITS = ("mean", "p95", "max")
_NAMED = 1
"""How many columns of a table are names, where it does not say otherwise."""

Data = dict[str, Any]


def diff_page(found: Data, name_a: str, name_b: str) -> Page:
    """Return what `sim.analysis.diff` has found of two logs."""
    page = Page(found["runs"]["a"]["scenario"], f"seed {found['runs']['a']['seed']}, A is {name_a}, B is {name_b}")
    _fill(page, found)
    return page


def fork_page(result: Data) -> Page:
    """Return what `python -m sim fork --json` says."""
    runs = result["runs"]
    page = Page(runs["a"]["scenario"], f"seed {runs['a']['seed']}, A is {result['forked']}, B is {result['log']}")
    for each in result["changes"]:
        page.blocks.append(f"from {short(result['at_ns'])} on {each['path']}: {each['before']} -> {each['after']}")
    if result["no_effect"]:
        page.blocks.append(_no_effect(len(result["changes"]), result["cut"]))
        page.blocks += [f"note: {each}" for each in result["caveats"]]
        return page
    if result["events_before"]:
        before = counted(result["events_before"], "event before that is", "events before that are")
        page.blocks.append(f"the {before} the same in both")
    _fill(page, {**result, "scenario": []})
    return page


def _no_effect(changes: int, is_cut: bool) -> str:
    nothing, itself = (
        ("that changes", "the change itself") if changes == 1 else ("these change", "the changes themselves")
    )
    far = "as far as both go" if is_cut else "to the last event"
    return f"{nothing} nothing: but for {itself} both runs are the same, {far}"


def _fill(page: Page, found: Data) -> None:
    runs, parting = found["runs"], found["parting"]
    page.blocks += _scenario(found["scenario"])
    page.blocks += [f"note: {each}" for each in found["caveats"]]
    if parting is None:
        page.blocks.append(_same(found))
        return
    page.blocks += _parting(parting)
    page.blocks += _matched(found["visits"])
    page.blocks += [_totals(runs), *_cost(found["cost"]), _blocked(runs), _fleets(found), *_visits(found["visits"])]


def bisect_page(found: Data, title: str, name_a: str, name_b: str) -> Page:
    """Return what `sim.analysis.diff.first_difference` has found."""
    page = Page(title, f"A is {name_a}, B is {name_b}")
    page.blocks += _scenario(found["scenario"])
    page.blocks += [f"note: {each}" for each in found["caveats"]]
    parting = found["parting"]
    if parting is None:
        page.blocks.append(_same(found))
        return page
    page.blocks += _parting(parting)
    before = parting["before"]
    page.blocks.append(Grid("Limits right before it", ("constraint", "limit", "used", "waiting"), _limits(before)))
    page.blocks.append(Grid("Who works", ("task", "visit", "since"), _who(before["working"])))
    waiting = [
        (row[0], each["constraint"], *row[1:]) for each in before["constraints"] for row in _who(each["waiting"])
    ]
    waiting += [(row[0], "its next attempt", *row[1:]) for row in _who(before["backing_off"])]
    page.blocks.append(Grid("Who waits", ("task", "for", "visit", "since"), waiting, left=2))
    page.blocks.append(Grid("The last events of all", ("event",), [(row,) for row in before["events"]]))
    for agent, rows in before["of_agents"].items():
        page.blocks.append(Grid(f"The last events of {agent}", ("event",), [(row,) for row in rows]))
    return page


def _same(found: Data) -> str:
    if not found["same"]:
        return "nothing to compare: a log is cut before its first event"
    far = " as far as both go" if found["cut"] else ""
    return f"the same{far}: {counted(found['compared_events'], 'event')}, and none is another"


def _scenario(altered: list[Data]) -> Iterator[str]:
    for each in altered[:_SCENARIO_MAX]:
        yield f"scenario {each['path']}: {_value(each['a'])} -> {_value(each['b'])}"
    if len(altered) > _SCENARIO_MAX:
        yield f"scenario: {counted(len(altered) - _SCENARIO_MAX, 'more value differs', 'more values differ')}"


def _value(value: object) -> str:
    if value is None:
        return "nothing"
    return cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _SHOWN_MAX)


def _parting(parting: Data) -> Iterator[str]:
    before = parting["before"]
    yield f"they part at event {parting['event']:,}, at {short(parting['time_ns'])}"
    yield f"A: {parting['a']}"
    yield f"B: {parting['b']}"
    agents = ", ".join(f"{count:,} {phase}" for phase, count in before["agents"].items()) or "nobody is there"
    yield f"right before it: agents {agents}"
    for each in before["constraints"]:
        if each["waiting"]["tasks"] or each["used"]:
            first = each["waiting"]["first"]
            since = f", {first[0]['task']} since {short(first[0]['since_ns'])}" if first else ""
            used = "" if each["used"] is None else f"{format_number(each['used'])} of {_limit(each)} held, "
            yield f"{each['constraint']}: {used}{counted(each['waiting']['tasks'], 'waits', 'wait')}{since}"


def _limit(each: Data) -> str:
    limit = each["limit"]
    if limit is None:
        return "no limit"
    return f"{format_number(limit, 6)}/s" if each["type"] == "rate_limit" else format_number(limit)


def _limits(before: Data) -> list[tuple[str, ...]]:
    return [
        (
            each["constraint"],
            _limit(each),
            "" if each["used"] is None else format_number(each["used"]),
            f"{each['waiting']['tasks']:,}",
        )
        for each in before["constraints"]
    ]


def _who(doing: Data) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (each["task"], f"{each['visit']}", short(each["since_ns"])) for each in doing["first"]
    ]
    left = doing["tasks"] - len(rows)
    return [*rows, (f"and {left:,} more", "", "")] if left else rows


def _totals(runs: Data) -> Grid:
    one, two = runs["a"], runs["b"]
    rows = [
        _counted(name.replace("_", " "), one["tasks"][name], two["tasks"][name])
        for name in _TASKS
        if name in _ALWAYS or one["tasks"][name] or two["tasks"][name]
    ]
    rows += [_timed(f"wait {name}", one["wait_ns"][name], two["wait_ns"][name]) for name in _WAITS]
    if one["crashes"] or two["crashes"]:
        rows.append(_counted("crashes", one["crashes"], two["crashes"]))
    rows.append(_timed("end", one["end_ns"], two["end_ns"]))
    rows.append(_counted("events", one["events"], two["events"]))
    return Grid("What came of it", ("", "A", "B", "change"), rows)


def _cost(cost: Data | None) -> Iterator[Grid]:
    if cost is None:
        return
    rows = [_paid("in all", cost["total"])]
    for unit, each in cost["units"].items():
        rows += [_charged(f"{unit}, charged", each["amount"]), _paid(f"{unit}, cost", each["cost"])]
    rows += [_paid(f"fleet {name}", each) for name, each in cost["fleets"].items()]
    rows += [_paid(f"tenant {name}", each) for name, each in cost["tenants"].items()]
    yield Grid("What it cost", ("", "A", "B", "change"), rows)


def _paid(name: str, each: Data) -> tuple[str, ...]:
    cells = ("" if each[side] is None else f"{each[side]:,.2f}" for side in "ab")
    return name, *cells, _difference(each["change"], ".2f")


def _charged(name: str, each: Data) -> tuple[str, ...]:
    cells = ("" if each[side] is None else format_number(each[side]) for side in "ab")
    return name, *cells, _difference(each["change"], ".12g")


def _difference(change: float | None, form: str) -> str:
    return "" if change is None else f"{change:+,{form}}" if change else "0"


def _blocked(runs: Data) -> Grid:
    rows = []
    for name in {**runs["a"]["constraints"], **runs["b"]["constraints"]}:
        times = [runs[side]["constraints"].get(name, {}).get("blocked_ns") for side in "ab"]
        if any(times) or None in times:
            rows.append(_timed(name, *times))
    return Grid("Time blocked, over all tasks", ("constraint", "A", "B", "change"), rows)


def _fleets(found: Data) -> Grid:
    runs, visits = found["runs"], found["visits"]["fleets"]
    rows: list[tuple[str, ...]] = []
    for name in visits:
        for side in "ab":
            fleet = runs[side]["fleets"].get(name)
            if fleet is None:
                continue
            counts = [f"{fleet['tasks'][each]:,}" for each in ("finished", "failed", "rejected")]
            waits = [_time(fleet["wait_ns"][each]) for each in _WAITS]
            won_lost = [f"{visits[name].get(each, 0):,}" if side == "b" else "" for each in ("won", "lost")]
            rows.append((name, side.upper(), *counts, *waits, *won_lost))
    columns = ("fleet", "run", "finished", "failed", "rejected", *(f"wait {name}" for name in _WAITS), "won", "lost")
    return Grid("By fleet", columns, rows, left=2)


def _matched(visits: Data) -> Iterator[str]:
    won = counted(visits["won"], "is won", "are won")
    yield (
        f"visits over in both: {visits['matched']:,}, of which {won} (sooner over in B, "
        f"{short(visits['won_ns'])} in all) and {visits['lost']:,} lost ({short(visits['lost_ns'])})"
    )
    ends = [f"{each['visits']:,} {each['a']} in A and {each['b']} in B" for each in visits["otherwise"]]
    if ends:
        yield f"of these ended otherwise, however soon: {', '.join(ends).replace('_', ' ')}"
    alone = [
        f"{visits[name]:,} in {where}"
        for name, where in (
            ("over_in_a_only", "A alone"),
            ("over_in_b_only", "B alone"),
            ("over_in_neither", "neither"),
        )
        if visits[name]
    ]
    if alone:
        yield f"begun in both, but over: {', '.join(alone)}"
    for name, where in (("only_in_a", "A"), ("only_in_b", "B")):
        only = visits[name]
        if only["visits"]:
            named = only["first"][:_NAMED_MAX]
            more = ", ..." if only["visits"] > len(named) else ""
            yield f"in {where} alone: {counted(only['visits'], 'visit')} ({', '.join(named)}{more})"


def _visits(visits: Data) -> Iterator[Grid]:
    sojourn = visits["sojourn_ns"]
    rows = [
        _timed(f"waiting for {name}", each["a"], each["b"])
        for name, each in visits["waiting_ns"].items()
        if each["a"] or each["b"]
    ]
    if any(visits["back_off_ns"].values()):
        rows.append(_timed("back-off", visits["back_off_ns"]["a"], visits["back_off_ns"]["b"]))
    rows.append(_timed("work", visits["work_ns"]["a"], visits["work_ns"]["b"]))
    rows.append(_timed("in all", sojourn["a"], sojourn["b"]))
    yield Grid("Where the time of these visits went", ("", "A", "B", "change"), rows)
    for heading, name in (("Most won", "most_won"), ("Most lost", "most_lost")):
        told = [
            (
                each["task"],
                f"{each['visit']}",
                *(short(each[f"sojourn_{side}_ns"]) for side in "ab"),
                _signed(each["change_ns"]),
                *(short(each[f"waited_{side}_ns"]) for side in "ab"),
            )
            for each in visits[name]
        ]
        yield Grid(heading, ("task", "visit", "A", "B", "change", "waited in A", "in B"), told)


def _counted(name: str, one: int, two: int) -> tuple[str, ...]:
    return name, f"{one:,}", f"{two:,}", f"{two - one:+,}" if one != two else "0"


def _timed(name: str, one: float | None, two: float | None) -> tuple[str, ...]:
    return name, _time(one), _time(two), "" if one is None or two is None else _signed(two - one)


def _time(ns: float | None) -> str:
    return "" if ns is None else short(ns)


def _signed(ns: float) -> str:
    return f"+{short(ns)}" if ns > 0 else short(ns)
