"""What the colour of a cell stands for: what its agent does, what blocks it, whose it is, how long it has waited.

Rules:

1. Shades belong to a whole log, not to a moment: a constraint, a tenant or a time keeps its colour from start to end.
2. Category 0 are those who are absent. What a mode does not ask about is one dim category, whose label says what it is.
3. Where there are more constraints or tenants than colours, those that matter most have one each (the constraints that are
   waited for longest, the tenants with most agents; of equals the first in the header), and the rest are "others".
4. The colours of names are those of Okabe and Ito, which nearly everybody can tell apart; times go from dark to bright.
5. A cell that stands for several agents takes the mean of their colours, in linear light and in whole numbers, so that
   every machine gets the same. Where there are too few colours for that, and with letters, it takes the category of most
   of them; of those that are equally many, the first in `order`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.state import Moment, Phase
from model.units import NS_PER_SECOND, format_duration
from render.film import Film
from render.palette import LEGEND, RARE, Paint, Theme

Categories = NDArray[np.integer]

_PRECEDENCE = (
    *(Phase.DOWN, Phase.BLOCKED, Phase.BACKING_OFF, Phase.RUNNING),
    *(Phase.THINKING, Phase.FINISHED, Phase.ABSENT),
)
_BRIEF = ("absent", "think", "block", "run", "done", "down", "off")
"""The phases in a word of one syllable each, where there is no room for more."""
_NAMES_OF_PHASES = tuple(phase.name.lower().replace("_", " ") for phase in Phase)
_CHANNELS = np.array([16, 8, 0])
"""Where red, green and blue are in 0xRRGGBB."""
_NAMES = {
    Paint.RGB: (0xE69F00, 0x56B4E9, 0x009E73, 0xF0E442, 0x0072B2, 0xD55E00, 0xCC79A7),
    Paint.ANSI: (3, 14, 2, 11, 12, 9, 13),
    Paint.LETTER: tuple(map(ord, "ABCDEFG")),
}
_OTHERS = {Paint.RGB: 0xB9BFC9, Paint.ANSI: 7, Paint.LETTER: ord("+")}
_TIMES = {
    Paint.RGB: (0x6A176E, 0x932667, 0xC73E4C, 0xED6925, 0xFBB61A, 0xFCFFA4),
    Paint.ANSI: (4, 5, 1, 9, 3, 11),
    Paint.LETTER: tuple(map(ord, "123456")),
}
_DIFFERS = {
    Paint.RGB: {Phase.ABSENT: 0x6B5B1E, Phase.THINKING: 0x9AA3B5, Phase.FINISHED: 0x6F7787},
    Paint.ANSI: {Phase.ABSENT: 3, Phase.THINKING: 7},
    Paint.LETTER: {Phase.ABSENT: ord("_"), Phase.THINKING: ord("T"), Phase.FINISHED: ord("F")},
}
"""What is brighter than usual where it differs in two logs, so that what does not can be dim."""
_MINUTE = 60 * NS_PER_SECOND
_ROUND = [
    *(digit * 10**power for power in range(11) for digit in (1, 2, 5) if digit * 10**power < 50 * NS_PER_SECOND),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 20, 60, 120, 300, 600)),
    *(digit * 10**power * 1440 * _MINUTE for power in range(5) for digit in (1, 2, 5)),
]
"""Times in ns, as people would choose them."""


class Mode(Enum):
    """What the colours stand for."""

    STATE = "state"
    CONSTRAINT = "constraint"
    TENANT = "tenant"
    WAITED = "time waited"


_RESTS = {Mode.CONSTRAINT: "not blocked", Mode.TENANT: "idle", Mode.WAITED: "not blocked"}
_REST, _FIRST = 1, 2
"""The category that a mode does not ask about, and the first of those that it does."""


@dataclass(frozen=True)
class Shades:
    """Categories of agents, with a label and a look each; `of` finds the category of each agent at a moment.

    A legend names those in `legend`, and those in `rare` where there are any, by `brief` names where room is short. In
    `order` are all of them, the one that stands for a cell first.
    """

    mode: Mode
    paint: Paint
    labels: tuple[str, ...]
    looks: tuple[int, ...]
    legend: tuple[int, ...]
    order: tuple[int, ...]
    of: Callable[[Moment], Categories] = field(compare=False)
    rare: tuple[int, ...] = ()
    brief: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.looks)

    def counts(self, categories: Categories) -> NDArray[np.int64]:
        """Return how many of these agents are in each category."""
        return np.bincount(categories, minlength=len(self))

    def blend(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the looks of cells, each given by how many of its agents are in each category."""
        looks, order = np.array(self.looks, np.int64), np.array(self.order)
        most: NDArray[np.int64] = order[np.argmax(counts[:, order], axis=1)]
        if self.paint is not Paint.RGB:
            return looks[most]
        # Light is near enough to the square of the value; a mean of squares is exact in whole numbers.
        light = (looks[:, None] >> _CHANNELS & 0xFF) ** 2
        agents = counts.sum(axis=1)
        mean = np.sqrt(counts @ light // agents[:, None]).astype(np.int64)
        # 32 levels are enough to the eye, and what does not change to the eye need not be sent to the terminal.
        mixed = np.sum((mean & 0xF8 | 4) << _CHANNELS, axis=1)
        return np.where(counts[np.arange(len(counts)), most] == agents, looks[most], mixed)


def shades(film: Film, mode: Mode, theme: Theme) -> Shades:
    """Return the shades of a log in a mode."""
    make = {Mode.CONSTRAINT: _by_constraint, Mode.TENANT: _by_tenant, Mode.WAITED: _by_time_waited}
    return by_state(theme) if mode is Mode.STATE else make[mode](film, theme)


@lru_cache(maxsize=16)
def by_state(theme: Theme) -> Shades:
    """Return the shades of what agents do, which are the same for every log: a category is a phase."""
    order, rare = tuple(map(int, _PRECEDENCE)), tuple(map(int, RARE))
    legend = tuple(map(int, LEGEND))
    return Shades(
        Mode.STATE,
        theme.paint,
        _NAMES_OF_PHASES,
        theme.cells,
        legend,
        order,
        lambda state: state.phase,
        rare,
        _BRIEF,
    )


@lru_cache(maxsize=16)
def by_difference(theme: Theme) -> Shades:
    """Return the shades of what agents do in two logs: phases of those who do the same, dim, and of those who do not."""
    same, differs = list(theme.cells), list(theme.cells)
    for phase in Phase:
        differs[phase] = _DIFFERS[theme.paint].get(phase, theme.cells[phase])
        if phase != Phase.ABSENT:
            same[phase] = _dimmed(theme.cells[phase], theme)
    order = (*(len(Phase) + phase for phase in _PRECEDENCE), *map(int, _PRECEDENCE))
    return Shades(
        Mode.STATE,
        theme.paint,
        (*(f"{label} in both" for label in _NAMES_OF_PHASES), *_NAMES_OF_PHASES),
        (*same, *differs),
        (),
        order,
        lambda state: state.phase,
    )


@lru_cache(maxsize=16)
def in_both(theme: Theme) -> Shades:
    """Return the shades with which a legend counts what agents do in one of two logs: in the looks of those who differ."""
    looks = by_difference(theme).looks[len(Phase) :]
    return replace(by_state(theme), looks=looks, rare=(*map(int, RARE), int(Phase.ABSENT)))


def _dimmed(look: int, theme: Theme) -> int:
    if theme.paint is Paint.RGB:
        return sum((look >> shift & 0xFF) // 3 << shift for shift in (16, 8, 0))
    return ord(chr(look).lower()) if theme.letters else theme.dim


def _by_constraint(film: Film, theme: Theme) -> Shades:
    """Shade the agents that are blocked by what they wait for."""
    waited = [steps.areas(np.array([film.end_ns])).item() for steps in film.waiting]
    names, number = _ranked([entry.id for entry in film.header.constraints], waited, theme)
    table = np.append(number, _REST)  # an agent that waits for nothing has constraint -1

    def of(state: Moment) -> Categories:
        blocked = np.where(state.phase == Phase.BLOCKED, table[state.agents.constraint], _REST)
        return np.where(state.phase == Phase.ABSENT, Phase.ABSENT, blocked)

    return _focus(Mode.CONSTRAINT, names, _looks(names, theme), theme, of)


def _by_tenant(film: Film, theme: Theme) -> Shades:
    """Shade the agents that run, wait or back off by their tenant; a fleet without one stands for itself."""
    owners = [fleet.name if fleet.tenant is None else fleet.tenant for fleet in film.header.fleets]
    tenants = list(dict.fromkeys(owners))
    fleets, _ = film.roster.places(np.arange(film.agents))
    of_fleet = np.array([tenants.index(owner) for owner in owners], np.int64)
    sizes = np.bincount(of_fleet[fleets], minlength=len(tenants))
    names, number = _ranked(tenants, sizes.tolist(), theme)
    of_agent = number[of_fleet[fleets]]

    def of(state: Moment) -> Categories:
        busy = np.isin(state.phase, (Phase.RUNNING, Phase.BLOCKED, Phase.BACKING_OFF))
        return np.where(state.phase == Phase.ABSENT, Phase.ABSENT, np.where(busy, of_agent, _REST))

    return _focus(Mode.TENANT, names, _looks(names, theme), theme, of)


def _by_time_waited(film: Film, theme: Theme) -> Shades:
    """Shade the agents that are blocked by how long they have been, in steps that suit the longest of them."""
    looks = _TIMES[theme.paint]
    edges = _edges(film.blocked_ns_max, len(looks) - 1)
    texts = [format_duration(edge) for edge in edges]
    labels = [f"<{texts[0]}", *(f"{text}+" for text in texts)]

    def of(state: Moment) -> Categories:
        waited = np.searchsorted(edges, state.time_ns - state.agents.since_ns, side="right")
        blocked = np.where(state.phase == Phase.BLOCKED, _FIRST + waited, _REST)
        return np.where(state.phase == Phase.ABSENT, Phase.ABSENT, blocked)

    return _focus(Mode.WAITED, labels, looks, theme, of, longest_first=True)


def _focus(
    mode: Mode,
    labels: Sequence[str],
    looks: Sequence[int],
    theme: Theme,
    of: Callable[[Moment], Categories],
    longest_first: bool = False,
) -> Shades:
    """Return shades of these labels, with all that is beside them dimmed."""
    asked = range(_FIRST, _FIRST + len(labels))
    order = (*(reversed(asked) if longest_first else asked), _REST, int(Phase.ABSENT))
    all_labels, all_looks = ("absent", _RESTS[mode], *labels), (theme.background, theme.dim, *looks)
    return Shades(mode, theme.paint, all_labels, all_looks, (*asked, _REST), order, of)


def _ranked(names: Sequence[str], weights: Sequence[float], theme: Theme) -> tuple[list[str], NDArray[np.int64]]:
    """Return the labels, and the category of each name: in the order of the header, those of little weight together."""
    colors = len(_NAMES[theme.paint])
    heaviest = sorted(range(len(names)), key=lambda number: -weights[number])[:colors]
    kept = sorted(heaviest)
    categories = np.full(len(names), _FIRST + len(kept))
    categories[kept] = _FIRST + np.arange(len(kept))
    left = len(names) - len(kept)
    others = [f"{left} others" if left > 1 else "1 other"] if left else []
    return [*(names[number] for number in kept), *others], categories


def _looks(labels: Sequence[str], theme: Theme) -> list[int]:
    """Return a look for each label that `_ranked` returns."""
    return [*_NAMES[theme.paint], _OTHERS[theme.paint]][: len(labels)]


def _edges(longest_ns: int, count: int) -> list[int]:
    """Return so many round times, each at least 1 ns, the last the largest that is not more than the longest."""
    last = max(count, int(np.searchsorted(_ROUND, longest_ns, side="right")))
    return _ROUND[last - count : last]
