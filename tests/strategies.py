"""Hypothesis strategies for scenarios: plain dicts, ready for `Scenario.model_validate`.

`scenarios()` draws a whole scenario. `draws` says what may be random in it:

- "any": durations, costs, staggers and arrivals of every kind.
- "exact": nothing that is rounded on its way to a whole number of nanoseconds, so that multiplying every duration
  multiplies every drawn time: constants and mixtures of constants. Rates earn a token in a whole number of nanoseconds
  and never change. Costs, which are no times, are drawn freely.
- "neat": costs alone. All times are short multiples of 100 ms, so that most things coincide. Half of "any" is so.
- "none": nothing is drawn, so that the names of the variables do not matter.

The times are small multiples of 100 ms as often as not, so that many things happen at the very same nanosecond; the rest
is odd. A scenario is small: at most `AGENTS_MAX` agents a fleet, `VISITS_MAX` tasks an agent where its loops end, and
`UNTIL_MAX_MS` where they do not (a loop for ever begins with at least 100 ms of thinking, so that it never spins at one
instant). Simpler choices come first, so that what fails shrinks to them.

A constant amount never exceeds what its constraint admits at the best of times: that is an error of the scenario, to be
found before a run. A drawn amount may, and so may a constant one after a change.

How often things happen in 2,000 scenarios of "any" (`PYTHONPATH=. python tests/strategies.py 2000 any` counts them again):

    several agents at one instant  87 %      rebound                                     28 %
    blocked                        78 %      a completion and a change at one instant    26 %
    a constraint changed           63 %      a drawn amount                              25 %
    came into force later          45 %      a refill and a completion at one instant    18 %
    blocked by a rate limit        43 %      a smaller request passed                    18 %
    changed while somebody waits   39 %      blocked by a pause                          17 %
    somebody runs at the end       33 %      refused                                     15 %
    somebody waits at the end      28 %      more held than the limit                    10 %

In 6 % a bucket has at one instant just earned what an older task waits for, and refuses it to a younger one. Half of the
scenarios have at most 52 events, 95 % at most 213, all at most about 1,000. Of "exact" and "none" the numbers are similar.
"""

import io
import sys
from collections import Counter
from functools import cache
from typing import Any, Literal

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from invariants.reading import read
from invariants.replay import Replay

from model.events import Kind
from model.log import Log, LogWriter
from model.planner import plan
from model.scenario import Scenario
from sim.engine import Engine

Draws = Literal["any", "exact", "none", "neat"]
Dict = dict[str, Any]

AGENTS_MAX = 6
VISITS_MAX = 12
UNTIL_MAX_MS = 3000
FLEET_NAMES = ("a", "b", "c")
TASK_NAMES = ("work", "call", "check", "write", "merge", "send")
TENANTS = ("red", "blue")
COUNTED = ("requests", "tokens")
NAMED = {
    Kind.TaskBlocked: "blocked",
    Kind.TaskRebound: "rebound",
    Kind.TaskRejected: "refused",
    Kind.ConstraintChanged: "a constraint changed",
    Kind.ResourceAcquired: "a drawn amount",
}


SCARCE = st.sampled_from([1, 2, 3, 1, 2, 4])
"""A limit or a depth that a handful of agents find too small."""


def _ms(number: int) -> str:
    return f"{number}ms"


@cache
def grid(low: int, high: int) -> SearchStrategy[str]:
    """Multiples of 100 ms, so that many of them coincide."""
    return st.integers(low, high).map(lambda n: _ms(100 * n))


@cache
def odd(low: int, high: int) -> SearchStrategy[str]:
    """Times that hardly ever coincide, between `low` and `high` times 100 ms."""
    return st.integers(low * 50_000_000, high * 50_000_000 - 1).map(lambda n: f"{2 * n + 1}ns")


@cache
def times(low: int, high: int) -> SearchStrategy[str]:
    """A time between `low` and `high` times 100 ms."""
    return grid(low, high) | grid(low, high) | odd(max(low, 1), high)


def _mixture(values: SearchStrategy[Any]) -> SearchStrategy[Dict]:
    branch = st.fixed_dictionaries({"weight": st.integers(1, 3), "value": values})
    return st.lists(branch, min_size=2, max_size=3).map(lambda branches: {"mixture": branches})


@cache
def _drawn_durations(low: int) -> SearchStrategy[Dict]:
    bounds = st.tuples(st.integers(low, 4), st.integers(0, 4)).map(
        lambda t: [_ms(100 * t[0]), _ms(100 * (t[0] + t[1]))]
    )
    uniform = bounds.map(lambda pair: {"uniform": pair})
    if low > 0:
        return uniform
    mean = grid(1, 4)
    return st.one_of(
        uniform,
        mean.map(lambda m: {"exponential": m}),
        mean.map(lambda m: {"lognormal": {"mean": m, "cv": 0.8}}),
        mean.map(lambda m: {"gamma": {"shape": 2.0, "mean": m}}),
        mean.map(lambda m: {"erlang": {"k": 2, "mean": m}}),
        mean.map(lambda m: {"weibull": {"shape": 1.5, "scale": m}}),
        mean.map(lambda m: {"pareto": {"shape": 3.0, "minimum": m}}),
        bounds.map(lambda p: {"triangular": [p[0], p[0], _ms(1000)]}),
        bounds.map(lambda p: {"empirical": p}),
    )


@cache
def durations(draws: Draws, low: int = 0, high: int = 6) -> SearchStrategy[Any]:
    """How long something takes, between `low` and about `high` times 100 ms."""
    if draws == "neat":
        return grid(max(low, 1), 3) | grid(low, high)
    constant = st.one_of(grid(max(low, 1), high), grid(low, high), times(low, high))
    if draws == "none":
        return constant
    mixture = _mixture(times(low, high))
    if draws == "exact":
        return constant | constant | mixture
    return st.one_of(constant, constant, mixture, _drawn_durations(low))


@cache
def _drawn_amounts(high: int) -> SearchStrategy[Dict]:
    uniform = st.tuples(st.integers(0, high), st.integers(0, high)).map(lambda t: {"uniform": sorted(t)})
    return uniform | _mixture(st.integers(0, high)) | st.integers(1, high).map(lambda mean: {"exponential": mean})


@st.composite
def _constraint(draw: DrawFn, number: int, fleets: list[Dict], draws: Draws) -> Dict:
    """One constraint; scopes that many tasks share come first and more than once."""
    kind = draw(st.sampled_from(["concurrency", "rate_limit", "rate_limit", "concurrency", "rate_limit", "pause"]))
    row: Dict = {"id": f"c{number}", "type": kind}
    names = [fleet["name"] for fleet in fleets]
    tasks = [task["task"] for fleet in fleets for task in tasks_of(fleet["steps"])]
    scopes = ["global", "global", "fleet:*", *(f"fleet:{name}" for name in names), "fleet:[ab]", "tenant:red"]
    scopes += ["tenant:*", *(f"task:*_{task}" for task in sorted(set(tasks))), "task:?_[02]_*"]
    scope = draw(st.sampled_from(scopes if kind == "pause" else [*scopes, None]))  # nobody needs an amount of a pause
    if scope is not None:
        row["scope"] = scope
    if kind == "concurrency":
        row["limit"] = draw(SCARCE)
    elif kind == "rate_limit":
        row["rate"] = draw(rates(draws))
        row["burst"] = draw(SCARCE)
        row["counts"] = draw(st.sampled_from(COUNTED))
    row.update(draw(_timeline(kind, draws)))
    if kind == "pause" and "changes" not in row and "expires" not in row:
        row["expires"] = draw(grid(16, 20))  # otherwise it would silence everything for good
    return row


@cache
def rates(draws: Draws) -> SearchStrategy[str]:
    """A rate that is scarce for a handful of agents; unless `draws` is "any", a token takes whole 100 ms or so."""
    whole = st.sampled_from(["2/s", "5/s", "1/300ms", "1/s", "10/s", "2/800ms", "1/123456789ns"])
    if draws == "neat":
        return st.sampled_from(["5/s", "10/s", "2/s", "5/s", "1/300ms"])
    if draws == "exact":
        return whole
    return whole | whole | st.sampled_from(["3/s", "7/s", "3/700ms", "13/1234567891ns"])


@cache
@st.composite
def _timeline(draw: DrawFn, kind: str, draws: Draws) -> Dict:
    """`from`, `changes` and `expires`, in order. Two of three constraints that change do so on the grid."""
    row: Dict = {}
    moments = draw(st.lists(st.integers(1, 15), max_size=4, unique=True).map(sorted))
    late = draws != "neat" and draw(st.integers(0, 3)) == 3
    names = [f"{moment * 100_000_000 + (1 if late else 0)}ns" for moment in moments]
    if names and draw(st.booleans()):
        row["from"] = names.pop(0)
    if names and draw(st.integers(0, 2)) == 2:
        row["expires"] = names.pop()
    if names:
        row["changes"] = [{"at": at, **draw(_new_values(kind, draws))} for at in names]
    return row


@cache
def _new_values(kind: str, draws: Draws) -> SearchStrategy[Dict]:
    if kind == "concurrency":
        return st.fixed_dictionaries({"limit": SCARCE})
    if kind == "pause":
        return st.fixed_dictionaries({"paused": st.booleans()})
    burst = st.fixed_dictionaries({"burst": SCARCE})
    if draws == "exact":
        return burst
    rate = st.fixed_dictionaries({"rate": rates(draws)})
    return burst | rate | st.tuples(burst, rate).map(lambda pair: {**pair[0], **pair[1]})


@st.composite
def _constraints(draw: DrawFn, fleets: list[Dict], draws: Draws) -> list[Dict]:
    rows = [draw(_constraint(number, fleets, draws)) for number in range(draw(st.sampled_from([1, 2, 3, 2, 3, 4, 0])))]
    if rows and draw(st.integers(0, 3)) == 3:
        old = draw(st.sampled_from(rows))  # a later one with the same scope, type and thing counted replaces it
        new = {key: value for key, value in old.items() if key in ("type", "scope", "counts")}
        if old["type"] == "concurrency":
            new["limit"] = draw(SCARCE)
        elif old["type"] == "rate_limit":
            new |= {"rate": draw(rates(draws)), "burst": draw(SCARCE)}
        else:
            new["expires"] = "2s"
        rows.append({"id": f"c{len(rows)}", **new, "from": draw(grid(1, 12))})
    return rows


def tasks_of(steps: list[Dict]) -> list[Dict]:
    """Return the tasks among the steps, at any depth."""
    found = []
    for step in steps:
        if "task" in step:
            found.append(step)
        found += tasks_of(step.get("steps", []))
    return found


def most(row: Dict) -> int:
    """Return the largest amount that a constraint ever admits while it is in force."""
    key = {"concurrency": "limit", "rate_limit": "burst"}.get(row["type"])
    return 1 if key is None else max(row[key], *(change.get(key, 0) for change in row.get("changes", [])), 1)


@st.composite
def _ask(draw: DrawFn, rows: list[Dict], draws: Draws) -> Dict:
    """What a task asks for beyond 1 of everything: `needs` and `cost`."""
    asked: Dict = {}
    unscoped = [row for row in rows if "scope" not in row]
    amounts = [row for row in rows if row["type"] != "pause"]
    named = draw(st.lists(st.sampled_from(amounts), max_size=2, unique_by=lambda row: row["id"])) if amounts else []
    needs = {row["id"]: draw(st.integers(1, min(3, most(row)))) for row in named}
    for row in unscoped:
        if draw(st.integers(0, 2)):
            needs[row["id"]] = draw(st.integers(1, min(2, most(row))))
    if needs:
        asked["needs"] = needs
    buckets = [row for row in rows if row["type"] == "rate_limit"]
    if buckets:
        constant = st.integers(1, min(3, *(most(row) for row in buckets)))
        one = constant if draws == "none" else st.just(1) | constant | _drawn_amounts(3) | _drawn_amounts(4)
        counted = sorted({row["counts"] for row in buckets})
        form = draw(st.sampled_from(["none", "none", "one", "by_unit"]))
        if form == "one":
            asked["cost"] = draw(one)
            if len(counted) > 1:
                asked["cost"] = dict.fromkeys(counted, asked["cost"])
        elif form == "by_unit":
            units = draw(st.lists(st.sampled_from(counted), min_size=1, unique=True))
            asked["cost"] = {unit: draw(one) for unit in units}
        cost = asked.get("cost", {})
        for row in buckets:
            if row["id"] in needs and (not isinstance(cost, dict) or form == "one" or row["counts"] in cost):
                needs[row["id"]] = 1  # beside a cost, which is what counts, nothing else is valid
    return asked


@st.composite
def _steps(draw: DrawFn, draws: Draws, names: list[str], visits: int, depth: int = 0) -> list[Dict]:
    """Some steps, each gone through `visits` times by an agent; the names are taken from the front of `names`."""
    steps: list[Dict] = []
    for _ in range(draw(st.integers(1, 3 if depth == 0 else 2))):
        kinds = ["task", "task", "task", "think"] + (["repeat"] if depth < 2 and visits * 2 <= VISITS_MAX else [])
        kind = draw(st.sampled_from(kinds))
        if kind == "task" and names:
            steps.append({"task": names.pop(0), "duration": draw(durations(draws))})
        elif kind == "repeat":
            times_ = draw(st.integers(2, min(4, VISITS_MAX // visits)))
            steps.append({"repeat": times_, "steps": draw(_steps(draws, names, visits * times_, depth + 1))})
        else:
            steps.append({"think": draw(durations(draws))})
    return steps


@st.composite
def _fleet(draw: DrawFn, name: str, draws: Draws, until_ms: int | None) -> Dict:
    fleet: Dict = {"name": name}
    open_ = draw(st.integers(0, 2)) == 2
    if open_:
        kinds = ["at"] + (["every"] if until_ms else []) + (["poisson"] if until_ms and draws == "any" else [])
        kind = draw(st.sampled_from(kinds))
        if kind == "at":
            at = draw(st.lists(st.integers(0, 8), min_size=1, max_size=AGENTS_MAX).map(sorted))
            fleet["arrivals"] = {"at": [_ms(100 * n) for n in at]}
        elif kind == "every":
            fleet["arrivals"] = {"every": draw(grid(2, 8) if draws == "neat" else times(2, 8))}
        else:
            fleet["arrivals"] = {"poisson": draw(st.sampled_from(["2/s", "4/s", "1/300ms"]))}
    else:
        fleet["count"] = draw(st.integers(2, AGENTS_MAX))
        if draw(st.integers(0, 3)) == 3:
            fleet["stagger"] = draw(durations(draws, 0, 3))
    if draw(st.booleans()):
        fleet["tenant"] = draw(st.sampled_from(TENANTS))
    names = list(TASK_NAMES)
    if until_ms and not open_ and draw(st.integers(0, 2)) == 2:
        body = [{"think": draw(durations(draws, 1, 4))}, {"task": names.pop(0), "duration": draw(durations(draws))}]
        body += draw(_steps(draws, names, 3, 1))
        fleet["steps"] = [{"repeat": "forever", "steps": body}]
    else:
        fleet["steps"] = draw(_steps(draws, names, 1))
    if names == list(TASK_NAMES):
        fleet["steps"].append({"task": names.pop(0), "duration": draw(durations(draws))})
    return fleet


@st.composite
def scenarios(draw: DrawFn, draws: Draws = "any") -> Dict:
    """A scenario that runs in a few milliseconds."""
    if draws == "any" and draw(st.booleans()):
        draws = "neat"
    until_ms = draw(st.none() | st.integers(5, UNTIL_MAX_MS // 100).map(lambda n: n * 100))
    number = draw(st.sampled_from([1, 2, 2, 3]))
    fleets = [draw(_fleet(name, draws, until_ms)) for name in FLEET_NAMES[:number]]
    rows = draw(_constraints(fleets, draws))
    for fleet in fleets:
        for task in tasks_of(fleet["steps"]):
            task.update(draw(_ask(rows, draws)))
    scenario: Dict = {"name": "drawn", "seed": draw(st.integers(0, 3)), "constraints": rows, "fleets": fleets}
    if until_ms is not None:
        scenario["until"] = _ms(until_ms)
    return scenario


def happenings(log: Log) -> set[str]:
    """Return which of the interesting things happened in a log."""
    reading = read(log)
    replay = Replay(reading)
    seen: set[str] = set()
    for time, rows in reading.instants():
        active = {row.agent for row in rows if row.agent >= 0}
        kinds = {row.kind for row in rows}
        if time > 0 and len(active) > 1:
            seen.add("several agents at one instant")
        if time > 0 and Kind.TaskFinished in kinds and Kind.ConstraintChanged in kinds:
            seen.add("a completion and a change at one instant")
        seen |= {name for kind, name in NAMED.items() if kind in kinds}
        for row in rows:
            if row.kind == Kind.ConstraintChanged:
                if any(waiter.constraint == row.constraint for waiter in replay.waiting.values()):
                    seen.add("changed while somebody waits for it")
                if reading.header.constraints[row.constraint].settings[0][1] is None:
                    seen.add("came into force later")
            if row.kind in (Kind.TaskBlocked, Kind.TaskRebound) and replay.types[row.constraint] == "rate_limit":
                replay.advance(time)
                amount = reading.amounts(row.task)[row.constraint]
                if amount is not None and replay.admits(row.constraint, amount):
                    seen.add("a bucket keeps what it has just earned for an older task")
            if row.kind == Kind.TaskBlocked and replay.types[row.constraint] == "pause":
                seen.add("blocked by a pause")
            if row.kind == Kind.TaskBlocked and replay.types[row.constraint] == "rate_limit":
                seen.add("blocked by a rate limit")
            if row.kind == Kind.TaskStarted:
                asked = reading.asked_at[row.task].number
                if any(w.constraint in reading.amounts(row.task) and w.age < asked for w in replay.waiting.values()):
                    seen.add("a smaller request passed")
            if row.kind == Kind.TaskStarted and reading.asked_at[row.task].kind == Kind.TaskBlocked:
                due = [row.constraint for row in rows if row.kind == Kind.TaskResumed]
                if Kind.TaskFinished in kinds and any(replay.types[number] == "rate_limit" for number in due):
                    seen.add("a refill and a completion at one instant")
            replay.apply(row)
            for number, numbers in enumerate(replay.numbers):
                if (
                    numbers is not None
                    and replay.types[number] == "concurrency"
                    and replay.held[number] > numbers["limit"]
                ):
                    seen.add("more held than the limit")
    if replay.waiting:
        seen.add("somebody waits at the end")
    if replay.running:
        seen.add("somebody runs at the end")
    return seen


def simulate(row: Dict) -> Log:
    """Run a scenario to its end and return the log."""
    scenario = Scenario.model_validate(row)
    planned = plan(scenario, {})
    file = io.BytesIO()
    writer = LogWriter(file, planned.header(scenario.as_json(), {}, {}))
    Engine(planned, writer.write).run()
    writer.close()
    return Log.from_bytes(file.getvalue())


def statistics(examples: int, draws: Draws) -> None:
    """Print how often each thing happens in drawn scenarios, and how large they are."""
    counts: Counter[str] = Counter()
    events: list[int] = []

    @seed(0)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(scenarios(draws))
    def look(row: Dict) -> None:
        log = simulate(row)
        events.append(sum(map(len, log.batches())))
        counts.update(happenings(log))

    look()
    for name, count in counts.most_common():
        print(f"{100 * count / len(events):5.1f} %  {name}")
    events.sort()
    middle, high = events[len(events) // 2], events[len(events) * 19 // 20]
    print(f"{len(events)} scenarios; events: median {middle}, 95 % at most {high}, all at most {events[-1]}")


if __name__ == "__main__":
    statistics(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, sys.argv[2] if len(sys.argv) > 2 else "any")
