"""What a person is shown of a run: on a terminal, on a narrow one, and in a pipe."""

import io
import time
from typing import Any

import pytest
from rich.console import Console

from model.log import Header
from model.units import counted, format_number
from sim.display import PROGRESS_SECONDS, counting_runs, limit, plain_progress, progress, summary
from tests.fleet_logs import S, concurrency, header, pause, rate_limit
from tests.runs import run, scenario

HEAD = header(
    {"a": 1234}, [concurrency("slots", 40), rate_limit("tokens-a-minute", 500_000, 60 * S), pause("stop", True)]
)
LOG = "runs [bold]of[/] :smile: [today].arrows"


def result(head: Header, **rest: Any) -> dict[str, Any]:
    numbers = {
        "utilisation": 0.54321,
        "blocked_ns": 0,
        "blocked_episodes": 0,
        "rebounds": 0,
        "peak_waiting": 0,
        "rejected": 0,
    }
    constraints = {entry.id: dict(numbers) for entry in head.constraints}
    if len(constraints) > 1:
        constraints["tokens-a-minute"] |= {"blocked_ns": 7200 * S, "blocked_episodes": 30_051, "peak_waiting": 512}
    return {
        "scenario": "demo",
        "seed": 1,
        "digest": "d" * 64,
        "events": 120_160,
        "end_ns": 60 * S,
        "tasks": {"started": 29_769, "finished": 29_669, "failed": 0, "blocked": 30_051, "open": 482},
        "wait_ns": {"mean": 789.6e6, "p50": 801_400_000, "p95": 843_400_000, "p99": 866_000_000, "max": 1_011_000_000},
        "spawned": 0,
        "crashes": 0,
        "deadlocks": [],
        "storms": None,
        "stalled": None,
        "starvation": [],
        "priority_inversions": {"episodes": 0, "inverted_ns": 0, "worst": []},
        "constraints": constraints,
        "wall_s": 0.25,
        "events_per_s": 480_640.0,
        "log": LOG,
        "interrupted": False,
        "stopped": None,
    } | rest


def test_how_attempts_ended_and_who_rejected_them_is_said_where_it_happened() -> None:
    rejecting = result(HEAD)
    rejecting["tasks"] |= {"timed_out": 0, "rejected": 1_234, "gave_up": 7}
    rejecting["constraints"]["slots"]["rejected"] = 1_234
    lines = shown(HEAD, 200, False, tasks=rejecting["tasks"], constraints=rejecting["constraints"]).splitlines()
    assert lines[1].endswith("482 open, 1,234 rejected, 7 gave up")
    assert lines[3].endswith("peak queue   rejected")
    assert lines[4].endswith("0      1,234")


def test_a_period_of_several_minutes_is_said_whole() -> None:
    rows = [
        {"id": "r", "type": "rate_limit", "rate": "5/10m", "scope": "global"},
        {"id": "q", "type": "quota", "total": 5, "period": "1m", "scope": "global"},
    ]
    header = run(scenario(constraints=rows, steps=[{"task": "t", "duration": "1s"}])).header
    assert [limit(entry) for entry in header.constraints] == ["5/10m requests", "5/m requests"]


def shown(head: Header, width: int, terminal: bool, **rest: Any) -> str:
    file = io.StringIO()
    system = "standard" if terminal else None
    summary(
        Console(file=file, width=width, force_terminal=terminal, color_system=system, highlight=False, _environ={}),
        result(head, **rest),
        head,
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("number", "digits", "said"),
    [
        (0, 4, "0"),
        (0.0, 4, "0"),
        (1.0, 4, "1"),
        (0.123456, 4, "0.1235"),
        (0.00001234, 4, "0.00001234"),
        (1e-10, 4, "1e-10"),
        (999.96, 4, "1,000"),
        (12_345.678, 4, "12,346"),
        (999_999.7, 4, "1,000,000"),
        (-2_000_000, 4, "-2,000,000"),
        (2e6, 6, "2,000,000"),
        (1_234_567.25, 12, "1,234,567.25"),
        (123_456_789_012_345, 12, "123,456,789,012,345"),
        (999_999_999_999_999.0, 4, "999,999,999,999,999"),
        (1e15, 4, "1e+15"),
        (float("inf"), 4, "inf"),
    ],
)
def test_a_number_has_all_that_it_has_before_the_point(number: float, digits: int, said: str) -> None:
    assert format_number(number, digits) == said


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 matches"), (1, "1 match"), (2, "2 matches"), (1_000, "1,000 matches")]
)
def test_one_is_no_several(count: int, said: str) -> None:
    assert counted(count, "match", "matches") == said


def test_one_event_and_one_wait_are_told_in_the_right_number() -> None:
    batch = {"fleet": "batch", "bound_ns": 60 * S, "waits": 1, "exceeded": 1, "worst": [WORST]}
    lines = shown(HEAD, 200, False, events=1, starvation=[batch]).splitlines()
    assert lines[-4].startswith("  starved   fleet batch: 1 of 1 wait above 60 s, ")
    assert lines[-3].startswith("  1 event in ")


def test_large_limits_and_rates_are_written_out() -> None:
    rows = [
        {"id": "q", "type": "quota", "total": "2M", "period": "2m", "counts": "tokens", "scope": "global"},
        {"id": "r", "type": "rate_limit", "rate": "2M/2m", "counts": "tokens", "scope": "global"},
        {"id": "h", "type": "resource", "capacity": 12_345_678.25, "scope": "global"},
        {"id": "c", "type": "concurrency", "limit": 2_000_000, "scope": "global"},
    ]
    header = run(scenario(constraints=rows, steps=[{"task": "t", "duration": "1s"}])).header
    assert [limit(entry) for entry in header.constraints] == [
        "2,000,000/2m tokens",
        "2,000,000/2m tokens",
        "12,345,678.25 at once",
        "2,000,000 at once",
    ]


@pytest.mark.parametrize(
    ("amplification", "said"),
    [(1.0, "1 attempt a success"), (1.2345, "1.23 attempts a success"), (1_234.5, "1,234 att")],
)
def test_a_storm_is_told_in_plain_numbers(amplification: float, said: str) -> None:
    phase = {"goodput_per_s": 12_345.678, "amplification": amplification, "keeps_up": True}
    times = {"from_ns": 10 * S, "to_ns": 20 * S, "time_to_recover_ns": None}
    storm = {"incidents": ["brownout"], "verdict": "metastable", "why": None, "before": phase, "after": phase, **times}
    [line] = [line for line in shown(HEAD, 80, False, storms=[storm]).splitlines() if "storm" in line]
    assert "brownout 10 s to 20 s: metastable, goodput 12,346/s before and 12,346/s after, " + said in line


@pytest.mark.parametrize(
    ("listed", "spawned", "said"),
    [
        (8, 6, "8 agents and 6 spawned"),
        (1, 1_234, "1 agent and 1,234 spawned"),
        (1_234, 0, "1,234 agents"),
        (0, 1, "0 agents and 1 spawned"),
    ],
)
def test_those_that_were_spawned_are_counted_beside_those_that_are_listed(listed: int, spawned: int, said: str) -> None:
    head = header({"a": listed})
    assert shown(head, 80, False, spawned=spawned).startswith(f"demo  seed 1, {said}, 60 s of virtual time\n")


WORST = {
    "task": "batch_3_work",
    "wait_ns": 252 * S,
    "event": 812,
    "end_event": 5140,
    "overtaken": 96,
    "overtaken_by": {"interactive": 90, "nightly": 6},
}


def delays(starvation: list[dict[str, Any]], inversions: dict[str, Any] | None = None) -> list[str]:
    rest = {"starvation": starvation} | ({} if inversions is None else {"priority_inversions": inversions})
    lines = shown(HEAD, 80, False, **rest).splitlines()
    return [line for line in lines if "starved" in line or "inverted" in line]


def test_who_waited_longer_than_he_may_is_said_with_the_worst() -> None:
    batch = {"fleet": "batch", "bound_ns": 60 * S, "waits": 3_400, "exceeded": 1_200, "worst": [WORST]}
    said = "  starved   fleet batch: 1,200 of 3,400 waits above 60 s, worst batch_3_work 252 s "
    assert delays([batch]) == [said + "(events 812 to 5,140), overtaken 96 times, 90 by interactive"]
    alone = {**WORST, "overtaken": 1, "overtaken_by": {"interactive": 1}, "end_event": None}
    assert delays([{**batch, "worst": [alone]}]) == [said + "(since event 812), overtaken once by interactive"]
    # Not overtaken, or not known by whom, and by the bound of a tenant, which stands in place of the fleet.
    never = {key: value for key, value in WORST.items() if "overtaken" not in key}
    for worst in (never, {**never, "overtaken": 0, "overtaken_by": {}}):
        tenant = {"tenant": "red", **{key: value for key, value in batch.items() if key != "fleet"}, "worst": [worst]}
        assert delays([tenant]) == [said.replace("fleet batch", "tenant red") + "(events 812 to 5,140)"]
    assert delays([{**batch, "exceeded": 0, "worst": []}]) == []


def test_priority_inversions_are_said_with_the_worst() -> None:
    worst = {"task": "high_0_work", "waits_for": "slots", "inverted_ns": 10 * S, "event": 1_720}
    held = {"task": "low_6_work", "event": 1_693}
    said = "  inverted  1,373 times a task waited for a less important one, 300 s in all, worst high_0_work 10 s for slots "
    for about, more in ({"held_by": held}, ", held by low_6_work (event 1,693)"), ({}, ""):
        inversions = {"episodes": 1_373, "inverted_ns": 300 * S, "worst": [worst | about]}
        assert delays([], inversions) == [said + "(event 1,720)" + more]


IN_A_PIPE = f"""\
demo  seed 1, 1,234 agents, 60 s of virtual time
  tasks   29,769 started, 29,669 finished, 0 failed, 30,051 blocked, 482 open
  wait    mean 789.6 ms, p50 801.4 ms, p95 843.4 ms, p99 866 ms, max 1.011 s
  constraint        limit                 used   blocked   episodes   peak queue
  slots             40 at once           54.3%       0 s          0            0
  tokens-a-minute   500,000/m requests   54.3%     2.0 h     30,051          512
  stop              nobody               54.3%       0 s          0            0
  120,160 events in 0.25 s (480,640 a second)
  digest  {"d" * 64}
  log     {LOG}
"""


@pytest.mark.parametrize("width", [20, 80, 200])
def test_in_a_pipe_no_line_is_broken_and_none_ends_with_blanks(width: int) -> None:
    assert shown(HEAD, width, terminal=False) == IN_A_PIPE


NARROW = f"""\
demo  seed 1, 1,234 agents, 60 s of virtual time
  tasks   29,769 started, 29,669 finished, 0 failed,
          30,051 blocked, 482 open
  wait    mean 789.6 ms, p50 801.4 ms, p95 843.4 ms,
          p99 866 ms, max 1.011 s
  slots  40 at once
    54.3% used, 0 s blocked, episodes 0, peak queue 0
  tokens-a-minute  500,000/m requests
    54.3% used, 2.0 h blocked, episodes 30,051,
    peak queue 512
  stop  nobody
    54.3% used, 0 s blocked, episodes 0, peak queue 0
  120,160 events in 0.25 s (480,640 a second)
  digest  {"d" * 64}
  log     {LOG}
"""


def without_colours(text: str) -> str:
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[1;31m"):
        text = text.replace(code, "")
    return text


def test_a_narrow_terminal_gets_each_constraint_on_lines_of_its_own() -> None:
    assert without_colours(shown(HEAD, 60, terminal=True)) == NARROW
    assert without_colours(shown(HEAD, 80, terminal=True)) == IN_A_PIPE


def test_the_constraint_that_blocked_most_is_red() -> None:
    red = [line for line in shown(HEAD, 100, terminal=True).splitlines() if "\x1b[31m" in line]
    assert [line.split()[1] for line in red] == ["tokens-a-minute"]
    red = [line for line in shown(HEAD, 60, terminal=True).splitlines() if "\x1b[31m" in line]
    assert len(red) == 3
    one = header({"a": 1}, [concurrency("slots", 40)])
    assert "\x1b[31m" not in shown(one, 100, terminal=True)  # nobody was blocked


def test_one_agent_without_a_constraint_that_was_interrupted_before_it_started() -> None:
    text = shown(
        header({"a": 1}), 80, False, interrupted=True, wait_ns=dict.fromkeys(("mean", "p50", "p95", "p99", "max"))
    )
    assert text.startswith("demo  seed 1, 1 agent, 60 s of virtual time (interrupted)\n")
    assert "wait" not in text
    assert "constraint" not in text


# Progress


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is() -> None:
    now, lines = 0.0, list[str]()
    observe = plain_progress("demo", 60 * S, lines.append, lambda: now)
    for second in range(2 * PROGRESS_SECONDS + 5):
        now = float(second)
        observe(second * S, 1000 * second)
    assert lines == [
        "demo: 10 s of 60 s of virtual time, 10,000 records",
        "demo: 20 s of 60 s of virtual time, 20,000 records",
    ]
    endless = plain_progress("demo", None, lines.append, lambda: now)
    now += PROGRESS_SECONDS
    endless(7 * S, 2000)
    assert lines[-1] == "demo: 7 s of virtual time, 2,000 records"


def test_a_run_that_is_soon_over_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("demo", 60 * S) as observe:
        observe(S, 1000)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_how_many_runs_have_begun_is_shown_on_a_terminal(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1" if is_terminal else "")
    with counting_runs() as tell:
        tell(1234)
        time.sleep(0.3)  # it is drawn ten times a second
    assert ("run 1,234" in capsys.readouterr().err) == is_terminal


def test_what_became_of_the_fleet_after_a_trigger_is_a_line_each() -> None:
    rates = {"goodput_per_s": 12.1, "amplification": 1.0, "keeps_up": True}
    storm = {
        "incidents": ["one", "other"], "from_ns": 30 * S, "to_ns": 50 * S, "verdict": "metastable", "why": None,
        "time_to_recover_ns": None, "before": rates, "after": {"goodput_per_s": 3.21, "amplification": 4.8},
    }  # fmt: skip
    recovers = {**storm, "verdict": "recovers", "time_to_recover_ns": S, "incidents": ["one"], "after": rates}
    behind = {**storm["before"], "keeps_up": False}
    nothing = {
        **storm,
        "verdict": "collapsed",
        "before": behind,
        "after": {"goodput_per_s": 0.0, "amplification": None},
    }
    unknown = {**storm, "incidents": ["one"], "verdict": "unknown", "why": "it is not over at the end", "to_ns": None}
    storms = [storm, recovers, nothing, unknown, unknown, unknown, storm, unknown]
    lines = shown(HEAD, 200, False, storms=storms).splitlines()
    assert [line for line in lines if "storm" in line] == [
        "  storm   one and other 30 s to 50 s: metastable, goodput 12.1/s before and 3.21/s after, 4.8 attempts a success",
        "  storm   one 30 s to 50 s: recovers in 1 s, goodput 12.1/s before and 12.1/s after, 1 attempt a success",
        "  storm   one and other 30 s to 50 s: collapsed, goodput 12.1/s before and 0/s after, "
        "and it did not keep up before",
        "  storm   one 30 s to the end: unknown (it is not over at the end)",
        "  storm   one 30 s to the end: unknown (it is not over at the end)",
        "  storms  2 more unknown, 1 more metastable",
    ]
