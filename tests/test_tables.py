# ruff: noqa: E501 - faults are given as they are printed, each on a line
"""Data files: what their columns hold, to the nanosecond, and every way in which they cannot be used."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.tables import BYTES_MAX, Table, TableError, read

S = 1_000_000_000


def csv(*rows: str, header: str = "t,x") -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def column(*values: str) -> Table:
    """A table with the column `t`, and another so that a blank is no blank line."""
    return Table(csv(*(f"{value},0" for value in values)))


def refused(content: bytes) -> str:
    with pytest.raises(TableError) as caught:
        Table(content)
    return str(caught.value)


# Numbers


def test_a_column_of_numbers() -> None:
    table = Table(b"a, b\n1,2.5\n -3 , 1e3\n")
    assert table.names == ["a", " b"]
    assert table.rows == 2
    assert table.column("a").tolist() == [1.0, -3.0]
    assert table.column(" b").tolist() == [2.5, 1000.0]
    assert table.column("a").dtype == np.float64


def test_what_was_read_cannot_be_changed_by_one_reader_for_another() -> None:
    table = column("1")
    with pytest.raises(ValueError, match="read-only"):
        table.column("t")[0] = 2
    with pytest.raises(ValueError, match="read-only"):
        table.times("t", S)[0] = 2


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (["1", "x", "y"], "line 3: 'x' is not a number; allowed: a number in every row"),
        (["1", "2", ""], "line 4: the value is missing; allowed: a number in every row"),
        (["  "], "line 2: the value is missing; allowed: a number in every row"),
        (["1", "nan"], "line 3: 'nan' is not a finite number; allowed: a number in every row"),
        (["-inf"], "line 2: '-inf' is not a finite number; allowed: a number in every row"),
        (["1e999"], "line 2: '1e999' is not a finite number; allowed: a number in every row"),
        (["0x10"], "line 2: '0x10' is not a number; allowed: a number in every row"),
        (["1_000"], "line 2: '1_000' is not a number; allowed: a number in every row"),
        (["\0"], "line 2: '\\x00' is not a number; allowed: a number in every row"),
    ],
)
def test_a_row_without_a_number(values: list[str], fault: str) -> None:
    with pytest.raises(TableError) as caught:
        column(*values).column("t")
    assert str(caught.value) == fault


@pytest.mark.parametrize("bad", [0, 1, 57, 998, 999])
def test_the_first_bad_row_is_found_among_many(bad: int) -> None:
    values = [str(number) for number in range(1000)]
    values[bad] = values[-1] = "?"
    with pytest.raises(TableError) as caught:
        column(*values).column("t")
    assert caught.value.line == bad + 2


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(TableError) as caught:
        Table(csv("1,2", header="TIMESTAMP,Tokens")).column("timestmp")
    assert caught.value.args == ("no column 'timestmp' (did you mean 'TIMESTAMP'?)", "TIMESTAMP, Tokens", None)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_columns_that_are_not_separated_by_commas(separator: str) -> None:
    header = separator.join(("ts", "n"))
    table = Table(f"{header}\n{separator.join('12')}\n".encode())
    with pytest.raises(TableError) as caught:
        table.column("ts")
    assert caught.value.args == (f"the header is one column, {header!r}", "commas between the columns", 1)
    assert Table(f"{header}\n5\n".encode()).column(header).tolist() == [5]


def test_a_column_that_is_there_twice() -> None:
    table = Table(csv("1,2,3", header="a,b,a"))
    assert table.column("b").tolist() == [2]
    with pytest.raises(TableError, match=r"^line 1: 2 columns are called 'a'; allowed: one column of that name$"):
        table.column("a")


# Times


def test_timestamps_are_exact_and_count_from_the_first() -> None:
    table = column("2023-11-16 18:17:03.9799600", "2023-11-16T18:17:03.979960001", "2023-11-16 18:17:05")
    assert table.times("t", 1).tolist() == [0, 1, 1_020_040_000]
    assert table.times("t", 1).dtype == np.int64


@pytest.mark.parametrize(
    "values",
    [
        ["2024-02-28", "2024-02-29"],
        ["2023-11-16T18:17:03Z", "2023-11-17T18:17:03Z"],
        ["2023-11-16T18:17:03+02:00", "2023-11-17T17:17:03+01:00"],
        ["2023-11-16 18:17:03.5-0500", "2023-11-17 18:17:03.5-0500"],
    ],
)
def test_dates_and_zones(values: list[str]) -> None:
    assert column(*values).times("t", S).tolist() == [0, 86_400 * S]


@pytest.mark.parametrize(
    ("values", "unit_ns", "times"),
    [
        (["0", "1", "1"], S, [0, S, S]),
        (["5", "7"], 1_000_000, [5_000_000, 7_000_000]),
        (["0.1", "0.2", "0.3"], S, [100_000_000, 200_000_000, 300_000_000]),
        (["1.1", "2.2"], 3, [3, 7]),
        (["0.5", "1.5", "2.5"], 1, [0, 2, 2]),
        (["0.50000000000000000000000001"], 1, [1]),
        (["1.0", "2e3", " +5000 "], S, [S, 2000 * S, 5000 * S]),
        (["9007199254740993"], 1, [9007199254740993]),
        (["0", "1e-99999999999999999999"], S, [0, 0]),
        (["0.1", "4611686018.427387903"], S, [100_000_000, 2**62 - 1]),
    ],
)
def test_numbers_are_scaled_exactly_and_not_shifted(values: list[str], unit_ns: int, times: list[int]) -> None:
    assert column(*values).times("t", unit_ns).tolist() == times


@given(st.lists(st.integers(0, 2**61), min_size=1, max_size=5).map(sorted))
def test_every_nanosecond_survives(times: list[int]) -> None:
    seconds = column(*(f"{time // S}.{time % S:09}" for time in times))
    assert seconds.times("t", S).tolist() == times
    stamps = column(*(str(np.datetime64(time, "ns")) for time in times))
    assert stamps.times("t", S).tolist() == [time - times[0] for time in times]


STAMP_HINT = "allowed: in every row a timestamp such as 2023-11-16 18:17:03.979, or a number"


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (["1", "3", "2", "1"], "line 4: '2' is before '3' in the row above; allowed: times in order"),
        (["0.2", "0.1"], "line 3: '0.1' is before '0.2' in the row above; allowed: times in order"),
        (["0", "-1"], "line 3: '-1' is negative; allowed: 0 or a positive time"),
        (["5e9"], "line 2: '5e9' is too long a time; allowed: at most 146 years; a 1 stands for 1s, or for what unit says"),
        (["1", "1e300"], "line 3: '1e300' is too long a time; allowed: at most 146 years; a 1 stands for 1s, or for what unit says"),
        (["1700000000000"], "line 2: '1700000000000' is too long a time; allowed: at most 146 years; a 1 stands for 1s, or for what unit says"),
        (["1", "x"], f"line 3: 'x' is not a number; {STAMP_HINT}"),
        (["1", ""], f"line 3: the value is missing; {STAMP_HINT}"),
        (["1", "nan"], f"line 3: 'nan' is not a finite number; {STAMP_HINT}"),
        (["2023-11-16 18:17:03.9799600", "2023-11-16 18:17:03.9799599"], "line 3: '2023-11-16 18:17:03.9799599' is before '2023-11-16 18:17:03.9799600' in the row above; allowed: times in order"),
        (["2023-11-16", "2023-11-31"], f"line 3: '2023-11-31' is not a timestamp; {STAMP_HINT}"),
        (["2023-11-16", "7"], f"line 3: '7' is not a timestamp; {STAMP_HINT}"),
        (["2023-11-16", ""], f"line 3: the value is missing; {STAMP_HINT}"),
        (["", "2023-11-16"], f"line 2: the value is missing; {STAMP_HINT}"),
        (["yesterday"], f"line 2: 'yesterday' is not a timestamp; {STAMP_HINT}"),
        (["2023-11-16 18:17:03Z", "2023-11-16 18:17:04"], f"line 3: '2023-11-16 18:17:04' is not a timestamp; {STAMP_HINT}"),
        (["1700-01-01", "2200-01-01"], "line 3: '2200-01-01' is too long after the first row; allowed: at most 146 years"),
    ],
)  # fmt: skip
def test_a_row_without_a_time(values: list[str], fault: str) -> None:
    with pytest.raises(TableError) as caught:
        column(*values).times("t", S)
    assert str(caught.value) == fault


def test_one_column_may_be_read_with_two_units() -> None:
    table = column("2")
    assert table.times("t", S).tolist() == [2 * S]
    assert table.times("t", 1).tolist() == [2]
    assert table.column("t").tolist() == [2.0]


@pytest.mark.parametrize(("value", "numeric"), [("5", True), (" 1e3 ", True), ("2023-11-16", False)])
def test_numbers_and_timestamps_are_told_by_the_first_row(value: str, numeric: bool) -> None:
    assert column(value).numeric("t") is numeric


@pytest.mark.parametrize(
    ("content", "cut"),
    [
        ("T,x\n1,20\n2,3", True),
        ("T,x\n1,20\n2,", True),
        ("T,x\n1,20\n2,35", False),
        ("T,x\n1,20\n2,3\n", False),
        ("T,x\r\n1,20\r\n2,3\r\n", False),
        ("T,x\n1,20\n2,3\n3,1", False),
        ("T,x\n1,2", False),
    ],
)
def test_a_file_that_looks_cut(content: str, cut: bool) -> None:
    assert Table(content.encode()).cut is cut


# Files that are no tables


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the file is empty; allowed: a header that names the columns, then a line for each row"),
        (b" \n\n", "the file is empty; allowed: a header that names the columns, then a line for each row"),
        (b"t,x\n", "the file has a header and no rows; allowed: at least one row"),
        (b"t,x", "the file has a header and no rows; allowed: at least one row"),
        (b"t,x\n1,2\n3", "line 3: the row has 1 value for 2 columns; allowed: a value for each column"),
        (b"t,x\n1,2\n3,4,5\n6\n", "line 3: the row has 3 values for 2 columns; allowed: a value for each column"),
        (b"t,x\n1,2\n\n\n3\n", "line 5: the row has 1 value for 2 columns; allowed: a value for each column"),
        (b't,x\n1,"a\nb"\n3\n', "line 4: the row has 1 value for 2 columns; allowed: a value for each column"),
        (b"t,x\r\n1,2\r\n3\r\n", "line 3: the row has 1 value for 2 columns; allowed: a value for each column"),
        (b"t\n1\n1,2,3,4\n", "line 3: the row has 4 values for 1 column; allowed: a value for each column"),
        (b"t;x\n1,5;2\n", "line 1: the header is one column, 't;x'; allowed: commas between the columns"),
        (b't,x\n1,"2\n3,4\n', "line 2: a quote is not closed; allowed: quotes in pairs"),
        (b"t,x\n1,\xff\n", "line 2: not UTF-8: the byte 0xff; allowed: text in UTF-8"),
        (b"\xff,x\n1,2\n", "line 1: not UTF-8: the byte 0xff; allowed: text in UTF-8"),
        ("t\n1\n".encode("utf-16"), "line 1: not UTF-8: the byte 0xff; allowed: text in UTF-8"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table(content: bytes, fault: str) -> None:
    assert refused(content) == fault


@pytest.mark.parametrize(
    "content",
    [b"t,x\n1,2\n3,4", b"t,x\r\n1,2\r\n\r\n3,4\r\n", b"\xef\xbb\xbft,x\n1,2\n3,4\n\n", b'"t",x\r"1",2\r3,4\r'],
)
def test_line_ends_blank_lines_and_quotes_do_not_matter(content: bytes) -> None:
    assert Table(content).column("t").tolist() == [1, 3]


def test_a_row_may_be_longer_than_a_block() -> None:
    table = Table(csv("1," + "x" * 5_000_000, "2,y"))
    assert table.column("t").tolist() == [1, 2]
    with pytest.raises(TableError, match=r"^line 2: 'xxx"):
        table.column("x")


def test_the_error_can_be_raised_again_from_its_arguments() -> None:
    error = TableError("wrong", "right", 3)
    assert str(type(error)(*error.args)) == "line 3: wrong; allowed: right"


# Files


def unread(path: Path) -> str:
    with pytest.raises(TableError) as caught:
        read(path)
    assert caught.value.line is None
    return str(caught.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"t\n1\n")
    assert read(tmp_path / "a.csv") == b"t\n1\n"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert (
        unread(tmp_path / "a.csv") == "no such file; allowed: a CSV file, by its path from the folder of the scenario"
    )
    assert unread(tmp_path) == "it is a directory; allowed: a CSV file"
    assert unread(tmp_path / "pipe") == "it is not a file; allowed: a CSV file"
    assert unread(Path("a\0b")) == "it cannot be read: embedded null byte; allowed: a CSV file"


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.csv").write_bytes(b"t\n1\n")
    (tmp_path / "a.csv").chmod(0)
    if os.geteuid() == 0:  # root may read everything
        monkeypatch.setattr(Path, "read_bytes", denied)
    assert unread(tmp_path / "a.csv") == "no permission to read it; allowed: a file that you may read"


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(BYTES_MAX + 1)
    assert unread(tmp_path / "a.csv") == "it has 1,073,741,825 bytes; allowed: at most 1,073,741,824 bytes (1 GiB)"


def test_twenty_thousand_timestamps_take_no_time() -> None:
    start = np.datetime64("2023-11-16T18:15:46.680590000", "ns")
    content = csv(*(f"{str(start + 185_000_000 * n)[:27].replace('T', ' ')},{n % 4000}" for n in range(19_366)))
    took = []
    for _ in range(5):
        started = time.process_time()
        table = Table(content)
        times, tokens = table.times("t", S), table.column("x")
        took.append(time.process_time() - started)
    assert (len(times), int(times[-1]), int(tokens[-1])) == (19_366, 185_000_000 * 19_365, 19_365 % 4000)
    assert min(took) < 0.05
