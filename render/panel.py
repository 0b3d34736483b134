"""What the player is built of: a part of the screen that shows lines, and the help over everything else.

Of a new frame only the lines that changed are given to the terminal, as short as they can be told.
"""

from collections.abc import Callable, Iterator

from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

from render.line import Line, LineWriter
from render.palette import Theme
from render.screen import color_system_of, encode

HELP = (
    ("space", "pause, go on; at the end begin again"),
    ("left right", "the event before, the next one"),
    ("[ ]  shift+left right", "a frame back, on"),
    ("{ }  ctrl+left right", "a second back, on"),
    ("+ -", "twice as fast, half as fast"),
    ("home end", "the beginning, the end"),
    ("/", "go to a time: 12s, 1.5m, 0:05:30"),
    ("b", "the next moment at which a limit begins to bind"),
    ("c", "colours: state, constraint, tenant, time waited"),
    ("f", "fleets side by side, or one below the other"),
    ("a, tab", "pick an agent with left and right; esc lets go"),
    ("up down", "another who holds what it wants, else an agent"),
    ("enter", "the story of that one"),
    ("click", "an agent: its story; the time line: that moment"),
    ("?", "this help"),
    ("q", "leave"),
)


class Drawn(Strip):
    """A line with the text that shows it, which is shorter than what Textual would send, and sooner there."""

    __slots__ = ("_text",)

    def __init__(self, line: Line, width: int, system: ColorSystem | None) -> None:
        super().__init__(line, width)
        self._text = encode(line, system)

    def render(self, console: Console) -> str:
        """Return what the terminal is sent."""
        return self._text


class Panel(Widget):
    """Some lines of a scene."""

    ALLOW_SELECT = False

    def __init__(self, draw: Callable[[int, int], list[Line]], theme: Theme, id: str) -> None:
        super().__init__(id=id)
        self._draw, self._painted_in = draw, theme
        self._lines: list[Line] = []
        self._strips: list[Strip] = []
        self._system: ColorSystem | None = None

    def on_mount(self) -> None:
        """Know how many colours there are."""
        self._system = color_system_of(self.app.console)

    def redraw(self) -> None:
        """Draw anew what has changed."""
        width, height = self.size
        if not (width and height and self.display):
            return
        before, self._lines = self._lines, self._draw(width, height)
        if len(before) != len(self._lines) or len(self._strips) != height:
            self._strips = [self._strip(y, width) for y in range(height)]
            self.refresh()
            return
        changed = [y for y, (old, new) in enumerate(zip(before, self._lines, strict=True)) if old != new]
        for y in changed:
            self._strips[y] = self._strip(y, width)
        if changed:
            self.refresh(*(Region(0, start, width, count) for start, count in _runs(changed)))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return lines as Textual wants them; what it does to lines for its style sheets would cost more than the rest."""
        strips = [self._strips[y] if y < len(self._strips) else Strip.blank(crop.right) for y in crop.line_range]
        return strips if crop.x == 0 and crop.width == self.size.width else [s.crop(crop.x, crop.right) for s in strips]

    def on_resize(self) -> None:
        """Draw all of it in another size."""
        self._lines = []
        self.redraw()

    def _strip(self, y: int, width: int) -> Strip:
        if y >= len(self._lines):
            return Drawn(
                [Segment(" " * width, self._painted_in.fill(self._painted_in.background))], width, self._system
            )
        return Drawn(self._lines[y], width, self._system)


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Yield runs of consecutive numbers: the first, and how many."""
    start = before = numbers[0]
    for number in numbers[1:]:
        if number != before + 1:
            yield start, before + 1 - start
            start = number
        before = number
    yield start, before + 1 - start


class Help(ModalScreen[None]):
    """The keys, over everything else."""

    BINDINGS = [
        Binding("escape,question_mark,q,enter,space", "dismiss", show=False),
        Binding("up", "scroll(-1)"),
        Binding("down", "scroll(1)"),
        Binding("home", "scroll(-100)"),
        Binding("end", "scroll(100)"),
    ]
    CSS = """
    Help { align: center middle; background: transparent; }
    #keys { width: 76; height: 18; max-width: 100%; max-height: 100%; }
    """

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._painted_in = theme
        self._first = 0
        """The first of the keys that is shown, where not all of them have room."""

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        yield Panel(self._lines, self._painted_in, "keys")

    def on_click(self) -> None:
        """Go back to the player."""
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        """Show the keys further down, or further up."""
        panel = self.query_one(Panel)
        self._first = min(max(0, self._first + by), max(0, len(HELP) + 1 - panel.size.height))
        panel.redraw()

    def on_mouse_scroll_down(self) -> None:
        """Show the keys further down."""
        self.action_scroll(1)

    def on_mouse_scroll_up(self) -> None:
        """Show the keys further up."""
        self.action_scroll(-1)

    def _lines(self, width: int, height: int) -> list[Line]:
        rows = [("", ""), *HELP][self._first :]
        if len(rows) > height:
            rows[height - 1 :] = [("down", f"{len(rows) - height + 1} more keys")]
        return [self._row(keys, what, width) for keys, what in rows]

    def _row(self, keys: str, what: str, width: int) -> Line:
        theme = self._painted_in
        line = LineWriter(width, theme)
        line.space(2)
        line.write(keys.ljust(24) if width >= 60 else keys.split("  ")[0].ljust(11), theme.ink, bold=True)
        line.write(what, theme.faint)
        return line.done()
