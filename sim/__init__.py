"""The verbs: the engine, the constraints, verification, statistics and the command line.

From Python: `sim.run` runs a scenario and returns its log, `sim.report` says what `python -m sim report --json` says of it.
Both are in `sim.api`, and are imported when they are asked for, so that the command line starts quickly.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.log import Log as Log
    from sim.api import report as report
    from sim.api import run as run

__all__ = ["Log", "report", "run"]


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from model.log import Log
    from sim import api

    return Log if name == "Log" else getattr(api, name)
