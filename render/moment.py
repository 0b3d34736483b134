"""Times as people type them: durations, and times by the clock as the pictures show them."""

import re

from model.faults import shown
from model.units import NS_PER_SECOND, UnitError, parse_duration

_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?")


def time_from(text: str) -> int:
    """Return the ns of a time such as 12s, 1.5m or 0:05:30; raises UnitError where it is none."""
    if ":" not in text:
        return parse_duration(text)
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise UnitError(f"{shown(text)} is not a time; allowed: a time such as 12s, 1.5m or 0:05:30")
    hours, minutes, seconds = map(int, match.groups()[:3])
    rest = int((match[4] or "").ljust(9, "0"))
    return (hours * 3600 + minutes * 60 + seconds) * NS_PER_SECOND + rest
