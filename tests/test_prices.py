"""Prices: what was charged and what that costs, by hand for each way of charging; and what is no price."""

from typing import Any

import pytest

from model.log import Log
from model.units import UnitError, parse_price
from model.validation import load
from sim.analysis.diff import diff
from sim.analysis.report import report
from sim.diff_pages import diff_page
from tests.runs import run, scenario

LIMIT = {"id": "tpm", "type": "rate_limit", "rate": "1k/m", "counts": "tokens"}


def cost(*, constraints: list[dict[str, Any]], until: str = "60s", **rest: Any) -> dict[str, Any]:
    """What three agents of a fleet of a tenant cost, one task of two seconds each, that costs 10 tokens; 0.5 a token."""
    step = {"task": "t", "duration": "2s", "cost": {"tokens": 10}, **rest}
    fleets = [
        {"name": "a", "count": 3, "tenant": "red", "steps": [step]},
        {"name": "b", "count": 1, "steps": [{"think": 1}]},
    ]
    found, _ = report(run(scenario(until=until, constraints=constraints, fleets=fleets, prices={"tokens": "1/2"})))
    return found["cost"]


@pytest.mark.parametrize(
    ("charge", "rest", "until", "tokens"),
    [
        ("on_start", {}, "60s", 30),
        ("on_start", {}, "1s", 30),
        ("on_start", {"cost": {"tokens": {"empirical": [5, 5]}}}, "60s", 15),
        ("on_start", {"fail": 1.0, "retry": {"max_attempts": 2, "delay": "1s"}}, "60s", 60),
        ("on_finish", {}, "60s", 30),
        ("on_finish", {}, "1s", 0),
        ("as_produced", {}, "1s", 15),
        ("settle", {"reserve": {"tokens": 20}}, "1s", 60),
        ("settle", {"reserve": {"tokens": 20}}, "60s", 30),
    ],
)
def test_what_was_charged_has_its_price(charge: str, rest: dict[str, Any], until: str, tokens: int) -> None:
    found = cost(constraints=[{**LIMIT, "charge": charge}], until=until, **rest)
    assert found == {
        "total": tokens / 2,
        "units": {"tokens": {"amount": tokens, "cost": tokens / 2}},
        "fleets": {"a": tokens / 2, "b": 0.0},
        "tenants": {"red": tokens / 2},
    }


def test_what_two_limits_count_is_paid_once_and_with_its_cached_share() -> None:
    exempt = {**LIMIT, "id": "uncached", "cached": "exempt", "scope": "fleet:a"}
    assert cost(constraints=[exempt, LIMIT], cached={"tokens": 0.5})["units"]["tokens"]["amount"] == 30
    assert cost(constraints=[exempt], cached={"tokens": 0.5})["units"]["tokens"]["amount"] == 15


def test_a_quota_is_paid_in_units() -> None:
    quota = {"id": "spend", "type": "quota", "total": 100, "counts": "tokens"}
    assert cost(constraints=[quota], cost={"tokens": 0.25})["total"] == 3 * 0.25 / 2


def test_without_prices_nothing_is_told_of_cost() -> None:
    found, _ = report(run(scenario(until="9s", constraints=[LIMIT], count=1, steps=[{"task": "t", "duration": "1s"}])))
    assert found["cost"] is None


@pytest.mark.parametrize(("written", "price"), [(3, 3.0), ("3/1M", 3e-6), ("0.25/1k", 0.00025), (0, 0.0), ("2", 2.0)])
def test_prices_are_read_as_people_write_them(written: object, price: float) -> None:
    assert parse_price(written) == price


@pytest.mark.parametrize("written", ["3/0", "-1", "x", "3/", "/2", True, None, [1], "3/1Q"])
def test_what_is_no_price_is_told(written: object) -> None:
    with pytest.raises(UnitError, match="; allowed: "):
        parse_price(written)


def test_a_price_is_that_of_something_that_is_counted(tmp_path: Any) -> None:
    from model.faults import ScenarioError

    path = tmp_path / "x.yaml"
    text = "until: 1h\nprices: {PRICE}\nconstraints: [{id: a, type: rate_limit, rate: 9/s, counts: tokens}]\n"
    fleets = "fleets: [{name: f, count: 1, steps: [{task: t, duration: 1}]}]\n"
    path.write_text(text.replace("PRICE", "tokens: 3/1M") + fleets)
    loaded = load(path)
    assert loaded.scenario.prices == {"tokens": 3e-6}
    path.write_text(text.replace("PRICE", "token: 3/1M") + fleets)
    with pytest.raises(ScenarioError, match=r"quota counts 'token' \(did you mean 'tokens'\?\); allowed: tokens"):
        load(path)
    slots = text.replace("type: rate_limit, rate: 9/s, counts: tokens", "type: concurrency, limit: 1")
    path.write_text(slots.replace("PRICE", "tokens: 3/1M") + fleets)
    allowed = "allowed: no prices, for no constraint of this scenario counts anything"
    with pytest.raises(ScenarioError, match=f"no rate limit or quota counts 'tokens'; {allowed}"):
        load(path)


def test_two_runs_are_compared_by_what_they_cost() -> None:
    """Of three that cost 10 tokens each, 0.5 a token, the quota lets two through, and then all of them."""
    quota = {"id": "spend", "type": "quota", "counts": "tokens", "on_limit": "reject"}
    steps = [{"task": "t", "duration": "2s", "cost": {"tokens": 10}}]
    fleets = [{"name": "a", "count": 3, "tenant": "red", "steps": steps}]

    def log(total: int, **prices: Any) -> Log:
        return run(scenario(until="9s", constraints=[{**quota, "total": total}], fleets=fleets, **prices))

    priced: dict[str, Any] = {"prices": {"tokens": "1/2"}}
    found = diff(log(20, **priced), log(30, **priced))
    spent = {"a": 10.0, "b": 15.0, "change": 5.0}
    assert found["cost"] == {
        "total": spent,
        "units": {"tokens": {"amount": {"a": 20.0, "b": 30.0, "change": 10.0}, "cost": spent}},
        "fleets": {"a": spent},
        "tenants": {"red": spent},
    }
    assert found["caveats"] == []
    [grid] = [block for block in diff_page(found, "A", "B").blocks if getattr(block, "heading", "") == "What it cost"]
    assert grid.rows == [
        ("in all", "10.00", "15.00", "+5.00"),
        ("tokens, charged", "20", "30", "+10"),
        ("tokens, cost", "10.00", "15.00", "+5.00"),
        ("fleet a", "10.00", "15.00", "+5.00"),
        ("tenant red", "10.00", "15.00", "+5.00"),
    ]
    only_one = diff(log(20), log(30, **priced))
    assert only_one["cost"]["total"] == {"a": None, "b": 15.0, "change": None}
    assert only_one["caveats"] == ["the prices differ: what it costs changes with them too"]
    assert diff(log(20), log(30))["cost"] is None
