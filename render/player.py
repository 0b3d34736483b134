"""The player: a Textual application around a `Scene`. It turns keys, clicks and the passing of time into calls of it.

Rules:

1. What is drawn comes from the scene, line by line.
2. A frame that cannot be drawn in time is left out: the player never lags behind, and never draws faster than `fps`.
3. Nothing that is done here changes a log, or what a run would be.
"""

import signal
import time
from collections.abc import Callable
from functools import partial

from rich.segment import Segment
from textual import events, on, work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.driver import Driver
from textual.errors import NoWidget
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Input

from model.units import UnitError
from render.grid import Arrangement
from render.line import Line, LineWriter
from render.moment import time_from
from render.palette import Theme
from render.panel import Help, Panel
from render.scene import Scene, Seen
from render.status import clock

_WIDE = 100
"""From so many columns on the story stands beside the picture, and two pictures side by side."""
_STORY_WIDTH = 46
_STORY_MIN = 6
"""A story below the pictures takes so many lines from the limits and the time lines, where there are."""
_CELLS_MIN = 3
"""The cells of each picture have so many lines at least, and a third of the screen all together."""


class Player(App[int]):
    """Plays a scene. Its result is the exit code with which the program is to end."""

    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    CSS = """
    Screen { layout: vertical; overflow: hidden; }
    Panel { height: 1fr; }
    #head, #foot, .legend { height: 1; }
    #body { layout: horizontal; height: 1fr; }
    #body.tall, #pictures.tall { layout: vertical; }
    #pictures { layout: horizontal; width: 1fr; height: 1fr; }
    .side { layout: vertical; width: 1fr; height: 1fr; }
    .pair { margin-right: 1; }
    #story { margin-left: 2; }
    .tall #story { margin-left: 0; }
    #jump { dock: bottom; height: 1; border: none; padding: 0 1; display: none; }
    """
    BINDINGS = [
        Binding("space", "pause"),
        Binding("left", "arrow(-1, 0)"),
        Binding("right", "arrow(1, 0)"),
        Binding("up", "arrow(0, -1)"),
        Binding("down", "arrow(0, 1)"),
        Binding("comma", "event(False)"),
        Binding("full_stop", "event(True)"),
        Binding("left_square_bracket,shift+left", "frame(False)"),
        Binding("right_square_bracket,shift+right", "frame(True)"),
        Binding("left_curly_bracket,ctrl+left", "second(False)"),
        Binding("right_curly_bracket,ctrl+right", "second(True)"),
        Binding("plus,equals_sign", "faster"),
        Binding("minus,underscore", "slower"),
        Binding("home", "go(0)"),
        Binding("end", "end"),
        Binding("slash", "jump"),
        Binding("b", "binding"),
        Binding("c", "colours"),
        Binding("f", "fleets"),
        Binding("a", "agents"),
        Binding("tab", "agents", priority=True),
        Binding("enter", "follow"),
        Binding("escape", "let_go"),
        Binding("question_mark", "help"),
        Binding("q", "leave(0)"),
        Binding("ctrl+c,ctrl+q", "interrupt", priority=True),
        Binding("ctrl+z", "suspend_process"),
    ]

    def __init__(
        self, scene: Scene, driver: type[Driver] | None = None, now: Callable[[], float] = time.perf_counter
    ) -> None:
        """Play a scene; `now` returns seconds since whenever."""
        super().__init__(driver_class=driver, ansi_color=True)
        self.scene, self._now = scene, now
        self._last = now()
        self._note = ""
        self._picking = False
        self._has_story = False
        self._dragging = False
        self.frames = 0
        self.signalled: signal.Signals | None = None

    # What there is

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        scene, theme = self.scene, self.scene.theme
        yield Panel(lambda width, height: [scene.head(width)], theme, "head")
        with Container(id="body"):
            with Container(id="pictures"):
                for number in range(len(scene.sides)):
                    yield self._side(number)
            yield Panel(scene.story, theme, "story")
        for number in range(len(scene.sides)):
            yield Panel(partial(scene.chart, number), theme, f"chart{number}")
        yield Panel(self._limits, theme, "limits")
        yield Panel(lambda width, height: [self._foot(width)], theme, "foot")
        yield Input(placeholder="a time, such as 12s, 1.5m or 0:05:30", id="jump", compact=True)

    def _side(self, number: int) -> Container:
        scene, theme = self.scene, self.scene.theme
        picture = Panel(partial(self._grid, number), theme, f"grid{number}")
        legend = Panel(lambda width, height: [scene.legend(width, number)], theme, f"legend{number}")
        legend.add_class("legend")
        side = Container(picture, legend, classes="side")
        side.set_class(scene.is_pair and number == 0, "pair")
        return side

    def _grid(self, number: int, width: int, height: int) -> list[Line]:
        own_width, own_height = self._grid_size()
        blank = Segment(" " * (width - own_width), self.scene.theme.fill(self.scene.theme.background))
        lines = self.scene.grid(number, own_width, own_height)
        return [[*line, blank] for line in lines] if width > own_width else lines

    def _grid_size(self) -> tuple[int, int]:
        """Return the size of the pictures, all of which are alike."""
        sizes = [self.query_one(f"#grid{number}").size for number in range(len(self.scene.sides))]
        return min(size.width for size in sizes), min(size.height for size in sizes)

    def on_mount(self) -> None:
        """Begin to play."""
        theme = self.scene.theme
        self.screen.styles.background = _css(theme)
        self.query_one("#jump").styles.background = _css(theme)
        self._fit(self.size)
        self._last = self._now()
        self.set_interval(1 / self.scene.playback.fps, self.tick)

    def on_resize(self, event: events.Resize) -> None:
        """Fit everything into another size."""
        self._fit(event.size)

    def _fit(self, size: Size) -> None:
        """Share the screen out: the cells first, then the legend, the time line, the limits, the keys."""
        width, height = size
        tall = width < _WIDE
        self.query_one("#body").set_class(tall, "tall")
        self.query_one("#pictures").set_class(tall, "tall")
        story = self.query_one("#story")
        story.display = self._has_story
        story.styles.width = "1fr" if tall else _STORY_WIDTH
        foot = 1 if height >= 10 else 0
        stacked = len(self.scene.sides) if tall else 1
        cells = max(_CELLS_MIN * stacked, -(-height // 3)) + stacked
        below = self._has_story and tall
        charts, limits = self._share(height, height - 1 - foot - cells - (_STORY_MIN if below else 0))
        body = height - 1 - foot - charts - limits
        story.styles.height = max(0, min(body // 2, body - cells)) if below else "1fr"
        self._show("#foot", foot)

    def _share(self, height: int, spare: int) -> tuple[int, int]:
        """Show time lines and limits as far as there are lines to spare; return how many lines they have."""
        sides = len(self.scene.sides)
        chart = 0 if height < 12 else 3 if height < 24 or self.scene.is_pair else 7 if height > 40 else 5
        chart = chart if chart * sides <= spare else 3 if 3 * sides <= spare and chart else 0
        for number in range(sides):
            self._show(f"#chart{number}", chart)
        most = max(len(side.film.header.constraints) for side in self.scene.sides)
        limits = 0 if height < 14 else min(most, max(0, height // 4 - 1), max(0, spare - chart * sides) // sides)
        self._show("#limits", limits * sides)
        return chart * sides, limits * sides

    def _show(self, which: str, lines: int) -> None:
        widget = self.query_one(which)
        widget.display = lines > 0
        widget.styles.height = lines

    def _limits(self, width: int, height: int) -> list[Line]:
        if not self.scene.is_pair:
            return self.scene.limits(0, width, height)
        first = self.scene.limits(0, width, height // 2)
        return [*first, *self.scene.limits(1, width, height - len(first))]

    def _foot(self, width: int) -> Line:
        theme = self.scene.theme
        line = LineWriter(width, theme)
        if self._note:
            line.write(theme.shorten(self._note, width), theme.ink)
            return line.done()
        arrows = "pick" if self._picking else "event"
        keys = [("space", "pause"), ("←→", arrows), ("+-", "speed"), ("/", "time"), ("b", "binds"), ("c", "colours")]
        keys += [("a", "time line" if self._picking else "agents"), ("f", "fleets"), ("?", "help"), ("q", "leave")]
        if self._picking:
            keys.insert(2, ("↑↓ enter", "who holds it"))
        if sum(len(key + what) + 3 for key, what in keys) > width:
            keys = [*keys[-2:], *keys[:-2]]
        for key, what in keys:
            if line.room < len(key + what) + 3:
                break
            line.write(key, theme.ink, bold=True)
            line.write(f" {what}  ", theme.faint)
        return line.done()

    # Time

    def tick(self) -> None:
        """Time has passed: show the moment that it is now."""
        now = self._now()
        self.scene.playback.pass_by(now - self._last)
        self._last = now
        self.show()

    def show(self) -> None:
        """Draw what has changed."""
        self.scene.update()
        for panel in self.query(Panel):
            panel.redraw()
        self.frames += 1
        if self._has_story and not self.scene.playback.playing:
            self._look_for_holders()

    def _look_for_holders(self) -> None:
        scene = self.scene
        wanted = (scene.side, scene.picked, scene.playback.time_ns)
        if scene.picked is not None and wanted != self._wanted:
            self._wanted = wanted
            self._look(wanted)

    _wanted: tuple[int, int | None, int] | None = None

    @work(thread=True, exclusive=True, exit_on_error=False)
    def _look(self, wanted: tuple[int, int | None, int]) -> None:
        seen = self.scene.look()
        self.call_from_thread(self._found, wanted, seen)

    def _found(self, wanted: tuple[int, int | None, int], seen: Seen | None) -> None:
        if wanted == self._wanted:  # else somebody else is asked about by now
            self.scene.seen = seen
            self.show()

    # Keys

    def action_pause(self) -> None:
        """Pause, or go on."""
        self.scene.playback.toggle()
        self._stepped()

    def action_arrow(self, right: int, below: int) -> None:
        """Pick the next agent, another holder, or go to the next event."""
        if self._picking:
            if below and self.scene.holders():
                self.scene.choose(below)
            else:
                self.scene.move(right, below, *self._grid_size())
            self._stepped()
        elif right:
            self.action_event(right > 0)

    def action_event(self, forward: bool) -> None:
        """Go to the next event, or the one before."""
        self.scene.playback.step_event(forward)
        self._stepped()

    def action_frame(self, forward: bool) -> None:
        """Go on by a frame, or back."""
        self.scene.playback.step_frame(forward)
        self._stepped()

    def action_second(self, forward: bool) -> None:
        """Go on by a second, or back."""
        self.scene.playback.step_second(forward)
        self._stepped()

    def action_faster(self) -> None:
        """Play faster."""
        self.scene.playback.faster()
        self._stepped()

    def action_slower(self) -> None:
        """Play slower."""
        self.scene.playback.slower()
        self._stepped()

    def action_go(self, time_ns: int) -> None:
        """Show another moment."""
        self.scene.playback.go(time_ns)
        self._stepped()

    def action_end(self) -> None:
        """Show the end."""
        self.action_go(self.scene.playback.end_ns)

    def action_binding(self) -> None:
        """Go to the next moment at which a limit begins to bind, and say which."""
        scene = self.scene
        found = scene.playback.next_binding()
        if found is None:
            self._stepped("no limit begins to bind after this")
            return
        time_ns, number, constraint = found
        side = scene.sides[number]
        name = scene.theme.clean(side.film.header.constraints[constraint].id)
        where = f" in {side.name}" if scene.is_pair else ""
        self._stepped(f"{name} begins to bind{where} at {clock(time_ns, scene.playback.end_ns)}")

    def action_colours(self) -> None:
        """Let the colours stand for something else."""
        self.scene.next_mode()
        self._stepped("two logs have the colours of the state" if self.scene.is_pair else "")

    def action_fleets(self) -> None:
        """Put the fleets side by side, or one below the other."""
        self.scene.next_arrangement(*self._grid_size())
        is_beside = self.scene.arrangement is Arrangement.BESIDE
        several = len(self.scene.fleets) > 1
        self._stepped(
            f"fleets {Arrangement.BESIDE.value if is_beside else Arrangement.STACKED.value}" if several else ""
        )

    def action_agents(self) -> None:
        """Let the arrow keys pick agents, or give them back to the time."""
        if self._picking:
            self.action_let_go()
            return
        if not self.scene.agents:
            self._stepped("there is no agent")
            return
        self._open_story()
        if self.scene.picked is None:
            self.scene.pick(0, 0)
        self._stepped()

    def action_follow(self) -> None:
        """Go to the story of who holds what the agent waits for."""
        if self._has_story:
            self._stepped("" if self.scene.follow() else "nobody to go to")

    def action_let_go(self) -> None:
        """Let go of the agent, and give the arrow keys back to the time."""
        self._picking = self._has_story = False
        self.scene.pick(None)
        self._fit(self.size)
        self._stepped()

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help(self.scene.theme))

    def action_jump(self) -> None:
        """Ask for a time."""
        field = self.query_one(Input)
        field.display, field.value = True, ""
        field.focus()

    def action_leave(self, code: int) -> None:
        """End the player."""
        self.exit(code)

    def action_interrupt(self) -> None:
        """End the player as Ctrl-C does elsewhere."""
        self.signalled = signal.SIGINT
        self.exit(0)

    @on(Input.Submitted)
    def jump(self, event: Input.Submitted) -> None:
        """Go to the time that was typed."""
        playback = self.scene.playback
        try:
            time_ns = time_from(event.value)
        except UnitError as error:
            self._close_jump(str(error))
            return
        playback.go(time_ns)
        end, asked = (clock(each, playback.end_ns) for each in (playback.end_ns, time_ns))
        is_after = time_ns > playback.end_ns and asked != end
        self._close_jump(f"{event.value} is after the end, {end}" if is_after else "")

    def on_key(self, event: events.Key) -> None:
        """Leave the field for a time without one."""
        if event.key == "escape" and self.query_one(Input).display:
            event.stop()
            event.prevent_default()
            self._close_jump("")

    def _close_jump(self, note: str) -> None:
        field = self.query_one(Input)
        field.display = False
        self.set_focus(None)
        self._stepped(note)

    def _stepped(self, note: str = "") -> None:
        self._note = note
        self._last = self._now()
        self.show()

    def _open_story(self) -> None:
        self._picking = self._has_story = True
        self._fit(self.size)

    # The mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Pick the agent, or show the moment, on which somebody clicks."""
        try:
            # The event itself does not say where it was, but in tests.
            under, _ = self.screen.get_widget_at(*event.screen_offset)
        except NoWidget:
            return
        if under.id is None or isinstance(self.screen, ModalScreen):
            return
        x, y = event.screen_x - under.region.x, event.screen_y - under.region.y
        if under.id.startswith("chart"):
            self._dragging = True
            self._scrub(x, under.size.width)
        elif under.id.startswith("grid"):
            self._pick(x, y, int(under.id.removeprefix("grid")))

    def _pick(self, x: int, y: int, side: int) -> None:
        if self.scene.pick_at(x, y, *self._grid_size(), side):
            self._open_story()
            self._stepped()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Follow the mouse along the time line."""
        if self._dragging:
            chart = self.query_one("#chart0")
            self._scrub(event.screen_x - chart.region.x, chart.size.width)

    def on_mouse_up(self) -> None:
        """Let go of the time line."""
        self._dragging = False

    def _scrub(self, column: int, width: int) -> None:
        self.action_go(self.scene.sides[0].chart.time_of(column, width))


def _css(theme: Theme) -> str:
    color = theme.fill(theme.background).bgcolor
    return "ansi_black" if color is None or not color.triplet else color.triplet.hex
