"""Scenes for tests of the player: films written without an engine, at a moment, in a theme."""

from fleet_logs import S, concurrency, header, log, loop, row

from model.events import Kind
from model.log import Log
from render.film import Film
from render.palette import FULL, Theme
from render.playback import Playback
from render.scene import Scene


def fleets(limit: int = 5) -> Log:
    limits = [concurrency("llm", limit), concurrency("sandbox", 4)]
    head = header({"planner": 40, "coder": 120, "reviewer": 12}, limits)
    return log(head, loop(head, 9 * S, stagger=S // 20, visits=3))


def bottleneck(limit: int = 30, agents: int = 300) -> Log:
    head = header({"agent": agents}, [concurrency("funnel", limit)])
    return log(head, loop(head, 5 * S))


def deadlock() -> Log:
    """Two agents, an incident from 2 s to 4 s, and a deadlock at 6 s; the end is at 10 s."""
    head = header({"a": 2}, [concurrency("slot", 1)])
    bad = type(head.constraints[0])("bad", "incident", None, None, ((0, None),))
    head = type(head)(head.name, 1, None, head.fleets, head.steps, (*head.constraints, bad), {}, {})
    rows = [row(0, Kind.AgentStarted, 0), row(0, Kind.AgentStarted, 1), row(S, Kind.TaskStarted, 0)]
    rows += [row(2 * S, Kind.ConstraintChanged, step=-1, constraint=1, value=0)]
    rows += [row(4 * S, Kind.ConstraintChanged, step=-1, constraint=1, value=-1)]
    rows += [row(5 * S, Kind.TaskBlocked, 1, 0, 0), row(6 * S, Kind.DeadlockDetected, 1, value=2)]
    return log(head, [*rows, row(10 * S, Kind.RunFinished)])


def scene(*logs: Log, at_ns: int = 0, theme: Theme = FULL) -> Scene:
    """A scene of one log or two, paused at a moment."""
    films = [(name, Film(each)) for name, each in zip("AB", logs, strict=False)]
    playback = Playback(tuple(film for _, film in films))
    playback.playing = False
    playback.go(at_ns)
    found = Scene(films, playback, theme)
    found.update()
    return found
