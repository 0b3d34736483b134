"""A log on a console: played where that is a terminal, one still frame where it is not."""

from dataclasses import replace

from rich.console import Console

from model.log import Log
from model.state import end_of, state_at
from model.units import format_duration
from render.frame import frame
from render.palette import theme_for
from render.player import FPS, Clock, WallClock, default_speed, play
from render.screen import color_system_of, encode
from render.status import Reel


def replay(log: Log, console: Console, speed: float | None = None, fps: float = FPS) -> None:
    """Play the log, at a speed that makes it 15 s long unless one is given; elsewhere show its last moment."""
    show(log, reel_of(log), console, speed, fps)


def reel_of(log: Log) -> Reel:
    """Read through a log and return what its frames have to say about it."""
    return Reel(end_of(log), cut=log.cut)


def show(
    log: Log, reel: Reel, console: Console, speed: float | None = None, fps: float = FPS, clock: Clock | None = None
) -> None:
    """Do what `replay` does, with what is known of the log already."""
    if can_play(console):
        play(log, replace(reel, speed=speed or default_speed(reel.end_ns)), console, fps, clock or WallClock())
    else:
        still(log, reel, console, reel.end_ns)


def can_play(console: Console) -> bool:
    """Say whether a picture can move on the console: a terminal with a cursor, and nobody who asks for no colour."""
    return console.is_interactive and console.file.isatty() and not console.no_color and not console.legacy_windows


def still(log: Log, reel: Reel, console: Console, at_ns: int) -> None:
    """Show the moment `at_ns`, and leave a line for the prompt."""
    theme, system = theme_for(console), color_system_of(console)
    lines = frame(state_at(log, at_ns), reel, console.width, max(1, console.height - 1), theme)
    text = "".join(f"{encode(line, system).rstrip(' ')}\n" for line in lines)
    console.file.write(text)
    console.file.flush()


def cut_message(reel: Reel) -> str:
    """Say where a cut log ends."""
    # To the millisecond: nobody reads nanoseconds in a warning.
    end_ns = reel.end_ns if reel.end_ns < 1_000_000 else round(reel.end_ns, -6)
    return f"the log is cut at {format_duration(end_ns)}: the run was interrupted"
