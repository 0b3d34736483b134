"""The terminal: frames as text with control codes, and of each new frame only what changed.

Rules:

1. The same lines in the same colour system are the same text.
2. Whatever happens, the terminal is left as it was found: the normal screen, the cursor, the echo of keys. Ctrl-Z too
   gives it back, and when the program goes on it takes the terminal again and paints everything anew.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from rich.color import ColorSystem
from rich.console import Console
from rich.control import Control
from rich.style import Style

from render.line import Line
from render.palette import theme_for

try:
    import termios
except ImportError:  # pragma: no cover - not a POSIX system: keys are echoed there
    termios = None  # type: ignore[assignment]

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


class Screen:
    """Shows one frame after another on the alternate screen of a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._system = color_system_of(console)
        self._shown: Sequence[Line] = ()
        self._size = (0, 0)
        self._taken = True

    def begin_anew(self) -> None:
        """Take the screen again that somebody else had, and send the whole of the next frame."""
        self._size = (0, 0)
        self._taken = False

    def show(self, lines: Sequence[Line]) -> None:
        """Show a frame: what is the same as in the frame before is not sent again."""
        size = (len(lines), sum(segment.cell_length for segment in lines[0]))
        text = ""
        if size != self._size:
            text, self._shown, self._size = f"{Control.home()}{Control.clear()}", (), size
            if not self._taken:
                text, self._taken = f"{Control.alt_screen(True)}{Control.show_cursor(False)}{text}", True
        for number, line in enumerate(lines):
            column, part = _difference(self._shown[number], line) if self._shown else (0, line)
            if part:
                text += f"{Control.move_to(column, number)}{encode(part, self._system)}"
        self._shown = lines
        if text:
            self._console.file.write(text)
            self._console.file.flush()


@contextmanager
def alternate_screen(console: Console) -> Iterator[Screen]:
    """Lend the whole terminal, without cursor and echo."""
    with _whole_screen(console), _no_echo() as silence:
        screen = Screen(console)
        with _given_back_while_stopped(console, screen, silence):
            yield screen


def _difference(before: Line, after: Line) -> tuple[int, Line]:
    """Return the column from which two lines of one width differ, and the part of the second that differs."""
    start, column, common = 0, 0, min(len(before), len(after))
    while start < common and before[start] == after[start]:
        column += after[start].cell_length
        start += 1
    end = 0
    while end < common - start and before[-1 - end] == after[-1 - end]:
        end += 1
    return column, after[start : len(after) - end]


@contextmanager
def _whole_screen(console: Console) -> Iterator[None]:
    # Not Console.screen: a signal between its first control code and its return would leave the screen as it is then.
    try:
        console.control(Control.alt_screen(True), Control.show_cursor(False))
        yield
    finally:
        console.control(Control.show_cursor(True), Control.alt_screen(False))


@contextmanager
def _no_echo() -> Iterator[Callable[[bool], None]]:
    """Keep typed keys and turns of the mouse wheel off the screen, and away from the shell afterwards.

    Yields what does that for the time being, and undoes it.
    """
    if termios is None or sys.stdin is None or not sys.stdin.isatty():
        yield lambda silent: None
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    quiet = list(before)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)

    def silence(silent: bool) -> None:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, quiet if silent else before)

    try:
        silence(True)
        yield silence
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)


@contextmanager
def _given_back_while_stopped(console: Console, screen: Screen, silence: Callable[[bool], None]) -> Iterator[None]:
    if not console.file.isatty() or signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: object) -> None:
        # Past the buffers of Python, which may be in use while a signal is handled.
        os.write(console.file.fileno(), f"{_RESET}{Control.show_cursor(True)}{Control.alt_screen(False)}".encode())
        silence(False)
        os.kill(os.getpid(), signal.SIGSTOP)
        silence(True)
        screen.begin_anew()

    signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
