"""The player on a terminal: it takes it, and gives it back as it was, whatever ends it.

Ctrl-C and SIGTERM end the program as they do elsewhere (`model.program`).
"""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from textual.driver import Driver

from model.program import TERMINATED
from render.player import Player
from render.scene import Scene


def play(scene: Scene) -> None:
    """Play a scene on the terminal until somebody leaves; raises KeyboardInterrupt, or SystemExit at SIGTERM."""
    player = Player(scene, driver())
    with _signals():
        loop = asyncio.new_event_loop()
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                with suppress(NotImplementedError):  # not a POSIX system: there the keys alone end it
                    loop.add_signal_handler(number, _end, player, number)
            player.run(loop=loop)
        finally:
            loop.close()
    if player.return_code:  # a bug: Textual has told of it
        sys.exit(player.return_code)
    if player.signalled is signal.SIGINT:
        raise KeyboardInterrupt
    if player.signalled is signal.SIGTERM:
        sys.exit(TERMINATED)


def _end(player: Player, number: signal.Signals) -> None:
    player.signalled = number
    player.exit(0)


@contextmanager
def _signals() -> Iterator[None]:
    """Put back what others had in place for signals."""
    names = ("SIGINT", "SIGTERM", "SIGTSTP", "SIGCONT", "SIGWINCH")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def driver() -> type[Driver] | None:
    """Return a driver that draws on the standard output, as everything here does; None is Textual's own choice."""
    try:
        from textual.drivers.linux_driver import LinuxDriver
    except ImportError:  # pragma: no cover - not a POSIX system: its driver draws there already
        return None

    class OnStandardOutput(LinuxDriver):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            assert sys.__stdout__ is not None
            self._file = sys.__stdout__

    return OnStandardOutput
