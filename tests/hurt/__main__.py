"""`python -m tests.hurt --files N --seed N`: judge hurt scenario files.

The seed is printed first; without one it is taken from the operating system. Each file that comes to
anything but faults or a run stays, with what came of it. The exit code is 1 where there is one.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from .fuzz import Report, fuzz

_SEED_BYTES = 4
_TELL_EVERY = 1000


def main(arguments: list[str] | None = None) -> int:
    """Judge, print what came of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.hurt", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000, help="how many (100,000)")
    parser.add_argument("--seed", type=int, help="repeat a run (default: a seed from the operating system)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (as many as there are cores)"
    )
    parser.add_argument("--folder", type=Path, help="where the files are written (default: a new folder)")
    given = parser.parse_args(arguments)
    seed = int.from_bytes(os.urandom(_SEED_BYTES), "little") if given.seed is None else given.seed
    folder = given.folder or Path(tempfile.mkdtemp(prefix="hurt-"))
    print(f"python -m tests.hurt --files {given.files} --seed {seed}", flush=True)
    started = time.monotonic()
    report = fuzz(seed, given.files, given.workers, folder.absolute(), _progress)
    print(f"{summed_up(report)}, in {time.monotonic() - started:,.0f} s")
    for offence in report.offences:
        print(f"\n{offence['path']}\n{offence['told']}")
    return 1 if report.offences else 0


def summed_up(report: Report) -> str:
    """Return a line that says what came of the files."""
    counts = report.verdicts
    valid = report.files - counts["refused"] - counts["offence"]
    parts = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.most_common())
    return (
        f"{report.files:,} files, {valid:,} valid: {parts}; "
        f"slowest {report.slowest_s:.1f} s (file {report.slowest}), peak memory {report.peak_bytes / 2**20:,.0f} MiB"
    )


def _progress(report: Report) -> None:
    if report.files % _TELL_EVERY == 0:
        print(summed_up(report), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
