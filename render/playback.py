"""Which moment of a log is shown when: playing, pausing, stepping and jumping.

Rules:

1. While it plays, the moment shown is where playing began, and the time since then at the given speed: no moment is late,
   however long a frame takes. It stops at the end.
2. A step is to the next event that is at another time, by one frame (what passes in one at this speed), or by a second of
   virtual time. It pauses.
3. Nothing here reads a clock: the caller says how much time has passed.
"""

from model.units import NS_PER_SECOND
from render.film import Film

FPS = 30.0
SPEED_MIN, SPEED_MAX = 1e-9, 1e12
_PLAY_SECONDS = 15


def default_speed(end_ns: int) -> float:
    """Return the speed at which a log takes 15 s; never slower than the time that it tells of."""
    return max(1.0, end_ns / (_PLAY_SECONDS * NS_PER_SECOND))


class Playback:
    """Plays films that have one clock; `time_ns` is the moment that is shown, `speed` virtual seconds to a second."""

    def __init__(self, films: tuple[Film, ...], speed: float | None = None, fps: float = FPS) -> None:
        self.end_ns = max(film.end_ns for film in films)
        self.speed = speed or default_speed(self.end_ns)
        self.fps = fps
        self.time_ns = 0
        self.playing = True
        self._films = films
        self._rest = 0.0
        """What of a nanosecond has passed beyond `time_ns`."""

    def pass_by(self, seconds: float) -> None:
        """So much time has passed."""
        if not self.playing:
            return
        passed = self._rest + seconds * self.speed * NS_PER_SECOND
        whole = int(passed)
        self.time_ns, self._rest = min(self.end_ns, self.time_ns + whole), passed - whole
        self.playing = self.time_ns < self.end_ns

    def toggle(self) -> None:
        """Pause, or go on; at the end begin again."""
        if not self.playing and self.time_ns == self.end_ns:
            self.time_ns = 0
        self.playing = not self.playing

    def go(self, time_ns: int) -> None:
        """Show another moment, the nearest that there is, and go on from there if it plays."""
        self.time_ns, self._rest = min(max(0, time_ns), self.end_ns), 0.0
        self.playing &= self.time_ns < self.end_ns

    def step_event(self, forward: bool) -> None:
        """Go to the next or the previous instant at which something happens."""
        if forward:
            self._step(min(max(film.next_event(self.time_ns), self.time_ns) for film in self._left()))
        else:
            self._step(max(film.previous_event(self.time_ns) for film in self._films))

    def step_frame(self, forward: bool) -> None:
        """Go on or back by what passes in a frame, at least 1 ns."""
        frame_ns = max(1, round(self.speed / self.fps * NS_PER_SECOND))
        self._step(self.time_ns + (frame_ns if forward else -frame_ns))

    def step_second(self, forward: bool) -> None:
        """Go on or back by a second of virtual time."""
        self._step(self.time_ns + (NS_PER_SECOND if forward else -NS_PER_SECOND))

    def next_binding(self) -> tuple[int, int, int] | None:
        """Go to the next moment at which a constraint begins to bind; return the time, the film and the constraint."""
        found = [
            (*binding, number)
            for number, film in enumerate(self._films)
            if (binding := film.next_binding(self.time_ns))
        ]
        if not found:
            return None
        time_ns, constraint, number = min(found)
        self._step(time_ns)
        return time_ns, number, constraint

    def faster(self) -> None:
        """Play twice as fast."""
        self.speed = min(SPEED_MAX, self.speed * 2)

    def slower(self) -> None:
        """Play half as fast."""
        self.speed = max(SPEED_MIN, self.speed / 2)

    def _left(self) -> list[Film]:
        """Return the films that go on after this moment; all where none does."""
        return [film for film in self._films if film.end_ns > self.time_ns] or list(self._films)

    def _step(self, time_ns: int) -> None:
        self.playing = False
        self.go(time_ns)
