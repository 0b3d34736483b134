"""What is wrong with an input: where, what, and what is allowed.

Rules:

1. A fault is one line, `file:line:column: path: what is wrong; allowed: what is allowed`, of printable characters only.
2. All faults of an input are reported at once, in the order of the file.
3. Names and values that a person wrote are quoted, and cut where they are long.
4. Names of files are told as `named` says, also outside of faults; what is printed past it is made so by `model.program`.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

_SHOWN_MAX = 60
_HALF_MAX = 400
_LISTED_MAX = 40
_COMPARED_MAX = 2000
_BYTE = re.compile("[\udc80-\udcff]")
"""What Python has in a file name for a byte from 80 to FF that is no text."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of an input. `line` and `column` count from 1; None where there is none."""

    file: str
    line: int | None
    column: int | None
    path: str
    problem: str
    allowed: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = ":".join(
            str(part) for part in (_printable(named(self.file)), self.line, self.column) if part is not None
        )
        parts = [place, *([self.path] if self.path else []), *(["warning"] if self.severity == "warning" else [])]
        return f"{': '.join(parts)}: {cut(self.problem, _HALF_MAX)}; allowed: {cut(self.allowed, _HALF_MAX)}"


class BadInput(Exception):
    """An input that cannot be used; the text is what the user is told."""


class ScenarioError(Exception):
    """A scenario that cannot be used; `faults` holds everything that is wrong with it, in file order."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


def named(path: Path | str) -> str:
    """Return what a file is called: its name, with escapes such as `\\xff` for bytes that are no UTF-8."""
    return _BYTE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", str(path))


def shown(value: object) -> str:
    """Return how a value of a scenario is called in a message: as it is written, or by its kind."""
    match value:
        case None:
            return "an empty value"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list():
            return "a list" if value else "an empty list"
        case str():
            return cut(repr(value), _SHOWN_MAX)
    return cut(str(value), _SHOWN_MAX)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` with the known word that is most like `word`, or nothing."""
    match = nearest(word, known)
    return "" if match is None else f" (did you mean {match!r}?)"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like `word`, upper and lower case being alike, or None."""
    if len(word) > _SHOWN_MAX:
        return None
    originals = {name.lower(): name for name, _ in zip(known, range(_COMPARED_MAX), strict=False)}
    matches = get_close_matches(word.lower(), originals, n=1)
    return originals[matches[0]] if matches else None


def listed(names: Collection[str], none: str = "nothing") -> str:
    """Return the names with commas, at most forty of them; `none` where there are none."""
    first = [name for name, _ in zip(names, range(_LISTED_MAX), strict=False)]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return ", ".join(cut(_printable(name), _SHOWN_MAX) for name in first) + more if first else none


def cut(text: str, most: int) -> str:
    """Leave out the middle of a long text: both its beginning and its end tell what it is."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail]} ... {text[-tail:]}"


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)
