"""The picture of the agents: a cell an agent, or a cell for several where there are more agents than room.

Rules:

1. Agent 0 is at the top left and the next one to its right, row by row. The place of an agent depends on the header
   and the size of the picture, never on what happens.
2. With colours a character holds two cells, the upper and the lower half; with letters it holds one.
3. All fleets have cells of one size, the largest with which every agent gets a cell of its own. Where even the smallest
   does not do, each fleet gets room by its number of agents, and its agents share their cells evenly.
4. Several fleets stand one below the other or side by side, each under its name. Where there is no room for that, there
   are no names and the fleets follow one another without a break. Agents that were spawned stand after all others, like
   a fleet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment

from model.header import Header
from model.state import Moment
from render.line import Line, LineWriter
from render.palette import Theme
from render.shades import Categories, Shades, by_state

_PITCH_MAX = 16
_STRETCH_MAX = 3
"""A cell is at most this many times as wide as it is high, or as high as it is wide."""
_KNOWN_MAX = 100_000
_SIDE_GAP = 3
"""Columns between two fleets that stand side by side."""
_SIDE_MIN = 8
"""A fleet that stands beside another is at least so many columns wide."""

Fleets = tuple[tuple[str, int, int], ...]
"""Fleets as (name, first agent, agents)."""


class Arrangement(Enum):
    """How several fleets stand."""

    STACKED = "one below the other"
    BESIDE = "side by side"


@dataclass(frozen=True, slots=True)
class Block:
    """A fleet, or all of them: its agents, the part of the picture that its cells have, and how many are in a row.

    `left` and `top`, `width` and `lines` are in characters; its name, if it has one, is in the line above.
    """

    name: str | None
    first: int
    agents: int
    left: int
    top: int
    width: int
    lines: int
    columns: int
    cells: int

    def cell_of(self, agent: int) -> int:
        """Return the number of the cell of an agent of the block."""
        return (agent - self.first) * self.cells // self.agents

    def agent_of(self, cell: int) -> int:
        """Return the first agent of a cell."""
        return self.first - (-cell * self.agents // self.cells)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Cells along one direction: from one to the next, and how much of that is left empty."""

    pitch: int
    gap: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the agents are in a picture. `across` counts characters, `down` counts cells of rule 2."""

    blocks: tuple[Block, ...]
    across: _Axis
    down: _Axis
    letters: bool

    @property
    def cell_size(self) -> int:
        """How much room a cell has; 0 where agents have to share."""
        shared = any(block.cells < block.agents for block in self.blocks)
        return 0 if shared else self.across.pitch * self.down.pitch

    def agent_at(self, x: int, y: int) -> int | None:
        """Return the agent at a character, of two the upper one, of those that share a cell the first."""
        per_line = 1 if self.letters else 2
        for block in self.blocks:
            column, line = x - block.left, y - block.top
            if 0 <= column < block.width and 0 <= line < block.lines and column // self.across.pitch < block.columns:
                cell = line * per_line // self.down.pitch * block.columns + column // self.across.pitch
                if cell < block.cells:
                    return block.agent_of(cell)
        return None

    def beside(self, agent: int, right: int, below: int) -> int:
        """Return the agent so many cells to the right of another, and so many rows below; the same where there is none."""
        number = next(
            number
            for number, block in enumerate(self.blocks)
            if block.first <= agent < block.first + block.agents and block.cells
        )
        block = self.blocks[number]
        if right:
            cell = block.cell_of(agent) + right
            last = sum(each.agents for each in self.blocks) - 1
            if 0 <= cell < block.cells:
                return block.agent_of(cell)
            return min(max(0, block.first - 1 if right < 0 else block.first + block.agents), last)
        row, column = divmod(block.cell_of(agent), block.columns)
        cell = (row + below) * block.columns + column
        if 0 <= cell < block.cells:
            return block.agent_of(cell)
        other = self.blocks[number + below : number + below + 1] if number + below >= 0 else ()
        if not other or other[0].left != block.left or not other[0].cells:
            return agent
        rows = -(-other[0].cells // other[0].columns)
        cell = column if below > 0 else (rows - 1) * other[0].columns + column
        return other[0].agent_of(min(cell, other[0].cells - 1))


def fleets_of(header: Header, agents: int) -> Fleets:
    """Return the fleets that have agents, and those that were spawned as one more, under the names of all their fleets."""
    fleets = tuple((fleet.name, fleet.first, fleet.count) for fleet in header.fleets if fleet.count)
    spawned = agents - header.agents
    return (*fleets, (spawned_name(header), header.agents, spawned)) if spawned else fleets


def spawned_name(header: Header) -> str:
    """Return the names of the fleets whose agents are spawned."""
    numbers = {step.spawned for step in header.steps if step.spawned is not None}
    return ", ".join(header.fleets[number].name for number in sorted(numbers)) or "spawned"


def grid(state: Moment, width: int, height: int, theme: Theme, shades: Shades | None = None) -> list[Line]:
    """Return the picture: `height` lines, each `width` wide; without shades the colours say what the agents do."""
    shades = shades or by_state(theme)
    fleets = fleets_of(state.header, len(state.phase))
    return picture(layout(fleets, width, height, theme.letters), shades.of(state), shades, width, height, theme)


def picture(
    plan: Layout,
    categories: Categories,
    shades: Shades,
    width: int,
    height: int,
    theme: Theme,
    picked: int | None = None,
) -> list[Line]:
    """Return the picture of agents, each of a category: `height` lines, each `width` wide; one agent may be `picked`."""
    blank = [Segment(" " * width, theme.fill(theme.background))]
    lines: list[Line] = [blank] * max(0, height)
    names = [theme.clean(block.name) for block in plan.blocks if block.name is not None]
    name_width = min(width // 2, max(map(cell_len, names), default=0))
    rows: dict[int, list[tuple[Block, Line]]] = {}
    for block in plan.blocks:
        if block.name is not None:
            own_width = min(name_width, block.width)
            label = set_cell_size(theme.shorten(theme.clean(block.name), own_width), own_width)
            written = _label(label, block, categories, shades, theme)
            rows.setdefault(block.top - 1, []).append((block, written))
        canvas = _canvas(block, plan, categories, shades, theme, picked)
        for number, line in enumerate(_lines(canvas, theme), block.top):
            rows.setdefault(number, []).append((block, line))
    for number, parts in rows.items():
        if number < height:
            lines[number] = _joined(parts, width, theme)
    return lines


def best_arrangement(fleets: Fleets, width: int, height: int, letters: bool) -> Arrangement:
    """Return the arrangement in which cells are larger; one below the other where both are alike."""
    sizes = {each: layout(fleets, width, height, letters, each).cell_size for each in Arrangement}
    return max(Arrangement, key=lambda each: sizes[each])


class Seam(NamedTuple):
    """A straight line between cells, in cells of rule 2: upright where it is 0 wide, level where it is 0 high."""

    x: int
    y: int
    width: int
    height: int


def seams(plan: Layout) -> list[Seam]:
    """Return where cells of two agents touch: what can draw finer than characters leaves a line free there."""
    found: list[Seam] = []
    for block in plan.blocks:
        if block.cells < block.agents or not block.cells:
            continue
        left, top, rows = block.left, 2 * block.top, -(-block.cells // block.columns)
        wide, high = block.columns * plan.across.pitch, rows * plan.down.pitch
        if not plan.across.gap:
            found += [Seam(left + column * plan.across.pitch, top, 0, high) for column in range(1, block.columns)]
        if not plan.down.gap:
            found += [Seam(left, top + row * plan.down.pitch, wide, 0) for row in range(1, rows)]
    return found


@lru_cache(maxsize=64)
def layout(
    fleets: Fleets, width: int, height: int, letters: bool, arrangement: Arrangement = Arrangement.STACKED
) -> Layout:
    """Place fleets into a picture."""
    if height < 1 or not fleets:
        return Layout((), _Axis(1, 0), _Axis(1, 0), letters)
    several = len(fleets) > 1
    if several and arrangement is Arrangement.BESIDE and width >= (_SIDE_MIN + _SIDE_GAP) * len(fleets) and height > 1:
        return _beside(fleets, width, height, letters)
    return _stacked(fleets, several and height >= 3 * len(fleets), width, height, letters)


def _stacked(fleets: Fleets, named: bool, width: int, height: int, letters: bool) -> Layout:
    per_line = 1 if letters else 2
    blocks: Sequence[tuple[str | None, int, int]] = fleets if named else ((None, 0, sum(f[2] for f in fleets)),)
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
    tops = [before + (2 * number + 1 if named else 0) for number, before in enumerate(accumulate([0, *lines[:-1]]))]
    placed = zip(blocks, tops, lines, cells, strict=True)
    return Layout(
        tuple(Block(*block, 0, top, width, own, columns, few) for block, top, own, few in placed), across, down, letters
    )


def _beside(fleets: Fleets, width: int, height: int, letters: bool) -> Layout:
    per_line = 1 if letters else 2
    counts, lines = [count for _, _, count in fleets], height - 1
    room = width - _SIDE_GAP * (len(fleets) - 1)
    for across, down in _pitches(letters):
        rows = (lines * per_line + down.gap) // down.pitch
        columns = [-(-count // rows) if rows else count for count in counts]
        widths = [max(_SIDE_MIN, own * across.pitch - across.gap) for own in columns]
        if rows and sum(widths) <= room:
            columns = [(own + across.gap) // across.pitch for own in widths]
            cells = counts
            break
    else:
        across, down = _Axis(1, 0), _Axis(1, 0)
        widths = columns = [_SIDE_MIN + more for more in _share(room - _SIDE_MIN * len(fleets), counts)]
        cells = [min(count, own * lines * per_line) for count, own in zip(counts, widths, strict=True)]
    lefts = accumulate([0, *(own + _SIDE_GAP for own in widths[:-1])])
    placed = zip(fleets, lefts, widths, columns, cells, strict=True)
    return Layout(
        tuple(Block(*fleet, left, 1, own, lines, across_, few) for fleet, left, own, across_, few in placed),
        across,
        down,
        letters,
    )


def _joined(parts: list[tuple[Block, Line]], width: int, theme: Theme) -> Line:
    """Return one line of parts, each as wide as its block."""
    line: Line = []
    column = 0
    for block, part in parts:
        if block.left > column:
            line.append(Segment(" " * (block.left - column), theme.fill(theme.background)))
        line += part
        column = block.left + block.width
    if column < width:
        line.append(Segment(" " * (width - column), theme.fill(theme.background)))
    return line


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
    block: Block, plan: Layout, categories: Categories, shades: Shades, theme: Theme, picked: int | None
) -> NDArray[np.int64]:
    """Return the look of each cell that a character holds, those between the agents' cells included."""
    own = categories[block.first : block.first + block.agents]
    if block.cells < block.agents:
        home = _homes(block.agents, block.cells, len(shades))
        counts = np.bincount(home + own, minlength=block.cells * len(shades))
        looks = shades.blend(counts.reshape(block.cells, len(shades)))
    else:
        looks = np.array(shades.looks, np.int64)[own]
    if picked is not None and 0 <= picked - block.first < block.agents and block.cells:
        looks[block.cell_of(picked)] = theme.picked
    rows = -(-block.cells // block.columns)
    cells = np.full((rows, block.columns), theme.background)
    cells.flat[: block.cells] = looks
    canvas = np.full((block.lines * (1 if theme.letters else 2), block.width), theme.background)
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
    lines, known = [], _known_runs(theme)
    if len(known) > _KNOWN_MAX:
        known.clear()
    for upper, lower in zip(canvas[::2], canvas[1::2], strict=True):
        changes = (upper[1:] != upper[:-1]) | (lower[1:] != lower[:-1])
        edges = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(upper)]])
        starts, lengths = edges[:-1], np.diff(edges)
        runs = zip(upper[starts].tolist(), lower[starts].tolist(), lengths.tolist(), strict=True)
        line = []
        for run in runs:
            segment = known.get(run)
            if segment is None:
                segment = known[run] = _run(*run, theme)
            line.append(segment)
        lines.append(line)
    return lines


@lru_cache(maxsize=4)
def _known_runs(theme: Theme) -> dict[tuple[int, int, int], Segment]:
    """Return what there is of runs in a theme: the same come again in every frame, and making one takes long."""
    return {}


def _run(upper: int, lower: int, length: int, theme: Theme) -> Segment:
    """Return `length` equal characters."""
    if upper == lower:
        return Segment(" " * length, theme.fill(upper))
    if upper == theme.background:
        return Segment("▄" * length, theme.pair(lower, upper))
    return Segment("▀" * length, theme.pair(upper, lower))


def _label(name: str, block: Block, categories: Categories, shades: Shades, theme: Theme) -> Line:
    """Return the line above a fleet: its name, and what its agents do if there is room for all of it."""
    counts = shades.counts(categories[block.first : block.first + block.agents])
    digits = len(f"{len(categories):,}")
    line = LineWriter(block.width, theme)
    line.write(name, theme.ink, bold=True)
    for category in shades.legend if line.room >= len(shades.legend) * (digits + 4) else ():
        line.space(2)
        line.write(theme.mark(shades.looks[category]), shades.looks[category])
        line.write(f" {counts[category]:<{digits},}", theme.faint)
    return line.done()
