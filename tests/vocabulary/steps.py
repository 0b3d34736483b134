"""What an agent goes through: steps of every kind, within each other."""

from dataclasses import dataclass, field
from string import ascii_lowercase
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from .asking import asks
from .common import Dict, Draws, chances, durations, optional, seldom, times

DEPTH_MAX = 2
WITHIN = ("repeat", "choose", "fork", "hold", "graph")


@dataclass
class Context:
    """What the steps of a fleet are drawn from, and the names that are taken."""

    rows: list[Dict]
    draws: Draws
    children: list[str]
    own: str | None = None
    """The fleet itself, where it is spawned: then it may spawn itself, a few generations deep."""
    ends: bool = True
    wild: bool = False
    """Whether loops may take no time."""
    names: int = 0
    jumps: list[str] = field(default_factory=list)
    """Where a failure may lead back to, from here."""

    def name(self) -> str:
        """Return a name without digits, which scopes might take for an agent's."""
        self.names += 1
        more, last = divmod(self.names - 1, len(ascii_lowercase))
        return f"t{'z' * more}{ascii_lowercase[last]}"


@st.composite
def steps(draw: DrawFn, context: Context, depth: int = 0) -> list[Dict]:
    """Some steps."""
    found: list[Dict] = []
    jumps = list(context.jumps)
    if context.ends and seldom(draw, 5):
        # What a failure leads back to takes time, so that nothing goes round at one instant.
        found.append({"think": draw(times(0 if context.wild else 1, 3)), "name": f"again{context.names}"})
        context.jumps.append(found[0]["name"])
        context.names += 1
    kinds = ["task", "task", "think", *(WITHIN if depth < DEPTH_MAX else ())]
    kinds += ["spawn"] if context.children or context.own else []
    for _ in range(draw(st.sampled_from([1, 2, 3] if depth == 0 else [1, 1, 2]))):
        found.append(draw(_DRAWN[draw(st.sampled_from(kinds))](context, depth)))
    context.jumps = jumps
    return found


@st.composite
def _think(draw: DrawFn, context: Context, depth: int) -> Dict:
    return {"think": draw(durations(context.draws))}


@st.composite
def task(draw: DrawFn, context: Context, depth: int, may_jump: bool = True) -> Dict:
    """A task; where it fails it may go on with a step before it."""
    name = context.name()
    step = {"task": name, "duration": draw(durations(context.draws)), **draw(asks(context.rows, context.draws, False))}
    if may_jump and context.jumps and seldom(draw, 2):
        step["on_failure"] = {"goto": draw(st.sampled_from(context.jumps))}
        step.setdefault("fail", draw(chances(context.draws)))
    return step


@st.composite
def _repeat(draw: DrawFn, context: Context, depth: int) -> Dict:
    if context.ends and depth == 0 and seldom(draw, 3):
        inner = draw(steps(context, depth + 1))
        pause = durations("none" if context.draws == "none" else "exact", 0 if context.wild else 2, 5)
        return {"repeat": "forever", "steps": [{"think": draw(pause)}, *inner]}
    return {"repeat": draw(st.integers(2, 3)), "steps": draw(steps(context, depth + 1))}


@st.composite
def _choose(draw: DrawFn, context: Context, depth: int) -> Dict:
    branches: list[Dict] = [{"steps": draw(steps(context, depth + 1))}]
    if context.draws != "none":
        branches.append({"weight": draw(st.sampled_from([1, 3, 0.5]))})
        optional(draw, branches[1], 2, steps=steps(context, depth + 1))
    return {"choose": branches}


def _inner(draw: DrawFn, context: Context, depth: int) -> list[Dict]:
    """Draw steps out of which nothing jumps."""
    jumps, context.jumps = context.jumps, []
    inner = draw(steps(context, depth + 1))
    context.jumps = jumps
    return inner


@st.composite
def _fork(draw: DrawFn, context: Context, depth: int) -> Dict:
    copies: Any = draw(st.integers(1, 3))
    if context.draws != "none" and seldom(draw, 3):
        copies = {"uniform": [0, 3]}
    step: Dict = {"fork": copies}
    counts = [1, 2] if isinstance(copies, dict) else list(range(1, copies + 1))
    optional(draw, step, 2, join=st.sampled_from(["any", *counts]))
    optional(draw, step, 3, width=st.integers(1, 2))
    return {**step, "steps": _inner(draw, context, depth)}


@st.composite
def _hold(draw: DrawFn, context: Context, depth: int) -> Dict:
    step = {"hold": context.name(), **draw(asks(context.rows, context.draws, True))}
    optional(draw, step, 2, give_back=st.just(True))
    return {**step, "steps": _inner(draw, context, depth)}


@st.composite
def _graph(draw: DrawFn, context: Context, depth: int) -> Dict:
    nodes: list[Dict] = []
    for _ in range(draw(st.integers(1, 4))):
        before = [node["task"] for node in nodes]
        node = draw(task(context, depth, may_jump=False))
        if before:
            node["after"] = draw(st.lists(st.sampled_from(before), max_size=2, unique=True))
        nodes.append(node)
    return {"graph": nodes, "run": draw(st.sampled_from(["dataflow", "stages"]))}


@st.composite
def _spawn(draw: DrawFn, context: Context, depth: int) -> Dict:
    child = draw(st.sampled_from([*context.children, *([context.own] if context.own else [])]))
    step: Dict = {"spawn": child}
    drawn = [] if context.draws == "none" else [{"uniform": [0, 2]}]
    optional(draw, step, 2, count=st.sampled_from([2, 1, *drawn]))
    optional(draw, step, 3, wait=st.just(False), depth=st.integers(1, 2))
    if child == context.own:
        step |= {"count": 1, "depth": draw(st.integers(1, 3))}  # more would be many after a few generations
    return step


_DRAWN = {
    "think": _think,
    "task": task,
    "repeat": _repeat,
    "choose": _choose,
    "fork": _fork,
    "hold": _hold,
    "graph": _graph,
    "spawn": _spawn,
}
