"""Statements about a run as sentences for people: names, times as people write them, and the events that say so.

Rules:

1. A sentence is a function of its statement alone: it says nothing that the facts do not hold.
2. A time is told with the number of the event at it, in parentheses, where there is such an event.
"""

from collections.abc import Callable, Iterable
from typing import Any

from model.units import MICRO, NS_PER_SECOND, counted, format_number
from sim.analysis.statements import Facts, Statement
from sim.pages import share, short

_MINUTE = 60 * NS_PER_SECOND
_WHAT = {
    "worked": "worked",
    "waited": "waited",
    "backed_off": "backed off before another attempt",
    "repaired": "was down after a crash",
    "spawned": "waited for agents that it had spawned",
    "idle": "thought, or waited for others",
    "gave_up": "waited in vain",
}
_CHAIN = {
    "worked": "work",
    "backed_off": "back-off",
    "repaired": "repair",
    "spawned": "waiting for agents that were spawned",
    "idle": "thinking, or waiting for others",
    "gave_up": "waiting in vain",
}
_ENDED = {
    "succeeded": "was done",
    "failed": "failed",
    "timed_out": "timed out",
    "cancelled": "was called off",
    "preempted": "was pre-empted",
}
_REASONS = {
    "earlier": "had asked earlier",
    "smaller": "asked for less, which fitted sooner,",
    "lifo": "came later (the last to come goes first)",
    "edf": "went by the queue (the earliest deadline goes first)",
    "sjf": "went by the queue (the shortest goes first)",
    "fair": "went by the queue (by turns)",
    "random": "went by the queue (at random)",
    "kept_place": "had been pre-empted, and kept the place",
    "unknown": "took some, and the log does not say why before it",
}
_TYPES = {"pause": "a pause", "incident": "an incident", "circuit_breaker": "a breaker"}
_SKIPPED = {"condition": "by chance", "cache_hit": "a cache had it", "upstream": "what it comes after was not done"}


def sentence(statement: Statement) -> str:
    """Say a statement."""
    return _SAID[statement.kind](statement.facts)


def clock(ns: int) -> str:
    """Write a moment so that it can be told from those near it: minutes and hours are written out."""
    if ns < _MINUTE:
        return short(ns)
    minutes, seconds = divmod(ns, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours:,} h"] if hours else []
    parts += [f"{minutes} min"] if minutes else []
    rest = f"{seconds / NS_PER_SECOND:.3f}".rstrip("0").rstrip(".")
    return " ".join([*parts, *([] if rest == "0" else [f"{rest} s"])])


def moment(facts: Facts, key: str) -> str:
    """Write the time `key`_ns with the event `key`_event."""
    return f"{clock(facts[f'{key}_ns'])}{_event(facts.get(f'{key}_event'))}"


def _event(number: int | None) -> str:
    return "" if number is None else f" (event {number:,})"


def _at(facts: Facts, event: str = "event") -> str:
    return f"{clock(facts['at_ns'])}{_event(facts.get(event))}"


def task(facts: Facts) -> str:
    """Name a task, with its visit and attempt where it is not the first."""
    said = [f"{what} {facts[what]}" for what in ("visit", "attempt") if facts.get(what)]
    return f"{facts['task']}{f' [{chr(44).join(said)}]'.replace(',', ', ') if said else ''}"


def _who(facts: Facts) -> str:
    return str(facts["agent"]) if "task" not in facts else task(facts)


def amount(number: int, type_: str) -> str:
    """Write an amount of a constraint: units of a resource and a quota are kept in millionths."""
    return format_number(number / MICRO, 10) if type_ in ("resource", "quota") else f"{number:,}"


def _joined(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _lived(facts: Facts) -> str:
    how = "was done at" if facts["to_event"] is not None else "was not done by"
    return f"{facts['agent']} began at {moment(facts, 'from')} and {how} {moment(facts, 'to')}."


def _spent(facts: Facts) -> str:
    parts = []
    for part in facts["parts"]:
        what = f"waited for {part['constraint']}" if part["what"] == "waited" else _WHAT[part["what"]]
        parts.append(f"for {short(part['ns'])} ({share(part['ns'], facts['whole_ns'])}) it {what}")
    return f"Of these {short(facts['whole_ns'])}, {_joined(parts)}{_events_between(facts)}."


def _events_between(facts: Facts) -> str:
    if facts["to_event"] is None:
        return f" (from event {facts['from_event']:,} on)"
    return f" (events {facts['from_event']:,} to {facts['to_event']:,})"


def _waited(facts: Facts) -> str:
    by: dict[str, int] = {}
    for part in facts["parts"]:
        by[part["constraint"]] = by.get(part["constraint"], 0) + part["to_ns"] - part["from_ns"]
    what = next(iter(by)) if len(by) == 1 else _joined(f"{name} ({short(ns)})" for name, ns in by.items())
    goes_on = facts["ended"] == "goes_on"
    until = f"and still did at {clock(facts['to_ns'])}" if goes_on else f"to {moment(facts, 'to')}"
    whole = short(facts["to_ns"] - facts["from_ns"])
    said = f"{task(facts)} waited {whole} for {what}, from {moment(facts, 'from')} {until}"
    if "held" in facts:
        return f"{said}{_held_then(facts['held'])}."
    before = f"; {counted(facts['behind'], 'task')} waited there already" if facts["behind"] else ""
    return f"{said}{before}."


def _held_then(has: Facts | None) -> str:
    """Say in a few words who had it when a wait began."""
    if has is None:
        return ""
    if "holders" in has:
        if not has["by"]:
            return "; nobody held any when it began"
        first = has["by"][0]
        others = f", and by {has['holders'] - 1:,} more" if has["holders"] > 1 else ""
        return f"; held by {task(first)} since {moment(first, 'from')}{others}"
    if "takes" in has:
        first = has["by"][0]
        return f"; most was taken by {task(first)}, {amount(first['amount'], has['type'])}{_event(first['event'])}"
    return f"; it let nobody pass since {clock(has['since_ns'])}{_event(has['event'])}"


def _held(facts: Facts) -> str:
    wanted = "" if facts["asked"] is None else f", when it asked for {amount(facts['asked'], facts['type'])}"
    limit = "" if facts["limit"] < 0 else f" of {amount(facts['limit'], facts['type'])}"
    used = amount(facts["used"], facts["type"])
    said = f"{facts['constraint']}: {used}{limit} held at {_at(facts, 'at_event')}{wanted}"
    names = [_holder(each) for each in facts["by"]]
    others = facts["holders"] - len(names)
    if others:
        names.append(f"{others:,} more")
    return f"{said}: by {_joined(names)}." if names else f"{said}."


def _holder(each: Facts) -> str:
    until = f" until {moment(each, 'to')}" if each["to_event"] is not None else " and beyond"
    return f"{task(each)} from {moment(each, 'from')}{until}"


def _took(facts: Facts) -> str:
    names = [
        f"{task(each)} with {amount(each['amount'], facts['type'])}{_event(each['event'])}" for each in facts["by"]
    ]
    others = facts["takes"] - len(names)
    if others > 0:
        names.append(f"{others:,} more")
    window = "so far" if facts["window_ns"] is None else f"in the {short(facts['window_ns'])} before"
    wanted = "" if facts["asked"] is None else f", and it asked for {amount(facts['asked'], facts['type'])}"
    taken = amount(facts["taken"], facts["type"])
    said = f"{facts['constraint']}: {taken} taken {window}{_event(facts['at_event'])}{wanted}"
    return f"{said}: {'most by' if others > 0 else 'by'} {_joined(names)}."


def _shut(facts: Facts) -> str:
    since = (
        f"from {clock(facts['since_ns'])}{_event(facts['event'])} on"
        if facts["event"] is not None
        else "from the start"
    )
    return f"{facts['constraint']}, {_TYPES[facts['type']]}, let nobody pass {since}{_event(facts['at_event'])}."


def _ahead(facts: Facts) -> str:
    names = [_taker(each, facts) for each in facts["by"]]
    others = facts["count"] - len(names)
    if others:
        names.append(f"{others:,} more")
    count = counted(facts["count"], "other")
    if facts["reason"] == "priority":
        why = "are more important" if facts["count"] > 1 else "is more important"
        why += f" (its own priority is {facts['priority']})"
    else:
        why = _REASONS[facts["reason"]]
    took = "" if facts["reason"] == "unknown" else f" and took {facts['constraint']} before it"
    return f"Meanwhile {count} {why}{took}: {_joined(names)}."


def _taker(each: Facts, facts: Facts) -> str:
    own = f", priority {each['priority']}," if "priority" in each else ""
    if each["asked_event"] == each["took_event"]:
        return f"{task(each)}{own}{_event(each['took_event'])}"
    return f"{task(each)}{own} (asked in event {each['asked_event']:,}, took in event {each['took_event']:,})"


def _got(facts: Facts) -> str:
    return f"{task(facts)} got {facts['constraint']} at {_at(facts, 'resumed_event')}"


def _went_on(facts: Facts) -> str:
    return f"{task(facts)} waited no longer for {facts['constraint']} at {_at(facts, 'resumed_event')}"


def _released(facts: Facts) -> str:
    since = f", which had held it since {moment(facts, 'held_since')}," if "held_since_event" in facts else ""
    by = f"{task(facts['by'])}{since} gave some back{_event(facts['event'])}"
    return f"{_got(facts)}, when {by}."


def _changed(facts: Facts) -> str:
    return f"{_went_on(facts)}, when that changed{_event(facts['event'])}."


def _refilled(facts: Facts) -> str:
    return f"{_got(facts)}, when there was enough for it again; it had waited since {moment(facts, 'since')}."


def _left(facts: Facts) -> str:
    return (
        f"{_went_on(facts)}, when {task(facts['by'])}, which stood before it, left the queue{_event(facts['event'])}."
    )


def _heard(facts: Facts) -> str:
    return f"{_went_on(facts)}, when that heard how {task(facts['by'])} ended{_event(facts['event'])}."


def _unknown(facts: Facts) -> str:
    return f"{_went_on(facts)}; the log does not say why just then."


def _abandoned(facts: Facts) -> str:
    when = _at(facts, "resumed_event")
    return f"{task(facts)} stopped waiting for {facts['constraint']} at {when}: out of patience, or called off."


def _worked(facts: Facts) -> str:
    if facts["to_event"] is None:
        return f"{task(facts)} has worked since {moment(facts, 'from')}: {short(facts['to_ns'] - facts['from_ns'])} so far."
    return (
        f"{task(facts)} worked for {short(facts['to_ns'] - facts['from_ns'])}, from {moment(facts, 'from')} to "
        f"{moment(facts, 'to')}, and {_ENDED[facts['status']]}."
    )


def _idle(facts: Facts) -> str:
    what = "thought, or waited for others," if facts["alone"] else "(this line of it) thought, or waited for others,"
    until = f"from {moment(facts, 'from')} to {moment(facts, 'to')}"
    return f"{facts['agent']} {what} for {short(facts['to_ns'] - facts['from_ns'])}, {until}."


def _backed_off(facts: Facts) -> str:
    return (
        f"{task(facts)} backed off for {short(facts['to_ns'] - facts['from_ns'])}, from {moment(facts, 'from')} to "
        f"{moment(facts, 'to')}."
    )


def _repaired(facts: Facts) -> str:
    return (
        f"{facts['agent']} was down for {short(facts['to_ns'] - facts['from_ns'])}, from its crash at "
        f"{moment(facts, 'from')} to {moment(facts, 'to')}."
    )


def _gave_up(facts: Facts) -> str:
    how = "was refused" if facts["how"] == "rejected" else "gave up, or was called off"
    return (
        f"{task(facts)} waited for {facts['constraint']} for {short(facts['to_ns'] - facts['from_ns'])}, from "
        f"{moment(facts, 'from')} to {moment(facts, 'to')}, and {how}."
    )


def _refused(facts: Facts) -> str:
    after = facts.get("after_ns", -1)
    later = f", with {short(after)} to wait" if after >= 0 else ""
    return f"{task(facts)} was refused by {facts['constraint']} at {_at(facts)}{later}."


def _preempted(facts: Facts) -> str:
    by = ""
    if facts["by"] is not None:
        by = (
            f" for {task(facts['by'])}{_event(facts['by_event'])}, which has priority {facts['by_priority']} and not "
            f"{facts['priority']}"
        )
    return f"{task(facts)} was pre-empted at {_at(facts)}{by}."


def _retried(facts: Facts) -> str:
    return f"Another attempt was to come {short(facts['ns'])} later (event {facts['event']:,})."


def _chain(facts: Facts) -> str:
    parts = [f"{short(part['ns'])} of {_CHAIN[part['what']]}" for part in facts["parts"] if part["ns"]]
    what = f": {_joined(parts)}" if parts else ""
    count = counted(facts["links"], "link")
    span = f", from {moment(facts, 'to')} to {moment(facts, 'from')}" if parts else ""
    return f"What led to that, going back, is a chain of {count}{span}{what}."


def _links_left_out(facts: Facts) -> str:
    released = [f"{name} given back {counted(count, 'time')}" for name, count in facts["released"].items()]
    what = f", with {_joined(released)}" if released else ""
    span = f", from {moment(facts, 'to')} back to {moment(facts, 'from')}" if "from_ns" in facts else ""
    return f"Left out here: {counted(facts['count'], 'link')} of the chain{span}{what}."


def _waits_left_out(facts: Facts) -> str:
    longest = f"{short(facts['longest_ns'])}{_event(facts['from_event'])}"
    return f"Left out here: {counted(facts['count'], 'wait')}, {short(facts['ns'])} in all, the longest {longest}."


def _attempts_left_out(facts: Facts) -> str:
    span = f"from {moment(facts, 'from')} to {moment(facts, 'to')}"
    return f"Left out here: {counted(facts['count'], 'attempt')}, {span}, with {short(facts['waited_ns'])} of waiting."


def _still_held(facts: Facts) -> str:
    since = f"since {clock(facts['held_since_ns'])}{_event(facts['held_event'])}"
    others = f", and by {facts['others']:,} more" if facts["others"] else ""
    return f"{_still(facts)}, held by {task(facts['by'])} {since}{others}."


def _circle(facts: Facts) -> str:
    since = f"{facts['constraint']} from {moment(facts, 'since')} on"
    return f"There the circle closes: {task(facts)} waited for {since}, as was said."


def _still_shut(facts: Facts) -> str:
    since = f", as it is from {clock(facts['changed_ns'])}{_event(facts['event'])} on" if "event" in facts else ""
    return f"{_still(facts)}, which lets nobody pass though nobody holds any{since}."


def _still(facts: Facts) -> str:
    return (
        f"At {clock(facts['at_ns'])} {task(facts)} waited, from {moment(facts, 'since')} on, for {facts['constraint']}"
    )


def _still_empty(facts: Facts) -> str:
    return f"{_still(facts)} to have enough for it."


def _bound(facts: Facts) -> str:
    of = share(facts["ns"], facts["whole_ns"])
    waits = f"{counted(facts['waits'], 'wait')} for it, {short(facts['waited_ns'])} in all"
    when = counted(facts["periods"], "stretch", "stretches")
    said = f"{facts['constraint']} bound for {short(facts['ns'])} ({of} of the time), in {when}, with {waits}"
    return f"{said}{_events_between(facts)}."


def _bound_from(facts: Facts) -> str:
    goes_on = facts["to_event"] is None
    until = f"and still did at {clock(facts['to_ns'])}" if goes_on else f"to {moment(facts, 'to')}"
    most = f"{counted(facts['most'], 'task')} waited at most"
    return f"It bound for {short(facts['to_ns'] - facts['from_ns'])} from {moment(facts, 'from')} {until}; {most}."


def _used(facts: Facts) -> str:
    of = share(facts["used"], facts["available"])
    if facts["type"] in ("rate_limit", "quota"):
        brought = f"what it brings in that time, {amount(round(facts['available']), facts['type'])}"
        taken = amount(facts["used"], facts["type"])
        return f"While it bound {taken} was taken of it, {of} of {brought}{_events_between(facts)}."
    unit = MICRO if facts["type"] == "resource" else 1
    used, there = (format_number(facts[key] / facts["ns"] / unit, 4) for key in ("used", "available"))
    return f"While it bound {used} of {there} was held on average ({of}){_events_between(facts)}."


def _had(facts: Facts) -> str:
    name = f"{facts['fleet']}/{facts['step']}"
    taken = f"{share(facts['amount'], facts['whole_amount'])} of what was taken"
    charged = f"{share(facts['charged_ns'], facts['waited_ns'])} of the time that tasks waited"
    agents = [
        f"{each['agent']} with {share(each['charged_ns'], facts['waited_ns'])} (first in event {each['event']:,})"
        for each in facts["agents"]
        if each["charged_ns"] > 0
    ]
    most = f": most of it {_joined(agents)}" if agents else ""
    return f"{name} had {taken} (first in event {facts['event']:,}), and stood for {charged}{most}."


def _waited_for(facts: Facts) -> str:
    name = f"{facts['fleet']}/{facts['step']}"
    waits = f"{counted(facts['waits'], 'time')}, {short(facts['ns'])} in all"
    return f"{name} waited for it {waits}; the longest wait is {short(facts['longest_ns'])}{_events_between(facts)}."


def _nobody_waited(facts: Facts) -> str:
    backed_off = f"; but tasks backed off {counted(facts['retries'], 'time')}" if facts["retries"] else ""
    return f"Nobody waited for a limit up to {clock(facts['to_ns'])}{backed_off}."


def _refused_by(facts: Facts) -> str:
    name, count = f"{facts['fleet']}/{facts['step']}", counted(facts["refusals"], "time")
    first = f"{clock(facts['from_ns'])}{_event(facts['from_event'])}"
    last = f"{clock(facts['to_ns'])}{_event(facts['to_event'])}"
    when = f"at {first}" if facts["from_event"] == facts["to_event"] else f"from {first} to {last}"
    return f"{name} was refused by {facts['constraint']} {count}, {when}."


def _simple(text: str) -> Callable[[Facts], str]:
    return lambda facts: text.format(who=_who(facts), at=_at(facts), by=facts.get("by"))


_SAID: dict[str, Callable[[Facts], str]] = {
    "lived": _lived,
    "spent": _spent,
    "waited": _waited,
    "held": _held,
    "took": _took,
    "shut": _shut,
    "ahead": _ahead,
    "released": _released,
    "changed": _changed,
    "refilled": _refilled,
    "left": _left,
    "heard": _heard,
    "unknown": _unknown,
    "abandoned": _abandoned,
    "worked": _worked,
    "idle": _idle,
    "backed_off": _backed_off,
    "repaired": _repaired,
    "gave_up": _gave_up,
    "refused": _refused,
    "preempted": _preempted,
    "retried": _retried,
    "chain": _chain,
    "links_left_out": _links_left_out,
    "waits_left_out": _waits_left_out,
    "attempts_left_out": _attempts_left_out,
    "still_held": _still_held,
    "still_shut": _still_shut,
    "still_empty": _still_empty,
    "circle": _circle,
    "started": _simple("{who} started at {at}."),
    "ended": lambda facts: f"{task(facts)} {_ENDED[facts['status']]} at {_at(facts)}.",
    "skipped": lambda facts: f"{task(facts)} was skipped at {_at(facts)}: {_SKIPPED[facts['why']]}.",
    "called_off": lambda facts: (
        f"{task(facts)} was called off at {_at(facts)}, after {short(facts['ns'])} of backing off."
    ),
    "came": _simple("{who} came by itself at {at}."),
    "crashed": _simple("{who} crashed at {at}: that comes by itself."),
    "was_spawned": _simple("{who} was spawned at {at} by {by}."),
    "joined": _simple("{who} waited for agents that it had spawned, the last of which, {by}, was done at {at}."),
    "waits_for_spawned": _simple("At {at} {who} waited for agents that it had spawned, such as {by}."),
    "deadlocked": _simple("{who} was caught in a deadlock at {at}."),
    "cut_off": lambda facts: f"The chain is not followed any further than {counted(facts['links'], 'link')}.",
    "bound": _bound,
    "bound_from": _bound_from,
    "periods_left_out": lambda facts: (
        f"Left out here: {counted(facts['count'], 'stretch', 'stretches')}, {short(facts['ns'])} in all."
    ),
    "used": _used,
    "had": _had,
    "had_left_out": lambda facts: (
        f"Left out here: {counted(facts['count'], 'step')}, for {share(facts['charged_ns'], facts['waited_ns'])} of that."
    ),
    "waited_for": _waited_for,
    "refused_by": _refused_by,
    "never_bound": lambda facts: f"Nobody waited for {facts['constraint']} up to {clock(facts['to_ns'])}.",
    "cut": lambda facts: f"The log is cut: it ends at {moment(facts, 'to')}, and so does what is said here.",
    "nobody_waited": _nobody_waited,
}
"""What is said for each kind of statement."""


def told(statement: Statement) -> dict[str, Any]:
    """Return a statement as `--json` gives it."""
    return {"text": sentence(statement), "events": statement.events, "kind": statement.kind, "facts": statement.facts}
