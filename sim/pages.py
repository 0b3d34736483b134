"""What a command has found out, in words: a page that is shown on a terminal or written as Markdown.

Rules:

1. A page says the same in both: its title, then blocks one after the other, each a paragraph or a table of words.
2. What a person wrote is shown as it is written: no text is read as markup, neither by a terminal nor in Markdown.
3. On a terminal a line is broken between words, and a table wider than it keeps its first column on every line; elsewhere
   no line is ever broken.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from model.units import NS_PER_SECOND

_GAP = "   "
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~])")
_LONGER = ((86_400 * NS_PER_SECOND, "d"), (3600 * NS_PER_SECOND, "h"), (60 * NS_PER_SECOND, "min"))
_SHORTER = ((NS_PER_SECOND, "s"), (1_000_000, "ms"), (1_000, "µs"))
_MINUTES_FROM_NS = 10 * 60 * NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of words under a heading. The first `left` columns are names, the others numbers."""

    heading: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: int = 1


@dataclass(slots=True)
class Page:
    """What is said: `title` names what it is about, `about` goes on with it in the same line."""

    title: str
    about: str = ""
    blocks: list[str | Grid] = field(default_factory=list)


def show(out: Console, page: Page) -> None:
    """Print a page for a person."""
    _line(out, Text.assemble((page.title, "bold"), f"  {page.about}" if page.about else ""))
    below_table = False
    for block in page.blocks:
        if isinstance(block, str):
            if below_table:
                out.print()
            _line(out, Text(f"  {block}"), hang=4)
            below_table = False
        elif block.rows:
            below_table = True
            out.print()
            _line(out, Text(f"  {block.heading}", "bold"))
            for line in _grid(block, out.width if out.is_terminal else None):
                _line(out, line)


def markdown(page: Page) -> str:
    """Return a page as Markdown, fit for a pull request."""
    parts = [f"## {_plain(page.title)}"]
    parts += [_plain(page.about)] if page.about else []
    paragraphs = ""
    for block in page.blocks:
        if isinstance(block, str):
            paragraphs += f"- {_plain(block)}\n"
            continue
        if paragraphs:
            parts.append(paragraphs.rstrip())
            paragraphs = ""
        if block.rows:
            parts += [f"### {_plain(block.heading)}", _markdown_grid(block)]
    parts += [paragraphs.rstrip()] if paragraphs else []
    return "\n\n".join(parts) + "\n"


def short(ns: float) -> str:
    """Write a time to four digits or so in the unit that suits it."""
    if ns < 0:
        return f"-{short(-ns)}"
    if ns == 0:
        return "0 s"
    for size, unit in _LONGER if ns >= _MINUTES_FROM_NS else ():
        if ns >= size:
            return f"{ns / size:,.1f} {unit}"
    for size, unit in _SHORTER:
        if ns >= size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:.0f} ns"


def share(part: float, whole: float) -> str:
    """Write a part of a whole in per cent; nothing of nothing is 0."""
    return f"{100 * part / whole:.1f}%" if whole else "0.0%"


def _line(out: Console, text: Text, hang: int = 2) -> None:
    """Print a line; on a terminal it is broken between words, and goes on `hang` columns in."""
    if not out.is_terminal:
        out.print(text, soft_wrap=True)
        return
    first, *more = text.wrap(out, out.width) or [text]
    out.print(first)
    rest = Text(" ").join(more)
    for line in rest.wrap(out, max(1, out.width - hang)) if more else ():
        out.print(Text(" " * hang) + line)


def _grid(grid: Grid, width: int | None) -> Iterator[Text]:
    """Yield the lines of a table; columns that do not fit come below, after the first one again."""
    rows = [grid.columns, *grid.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for places in _in_parts(widths, width):
        for row in rows:
            cells = (row[n].ljust(widths[n]) if n < grid.left else row[n].rjust(widths[n]) for n in places)
            yield Text(f"  {_GAP.join(cells)}".rstrip(), "bold" if row is rows[0] else "")


def _in_parts(widths: list[int], width: int | None) -> Iterator[list[int]]:
    """Yield the columns that fit beside each other, the first one always among them."""
    part, used = [0], 2 + widths[0]
    for place in range(1, len(widths)):
        if width is not None and used + len(_GAP) + widths[place] > width and len(part) > 1:
            yield part
            part, used = [0], 2 + widths[0]
        part.append(place)
        used += len(_GAP) + widths[place]
    yield part


def _markdown_grid(grid: Grid) -> str:
    ruler = ["---" if place < grid.left else "---:" for place in range(len(grid.columns))]
    rows = [map(_plain, grid.columns), ruler, *(map(_plain, row) for row in grid.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _MARKUP.sub(r"\\\1", text)
