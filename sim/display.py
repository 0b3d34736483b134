"""What the command line shows a person: the progress of a run, and its summary.

Rules: the summary goes to standard output, the progress to standard error; both say times as people do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from model.log import ConstraintEntry, Header
from model.units import format_duration
from sim.engine import Observer

_NS_PER_SECOND = 1_000_000_000


def console() -> Console:
    """Return the console of standard output."""
    return Console(highlight=False)


@contextmanager
def progress(name: str, until_ns: int | None) -> Iterator[Observer | None]:
    """Show how far a run is, on standard error where that is a terminal."""
    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[where]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal, transient=True) as bars:
        bar = bars.add_task(name, total=until_ns, where="")

        def observe(now_ns: int, records: int) -> None:
            bars.update(bar, completed=now_ns, where=f"{now_ns / _NS_PER_SECOND:,.1f} s, {records:,} records")

        yield observe


def summary(out: Console, result: dict[str, Any], header: Header) -> None:
    """Print what `python -m sim run --json` gives, for people."""
    tasks, wait = result["tasks"], result["wait_ns"]
    out.print(
        f"[bold]{result['scenario']}[/]  seed {result['seed']}, {header.agents:,} agents, "
        f"{short(result['end_ns'])} of virtual time{' [bold red](interrupted)[/]' if result['interrupted'] else ''}"
    )
    out.print(
        f"  tasks   {tasks['started']:,} started, {tasks['finished']:,} finished, {tasks['failed']:,} failed, "
        f"{tasks['blocked']:,} blocked, {tasks['open']:,} open",
        soft_wrap=True,
    )
    if wait["mean"] is not None:
        out.print(
            "  wait    " + ", ".join(f"{name} {short(wait[name])}" for name in ("mean", "p50", "p95", "p99", "max"))
        )
    if header.constraints:
        out.print(_constraints(result["constraints"], header))
    out.print(
        f"  {result['events']:,} events in {result['wall_s']:.2f} s ({result['events_per_s']:,.0f} a second)\n"
        f"  digest  {result['digest']}\n"
        f"  log     {result['log']}",
        soft_wrap=True,
    )


def _constraints(numbers: dict[str, Any], header: Header) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 2), header_style="dim")
    table.add_column("constraint", overflow="fold")
    table.add_column("limit", overflow="fold")
    for title in ("used", "blocked", "episodes", "peak queue"):
        table.add_column(title, justify="right", no_wrap=True)
    worst = max((each["blocked_ns"] for each in numbers.values()), default=0)
    for entry in header.constraints:
        each = numbers[entry.id]
        table.add_row(
            entry.id,
            limit(entry),
            f"{each['utilisation']:.1%}",
            short(each["blocked_ns"]),
            f"{each['blocked_episodes']:,}",
            f"{each['peak_waiting']:,}",
            style="red" if worst and each["blocked_ns"] == worst else None,
        )
    return table


def limit(entry: ConstraintEntry) -> str:
    """Say what a constraint admits at first, and whether that changes."""
    numbers = next((numbers for _, numbers in entry.settings if numbers is not None), None)
    if numbers is None:
        return "never in force"
    if entry.type == "rate_limit":
        text = f"{numbers['tokens']:,}/{format_duration(numbers['period_ns']).removeprefix('1')} {entry.counts}"
    elif entry.type == "concurrency":
        text = f"{numbers['limit']:,} at once"
    else:
        text = "nobody"
    return text + (", changes" if len(entry.settings) > 1 else "")


def short(ns: float) -> str:
    """Write a time to four digits or so in the unit that suits it."""
    if ns == 0:
        return "0 s"
    if ns >= 86_400 * _NS_PER_SECOND:
        return f"{ns / (86_400 * _NS_PER_SECOND):,.1f} d"
    if ns >= 3600 * _NS_PER_SECOND:
        return f"{ns / (3600 * _NS_PER_SECOND):.1f} h"
    if ns >= 10 * 60 * _NS_PER_SECOND:
        return f"{ns / (60 * _NS_PER_SECOND):.1f} min"
    for size, unit in ((_NS_PER_SECOND, "s"), (1_000_000, "ms"), (1_000, "µs")):
        if ns >= size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:.0f} ns"
