"""Agents that crash and are repaired: by timelines worked out by hand."""

from typing import Any

import pytest

from model.events import Kind
from tests.runs import run, scenario, told
from tests.test_incidents import SLOT, at, incident, lines, task


def test_an_agent_crashes_is_repaired_and_begins_again() -> None:
    """Up for 5 s, down for 2 s. Who waits for its slot gets it."""
    steps = [{"think": "1s"}, task(needs={"slot": 1}), {"think": "10s"}]
    fleets = [
        {"name": "a", "count": 1, "crash": {"uptime": "3s", "repair": "2s"}, "steps": steps},
        {"name": "b", "arrivals": at(2), "steps": [task(needs={"slot": 1})]},
    ]
    log = told(run(scenario(until="9s", constraints=[{**SLOT, "scope": None}], fleets=fleets)), without=("RunStarted",))
    assert log == [
        "0 AgentStarted 0",
        "1 TaskStarted a_0_t#0 0",
        "2 AgentStarted 1",
        "2 TaskBlocked b_0_t#0 slot 0",
        "3 TaskFinished a_0_t#0 cancelled",
        "3 AgentCrashed 0 2",
        "3 TaskResumed b_0_t#0 slot 1",
        "3 TaskStarted b_0_t#0 1",
        "5 AgentRestarted 0",
        "6 TaskBlocked a_0_t#1 slot 0",
        "7 TaskFinished b_0_t#0 succeeded",
        "7 TaskResumed a_0_t#1 slot 1",
        "7 TaskStarted a_0_t#1 1",
        "7 AgentFinished 1",
        "8 TaskFinished a_0_t#1 cancelled",
        "8 AgentCrashed 0 2",
        "9 RunFinished",
    ]


def test_a_crash_comes_before_all_else_at_its_instant() -> None:
    """The work would be over at 4 s."""
    assert lines(crash={"uptime": "4s", "repair": "1s"}, count=1, until="5s") == [
        "0 TaskStarted a_0_t#0 0",
        "4 TaskFinished a_0_t#0 cancelled",
        "4 AgentCrashed 0 1",
        "5 AgentRestarted 0",
        "5 TaskStarted a_0_t#1 0",
        "5 RunFinished",
    ]


def test_what_is_known_before_the_run_changes_before_a_crash_of_that_instant() -> None:
    """However many changes there were before, after the crash was due."""
    for early in ([], ["1s"]):
        log = lines(incident(at=[*early, "4s"], lasts="1s", fail=1.0), crash={"uptime": "4s"}, count=1, until="4s")
        assert log[2 * len(early) + 1 :][:2] == ["4 ConstraintChanged bad 0", "4 TaskFinished a_0_t#0 cancelled"]


def test_who_crashes_while_he_waits_leaves_the_queue() -> None:
    """Both crash at one instant, and neither has the slot of the other for no time."""
    log = lines(constraints=[SLOT], count=2, crash={"uptime": "3s", "repair": "10s"}, until="3s")
    assert log == [
        "0 TaskStarted a_0_t#0 0",
        "0 TaskBlocked a_1_t#0 slot 0",
        "3 TaskFinished a_0_t#0 cancelled",
        "3 AgentCrashed 0 10",
        "3 TaskAbandoned a_1_t#0 slot 3",
        "3 TaskFinished a_1_t#0 cancelled",
        "3 AgentCrashed 1 10",
        "3 RunFinished",
    ]
    fleets = [
        {"name": "a", "count": 1, "steps": [task(needs={"slot": 1})]},
        {"name": "b", "count": 1, "crash": {"uptime": "3s", "repair": "10s"}, "steps": [task(needs={"slot": 1})]},
    ]
    log = told(run(scenario(until="4s", constraints=[{**SLOT, "scope": None}], fleets=fleets)))
    assert log[2:5] == ["3 TaskAbandoned b_0_t#0 slot 3", "3 TaskFinished b_0_t#0 cancelled", "3 AgentCrashed 1 10"]


def test_branches_and_what_is_held_go_with_the_agent() -> None:
    steps = [{"hold": "h", "needs": {"slot": 1}, "steps": [{"fork": 2, "steps": [task()]}]}]
    log = lines(
        constraints=[{**SLOT, "scope": None}], count=1, steps=steps, crash={"uptime": "2s", "repair": "1s"}, until="3s"
    )
    assert log == [
        "0 ResourceAcquired a_0_h#0 slot 1",
        "0 TaskStarted a_0_h#0 0",
        "0 TaskStarted a_0_t#0 0",
        "0 TaskStarted a_0_t#1 0",
        "2 TaskFinished a_0_t#1 cancelled",
        "2 TaskFinished a_0_t#0 cancelled",
        "2 TaskFinished a_0_h#0 cancelled",
        "2 ResourceReleased a_0_h#0 slot 1",
        "2 AgentCrashed 0 1",
        "3 AgentRestarted 0",
        "3 ResourceAcquired a_0_h#1 slot 1",
        "3 TaskStarted a_0_h#1 0",
        "3 TaskStarted a_0_t#2 0",
        "3 TaskStarted a_0_t#3 0",
        "3 RunFinished",
    ]


def test_a_life_may_end_while_the_agent_is_down() -> None:
    log = told(
        run(scenario(until="9s", count=1, steps=[task()], life="3s", crash={"uptime": "2s", "repair": "5s"})),
        without=("RunStarted", "AgentStarted"),
    )
    assert log == [
        "0 TaskStarted a_0_t#0 0",
        "2 TaskFinished a_0_t#0 cancelled",
        "2 AgentCrashed 0 5",
        "3 AgentFinished 0",
        "9 RunFinished",
    ]


def test_who_crashes_as_he_is_repaired_begins_nothing() -> None:
    assert lines(count=1, crash={"uptime": 0, "repair": "1s"}, until="2s") == [
        "0 TaskStarted a_0_t#0 0",
        "0 TaskFinished a_0_t#0 cancelled",
        "0 AgentCrashed 0 1",
        "1 AgentRestarted 0",
        "1 AgentCrashed 0 1",
        "2 AgentRestarted 0",
        "2 AgentCrashed 0 1",
        "2 RunFinished",
    ]


def test_who_is_done_does_not_crash_and_who_spawned_others_leaves_them_to_themselves() -> None:
    assert lines(count=1, crash={"uptime": "5s"}, until="9s")[-2:] == [
        "4 TaskFinished a_0_t#0 succeeded",
        "9 RunFinished",
    ]
    fleets = [
        {"name": "p", "count": 1, "crash": {"uptime": "3s", "repair": "9s"}, "steps": [{"spawn": "c"}]},
        {"name": "c", "steps": [task()]},
    ]
    log = told(run(scenario(until="5s", fleets=fleets)))
    assert log == ["0 TaskStarted c_0_t#0 0", "3 AgentCrashed 0 9", "4 TaskFinished c_0_t#0 succeeded", "5 RunFinished"]


def test_visits_and_draws_go_on_after_a_crash() -> None:
    """Each visit takes the next draw, those before a crash included; thinking too."""
    steps = [{"repeat": 100, "steps": [{"think": {"exponential": "1s"}}, task({"exponential": "1s"})]}]
    crashing = lines(count=1, steps=steps, crash={"uptime": {"exponential": "5s"}, "repair": "1s"}, until="60s")
    plain = lines(count=1, steps=steps, until="200s")

    def worked(log: list[str]) -> dict[str, float]:
        begun = {line.split()[2]: float(line.split()[0]) for line in log if "TaskStarted" in line}
        over = {line.split()[2]: float(line.split()[0]) for line in log if "succeeded" in line}
        return {name: round(time - begun[name], 6) for name, time in over.items()}

    kept = worked(crashing)
    assert len(kept) > 15
    assert "cancelled" in " ".join(crashing)
    assert kept.items() <= worked(plain).items()


def test_a_restart_draws_as_often_as_it_takes() -> None:
    """Each step is reached once at most in a life, and there are many lives."""
    uncertain = {"uniform": ["1s", "1s"]}
    steps = [{"choose": [{"steps": [{"think": uncertain}, task(uncertain, needs={"slot": {"uniform": [1, 1]}})]}]}]
    log = lines(
        count=1,
        constraints=[{**SLOT, "scope": None}],
        steps=[*steps, {"think": "9s"}],
        crash={"uptime": "3s"},
        until="3000s",
    )
    assert len([line for line in log if "succeeded" in line]) == 1000


def test_thinking_goes_on_with_the_next_draw_too() -> None:
    steps = [{"repeat": 100, "steps": [{"think": {"exponential": "1s"}}, task("1s")]}]
    log = lines(count=1, steps=steps, crash={"uptime": "7s", "repair": "1s"}, until="60s")
    thought, since = [], 0.0
    for line in log:
        time = float(line.split()[0])
        if "TaskStarted" in line:
            thought.append(round(time - since, 6))
        elif "TaskFinished" in line or "Restarted" in line:
            since = time
    assert len(thought) > 20
    assert len(set(thought)) == len(thought)


def test_crashes_have_draws_of_their_own() -> None:
    steps = [{"repeat": "forever", "steps": [task({"exponential": "1s"})]}]
    crash = {"uptime": {"exponential": "5s"}, "repair": {"exponential": "1s"}}

    def crashes(**rest: Any) -> list[str]:
        log = lines(count=3, steps=steps, crash=crash, until="60s", **rest)
        return [line for line in log if Kind.AgentCrashed.name in line or Kind.AgentRestarted.name in line]

    assert len(crashes()) > 20
    assert crashes() == crashes(constraints=[SLOT])


def test_a_hold_that_waits_for_what_it_gave_back_is_settled_when_its_agent_crashes() -> None:
    """It reserved 50, of which it costs 10; the slot that it gave back at 0 s it waits for from 2 s on."""
    tokens = {"id": "q", "type": "quota", "total": 100, "counts": "tokens", "charge": "settle"}
    limits = [{**SLOT, "scope": None}, {**tokens, "scope": None}]
    held = {"needs": {"slot": 1, "q": 1}, "cost": {"tokens": 10}, "reserve": {"tokens": 50}, "give_back": True}
    hold = {"hold": "h", **held, "steps": [{"fork": 1, "steps": [task("2s")]}]}
    fleets = [
        {"name": "a", "count": 1, "crash": {"uptime": "5s", "repair": "1h"}, "steps": [hold]},
        {"name": "b", "arrivals": at(1), "steps": [task("20s", needs={"slot": 1})]},
    ]
    log = told(run(scenario(until="6s", constraints=limits, fleets=fleets)))
    assert log[log.index("2 TaskBlocked a_0_h#0 slot 0") :] == [
        "2 TaskBlocked a_0_h#0 slot 0",
        "5 TaskAbandoned a_0_h#0 slot 3",
        "5 TaskFinished a_0_h#0 cancelled",
        "5 ResourceReleased a_0_h#0 q 40000000",
        "5 AgentCrashed 0 3600",
        "6 RunFinished",
    ]


RATE = {"id": "r", "type": "rate_limit", "rate": "1/h", "burst": 3}
BOTH = {"slot": 1, "r": 1}


@pytest.mark.parametrize("ends", [{"crash": {"uptime": "1.5s", "repair": "1h"}}, {"life": "1.5s"}])
def test_what_one_branch_gives_back_is_not_for_another_that_goes_with_it(ends: dict[str, Any]) -> None:
    """Copy 0 fails at 1 s and waits behind copy 1, before b. It would take the last of three tokens."""
    copy = task(duration="1s", fail=1.0, retry={"max_attempts": 3, "delay": "0s"}, needs=BOTH)
    fleets = [
        {"name": "a", "count": 1, "steps": [{"fork": 2, "steps": [copy]}], **ends},
        {"name": "b", "arrivals": at("1.2"), "steps": [task(duration="1s", needs=BOTH)]},
    ]
    limits = [{**SLOT, "scope": None}, {**RATE, "scope": None}]
    log = told(run(scenario(until="3s", constraints=limits, fleets=fleets)))
    assert [line for line in log if not line.startswith(("0 ", "1 ", "1.2 "))] == [
        "1.5 TaskFinished a_0_t#1 cancelled",
        "1.5 TaskAbandoned a_0_t#0.1 slot 0.5",
        "1.5 TaskFinished a_0_t#0.1 cancelled",
        *(["1.5 AgentCrashed 0 3600"] if "crash" in ends else []),
        "1.5 TaskResumed b_0_t#0 slot 0.3",
        "1.5 TaskStarted b_0_t#0 0.3",
        "2.5 TaskFinished b_0_t#0 succeeded",
        "3 RunFinished",
    ]
