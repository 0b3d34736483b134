"""A replay as an asciicast, version 3: JSON lines that terminal players show, with a marker at each verdict.

Format: docs.asciinema.org/manual/asciicast/v3. Times are intervals in seconds since the line before; there is no time of
the day in it, so that the same log is the same file.
"""

import json
from collections.abc import Iterable, Iterator

from rich.color import ColorSystem

from render.line import Line
from render.screen import encode

_BEGIN = "\x1b[?25l\x1b[2J\x1b[H"
_END = "\x1b[0m\x1b[?25h"
_MICROSECONDS = 1_000_000


def cast(
    frames: Iterable[list[Line]], fps: float, marks: Iterable[tuple[float, str]], size: tuple[int, int], title: str
) -> Iterator[str]:
    """Yield the lines of the file: a header, frames `fps` a second, and markers, each a time in seconds and a text."""
    columns, rows = size
    yield _line({"version": 3, "term": {"cols": columns, "rows": rows, "type": "xterm-256color"}, "title": title})
    left = [(round(at * _MICROSECONDS), text) for at, text in marks]
    now = 0
    for number, text in enumerate(_texts(frames)):
        due = round(number / fps * _MICROSECONDS)
        while left and left[0][0] <= due:
            at, mark = left.pop(0)
            yield _line([_seconds(at - now), "m", mark])
            now = at
        if text or not number:
            yield _line([_seconds(due - now), "o", text])
            now = due
    yield _line([1.0, "o", _END])


def _texts(frames: Iterable[list[Line]]) -> Iterator[str]:
    """Yield what a terminal is sent for each frame: all of the first, then the lines that changed."""
    shown: list[str] = []
    for frame in frames:
        lines = [encode(line, ColorSystem.TRUECOLOR) for line in frame]
        if shown:
            pairs = enumerate(zip(lines, shown, strict=True), start=1)
            yield "".join(f"\x1b[{number};1H{new}" for number, (new, old) in pairs if new != old)
        else:
            yield _BEGIN + "\r\n".join(lines)
        shown = lines


def _seconds(microseconds: int) -> float:
    return round(microseconds / _MICROSECONDS, 6)


def _line(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"
