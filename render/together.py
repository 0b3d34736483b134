"""Which options of `python -m render` go together: none is accepted and then ignored.

Rules:

1. An option that says how something is to look needs something that looks so: else it is bad input.
2. Each file is another one, and none has a name that ends like a picture of another format.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from model.faults import BadInput
from model.files import check_ending

_STILLS = ("--png", "--svg")
_SIZED = (*_STILLS, "--gif", "--cast")
_ENDINGS = {
    "--png": (".png",),
    "--svg": (".svg",),
    "--gif": (".gif",),
    "--cast": (".cast",),
    "--html": (".html", ".htm"),
}


def check(files: Mapping[str, Path], given: Collection[str], is_pair: bool) -> None:
    """Raise BadInput where one of the options that are `given` would be ignored, or a file cannot be meant.

    `files` are options that make a file; without any, the logs are shown on the terminal. A pair are two logs.
    """
    if is_pair and "--plot" in files:
        raise BadInput(
            "--plot: of two logs there is none; allowed: one log, or two with --html, which has their charts"
        )
    if is_pair and "--color" in given:
        raise BadInput("--color: two logs have colours of their own, by which they differ; allowed: one log")
    for option in ("--speed", "--fps"):
        if option in given and (files or "--at" in given):
            other = next(iter(files), "--at")
            raise BadInput(f"{option}: does not go with {other}; allowed: for a replay on the terminal")
    if "--at" in given and files and not any(each in files for each in _STILLS):
        raise BadInput(
            f"--at: does not go with {next(iter(files))}; allowed: with --png, with --svg, or without a file"
        )
    for option in ("--size", "--color"):
        if option in given and not any(each in files for each in _SIZED):
            raise BadInput(f"{option}: there is no picture that has it; allowed: with {', '.join(_SIZED)}")
    _check_names(files)


def _check_names(files: Mapping[str, Path]) -> None:
    seen: dict[str, Path] = {}
    for option, path in files.items():
        if option in _ENDINGS:
            check_ending(path, option, _ENDINGS[option])
        for other, known in seen.items():
            if _is_same(path, known):
                raise BadInput(f"{option}: {path} is the file of {other}, too; allowed: another file")
        seen[option] = path


def _is_same(path: Path, other: Path) -> bool:
    """Say whether two names are those of one file; what is there and is no file (/dev/null) may be written twice."""
    with suppress(OSError):
        if path.exists() and not path.is_file():
            return False
        return path.resolve() == other.resolve() or path.samefile(other)
    return False
