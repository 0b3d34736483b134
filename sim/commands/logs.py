"""`python -m sim verify` and `export`: a log that is run again, or written for other tools."""

import sys
from pathlib import Path
from typing import Annotated

from typer import Option

from model.faults import BadInput
from model.files import check_ending, keep, output
from model.program import DONE, NO, say
from model.units import counted
from sim.commands.files import LogFile, run_again

_LINES = (".jsonl", ".ndjson", ".json")
_ENDINGS = {
    "jsonl": _LINES,
    "parquet": (".parquet",),
    "csv": (".csv",),
    "telemetry": _LINES,
    "perfetto": (".pftrace",),
    "ocel": (".json",),
    "otlp": (".json", ".jsonl"),
}


def verify(log: LogFile) -> int:
    """Run the scenario inside a log again: 0 when every event agrees, else 1 and the first that differs."""
    from model.log import Log
    from model.units import format_duration
    from sim import verify as verification

    opened = Log.open(log)
    with run_again(log):
        verdict = verification.verify(opened)
    if verdict.difference is not None:
        print(f"{log}: {verdict.difference}")
        return NO
    events = f"{counted(verdict.events, 'event')}, digest {verdict.digest}"
    if verdict.cut_ns is None:
        print(f"{log}: verified, {events}")
    else:
        print(f"{log}: verified as far as it goes, {events}; it is cut at {format_duration(verdict.cut_ns)}")
    return DONE


def export(
    log: LogFile,
    to: Annotated[
        str,
        Option(
            metavar="FORMAT",
            help="jsonl, parquet, csv or telemetry: the events as rows; perfetto, ocel or otlp: traces for other tools.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, Option(help="The file to write; - is standard output.", show_default=False, readable=False)],
) -> int:
    """Write the events of a log as rows, or as a trace, for other tools."""
    from model.log import Log
    from render.traces import TRACES
    from sim.export import FORMATS

    formats = {**FORMATS, **TRACES}
    if to not in formats:
        raise BadInput(f"--to: unknown format {to!r}; allowed: {', '.join(formats)}")
    opened = Log.open(log)
    if str(out) == "-":
        formats[to](opened, sys.stdout.buffer)
    else:
        check_ending(out, "--out", _ENDINGS[to])
        keep(out, "--out", {log: "the log"})
        with output(out, whole=True) as file:
            formats[to](opened, file)
    if opened.cut:
        say(f"{log}: the log is cut: the run was interrupted, stopped or killed; what there is of it was written")
    return DONE
