"""The story of an agent: spells worked out by hand, and held against the ledger and the explanations of generated runs."""

from collections import Counter
from typing import Any

import numpy as np
from fleet_logs import S, concurrency, header, log, row
from hypothesis import given
from hypothesis import strategies as st
from runs import run, scenario
from vocabulary import rich

from model.events import Kind, Status
from model.log import Log, StepEntry
from render.film import Film
from render.palette import LETTERS
from render.story import Holder, Spell, Stakes, Story, What
from render.telling import HOLDERS, Hindrance, Teller
from sim.analysis.causes import Inquiry
from sim.analysis.ledger import BACK_OFF, JOIN, NO_STEP, REPAIR, Ledger
from sim.analysis.record import Record
from sim.analysis.waits import Waits


def bottleneck() -> Film:
    """Agents 0, 1 and 2 want the one slot at 1 s, one after another; each works for 2 s, then all think."""
    head = header({"a": 3}, [concurrency("slot", 1)])
    rows = [row(0, Kind.AgentStarted, agent) for agent in range(3)]
    rows += [row(S, Kind.TaskStarted, 0)]
    rows += [row(S, Kind.TaskBlocked, agent, 0, 0, agent - 1) for agent in (1, 2)]
    for number in (1, 2):
        now = S + 2 * S * number
        rows += [row(now, Kind.TaskFinished, number - 1)]
        rows += [row(now, Kind.TaskResumed, number, 0, 0, 2 * S * number), row(now, Kind.TaskStarted, number)]
    rows += [row(7 * S, Kind.TaskFinished, 2), row(8 * S, Kind.RunFinished)]
    return Film(log(head, rows))


def told(spells: list[Spell]) -> list[tuple[str, float, float | None]]:
    return [(each.what.value, each.from_ns / S, None if each.to_ns is None else each.to_ns / S) for each in spells]


def test_a_story_up_to_each_moment():
    story = Story(bottleneck(), 1)
    assert told(story.at(0)) == [("thought", 0, None)]
    assert told(story.at(S)) == [("thought", 0, 1), ("waited", 1, None)]
    assert told(story.at(3 * S)) == [("thought", 0, 1), ("waited", 1, 3), ("ran", 3, None)]
    assert told(story.at(9 * S)) == [("thought", 0, 1), ("waited", 1, 3), ("ran", 3, 5), ("thought", 5, None)]
    assert story.at(9 * S)[2].status is Status.succeeded


def test_who_holds_it_and_who_is_ahead():
    film = bottleneck()
    stakes, wait = Stakes(film), Story(film, 2).at(2 * S)[-1]
    assert stakes.ahead(wait, 2 * S) == 1
    assert stakes.holders(0, 2 * S, 5).most == (Holder(0, 0, 0, 1, S),)
    assert stakes.ahead(wait, 4 * S) == 0
    assert stakes.holders(0, 4 * S, 5).most == (Holder(1, 0, 0, 1, 3 * S),)
    assert stakes.holders(0, 0, 5).count == 0


def test_a_story_in_lines():
    film = bottleneck()
    teller, story, stakes = Teller(film, LETTERS), Story(film, 2), Stakes(film)
    wait = story.at(2 * S)[-1]
    found = [Hindrance(wait, stakes.ahead(wait, 2 * S), stakes.holders(0, 2 * S, HOLDERS), True)]
    lines = teller.lines(story, 2 * S, found, 0, 44, 9)
    assert ["".join(part.text for part in line).rstrip() for line in lines] == [
        "a_2",
        "waits for slot with work (visit 0)",
        "  since 1.00s, for 1 s",
        "  1 asked earlier and still waits",
        "  held by 1",
        "  > a_0_work  1 since 1.00s",
        "",
        "0.00s  thought 1 s",
        "",
    ]
    looking = teller.lines(story, 2 * S, None, 0, 44, 9)
    assert "looking for who has it" in "".join(part.text for part in looking[3])
    assert all(sum(part.cell_length for part in line) == 44 for line in [*lines, *looking])


def test_a_long_story_shows_its_end():
    task = {"task": "t", "duration": "1s"}
    film = Film(run(scenario(until="60s", steps=[{"repeat": "forever", "steps": [{"think": "1s"}, task]}])))
    lines = Teller(film, LETTERS).lines(Story(film, 0), film.end_ns, (), 0, 40, 8)
    words = ["".join(part.text for part in line).strip() for line in lines]
    assert words == [
        "a_0",
        "thinks",
        "since 60.00s, for 0 s",
        "",
        "57 before",
        "57.00s  ran 1 s: t (visit 28)",
        "58.00s  thought 1 s",
        "59.00s  ran 1 s: t (visit 29)",
    ]


def test_a_duration_keeps_its_unit_where_a_line_is_cut():
    ms = S // 1000
    steps = [StepEntry(0, "a_long_name", "task", ((),), ()), StepEntry(0, "other", "fork", ((),), ())]
    head = header({"a": 1}, [concurrency("slot", 1)], steps)
    rows = [
        row(0, Kind.AgentStarted, 0),
        row(7 * ms, Kind.TaskStarted, 0),
        row(703 * ms + ms // 2, Kind.TaskFinished, 0),
    ]
    film = Film(log(head, [*rows, row(1400 * ms, Kind.AgentFinished, 0), row(2 * S, Kind.RunFinished)]))
    teller, story = Teller(film, LETTERS), Story(film, 0)

    def lines(width: int) -> list[str]:
        return ["".join(part.text for part in line).rstrip() for line in teller.lines(story, 2 * S, (), 0, width, 6)]

    assert lines(80) == [
        "a_0  finished at 1.40s",
        "",
        "0.00s  thought 7 ms, or waited for others",
        "0.01s  ran 696.5 ms: a_long_name (visit 0)",
        "0.70s  thought 696.5 ms, or waited for others",
        "",
    ]
    assert lines(24) == [
        "a_0  finished at 1.40s",
        "",
        "0.00s  thought 7 ms, or~",
        "0.01s  ran 696.5 ms: a_~",
        "0.70s  thought 696.5 ms~",
        "",
    ]
    assert lines(23)[4] == "0.70s  thought 696.5 ms", "what follows it is cut, the unit is not"
    assert lines(22)[4] == lines(20)[4] == "0.70s  thought~"
    assert lines(22)[0] == "a_0  finished at 1.40s"
    assert lines(20)[0] == "a_0  finished at 1.~"
    now = teller.lines(story, 500 * ms, (), 0, 22, 6)
    assert "".join(part.text for part in now[2]).rstrip() == "  since 0.01s, for~", "493 ms are never 493 m"


def test_back_off_refusals_and_crashes_are_told():
    task = {"task": "t", "duration": "1s", "fail": 1.0, "retry": {"max_attempts": 2, "delay": "3s"}}
    film = Film(run(scenario(until="20s", steps=[task])))
    found = Story(film, 0).at(20 * S)
    assert [(each.what, (each.to_ns or 0) - each.from_ns, each.status) for each in found] == [
        (What.RAN, S, Status.failed),
        (What.BACKED_OFF, 3 * S, None),
        (What.RAN, S, Status.failed),
    ]
    crash = {"uptime": "2s", "repair": "3s"}
    film = Film(run(scenario(until="6s", steps=[{"task": "t", "duration": "9s"}], crash=crash)))
    assert told(Story(film, 0).at(6 * S)) == [("ran", 0, 2), ("down", 2, 5), ("ran", 5, None)]
    assert told(Story(film, 0).at(3 * S))[-1] == ("down", 2, None)


def test_who_holds_something_thinks_all_the_same():
    head = header({"a": 1}, [concurrency("slot", 1)], [StepEntry(0, "hold", "hold", ((),), ())])
    rows = [row(0, Kind.AgentStarted, 0), row(S, Kind.TaskStarted, 0), row(5 * S, Kind.TaskFinished, 0)]
    film = Film(log(head, [*rows, row(9 * S, Kind.RunFinished)]))
    assert told(Story(film, 0).at(3 * S)) == [("thought", 0, None), ("held", 1, None)]
    assert told(Story(film, 0).at(9 * S)) == [("thought", 0, None), ("held", 1, 5)]


def charged(written: Log, time_ns: int) -> dict[tuple[int, int, int], int]:
    """What the ledger has of the rows up to a time, by agent, step and cause."""
    ledger, waits = Ledger(written.header), Waits()
    for batch in written.batches():
        part = batch.rows(0, int(np.searchsorted(batch.time, time_ns, side="right")))
        ledger.feed(part, waits.feed(part), waits.rest())
    ledger._now_ns = time_ns
    waits.reach(time_ns)
    charges = ledger.charges(waits.rest())
    columns = (charges.agent, charges.step, charges.cause, charges.ns)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {(agent, step, cause): ns for agent, step, cause, ns in rows if ns}


def summed(film: Film, time_ns: int) -> dict[tuple[int, int, int], int]:
    """What the stories up to a time have of the same."""
    sums: Counter[tuple[int, int, int]] = Counter()
    for agent in range(film.agents):
        for spell in Story(film, agent).at(time_ns):
            cause = {What.WAITED: spell.constraint, What.BACKED_OFF: BACK_OFF, What.DOWN: REPAIR}.get(spell.what)
            if cause is not None:
                step = NO_STEP if spell.what is What.DOWN else spell.step
                sums[agent, step, cause] += (time_ns if spell.to_ns is None else spell.to_ns) - spell.from_ns
    return {key: ns for key, ns in sums.items() if ns}


def test_a_join_is_charged_and_is_no_wait_of_a_story() -> None:
    parent = {"name": "a", "count": 1, "steps": [{"spawn": "b", "count": 2}]}
    written = run(scenario(fleets=[parent, {"name": "b", "steps": [{"task": "work", "duration": "3s"}]}], until="9s"))
    film = Film(written)
    assert charged(written, 9 * S) == {(0, 0, JOIN): 3 * S}
    assert summed(film, 9 * S) == {}
    story = Story(film, 0)
    assert told(story.at(9 * S)) == [("thought", 0, 3)]
    lines = Teller(film, LETTERS).lines(story, 9 * S, None, 0, 60, 5)
    assert "0.00s  thought 3 s, or waited for others" in [
        "".join(part.text for part in line).rstrip() for line in lines
    ]


@given(rich(), st.sampled_from([1.0, 0.5, 0.8]))
def test_the_waits_of_all_stories_are_those_of_the_ledger(drawn: dict[str, Any], share: float) -> None:
    written = run(drawn)
    film = Film(written)
    time_ns = int(film.end_ns * share)
    without_joins = {key: ns for key, ns in charged(written, time_ns).items() if key[2] >= REPAIR}
    assert summed(film, time_ns) == without_joins


@given(rich(), st.sampled_from([1.0, 0.5]))
def test_who_does_one_thing_at_a_time_does_what_its_explanation_says(drawn: dict[str, Any], share: float) -> None:
    written = run(drawn)
    film = Film(written)
    time_ns = int(film.end_ns * share)
    inquiry = Inquiry(Record.of(written).until(time_ns))
    for agent in range(film.agents):
        fleets, _ = film.roster.places(np.array([agent]))
        kinds = {step.kind for step in film.header.steps if step.fleet == fleets[0]}
        if kinds & {"fork", "graph", "hold", "spawn"} or not len(inquiry.record.of_agent(agent)):
            continue
        sums: Counter[str] = Counter()
        for spell in Story(film, agent).at(time_ns):
            sums[spell.what.value] += (time_ns if spell.to_ns is None else spell.to_ns) - spell.from_ns
        names = {"worked": "ran", "waited": "waited", "backed_off": "backed off", "repaired": "down", "idle": "thought"}
        said: Counter[str] = Counter()
        for (what, _), ns in inquiry.doing(agent).spent.items():
            said[names[what]] += ns
        assert {what: ns for what, ns in sums.items() if ns} == {what: ns for what, ns in said.items() if ns}


@given(rich(), st.sampled_from([1.0, 0.4]))
def test_a_story_at_a_moment_is_that_of_the_rows_up_to_it(drawn: dict[str, Any], share: float) -> None:
    film = Film(run(drawn))
    time_ns = int(film.end_ns * share)
    cut = Film.__new__(Film)
    cut.__dict__.update(film.__dict__)
    cut.rows = film.rows.rows(0, int(np.searchsorted(film.rows.time, time_ns, side="right")))
    for agent in range(film.agents):
        assert Story(cut, agent).at(time_ns) == Story(film, agent).at(time_ns)


@given(rich())
def test_everybody_has_somebody_ahead_or_is_first(drawn: dict[str, Any]) -> None:
    """Those ahead of the waits for one constraint at a moment are 0, 1, 2 ... in all."""
    film = Film(run(drawn))
    stakes, time_ns = Stakes(film), film.end_ns // 2
    ahead: dict[int, list[int]] = {}
    for agent in range(film.agents):
        for spell in Story(film, agent).at(time_ns):
            if spell.what is What.WAITED and spell.to_ns is None:
                ahead.setdefault(spell.constraint, []).append(stakes.ahead(spell, time_ns))
    moment = film.at(time_ns)
    assert {constraint: sorted(places) for constraint, places in ahead.items()} == {
        number: list(range(count)) for number, count in enumerate(moment.waiting.tolist()) if count
    }


@given(rich())
def test_what_holders_have_is_what_is_used(drawn: dict[str, Any]) -> None:
    film = Film(run(drawn))
    stakes, time_ns = Stakes(film), film.end_ns // 2
    for constraint, used in enumerate(film.at(time_ns).used.tolist()):
        if used >= 0 and stakes.is_held(constraint):
            holders = stakes.holders(constraint, time_ns, 10_000)
            assert sum(holder.amount for holder in holders.most) == used
