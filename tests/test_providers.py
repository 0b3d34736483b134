"""The presets: what they stand for, what is published, and what was recorded.

A recorded response says how much of a limit was left and when all of it will be back. The same is asked of the preset: a
task takes what was used at 0, and another asks for the whole limit at once; it starts when all of it is back. The day's or
minute's limit is that of the response, since each account has its own; the kind of limit is the preset's.
"""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from model.faults import ScenarioError
from model.providers import Provider, presets
from model.scenario import Scenario
from model.units import parse_rate
from model.validation import load
from tests.runs import run, scenario, starts

DATA = Path(__file__).parent / "data" / "rate_limits"
RECORDED = list(csv.DictReader((DATA / "recorded_ratelimit_headers.csv").open()))
PUBLISHED = {each["id"]: each for each in json.loads((DATA / "published_limits.json").read_text())["providers"]}
DAY_S = 86_400
NOW = {"duration": "0s"}


def limit(preset, name):
    return next(row for row in presets()[preset].limits if row["id"] == name)


def full_after(row, limit_, used):
    """The seconds after which all of a preset's limit is back, when it is `limit_` and `used` of it are gone."""
    period = row["rate"].partition("/")[2]
    mine = {**row, "rate": f"{limit_}/{period}", "scope": "global", "on_limit": "block"}
    counts = row.get("counts", "requests")
    fleets = [
        {"name": "a", "count": 1, "steps": [{"task": "t", **NOW, "cost": {counts: used}}]},
        {"name": "b", "count": 1, "steps": [{"task": "t", **NOW, "cost": {counts: limit_}}]},
    ]
    return starts(run(scenario(until=None, constraints=[mine], fleets=fleets)))[1]


def responses(provider, what, since=""):
    """The recorded (limit, used, response) that have a reset."""
    return [
        (int(row[f"limit_{what}"]), int(row[f"limit_{what}"]) - int(row[f"remaining_{what}"]), row)
        for row in RECORDED
        if row["provider"] == provider and row[f"reset_{what}"] and row["date_utc"] >= since
    ]


def agreement(provider, what, row, seconds, printed_ns):
    """How many recorded resets agree with a preset to what is printed, and (limit, used, reset) of those that do not."""
    cases = Counter((limit_, used, seconds(response)) for limit_, used, response in responses(provider, what))
    missed = {
        case: count
        for case, count in cases.items()
        if abs(full_after(row, *case[:2]) - case[2]) > max(printed_ns, 0.02 * case[2])
    }
    return sum(cases.values()) - sum(missed.values()), missed


def test_recorded_resets_of_openai_fit_buckets():
    preset = "openai/tier-1/gpt-4o-mini"
    agreed, missed = agreement(
        "api.openai.com", "tokens", limit(preset, "tokens"), lambda r: float(r["reset_tokens_s"]), 0.0011
    )
    assert (agreed, missed) == (387, {})
    agreed, missed = agreement(
        "api.openai.com", "requests", limit(preset, "requests"), lambda r: float(r["reset_requests_s"]), 0.0011
    )
    # Three print 1.2 ms as 0 s; one is the limit of a day, below.
    assert agreed == 383
    assert missed == {(100000, 2, 0.0): 3, (200, 3, 1252.666): 1}


def test_the_recorded_limit_of_a_day_is_a_bucket_too():
    """3 of 200 a day are back after at most 1296 s, and more than two were when the response was sent."""
    row = limit("openai/tier-1/gpt-4o-mini", "requests_a_day")
    assert full_after(row, 200, 2) < 1252.666 <= full_after(row, 200, 3) == 1296


def test_recorded_resets_of_azure_fit_buckets_and_not_the_windows_that_were_documented():
    for what in ("requests", "tokens"):
        row = limit("azure/per-1k-tpm", what)
        agreed, missed = agreement(
            "azure-openai", what, row, lambda r, what=what: float(r[f"reset_{what}"]) / 1000, 0.0005
        )
        assert (agreed, missed) == (48, {})
        window = {key: value for key, value in limit("azure/2023/per-1k-tpm", what).items() if key != "slice"}
        assert (
            agreement("azure-openai", what, window, lambda r, what=what: float(r[f"reset_{what}"]) / 1000, 0.0005)[0]
            == 0
        )


def test_recorded_resets_of_groq_fit_buckets():
    agreed, missed = agreement(
        "api.groq.com", "tokens", limit("groq/free/llama3-8b", "tokens"), lambda r: float(r["reset_tokens_s"]), 0.0011
    )
    assert (agreed, missed) == (13, {})
    row = limit("groq/free/llama3-8b", "requests_a_day")
    for limit_, used, response in responses("api.groq.com", "requests"):
        # A token of which a part is back already counts as used.
        assert full_after(row, limit_, used - 1) < float(response["reset_requests_s"]) <= full_after(row, limit_, used)


def seconds_of(time):
    hours, minutes, seconds = time[11:19].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


@pytest.mark.parametrize(
    ("what", "name"), [("requests", "requests"), ("input", "input_tokens"), ("output", "output_tokens")]
)
def test_recorded_resets_of_anthropic_fit_buckets(what, name):
    """Since 2025. Times are in whole seconds, what is left in thousands; a reset may be as old as the call took."""
    row = limit("anthropic/start/sonnet-5", name)
    row = {key: value for key, value in row.items() if key != "charge"}  # how it is spent, not how it is earned
    cases = responses("api.anthropic.com", what, since="2025")
    assert len(cases) == {"requests": 31, "input": 34, "output": 34}[what]
    rounded = 0 if what == "requests" else 500
    for limit_, used, response in cases:
        later_s = seconds_of(response[f"reset_{what}"]) - seconds_of(response["date_utc"])
        # The call itself took up to some 20 s; a window of a full minute would end up to 60 s later.
        assert -30 <= later_s <= full_after(row, limit_, used + rounded) + 1


def test_a_window_of_a_minute_would_not_fit_what_was_recorded_of_anthropic():
    """In April 2024 it did: a reset at the full minute; since then there are resets with 0 to 1 s to go at any second."""
    seconds = {
        seconds_of(row["reset_requests"]) % 60 for _, _, row in responses("api.anthropic.com", "requests", "2025")
    }
    assert len(seconds) > 10


COLUMNS = {
    "Fable 5": "fable-5",
    "Opus 5": "opus-5",
    "Opus 4.x": "opus-4.x",
    "Sonnet 5": "sonnet-5",
    "Sonnet 4.x": "sonnet-4.x",
    "Haiku 4.5": "haiku-4.5",
    "Haiku 3.5 (cache reads count)": "haiku-3.5",
}


def test_the_figures_are_those_that_are_published():
    published = PUBLISHED["anthropic_messages_2026"]
    for tier, models in published["tiers"].items():
        for model, figures in models.items():
            limits = presets()[f"anthropic/{tier.lower()}/{COLUMNS[model]}"].limits
            assert [parse_rate(row["rate"]).tokens for row in limits] == figures
            assert {parse_rate(row["rate"]).period_ns for row in limits} == {60 * 10**9}
            exempt = [row["id"] for row in limits if row.get("cached") == "exempt"]
            assert exempt == ([] if "count" in model else ["input_tokens"])
        assert presets()[f"anthropic/{tier.lower()}/spend"].limits[0]["total"] == (
            published["exceeded"] and published["spend_cap"]["monthly_usd"][tier]
        )
    github = PUBLISHED["github_rest"]
    assert limit("github/user", "requests")["rate"] == f"{github['primary_per_hour']['user_or_pat']}/h"
    assert limit("github/user", "concurrent")["limit"] == github["secondary"]["max_concurrent"]
    assert limit("github/user", "points")["rate"] == f"{github['secondary']['rest_points_per_minute']}/m"
    assert limit("github/content", "content")["rate"] == f"{github['secondary']['content_creating_per_minute']}/m"
    for tier, usd in PUBLISHED["google_gemini_2026"]["spend_per_10_min_usd"].items():
        if usd is not None:
            assert limit(f"gemini/{tier.lower().replace(' ', '-')}/spend", "spend")["rate"] == f"{usd * 10**6}/10m"


@pytest.mark.parametrize(("reserve", "in_flight"), [(1500, 1333), (64_500, 31)])
def test_reserving_max_tokens_bounds_what_is_in_flight(reserve, in_flight):
    """Published for Bedrock: of 2M tokens a minute, 500 input tokens and max_tokens of 1,000 or 64,000."""
    steps = [{"task": "t", "duration": "59ms", "reserve": {"tokens": reserve}, "cost": {"tokens": 900}}]
    data = scenario(until="0s", count=2000, steps=steps, providers=[{"preset": "bedrock/2m-tpm"}])
    assert len(starts(run(data))) == in_flight


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_a_scenario_that_runs(name):
    costs = {row.get("counts", "requests"): 1 for row in presets()[name].limits}
    steps = [{"repeat": 3, "steps": [{"task": "t", "duration": "1s", "cost": costs}]}]
    data = scenario(until="1h", count=3, steps=steps, providers=[{"preset": name, "id": "p"}])
    assert [row.id for row in Scenario.model_validate(data).constraints] == [
        f"p_{row['id']}" for row in presets()[name].limits
    ]
    log = run(data)
    assert log.header.scenario["constraints"]
    assert "providers" not in log.header.scenario


NESTED = """\
until: 1m
constraints:
  - {id: org_requests, type: rate_limit, rate: 7/m, scope: global}
providers:
  - {preset: anthropic/start/sonnet-5, id: org, on_limit: block}
  - {preset: anthropic/start/sonnet-5, id: workspace, scope: "tenant:red", share: 0.005}
fleets:
  - name: key
    tenant: red
    count: 10
    steps:
      - {task: ask, duration: 1s, cost: {input_tokens: 10, output_tokens: 5}, needs: {org_requests: 1}}
"""


def test_a_scenario_may_nest_shares_and_put_a_limit_of_its_own_in_place(tmp_path):
    (tmp_path / "nested.yaml").write_text(NESTED)
    rows = {row.id: row for row in load(tmp_path / "nested.yaml").scenario.constraints}
    assert list(rows) == [
        "org_requests",
        "org_input_tokens",
        "org_output_tokens",
        "workspace_requests",
        "workspace_input_tokens",
        "workspace_output_tokens",
    ]
    assert (rows["org_requests"].rate.tokens, rows["workspace_requests"].rate.tokens) == (7, 5)
    assert (rows["org_input_tokens"].on_limit, rows["workspace_requests"].on_limit) == ("block", "reject")
    overrides = ["constraints.workspace_requests.rate=3/m", "providers.workspace.share=0.5"]
    rows = {row.id: row for row in load(tmp_path / "nested.yaml", overrides).scenario.constraints}
    assert rows["workspace_requests"].rate.tokens == 3
    assert rows["workspace_input_tokens"].rate.tokens == 1_000_000


@pytest.mark.parametrize(
    ("preset", "share", "written"),
    [
        ("openai/tier-1/gpt-4o", 0.005, ["2.5/m", "150/m"]),
        ("gemini/free/2.5-flash-preview", 0.25, ["2/m", "125/d", "62500/m"]),  # windows have whole requests
        ("anthropic/start/spend", 0.001, [0.5]),
        ("github/user", 0.015, ["75/h", 1, "13/m"]),
    ],
)
def test_a_share_is_exact_where_it_can_be_and_else_rounded_down(preset, share, written):
    constraints = Provider(preset=preset, share=share).constraints()
    assert [row.get("rate", row.get("limit", row.get("total"))) for row in constraints] == written


def test_a_share_of_less_than_one_is_refused():
    with pytest.raises(
        ValueError, match=r"a share of 0\.01 of requests is less than one; allowed: a share that leaves one"
    ):
        Provider(preset="gemini/free/2.5-flash-preview", share=0.01)


def test_a_provider_without_an_id_is_called_by_its_name(tmp_path):
    (tmp_path / "p.yaml").write_text(NESTED.replace(", id: org,", ","))
    with pytest.raises(ScenarioError, match=r"providers\.anthropic\.scope"):
        load(tmp_path / "p.yaml", ["providers.anthropic.scope=nobody"])


@pytest.mark.parametrize(
    ("provider", "fault"),
    [
        (
            "{preset: anthropic/build/sonet-5, id: org}",
            "nested.yaml:5:14: providers.org.preset: no preset is called 'anthropic/build/sonet-5' "
            "(did you mean 'anthropic/build/sonnet-5'?); allowed: what python -m sim presets lists",
        ),
        (
            "{preset: anthropic/start/spend, id: org, share: 0}",
            "nested.yaml:5:53: providers.org.share: 0 is below 0.000001; allowed: 0.000001 or more",
        ),
        (
            "{preset: anthropic/start/spend, id: workspace}",
            "nested.yaml:5:3: providers: the limits of two providers would be called workspace_...; "
            "allowed: an id for each",
        ),
    ],
)
def test_a_fault_in_a_provider_is_told_where_it_is(provider, fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nested.yaml").write_text(
        NESTED.replace("{preset: anthropic/start/sonnet-5, id: org, on_limit: block}", provider)
    )
    with pytest.raises(ScenarioError) as caught:
        load("nested.yaml")
    assert str(caught.value.faults[0]) == fault


@pytest.mark.parametrize("strange", ["{id: [x], type: pause}", "{id: {x: 1}, type: pause}", "[x]", "{}"])
def test_what_stands_beside_the_limits_of_a_provider_may_be_anything(strange, tmp_path, monkeypatch):
    """A constraint with an id that is a list, or a provider with such a preset, is a fault like any other."""
    monkeypatch.chdir(tmp_path)
    fleet = "fleets: [{name: a, count: 1, steps: [{think: 1s}]}]\n"
    for text in (
        f"{fleet}providers: [{{preset: anthropic/start/spend}}]\nconstraints: [{strange}]\n",
        f"{fleet}providers: [{{preset: {strange}}}]\n",
    ):
        Path("f.yaml").write_text(text)
        with pytest.raises(ScenarioError) as caught:
            load("f.yaml")
        assert all(str(fault).startswith("f.yaml:") for fault in caught.value.faults)


def test_limits_beside_providers_that_are_misspelt_are_checked_all_the_same(tmp_path):
    file = tmp_path / "f.yaml"
    rows = "constraints: [{id: rpm, type: rate_limit, rate: 5/s, scope: global}]"
    task = "{task: t, duration: 1s, cost: {tokens: 5}}"
    fleets = "fleets: [{name: a, count: 1, steps: [" + task + "]}]"
    file.write_text(f"until: 1h\nprovider: [{{preset: anthropic/start/opus-5}}]\n{rows}\n{fleets}\n")
    with pytest.raises(ScenarioError) as caught:
        load(file)
    assert [str(fault).partition("; allowed")[0].partition("f.yaml:")[2] for fault in caught.value.faults] == [
        "2:1: provider: unknown key 'provider' (did you mean 'providers'?)"
    ]
