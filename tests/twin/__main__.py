"""`python -m tests.twin [NAME ...]`: real fleets beside their twins, with the measured figures and the pair of pictures.

The exit code is 1 where a fleet differs from its twin on a clock that was quiet enough.
"""

import argparse
import sys

from .compare import compare
from .pictures import side_by_side
from .settled import totals
from .stage import live
from .twins import TWINS, Twin


def main(arguments: list[str] | None = None) -> int:
    """Let each fleet run that is asked for, print what was measured, and return the exit code."""
    names = [twin.name for twin in TWINS]
    parser = argparse.ArgumentParser(prog="python -m tests.twin", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}; all by default")
    chosen = parser.parse_args(arguments).names or names
    if unknown := set(chosen) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(names)}")
    return max(_show(twin) for twin in TWINS if twin.name in chosen)


def _show(twin: Twin) -> int:
    settled = twin.settled
    (real,), noise = live((twin.fleet, settled.records))
    verdict = compare(settled, settled.records, real, noise)
    quiet = noise.worst <= twin.margin
    print(f"{twin.name}: {twin.fleet.__doc__}")
    print(f"  clock      {noise}")
    bears = f"a wait may be {1e3 * noise.worst:.1f} ms late, this twin bears {1e3 * twin.margin:.0f} ms"
    print(f"             {bears}" + ("" if quiet else ": too noisy, nothing is concluded"))
    shares = ", ".join(f"{share:.1%} of {kind}" for kind, share in settled.shares.items())
    print(f"  compared   at least {shares}")
    for who, records in (("simulated", settled.records), ("real", real)):
        counted = ", ".join(f"{count} {kind}" for kind, count in totals(records).items() if count)
        print(f"  {who:10} {len(records.arrived)} agents, {len(records.attempts)} attempts: {counted}")
    off, within = verdict.furthest
    print(f"  furthest   an instant was {1e3 * off:.1f} ms off, where {1e3 * within:.1f} ms are allowed")
    print("  verdict    " + ("\n             ".join(verdict.differences) or "no difference"))
    print()
    print(side_by_side(settled.records, real, ("simulated", "real")))
    print()
    return int(quiet and bool(verdict.differences))


if __name__ == "__main__":
    sys.exit(main())
