"""A run that goes on otherwise from a time on: the same past to the nanosecond, and what changes then, by hand."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from invariants.reading import read
from strategies import simulate
from test_cli import one_line, rewritten, sim
from vocabulary import rich
from written import around, check

from model.events import concatenate
from model.faults import BadInput
from model.log import Log
from model.units import format_duration, parse_duration
from sim.analysis.diff import diff
from sim.environment import Endless
from sim.fork import fork
from tests.runs import run, scenario, told

ROOT = Path(__file__).parent.parent
S = 1_000_000_000
Dict = dict[str, Any]


def forked(log: Log, at: str, *changes: str) -> Log:
    """The log of the run that goes on otherwise."""
    return run(fork(log.header, parse_duration(at), changes).loaded.scenario.as_json())


def becomes(constraint: Dict, at: str, change: str, **rest: Any) -> tuple[str, str]:
    """What a change makes of a value, in words."""
    row = scenario(constraints=[{"id": "c", **constraint}], count=1, steps=[{"task": "t", "duration": "1s"}], **rest)
    (told,) = fork(run(row).header, parse_duration(at), [f"constraints.c.{change}"]).changes
    return told["before"], told["after"]


def refused(constraint: Dict, at: str, change: str, **rest: Any) -> str:
    with pytest.raises(BadInput) as caught:
        becomes(constraint, at, change, **rest)
    return str(caught.value).removeprefix(f"--set constraints.c.{change}: ")


SLOTS = {"type": "concurrency", "limit": 10}
LATER = {**SLOTS, "changes": [{"at": "5s", "limit": 20}, {"at": "9s", "limit": 30}]}


@pytest.mark.parametrize(
    ("constraint", "at", "change", "before", "after"),
    [
        (SLOTS, "5s", "limit=12", "10", "12"),
        (SLOTS, "5s", "limit=1k", "10", "1k"),
        (SLOTS, "5s", "limit=+20%", "10", "12"),
        (SLOTS, "5s", "limit=-10%", "10", "9"),
        (SLOTS, "5s", "limit=*2", "10", "20"),
        (SLOTS, "5s", "limit=*50%", "10", "5"),
        (SLOTS, "5s", "limit=+5", "10", "15"),
        (SLOTS, "5s", "limit=-5", "10", "5"),
        (SLOTS, "5s", "limit=+1k", "10", "1010"),
        (SLOTS, "5s", "limit=* 2.5", "10", "25"),
        (SLOTS, "5s", "limit=+25%", "10", "13"),  # 12.5: a half upwards
        (LATER, "4999999999ns", "limit=+10%", "10", "11"),
        (LATER, "5s", "limit=+10%", "20", "22"),  # what comes at that instant included
        (LATER, "60s", "limit=+10%", "30", "33"),
        (
            {**SLOTS, "changes": [{"at": "5s", "limit": 20}, {"at": "8s", "limit": 10}], "every": "10s"},
            "17s",
            "limit=+10%",
            "20",
            "22",
        ),
        ({"type": "resource", "capacity": 2.5}, "1s", "capacity=+1%", "2.5", "2.525"),
        ({"type": "quota", "total": 3}, "1s", "total=*0.5", "3", "1.5"),
        ({"type": "pause", "expires": "9s"}, "1s", "paused=false", "true", "false"),
        ({"type": "rate_limit", "rate": "600k/m"}, "1s", "rate=+20%", "600000/1m", "720000/1m"),
        ({"type": "rate_limit", "rate": "10/m"}, "1s", "rate=+25%", "10/1m", "12.5/1m"),
        ({"type": "rate_limit", "rate": "0.5/s"}, "1s", "rate=*3", "1/2s", "3/2s"),
        ({"type": "rate_limit", "rate": 5}, "1s", "rate=+1", "5/1s", "6/1s"),
        ({"type": "rate_limit", "rate": "10/m"}, "1s", "rate=2/s", "10/1m", "2/s"),
        ({"type": "rate_limit", "rate": "10/m"}, "1s", "burst=+50%", "10", "15"),
        ({"type": "rate_limit", "rate": "10/m", "algorithm": "sliding_window"}, "1s", "rate=+25%", "10/1m", "13/1m"),
        (
            {"type": "rate_limit", "rate": "10/m", "changes": [{"at": "2s", "burst": 3}, {"at": "3s", "rate": "20/m"}]},
            "2s",
            "rate=*2",
            "10/1m",
            "20/1m",
        ),
    ],
)
def test_what_a_value_becomes(constraint: Dict, at: str, change: str, before: str, after: str) -> None:
    assert becomes(constraint, at, change) == (before, after)


@pytest.mark.parametrize(
    ("constraint", "at", "change", "told"),
    [
        (
            SLOTS,
            "1s",
            "limit=-10",
            "--set constraints.c.limit=-10 (which makes 0): '0' is not a whole number of 1 or more; "
            "allowed: 1, 2, 500, 2k ...",
        ),
        (SLOTS, "1s", "limit=many", "'many' is not a number; allowed: a whole number of 1 or more, such as 500 or 2k"),
        (SLOTS, "1s", "limt=3", "'limt' may not change (did you mean 'limit'?); allowed: limit"),
        (
            SLOTS,
            "1s",
            "limit=+9e9",
            "'+9e9' is no relative value; allowed: +20%, -10%, *2, +5, -5, or a value without a sign",
        ),
        (
            SLOTS,
            "1s",
            "limit=+",
            "'+' is no relative value; allowed: +20%, -10%, *2, +5, -5, or a value without a sign",
        ),
        (
            {"type": "rate_limit", "rate": "10/m"},
            "1s",
            "rate=+5/s",
            "'+5/s' is no relative value; allowed: +20%, -10%, *2, +5, -5, or a value without a sign",
        ),
        (SLOTS, "1s", "type=pause", "'type' may not change; allowed: limit"),
        (SLOTS, "1s", "limit=[", "not YAML: the text ends inside a list or mapping; allowed: ] or } at its end"),
        ({"type": "pause", "expires": "9s"}, "1s", "paused=+1", "'+1' of what is on or off; allowed: true or false"),
        (
            {"type": "rate_limit", "rate": "10/m", "algorithm": "ramp"},
            "1s",
            "burst=5",
            "a burst with ramp; allowed: burst with algorithm: token_bucket",
        ),
        (
            {**SLOTS, "from": "2s"},
            "1s",
            "limit=3",
            "c is not in force at 1s; allowed: a time at which it is, such as 2s",
        ),
        (
            {**SLOTS, "expires": "2s"},
            "2s",
            "limit=3",
            "c is not in force at 2s; allowed: a time at which it is, such as 0s",
        ),
        (
            {"type": "adaptive", "limit": 5},
            "1s",
            "limit=6",
            "c is of type adaptive, of which nothing changes; allowed: nothing",
        ),
    ],
)
def test_what_may_not_change_is_told_with_what_may(constraint: Dict, at: str, change: str, told: str) -> None:
    assert refused(constraint, at, change) == told


def test_the_future_by_hand() -> None:
    steps = [{"task": "work", "duration": "4s"}]
    row = scenario(constraints=[{"id": "slots", "type": "concurrency", "limit": 1}], count=3, steps=steps)
    log = run(row)
    assert told(forked(log, "2s", "constraints.slots.limit=+1")) == [
        "0 TaskStarted a_0_work#0 0",
        "0 TaskBlocked a_1_work#0 slots 0",
        "0 TaskBlocked a_2_work#0 slots 1",
        "2 ConstraintChanged slots 2",
        "2 TaskResumed a_1_work#0 slots 2",
        "2 TaskStarted a_1_work#0 2",
        "4 TaskFinished a_0_work#0 succeeded",
        "4 TaskResumed a_2_work#0 slots 4",
        "4 TaskStarted a_2_work#0 4",
        "6 TaskFinished a_1_work#0 succeeded",
        "8 TaskFinished a_2_work#0 succeeded",
        "60 RunFinished",
    ]
    # At the very first instant, and of a fork again: at the same time, before, and after.
    assert told(forked(log, "0s", "constraints.slots.limit=3"))[:3] == [
        f"0 TaskStarted a_{agent}_work#0 0" for agent in range(3)
    ]
    again = forked(forked(log, "2s", "constraints.slots.limit=2"), "2s", "constraints.slots.limit=*1.5")
    assert told(again)[3] == "2 ConstraintChanged slots 3"
    before = forked(again, "1s", "constraints.slots.limit=2")
    changed = [line for line in told(before) if "Changed" in line]
    assert changed == ["1 ConstraintChanged slots 2", "2 ConstraintChanged slots 3"]


def test_several_changes_of_one_instant_and_beside_one_that_is_there() -> None:
    bucket = {"id": "c", "type": "rate_limit", "rate": "1/s", "burst": 4, "changes": [{"at": "5s", "burst": 2}]}
    row = scenario(constraints=[bucket], count=9, steps=[{"task": "t", "duration": "1s"}])
    log = forked(run(row), "5s", "constraints.c.rate=*2", "constraints.c.burst=+1")
    (constraint,) = log.header.scenario["constraints"]
    assert constraint["changes"] == [{"at": "5s", "burst": 2}]
    assert constraint["unforeseen"] == [{"at": "5s", "rate": "2/1s", "burst": 3}]
    assert log.header.constraints[0].settings == (
        (0, {"tokens": 1, "period_ns": S, "burst": 4}),
        (5 * S, {"tokens": 2, "period_ns": S, "burst": 3}),
    )


def test_nobody_reckons_with_a_change_that_is_unforeseen() -> None:
    # What never fits is refused; where the limit is to be raised, it waits.
    slots = {"id": "slots", "type": "resource", "capacity": 1}
    steps = [{"task": "work", "duration": "1s", "needs": {"slots": {"uniform": [2, 2]}}}]
    row = scenario(fleets=[{"name": "a", "arrivals": {"at": [0, "4s"]}, "steps": steps}])
    row["constraints"] = [slots]
    log = run(row)
    assert told(log)[0] == "0 TaskRejected a_0_work#0 slots never"
    assert told(forked(log, "3s", "constraints.slots.capacity=2")) == [
        "0 TaskRejected a_0_work#0 slots never",
        "0 TaskFinished a_0_work#0 failed",
        "3 ConstraintChanged slots 2000000",
        "4 ResourceAcquired a_1_work#0 slots 2000000",
        "4 TaskStarted a_1_work#0 0",
        "5 TaskFinished a_1_work#0 succeeded",
        "5 ResourceReleased a_1_work#0 slots 2000000",
        "60 RunFinished",
    ]
    foreseen = {**row, "constraints": [{**slots, "changes": [{"at": "3s", "capacity": 2}]}]}
    assert told(run(foreseen))[0] == "0 TaskBlocked a_0_work#0 slots 0"


def test_a_deadlock_is_told_of_although_a_fork_ends_it() -> None:
    hold = {"hold": "plan", "steps": [{"think": "1s"}, {"task": "search", "duration": "1s"}]}
    slots = {"id": "slots", "type": "concurrency", "limit": 2, "scope": "global"}
    log = run(scenario(constraints=[slots], count=2, steps=[hold]))
    other = forked(log, "5s", "constraints.slots.limit=3")
    assert [line for line in told(log) if "Deadlock" in line] == [line for line in told(other) if "Deadlock" in line]
    assert told(other)[-3].split()[1:] == ["TaskFinished", "a_1_plan#0", "succeeded"]
    foreseen = run(scenario(constraints=[{**slots, "changes": [{"at": "5s", "limit": 3}]}], count=2, steps=[hold]))
    assert not [line for line in told(foreseen) if "Deadlock" in line]


@pytest.mark.usefixtures("in_a_folder_of_its_own")
def test_unforeseen_changes_are_checked() -> None:
    slots = "{id: a, type: concurrency, limit: 1, "
    problems = {
        "unforeseen: [{at: 2s, limit: 2}, {at: 2s, limit: 3}]}": "the unforeseen changes are not in order; "
        "allowed: each change after the one before",
        "from: 3s, unforeseen: [{at: 2s, limit: 2}]}": "an unforeseen change comes before the constraint begins; "
        "allowed: at of from or later",
        "expires: 2s, unforeseen: [{at: 2s, limit: 2}]}": "an unforeseen change comes after the constraint expires; "
        "allowed: at before expires",
    }
    for text, problem in problems.items():
        check(around("constraint", f"^{slots}{text}"), f"constraints.a: {problem}")


# The same past

CHANGES = {
    "concurrency": ("limit=+50%", "limit=*3", "limit=1", "limit=+1"),
    "resource": ("capacity=+50%", "capacity=*3", "capacity=1", "capacity=+0.25"),
    "quota": ("total=+50%", "total=1", "total=*3"),
    "rate_limit": ("rate=+50%", "rate=*2", "rate=1/s", "burst=1", "burst=+2"),
    "pause": ("paused=true", "paused=false"),
}


@given(rich(), st.data())
def test_every_event_before_is_the_same(row: Dict, data: st.DataObject) -> None:
    changing = [each for each in row["constraints"] if each["type"] in CHANGES]
    assume(changing)
    log = simulate(row)
    rows = read(log).all_rows
    times = sorted({each.time for each in rows} | {each.time + 1 for each in rows if each.time < rows[-1].time})
    at_ns = data.draw(st.sampled_from(times))
    constraint = data.draw(st.sampled_from(changing))
    change = data.draw(st.sampled_from(CHANGES[constraint["type"]]))
    problem, changed = "", row
    try:
        changed = fork(log.header, at_ns, [f"constraints.{constraint['id']}.{change}"]).loaded.scenario.as_json()
    except BadInput as error:
        problem = str(error)
    assert not problem or any(words in problem for words in ("not in force", "a burst with", "a slice of"))
    assume(not problem)
    with suppress(Endless):
        other = simulate(changed)
        before = [each for each in rows if each.time < at_ns]
        assert [each for each in read(other).all_rows if each.time < at_ns] == before
        found = diff(log, other)
        assert found["parting"] is None or found["parting"]["time_ns"] >= at_ns
        assert simulate(other.header.scenario).digest() == other.digest()


# As a user sees it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log that the page forks."""
    folder = tmp_path_factory.mktemp("fork")
    assert sim(ROOT / "scenarios/azure_llm.yaml", cwd=folder).returncode == 0
    return folder


FORK = ("fork", "azure_llm.arrows", "--at", "30m", "--set", "constraints.tpm.rate=+20%")


def test_fork_prints_what_the_page_says(folder: Path) -> None:
    done = sim(*FORK, cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert f"```\n{done.stdout.decode()}```" in (ROOT / "docs/fork.md").read_text()
    assert sim("verify", "azure_llm-fork.arrows", cwd=folder).returncode == 0


def test_fork_as_json_is_what_diff_says_of_the_two_logs(folder: Path) -> None:
    done = sim(*FORK, "--json", "--log", "other.arrows", "--out", "rows.parquet", cwd=folder)
    result = json.loads(done.stdout)
    own = {
        "forked": "azure_llm.arrows",
        "log": "other.arrows",
        "at_ns": 1800 * S,
        "changes": [{"path": "constraints.tpm.rate", "before": "500000/1m", "after": "600000/1m"}],
        "events_before": 51_666,
        "no_effect": False,
    }
    assert {name: result.pop(name) for name in own} == own
    diffed = json.loads(sim("diff", "azure_llm.arrows", "other.arrows", "--json", cwd=folder).stdout)
    assert result == {name: value for name, value in diffed.items() if name not in ("log_a", "log_b")}
    assert (folder / "rows.parquet").stat().st_size > 0


def test_bad_input_is_one_line_and_leaves_no_log(folder: Path, tmp_path: Path) -> None:
    log = folder / "azure_llm.arrows"

    def says(at: str, change: str, *parts: str, rest: tuple[str, ...] = ()) -> None:
        one_line(sim("fork", log, "--at", at, "--set", change, *rest, cwd=tmp_path), *parts)

    change = "constraints.tpm.rate=+20%"
    says("2h", change, "--at: 2h is past the end of the log, which ends at 3509.940254s; allowed: 0s to 35")
    says("soon", change, "--at: 'soon' is not a time")
    says("1m", "constraints.tmp.rate=+20%", "'tmp' is no constraint (did you mean 'tpm'?); allowed: rpm, tpm, inflight")
    says("1m", "constraints.tpm.scope=global", "'scope' may not change; allowed: rate, burst")
    says("1m", "fleets.chat.count=3", "only a value of a constraint can change while a run goes on")
    says("1m", "seed=3", "only a value of a constraint can change while a run goes on")
    says("1m", "constraints.inflight.limit=-200%", "limit=-200% (which makes -40): '-40' is not a whole number of 1 or")
    says("1e400s", change, "--at: '1e400s' is too long; allowed: at most 146 years")
    says("", change, "--at: '' is not a time; allowed: a time such as 300ms")
    says("1m", "constraints.tpm.rate", "no = in it")
    says("1m", "constraints.tpm.rate=", "no value in it")
    says("1m", change, "constraints.tpm.rate is set twice", rest=("--set", "constraints.tpm.rate=-20%"))
    says("1m", change, "one of them at a time", rest=("--json", "--markdown"))
    says("1m", change, "is the log that is forked itself", rest=("--log", str(log)))
    says("1m", change, "/dev/null is no file that can be read again", rest=("--log", "/dev/null"))
    says("1m", change, "cannot be written", rest=("--log", "none/x.arrows"))
    one_line(sim("fork", "none.arrows", "--at", "1m", "--set", change, cwd=tmp_path), "no such file")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_this_version_does_not_make_is_not_forked(folder: Path, tmp_path: Path) -> None:
    log = Log.open(folder / "azure_llm.arrows")
    rows = concatenate(list(log.batches()))
    values = rows.value.copy()
    values[3000] += 1
    rewritten(
        tmp_path / "other.arrows", log, type(rows)(**{**{n: getattr(rows, n) for n in rows.__slots__}, "value": values})
    )
    done = sim("fork", "other.arrows", *FORK[2:], cwd=tmp_path)
    one_line(done, "this version does not make the same run: event 3,000 differs, before anything changes")
    assert [path.name for path in tmp_path.iterdir()] == ["other.arrows"]


IDLE = """
name: idle
until: 10s
constraints:
  - {id: slot, type: concurrency, limit: 3, scope: global}
  - {id: rpm, type: rate_limit, rate: 100/s, scope: global, changes: [{at: 5s, rate: 90/s}]}
fleets:
  - {name: a, count: 2, steps: [{repeat: forever, steps: [{think: 1s}, {task: work, duration: 1s}]}]}
"""
ITSELF = "  that changes nothing: but for the change itself both runs are the same, to the last event"


@pytest.mark.parametrize(
    ("at", "changes", "said"),
    [
        ("5s", ["constraints.slot.limit=3"], ["  from 5 s on constraints.slot.limit: 3 -> 3", ITSELF]),
        ("5s", ["constraints.slot.limit=+1"], ["  from 5 s on constraints.slot.limit: 3 -> 4", ITSELF]),
        ("5s", ["constraints.rpm.rate=80/s"], ["  from 5 s on constraints.rpm.rate: 90/1s -> 80/s", ITSELF]),
        ("0s", ["constraints.slot.limit=2"], ["  from 0 s on constraints.slot.limit: 3 -> 2", ITSELF]),
        (
            "5s",
            ["constraints.slot.limit=2", "constraints.rpm.rate=80/s"],
            [
                "  from 5 s on constraints.slot.limit: 3 -> 2",
                "  from 5 s on constraints.rpm.rate: 90/1s -> 80/s",
                "  these change nothing: but for the changes themselves both runs are the same, to the last event",
            ],
        ),
        (
            "5s",
            ["constraints.slot.limit=1"],
            ["  from 5 s on constraints.slot.limit: 3 -> 1", "  the 11 events before that are the same in both"],
        ),
        (
            "0s",
            ["constraints.slot.limit=1"],
            ["  from 0 s on constraints.slot.limit: 3 -> 1", "  they part at event 4, at 1 s"],
        ),
    ],
)
def test_a_change_that_makes_no_difference_is_told_in_one_line(
    at: str, changes: list[str], said: list[str], tmp_path: Path
) -> None:
    """Two agents never want more than two slots, nor more than two requests a second."""
    (tmp_path / "idle.yaml").write_text(IDLE)
    sets = [word for change in changes for word in ("--set", change)]
    done = sim("fork", "idle.yaml", "--at", at, *sets, cwd=tmp_path)
    lines = done.stdout.decode().splitlines()
    assert (done.returncode, lines[1 : len(said) + 1]) == (0, said)
    is_same = "nothing" in said[-1]
    assert (len(lines) == len(said) + 1) == is_same
    assert (
        json.loads(sim("fork", "idle.yaml", "--at", at, *sets, "--json", cwd=tmp_path).stdout)["no_effect"] == is_same
    )


def test_of_a_cut_log_it_makes_no_difference_as_far_as_that_goes(tmp_path: Path) -> None:
    (tmp_path / "idle.yaml").write_text(IDLE)
    assert sim("idle.yaml", "--max-events", "15", "--log", "cut.arrows", cwd=tmp_path).returncode == 1
    done = sim("fork", "cut.arrows", "--at", "5s", "--set", "constraints.slot.limit=4", cwd=tmp_path)
    assert done.stdout.decode().splitlines()[2] == ITSELF.replace("to the last event", "as far as both go")


def test_a_cut_log_is_forked_as_far_as_it_goes(folder: Path, tmp_path: Path) -> None:
    log = Log.open(folder / "azure_llm.arrows")
    rows = concatenate(list(log.batches())).rows(0, 60_000)
    rewritten(tmp_path / "cut.arrows", log, rows)
    end_ns = int(rows.time[-1])
    done = sim("fork", "cut.arrows", *FORK[2:], "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert (done.returncode, result["compared_before_ns"], result["events_before"]) == (0, end_ns, 51_666)
    late = sim("fork", "cut.arrows", "--at", "50m", *FORK[4:], cwd=tmp_path)
    one_line(late, f"--at: 50m is past the end of the log, which is cut at {format_duration(end_ns)}")
