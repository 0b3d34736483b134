"""The documentation says what is so: its scenarios run, its errors are the real ones."""

import re
from pathlib import Path

import pytest

from model.faults import ScenarioError
from model.validation import load
from sim.engine import Engine
from sim.execution import prepare

ROOT = Path(__file__).parent.parent


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)


EXAMPLES = [(path, number) for path in ("README.md", "docs/scenario.md") for number in range(len(blocks(path, "yaml")))]


@pytest.mark.parametrize(("path", "number"), EXAMPLES)
def test_an_example_is_valid_and_runs(path, number, tmp_path):
    file = tmp_path / "example.yaml"
    file.write_text(blocks(path, "yaml")[number])
    loaded = load(file)
    assert not loaded.warnings
    Engine(prepare(loaded.scenario, loaded.tables, loaded.inputs).plan, None).run()


def test_the_error_in_the_readme_is_the_real_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = blocks("README.md", "yaml")[0].replace("rate: 600/m,", "rate: 600/minute,")
    Path("support.yaml").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load("support.yaml")
    assert "\n".join(map(str, caught.value.faults)) + "\n" in (ROOT / "README.md").read_text()


def test_the_reference_names_every_distribution_and_constraint():
    from model.distributions import DISTRIBUTION_TAGS
    from model.json_schema import json_schema

    reference = (ROOT / "docs/scenario.md").read_text()
    for tag in DISTRIBUTION_TAGS:
        assert f"{tag}: " in reference
    schema = json_schema()
    classes = [each["$ref"].rpartition("/")[2] for each in schema["properties"]["constraints"]["items"]["anyOf"]]
    types = [schema["$defs"][name]["properties"]["type"]["const"] for name in classes]
    assert {"concurrency", "pause"} <= set(types)
    for name in types:
        assert f"| `{name}` |" in reference


def test_links_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), (page, target)


def test_the_output_in_the_page_on_traces_is_the_real_one(tmp_path, monkeypatch, capsys):
    from sim.cli import main

    monkeypatch.chdir(tmp_path)
    assert main([str(ROOT / "scenarios" / "parents.yaml"), "--no-animation"]) == 0
    assert main(["export", "parents.arrows", "--to", "otlp", "--out", "parents.jsonl"]) == 0
    capsys.readouterr()
    program = next(block for block in blocks("docs/export.md", "python") if "parents.jsonl" in block)
    exec(compile(program, "export.md", "exec"), {})
    assert f"```\n{capsys.readouterr().out}```" in (ROOT / "docs/export.md").read_text()
