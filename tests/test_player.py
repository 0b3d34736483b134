"""The keys, the mouse and the sizes of the player, by Textual's pilot: what it shows is that of the scene, line by line."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fleet_logs import S
from scenes import bottleneck, deadlock, fleets, scene
from textual._xterm_parser import XTermParser
from textual.widgets import Input

from render.film import Film
from render.palette import FULL
from render.panel import HELP, Help, Panel
from render.playback import Playback
from render.player import Player
from render.scene import Scene, Seen
from render.shades import Mode
from tests.runs import run, scenario


class Clock:
    """A clock that moves when it is told to."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def play(found: Scene, script: Callable[..., Awaitable[None]], size: tuple[int, int] = (120, 36)) -> Player:
    """Run a script with the player of a scene and Textual's pilot."""
    clock = Clock()
    player = Player(found, now=clock)

    async def run() -> None:
        async with player.run_test(size=size) as pilot:
            await pilot.pause()
            await script(player, pilot, clock)

    asyncio.run(run())
    return player


def shown(player: Player) -> list[str]:
    """What is on the screen, line by line."""
    strips = player.screen._compositor.render_strips(player.size)
    return ["".join(segment.text for segment in strip) for strip in strips]


def painted(panel: Panel) -> list[str]:
    """What a panel shows."""
    lines = panel.render_lines(panel.size.region)
    return ["".join(segment.text for segment in strip) for strip in lines]


def drawn(lines) -> list[str]:
    return ["".join(segment.text for segment in line) for line in lines]


def after(found: Scene, *keys: str, size: tuple[int, int] = (120, 36)) -> Player:
    """Press keys; afterwards no field may have the keyboard."""

    async def script(player, pilot, clock):
        await pilot.press(*keys)
        await pilot.pause()
        assert player.return_value is not None or player.focused is None

    return play(found, script, size)


# Keys


@pytest.mark.parametrize(
    ("keys", "time_ns"),
    [
        (["end"], 5 * S),
        (["end", "home"], 0),
        (["right_curly_bracket"], 3 * S),
        (["left_curly_bracket"], S),
        (["ctrl+right", "ctrl+right"], 4 * S),
        (["ctrl+left", "ctrl+left", "ctrl+left"], 0),
        (["right_square_bracket"], 2 * S + S // 30 + 1),
        (["shift+right", "shift+left"], 2 * S),
        (["left_square_bracket"], 2 * S - S // 30 - 1),
        (["plus", "right_square_bracket"], 2 * S + S // 15 + 1),
        (["minus", "minus", "right_square_bracket"], 2 * S + S // 120 + 1),
        (["slash", "3", "s", "enter"], 3 * S),
        (["slash", "0", "colon", "0", "0", "colon", "0", "4", "enter"], 4 * S),
        (["slash", "9", "9", "s", "enter"], 5 * S),
        (["slash", "3", "s", "escape"], 2 * S),
        (["slash", "s", "o", "o", "n", "enter"], 2 * S),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_keys_that_lead_to_another_moment(keys, time_ns):
    found = scene(bottleneck(), at_ns=2 * S)
    after(found, *keys)
    assert found.playback.time_ns == pytest.approx(time_ns, abs=1)
    assert found.sides[0].moment.time_ns == found.playback.time_ns
    assert not found.playback.playing


def test_arrows_lead_from_event_to_event_and_pause():
    found = scene(bottleneck(), at_ns=2 * S)
    times = sorted(set(found.sides[0].film.rows.time.tolist()))
    later = [time for time in times if time > 2 * S]
    found.playback.playing = True
    after(found, "right", "right", "full_stop")
    assert (found.playback.time_ns, found.playback.playing) == (later[2], False)
    after(found, "left", "comma")
    assert found.playback.time_ns == later[0]


def test_space_pauses_and_goes_on_and_time_passes_only_while_it_plays():
    found = scene(bottleneck(), at_ns=S)

    async def script(player, pilot, clock):
        clock.seconds += 10
        player.tick()
        assert found.playback.time_ns == S
        await pilot.press("space")
        clock.seconds += 1
        player.tick()
        assert found.playback.time_ns == 2 * S
        await pilot.press("plus")
        clock.seconds += 1
        player.tick()
        assert found.playback.time_ns == 4 * S
        await pilot.press("space")
        clock.seconds += 1
        player.tick()
        assert found.playback.time_ns == 4 * S
        await pilot.pause()
        assert "4.000000000s / 5.00s  2x  paused" in shown(player)[0]

    play(found, script)


def test_b_leads_to_the_next_moment_at_which_something_binds_and_says_what():
    found = scene(deadlock())

    async def script(player, pilot, clock):
        await pilot.press("b")
        await pilot.pause()
        assert found.playback.time_ns == 5 * S
        assert shown(player)[-1].startswith("slot begins to bind at 5.00s")
        await pilot.press("b")
        await pilot.pause()
        assert found.playback.time_ns == 5 * S
        assert shown(player)[-1].startswith("no limit begins to bind after this")

    play(found, script)


def test_c_changes_what_the_colours_stand_for():
    found = scene(fleets(), at_ns=7 * S)

    async def script(player, pilot, clock):
        for mode in (Mode.CONSTRAINT, Mode.TENANT, Mode.WAITED, Mode.STATE):
            await pilot.press("c")
            await pilot.pause()
            assert found.mode is mode
            lines = shown(player)
            assert ("by " in lines[0]) == (mode is not Mode.STATE)
            assert drawn([found.legend(120)])[0] in lines

    play(found, script)


def test_f_puts_the_fleets_side_by_side_and_back():
    found = scene(fleets(), at_ns=7 * S)
    before = found._arranged(120, 26)
    after(found, "f")
    assert found.arrangement is not before
    after(found, "f")
    assert found.arrangement is before


def test_arrows_pick_agents_and_escape_gives_them_back_to_the_time():
    found = scene(bottleneck(), at_ns=2 * S)

    async def script(player, pilot, clock):
        await pilot.press("a", "right", "right", "left", "down")
        await pilot.pause()
        columns = found.layout(*player.query_one("#grid0").size).blocks[0].columns
        assert found.picked == 1 + columns
        assert found.playback.time_ns == 2 * S
        assert painted(player.query_one("#story"))[0].startswith(f"agent_{found.picked} ")
        await pilot.press("escape", "right")
        await pilot.pause()
        assert found.picked is None
        assert found.playback.time_ns > 2 * S
        assert not player.query_one("#story").display

    play(found, script)


async def until(pilot, is_so: Callable[[], bool]) -> None:
    """Wait for what is done in another thread."""
    for _ in range(200):
        if is_so():
            return
        await pilot.pause(0.02)
    raise AssertionError("it never came")


def test_enter_leads_to_the_story_of_who_holds_it():
    found = scene(deadlock(), at_ns=8 * S)

    async def script(player, pilot, clock):
        await pilot.press("a", "right")
        await until(pilot, lambda: found.seen is not None and found.seen.agent == 1)
        await pilot.pause()
        assert any("> a_0_work" in line for line in painted(player.query_one("#story")))
        await pilot.press("enter")
        await pilot.pause()
        assert found.picked == 0
        assert painted(player.query_one("#story"))[0].startswith("a_0 ")
        await pilot.press("enter")
        await pilot.pause()
        assert shown(player)[-1].startswith("nobody to go to")

    play(found, script)


def test_up_and_down_choose_among_those_who_hold_it():
    found = scene(bottleneck(), at_ns=4 * S)
    blocked = [agent for agent, phase in enumerate(found.sides[0].moment.phase.tolist()) if phase == 2]

    async def script(player, pilot, clock):
        await pilot.press("a")
        found.pick(blocked[0])
        player.show()
        await until(pilot, lambda: found.seen is not None and found.seen.agent == blocked[0])
        await pilot.press("down", "down", "down", "up")
        assert found.chosen == 2
        await pilot.press("down", "down", "down", "down", "down")
        assert found.chosen == 4
        holder = found.seen.hindrances[0].holders.most[4].agent
        await pilot.press("enter")
        assert found.picked == holder

    play(found, script)


def test_the_help_names_every_key_and_goes_away():
    found = scene(bottleneck())

    async def script(player, pilot, clock):
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(player.screen, Help)
        lines = "\n".join(shown(player))
        assert all(keys in lines and what in lines for keys, what in HELP)
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(player.screen, Help)
        assert player.is_running

    play(found, script)


def test_a_help_without_room_for_all_keys_scrolls_to_every_one():
    found = scene(bottleneck())

    async def script(player, pilot, clock):
        await pilot.press("question_mark")
        await pilot.pause()
        assert "6 more keys" in shown(player)[-1]
        seen = set()
        for key in ("home", *["down"] * 20, "end"):
            await pilot.press(key)
            await pilot.pause()
            seen |= {keys.split("  ")[0] for line in shown(player) for keys, _ in HELP if keys.split("  ")[0] in line}
        assert seen == {keys.split("  ")[0] for keys, _ in HELP}
        assert "leave" in shown(player)[-1]
        assert player.is_running

    play(found, script, (40, 12))


def test_a_run_without_agents_has_none_to_pick():
    written = run(scenario(until="1s", arrivals={"poisson": "0.001/s"}, steps=[{"think": "1s"}]))
    film = Film(written)
    player = after(Scene([("x", film)], Playback((film,)), FULL), "a", "right", "enter", "tab")
    assert player._note == "there is no agent"


def test_an_answer_about_another_agent_comes_too_late():
    found = scene(bottleneck())

    async def script(player, pilot, clock):
        await pilot.press("space", "a")
        await pilot.pause()
        now = (found.side, found.picked, found.playback.time_ns)
        player._wanted = now
        player._found((found.side, 5, 0), Seen(found.side, 5, 0, ()))
        assert found.seen is None or found.seen.agent != 5

    play(found, script)


def test_q_leaves():
    player = after(scene(bottleneck()), "q")
    assert (player.return_value, player.signalled) == (0, None)


def test_letters_typed_into_the_time_do_nothing_else():
    found = scene(bottleneck(), at_ns=2 * S)

    async def script(player, pilot, clock):
        await pilot.press("slash", "q", "a", "c", "b", "space", "f")
        await pilot.pause()
        assert player.query_one(Input).value == "qacb f"
        assert (found.mode, found.picked, found.playback.time_ns) == (Mode.STATE, None, 2 * S)
        await pilot.press("enter")
        await pilot.pause()
        assert "is not a" in shown(player)[-1]

    play(found, script)


# The mouse


def test_a_click_on_an_agent_opens_its_story():
    found = scene(bottleneck(), at_ns=2 * S)

    async def script(player, pilot, clock):
        size = player.query_one("#grid0").size
        agent = found.layout(*size).agent_at(30, 5)
        await pilot.click("#grid0", offset=(30, 5))
        await pilot.pause()
        assert found.picked == agent is not None
        assert painted(player.query_one("#story"))[0].startswith(f"agent_{agent} ")

    play(found, script)


def test_a_click_and_a_drag_on_the_time_line_lead_to_that_moment():
    found = scene(bottleneck())

    async def script(player, pilot, clock):
        await pilot.click("#chart0", offset=(60, 2))
        assert found.playback.time_ns == found.sides[0].chart.time_of(60, 120) == 5 * S // 2
        await pilot.mouse_down("#chart0", offset=(30, 1))
        assert found.playback.time_ns == 5 * S // 4
        await pilot.hover("#chart0", offset=(90, 1))
        assert found.playback.time_ns == 15 * S // 4
        await pilot.mouse_up("#chart0", offset=(90, 1))
        await pilot.hover("#chart0", offset=(20, 1))
        assert found.playback.time_ns == 15 * S // 4

    play(found, script)


def test_a_mouse_as_a_terminal_reports_it():
    """What Textual's pilot sends says which widget it is for; a terminal only says where."""
    found = scene(bottleneck(), at_ns=2 * S)

    async def script(player, pilot, clock):
        def click(column: int, line: int) -> None:
            for end in "Mm":
                for event in XTermParser().feed(f"\x1b[<0;{column + 1};{line + 1}{end}"):
                    player._driver.process_message(event)

        grid, chart = player.query_one("#grid0").region, player.query_one("#chart0").region
        agent = found.layout(*grid.size).agent_at(30, 5)
        click(grid.x + 30, grid.y + 5)
        await pilot.pause()
        assert found.picked == agent is not None
        click(chart.x + 60, chart.y + 2)
        await pilot.pause()
        assert found.playback.time_ns == found.sides[0].chart.time_of(60, 120)
        click(0, 0)  # the title: nothing to pick
        await pilot.pause()
        assert found.picked == agent

    play(found, script)


# Sizes


@pytest.mark.parametrize("size", [(20, 8), (40, 12), (80, 24), (120, 36), (200, 60), (5, 3)])
@pytest.mark.parametrize(
    "make", [lambda: scene(fleets(), at_ns=7 * S), lambda: scene(fleets(), fleets(9), at_ns=7 * S)]
)
def test_what_is_on_the_screen_is_what_the_scene_says(make, size):
    found = make()

    async def script(player, pilot, clock):
        lines = shown(player)
        assert lines[0] == drawn([found.head(size[0])])[0]
        for number in range(len(found.sides)):
            grid = player.query_one(f"#grid{number}")
            width, height = player._grid_size()
            if width and height:
                assert [line[:width] for line in painted(grid)[:height]] == drawn(found.grid(number, width, height))

    play(found, script, size)


def test_a_window_that_is_resized_while_it_plays_is_filled_anew():
    found = scene(fleets(), at_ns=S)
    found.playback.playing = True

    async def script(player, pilot, clock):
        for width, height in ((60, 20), (20, 8), (150, 50)):
            await pilot.resize_terminal(width, height)
            clock.seconds += 0.5
            player.tick()
            await pilot.pause()
            lines = shown(player)
            assert len(lines) == height
            assert lines[0] == drawn([found.head(width)])[0]
            grid = player.query_one("#grid0")
            assert painted(grid) == drawn(found.grid(0, *grid.size))

    play(found, script)
    assert found.playback.time_ns == S + 3 * S // 2


def test_a_narrow_terminal_keeps_the_picture_and_the_time():
    found = scene(bottleneck(), at_ns=4 * S)

    async def script(player, pilot, clock):
        lines = shown(player)
        assert lines[0].endswith("4.00s")
        assert drawn([found.legend(20)])[0] in lines
        assert player.query_one("#grid0").size.height >= 5

    play(found, script, (20, 8))


@pytest.mark.parametrize(("make", "size"), [((5,), (40, 12)), ((5,), (80, 24)), ((5, 9), (90, 24)), ((5, 9), (60, 20))])
def test_a_story_leaves_a_third_of_the_height_to_the_cells(make, size):
    found = scene(*map(fleets, make), at_ns=4 * S)

    async def script(player, pilot, clock):
        await pilot.press("a")
        await pilot.pause()
        heights = [player.query_one(f"#grid{number}").size.height for number in range(len(make))]
        assert sum(heights) * 3 >= size[1]
        assert min(heights) >= 3
        lines = painted(player.query_one("#story"))
        assert len(lines) >= 4
        assert lines[0].startswith("in A: planner_0 " if len(make) == 2 else "planner_0 ")
        assert player.query_one("#foot").region.bottom == size[1]

    play(found, script, size)


@pytest.mark.parametrize("width", [40, 60, 200])
def test_help_and_leave_are_told_where_there_is_no_room_for_all_keys(width):
    found = scene(bottleneck(), at_ns=4 * S)

    async def script(player, pilot, clock):
        foot = shown(player)[-1]
        assert foot.startswith("space pause" if width == 200 else "? help  q leave  space pause")
        assert foot.rstrip().endswith("q leave") == (width == 200)

    play(found, script, (width, 20))


def test_only_lines_that_changed_are_drawn_again(monkeypatch):
    found = scene(bottleneck(), at_ns=2 * S)
    refreshed = []

    async def script(player, pilot, clock):
        monkeypatch.setattr(Panel, "refresh", lambda self, *regions, **more: refreshed.append((self.id, regions)))
        player.show()
        assert refreshed == []
        found.playback.step_event(True)
        player.show()
        assert {name for name, _ in refreshed} <= {"head", "grid0", "legend0", "chart0", "limits"}
        lines = sum(region.height for name, regions in refreshed for region in regions if name == "grid0")
        assert lines < player.query_one("#grid0").size.height

    play(found, script)


# Two logs


def test_two_logs_have_one_clock_and_two_pictures_of_one_size():
    found = scene(fleets(), fleets(9), at_ns=4 * S)

    async def script(player, pilot, clock):
        first, second = (player.query_one(f"#grid{number}") for number in (0, 1))
        assert first.region.y == second.region.y
        assert first.region.x < second.region.x
        assert first.size.width != second.size.width, "what follows is about that"
        assert player._grid_size()[0] == min(first.size.width, second.size.width)
        await pilot.press("right_curly_bracket")
        await pilot.pause()
        assert [side.moment.time_ns for side in found.sides] == [5 * S, 5 * S]
        assert " differ" in "\n".join(shown(player))
        await pilot.click("#grid1", offset=(3, 2))
        await pilot.pause()
        assert found.side == 1
        await pilot.press("c")
        assert found.mode is Mode.STATE
        await pilot.resize_terminal(60, 30)
        await pilot.pause()
        assert first.region.y < second.region.y, "one below the other where it is narrow"

    play(found, script, (130, 40))
