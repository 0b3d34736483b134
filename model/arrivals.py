"""When the agents of a fleet start, worked out before the run."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from model import distributions, streams
from model.plan import PlanError
from model.scenario import AGENTS_MAX, At, Every, Fleet, Poisson, Scenario, Trace
from model.tables import Table
from model.units import TIME_MAX_NS

_ARRIVALS_AT_ONCE = 65_536


def starts_of(fleet: Fleet, scenario: Scenario, tables: Mapping[str, Table]) -> tuple[NDArray[np.int64], bool]:
    """Return the time at which each agent of the fleet starts, in ns, and whether more would come after the run's end.

    The starts of an open fleet end with the run.
    """
    until = TIME_MAX_NS if scenario.until is None else scenario.until
    match fleet.arrivals:
        case None:
            if fleet.count is None:
                return np.zeros(0, np.int64), False
            if fleet.stagger is None:
                return np.zeros(fleet.count, np.int64), False
            gaps = _gaps(f"{fleet.name}/start/stagger", fleet.stagger, scenario.seed, tables, 1, fleet.count - 1)
            return _sums(np.concatenate([np.zeros(1, np.int64), gaps])), False
        case At():
            starts = np.array(fleet.arrivals.at, np.int64)
        case Trace():
            trace = fleet.arrivals.trace
            starts = tables[trace.file].times(trace.time, trace.unit)
        case Every():
            _check_size(fleet, until / fleet.arrivals.every)
            starts = np.arange(0, until + 1, fleet.arrivals.every, dtype=np.int64)
        case Poisson():
            rate = fleet.arrivals.poisson
            mean = rate.period_ns / rate.tokens
            _check_size(fleet, until / mean)
            starts = _poisson(f"{fleet.name}/arrivals/interval", mean, scenario.seed, until)
    stop = int(np.searchsorted(starts, until, side="right"))
    return starts[:stop], stop < len(starts) or isinstance(fleet.arrivals, (Every, Poisson))


def _poisson(name: str, mean_ns: float, seed: int, until_ns: int) -> NDArray[np.int64]:
    """Return the arrival times of a Poisson process up to at least `until_ns`."""
    interval = distributions.Exponential[float](exponential=mean_ns)
    parts: list[NDArray[np.int64]] = []
    last = drawn = 0
    while last <= until_ns:
        gaps = _gaps(name, interval, seed, {}, drawn, _ARRIVALS_AT_ONCE)
        parts.append(_sums(np.concatenate([np.array([last], np.int64), gaps]))[1:])
        last, drawn = int(parts[-1][-1]), drawn + _ARRIVALS_AT_ONCE
    return np.concatenate(parts)


def _gaps(
    name: str, value: object, seed: int, tables: Mapping[str, Table], first: int, count: int
) -> NDArray[np.int64]:
    inverse = distributions.inverse_cdf(value, tables)
    return streams.index_draws(seed, name, lambda u: streams.rounded(inverse(u)), first, count)


def _sums(gaps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the running sums, held at `TIME_MAX_NS` instead of overflowing."""
    sums = np.cumsum(gaps)
    sums[np.cumsum(gaps.astype(np.float64)) >= TIME_MAX_NS] = TIME_MAX_NS
    return sums


def _check_size(fleet: Fleet, arrivals: float) -> None:
    if arrivals > AGENTS_MAX:
        raise PlanError(
            f"fleets.{fleet.name}.arrivals: about {arrivals:.3g} arrivals before the run ends; "
            f"allowed: at most {AGENTS_MAX:,}, so an earlier until or fewer arrivals"
        )
