"""`python -m tests.theory`: every exact result beside its estimate, as a table.

Rules:

1. `--fresh` takes a seed from the operating system; it is printed first, and `--seed` repeats that run.
2. The exit code is 1 where an interval does not cover its exact value, or a burst differs by a nanosecond. (With fresh
   seeds and a true engine, that happens once in a hundred times at most.) An interval above 2 % is marked with the
   reason, and is no failure: `--longer` makes all replications longer by a factor, and so the intervals narrower by its
   square root.
3. The replications of a row run side by side; what comes out does not depend on how many workers there are.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from . import bursts
from .experiment import FALSE_ALARM, NOMINAL, PINNED_SEED, Observations, Verdict, comparisons, judge, not_yet, replicate
from .reference import cases
from .rows import BURSTS, REPLICATIONS, RESOLUTION, Reason, Row, rows

_SEED_BYTES = 8
_WIDTH_IN_A_FILE = 120
_COLUMNS = ("case", "quantity", "exact", "estimate", "half-width", "", "verdict")


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, print the table, and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.longer < 1:  # deviations of replications that are too short are not normal
        parser.error(f"--longer {options.longer}; allowed: 1 or more")
    seed = int.from_bytes(os.urandom(_SEED_BYTES), "little") if options.fresh else options.seed
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_IN_A_FILE)
    console.print(
        f"seed {seed}: python -m tests.theory --seed {seed} --longer {options.longer} --case '{options.case}'"
    )
    table = Table(*_COLUMNS)
    for column in table.columns[2:6]:
        column.justify = "right"
    wrong = 0
    with ProcessPoolExecutor(options.workers) as pool, Progress(console=console, transient=True) as progress:
        names = [name for name in cases() if fnmatch(name, options.case)]
        for name in progress.track(names):
            if name in BURSTS:
                wrong += _add_burst(table, name)
            elif missing := not_yet(rows()[name]):
                table.add_row(name, "", "", "", "", "", f"needs {', '.join(sorted(missing))}")
            else:
                task = partial(_replicate, name, options.longer, seed)
                observed = list(pool.map(task, range(REPLICATIONS)))
                wrong += sum(_add_verdict(table, verdict) for verdict in judge(rows()[name], observed))
            table.add_section()
    console.print(table)
    for reason in Reason:
        console.print(f"{reason.name}: {reason.value}")
    console.print(
        f"{wrong} outside. {comparisons()} intervals, each of confidence 1 - {NOMINAL:g} / {comparisons()}: "
        f"a true engine is suspected with probability {FALSE_ALARM:g} at most."
    )
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.theory", description=__doc__.splitlines()[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fresh", action="store_true", help="a seed from the operating system")
    which.add_argument("--seed", type=int, default=PINNED_SEED, help="repeat a run (default: the seed of the tests)")
    parser.add_argument("--longer", type=float, default=1, help="length of every replication, as a factor (1)")
    parser.add_argument("--case", default="*", help="only these cases, a shell-style pattern")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (as many as there are cores)")
    return parser


def _replicate(name: str, longer: float, seed: int, number: int) -> Observations:
    row = rows()[name]
    return replicate(_lengthened(row, longer), seed, number)


def _lengthened(row: Row, longer: float) -> Row:
    period_s = row.case.parameters.get("window_s", 1)  # a window counter is watched for whole periods
    return replace(row, length_s=period_s * max(1, round(row.length_s * longer / period_s)))


def _add_verdict(table: Table, verdict: Verdict) -> bool:
    result, found = verdict.result, verdict.interval
    share = f"{found.half_width / abs(result.exact):.2%}" if result.exact else ""
    numbers = (f"{value:.6g}" for value in (result.exact, found.estimate))
    table.add_row(verdict.case, result.name, *numbers, f"{found.half_width:.2g}", share, _word(verdict))
    return not verdict.agrees


def _word(verdict: Verdict) -> str:
    result, half_width = verdict.result, verdict.interval.half_width
    if not verdict.agrees:
        return "[red]outside[/]"
    if half_width <= RESOLUTION / 100 * abs(result.exact):
        return "agrees"
    return f"agrees, {result.because.name}" if verdict.narrow else "[yellow]agrees, too wide[/]"


def _add_burst(table: Table, name: str) -> bool:
    expected, found = bursts.expected(cases()[name]), bursts.found(cases()[name])
    for quantity, exact in expected.items():
        same = found[quantity] == exact
        numbers = (f"{float(value) / 1e9:.6g}" for value in (exact, found[quantity]))
        table.add_row(name, quantity, *numbers, "0", "", "equal" if same else "[red]differs[/]")
    return found != expected


if __name__ == "__main__":
    sys.exit(main())
