"""Whole numbers as bytes that compress well, for a browser to read.

Rules:

1. A column holds numbers from 0 to 2^63 - 1. It is stored by planes: the lowest byte of every number, then the next byte of
   every number, up to the highest that any of them needs. A column without numbers has no plane.
2. The columns stand one after another. The directory says of each how many numbers and how many planes it has.
3. Numbers that may be negative, from -2^62 up to 2^62, are folded first: 0, -1, 1, -2, ... are 0, 1, 2, 3, ...
4. All of it is compressed as zlib does, and written in base64.
"""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEVEL = 9
Directory = list[tuple[str, int, int]]


def folded(values: NDArray[np.signedinteger[Any]]) -> NDArray[np.int64]:
    """Return numbers from 0 on in place of numbers of both signs, small where those are small."""
    wide = values.astype(np.int64)
    return (wide << 1) ^ (wide >> 63)


def unfolded(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what was `folded`."""
    return (values >> 1) ^ -(values & 1)


def packed(columns: Mapping[str, NDArray[Any]]) -> tuple[Directory, str]:
    """Return the directory (name, numbers, planes) of some columns, and the text that holds them."""
    directory: Directory = []
    parts: list[bytes] = []
    for name, values in columns.items():
        planes = (int(values.max(initial=0)).bit_length() + 7) // 8
        directory.append((name, len(values), planes))
        parts += [(values >> (8 * plane) & 0xFF).astype(np.uint8).tobytes() for plane in range(planes)]
    return directory, base64.b64encode(zlib.compress(b"".join(parts), _LEVEL)).decode("ascii")


def unpacked(directory: Directory, text: str) -> dict[str, NDArray[np.int64]]:
    """Return the columns, as the browser reads them."""
    content = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    columns, place = {}, 0
    for name, numbers, planes in directory:
        values = np.zeros(numbers, np.int64)
        for plane in range(planes):
            values |= content[place : place + numbers].astype(np.int64) << (8 * plane)
            place += numbers
        columns[name] = values
    return columns
