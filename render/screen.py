"""Lines as text with control codes: the same lines in the same colour system are the same text."""

from functools import lru_cache

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from render.line import Line
from render.palette import theme_for

_SYSTEMS = {
    "standard": ColorSystem.STANDARD,
    "256": ColorSystem.EIGHT_BIT,
    "truecolor": ColorSystem.TRUECOLOR,
    "windows": ColorSystem.WINDOWS,
}
_RESET = "\x1b[0m"


def color_system_of(console: Console) -> ColorSystem | None:
    """Return how many colours the console is sent; None where it is sent letters."""
    system = console.color_system
    return None if system is None or theme_for(console).letters else _SYSTEMS[system]


def encode(line: Line, system: ColorSystem | None) -> str:
    """Return what a terminal has to be sent to show the line."""
    if system is None:
        return "".join(segment.text for segment in line)
    text, before = "", ("", "", "")
    for segment in line:
        # Not Style.render: it repeats what is set already, and remembers the codes of the first colour system it met.
        after = _codes(segment.style or Style.null(), system)
        if codes := [new for new, old in zip(after, before, strict=True) if new and new != old]:
            text += f"\x1b[{';'.join(codes)}m"
            before = (after[0], after[1] or before[1], after[2] or before[2])
        text += segment.text
    return text + _RESET


@lru_cache(maxsize=65_536)
def _codes(style: Style, system: ColorSystem) -> tuple[str, str, str]:
    """Return the codes of a style's weight, foreground and background; a colour that does not matter has none."""
    foreground = style.color.downgrade(system).get_ansi_codes(True) if style.color else ()
    background = style.bgcolor.downgrade(system).get_ansi_codes(False) if style.bgcolor else ()
    return "1" if style.bold else "22", ";".join(foreground), ";".join(background)
