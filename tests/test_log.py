"""The log on disk: digest, header, cut ends, and files that are no logs."""

import hashlib
import io
import json
from dataclasses import replace
from random import Random

import pyarrow as pa
import pytest
from fleet_logs import S, concurrency, content, header, loop, pause, rate_limit, row

from model.events import COLUMNS, Kind
from model.log import ConstraintEntry, DemandEntry, Digest, Header, Log, LogError, LogWriter, StepEntry
from model.roster import Roster
from model.state import state_at
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
    roster = Roster(header)
    assert roster.task_name(7, 0) == "a_7_work"
    assert roster.task_name(-1, -1) is None


def test_input_files_travel_in_the_header_and_are_checked(log):
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


NO_LOGS = [
    ("x.arrows", b"", "not a fleetsim log: it is empty; allowed: a log that a run has written"),
    ("x.arrows", b"not a log", "not a fleetsim log; allowed: a log that a run has written"),
    ("x.arrows", b"\x00" * 100, "not a fleetsim log; allowed: a log that a run has written"),
    ("x.arrows", b"ARROW1\x00\x00", "not a fleetsim log; allowed: a log that a run has written"),
    ("x.arrows", b"\xff\xff\xff\xff" + b"\x10\0\0\0" + b"\x03" * 100, "not a fleetsim log; allowed: "),
    ("x.yaml", b"fleets: []", "not a fleetsim log: that is a scenario; run it with python -m sim "),
    (".", None, "not a fleetsim log: it is a directory; allowed: a log that a run has written"),
    ("/dev/null", None, "not a fleetsim log: it is not a file; allowed: a log that a run has written"),
    ("nowhere", None, "no such file; allowed: a log that a run has written"),
    ("x" * 300, None, "cannot be read: File name too long; allowed: a log that a run has written"),
    ("x.arrows/y", b"", "cannot be read: Not a directory; allowed: a log that a run has written"),
]


@pytest.mark.parametrize(("name", "content", "message"), NO_LOGS)
def test_what_is_no_log_is_told_in_plain_words(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None and "/" in name:
        path.parent.write_bytes(content)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(LogError) as caught:
        Log.open(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_stream_of_another_program_is_no_log(tmp_path):
    path = tmp_path / "x.arrows"
    with pa.ipc.new_stream(str(path), pa.schema([("x", pa.int64())])):
        pass
    with pytest.raises(LogError, match=r"x\.arrows: not a fleetsim log: another program wrote it; allowed: "):
        Log.open(path)


# Damage


HEAD = header({"a": 3, "b": 2}, [concurrency("c", 2), rate_limit("r", 5, S), pause("p", False)])


def refusal(read):
    """What the reading of a log says, which is one line."""
    with pytest.raises(LogError) as caught:
        list(read().batches())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (row(0, 19, 0), "kind 19, and there are 19"),
        (row(0, Kind.AgentStarted, 5), "AgentStarted names agent 5, and there are 5"),
        (row(0, Kind.AgentStarted, -1), "names agent -1"),
        (row(0, Kind.RunFinished, -2), "names agent -2"),
        (row(0, Kind.TaskStarted, 0, step=2), "names step 2, and the header has 2"),
        (row(0, Kind.TaskStarted, 0, step=-1), "names step -1"),
        (row(0, Kind.AgentStarted, 0, step=-2), "names step -2"),
        (row(0, Kind.TaskStarted, 4, step=0), "names agent 4 and step 0, which is of another fleet"),
        (row(0, Kind.TaskStarted, 0, visit=-1), "names visit -1"),
        (row(0, Kind.TaskBlocked, 0, constraint=3), "names constraint 3, and the header has 3"),
        (row(0, Kind.ConstraintChanged, constraint=-1), "names constraint -1"),
        (row(0, Kind.TaskFinished, 0, value=5), "TaskFinished has value 5; allowed: 0 to 4"),
        (row(0, Kind.TaskSkipped, 0, value=-1), "TaskSkipped has value -1; allowed: 0 to 2"),
        (row(-1, Kind.AgentStarted, 0), "it is at -1 ns, before the one before it"),
    ],
)
@pytest.mark.parametrize("batch_rows", [1, 10])
def test_a_row_that_names_what_is_not_there_is_damage(damaged, message, batch_rows):
    rows = [row(0, Kind.AgentStarted, 0), row(0, Kind.TaskStarted, 3, step=1), damaged, row(0, Kind.RunFinished)]
    told = refusal(lambda: Log.from_bytes(content(HEAD, rows, batch_rows)))
    assert told.startswith("the log is damaged at event 2: ")
    assert message in told


def test_time_that_goes_back_from_one_batch_to_the_next_is_damage():
    rows = [row(5, Kind.AgentStarted, 0), row(4, Kind.AgentStarted, 1)]
    for batch_rows in (1, 2):
        told = refusal(lambda batch_rows=batch_rows: Log.from_bytes(content(HEAD, rows, batch_rows)))
        assert told == "the log is damaged at event 1: it is at 4 ns, before the one before it"


def stored(columns, schema):
    """The bytes of a stream of one batch."""
    file = io.BytesIO()
    with pa.ipc.new_stream(file, schema) as stream:
        stream.write_batch(pa.record_batch(columns, schema=schema))
    return file.getvalue()


def test_a_value_that_is_missing_is_damage():
    schema = pa.schema([(name, pa.from_numpy_dtype(dtype)) for name, dtype in COLUMNS.items()], HEAD.to_metadata())
    columns = [pa.array([0, None], field.type) for field in schema]
    assert refusal(lambda: Log.from_bytes(stored(columns, schema))) == (
        "the log is damaged at event 0: a value is missing there or later"
    )


def test_columns_of_other_types_or_names_are_refused():
    for name, type_ in (("time", pa.float64()), ("kind", pa.string()), ("agents", pa.int32())):
        fields = {each: pa.from_numpy_dtype(dtype) for each, dtype in COLUMNS.items()} | {name: type_}
        schema = pa.schema(list(fields.items()), HEAD.to_metadata())
        columns = [pa.array([], each) for each in fields.values()]
        told = refusal(lambda columns=columns, schema=schema: Log.from_bytes(stored(columns, schema)))
        assert told.startswith("the columns of this log are not those of this version")


def body(**changes):
    """The metadata of a header of which some values are others, written by someone who meant it."""
    metadata = HEAD.to_metadata()
    text = json.dumps({**json.loads(metadata[b"fleetsim"]), **changes}).encode()
    return {b"fleetsim": text, b"fleetsim.sha256": hashlib.sha256(text).hexdigest().encode()}


FLEET = {"name": "a", "first": 0, "count": 3, "tenant": None, "priority": 0}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (body(fleets=[]), "it names no fleet"),
        (body(fleets=[{**FLEET, "count": 10**12}], steps=[]), "it names 1,000,000,000,000 agents; allowed: at most"),
        (body(fleets=[{**FLEET, "count": 10**30}]), "fleets.0.count is not what it has to be"),
        (body(fleets=[{**FLEET, "count": "3"}]), "fleets.0.count is not what it has to be"),
        (body(fleets=[{**FLEET, "count": -3}]), "fleets.0.count is not what it has to be"),
        (body(fleets=[{**FLEET, "first": 1}]), "fleet a begins with agent 1; it has to be 0"),
        (body(fleets=7), "fleets is not what it has to be"),
        (body(name=None), "name is not what it has to be"),
        (body(scenario=[]), "scenario is not what it has to be"),
        (body(inputs=[]), "inputs is not what it has to be"),
        (body(inputs={"x": {"sha256": "", "bytes": 2**40}}), "inputs.x.bytes is not what it has to be"),
        (body(inputs={"x": {"sha256": "", "bytes": 2}}), "the input file x in this log is damaged"),
        (body(format=2, versions={}), "this log is of format 2; allowed: format 1"),
        (body(format=2, versions={"fleetsim": "a\nb"}), "this log is of format 2; allowed: format 1"),
        (
            body(format=2, versions={"fleetsim": "9.1"}, inputs=7),  # all else may be of another form
            "this log is of format 2, and was written by fleetsim 9.1, which is needed to read it; allowed: format 1",
        ),
        ({b"fleetsim": b"[" * 100_000 + b"]" * 100_000}, "it is not JSON that this version reads"),
        (
            {b"fleetsim": body(scenario={})[b"fleetsim"].replace(b"{}", b'{"a":' * 9999 + b"1" + b"}" * 9999)},
            "not JSON",
        ),
        ({**body(), b"fleetsim.sha256": b"0" * 64}, "it is not what its SHA-256 says"),
        ({b"fleetsim": body()[b"fleetsim"]}, "it is not what its SHA-256 says"),
        ({b"fleetsim": b"\xff{}"}, "it is not JSON that this version reads"),
        ({b"fleetsim": b"[]"}, "is not what it has to be"),
        ({}, "another program wrote it"),
    ],
)
def test_a_header_that_is_not_what_it_has_to_be_is_refused(metadata, message):
    with pytest.raises(LogError) as caught:
        Header.from_metadata(metadata)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200


ONE = header({"a": 1})


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (replace(ONE, constraints=(ConstraintEntry("c", "concurrency", None, None, ()),)), "do not begin at 0"),
        (
            replace(ONE, constraints=(ConstraintEntry("c", "pause", None, None, ((0, None), (0, None))),)),
            "in order of time",
        ),
        (header({"a": 1}, [concurrency("c", 1, (5, 2))]), None),
        (
            replace(
                ONE, constraints=(ConstraintEntry("c", "concurrency", None, None, ((0, None), (5, {"limlt": 2}))),)
            ),
            "constraint c lacks a number that a concurrency has",
        ),
        (
            replace(ONE, constraints=(ConstraintEntry("r", "rate_limit", None, None, ((0, {"tokens": 1}),)),)),
            "constraint r lacks a number that a rate_limit has",
        ),
        (header({"a": 1}, [rate_limit("r", 1, 0)]), "constraint r has a period of 0"),
        (header({"a": 1}, [], [StepEntry(0, "w", "task", ((DemandEntry(3, 1),),), ())]), "one that is not there"),
        (
            header({"a": 1}, [pause("p", True)], [StepEntry(0, "w", "task", ((DemandEntry(0, 1),) * 2,), ())]),
            "asks for a constraint twice",
        ),
        (header({"a": 1}, [], [StepEntry(7, "w", "task", ((),), ())]), "step w is of fleet 7, and there are 1"),
        (header({"a": 1}, [], [StepEntry(0, "w", "task", ((),), ((0, 1, 0),))]), "a group of agents that is not there"),
        (header({"a": 1}, [], [StepEntry(0, "w", "task", ((),), ((0, 0, 1),))]), "a group of agents that is not there"),
    ],
)
def test_a_header_that_does_not_fit_together_is_refused(damaged, message):
    if message is None:
        assert Header.from_metadata(damaged.to_metadata()) == damaged
        return
    with pytest.raises(LogError, match="the header of this log is damaged: .*" + message):
        Header.from_metadata(damaged.to_metadata())


SMALL = header({"a": 20}, [concurrency("c", 3)])


def test_a_flipped_bit_is_told_or_changes_nothing_that_a_reader_trips_over():
    whole, random = content(SMALL, loop(SMALL, 3 * S), batch_rows=50), Random(1)
    told = [flipped(whole, random) for _ in range(1500)]
    assert all("\n" not in each for each in told)
    assert sum(map(bool, told)) > 500


def flipped(whole, random):
    """What is told of a log of which one bit is another, or nothing."""
    changed = bytearray(whole)
    changed[random.randrange(len(whole))] ^= 1 << random.randrange(8)
    try:
        log = Log.from_bytes(bytes(changed))
        state_at(log, 3 * S)
        state_at(log, log.header.until_ns or 0)
    except LogError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("place", [0.4, 0.7, 0.97])
def test_damage_is_not_taken_for_a_cut(place):
    whole = content(SMALL, loop(SMALL, 3 * S), batch_rows=50)
    assert not Log.from_bytes(whole).cut
    assert Log.from_bytes(whole[: int(len(whole) * place)]).cut
    start = int(len(whole) * place)
    damaged = whole[:start] + bytes(40) + whole[start + 40 :]
    assert "damaged at" in refusal(lambda: Log.from_bytes(damaged))
    # A length that leads past the end looks like a cut, but this stream was closed.
    prefix = whole.rindex(b"\xff\xff\xff\xff", 0, start)
    longer = whole[: prefix + 6] + b"\x7f" + whole[prefix + 7 :]
    assert "damaged at" in refusal(lambda: Log.from_bytes(longer))


def test_an_end_mark_that_is_cut_or_followed_by_something():
    whole = content(SMALL, loop(SMALL, 3 * S))
    assert not any(Log.from_bytes(whole[: len(whole) - missing]).cut for missing in range(9))
    assert "damaged at" in refusal(lambda: Log.from_bytes(whole + b"x"))


def test_a_log_that_is_cut_in_its_header():
    whole = content(SMALL, loop(SMALL, 3 * S))
    assert refusal(lambda: Log.from_bytes(whole[:200])).startswith("the log is cut before its first event; allowed: ")


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
