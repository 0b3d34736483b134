"""The command line of `python -m sim`.

Rules:

1. Results go to standard output, everything else to standard error. With `--json` standard output is one JSON object.
2. Bad input is one clear line a fault; exit codes and standard streams are as `model.program` says.
3. `python -m sim FILE` is short for `python -m sim run FILE`.
4. Heavy modules are imported by the command that uses them, so that `--help` is quick.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from model import program
from model.faults import BadInput, did_you_mean
from sim.commands.bisect import bisect
from sim.commands.diff import diff
from sim.commands.explain import explain
from sim.commands.fork import fork
from sim.commands.logs import export, verify
from sim.commands.report import report
from sim.commands.run import run
from sim.commands.scenario import check, presets, schema
from sim.commands.storm import storm

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Simulate a fleet of agents that share limits. `python -m sim FILE` is short for `python -m sim run FILE`.",
)
for _command in (run, report, explain, diff, fork, bisect, check, storm, verify, export, schema, presets):
    app.command()(_command)

_COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined] # it is a group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return program.run(app, sys.argv[1:] if arguments is None else arguments, "python -m sim", _full)


def _full(given: Sequence[str]) -> list[str]:
    """Put `run` before a scenario; raises BadInput for a word that is neither a command nor a file."""
    if not given or given[0] in _COMMANDS or given[0].startswith("--help"):
        return list(given)
    if _is_misspelt(given[0]):
        allowed = f"{', '.join(_COMMANDS)}, or a scenario file"
        raise BadInput(f"unknown command {given[0]!r}{did_you_mean(given[0], _COMMANDS)}; allowed: {allowed}")
    return ["run", *given]


def _is_misspelt(word: str) -> bool:
    """Say whether a word can only be meant as a command: it is no option, and neither is nor looks like a file."""
    return not word.startswith("-") and not Path(word).suffix and os.sep not in word and not os.path.exists(word)
