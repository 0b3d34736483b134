"""Files that are read and written: which is a log, which a scenario, and that none is written over that is read.

Rules:

1. What cannot be written is bad input, with one clear line.
2. No file is written over that is read. What is left unfinished is removed where only the whole is of use.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from model.faults import BadInput

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".svg", ".pdf", ".gif", ".mp4", ".cast")
_DATA = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".feather", ".pftrace")
_TEXTS = (".html", ".htm", ".md", ".yaml", ".yml")
_ENDINGS = frozenset((*_PICTURES, *_DATA, *_TEXTS))
"""What the names of files end with that have a format, made here or elsewhere."""


def is_log(path: Path) -> bool:
    """Say whether a file is a log, by its first bytes."""
    from model.log import is_stream  # which is heavy, and not needed to say what a command is for

    try:
        return path.is_file() and is_stream(path)
    except (OSError, ValueError):
        return False


def is_scenario(path: Path) -> bool:
    """Say whether a file is a scenario, by its name, where a log may be meant as well."""
    return path.suffix.lower() in (".yaml", ".yml") and not is_log(path)


def keep(path: Path, option: str, inputs: Mapping[Path, str]) -> None:
    """Refuse to write to what is no file, or to a file that is read."""
    if str(path) == "-":
        raise BadInput(f"{option}: - is not a file; allowed: a file, or /dev/null for none")
    if path == Path():
        raise BadInput(f"{option}: the name is empty, or that of this folder; allowed: a file")
    with suppress(OSError):
        if path.is_dir():
            raise BadInput(f"{option}: {path} is a folder; allowed: a file")
    for each, what in inputs.items():
        with suppress(OSError):  # what is not there yet is another file
            if path.samefile(each):
                raise BadInput(f"{option}: {path} is {what} itself; allowed: another file")


def check_ending(path: Path, option: str, endings: Sequence[str]) -> None:
    """Refuse a name that ends like another format than those that `endings` stand for; any ending of none is fine."""
    if path.suffix.lower() in _ENDINGS.difference(endings):
        allowed = " or ".join(endings)
        raise BadInput(f"{option}: {path} is named like another format; allowed: a name that ends with {allowed}")


@contextmanager
def output(path: Path, whole: bool = False) -> Iterator[BinaryIO]:
    """Open a file to write; that it cannot be opened, written or closed is bad input.

    Where only the `whole` of it is of use, a new file that is not finished is removed.
    """
    new = not os.path.lexists(path)
    try:
        with path.open("wb") as file:
            yield file
    except BaseException as error:
        if whole and new:
            with suppress(OSError):
                path.unlink()
        if not isinstance(error, OSError):
            raise
        reason = error.strerror or error
        raise BadInput(f"{path}: cannot be written: {reason}; allowed: a file in a folder with room for it") from None
