"""Frames, stills and the command line: what the player shows is in `test_scene.py`, its keys in `test_player.py`.

The golden files hold what a console is sent, byte for byte; `UPDATE_GOLDEN=1 pytest tests/test_render.py` writes them
anew. Look at them with `cat`.
"""

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fleet_logs import Row, S, batch, concurrency, content, header, log, loop, pause, rate_limit, row
from rich.cells import cell_len
from rich.color import Color, ColorSystem
from rich.console import Console

from model.events import Kind
from model.log import Header, Log
from model.state import Cursor, FleetState, Moment, Phase, state_at
from render import __main__ as command
from render.film import Film
from render.frame import frame
from render.grid import grid
from render.moment import time_from
from render.palette import FULL, LETTERS, SIXTEEN, Theme, theme_for
from render.replay import can_play, cut_message, reel_of, replay, still
from render.screen import encode
from render.shades import by_state
from render.status import Reel, clock, constraints, legend, title

HERE = Path(__file__).parent
ESC = "\x1b"


def console(width: int, height: int, colors: str | None, **more: object) -> Console:
    """A console of fixed size that writes to memory and knows nothing of the environment."""
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=colors,  # type: ignore[arg-type]
        legacy_windows=False,
        _environ={},
        **more,  # type: ignore[arg-type]
    )


def written(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def plain(lines) -> list[str]:
    return ["".join(segment.text for segment in line) for line in lines]


_BY_PHASE = {
    Phase.THINKING: Kind.AgentStarted,
    Phase.BLOCKED: Kind.TaskBlocked,
    Phase.RUNNING: Kind.TaskStarted,
    Phase.FINISHED: Kind.AgentFinished,
    Phase.DOWN: Kind.AgentCrashed,
    Phase.BACKING_OFF: Kind.TaskRetrying,
}


def state_of(phases: list[int] | np.ndarray, head: Header | None = None, *more: Row) -> Moment:
    """A state in which the agents are in these phases; the blocked ones wait for the first constraint, if any."""
    head = head or header({"a": len(phases)})
    kinds = [(agent, _BY_PHASE.get(Phase(int(phase)))) for agent, phase in enumerate(phases)]
    first = 0 if head.constraints else -1
    rows = [row(0, kind, agent, step=0, constraint=first) for agent, kind in kinds if kind is not None]
    state = FleetState(head)
    state.apply(batch([*rows, *more]))
    return state.moment()


# Scenes: a log, a moment of it, and the size of the console.


def bottleneck() -> tuple[Log, int, int, int]:
    head = header({"agent": 300}, [concurrency("funnel", 30)])
    return log(head, loop(head, 5 * S)), 4 * S, 60, 20


def fleets() -> tuple[Log, int, int, int]:
    limits = [concurrency("llm", 5), concurrency("sandbox", 4), concurrency("a-human-who-reads-it-all", 2)]
    head = header({"planner": 40, "coder": 120, "reviewer": 12}, limits)
    return log(head, loop(head, 9 * S, stagger=S // 20, visits=3)), 7 * S, 70, 25


def crowd() -> tuple[Log, int, int, int]:
    head = header({"agent": 5000}, [concurrency("funnel", 300)])
    return log(head, loop(head, 3 * S, stagger=S // 2500)), 2 * S, 40, 14


def few() -> tuple[Log, int, int, int]:
    head = header({"agent": 6}, [concurrency("gpu", 2)])
    return log(head, loop(head, 5 * S, work=S)), 3 * S, 48, 18


def narrow() -> tuple[Log, int, int, int]:
    limits = [concurrency("a-rather-long-name", 20), rate_limit("llm", 600, 60 * S), pause("stop", True)]
    head = header({"agent": 70}, limits)
    return log(head, loop(header({"agent": 70}, limits[:1]), 4 * S)), 3 * S, 20, 13


SCENES = {scene.__name__: scene for scene in (bottleneck, fleets, crowd, few, narrow)}
COLORS = {"truecolor": "truecolor", "256": "256", "16": "standard", "letters": None}


@pytest.mark.parametrize("colors", COLORS)
@pytest.mark.parametrize("scene", SCENES)
def test_golden_frames(scene, colors):
    picture, moment, width, height = SCENES[scene]()
    to = console(width, height, COLORS[colors])
    still(picture, reel_of(picture), to, moment)
    golden = HERE / "golden" / f"{scene}-{colors}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(written(to), encoding="utf-8", newline="")
    assert written(to) == golden.read_bytes().decode("utf-8")


@pytest.mark.parametrize("theme", [FULL, SIXTEEN, LETTERS], ids=["full", "sixteen", "letters"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_frame_fills_its_size_whatever_that_is(scene, theme):
    picture, moment, _, _ = SCENES[scene]()
    state = state_at(picture, moment)
    for width in (1, 2, 3, 5, 8, 13, 20, 39, 40, 80, 211):
        for height in (1, 2, 3, 4, 7, 8, 15, 16, 24, 61):
            lines = frame(state, Reel(5 * S, 3.5, True), width, height, theme)
            assert [cell_len(line) for line in plain(lines)] == [width] * height


def test_a_frame_is_the_same_whether_the_state_was_stepped_or_asked_for():
    picture, moment, width, height = bottleneck()
    reel = reel_of(picture)
    cursor = Cursor(picture)
    for between in range(0, moment, S // 3):
        cursor.advance(between)
    stepped = frame(cursor.advance(moment), reel, width, height, FULL)
    assert stepped == frame(state_at(picture, moment), reel, width, height, FULL)
    assert stepped != frame(state_at(picture, moment + S // 20), reel, width, height, FULL)


# The grid


def letters_of(lines: list[str], letter: str) -> list[tuple[int, int]]:
    return [(y, x) for y, line in enumerate(lines) for x, each in enumerate(line) if each == letter]


@pytest.mark.parametrize(
    ("agents", "width", "height"), [(1, 30, 9), (20, 80, 20), (57, 33, 7), (240, 30, 8), (9, 9, 1)]
)
def test_every_agent_has_a_place_of_its_own_row_by_row(agents, width, height):
    places = []
    for agent in range(agents):
        phases = np.full(agents, Phase.THINKING)
        phases[agent] = Phase.RUNNING
        lines = plain(grid(state_of(phases), width, height, LETTERS))
        places.append(letters_of(lines, "R"))
    assert places[0][0] == (0, 0)
    assert len({len(place) for place in places}) == 1, "all cells have one size"
    assert len({spot for place in places for spot in place}) == agents * len(places[0]), "no two cells share a spot"
    assert sorted(places) == places


@pytest.mark.parametrize(("agents", "width", "height"), [(1, 10, 5), (20, 80, 20), (100, 80, 20), (1000, 100, 25)])
@pytest.mark.parametrize("theme", [FULL, LETTERS], ids=["full", "letters"])
def test_the_picture_fills_the_room(agents, width, height, theme):
    lines = grid(state_of([Phase.RUNNING] * agents), width, height, theme)
    wide = max(len(line.rstrip()) for line in painted(lines, theme))
    high = max(number + 1 for number, line in enumerate(painted(lines, theme)) if line.strip())
    assert wide >= width * 0.8
    assert high >= height * 0.6


def painted(lines, theme: Theme) -> list[str]:
    """The lines with an X wherever something is painted."""
    if theme.letters:
        return plain(lines)
    night = theme.fill(theme.background)
    return ["".join((" " if part.style == night else "X") * len(part.text) for part in line) for line in lines]


def test_two_agents_share_a_character():
    # 5 agents in 2 columns and 2 lines: a cell each, the last one alone above an empty half.
    phases = [Phase.RUNNING, Phase.BLOCKED, Phase.RUNNING, Phase.THINKING, Phase.BLOCKED]
    looks = FULL.cells
    (upper_left, upper_right), (lower_left, lower_right) = grid(state_of(phases), 2, 2, FULL)
    assert (upper_left.text, upper_left.style) == (" ", FULL.fill(looks[Phase.RUNNING]))
    assert (upper_right.text, upper_right.style) == ("▀", FULL.pair(looks[Phase.BLOCKED], looks[Phase.THINKING]))
    assert (lower_left.text, lower_left.style) == ("▀", FULL.pair(looks[Phase.BLOCKED], FULL.background))
    assert (lower_right.text, lower_right.style) == (" ", FULL.fill(FULL.background))


def test_an_agent_that_has_not_started_above_one_that_has():
    ((cell,),) = grid(state_of([Phase.ABSENT, Phase.RUNNING]), 1, 1, FULL)
    assert (cell.text, cell.style) == ("▄", FULL.pair(FULL.cells[Phase.RUNNING], FULL.background))


@pytest.mark.parametrize("agents", [101, 150, 999, 100_000])
def test_more_agents_than_cells_are_shared_out_evenly(agents):
    """Marks one agent after another by the only letter that differs: the runs of agents of a cell are as even as can be."""
    order = np.arange(agents)
    homes = order * 100 // agents
    sizes = np.bincount(homes)
    assert set(sizes.tolist()) <= {agents // 100, agents // 100 + 1}
    # Paint the agents of every third cell, all of them: exactly those cells must change.
    phases = np.where(homes % 3 == 0, Phase.RUNNING, Phase.THINKING)
    text = "".join(plain(grid(state_of(phases), 20, 5, LETTERS)))
    assert text == ("R.." * 34)[:100]


def test_several_fleets_have_names_and_cells_of_one_size():
    head = header({"big": 40, "small": 10})
    lines = plain(grid(state_of([Phase.RUNNING] * 40 + [Phase.BLOCKED] * 10, head), 20, 8, LETTERS))
    assert lines[0].rstrip() == "big"  # there is no room for all counts
    labels = [number for number, line in enumerate(lines) if re.match(r"big|small", line)]
    big, small = lines[labels[0] + 1 : labels[1]], lines[labels[1] + 1 :]
    assert len(letters_of(big, "R")) == 4 * len(letters_of(small, "B"))


def test_too_many_fleets_for_names_follow_one_another():
    head = header({f"fleet{number}": 2 for number in range(10)})
    phases = [Phase.RUNNING, Phase.BLOCKED] * 10
    assert "".join(plain(grid(state_of(phases, head), 20, 1, LETTERS))) == "RB" * 10


def test_crowded_fleets_get_lines_by_their_numbers():
    head = header({"big": 9000, "small": 1000})
    lines = plain(grid(state_of([Phase.RUNNING] * 9000 + [Phase.BLOCKED] * 1000, head), 20, 13, LETTERS))
    assert [line[0] for line in lines] == ["b", *"R" * 9, " ", "s", "B"]


# Colours


def luminance(red: int, green: int, blue: int) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (red / 255, green / 255, blue / 255)
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("system", [ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT])
def test_the_phases_differ_in_brightness(system):
    bright = []
    for phase in (
        Phase.RUNNING,
        Phase.DOWN,
        Phase.BACKING_OFF,
        Phase.BLOCKED,
        Phase.THINKING,
        Phase.FINISHED,
        Phase.ABSENT,
    ):
        code = FULL.cells[phase]
        color = Color.from_rgb(code >> 16, code >> 8 & 255, code & 255).downgrade(system)
        bright.append(luminance(*color.get_truecolor()) + 0.05)
    ratios = [a / b for a, b in pairwise(bright)]
    assert min(ratios) > 1.2
    assert bright[0] / bright[-1] > 10


def test_the_phases_differ_in_every_theme():
    assert all(len(set(theme.cells)) == len(Phase) for theme in (FULL, SIXTEEN, LETTERS))


def counts(**phases: int) -> np.ndarray:
    return np.array([[phases.get(phase.name.lower(), 0) for phase in Phase]])


def test_a_mix_is_the_mean_of_the_light():
    red, green = FULL.cells[Phase.BLOCKED], FULL.cells[Phase.RUNNING]
    mixed = int(by_state(FULL).blend(counts(blocked=1, running=3))[0])
    for shift in (16, 8, 0):
        a, b = red >> shift & 255, green >> shift & 255
        assert mixed >> shift & 255 == pytest.approx(((a * a + 3 * b * b) / 4) ** 0.5, abs=5)


@pytest.mark.parametrize("phase", Phase)
def test_a_cell_of_one_phase_has_its_very_colour(phase):
    for theme in (FULL, SIXTEEN, LETTERS):
        assert by_state(theme).blend(counts(**{phase.name.lower(): 7})).tolist() == [theme.cells[phase]]


@pytest.mark.parametrize(
    ("phases", "winner"),
    [
        ({"running": 3, "blocked": 2}, Phase.RUNNING),
        ({"running": 2, "blocked": 2, "thinking": 2, "finished": 2}, Phase.BLOCKED),
        ({"running": 2, "thinking": 2}, Phase.RUNNING),
        ({"finished": 1, "thinking": 1}, Phase.THINKING),
        ({"absent": 3, "blocked": 2}, Phase.ABSENT),
    ],
)
def test_letters_show_the_phase_of_most_and_blocked_wins_ties(phases, winner):
    for theme in (LETTERS, SIXTEEN):
        assert by_state(theme).blend(counts(**phases)).tolist() == [theme.cells[winner]]


@pytest.mark.parametrize(
    ("colors", "more", "theme"),
    [
        ("truecolor", {}, FULL),
        ("256", {}, FULL),
        ("standard", {}, SIXTEEN),
        (None, {}, LETTERS),
        ("truecolor", {"no_color": True}, LETTERS),
    ],
)
def test_the_theme_is_the_richest_that_the_console_can_show(colors, more, theme):
    assert theme_for(console(80, 24, colors, **more)) is theme


def test_a_console_that_cannot_write_blocks_gets_letters():
    ascii_only = Console(
        file=io.TextIOWrapper(io.BytesIO(), "ascii"), force_terminal=True, color_system="truecolor", _environ={}
    )
    picture, moment, _, _ = bottleneck()
    still(picture, reel_of(picture), ascii_only, moment)
    assert theme_for(ascii_only) is LETTERS


def test_one_frame_in_two_colour_systems_in_one_process():
    line = frame(state_at(bottleneck()[0], S), Reel(5 * S), 60, 3, FULL)[1]
    assert ";2;" in encode(line, ColorSystem.TRUECOLOR)
    assert ";5;" in encode(line, ColorSystem.EIGHT_BIT)
    assert ";2;" not in encode(line, ColorSystem.EIGHT_BIT)
    assert ESC not in encode(line, None)


# The words


def test_the_state_of_a_constraint_in_words():
    limits = [
        concurrency("funnel", 100),
        concurrency("gone", 5, (0, None)),
        rate_limit("llm", 600, 60 * S),
        rate_limit("burst", 5, S // 5),
        pause("stop", True),
        pause("go", False),
    ]
    gone = row(0, Kind.ConstraintChanged, constraint=1, value=-1)
    state = state_of([Phase.RUNNING] * 100 + [Phase.BLOCKED] * 412, header({"a": 512}, limits), gone)
    words = plain(constraints(state, 50, 9, LETTERS))
    assert [re.sub(r" +", " ", line.strip()) for line in words] == [
        "funnel ########## 100/100 412 waiting",
        "gone no limit 0 waiting",
        "llm 600/m 0 waiting",
        "burst 5/200ms 0 waiting",
        "stop paused 0 waiting",
        "go open 0 waiting",
    ]
    assert plain(constraints(state, 200, 9, LETTERS))[0].count("waiting") == 4
    assert [line.rstrip() for line in plain(constraints(state, 20, 2, LETTERS))] == [
        "funnel  100/100 412",
        "5 more, 0 waiting",
    ]
    assert [line.rstrip() for line in plain(constraints(state, 9, 1, LETTERS))] == ["6 more, ~"]
    assert constraints(state, 50, 0, LETTERS) == []


def test_where_not_all_constraints_have_room_those_come_first_that_matter_most():
    limits = [concurrency(name, 100) for name in ("one", "two", "three", "four")]
    waits = [row(0, Kind.TaskBlocked, agent, constraint=2) for agent in range(7)]
    state = state_of([Phase.THINKING] * 9, header({"a": 9}, limits), *waits)
    names = lambda *order: [line.split()[0] for line in plain(constraints(state, 40, 3, LETTERS, order or None))]  # noqa: E731
    assert names() == ["three", "one", "2"]
    assert names(3, 1, 0, 2) == ["four", "two", "2"]
    film = Film(
        log(header({"a": 9}, limits), [*waits, row(5, Kind.TaskRejected, 8, constraint=1), row(9, Kind.RunFinished)])
    )
    assert film.by_weight == (2, 1, 0, 3)


def test_nothing_moves_sideways_while_time_runs():
    head = header({"a": 500, "b": 500}, [concurrency("one", 10), concurrency("two", 1000)])
    nobody, everybody = state_of([Phase.THINKING] * 1000, head), state_of([Phase.BLOCKED] * 1000, head)
    for line_of, marks in (
        (lambda state: constraints(state, 90, 3, LETTERS)[0], ["two", "/1,000"]),
        (lambda state: legend(state, 90, LETTERS), ["B ", ". ", "- "]),
    ):
        before, after = plain([line_of(nobody), line_of(everybody)])
        assert before != after
        assert [before.index(mark) for mark in marks] == [after.index(mark) for mark in marks]


def test_those_that_crashed_are_counted_where_there_are_any():
    state = state_of([*[Phase.RUNNING] * 5, *[Phase.DOWN] * 2, Phase.ABSENT])
    wide = plain([legend(state, 90, LETTERS)])[0].rstrip()
    assert wide == "R 5 running    B 0 blocked    . 0 thinking    - 0 finished    X 2 down    1 absent"
    assert plain([legend(state, 24, LETTERS)]) == ["R 5 B 0 . 0 - 0 X 2     "]


def test_a_log_with_incidents_and_crashes_is_replayed():
    from tests.runs import run, scenario

    bad = {"id": "bad", "at": "2s", "lasts": "2s", "block": True}
    task = {"task": "t", "duration": "4s"}
    log = run(scenario(until="6s", count=2, steps=[task], incidents=[bad], crash={"uptime": "3s", "repair": "1s"}))
    told = [constraints(state_at(log, second * S), 60, 3, LETTERS) for second in (1, 3, 5)]
    assert [plain(lines)[0].split() for lines in told] == [
        ["bad", "off", "0", "waiting"],
        ["bad", "on", "0", "waiting"],
        ["bad", "off", "0", "waiting"],
    ]


def test_the_legend_says_less_where_there_is_less_room():
    state = state_of([*[Phase.RUNNING] * 5, *[Phase.BLOCKED] * 12, *[Phase.THINKING] * 3, Phase.FINISHED, Phase.ABSENT])
    assert plain([legend(state, 80, LETTERS)])[0].rstrip() == (
        "R 5 running     B 12 blocked    . 3 thinking     - 1 finished     1 absent"
    )
    assert plain([legend(state, 54, LETTERS)]) == ["R 5 running  B 12 blocked  . 3 thinking  - 1 finished "]
    assert plain([legend(state, 20, LETTERS)]) == ["R 5 B 12 . 3 - 1    "]
    assert plain([legend(state, 9, LETTERS)]) == ["R 5 B 12 "]


def test_the_title_keeps_the_time_and_lets_go_of_the_rest():
    state = state_of([Phase.RUNNING])
    state.time_ns = 3 * S // 2
    lines = [
        "bottleneck  cut log      1.50s / 20.00s  4x",
        "bottleneck  cut log   1.50s / 20.00s",
        "bottleneck  cut log   1.50s",
        "bottleneck   1.50s",
        "bot~   1.50s",
        " 1.50",
    ]
    for line in lines:
        assert plain([title(state, Reel(20 * S, 4.0, True), len(line), LETTERS)]) == [line]


@pytest.mark.parametrize(
    ("ns", "span", "text"),
    [
        (12_340_000_000, 60 * S, "12.34s"),
        (0, 60 * S, "0.00s"),
        (4_129_999, 5_000_000, "4.13ms"),
        (4_124_999, 5_000_000, "4.12ms"),
        (999_989_999_999, 999_999_999_999, "999.99s"),
        (1_500, 9_000, "1.50us"),
        (7, 9, "7ns"),
        (3_723 * S, 7200 * S, "1:02:03"),
        (3_599_500_000_000, 7200 * S, "1:00:00"),
        (0, 0, "0.00s"),
    ],
)
def test_times_of_one_span_have_one_form(ns, span, text):
    assert clock(ns, span) == text


@pytest.mark.parametrize(
    ("ns", "span", "text"),
    [
        (12_304_567_890, 60 * S, "12.304567890s"),
        (4_129_999, 5_000_000, "4.129999ms"),
        (1_500, 9_000, "1.500us"),
        (7, 9, "7ns"),
        (3_723 * S + 5, 7200 * S, "1:02:03.000000005"),
    ],
)
def test_an_exact_time_leads_back_to_its_moment(ns, span, text):
    assert clock(ns, span, exact=True) == text
    assert time_from(text) == ns


def test_a_name_cannot_disturb_the_terminal():
    head = header({f"{ESC}[31mred\n": 3, "é": 2}, [concurrency(f"{ESC}c", 1)])
    state = state_of([Phase.RUNNING] * 5, head)
    for theme in (FULL, LETTERS):
        text = "".join(plain(frame(state, Reel(S), 60, 24, theme)))
        assert text.isprintable()
    assert text.isascii()


# Stills, and what is said about cut logs


def test_a_replay_that_cannot_move_shows_the_last_moment():
    picture, _, width, height = bottleneck()
    whole, last = console(width, height, "truecolor"), console(width, height, "truecolor")
    replay(picture, whole)
    still(picture, reel_of(picture), last, 5 * S)
    assert written(whole) == written(last)
    assert "5.00s" in written(last)
    assert not can_play(whole), "memory is no terminal, whatever it is taken for"


def test_a_cut_log_says_so():
    head = header({"a": 2})
    rows = [row(0, Kind.AgentStarted, 0), row(12_345_678_901, Kind.AgentStarted, 1), row(20 * S, Kind.RunFinished)]
    cut = Log.from_bytes(content(head, rows, batch_rows=2, end=False)[:-50])
    reel = reel_of(cut)
    assert (reel.end_ns, reel.cut) == (12_345_678_901, True)
    told = cut_message("x.arrows", reel.end_ns)
    assert told == "x.arrows: the log is cut at 12.345s: the run was interrupted, stopped or killed"
    to = console(60, 10, None)
    replay(cut, to)
    assert "cut log" in written(to)
    assert not reel_of(log(head, rows)).cut


def test_a_log_without_rows_is_shown():
    empty = log(header({"a": 2}), [])
    to = console(80, 10, None)
    replay(empty, to)
    assert (
        cut_message("x", reel_of(empty).end_ns) == "x: the log is cut at 0s: the run was interrupted, stopped or killed"
    )
    assert "2 absent" in written(to)


# The command line


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    head = header({"agent": 300}, [concurrency("funnel", 30)])
    file = tmp_path_factory.mktemp("logs") / "bottleneck.arrows"
    file.write_bytes(content(head, loop(head, 5 * S)))
    return file


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(HERE.parent), "PYTHONIOENCODING": "utf-8", "TERM": "xterm-256color", **more}


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "render", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output="stdout" not in options,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "6s"], "--at: 6s is after the end; allowed: from 0s to 5s"),
        (["--at", "-1s"], "--at: '-1s' is negative; allowed: 0 or a positive time"),
        (["--at", "soon"], "--at: 'soon' is not a time; allowed: "),
        (["--speed", "0"], "--speed: 0 is out of range; allowed: a number from 1e-09 to 1e+12"),
        (["--speed", "1e300"], "--speed: 1e300 is out of range; allowed: a number from 1e-09 to 1e+12"),
        (["--speed", "nan"], "--speed: nan is out of range; allowed: a number from "),
        (["--at", "1e400s"], "--at: '1e400s' is too long; allowed: at most 146 years"),
        (["--speed", "fast"], "--speed: 'fast' is not a number; allowed: a number from "),
        (["--fps", "61"], "--fps: 61 is out of range; allowed: a number from 0.1 to 60"),
        (["--fps", "1e-300"], "--fps: 1e-300 is out of range; allowed: a number from 0.1 to 60"),
        (["--at", "0:00:06"], "--at: 0:00:06 is after the end; allowed: from 0s to 5s"),
        (["--at", "0:60:00"], "--at: '0:60:00' is not a time; allowed: a time such as 12s, 1.5m or 0:05:30"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(path, capsys, arguments, message):
    assert command.main([str(path), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content_", "message"),
    [
        ("missing", None, "no such file; allowed: a log that a run has written"),
        ("folder/", None, "not a fleetsim log"),
        ("empty", b"", "not a fleetsim log"),
        ("text", b"a line\n" * 100, "not a fleetsim log"),
        ("zeros", bytes(5000), "not a fleetsim log"),
    ],
)
def test_files_that_are_no_logs_are_one_line_and_exit_code_2(tmp_path, capsys, name, content_, message):
    file = tmp_path / name
    if name.endswith("/"):
        file.mkdir()
    elif content_ is not None:
        file.write_bytes(content_)
    assert command.main([str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{file}: {message}")
    assert err.count("\n") == 1


def test_a_damaged_log_is_one_line_and_exit_code_2(tmp_path, capsys):
    file = tmp_path / "damaged"
    file.write_bytes(content(header({"a": 2}), [row(0, Kind.AgentStarted, 7)]))
    assert command.main([str(file)]) == 2
    assert capsys.readouterr().err == (
        f"{file}: the log is damaged at event 0: AgentStarted names agent 7, and there are 2\n"
    )


@pytest.mark.parametrize("arguments", [[], ["a", "b", "c"], ["--nope"]])
def test_misuse_is_exit_code_2(capsys, arguments):
    assert command.main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("python -m render: ")
    assert "; allowed: " in told
    assert told.count("\n") == 1


def test_a_cut_log_is_played_as_far_as_it_goes(path, tmp_path, capsys):
    file = tmp_path / "cut.arrows"
    file.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    assert command.main([str(file), "--at", "1s"]) == 0
    out, err = capsys.readouterr()
    assert "1.00s" in out
    told = rf"{re.escape(str(file))}: the log is cut at [34]\.\d+s: the run was interrupted, stopped or killed\n"
    assert re.fullmatch(told, err)


def test_a_pipe_gets_the_last_moment_in_letters(path):
    piped = run(path)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert ESC not in piped.stdout
    assert "5.00s / 5.00s" in piped.stdout
    assert "R 30 running" in piped.stdout
    assert run(path, "--at", "5s").stdout == piped.stdout
    assert "2.00s / 5.00s" in run(path, "--at", "2").stdout
    assert "2.00s / 5.00s" in run(path, "--at", "0:00:02").stdout


def test_a_closed_pipe_is_silent(path):
    reader, writer = os.pipe()
    os.close(reader)
    closed = run(path, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (closed.returncode, closed.stderr) == (0, "")


def test_a_full_disk_is_one_line(path):
    with open("/dev/full", "w") as full:
        failed = run(path, stdout=full, stderr=subprocess.PIPE)
    assert failed.returncode == 2
    assert failed.stderr == "standard output cannot be written: No space left on device\n"


def on_terminal(
    *arguments: object, then: bytes | int = b"", at: bytes = b"running", **env: str
) -> tuple[int, str, bool]:
    """Run on a terminal of 60x16, and when it shows `at` press keys or send a signal.

    Return the exit code, what was written, and whether the settings are as before.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 16, 60, 0, 0))
    before = termios.tcgetattr(slave)
    with subprocess.Popen(
        [sys.executable, "-m", "render", *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(**env),
        start_new_session=True,
    ) as process:
        output, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.05)[0]:
                output += os.read(master, 65_536)
            elif process.poll() is not None:
                break
            if then and at in output:
                if isinstance(then, int):
                    process.send_signal(then)
                else:
                    os.write(master, then)
                then = b""
        process.kill()
    restored = termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)
    return process.returncode, output.decode(), restored


@pytest.mark.parametrize("then", [signal.SIGINT, b"\x03"], ids=["signal", "key"])
def test_ctrl_c_ends_the_player_with_130_and_restores_the_terminal(path, then):
    code, text, restored = on_terminal(path, then=then, COLORTERM="truecolor")
    assert (code, restored) == (130, True)
    assert "Traceback" not in text
    assert text.index(f"{ESC}[?1049h") < text.index("running") < text.index(f"{ESC}[?1049l")
    assert text.rindex(f"{ESC}[?25h") > text.rindex(f"{ESC}[?25l")


def test_a_terminated_player_restores_the_terminal(path):
    code, text, restored = on_terminal(path, then=signal.SIGTERM)
    assert (code, restored) == (143, True)
    assert text.rindex(f"{ESC}[?1049l") > text.rindex(f"{ESC}[?1049h")


def test_a_cut_log_is_played_and_said_to_be_cut(path, tmp_path):
    file = tmp_path / "cut.arrows"
    file.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    code, text, restored = on_terminal(file, then=b"q", at=b"cut log")
    assert (code, restored) == (0, True)
    assert re.search(
        r"cut\.arrows: the log is cut at [34]\.\d+s: the run was interrupted, stopped or killed\r\n$", text
    )


def test_a_log_of_another_version_says_which_one_it_needs(path, tmp_path, capsys, monkeypatch):
    file = tmp_path / "later.arrows"
    monkeypatch.setattr("model.header.LOG_FORMAT", 7)
    file.write_bytes(content(header({"a": 1}), [row(0, Kind.AgentStarted, 0)]))
    monkeypatch.undo()
    for arguments in ([file], [path, file]):
        assert command.main(list(map(str, arguments))) == 2
        assert capsys.readouterr().err == f"{file}: this log is of format 7; allowed: format 1\n"


def test_every_time_that_is_shown_can_be_asked_for(tmp_path, capsys):
    for end in (7, 1_239, 12_345_678, 12_346_789_012, 7_384_999_999_999):
        file = tmp_path / "log"
        file.write_bytes(content(header({"a": 1}), [row(end, Kind.AgentStarted, 0), row(end, Kind.RunFinished)]))
        assert command.main([str(file), "--at", clock(end, end)]) == 0
        assert f"{clock(end, end)} / {clock(end, end)}" in capsys.readouterr().out


def test_ctrl_z_gives_the_terminal_back_and_takes_it_again(path):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 16, 60, 0, 0))
    before, output = termios.tcgetattr(slave), b""

    def read_until(text: bytes) -> None:
        nonlocal output
        deadline = time.monotonic() + 60
        while text not in output and time.monotonic() < deadline:
            if select.select([master], [], [], 0.05)[0]:
                output += os.read(master, 65_536)
        assert text in output

    command_line = [sys.executable, "-m", "render", str(path), "--speed", "0.2"]
    process = subprocess.Popen(
        command_line, stdin=slave, stdout=slave, stderr=slave, env=environment(), start_new_session=True
    )
    try:
        read_until(b"running")
        process.send_signal(signal.SIGTSTP)
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        read_until(b"\x1b[?1049l")
        assert b"\x1b[?25h" in output
        assert termios.tcgetattr(slave) == before
        output = b""
        process.send_signal(signal.SIGCONT)
        read_until(b"\x1b[?1049h")
        read_until(b"running")
        assert termios.tcgetattr(slave) != before
        process.send_signal(signal.SIGINT)
        read_until(b"\x1b[?1049l")
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def test_one_who_leaves_the_player_has_the_moment_on_the_screen(path):
    code, text, restored = on_terminal(path, "--speed", "1e6", "--fps", "10", then=b"q", at=b"paused")
    assert (code, restored) == (0, True)
    still = text[text.rindex(f"{ESC}[?25h") :]
    assert still.count("\n") == 15
    assert re.search("5.00s.*/ 5.00s", still), "the moment at which one left stays on the normal screen"


def test_the_player_is_drawn_on_standard_output(path):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 16, 60, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "render", str(path)],
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    ) as process:
        output, deadline = b"", time.monotonic() + 60
        while b"running" not in output and time.monotonic() < deadline:
            if select.select([master], [], [], 0.05)[0]:
                output += os.read(master, 65_536)
        os.write(master, b"q")
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([master], [], [], 0.05)[0]:
                os.read(master, 65_536)
        assert process.stderr is not None
        assert (process.stderr.read(), process.returncode) == (b"", 0)
    os.close(master)
    os.close(slave)


def test_without_a_keyboard_there_is_a_still(path):
    master, slave = pty.openpty()
    process = subprocess.run(
        [sys.executable, "-m", "render", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=subprocess.PIPE,
        env=environment(),
        timeout=60,
        check=False,
    )
    output = os.read(master, 65_536)
    assert (process.returncode, process.stderr) == (0, b"")
    assert b"?1049h" not in output
    assert b"5.00s" in output
    os.close(master)
    os.close(slave)


def test_two_logs_in_a_pipe_are_two_stills_with_what_differs_marked(path, tmp_path):
    other = tmp_path / "other.arrows"
    head = header({"agent": 300}, [concurrency("funnel", 60)])
    other.write_bytes(content(head, loop(head, 5 * S)))
    both = run(path, other, "--at", "4s")
    assert (both.returncode, both.stderr) == (0, "")
    assert both.stdout.startswith("bottleneck | other")
    assert re.search(r"bottleneck  \d+ differ .*other  \d+ differ", both.stdout)
    assert " 0 differ" in run(path, path).stdout
    assert "R" not in run(path, path, "--at", "4s").stdout.split("differ")[0].replace("bottleneck", ""), "all are dim"


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours_gets_the_last_moment_in_letters(path, env):
    code, text, _ = on_terminal(path, **env)
    assert code == 0
    assert ESC not in text
    assert "5.00s / 5.00s" in text
    assert "R 30 running" in text


def test_a_still_on_a_terminal_leaves_it_as_it_is(path):
    code, text, _ = on_terminal(path, "--at", "2s", COLORTERM="truecolor")
    assert code == 0
    assert "?1049h" not in text
    assert ";2;" in text
    assert text.count("\n") == 15
