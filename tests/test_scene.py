"""What the player shows, without a terminal: which moment, where each agent is, the time line, two logs, golden frames.

The golden files hold lines of the parts, byte for byte; `UPDATE_GOLDEN=1 pytest tests/test_scene.py` writes them anew.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from fleet_logs import S, concurrency, header, log, row
from hypothesis import given
from hypothesis import strategies as st
from rich.color import ColorSystem
from runs import run, scenario
from scenes import bottleneck, deadlock, fleets, scene
from vocabulary import rich

from model.events import Kind
from model.log import Log
from model.state import Phase
from render.chart import Chart
from render.film import Film
from render.grid import Arrangement, Fleets, best_arrangement, layout
from render.palette import FULL, LETTERS, SIXTEEN
from render.playback import SPEED_MAX, SPEED_MIN, Playback, default_speed
from render.scene import Scene
from render.screen import encode
from render.shades import Mode

HERE = Path(__file__).parent


def text(lines) -> list[str]:
    return ["".join(segment.text for segment in line) for line in lines]


# Playing


def film(end_ns: int = 10 * S, *times: int) -> Film:
    head = header({"a": 1}, [concurrency("c", 1), concurrency("d", 1)])
    rows = [row(time, Kind.AgentStarted if not place else Kind.TaskStarted, 0) for place, time in enumerate(times)]
    return Film(log(head, [*rows, row(end_ns, Kind.RunFinished)]))


def test_it_plays_at_its_speed_and_stops_at_the_end():
    playback = Playback((film(),), speed=2.0)
    for _ in range(10):
        playback.pass_by(0.1)
    assert (playback.time_ns, playback.playing) == (2 * S, True)
    playback.pass_by(100)
    assert (playback.time_ns, playback.playing) == (10 * S, False)
    playback.toggle()
    assert (playback.time_ns, playback.playing) == (0, True)


def test_parts_of_a_nanosecond_are_not_lost():
    playback = Playback((film(),), speed=1e-9)
    for _ in range(1000):
        playback.pass_by(0.01)
    assert playback.time_ns == pytest.approx(10, abs=1)


def test_time_does_not_pass_while_it_is_paused():
    playback = Playback((film(),), speed=1.0)
    playback.toggle()
    playback.pass_by(3)
    assert playback.time_ns == 0


def test_steps_pause():
    playback = Playback((film(10 * S, 2 * S, 3 * S),), speed=3.0, fps=30)
    seen = []
    for step in (playback.step_event, playback.step_event, playback.step_second, playback.step_frame):
        playback.playing = True
        step(True)
        seen.append(playback.time_ns)
        assert not playback.playing
    assert seen == [2 * S, 3 * S, 4 * S, 4 * S + S // 10]
    for step in (playback.step_frame, playback.step_second, playback.step_event, playback.step_event):
        step(False)
        seen.append(playback.time_ns)
    assert seen[4:] == [4 * S, 3 * S, 2 * S, 0]
    playback.go(99 * S)
    playback.step_event(True)
    assert playback.time_ns == 10 * S


def test_the_next_moment_at_which_something_binds_in_either_log():
    head = header({"a": 2}, [concurrency("c", 1), concurrency("d", 1)])
    films = [
        Film(log(head, [row(time * S, Kind.TaskBlocked, 0, 0, constraint), row(9 * S, Kind.RunFinished)]))
        for time, constraint in ((5, 1), (3, 0))
    ]
    playback = Playback(tuple(films))
    assert playback.next_binding() == (3 * S, 1, 0)
    assert playback.next_binding() == (5 * S, 0, 1)
    assert playback.next_binding() is None
    assert playback.time_ns == 5 * S


def test_of_two_logs_the_longer_one_is_played_to_its_end():
    playback = Playback((film(4 * S, S), film(10 * S, 6 * S)))
    playback.step_event(True)
    assert playback.time_ns == S
    playback.go(4 * S)
    playback.step_event(True)
    assert (playback.time_ns, playback.end_ns) == (6 * S, 10 * S)


def test_speeds_have_bounds():
    playback = Playback((film(),))
    for change, bound in ((playback.faster, SPEED_MAX), (playback.slower, SPEED_MIN)):
        for _ in range(100):
            change()
        assert playback.speed == bound
    assert (default_speed(60 * S), default_speed(15 * S), default_speed(S)) == (4, 1, 1)


# Places

SIZES = st.tuples(st.integers(1, 120), st.integers(1, 60))
SOME_FLEETS = st.lists(st.integers(1, 400), min_size=1, max_size=5)


def placed(counts: list[int]) -> Fleets:
    firsts = np.cumsum([0, *counts]).tolist()
    return tuple((f"fleet{number}", firsts[number], count) for number, count in enumerate(counts))


@given(SOME_FLEETS, SIZES, st.booleans(), st.sampled_from(Arrangement))
def test_what_is_clicked_is_what_is_drawn_there(counts, size, letters, arrangement):
    width, height = size
    plan = layout(placed(counts), width, height, letters, arrangement)
    for block in plan.blocks:
        if not block.cells:
            continue
        firsts = [block.agent_of(cell) for cell in range(block.cells)]
        assert [block.cell_of(agent) for agent in firsts] == list(range(block.cells))
        assert firsts[0] == block.first
        assert block.cell_of(block.first + block.agents - 1) == block.cells - 1
        assert 0 <= block.left <= block.left + block.width <= width
        assert block.top + block.lines <= height
    found = {plan.agent_at(x, y) for x in range(width) for y in range(height)} - {None}
    if letters and plan.cell_size:
        assert found == set(range(sum(counts))), "each agent can be clicked"


@given(SOME_FLEETS, SIZES, st.sampled_from(Arrangement), st.data())
def test_arrows_lead_to_everybody_and_back(counts, size, arrangement, data):
    plan = layout(placed(counts), *size, False, arrangement)
    agents = sum(counts)
    agent = data.draw(st.integers(0, agents - 1))
    if not all(block.cells for block in plan.blocks):
        return
    for right, below in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        assert 0 <= plan.beside(agent, right, below) < agents
    if plan.cell_size:
        assert plan.beside(agent, 1, 0) == min(agent + 1, agents - 1)
        assert plan.beside(agent, -1, 0) == max(agent - 1, 0)
        below = plan.beside(agent, 0, 1)
        block = next(each for each in plan.blocks if each.first <= agent < each.first + each.agents)
        if below < block.first + block.agents and below != agent:
            assert below == agent + block.columns


def test_fleets_stand_side_by_side_where_that_makes_cells_larger():
    tall = placed([30, 30])
    assert best_arrangement(tall, 100, 10, False) is Arrangement.BESIDE
    assert best_arrangement(tall, 20, 60, False) is Arrangement.STACKED
    assert best_arrangement(placed([30]), 100, 10, False) is Arrangement.STACKED
    found = scene(fleets(), at_ns=7 * S, theme=LETTERS)
    found.arrangement = Arrangement.BESIDE
    lines = text(found.grid(0, 90, 12))
    assert [lines[0].find(name) for name in ("planner", "coder", "reviewer")] == [
        block.left for block in found.layout(90, 12).blocks
    ]


def test_the_picked_agent_is_marked():
    found = scene(bottleneck(), at_ns=2 * S, theme=LETTERS)
    before = text(found.grid(0, 60, 12))
    assert found.pick_at(7, 3, 60, 12)
    after = text(found.grid(0, 60, 12))
    changed = [(y, x) for y in range(12) for x in range(60) if before[y][x] != after[y][x]]
    assert {after[y][x] for y, x in changed} == {"@"}
    assert {found.layout(60, 12).agent_at(x, y) for y, x in changed} == {found.picked}
    assert found.layout(60, 12).agent_at(7, 3) == found.picked
    assert not found.pick_at(59, 11, 60, 12)


def test_the_agent_that_is_clicked_is_marked_in_the_line_of_the_click():
    found = scene(bottleneck(agents=2000), at_ns=2 * S)
    for y in range(12):
        found.pick(None)
        before = found.grid(0, 100, 12)
        assert found.pick_at(50, y, 100, 12) == (found.picked is not None)
        changed = [
            line for line, (old, new) in enumerate(zip(before, found.grid(0, 100, 12), strict=True)) if old != new
        ]
        assert changed == ([y] if found.picked is not None else [])


# The time line


def test_the_time_line_shows_what_was_found_and_the_present():
    chart = Chart(Film(deadlock()), [Film(deadlock())], LETTERS)
    lines = text(chart.lines(8 * S, 20, 5))
    assert lines[0] == "    [   ]   !   v   "
    assert [lines[row][3] for row in (1, 2)] == ["#", "#"], "one of at most one runs"
    assert [lines[row][11] for row in (3, 4)] == ["#", "#"]
    assert lines[3][9] == " "


@given(st.integers(1, 300), st.integers(0, 20 * S))
def test_a_click_on_the_time_line_leads_to_where_the_mark_then_is(width, column):
    chart = Chart(Film(deadlock()), [Film(deadlock())], FULL)
    column %= width
    assert chart.column_of(chart.time_of(column, width), width) == column
    assert chart.time_of(width - 1, width) == 10 * S


def test_two_time_lines_have_one_scale():
    small, large = Film(bottleneck(agents=30)), Film(bottleneck(agents=300))
    alone = text(Chart(small, [small], LETTERS).lines(0, 40, 9))
    beside = text(Chart(small, [small, large], LETTERS).lines(0, 40, 9))
    assert sum(line.count("#") for line in beside[1:]) < sum(line.count("#") for line in alone[1:])


# Two logs


def test_cells_that_differ_are_marked_and_counted():
    one = [row(0, Kind.AgentStarted, agent) for agent in range(4)]
    head = header({"a": 4}, [concurrency("c", 1)])
    first = log(
        head, [*one, row(S, Kind.TaskStarted, 0), row(S, Kind.TaskBlocked, 1, 0, 0), row(9 * S, Kind.RunFinished)]
    )
    second = log(head, [*one, row(S, Kind.TaskStarted, 0), row(S, Kind.TaskStarted, 1), row(9 * S, Kind.RunFinished)])
    found = scene(first, second, at_ns=S, theme=LETTERS)
    assert (text(found.grid(0, 4, 1)), text(found.grid(1, 4, 1))) == (["rB.."], ["rR.."])
    assert text([found.legend(80, 0)])[0].startswith("A  1 differ  R 1 running    B 1 blocked")
    assert text([found.legend(80, 1)])[0].startswith("B  1 differ  R 2 running    B 0 blocked")
    found.playback.go(0)
    found.update()
    assert (text(found.grid(0, 4, 1)), text(found.grid(1, 4, 1))) == (["...."], ["...."])
    assert text([found.legend(60, 0)])[0].startswith("A  0 differ")


def test_agents_of_two_logs_are_the_same_by_fleet_and_number():
    small = header({"a": 2, "b": 1}, [concurrency("c", 1)])
    large = header({"b": 3, "a": 2}, [concurrency("c", 1)])
    first = log(small, [*(row(0, Kind.AgentStarted, agent) for agent in range(3)), row(S, Kind.RunFinished)])
    second = log(large, [*(row(0, Kind.AgentStarted, agent) for agent in (0, 3)), row(S, Kind.RunFinished)])
    found = scene(first, second, theme=LETTERS)
    assert found.fleets == (("a", 0, 2), ("b", 2, 3))
    # In the first a_0, a_1 and b_0 have come, in the second b_0 and a_0: so only a_1 is not alike.
    assert text(found.grid(0, 5, 1)) == [".T.  "]
    assert text(found.grid(1, 5, 1)) == ["._.  "]
    found.pick(1, 0)
    assert text(found.story(30, 2))[0].strip() == "in A: a_1"
    found.pick(4, 0)
    assert text(found.story(30, 2))[0].strip() == "not in this log"


def test_a_log_beside_itself_never_differs():
    found = scene(fleets(), fleets(), theme=FULL)
    for time_ns in range(0, 9 * S, S):
        found.playback.go(time_ns)
        found.update()
        assert "0 differ" in text([found.legend(90, 0)])[0]
        assert found.grid(0, 40, 12) == found.grid(1, 40, 12)


@given(rich())
def test_every_agent_of_two_logs_has_a_place_those_that_were_spawned_too(drawn):
    written = run(drawn)
    found = scene(written, written)
    first, second = (side.places.tolist() for side in found.sides)
    assert first == second
    assert len(set(first)) == len(first)
    assert set(first) <= set(range(found.agents))
    assert [found.sides[0].agent_at(place) for place in first] == list(range(len(first)))
    found.playback.go(found.playback.end_ns // 2)
    found.update()
    assert not found._differs().any()


# Frames


def parts(found: Scene, width: int, height: int) -> list:
    """All parts in one list of lines, as high as the player has them."""
    found.seen = found.look()
    return [
        found.head(width),
        *found.grid(0, width, height),
        found.legend(width),
        *found.chart(0, width, 5),
        *found.limits(0, width, 2),
        *found.story(width, 12),
    ]


GOLDEN = {
    "player": (lambda theme: scene(fleets(), at_ns=7 * S, theme=theme), 90, 24),
    "player-narrow": (lambda theme: scene(bottleneck(), at_ns=4 * S, theme=theme), 20, 8),
    "player-deadlock": (lambda theme: scene(deadlock(), at_ns=8 * S, theme=theme), 60, 6),
}
THEMES = {
    "truecolor": (FULL, ColorSystem.TRUECOLOR),
    "16": (SIXTEEN, ColorSystem.STANDARD),
    "letters": (LETTERS, None),
}


def compared(lines: list, name: str, system: ColorSystem | None) -> None:
    written = "".join(f"{encode(line, system)}\n" for line in lines)
    golden = HERE / "golden" / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(written, encoding="utf-8", newline="")
    assert written == golden.read_bytes().decode("utf-8")


@pytest.mark.parametrize("colors", THEMES)
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_parts(name, colors):
    (make, width, height), (theme, system) = GOLDEN[name], THEMES[colors]
    found = make(theme)
    found.pick(1)
    compared(parts(found, width, height), f"{name}-{colors}", system)


@pytest.mark.parametrize("mode", [Mode.CONSTRAINT, Mode.TENANT, Mode.WAITED])
def test_golden_modes(mode):
    found = scene(fleets(), at_ns=7 * S)
    found.mode = mode
    lines = [found.head(90), *found.grid(0, 90, 24), found.legend(90)]
    compared(lines, f"player-{mode.name.lower()}-truecolor", ColorSystem.TRUECOLOR)


@pytest.mark.parametrize("colors", THEMES)
def test_golden_pair(colors):
    theme, system = THEMES[colors]
    found = scene(fleets(), fleets(limit=9), at_ns=4 * S, theme=theme)
    compared(found.still(100, 26), f"player-pair-{colors}", system)


@given(SIZES, st.integers(0, 10 * S), st.sampled_from([FULL, SIXTEEN, LETTERS]), st.sampled_from(Mode))
def test_all_lines_are_as_wide_as_asked_for(size, time_ns, theme, mode):
    width, height = size
    found = scene(FLEETS, at_ns=time_ns, theme=theme)
    found.mode = mode
    found.pick(150)
    both = scene(FLEETS, WIDER, at_ns=time_ns, theme=theme)
    for lines in (parts(found, width, height), both.still(width, height), both.grid(1, width, height)):
        assert {sum(segment.cell_length for segment in line) for line in lines} <= {width}
    assert len(found.grid(0, width, height)) == len(both.still(width, height)) == height


FLEETS, WIDER = fleets(), fleets(limit=9)


# Watching changes nothing


def test_a_log_that_was_watched_has_the_same_digest(tmp_path):
    path = tmp_path / "log.arrows"
    from fleet_logs import content, loop

    head = header({"agent": 30}, [concurrency("funnel", 3)])
    path.write_bytes(content(head, loop(head, 5 * S)))
    before, digest = path.read_bytes(), Log.open(path).digest()
    found = scene(Log.open(path), at_ns=2 * S)
    digest_of_rows = found.sides[0].film.rows.time.tobytes()
    for mode in Mode:
        found.mode = mode
        found.pick(3)
        parts(found, 60, 20)
    assert found.sides[0].film.rows.time.tobytes() == digest_of_rows
    assert (path.read_bytes(), Log.open(path).digest()) == (before, digest)
    assert found.sides[0].moment.phase.max() <= max(Phase)


def test_a_log_that_is_over_before_the_other_says_so():
    short, long = (
        run(scenario(until=until, count=2, steps=[{"task": "t", "duration": "9s"}])) for until in ("2s", "8s")
    )
    films = [("short", Film(short)), ("long", Film(long))]
    playback = Playback(tuple(film for _, film in films))
    found = Scene(films, playback, LETTERS)
    for time_ns, said in ((2 * S, False), (3 * S, True)):
        playback.go(time_ns)
        found.update()
        legends = ["".join(segment.text for segment in found.legend(100, side)) for side in (0, 1)]
        assert ("short, over since 2.00s" in legends[0]) == said
        assert "over" not in legends[1]


def test_spawned_agents_stand_under_the_names_of_their_fleets():
    child = {"name": "child", "steps": [{"task": "sub", "duration": "1s"}]}
    parent = {"name": "a", "count": 1, "steps": [{"think": "1s"}, {"spawn": "child", "count": 2}]}
    film = Film(run(scenario(until=None, fleets=[parent, child])))
    found = Scene([("x", film)], Playback((film,)), LETTERS)
    assert [name for name, _, _ in found.fleets] == ["a", "child"]


def test_a_still_of_the_end_is_neither_paused_nor_told_to_the_nanosecond():
    found = scene(FLEETS, FLEETS, at_ns=9 * S)
    for is_replayed, said in ((False, "9.00s / 9.00s"), (True, "9.00s / 9.00s  1x")):
        head = "".join(segment.text for segment in found.still(100, 20, is_replayed)[0]).rstrip()
        assert head.endswith(f" {said}")
    assert "  paused" in "".join(segment.text for segment in found.head(100))


def test_who_is_blocked_by_something_else_does_not_do_the_same():
    head = header({"a": 2}, [concurrency("c", 1), concurrency("d", 1)])
    other = header({"a": 2}, [concurrency("d", 1), concurrency("c", 1)])
    by_c, by_d = (
        [row(1, Kind.TaskBlocked, 0, 0, blocker), row(1, Kind.TaskBlocked, 1, 0, 0), row(9, Kind.RunFinished)]
        for blocker in (0, 1)
    )
    for logs, differ in (
        (((by_c, head), (by_c, head)), 0),
        (((by_c, head), (by_d, head)), 1),
        (((by_c, head), (by_c, other)), 2),
    ):
        films = [(str(number), Film(log(own, rows))) for number, (rows, own) in enumerate(logs)]
        playback = Playback(tuple(film for _, film in films))
        found = Scene(films, playback, LETTERS)
        playback.go(5)
        found.update()
        said = "".join(segment.text for segment in found.legend(60, 0))
        assert f"{differ} differ" in said


def test_nobody_is_gone_to_who_held_something_at_another_moment():
    found = scene(FLEETS, at_ns=4 * S)
    blocked = int((found.sides[0].moment.phase == Phase.BLOCKED).argmax())
    found.pick(blocked)
    found.seen = found.look()
    assert found.holders()
    found.playback.go(5 * S)
    found.update()
    assert found.holders() == []
    assert not found.follow()
    assert found.picked == blocked
