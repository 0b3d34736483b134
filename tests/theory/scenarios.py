"""The scenario of each model, as plain data from the parameters of a case.

Rules:

1. A scenario is what a user would write: documented keys, numbers as text. A mean service of 1 is a second.
2. Stations and classes are told apart by the name of their task; where there is one, it is `job`.
3. A key that the engine does not know yet is written all the same: `Row.needs` names it.
"""

import re
from collections.abc import Sequence
from typing import Any

Scenario = dict[str, Any]
Parameters = dict[str, Any]

JOB = "job"
CLASSES = ("urgent", "patient")
"""The two classes of a priority queue, highest first."""

TERMINALS = "terminals"

_SERVICES: dict[str, Any] = {
    "deterministic 1": "1s",
    "uniform(0,2)": {"uniform": ["0s", "2s"]},
    "Erlang(k=3, rate 3)": {"erlang": {"k": 3, "mean": "1s"}},
}
"""The laws of service that the JSON names; where it names none, service is exponential at rate `mu`."""


def seconds(value: float) -> str:
    """Write a time."""
    return f"{value!r}s"


def exponential(mean: float) -> Scenario:
    """Write an exponential time by its mean."""
    return {"exponential": seconds(mean)}


def station(p: Parameters, **options: Any) -> Scenario:
    """G/G/c: one queue and `c` servers; `options` are further keys of the constraint."""
    return _scenario([_servers(p["c"], **options)], [_open(JOB, _arrivals(p), {"duration": _service(p)})])


def loss_station(p: Parameters) -> Scenario:
    """M/M/c/K: who finds `K` in the system is turned away; `K` = `c` leaves no room to wait."""
    room = p["K"] - p["c"]
    return station(p, **({"room": room, "overflow": "newest"} if room else {"on_limit": "reject"}))


def priority_station(p: Parameters, **options: Any) -> Scenario:
    """M/M/1 with two classes, the first served before the second."""
    fleets = [
        _open(
            name,
            {"poisson": f"{p[f'lam{number}']!r}/s"},
            {"duration": exponential(1 / p[f"mu{number}"]), "priority": -number},
        )
        for number, name in enumerate(CLASSES, 1)
    ]
    return _scenario([_servers(p["c"], queue="priority", **options)], fleets)


def impatient_station(p: Parameters) -> Scenario:
    """M/M/c+M: who waits too long gives up."""
    task = {"duration": _service(p), "patience": exponential(p["patience_mean"])}
    return _scenario([_servers(p["c"])], [_open(JOB, _arrivals(p), task)])


def interactive_system(p: Parameters) -> Scenario:
    """M/M/c//N: `N` agents that think and then want one of `c` slots."""
    loop = [{"think": exponential(p["think_mean"])}, {"task": JOB, "duration": _service(p)}]
    return _scenario([_servers(p["c"])], [_closed(p["N"], loop)])


def cyclic_network(p: Parameters) -> Scenario:
    """Gordon-Newell: `N` agents go round single-server stations `station1`, `station2`, ..."""
    names = station_names(p)
    loop = [{"task": name, "duration": exponential(mean)} for name, mean in zip(names, p["service_means"], strict=True)]
    return _scenario(_single_servers(names), [_closed(p["N"], loop)])


def central_server_network(p: Parameters) -> Scenario:
    """The processor, then one of two disks and the processor again, or back to the terminals.

    To be at a terminal is a task that nothing governs, rather than to think, so that the log tells when it ends.
    """
    names = station_names(p)
    processor, *disks = (
        {"task": name, "duration": exponential(mean)} for name, mean in zip(names, p["service_means"], strict=True)
    )
    terminals = {"task": TERMINALS, "duration": exponential(p["think_mean"])}
    weights = map(float, re.findall(r"\d\.\d+", p["routing"]))  # disk 1, disk 2, terminals
    branches = [{"weight": w, "steps": [step]} for w, step in zip(weights, [*disks, terminals], strict=True)]
    return _scenario(_single_servers(names), [_closed(p["N"], [processor, {"choose": branches}])])


def station_names(p: Parameters) -> list[str]:
    """Return the names of the stations of a network, in the order of their service means."""
    return [f"station{number}" for number in range(1, 1 + len(p["service_means"]))]


def token_bucket(p: Parameters, **options: Any) -> Scenario:
    """Poisson arrivals at a token bucket; what is admitted takes no time."""
    limit = {"rate": f"{p['refill_rate']!r}/s", "burst": p["depth"], **options}
    return _scenario([_rate_limit(**limit)], [_open(JOB, _arrivals(p), {"duration": "0s"})])


def fixed_window(p: Parameters) -> Scenario:
    """Poisson arrivals at a counter that is set to zero every `window_s`."""
    limit = {"rate": f"{p['limit']}/{seconds(p['window_s'])}", "algorithm": "fixed_window", "on_limit": "reject"}
    return _scenario([_rate_limit(**limit)], [_open(JOB, _arrivals(p), {"duration": "0s"})])


def burst(p: Parameters) -> Scenario:
    """`n` requests at once at a full token bucket. It ends by itself."""
    limit = {"rate": f"{p['refill_rate']!r}/s", "burst": p["depth"]}
    fleet = {"name": "agent", "count": p["n"], "steps": [{"task": JOB, "duration": "0s"}]}
    return _scenario([_rate_limit(**limit)], [fleet])


def _scenario(constraints: Sequence[Scenario], fleets: Sequence[Scenario]) -> Scenario:
    return {"name": "theory", "constraints": list(constraints), "fleets": list(fleets)}


def _servers(count: int, **options: Any) -> Scenario:
    return {"id": "servers", "type": "concurrency", "limit": count, "scope": "global", **options}


def _single_servers(names: Sequence[str]) -> list[Scenario]:
    return [{"id": name, "type": "concurrency", "limit": 1, "scope": f"task:*_{name}"} for name in names]


def _rate_limit(**options: Any) -> Scenario:
    return {"id": "rate", "type": "rate_limit", "scope": "global", **options}


def _open(task: str, arrivals: Scenario, keys: Scenario) -> Scenario:
    return {"name": task, "arrivals": arrivals, "steps": [{"task": task, **keys}]}


def _closed(count: int, loop: Sequence[Scenario]) -> Scenario:
    return {"name": "agent", "count": count, "steps": [{"repeat": "forever", "steps": list(loop)}]}


def _arrivals(p: Parameters) -> Scenario:
    return {"every": seconds(p["interarrival"])} if "interarrival" in p else {"poisson": f"{p['lam']!r}/s"}


def _service(p: Parameters) -> Any:
    return _SERVICES[p["service"]] if "service" in p else exponential(1 / p["mu"])
