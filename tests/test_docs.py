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


def test_the_reference_says_every_bound_of_the_schema():
    from model.checks import BRANCHES_MAX, STEPS_MAX
    from model.json_schema import json_schema
    from model.scenario import AGENTS_MAX
    from model.schema import NAME_PATTERN
    from model.source import DIGITS_MAX, NESTING_MAX, NODES_MAX
    from model.timeline import CHANGES_MAX, EPISODES_MAX
    from sim.environment import BEGUN_MAX, NESTED_MAX

    said = (ROOT / "docs/scenario.md").read_text().partition("\n## Bounds\n")[2]
    found = {BRANCHES_MAX, STEPS_MAX, AGENTS_MAX, DIGITS_MAX, NESTING_MAX, NODES_MAX, CHANGES_MAX, EPISODES_MAX}
    found |= {BEGUN_MAX, NESTED_MAX, 1_000_000_000}
    patterns = set()

    def look(at):
        for key, value in at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ():
            look(value)
            if key == "pattern" and "{" in value:
                patterns.add(value)
            elif (
                key in ("maximum", "minimum", "maxItems") and not isinstance(value, dict) and value not in (0, 1, 2, 3)
            ):
                found.add(value)

    look(json_schema())
    assert patterns == {NAME_PATTERN}
    assert {1000, 10_000, 1e12, 0.05, 0.01, 1e-6} < found
    for bound in found:
        written = "10^12" if bound == 1e12 else f"{bound:,}" if bound >= 1 else f"{bound:.6f}".rstrip("0")
        assert re.search(rf"(?<![\d,.]){re.escape(written)}(?![\d,]|\.\d)", said), written
    assert "64 characters" in said


def test_links_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), (page, target)


def test_the_stories_in_the_page_on_the_player_are_the_real_ones(tmp_path):
    from model.log import Log
    from render.film import Film
    from render.palette import LETTERS
    from render.panel import HELP
    from render.playback import Playback
    from render.scene import Scene
    from sim.execution import execute

    loaded = load(ROOT / "scenarios/parents.yaml")
    path = tmp_path / "parents.arrows"
    with path.open("wb") as file:
        execute(prepare(loaded.scenario, loaded.tables, loaded.inputs), file)
    film = Film(Log.open(path))
    playback = Playback((film,))
    playback.go(60 * 10**9)
    scene = Scene([("parents", film)], playback, LETTERS)
    scene.update()
    page = (ROOT / "docs/player.md").read_text()
    told = re.findall(r"```\n(parent_.*?)```", page, re.DOTALL)
    for agent, said in zip((11, 2), told, strict=True):
        scene.pick(agent)
        scene.seen = scene.look()
        lines = ["".join(segment.text for segment in line).rstrip() for line in scene.story(90, 40)]
        assert said.splitlines() == lines[: said.count("\n")]
    keys = page.partition("## Keys")[2].partition("## Colours")[0]
    for key, _ in HELP:
        assert all(name in keys for name in re.split(r"\s+", key.replace("+left", " ").replace(",", "")))


def test_the_output_in_the_page_on_traces_is_the_real_one(tmp_path, monkeypatch, capsys):
    from sim.cli import main

    monkeypatch.chdir(tmp_path)
    assert main([str(ROOT / "scenarios" / "parents.yaml"), "--no-animation"]) == 0
    assert main(["export", "parents.arrows", "--to", "otlp", "--out", "parents.jsonl"]) == 0
    capsys.readouterr()
    program = next(block for block in blocks("docs/export.md", "python") if "parents.jsonl" in block)
    exec(compile(program, "export.md", "exec"), {})
    assert f"```\n{capsys.readouterr().out}```" in (ROOT / "docs/export.md").read_text()
