"""The words around the picture: what is shown and when, what the agents do, and how far each constraint is used.

Rules:

1. Numbers keep their place while time runs: widths come from the header, not from what happens.
2. Where a line is too narrow, what matters least goes first: the speed, the end, the bars, then the ends of names.
3. Where there are more constraints than room those come first that matter most, and the last place says how many are not
   shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

from model.log import ConstraintEntry
from model.state import Moment, Phase
from model.units import MICRO, NS_PER_SECOND, format_duration, format_number
from render.line import Line, LineWriter
from render.palette import Theme
from render.shades import Mode, Shades, by_state

_NAME_MAX = 24
_BAR = 10
_COLUMN_GAP = 4


@dataclass(frozen=True, slots=True)
class Reel:
    """What a frame says about the replay beyond the state: its last moment, its speed, whether the log is cut.

    `agents` is how many there ever are, with those that are spawned; None where there are no others than in the header.
    `order` are the constraints by how much they matter in the whole log, where that is known.
    """

    end_ns: int
    speed: float | None = None
    cut: bool = False
    agents: int | None = None
    order: tuple[int, ...] | None = None


def title(state: Moment, reel: Reel, width: int, theme: Theme) -> Line:
    """Return the line with the scenario's name, the virtual time and the speed."""
    name = theme.clean(state.header.name)
    cut = "  cut log" if reel.cut else ""
    now, end = clock(state.time_ns, reel.end_ns), clock(reel.end_ns, reel.end_ns)
    tails = [f" / {end}", f" / {end}  {reel.speed:.3g}x"] if reel.speed is not None else [f" / {end}"]
    now = now.rjust(len(end))
    line = LineWriter(width, theme)
    tail = max((tail for tail in ["", *tails] if cell_len(name + cut + now + tail) + 2 <= width), key=len, default="")
    left = max(0, width - len(now) - len(tail))
    line.write(theme.shorten(name, max(0, left - 2)), theme.ink, bold=True)
    if cell_len(name + cut) + 2 <= left:
        line.write(cut, theme.cells[Phase.BLOCKED])
    line.space(line.room - len(now) - len(tail))
    line.write(now, theme.ink, bold=True)
    line.write(tail, theme.faint)
    return line.done()


def progress(state: Moment, reel: Reel, width: int, theme: Theme) -> Line:
    """Return a bar that grows with virtual time."""
    done = width * state.time_ns // reel.end_ns if reel.end_ns else width
    heavy, light = ("=", "-") if theme.letters else ("━", "─")
    line = LineWriter(width, theme)
    line.write(heavy * min(width, done), theme.faint)
    line.write(light * line.room, theme.cells[Phase.FINISHED])
    return line.done()


def legend(state: Moment, width: int, theme: Theme, shades: Shades | None = None) -> Line:
    """Return the line that counts the agents in each category of the shades and says how each looks.

    Those that crashed and those that have not come yet are counted only where there are any. Without shades the categories
    are what the agents do. A narrow line has the counts of states, whose colours are known, and the names of all else.
    """
    shades = shades or by_state(theme)
    return counted(shades.counts(shades.of(state)), len(state.phase), shades, width, theme)


def counted(counts: NDArray[np.int64], agents: int, shades: Shades, width: int, theme: Theme) -> Line:
    """Return the line that says how each category looks, with these counts of all agents."""
    shown = [*shades.legend, *(category for category in shades.rare if counts[category])]
    numbers = [f"{counts[category]:,}" for category in shown]
    digits = len(f"{agents:,}")
    brief = shades.brief or shades.labels
    ways = [
        (shades.labels, *way) for way in ((_NAME_MAX, True, 4), (_NAME_MAX, True, 3), (12, True, 2), (12, False, 2))
    ]
    for labels, name_max, is_steady, gap in [*ways, (brief, 12, False, 2), (brief, 12, False, 1)]:
        words = [f" {theme.shorten(theme.clean(labels[category]), name_max)}" for category in shown]
        widths = [
            2 + (digits if is_steady else len(number)) + cell_len(word)
            for number, word in zip(numbers, words, strict=True)
        ]
        if sum(widths) + gap * (len(widths) - 1) <= width:
            break
    else:
        named = None if shades.mode is Mode.STATE else _named(shades, width, theme)
        if named is not None:
            return named
        words, widths, gap = [""] * len(shown), [2 + len(number) for number in numbers], 1
    line = LineWriter(width, theme)
    for category, number, word, own in zip(shown, numbers, words, widths, strict=True):
        if line.room < 2 + cell_len(number + word):
            break
        line.write(theme.mark(shades.looks[category]), shades.looks[category])
        line.write(set_cell_size(f" {number}{word}", own - 1 + gap), theme.ink)
    absent = f"{counts[Phase.ABSENT]:,} absent"
    if counts[Phase.ABSENT] and int(Phase.ABSENT) not in shown and line.room >= len(absent):
        line.write(absent, theme.faint)
    return line.done()


def _named(shades: Shades, width: int, theme: Theme) -> Line | None:
    """Return the line that says what the colours are that a mode asks about, without counts; None where they do not fit."""
    asked = shades.legend[:-1]
    for name_max in (_NAME_MAX, 8, 6):
        words = [theme.shorten(theme.clean(shades.labels[category]), name_max) for category in asked]
        if sum(cell_len(word) + 3 for word in words) - 1 <= width:
            break
    else:
        return None
    line = LineWriter(width, theme)
    for category, word in zip(asked, words, strict=True):
        line.write(theme.mark(shades.looks[category]), shades.looks[category])
        line.write(f" {word} "[: line.room], theme.ink)
    return line.done()


@dataclass(frozen=True, slots=True)
class _Entry:
    """What there is to say about a constraint; `share` is how much of the limit is used, from 0 to 1, if that is known."""

    name: str
    value: str
    share: float | None
    waiting: int


@dataclass(frozen=True, slots=True)
class _Shape:
    """The widths of the parts of an entry, the space between them, and the word behind the number of those who wait."""

    name: int
    bar: int
    value: int
    waiting: int
    gap: int
    word: str

    @property
    def width(self) -> int:
        """The width of an entry."""
        return self.name + (self.bar + self.gap) * bool(self.bar) + self.gap + self.value + self.gap + self.waiting


def constraints(
    state: Moment, width: int, lines_max: int, theme: Theme, order: Sequence[int] | None = None
) -> list[Line]:
    """Return lines that say for each constraint what limit is in force, how much of it is used, and who waits.

    Where there is no room for all of them those come first that matter most: in this `order`, or who is waited for now.
    """
    if not state.header.constraints or lines_max < 1:
        return []
    entries, shape = _fitted(state, width, theme)
    columns = min(len(entries), max(1, (width + _COLUMN_GAP) // (shape.width + _COLUMN_GAP)))
    lines = min(lines_max, -(-len(entries) // columns))
    shown = len(entries)
    if shown > lines * columns:
        shown = lines * columns - 1
        weightiest = order or sorted(range(len(entries)), key=lambda number: -entries[number].waiting)
        entries = [entries[number] for number in weightiest]
    writers = [LineWriter(width, theme) for _ in range(lines)]
    for number, entry in enumerate(entries[:shown]):
        line = writers[number // columns]
        line.space(_COLUMN_GAP * bool(number % columns))
        _write(line, entry, shape, theme)
    if rest := entries[shown:]:
        line = writers[-1]
        line.space(_COLUMN_GAP * bool(shown % columns))
        text = f"{len(rest)} more, {sum(entry.waiting for entry in rest):,} waiting"
        line.write(theme.shorten(text, line.room), theme.faint)
    return [line.done() for line in writers]


def _fitted(state: Moment, width: int, theme: Theme) -> tuple[list[_Entry], _Shape]:
    """Return what there is to say, and its shape; on a narrow screen not what was charged of rates and quotas."""
    uncharged = replace(state, charged=np.full(len(state.charged), -1))
    for each in (state, uncharged):
        entries = _entries(each, theme)
        shape = _shape(each, entries, width)
        if shape.width <= width and shape.word:
            break
    return entries, shape


def _entries(state: Moment, theme: Theme) -> list[_Entry]:
    columns = (state.limit, state.used, state.waiting, state.charged)
    rows = zip(state.header.constraints, *(column.tolist() for column in columns), strict=True)
    entries = []
    for entry, limit, used, waiting, charged in rows:
        numbers = entry.at(state.time_ns)
        share = used / limit if used >= 0 and limit > 0 else None
        if charged >= 0 and numbers is not None and limit >= 0:
            whole = numbers.get("tokens", limit)
            share = charged / whole if whole else None
        value = _value(entry, state.time_ns, limit, used, charged)
        entries.append(_Entry(theme.clean(entry.id), value, None if share is None else min(1.0, share), waiting))
    return entries


def _value(entry: ConstraintEntry, time_ns: int, limit: int, used: int, charged: int) -> str:
    """Say what is in force: the slots used and the limit, what was charged of the rate, or whether it is open."""
    if entry.type == "circuit_breaker":
        return "closed" if limit < 0 else "half-open" if limit else "open"
    if entry.type == "incident":
        return "off" if limit < 0 else "on"
    if entry.type == "pause":
        return "open" if limit < 0 else "paused"
    if limit < 0:
        return "no limit"
    if entry.type != "rate_limit":
        whole, part = _amount(entry, limit), max(used, charged)
        return whole if part < 0 else f"{_amount(entry, part)}/{whole}"
    # The row gives the rate to a millionth; the header has it as it was written.
    numbers = entry.at(time_ns)
    if numbers is None:
        return "no limit"
    return rate(numbers) if charged < 0 else f"{charged:,} of {rate(numbers)}"


def _amount(entry: ConstraintEntry, number: int) -> str:
    return format_number(number / MICRO, 6) if entry.type in ("resource", "quota") else f"{number:,}"


def rate(numbers: dict[str, int]) -> str:
    """Write a rate limit as a scenario has it: 600/m."""
    period = format_duration(numbers["period_ns"])
    return f"{numbers['tokens']:,}/{period.removeprefix('1') if period[1:].isalpha() else period}"


def _shape(state: Moment, entries: list[_Entry], width: int) -> _Shape:
    """Choose what fits: all of it, without the bars, without the word, with cut names."""
    widest = map(_widest, state.header.constraints, (state.charged >= 0).tolist())
    value = max(map(len, [*(entry.value for entry in entries), *widest]))
    name = min(_NAME_MAX, max(cell_len(entry.name) for entry in entries))
    digits, word = len(f"{len(state.phase):,}"), " waiting"
    bar = _BAR if any(entry.share is not None for entry in entries) else 0
    full = _Shape(name, bar, value, digits + len(word), 2, word)
    bare = _Shape(name, 0, value, digits + len(word), 1, word)
    tight = _Shape(max(1, min(name, width - value - digits - 2)), 0, value, digits, 1, "")
    return next((shape for shape in (full, bare) if shape.width <= width), tight)


def _widest(entry: ConstraintEntry, is_charged: bool) -> str:
    """Return the widest text that the limits of a constraint lead to, so that nothing moves when one changes."""
    if entry.type == "circuit_breaker":
        return "half-open"
    if entry.type in ("pause", "incident"):
        return max((_value(entry, time, 0, -1, -1) for time, _ in entry.settings), key=len)
    if entry.type == "rate_limit":
        most = max((numbers["tokens"] + numbers["burst"] for _, numbers in entry.settings if numbers), default=0)
        return max((_value(entry, time, 0, -1, most if is_charged else -1) for time, _ in entry.settings), key=len)
    key = {"resource": "capacity", "quota": "total", "adaptive": "most"}.get(entry.type, "limit")
    most = max((numbers[key] for _, numbers in entry.settings if numbers is not None), default=0)
    return f"{_amount(entry, most)}/{_amount(entry, most)}"


def _write(line: LineWriter, entry: _Entry, shape: _Shape, theme: Theme) -> None:
    line.write(set_cell_size(theme.shorten(entry.name, shape.name), shape.name), theme.ink)
    line.space(shape.gap)
    if shape.bar:
        filled = 0 if entry.share is None else round(shape.bar * entry.share)
        heavy, light = ("#", ".") if theme.letters else ("━", "━")
        line.write(heavy * filled, theme.cells[Phase.RUNNING])
        line.write((" " if entry.share is None else light) * (shape.bar - filled), theme.cells[Phase.FINISHED])
        line.space(shape.gap)
    line.write(entry.value.rjust(shape.value), theme.ink)
    line.space(shape.gap)
    waiting = f"{entry.waiting:,}{shape.word}".ljust(shape.waiting)
    line.write(waiting, theme.cells[Phase.BLOCKED] if entry.waiting else theme.faint)


def clock(ns: int, span_ns: int, exact: bool = False) -> str:
    """Write a time so that all times of a span have the same form: 12.30s, 4.12ms, 1:02:03; rounded as summaries are.

    An `exact` one has all its digits, down to the nanosecond: 12.304567890s, 4.123456ms, 1:02:03.000000000.
    """
    if 0 < span_ns < 1000:
        return f"{ns}ns"
    for unit, size, digits in (("us", 1_000, 3), ("ms", 1_000_000, 6), ("s", NS_PER_SECOND, 9)):
        if 0 < span_ns < 1000 * size or (not span_ns and unit == "s"):
            whole, rest = divmod(ns if exact else ns + size // 200, size)
            return f"{whole}.{f'{rest:0{digits}}'[: digits if exact else 2]}{unit}"
    seconds, rest = divmod(ns if exact else ns + NS_PER_SECOND // 2, NS_PER_SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" + (f".{rest:09}" if exact else "")
