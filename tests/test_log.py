"""The log on disk: digest, header, cut ends, and files that are no logs."""

import io

import pytest

from model.log import Digest, Header, Log, LogError, LogWriter
from tests.runs import run, scenario, told

DATA = scenario(
    constraints=[{"id": "slot", "type": "concurrency", "limit": 2}],
    count=20,
    until="20s",
    steps=[{"repeat": "forever", "steps": [{"task": "work", "duration": {"uniform": ["1s", "2s"]}}]}],
)


@pytest.fixture(scope="module")
def log():
    return run(DATA)


def written(log, batch_rows, *, end=True):
    file = io.BytesIO()
    writer = LogWriter(file, log.header)
    for batch in log.batches():
        for first in range(0, len(batch), batch_rows):
            writer.write(batch.rows(first, first + batch_rows))
    digest = writer.digest()
    if end:
        writer.close()
    return file.getvalue(), digest


def test_the_header_comes_back_as_it_was(log):
    header = log.header
    assert Header.from_metadata(header.to_metadata()) == header
    assert header.task_name(7, 0) == "a_7_work"
    assert header.task_name(-1, -1) is None


def test_input_files_travel_in_the_header_and_are_checked(log):
    from dataclasses import replace

    header = replace(log.header, inputs={"trace.csv": b"T\n1\n" * 500})
    metadata = header.to_metadata()
    assert Header.from_metadata(metadata).inputs == header.inputs
    other = replace(log.header, inputs={"trace.csv": b"T\n2\n" * 500}).to_metadata()
    metadata[b"fleetsim.input.trace.csv"] = other[b"fleetsim.input.trace.csv"]
    with pytest.raises(LogError, match=r"the input file trace\.csv in this log is damaged"):
        Header.from_metadata(metadata)


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_the_digest_does_not_depend_on_batches(log, batch_rows):
    content, digest = written(log, batch_rows)
    assert digest == log.digest() == Log.from_bytes(content).digest()


def test_the_digest_is_what_the_design_says(log):
    import hashlib

    columns = zip(*(batch.columns() for batch in log.batches()), strict=True)
    whole = [b"".join(part.tobytes() for part in parts) for parts in columns]
    assert log.digest() == hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in whole)).hexdigest()


def test_one_changed_value_changes_the_digest(log):
    digest, changed = Digest(), Digest()
    for batch in log.batches():
        digest.update(batch)
        copy = batch.rows(0, len(batch))
        values = copy.value.copy()
        values[-1] += 1
        changed.update(type(batch)(**{**{name: getattr(copy, name) for name in copy.__slots__}, "value": values}))
    assert digest.hex() != changed.hex()


def test_a_cut_log_reads_up_to_its_last_whole_batch(log):
    content, _ = written(log, 10)
    whole = told(log)
    assert not log.cut
    lengths = set()
    for size in range(len(content) - 400, 4000, -997):
        cut = Log.from_bytes(content[:size])
        lines = told(cut)
        assert lines == whole[: len(lines)]
        assert cut.cut
        lengths.add(len(lines))
    assert len(lengths) > 5


def test_a_log_without_its_end_marker_is_whole_when_its_last_event_is_there(log):
    content, _ = written(log, 1000, end=False)
    assert not Log.from_bytes(content).cut


@pytest.mark.parametrize("content", [b"", b"not a log", b"\x00" * 100, b"ARROW1\x00\x00"])
def test_a_file_that_is_no_log_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "x.arrows"
    path.write_bytes(content)
    with pytest.raises(LogError) as caught:
        Log.open(path)
    assert str(caught.value).startswith(f"{path}: not a fleetsim log")
    assert "\n" not in str(caught.value)


def test_a_log_that_is_not_there(tmp_path):
    with pytest.raises(LogError, match="no such file; allowed: a log that a run has written"):
        Log.open(tmp_path / "x.arrows")
    with pytest.raises(LogError, match="not a fleetsim log"):
        Log.open(tmp_path)


def test_a_file_that_cannot_be_written_is_an_error_of_the_next_call(log):
    writer = LogWriter(open("/dev/full", "wb", buffering=0), log.header)  # noqa: SIM115 - it is never usable
    batch = next(log.batches())
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012 - at the second call or the third
        for _ in range(3):
            writer.write(batch)


def test_a_log_may_be_read_twice_at_once(log):
    content, _ = written(log, 10)
    read = Log.from_bytes(content)
    pairs = list(zip(read.batches(), read.batches(), strict=True))
    assert len(pairs) > 10
    assert all(first.time.tolist() == second.time.tolist() for first, second in pairs)
