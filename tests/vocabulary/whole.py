"""Whole scenarios: closed and open fleets, those that are spawned, tenants, and when the run ends."""

import json

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from strategies import FLEET_NAMES, TENANTS, grid

from .common import CHILDREN, Dict, Draws, durations, optional, seldom, times
from .limits import constraints
from .steps import Context, steps
from .troubles import crashes, incidents

FLEETS = (*FLEET_NAMES, *CHILDREN)
AGENTS_MAX = 4
UNTIL_MAX_MS = 2500


@st.composite
def rich(draw: DrawFn, draws: Draws = "any", wild: bool = False) -> Dict:
    """A scenario over the whole vocabulary, which runs in a few milliseconds unless it is wild and has no end."""
    ends = wild or not seldom(draw, 5)
    children = list(CHILDREN[: draw(st.sampled_from([0, 1, 0, 2]))])
    fleets: list[Dict] = [{"name": name} for name in FLEET_NAMES[: draw(st.sampled_from([1, 2, 2, 3]))]]
    for fleet in fleets:
        _arrive(draw, fleet, draws, ends)
    fleets += [{"name": name} for name in children]
    for fleet in fleets:
        optional(draw, fleet, 2, tenant=st.sampled_from(TENANTS))
        optional(draw, fleet, 3, priority=st.integers(0, 2), weight=st.integers(1, 3))
        optional(draw, fleet, 6, life=durations(draws, 1, 9))
        optional(draw, fleet, 3, starvation=times(0, 4))
        if ends:
            optional(draw, fleet, 6, crash=crashes(draws))
    rows = draw(constraints(fleets, draws, ends))
    for fleet in fleets:
        own = fleet["name"] if fleet["name"] in children else None
        later = [name for name in children if own is None or name > own]
        fleet["steps"] = draw(steps(Context(rows, draws, later, own, ends, wild)))
        if own is None and not _works(fleet):
            fleet["steps"] += draw(steps(Context(rows, draws, [], None, ends, wild, names=20), depth=9))
    if '"hold": ' in json.dumps(fleets):  # how long it is held is not known before, as it has to be for these
        for row in rows:
            if row.get("charge") == "as_produced":
                row["charge"] = "on_finish"
                del row["chunk"]
    spawned = _spawned(fleets)
    fleets = [fleet for fleet in fleets if fleet["name"] in spawned or fleet["name"] not in CHILDREN]
    scenario: Dict = {"name": "rich", "seed": draw(st.integers(0, 3)), "constraints": rows, "fleets": fleets}
    wrong = draw(incidents(fleets, rows, draws, ends))
    if wrong:
        scenario["incidents"] = wrong
    counted = sorted({row["counts"] for row in rows if "counts" in row})
    if counted and scenario["seed"] % 2:  # they change nothing in a run, and so take no draw
        scenario["prices"] = dict(zip(counted, (0.25, "3/1M"), strict=False))
    if seldom(draw, 2):
        scenario["tenants"] = {"red": {"weight": draw(st.integers(1, 3))}, "blue": {}}
        optional(draw, scenario["tenants"]["red"], 2, starvation=times(0, 4))
    if ends or any("every" in row for row in rows):
        scenario["until"] = draw(grid(5, UNTIL_MAX_MS // 100))
    return scenario


def _arrive(draw: DrawFn, fleet: Dict, draws: Draws, ends: bool) -> None:
    if not seldom(draw, 3):
        fleet["count"] = draw(st.integers(1, AGENTS_MAX))
        optional(draw, fleet, 4, stagger=durations(draws, 0, 3))
        return
    kind = draw(
        st.sampled_from(["at", *(["every"] if ends else []), *(["poisson"] if ends and draws == "any" else [])])
    )
    if kind == "at":
        at = draw(st.lists(st.integers(0, 8), min_size=1, max_size=AGENTS_MAX).map(sorted))
        fleet["arrivals"] = {"at": [f"{100 * n}ms" for n in at]}
    elif kind == "every":
        fleet["arrivals"] = {"every": draw(times(3, 8))}
    else:
        fleet["arrivals"] = {"poisson": draw(st.sampled_from(["2/s", "1/300ms"]))}


def _works(fleet: Dict) -> bool:
    return '"task"' in json.dumps(fleet["steps"])


def _spawned(fleets: list[Dict]) -> set[str]:
    """Return the fleets that somebody spawns who is there, or is spawned."""
    texts = {fleet["name"]: json.dumps(fleet["steps"]) for fleet in fleets}
    found = {fleet["name"] for fleet in fleets if "count" in fleet or "arrivals" in fleet}
    for _ in CHILDREN:
        found |= {name for name in CHILDREN for other in found if f'"spawn": "{name}"' in texts[other]}
    return found
