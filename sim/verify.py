"""Verification: the scenario inside a log is run again, and its header and every event are compared.

The verifier shares the engine with the run, of course, and nothing else: it reads the log's columns and names the first
row that differs. A log that is cut is verified as far as it goes.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from model.events import Batch
from model.faults import cut
from model.log import Header, Log
from model.validation import load_embedded
from sim.analysis.parting import Comparison
from sim.analysis.sides import Shared
from sim.engine import Engine, Observer
from sim.environment import Endless
from sim.execution import Run, prepare

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
    """Stops the run again: they differ, or the log is at its end."""


def verify(log: Log) -> Verdict:
    """Run the scenario in the log's header again and compare.

    Raises ScenarioError or PlanError where the header's scenario is not valid for this version, LogError where the log
    is damaged.
    """
    run = again(log)
    is_cut = log.cut  # before the run, which may be long: reading it also finds damage
    if (differing := header_difference(log.header, run.header)) is not None:
        path, *values = differing
        told = "the header differs in {}\n  in the log:    {}\n  in the re-run: {}".format(path, *values)
        return Verdict(log.digest(), 0, None, told)
    difference = None
    comparison = compare(log, run)
    if comparison.parting is not None:
        logged, rerun = comparison.parting.rows
        difference = f"event {comparison.events:,} differs\n  in the log:    {logged}\n  in the re-run: {rerun}"
    if is_cut and not comparison.events and difference is None:
        difference = "no event to compare: the log is cut before its first"
    return Verdict(log.digest(), comparison.events, comparison.last_ns if is_cut else None, difference)


def compare(log: Log, run: Run, observer: Observer | None = None) -> Comparison:
    """Make a run and hold its events against a log, to the first that differs; raises LogError where that is damaged."""
    comparison = Comparison(Shared(log.header, run.header), log.batches())

    def sink(batch: Batch) -> None:
        comparison.feed(batch)
        if comparison.is_over:
            raise _Over

    try:
        with suppress(Endless):  # then the log is cut, and ends where the run again does
            Engine(run.plan, sink).run(observer)
        comparison.end()
    except _Over:
        pass
    return comparison


def again(log: Log) -> Run:
    """Return the run of the scenario inside a log; raises ScenarioError or PlanError where that is not valid any more."""
    loaded = load_embedded(log.header.scenario, log.header.inputs)
    return prepare(loaded.scenario, loaded.tables, loaded.inputs)


def header_difference(logged: Header, rerun: Header) -> tuple[str, Any, Any] | None:
    """Return where the header that the run again would write is another, and both values."""
    before, after = asdict(logged), asdict(rerun)
    return next((found for name in _COMPARED if (found := _difference(before[name], after[name], name))), None)


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
