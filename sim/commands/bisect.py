"""`python -m sim bisect`: the first event at which a log and another, or the run made again, are not the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from model.faults import named
from model.program import DONE, NO
from sim.commands.answers import AsMarkdown, answer, one_way
from sim.commands.files import AsJson, LogFile, another, run_again

if TYPE_CHECKING:
    from model.log import Log

Other = Annotated[
    Path | None,
    Argument(
        metavar="OTHER",
        help="A log of the same scenario; without it the run is made again.",
        show_default=False,
        readable=False,
    ),
]


def bisect(log: LogFile, other: Other = None, as_json: AsJson = False, as_markdown: AsMarkdown = False) -> int:
    """Find the first event that differs, and the state of the fleet around it. 0 where none does, else 1."""
    from model.log import Log
    from sim.analysis.diff import first_difference
    from sim.diff_pages import bisect_page

    one_way(as_json, as_markdown)
    first = Log.open(log)
    if other is None:
        with run_again(log):
            found = _made_again(first)
    else:
        another(other, "OTHER", log, "LOG")
        found = first_difference(first, Log.open(other))
    first_name, other_name = named(log), None if other is None else named(other)
    result = {"log": first_name, "other": other_name, **found}
    page = bisect_page(found, first.header.name, first_name, other_name or "the run made again")
    answer(result, page, as_json, as_markdown)
    return DONE if found["same"] else NO


def _made_again(log: "Log") -> dict[str, Any]:
    """Make the run of a log again, and compare."""
    from model.state import extent_of
    from sim import display
    from sim.analysis.diff import told
    from sim.verify import again, compare, header_difference

    end_ns = extent_of(log).end_ns  # before the run, which may be long: reading it also finds damage
    run = again(log)
    with display.progress(log.header.name, run.plan.until_ns) as observer:
        comparison = compare(log, run, observer)
    found = told(log, run.header, comparison, (end_ns if log.cut else None, None))
    found["scenario"] = []  # it is that of the log: what differs is what this version writes of it
    if (differing := header_difference(log.header, run.header)) is not None:
        path, logged, rerun = differing
        found["caveats"].append(f"the headers differ, first in {path}: {logged} and {rerun}")
    return found
