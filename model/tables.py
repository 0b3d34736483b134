"""CSV files with recorded data: arrivals and what was measured, a row each, under a header that names the columns.

Rules:

1. A column is read as numbers or as times only when asked for, and then every row must hold one: there are no blanks.
2. Times become whole nanoseconds. Timestamps and decimals are read exactly, never through binary floating point.
3. What is wrong is a `TableError` with both halves of a fault, and the line of the file where there is one.
4. A file that was cut inside its last value may look whole. `cut` says where it looks cut; that is no error, for many
   programs write no line end after the last row.
"""

import csv
import io
import re
import stat
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model.faults import did_you_mean, listed, shown
from model.units import TIME_MAX_NS, format_duration

if TYPE_CHECKING:
    import pyarrow as pa

BYTES_MAX = 2**30

_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
_ZONE = re.compile(r"\d[Zz]$|:\d\d.*[+-]\d\d(?::?\d\d)?$")
_NUMBER_HINT = "a number in every row"
_TIME_HINT = "in every row a timestamp such as 2023-11-16 18:17:03.979, or a number"


class TableError(Exception):
    """A data file that cannot be used. `line` counts from 1, the header being line 1; None where no line is to blame."""

    def __init__(self, problem: str, allowed: str, line: int | None = None) -> None:
        super().__init__(problem, allowed, line)
        self.problem = problem
        self.allowed = allowed
        self.line = line

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}: "
        return f"{place}{self.problem}; allowed: {self.allowed}"


def read(path: Path) -> bytes:
    """Return the content of a data file; raises TableError where it cannot be had."""
    try:
        if not stat.S_ISREG((status := path.stat()).st_mode):
            problem = "it is a directory" if stat.S_ISDIR(status.st_mode) else "it is not a file"
            raise TableError(problem, "a CSV file")
        if status.st_size > BYTES_MAX:
            raise TableError(f"it has {status.st_size:,} bytes", f"at most {BYTES_MAX:,} bytes (1 GiB)")
        return path.read_bytes()
    except FileNotFoundError:
        raise TableError("no such file", "a CSV file, by its path from the folder of the scenario") from None
    except PermissionError:
        raise TableError("no permission to read it", "a file that you may read") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TableError(f"it cannot be read: {reason}", "a CSV file") from None


class Table:
    """The rows of a CSV file."""

    def __init__(self, content: bytes) -> None:
        """Read `content`; raises TableError where it is no table with a header and at least one row."""
        self._content = content
        self._table = self._parsed()
        self._cache: dict[tuple[str, int], NDArray[Any]] = {}
        if not self.rows:
            raise TableError("the file has a header and no rows", "at least one row")

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self._table.num_rows)

    @property
    def names(self) -> list[str]:
        """What the columns are called, from left to right."""
        return list(self._table.column_names)

    @property
    def cut(self) -> bool:
        """Whether the last line has no end, and its last value is shorter than all those above it."""
        import pyarrow.compute as pc

        if self._content.endswith((b"\n", b"\r")) or self.rows == 1:
            return False
        lengths = pc.utf8_length(self._table.column(len(self.names) - 1)).to_numpy()
        return bool(lengths[-1] < lengths[:-1].min())

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers; raises TableError where there is no such column or a row holds no number."""
        if (name, 0) not in self._cache:
            numbers = self._numbers(self._texts(name), _NUMBER_HINT)
            numbers.flags.writeable = False
            self._cache[name, 0] = numbers
        return self._cache[name, 0]

    def times(self, name: str, unit_ns: int) -> NDArray[np.int64]:
        """Return a column of times in ns: timestamps, counted from the first row, or numbers of `unit_ns` each.

        Raises TableError where there is no such column, a row holds no time, or the times are negative or go back.
        """
        if (name, unit_ns) not in self._cache:
            texts = self._texts(name)
            times = self._scaled(texts, unit_ns) if _numeric(texts) else self._since_first(texts)
            times.flags.writeable = False
            self._cache[name, unit_ns] = times
        return self._cache[name, unit_ns]

    def numeric(self, name: str) -> bool:
        """Say whether the times of a column are numbers, which are counted from 0; timestamps count from the first."""
        return _numeric(self._texts(name))

    def line(self, row: int) -> int:
        """Return the line of the file on which a row begins, rows being counted from 0."""
        # Blank lines are skipped and quoted values may hold line breaks, so the file is read again; only for a fault.
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(self._content), "utf-8-sig", "replace", newline=""))
        records, before = -1, 0
        try:
            for fields in reader:
                records += bool(fields)
                if records > row:
                    break
                before = reader.line_num
        except csv.Error:  # a value that is too long for this reader
            pass
        return before + 1

    def _parsed(self) -> "pa.Table":
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        content, bad = self._content, list[Any]()

        def note(row: Any) -> str:
            bad.append(row)
            return "skip"

        if not content.strip():
            raise TableError("the file is empty", "a header that names the columns, then a line for each row")
        if content.count(b'"') % 2:
            raise TableError("a quote is not closed", "quotes in pairs", _line_of(content, content.rindex(b'"')))
        try:
            texts = dict.fromkeys(self._header(), pa.string())
            table = arrow_csv.read_csv(
                pa.BufferReader(content if content.endswith((b"\n", b"\r")) else content + b"\n"),
                # One block, so that no row is too long for one; one thread, so that rows are numbered.
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=max(len(content) + 1, 1024)),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
                convert_options=arrow_csv.ConvertOptions(column_types=texts, strings_can_be_null=False),
            )
        except (pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
            self._check_utf8()
            raise TableError(f"not CSV: {str(error).splitlines()[0]}", "a header, then rows with commas") from None
        if bad:
            self._check_separator()
            row = bad[0]
            values, columns = _counted(row.actual_columns, "value"), _counted(row.expected_columns, "column")
            problem = f"the row has {values} for {columns}"
            raise TableError(problem, "a value for each column", self.line(row.number - 2))
        return table

    def _header(self) -> list[str]:
        """Return the names of the columns, which have to be known before the rows are read as text."""
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(self._content), "utf-8-sig", newline=""))
        return next(fields for fields in reader if fields)

    def _check_separator(self) -> None:
        """Check that the columns are not separated by something other than commas."""
        names = self._header()
        if len(names) == 1 and re.search(r"[;\t|]", names[0]):
            raise TableError(f"the header is one column, {shown(names[0])}", "commas between the columns", 1)

    def _check_utf8(self) -> None:
        try:
            self._content.decode()
        except UnicodeDecodeError as error:
            byte, line = self._content[error.start], _line_of(self._content, error.start)
            raise TableError(f"not UTF-8: the byte 0x{byte:02x}", "text in UTF-8", line) from None

    def _texts(self, name: str) -> "pa.Array":
        """Return a column as it is written, without the blanks around the values."""
        import pyarrow.compute as pc

        found = self.names.count(name)
        if not found:
            self._check_separator()
            raise TableError(f"no column {shown(name)}{did_you_mean(name, self.names)}", listed(self.names))
        if found > 1:
            raise TableError(f"{found} columns are called {shown(name)}", "one column of that name", 1)
        return pc.utf8_trim_whitespace(self._table.column(name).combine_chunks())

    def _numbers(self, texts: "pa.Array", allowed: str) -> NDArray[np.float64]:
        numbers: NDArray[np.float64] = self._cast(texts, "float64", "a number", allowed)
        self._check(np.isfinite(numbers), texts, "is not a finite number", allowed)
        return numbers

    def _scaled(self, texts: "pa.Array", unit_ns: int) -> NDArray[np.int64]:
        """Return numbers times `unit_ns`, each rounded to the nearest whole one from its exact value."""
        import pyarrow as pa

        numbers = self._numbers(texts, _TIME_HINT)
        self._check(numbers >= 0, texts, "is negative", "0 or a positive time")
        most = f"at most 146 years; a 1 stands for {format_duration(unit_ns)}, or for what unit says"
        self._check(numbers <= TIME_MAX_NS / unit_ns, texts, "is too long a time", most)
        try:
            times: NDArray[np.int64] = texts.cast(pa.int64()).to_numpy() * unit_ns
        except pa.ArrowInvalid:
            written = texts.to_pylist()
            exact = Context(prec=max(map(len, written)) + 20, rounding=ROUND_HALF_EVEN)
            whole = (exact.to_integral_value(exact.multiply(exact.create_decimal(text), unit_ns)) for text in written)
            times = np.fromiter(whole, np.int64, len(written))
        self._check_order(times, texts)
        return times

    def _since_first(self, texts: "pa.Array") -> NDArray[np.int64]:
        """Return timestamps as ns since the first."""
        zone = "UTC" if _ZONE.search(texts[0].as_py()) else None
        times: NDArray[np.int64] = self._cast(texts, ("ns", zone), "a timestamp", _TIME_HINT).astype(np.int64)
        self._check_order(times, texts)
        # The difference of two timestamps may be too large for int64, so it is looked at as a float first.
        after = times.astype(np.float64) - float(times[0])
        self._check(after <= TIME_MAX_NS, texts, "is too long after the first row", "at most 146 years")
        since: NDArray[np.int64] = times - times[0]
        return since

    def _cast(self, texts: "pa.Array", to: Any, noun: str, allowed: str) -> NDArray[Any]:
        """Convert texts; raises TableError with the line of the first that cannot be converted."""
        import pyarrow as pa

        kind = pa.float64() if to == "float64" else pa.timestamp(*to)
        try:
            return np.array(texts.cast(kind).to_numpy(zero_copy_only=False))
        except pa.ArrowInvalid:
            row = _first(len(texts), lambda count: _fails(texts.slice(0, count), kind))
        text = texts[row].as_py()
        problem = f"{shown(text)} is not {noun}" if text else "the value is missing"
        raise TableError(problem, allowed, self.line(row))

    def _check_order(self, times: NDArray[np.int64], texts: "pa.Array") -> None:
        back = np.flatnonzero(times[1:] < times[:-1])
        if len(back):
            row = int(back[0]) + 1
            problem = f"{shown(texts[row].as_py())} is before {shown(texts[row - 1].as_py())} in the row above"
            raise TableError(problem, "times in order", self.line(row))

    def _check(self, good: NDArray[np.bool_], texts: "pa.Array", problem: str, allowed: str) -> None:
        if not good.all():
            row = int(np.argmin(good))
            raise TableError(f"{shown(texts[row].as_py())} {problem}", allowed, self.line(row))


def _numeric(texts: "pa.Array") -> bool:
    return _NUMBER.fullmatch(texts[0].as_py()) is not None


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _fails(texts: "pa.Array", kind: "pa.DataType") -> bool:
    import pyarrow as pa

    try:
        texts.cast(kind)
    except pa.ArrowInvalid:
        return True
    return False


def _first(count: int, fails: Callable[[int], bool]) -> int:
    """Return the number of the item without which the items before it do not fail, knowing that all `count` do."""
    good, bad = 0, count
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (good, middle) if fails(middle) else (middle, bad)
    return good


def _line_of(content: bytes, position: int) -> int:
    return len(content[: position + 1].splitlines())
