"""A frame as shapes: what the terminal shows, for pictures that are no terminal.

Rules:

1. A picture has the very lines of `render.frame`: what is told is the same, and in the same place.
2. A character is `WIDTH` by `HEIGHT` units. Blocks and rules are rectangles, and so is the background; everything else is
   text, of one colour a piece.
3. Rectangles and texts are in reading order, and a piece is as long as its colour goes on: equal lines, equal shapes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment

from render.grid import Seam
from render.line import Line

WIDTH, HEIGHT = 8, 16
_BLOCKS = {"▀": (0, 0, 8, 8), "▄": (0, 8, 8, 8), "█": (0, 0, 8, 16), "■": (1, 5, 6, 6), "━": (0, 7, 8, 2)}
"""What these characters cover: x, y, width and height in units."""
_JOINED = frozenset("▀▄█━")
"""Those that leave no room between two of a kind."""


class Rectangle(NamedTuple):
    """A filled rectangle; `color` is 0xRRGGBB."""

    x: int
    y: int
    width: int
    height: int
    color: int


class Text(NamedTuple):
    """A text whose first character stands in the cell at `x` and `y`; each character is one cell wide, some are two."""

    x: int
    y: int
    text: str
    color: int
    bold: bool


class Drawing(NamedTuple):
    """Shapes on a background, in the order in which they are painted."""

    width: int
    height: int
    background: int
    rectangles: list[Rectangle]
    texts: list[Text]


def drawing(lines: Sequence[Line], background: int, seams: Sequence[Seam] = ()) -> Drawing:
    """Return the shapes of lines that are all of one width, painted in full colours, with these seams left free."""
    width = max((sum(segment.cell_length for segment in line) for line in lines), default=0) * WIDTH
    drawn = Drawing(width, len(lines) * HEIGHT, background, [], [])
    for number, line in enumerate(lines):
        x = 0
        for segment in line:
            _draw(segment, x, number * HEIGHT, drawn)
            x += segment.cell_length * WIDTH
    half = HEIGHT // 2
    for seam in seams:
        x, y = seam.x * WIDTH - (not seam.width), seam.y * half - (not seam.height)
        drawn.rectangles.append(Rectangle(x, y, seam.width * WIDTH or 1, seam.height * half or 1, background))
    return drawn


def strip(drawings: Sequence[Drawing], columns: int, gap: int = HEIGHT) -> Drawing:
    """Return drawings of one size side by side, `columns` in a row."""
    first = drawings[0]
    across, down = min(columns, len(drawings)), -(-len(drawings) // columns)
    width, height = across * (first.width + gap) - gap, down * (first.height + gap) - gap
    whole = Drawing(width, height, first.background, [], [])
    for number, each in enumerate(drawings):
        x, y = number % columns * (first.width + gap), number // columns * (first.height + gap)
        whole.rectangles.extend(shape._replace(x=shape.x + x, y=shape.y + y) for shape in each.rectangles)
        whole.texts.extend(text._replace(x=text.x + x, y=text.y + y) for text in each.texts)
    return whole


def framed(drawn: Drawing, margin: int = HEIGHT) -> Drawing:
    """Return the same with an empty margin around it."""
    rectangles = [shape._replace(x=shape.x + margin, y=shape.y + margin) for shape in drawn.rectangles]
    texts = [text._replace(x=text.x + margin, y=text.y + margin) for text in drawn.texts]
    return Drawing(drawn.width + 2 * margin, drawn.height + 2 * margin, drawn.background, rectangles, texts)


def _draw(segment: Segment, x: int, y: int, into: Drawing) -> None:
    ink, paper = _color(segment, "color"), _color(segment, "bgcolor")
    if paper is not None and paper != into.background:
        into.rectangles.append(Rectangle(x, y, segment.cell_length * WIDTH, HEIGHT, paper))
    if ink is None:
        return
    for character, start, text in _pieces(segment.text):
        left = x + start * WIDTH
        if character is None:
            into.texts.append(Text(left, y, text, ink, bool(segment.style and segment.style.bold)))
            continue
        dx, dy, width, height = _BLOCKS[character]
        if character in _JOINED:
            into.rectangles.append(Rectangle(left + dx, y + dy, width * len(text), height, ink))
        else:
            places = range(left, left + len(text) * WIDTH, WIDTH)
            into.rectangles.extend(Rectangle(place + dx, y + dy, width, height, ink) for place in places)


def _pieces(text: str) -> list[tuple[str | None, int, str]]:
    """Return runs of one block each, and words between spaces, with the cells before them; None stands for a word."""
    pieces: list[tuple[str | None, int, str]] = []
    cells = 0
    for character in text:
        block = character if character in _BLOCKS else None
        if character == " ":
            pieces.append((None, cells, ""))
        elif pieces and pieces[-1][0] == block and pieces[-1][2]:
            pieces[-1] = (block, pieces[-1][1], pieces[-1][2] + character)
        else:
            pieces.append((block, cells, character))
        cells += cell_len(character)
    return [piece for piece in pieces if piece[2]]


def _color(segment: Segment, which: str) -> int | None:
    color = getattr(segment.style, which, None)
    if color is None or color.triplet is None:
        return None
    red, green, blue = color.triplet
    return int(red << 16 | green << 8 | blue)
