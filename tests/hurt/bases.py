"""The scenarios that are hurt: all that are shipped, those of the documentation, and generated ones."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from vocabulary import rich

from model.source import parse
from tests.written import FULL, TRACE

ROOT = Path(__file__).parents[2]
DATA_ROWS = 40
_GENERATED = 60
_TRACE_OF_AZURE = "data/azure_llm/AzureLLMInferenceTrace_conv.csv"


@dataclass(frozen=True, slots=True)
class Base:
    """A scenario that is not hurt: as a person wrote it, None where nobody did, and as data."""

    text: str | None
    data: Any
    size: int


def data_files() -> dict[str, bytes]:
    """Return what the bases refer to, by its name: of the recorded hour, the first rows."""
    recorded = (ROOT / "scenarios" / _TRACE_OF_AZURE).read_bytes().splitlines(keepends=True)
    return {_TRACE_OF_AZURE: b"".join(recorded[: DATA_ROWS + 1]), "t.csv": TRACE.encode()}


@cache
def bases() -> tuple[Base, ...]:
    """Return all of them, the same ones each time."""
    texts = [path.read_text() for path in sorted((ROOT / "scenarios").glob("*.yaml"))]
    for page in ("README.md", "docs/scenario.md"):
        texts += re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    written = [Base(text, parse(text.encode(), "base").data, len(text)) for text in (FULL, *texts)]
    return *written, *(Base(None, data, len(str(data))) for data in _generated())


def _generated() -> list[Any]:
    found: list[Any] = []

    @settings(
        max_examples=_GENERATED,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(rich(wild=True))
    def collect(data: Any) -> None:
        found.append(data)

    collect()
    return found
