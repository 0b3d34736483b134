"""What the colours of cells stand for: categories worked out by hand, looks that stay the same all through a log."""

import numpy as np
import pytest
from fleet_logs import S, concurrency, header, log, loop, row

from model.events import Kind
from model.header import FleetEntry, Header
from model.state import Phase
from render.film import Film
from render.grid import grid
from render.palette import FULL, LETTERS, SIXTEEN, Theme
from render.shades import Mode, Shades, by_state, shades
from render.status import legend

THEMES = pytest.mark.parametrize("theme", [FULL, SIXTEEN, LETTERS], ids=["full", "sixteen", "letters"])


def tenants(*owners: str | None) -> Header:
    """Two agents a fleet, each fleet with its tenant."""
    plain = header({f"fleet{number}": 2 for number in range(len(owners))}, [concurrency("c", 1)])
    fleets = [FleetEntry(each.name, each.first, 2, own, 0) for each, own in zip(plain.fleets, owners, strict=True)]
    return Header("tenants", 1, None, tuple(fleets), plain.steps, plain.constraints, {}, {})


def named(found: Shades, film: Film, time_ns: int) -> list[str]:
    return [found.labels[category] for category in found.of(film.at(time_ns)).tolist()]


def text(lines) -> str:
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def waits_for(*constraints: tuple[str, int]) -> Film:
    """A film in which one agent after another is blocked from 1 s on, for so many seconds, by the constraint named."""
    head = header({"a": len(constraints)}, [concurrency(name, 1) for name in dict.fromkeys(n for n, _ in constraints)])
    ids = [entry.id for entry in head.constraints]
    rows = [row(0, Kind.AgentStarted, agent) for agent in range(len(constraints))]
    rows += [row(S, Kind.TaskBlocked, agent, 0, ids.index(name)) for agent, (name, _) in enumerate(constraints)]
    ends = sorted((S + seconds * S, agent, ids.index(name)) for agent, (name, seconds) in enumerate(constraints))
    rows += [row(time, Kind.TaskResumed, agent, 0, number) for time, agent, number in ends]
    return Film(log(head, [*rows, row(1000 * S, Kind.RunFinished)]))


def test_the_state_is_the_phase():
    film = waits_for(("c", 3), ("c", 9))
    assert named(shades(film, Mode.STATE, FULL), film, 4 * S) == ["thinking", "blocked"]
    assert by_state(FULL).looks == FULL.cells


def test_those_who_are_blocked_are_shaded_by_what_they_wait_for():
    film = waits_for(("one", 3), ("two", 9), ("one", 9))
    found = shades(film, Mode.CONSTRAINT, LETTERS)
    assert named(found, film, 0) == ["not blocked"] * 3
    assert named(found, film, S) == ["one", "two", "one"]
    assert named(found, film, 4 * S) == ["not blocked", "two", "one"]
    assert text(grid(film.at(4 * S), 3, 1, LETTERS, found)) == ".BA"
    assert text([legend(film.at(4 * S), 40, LETTERS, found)]) == "A 1 one    B 1 two    . 1 not blocked"


def test_more_constraints_than_colours_are_others():
    # Nine constraints: the two that are waited for least, the third and the last, are the others.
    seconds = [5, 9, 1, 7, 8, 6, 4, 3, 2]
    film = waits_for(*((f"limit{number}", each) for number, each in enumerate(seconds)))
    for theme in (FULL, SIXTEEN, LETTERS):
        found = shades(film, Mode.CONSTRAINT, theme)
        expected = [f"limit{number}" if number not in (2, 8) else "2 others" for number in range(9)]
        assert named(found, film, S) == expected
        assert len(set(found.looks)) == len(found.looks) == 10  # absent, idle, seven, others


def test_those_who_run_or_wait_are_shaded_by_their_tenant():
    rows = [row(0, Kind.AgentStarted, agent) for agent in range(7)]
    rows += [row(1, Kind.TaskStarted, agent, agent // 2) for agent in (0, 2, 4)]
    rows += [row(1, Kind.TaskBlocked, 6, 3, 0), row(9, Kind.RunFinished)]
    film = Film(log(tenants("red", "blue", "red", None), rows))
    found = shades(film, Mode.TENANT, LETTERS)
    assert found.labels[2:] == ("red", "blue", "fleet3")
    rest = "idle"
    assert named(found, film, 1) == ["red", rest, "blue", rest, "red", rest, "fleet3", "absent"]


def test_time_waited_goes_up_in_round_steps_to_the_longest_wait():
    film = waits_for(("c", 3), ("c", 130))
    found = shades(film, Mode.WAITED, LETTERS)
    assert film.blocked_ns_max == 130 * S
    assert found.labels[2:] == ("<5s", "5s+", "10s+", "20s+", "1m+", "2m+")
    waited = {1: "<5s", 5: "<5s", 6: "5s+", 12: "10s+", 60: "20s+", 61: "1m+", 125: "2m+"}
    assert {second: named(found, film, second * S)[1] for second in waited} == waited
    assert named(found, film, 4 * S)[0] == "not blocked"
    assert found.of(film.at(125 * S)).tolist() == [1, 7]


def test_a_narrow_legend_has_names_and_no_counts():
    film = waits_for(("c", 3), ("c", 130))
    found, now = shades(film, Mode.WAITED, LETTERS), film.at(125 * S)
    said = {width: text([legend(now, width, LETTERS, found)]) for width in (80, 40, 37, 36)}
    assert said[80] == "1 0 <5s   2 0 5s+   3 0 10s+   4 0 20s+   5 0 1m+   6 1 2m+   . 1 not blocked"
    assert said[40] == said[37] == "1 <5s 2 5s+ 3 10s+ 4 20s+ 5 1m+ 6 2m+"
    assert said[36] == "1 0 2 0 3 0 4 0 5 0 6 1 . 1"
    state = film.at(S)
    assert text([legend(state, 20, LETTERS)]) == "R 0 B 2 . 0 - 0"


def test_a_log_in_which_nobody_waits_has_all_modes():
    film = Film(log(header({"a": 2}), [row(0, Kind.AgentStarted, 0), row(5, Kind.RunFinished)]))
    assert film.blocked_ns_max == 0
    for mode in Mode:
        assert named(shades(film, mode, FULL), film, 3)[1] == "absent"


def test_the_longest_time_blocked_is_that_of_the_fold():
    head = header({"a": 12, "b": 30}, [concurrency("c", 2), concurrency("d", 5)])
    rows = loop(head, 6 * S, stagger=S // 10, visits=3)
    since: dict[int, int] = {}
    lasted = [0]
    for time, kind, agent, *_ in rows:
        if kind == Kind.TaskBlocked:
            since[agent] = time
        if kind == Kind.TaskResumed:
            lasted.append(time - since.pop(agent))
    assert Film(log(head, rows)).blocked_ns_max == max([*lasted, *(6 * S - time for time in since.values())])


@THEMES
@pytest.mark.parametrize("mode", Mode)
def test_every_category_has_a_look_of_its_own(mode: Mode, theme: Theme):
    head = tenants(*(f"tenant{number}" for number in range(9)))
    film = Film(log(head, [row(0, Kind.AgentStarted, 0), row(60 * S, Kind.RunFinished)]))
    found = shades(film, mode, theme)
    assert len(set(found.looks)) == len(found.looks) == len(found.labels)
    assert sorted(found.order) == list(range(len(found)))
    assert set(found.legend) | set(found.rare) == set(range(len(found))) - {Phase.ABSENT}


@THEMES
def test_a_cell_of_several_agents_takes_the_category_of_most(theme: Theme):
    film = waits_for(*[("one", 5)] * 6, *[("two", 5)] * 3)
    found = shades(film, Mode.CONSTRAINT, theme)
    one, two = (found.looks[found.labels.index(name)] for name in ("one", "two"))
    counts = np.array([[0, 0, 6, 0], [0, 0, 0, 3], [0, 2, 0, 5]])
    assert found.blend(counts)[:2].tolist() == [one, two]
    if theme is not FULL:
        assert found.blend(counts)[2] == two
        assert found.blend(np.array([[0, 2, 2, 2]])).tolist() == [one], "who is blocked comes before the rest"


def test_times_get_brighter():
    film = waits_for(("c", 100))
    looks = shades(film, Mode.WAITED, FULL).looks
    bright = [
        sum(weight * (look >> shift & 255) ** 2.2 for weight, shift in ((0.21, 16), (0.72, 8), (0.07, 0)))
        for look in looks
    ]
    assert bright == sorted(bright)
