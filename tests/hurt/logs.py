"""Small logs of many batches, as bytes."""

import io

from model.events import concatenate
from model.log import Log, LogWriter


def in_batches(log: Log, rows: int) -> tuple[bytes, list[int]]:
    """Write a log again in batches of so many rows; return it, and the places where each batch ends."""
    file, every, ends = io.BytesIO(), concatenate(list(log.batches())), list[int]()
    writer = LogWriter(file, log.header)
    for first in range(0, len(every), rows):
        writer.write(every.rows(first, first + rows))
        ends.append(file.tell())
    writer.close()
    return file.getvalue(), ends
