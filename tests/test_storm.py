"""What tips a fleet over, and what helps: the search against brute force, remedies in clear cases, what is printed."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from model.events import Kind
from model.units import parse_duration
from model.validation import Loaded, load
from sim import display
from sim.analysis.storms import Verdict
from sim.storm import HIGHER, HIGHEST, LONGER, LONGEST, RESOLUTION, _loaded, _remedies, _Search, _shortest, judge, storm
from tests.runs import run, scenario

ROOT = Path(__file__).parent.parent
TIPPED = (Verdict.metastable, Verdict.collapsed)


class Counting(ThreadPoolExecutor):
    """Counts what it is given to do."""

    submitted = 0

    def submit(self, *task: Any, **rest: Any) -> Any:
        self.submitted += 1
        return super().submit(*task, **rest)


def stormed(loaded: Loaded, incident: str) -> dict[str, Any]:
    with Counting(1) as executor:
        result = storm(loaded, incident, executor)
    assert executor.submitted == result["runs"]  # each scenario once
    return result


@pytest.fixture(scope="module")
def metastable() -> Loaded:
    return load(ROOT / "scenarios/storm_metastable.yaml")


@pytest.fixture(scope="module")
def found(metastable: Loaded) -> dict[str, Any]:
    return stormed(metastable, "brownout")


# The search


@pytest.mark.parametrize("edge", [0.002, 0.3, 0.5, 0.9999, 1.0, 1.0001, 1.7, 2.0, 15.9, 16.0])
@pytest.mark.parametrize("step", [LONGER, HIGHER])
def test_the_search_closes_in_on_the_edge(edge: float, step: float) -> None:
    asked: list[float] = []

    def judged(multiple: float) -> dict[str, Any]:
        asked.append(multiple)
        return {"verdict": Verdict.metastable if multiple >= edge else Verdict.recovers}

    search = _Search(judged, LONGEST, step)
    low, high = search.find()
    assert low is not None
    assert high is not None
    assert low < edge <= high <= low * RESOLUTION
    assert {low, high} <= set(asked)
    assert search.about() == {"nothing_known": None, "mixed": None, "unknown": 0}
    assert len(asked) < 50


def test_a_search_ends_where_there_is_no_edge() -> None:
    def always(multiple: float) -> dict[str, Any]:
        return {"verdict": Verdict.collapsed}

    def never(multiple: float) -> dict[str, Any]:
        return {"verdict": Verdict.recovers}

    low, high = _Search(always, HIGHEST, LONGER).find()
    assert low is None
    assert high is not None
    assert high < 0.001
    search = _Search(never, HIGHEST, LONGER)
    assert search.find() == (HIGHEST, None)
    assert search.about() == {"nothing_known": None, "mixed": None, "unknown": 0}


@pytest.mark.parametrize(
    ("known", "edge", "expected", "nothing_known"),
    [
        ((0.6, 99), 0.5, (None, 0.6), "below"),  # the edge is where nothing is known
        ((0.6, 99), 0.7, (0.7, 0.7), None),
        ((0, 2.5), 3.0, (2.5, None), "above"),
        ((0, 2.5), 2.2, (2.2, 2.2), None),
        ((0, 1.0), 2.0, (1.0, None), "above"),
        ((0.99, 99), 0.9, (None, 0.99), "below"),
    ],
)
@pytest.mark.parametrize("step", [LONGER, HIGHER])
def test_where_nothing_is_known_a_run_neither_tips_over_nor_does_not(
    known: tuple[float, float],
    edge: float,
    expected: tuple[float | None, float | None],
    nothing_known: str | None,
    step: float,
) -> None:
    def judged(multiple: float) -> dict[str, Any]:
        tips = Verdict.metastable if multiple >= edge else Verdict.recovers
        return {"verdict": tips if known[0] <= multiple <= known[1] else Verdict.unknown}

    search = _Search(judged, LONGEST, step)
    found = search.find()
    assert found == tuple(each if each is None else pytest.approx(each, rel=0.02) for each in expected)
    about = search.about()
    assert (about["nothing_known"], about["mixed"]) == (nothing_known, None)
    for each, tips in zip(found, (False, True), strict=True):
        assert each is None or search.tips[each] is tips


def test_where_nothing_is_known_between_both_are_told() -> None:
    def judged(multiple: float) -> dict[str, Any]:
        known = Verdict.recovers if multiple <= 1 else Verdict.collapsed
        return {"verdict": Verdict.unknown if 1.2 < multiple < 1.6 else known}

    search = _Search(judged, LONGEST, LONGER)
    assert search.find() == (1.0, pytest.approx(1.6, rel=0.02))
    assert search.about()["nothing_known"] == "between"


def test_a_search_says_where_more_was_less() -> None:
    def odd(multiple: float) -> dict[str, Any]:
        return {"verdict": Verdict.metastable if 1.5 <= multiple < 1.65 or multiple >= 1.7 else Verdict.recovers}

    search = _Search(odd, LONGEST, LONGER)
    low, high = search.find()
    assert (low, high) == (pytest.approx(1.69, abs=0.02), pytest.approx(1.71, abs=0.02))
    [least, most] = search.about()["mixed"]
    assert 1.5 <= least < 1.65
    assert most == low


def test_the_shortest_trigger_is_what_a_grid_of_triggers_says(metastable: Loaded, found: dict[str, Any]) -> None:
    shortest = found["shortest"]
    assert shortest["mixed"] is None
    assert shortest["does_not_ns"] < shortest["tips_over_ns"] <= shortest["does_not_ns"] * RESOLUTION * 1.0001
    for seconds in (8, 14, 16, 19, 24, 32):
        data = metastable.scenario.as_json()
        data["incidents"][0]["lasts"] = f"{seconds}s"
        data["until"] = f"{8 * 60 - 40 + seconds}s"
        tips = judge(data, {}, "brownout")["verdict"] in TIPPED
        assert tips == (seconds * 10**9 >= shortest["tips_over_ns"]), seconds


def test_as_much_time_follows_a_longer_trigger() -> None:
    def runs(data: dict[str, Any]) -> dict[str, Any]:
        lasts, until = (parse_duration(value) for value in (data["incidents"][1]["lasts"], data["until"]))
        assert until - lasts == 570 * 10**9
        assert data["incidents"][0] == {"id": "other"}
        return {"verdict": Verdict.collapsed if lasts >= 12 * 10**9 else Verdict.recovers}

    data = {"until": "10m", "incidents": [{"id": "other"}, {"id": "this", "lasts": "30s"}]}
    found = _shortest(data, "this", runs)  # type: ignore[arg-type] # any function will do
    assert (found["does_not_ns"], found["tips_over_ns"]) == (
        pytest.approx(12e9, rel=0.02),
        pytest.approx(12e9, rel=0.02),
    )


def test_it_is_judged_by_the_last_time_that_the_incident_is_on() -> None:
    outage = {"id": "outage", "at": ["20s", "35s"], "lasts": "5s", "refuse": 1.0}
    late = {"id": "late", "at": "100s", "lasts": "5s", "refuse": 1.0}
    steps = [{"task": "t", "duration": "10ms"}]
    data = scenario(until="120s", arrivals={"every": "50ms"}, incidents=[outage, late], steps=steps)
    found = judge(data, {}, "outage")
    assert (found["verdict"], found["from_ns"], found["to_ns"]) == ("recovers", 35 * 10**9, 40 * 10**9)


def test_the_lowest_load_is_what_a_grid_of_loads_says(metastable: Loaded, found: dict[str, Any]) -> None:
    lowest = found["lowest_load"]
    assert lowest["mixed"] is None
    assert lowest["does_not"] < lowest["tips_over"] <= lowest["does_not"] * RESOLUTION
    for multiple in (0.6, 0.8, 0.87, 0.95):
        data = metastable.scenario.as_json()
        data["fleets"][0]["arrivals"]["poisson"] = f"{5 * multiple}/s"
        tips = judge(data, {}, "brownout")["verdict"] in TIPPED
        assert tips == (multiple >= lowest["tips_over"]), multiple


def test_a_load_is_more_agents_or_more_arrivals_a_second() -> None:
    fleets = [
        {"name": "a", "count": 10},
        {"name": "b", "count": 1},
        {"name": "c", "arrivals": {"poisson": "10/s"}},
        {"name": "d", "arrivals": {"every": "200ms"}},
        {"name": "e", "arrivals": {"at": ["1s"]}},
        {"name": "f"},
    ]
    changed = _loaded({"fleets": fleets}, 0.25)["fleets"]
    assert [fleet.get("count") for fleet in changed[:2]] == [2, 1]
    assert [fleet["arrivals"] for fleet in changed[2:5]] == [
        {"poisson": "10/4000000000ns"},
        {"every": "800ms"},
        {"at": ["1s"]},
    ]
    assert changed[5] == {"name": "f"}


# The remedies


def test_what_bounds_the_retries_helps_and_what_delays_them_does_not(found: dict[str, Any]) -> None:
    """Once it has tipped over, only fewer retries bring it back: how they are spread does not matter."""
    verdicts = {each["remedy"]: each["verdict"] for each in found["remedies"]}
    assert verdicts["as it is"] == found["as_it_is"]["verdict"] == "metastable"
    for remedy in ("no retries", "retry budget 0.1", "retry budget 0.2", "circuit breaker"):
        assert verdicts[remedy] == "recovers"
    for jitter in ("equal", "full", "decorrelated"):
        assert verdicts[f"exponential, {jitter} jitter"] == "metastable"
    # Nothing is refused, so that there is nothing to honour, and the back-off is fixed already.
    same = ["as it is", "fixed back-off", "honours retry-after", "ignores retry-after"]
    rows = [{**each, "remedy": ""} for each in found["remedies"] if each["remedy"] in same]
    assert rows == [rows[0]] * 4


def test_remedies_are_ranked_by_verdict_then_recovery_then_goodput(found: dict[str, Any]) -> None:
    order = ["recovers", "metastable", "collapsed", "unknown"]
    places = [
        (order.index(each["verdict"]), each["time_to_recover_ns"] or 0, -each["after"]["goodput_per_s"])
        for each in found["remedies"]
    ]
    assert places == sorted(places)
    assert places[0][0] == 0


REFUSING = """\
until: 150s
constraints:
  - {id: api, type: rate_limit, rate: 20/s, burst: 20, scope: "fleet:a", on_limit: reject, retry_after: 10s}
incidents:
  - {id: outage, scope: "task:a_*_ask", at: 20s, lasts: 10s, refuse: 1.0, retry_after: 1s}
fleets:
  - {name: a, arrivals: {poisson: 15/s}, steps: [{choose: [{steps: [
      {task: ask, duration: 100ms, retry: {max_attempts: 30, delay: 0s, retry_after: false, budget: 1}}]}]}]}
  - {name: b, arrivals: {at: [1s]}, steps: [{task: other, duration: 1s, retry: {max_attempts: 2}}]}
"""


def test_remedies_change_the_tasks_that_the_incident_hits_alone(tmp_path: Path) -> None:
    (tmp_path / "refusing.yaml").write_text(REFUSING)
    from sim.execution import prepare
    from sim.storm import _hit

    loaded = load(tmp_path / "refusing.yaml")
    hit = _hit(prepare(loaded.scenario, {}, {}).header, "outage")
    assert hit == {("a", "ask")}
    data = loaded.scenario.as_json()
    remedies = dict(_remedies(data, hit))

    def retry(remedy: str) -> Any:
        assert remedies[remedy]["fleets"][1] == data["fleets"][1]
        return remedies[remedy]["fleets"][0]["steps"][0]["choose"][0]["steps"][0].get("retry")

    given = retry("as it is")
    assert retry("no retries") is None
    assert retry("honours retry-after") == {**given, "retry_after": True}
    assert retry("ignores retry-after") == given
    assert retry("retry budget 0.1") == {**given, "budget": 0.1}
    jittered = {**given, "delay": "100ms", "factor": 2.0, "jitter": "full", "cap": "20s"}
    assert retry("exponential, full jitter") == jittered
    assert remedies["circuit breaker"]["constraints"][1]["id"] == "breaker"
    for name, variant in remedies.items():
        assert judge(variant, {}, "outage")["why"] is None, name


@pytest.mark.parametrize(
    ("given", "fixed", "growing"),
    [
        ({"delay": "0s"}, {"delay": "100ms"}, {"delay": "100ms", "cap": "20s"}),
        ({"delay": "2s"}, {"delay": "2s"}, {"delay": "2s", "cap": "20s"}),
        ({"delay": "60s"}, {"delay": "60s"}, {"delay": "60s", "cap": "8m"}),
        ({"delay": "60s", "cap": "90s"}, {"delay": "60s", "cap": "90s"}, {"delay": "60s", "cap": "90s"}),
    ],
)
def test_a_remedy_does_not_cut_a_long_delay_down(
    given: dict[str, str], fixed: dict[str, str], growing: dict[str, str]
) -> None:
    step = {"task": "ask", "retry": {"max_attempts": 4, "factor": 3.0, "jitter": "equal", **given}}
    data = {"constraints": [], "incidents": [], "fleets": [{"name": "a", "steps": [step]}]}
    remedies = {
        name: variant["fleets"][0]["steps"][0].get("retry") for name, variant in _remedies(data, {("a", "ask")})
    }
    assert remedies["fixed back-off"] == {"max_attempts": 4, "factor": 1.0, "jitter": "none", **fixed}
    exponential = {"max_attempts": 4, "factor": 2.0, **growing}
    assert remedies["exponential back-off"] == {**exponential, "jitter": "none"}
    for jitter in ("equal", "full", "decorrelated"):
        assert remedies[f"exponential, {jitter} jitter"] == {**exponential, "jitter": jitter}


def test_without_retries_there_is_nothing_to_remedy_and_what_is_not_constant_is_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(
        "until: 30m\nincidents: [{id: slow, at: 10m, lasts: {exponential: 2m}, slow: 2}]\n"
        "fleets: [{name: a, arrivals: {at: [0s]}, steps: [{repeat: forever, steps: [{task: t, duration: 1s}]}]}]\n"
    )
    result = stormed(load(tmp_path / "f.yaml"), "slow")
    assert result["as_it_is"]["verdict"] == "recovers"
    assert result["shortest"] == {"why": "how long it lasts is drawn"}
    assert result["lowest_load"] == {"why": "the times of the arrivals are given", "left_as_they_are": ["a"]}
    assert [each["remedy"] for each in result["remedies"]] == ["as it is"]
    assert result["runs"] == 1


def test_what_is_unknown_as_it_is_is_not_looked_into(metastable: Loaded) -> None:
    short = load(ROOT / "scenarios/storm_metastable.yaml", ["until=3m"])
    result = stormed(short, "brownout")
    assert (result["as_it_is"]["verdict"], result["runs"]) == ("unknown", 1)
    assert (result["shortest"], result["lowest_load"], result["remedies"]) == (None, None, [])


# What is printed


def printed(result: dict[str, Any], width: int = 200) -> str:
    file = io.StringIO()
    display.storm(Console(file=file, width=width, highlight=False, _environ={}), json.loads(json.dumps(result)))
    return file.getvalue()


def test_the_page_about_storms_shows_what_is_printed(found: dict[str, Any]) -> None:
    assert f"```\n{printed(found)}```" in (ROOT / "docs/storms.md").read_text()


def test_what_was_not_found_is_said() -> None:
    nothing = {"verdict": "unknown", "why": "it never begins", "from_ns": None}
    result = {"scenario": "s", "seed": 1, "incident": "i", "as_it_is": nothing, "runs": 1}
    assert printed({**result, "shortest": None, "lowest_load": None, "remedies": []}) == (
        "s  seed 1, incident i, 1 run on the same draws\n  given   it never begins\n"
    )
    known = {"why": None, "nothing_known": None, "mixed": None, "unknown": 2}
    shortest = {
        **known,
        "mixed": [2 * 10**9, 16 * 10**9],
        "given_ns": 10**9,
        "tips_over_ns": None,
        "does_not_ns": 16 * 10**9,
    }
    lowest = {**known, "tips_over": None, "does_not": 4.0, "load_per_s": None, "left_as_they_are": []}
    lines = printed({**result, "shortest": shortest, "lowest_load": lowest, "remedies": []}).splitlines()
    unknown = "of 2 runs nothing is known"
    assert lines[2:] == [
        f"  trigger no length up to 16 s tips it over (given: 1 s), 2 s tips it over as well and 16 s does not, {unknown}",
        f"  load    none up to 4 times the given one tips it over, {unknown}",
    ]


@pytest.mark.parametrize(
    ("does_not", "tips", "side", "trigger", "load"),
    [
        (
            None,
            2,
            "below",
            "2 s tips it over; below that",
            "2 times the given one, 3 visits a second, tips it over; below that",
        ),
        (
            1,
            None,
            "above",
            "no length up to 1 s tips it over; above that",
            "none up to the given one tips it over; above that",
        ),
        (
            1,
            2,
            "between",
            "2 s tips it over and 1 s does not; between these",
            "2 times the given one, 3 visits a second, tips it over and the given one does not; between these",
        ),
    ],
)
def test_where_nothing_is_known_is_said(
    does_not: int | None, tips: int | None, side: str, trigger: str, load: str
) -> None:
    known = {"why": None, "mixed": None, "unknown": 3, "nothing_known": side}
    shortest = {**known, "given_ns": 10**9, "tips_over_ns": tips and tips * 10**9, "does_not_ns": does_not and 10**9}
    lowest = {**known, "tips_over": tips, "does_not": does_not, "load_per_s": tips and 3.0, "left_as_they_are": []}
    given = {"verdict": "unknown", "why": "it never begins", "from_ns": None}
    result = {"scenario": "s", "seed": 1, "incident": "i", "as_it_is": given, "runs": 1, "remedies": []}
    lines = printed({**result, "shortest": shortest, "lowest_load": lowest}).splitlines()
    assert lines[2:] == [f"  trigger {trigger} nothing is known (given: 1 s)", f"  load    {load} nothing is known"]


# The herd


def herd(*overrides: str) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """When the attempts of the herd begin, in ns."""
    log = run(load(ROOT / "scenarios/herd.yaml", overrides).scenario.as_json())
    kinds = (Kind.TaskStarted, Kind.TaskRejected)
    return np.concatenate([batch.time[np.isin(batch.kind, kinds)] for batch in log.batches()])


def test_a_fixed_back_off_without_jitter_keeps_the_herd_together() -> None:
    together, apart = herd(), herd("fleets.client.steps.call.retry.jitter=full")
    instants, sizes = np.unique(together, return_counts=True)
    # Ten are let in at each second, for the bucket holds ten; all others come back after exactly one second.
    assert instants.tolist() == [second * 10**9 for second in range(10)]
    assert sizes.tolist() == list(range(100, 0, -10))
    instants, sizes = np.unique(apart, return_counts=True)
    assert sizes[0] == 100  # they begin together
    assert max(sizes[1:]) == 1
    assert len(instants) > 300
    assert apart[-1] < 0.6 * together[-1]  # and are done as fast as the limit earns
    page = (ROOT / "docs/storms.md").read_text()
    for attempts in (together, apart):
        assert f"100 finished, 0 failed, {len(attempts) - 100} rejected" in page
