"""Runs a scenario and writes its log: what the command line, the verifier and the benchmarks all call."""

import platform
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import simpy

from model import __version__
from model.events import Batch
from model.log import Header, LogWriter
from model.plan import Plan
from model.planner import plan
from model.scenario import Scenario
from model.tables import Table
from sim.engine import NO_LIMITS, Engine, Interrupted, Limits, Observer, Stopped
from sim.environment import Endless
from sim.recorder import Sink

OnInterrupt = Callable[[Callable[[], None]], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Run:
    """A scenario that is ready to run: its Plan, and the header of its log."""

    plan: Plan
    header: Header


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run; `wall_s` is the time that the run and its log took, in seconds.

    `stopped_by` is the limit that it came to, "events" or "time".
    """

    digest: str
    events: int
    wall_s: float
    interrupted: bool
    stopped_by: str | None


def prepare(scenario: Scenario, tables: Mapping[str, Table], inputs: Mapping[str, bytes]) -> Run:
    """Work the scenario out; raises PlanError where it cannot be planned."""
    planned = plan(scenario, tables)
    versions = {
        "fleetsim": __version__,
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "python": platform.python_version(),
        "simpy": simpy.__version__,
    }
    return Run(planned, planned.header(scenario.as_json(), versions, dict(inputs)))


def execute(
    run: Run,
    file: BinaryIO,
    observer: Observer | None = None,
    on_interrupt: OnInterrupt = nullcontext,
    listener: Sink | None = None,
    limits: Limits = NO_LIMITS,
) -> Outcome:
    """Run to the end and write the log to `file`; raises OSError where the file cannot take it.

    Raises Endless where there is no end. `observer` is told now and then how far the run is. `on_interrupt` is a context
    manager that holds while the run goes on; it is given what interrupts the run. `listener` is given the rows that are
    written. The log of a run that is interrupted, or stopped at one of its `limits`, is closed after its last event.
    """
    started = time.perf_counter()
    writer = LogWriter(file, run.header)

    def sink(batch: Batch) -> None:
        writer.write(batch)
        if listener is not None:
            listener(batch)

    engine = Engine(run.plan, sink, limits=limits)
    interrupted, stopped_by = False, None
    try:
        with on_interrupt(engine.interrupt):
            engine.run(observer)
    except Interrupted:
        interrupted = True
    except Stopped as stopped:
        stopped_by = str(stopped)
    except Endless:
        writer.close()
        raise
    writer.close()
    return Outcome(writer.digest(), writer.events, time.perf_counter() - started, interrupted, stopped_by)
