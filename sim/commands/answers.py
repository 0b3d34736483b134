"""How a command answers: a page for people, one JSON object, Markdown, or Parquet.

Rules:

1. Exactly one of them goes to standard output; `--out` writes the rows behind the answer to a file beside that.
2. All are made of the same numbers.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from model.faults import BadInput
from model.files import check_ending, keep, output
from model.program import printing

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.pages import Page

AsMarkdown = Annotated[bool, Option("--markdown", help="Print Markdown in place of the tables.")]

Out = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="Write the rows behind it to this file, as Parquet.",
        show_default=False,
        readable=False,
    ),
]

Require = Annotated[
    list[str] | None,
    Option("--require", metavar="GATE", help="Fail (exit code 1) unless it holds: 'wait.p95 < 2s'. May be repeated."),
]


def one_way(as_json: bool, as_markdown: bool) -> None:
    """Raise BadInput for two ways at once: before the work, where that is long."""
    if as_json and as_markdown:
        raise BadInput("--json and --markdown: one of them at a time")


def answer(result: Mapping[str, Any], page: "Page", as_json: bool, as_markdown: bool) -> None:
    """Print what was found out, in the way that was asked for; raises BadInput for two ways at once."""
    one_way(as_json, as_markdown)
    from sim.display import console
    from sim.pages import markdown, show

    with printing():
        if as_json:
            print(json.dumps(result))
        elif as_markdown:
            print(markdown(page), end="")
        else:
            show(console(), page)


def write_rows(out: Path, rows: "pa.Table", inputs: dict[Path, str]) -> None:
    """Write rows as Parquet; raises BadInput where the file cannot be written, or is one of those that are read."""
    import pyarrow.parquet as pq

    keep(out, "--out", inputs)
    check_ending(out, "--out", (".parquet",))
    with output(out, whole=True) as file:
        pq.write_table(rows, file)


@contextmanager
def row_file(out: Path, schema: "pa.Schema", inputs: dict[Path, str]) -> "Iterator[Callable[[pa.RecordBatch], None]]":
    """Write rows as Parquet block by block; raises BadInput where `write_rows` does."""
    import pyarrow.parquet as pq

    keep(out, "--out", inputs)
    check_ending(out, "--out", (".parquet",))
    with output(out, whole=True) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield writer.write_batch
