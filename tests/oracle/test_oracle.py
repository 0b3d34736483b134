"""The engine against the oracle, event by event, over a thousand generated scenarios."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sim.environment import Endless
from tests.oracle.compare import difference
from tests.oracle.strategies import FEATURES, all_together, rich
from tests.runs import run

ALONE, TOGETHER = 33, 52
"""Scenarios for each feature alone, and for each of `ROUNDS` of scenarios that mix them all: 1,050 in all."""
ROUNDS = 4
PATIENT = settings(  # what differs is not shrunk: that takes minutes, and a small scenario is soon cut by hand
    phases=[Phase.explicit, Phase.reuse, Phase.generate], suppress_health_check=list(HealthCheck), deadline=None
)


def check(scenario: dict[str, Any]) -> None:
    try:
        log = run(scenario)
    except Endless:  # a loop that takes no time; the oracle would go round for ever
        return
    told = difference(scenario, log)
    assert told is None, told


@pytest.mark.parametrize("feature", FEATURES)
@settings(PATIENT, max_examples=ALONE)
@given(data=st.data())
def test_the_engine_does_what_the_oracle_says(feature: str, data: st.DataObject) -> None:
    check(data.draw(rich(feature)))


@pytest.mark.parametrize("seed", range(ROUNDS))
@settings(PATIENT, max_examples=TOGETHER)
@given(data=st.data())
def test_so_it_does_with_everything_together(seed: int, data: st.DataObject) -> None:
    check(data.draw(all_together()) | {"seed": seed})


@settings(PATIENT, max_examples=TOGETHER)
@given(rich("fork", "hold", "life", "crash", "policies", "lifo"))
def test_so_it_does_where_agents_with_branches_are_called_off(scenario: dict[str, Any]) -> None:
    """Branches of one agent wait for each other in these, which is rare where everything is together."""
    check(scenario)


def test_a_difference_is_told() -> None:
    slot = {"id": "slot", "type": "concurrency", "limit": 1, "scope": "global"}
    fleet = {"name": "a", "count": 2, "steps": [{"task": "t", "duration": "1s"}]}
    scenario = {"name": "x", "until": "3s", "constraints": [slot], "fleets": [fleet]}
    assert difference(scenario, run(scenario)) is None
    other = {**scenario, "constraints": [{**slot, "limit": 2}]}
    assert "event 4 differs" in (difference(scenario, run(other)) or "")
