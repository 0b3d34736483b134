"""All that the player shows, part by part: a function of the logs, the moment, what was chosen, the size and the theme.

Rules:

1. It knows nothing of a terminal, of keys or of clocks: `Playback` says which moment it is, and who calls says how large.
2. One log has one picture. Two logs have one each, in the same places: an agent is the same in both by its fleet and its
   number there (`sim.analysis.sides`). Those who do the same in both are dim.
3. What takes long (who holds what) is looked for when `look` is called, which may be in another thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from model.state import Phase
from render.chart import Chart
from render.film import Film
from render.grid import (
    Arrangement,
    Fleets,
    Layout,
    Seam,
    best_arrangement,
    fleets_of,
    layout,
    picture,
    seams,
    spawned_name,
)
from render.line import Line, LineWriter
from render.palette import Theme
from render.playback import Playback
from render.shades import Categories, Mode, Shades, by_difference, in_both, shades
from render.status import clock, constraints, counted
from render.story import Stakes, Story, What
from render.telling import HOLDERS, Hindrance, Teller
from sim.analysis.sides import Shared

_BESIDE_MIN = 30
"""Two pictures are beside each other where each has at least so many columns."""
_GAP = 2


@dataclass(frozen=True, slots=True)
class Seen:
    """What has been looked for: about which agent, at which moment, and what was found."""

    side: int
    agent: int
    time_ns: int
    hindrances: tuple[Hindrance, ...]


class Side:
    """A film, what there is to know about it, and the place of each of its agents in a picture."""

    def __init__(
        self, film: Film, name: str, places: NDArray[np.int64] | None, films: Sequence[Film], theme: Theme
    ) -> None:
        self.film, self.name, self.places = film, name, places
        self.stakes = Stakes(film)
        self.teller = Teller(film, theme)
        self.chart = Chart(film, films, theme)
        self.story_of: Callable[[int], Story] = lru_cache(maxsize=4)(lambda agent: Story(film, agent))
        self.moment = film.at(0)
        names = list(dict.fromkeys(entry.id for each in films for entry in each.header.constraints))
        own = [1 + names.index(entry.id) for entry in film.header.constraints]
        self._blockers = np.array([*own, 0], np.int64)  # an agent that waits for nothing has constraint -1
        self._agents = {} if places is None else {place: agent for agent, place in enumerate(places.tolist())}

    def looks(self) -> NDArray[np.int64]:
        """Return a number for what each agent does, the same in all logs: its phase, and by what it is blocked."""
        agents = self.moment.agents
        blocked = np.where(agents.phase == Phase.BLOCKED, self._blockers[agents.constraint], 0)
        looks: NDArray[np.int64] = agents.phase.astype(np.int64) + len(Phase) * blocked
        return looks

    def agent_at(self, place: int) -> int | None:
        """Return the own number of the agent at a place, or None where there is none in this log."""
        return place if self.places is None else self._agents.get(place)

    def spread(self, values: NDArray[np.integer], places: int, absent: int) -> NDArray[np.int64]:
        """Return a value for each place from one for each agent."""
        if self.places is None:
            return values.astype(np.int64)
        found = np.full(places, absent, np.int64)
        found[self.places] = values
        return found


class Scene:
    """One film, or two with one clock, at the moment of a playback."""

    def __init__(self, films: Sequence[tuple[str, Film]], playback: Playback, theme: Theme) -> None:
        """Show films, each with a name."""
        self.theme, self.playback = theme, playback
        self.mode = Mode.STATE
        self.arrangement: Arrangement | None = None
        """None is whatever fits best."""
        self.picked: int | None = None
        self.side = 0
        """The log whose agent is picked."""
        self.chosen = 0
        self.seen: Seen | None = None
        if len(films) == 2:
            self.fleets, numbers = _shared(films[0][1], films[1][1])
        else:
            self.fleets, numbers = fleets_of(films[0][1].header, films[0][1].agents), [None]
        self.sides = [
            Side(film, name, places, [each for _, each in films], theme)
            for (name, film), places in zip(films, numbers, strict=True)
        ]
        self.agents = sum(count for _, _, count in self.fleets)
        self._shades: dict[Mode, Shades] = {}
        self._shown_ns = 0

    @property
    def is_pair(self) -> bool:
        """Whether two logs are compared."""
        return len(self.sides) == 2

    def update(self) -> None:
        """Take over the moment of the playback."""
        if self._shown_ns != self.playback.time_ns:
            self._shown_ns = self.playback.time_ns
            for side in self.sides:
                side.moment = side.film.at(self._shown_ns)

    # What is chosen

    def next_mode(self) -> None:
        """Let the colours stand for something else; of two logs they always stand for the state."""
        modes = list(Mode)
        self.mode = modes[(modes.index(self.mode) + 1) % len(modes)] if not self.is_pair else Mode.STATE

    def next_arrangement(self, width: int, height: int) -> None:
        """Put the fleets side by side, or one below the other."""
        is_stacked = self._arranged(width, height) is Arrangement.STACKED
        self.arrangement = Arrangement.BESIDE if is_stacked else Arrangement.STACKED

    def pick(self, place: int | None, side: int | None = None) -> None:
        """Point at an agent, or at none."""
        self.picked, self.chosen = place, 0
        self.side = self.side if side is None else side

    def pick_at(self, x: int, y: int, width: int, height: int, side: int = 0) -> bool:
        """Point at the agent at a place of a picture of that size; say whether there is one."""
        agent = self.layout(width, height).agent_at(x, y)
        if agent is not None:
            self.pick(agent, side)
        return agent is not None

    def move(self, right: int, below: int, width: int, height: int) -> None:
        """Point at the agent beside the one that is pointed at."""
        plan = self.layout(width, height)
        if not plan.blocks:
            return
        self.pick(0 if self.picked is None else plan.beside(self.picked, right, below))

    def choose(self, by: int) -> None:
        """Point at another of those who hold what the agent waits for."""
        self.chosen = min(max(0, self.chosen + by), max(0, len(self.holders()) - 1))

    def follow(self) -> bool:
        """Go to the story of the holder that is pointed at; say whether there is one."""
        holders, side = self.holders(), self.sides[self.side]
        if self.chosen >= len(holders):
            return False
        agent = holders[self.chosen]
        self.pick(agent if side.places is None else int(side.places[agent]))
        return True

    def look(self) -> Seen | None:
        """Find out who has what the agent waits for that is pointed at; this may take long."""
        side, time_ns = self.sides[self.side], self.playback.time_ns
        agent = None if self.picked is None else side.agent_at(self.picked)
        if agent is None:
            return None
        return Seen(self.side, agent, time_ns, tuple(_hindrances(side, agent, time_ns)))

    def holders(self) -> list[int]:
        """Return those who hold what the agent waits for that is pointed at; nobody as long as that was not looked for."""
        found = self._seen_now() or ()
        return [holder.agent for each in found if each.holders is not None for holder in each.holders.most]

    def _seen_now(self) -> tuple[Hindrance, ...] | None:
        """Return what was found out about the agent that is pointed at, if it is of this moment."""
        side, seen = self.sides[self.side], self.seen
        agent = None if self.picked is None else side.agent_at(self.picked)
        now = (self.side, agent, self.playback.time_ns)
        return seen.hindrances if seen is not None and (seen.side, seen.agent, seen.time_ns) == now else None

    # What is drawn

    def head(self, width: int, has_speed: bool = True, may_pause: bool = True) -> Line:
        """Return the line with the names, the time, the end, and how fast it plays.

        Where it is paused it says so, and the time has all its digits if there is room: events may be microseconds apart.
        """
        theme, playback = self.theme, self.playback
        end = clock(playback.end_ns, playback.end_ns)
        now = clock(playback.time_ns, playback.end_ns).rjust(len(end))
        is_paused = may_pause and not playback.playing
        state = "  paused" if is_paused else ""
        tails = ["", f" / {end}"]
        if has_speed:
            tails += [f" / {end}  {playback.speed:.3g}x", f" / {end}  {playback.speed:.3g}x{state}"]
        name = " | ".join(theme.clean(side.name) for side in self.sides)
        cut = "  cut log" if any(side.film.cut for side in self.sides) else ""
        mode = "" if self.is_pair or self.mode is Mode.STATE else f"  by {self.mode.value}"
        line = LineWriter(width, theme)
        exact = clock(playback.time_ns, playback.end_ns, exact=True)
        if is_paused and cell_len(exact + tails[-1] + cut) + 10 <= width:
            now = exact
        tail = max((each for each in tails if cell_len(now + each + cut) + 10 <= width), key=len, default="")
        left = max(0, width - len(now) - len(tail))
        line.write(theme.shorten(name, max(0, left - 2 - len(cut))), theme.ink, bold=True)
        if line.room >= len(now + tail + cut) + 2:
            line.write(cut, theme.cells[Phase.BLOCKED])
        if line.room >= len(now + tail + mode) + 2:
            line.write(mode, theme.faint)
        line.space(line.room - len(now) - len(tail))
        line.write(now, theme.ink, bold=True)
        line.write(tail, theme.faint)
        return line.done()

    def layout(self, width: int, height: int) -> Layout:
        """Return where the agents are in a picture of that size."""
        return layout(self.fleets, width, height, self.theme.letters, self._arranged(width, height))

    def grid(self, side: int, width: int, height: int) -> list[Line]:
        """Return the picture of one of the logs."""
        colors, categories = self._colors(side)
        plan = self.layout(width, height)
        return picture(plan, categories, colors, width, height, self.theme, self.picked)

    def legend(self, width: int, side: int = 0) -> Line:
        """Return the line that says what the colours mean, and how many agents have each."""
        colors, categories = self._colors(side)
        if not self.is_pair:
            return counted(colors.counts(categories), self.agents, colors, width, self.theme)
        own, theme = self.sides[side], self.theme
        differ = f"{np.count_nonzero(self._differs()):,} differ"
        line = LineWriter(width, theme)
        is_over = self.playback.time_ns > own.film.end_ns
        over = f", over since {clock(own.film.end_ns, self.playback.end_ns)}" if is_over else ""
        name = theme.clean(own.name) + over
        line.write(theme.shorten(name, max(0, width - len(differ) - 2)), theme.ink, bold=True)
        line.space(2)
        line.write(differ.ljust(len(f"{self.agents:,} differ")), theme.ink)
        line.space(2)
        states = in_both(theme)
        counts = states.counts(own.spread(own.moment.phase, self.agents, int(Phase.ABSENT)))
        return [*line.pending(), *counted(counts, self.agents, states, line.room, theme)]

    def still(self, width: int, height: int, is_replayed: bool = False) -> list[Line]:
        """Return all pictures at this moment as one frame of `height` lines: beside each other where there is room.

        Where it is a frame of a replay it says how fast that is.
        """
        count, (beside, own_width, own_height) = len(self.sides), self._parts(width, height)
        parts = [[*self.grid(number, own_width, own_height), self.legend(own_width, number)] for number in range(count)]
        blank = LineWriter(_GAP, self.theme).done()
        if beside > 1:
            rest = LineWriter(width - own_width * count - _GAP * (count - 1), self.theme).done()
            rows = [[*first, *blank, *second, *rest] for first, second in zip(*parts, strict=True)]
        else:
            rows = [line for part in parts for line in part]
        lines = [self.head(width, has_speed=is_replayed, may_pause=False), *rows]
        return [*lines, *[LineWriter(width, self.theme).done()] * (height - len(lines))][:height]

    def seams(self, width: int, height: int) -> list[Seam]:
        """Return where cells touch in a `still` of that size; y counts half lines."""
        beside, own_width, own_height = self._parts(width, height)
        step = (own_width + _GAP, 0) if beside > 1 else (0, own_height + 1)
        own = seams(self.layout(own_width, own_height))
        return [
            each._replace(x=each.x + number * step[0], y=each.y + 2 * (1 + number * step[1]))
            for number in range(len(self.sides))
            for each in own
        ]

    def _parts(self, width: int, height: int) -> tuple[int, int, int]:
        """Return how many pictures of a still are beside each other, and the size of each, without its legend."""
        count = len(self.sides)
        beside = count if width >= _BESIDE_MIN * count else 1
        return beside, (width - _GAP * (beside - 1)) // beside, max(0, (height - 1) // (count // beside) - 1)

    def chart(self, side: int, width: int, height: int) -> list[Line]:
        """Return the time line of one of the logs."""
        return self.sides[side].chart.lines(self.playback.time_ns, width, height)

    def limits(self, side: int, width: int, lines_max: int) -> list[Line]:
        """Return the constraints of one of the logs."""
        own = self.sides[side]
        return constraints(own.moment, width, lines_max, self.theme, own.film.by_weight)

    def story(self, width: int, height: int) -> list[Line]:
        """Return the story of the agent that is pointed at."""
        side = self.sides[self.side]
        agent = None if self.picked is None else side.agent_at(self.picked)
        if agent is None:
            line = LineWriter(width, self.theme)
            text = "click on an agent, or move with the arrow keys"
            line.write(
                self.theme.shorten("not in this log" if self.picked is not None else text, width), self.theme.faint
            )
            blank = LineWriter(width, self.theme).done()
            return [line.done(), *[blank] * (height - 1)][:height]
        time_ns, found = self.playback.time_ns, self._seen_now()
        where = side.name if self.is_pair else ""
        return side.teller.lines(side.story_of(agent), time_ns, found, self.chosen, width, height, where)

    def _arranged(self, width: int, height: int) -> Arrangement:
        if self.arrangement is not None:
            return self.arrangement
        return best_arrangement(self.fleets, width, height, self.theme.letters)

    def _colors(self, side: int) -> tuple[Shades, Categories]:
        own = self.sides[side]
        if self.is_pair:
            states = own.spread(own.moment.phase, self.agents, int(Phase.ABSENT))
            return by_difference(self.theme), states + self._differs() * len(Phase)
        if self.mode not in self._shades:
            self._shades[self.mode] = shades(own.film, self.mode, self.theme)
        colors = self._shades[self.mode]
        return colors, colors.of(own.moment)

    def _differs(self) -> NDArray[np.bool_]:
        """Return for each place whether the agents there do not do the same: the same phase, blocked by the same name."""
        first, second = (side.spread(side.looks(), self.agents, int(Phase.ABSENT)) for side in self.sides)
        return np.asarray(first != second)


def _hindrances(side: Side, agent: int, time_ns: int) -> list[Hindrance]:
    """Return what is in the way of an agent: of several waits for one constraint that which began first."""
    found: list[Hindrance] = []
    for spell in side.story_of(agent).at(time_ns):
        known = any(each.spell.constraint == spell.constraint for each in found)
        if spell.to_ns is not None or spell.what is not What.WAITED or known:
            continue
        stakes, ahead = side.stakes, side.stakes.ahead(spell, time_ns)
        if side.film.header.constraints[spell.constraint].type in ("pause", "incident", "circuit_breaker"):
            since_ns = stakes.shut_since(spell.constraint, time_ns)
            found.append(Hindrance(spell, ahead, None, False, since_ns))
        else:
            holders = stakes.holders(spell.constraint, time_ns, HOLDERS)
            found.append(Hindrance(spell, ahead, holders, stakes.is_held(spell.constraint)))
    return found


def _shared(first: Film, second: Film) -> tuple[Fleets, list[NDArray[np.int64] | None]]:
    """Return the fleets of two films, and the place of each agent of either."""
    shared = Shared(first.header, second.header)
    places: list[NDArray[np.int64] | None] = []
    spawned = 0
    for side, film in zip(shared.sides, (first, second), strict=True):
        side.feed(film.rows)
        numbers = side.agents(np.arange(film.agents))
        places.append(numbers)
        spawned = max(spawned, int(numbers.max(initial=-1)) + 1 - shared.firsts[-1])
    edges = zip(shared.fleets, shared.firsts, shared.firsts[1:], strict=False)
    fleets = tuple((name, start, stop - start) for name, start, stop in edges if stop > start)
    name = spawned_name(max((first, second), key=lambda film: film.agents - film.header.agents).header)
    return ((*fleets, (name, shared.firsts[-1], spawned)) if spawned > 0 else fleets), places
