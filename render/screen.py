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
    parts, weight, foreground, background, known = [], "", "", "", _known_codes(system)
    for text, style, _ in line:
        # Not Style.render: it repeats what is set already, and remembers the codes of the first colour system it met.
        codes = known.get(style)
        if codes is None:
            codes = known[style] = _codes(style or Style.null(), system)
        new = ""
        if codes[0] != weight:
            new = weight = codes[0]
        if codes[1] and codes[1] != foreground:
            foreground = codes[1]
            new = f"{new};{foreground}" if new else foreground
        if codes[2] and codes[2] != background:
            background = codes[2]
            new = f"{new};{background}" if new else background
        parts.append(f"\x1b[{new}m{text}" if new else text)
    parts.append(_RESET)
    return "".join(parts)


@lru_cache(maxsize=8)
def _known_codes(system: ColorSystem) -> dict[Style | None, tuple[str, str, str]]:
    return {}


def _codes(style: Style, system: ColorSystem) -> tuple[str, str, str]:
    """Return the codes of a style's weight, foreground and background; a colour that does not matter has none."""
    foreground = style.color.downgrade(system).get_ansi_codes(True) if style.color else ()
    background = style.bgcolor.downgrade(system).get_ansi_codes(False) if style.bgcolor else ()
    return "1" if style.bold else "22", ";".join(foreground), ";".join(background)
