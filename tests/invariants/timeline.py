"""The numbers of a constraint over time, as the scenario has them written: without the planner, one by one."""

from operator import itemgetter

from model.units import MICRO, TIME_MAX_NS, parse_amount, parse_duration, parse_rate

from .levels import Numbers
from .program import Step


def changes(row: Step, until: int | None, known: int = TIME_MAX_NS) -> list[tuple[int, Step]]:
    """Return the changes of a constraint in order, as often as they come again before the end, and once more.

    Those that are unforeseen come once, after the others of their instant; they are left out where they are later than what
    is `known`.
    """
    first = [(parse_duration(change["at"]), change) for change in row.get("changes", [])]
    each = ((parse_duration(change["at"]), change) for change in row.get("unforeseen") or [])
    unforeseen = [(at, change) for at, change in each if at <= known]
    if row.get("every") is None:
        return sorted([*first, *unforeseen], key=itemgetter(0))
    assert until is not None
    every = parse_duration(row["every"])
    laps = range(max(0, until - parse_duration(row.get("from", 0))) // every + 2)
    again = [(at + lap * every, change) for lap in laps for at, change in first]
    return sorted([*again, *unforeseen], key=itemgetter(0))


def in_force(rows: list[Step], number: int, time: int, until: int | None, known: int = TIME_MAX_NS) -> Numbers | None:
    """Return the numbers of a constraint at a time, as they are going to be by what is `known` at another; None: none."""
    row = rows[number]
    begins = parse_duration(row.get("from", 0))
    if time < begins or ("expires" in row and time >= parse_duration(row["expires"])):
        return None
    for other, later in enumerate(rows):
        since = parse_duration(later.get("from", 0))
        replaces = row.get("scope") is not None and _kin(row) == _kin(later) and (since, other) > (begins, number)
        if replaces and since <= time:
            return None
    values = dict(row)
    for at, change in changes(row, until, known):
        if at <= time:
            values.update({key: value for key, value in change.items() if key != "at"})
    return _numbers(values)


def _numbers(values: Step) -> Numbers:
    """Return the whole numbers for what is written."""
    match values["type"]:
        case "concurrency":
            return {"limit": values["limit"]}
        case "pause":
            return {"paused": int(values.get("paused", True))}
        case "resource":
            return {"capacity": round(parse_amount(values["capacity"]) * MICRO)}
        case "quota":
            period = parse_duration(values.get("period", 0))
            return {"total": round(parse_amount(values["total"]) * MICRO), "period_ns": period} | _begins(values)
        case "adaptive":
            return {
                "limit": values["limit"],
                "least": values.get("min", 1),
                "most": values.get("max", 1000),
                "increase": round(values.get("increase", 1) * MICRO) * MICRO,
                "decrease": round(values.get("decrease", 0.5) * MICRO),
                "latency_ns": parse_duration(values.get("latency", 0)),
                "cooldown_ns": parse_duration(values.get("cooldown", 0)),
            }
        case "circuit_breaker":
            return {
                "ratio": round(values.get("failure_ratio", 0.5) * MICRO),
                "min_calls": values.get("min_calls", 10),
                "window_ns": parse_duration(values["window"]),
                "open_ns": parse_duration(values["open_for"]),
                "probes": values.get("probes", 1),
            }
    rate, algorithm = parse_rate(values["rate"]), values.get("algorithm", "token_bucket")
    tokens, period = rate.tokens, rate.period_ns
    if "slice" in values:
        tokens, period = tokens * parse_duration(values["slice"]) // period, parse_duration(values["slice"])
    depth = values.get("burst", rate.depth) if algorithm == "token_bucket" else tokens
    more = {"growth": round(values.get("growth", 1.5) * MICRO)} if algorithm == "ramp" else _begins(values)
    return {"tokens": tokens, "period_ns": period, "burst": depth} | more


def _begins(values: Step) -> Numbers:
    return {"first_use": 1} if values.get("begins") == "first_use" else {}


def _kin(row: Step) -> tuple[object, ...]:
    kin = row.get("scope"), row["type"], row.get("counts", "requests")
    match row["type"]:
        case "quota":
            return *kin, None if row.get("period") is None else parse_duration(row["period"])
        case "rate_limit":
            return *kin, row.get("algorithm", "token_bucket"), parse_rate(row["rate"]).period_ns, row.get("slice")
    return kin[:2]
