"""The picture of the agents: a cell an agent, or a cell for several where there are more agents than room.

Rules:

1. Agent 0 is at the top left and the next one to its right, row by row. The place of an agent depends on the header
   and the size of the picture, never on what happens.
2. With colours a character holds two cells, the upper and the lower half; with letters it holds one.
3. All fleets have cells of one size, the largest with which every agent gets a cell of its own. Where even the smallest
   does not do, each fleet gets rows by its number of agents, and its agents share their cells evenly.
4. Several fleets stand one below the other, each under its name. Where there is no room for that, there are no names
   and the fleets follow one another without a break. Agents that were spawned stand below all others, like a fleet.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment

from model.state import Moment
from render.line import Line, LineWriter
from render.palette import Theme
from render.shades import Categories, Shades, by_state

_PITCH_MAX = 16
_STRETCH_MAX = 3
"""A cell is at most this many times as wide as it is high, or as high as it is wide."""


@dataclass(frozen=True, slots=True)
class _Block:
    """A fleet, or all of them: its agents, the lines of the picture that it has, and how many cells are in a row."""

    name: str | None
    first: int
    agents: int
    lines: int
    columns: int
    cells: int


@dataclass(frozen=True, slots=True)
class _Axis:
    """Cells along one direction: from one to the next, and how much of that is left empty."""

    pitch: int
    gap: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """Blocks from top to bottom. `across` counts characters, `down` counts cells of rule 2."""

    blocks: tuple[_Block, ...]
    across: _Axis
    down: _Axis


def grid(state: Moment, width: int, height: int, theme: Theme, shades: Shades | None = None) -> list[Line]:
    """Return the picture: `height` lines, each `width` wide; without shades the colours say what the agents do."""
    if height < 1:
        return []
    shades = shades or by_state(theme)
    categories = shades.of(state)
    fleets = _fleets(state)
    plan = _layout(fleets, width, height, theme.letters)
    blank = [Segment(" " * width, theme.fill(theme.background))]
    names = min(width // 2, max((cell_len(theme.clean(name)) for name, _, _ in fleets), default=0))
    lines: list[Line] = []
    for block in plan.blocks:
        if block.name is not None:
            label = set_cell_size(theme.shorten(theme.clean(block.name), names), names)
            lines += [blank] * bool(lines) + [_label(label, block, categories, shades, width, theme)]
        lines += _lines(_canvas(block, plan, categories, shades, width, theme), theme)
    return lines + [blank] * (height - len(lines))


class Seam(NamedTuple):
    """A straight line between cells, in cells of rule 2: upright where it is 0 wide, level where it is 0 high."""

    x: int
    y: int
    width: int
    height: int


def seams(state: Moment, width: int, height: int, theme: Theme) -> list[Seam]:
    """Return where cells of two agents touch: what can draw finer than characters leaves a line free there."""
    plan = _layout(_fleets(state), width, height, theme.letters)
    found, y = list[Seam](), 0
    for block in plan.blocks:
        y += 2 * ((block.name is not None) + (block.name is not None and y > 0))
        rows = -(-block.cells // block.columns)
        if block.cells == block.agents:
            wide, high = block.columns * plan.across.pitch, rows * plan.down.pitch
            if not plan.across.gap:
                found += [Seam(column * plan.across.pitch, y, 0, high) for column in range(1, block.columns)]
            if not plan.down.gap:
                found += [Seam(0, y + row * plan.down.pitch, wide, 0) for row in range(1, rows)]
        y += 2 * block.lines
    return found


def _fleets(state: Moment) -> tuple[tuple[str, int, int], ...]:
    """Return the fleets that have agents, as (name, first agent, agents), and those that were spawned as another."""
    fleets = tuple((fleet.name, fleet.first, fleet.count) for fleet in state.header.fleets if fleet.count)
    spawned = len(state.phase) - state.header.agents
    return (*fleets, ("spawned", state.header.agents, spawned)) if spawned else fleets


@lru_cache(maxsize=64)
def _layout(fleets: tuple[tuple[str, int, int], ...], width: int, height: int, letters: bool) -> _Layout:
    """Place the fleets, given as (name, first agent, agents), into a picture."""
    per_line = 1 if letters else 2
    named = len(fleets) > 1 and height >= 3 * len(fleets)
    blocks = fleets if named else ((None, 0, sum(count for _, _, count in fleets)),)
    counts = [count for _, _, count in blocks]
    room = height - (2 * len(blocks) - 1 if named else 0)
    for across, down in _pitches(letters):
        columns = (width + across.gap) // across.pitch
        if not columns:
            continue
        rows = [-(-count // columns) for count in counts]
        lines = [-(-max(0, own * down.pitch - down.gap) // per_line) for own in rows]
        if sum(lines) <= room:
            cells = counts
            break
    else:
        across, down, columns = _Axis(1, 0), _Axis(1, 0), width
        lines = _share(room, counts)
        cells = [min(count, own * per_line * width) for count, own in zip(counts, lines, strict=True)]
    placed = zip(blocks, lines, cells, strict=True)
    return _Layout(tuple(_Block(*block, own, columns, few) for block, own, few in placed), across, down)


def _pitches(letters: bool) -> list[tuple[_Axis, _Axis]]:
    """Return the sizes that a cell may have, the largest first and of those the squarest."""
    # A letter is twice as high as it is wide, a half block is square.
    tall = 2 if letters else 1
    span = range(1, _PITCH_MAX + 1)
    sizes = [
        (across, down)
        for across in span
        for down in span
        if max(across, tall * down) <= _STRETCH_MAX * min(across, tall * down)
    ]
    sizes.sort(key=lambda size: (-size[0] * size[1], abs(size[0] - tall * size[1])))
    # Letters of two agents must never touch where a cell has more than one; colours may, until there is room to spare.
    apart = 2 if letters else 3
    return [(_Axis(across, int(across >= apart)), _Axis(down, int(down >= apart))) for across, down in sizes]


def _share(lines: int, counts: list[int]) -> list[int]:
    """Share lines among fleets by their numbers of agents, at least one for each that there is room for."""
    shares = [0] * len(counts)
    for _ in range(lines):
        # The next line goes to the fleet with the most agents to a line.
        neediest = max(range(len(counts)), key=lambda fleet: (shares[fleet] == 0, counts[fleet] / (shares[fleet] or 1)))
        shares[neediest] += 1
    return shares


def _canvas(
    block: _Block, plan: _Layout, categories: Categories, shades: Shades, width: int, theme: Theme
) -> NDArray[np.int64]:
    """Return the look of each cell that a character holds, those between the agents' cells included."""
    own = categories[block.first : block.first + block.agents]
    if block.cells < block.agents:
        home = _homes(block.agents, block.cells, len(shades))
        counts = np.bincount(home + own, minlength=block.cells * len(shades))
        looks = shades.blend(counts.reshape(block.cells, len(shades)))
    else:
        looks = np.array(shades.looks, np.int64)[own]
    rows = -(-block.cells // block.columns)
    cells = np.full((rows, block.columns), theme.background)
    cells.flat[: block.cells] = looks
    canvas = np.full((block.lines * (1 if theme.letters else 2), width), theme.background)
    for y in range(plan.down.pitch - plan.down.gap):
        for x in range(plan.across.pitch - plan.across.gap):
            part = canvas[y :: plan.down.pitch, x :: plan.across.pitch]
            part[:rows, : block.columns] = cells
    return canvas


@lru_cache(maxsize=8)
def _homes(agents: int, cells: int, categories: int) -> NDArray[np.int64]:
    """Return the number of each agent's cell, times that of categories: agents are shared out as evenly as can be."""
    return np.arange(agents) * cells // agents * categories


def _lines(canvas: NDArray[np.int64], theme: Theme) -> list[Line]:
    if theme.letters:
        return [[Segment(row.astype(np.uint8).tobytes().decode("ascii"), theme.text(theme.ink))] for row in canvas]
    lines = []
    for upper, lower in zip(canvas[::2], canvas[1::2], strict=True):
        changes = (upper[1:] != upper[:-1]) | (lower[1:] != lower[:-1])
        edges = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(upper)]])
        starts, lengths = edges[:-1], np.diff(edges)
        runs = zip(upper[starts].tolist(), lower[starts].tolist(), lengths.tolist(), strict=True)
        lines.append([_run(*run, theme) for run in runs])
    return lines


def _run(upper: int, lower: int, length: int, theme: Theme) -> Segment:
    """Return `length` equal characters."""
    if upper == lower:
        return Segment(" " * length, theme.fill(upper))
    if upper == theme.background:
        return Segment("▄" * length, theme.pair(lower, upper))
    return Segment("▀" * length, theme.pair(upper, lower))


def _label(name: str, block: _Block, categories: Categories, shades: Shades, width: int, theme: Theme) -> Line:
    """Return the line above a fleet: its name, and what its agents do, as far as there is room."""
    counts = shades.counts(categories[block.first : block.first + block.agents])
    digits = len(f"{len(categories):,}")
    line = LineWriter(width, theme)
    line.write(name, theme.ink, bold=True)
    for category in shades.legend:
        if line.room < digits + 4:
            break
        line.space(2)
        line.write(theme.mark(shades.looks[category]), shades.looks[category])
        line.write(f" {counts[category]:<{digits},}", theme.faint)
    return line.done()
