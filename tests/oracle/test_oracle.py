"""The engine against the oracle, event by event, over a thousand generated scenarios.

Not held against it yet are forks, holds and full rooms: there the documents leave the order of events at one instant open,
and the two have chosen differently (`docs/adr/0005`, "What happens first at one instant").
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.engine import Endless
from tests.oracle.compare import difference
from tests.oracle.strategies import rich
from tests.runs import run

FEATURES = ("policies", "reject", "queues", "strict", "preempt", "choose", "graph", "spawn", "life")
EXAMPLES = 112
"""For each feature: a thousand in all."""


@pytest.mark.parametrize("feature", FEATURES)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_the_engine_does_what_the_oracle_says(feature: str, data: st.DataObject) -> None:
    scenario: dict[str, Any] = data.draw(rich(feature))
    try:
        log = run(scenario)
    except Endless:  # a loop that takes no time; the oracle would go round for ever
        return
    told = difference(scenario, log)
    assert told is None, told


def test_a_difference_is_told() -> None:
    slot = {"id": "slot", "type": "concurrency", "limit": 1, "scope": "global"}
    fleet = {"name": "a", "count": 2, "steps": [{"task": "t", "duration": "1s"}]}
    scenario = {"name": "x", "until": "3s", "constraints": [slot], "fleets": [fleet]}
    assert difference(scenario, run(scenario)) is None
    other = {**scenario, "constraints": [{**slot, "limit": 2}]}
    assert "event 4 differs" in (difference(scenario, run(other)) or "")
