"""Constraints of every type, with every discipline."""

from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from strategies import SCARCE, grid, rates

from model.units import parse_duration

from .common import CHILDREN, Dict, Draws, optional, seldom, times

TYPES = ("concurrency", "rate_limit", "concurrency", "resource", "quota", "pause", "adaptive", "circuit_breaker")
QUEUES = ("fifo", "lifo", "priority", "edf", "sjf", "fair", "random")
ALGORITHMS = ("token_bucket", "token_bucket", "fixed_window", "sliding_window", "ramp")
COUNTED = ("requests", "tokens")
UNCHANGING = ("adaptive", "circuit_breaker")
"""They change by themselves, and have no changes that a person writes."""
OF_A_KIND = ("type", "scope", "counts", "algorithm", "rate", "slice", "period")
"""What a successor shares with the one that it replaces."""
NOT_WITH_ALL = ("algorithm", "burst", "growth", "begins", "slice", "period")
"""What does not go with every kind."""


@st.composite
def constraints(draw: DrawFn, fleets: list[Dict], draws: Draws, ends: bool) -> list[Dict]:
    """Some constraints; `ends` says that the run has an end, so that changes may come again and again."""
    rows: list[Dict] = []
    for number in range(draw(st.sampled_from([2, 1, 3, 2, 4]))):
        rows.append(draw(_constraint(number, fleets, draws, ends)))
    if seldom(draw, 4):
        old = draw(st.sampled_from(rows))
        if "scope" in old:
            rows.append(draw(_successor(old, len(rows), draws)))
    shared = [row for row in rows if row.get("queue") == "processor_sharing"]
    # A task goes at the speed of one only, and has to know it where it is charged for what it does.
    produces = any(row.get("charge") == "as_produced" for row in rows)
    for row in shared[0 if produces else 1 :]:
        del row["queue"]
    return rows


@st.composite
def _constraint(draw: DrawFn, number: int, fleets: list[Dict], draws: Draws, ends: bool) -> Dict:
    kind = draw(st.sampled_from(TYPES))
    row: Dict = {"id": f"c{number}", "type": kind}
    needed = kind not in ("pause", "circuit_breaker")  # of the others nobody needs an amount
    scope = draw(scopes(tuple(fleet["name"] for fleet in fleets), needed))
    if scope is not None:
        row["scope"] = scope
    row |= draw(_numbers(kind, draws))
    row |= draw(_timeline(row, draws, ends))
    row |= draw(_discipline(row, draws))
    return row


@cache
def scopes(fleets: tuple[str, ...], needed: bool) -> SearchStrategy[str | None]:
    """Whom a constraint governs; what many share comes first and more than once."""
    shared = ["global", "global", "fleet:*", "tenant:red", "fleet:[ab]", "tenant:*"]
    own = [*(f"fleet:{name}" for name in fleets), "task:*_ta", "task:*_tb"]
    if not set(fleets) & set(CHILDREN):
        own.append("task:?_[02]_*")  # agents that are spawned have no numbers that a scope could tell apart
    return st.sampled_from([*shared, *own, *([None, None] if needed else [])])


@cache
@st.composite
def _numbers(draw: DrawFn, kind: str, draws: Draws) -> Dict:
    row: Dict = {}
    match kind:
        case "concurrency":
            row["limit"] = draw(SCARCE)
        case "resource":
            row["capacity"] = draw(st.sampled_from([1, 2, 1.5, 3]))
        case "rate_limit":
            row |= {"rate": draw(rates(draws)), "counts": draw(st.sampled_from(COUNTED))}
            row["algorithm"] = draw(st.sampled_from(ALGORITHMS))
            if row["algorithm"] == "token_bucket":
                row["burst"] = draw(SCARCE)
            elif row["algorithm"] == "ramp":
                row["growth"] = draw(st.sampled_from([1.5, 2, 1]))
            elif row["algorithm"] == "fixed_window" and seldom(draw, 3):
                row |= draw(st.sampled_from([{"begins": "first_use"}, {"rate": "10/s", "slice": "200ms"}]))
        case "quota":
            row |= {"total": draw(st.sampled_from([2, 4, 2.5, 8])), "counts": draw(st.sampled_from(COUNTED))}
            optional(draw, row, 2, period=times(2, 8))
            if "period" in row:
                optional(draw, row, 3, begins=st.just("first_use"))
        case "adaptive":
            least = draw(st.sampled_from([1, 1, 2]))
            start = least + draw(st.integers(0, 1))
            row |= {"limit": start, "min": least, "max": start + draw(st.integers(0, 3))}
            row |= {"increase": draw(st.sampled_from([1, 0.5, 2])), "decrease": draw(st.sampled_from([0.5, 0.7]))}
            optional(draw, row, 2, latency=grid(1, 3), cooldown=times(0, 5))
        case "circuit_breaker":
            row |= {"failure_ratio": draw(st.sampled_from([0.5, 0.2, 1.0])), "min_calls": draw(st.integers(1, 3))}
            row |= {"window": draw(times(2, 10)), "open_for": draw(times(1, 5)), "probes": draw(st.integers(1, 2))}
    if kind in ("rate_limit", "quota"):
        row["charge"] = draw(st.sampled_from(["on_start", "on_start", "on_finish", "settle", "as_produced"]))
        if row["charge"] == "as_produced":
            row["chunk"] = draw(times(1, 3))
        optional(draw, row, 2, cached=st.just("exempt"))
    return row


@st.composite
def _timeline(draw: DrawFn, row: Dict, draws: Draws, ends: bool) -> Dict:
    """`from`, `changes`, `every`, `expires` and `unforeseen`, in order."""
    late: Dict = {}
    kind = row["type"]
    moments = draw(st.lists(st.integers(1, 12), max_size=3, unique=True).map(sorted))
    if seldom(draw, 2) and moments:
        late["from"] = f"{100 * moments.pop(0)}ms"
    if moments and (kind in UNCHANGING or seldom(draw, 3)):
        late["expires"] = f"{100 * moments.pop()}ms"
    if moments and kind not in UNCHANGING and "slice" not in row:  # not every rate can be had in slices
        late["changes"] = [{"at": f"{100 * at}ms", **draw(_new_values(row, draws))} for at in moments]
        if ends and "expires" not in late and seldom(draw, 3):
            late["every"] = f"{100 * (moments[-1] + draw(st.integers(1, 3)))}ms"
    if kind == "pause" and len(late) == 0:
        late["expires"] = draw(grid(4, 12))  # otherwise it would silence everything for good
    if kind not in UNCHANGING and "slice" not in row and seldom(draw, 4):
        begins, ends_at = (
            parse_duration(late.get(key, at)) // 10**8 for key, at in (("from", "0s"), ("expires", "1300ms"))
        )
        surprises = st.lists(st.integers(begins, ends_at - 1), min_size=1, max_size=2, unique=True).map(sorted)
        late["unforeseen"] = [{"at": f"{100 * at}ms", **draw(_new_values(row, draws))} for at in draw(surprises)]
    return late


def _new_values(row: Dict, draws: Draws) -> SearchStrategy[Dict]:
    match row["type"]:
        case "pause":
            return st.fixed_dictionaries({"paused": st.booleans()})
        case "rate_limit" if draws == "exact" and row["algorithm"] == "token_bucket":
            return st.fixed_dictionaries({"burst": SCARCE})  # a change of rate is exact in tokens, not in nanoseconds
        case "rate_limit":
            rate = st.fixed_dictionaries({"rate": rates(draws)})
            return st.fixed_dictionaries({"burst": SCARCE}) | rate if row["algorithm"] == "token_bucket" else rate
    key = {"concurrency": "limit", "resource": "capacity", "quota": "total"}[row["type"]]
    return st.fixed_dictionaries({key: SCARCE})


@st.composite
def _discipline(draw: DrawFn, row: Dict, draws: Draws) -> Dict:
    """What becomes of those that are refused."""
    said: Dict = {}
    if row["type"] == "concurrency" and seldom(draw, 3):
        said |= {"queue": "priority", "preempt": draw(st.sampled_from(["resume", "restart", "resample", "fail"]))}
    elif row["type"] == "concurrency" and draws != "exact" and seldom(draw, 4):
        return {"queue": "processor_sharing"}
    elif seldom(draw, 2):
        said["queue"] = draw(st.sampled_from(QUEUES))
        if said["queue"] == "fair":
            said["fair_by"] = draw(st.sampled_from(["tenant", "fleet"]))
    optional(draw, said, 4, admission=st.just("strict"))
    if seldom(draw, 6):
        said["on_limit"] = draw(st.sampled_from(["reject", "block"]))
    if seldom(draw, 5):
        said |= {"room": draw(st.integers(0, 2)), "overflow": draw(st.sampled_from(["newest", "oldest", "all"]))}
    answers = ["none", "300ms", *(["seconds"] if draws != "exact" else [])]
    optional(draw, said, 6, retry_after=st.sampled_from(answers))
    return said


@st.composite
def _successor(draw: DrawFn, old: Dict, number: int, draws: Draws) -> Dict:
    """A later one with the same scope, type and thing counted, which replaces it."""
    same = {key: old[key] for key in OF_A_KIND if key in old}
    numbers = draw(_numbers(old["type"], draws))
    row = {"id": f"c{number}", **{key: value for key, value in numbers.items() if key not in NOT_WITH_ALL}, **same}
    if row.get("algorithm") == "token_bucket":
        row["burst"] = draw(SCARCE)
    row["from"] = draw(grid(1, 12))
    if row["type"] == "pause":
        row["expires"] = "2s"
    return row | draw(_discipline(row, draws))


def most(row: Dict) -> float:
    """Return the largest amount that a constraint ever admits while it is in force."""
    if row["type"] == "rate_limit" and row["algorithm"] != "token_bucket":
        if "slice" in row:
            return 2
        every = (row, *row.get("changes", []))
        return max(int(each["rate"].partition("/")[0]) for each in every)
    names = {"concurrency": "limit", "rate_limit": "burst", "resource": "capacity", "quota": "total", "adaptive": "max"}
    key = names.get(row["type"])
    return 1 if key is None else max(row[key], *(change.get(key, 0) for change in row.get("changes", [])), 1)
