"""Verification: the scenario inside a log is run again, and its header and every event are compared.

The verifier shares the engine with the run, of course, and nothing else: it reads the log's columns and names the first
row that differs. A log that is cut is verified as far as it goes.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model.events import Batch, Kind, Status
from model.faults import cut
from model.log import Header, Log
from model.roster import Roster
from model.validation import load_embedded
from sim.engine import Engine
from sim.environment import Endless
from sim.execution import prepare

_COMPARED = ("name", "seed", "until_ns", "fleets", "steps", "constraints")
"""What of the header follows from the scenario. The versions may differ, and the scenario is what is run."""

_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it: the digest of the log, how many events agree, and what differs then, None where nothing does.

    `cut_ns` is the time of the last event of a log that ends before its run does; None where it is whole.
    """

    digest: str
    events: int
    cut_ns: int | None
    difference: str | None


class _Over(Exception):
    """Stops the run again: the log is at its end."""


class _Differs(Exception):
    """Stops the run at the first difference."""


class _Comparison:
    """Takes the batches of the run again, and holds each row against the log."""

    def __init__(self, log: Log) -> None:
        self._roster = Roster(log.header)
        self._batches: Iterator[Batch] = log.batches()
        self._left: Batch | None = None
        self.events = 0
        self.last_ns = 0
        self.difference: str | None = None

    def feed(self, again: Batch) -> None:
        """Compare the next rows; raises _Differs at the first that is another, _Over at the end of a log that is cut."""
        at = 0
        while at < len(again):
            if (left := self._next()) is None:
                raise _Over
            count = min(len(left), len(again) - at)
            same = np.ones(count, np.bool_)
            for logged, rerun in zip(left.columns(), again.columns(), strict=True):
                same &= logged[:count] == rerun[at : at + count]
            if not same.all():
                row = int(np.argmin(same))
                self.events += row
                self._differ(_told(left, row, self._roster), _told(again, at + row, self._roster))
            self.last_ns = int(left.time[count - 1])
            self._left = left.rows(count, len(left))
            self.events += count
            at += count

    def end(self) -> None:
        """Look for rows of the log after the end of the run again."""
        if (left := self._next()) is not None:
            self._differ(_told(left, 0, self._roster), "the run ends here")

    def _next(self) -> Batch | None:
        """Return the rows of the log that are not compared yet, or None where there are no more."""
        if self._left is None or not len(self._left):
            self._left = next(self._batches, None)
            if self._left is not None:
                self._roster.feed(self._left)
        return self._left

    def _differ(self, logged: str, again: str) -> None:
        self.difference = f"event {self.events:,} differs\n  in the log:    {logged}\n  in the re-run: {again}"
        raise _Differs


def verify(log: Log) -> Verdict:
    """Run the scenario in the log's header again and compare.

    Raises ScenarioError or PlanError where the header's scenario is not valid for this version, LogError where the log
    is damaged.
    """
    loaded = load_embedded(log.header.scenario, log.header.inputs)
    run = prepare(loaded.scenario, loaded.tables, loaded.inputs)
    is_cut = log.cut  # before the run, which may be long: reading it also finds damage
    if (difference := _header_difference(log.header, run.header)) is not None:
        return Verdict(log.digest(), 0, None, difference)
    comparison = _Comparison(log)
    try:
        with suppress(Endless):  # then the log is cut, and ends where the run again does
            Engine(run.plan, comparison.feed).run()
        comparison.end()
    except (_Differs, _Over):
        pass
    difference = comparison.difference
    if is_cut and not comparison.events and difference is None:
        difference = "no event to compare: the log is cut before its first"
    return Verdict(log.digest(), comparison.events, comparison.last_ns if is_cut else None, difference)


def _header_difference(logged: Header, again: Header) -> str | None:
    """Say where the header that the run again would write is another."""
    before, after = asdict(logged), asdict(again)
    for name in _COMPARED:
        found = _difference(before[name], after[name], name)
        if found is not None:
            path, *values = found
            return "the header differs in {}\n  in the log:    {}\n  in the re-run: {}".format(path, *values)
    return None


def _difference(logged: Any, again: Any, path: str) -> tuple[str, Any, Any] | None:
    """Return the path of the first value that differs, and both values."""
    if logged == again:
        return None
    if isinstance(logged, dict) and isinstance(again, dict) and logged.keys() == again.keys():
        pairs = [(logged[key], again[key], f"{path}.{key}") for key in logged]
    elif isinstance(logged, tuple) and isinstance(again, tuple) and len(logged) == len(again):
        pairs = [(*both, f"{path}.{number}") for number, both in enumerate(zip(logged, again, strict=True))]
    else:
        return path, cut(repr(logged), _SHOWN_MAX), cut(repr(again), _SHOWN_MAX)
    return next(found for pair in pairs if (found := _difference(*pair)) is not None)


def _told(batch: Batch, row: int, roster: Roster) -> str:
    """Say in words what a row holds."""
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
