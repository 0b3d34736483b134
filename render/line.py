"""One line of text on the screen, written from left to right, never wider than it may be."""

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment

from render.palette import Theme

Line = list[Segment]


class LineWriter:
    """Collects pieces of text up to a width; `room` is what is left of it."""

    def __init__(self, width: int, theme: Theme) -> None:
        self.room = width
        self._theme = theme
        self._segments: Line = []

    def write(self, text: str, code: int, bold: bool = False) -> None:
        """Add text in a colour; what does not fit is cut."""
        if cell_len(text) > self.room:
            text = set_cell_size(text, self.room)
        if text:
            self._segments.append(Segment(text, self._theme.text(code, bold)))
            self.room -= cell_len(text)

    def space(self, width: int) -> None:
        """Leave some room empty."""
        width = min(width, self.room)
        if width > 0:
            self._segments.append(Segment(" " * width, self._theme.fill(self._theme.background)))
            self.room -= width

    def done(self) -> Line:
        """Return the line, filled up to its width."""
        self.space(self.room)
        return self._segments

    def pending(self) -> Line:
        """Return what was written so far, to be followed by something else."""
        return self._segments
