"""Verification: the scenario inside a log is run again, and every event is compared.

The verifier shares the engine with the run, of course, and nothing else: it reads the log's columns and names the first
row that differs.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from model.events import Batch, Kind, Status
from model.log import Digest, Header, Log
from model.validation import load_embedded
from sim.engine import Endless, Engine
from sim.run import prepare


@dataclass(frozen=True, slots=True)
class Verdict:
    """`difference` names the first event that differs, or is None where the log and the run again agree."""

    digest_log: str
    digest_again: str
    events: int
    difference: str | None


class _Differs(Exception):
    """Stops the run at the first difference."""


class _Comparison:
    """Takes the batches of the run again, and holds each row against the log."""

    def __init__(self, log: Log) -> None:
        self._header = log.header
        self._batches: Iterator[Batch] = log.batches()
        self._left: Batch | None = None
        self.digest = Digest()
        self.events = 0
        self.difference: str | None = None

    def feed(self, again: Batch) -> None:
        """Compare the next rows; raises _Differs at the first that is another."""
        self.digest.update(again)
        at = 0
        while at < len(again):
            if self._left is None or not len(self._left):
                self._left = next(self._batches, None)
            if self._left is None:
                self._differ("the log ends here", _told(again, at, self._header))
            assert self._left is not None
            count = min(len(self._left), len(again) - at)
            same = np.ones(count, np.bool_)
            for logged, rerun in zip(self._left.columns(), again.columns(), strict=True):
                same &= logged[:count] == rerun[at : at + count]
            if not same.all():
                row = int(np.argmin(same))
                self.events += row
                self._differ(_told(self._left, row, self._header), _told(again, at + row, self._header))
            self._left = self._left.rows(count, len(self._left))
            self.events += count
            at += count

    def end(self) -> None:
        """Look for rows of the log after the end of the run again."""
        if self._left is None or not len(self._left):
            self._left = next(self._batches, None)
        if self._left is not None:
            self._differ(_told(self._left, 0, self._header), "the run ends here")

    def _differ(self, logged: str, again: str) -> None:
        self.difference = f"event {self.events:,} differs\n  in the log:    {logged}\n  in the re-run: {again}"
        raise _Differs


def verify(log: Log) -> Verdict:
    """Run the scenario in the log's header again and compare.

    Raises ScenarioError or PlanError where the header's scenario is not valid for this version.
    """
    loaded = load_embedded(log.header.scenario, log.header.inputs)
    run = prepare(loaded.scenario, loaded.tables, loaded.inputs)
    comparison = _Comparison(log)
    try:
        with suppress(Endless):  # then the log is cut, and ends where the run again does
            Engine(run.plan, comparison.feed).run()
        comparison.end()
    except _Differs:
        pass
    return Verdict(log.digest(), comparison.digest.hex(), comparison.events, comparison.difference)


def _told(batch: Batch, row: int, header: Header) -> str:
    """Say in words what a row holds."""
    time, kind, agent, step, visit, attempt, constraint, value = (int(column[row]) for column in batch.columns())
    try:
        name = Kind(kind).name
    except ValueError:
        name = f"unknown kind {kind}"
    words = [f"{time / 1e9:.9f} s {name}"]
    if 0 <= agent < header.agents and step < len(header.steps):
        words.append(header.task_name(agent, step) or f"agent {agent}")
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
