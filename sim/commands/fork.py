"""`python -m sim fork`: a run that goes on otherwise from a time on, beside the run as it was."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from typer import Option

from model import options
from model.faults import BadInput, named
from model.files import keep, output
from model.program import DONE
from sim.commands.answers import AsMarkdown, Out, answer, one_way, row_file
from sim.commands.files import AsJson, LogOrScenario, opened, read_files, run_again


def fork(
    log: LogOrScenario,
    at: Annotated[str, Option(help="Virtual time of the change: 30s, 5m.", show_default=False)],
    set_: Annotated[
        list[str],
        Option(
            "--set",
            metavar="PATH=VALUE",
            help="What changes then: constraints.funnel.limit=120, or +20%, -10%, *2, +5 of what it is. May be repeated.",
            show_default=False,
        ),
    ],
    new_log: Annotated[
        Path | None, Option("--log", help="Where to write the new log; NAME-fork.arrows by default.", readable=False)
    ] = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
    out: Out = None,
) -> int:
    """Run the scenario inside a log again with a limit changed at a time: the same past, another future, and the diff."""
    from model.log import Log
    from model.state import extent_of
    from sim import display
    from sim import fork as forking
    from sim.analysis.diff import diff, same_but_for
    from sim.analysis.pairs import SCHEMA
    from sim.analysis.sides import batches
    from sim.diff_pages import fork_page
    from sim.environment import Endless
    from sim.execution import execute, prepare

    one_way(as_json, as_markdown)
    at_ns = options.duration("--at", at)
    with ExitStack() as stack:
        first = stack.enter_context(opened(log))
        _check_time(at_ns, extent_of(first).end_ns, first.cut)
        path = new_log or Path(f"{first.header.name}-fork.arrows")
        keep(path, "--log", read_files(log, first.header, "the log that is forked"))
        if path.exists() and not path.is_file():
            raise BadInput(f"--log: {path} is no file that can be read again; allowed: a file")
        with run_again(log):
            forked = forking.fork(first.header, at_ns, set_)
            ready = prepare(forked.loaded.scenario, forked.loaded.tables, forked.loaded.inputs)
        inputs = {**read_files(log, first.header, "the log that is forked"), path: "the new log"}
        with ExitStack() as writing:
            file = writing.enter_context(output(path, whole=True))
            keep_rows = None if out is None else writing.enter_context(row_file(out, SCHEMA, inputs))
            with display.progress(first.header.name, ready.plan.until_ns) as observer:
                try:
                    execute(ready, file, observer)
                except Endless as error:
                    raise BadInput(f"{log}: {error}") from None
            second = Log.open(path)
            found = diff(first, second, keep_rows)
            if found["parting"] is not None and found["parting"]["time_ns"] < at_ns:
                raise BadInput(
                    f"{log}: this version does not make the same run: event {found['parting']['event']:,} differs, before "
                    f"anything changes; allowed: a log that python -m sim verify agrees with"
                )
        before = sum(map(len, batches(first, at_ns)))
        result = {
            "forked": named(log),
            "log": named(path),
            "at_ns": at_ns,
            "changes": forked.changes,
            "events_before": before,
            "no_effect": same_but_for(first, second, {each["path"].split(".")[1] for each in forked.changes}, at_ns),
        }
        answer({**result, **found}, fork_page({**result, **found}), as_json, as_markdown)
        return DONE


def _check_time(at_ns: int, end_ns: int, is_cut: bool) -> None:
    from model.units import format_duration

    if at_ns > end_ns:
        ends, end = "is cut" if is_cut else "ends", format_duration(end_ns)
        problem = f"{format_duration(at_ns)} is past the end of the log, which {ends} at {end}"
        raise BadInput(f"--at: {problem}; allowed: 0s to {end}")
