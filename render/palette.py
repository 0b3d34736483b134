"""Colours, and what stands in for them where there are few or none.

Rules:

1. The phases differ in brightness, not in hue alone: running, down, backing off, blocked, thinking, finished and the
   background, from bright to dark. They can be told apart in a photocopy, and by those who cannot tell red from green.
2. A frame is painted on its own dark background, so that it looks the same on every terminal.
3. Letters are plain ASCII: they go through any pipe and any terminal.
"""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Console
from rich.style import Style

from model.state import Phase

LEGEND = (Phase.RUNNING, Phase.BLOCKED, Phase.THINKING, Phase.FINISHED)
RARE = (Phase.BACKING_OFF, Phase.DOWN)
"""Those that a legend names only where there are any."""


class Paint(Enum):
    """How a theme fills a cell."""

    RGB = "any colour, as 0xRRGGBB; two cells in a character"
    ANSI = "one of the 16 colours of the terminal; two cells in a character"
    LETTER = "a letter, as its code point"


@dataclass(frozen=True)
class Theme:
    """What each phase looks like (by its number), and the text around.

    `dim` is a cell that nobody asks about, `picked` one that somebody points at.
    """

    paint: Paint
    cells: tuple[int, ...]
    ink: int
    faint: int
    dim: int
    picked: int

    @property
    def letters(self) -> bool:
        """Whether there are no colours."""
        return self.paint is Paint.LETTER

    @property
    def background(self) -> int:
        """The look of an absent agent, and of everything around."""
        return self.cells[Phase.ABSENT]

    def text(self, code: int, bold: bool = False) -> Style:
        """Return the style of text in this colour."""
        return _style(self.paint, code, self.background, bold)

    def pair(self, upper: int, lower: int) -> Style:
        """Return the style of an upper half block."""
        return _style(self.paint, upper, lower, False)

    def fill(self, code: int) -> Style:
        """Return the style of spaces in this colour."""
        return _style(self.paint, None, code, False)

    def mark(self, look: int) -> str:
        """Return the character that stands for a look in the legend."""
        return chr(look) if self.letters else "■"

    def clean(self, text: str) -> str:
        """Return a name of the log without anything that could disturb the terminal."""
        printable = "".join(character if character.isprintable() else "?" for character in text)
        return printable.encode("ascii", "replace").decode() if self.letters else printable

    def shorten(self, text: str, width: int) -> str:
        """Return the text, cut to a width; a sign at the end says that something was cut."""
        if cell_len(text) <= width:
            return text
        return set_cell_size(text, max(0, width - 1)) + ("~" if self.letters else "…")[:width]


def _by_phase(looks: dict[Phase, int]) -> tuple[int, ...]:
    return tuple(looks[phase] for phase in Phase)


FULL = Theme(
    Paint.RGB,
    _by_phase(
        {
            Phase.ABSENT: 0x101215,
            Phase.THINKING: 0x4C5362,
            Phase.BLOCKED: 0xE5484D,
            Phase.RUNNING: 0x63F2C4,
            Phase.FINISHED: 0x2A2D33,
            Phase.DOWN: 0xD9B3FF,
            Phase.BACKING_OFF: 0xE09A3E,
        }
    ),
    ink=0xE4E6E9,
    faint=0x8A92A3,
    dim=0x33373F,
    picked=0xFFFFFF,
)
"""Truecolor, and 256 colours: the nearest of those is close enough."""

SIXTEEN = Theme(
    Paint.ANSI,
    _by_phase(
        {
            Phase.ABSENT: 0,
            Phase.THINKING: 8,
            Phase.BLOCKED: 9,
            Phase.RUNNING: 14,
            Phase.FINISHED: 4,
            Phase.DOWN: 13,
            Phase.BACKING_OFF: 3,
        }
    ),
    ink=15,
    faint=7,
    dim=8,
    picked=15,
)
"""The terminal decides what these look like; nearly all keep to the order of rule 1."""

LETTERS = Theme(
    Paint.LETTER,
    _by_phase(
        {
            Phase.ABSENT: ord(" "),
            Phase.THINKING: ord("."),
            Phase.BLOCKED: ord("B"),
            Phase.RUNNING: ord("R"),
            Phase.FINISHED: ord("-"),
            Phase.DOWN: ord("X"),
            Phase.BACKING_OFF: ord("W"),
        }
    ),
    ink=0,
    faint=0,
    dim=ord("."),
    picked=ord("@"),
)


def theme_for(console: Console) -> Theme:
    """Return the richest theme that the console can show."""
    if console.color_system is None or console.no_color or not console.encoding.startswith("utf"):
        return LETTERS
    return FULL if console.color_system in ("256", "truecolor") else SIXTEEN


@lru_cache(maxsize=65_536)
def _style(paint: Paint, foreground: int | None, background: int, bold: bool) -> Style:
    if paint is Paint.LETTER:
        return Style.null()
    make = _rgb if paint is Paint.RGB else Color.from_ansi
    color = None if foreground is None else make(foreground)
    return Style(color=color, bgcolor=make(background), bold=bold or None)


def _rgb(code: int) -> Color:
    return Color.from_rgb(code >> 16, code >> 8 & 0xFF, code & 0xFF)
