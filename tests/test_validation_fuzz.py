"""No text, no data and no setting make anything but faults: no traceback, no hang."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.source import Source
from model.validation import load
from tests.written import ALL_PATHS, FULL, FULL_DATA, TRACE, Keys, embedded, loaded, paths, told_by

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

SNIPPETS = (
    *(
        ":",
        " ",
        "\n",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "&a ",
        "*a",
        "<<: ",
        "|",
        "? ",
        "#",
        "!",
        "!!int ",
        "%",
        "@",
        "\t",
    ),
    *(
        "0",
        "-1",
        ".inf",
        ".nan",
        "1e400",
        "9" * 30,
        "null",
        "true",
        "~",
        "{a: 1}",
        "[1, 2]",
        "forever",
        "linear",
        "uniform",
    ),
    *("think", "task", "name", "\\U99999999", "\\", "\0", "\ud800", "é", "---\n", "...\n", "1/x"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, float("nan"), float("inf"), "", "x", [], {}, [1], {"a": 1}, "forever", 10**19, 10**400, 1e300),
    *("9" * 50, {"uniform": [1]}, {"linear": {"q": 1}}, [{}], {"think": 1}, "global", "1s", "t.csv", "tokens"),
)


@given(st.data())
def test_no_text_makes_anything_but_faults(data: st.DataObject) -> None:
    text = FULL
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.sampled_from((0, 0, 1, 1, 3, 30))))
        text = text[:start] + data.draw(st.sampled_from(("", *SNIPPETS))) + text[end:]
    Path("f.yaml").write_bytes(text.encode(errors="surrogatepass"))
    Path("t.csv").write_text(TRACE)
    lines = told_by(lambda: load("f.yaml"))
    assert len(set(lines)) == len(lines)
    for line in lines:
        assert line.startswith(("f.yaml", "t.csv"))
        assert line.isprintable()
        assert "; allowed: " in line


@given(st.data())
def test_no_data_make_anything_but_faults(data: st.DataObject) -> None:
    tree = deepcopy(FULL_DATA)
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(list(paths(tree)) or [()]))
        if not path:
            continue
        around: Any = Source("", tree).at(path[:-1])
        match data.draw(st.sampled_from(("drop", "put", "copy", "rename"))):
            case "drop":
                del around[path[-1]]
            case "put":
                around[path[-1]] = deepcopy(data.draw(st.sampled_from(VALUES)))
            case "copy":
                around[path[-1]] = deepcopy(Source("", tree).at(data.draw(st.sampled_from(list(paths(tree))))))
            case "rename" if isinstance(around, dict):
                around[str(data.draw(st.sampled_from(ALL_PATHS))[-1])] = around.pop(path[-1])
    lines = told_by(lambda: embedded(tree))
    assert len(set(lines)) == len(lines)
    assert not [line for line in lines if " is wrong: " in line or "another value" in line]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(ALL_PATHS), st.sampled_from(SNIPPETS)), min_size=1, max_size=3))
def test_no_setting_makes_anything_but_faults(chosen: list[tuple[Keys, str]]) -> None:
    shown = Source("", FULL_DATA)
    overrides = [f"{shown.display(path)}={value}" for path, value in chosen]
    assert all(line.isprintable() for line in told_by(lambda: loaded(FULL, *overrides, files={"t.csv": TRACE})))
