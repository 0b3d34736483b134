"""The moments of a log that a picture marks: what a report calls deadlock, stall, starvation and storm, and when."""

from typing import NamedTuple

from model.log import Log
from model.units import counted, format_duration
from render.film import Film
from sim.analysis.findings import Findings


class Verdict(NamedTuple):
    """Something that went wrong, at `time_ns`, in a few words."""

    time_ns: int
    text: str


def verdicts(log: Log, film: Film) -> list[Verdict]:
    """Return what went wrong, in order; a second reading of the log."""
    findings = Findings(log.header)
    for batch in log.batches():
        findings.feed(batch)
    found = findings.result(log)
    marks = [Verdict(each["time_ns"], f"deadlock of {counted(each['agents'], 'agent')}") for each in found["deadlocks"]]
    if found["stalled"]:
        waits = counted(found["stalled"]["agents"], "agent waits", "agents wait")
        marks.append(Verdict(found["stalled"]["since_ns"], f"stalled: {waits} for good"))
    for each in found["starvation"]:
        first = min(each["worst"], key=lambda wait: int(wait["event"]))
        over_ns = int(film.rows.time[first["event"]]) + each["bound_ns"]
        marks.append(
            Verdict(over_ns, f"starvation: {first['task']} waits longer than {format_duration(each['bound_ns'])}")
        )
    for each in found["storms"] or ():
        names, several = " and ".join(each["incidents"]), len(each["incidents"]) > 1
        marks.append(Verdict(each["from_ns"], f"{names} {'begin' if several else 'begins'}"))
        if each["to_ns"] is not None:  # else it is not over at the end
            marks.append(Verdict(each["to_ns"], f"{names} {'end' if several else 'ends'}: {each['verdict']}"))
    return sorted(marks)
