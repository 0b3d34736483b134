"""What an explanation says: statements, each with what it is about in numbers and names, and the events that say so.

Rules:

1. A statement holds all that its sentence says (`sim.sentences` makes it), and nothing that the log does not tell.
2. A key that ends in `event` holds the number of an event, one that ends in `ns` a time; a statement has the
   events that its facts name, in order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that is so."""

    kind: str
    facts: Facts

    @property
    def events(self) -> list[int]:
        """The events that say so."""
        return sorted(set(_events(self.facts)))


def _events(value: Any) -> Iterator[int]:
    if isinstance(value, list):
        for each in value:
            yield from _events(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key.endswith("event") and each is not None:
                yield each
            else:
                yield from _events(each)
