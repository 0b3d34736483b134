"""`python -m hurt.worker SEED FIRST STOP STEP FOLDER`: judge hurt files one after another, and print a JSON line for each.

Time is bounded by a signal that raises in whatever goes on, memory by the system. `fuzz`, which starts this, watches for
what neither can catch: a worker that is stuck outside Python, or killed.
"""

import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from .bases import bases, data_files
from .judge import judge
from .texts import hurt

SECONDS_MAX = 40
"""Of processor time, for a file: a mebibyte of the worst YAML takes half of it where others use the machine too."""
ADDRESS_BYTES_MAX = 3 * 2**30
"""Of address space, most of which libraries reserve and never touch."""


class Hang(BaseException):
    """It took too long. No handler of ordinary errors may take it for one."""


def main(seed: int, first: int, stop: int, step: int, folder: Path) -> None:
    """Judge the files from `first` to `stop`; those that are judged badly stay in the folder."""
    bases()
    for name, content in data_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    os.chdir(folder)
    signal.signal(signal.SIGPROF, _hang)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES_MAX, ADDRESS_BYTES_MAX))
    for number in range(first, stop, step):
        path = Path(f"hurt-{seed}-{number}.yaml")
        path.write_bytes(hurt(seed, number))
        print(json.dumps({"number": number, "path": str(folder / path), **_judged(path)}), flush=True)


def _judged(path: Path) -> dict[str, Any]:
    told = ""
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS_MAX)
    try:
        verdict: str = judge(path)
    except (Exception, Hang):
        verdict, told = "offence", traceback.format_exc(limit=-8)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if not told:
        path.unlink()
    if verdict != "refused":  # the cycles of a run that was stopped are no memory that the next one needs
        gc.collect()
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"verdict": verdict, "told": told, "seconds": time.process_time() - started, "peak_bytes": peak_bytes}


def _hang(number: int, frame: object) -> NoReturn:
    raise Hang(f"more than {SECONDS_MAX} s of processor time")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]), Path(sys.argv[5]))
