"""The wire format of protocol buffers, as much of it as a trace needs: numbers, texts and messages within messages.

(https://protobuf.dev/programming-guides/encoding.) Every function returns a whole field: its key and its value.
"""

from functools import cache

_BITS_64 = 2**64 - 1
_VARINT, _FIXED_64, _BYTES = 0, 1, 2


def varint(value: int) -> bytes:
    """Return a whole number, seven bits a byte, the lowest first; below 0 it is that of 64 bits."""
    value &= _BITS_64
    if value < 128:
        return _SHORT[value]
    parts = bytearray()
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


_SHORT = [bytes([value]) for value in range(128)]


@cache
def key_of(field: int, wire_type: int) -> bytes:
    """Return the key of a field: 0 is a number, 1 eight bytes, 2 a text or a message."""
    return varint(field << 3 | wire_type)


def number(field: int, value: int) -> bytes:
    """Return a field that is a whole number, a flag or one of a list."""
    return key_of(field, _VARINT) + varint(value)


def fixed64(field: int, value: int) -> bytes:
    """Return a field of eight bytes."""
    return key_of(field, _FIXED_64) + value.to_bytes(8, "little")


def message(field: int, *parts: bytes) -> bytes:
    """Return a field that is a message of these fields."""
    content = b"".join(parts)
    return b"".join((key_of(field, _BYTES), varint(len(content)), content))


def text(field: int, value: str) -> bytes:
    """Return a field that is a text."""
    return message(field, value.encode())
