"""Which measure of the log stands for which exact result, how long each case is run, how narrow its interval must be.

Rules:

1. Every result that the JSON states for a case is compared, or is in `UNCOMPARED` with the reason.
2. Each of `REPLICATIONS` runs starts empty, and its first `warm_up_s` are deleted: `WARM_UP` = 10 relaxation times, after
   which the bias is about exp(-10), a 400th of the resolution. That of M/M/1 at rate c mu is 1 / (c mu (1 - sqrt(rho))^2)
   (Morse, Queues, Inventories and Maintenance, 1958); M/M/c and services less variable than exponential forget no more
   slowly. Finite and impatient systems have no such singularity: by the eigenvalues of their generators it is 5.8 s for
   mmcK_c2_K10_lam1.8 and less for all others (`FINITE_S`), and at most 1 s for those of 50 servers and more (`LARGE_S`).
3. An interval has to come out within `RESOLUTION` % of the exact value, unless the row says how wide. The reason why is
   that of the kind of result (`Reason`). Either way what is compared is the exact value.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, partial
from math import sqrt

from model.events import Kind, Status

from . import scenarios
from .estimates import Moment, Quantile, Quantity, Ratio, Variance
from .measures import Seconds, Window
from .reference import Case, cases
from .scenarios import CLASSES, JOB, TERMINALS, Parameters, Scenario

REPLICATIONS = 64
RESOLUTION = 2.0
WARM_UP = 10
FINITE_S = 60.0
LARGE_S = 10.0


class Reason(Enum):
    """Why an interval may be wider than the resolution."""

    slow = "waits are correlated over 1 / (1 - sqrt(rho))^2 services: 2 % would take many millions of tasks"
    rare = "few tasks of a run meet what is counted"
    tail = "a second moment or a far quantile rests on the few longest waits"


_REASONS = {
    **dict.fromkeys(("P_block", "P_abandon", "P_window_hits_limit"), Reason.rare),
    **dict.fromkeys(("Var_Wq", "Var_T", "EWq2", "Wq_p95", "Wq_p99"), Reason.tail),
}
"""By the name of the result; for all others it is `Reason.slow`."""

_TOO_RARE = "one request in 4,000 waits, in clusters: 100 million requests until Student's t can be relied on"

UNCOMPARED = {
    ("mm1_lifo_rho0.8", "Var_Wq_FCFS"): "what another discipline would give; mm1_rho0.8 compares it",
    ("mmc_c64_rho0.9", "Var_Wq"): "the interval would be half as wide as the value after 900,000 tasks",
    **{("tokenbucket_queue_lam8_r10_b20", name): _TOO_RARE for name in ("P_no_wait", "P_wait", "Wq", "Lq")},
}
"""Results that no run of their case can show, with the reason."""

Menu = Mapping[str, Quantity]
"""What can be compared, by the JSON's names."""


@dataclass(frozen=True, slots=True)
class Result:
    """One exact value, what estimates it, and how narrow its interval has to be, relative to it."""

    name: str
    exact: float
    quantity: Quantity
    within: float
    because: Reason
    """Why `within` may be above the resolution."""


@dataclass(frozen=True, slots=True)
class Row:
    """A case that is simulated: its scenario, what is compared, and how long each replication is."""

    case: Case
    scenario: Scenario
    results: tuple[Result, ...]
    warm_up_s: float
    length_s: float
    needs: frozenset[str]
    """Keys of the scenario that some version of the engine does not know."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a case is simulated; `wide` has the half-widths that may be above the resolution, in %."""

    build: Callable[[Parameters], Scenario]
    menu: Callable[[Case], Menu]
    length_s: float
    warm_up_s: float | None = None
    needs: Sequence[str] = ()
    wide: Mapping[str, float] = field(default_factory=dict)


# What can be compared


def _seconds(window: Window) -> float:
    return window.seconds


def _count(kind: Kind, task: str = JOB, status: Status | None = None) -> Callable[[Window], float]:
    return lambda window: window.count(kind, task, status)


_blocked = _count(Kind.TaskBlocked)
_rejected = _count(Kind.TaskRejected)
_abandoned = _count(Kind.TaskAbandoned)
_started = _count(Kind.TaskStarted)


def _served(task: str = JOB) -> Callable[[Window], float]:
    return _count(Kind.TaskFinished, task, Status.succeeded)


def _asked(window: Window) -> float:
    return window.asked(JOB)


def _arrived(window: Window) -> float:
    return _asked(window) + _rejected(window)


def _waits(window: Window) -> Seconds:
    return window.waits(JOB)


def _sojourns(window: Window) -> Seconds:
    return window.sojourns(JOB)


def _present(*tasks: str) -> Callable[[Window], float]:
    return lambda window: sum(window.waiting(task) + window.in_service(task) for task in tasks)


def _busy(servers: int, *tasks: str) -> Callable[[Window], float]:
    """Integrate the share of busy servers. (Of several classes no two are ever in service at once: one server.)"""
    return lambda window: sum(window.in_service(task, at_most=servers) for task in tasks) / servers


def _station(case: Case) -> Menu:
    servers = case.parameters["c"]
    waiting = Ratio(lambda window: window.waiting(JOB), _seconds)
    time_in_system = Moment(_sojourns)
    waits = Ratio(_blocked, _asked)
    quantiles = {
        name: Quantile(_waits, level, case.results[name])
        for name, level in (("Wq_p95", 0.95), ("Wq_p99", 0.99))
        if name in case.results
    }
    return {
        "utilisation": Ratio(_busy(servers, JOB), _seconds),
        "throughput": Ratio(_served(), _seconds),
        "P_wait": waits,
        "P_wait_accepted": waits,
        "sigma": waits,  # of GI/M/1: the probability that an arrival waits
        "P_block": Ratio(_rejected, _arrived),
        "P_abandon": Ratio(_abandoned, _asked),
        "Lq": waiting,
        "L": Ratio(_present(JOB), _seconds),
        "Wq": Moment(_waits),
        "Wq_all": Ratio(
            lambda window: window.waited(Kind.TaskResumed, JOB) + window.waited(Kind.TaskAbandoned, JOB), _asked
        ),
        "EWq2": Moment(_waits, power=2),
        "Var_Wq": Variance(_waits),
        "W": time_in_system,
        "T": time_in_system,
        "R": time_in_system,
        "Var_T": Variance(_sojourns),
        # Mean time in system by mean work; under processor sharing one server does all the work there is.
        "slowdown": Ratio(lambda window: float(_sojourns(window).sum()), _busy(servers, JOB)),
        **quantiles,
    }


def _classes(case: Case) -> Menu:
    menu: dict[str, Quantity] = {
        "utilisation": Ratio(_busy(case.parameters["c"], *CLASSES), _seconds),
        "Wq_all": Ratio(
            lambda window: sum(window.waited(Kind.TaskResumed, name) for name in CLASSES),
            lambda window: sum(_served(name)(window) for name in CLASSES),
        ),
    }
    for number, name in enumerate(CLASSES, 1):
        # All time not in service: what is preempted waits again. So a visit may have several waits.
        menu[f"Wq{number}"] = Ratio(partial(Window.waited, kind=Kind.TaskResumed, task=name), _served(name))
        menu[f"Lq{number}"] = Ratio(partial(Window.waiting, task=name), _seconds)
        menu[f"L{number}"] = Ratio(_present(name), _seconds)
        menu[f"T{number}"] = Moment(partial(Window.sojourns, task=name))
    return menu


def _network(case: Case) -> Menu:
    names = scenarios.station_names(case.parameters)
    passed = _served(TERMINALS if "think_mean" in case.parameters else names[0])
    menu: dict[str, Quantity] = {
        "throughput": Ratio(passed, _seconds),
        "R_total": Ratio(_present(*names), passed),  # Little's law, an identity on a log
    }
    for number, name in enumerate(names, 1):
        menu[f"Q{number}"] = Ratio(_present(name), _seconds)
        menu[f"R{number}"] = Moment(partial(Window.sojourns, task=name))
        menu[f"U{number}"] = Ratio(_busy(1, name), _seconds)
    return menu


def _shaper(case: Case) -> Menu:
    rate = case.parameters["refill_rate"]
    return {
        "utilisation": Ratio(_started, lambda window: rate * window.seconds),
        "P_wait": Ratio(_blocked, _asked),
        "P_no_wait": Ratio(lambda window: _asked(window) - _blocked(window), _asked),
        "Wq": Moment(_waits),
        "Lq": Ratio(lambda window: window.waiting(JOB), _seconds),
    }


def _policer(case: Case) -> Menu:
    return {"P_block": Ratio(_rejected, _arrived), "accepted_rate": Ratio(_started, _seconds)}


def _window_counter(case: Case) -> Menu:
    limit, period_s = case.parameters["limit"], case.parameters["window_s"]

    def accepted(window: Window) -> Seconds:
        return window.per_period(Kind.TaskStarted, JOB, period_s).astype(float)

    return {
        "P_block": Ratio(_rejected, _arrived),
        "accepted_per_window": Moment(accepted),
        "P_window_hits_limit": Moment(lambda window: (accepted(window) >= limit).astype(float)),
    }


# How each case is run


def _relaxation_s(p: Parameters) -> float:
    """Return the relaxation time of M/M/1 with the rate of all servers; of two classes all are served as the slower."""
    classes = [("lam", "mu")] if "lam" in p else [("lam1", "mu1"), ("lam2", "mu2")]
    servers = p.get("c", 1) * p.get("refill_rate", 1)
    utilisation = sum(p[rate] / p.get(service, 1) for rate, service in classes) / servers
    slowest = min(p.get(service, 1) for _, service in classes)
    return 1 / (slowest * servers * (1 - sqrt(utilisation)) ** 2)


_FIRST_COME = partial(_Plan, scenarios.station, _station)
_LAST_COME = partial(_Plan, partial(scenarios.station, queue="lifo"), _station, needs=("queue",))
_SHARED = partial(
    _Plan, partial(scenarios.station, queue="processor_sharing"), _station, needs=("queue", "processor_sharing")
)
_LOSS = partial(_Plan, scenarios.loss_station, _station, warm_up_s=FINITE_S)
_IMPATIENT = partial(_Plan, scenarios.impatient_station, _station, warm_up_s=FINITE_S, needs=("patience",))
_PRIORITY = partial(_Plan, scenarios.priority_station, _classes, needs=("queue",))
_PREEMPTIVE = partial(
    _Plan, partial(scenarios.priority_station, preempt="resume"), _classes, needs=("queue", "preempt")
)
_INTERACTIVE = partial(_Plan, scenarios.interactive_system, _station, warm_up_s=FINITE_S)
_CYCLIC = partial(_Plan, scenarios.cyclic_network, _network, warm_up_s=FINITE_S)
_CENTRAL = partial(_Plan, scenarios.central_server_network, _network, warm_up_s=FINITE_S, needs=("choose",))
_SHAPER = partial(_Plan, scenarios.token_bucket, _shaper)
_POLICER = partial(
    _Plan, partial(scenarios.token_bucket, on_limit="reject"), _policer, warm_up_s=FINITE_S, needs=("on_limit",)
)
_COUNTER = partial(_Plan, scenarios.fixed_window, _window_counter, warm_up_s=0, needs=("algorithm", "on_limit"))

_PLANS: dict[str, _Plan] = {
    "mm1_rho0.5": _FIRST_COME(66_000, wide={"Lq": 2.5, "Wq": 2.5, "Var_Wq": 8, "Wq_p95": 3, "Wq_p99": 4.5}),
    "mm1_rho0.8": _FIRST_COME(
        20_000, wide={"Lq": 7, "L": 5.5, "Wq": 6, "W": 5, "Var_Wq": 20, "Wq_p95": 9, "Wq_p99": 15}
    ),
    "mmc_c2_rho0.7": _FIRST_COME(
        7000, wide={"P_wait": 2.5, "Wq": 9, "Lq": 9, "W": 4.5, "L": 5, "Var_Wq": 25, "Wq_p95": 12}
    ),
    "mmc_c4_rho0.8": _FIRST_COME(
        3000, wide={"P_wait": 3.5, "Wq": 12, "Lq": 15, "W": 5.5, "L": 6, "Var_Wq": 35, "Wq_p95": 15}
    ),
    "mmc_c8_rho0.9": _FIRST_COME(
        2500, wide={"P_wait": 3, "Wq": 15, "Lq": 15, "W": 8, "L": 8, "Var_Wq": 50, "Wq_p95": 20}
    ),
    "mmc_c64_rho0.9": _FIRST_COME(200, wide={"P_wait": 15, "Wq": 40, "Lq": 40, "W": 2.5, "L": 2.5, "Wq_p95": 50}),
    "md1_rho0.5": _FIRST_COME(30_000, wide={"Lq": 3, "Var_Wq": 8}),
    "md1_rho0.8": _FIRST_COME(12_500, wide={"Wq": 7, "Lq": 8, "W": 4.5, "L": 5, "Var_Wq": 25}),
    "md1_rho0.9": _FIRST_COME(15_000, wide={"Wq": 10, "Lq": 12, "W": 9, "L": 9, "Var_Wq": 50}),
    "mg1_uniform_rho0.7": _FIRST_COME(10_000, wide={"Wq": 7, "Lq": 7, "W": 4, "L": 4.5, "Var_Wq": 20}),
    "mg1_erlang3_rho0.8": _FIRST_COME(12_500, wide={"Wq": 9, "Lq": 9, "W": 6, "L": 7, "Var_Wq": 35}),
    "dm1_rho0.8": _FIRST_COME(12_500, wide={"Wq": 9, "W": 5.5, "Lq": 9, "L": 5.5}),
    "mdc_c4_rho0.8": _FIRST_COME(3000, wide={"Lq": 8, "Wq": 8, "L": 3}),
    "mmcK_c1_K5_lam0.8": _LOSS(8000, needs=("room", "overflow"), wide={"P_block": 6, "Lq": 3, "Wq": 3}),
    "mmcK_c2_K10_lam1.8": _LOSS(
        4500, needs=("room", "overflow"), wide={"P_block": 9, "Lq": 4.5, "L": 3, "Wq": 4, "W": 3}
    ),
    "mmcK_c4_K8_lam5": _LOSS(1500, needs=("room", "overflow"), wide={"P_block": 3, "Lq": 2.5, "Wq": 3}),
    "erlangB_c1_a1": _LOSS(3000, needs=("on_limit",)),
    "erlangB_c5_a4": _LOSS(1800, needs=("on_limit",), wide={"P_block": 3}),
    "erlangB_c100_a90": _LOSS(65, needs=("on_limit",), warm_up_s=LARGE_S, wide={"P_block": 25}),
    "prio_np_mm1_2class": _PRIORITY(10_000, wide={"Wq1": 4.5, "Wq2": 9, "Lq1": 5, "Lq2": 10, "Wq_all": 8}),
    "prio_np_mm1_2class_diffmu": _PRIORITY(10_000, wide={"Wq1": 6, "Wq2": 12, "Lq1": 7, "Lq2": 15}),
    "prio_pr_mm1_2class": _PREEMPTIVE(10_000, wide={"T1": 3, "T2": 7, "Wq1": 7, "Wq2": 8, "L1": 3.5, "L2": 7}),
    "repair_c1_N10_Z10": _INTERACTIVE(26_000),
    "repair_c2_N12_Z4": _INTERACTIVE(8000),
    "repair_c4_N20_Z3": _INTERACTIVE(4500),
    "closed_cyclic3_N6": _CYCLIC(10_000),
    "closed_central_server_N8": _CENTRAL(2500, wide={"Q2": 2.5, "Q3": 3.5, "R_total": 3}),
    "mm1_lifo_rho0.8": _LAST_COME(25_000, wide={"Wq": 6, "EWq2": 50, "Var_Wq": 50}),
    "mm1_ps_rho0.8": _SHARED(12_000, wide={"T": 6, "L": 7, "slowdown": 5.5, "Var_T": 25}),
    "erlangA_c10_lam9_th0.5": _IMPATIENT(600, wide={"P_wait": 5.5, "P_abandon": 10, "Lq": 10, "Wq_all": 10}),
    "erlangA_c50_lam55_th1": _IMPATIENT(
        100, warm_up_s=LARGE_S, wide={"P_wait": 5.5, "P_abandon": 10, "Lq": 12, "Wq_all": 12}
    ),
    "tokenbucket_queue_lam0.8_r1_b1": _SHAPER(12_500, wide={"P_no_wait": 3.5, "Wq": 7, "Lq": 7}),
    "tokenbucket_queue_lam0.8_r1_b5": _SHAPER(12_500, wide={"P_wait": 10, "Wq": 25, "Lq": 25}),
    "tokenbucket_queue_lam8_r10_b20": _SHAPER(1000),
    "tokenbucket_drop_lam1_r1_b1": _POLICER(4000),
    "tokenbucket_drop_lam1_r1_b5": _POLICER(10_000, wide={"P_block": 4.5}),
    "fixedwindow_drop_lam1_T60_L60": _COUNTER(9000, wide={"P_block": 12, "P_window_hits_limit": 6}),
    "fixedwindow_drop_lam0.5_T60_L40": _COUNTER(18_000, wide={"P_block": 35, "P_window_hits_limit": 20}),
}
"""By case: seconds of a replication, and in `wide` the half-widths that may be above the resolution, in %."""

BURSTS = ("tokenbucket_burst_n100_b10_r2.0", "tokenbucket_burst_n4_b2_r5.0", "tokenbucket_burst_n50_b1_r0.5")
"""Cases without chance: `bursts` compares them to the nanosecond."""


@cache
def rows() -> dict[str, Row]:
    """Return the rows by the id of their case."""
    return {name: _row(cases()[name], plan) for name, plan in _PLANS.items()}


def _row(case: Case, plan: _Plan) -> Row:
    menu = plan.menu(case)
    results = tuple(
        Result(name, exact, menu[name], plan.wide.get(name, RESOLUTION) / 100, _REASONS.get(name, Reason.slow))
        for name, exact in case.results.items()
        if (case.id, name) not in UNCOMPARED
    )
    warm_up_s = WARM_UP * _relaxation_s(case.parameters) if plan.warm_up_s is None else plan.warm_up_s
    return Row(case, plan.build(case.parameters), results, warm_up_s, plan.length_s, frozenset(plan.needs))
