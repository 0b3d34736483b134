"""Explanations: by hand, sentence by sentence; every claim against the rows, over generated scenarios; the command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import scenarios, simulate
from vocabulary import rich

import sim
from model.events import Batch, Kind, concatenate
from model.log import Log, LogWriter
from sim.analysis.binding import of_constraint
from sim.analysis.explain import Explanation, of_agent, of_task, worst
from sim.analysis.record import Record
from sim.sentences import told
from tests import explained, truth
from tests.runs import run, scenario

ROOT = Path(__file__).parent.parent
SLOT = {"id": "slot", "type": "concurrency", "limit": 1}
Dict = dict[str, Any]
half = settings(max_examples=settings.default.max_examples // 2)  # type: ignore[union-attr] # a profile is loaded


def claims(found: Explanation) -> list[Dict]:
    return [told(statement) for statement in found.statements]


def fleet(name: str, at: str, duration: str, **rest: Any) -> Dict:
    """A fleet of which an agent arrives at each of these times, with one task."""
    said = {"priority": rest.pop("priority")} if "priority" in rest else {}
    return {
        "name": name,
        "arrivals": {"at": at.split()},
        **said,
        "steps": [{"task": "w", "duration": duration, **rest}],
    }


def recorded(*limits: Dict, **rest: Any) -> Record:
    return Record.of(run(scenario(constraints=list(limits), **{"until": None, **rest})))


def sentences(found: Explanation, without: tuple[str, ...] = ()) -> list[str]:
    return [claim["text"] for claim in claims(found) if claim["kind"] not in without]


def of(record: Record, agent: int, step: int = 0) -> list[str]:
    """What is said of the first visit of an agent to a step."""
    return sentences(of_task(record, agent, step, 0))


# By hand.


def test_one_slot_held_by_another() -> None:
    record = recorded(SLOT, fleets=[fleet("a", "0s", "2s"), fleet("b", "1s", "1s")])
    assert sentences(of_agent(record, 1)) == [
        "b_0 began at 1 s (event 3) and was done at 3 s (event 10).",
        "Of these 2 s, for 1 s (50.0%) it waited for slot and for 1 s (50.0%) it worked (events 3 to 10).",
        "b_0_w waited 1 s for slot, from 1 s (event 4) to 2 s (event 6).",
        "slot: 1 of 1 held at 1 s (event 4), when it asked for 1: by a_0_w from 0 s (event 2) until 2 s (event 5).",
        "b_0_w got slot at 2 s (event 6), when a_0_w, which had held it since 0 s (event 2), gave some back (event 5).",
        "What led to that, going back, is a chain of 4 links, from 3 s (event 9) to 0 s (event 2): 3 s of work.",
        "b_0_w worked for 1 s, from 2 s (event 7) to 3 s (event 9), and was done.",
        "b_0_w got slot at 2 s (event 6), when a_0_w gave some back (event 5).",
        "a_0_w worked for 2 s, from 0 s (event 2) to 2 s (event 5), and was done.",
        "a_0 came by itself at 0 s (event 1).",
    ]
    assert sentences(of_constraint(record, 0)) == [
        "slot bound for 1 s (33.3% of the time), in 1 stretch, with 1 wait for it, 1 s in all (events 4 to 6).",
        "It bound for 1 s from 1 s (event 4) to 2 s (event 6); 1 task waited at most.",
        "While it bound 1 of 1 was held on average (100.0%) (events 4 to 6).",
        "a/w had 66.7% of what was taken (first in event 2), and stood for 100.0% of the time that tasks waited: "
        "most of it a_0 with 100.0% (first in event 2).",
        "b/w had 33.3% of what was taken (first in event 7), and stood for 0.0% of the time that tasks waited.",
        "b/w waited for it 1 time, 1 s in all; the longest wait is 1 s (events 4 to 6).",
    ]
    assert sentences(worst(record, 3)) == [
        "b_0_w waited 1 s for slot, from 1 s (event 4) to 2 s (event 6); held by a_0_w since 0 s (event 2)."
    ]


def test_up_to_a_moment() -> None:
    record = recorded(SLOT, fleets=[fleet("a", "0s", "2s"), fleet("b", "1s", "1s")]).until(1_500_000_000)
    assert sentences(of_agent(record, 1)) == [
        "b_0 began at 1 s (event 3) and was not done by 1.5 s.",
        "Of these 500 ms, for 500 ms (100.0%) it waited for slot (from event 3 on).",
        "b_0_w waited 500 ms for slot, from 1 s (event 4) and still did at 1.5 s.",
        "slot: 1 of 1 held at 1 s (event 4), when it asked for 1: by a_0_w from 0 s (event 2) and beyond.",
        "What led to that, going back, is a chain of 3 links, from 1.5 s to 0 s (event 2): 1.5 s of work.",
        "At 1.5 s b_0_w waited, from 1 s (event 4) on, for slot, held by a_0_w since 0 s (event 2).",
        "a_0_w has worked since 0 s (event 2): 1.5 s so far.",
        "a_0 came by itself at 0 s (event 1).",
    ]


def test_who_is_more_important_goes_first() -> None:
    fleets = [fleet("a", "0s", "2s"), fleet("low", "1s", "1s"), fleet("high", "1500ms", "1s", priority=5)]
    record = recorded({**SLOT, "queue": "priority"}, fleets=fleets)
    assert of(record, 1, 1) == [
        "low_0_w waited 2 s for slot, from 1 s (event 4) to 3 s (event 12).",
        "slot: 1 of 1 held at 1 s (event 4), when it asked for 1: by a_0_w from 0 s (event 2) until 2 s (event 7).",
        "Meanwhile 1 other is more important (its own priority is 0) and took slot before it: "
        "high_0_w, priority 5, (asked in event 6, took in event 9).",
        "low_0_w got slot at 3 s (event 12), when high_0_w, which had held it since 2 s (event 9), "
        "gave some back (event 11).",
        "low_0_w started at 3 s (event 13).",
        "low_0_w was done at 4 s (event 15).",
    ]


def test_who_asked_earlier_goes_first() -> None:
    record = recorded(SLOT, fleets=[fleet("a", "0s 100ms 200ms", "1s")])
    assert [text for text in of(record, 2) if text.startswith("Meanwhile")] == [
        "Meanwhile 1 other had asked earlier and took slot before it: a_1_w (asked in event 4, took in event 9)."
    ]
    assert of(record, 2)[0].endswith("(event 12); 1 task waited there already.")


def test_a_smaller_request_passes() -> None:
    needs = [{"slot": 1}, {"slot": 2}, {"slot": 1}]
    names = [("a", "0s", "2s"), ("big", "1s", "1s"), ("small", "1500ms", "1s")]
    fleets = [fleet(*name, needs=need) for name, need in zip(names, needs, strict=True)]
    record = recorded({**SLOT, "limit": 2, "scope": "task:none"}, fleets=fleets)
    assert of(record, 1, 1)[1:4] == [
        "slot: 1 of 2 held at 1 s (event 4), when it asked for 2: by a_0_w from 0 s (event 2) until 2 s (event 7).",
        "Meanwhile 1 other asked for less, which fitted sooner, and took slot before it: small_0_w (event 6).",
        "big_0_w got slot at 2.5 s (event 10), when small_0_w, which had held it since 1.5 s (event 6), "
        "gave some back (event 9).",
    ]


def test_a_bucket_refills() -> None:
    record = recorded(
        {"id": "rpm", "type": "rate_limit", "rate": "1/s", "burst": 1}, fleets=[fleet("a", "0s 100ms", "1s")]
    )
    refilled = (
        "a_1_w got rpm at 1 s (event 7), when there was enough for it again; it had waited since 100 ms (event 4)."
    )
    assert sentences(of_agent(record, 1), without=("lived", "spent")) == [
        "a_1_w waited 900 ms for rpm, from 100 ms (event 4) to 1 s (event 7).",
        "rpm: 1 taken in the 1 s before (event 4), and it asked for 1: by a_0_w with 1 (event 2).",
        refilled,
        "What led to that, going back, is a chain of 2 links, from 2 s (event 9) to 1 s (event 8): 1 s of work.",
        "a_1_w worked for 1 s, from 1 s (event 8) to 2 s (event 9), and was done.",
        refilled,
    ]


def test_a_pause_is_over() -> None:
    record = recorded({"id": "stop", "type": "pause", "expires": "2s"}, fleets=[fleet("a", "1s", "1s")])
    assert of(record, 0)[1:3] == [
        "stop, a pause, let nobody pass from the start (event 2).",
        "a_0_w waited no longer for stop at 2 s (event 4), when that changed (event 3).",
    ]


def test_attempts_with_back_off() -> None:
    retry = {"max_attempts": 3, "delay": "1s", "factor": 2}
    steps = [{"task": "w", "duration": "1s", "fail": [1, 1, 0], "retry": retry}]
    record = recorded(count=1, steps=steps)
    assert sentences(of_agent(record, 0))[1:] == [
        "Of these 6 s, for 3 s (50.0%) it worked and for 3 s (50.0%) it backed off before another attempt "
        "(events 1 to 10).",
        "What led to that, going back, is a chain of 6 links, from 6 s (event 9) to 0 s (event 2): "
        "3 s of work and 3 s of back-off.",
        "a_0_w [attempt 2] worked for 1 s, from 5 s (event 8) to 6 s (event 9), and was done.",
        "a_0_w [attempt 1] backed off for 2 s, from 3 s (event 7) to 5 s (event 8).",
        "a_0_w [attempt 1] worked for 1 s, from 2 s (event 5) to 3 s (event 6), and failed.",
        "a_0_w backed off for 1 s, from 1 s (event 4) to 2 s (event 5).",
        "a_0_w worked for 1 s, from 0 s (event 2) to 1 s (event 3), and failed.",
        "a_0 came by itself at 0 s (event 1).",
    ]
    assert of(record, 0)[:3] == [
        "a_0_w started at 0 s (event 2).",
        "a_0_w failed at 1 s (event 3).",
        "Another attempt was to come 1 s later (event 4).",
    ]


def test_a_deadlock_is_a_circle() -> None:
    def both(name: str, first: str, second: str) -> Dict:
        inner = [{"think": "1s"}, {"task": "w", "duration": "1s", "needs": {second: 1}}]
        return {"name": name, "count": 1, "steps": [{"hold": "h", "needs": {first: 1}, "steps": inner}]}

    limits = [{**SLOT, "id": name, "scope": f"task:{name}"} for name in "xy"]
    fleets = [both("a", "x", "y"), both("b", "y", "x")]
    record = recorded(*limits, fleets=fleets, until="10s", expect_deadlock=True)
    assert sentences(of_agent(record, 0))[2:] == [
        "a_0_w waited 9 s for y, from 1 s (event 7) and still did at 10 s.",
        "y: 1 of 1 held at 1 s (event 7), when it asked for 1: by b_0_h from 0 s (event 5) and beyond.",
        "a_0_w was caught in a deadlock at 1 s (event 10).",
        "What led to that, going back, is a chain of 3 links.",
        "At 10 s a_0_w waited, from 1 s (event 7) on, for y, held by b_0_h since 0 s (event 5).",
        "At 10 s b_0_w waited, from 1 s (event 8) on, for x, held by a_0_h since 0 s (event 2).",
        "There the circle closes: a_0_w waited for y from 1 s (event 7) on, as was said.",
    ]


def test_a_parent_waits_for_those_it_spawned() -> None:
    lead = [{"task": "plan", "duration": "1s"}, {"spawn": "kid", "count": 2}, {"task": "report", "duration": "1s"}]
    kid = {"name": "kid", "steps": [{"task": "work", "duration": "3s"}]}
    record = recorded(fleets=[{"name": "lead", "count": 1, "steps": lead}, kid])
    assert sentences(of_agent(record, 0))[1:] == [
        "Of these 5 s, for 3 s (60.0%) it waited for agents that it had spawned and for 2 s (40.0%) it worked "
        "(events 1 to 14).",
        "What led to that, going back, is a chain of 6 links, from 5 s (event 13) to 0 s (event 2): 5 s of work.",
        "lead_0_report worked for 1 s, from 4 s (event 12) to 5 s (event 13), and was done.",
        "lead_0 waited for agents that it had spawned, the last of which, kid_1, was done at 4 s (event 11).",
        "kid_1_work worked for 3 s, from 1 s (event 7) to 4 s (event 10), and was done.",
        "kid_1 was spawned at 1 s (event 6) by lead_0.",
        "lead_0_plan worked for 1 s, from 0 s (event 2) to 1 s (event 3), and was done.",
        "lead_0 came by itself at 0 s (event 1).",
    ]


def test_a_crash_and_its_repair() -> None:
    steps = [{"task": "w", "duration": "1500ms"}, {"task": "v", "duration": "1s"}]
    record = recorded(count=1, crash={"uptime": "2s", "repair": "1s"}, steps=steps, until="4s")
    assert sentences(of_agent(record, 0))[1:] == [
        "Of these 4 s, for 3 s (75.0%) it worked and for 1 s (25.0%) it was down after a crash (from event 1 on).",
        "What led to that, going back, is a chain of 3 links, from 4 s to 2 s (event 6): 1 s of work and 1 s of repair.",
        "a_0_w [visit 1] has worked since 3 s (event 8): 1 s so far.",
        "a_0 was down for 1 s, from its crash at 2 s (event 6) to 3 s (event 7).",
        "a_0 crashed at 2 s (event 6): that comes by itself.",
    ]


def test_a_life_that_is_over_before_the_repair() -> None:
    crash = {"uptime": "1s", "repair": "9s"}
    record = recorded(count=1, life="3s", crash=crash, steps=[{"task": "w", "duration": "5s"}], until="4s")
    assert sentences(of_agent(record, 0))[1:] == [
        "Of these 3 s, for 2 s (66.7%) it was down after a crash and for 1 s (33.3%) it worked (events 1 to 5).",
        "What led to that, going back, is a chain of 2 links, from 3 s (event 5) to 1 s (event 4): 2 s of repair.",
        "a_0 was down for 2 s, from its crash at 1 s (event 4) to 3 s (event 5).",
        "a_0 crashed at 1 s (event 4): that comes by itself.",
    ]


def test_a_hold_ends_after_the_last_attempt_within() -> None:
    """Also where that states what it gives back, after its end."""
    retry = {"max_attempts": 2, "delay": "1s", "hold_during_backoff": True}
    inner = [{"task": "w", "duration": "1s", "fail": [1, 0], "retry": retry}]
    record = recorded({**SLOT, "scope": "task:*_w"}, count=1, steps=[{"hold": "h", "steps": inner}])
    assert [text.split(",")[0] for text in sentences(of_agent(record, 0))[3:]] == [
        "a_0_w [attempt 1] worked for 1 s",
        "a_0_w backed off for 1 s",
        "a_0_w worked for 1 s",
        "a_0 came by itself at 0 s (event 1).",
    ]


def test_a_pre_emption() -> None:
    fleets = [fleet("low", "0s", "2s"), fleet("high", "1s", "1s", priority=5)]
    record = recorded({**SLOT, "queue": "priority", "preempt": "resume"}, fleets=fleets)
    assert sentences(of_agent(record, 0))[2:6] == [
        "low_0_w was pre-empted at 1 s (event 4) for high_0_w (event 5), which has priority 5 and not 0.",
        "low_0_w [attempt 1] waited 1 s for slot, from 1 s (event 6) to 2 s (event 8).",
        "slot: 1 of 1 held at 1 s (event 6), when it asked for 1: by high_0_w from 1 s (event 5) until 2 s (event 7).",
        "low_0_w [attempt 1] got slot at 2 s (event 8), when high_0_w, which had held it since 1 s (event 5), "
        "gave some back (event 7).",
    ]


def test_a_long_story_is_told_shortly() -> None:
    record = recorded(SLOT, fleets=[fleet("a", " ".join(["0s"] * 60), "1s")])
    found = claims(of_agent(record, 59))
    assert len(found) < 25
    [left] = [claim for claim in found if claim["kind"] == "links_left_out"]
    assert left["facts"]["count"] == 120 - 15
    assert left["facts"]["released"] == {"slot": 53}
    assert left["text"] == (
        "Left out here: 105 links of the chain, from 54 s (event 333) back to 2 s (event 127), "
        "with slot given back 53 times."
    )


def test_a_task_that_is_called_off_while_it_backs_off() -> None:
    """It has a `TaskAbandoned` about no constraint, with the ns of the back-off, and the number of the next attempt."""
    retry = {"max_attempts": 2, "delay": "3s"}
    steps = [{"task": "w", "duration": "1s", "fail": 1, "retry": retry}]
    record = recorded(SLOT, count=1, steps=steps, life="2s", until="4s")
    assert sentences(of_agent(record, 0))[1:] == [
        "Of these 2 s, for 1 s (50.0%) it worked and for 1 s (50.0%) it backed off before another attempt (events 1 to 7).",
        "What led to that, going back, is a chain of 3 links, from 2 s (event 6) to 0 s (event 2): "
        "1 s of back-off and 1 s of work.",
        "a_0_w backed off for 1 s, from 1 s (event 4) to 2 s (event 6).",
        "a_0_w worked for 1 s, from 0 s (event 2) to 1 s (event 3), and failed.",
        "a_0 came by itself at 0 s (event 1).",
    ]
    assert of(record, 0)[-2:] == [
        "a_0_w [attempt 1] was called off at 2 s (event 5), after 1 s of backing off.",
        "a_0_w [attempt 1] was called off at 2 s (event 6).",
    ]


# What is said is so.


def every(log: Log, share: float) -> None:
    """Explain every agent up to a moment of it, every task and every constraint of a log, and check all of that."""
    record = Record.of(log)
    agents = sorted(set(record.rows.agent[record.rows.agent >= 0].tolist()))
    for agent in agents:
        first = record.row(int(record.of_agent(agent)[0])).time
        end = record.end_of_agent(agent)
        last = record.end_ns if end is None else end.time
        moment = first + int((last - first) * share)
        assert explained.wrong(log, claims(of_agent(record.until(moment), agent)), moment) == []
    visits = {
        (row.agent, row.step, row.visit) for row in truth.Truth(log, record.end_ns).reading.rows if row.attempt >= 0
    }
    for visit in sorted(visits):
        assert explained.wrong(log, claims(of_task(record, *visit)), record.end_ns) == []
    assert explained.wrong(log, claims(worst(record, 5)), record.end_ns) == []
    for number in range(len(record.header.constraints)):
        assert explained.wrong(log, claims(of_constraint(record, number)), record.end_ns) == []


@half
@given(rich(), st.sampled_from([1.0, 0.5, 0.9]))
def test_every_claim_is_so_over_everything(row: Dict, share: float) -> None:
    every(simulate(row), share)


@half
@given(scenarios(), st.sampled_from([1.0, 0.5]))
def test_every_claim_is_so_of_the_first_features(row: Dict, share: float) -> None:
    every(simulate(row), share)


# The command.


def explain(*arguments: Any, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sim", "explain", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the logs of two scenarios, and a part of one of them."""
    folder = tmp_path_factory.mktemp("explained")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = {"starvation": (), "rate_limit": (), "cut": ("--max-events", "5000")}
    for name, more in runs.items():
        file = ROOT / f"scenarios/{'starvation' if name == 'cut' else name}.yaml"
        command = [sys.executable, "-m", "sim", str(file), "--log", f"{name}.arrows", *more]
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120)
    return folder


BAD = [
    ((), "nothing to explain; allowed: exactly one of --agent, --task, --worst, --constraint"),
    (("--agent", "1", "--worst", "2"), "--agent and --worst to explain; allowed: exactly one"),
    (("--agent", "999"), "there is no agent 999; allowed: 0 to 19"),
    (("--agent", "9" * 5000), "no agent is called '99999"),
    (("--agent", "batch_9"), "there is no agent batch_9; allowed: batch_0 to batch_5"),
    (("--agent", "bacth_1"), "no agent is called 'bacth_1' (did you mean 'batch_1'?)"),
    (("--agent", "batch_1", "--at", "1h"), "--at: 1h is after the end of the log; allowed: from 0s to 20m"),
    (("--agent", "batch_1", "--at", "soon"), "--at: 'soon' is not a time"),
    (("--worst", "2", "--at", "1s"), "--at without --agent"),
    (("--worst", "0"), "--worst: 0 is out of range; allowed: a whole number from 1 to 1,000"),
    (("--worst", "1.5"), "--worst: '1.5' is not a whole number; allowed: a whole number from 1 to 1,000"),
    (("--task", "batch_1_work", "--visit", "x"), "--visit: 'x' is not a whole number; allowed: a whole number of 0 or"),
    (("--task", "batch_1_work", "--visit", "-1"), "--visit: -1 is out of range; allowed: a whole number of 0 or more"),
    (("--agent", "batch_1", "--at", "1e400s"), "--at: '1e400s' is too long; allowed: at most 146 years"),
    (("--agent", "batch"), "--agent: batch is a fleet; allowed: batch_0 to batch_5"),
    (("--agent", "batch_1_work"), "no agent is called 'batch_1_work' (did you mean 'batch_1'?)"),
    (("--agent", "batches"), "no agent is called 'batches' (did you mean 'batch_0'?)"),
    (("--task", "batch_1_wrok"), "no task is called 'batch_1_wrok' (did you mean 'batch_1_work'?)"),
    (
        ("--task", "batch"),
        "no task is called 'batch'; allowed: FLEET_NUMBER_STEP, such as interactive_0_answer, batch_0_w",
    ),
    (("--task", "batch_7_work"), "there is no agent batch_7; allowed: batch_0 to batch_5"),
    (("--task", "batch_1_work"), "--visit: missing, and batch_1_work was begun 3 times; allowed: 0 to 2"),
    (("--task", "batch_1_work", "--visit", "7"), "has no visit 7; allowed: 0 to 2"),
    (("--agent", "1", "--visit", "7"), "--visit without --task"),
    (("--constraint", "gpu"), "no constraint is called 'gpu' (did you mean 'gpus'?); allowed: people, gpus"),
    (("--worst", "1", "--json", "--markdown"), "--json and --markdown: one of them at a time"),
    (("--worst", "1", "--out", "starvation.arrows"), "--out: starvation.arrows is the log itself"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_input_is_one_clear_line(arguments: tuple[str, ...], said: str, folder: Path) -> None:
    done = explain("starvation.arrows", *arguments, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr


def test_whom_a_limit_refused_is_told(tmp_path: Path) -> None:
    sim.run(ROOT / "scenarios/herd.yaml", log=tmp_path / "herd.arrows")
    done = explain(tmp_path / "herd.arrows", "--constraint", "api", cwd=tmp_path)
    assert done.stdout.splitlines()[1:] == [
        "  Nobody waited for api up to 9.05 s.",
        "  client/call was refused by api 450 times, from 0 s (event 22) to 8 s (event 1,689).",
    ]


def test_what_is_no_log_is_bad_input(folder: Path) -> None:
    done = explain(ROOT / "README.md", "--worst", 1, cwd=folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "not a fleetsim log" in done.stderr


def test_it_answers_in_four_ways(folder: Path) -> None:
    asked = ("starvation.arrows", "--agent", "batch_4", "--at", "11m")
    page = explain(*asked, "--out", "claims.parquet", cwd=folder).stdout
    found = json.loads(explain(*asked, "--json", cwd=folder).stdout)
    texts = [claim["text"] for claim in found["claims"]]
    assert page.splitlines() == ["batch_4  starvation, seed 1, 0 s to 11 min", *(f"  {text}" for text in texts)]
    assert pq.read_table(folder / "claims.parquet").column("text").to_pylist() == texts
    assert explain(*asked, "--markdown", cwd=folder).stdout.count("\n- ") == len(texts)
    assert (found["scenario"], found["seed"], found["cut"]) == ("starvation", 1, False)
    assert found["about"] == {"agent": "batch_4", "from_ns": 0, "to_ns": 660 * 10**9}
    assert found["claims"][0]["events"] == [19]
    assert len(texts) <= 41
    by_number = explain("starvation.arrows", "--agent", "18", "--at", "11m", cwd=folder)
    assert (by_number.returncode, by_number.stdout) == (0, page)


def test_where_nobody_waited_for_a_limit_those_who_backed_off_are_counted() -> None:
    task = {"task": "t", "duration": "1s", "fail": 1.0, "retry": {"max_attempts": 3, "delay": "3s"}}
    found = worst(Record.of(run(scenario(until="20s", steps=[task]))), 3)
    assert [told(each)["text"] for each in found.statements] == [
        "Nobody waited for a limit up to 20 s; but tasks backed off 2 times."
    ]
    free = worst(Record.of(run(scenario(until="20s", steps=[{"task": "t", "duration": "1s"}]))), 3)
    assert [told(each)["text"] for each in free.statements] == ["Nobody waited for a limit up to 20 s."]


def test_a_cut_log_is_explained_as_far_as_it_goes(folder: Path) -> None:
    done = explain("cut.arrows", "--worst", 1, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(
        "The log is cut: it ends at 10 min 40.731 s (event 4,999), and so does what is said here.\n"
    )


def shown() -> list[tuple[str, str]]:
    """Return the commands on the page about explanations, each with what it is said to print."""
    page = (ROOT / "docs/explain.md").read_text()
    return re.findall(r"```sh\npython -m sim explain (.*)\n```\n\n```\n((?:.*\n)*?)```\n", page)


@pytest.mark.parametrize("number", range(5))
def test_the_page_shows_what_is_printed(number: int, folder: Path) -> None:
    assert len(shown()) == 5
    command, output = shown()[number]
    done = explain(*command.split(), cwd=folder)
    assert (done.returncode, done.stdout) == (0, output)


def test_rows_that_do_not_fit_together_are_bad_input(tmp_path: Path) -> None:
    """Each row is as it has to be, but a task is bound anew that never waited."""
    limits = [{"id": "slot", "type": "concurrency", "limit": 1}, {"id": "stop", "type": "pause", "expires": "1s"}]
    log = run(scenario(constraints=limits[::-1], fleets=[fleet("a", "0s 0s", "2s")], until=None))
    rows = concatenate(list(log.batches()))
    rebound = int(np.flatnonzero(rows.kind == Kind.TaskRebound)[0])
    mine = np.flatnonzero((rows.kind == Kind.TaskBlocked) & (rows.agent == rows.agent[rebound]))
    with (tmp_path / "x.arrows").open("wb") as file:
        writer = LogWriter(file, log.header)
        writer.write(Batch(*(np.delete(column, mine) for column in rows.columns())))  # type: ignore[arg-type]
        writer.close()
    done = explain("x.arrows", "--agent", int(rows.agent[rebound]), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "its rows do not fit together; allowed: a log that python -m sim verify agrees with" in done.stderr
