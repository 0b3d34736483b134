"""How the numbers of a command line are read: what is none is one line that names the option, and says what is allowed."""

import re

from model.faults import BadInput, cut, shown
from model.units import UnitError, parse_duration

_WHOLE = re.compile(r"[+-]?[0-9]+")
_DIGITS_MAX = 30
"""No number of a command line has more digits."""


def whole(option: str, text: str, least: int = 0, most: int | None = None) -> int:
    """Return the whole number that an option is given; raises BadInput where it is none, or out of range."""
    allowed = f"a whole number of {least:,} or more" if most is None else f"a whole number from {least:,} to {most:,}"
    written = text.strip()
    if not _WHOLE.fullmatch(written):
        raise BadInput(f"{option}: {shown(text)} is not a whole number; allowed: {allowed}")
    if len(written) > _DIGITS_MAX or not least <= int(written) or (most is not None and int(written) > most):
        raise BadInput(f"{option}: {cut(written, _DIGITS_MAX)} is out of range; allowed: {allowed}")
    return int(written)


def number(option: str, text: str, least: float, most: float) -> float:
    """Return the number that an option is given; raises BadInput where it is none, or out of range."""
    allowed = f"a number from {least:g} to {most:g}"
    try:
        given = float(text)
    except ValueError:
        raise BadInput(f"{option}: {shown(text)} is not a number; allowed: {allowed}") from None
    if not least <= given <= most:
        raise BadInput(f"{option}: {cut(text.strip(), _DIGITS_MAX)} is out of range; allowed: {allowed}")
    return given


def duration(option: str, text: str) -> int:
    """Return the nanoseconds that an option is given; raises BadInput where they are no time, or too long."""
    try:
        return parse_duration(text)
    except UnitError as error:
        raise BadInput(f"{option}: {error}") from None
