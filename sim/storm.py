"""The storm command: what tips a fleet over, and what would help.

Rules:

1. All runs have the seed of the scenario, and so the same draws: the verdicts are those of `sim.analysis.storms`, of the
   last time that the incident is on. A run tips over where that is metastable or collapsed.
2. The shortest trigger and the lowest load are found by bisection, to `RESOLUTION`, between a value at which a run tips
   over and one at which another does not. Both ends have been run. A longer trigger comes with a longer run, so that as
   much time follows it. A run of which the verdict is unknown does neither: the search goes no further than to such a one,
   and back to the edge of what is known; `nothing_known` says on which side of what was found that is.
3. More of it need not be worse: between two values that were run it may be otherwise. So a few more are run on both sides
   of the edge; where a run tips over with less than another that does not, `mixed` holds the two.
4. A remedy changes the retries of the tasks that the incident hits, and nothing else; the breaker is one more constraint of
   theirs. A fixed back-off is the delay of the scenario; one that grows has its cap, or one that leaves it room. They are
   ranked by verdict, by time to recover, then by goodput after the trigger.
5. Each different scenario is run once, in whatever process and order: the result does not depend on it.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from copy import deepcopy
from math import sqrt
from multiprocessing import get_context
from threading import Lock
from typing import Any

from model.faults import ScenarioError
from model.header import Header
from model.plan import PlanError
from model.units import format_duration, parse_duration, parse_rate
from model.validation import Loaded, load_embedded
from sim.analysis.storms import Storms, Verdict
from sim.engine import Engine
from sim.environment import Endless
from sim.run import prepare

Data = dict[str, Any]

RESOLUTION = 1.02
LONGEST, LONGER = 16.0, 2.0
"""A trigger is looked for up to so many times its length, in steps by this factor; downwards to a thousandth."""
HIGHEST, HIGHER = 4.0, 1.25
"""A load is looked for up to so many times the given one, in steps by this factor; downwards to a thousandth."""
_LEAST = 1 / 1024
ASIDE = (1.04, 1.1)
"""How far beside the edge it is looked once more."""

DELAY = "100ms"
"""The back-off of a remedy where the scenario has none."""
CAP, CAP_DELAYS = "20s", 8
"""The cap of a back-off that grows where the scenario has none, and so many delays at least."""
BREAKER = {
    "type": "circuit_breaker",
    "failure_ratio": 0.5,
    "min_calls": 20,
    "window": "10s",
    "open_for": "5s",
    "probes": 5,
}

_RANK = [Verdict.recovers, Verdict.metastable, Verdict.collapsed, Verdict.unknown]


def storm(loaded: Loaded, incident: str, executor: Executor, tell: Callable[[int], None] = lambda runs: None) -> Data:
    """Return what the incident does to the scenario, what tips it over, and what helps, by the names of `--json`.

    `tell` hears of each run that begins how many there are by then.
    """
    data = loaded.scenario.as_json()
    header = prepare(loaded.scenario, loaded.tables, loaded.inputs).header
    runs = _Runs(executor, loaded.inputs, incident, tell)
    given = runs(data)
    told = {"scenario": header.name, "seed": header.seed, "incident": incident, "as_it_is": given}
    shortest, lowest, remedies = None, None, []
    if given["verdict"] != Verdict.unknown:
        variants = dict(_remedies(data, _hit(header, incident)))
        with ThreadPoolExecutor(2 + len(variants)) as waiting:  # they only wait; what they wait for is in the executor
            finding = [waiting.submit(find, data, incident, runs) for find in (_shortest, _lowest)]
            judging = {name: waiting.submit(runs, variant) for name, variant in variants.items()}
            try:
                shortest, lowest = (each.result() for each in finding)
                remedies = [{"remedy": name, **each.result()} for name, each in judging.items()]
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)  # what has not begun is not wanted any more
                raise
        remedies.sort(key=_place)
    return {**told, "shortest": shortest, "lowest_load": lowest, "remedies": remedies, "runs": runs.count}


def in_processes(loaded: Loaded, incident: str, tell: Callable[[int], None]) -> Data:
    """Do so in as many processes as there are cores."""
    # Processes that are spawned, not forked: there are threads by then.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as executor:
        return storm(loaded, incident, executor, tell)


def judge(data: Data, inputs: Mapping[str, bytes], incident: str) -> Data:
    """Run a scenario and return what became of it after the last time that the incident was on."""
    try:
        loaded = load_embedded(data, inputs)
        ready = prepare(loaded.scenario, loaded.tables, loaded.inputs)
        storms = Storms(ready.header)
        Engine(ready.plan, storms.feed).run()
    except (ScenarioError, PlanError, Endless) as error:
        return _unknown(str(error).splitlines()[0])
    return storms.last(incident) or _unknown("it never begins")


def _unknown(why: str) -> Data:
    nothing = dict.fromkeys(("from_ns", "to_ns", "time_to_recover_ns", "before", "during", "after"))
    return {"verdict": Verdict.unknown, "why": why, **nothing}


class _Runs:
    """Runs scenarios in an executor, each once."""

    def __init__(
        self, executor: Executor, inputs: Mapping[str, bytes], incident: str, tell: Callable[[int], None]
    ) -> None:
        self._executor = executor
        self._tell = tell
        self._inputs = inputs
        self._incident = incident
        self._lock = Lock()
        self._begun: dict[str, Future[Data]] = {}

    def __call__(self, data: Data) -> Data:
        key = json.dumps(data, sort_keys=True)
        with self._lock:
            if key not in self._begun:
                # A process that begins with this inherits the mask: Ctrl-C is for the one that waits for it.
                before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                try:
                    self._begun[key] = self._executor.submit(judge, data, self._inputs, self._incident)
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
                self._tell(len(self._begun))
        return self._begun[key].result()

    @property
    def count(self) -> int:
        return len(self._begun)


class _Search:
    """Looks for the least multiple of something at which runs tip over, by the verdicts of `judged`."""

    def __init__(self, judged: Callable[[float], Data], most: float, step: float) -> None:
        self._judged = judged
        self._most = most
        self._step = step
        self._nothing_known: str | None = None
        self.tips: dict[float, bool | None] = {}  # None where nothing is known

    def _tips(self, multiple: float) -> bool | None:
        verdict = self._judged(multiple)["verdict"]
        tips = None if verdict == Verdict.unknown else verdict in (Verdict.metastable, Verdict.collapsed)
        self.tips[multiple] = tips
        return tips

    def find(self) -> tuple[float | None, float | None]:
        """Return the largest multiple that is known not to tip it over, and the least that is: None where there is none."""
        low, high = 1.0, 1.0
        if self._tips(1.0):
            while self._tips(low := high / self._step):
                high = low
                if low < _LEAST:
                    return None, low
        else:
            while self._tips(high := min(low * self._step, self._most)) is False:
                low = high
                if high == self._most:
                    return low, None
        while high / low > RESOLUTION:
            middle = _rounded(sqrt(low * high))
            tips = self._tips(middle)
            is_below = (
                self.tips[high] if tips is None else not tips
            )  # what is unknown goes to its like, or below the edge
            low, high = (middle, high) if is_below else (low, middle)
        for aside in ASIDE:
            if self.tips[low] is not None:
                self._tips(_rounded(low / aside))
            if self.tips[high] is not None:
                self._tips(_rounded(high * aside))
        return self._known(low, high)

    def _known(self, low: float, high: float) -> tuple[float | None, float | None]:
        """Return what is known of both sides of the edge, and note where nothing is."""
        if self.tips[high] is None:
            self._nothing_known = "above"
            return low, None
        if self.tips[low] is None:
            known = [multiple for multiple, tips in self.tips.items() if tips is False and multiple < low]
            self._nothing_known = "between" if known else "below"
            return max(known, default=None), high
        return low, high

    def about(self) -> Data:
        """Return where nothing is known, the least that tipped over and the most that did not where these are mixed."""
        least = min((multiple for multiple, tips in self.tips.items() if tips), default=float("inf"))
        most = max((multiple for multiple, tips in self.tips.items() if tips is False), default=0.0)
        return {
            "nothing_known": self._nothing_known,
            "mixed": [least, most] if least < most else None,
            "unknown": sum(tips is None for tips in self.tips.values()),
        }


def _rounded(multiple: float) -> float:
    """Return it to four digits, so that what is told is what was run."""
    return float(f"{multiple:.4g}")


# What tips it over


def _shortest(data: Data, incident: str, runs: _Runs) -> Data:
    """Return the shortest trigger that tips it over."""
    place = next(place for place, row in enumerate(data["incidents"]) if row["id"] == incident)
    lasts = data["incidents"][place].get("lasts")
    if isinstance(lasts, dict):
        return {"why": "how long it lasts is drawn"}
    given_ns = parse_duration(lasts)

    def lasting(multiple: float) -> Data:
        changed = deepcopy(data)
        changed["incidents"][place]["lasts"] = format_duration(round(given_ns * multiple))
        if data.get("until") is not None:
            until_ns = parse_duration(data["until"]) + round(given_ns * multiple) - given_ns
            changed["until"] = format_duration(until_ns)
        return changed

    search = _Search(lambda multiple: runs(lasting(multiple)), LONGEST, LONGER)
    low, high = search.find()
    about = search.about()
    if about["mixed"] is not None:
        about["mixed"] = [round(given_ns * multiple) for multiple in about["mixed"]]
    return {
        "why": None,
        "given_ns": given_ns,
        "tips_over_ns": None if high is None else round(given_ns * high),
        "does_not_ns": None if low is None else round(given_ns * low),
        **about,
    }


def _lowest(data: Data, incident: str, runs: _Runs) -> Data:
    """Return the lowest load that tips it over, as a multiple of what is given."""
    steady = [fleet["name"] for fleet in data["fleets"] if {"at", "trace"} & set(fleet.get("arrivals", ()))]
    if all(fleet["name"] in steady or not {"count", "arrivals"} & set(fleet) for fleet in data["fleets"]):
        return {"why": "the times of the arrivals are given", "left_as_they_are": steady}
    search = _Search(lambda multiple: runs(_loaded(data, multiple)), HIGHEST, HIGHER)
    low, high = search.find()
    before = None if high is None else runs(_loaded(data, high))["before"]
    return {
        "why": None,
        "tips_over": high,
        "does_not": low,
        "load_per_s": None if before is None else before["load_per_s"],
        "left_as_they_are": steady,
        **search.about(),
    }


def _loaded(data: Data, multiple: float) -> Data:
    """Return the scenario with so many times the arrivals a second of open fleets, and the agents of closed ones."""
    changed = deepcopy(data)
    for fleet in changed["fleets"] if multiple != 1 else ():
        arrivals = fleet.get("arrivals", {})
        if "count" in fleet:
            fleet["count"] = max(1, round(fleet["count"] * multiple))
        elif "poisson" in arrivals:
            rate = parse_rate(arrivals["poisson"])
            arrivals["poisson"] = f"{rate.tokens}/{round(rate.period_ns / multiple)}ns"
        elif "every" in arrivals:
            arrivals["every"] = format_duration(max(1, round(parse_duration(arrivals["every"]) / multiple)))
    return changed


# What helps


def _hit(header: Header, incident: str) -> set[tuple[str, str]]:
    """Return the steps that the incident hits, by the names of their fleets and their own."""
    number = next(number for number, row in enumerate(header.constraints) if row.id == incident)
    return {
        (header.fleets[step.fleet].name, step.name)
        for step in header.steps
        if any(demand.constraint == number for group in step.demands for demand in group)
    }


def _remedies(data: Data, hit: set[tuple[str, str]]) -> Iterator[tuple[str, Data]]:
    """Yield the scenario as it is and with each remedy."""
    yield "as it is", data
    if not list(_retrying(data, hit)):
        return

    def changed(change: Callable[[Data], Data | None]) -> Data:
        other = deepcopy(data)
        for step in _retrying(other, hit):
            retry = change(step["retry"])
            step |= {"retry": retry}
            if retry is None:
                del step["retry"]
        return other

    def fixed(retry: Data) -> Data:
        delay = retry["delay"] if parse_duration(retry["delay"]) else DELAY
        return {**retry, "delay": delay, "factor": 1.0, "jitter": "none"}

    def growing(jitter: str) -> Callable[[Data], Data]:
        def change(retry: Data) -> Data:
            changed = fixed(retry)
            room_ns = max(parse_duration(CAP), CAP_DELAYS * parse_duration(changed["delay"]))
            return {"cap": format_duration(room_ns), **changed, "factor": 2.0, "jitter": jitter}

        return change

    yield "fixed back-off", changed(fixed)
    yield "exponential back-off", changed(growing("none"))
    for jitter in ("equal", "full", "decorrelated"):
        yield f"exponential, {jitter} jitter", changed(growing(jitter))
    for ratio in (0.1, 0.2):
        yield f"retry budget {ratio}", changed(lambda retry, ratio=ratio: {**retry, "budget": ratio})  # type: ignore[misc] # mypy knows no defaults of a lambda
    yield "circuit breaker", _with_breaker(data, hit)
    yield "honours retry-after", changed(lambda retry: {**retry, "retry_after": True})
    yield "ignores retry-after", changed(lambda retry: {**retry, "retry_after": False})
    yield "no retries", changed(lambda retry: None)


def _with_breaker(data: Data, hit: set[tuple[str, str]]) -> Data:
    changed = deepcopy(data)
    taken = {row["id"] for key in ("constraints", "incidents") for row in changed[key]}
    name = next(name for name in ("breaker", *(f"breaker{n}" for n in range(2, 2 + len(taken)))) if name not in taken)
    changed["constraints"].append({"id": name, **BREAKER})
    for step in _retrying(changed, hit):
        step["needs"] = {**step.get("needs", {}), name: 1}
    return changed


def _retrying(data: Data, hit: set[tuple[str, str]]) -> Iterator[Data]:
    """Yield the steps that the incident hits and that retry."""
    for fleet in data["fleets"]:
        for step in _steps(fleet["steps"]):
            if (fleet["name"], step.get("task", step.get("hold"))) in hit and step.get("retry") is not None:
                yield step


def _steps(steps: list[Data]) -> Iterator[Data]:
    for step in steps:
        yield step
        yield from _steps(step.get("steps", []))
        yield from _steps(step.get("graph", []))
        for branch in step.get("choose", []):
            yield from _steps(branch.get("steps", []))


def _place(told: Data) -> tuple[float, ...]:
    """Return what a remedy is ranked by."""
    recover_ns, after = told["time_to_recover_ns"], told["after"]
    return (
        _RANK.index(told["verdict"]),
        0 if recover_ns is None else recover_ns,
        0 if after is None else -after["goodput_per_s"],
    )
