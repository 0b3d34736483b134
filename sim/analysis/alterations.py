"""What differs between two scenarios: paths, as `--set` takes them, with both values.

Rules:

1. Members of lists are the same where they have the same name (`id`, `name`, `task` or `hold`), if each has one of its
   own; else where they have the same place.
2. What is not there is the same as an empty list. Where two mappings share no key, they are told as a whole.
"""

from collections.abc import Iterator
from typing import Any

from model.source import Path, Source

_NAMED_BY = ("id", "name", "task", "hold")
_Pair = tuple[Any, Path | None, Any, Path | None]
"""A value of the first scenario and where it is, and one of the second; no path where there is none."""


def alterations(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the `path` of each value that differs, and its value in `a` and in `b`; None where there is none."""
    sources = Source("", first), Source("", second)
    told = []
    for one, at_one, two, at_two in _differing((first, (), second, ())):
        path = sources[1].display(at_two) if at_one is None and at_two is not None else sources[0].display(at_one or ())
        told.append({"path": path, "a": one, "b": two})
    return told


def _differing(pair: _Pair) -> Iterator[_Pair]:
    one, at_one, two, at_two = pair
    if one == two or (one in (None, []) and two in (None, [])):
        return
    inner = None
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() & two.keys():
        inner = _pairs(_by_key(one), _by_key(two))
    elif isinstance(one, list) and isinstance(two, list):
        names = _names(one), _names(two)
        by_name = names[0] is not None and names[1] is not None
        inner = _pairs(_by_place(one, names[0] if by_name else None), _by_place(two, names[1] if by_name else None))
    if inner is None or at_one is None or at_two is None:
        yield pair
        return
    for left, key_left, right, key_right in inner:
        below = None if key_left is None else (*at_one, *key_left), None if key_right is None else (*at_two, *key_right)
        yield from _differing((left, below[0], right, below[1]))


_Members = dict[str | int, tuple[Any, Path]]


def _by_key(values: dict[str, Any]) -> _Members:
    return {key: (value, (key,)) for key, value in values.items()}


def _by_place(values: list[Any], names: list[str] | None) -> _Members:
    return {names[place] if names else place: (value, (place,)) for place, value in enumerate(values)}


def _pairs(one: _Members, two: _Members) -> Iterator[_Pair]:
    for key in dict.fromkeys([*one, *two]):
        yield (*one.get(key, (None, None)), *two.get(key, (None, None)))


def _names(values: list[Any]) -> list[str] | None:
    """Return what the members are called, or None where not all have a name of their own."""
    names = [
        next((each[key] for key in _NAMED_BY if isinstance(each.get(key), str)), None)
        if isinstance(each, dict)
        else None
        for each in values
    ]
    known = [name for name in names if name is not None]
    return known if len(set(known)) == len(values) else None
