"""Scenarios with everything that the documents describe, small and crowded, so that much happens at one instant.

`rich(*features)` draws a scenario with the features named; `FEATURES` has them all. Times are short multiples of 100 ms as
often as not. Nothing loops without taking time. A constant amount is never more than its limit has at the best of times,
a drawn one may be.

Of the 200 scenarios that mix everything, so many have an event of a kind:

    blocked   52 %    acquired  65 %    limit changed  70 %    retrying   22 %    skipped   40 %    called off  30 %
    resumed   46 %    released  51 %    rejected       36 %    abandoned  22 %    rebound    5 %    timed out   30 %

In the 40 scenarios of one feature alone its own events come in most. Rare are queues by deadline or by duration in which
somebody waits when another thing changes, and pre-emption (one in five where it is asked for).
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

Dict = dict[str, Any]
QUEUES = ("lifo", "priority", "edf", "sjf", "fair")
FEATURES = (
    "policies",  # failures, time-outs, retries, patience, skips, jumps
    "reject",
    *QUEUES,
    "random",
    "strict",
    "room",
    "preempt",
    "choose",
    "fork",
    "hold",
    "graph",
    "spawn",
    "life",
    "acquire",
    "window",  # fixed and sliding ones, and quotas
    "resource",
    "charge",  # at the end, or reserved and settled
    "hear",  # circuit breakers and adaptive limits
    "changes",  # of every kind: replaced, expired, again and again
    "sharing",
    "incidents",
    "crash",
    "provider",  # windows from first use and in slices, ramps, caches, what a refusal says
)
SMALL = st.sampled_from([1, 2, 1, 3])
COUNTED = ("requests", "tokens")
UNTIL_MS = 4000


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


def _one_in(draw: DrawFn, number: int) -> bool:
    return draw(st.sampled_from([True] + [False] * (number - 1)))


def _optional(draw: DrawFn, values: dict[str, st.SearchStrategy[Any]], one_in: int = 4) -> Dict:
    """Draw each of the values now and then."""
    return {key: draw(value) for key, value in values.items() if _one_in(draw, one_in)}


@st.composite
def _retry(draw: DrawFn) -> Dict:
    retry: Dict = {"max_attempts": draw(st.integers(2, 4)), "delay": draw(_time(0, 3))}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "factor": st.sampled_from([1, 1.5, 2]),
        "cap": _time(1, 4),
        "jitter": st.sampled_from(["none", "full", "equal", "decorrelated"]),
        "hold_during_backoff": st.just(True),
        "retry_after": st.just(False),
        "budget": st.sampled_from([0.5, 0, {"ratio": 0.3, "burst": 1}, {"ratio": 0.5, "burst": 2}]),
    }
    return retry | _optional(draw, optional, one_in=3)


# What tasks ask for.


def _most(row: Dict) -> int:
    """Return the largest constant amount that may be asked of a constraint."""
    return int(row.get("max", row.get("limit", row.get("capacity", row.get("burst", row.get("total", 1))))))


def _needs(draw: DrawFn, rows: list[Dict]) -> Dict:
    needs: Dict = {}
    for row in rows:
        if ("scope" in row and row["type"] != "resource") or row["type"] == "pause" or not draw(st.booleans()):
            continue
        constant = st.integers(1, min(2, _most(row)))
        if row["type"] == "resource":
            amounts = [{"uniform": [0, 2]}, {"uniform": [0.5, 1.5]}, {"empirical": [0.25, 1, 3]}, 0.5]
            needs[row["id"]] = draw(constant | st.sampled_from(amounts))
        elif row["type"] == "circuit_breaker" or row.get("queue") == "processor_sharing":
            needs[row["id"]] = 1
        else:
            needs[row["id"]] = draw(constant)
    return needs


def _cost(draw: DrawFn, context: Dict, needs: Dict) -> Dict:
    rows = context["rows"]
    counted = sorted({row["counts"] for row in rows if "counts" in row})
    charges = {"charge", "provider"} & set(context["features"])
    if not counted or (not charges and draw(st.integers(0, 2))):
        return {}
    drawn = st.sampled_from([{"uniform": [0, 3]}, {"uniform": [1, 2]}, {"empirical": [0, 0, 1, 4]}])
    asks: Dict = {"cost": {unit: draw(st.just(1) | drawn) for unit in counted}}
    for row in rows:
        if "counts" in row and row["id"] in needs:
            needs[row["id"]] = 1
    if "provider" in context["features"] and draw(st.booleans()):
        asks["cached"] = {unit: draw(st.sampled_from([0.5, 0.25, 1.0])) for unit in counted}
    settled = sorted({row["counts"] for row in rows if row.get("charge") == "settle"})
    for unit in settled:
        if draw(st.booleans()):
            asks.setdefault("reserve", {})[unit] = draw(st.just(1) | st.sampled_from([{"uniform": [0, 3]}]))
    return asks


def _governs(row: Dict, fleet: Dict, needs: Dict) -> bool:
    scope = row.get("scope")
    return row["id"] in needs or scope in ("global", f"fleet:{fleet['name']}", f"tenant:{fleet.get('tenant')}")


@st.composite
def _asks(draw: DrawFn, context: Dict, held: bool) -> Dict:
    """What a task or a hold asks for, and its policy."""
    rows, features, fleet = context["rows"], context["features"], context["fleet"]
    needs = _needs(draw, rows)
    shared = [row["id"] for row in rows if row.get("queue") == "processor_sharing" and _governs(row, fleet, needs)]
    for name in shared[1:]:
        needs.pop(name, None)
    asks = _cost(draw, context, needs)
    if needs:
        asks["needs"] = needs
    governing = [row["id"] for row in rows if _governs(row, fleet, needs)]
    if "acquire" in features and governing and draw(st.booleans()):
        asks["acquire"] = draw(st.permutations(governing))[: draw(st.integers(1, len(governing)))]
    if {*QUEUES, "preempt"} & set(features):
        if "preempt" in features or draw(st.booleans()):
            asks["priority"] = draw(st.integers(0, 3))
        if _one_in(draw, 3):
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
        asks |= _optional(draw, optional, one_in=3)
    elif "hear" in features and not held:
        asks |= _optional(draw, {"fail": st.sampled_from([0.5, 1.0, 0.2]), "timeout": _time(1, 3)}, one_in=2)
    return asks


# Steps.


@st.composite
def _steps(draw: DrawFn, context: Dict, depth: int = 0) -> list[Dict]:
    features = context["features"]
    kinds = ["task", "task", "task", "think"]
    if depth < 2:
        kinds += ["repeat", *(kind for kind in ("choose", "fork", "hold", "graph") if kind in features)]
        kinds += ["spawn"] if context["children"] else []
    steps: list[Dict] = []
    for _ in range(draw(st.integers(1, 3 - min(depth, 2)))):
        nested = [kind for kind in kinds if kind not in ("task", "think", "repeat")]
        kind = draw(st.sampled_from(nested if nested and not depth and not steps else kinds))
        name = f"t{context['names']}"
        context["names"] += kind in ("task", "hold", "graph")
        match kind:
            case "task":
                steps.append({"task": name, "duration": draw(_duration()), **draw(_asks(context, False))})
            case "think":
                steps.append({"think": draw(_duration())})
            case "repeat":
                steps.append({"repeat": draw(st.integers(2, 3)), "steps": draw(_steps(context, depth + 1))})
            case "choose":
                branches = [{"steps": draw(_steps(context, depth + 1))}, {"weight": draw(st.integers(1, 3))}]
                if draw(st.booleans()):
                    branches[1]["steps"] = draw(_steps(context, depth + 1))
                steps.append({"choose": branches})
            case "fork":
                steps.append({**draw(_fork()), "steps": draw(_steps(context, depth + 1))})
            case "hold":
                hold = {"hold": name, **draw(_asks(context, True)), "steps": draw(_steps(context, depth + 1))}
                if draw(st.booleans()):
                    hold["give_back"] = True
                steps.append(hold)
            case "graph":
                steps.append(draw(_graph(context, name)))
            case "spawn":
                steps.append(draw(_spawn(context)))
    if depth == 0 and "policies" in features and len(steps) > 1:
        _jump(draw, steps)
    return steps


@st.composite
def _fork(draw: DrawFn) -> Dict:
    fork: Dict = {"fork": draw(st.integers(1, 3) | st.just({"uniform": [0, 3]}))}
    if draw(st.booleans()):
        fork["join"] = draw(st.sampled_from(["any", 1] if fork["fork"] == 1 else ["any", 1, 2]))
    if draw(st.integers(0, 2)) == 2:
        fork["width"] = draw(SMALL)
    return fork


@st.composite
def _graph(draw: DrawFn, context: Dict, name: str) -> Dict:
    nodes: list[Dict] = []
    for number in range(draw(st.integers(1, 4))):
        node = {"task": f"{name}n{number}", "duration": draw(_duration())}
        before = [other["task"] for other in nodes]
        if before:
            node["after"] = draw(st.lists(st.sampled_from(before), max_size=2, unique=True))
        nodes.append({**node, **draw(_asks(context, False))})
    return {"graph": nodes, "run": draw(st.sampled_from(["dataflow", "stages"]))}


@st.composite
def _spawn(draw: DrawFn, context: Dict) -> Dict:
    spawn: Dict = {"spawn": draw(st.sampled_from(context["children"])), "count": draw(SMALL)}
    if draw(st.integers(0, 2)) == 2:
        spawn["count"] = {"uniform": [0, 3]}
    if draw(st.integers(0, 2)) == 2:
        spawn["wait"] = False
    if draw(st.integers(0, 2)) == 2:
        spawn["depth"] = draw(st.integers(1, 2) | st.just({"uniform": [0, 2]}))
    return spawn


def _jump(draw: DrawFn, steps: list[Dict]) -> None:
    """Let a task that fails now and then go on with another step, after some thinking."""
    last = steps[-1]
    if "task" in last and draw(st.integers(0, 2)) == 2:
        steps.insert(0, {"think": draw(_time(1, 3)), "name": "again"})
        last |= {"fail": 0.4, "on_failure": {"goto": "again"}}
        last.pop("timeout", None)
        last.pop("retry", None)


# Constraints.

COUNTING = ("rate_limit", "fixed_window", "sliding_window", "quota", "first_use", "ramp", "sliced", "spent")
TYPES = {
    "fixed_window": "rate_limit",
    "sliding_window": "rate_limit",
    "first_use": "rate_limit",
    "ramp": "rate_limit",
    "sliced": "rate_limit",
    "spent": "quota",
    "processor_sharing": "concurrency",
}
RATES = ["5/s", "10/s", "2/s", "3/s", "7/s"]


KINDS = {
    "window": ["fixed_window", "sliding_window", "quota"],
    "charge": ["rate_limit"],
    "resource": ["resource"],
    "hear": ["adaptive", "circuit_breaker"],
    "sharing": ["processor_sharing"],
    "provider": ["first_use", "ramp", "sliced", "spent"],
    "preempt": ["concurrency"],
    **{queue: ["concurrency", "rate_limit"] for queue in QUEUES},
}


def _kinds(features: tuple[str, ...], number: int) -> list[str]:
    """Return what a constraint may be: the first is as the features want it."""
    wanted = [kind for feature in features for kind in KINDS.get(feature, ())]
    if {"window", "charge"} <= set(features):
        wanted += COUNTING
    if not wanted or number % 2:
        wanted = [*wanted, "concurrency", "concurrency", "rate_limit", "pause" if number else "concurrency"]
    return wanted


@st.composite
def _values(draw: DrawFn, kind: str) -> Dict:
    """The numbers of a constraint, and what may change later."""
    match kind:
        case "concurrency" | "processor_sharing":
            return {"limit": draw(SMALL)}
        case "resource":
            return {"capacity": draw(st.sampled_from([1, 2, 1.5, 3]))}
        case "rate_limit":
            return {"rate": draw(st.sampled_from(RATES)), "burst": draw(SMALL)}
        case "sliced":
            return {"rate": draw(st.sampled_from(["4/800ms", "9/1200ms", "5/800ms"]))}
        case "fixed_window" | "sliding_window" | "first_use" | "ramp":
            return {"rate": draw(st.sampled_from(["2/500ms", "1/300ms", "3/1s", "2/700ms"]))}
        case "quota" | "spent":
            return {"total": draw(st.sampled_from([1, 2, 3, 2.5]))}
        case "pause":
            return {"paused": draw(st.booleans())}
    return {}


@st.composite
def _settings(draw: DrawFn, kind: str) -> Dict:
    """What does not change."""
    match kind:
        case "fixed_window" | "sliding_window":
            return {"algorithm": kind}
        case "first_use":
            return {"algorithm": "fixed_window", "begins": kind}
        case "sliced":
            return {"algorithm": "fixed_window", "slice": draw(st.sampled_from(["400ms", "200ms"]))}
        case "ramp":
            return {"algorithm": kind} | draw(st.sampled_from([{}, {"growth": 2.0}, {"growth": 1.0}]))
        case "spent":
            return {"period": draw(_time(3, 12)), "begins": "first_use"}
        case "quota":
            return {"period": draw(_time(3, 12))} if draw(st.integers(0, 3)) else {}
        case "processor_sharing":
            return {"queue": kind}
        case "adaptive":
            least = draw(st.integers(1, 2))
            row: Dict = {"min": least, "limit": draw(st.integers(least, 3)), "max": draw(st.integers(3, 5))}
            optional: dict[str, st.SearchStrategy[Any]] = {
                "increase": st.sampled_from([0.5, 2, 3]),
                "decrease": st.sampled_from([0.9, 0.7, 0.25]),
                "latency": _time(1, 3),
                "cooldown": _time(0, 5),
            }
            return row | _optional(draw, optional, one_in=3)
        case "circuit_breaker":
            row = {"min_calls": draw(SMALL), "window": draw(_time(1, 10)), "open_for": draw(_time(1, 6))}
            if draw(st.booleans()):
                row["on_limit"] = "block"
            optional = {"failure_ratio": st.sampled_from([0.3, 0.6, 1.0]), "probes": st.integers(2, 3)}
            return row | _optional(draw, optional, one_in=2)
    return {}


@st.composite
def _timeline(draw: DrawFn, kind: str, features: tuple[str, ...], number: int) -> Dict:
    """When it is in force, and how it changes."""
    row: Dict = {}
    most = 5 if "changes" in features else 3
    at = sorted(draw(st.lists(st.integers(1, 12), max_size=most, unique=True)))
    if not number and "changes" not in features and draw(st.booleans()):
        return row if kind != "pause" else {"expires": "700ms"}
    if at and draw(st.booleans()):
        row["from"] = _ms(at.pop(0))
    if kind == "pause":
        row["expires"] = _ms(at.pop() if at else 15)
    elif "changes" in features and at and draw(st.booleans()):
        row["expires"] = _ms(at.pop())
    if at and kind not in ("adaptive", "circuit_breaker"):
        row["changes"] = [{"at": _ms(moment), **draw(_change(kind))} for moment in at]
        if "changes" in features and draw(st.booleans()):
            row["every"] = _ms(at[-1] + draw(st.integers(1, 8)))
    return row


@st.composite
def _change(draw: DrawFn, kind: str) -> Dict:
    values = draw(_values(kind))
    if kind == "rate_limit" and draw(st.booleans()):
        values.pop(draw(st.sampled_from(["rate", "burst"])))
    return values


@st.composite
def _constraint(draw: DrawFn, number: int, features: tuple[str, ...], fleets: list[str]) -> Dict:
    kind = draw(st.sampled_from(_kinds(features, number)))
    row: Dict = {"id": f"c{number}", "type": TYPES.get(kind, kind)}
    scopes = ["global", "global", *(f"fleet:{name}" for name in fleets), "tenant:red", None]
    if not number:
        scopes = ["global"] * 3 + [None]
    scope = draw(st.sampled_from(scopes if kind != "processor_sharing" else [None, None, "global"]))
    if scope is not None or kind == "pause":
        row["scope"] = scope or "global"
    row |= draw(_values(kind)) | draw(_settings(kind)) | draw(_timeline(kind, features, number))
    if "provider" in features and draw(st.booleans()):
        row["retry_after"] = draw(st.sampled_from(["seconds", "none", "700ms"]))
    if kind in COUNTING:
        row["counts"] = draw(st.sampled_from(COUNTED))
        if "provider" in features and draw(st.booleans()):
            row["cached"] = "exempt"
        if "charge" in features:
            row["charge"] = draw(st.sampled_from(["on_start", "on_finish", "settle", "settle", "as_produced"]))
        if row.get("charge") == "as_produced":
            row["chunk"] = draw(_time(1, 3))
        if row.get("charge") == "settle":
            row.pop("from", None)  # what is handed back of what was reserved before it was in force is an open question
    return row | draw(_discipline(kind, features, number))


@st.composite
def _discipline(draw: DrawFn, kind: str, features: tuple[str, ...], number: int) -> Dict:
    """What becomes of those whom it refuses: the first constraint has it all, the others now and then."""
    row: Dict = {}

    def has(feature: str) -> bool:
        return feature in features and (_one_in(draw, 3) if number or len(features) > 3 else _one_in(draw, 1))

    if has("reject"):
        row["on_limit"] = "reject"
    queues = [queue for queue in (*QUEUES, "random") if has(queue)]
    if queues and kind != "processor_sharing":
        row["queue"] = draw(st.sampled_from(queues))
        if row["queue"] == "fair":
            row["fair_by"] = draw(st.sampled_from(["tenant", "fleet"]))
    if has("strict"):
        row["admission"] = "strict"
    if has("room"):
        row |= {"room": draw(st.integers(0, 2)), "overflow": draw(st.sampled_from(["newest", "oldest", "all"]))}
    if kind == "concurrency" and has("preempt"):
        row |= {"queue": "priority", "preempt": draw(st.sampled_from(["resume", "restart", "resample", "fail"]))}
    return row


# What goes wrong.


@st.composite
def _incidents(draw: DrawFn, rows: list[Dict], fleets: list[str]) -> list[Dict]:
    found = []
    shared = any(row.get("queue") == "processor_sharing" for row in rows)
    shares = st.sampled_from([0.5, 1.0, 0.3])
    for number in range(draw(st.integers(1, 2))):
        scopes = ["global", "global", *(f"fleet:{name}" for name in fleets), "tenant:red", "constraint:c0"]
        row: Dict = {"id": f"i{number}", "scope": draw(st.sampled_from(scopes))}
        if draw(st.booleans()):
            row |= {"slow": draw(st.sampled_from([2, 1.5, 7.3])), "applies_to": draw(st.sampled_from(["all", "new"]))}
            row["applies_to"] = "new" if shared else row["applies_to"]
        row |= _optional(draw, {"fail": shares}, one_in=3)
        row |= draw(
            st.sampled_from([{"refuse": draw(shares)}, {"block": True}] + [{}] * ("slow" in row or "fail" in row))
        )
        if "refuse" in row and draw(st.booleans()):
            row["retry_after"] = "300ms"
        if draw(st.integers(0, 2)):
            at = draw(st.lists(st.integers(0, 12), min_size=1, max_size=3, unique=True))
            row["at"] = [_ms(time) for time in sorted(at)]
            row |= _optional(draw, {"lasts": _duration(0, 6)}, one_in=1)
        else:
            row |= {"between": draw(_duration(1, 8)), "lasts": draw(_duration(0, 6))}
        found.append(row)
    return found


# All together.


@st.composite
def _arrivals(draw: DrawFn, most: int) -> Dict:
    """How many agents there are, and when."""
    match draw(st.sampled_from(["count", "count", "at", "at", "stagger", "open"])):
        case "at":
            times = draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
            return {"arrivals": {"at": [_ms(time) for time in sorted(times)]}}
        case "stagger":
            return {"count": draw(st.integers(2, most)), "stagger": draw(_duration(0, 3))}
        case "open":
            return {"arrivals": draw(st.sampled_from([{"every": "700ms"}, {"poisson": "2/s"}]))}
    return {"count": draw(st.integers(1, most) | st.just(most))}


@st.composite
def rich(draw: DrawFn, *features: str) -> Dict:
    """A scenario with the features named."""
    closed = ["a", "b", "c"][: draw(st.sampled_from([1, 2, 2, 3]))]
    children = ["k", "m"] if "spawn" in features else []
    count = draw(st.sampled_from([1, 2, 2, 3, 4] if len(features) > 2 else [1, 2, 2, 3]))
    rows = [draw(_constraint(number, features, closed)) for number in range(count)]
    if "preempt" in rows[0] and _one_in(draw, 2):
        rows[0] |= {"limit": 1, "scope": "global"}
    if "hold" in features or any(row.get("queue") == "processor_sharing" for row in rows):
        for row in rows:  # it must be known before how long the work takes that produces something
            if row.get("charge") == "as_produced":
                row["charge"] = "on_finish"
                del row["chunk"]
    fleets: list[Dict] = []
    for name in [*closed, *children]:
        fleet: Dict = {"name": name}
        if name not in children:
            fleet |= draw(_arrivals(3 if children else 4))
        if draw(st.booleans()):
            fleet["tenant"] = draw(st.sampled_from(["red", "blue"]))
        if set(QUEUES) & set(features) and draw(st.booleans()):
            fleet |= {"priority": draw(st.integers(0, 2)), "weight": draw(SMALL)}
        if "life" in features and draw(st.booleans()):
            fleet["life"] = draw(_duration(1, 9))
        if "crash" in features and draw(st.booleans()):
            fleet["crash"] = {"uptime": draw(_duration(1, 9)), "repair": draw(_duration(0, 5))}
        later = children[children.index(name) + 1 :] if name in children else children
        context = {"rows": rows, "features": features, "fleet": fleet, "children": later, "names": 0}
        fleet["steps"] = draw(_steps(context))
        fleets.append(fleet)
    troubles = {"incidents": draw(_incidents(rows, closed))} if "incidents" in features else {}
    tenants = {"tenants": {"red": {"weight": 2}, "blue": {}}} if draw(st.booleans()) else {}
    return {
        "name": "rich",
        "seed": draw(st.integers(0, 3)),
        "until": f"{UNTIL_MS}ms",
        "constraints": rows,
        "fleets": fleets,
        **troubles,
        **tenants,
    }


def all_together() -> st.SearchStrategy[Dict]:
    """A scenario with about half of all features."""
    return st.lists(st.sampled_from(FEATURES), min_size=5, max_size=14, unique=True).flatmap(
        lambda features: rich(*features)
    )
