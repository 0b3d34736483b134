"""Logs on a console: played where that is a terminal, one still frame where it is not."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from model.log import Log
from model.state import extent_of, state_at
from model.units import format_duration
from render.film import Film
from render.frame import frame
from render.line import Line
from render.palette import theme_for
from render.playback import FPS, Playback
from render.scene import Scene
from render.screen import color_system_of, encode
from render.status import Reel

_NS_PER_MS = 1_000_000
_TOLD_ROWS = 500_000
"""From so many events on it is said how many were read."""


def replay(log: Log, console: Console) -> None:
    """Play the log, at a speed that makes it 15 s long; elsewhere show its last moment."""
    if can_play(console):
        play([(log.header.name, film_of(log, console))], console)
    else:
        reel = reel_of(log)
        still(log, reel, console, reel.end_ns)


def reel_of(log: Log) -> Reel:
    """Read through a log and return what its frames have to say about it."""
    end_ns, agents = extent_of(log)
    return Reel(end_ns, cut=log.cut, agents=agents)


def film_of(log: Log, console: Console) -> Film:
    """Lay out a log; of a long one say on standard error how far that is."""
    rows, told = 0, False

    def tell(more: int) -> None:
        nonlocal rows, told
        rows += more
        if rows >= _TOLD_ROWS and sys.stderr.isatty():
            told = True
            print(f"\r{rows:,} events read", end="", file=sys.stderr, flush=True)

    film = Film(log, tell)
    if told:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return film


def play(films: Sequence[tuple[str, Film]], console: Console, speed: float | None = None, fps: float = FPS) -> Scene:
    """Play one film, or two beside each other, until somebody leaves; return what was shown then."""
    from render.session import play as play_scene  # Textual, which takes long to import

    playback = Playback(tuple(film for _, film in films), speed, fps)
    scene = Scene(films, playback, theme_for(console))
    play_scene(scene)
    return scene


def can_play(console: Console) -> bool:
    """Say whether there is somebody who watches and has keys: a terminal with a cursor and colours, and a keyboard."""
    has_keys = sys.stdin is not None and sys.stdin.isatty()
    can_move = console.is_interactive and console.file.isatty() and not console.legacy_windows
    return has_keys and can_move and not theme_for(console).letters


def still(log: Log, reel: Reel, console: Console, at_ns: int) -> None:
    """Show the moment `at_ns`, and leave a line for the prompt."""
    height = max(1, console.height - 1)
    lines = frame(state_at(log, at_ns, reel.agents), reel, console.width, height, theme_for(console))
    write(lines, console)


def still_of_two(films: Sequence[tuple[str, Film]], console: Console, at_ns: int) -> None:
    """Show two logs beside each other at the moment `at_ns`."""
    playback = Playback(tuple(film for _, film in films))
    playback.go(at_ns)
    scene = Scene(films, playback, theme_for(console))
    scene.update()
    write(scene.still(console.width, max(1, console.height - 1)), console)


def write(lines: Sequence[Line], console: Console) -> None:
    """Write lines as the console can show them."""
    system = color_system_of(console)
    console.file.write("".join(f"{encode(line, system).rstrip(' ')}\n" for line in lines))
    console.file.flush()


def cut_message(path: Path | str, end_ns: int) -> str:
    """Say where a cut log ends."""
    # Nobody reads nanoseconds in a warning. Rounded down, so that it can be asked for.
    end_ns = end_ns if end_ns < _NS_PER_MS else end_ns // _NS_PER_MS * _NS_PER_MS
    return f"{path}: the log is cut at {format_duration(end_ns)}: the run was interrupted, stopped or killed"
