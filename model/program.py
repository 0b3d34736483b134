"""What a program owes to whoever started it: exit codes, one clear line for what went wrong, and whole standard streams.

Rules:

1. Exit codes: 0 done, 1 the answer is no (a log that does not agree, a run that was stopped at a limit), 2 bad input, 3 a
   deadlock, 130 interrupted, 143 terminated.
2. `BadInput` ends the program with 2 and its text on standard error. No traceback reaches a user for what a user can
   bring about: bad input, a full disk, too little memory, Ctrl-C.
3. What a program printed has arrived when it says that it is done: standard output is flushed before the exit code is
   known. A reader that has seen enough and goes away is no error, and changes no exit code. A letter that its encoding
   does not have is replaced, and bytes of a file name that are no text are written as `model.faults.named` says.
"""

import codecs
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from io import RawIOBase, TextIOWrapper
from typing import Any, NoReturn, TextIO

import typer

from model.faults import BadInput, named

DONE, NO, BAD_INPUT, DEADLOCK, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143

_UsageError: Any = typer.BadParameter.__base__
"""What the parser of the command line raises: an unknown option, a missing argument, a value of another type."""


Arguments = Sequence[str]


def run(app: typer.Typer, arguments: Arguments, name: str, full: Callable[[Arguments], Arguments] = list) -> int:
    """Run a command line, written out by `full`; return the exit code."""
    _open_streams()
    try:
        given = list(full(arguments))
        code = int(typer.main.get_command(app).main(given, prog_name=name, standalone_mode=False) or DONE)
    except BadInput as error:
        code = _fail(str(error))
    except _UsageError as error:
        code = _fail(_usage(error))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except MemoryError:
        code = _fail("there is not enough memory for that; allowed: what fits, such as fewer agents")
    except SystemExit as error:
        # The parser answers a pipe that was closed with exit code 1.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        code = DONE
    except BrokenPipeError:
        code = DONE
    except OSError as error:
        code = _unwritten(error)
    return _flushed(code)


@contextmanager
def printing() -> Iterator[None]:
    """Print an answer: whether its reader stays to the end makes no difference to what it is."""
    try:
        yield
        if isinstance(error := _flush_only(sys.stdout), BrokenPipeError):  # any other comes up again at the end
            raise error
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """Print a line on standard error, if that takes it."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def end_cleanly_when_terminated() -> None:
    """Leave by way of an exception at SIGTERM, so that the terminal is restored on the way."""

    def terminate(number: int, frame: object) -> NoReturn:
        sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, terminate)


def _flushed(code: int) -> int:
    """Write what is still to be written; return the exit code, which is another where that fails for the first time."""
    error = _flush(sys.stdout)
    if error is not None and code != BAD_INPUT and not isinstance(error, BrokenPipeError):
        code = _unwritten(error)
    _flush(sys.stderr)
    return code


def _flush(stream: TextIO) -> OSError | None:
    error = _flush_only(stream)
    if error is not None:
        # Python would try again at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return error


def _flush_only(stream: TextIO) -> OSError | None:
    try:
        stream.flush()
    except OSError as error:
        return error
    return None


def _unwritten(error: OSError) -> int:
    return _fail(f"standard output cannot be written: {error.strerror or error}")


def _usage(error: Any) -> str:
    """Say in one line what is wrong with the words of a command line; where there are none, the help is what is said."""
    problem, context = str(error.format_message()).rstrip("."), error.ctx
    if not problem or "\n" in problem:
        return problem
    if context is None:
        return f"{problem}; allowed: what --help says"
    if hasattr(error, "possibilities"):  # no such option
        allowed = ", ".join(each.opts[0] for each in context.command.params if each.param_type_name == "option")
    else:
        words = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
        allowed = words.replace("{", "").replace("}", "")
    return f"{context.command_path}: {problem}; allowed: {allowed}"


def _fail(text: str) -> int:
    say(text)
    return BAD_INPUT


def _open_streams() -> None:
    """Put something in place of a stream that was closed: what cannot be written, or has nothing to read.

    Otherwise Python has None there, and the next file that is opened becomes the standard output. And a standard output
    without a buffer (PYTHONUNBUFFERED) gets one: without it Python drops in silence what a full disk has no room for.
    What an encoding does not have is no error, whatever Python would do by itself.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_RDONLY), number)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - as Python's own
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in _ERRORS:
            stream.reconfigure(errors=_ERRORS[stream.errors])
    if isinstance(getattr(sys.stdout, "buffer", None), RawIOBase):
        number, encoding, errors = sys.stdout.fileno(), sys.stdout.encoding, sys.stdout.errors
        sys.stdout = open(number, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115


def _unencoded(
    otherwise: Callable[[UnicodeError], tuple[str | bytes, int]], error: UnicodeError
) -> tuple[str | bytes, int]:
    """Return what is written for the first letter that an encoding does not have, and where to go on."""
    if isinstance(error, UnicodeEncodeError):
        error.end = error.start + 1
        letter = error.object[error.start : error.end]
        if (text := named(letter)) != letter:
            return text, error.end
    return otherwise(error)


_ERRORS = {"strict": "named-replace", "surrogateescape": "named-replace", "backslashreplace": "named-backslashreplace"}
"""How streams answer for what their encoding does not have, by how they would by themselves."""
for _answer in set(_ERRORS.values()):
    codecs.register_error(_answer, partial(_unencoded, codecs.lookup_error(_answer.removeprefix("named-"))))
