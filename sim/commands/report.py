"""`python -m sim report`: all that a log says about its run."""

from typing import TYPE_CHECKING

from model.faults import BadInput
from model.program import DONE, NO, say
from sim.commands.answers import AsMarkdown, Out, Require, answer, write_rows
from sim.commands.files import AsJson, LogOrScenario, opened, read_files

if TYPE_CHECKING:
    import pyarrow as pa

    from model.log import Log
    from sim.analysis.ledger import Charges


def report(
    log: LogOrScenario,
    require: Require = None,
    as_json: AsJson = False,
    markdown: AsMarkdown = False,
    out: Out = None,
) -> int:
    """Report what was waited for, throughput, waits, use of the limits, fairness and verdicts."""
    from sim.analysis.report import report as reported
    from sim.gates import Outcome, gates
    from sim.report_page import page

    checks = gates(require or [])
    with opened(log) as written:
        result, charges = reported(written)
        if not result["events"]:
            raise BadInput(f"{log}: the log is cut before its first event; allowed: a log with events")
        outcomes = [gate.judge(result) for gate in checks]
        if outcomes:
            result["require"] = [outcome.as_json() for outcome in outcomes]
        if out is not None:
            write_rows(out, _rows(written, charges), read_files(log, written.header))
        told = page(result, written.header)
        if outcomes and written.cut:
            outcomes.append(Outcome("a whole log", False, "cut"))
        told.blocks[:0] = [str(outcome) for outcome in outcomes]
        answer(result, told, as_json, markdown)
        if written.cut:
            say(f"{log}: the log is cut: the run was interrupted, stopped or killed; this is of the part that there is")
    return DONE if all(outcome.holds for outcome in outcomes) else NO


def _rows(log: "Log", charges: "Charges") -> "pa.Table":
    """Return the ledger: a row for each agent, step and cause."""
    import pyarrow as pa

    from sim.analysis.report import names_of

    names, steps = names_of(log.header), {-1: "", **{n: step.name for n, step in enumerate(log.header.steps)}}
    return pa.table(
        {
            "agent": pa.array(charges.agent),
            "step": pa.array([steps[step] for step in charges.step.tolist()]),
            "cause": pa.array([names[cause] for cause in charges.cause.tolist()]),
            "waited_ns": pa.array(charges.ns),
            "overtaken_ns": pa.array(charges.overtaken_ns),
        }
    )
