"""A frame: the whole screen at a moment, a pure function of the state, the size and the theme."""

from rich.segment import Segment

from model.state import Moment
from render.grid import Seam, fleets_of, grid, layout, seams
from render.line import Line
from render.palette import Theme
from render.shades import Shades
from render.status import Reel, constraints, legend, progress, title

_ROOMY_LINES = 16
"""From this height on there is a margin around the picture."""
_ROOMY_COLUMNS = 40


def frame(state: Moment, reel: Reel, width: int, height: int, theme: Theme, shades: Shades | None = None) -> list[Line]:
    """Return `height` lines, each `width` wide: the title, the picture in these shades, the legend, the constraints.

    On a low screen the constraints go first, then the margins and the bar, then the picture.
    """
    head, foot, margin = _around(state, reel, width, height, theme, shades)
    picture = grid(state, width - 2 * margin, max(0, height - len(head) - len(foot)), theme, shades)
    side = [Segment(" " * margin, theme.fill(theme.background))] if margin else []
    return [[*side, *line, *side] for line in [*head, *picture, *foot][:height]]


def seams_of(state: Moment, reel: Reel, width: int, height: int, theme: Theme) -> list[Seam]:
    """Return where cells of agents touch in the frame of that size; y counts half lines."""
    head, foot, margin = _around(state, reel, width, height, theme, None)
    fleets = fleets_of(state.header, len(state.phase))
    found = seams(layout(fleets, width - 2 * margin, max(0, height - len(head) - len(foot)), letters=False))
    down = 2 * len(head)
    return [Seam(each.x + margin, each.y + down, each.width, each.height) for each in found]


def _around(
    state: Moment, reel: Reel, width: int, height: int, theme: Theme, shades: Shades | None
) -> tuple[list[Line], list[Line], int]:
    """Return the lines above and below the picture, and how much is left empty on both sides."""
    roomy = height >= _ROOMY_LINES
    margin = 1 if width >= _ROOMY_COLUMNS else 0
    inner = width - 2 * margin
    blank = [Segment(" " * inner, theme.fill(theme.background))]
    head = [title(state, reel, inner, theme)]
    if height >= 8:
        head.append(progress(state, reel, inner, theme))
    foot = [legend(state, inner, theme, shades), *constraints(state, inner, height // 4 - 1, theme, reel.order)]
    if roomy:
        head.append(blank)
        foot.insert(0, blank)
    return head, foot, margin
