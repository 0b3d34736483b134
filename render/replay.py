"""A log on a console: played where that is a terminal, one still frame where it is not."""

from dataclasses import replace

from rich.console import Console

from model.log import Log
from model.state import extent_of, state_at
from model.units import format_duration
from render.frame import frame
from render.palette import theme_for
from render.player import FPS, WallClock, default_speed, play
from render.screen import color_system_of, encode
from render.status import Reel

_NS_PER_MS = 1_000_000


def replay(log: Log, console: Console) -> None:
    """Play the log, at a speed that makes it 15 s long; elsewhere show its last moment."""
    reel = reel_of(log)
    if can_play(console):
        _play(log, reel, console)
    else:
        still(log, reel, console, reel.end_ns)


def reel_of(log: Log) -> Reel:
    """Read through a log and return what its frames have to say about it."""
    end_ns, agents = extent_of(log)
    return Reel(end_ns, cut=log.cut, agents=agents)


def show(log: Log, reel: Reel, console: Console, speed: float | None = None, fps: float = FPS) -> None:
    """Play the log where that can be done, then leave its last moment on the screen."""
    if can_play(console):
        _play(log, reel, console, speed, fps)
    still(log, reel, console, reel.end_ns)


def _play(log: Log, reel: Reel, console: Console, speed: float | None = None, fps: float = FPS) -> None:
    play(log, replace(reel, speed=speed or default_speed(reel.end_ns)), console, fps, WallClock())


def can_play(console: Console) -> bool:
    """Say whether a picture can move on the console: a terminal with a cursor, and nobody who asks for no colour."""
    return console.is_interactive and console.file.isatty() and not console.no_color and not console.legacy_windows


def still(log: Log, reel: Reel, console: Console, at_ns: int) -> None:
    """Show the moment `at_ns`, and leave a line for the prompt."""
    theme, system = theme_for(console), color_system_of(console)
    lines = frame(state_at(log, at_ns, reel.agents), reel, console.width, max(1, console.height - 1), theme)
    text = "".join(f"{encode(line, system).rstrip(' ')}\n" for line in lines)
    console.file.write(text)
    console.file.flush()


def cut_message(reel: Reel) -> str:
    """Say where a cut log ends."""
    # Nobody reads nanoseconds in a warning. Rounded down, so that it can be asked for.
    end_ns = reel.end_ns if reel.end_ns < _NS_PER_MS else reel.end_ns // _NS_PER_MS * _NS_PER_MS
    return f"the log is cut at {format_duration(end_ns)}: the run was interrupted, stopped or killed"
