"""Plots of a log with matplotlib, which comes with the extra `pictures`: each answers one question of a run.

Rules:

1. A plot is a function of the log, so its bytes are too: no time of the day is written into it.
2. What changes over time is drawn as the mean of each of `_BINS` equal parts, up to when the run is worth showing
   (`Film.shown_ns`), with what went wrong (`render.verdicts`) as marks.
3. Colours are those of Okabe and Ito, which nearly everybody can tell apart, and each line has a style of its own as well.
   (Okabe and Ito, Color Universal Design, 2008.)
"""

from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any, BinaryIO

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from model.events import Kind
from model.faults import cut
from model.state import Phase
from model.units import NS_PER_SECOND
from render.film import Film
from render.usage import utilisation
from render.verdicts import Verdict
from sim.sentences import clock

FORMATS = ("png", "svg", "pdf")
_BINS = 600
_LINES_MAX = 8
_MARKS_MAX = 8
_MARK_LENGTH, _NAME_LENGTH, _TITLE_LENGTH = 42, 32, 96
_LEGEND_COLUMNS = 4
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_STYLES = ("-", "--", "-.", ":")
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
_UNITS = ((3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))

Floats = NDArray[np.float64]


def plot(film: Film, what: str, file: BinaryIO, format_: str, marks: Sequence[Verdict] = ()) -> None:
    """Write one of `PLOTS` to a file, in one of `FORMATS`; those over time have marks."""
    # Else the names of parts of an SVG are drawn at random.
    with matplotlib.rc_context(
        {"svg.hashsalt": "fleetsim", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(9, 4.8), layout="constrained")
        PLOTS[what](film, figure, marks)
        figure.savefig(file, format=format_, dpi=150, metadata=_METADATA[format_])


def _waits(film: Film, figure: Figure, marks: Sequence[Verdict]) -> None:
    """How long did tasks wait: for each fleet, the share of its tasks that waited at most so long."""
    axes = figure.subplots()
    rows = film.rows
    started = rows.kind == Kind.TaskStarted
    fleets, _ = film.roster.places(rows.agent[started])
    waits = rows.value[started]
    size, unit = _unit(int(waits.max(initial=0)) or NS_PER_SECOND)
    drawn = [(fleet.name, np.sort(waits[fleets == number])) for number, fleet in enumerate(film.header.fleets)]
    drawn = [(name, own) for name, own in drawn if len(own)]
    for number, (name, own) in enumerate(drawn[:_LINES_MAX]):
        shares = np.arange(1, len(own) + 1) / len(own)
        seconds, places = np.unique(own[::-1], return_index=True)  # of equal waits the last counts
        steps = np.append(0, seconds) / NS_PER_SECOND / size
        axes.step(
            steps,
            np.append(0, shares[len(own) - 1 - places]),
            where="post",
            label=cut(name, _NAME_LENGTH),
            **_look(number),
        )
        p95 = int(own[max(0, -(-len(own) * 95 // 100) - 1)]) / NS_PER_SECOND / size
        axes.plot([p95], [0.95], "o", color=_look(number)["color"])
    axes.axhline(0.95, color="0.8", linewidth=0.8, zorder=0)
    axes.set(xlabel=f"wait ({unit})", ylabel="share of tasks that waited at most so long", ylim=(0, 1.02))
    axes.set_xlim(left=0)
    nobody = "; nobody waited" if len(waits) and not waits.any() else ""
    _entitle(figure, axes, film, f"waits; the dots are p95{nobody}", len(drawn))


def _usage(film: Film, figure: Figure, marks: Sequence[Verdict]) -> None:
    """Which limit binds: for each constraint the share of it that was used."""
    edges = _edges(film)
    shares = [(entry.id, utilisation(film, number, edges)) for number, entry in enumerate(film.header.constraints)]
    drawn = [(name, own) for name, own in shares if own is not None]
    axes = _over_time(figure, film, drawn, "usage of each limit", "used, as a share of the limit")
    axes.axhline(1, color="0.8", linewidth=0.8, zorder=0)
    _mark(axes, film, marks)


def _queue(film: Film, figure: Figure, marks: Sequence[Verdict]) -> None:
    """Where does it pile up: how many tasks wait for each constraint."""
    edges, entries = _edges(film), film.header.constraints
    means = [(entry.id, steps.means(edges)) for entry, steps in zip(entries, film.waiting, strict=True)]
    drawn = [(name, own) for name, own in means if own.any()]
    axes = _over_time(figure, film, drawn, "queue of each limit", "tasks that wait", "nobody waits for a limit")
    _mark(axes, film, marks)


def _timeline(film: Film, figure: Figure, marks: Sequence[Verdict]) -> None:
    """What does the fleet do: how many agents run, wait, back off, think and are down; all others are left out."""
    axes, (seconds, unit) = figure.subplots(), _middles(film)
    order = (Phase.RUNNING, Phase.BLOCKED, Phase.BACKING_OFF, Phase.THINKING, Phase.DOWN)
    colors = ("#009E73", "#D55E00", "#E69F00", "#BBBBBB", "#CC79A7")
    hatches = ("", "///", "...", "", "xxx")
    layers = [(phase, film.counts[phase].means(_edges(film))) for phase in order]
    bottom = np.zeros(len(seconds))
    for (phase, means), color, hatch in zip(layers, colors, hatches, strict=True):
        if not means.any():
            continue
        look: dict[str, Any] = {"facecolor": color, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
        axes.fill_between(seconds, bottom, bottom + means, label=phase.name.lower().replace("_", " "), **look)
        bottom = bottom + means
    axes.set(xlabel=f"time ({unit})", ylabel="agents")
    axes.set_ylim(bottom=0)
    _entitle(figure, axes, film, "what the agents do" + _left_out(film), 0)
    _mark(axes, film, marks)


PLOTS: dict[str, Callable[[Film, Figure, Sequence[Verdict]], None]] = {
    "waits": _waits,
    "usage": _usage,
    "queue": _queue,
    "timeline": _timeline,
}


def _over_time(
    figure: Figure, film: Film, drawn: list[tuple[str, Floats]], what: str, axis: str, nothing: str = "no limit is used"
) -> Axes:
    """Draw a line for each name, with a value for each bin; `nothing` is what is said where there are none."""
    axes, (seconds, unit) = figure.subplots(), _middles(film)
    for number, (name, values) in enumerate(drawn[:_LINES_MAX]):
        axes.plot(seconds, values, label=cut(name, _NAME_LENGTH), **_look(number))
    axes.set(xlabel=f"time ({unit})", ylabel=axis)
    axes.set_ylim(bottom=0)
    _entitle(figure, axes, film, what + _left_out(film), len(drawn), nothing)
    axes.set_xlim(0, _end_ns(film) / NS_PER_SECOND / _unit(_end_ns(film))[0])
    return axes


def _mark(axes: Axes, film: Film, marks: Sequence[Verdict]) -> None:
    """Mark moments by lines, each with its text beside it; of very many the first."""
    (size, _), end_ns = _unit(_end_ns(film)), _end_ns(film)
    for mark in [mark for mark in marks if mark.time_ns <= end_ns][:_MARKS_MAX]:
        place = mark.time_ns / NS_PER_SECOND / size
        is_late = mark.time_ns > end_ns / 2
        axes.axvline(place, color="0.25", linewidth=0.9, linestyle=(0, (4, 3)))
        axes.annotate(
            cut(mark.text, _MARK_LENGTH),
            (place, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(-2 if is_late else 2, 0),
            textcoords="offset points",
            rotation=90,
            ha="right" if is_late else "left",
            va="top",
            fontsize=8,
            parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )


def _end_ns(film: Film) -> int:
    """Return up to when something is drawn."""
    return max(1, film.shown_ns)


def _left_out(film: Film) -> str:
    """Say what is not drawn of the run, if there is any."""
    end_ns = _end_ns(film)
    if end_ns >= film.end_ns:
        return ""
    return f"; nothing happens from {clock(end_ns)} to the end at {clock(film.end_ns)}"


def _edges(film: Film) -> NDArray[np.int64]:
    """Return the edges of the bins in ns, of which there are fewer where there are not so many ns."""
    end_ns = _end_ns(film)
    return np.unique(np.linspace(0, end_ns, _BINS + 1).astype(np.int64))


def _middles(film: Film) -> tuple[Floats, str]:
    """Return the middle of each bin in a unit, and the unit."""
    edges, (size, unit) = _edges(film), _unit(_end_ns(film))
    return (edges[1:] + edges[:-1]) / 2 / NS_PER_SECOND / size, unit


def _unit(span_ns: int) -> tuple[float, str]:
    """Return the seconds in the unit in which a span is told, and its name."""
    return next((each for each in _UNITS if span_ns >= 2 * each[0] * NS_PER_SECOND), _UNITS[-1])


def _look(number: int) -> dict[str, Any]:
    return {"color": _COLORS[number % len(_COLORS)], "linestyle": _STYLES[number % len(_STYLES)]}


def _entitle(figure: Figure, axes: Axes, film: Film, what: str, lines: int, nothing: str = "nothing to show") -> None:
    axes.margins(x=0)
    more = f"; {lines - _LINES_MAX} more are not drawn" if lines > _LINES_MAX else ""
    is_cut = "; the log is cut" if film.cut else ""
    title = fill(f"{film.header.name}, seed {film.header.seed}: {what}{more}{is_cut}", _TITLE_LENGTH)
    axes.set_title(title, loc="left", parse_math=False)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(frameon=False, loc="outside lower left", ncols=_LEGEND_COLUMNS, fontsize=9)
    else:
        axes.text(0.5, 0.5, nothing, transform=axes.transAxes, ha="center", color="0.4")
