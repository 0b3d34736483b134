"""From Python: the same runs and the same numbers as the command line, and logs as tables of other libraries."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import sim
from model.faults import BadInput
from model.log import Log

ROOT = Path(__file__).parent.parent
BOTTLENECK = ROOT / "scenarios/bottleneck.yaml"
SHORT = ["until=3s", "seed=5"]


def test_a_run_is_that_of_the_command_line_and_so_is_its_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sim"]
    options = ["--log", tmp_path / "cli.arrows", "--until", "3s", "--seed", "5"]
    subprocess.run([*command, BOTTLENECK, *options], cwd=ROOT, check=True, capture_output=True)
    printed = subprocess.run(
        [*command, "report", tmp_path / "cli.arrows", "--json"], cwd=ROOT, check=True, capture_output=True
    )
    log = sim.run(BOTTLENECK, SHORT)
    assert log.digest() == Log.open(tmp_path / "cli.arrows").digest()
    assert json.loads(json.dumps(sim.report(log))) == json.loads(printed.stdout)
    assert sim.report(tmp_path / "cli.arrows") == sim.report(log)


def test_a_log_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    log = sim.run(BOTTLENECK, SHORT, log=tmp_path / "x.arrows")
    assert Log.open(tmp_path / "x.arrows").digest() == log.digest()
    assert isinstance(log, sim.Log)


def test_a_scenario_may_be_data() -> None:
    steps = [{"task": "t", "duration": "1s"}]
    slot = {"id": "slot", "type": "concurrency", "limit": 1, "scope": "global"}
    log = sim.run({"name": "x", "constraints": [slot], "fleets": [{"name": "a", "count": 3, "steps": steps}]})
    assert sim.report(log)["all"]["wait_ns"]["max"] == 2 * 10**9


def test_a_log_is_a_table_of_arrow_pandas_polars_and_duckdb() -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is an extra: fleetsim[frames]")
    log = sim.run(BOTTLENECK, SHORT)
    table = log.to_arrow()
    started = sim.report(log)["tasks"]["started"]
    assert table.column_names[:3] == ["seq", "time", "kind"]
    assert table.num_rows == sim.report(log)["events"]
    frame, polars = log.to_pandas(), log.to_polars()
    assert (frame["kind"] == "TaskStarted").sum() == started
    assert polars.filter(polars["kind"] == "TaskStarted").height == started
    connection = duckdb.connect()
    connection.register("events", table)
    query = "select count(*), sum(value) from events where kind = 'TaskStarted'"
    [(count, waited)] = connection.sql(query).fetchall()
    assert count == started
    assert waited / count == pytest.approx(sim.report(log)["all"]["wait_ns"]["mean"])


def test_what_cannot_be_run_is_told_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"constraints.funnel.limit: .*allowed: "):
        sim.run(BOTTLENECK, ["constraints.funnel.limit=many"])
    with pytest.raises(BadInput, match="no such file"):
        sim.report(tmp_path / "none.arrows")
    with pytest.raises(BadInput, match=r"^the scenario: fleets: the key 'fleets' is missing; allowed: "):
        sim.run({"name": "x"})
    with pytest.raises(BadInput, match="the scenario is data"):
        sim.run({"name": "x"}, ["seed=1"])
    step, fleet = {"task": "t", "duration": 1}, {"name": "a", "count": 1}
    counted = {"id": "c", "type": "rate_limit", "rate": "1/s", "counts": "requests", "scope": "fleet:a"}
    with pytest.raises(BadInput, match=r"^the scenario: .*5 .*; allowed: "):
        sim.run({"fleets": [{**fleet, "steps": [{**step, "needs": {"c": 5}}]}], "constraints": [counted]})
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        sim.walk  # noqa: B018


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: sim.run(3), "scenario: 3 is no path; allowed: the path of one, or data"),
        (lambda: sim.run(None), "scenario: an empty value is no path"),
        (lambda: sim.run("a\0"), "scenario: 'a\\x00' is no path"),
        (
            lambda: sim.run(BOTTLENECK, "until=3s"),
            "changes: 'until=3s' is no list of texts; allowed: such as ['seed=7'",
        ),
        (lambda: sim.run(BOTTLENECK, [3]), "changes: a list is no list of texts"),
        (lambda: sim.run(BOTTLENECK, None), "changes: an empty value is no list of texts"),
        (lambda: sim.run(BOTTLENECK, SHORT, log=3), "log: 3 is no path; allowed: the path of a file, or None"),
        (lambda: sim.run(BOTTLENECK, SHORT, log=""), "log: the name is empty, or that of this folder; allowed: a file"),
        (lambda: sim.run(BOTTLENECK, SHORT, log=ROOT), f"log: {ROOT} is a folder; allowed: a file"),
        (
            lambda: sim.run(BOTTLENECK, SHORT, log="no/x"),
            "no/x: cannot be written: No such file or directory; allowed: ",
        ),
        (lambda: sim.run(BOTTLENECK, SHORT, log="/dev/null"), "log: /dev/null is no file that can be read again"),
        (
            lambda: sim.run(BOTTLENECK, SHORT, log=BOTTLENECK),
            f"log: {BOTTLENECK} is the scenario itself; allowed: another",
        ),
        (
            lambda: sim.report({"name": "x"}),
            "log: a mapping is no path; allowed: a Log, or the path of a log or of a scen",
        ),
        (lambda: sim.report(ROOT / "none.yaml"), "none.yaml: no such file; allowed: a scenario file"),
        (lambda: Log.open(3), "3 is no path; allowed: a log that a run has written"),
    ],
)
def test_what_is_wrong_with_an_argument_is_bad_input(call: Callable[[], object], told: str) -> None:
    with pytest.raises(BadInput) as error:
        call()
    assert told in str(error.value)


def test_a_log_where_a_scenario_belongs(tmp_path: Path) -> None:
    sim.run(BOTTLENECK, SHORT, log=tmp_path / "x.arrows")
    with pytest.raises(BadInput, match=r"x\.arrows: that is a log; open it with sim.Log.open"):
        sim.run(tmp_path / "x.arrows")


def test_a_report_of_a_scenario_is_that_of_its_run(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(BOTTLENECK.read_text().replace("until: 60s", "until: 2s"))
    assert sim.report(tmp_path / "x.yaml") == sim.report(sim.run(tmp_path / "x.yaml"))
    assert sim.report(tmp_path / "x.yaml")["end_ns"] == 2 * 10**9


def test_the_limits_of_a_provider_are_data_as_well() -> None:
    fleet = {"name": "a", "count": 3, "steps": [{"task": "t", "duration": "1s", "cost": {"input_tokens": 1}}]}
    log = sim.run({"providers": [{"preset": "anthropic/start/sonnet-5"}], "fleets": [fleet]})
    assert log.header.name == "scenario"
    assert any(entry.id.startswith("anthropic") for entry in log.header.constraints)
    assert sim.run(log.header.scenario).digest() == log.digest()


def test_the_command_line_does_not_import_it() -> None:
    code = "import sys, sim.cli; print('sim.api' in sys.modules, 'pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    assert done.stdout.split() == [b"False", b"False"]


def said(cell: "nbformat.NotebookNode") -> str:
    """What a cell shows, in however many pieces it came."""
    outputs = cell.get("outputs", ())
    return "".join(output.get("text") or output["data"]["text/plain"] for output in outputs)


def test_the_notebook_comes_out_as_it_is_shown() -> None:
    notebook = nbformat.read(ROOT / "docs/python.ipynb", as_version=4)
    shown = list(map(said, notebook.cells))
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": ROOT / "docs"}}).execute()
    assert list(map(said, notebook.cells)) == shown
    assert sum(map(bool, shown)) == 4
