"""The exact results, as the JSON states them. Its unit of time is read as a second throughout."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("queueing_reference.json")


@dataclass(frozen=True, slots=True)
class Case:
    """One model with its parameters, and what is known about it exactly, by the JSON's names."""

    id: str
    parameters: dict[str, Any]
    results: dict[str, float]


@cache
def cases() -> dict[str, Case]:
    """Return all cases by id."""
    rows = json.loads(_FILE.read_text(encoding="utf-8"))["cases"]
    return {row["id"]: Case(row["id"], row["parameters"], row["results"]) for row in rows}
