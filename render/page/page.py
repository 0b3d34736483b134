"""A page: one file that a browser opens from disk, with a log in it, or two beside each other.

Rules:

1. It is a function of the logs alone: no clock, no path, no name of this machine. The same logs give the same bytes.
2. It needs no network and may use none: a policy in it allows its own script and style, known by their SHA-256, and
   nothing else.
3. What a log says is data, never markup: it stands as JSON without `<`, and in the title as text. The scripts put it on the
   page as text.
4. The numbers of the report are those of `sim.analysis.report`.
"""

import base64
import hashlib
import html
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from model.faults import cut
from model.header import ConstraintEntry
from model.log import Log
from render.film import Film
from render.grid import spawned_name
from render.page import series
from render.page.columns import folded, packed
from render.page.frames import Frames
from render.page.held import held
from render.status import rate
from sim.analysis.alterations import alterations
from sim.analysis.report import report
from sim.analysis.sides import Shared

_SCRIPTS = (
    *("words.js", "data.js", "film.js", "colors.js", "grid.js", "pair.js", "heading.js", "charts.js", "overtime.js"),
    *("story.js", "tables.js", "report.js", "controls.js", "page.js"),
)
_ALTERED_MAX = 10
_VALUE_MAX = 120
_TOLD = ("scenario", "seed", "cut", "events", "end_ns", "tasks", "crashes", "wait_ns")
_OF_STORMS = ("incidents", "from_ns", "to_ns", "verdict")
_OF_STARVATION = ("exceeded", "waits", "bound_ns")
_TOLD_OF_CONSTRAINTS = (
    *("utilisation", "blocked_ns", "blocked_episodes", "rejected", "peak_waiting", "mean_waiting"),
    "wait_ns",
)


@dataclass(slots=True)
class _Run:
    """A log that was read: its film, its frames and its report."""

    film: Film
    frames: Frames
    told: dict[str, Any]

    @classmethod
    def read(cls, log: Log) -> "_Run":
        film = Film(log)
        told, _ = report(log)
        return cls(film, Frames(film), told)


@dataclass(frozen=True, slots=True)
class Page:
    """The content of the file, and of each log the time up to which it goes where it is cut, else None."""

    content: bytes
    cut_ns: tuple[int | None, ...]


def page(first: Log, second: Log | None = None) -> Page:
    """Return a page of a log, or of two.

    Raises LogError where one is damaged, BadInput where its scenario is none of this version.
    """
    runs = [_Run.read(log) for log in (first, second) if log is not None]
    end_ns = max(run.film.shown_ns for run in runs)
    wait_edges = series.wait_edges([run.film for run in runs])
    entries, texts = [], []
    for number, (run, shared) in enumerate(zip(runs, _shared(runs), strict=True)):
        holdings, numbers = held(run.film, run.frames)
        columns = columns_of(run.film, run.frames, end_ns) | holdings | ({} if shared is None else {"shared": shared})
        directory, text = packed(columns)
        texts.append(f'<script type="application/octet-stream" id="columns-{number}">{text}</script>')
        entries.append(_entry(run, wait_edges, numbers) | {"columns": directory})
    about = {
        "end_ns": end_ns,
        "edges_ns": series.edges_of(end_ns).tolist(),
        "wait_edges_ns": wait_edges,
        "mean_unit": series.MEAN_UNIT,
        "share_unit": series.SHARE_UNIT,
        "altered": _altered(runs),
        "runs": entries,
    }
    content = _filled(" and ".join(dict.fromkeys(run.film.header.name for run in runs)), _data(about), "\n".join(texts))
    return Page(content.encode(), tuple(run.film.end_ns if run.film.cut else None for run in runs))


def _filled(title: str, data: str, columns: str) -> str:
    style, script = _style(), _script()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    filled = {
        "policy": policy,
        "title": html.escape(_printable(title)),
        "style": style,
        "data": data,
        "columns": columns,
        "script": script,
    }
    before, *marked = _asset("page.html").split("{{")
    parts = [before]
    for piece in marked:
        name, _, after = piece.partition("}}")
        parts += [filled[name], after]
    return "".join(parts)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _asset(name: str) -> str:
    """Return a file beside this module."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _style() -> str:
    return _asset("vendor/uPlot.min.css") + "\n" + _asset("page.css")


def _script() -> str:
    """Return all scripts as one: each after those that it needs."""
    notice = "/*\n" + _asset("vendor/uPlot.LICENSE").strip() + "\n*/\n"
    own = "\n".join(_asset(f"parts/{name}") for name in _SCRIPTS)
    return f'{notice}{_asset("vendor/uPlot.iife.min.js")}\n(() => {{\n"use strict";\n{own}\n}})();\n'


def _data(value: Any) -> str:
    """Return JSON that can stand in a script element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def columns_of(film: Film, frames: Frames, end_ns: int) -> dict[str, Any]:
    """Return the columns of a run, with its series up to a time."""
    columns = frames.columns()
    for number in range(len(film.header.constraints)):
        columns |= frames.steps(f"waiting.{number}", film.waiting[number])
        columns |= frames.steps(f"limit.{number}", film.limit[number])
        used = film.used[number]
        if used is not None:
            columns |= frames.steps(f"used.{number}", used)
        taken = film.taken[number]
        if taken is not None:
            columns |= frames.steps(f"taken.{number}", taken)
    columns |= series.series(film, end_ns)
    if film.agents > film.header.agents:
        fleets, numbers = film.roster.places(np.arange(film.header.agents, film.agents))
        columns |= {"spawned.fleet": fleets, "spawned.number": numbers}
    return columns


def _altered(runs: list[_Run]) -> list[str]:
    """Return what differs between the scenarios of two runs, in words."""
    if len(runs) < 2:
        return []
    one, other = (run.film.header for run in runs)
    found = alterations(one.scenario, other.scenario)
    told = [f"{each['path']}: {_value(each['a'])} in A, {_value(each['b'])} in B" for each in found]
    left = len(told) - _ALTERED_MAX
    return told if left <= 0 else [*told[:_ALTERED_MAX], f"and {left} more"]


def _value(value: Any) -> str:
    return "nothing" if value is None else cut(json.dumps(value, ensure_ascii=False), _VALUE_MAX)


def _shared(runs: list[_Run]) -> list[Any]:
    """Return for each run the numbers of its agents in both, or None where there is only one."""
    if len(runs) < 2:
        return [None]
    shared = Shared(runs[0].film.header, runs[1].film.header)
    numbers = []
    for run, side in zip(runs, shared.sides, strict=True):
        side.feed(run.film.rows)
        numbers.append(folded(np.diff(side.agents(np.arange(run.film.agents)), prepend=0)))
    return numbers


def _entry(run: _Run, wait_edges: list[float], numbers: list[int | None]) -> dict[str, Any]:
    """Return what is said of a log beside its columns; `numbers` are those of who holds what."""
    film, frames = run.film, run.frames
    header, told = film.header, run.told
    counts, none = series.waits(film, wait_edges)
    return {
        "agents": film.agents,
        "listed": header.agents,
        "spawned": spawned_name(header),
        "fleets": [[fleet.name, fleet.first, fleet.count, fleet.tenant] for fleet in header.fleets],
        "steps": [step.name for step in header.steps],
        "constraints": [_constraint(*each) for each in zip(header.constraints, numbers, strict=True)],
        "states": frames.states,
        "longest_blocked_ns": film.blocked_ns_max,
        "every_ns": frames.every_ns,
        "moves": frames.moves,
        "shown": len(frames.agent),
        "waits": {"counts": counts, "none": none},
        "report": {key: told[key] for key in _TOLD}
        | {"seed": str(told["seed"])}  # a browser has no whole numbers of 64 bits
        | _went_wrong(told)
        | {
            "ledger": {"ns": told["ledger"]["ns"], "causes": _listed(told["ledger"]["causes"], "ns", "overtaken_ns")},
            "cost": _cost(told["cost"]),
            "constraints": [
                {key: told["constraints"][entry.id][key] for key in _TOLD_OF_CONSTRAINTS}
                for entry in header.constraints
            ],
        },
    }


def _went_wrong(told: dict[str, Any]) -> dict[str, Any]:
    """Return the outcomes and the verdicts of a report, without their proofs."""
    stalled, inverted = told["stalled"], told["priority_inversions"]
    return {
        "retries": told["all"]["retries"],
        "lost": told["all"]["lost"],
        "deadlocks": [{key: each[key] for key in ("time_ns", "agents")} for each in told["deadlocks"]],
        "stalled": stalled and {key: stalled[key] for key in ("since_ns", "tasks")},
        "storms": [{key: each[key] for key in _OF_STORMS} for each in told["storms"] or ()],
        "starvation": [
            {"name": each.get("fleet", each.get("tenant")), **{key: each[key] for key in _OF_STARVATION}}
            for each in told["starvation"]
        ],
        "priority_inversions": {key: inverted[key] for key in ("episodes", "inverted_ns")},
    }


def _listed(group: dict[str, dict[str, Any]], *keys: str) -> list[list[Any]]:
    """Return names with some of their numbers as rows: the order of a browser's objects is not that of the report."""
    return [[name, *(each[key] for key in keys)] for name, each in group.items()]


def _cost(cost: dict[str, Any] | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    return {
        "total": cost["total"],
        "units": _listed(cost["units"], "amount", "cost"),
        "fleets": list(cost["fleets"].items()),
        "tenants": list(cost["tenants"].items()),
    }


def _constraint(entry: ConstraintEntry, held_by: int | None) -> dict[str, Any]:
    return {
        "id": entry.id,
        "type": entry.type,
        "scope": entry.scope,
        "counts": entry.counts,
        "held": held_by,
        "settings": [_setting(entry.type, time, numbers) for time, numbers in entry.settings],
    }


def _setting(type_: str, time: int, numbers: dict[str, int] | None) -> dict[str, Any]:
    """Return what is in force from a time on: a rate as it was written, and over what time things come back."""
    if type_ not in ("rate_limit", "quota") or numbers is None:
        return {"time": time}
    told: dict[str, Any] = {"time": time, "period_ns": numbers["period_ns"]}
    if type_ == "quota":
        return told | {"first_use": bool(numbers.get("first_use"))}
    return told | {"rate": rate(numbers), "tokens": numbers["tokens"]}
