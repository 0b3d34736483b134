"""What becomes of a fleet after an incident: the rule by logs written by hand, and each verdict by a shipped scenario."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.events import Kind, Status
from model.log import ConstraintEntry, DemandEntry, FleetEntry, Header, StepEntry
from model.validation import load
from sim.analysis.storms import Storms
from sim.engine import Engine
from sim.run import prepare
from tests.fleet_logs import Row, S, batch
from tests.runs import run, scenario

SCENARIOS = Path(__file__).parent.parent / "scenarios"
MS = S // 1000
ON = {"slow": 2_000_000, "new": 0, "refuse": 0, "block": 0, "fail": 0}
SUCCEEDED, TIMED_OUT = Status.succeeded, Status.timed_out

Ends = list[Status | None]
Fate = Callable[[int], Ends | None]
"""How the attempts of a visit end that begins at a time in ms (None: never); None where there is no such visit."""


def incident(name: str, *times: int) -> ConstraintEntry:
    """An incident that begins and ends, begins and ends ... at these seconds."""
    settings = [(time * S, dict(ON) if place % 2 == 0 else None) for place, time in enumerate(times)]
    return ConstraintEntry(name, "incident", "global", None, ((0, None), *settings) if times[0] else tuple(settings))


def header(*incidents: ConstraintEntry, agents: int = 10_000, is_open: bool = False) -> Header:
    """A fleet with a task `ask` that every incident hits, and a task `other` that none does."""
    demands = tuple(DemandEntry(number, 1) for number in range(len(incidents)))
    steps = (StepEntry(0, "ask", "task", (demands,), ()), StepEntry(0, "other", "task", ((),), ()))
    written = {"name": "a", **({"arrivals": {"poisson": "20/s"}} if is_open else {"count": agents})}
    fleets = (FleetEntry("a", 0, agents, None, 0),)
    return Header("demo", 1, None, fleets, steps, incidents, {"fleets": [written]}, {})


def rows_of(head: Header, fate: Fate, until: int, every_ms: int = 50, step: int = 0) -> list[Row]:
    """A visit every so often, by an agent of its own; an attempt works for 100 ms, and the next follows at once."""
    rows: list[Row] = [(0, Kind.RunStarted, -1, -1, -1, -1, -1, 0)]
    for number, entry in enumerate(head.constraints):
        for time, numbers in entry.settings:
            if 0 < time <= until * S:
                rows.append((time, Kind.ConstraintChanged, -1, -1, -1, -1, number, 0 if numbers else -1))
    for agent, time in enumerate(range(0, until * 1000, every_ms)):
        ends = fate(time)
        if ends is None:
            continue
        rows.append((time * MS, Kind.AgentStarted, agent, -1, -1, -1, -1, 0))
        for attempt, status in enumerate(ends):
            start, end = (time + 100 * attempt) * MS, (time + 100 * (attempt + 1)) * MS
            if start > until * S:
                break
            rows.append((start, Kind.TaskStarted, agent, step, 0, attempt, -1, 0))
            if status is not None and end <= until * S:
                rows.append((end, Kind.TaskFinished, agent, step, 0, attempt, -1, status))
            if attempt + 1 < len(ends) and end <= until * S:
                rows.append((end, Kind.TaskRetrying, agent, step, 0, attempt, -1, 0))
    rows.append((until * S, Kind.RunFinished, -1, -1, -1, -1, -1, 0))
    return sorted(rows, key=lambda row: row[0])


def halved(ms: int) -> Ends:
    """Every other visit fails from the beginning of the trigger on, and for good."""
    return [SUCCEEDED] if ms < 20_000 or ms % 100 else [TIMED_OUT]


def told(head: Header, rows: list[Row]) -> list[dict[str, Any]]:
    """What became of the fleet, the same for every way to cut the rows."""
    whole = Storms(head)
    whole.feed(batch(rows))
    for size in (1000, 17):
        parts = Storms(head)
        for start in range(0, len(rows), size):
            parts.feed(batch(rows[start : start + size]))
        assert parts.result() == whole.result()
    result = whole.result()
    assert result is not None
    return result


def story(fate: Fate, until: int = 100, **rest: Any) -> dict[str, Any]:
    """What became of the fleet after an incident from 20 s to 30 s; half of the visits succeed meanwhile."""

    def whole(ms: int) -> Ends | None:
        if 20_000 <= ms < 30_000:
            return [SUCCEEDED] if ms % 100 else [TIMED_OUT]
        return fate(ms) if ms >= 30_000 else [SUCCEEDED]

    head = header(incident("brownout", 20, 30), **rest)
    [found] = told(head, rows_of(head, whole, until))
    return found


def test_a_fleet_recovers_at_the_first_window_from_which_on_goodput_is_back() -> None:
    # 20 visits a second: 200 succeed in the baseline, from 10 s to 20 s; the 70 s after it are 14 windows of 5 s.
    found = story(lambda ms: [SUCCEEDED] if ms >= 52_000 or ms % 100 else [TIMED_OUT])
    assert (found["verdict"], found["why"]) == ("recovers", None)
    assert (found["from_ns"], found["to_ns"], found["incidents"]) == (20 * S, 30 * S, ["brownout"])
    assert found["windows"] == 14
    assert found["time_to_recover_ns"] == 20 * S  # of 100 there are 50 before 50 s, and 80 in the window from then on
    assert found["before"] == {
        "load_per_s": 20.0,
        "throughput_per_s": 20.0,
        "goodput_per_s": 20.0,
        "amplification": 1.0,
        "open": 2,
        "keeps_up": True,
    }
    assert found["during"]["goodput_per_s"] == pytest.approx(10.0, abs=0.2)


def test_who_is_never_away_recovers_at_once() -> None:
    assert story(lambda ms: [SUCCEEDED])["time_to_recover_ns"] == 0


def test_goodput_that_stays_below_is_metastable_and_retries_are_told() -> None:
    found = story(lambda ms: [TIMED_OUT, TIMED_OUT, SUCCEEDED] if ms % 100 else [TIMED_OUT] * 3)
    assert (found["verdict"], found["time_to_recover_ns"]) == ("metastable", None)
    after = found["after"]  # the last 3 of 14 windows
    rates = [after[f"{what}_per_s"] for what in ("load", "goodput", "throughput")]
    assert rates == [pytest.approx(20.0, rel=0.01), pytest.approx(10.0, rel=0.01), pytest.approx(60.0, rel=0.01)]
    assert after["amplification"] == pytest.approx(6.0, rel=0.02)


@pytest.mark.parametrize(("one_in", "verdict"), [(9, "metastable"), (11, "collapsed")])
def test_less_than_a_tenth_of_the_goodput_is_a_collapse(one_in: int, verdict: str) -> None:
    found = story(lambda ms: [SUCCEEDED] if ms // 50 % one_in == 0 else [TIMED_OUT])
    assert found["verdict"] == verdict


def test_a_recovery_that_does_not_last_is_none() -> None:
    assert story(lambda ms: [SUCCEEDED] if ms < 85_000 or ms % 100 else [TIMED_OUT])["verdict"] == "metastable"


def test_a_recovery_in_the_last_moment_is_none() -> None:
    # The last two of 14 windows are as before, and that is less than a quarter.
    assert story(lambda ms: [SUCCEEDED] if ms >= 90_000 or ms % 100 else [TIMED_OUT])["verdict"] == "metastable"


def test_goodput_that_is_back_while_the_backlog_grows_is_no_recovery() -> None:
    # Twice the visits come, and half of them never end.
    head = header(incident("brownout", 20, 30))

    def fate(ms: int) -> Ends | None:
        return [SUCCEEDED] if ms % 50 == 0 else [None] if ms >= 30_000 else None

    [found] = told(head, rows_of(head, fate, 100, every_ms=25))
    assert found["after"]["goodput_per_s"] == pytest.approx(20.0, rel=0.01)
    assert found["after"]["open"] > 1000
    assert found["verdict"] == "metastable"


@pytest.mark.parametrize(("one_in", "keeps_up"), [(2, False), (20, True)])
def test_a_fleet_that_falls_behind_before_the_trigger_is_told(one_in: int, keeps_up: bool) -> None:
    # 20 visits a second; in the baseline, of 10 s, 100 and 10 never end: by chance it may be 42, of 200 that begin.
    head = header(incident("brownout", 20, 30))
    [found] = told(head, rows_of(head, lambda ms: [None] if ms // 50 % one_in == 0 else [SUCCEEDED], 100))
    assert found["before"]["keeps_up"] is keeps_up
    assert found["before"]["open"] == pytest.approx(20 / one_in * 20, abs=2)


def test_a_visit_that_is_called_off_while_it_backs_off_is_over_and_that_is_no_attempt() -> None:
    # Every other of 20 visits a second times out, backs off, and is called off half a second later.
    head = header(incident("brownout", 20, 30))
    rows = rows_of(head, lambda ms: [SUCCEEDED] if ms % 100 else [TIMED_OUT], 140)
    for time, kind, agent, *_, status in list(rows):
        if kind == Kind.TaskFinished and status == TIMED_OUT and time < 139 * S:
            later = time + 500 * MS
            rows.append((time, Kind.TaskRetrying, agent, 0, 0, 0, -1, S))
            rows.append((later, Kind.TaskAbandoned, agent, 0, 0, 1, -1, 500 * MS))
            rows.append((later, Kind.TaskFinished, agent, 0, 0, 1, -1, Status.cancelled))
    [found] = told(head, sorted(rows, key=lambda row: row[0]))
    assert (found["verdict"], found["before"]["keeps_up"]) == ("recovers", True)
    assert found["before"]["open"] == pytest.approx(0.35 * 20, abs=2)  # half are there for 0.1 s, half for 0.6 s
    assert found["before"]["amplification"] == pytest.approx(2.0, rel=0.02)
    assert found["before"]["throughput_per_s"] == pytest.approx(20.0, rel=0.02)


def test_visits_to_other_steps_do_not_count() -> None:
    head = header(incident("brownout", 20, 30))
    rows = rows_of(head, lambda ms: [SUCCEEDED], 100) + rows_of(head, lambda ms: [TIMED_OUT], 100, step=1)[3:-1]
    [found] = told(head, sorted(rows, key=lambda row: row[0]))
    assert found["verdict"] == "recovers"


def hitting(head: Header, *steps: set[int], fleets: tuple[int, int] = (0, 1), spawning: bool = False) -> Header:
    """Two fleets with a step each, or one with both, where each incident hits these steps."""
    demands = [tuple(DemandEntry(number, 1) for number, hit in enumerate(steps) if step in hit) for step in (0, 1)]
    hit = zip(head.steps, demands, fleets, strict=True)
    entries = [replace(step, demands=(each,), fleet=fleet) for step, each, fleet in hit]
    entries += [StepEntry(0, "spawn", "spawn", ((),), (), spawned=1)] if spawning else []
    return replace(head, steps=tuple(entries), fleets=(*head.fleets, FleetEntry("b", head.agents, 0, None, 0)))


def rows_of_both(head: Header, ask: Fate, other: Fate, until: int) -> list[Row]:
    """Visits to both steps; the rows of the run and of the incidents are there once."""
    first = rows_of(head, ask, until)
    second = [row for row in rows_of(head, other, until, step=1) if row[2] >= 0]
    return sorted([*first[:-1], *second, first[-1]], key=lambda row: row[0])


@pytest.mark.parametrize(
    ("steps", "rest"),
    [
        (({0}, {1}), {"fleets": (0, 0)}),  # two steps of a fleet
        (({0}, {1}, {0, 1}), {}),  # by way of one that is on at the end alone
        (({0}, {1}), {"spawning": True}),
    ],
)
def test_each_trigger_is_judged_by_the_steps_that_it_hits(steps: tuple[set[int], ...], rest: dict[str, Any]) -> None:
    incidents = [incident("one", 20, 30), incident("other", 90, 95), incident("both", 139, 140)]
    head = hitting(header(*incidents[: len(steps)]), *steps, **rest)
    rows = rows_of_both(head, lambda ms: [SUCCEEDED], lambda ms: [SUCCEEDED] if ms < 20_000 else [TIMED_OUT], 140)
    found = told(head, rows)[:2]
    assert [each["verdict"] for each in found] == ["recovers", "collapsed"]
    assert found[0]["windows"] == 12  # from 30 s to 90 s
    assert found[1]["before"] == found[0]["before"]  # both before the first of them, of one step or the other


def test_incidents_that_hit_fleets_apart_do_not_concern_each_other() -> None:
    alone = hitting(header(incident("one", 20, 30)), {0})
    head = hitting(header(incident("one", 20, 30), incident("other", 1, 2, 25, 40, 60, 61)), {0}, {1})

    [expected] = told(alone, rows_of_both(alone, halved, lambda ms: [SUCCEEDED], 100))
    found = told(head, rows_of_both(head, halved, lambda ms: [SUCCEEDED], 100))
    assert expected["verdict"] == "metastable"
    assert [each["from_ns"] for each in found] == [1 * S, 20 * S, 25 * S, 60 * S]
    assert [each["incidents"] for each in found] == [["other"], ["one"], ["other"], ["other"]]
    assert found[1] == expected


def test_the_last_hundred_triggers_are_told_and_the_last_of_one_incident_can_be_asked_for() -> None:
    head = hitting(header(incident("one", 20, 30), incident("often", *range(31, 233))), {0}, {1})
    rows = rows_of_both(head, lambda ms: [SUCCEEDED], lambda ms: [SUCCEEDED], 240)
    found = told(head, rows)
    assert [each["from_ns"] for each in found] == [time * S for time in range(33, 232, 2)]
    storms = Storms(head)
    storms.feed(batch(rows))
    one, often = storms.last("one"), storms.last("often")
    assert one is not None
    assert (one["from_ns"], one["verdict"], often, storms.last("no")) == (20 * S, "recovers", found[-1], None)


def test_who_is_refused_has_not_worked() -> None:
    task = {"task": "t", "duration": "10ms", "retry": {"max_attempts": 2, "delay": "1s"}}
    outage = {"id": "outage", "at": "20s", "lasts": "10s", "refuse": 1.0}
    log = run(scenario(until="90s", arrivals={"every": "50ms"}, incidents=[outage], steps=[task]))
    storms = Storms(log.header)
    for each in log.batches():
        storms.feed(each)
    [found] = storms.result() or ()
    during = found["during"]
    assert (found["verdict"], found["time_to_recover_ns"]) == ("recovers", 0)
    assert during["load_per_s"] == pytest.approx(20.0, rel=0.01)
    assert during["throughput_per_s"] == 0
    assert during["amplification"] is None  # nothing succeeds


@pytest.mark.parametrize(
    ("until", "start", "end", "why"),
    [
        (100, 5, 30, "50 visits succeed before it, of 100 that it takes"),
        (60, 20, 30, "too little time after it"),
        (60, 20, 70, "it is not over at the end"),
        (60, 0, 30, "0 visits succeed before it, of 100 that it takes"),
    ],
)
def test_what_is_too_short_to_say_is_unknown(until: int, start: int, end: int, why: str) -> None:
    head = header(incident("brownout", start, end))
    [found] = told(head, rows_of(head, lambda ms: [SUCCEEDED], until))
    assert (found["verdict"], found["why"], found["to_ns"]) == ("unknown", why, end * S if end < until else None)


def test_where_fewer_arrive_the_load_is_not_what_it_was() -> None:
    found = story(lambda ms: [SUCCEEDED] if ms < 40_000 or ms % 100 == 0 else None, is_open=True)
    assert (found["verdict"], found["why"]) == ("unknown", "the load is no longer what it was")


LEFT = ("unknown", "the load is no longer what it was")
STAYED = ("metastable", None)


def staffed(rows: list[Row], there: dict[range, tuple[int, int | None]]) -> list[Row]:
    """The same visits by agents that begin and finish at these seconds."""
    rows = [row for row in rows if row[1] != Kind.AgentStarted]
    for agents, times in there.items():
        for kind, time in zip((Kind.AgentStarted, Kind.AgentFinished), times, strict=True):
            rows += [(time * S, kind, agent, -1, -1, -1, -1, 0) for agent in agents if time is not None]
    return sorted(rows, key=lambda row: (row[0], row[1] == Kind.RunFinished))


def of_staffed(head: Header, rows: list[Row], there: dict[range, tuple[int, int | None]]) -> tuple[str, str | None]:
    [found] = told(head, staffed(rows, there))
    return found["verdict"], found["why"]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({range(20): (0, None)}, STAYED),
        ({range(18): (0, None), range(18, 20): (0, 50)}, STAYED),
        ({range(17): (0, None), range(17, 20): (0, 50)}, LEFT),
        ({range(17): (0, None), range(17, 20): (0, 92)}, STAYED),  # for half of the last quarter they are there
        ({range(17): (0, None), range(17, 20): (0, 50), range(20, 23): (50, None)}, STAYED),  # others take over
    ],
)
def test_where_agents_of_a_closed_fleet_have_left_the_load_is_not_what_it_was(
    there: dict[range, tuple[int, int | None]], expected: tuple[str, str | None]
) -> None:
    head = header(incident("brownout", 20, 30))
    assert of_staffed(head, rows_of(head, halved, 100), there) == expected
    # Where agents arrive by themselves, how many are there is no matter of the load.
    is_open = header(incident("brownout", 20, 30), is_open=True)
    assert (
        of_staffed(is_open, rows_of(is_open, halved, 100), {range(20): (15, 50), range(20, 200): (90, None)}) == STAYED
    )


def test_who_is_down_has_not_left() -> None:
    head = header(incident("brownout", 20, 30))
    rows = rows_of(head, halved, 100)
    for agent in range(10):
        rows += [(50 * S, Kind.AgentCrashed, agent, -1, -1, -1, -1, 40 * S)]
        rows += [(90 * S, Kind.AgentRestarted, agent, -1, -1, -1, -1, 0)]
    assert of_staffed(head, rows, {range(20): (0, None)}) == STAYED


@pytest.mark.parametrize(("left", "expected"), [("many", STAYED), ("busy", LEFT), ("lead", LEFT)])
def test_closed_fleets_count_by_what_they_do(left: str, expected: tuple[str, str | None]) -> None:
    """A thousand agents succeed once where helpers that another fleet of two spawns, or a fleet of two, do 19 times."""
    head = hitting(header(incident("brownout", 20, 30)), {0, 1})
    agents = {"many": range(1000), "busy": range(1000, 1002)}
    heavy = replace(head.steps[1], fleet=1)
    steps, written = (head.steps[0], heavy), [{"name": "many", "count": 1000}, {"name": "busy", "count": 2}]
    fleets = [FleetEntry("many", 0, 1000, None, 0), FleetEntry("busy", 1000, 2, None, 0)]
    if left == "lead":
        agents = {"many": range(1000), "lead": range(1000, 1002)}
        steps = (head.steps[0], replace(heavy, fleet=2), StepEntry(1, "helper", "spawn", ((),), (), spawned=2))
        written, fleets = [*written, {"name": "helper"}], [*fleets, FleetEntry("helper", 1002, 0, None, 0)]
    head = replace(head, steps=steps, fleets=tuple(fleets), scenario={"fleets": written})
    rows = rows_of_both(
        head,
        lambda ms: halved(ms) if ms // 50 % 20 == 1 else None,
        lambda ms: halved(ms) if ms // 50 % 20 != 1 else None,
        100,
    )
    there = {numbers: (0, 50 if name == left else None) for name, numbers in agents.items()}
    assert of_staffed(head, rows, there) == expected


def test_a_closed_fleet_that_is_done_has_not_collapsed() -> None:
    work = {"repeat": 60, "steps": [{"think": {"exponential": "1s"}}, {"task": "job", "duration": "200ms"}]}
    always = {**work, "repeat": "forever"}
    brown = {"id": "brown", "at": "30s", "lasts": "10s", "slow": 3}
    fleets = [{"name": "batch", "count": 50, "steps": [work]}, {"name": "service", "count": 4, "steps": [always]}]
    log = run(scenario(until="300s", fleets=fleets, incidents=[brown]))
    storms = Storms(log.header)
    for each in log.batches():
        storms.feed(each)
    [found] = storms.result() or []
    assert (found["verdict"], found["why"]) == LEFT


def test_where_all_work_is_done_nothing_more_is_watched() -> None:
    found = story(lambda ms: [SUCCEEDED] if ms < 75_000 else None)
    assert (found["verdict"], found["windows"]) == ("recovers", 9)


def test_incidents_that_overlap_are_one_trigger_and_each_is_told() -> None:
    head = header(incident("one", 20, 30), incident("other", 25, 40, 90, 95))
    first, second = told(head, rows_of(head, lambda ms: [SUCCEEDED], 140))
    assert (first["incidents"], first["from_ns"], first["to_ns"]) == (["one", "other"], 20 * S, 40 * S)
    assert (second["incidents"], second["from_ns"], second["to_ns"]) == (["other"], 90 * S, 95 * S)
    assert [first["windows"], second["windows"]] == [10, 9]  # from 40 s to 90 s, and from 95 s to the end
    assert second["before"] == first["before"]


@pytest.mark.parametrize("names", ["xy", "yx"])
def test_incidents_that_follow_each_other_at_once_are_one_trigger_in_either_order(names: str) -> None:
    times = {"x": (20, 30), "y": (30, 40)}
    head = header(*(incident(name, *times[name]) for name in names))
    [found] = told(head, rows_of(head, lambda ms: [SUCCEEDED], 100))
    assert (sorted(found["incidents"]), found["from_ns"], found["to_ns"]) == (["x", "y"], 20 * S, 40 * S)


@pytest.mark.parametrize("stops", ["hit", "other"])
def test_only_the_arrivals_of_fleets_that_are_hit_are_the_load(stops: str) -> None:
    """Of one of two fleets half as many come from 40 s on; the goodput of the one that is hit is halved from 30 s on."""

    def fleet(name: str) -> dict[str, Any]:
        every = [number * 0.05 for number in range(2000) if name != stops or number < 800 or number % 2]
        return {"name": name, "arrivals": {"at": every}, "steps": [{"task": name, "duration": "10ms"}]}

    bad = {"id": "bad", "at": "20s", "lasts": "10s", "slow": 2, "scope": "fleet:hit"}
    worse = {
        "id": "worse",
        "type": "concurrency",
        "limit": 1,
        "scope": "fleet:hit",
        "on_limit": "reject",
        "from": "30s",
    }
    long = {**fleet("hit"), "steps": [{"task": "hit", "duration": "90ms"}]}
    log = run(scenario(until="100s", constraints=[worse], fleets=[long, fleet("other")], incidents=[bad]))
    storms = Storms(log.header)
    for each in log.batches():
        storms.feed(each)
    [found] = storms.result() or []
    assert (found["verdict"], found["why"]) == (
        ("unknown", "the load is no longer what it was") if stops == "hit" else ("metastable", None)
    )


def test_where_nothing_can_go_wrong_nothing_is_told() -> None:
    assert Storms(header()).result() is None
    assert told(header(incident("late", 200, 210)), rows_of(header(), lambda ms: [SUCCEEDED], 30)) == []


def of(name: str, *overrides: str) -> dict[str, Any]:
    """What becomes of the fleet of a shipped scenario."""
    loaded = load(SCENARIOS / f"{name}.yaml", overrides)
    ready = prepare(loaded.scenario, loaded.tables, loaded.inputs)
    storms = Storms(ready.header)
    Engine(ready.plan, storms.feed).run()
    result = storms.result()
    assert result is not None
    return result[-1]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("verdict", ["recovers", "metastable", "collapsed"])
def test_the_shipped_scenarios_show_each_verdict(verdict: str, seed: int) -> None:
    assert of(f"storm_{verdict}", f"seed={seed}")["verdict"] == verdict


def test_the_metastable_fleet_is_healthy_where_nothing_happens_to_it() -> None:
    found = of("storm_metastable", "incidents.brownout.slow=1.01")
    assert (found["verdict"], found["time_to_recover_ns"]) == ("recovers", 0)
    assert found["after"]["amplification"] < 1.01
