"""`python -m render LOG`: replay a log on the terminal.

Exit codes: 0 done, 2 bad input, 130 interrupted. The picture goes to standard output, everything else to standard error.
"""

import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer import Argument, Option

from model.log import Log, LogError
from model.units import UnitError, format_duration, parse_duration
from render.player import FPS
from render.replay import cut_message, reel_of, show, still

DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130

_FPS_MAX = 60
_UsageError: Any = typer.BadParameter.__base__
"""What the parser of the command line raises: an unknown option, a missing argument."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class _BadInput(Exception):
    """Ends the command with exit code 2; the text goes to standard error."""


@app.command()
def command(
    log: Annotated[Path, Argument(help="A log that a run has written.", show_default=False)],
    speed: Annotated[
        str | None,
        Option(help="Virtual seconds to a second; without it the replay takes about 15 s.", show_default=False),
    ] = None,
    fps: Annotated[str, Option(help="Frames a second.")] = f"{FPS:g}",
    at: Annotated[str | None, Option(help="Show one moment, such as 12s or 1.5m, and end.", show_default=False)] = None,
) -> None:
    """Replay a log on the terminal. In a pipe, or without colours, show its last moment."""
    speed_given = None if speed is None else _number(speed, "--speed", math.inf)
    fps_given = _number(fps, "--fps", _FPS_MAX)
    opened = Log.open(log)
    reel = reel_of(opened)
    console = Console(highlight=False)
    at_ns = None if at is None else _moment(at, reel.end_ns)
    try:
        if at_ns is None:
            show(opened, reel, console, speed_given, fps_given)
        else:
            still(opened, reel, console, at_ns)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Typer must not see this: it would end with exit code 1.
        _drop_output()
    if reel.cut:
        print(cut_message(reel), file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = typer.main.get_command(app)
    given = None if arguments is None else list(arguments)
    try:
        return int(parser.main(given, prog_name="python -m render", standalone_mode=False) or DONE)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except _UsageError as error:
        error.show()
        return BAD_INPUT
    except (_BadInput, LogError) as error:
        return _fail(str(error))
    except OSError as error:
        _drop_output()
        return _fail(f"the picture cannot be written: {error.strerror}; allowed: an output that takes it")


def _terminate(number: int, frame: object) -> NoReturn:
    """Leave by way of an exception, so that the terminal is restored on the way."""
    sys.exit(128 + number)


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return BAD_INPUT


def _drop_output() -> None:
    """Send what is still to be written nowhere, so that Python does not complain when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _number(text: str, option: str, largest: float) -> float:
    allowed = "a number above 0" if largest == math.inf else f"a number above 0, at most {largest:g}"
    try:
        number = float(text)
    except ValueError:
        raise _BadInput(f"{option}: {text!r} is not a number; allowed: {allowed}") from None
    if not (0 < number <= largest and math.isfinite(number)):
        raise _BadInput(f"{option}: {text} is out of range; allowed: {allowed}")
    return number


def _moment(text: str, end_ns: int) -> int:
    try:
        at_ns = parse_duration(text)
    except UnitError as error:
        raise _BadInput(f"--at: {error}") from None
    if at_ns > end_ns:
        raise _BadInput(f"--at: {text} is after the end; allowed: from 0s to {format_duration(end_ns)}")
    return at_ns


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())
