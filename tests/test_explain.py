"""Explanations: by hand, sentence by sentence; and every claim against the rows, over generated scenarios."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import scenarios, simulate
from vocabulary import rich

from model.log import Log
from sim.analysis.binding import of_constraint
from sim.analysis.explain import Explanation, of_agent, of_task, worst
from sim.analysis.record import Record
from sim.sentences import told
from tests import explained

Dict = dict[str, Any]
half = settings(max_examples=settings.default.max_examples // 2)  # type: ignore[union-attr] # a profile is loaded


def claims(found: Explanation) -> list[Dict]:
    return [told(statement) for statement in found.statements]


# What is said is so.


def every(log: Log, share: float) -> None:
    """Explain every agent up to a moment of it, every task and every constraint of a log, and check all of that."""
    record = Record.of(log)
    agents = sorted(set(record.rows.agent[record.rows.agent >= 0].tolist()))
    for agent in agents:
        first = record.row(int(record.of_agent(agent)[0])).time
        end = record.end_of_agent(agent)
        last = record.end_ns if end is None else end.time
        moment = first + int((last - first) * share)
        assert explained.wrong(log, claims(of_agent(record.until(moment), agent)), moment) == []
    visits = {(row.agent, row.step, row.visit) for row in explained.read(log).rows if row.attempt >= 0}
    for visit in sorted(visits):
        assert explained.wrong(log, claims(of_task(record, *visit)), record.end_ns) == []
    assert explained.wrong(log, claims(worst(record, 5)), record.end_ns) == []
    for number in range(len(record.header.constraints)):
        assert explained.wrong(log, claims(of_constraint(record, number)), record.end_ns) == []


@half
@given(rich(), st.sampled_from([1.0, 0.5, 0.9]))
def test_every_claim_is_so_over_everything(row: Dict, share: float) -> None:
    every(simulate(row), share)


@half
@given(scenarios(), st.sampled_from([1.0, 0.5]))
def test_every_claim_is_so_of_the_first_features(row: Dict, share: float) -> None:
    every(simulate(row), share)
