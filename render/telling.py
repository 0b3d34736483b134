"""The story of an agent in lines: a spell each, and on top what it does now, for whom it waits and who has it.

Rules:

1. A line begins with the time at which its spell began, in the form of the clock above the picture.
2. Where there is less room than story, the end of it is what is shown.
3. How long something took stands before what may be cut, and is never cut itself; a sign says where something was cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from model.events import Status
from model.state import Phase
from model.units import MICRO, counted, format_number
from render.film import Film
from render.line import Line, LineWriter
from render.palette import Theme
from render.status import clock
from render.story import Holder, Holders, Spell, Story, What
from sim.sentences import clock as lasting

HOLDERS = 5
"""How many of those who hold what an agent waits for are named."""
_ENDED = {
    Status.failed: ", failed",
    Status.timed_out: ", timed out",
    Status.cancelled: ", called off",
    Status.preempted: ", pre-empted",
}
_LOOKS = {
    What.WAITED: Phase.BLOCKED,
    What.DEADLOCKED: Phase.BLOCKED,
    What.REFUSED: Phase.BLOCKED,
    What.BACKED_OFF: Phase.BACKING_OFF,
    What.RAN: Phase.RUNNING,
    What.HELD: Phase.RUNNING,
    What.DOWN: Phase.DOWN,
}
_SHUT = {"pause": "a pause", "incident": "an incident", "circuit_breaker": "a breaker"}


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What there is to say about a wait that goes on: how many asked earlier, and who has what is waited for.

    `shut_since_ns` is since when it lets nobody pass, where it is nothing that anybody has.
    """

    spell: Spell
    ahead: int
    holders: Holders | None
    is_held: bool
    shut_since_ns: int | None = None


class Teller:
    """Writes about the agents of a film."""

    def __init__(self, film: Film, theme: Theme) -> None:
        self._film, self._theme = film, theme

    def lines(
        self,
        story: Story,
        time_ns: int,
        hindrances: Sequence[Hindrance] | None,
        chosen: int,
        width: int,
        height: int,
        where: str = "",
    ) -> list[Line]:
        """Return `height` lines, each `width` wide. Without `hindrances` they are being looked for.

        Of those who hold, the one at the place `chosen` is pointed at. Of several logs `where` says which one it is.
        """
        spells = story.at(time_ns)
        now = [spell for spell in spells if spell.to_ns is None]
        lines = [self._title(story, time_ns, width, where)]
        for spell in now:
            lines.append(self._line(self._now(spell, story), self._look(spell), width, bold=True))
            lasted = lasting(time_ns - spell.from_ns)
            since = self._fitted(f"  since {self._clock(spell.from_ns)}, for {lasted}", lasted, width)
            lines.append(self._line(since, self._theme.ink, width))
        if any(spell.what is What.WAITED for spell in now):
            lines += self._hindered(hindrances, chosen, width)
        past = [spell for spell in spells if spell.to_ns is not None]
        lines.append(self._line("", self._theme.faint, width))
        room = max(0, height - len(lines))
        if len(past) > room:
            left = len(past) - max(0, room - 1)
            lines.append(self._line(f"{left:,} before", self._theme.faint, width))
            past = past[left:]
        lines += [self._spell(spell, story, width) for spell in past]
        lines += [self._line("", self._theme.faint, width)] * (height - len(lines))
        return lines[:height]

    def _title(self, story: Story, time_ns: int, width: int, where: str) -> Line:
        line = LineWriter(width, self._theme)
        if where:
            line.write(f"in {self._theme.shorten(self._theme.clean(where), width // 3)}: ", self._theme.faint)
        state = ""
        if story.began_ns is None or story.began_ns > time_ns:
            state = "  has not come yet"
        elif story.ended_ns is not None and story.ended_ns <= time_ns:
            state = f"  finished at {self._clock(story.ended_ns)}"
        name = self._theme.clean(self._film.roster.name(story.agent))
        line.write(self._theme.shorten(name, line.room), self._theme.ink, bold=True)
        line.write(self._theme.shorten(state, line.room), self._theme.faint)
        return line.done()

    def _now(self, spell: Spell, story: Story) -> str:
        task = self._task(spell)
        return {
            What.THOUGHT: f"thinks{', or waits for others' if story.may_wait_for_others else ''}",
            What.WAITED: f"waits for {self._limit(spell)} with {task}",
            What.RAN: f"runs {task}",
            What.HELD: f"holds what {task} asked for",
            What.BACKED_OFF: f"backs off from {task}",
            What.DOWN: "is down",
        }[spell.what]

    def _hindered(self, hindrances: Sequence[Hindrance] | None, chosen: int, width: int) -> list[Line]:
        theme = self._theme
        if hindrances is None:
            return [self._line("  looking for who has it ...", theme.faint, width)]
        lines, place = [], 0
        for each in hindrances:
            entry = self._film.header.constraints[each.spell.constraint]
            earlier = counted(each.ahead, "asked earlier and still waits", "asked earlier and still wait")
            ahead = earlier if each.ahead else "nobody who asked earlier waits"
            lines.append(self._line(f"  {ahead}", theme.ink, width))
            if each.shut_since_ns is not None:
                what = _SHUT.get(entry.type, entry.type)
                lines.append(
                    self._line(f"  {what}, as it is since {self._clock(each.shut_since_ns)}", theme.ink, width)
                )
            if each.holders is None:
                continue
            verb = "held by" if each.is_held else "what it gives was taken by"
            lines.append(self._line(f"  {verb} {each.holders.count:,}", theme.faint, width))
            for holder in each.holders.most:
                is_chosen = place == chosen
                text = f"  {'>' if is_chosen else ' '} {self._holder(holder, entry.type)}"
                lines.append(self._line(text, theme.ink if is_chosen else theme.faint, width, bold=is_chosen))
                place += 1
        return lines

    def _holder(self, holder: Holder, type_: str) -> str:
        amount = format_number(holder.amount / MICRO, 6) if type_ in ("resource", "quota") else f"{holder.amount:,}"
        name = self._film.roster.task_name(holder.agent, holder.step) or ""
        return f"{self._theme.clean(name)}  {amount} since {self._clock(holder.since_ns)}"

    def _spell(self, spell: Spell, story: Story, width: int) -> Line:
        line = LineWriter(width, self._theme)
        end = self._clock(self._film.end_ns)
        line.write(f"{self._clock(spell.from_ns).rjust(len(end))}  ", self._theme.faint)
        lasted = lasting((spell.to_ns or 0) - spell.from_ns)
        line.write(self._fitted(self._past(spell, story, lasted), lasted, line.room), self._look(spell))
        return line.done()

    def _past(self, spell: Spell, story: Story, lasted: str) -> str:
        task, ended = self._task(spell), "" if spell.status is None else _ENDED.get(spell.status, "")
        return {
            What.THOUGHT: f"thought {lasted}{', or waited for others' if story.may_wait_for_others else ''}",
            What.WAITED: f"waited {lasted} for {self._limit(spell)}",
            What.RAN: f"ran {lasted}{ended}: {task}",
            What.HELD: f"held {lasted}{ended}: what {task} asked for",
            What.BACKED_OFF: f"backed off {lasted}",
            What.DOWN: f"was down {lasted}",
            What.REFUSED: f"was refused by {self._limit(spell)}",
            What.SKIPPED: f"skipped {task}",
            What.DEADLOCKED: "is caught in a deadlock",
        }[spell.what]

    def _task(self, spell: Spell) -> str:
        if spell.step < 0:
            return ""
        name = self._theme.clean(self._film.header.steps[spell.step].name)
        attempt = f", attempt {spell.attempt + 1}" if spell.attempt > 0 else ""
        return f"{name} (visit {spell.visit}{attempt})"

    def _limit(self, spell: Spell) -> str:
        if spell.constraint < 0:
            return ""
        return self._theme.clean(self._film.header.constraints[spell.constraint].id)

    def _fitted(self, text: str, lasted: str, width: int) -> str:
        """Return the text, cut to a width, with the duration `lasted` as a whole or not at all."""
        begin = text.rfind(lasted) if text.endswith(lasted) else text.find(lasted)
        end = begin + len(lasted)
        if begin < 0 or not begin < width <= end or len(text) <= width:
            return self._theme.shorten(text, width)
        return text[:end] if width == end else self._theme.shorten(text, begin)

    def _look(self, spell: Spell) -> int:
        phase = _LOOKS.get(spell.what)
        return self._theme.faint if phase is None else self._theme.cells[phase]

    def _clock(self, ns: int) -> str:
        return clock(ns, self._film.end_ns)

    def _line(self, text: str, look: int, width: int, bold: bool = False) -> Line:
        line = LineWriter(width, self._theme)
        line.write(self._theme.shorten(text, width), look, bold)
        return line.done()
