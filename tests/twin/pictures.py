"""A fleet as a small picture: a line for each of some agents, a column for each stretch of time.

`.` not there, or thinking; `-` waits; `#` works; `x` is refused, and `r` backs off until it asks again; ` ` is done.
"""

from .records import Attempt, Outcome, Records, agents

LINES = 16
COLUMNS = 40
LEGEND = "# works   - waits   x refused, r until it asks again   . not there, or thinks"


def side_by_side(left: Records, right: Records, titles: tuple[str, str]) -> str:
    """The same agents of two fleets over the same time, beside each other."""
    end = max(left.end, right.end)
    names = list(agents(left))[:: -(-len(left.arrived) // LINES)]
    pairs = zip(names, picture(left, names, end), picture(right, names, end), strict=True)
    width = max(map(len, names))
    lines = [f"{name:{width}} |{one}|  |{other}|" for name, one, other in pairs]
    scale = f"{'0 s':{COLUMNS // 2}}{f'{end:.1f} s':>{COLUMNS // 2}}"
    head = f"{'':{width}}  {titles[0]:{COLUMNS}}    {titles[1]}"
    return "\n".join([head, *lines, f"{'':{width}}  {scale}    {scale}", LEGEND])


def picture(records: Records, names: list[str], end: float) -> list[str]:
    """The lines of these agents, over the time from 0 to `end`."""
    done = agents(records)
    middles = [(column + 0.5) * end / COLUMNS for column in range(COLUMNS)]
    return ["".join(_mark(done[name], at, end / COLUMNS) for at in middles) for name in names]


def _mark(attempts: list[Attempt], at: float, column: float) -> str:
    """What the agent does at this time; a refusal takes no time, and is shown in the column in which it falls."""
    if any(each.outcome is Outcome.refused and -column / 2 <= each.asked - at < column / 2 for each in attempts):
        return "x"
    for each, after in zip(attempts, [*attempts[1:], None], strict=True):
        if at < each.asked:
            return "."
        assert each.finished is not None
        if at < (each.finished if each.started is None else each.started):
            return "-"
        if at < each.finished:
            return "#"
        if each.outcome is Outcome.refused and after is not None and at < after.asked:
            return "r"
    return " "
