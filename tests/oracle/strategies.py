"""Scenarios with everything that the documents describe, small and crowded, so that much happens at one instant.

`rich(*features)` draws a scenario with the features named, by default all of `FEATURES`. Times are short multiples of
100 ms as often as not. Nothing loops without taking time.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

Dict = dict[str, Any]
FEATURES = (
    "policies",
    "reject",
    "queues",
    "strict",
    "room",
    "preempt",
    "choose",
    "fork",
    "hold",
    "graph",
    "spawn",
    "life",
)
QUEUES = ("lifo", "priority", "edf", "sjf", "fair")
SMALL = st.sampled_from([1, 2, 1, 3])


def _ms(number: int) -> str:
    return f"{100 * number}ms"


def _time(low: int, high: int) -> st.SearchStrategy[str]:
    even = st.integers(low, high).map(_ms)
    odd = st.integers(low * 50_000_000, high * 50_000_000).map(lambda n: f"{2 * n + 1}ns")
    return even | even | even | odd


def _duration(low: int = 0, high: int = 4) -> st.SearchStrategy[Any]:
    drawn = st.sampled_from(
        [{"uniform": ["100ms", "400ms"]}, {"exponential": "200ms"}, {"empirical": ["100ms", "200ms", "500ms"]}]
    )
    return _time(max(low, 1), high) | _time(low, high) | drawn if low == 0 else _time(low, high)


@st.composite
def _retry(draw: DrawFn) -> Dict:
    retry: Dict = {"max_attempts": draw(st.integers(2, 4)), "delay": draw(_time(0, 3))}
    optional = {
        "factor": st.sampled_from([1, 1.5, 2]),
        "cap": _time(1, 4),
        "jitter": st.sampled_from(["none", "full", "equal", "decorrelated"]),
        "hold_during_backoff": st.just(True),
        "retry_after": st.just(False),
    }
    for key, values in optional.items():
        if draw(st.integers(0, 3)) == 3:
            retry[key] = draw(values)
    return retry


@st.composite
def _asks(draw: DrawFn, rows: list[Dict], features: tuple[str, ...], held: bool) -> Dict:
    """What a task or a hold asks for, and its policy."""
    asks: Dict = {}
    for row in rows:
        if "scope" not in row and draw(st.booleans()):
            most = row.get("limit", row.get("burst", 1))
            asks.setdefault("needs", {})[row["id"]] = draw(st.integers(1, min(2, most)))
    buckets = [row for row in rows if row["type"] == "rate_limit"]
    if buckets and draw(st.integers(0, 3)) == 3:
        cost = draw(st.just(1) | st.sampled_from([{"uniform": [0, 3]}, {"uniform": [1, 2]}]))
        asks["cost"] = dict.fromkeys(sorted({row["counts"] for row in buckets}), cost)
        for row in buckets:
            if row["id"] in asks.get("needs", {}):
                asks["needs"][row["id"]] = 1
    if {"queues", "preempt"} & set(features):
        if draw(st.booleans()):
            asks["priority"] = draw(st.integers(0, 3))
        if draw(st.integers(0, 2)) == 2:
            asks["deadline"] = draw(_time(1, 6))
    if "policies" in features:
        optional = {
            "patience": _duration(),
            "skip_if": st.sampled_from([0.3, {"cache_hit": 0.5}]),
            "retry": _retry(),
            "on_failure": st.sampled_from(["continue", "stop"]),
        }
        if not held:
            optional |= {"fail": st.sampled_from([0.3, 0.7, [1.0, 0.5, 0.0]]), "timeout": _time(1, 3)}
        for key, values in optional.items():
            if draw(st.integers(0, 3)) == 3:
                asks[key] = draw(values)
    return asks


@st.composite
def _steps(draw: DrawFn, context: Dict, depth: int = 0) -> list[Dict]:
    rows, features = context["rows"], context["features"]
    kinds = ["task", "task", "task", "think"]
    if depth < 2:
        kinds += ["repeat", *(kind for kind in ("choose", "fork", "hold", "graph") if kind in features)]
        kinds += ["spawn"] if context["children"] else []
    steps: list[Dict] = []
    for _ in range(draw(st.integers(1, 3 - min(depth, 2)))):
        kind = draw(st.sampled_from(kinds))
        if kind in ("task", "hold", "graph"):
            name = f"t{context['names']}"
            context["names"] += 1
        if kind == "task":
            steps.append({"task": name, "duration": draw(_duration()), **draw(_asks(rows, features, False))})
        elif kind == "think":
            steps.append({"think": draw(_duration())})
        elif kind == "repeat":
            steps.append({"repeat": draw(st.integers(2, 3)), "steps": draw(_steps(context, depth + 1))})
        elif kind == "choose":
            branches = [{"steps": draw(_steps(context, depth + 1))}, {"weight": draw(st.integers(1, 3))}]
            if draw(st.booleans()):
                branches[1]["steps"] = draw(_steps(context, depth + 1))
            steps.append({"choose": branches})
        elif kind == "fork":
            fork: Dict = {"fork": draw(st.integers(1, 3) | st.just({"uniform": [0, 3]}))}
            if draw(st.booleans()):
                fork["join"] = draw(st.sampled_from(["any", 1] if fork["fork"] == 1 else ["any", 1, 2]))
            if draw(st.integers(0, 2)) == 2:
                fork["width"] = draw(SMALL)
            steps.append({**fork, "steps": draw(_steps(context, depth + 1))})
        elif kind == "hold":
            hold = {"hold": name, **draw(_asks(rows, features, True)), "steps": draw(_steps(context, depth + 1))}
            if draw(st.booleans()):
                hold["give_back"] = True
            steps.append(hold)
        elif kind == "graph":
            nodes: list[Dict] = []
            for number in range(draw(st.integers(1, 4))):
                node = {"task": f"{name}n{number}", "duration": draw(_duration())}
                before = [other["task"] for other in nodes]
                if before:
                    node["after"] = draw(st.lists(st.sampled_from(before), max_size=2, unique=True))
                nodes.append({**node, **draw(_asks(rows, features, False))})
            steps.append({"graph": nodes, "run": draw(st.sampled_from(["dataflow", "stages"]))})
        else:
            spawn: Dict = {"spawn": draw(st.sampled_from(context["children"])), "count": draw(SMALL)}
            if draw(st.integers(0, 2)) == 2:
                spawn["wait"] = False
            if draw(st.integers(0, 2)) == 2:
                spawn["depth"] = draw(st.integers(1, 2))
            steps.append(spawn)
    if depth == 0 and "policies" in features and len(steps) > 1:
        _jump(draw, steps)
    return steps


def _jump(draw: DrawFn, steps: list[Dict]) -> None:
    """Let a task that fails now and then go on with another step, after some thinking."""
    last = steps[-1]
    if "task" in last and draw(st.integers(0, 2)) == 2:
        steps.insert(0, {"think": draw(_time(1, 3)), "name": "again"})
        last |= {"fail": 0.4, "on_failure": {"goto": "again"}}
        last.pop("timeout", None)
        last.pop("retry", None)


@st.composite
def _constraint(draw: DrawFn, number: int, features: tuple[str, ...], fleets: list[str]) -> Dict:
    kind = draw(st.sampled_from(["concurrency", "concurrency", "rate_limit", "pause"]))
    row: Dict = {"id": f"c{number}", "type": kind}
    scope = draw(st.sampled_from(["global", "global", *(f"fleet:{name}" for name in fleets), "tenant:red", None]))
    if scope is not None or kind == "pause":
        row["scope"] = scope or "global"
    at = [_ms(moment) for moment in sorted(draw(st.lists(st.integers(1, 12), max_size=3, unique=True)))]
    if at and draw(st.booleans()):
        row["from"] = at.pop(0)
    if kind == "pause":
        row["expires"] = at.pop() if at else "1500ms"
    elif kind == "concurrency":
        row["limit"] = draw(SMALL)
        if at:
            row["changes"] = [{"at": moment, "limit": draw(SMALL)} for moment in at]
    else:
        row |= {"rate": draw(st.sampled_from(["5/s", "10/s", "2/s", "3/s", "7/s"])), "burst": draw(SMALL)}
        row["counts"] = draw(st.sampled_from(["requests", "tokens"]))
        if at:
            row["changes"] = [{"at": moment, "burst": draw(SMALL)} for moment in at]
    if "reject" in features and draw(st.integers(0, 4)) == 4:
        row["on_limit"] = "reject"
    if "queues" in features and draw(st.booleans()):
        row["queue"] = draw(st.sampled_from(context_queues(features)))
        if row["queue"] == "fair":
            row["fair_by"] = draw(st.sampled_from(["tenant", "fleet"]))
    if "strict" in features and draw(st.integers(0, 2)) == 2:
        row["admission"] = "strict"
    if "room" in features and draw(st.integers(0, 2)) == 2:
        row |= {"room": draw(st.integers(0, 2)), "overflow": draw(st.sampled_from(["newest", "oldest", "all"]))}
    if "preempt" in features and kind == "concurrency" and draw(st.booleans()):
        row |= {"queue": "priority", "preempt": draw(st.sampled_from(["resume", "restart", "resample", "fail"]))}
    return row


def context_queues(features: tuple[str, ...]) -> list[str]:
    return [queue for queue in QUEUES if f"no {queue}" not in features]


@st.composite
def rich(draw: DrawFn, *features: str) -> Dict:
    """A scenario with the features named."""
    chosen = tuple(feature for feature in features or FEATURES if features or draw(st.booleans()))
    closed = ["a", "b", "c"][: draw(st.sampled_from([1, 2, 2, 3]))]
    children = ["k", "m"] if "spawn" in chosen else []
    rows = [draw(_constraint(number, chosen, closed)) for number in range(draw(st.sampled_from([1, 2, 2, 3])))]
    fleets: list[Dict] = []
    for name in [*closed, *children]:
        fleet: Dict = {"name": name}
        if name in children:
            later = children[children.index(name) + 1 :]
        else:
            later = children
            if draw(st.integers(0, 2)) == 2:
                fleet["arrivals"] = {
                    "at": [_ms(n) for n in sorted(draw(st.lists(st.integers(0, 6), min_size=1, max_size=4)))]
                }
            else:
                fleet["count"] = draw(st.integers(1, 3 if children else 4))
        if draw(st.booleans()):
            fleet["tenant"] = draw(st.sampled_from(["red", "blue"]))
        if "queues" in chosen and draw(st.booleans()):
            fleet |= {"priority": draw(st.integers(0, 2)), "weight": draw(SMALL)}
        if "life" in chosen and draw(st.booleans()):
            fleet["life"] = draw(_duration(1, 9))
        context = {"rows": rows, "features": chosen, "children": later, "names": 0}
        fleet["steps"] = draw(_steps(context))
        fleets.append(fleet)
    tenants = {"tenants": {"red": {"weight": 2}, "blue": {}}} if draw(st.booleans()) else {}
    return {
        "name": "rich",
        "seed": draw(st.integers(0, 3)),
        "until": "4s",
        "constraints": rows,
        "fleets": fleets,
        **tenants,
    }
