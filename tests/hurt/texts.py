"""Scenario files as they are not meant to be.

`hurt(seed, number)` is the `number`-th file of a seed: a base that was hurt as bytes, as lines and words of YAML, or as data
that are then written out; now and then something that is large, deep or endless on purpose (`_MONSTERS`).
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

from model.source import BYTES_MAX, NESTING_MAX, NODES_MAX

from .bases import Base, bases

Keys = tuple[str | int, ...]

_MONSTERS_ONE_IN = 100
_MONSTER_BYTES_MAX = BYTES_MAX + 1000
_WORD = re.compile(rb"[^\s\[\]{},:]+|[\[\]{},:]")

_SNIPPETS: tuple[bytes, ...] = (
    *(b":", b": ", b" ", b"\n", b"- ", b"{", b"}", b"[", b"]", b"'", b'"', b"&a ", b"*a", b"<<: *a", b"|", b">", b"? ", b"#"),
    *(b"!", b"!!int ", b"!!python/object:os.system ", b"!<x> ", b"%", b"%YAML 1.1\n---\n", b"@", b"`", b"\t", b"\r", b"\\"),
    *(b"---\n", b"...\n", b"\0", b"\x1b[2J", b"\x7f", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3"),
    *("é".encode(), "\u2028".encode(), "\u202e".encode(), "😀".encode(), "\x85".encode(), "\ufeff".encode(), "١".encode()),
    *(b'"\\U99999999"', b'"\\ud800"', b'"\\x00"', b'"\\0"', b"{{ x }}", b"${X}", b"<<<<<<< HEAD\n", b"=", b",,", b"  "),
)  # fmt: skip

_WORDS: tuple[bytes, ...] = (
    *(b"0", b"-1", b"-0", b"1", b"2", b".inf", b"-.inf", b".nan", b"1e400", b"1e-400", b"-1e308", b"0x10", b"0o17", b"012"),
    *(b"9" * 19, b"9" * 20, b"9" * 30, b"1_000", b"1,000", b"0.1", b"5e-324", b"4611686018427387904", b"18446744073709551616"),
    *(b"null", b"true", b"no", b"~", b"''", b"[]", b"{}", b"[[]]", b"{a: 1}", b"[1, 2]", b"forever", b"global", b"linear"),
    *(b"1ns", b"0s", b"-1s", b"1s", b"1 s", b"1e9h", b"146y", b"292y", b"1/s", b"0/s", b"1e18/ns", b"1/0s", b"5/", b"/m", b"1/m/s"),
    *(b"1k", b"1M", b"1e3k", b"10%", b"1.5", b"0.5k", b"1h30m", b"00:10", b"2023-11-16", b"requests", b"tokens", b"t.csv", b"/dev/zero"),
    *(b"..", b".", b"task:*", b"fleet:", b"tag:*_x", b"*", b"**", b"a" * 65, b"a" * 5000, b"think", b"task", b"name", b"id", b"type"),
)  # fmt: skip

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e-300, 1e300, math.nan, math.inf, -math.inf, 10**18, 2**62, 2**63, 2**64, 10**400),
    *("", " ", "x", "0", "-1s", "0s", "1ns", "1s", "1m", "146y", "1e30s", "9" * 50 + "s", "1/s", "1k/s", "0.001/h", "1e30/s", "0/s"),
    *("forever", "global", "task:*", "task:", "fleet:a", "tenant:x", "requests", "tokens", "t.csv", "../t.csv", "/dev/zero", "nowhere.csv"),
    *([], {}, [[]], [{}], {"": None}, [None], [1], {"a": 1}, ["1s", "1s"], ["2s", "1s"], {"steps": []}, {"uniform": [1]}),
    *({"uniform": ["0s", "1s"]}, {"exponential": "1s"}, {"exponential": 0}, {"linear": {"q": 1}}, {"pareto": {"shape": 0.01, "minimum": "1s"}}),
    *({"mixture": []}, {"empirical": []}, {"empirical": {"file": "t.csv", "column": "tokens"}}, {"trace": {"file": "t.csv", "time": "time"}}),
    *({"poisson": "1e9/s"}, {"every": "1ns"}, {"at": [0, 0, 0]}, {"at": ["2s", "1s"]}, {"think": "1s"}, {"think": 0}, {"spawn": "a"}),
    *({"repeat": "forever", "steps": [{"think": 0}]}, {"lognormal": {"median": "1s", "p95": "1s"}}, {"gamma": {"shape": 1e9, "mean": 1}}),
    *("a" * 100, "é" * 100, "\u202e", "a\nb", "a.b", "a b", "\x1b[2J", "\ud800", "😀", "__class__", "{{x}}", "%s", "{0}", "*", "a*", "[a", "(?:"),
)  # fmt: skip


def hurt(seed: int, number: int) -> bytes:
    """Return the content of a file."""
    random = Random(f"{seed}/{number}")
    if not random.randrange(_MONSTERS_ONE_IN):
        size = int(math.exp(random.uniform(math.log(10), math.log(_MONSTER_BYTES_MAX))))
        return random.choice(_MONSTERS)(random, size)[:_MONSTER_BYTES_MAX]
    base = min(random.choices(bases(), k=2), key=lambda base: base.size)  # what is short is read sooner
    way = random.random()
    if way < 0.6:
        content = _by_data(random, base)
    else:
        content = (base.text or _emitted(random, base.data)).encode()
    if way > 0.5:
        change = _by_bytes if way > 0.8 else _by_words
        for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
            content = change(random, content)
    return content


# As bytes


def _by_bytes(random: Random, content: bytes) -> bytes:
    start, end = _span(random, len(content))
    match random.randrange(8):
        case 0 if content:
            place = random.randrange(len(content))
            return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]
        case 1:
            return content[:start] + content[end:]
        case 2:
            return content[:end] + content[start:end] * random.choice((1, 2, 50)) + content[end:]
        case 3:
            return content[:start]
        case 4:
            return content[:start] + random.randbytes(random.choice((1, 2, 4, 100))) + content[end:]
        case 5 if not random.randrange(10):
            return content.decode(errors="replace").encode(
                random.choice(("utf-16", "utf-32", "utf-8-sig", "cp500")), "replace"
            )
        case 6:
            return content[end:] + content[:start]
    return content[:start] + random.choice(_SNIPPETS) + content[end:]


def _span(random: Random, length: int) -> tuple[int, int]:
    start = random.randint(0, length)
    return start, min(length, start + random.choice((0, 0, 1, 1, 3, 10, 100)))


# As lines and words


def _by_words(random: Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    row = random.randrange(len(lines))
    line = lines[row]
    match random.randrange(9):
        case 0:
            del lines[row]
        case 1:
            lines.insert(random.randint(0, len(lines)), line)
        case 2:
            other = random.randrange(len(lines))
            lines[row], lines[other] = lines[other], line
        case 3:
            lines[row] = (
                b" " * random.choice((1, 2, 4)) + line if random.random() < 0.5 else line[random.choice((1, 2)) :]
            )
        case 4:
            lines.insert(row, line[: len(line) - len(line.lstrip())] + random.choice(_SNIPPETS))
        case _:
            words = list(_WORD.finditer(line))
            if not words:
                return b"\n".join(lines)
            word = random.choice(words)
            new = random.choice(
                (random.choice(_WORDS), _word_of(random, content), random.choice(_SNIPPETS) + word.group())
            )
            lines[row] = line[: word.start()] + new + line[word.end() :]
    return b"\n".join(lines)


def _word_of(random: Random, content: bytes) -> bytes:
    """Return a word of this scenario or of another."""
    other = random.choice(bases()).text
    words = _WORD.findall(other.encode() if other and random.random() < 0.5 else content)
    return random.choice(words or [b""])


# As data


def _by_data(random: Random, base: Base) -> bytes:
    data = deepcopy(base.data)
    change = _varied if random.random() < 0.4 else _changed
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = change(random, data)
    return _emitted(random, data).encode(errors="surrogatepass")


def _changed(random: Random, data: Any) -> Any:
    paths = list(_paths(data))
    if not paths:
        return random.choice(_VALUES)
    path = random.choice(paths)
    around = _at(data, path[:-1])
    key: Any = path[-1]
    match random.randrange(9):
        case 0:
            del around[key]
        case 1:
            donor = random.choice(bases()).data
            around[key] = deepcopy(_at(donor, random.choice(list(_paths(donor)))))
        case 2 if isinstance(around, dict):
            around[_word_of(random, b"a: b").decode(errors="replace")] = around.pop(key)
        case 3 if isinstance(around, dict):
            around[random.choice(("", "x", "nmae", "Steps", "0", "é", "a.b", "a" * 300, "<<", "null"))] = random.choice(
                _VALUES
            )
        case 4 if isinstance(around, list):
            around[key : key + 1] = [around[key]] * random.choice((0, 2, 2, 30))
        case 5:
            wrapped = around[key]
            for _ in range(random.choice((1, 1, 2, NESTING_MAX + 5))):
                wrapped = [wrapped] if random.random() < 0.5 else {"steps": wrapped}
            around[key] = wrapped
        case 6 if isinstance(around[key], (int, float)) and not isinstance(around[key], bool):
            third = around[key] / 3 if abs(around[key]) < 10**300 else around[key] // 3  # else there is no such float
            around[key] = random.choice((-around[key], around[key] * 1000, third, str(around[key]), around[key] + 1))
        case 7 if isinstance(around[key], str):
            around[key] = random.choice(
                (around[key] + "x", around[key][1:], around[key].upper(), f"-{around[key]}", f"1{around[key]}")
            )
        case _:
            around[key] = deepcopy(random.choice(_VALUES))
    return data


def _varied(random: Random, data: Any) -> Any:
    """Change a value so that what comes of it may well be valid, and run."""
    paths = [path for path in _paths(data) if path[-1] not in ("name", "id", "task", "description")]
    if not paths:
        return data
    path = random.choice(paths)
    around = _at(data, path[:-1])
    key: Any = path[-1]
    value = around[key]
    if isinstance(value, str) and (quantity := re.fullmatch(r"([0-9.]+)(k?[/a-z]*)", value)) and random.random() < 0.7:
        around[key] = random.choice(("0", "1", "0.001", "7.5", "1000", quantity[1])) + quantity[2]
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and random.random() < 0.7:
        around[key] = random.choice((0, 1, value / 2, value * 3, value + 1, 0.3))
    else:
        around[key] = _of_another(random, key, value)
    return data


def _of_another(random: Random, key: str | int, value: Any) -> Any:
    """Return what the same key has in another scenario, so that what comes of it may be valid."""
    donor = random.choice(bases()).data
    found = [path for path in _paths(donor) if path[-1] == key]
    return deepcopy(_at(donor, random.choice(found))) if found else value


def _paths(data: Any, path: Keys = ()) -> Iterator[Keys]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from _paths(value, (*path, key))


def _at(data: Any, path: Keys) -> Any:
    for key in path:
        data = data[key]
    return data


def _emitted(random: Random, data: Any) -> str:
    """Write data as YAML: in block style down to some level, from there on in flow style, now and then with an anchor."""
    return "\n".join(_block(random, data, random.choice((0, 2, 2, 4, 300)), "")) + "\n"


def _block(random: Random, data: Any, levels: int, indent: str) -> Iterator[str]:
    if isinstance(data, dict) and data and levels:
        for key, value in data.items():
            head = f"{indent}{_scalar(key)}:"
            yield from _member(random, value, levels, head, indent + "  ")
            if not random.randrange(3000):
                yield from _member(random, value, levels, head, indent + "  ")
    elif isinstance(data, list) and data and levels:
        for value in data:
            yield from _member(random, value, levels, f"{indent}-", indent + "  ")
    else:
        yield f"{indent}{_flow(data)}"


def _member(random: Random, value: Any, levels: int, head: str, indent: str) -> Iterator[str]:
    mark = random.randrange(3000)
    head += {0: " &a", 1: " !x", 2: " !!str"}.get(mark, "")
    if mark == 3:
        yield f"{head} *a"
    elif isinstance(value, (dict, list)) and value and levels > 1:
        yield head
        yield from _block(random, value, levels - 1, indent)
    else:
        yield f"{head} {_flow(value)}"


def _flow(data: Any) -> str:
    if isinstance(data, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(value)}" for key, value in data.items()) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(map(_flow, data)) + "]"
    return _scalar(data)


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if math.isnan(value):
            return ".nan"
        case float() if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        case str():
            plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_/]*|[0-9.]+[a-z/]+", value)
            return value if plain and value not in ("null", "true", "false") else json.dumps(value, ensure_ascii=False)
    return str(value)


# Large, deep or endless


def _repeated(head: str, item: str, tail: str = "") -> Callable[[Random, int], bytes]:
    """Make a file of many equal parts; `{n}` in them is their number."""

    def make(random: Random, size: int) -> bytes:
        count = max(1, size // len(item))
        body = "".join(item.replace("{n}", str(n)) for n in range(count)) if "{n}" in item else item * count
        return f"{head}{body}{tail}".encode()

    return make


def _laughs(random: Random, size: int) -> bytes:
    wide = random.randint(2, 20)
    rows = ["l0: &l0 [x, x]"]
    inner = random.choice(("[{0}]", "{{<<: [{0}]}}"))
    if "<<" in inner:
        rows[0] = "l0: &l0 {x: 1}"
    for level in range(1, random.randint(2, NESTING_MAX + 10)):
        rows.append(f"l{level}: &l{level} {inner.format(', '.join([f'*l{level - 1}'] * wide))}")
    return "\n".join(rows).encode()


def _noise(random: Random, size: int) -> bytes:
    return random.randbytes(size)


def _characters(random: Random, size: int) -> bytes:
    letters = [
        chr(
            random.choice(
                (random.randrange(32, 127), random.randrange(0xA0, 0xD800), random.randrange(0x10000, 0x11000))
            )
        )
        for _ in range(200)
    ]
    return "".join(random.choices([*letters, *": -[]{}\n\"'&*!|>#"], k=size)).encode()


def _soup(random: Random, size: int) -> bytes:
    """Return signs of YAML in any order."""
    parts = random.choices([*_SNIPPETS[:20], *_WORDS, b"\n", b"\n", b" ", b": ", b"- "], k=size // 3 + 1)
    return b"".join(parts)[:size]


_FLEET = "fleets: [{name: a, count: 1, steps: [{think: 1s}]}]\n"
_MONSTERS: tuple[Callable[[Random, int], bytes], ...] = (
    *(_laughs, _laughs, _noise, _characters, _soup, _soup),
    *(_repeated("", sign) for sign in ("[", "{", "- ", "? ", ": ", "{a: ", "&a ", "*a ", "!", "!!", "#", "\n", "---\n", '"', "'", "|\n", "%")),
    *(_repeated("name: ", text) for text in ("a", "a ", "9", "é", "a\n ", "'", "-", "!a", "&a")),
    *(_repeated("seed: ", text) for text in ("9", "0", "0x1", "1e9", "-")),
    _repeated("name: x\nuntil: 1", "0", f"s\n{_FLEET}"),
    _repeated('description: "', "\\n", f'"\n{_FLEET}'),
    _repeated("description: |\n", "  a\n", _FLEET),
    _repeated("k", "{n}: {n}\nk"),
    _repeated("", "name: x\n"),
    _repeated("x: [", "&a{n} 1, ", "]"),
    _repeated("a: &a {x: 1}\nb: {", "<<: *a, ", "}"),
    _repeated("fleets:\n", "- {name: a{n}, count: 1, steps: [{think: 1s}]}\n"),
    _repeated("fleets:\n", "- {name: a, cuont: 1, steps: [{thikn: 1s}]}\n"),
    _repeated("fleets: [{name: a, count: 1, steps: [", "{task: t{n}, duration: 1s}, ", "]}]"),
    _repeated("fleets: [{name: a, count: 1, steps: [", "{repeat: 2, steps: [", "{think: 1s}" + "]}" * NESTING_MAX),
    _repeated("fleets: [{name: a, count: 1, steps: [{fork: [", "{think: 1s}, ", "]}]}]"),
    _repeated(f"{_FLEET}constraints:\n", "- {id: c{n}, type: concurrency, limit: 1, scope: global}\n"),
    _repeated(f"{_FLEET}constraints: [{{id: c, type: pause, scope: global, changes: [", "{at: {n}ms, paused: true}, ", "]}]"),
    _repeated("fleets: [{name: a, steps: [{think: 1s}], arrivals: {at: [", "{n}ms, ", "]}}]"),
    _repeated("fleets: [{name: a, count: 1, steps: [{think: {empirical: [", "{n}ms, ", "]}}]}]"),
    _repeated(f"{_FLEET}tenants: {{", "t{n}: {}, ", "}"),
    lambda random, size: b"[" + b"1," * (NODES_MAX + 10) + b"]",
    lambda random, size: _FLEET.encode() + b"#" * (BYTES_MAX - random.randrange(3)),
)  # fmt: skip
