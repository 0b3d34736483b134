"""Plays a log: which moment is shown when.

Rules:

1. Frame k shows the moment `k / fps * speed` after the start of the log, and the last frames show its end. So the frames
   are a function of the log, the speed and the rate alone.
2. Where a frame cannot be shown in time it is left out: a replay never lags behind.
3. `WallClock` is the only place in this project that reads the wall clock or sleeps.
"""

import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console

from model.log import Log
from model.state import Cursor
from model.units import NS_PER_SECOND
from render.frame import frame
from render.palette import theme_for
from render.screen import alternate_screen
from render.status import Reel

FPS = 20.0
_PLAY_SECONDS = 15
_HOLD_SECONDS = 1.0
"""How long the last frame stays."""


class Clock(Protocol):
    """Where the player gets its time from."""

    def now(self) -> float:
        """Return seconds since whenever."""

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""


class WallClock:
    """The time of the real world."""

    def now(self) -> float:
        """Return seconds since whenever."""
        return time.perf_counter()

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        time.sleep(seconds)


def default_speed(end_ns: int) -> float:
    """Return the speed at which a log takes 15 s; never slower than the time that it tells of."""
    return max(1.0, end_ns / (_PLAY_SECONDS * NS_PER_SECOND))


def moments(end_ns: int, speed: float, fps: float, clock: Clock) -> Iterator[int]:
    """Yield the virtual time of each frame when it is due; between two of them the caller does its work."""
    start, number, end_seconds = clock.now(), 0, end_ns / speed / NS_PER_SECOND
    while True:
        moment = min(end_ns, round(number * speed * NS_PER_SECOND / fps))
        yield moment
        elapsed = clock.now() - start
        if moment == end_ns and elapsed >= end_seconds + _HOLD_SECONDS:
            return
        number = max(number + 1, int(elapsed * fps))
        if number / fps > elapsed:
            clock.sleep(number / fps - elapsed)


def play(log: Log, reel: Reel, console: Console, fps: float, clock: Clock) -> None:
    """Play the log on a terminal, at the speed that the reel gives."""
    assert reel.speed is not None
    theme, cursor = theme_for(console), Cursor(log, reel.agents)
    with alternate_screen(console) as screen:
        for moment in moments(reel.end_ns, reel.speed, fps, clock):
            # The size is asked for each time: people resize their windows.
            screen.show(frame(cursor.advance(moment), reel, *console.size, theme))
