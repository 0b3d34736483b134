"""`python -m benchmarks`: how fast the engine is, beside a textbook SimPy model in the same run.

Both run the bottleneck (1,000 agents think U(0.5, 1.5) s, then work U(0.1, 0.3) s on one of 100 slots) for 300 s of virtual
time. Ours writes its whole log to disk, the textbook model records nothing. They take turns, each in a process of its own,
and the best turn of each counts: what disturbs a machine only ever makes a run slower.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def _textbook(agents: int, slots: int, until_s: float, folder: Path) -> dict[str, Any]:
    from benchmarks.textbook import bottleneck

    started = time.perf_counter()
    completed = bottleneck(agents, slots, until_s)
    return {"completed": completed, "wall_s": time.perf_counter() - started}


def _fleetsim(agents: int, slots: int, until_s: float, folder: Path) -> dict[str, Any]:
    from model.scenario import Scenario
    from sim.execution import execute, prepare

    scenario = Scenario.model_validate(
        {
            "name": "bottleneck",
            "seed": 1,
            "until": until_s,
            "constraints": [{"id": "funnel", "type": "concurrency", "limit": slots, "scope": "task:agent_*_work"}],
            "fleets": [
                {
                    "name": "agent",
                    "count": agents,
                    "steps": [
                        {
                            "repeat": "forever",
                            "steps": [
                                {"think": {"uniform": ["0.5s", "1.5s"]}},
                                {"task": "work", "duration": {"uniform": ["0.1s", "0.3s"]}},
                            ],
                        }
                    ],
                }
            ],
        }
    )
    from model.log import Log
    from sim.analysis.summary import Summary
    from sim.analysis.waits import Waits

    path = folder / "bottleneck.arrows"
    started = time.perf_counter()
    with path.open("wb") as file:
        outcome = execute(prepare(scenario, {}, {}), file)
    wall_s = time.perf_counter() - started
    log = Log.open(path)
    summary, waits = Summary(log.header), Waits()
    for batch in log.batches():
        summary.feed(batch, waits.feed(batch))
    return {
        "completed": summary.result()["tasks"]["finished"],
        "wall_s": wall_s,
        "events": outcome.events,
        "log_bytes": path.stat().st_size,
    }


ENGINES = {"textbook": _textbook, "fleetsim": _fleetsim}


def _turn(engine: str, agents: int, slots: int, until_s: float) -> dict[str, Any]:
    """Run one engine in a process of its own."""
    command = [sys.executable, "-m", "benchmarks", "--turn", engine, str(agents), str(slots), str(until_s)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _best(turns: list[dict[str, Any]]) -> dict[str, Any]:
    return max(turns, key=lambda turn: turn["completed"] / turn["wall_s"])


def main() -> int:
    """Measure, print a table, and say whether the ratio is reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--turns", type=int, default=5, help="turns of each engine (5)")
    parser.add_argument("--until", type=float, default=300.0, help="seconds of virtual time (300)")
    parser.add_argument("--require", type=float, default=0.0, help="exit with 1 when the ratio is below this")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--turn", nargs=4, metavar=("ENGINE", "AGENTS", "SLOTS", "UNTIL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.turn:
        engine, agents, slots, until = given.turn
        with tempfile.TemporaryDirectory() as folder:
            result = ENGINES[engine](int(agents), int(slots), float(until), Path(folder))
        result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(result))
        return 0
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in ENGINES}
    for _ in range(given.turns):
        for name in ENGINES:
            turns[name].append(_turn(name, 1000, 100, given.until))
    best = {name: _best(each) for name, each in turns.items()}
    speed = {name: each["completed"] / each["wall_s"] for name, each in best.items()}
    ratio = speed["fleetsim"] / speed["textbook"]
    large = _turn("fleetsim", 100_000, 1_000, 10.0)
    if given.json:
        print(json.dumps({"best": best, "ratio": ratio, "large": large, "cores": os.cpu_count()}))
    else:
        _print(best, speed, ratio, large)
    return 0 if ratio >= given.require else 1


def _print(best: dict[str, Any], speed: dict[str, float], ratio: float, large: dict[str, Any]) -> None:
    table = Table(title="the bottleneck, 1,000 agents on 100 slots", box=None, title_justify="left")
    for title in ("engine", "completions", "wall s", "completions/s", "peak MiB"):
        table.add_column(title, justify="left" if title == "engine" else "right")
    for name, each in best.items():
        table.add_row(
            name, f"{each['completed']:,}", f"{each['wall_s']:.2f}", f"{speed[name]:,.0f}", f"{each['peak_mib']:,.0f}"
        )
    console = Console()
    console.print(table)
    console.print(f"ratio {ratio:.2f}, with {best['fleetsim']['events']:,} events written")
    console.print(
        f"100,000 agents on 1,000 slots for 10 s: {large['completed']:,} completions, {large['events']:,} events "
        f"in {large['wall_s']:.1f} s, peak {large['peak_mib']:,.0f} MiB"
    )


if __name__ == "__main__":
    sys.exit(main())
