"""Logs as traces for other tools: the Perfetto UI, process mining, OpenTelemetry; each a function of the log alone."""

from collections.abc import Callable
from typing import BinaryIO

from model.log import Log
from render.traces.ocel import to_ocel
from render.traces.otlp import to_otlp
from render.traces.perfetto import to_perfetto

TRACES: dict[str, Callable[[Log, BinaryIO], None]] = {
    "perfetto": to_perfetto,
    "ocel": to_ocel,
    "otlp": to_otlp,
}
"""Every trace by the name that `--to` gives it."""
