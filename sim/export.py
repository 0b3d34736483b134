"""Exports: a log as rows for other tools.

Rules:

1. One row is one event, with names in place of numbers: `kind`, `constraint`, `task`. `seq` counts from 0.
2. Every format is written batch by batch, so that a log may be larger than memory.
3. `telemetry` is one `TaskStateEvent` for each change of a task's state; `timestamp` is virtual time in seconds. The states
   are BLOCKED, RUNNING, COMPLETED, FAILED and SKIPPED; an attempt that is followed by another has FAILED like the last.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from model.events import Kind, Status
from model.log import Log
from model.roster import Roster

_SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("time", pa.int64()),
        ("kind", pa.string()),
        ("agent", pa.int32()),
        ("step", pa.int16()),
        ("visit", pa.int32()),
        ("attempt", pa.int16()),
        ("constraint", pa.string()),
        ("value", pa.int64()),
        ("task", pa.string()),
    ]
)
_KINDS = np.array([kind.name for kind in Kind], dtype=object)


def _rows(log: Log) -> Iterator[pa.RecordBatch]:
    """Yield the rows with their names."""
    constraints = np.array([*(entry.id for entry in log.header.constraints), None], dtype=object)
    roster = Roster(log.header)
    seq = 0
    for batch in log.batches():
        roster.feed(batch)
        columns = [
            np.arange(seq, seq + len(batch)),
            batch.time,
            _KINDS[batch.kind],
            batch.agent,
            batch.step,
            batch.visit,
            batch.attempt,
            constraints[batch.constraint],
            batch.value,
            roster.task_names(batch),
        ]
        yield pa.record_batch(
            [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
        )
        seq += len(batch)


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def to_jsonl(log: Log, out: BinaryIO) -> None:
    """Write one JSON object a line."""
    for rows in _rows(log):
        out.write(b"".join(map(_line, rows.to_pylist())))


def to_csv(log: Log, out: BinaryIO) -> None:
    """Write comma-separated values with a header line; what an event has not is empty."""
    from pyarrow import csv

    options = csv.WriteOptions(quoting_style="needed")
    with csv.CSVWriter(out, _SCHEMA, write_options=options) as writer:
        for rows in _rows(log):
            writer.write(rows)


def to_parquet(log: Log, out: BinaryIO) -> None:
    """Write an Apache Parquet file, compressed with zstd."""
    from pyarrow import parquet

    with parquet.ParquetWriter(out, _SCHEMA, compression="zstd") as writer:
        for rows in _rows(log):
            writer.write_batch(rows)


_STATES = {
    Kind.TaskStarted: "RUNNING",
    Kind.TaskBlocked: "BLOCKED",
    Kind.TaskSkipped: "SKIPPED",
}
_REFUSALS = {
    Kind.TaskRejected: "rejected by",
    Kind.TaskAbandoned: "gave up waiting for",
}
_ERRORS = {
    Status.succeeded: "",
    Status.failed: "failed",
    Status.timed_out: "timed out",
    Status.cancelled: "cancelled",
    Status.preempted: "pre-empted",
}


def to_telemetry(log: Log, out: BinaryIO) -> None:
    """Write one `TaskStateEvent` a line, in order of time."""
    roster = Roster(log.header)
    constraints = [entry.id for entry in log.header.constraints]
    started_ns: dict[tuple[int, int, int], int] = {}
    refused: dict[tuple[int, int, int], str] = {}
    for batch in log.batches():
        roster.feed(batch)
        lines = []
        for time, kind, agent, step, visit, attempt, constraint, value, task in zip(
            batch.time.tolist(),
            batch.kind.tolist(),
            batch.agent.tolist(),
            batch.step.tolist(),
            batch.visit.tolist(),
            batch.attempt.tolist(),
            batch.constraint.tolist(),
            batch.value.tolist(),
            roster.task_names(batch),
            strict=True,
        ):
            key = agent, step, visit
            duration_ns, error, state = 0, "", _STATES.get(kind)
            if kind == Kind.TaskStarted:
                started_ns[key] = time
            elif kind in _REFUSALS and constraint >= 0:
                refused[key] = f"{_REFUSALS[kind]} {constraints[constraint]}"
            elif kind == Kind.TaskFinished:
                state = "COMPLETED" if value == Status.succeeded else "FAILED"
                duration_ns = time - started_ns.pop(key, time)
                error = refused.pop(key, _ERRORS[value])
            if state is not None:
                again = f".{attempt}" if attempt else ""
                lines.append(
                    _line(
                        {
                            "type": "TaskStateEvent",
                            "task_id": f"{task}:{visit}{again}",
                            "task_name": task,
                            "state": state,
                            "duration_ms": duration_ns / 1e6,
                            "error": error,
                            "timestamp": time / 1e9,
                        }
                    )
                )
        out.write(b"".join(lines))


FORMATS: dict[str, Callable[[Log, BinaryIO], None]] = {
    "jsonl": to_jsonl,
    "parquet": to_parquet,
    "csv": to_csv,
    "telemetry": to_telemetry,
}
"""Every export by the name that `--to` gives it."""
