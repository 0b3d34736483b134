"""Logs as traces for other tools: the Perfetto UI, process mining, OpenTelemetry; each a function of the log alone."""

from collections.abc import Callable
from typing import BinaryIO

from model.log import Log
from render.traces.perfetto import to_perfetto

TRACES: dict[str, Callable[[Log, BinaryIO], None]] = {
    "perfetto": to_perfetto,
}
"""Every trace by the name that `--to` gives it."""
