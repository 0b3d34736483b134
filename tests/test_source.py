# ruff: noqa: E501 - faults are given as they are printed, each on a line
"""What a scenario file is as data, where each part stands, and every way in which it cannot be read."""

import math
import os
import time
from pathlib import Path

import pytest

from model.faults import Fault, ScenarioError
from model.source import BYTES_MAX, NODES_MAX, Source, override, parse, read

FLEET = """\
name: demo
constraints:
  - {id: funnel, type: concurrency, limit: 20}
  - {type: pause}
fleets:
  - name: agent
    count: 5
    steps:
      - repeat: forever
        steps:
          - think: 1s
          - {think: 2s, name: rest}
          - task: work
            duration: {uniform: [1s, 2s]}
      - {task: last, duration: 1s}
"""
STEPS = ("fleets", 0, "steps", 0, "steps")


def refused(content: str | bytes) -> str:
    """Return the one fault that ends the reading."""
    with pytest.raises(ScenarioError) as caught:
        parse(content.encode() if isinstance(content, str) else content, "f.yaml")
    (fault,) = caught.value.faults
    return str(fault)


def survived(content: str) -> list[str]:
    """Return what is found on the way, as `line:column path: problem; allowed`."""
    source = parse(content.encode(), "f.yaml")
    lines = []
    for found in source.findings:
        place = found.place or source.place(found.path)
        path = source.display(found.path)
        lines.append(f"{place.line}:{place.column} {path}: {found.problem}; {found.allowed}")
    return lines


def after(*settings: str, text: str = FLEET) -> Source:
    source = parse(text.encode(), "f.yaml")
    for number, setting in enumerate(settings, 1):
        path, _, value = setting.partition("=")
        override(source, path, value, number)
    return source


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("18446744073709551615", 2**64 - 1),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_values_are_read_as_yaml_1_2_says(text: str, value: object) -> None:
    data = parse(f"a: {text}".encode(), "f.yaml").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(parse(b"a: .nan", "f.yaml").data["a"])


def test_the_version_directive_does_not_change_the_meaning() -> None:
    assert parse(b"%YAML 1.1\n---\na: yes\n", "f.yaml").data == {"a": "yes"}


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    source = parse(b"\xef\xbb\xbfa: 1", "f.yaml")
    assert source.data == {"a": 1}
    assert source.place(("a",), key=True)[1:3] == (1, 1)


def test_aliases_become_copies() -> None:
    source = parse(b"a: &x {p: [1]}\nb: *x\n", "f.yaml")
    assert source.data == {"a": {"p": [1]}, "b": {"p": [1]}}
    override(source, "b.p.0", "2")
    assert source.data["a"] == {"p": [1]}


def test_merge_keys_add_what_is_not_there() -> None:
    text = b"a: &a {p: 1, q: 2}\nb: &b {r: 3, q: 4}\nc: {<<: *a, q: 5}\nd: {<<: [*a, *b]}\ne: {'<<': 1}\n"
    data = parse(text, "f.yaml").data
    assert data["c"] == {"q": 5, "p": 1}
    assert data["d"] == {"p": 1, "q": 2, "r": 3}
    assert data["e"] == {"<<": 1}


# Places


def test_every_key_and_value_has_its_place() -> None:
    source = parse(FLEET.encode(), "f.yaml")
    assert source.place(("constraints", 0, "limit"), key=True)[:3] == ("f.yaml", 3, 37)
    assert source.place(("constraints", 0, "limit"))[:3] == ("f.yaml", 3, 44)
    assert source.place((*STEPS, 2, "duration", "uniform", 1))[:3] == ("f.yaml", 14, 38)
    assert source.place(("constraints", 1))[:3] == ("f.yaml", 4, 5)


def test_what_is_not_there_stands_where_its_surroundings_stand() -> None:
    source = parse(FLEET.encode(), "f.yaml")
    assert source.place(("constraints", 1, "id"))[1:3] == (4, 5)
    assert source.place(("until",))[1:3] == (1, 1)


def test_an_alias_stands_where_it_is_written_and_its_inside_where_it_is_defined() -> None:
    source = parse(b"a: &x {p: 1}\nb: *x\n", "f.yaml")
    assert source.place(("b",))[1:3] == (2, 4)
    assert source.place(("b", "p"))[1:3] == (1, 11)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (("constraints", 0, "limit"), "constraints.funnel.limit"),
        (("constraints", 1), "constraints.1"),
        (("fleets", 0, "count"), "fleets.agent.count"),
        (("fleets", 0, "steps", 0, "repeat"), "fleets.agent.steps.0.repeat"),
        ((*STEPS, 0, "think"), "fleets.agent.steps.0.steps.0.think"),
        ((*STEPS, 1, "think"), "fleets.agent.steps.rest.think"),
        ((*STEPS, 2, "duration", "uniform", 0), "fleets.agent.steps.work.duration.uniform.0"),
        (("fleets", 0, "steps", 1), "fleets.agent.steps.last"),
        (("a\nb",), r"'a\nb'"),
        ((), ""),
    ],
)
def test_paths_are_shown_as_set_takes_them(path: tuple[str | int, ...], shown: str) -> None:
    assert parse(FLEET.encode(), "f.yaml").display(path) == shown


def test_of_two_members_with_one_name_the_second_is_shown_by_its_index() -> None:
    source = parse(b"constraints: [{id: a}, {id: a}, {id: '3'}, {id: a.b}]", "f.yaml")
    assert [source.display(("constraints", n)) for n in range(4)] == [
        "constraints.a",
        "constraints.1",
        "constraints.2",
        "constraints.3",
    ]


# Settings


def test_a_setting_reaches_members_by_name_and_nested_steps_at_any_depth() -> None:
    source = after(
        "constraints.funnel.limit=50",
        "constraints.1.id=stop",
        "fleets.agent.steps.work.duration.uniform.0=1.5s",
        "fleets.agent.steps.rest.think=3",
        "fleets.agent.steps.0.steps.0.think={exponential: 1s}",
        "until=1h",
    )
    assert source.findings == []
    assert source.data["constraints"] == [
        {"id": "funnel", "type": "concurrency", "limit": 50},
        {"type": "pause", "id": "stop"},
    ]
    inner = source.at(STEPS)
    assert inner[0]["think"] == {"exponential": "1s"}
    assert inner[1]["think"] == 3
    assert inner[2]["duration"] == {"uniform": ["1.5s", "2s"]}
    assert source.data["until"] == "1h"


def test_a_setting_makes_the_mappings_that_are_not_there_yet() -> None:
    source = after("fleets.agent.steps.work.needs.funnel=2", "description=")
    assert source.at((*STEPS, 2, "needs")) == {"funnel": 2}
    assert source.data["description"] is None


def test_a_think_step_without_a_name_is_reached_by_its_default_name() -> None:
    steps = "[{think: 1}, {repeat: 2, steps: [{think: 2, name: x}, {think: 3}]}, {task: t, duration: 1}, {think: 4}]"
    text = f"fleets: [{{name: coder, steps: {steps}}}, {{name: other, steps: [{{think: 5}}, {{name: y, steps: []}}]}}]"
    settings = [
        f"fleets.coder.steps.{name}.think={value}" for name, value in (("think", 10), ("think3", 30), ("think4", 40))
    ]
    source = after(*settings, "fleets.other.steps.think.think=50", text=text)
    assert source.findings == []
    coder, other = source.at(("fleets", 0, "steps")), source.at(("fleets", 1, "steps"))
    assert [coder[0], coder[1]["steps"][1], coder[3], other[0]] == [{"think": n} for n in (10, 30, 40, 50)]
    assert source.display(("fleets", 0, "steps", 0, "think")) == "fleets.coder.steps.0.think"
    # The second is called x, and within the inner list nobody knows how many came before.
    for name in ("think2", "1.steps.think3"):
        (found,) = after(f"fleets.coder.steps.{name}.think=1", text=text).findings
        assert f"no member '{name.split('.')[-1]}'" in found.problem


def test_a_default_name_gives_way_to_a_name_that_is_written() -> None:
    source = after("fleets.0.steps.think.x=1", text="fleets: [{steps: [{think: 1}, {task: think}]}]")
    assert source.data == {"fleets": [{"steps": [{"think": 1}, {"task": "think", "x": 1}]}]}


def test_what_is_set_stands_in_the_setting() -> None:
    source = after("constraints.funnel.limit=50", "fleets.agent.steps.work.duration={uniform: [3s, 1s]}")
    assert source.place(("constraints", 0, "limit"))[:3] == ("--set constraints.funnel.limit=50", None, None)
    inside = source.place((*STEPS, 2, "duration", "uniform", 0))
    assert inside[:3] == ("--set fleets.agent.steps.work.duration={uniform: [3s, 1s]}", None, None)
    assert source.place(("constraints", 0, "id"))[1:3] == (3, 10)


@pytest.mark.parametrize(
    ("setting", "path", "fault"),
    [
        ("constraints.funel.limit=1", "constraints", "no member 'funel' (did you mean 'funnel'?); funnel, or an index below 2"),
        ("constraints.2.limit=1", "constraints", "no member '2'; funnel, or an index below 2"),
        ("fleets.agent.steps.wrk=1", "fleets.agent.steps", "no member 'wrk' (did you mean 'work'?); rest, work, last, think, or an index below 2"),
        ("fleets.agent.steps.0.steps.rst=1", "fleets.agent.steps.0.steps", "no member 'rst' (did you mean 'rest'?); rest, work, or an index below 3"),
        ("fleets.agent.steps.work.duration.uniform.8m=1", "fleets.agent.steps.work.duration.uniform", "no member '8m'; an index below 2"),
        ("constraints.\uff11.id=x", "constraints", "no member '\uff11'; funnel, or an index below 2"),
        ("name.x=1", "name", "'demo' has nothing inside that could be called 'x'; a path to a value"),
        ("a..b=1", "", "a part of the path is empty; PATH=VALUE, such as constraints.funnel.limit=50"),
        ("until=[1", "", "not YAML: a list or mapping that is not closed, or lacks a comma; a comma between two values, and ] at the end"),
        ("until=a: b: c", "", "not YAML: a second ':' in one value, or a line that is not indented like the one before; KEY: VALUE, and quotes around text that holds ': '"),
        ("until={a: 1, a: 2}", "", "the key 'a' is there twice, first in line 1; each key once"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_done_says_why(setting: str, path: str, fault: str) -> None:
    source = after(setting)
    (found,) = source.findings
    assert f"{found.problem}; {found.allowed}" == fault
    assert source.display(found.path) == path
    assert found.place is not None
    assert found.place.file == f"--set {setting}"
    assert source.data == parse(FLEET.encode(), "f.yaml").data


def test_the_list_of_a_setting_may_be_empty() -> None:
    (found,) = after("constraints.a.limit=1", text="constraints: []").findings
    assert f"{found.problem}; {found.allowed}" == "no member 'a'; nothing, for the list is empty"


# What the reading survives


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (
            "a: 1\nb: 2\na: 3\n'b': 4\na: 5\n",
            [
                "3:1 a: the key 'a' is there twice, first in line 1; each key once",
                "4:1 b: the key 'b' is there twice, first in line 2; each key once",
                "5:1 a: the key 'a' is there twice, first in line 1; each key once",
            ],
        ),
        (
            "1: a\ntrue: b\n: c\n1.5: d\n",
            [
                "1:1 1: the key 1 is a number; text as a key, in quotes where it looks like something else",
                "2:1 true: the key true is true or false; text as a key, in quotes where it looks like something else",
                "3:1 : an empty key; text as a key, in quotes where it looks like something else",
                "4:1 1.5: the key 1.5 is a number; text as a key, in quotes where it looks like something else",
            ],
        ),
        ("a: {{ x }}\n", ["1:5 a: a mapping as a key; text; '{' and '[' at the start need quotes"]),
        ("? [1]\n: 2\n", ["1:3 : a list as a key; text; '{' and '[' at the start need quotes"]),
        ("a: " + "9" * 401, ["1:4 a: a whole number of 401 digits; at most 20 digits"]),
        ("a: 1" + "0" * 400, ["1:4 a: a whole number of 401 digits; at most 20 digits"]),
        ("a: -" + "9" * 6000, ["1:4 a: a whole number of 6,000 digits; at most 20 digits"]),
        ("a: !!python/name:os.system 1", ["1:4 a: the tag 'tag:yaml.org,2002:python/name:os.system'; values without tags"]),
        ('a: "\\ud800"', ["1:4 a: '\\ud800' holds half a character; a whole one, such as \\U0001F600"]),
        ("a: {<<: 3}", ["1:9 a: '<<' is given something other than a mapping; an alias of a mapping, or a list of such"]),
    ],
)  # fmt: skip
def test_a_fault_that_is_survived(text: str, faults: list[str]) -> None:
    assert survived(text) == faults


def test_of_a_key_that_is_there_twice_the_first_counts_and_is_in_doubt() -> None:
    source = parse(b"a: 1\na: 2\n", "f.yaml")
    assert source.data == {"a": 1}
    assert source.doubtful == {("a",)}


# What ends it


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "f.yaml:1:1: the file is empty; allowed: a mapping with name, constraints and fleets"),
        ("# only a comment\n", "f.yaml:1:1: the file is empty; allowed: a mapping with name, constraints and fleets"),
        ("---\n", "f.yaml:1:1: the file is empty; allowed: a mapping with name, constraints and fleets"),
        ("a: [1, 2", "f.yaml:1:9: not YAML: a list or mapping that is not closed, or lacks a comma; allowed: a comma between two values, and ] at the end"),
        ("a: {b: 1", "f.yaml:1:9: not YAML: a list or mapping that is not closed, or lacks a comma; allowed: a comma between two values, and } at the end"),
        ("a: [1,", "f.yaml:1:7: not YAML: the text ends inside a list or mapping; allowed: ] or } at its end"),
        ("a: }", "f.yaml:1:4: not YAML: a value is missing before '}'; allowed: a value there"),
        ("a: b: c", "f.yaml:1:5: not YAML: a second ':' in one value, or a line that is not indented like the one before; allowed: KEY: VALUE, and quotes around text that holds ': '"),
        ("a: 1\n b: 2", "f.yaml:2:3: not YAML: a second ':' in one value, or a line that is not indented like the one before; allowed: KEY: VALUE, and quotes around text that holds ': '"),
        ("a:\n  - b\n c: d", "f.yaml:3:2: not YAML: a line that is not indented like the one before; allowed: the keys of one mapping, and the items of one list, in one column"),
        ("a: - b", "f.yaml:1:4: not YAML: a list item after other text on its line; allowed: each '- ' at the start of a line of its own"),
        ("a:\n\tb: 1", "f.yaml:2:1: not YAML: a tab; allowed: spaces, for indentation"),
        ("a: @b", "f.yaml:1:4: not YAML: a value begins with '@'; allowed: quotes around such text"),
        ("a: 'b\nc: d", "f.yaml:1:4: not YAML: a quote that is not closed; allowed: the same quote at the end of the text"),
        ('a: "\\q"', 'f.yaml:1:6: not YAML: the escape \\q is unknown; allowed: \\n, \\t, \\" and \\\\, or text in single quotes'),
        ('a: "\\UFFFFFFFF"', "f.yaml:1:2: not YAML: what comes next cannot be read (Python int too large to convert to C int); allowed: KEY: VALUE lines, and escapes up to \\U0010FFFF"),
        ("&a &b c", "f.yaml:1:4: not YAML: expected '<document start>', but found ('<anchor>',); allowed: KEY: VALUE lines, and '- ' before each item of a list"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here; allowed: one scenario a file, without '---' inside"),
        ("a: b\0c", "f.yaml:1:5: the character '\\x00'; allowed: text without control characters"),
        ("a: b\n\x1b[31m", "f.yaml:2:1: the character '\\x1b'; allowed: text without control characters"),
        ("a: &work 1\nb: *wrk", "f.yaml:2:4: no anchor is called 'wrk' (did you mean 'work'?); allowed: an anchor before it: work"),
        ("a: &x [1, *x]", "f.yaml:1:11: *x is inside what it stands for; allowed: an alias of something complete"),
        ("a: &x {b: {<<: *x}}", "f.yaml:1:16: *x is inside what it stands for; allowed: an alias of something complete"),
        ("[" * 10_000, "f.yaml:1:51: nested more than 50 deep; allowed: at most 50 levels"),
        ("{" * 10_000, "f.yaml:1:51: nested more than 50 deep; allowed: at most 50 levels"),
        ("? " * 10_000, "f.yaml:1:101: nested more than 50 deep; allowed: at most 50 levels"),
        ("- " * 10_000 + "x", "f.yaml:1:101: nested more than 50 deep; allowed: at most 50 levels"),
        ("[" + "x," * (NODES_MAX + 1) + "]", "f.yaml:1:200000: more than 100,000 values; allowed: at most 100,000; traces belong in CSV files"),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_read(text: str, fault: str) -> None:
    assert refused(text) == fault


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a: 1\nb: \xff", "f.yaml:2:4: not UTF-8: the byte 0xff; allowed: text in UTF-8"),
        (
            "a: b".encode("utf-16"),
            "f.yaml:1:1: not UTF-8: the byte 0xff (it looks like UTF-16); allowed: text in UTF-8",
        ),
        (b"\xef\xbb\xbf\xc3\xa9\xff", "f.yaml:1:2: not UTF-8: the byte 0xff; allowed: text in UTF-8"),
    ],
)
def test_bytes_that_are_not_utf_8(content: bytes, fault: str) -> None:
    assert refused(content) == fault


def laughs(line: str, levels: int) -> str:
    return "a0: &a0 {b: c}\n" + "".join(line.format(n=n, m=n - 1) + "\n" for n in range(1, levels))


@pytest.mark.parametrize(
    ("line", "levels", "fault"),
    [
        ("a{n}: &a{n} [" + ",".join(["*a{m}"] * 9) + "]", 10, "f.yaml:6:22: more than 100,000 values once the aliases are written out; allowed: at most 100,000"),
        ("a{n}: &a{n} {{<<: [" + ",".join(["*a{m}"] * 9) + "]}}", 10, "f.yaml:6:14: more than 100,000 values once the aliases are written out; allowed: at most 100,000"),
        ("a{n}: &a{n} {{b: *a{m}}}", 1000, "f.yaml:50:15: nested more than 50 deep once the aliases are written out; allowed: at most 50 levels"),
        ("a{n}: &a{n} {{<<: *a{m}}}", 1000, "f.yaml:2:14: '<<' nested more than 50 deep; allowed: at most 50 levels"),
    ],
)  # fmt: skip
def test_aliases_that_grow_without_end(line: str, levels: int, fault: str) -> None:
    started = time.process_time()
    assert refused(laughs(line, levels)) == fault
    assert time.process_time() - started < 5


# Files


def unread(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        read(path)
    (fault,) = caught.value.faults
    return str(fault)


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_here")
class TestFiles:
    def test_a_file_is_read(self) -> None:
        Path("f.yaml").write_text("a: 1")
        assert read(Path("f.yaml")).data == {"a": 1}

    def test_no_file(self) -> None:
        assert unread(Path("f.yaml")) == "f.yaml: no such file; allowed: a scenario file that is there"

    def test_a_directory(self) -> None:
        assert unread(Path(".")) == ".: a directory; allowed: a scenario file"

    def test_a_name_that_no_file_can_have(self) -> None:
        assert unread(Path("a\0b")) == "'a\\x00b': cannot be read: embedded null byte; allowed: a scenario file"
        assert unread(Path("x" * 300)).endswith("cannot be read: File name too long; allowed: a scenario file")

    def test_no_permission(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Path("f.yaml").write_text("a: 1")

        def denied(*args: object, **kwargs: object) -> None:
            raise PermissionError(13, "Permission denied")

        if os.geteuid() == 0:  # root may read everything
            monkeypatch.setattr(Path, "open", denied)
        Path("f.yaml").chmod(0)
        assert unread(Path("f.yaml")) == "f.yaml: no permission to read it; allowed: a file that you may read"

    def test_fifty_megabytes_are_refused_at_once(self) -> None:
        with Path("f.yaml").open("wb") as file:
            file.truncate(50 * 2**20)
        started = time.process_time()
        assert unread(Path("f.yaml")) == (
            "f.yaml: 52,428,800 bytes; allowed: at most 1,048,576 bytes (1 MiB); traces belong in CSV files of their own, "
            "which the scenario names"
        )
        assert time.process_time() - started < 0.5

    def test_the_largest_file_is_read(self) -> None:
        Path("f.yaml").write_bytes(b"a: 1\n#" + b"x" * (BYTES_MAX - 6))
        assert read(Path("f.yaml")).data == {"a": 1}
        Path("f.yaml").write_bytes(b"a: 1\n#" + b"x" * (BYTES_MAX - 5))
        assert unread(Path("f.yaml")).startswith("f.yaml: 1,048,577 bytes; ")


# Faults


def test_a_fault_is_one_printable_line() -> None:
    fault = Fault("a\nb", 3, None, "x", "p" * 1000, "q", "warning")
    assert str(fault) == rf"'a\nb':3: x: warning: {'p' * 267} ... {'p' * 133}; allowed: q"


def test_the_error_can_be_raised_again_from_its_arguments() -> None:
    error = ScenarioError((Fault("f", 1, 2, "a", "b", "c"), Fault("f", 3, 4, "", "d", "e")))
    again = type(error)(*error.args)
    assert again.faults == error.faults
    assert str(again) == "f:1:2: a: b; allowed: c\nf:3:4: d; allowed: e"
