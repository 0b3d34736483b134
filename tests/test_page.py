"""The web page without a browser: what is in the file, and that it says what the log says."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fleet_logs import S, concurrency, content, log, loop, pause, rate_limit, row
from fleet_logs import header as bare
from hypothesis import given
from hypothesis import strategies as st
from test_state import SEVERAL, rows_of_several

from model.events import Kind
from model.faults import BadInput
from model.log import Log
from model.state import Phase, state_at
from render.__main__ import main
from render.film import Film
from render.page import frames, series
from render.page.columns import folded, packed, unfolded, unpacked
from render.page.frames import Frames
from render.page.page import columns_of, page
from render.story import Stakes
from sim.analysis.report import report
from sim.cli import main as sim_main
from tests.runs import run, scenario

ROOT = Path(__file__).parent.parent
HOSTILE = '</script ></title ><img src=x onerror="alert(1)">&amp;\u202e'


def header(fleets, constraints):
    """A header as `fleet_logs` makes it, with a scenario of so many fleets and tasks, which a report asks for."""
    steps = [{"task": "work", "duration": "1s"}]
    data = {
        "name": "test",
        "fleets": [{"name": f"f{number}", "count": 1, "steps": steps} for number in range(len(fleets))],
    }
    return replace(bare(fleets, constraints), scenario=data)


class Parts(HTMLParser):
    """The elements of a page that matter: scripts and styles with their attributes, and the policy."""

    def __init__(self, text):
        super().__init__()
        self.found, self.tags = [], []
        self.policy, self.inside = "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = tag in ("script", "style", "title")
        if self.inside:
            self.found.append((tag, dict(attrs), ""))
        if tag == "meta" and dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"]

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = tag, attributes, text + data


def read(made):
    """The data of a page, and the columns of each run."""
    parts = Parts(made.content.decode()).found
    scripts = {attributes.get("id"): text for tag, attributes, text in parts if tag == "script"}
    about = json.loads(scripts["about"])
    columns = [unpacked(entry["columns"], scripts[f"columns-{n}"]) for n, entry in enumerate(about["runs"])]
    return about, columns


def bottleneck(until=6 * S):
    head = header({"agent": 40}, [concurrency("funnel", 4)])
    return log(head, loop(head, until))


@given(st.lists(st.integers(-(2**62), 2**62 - 1)))
def test_columns_come_back_as_they_were(values):
    numbers = np.array(values, np.int64)
    assert unfolded(folded(numbers)).tolist() == values
    directory, text = packed({"none": numbers[:0], "some": folded(numbers)})
    back = unpacked(directory, text)
    assert back["none"].tolist() == []
    assert back["some"].tolist() == folded(numbers).tolist()


def moments_of(entry, columns):
    """What a page has at each of its frames: time, and of each agent phase, constraint, step and since when."""
    states = np.array(entry["states"]).T
    now, since = np.zeros(entry["agents"], np.int64), np.zeros(entry["agents"], np.int64)
    times, place = np.cumsum(columns["time"]), 0
    for frame, moves in enumerate(columns["moves"].tolist()):
        agents = np.cumsum(columns["agent"][place : place + moves])
        codes = columns["state"][place : place + moves]
        now[agents] = codes >> 1
        since[agents[codes & 1 == 1]] = times[frame]
        place += moves
        yield int(times[frame]), states[now], since


def value_at(columns, name, frame):
    frames_of, values = np.cumsum(columns[f"{name}.frame"]), np.cumsum(unfolded(columns[f"{name}.value"]))
    return int(values[np.searchsorted(frames_of, frame, side="right") - 1])


def says_the_same(written, film):
    shown = Frames(film)
    columns = unpacked(*packed(columns_of(film, shown, film.end_ns)))
    entry = {"agents": film.agents, "states": shown.states, "every_ns": shown.every_ns, "moves": shown.moves}
    for frame, (time, states, since) in enumerate(moments_of(entry, columns)):
        moment = state_at(written, time, film.agents)
        agents = moment.agents
        assert states.T.tolist() == [agents.phase.tolist(), agents.constraint.tolist(), agents.step.tolist()]
        for number in range(len(film.header.constraints)):
            assert value_at(columns, f"waiting.{number}", frame) == moment.waiting[number]
            assert value_at(columns, f"limit.{number}", frame) == moment.limit[number]
            if moment.used[number] >= 0:
                assert value_at(columns, f"used.{number}", frame) == moment.used[number]
        within = entry["every_ns"] or 1
        assert ((agents.since_ns <= since) & (since < agents.since_ns + within)).all()
    assert time == film.end_ns
    return entry, columns


@given(rows_of_several())
def test_every_instant_of_a_short_log_is_there(rows):
    written = log(SEVERAL, rows)
    film = Film(written)
    entry, columns = says_the_same(written, film)
    assert entry["every_ns"] is None
    assert np.cumsum(columns["time"]).tolist() == sorted({0, *film.rows.time.tolist()})


@given(rows_of_several(), st.integers(1, 9))
def test_what_a_thinned_page_shows_is_exact(rows, count):
    written = log(SEVERAL, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "EXACT_MOVES", -1)
        patch.setattr(frames, "FRAMES", count)
        entry, columns = says_the_same(written, Film(written))
        assert len(columns["time"]) <= count + 1
    assert len(columns["agent"]) <= entry["moves"]


def test_frames_are_as_short_as_can_be_where_nothing_happens_for_long(monkeypatch):
    monkeypatch.setattr(frames, "EXACT_MOVES", 0)
    monkeypatch.setattr(frames, "FRAMES", 4)
    head = header({"a": 3}, [concurrency("c", 1)])
    rows = [row(time, Kind.AgentStarted, agent) for agent, time in enumerate((1, 2, 3))]
    film = Film(log(head, [*rows, row(1000, Kind.RunFinished)]))
    assert (Frames(film).every_ns, Frames(film).time_ns.tolist()) == (1, [0, 1, 2, 3, 1000])
    assert film.shown_ns == 3


def test_states_of_very_many_constraints_are_told_apart():
    count = 300
    head = header({"a": count}, [concurrency(f"c{number}", 1) for number in range(count)])
    rows = [row(1, Kind.TaskBlocked, agent, 0, agent) for agent in range(count)]
    rows += [row(2, Kind.AgentFinished, agent) for agent in range(100)]
    film = Film(log(head, rows))
    frames_, columns = Frames(film), columns_of(film, Frames(film), 2)
    phases, constraints, _ = frames_.states
    states = (columns["state"] >> 1)[-100:], (columns["state"] >> 1)[:count]
    assert {phases[state] for state in states[0].tolist()} == {int(Phase.FINISHED)}
    assert [constraints[state] for state in states[1].tolist()] == list(range(count))


def test_a_log_of_a_year_with_many_agents_has_its_moves_in_their_frames():
    day, count = 86_400 * S, 1000
    head = header({"a": count}, [concurrency("c", 1)])
    rows = [row(number * day, Kind.AgentStarted, number) for number in range(365)]
    film = Film(log(head, [*rows, row(366 * day, Kind.RunFinished)]))
    made = Frames(film)
    assert made.every_ns is not None
    agents = [made.agent[start:stop].tolist() for start, stop in pairwise(made.firsts.tolist())]
    assert [each for each in agents if each] == [[number] for number in range(365)]
    assert sorted(set(agents[0])) == [0]


def test_changes_are_thinned_until_there_are_few_enough(monkeypatch):
    film = Film(bottleneck())
    monkeypatch.setattr(frames, "EXACT_MOVES", 0)
    whole = len(Frames(film).agent)
    monkeypatch.setattr(frames, "MOVES_MAX", whole // 3)
    fewer = Frames(film)
    assert 0 < len(fewer.agent) <= whole // 3
    assert fewer.moves == len(film.turns().agent)


def test_the_same_log_gives_the_same_bytes(tmp_path):
    path = tmp_path / "run.arrows"
    head = header({"a": 12, "b": 30}, [concurrency("c", 2), rate_limit("d", 5, S)])
    path.write_bytes(content(head, loop(header({"a": 12, "b": 30}, [concurrency("c", 2)]), 3 * S)))
    here = page(Log.open(path)).content
    assert here == page(Log.open(path)).content
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.html"
        command = [sys.executable, "-m", "render", str(path), "--html", str(out)]
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed})
        assert out.read_bytes() == here
    assert str(tmp_path).encode() not in here


def test_the_numbers_are_those_of_the_report():
    written = bottleneck()
    told, _ = report(written)
    entry = read(page(written))[0]["runs"][0]
    assert entry["report"]["seed"] == "1"
    for key in ("events", "end_ns", "tasks", "wait_ns", "cut"):
        assert entry["report"][key] == told[key]
    for key in ("utilisation", "blocked_ns", "peak_waiting", "wait_ns"):
        assert entry["report"]["constraints"][0][key] == told["constraints"]["funnel"][key]
    assert sum(entry["waits"]["counts"]) + entry["waits"]["none"] == told["tasks"]["started"]


def test_a_policy_allows_the_scripts_of_the_page_and_nothing_else():
    parts = Parts(page(bottleneck()).content.decode())
    digests = {
        tag: f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for tag, attributes, text in parts.found
        if "type" not in attributes
    }
    wanted = {"default-src": "'none'", "script-src": digests["script"], "style-src": digests["style"]}
    policy = dict(each.strip().split(" ", 1) for each in parts.policy.split(";"))
    assert policy == {**wanted, "base-uri": "'none'", "form-action": "'none'"}


def test_a_name_is_never_markup():
    head = replace(header({HOSTILE: 3}, [concurrency(HOSTILE, 1)]), name=HOSTILE)
    text = page(log(head, loop(head, 2 * S))).content.decode()
    (data,) = [text for _, attributes, text in Parts(text).found if attributes.get("id") == "about"]
    assert not {"<", ">", "&"} & {*data}
    harmless = header({"a": 3}, [concurrency("b", 1)])
    assert Parts(text).tags == Parts(page(log(harmless, loop(harmless, 2 * S))).content.decode()).tags
    assert read(page(log(head, loop(head, 2 * S))))[0]["runs"][0]["fleets"][0][0] == HOSTILE


def test_the_licence_of_the_plotting_library_is_in_the_page():
    licence = (ROOT / "render/page/vendor/uPlot.LICENSE").read_text().strip()
    assert licence.startswith("The MIT License")
    assert licence in page(bottleneck()).content.decode()


def test_series_have_mean_least_and_greatest():
    head = header({"a": 2}, [concurrency("c", 1)])
    rows = [
        row(0, Kind.TaskStarted, 0),
        row(150, Kind.TaskBlocked, 1, constraint=0),
        row(250, Kind.TaskFinished, 0),
        row(250, Kind.TaskResumed, 1, constraint=0, value=100),
        row(250, Kind.TaskStarted, 1, value=100),
        row(600, Kind.RunFinished),
    ]
    film = Film(log(head, rows))
    columns = series.series(film, 600)
    assert series.edges_of(600).tolist() == list(range(601))
    film.end_ns = 300  # as if the other run were longer
    assert len(series.series(film, 600)["series.blocked.mean"]) == 300
    edges = np.array([0, 100, 200, 300])
    blocked = series._extent("blocked", film.counts[Phase.BLOCKED], edges)
    values = {name: np.cumsum(unfolded(column)).tolist() for name, column in blocked.items()}
    assert values == {"blocked.mean": [0, 500, 500], "blocked.least": [0, 0, 0], "blocked.greatest": [0, 1, 1]}
    last = [row(10, Kind.TaskBlocked, agent, constraint=0) for agent in range(2)]
    at_the_end = series.series(Film(log(head, [*last, row(10, Kind.RunFinished)])), 10)
    assert np.cumsum(unfolded(at_the_end["series.blocked.greatest"])).tolist()[-1] == 2
    assert columns["series.0.share"].tolist() == [series.SHARE_UNIT + 1] * 600


def test_the_utilisation_of_a_rate_is_that_of_its_last_period():
    head = header({"a": 9}, [rate_limit("rate", 4, 100)])
    rows = [row(time, Kind.TaskStarted, agent) for agent, time in enumerate((10, 60, 130))]
    film = Film(log(head, [*rows, row(200, Kind.RunFinished)]))
    share = series.shares(film, 0, np.array([0, 50, 100, 150, 200]))
    # of 4 in a period: 1, both of the first two, those at 60 and 130, and that at 130
    assert share.tolist() == [2501, 5001, 5001, 2501]


def test_what_a_rate_is_charged_at_the_very_beginning_counts():
    head = header({"a": 9}, [rate_limit("rate", 4, 100)])
    rows = [row(time, Kind.TaskStarted, agent) for agent, time in enumerate((0, 0, 0, 100, 100))]
    film = Film(log(head, [*rows, row(400, Kind.RunFinished)]))
    edges = np.array([0, 50, 100, 150, 200, 400])
    # 3 at 0, all 5 that were charged up to 100, those at 100 for a period, and nothing
    assert series.shares(film, 0, edges).tolist() == [7501, 5001, 5001, 1, 1]


def test_there_is_no_utilisation_without_a_limit_nor_of_a_pause():
    head = header({"a": 1}, [concurrency("c", 2, (50, None)), pause("p", True)])
    film = Film(log(head, [row(50, Kind.ConstraintChanged, constraint=0, value=-1), row(100, Kind.RunFinished)]))
    assert series.shares(film, 0, np.array([0, 50, 100])).tolist() == [1, 0]
    assert series.shares(film, 1, np.array([0, 50, 100])) is None


def test_waits_stand_in_bins():
    head = header({"a": 9}, [concurrency("c", 2)])
    waits = [0, 0, 1000, 1500, 9000, 10_000]
    rows = [row(20_000 + place, Kind.TaskStarted, place, value=value) for place, value in enumerate(waits)]
    film = Film(log(head, rows))
    edges = series.wait_edges([film])
    counts, none = series.waits(film, edges)
    assert none == 2
    assert (len(counts), sum(counts)) == (len(edges) - 1, 4)
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        assert count == sum(low * (1 - 1e-9) <= value < high * (1 - 1e-9) for value in waits if value)
    nobody = Film(log(head, rows[:2]))
    assert series.wait_edges([nobody]) == []
    assert series.waits(nobody, []) == ([], 2)


def test_agents_of_two_runs_are_the_same_by_name():
    first, second = header({"a": 2, "b": 2}, [concurrency("c", 1)]), header({"b": 3}, [concurrency("c", 1)])
    runs = [log(head, loop(head, S)) for head in (first, second)]
    _, columns = read(page(*runs))
    shared = [np.cumsum(unfolded(each["shared"])).tolist() for each in columns]
    assert shared[0][2:] == shared[1][:2]
    assert len({*shared[0], *shared[1]}) == 5


def test_two_runs_say_what_was_changed():
    data = scenario(
        constraints=[{"id": "slots", "type": "concurrency", "limit": 2}],
        count=4,
        steps=[{"repeat": 3, "steps": [{"task": "work", "duration": "1s", "needs": {"slots": 1}}]}],
    )
    other = json.loads(json.dumps(data))
    other["constraints"][0]["limit"] = 3
    assert read(page(run(data), run(other)))[0]["altered"] == ["constraints.slots.limit: 2 in A, 3 in B"]


def test_the_numbers_of_the_documentation_are_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/page.md").read_text()
    commands = re.search(r"```sh\n(.*?)```", text, re.DOTALL)[1].replace("scenarios/", f"{ROOT}/scenarios/")
    mains = {"sim": sim_main, "render": main}
    assert [mains[line.split()[2]](line.split()[3:]) for line in commands.splitlines()] == [0, 0, 0]
    one, other = (state_at(Log.open(Path(name)), 20 * S) for name in ("bottleneck.arrows", "more.arrows"))
    blocked = [int(moment.counts()[Phase.BLOCKED]) for moment in (one, other)]
    differ = np.count_nonzero((one.phase != other.phase) | (one.agents.constraint != other.agents.constraint))
    assert f"A has {blocked[0]} agents blocked and B has {blocked[1]}; {differ} of 1,000 agents" in text
    size = len(page(Log.open(Path("bottleneck.arrows"))).content)
    assert f"1,000 agents | {size / 1e6:.2f} MB |" in text
    assert 100_000 < size < 2_000_000


def test_a_log_whose_scenario_this_version_does_not_know_is_told():
    head = bare({"a": 3}, [concurrency("c", 1)])
    with pytest.raises(BadInput, match="not valid for this version"):
        page(log(head, loop(head, S)))


def test_a_log_without_rows_and_a_cut_one_have_a_page():
    head = header({"a": 3}, [concurrency("c", 1)])
    about, (columns,) = read(page(log(head, [])))
    assert (about["end_ns"], columns["time"].tolist(), about["runs"][0]["agents"]) == (0, [0], 3)
    cut = page(Log.from_bytes(content(head, loop(head, 5 * S), 20)[:-1500]))
    entry = read(cut)[0]["runs"][0]
    assert entry["report"]["cut"] is True
    assert cut.cut_ns == (entry["report"]["end_ns"],)


# The command line.


def holders_in(columns, number, frame):
    """The agents that hold something in a frame, as the browser reads it."""
    count, gap, length = (columns[f"held.{number}.{name}"].tolist() for name in ("count", "gap", "length"))
    found, place = set(), 0
    for agent, own in enumerate(count):
        end = 0
        for here in range(place, place + own):
            begin = end + int(unfolded(np.array([gap[here]]))[0])
            end = begin + length[here]
            if begin <= frame < end:
                found.add(agent)
        place += own
    return found


def test_who_holds_what_is_told_of_every_frame_whatever_else_an_agent_does(monkeypatch):
    parts = {
        "fork": 3,
        "steps": [{"task": "part", "duration": {"exponential": "1s"}, "needs": {"slots": 1, "desks": 2}}],
    }
    retried = {
        "task": "call",
        "duration": {"exponential": "1s"},
        "needs": {"slots": 1},
        "fail": 0.5,
        "retry": {"max_attempts": 3, "delay": "1s", "hold_during_backoff": True},
    }
    whole = {"hold": "room", "needs": {"rooms": 1}, "steps": [parts, {"think": "500ms"}, retried]}
    constraints = [
        {"id": "slots", "type": "concurrency", "limit": 5, "scope": None},
        {"id": "desks", "type": "concurrency", "limit": 9, "scope": None},
        {"id": "rooms", "type": "concurrency", "limit": 4, "scope": None},
        {"id": "rpm", "type": "rate_limit", "rate": "60/m", "scope": None},
    ]
    made = run(scenario(until="9s", constraints=constraints, count=6, steps=[{"repeat": 4, "steps": [whole]}]))
    for exact_moves in (10**6, 0):
        monkeypatch.setattr(frames, "EXACT_MOVES", exact_moves)
        monkeypatch.setattr(frames, "FRAMES", 100)
        film = Film(made)
        about, (columns,) = read(page(made))
        stakes, times = Stakes(film), np.cumsum(columns["time"])
        numbers = [entry["held"] for entry in about["runs"][0]["constraints"]]
        assert numbers == [0, 1, 2, None]
        for frame, time_ns in enumerate(times.tolist()):
            for constraint, number in enumerate(numbers[:3]):
                holders = {holder.agent for holder in stakes.holders(constraint, time_ns, 100).most}
                assert holders_in(columns, number, frame) == holders
        assert len(holders_in(columns, 2, len(times) - 1)) == 4  # the rooms are held when the log ends


def test_constraints_that_are_taken_together_share_who_holds_them():
    limits = [{"id": name, "type": "concurrency", "limit": 3, "scope": None} for name in ("one", "two", "three")]
    steps = [
        {"task": "both", "duration": "1s", "needs": {"one": 1, "two": 1}},
        {"task": "other", "duration": "1s", "needs": {"three": 1}},
    ]
    about, (columns,) = read(page(run(scenario(constraints=limits, count=5, steps=steps))))
    assert [entry["held"] for entry in about["runs"][0]["constraints"]] == [0, 0, 1]
    assert "held.2.count" not in columns


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "run.arrows"
    head = header({"a": 3}, [concurrency("c", 1)])
    path.write_bytes(content(head, loop(head, 5 * S), 20))
    return path


def test_a_page_is_written_and_standard_output_stays_empty(written, tmp_path, capsys):
    assert main([str(written), "--html", str(tmp_path / "run.html")]) == 0
    assert (tmp_path / "run.html").read_bytes() == page(Log.open(written)).content
    assert capsys.readouterr() == ("", "")


def test_a_cut_log_is_told(written, tmp_path, capsys):
    written.write_bytes(written.read_bytes()[:-1500])
    assert main([str(written), "--html", str(tmp_path / "run.html")]) == 0
    assert re.fullmatch(rf"{written}: the log is cut at [0-9.]+s: .*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["LOG", "--html", "LOG"], "--html: LOG is the log itself; allowed: another file"),
        (["LOG", "OTHER", "--html", "OTHER"], "--html: OTHER is the second log itself; allowed: another file"),
        (["LOG", "--html", "-"], "--html: - is not a file; allowed: a file, or /dev/null for none"),
        (["LOG", "OTHER", "--html", "LOG"], "--html: LOG is the first log itself; allowed: another file"),
        (["LOG", "NOTHING", "--html", "new.html"], "NOTHING: no such file"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_line(arguments, problem, written, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written.rename("LOG")
    Path("OTHER").write_bytes(Path("LOG").read_bytes())
    before = Path("LOG").read_bytes()
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(problem)
    assert Path("LOG").read_bytes() == Path("OTHER").read_bytes() == before
    assert not Path("new.html").exists()
