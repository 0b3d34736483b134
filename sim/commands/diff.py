"""`python -m sim diff`: two logs side by side."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from typer import Argument

from model.faults import named
from model.program import DONE, NO
from sim.commands.answers import AsMarkdown, Out, answer, one_way, row_file
from sim.commands.files import AsJson, another, opened, read_files

FirstLog = Annotated[
    Path, Argument(metavar="LOG_A", help="A log, or a scenario to run first.", show_default=False, readable=False)
]
OtherLog = Annotated[
    Path, Argument(metavar="LOG_B", help="Another log, or scenario.", show_default=False, readable=False)
]


def diff(
    log_a: FirstLog, log_b: OtherLog, as_json: AsJson = False, as_markdown: AsMarkdown = False, out: Out = None
) -> int:
    """Compare two logs: where they part and what follows in numbers. 0 when no event differs, else 1."""
    from sim.analysis import diff as differing
    from sim.analysis.pairs import SCHEMA
    from sim.diff_pages import diff_page

    one_way(as_json, as_markdown)
    another(log_b, "LOG_B", log_a, "LOG_A")
    with ExitStack() as stack:
        first, second = (stack.enter_context(opened(path)) for path in (log_a, log_b))
        inputs = {**read_files(log_a, first.header, "LOG_A"), **read_files(log_b, second.header, "LOG_B")}
        keep = None if out is None else stack.enter_context(row_file(out, SCHEMA, inputs))
        found = differing.diff(first, second, keep)
    names = named(log_a), named(log_b)
    result = {"log_a": names[0], "log_b": names[1], **found}
    answer(result, diff_page(found, *names), as_json, as_markdown)
    return DONE if found["same"] else NO
