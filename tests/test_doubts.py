# ruff: noqa: E501 - warnings are given as they are printed, each on a line
"""What a scenario may say and hardly means is warned of, where it is, with what was probably meant."""

import pytest

from tests.written import around, check, warnings

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


def test_what_is_hardly_meant_is_warned_of() -> None:
    text = """\
until: 1h
constraints:
- {id: alone, type: concurrency, limit: 2}
- {id: b, type: concurrency, limit: 2, scope: "fleet:agents"}
- {id: c, type: concurrency, limit: 2, scope: "tenant:*"}
- {id: d, type: concurrency, limit: 2, scope: "task:agent_*_cal"}
- {id: e, type: concurrency, limit: 2, scope: "task:agent_*_call", expires: 1s}
- {id: f, type: concurrency, limit: 3, scope: "task:agent_*_call"}
- {id: g, type: concurrency, limit: 3, scope: "task:agent_*_call", from: 1s}
- {id: h, type: concurrency, limit: 2, scope: "task:agent_5_call"}
- {id: i, type: concurrency, limit: 2, scope: "task:agent_[0-4]_call"}
- {id: needed, type: concurrency, limit: 2}
fleets:
- name: agent
  count: 5
  steps:
  - repeat: forever
    steps:
    - {task: call, duration: 1s, needs: {needed: 1}}
  - {think: 1s}
  - {think: 1s}
"""
    tasks = "task:PATTERN, for a task such as agent_0_call"
    assert warnings(text) == [
        "3:3: constraints.alone: warning: it governs nothing; allowed: a scope, or a step that names it in its needs",
        "4:47: constraints.b.scope: warning: it governs nothing; allowed: fleet:PATTERN, for a fleet such as agent",
        "5:47: constraints.c.scope: warning: it governs nothing; allowed: a tenant in a fleet",
        f"6:47: constraints.d.scope: warning: it governs nothing; allowed: {tasks}",
        "7:3: constraints.e: warning: f has the same scope and type, and replaces it before it is ever in force; allowed: another scope, or a later from",
        f"10:47: constraints.h.scope: warning: it governs nothing; allowed: {tasks}",
        "20:5: fleets.agent.steps.1: warning: never reached, for the repeat before it goes on for ever; allowed: a number of repeats, or no step after it",
    ]


def test_a_pattern_on_the_numbers_of_agents_nobody_counted_is_not_warned_of() -> None:
    text = around("constraint", "{id: a, type: pause, scope: 'task:agent_123456_*'}").replace(
        "{think: 1s}", "{task: w, duration: 1}"
    )
    assert "it governs nothing" in warnings(text)[0]
    assert warnings(text.replace("count: 5", "arrivals: {poisson: 1/s}")) == []
    assert warnings(text.replace("count: 5", "count: 200k")) == []


def test_a_cost_that_no_limit_counts() -> None:
    limits = (
        "{id: r, type: rate_limit, rate: 9/s, scope: 'task:*_a'}, {id: t, type: rate_limit, rate: 9/s, counts: tokens}"
    )
    steps = (
        "{task: a, duration: 1, cost: {requests: 1, tokens: 2}}\n  - {task: b, duration: 1, cost: 3}\n"
        "  - {task: c, duration: 1, needs: {t: 1}, cost: {exponential: 4}}\n  - {task: d, duration: 1, cost: {tokens: 5}}"
    )
    assert warnings(around("constraint", limits).replace("{think: 1s}", steps)) == [
        "7:56: fleets.agent.steps.a.cost.tokens: warning: no limit of this task counts tokens; allowed: requests",
        "8:34: fleets.agent.steps.b.cost: warning: no limit of this task counts anything; allowed: no cost, or a rate limit that governs the task",
        "10:43: fleets.agent.steps.d.cost.tokens: warning: no limit of this task counts tokens; allowed: no cost",
    ]


def test_a_limit_of_whose_costs_a_task_says_nothing() -> None:
    limits = (
        "{id: r, type: rate_limit, rate: 9/s, scope: global}, {id: t, type: rate_limit, rate: 9/s, counts: tokens, scope: global},"
        " {id: u, type: quota, total: 9, counts: usd, scope: global}"
    )
    steps = (
        "{task: a, duration: 1, cost: {tokens: 2, usd: 0}}\n  - {task: b, duration: 1}\n"
        "  - {task: c, duration: 1, cost: {usd: 1}, needs: {t: 2}, cached: {usd: 0.5}}\n  - {hold: d, cost: {tokens: 0}, steps: [{think: 1}]}"
    )
    assert warnings(around("constraint", limits).replace("{think: 1s}", steps)) == [
        "8:5: fleets.agent.steps.b: warning: it costs 1 of tokens and 1 of usd, for it says nothing of that; allowed: cost: {tokens: COST, usd: COST}",
        "9:73: fleets.agent.steps.c.cached.usd: warning: no limit of this task exempts usd that came from a cache; allowed: a limit with cached: exempt",
        "10:5: fleets.agent.steps.d: warning: it costs 1 of usd, for it says nothing of that; allowed: cost: {usd: COST}",
    ]


def test_a_cost_of_an_agent_that_is_not_looked_at_may_count() -> None:
    text = around("constraint", "{id: r, type: rate_limit, rate: 9/s, scope: 'task:agent_5000_*'}")
    text = text.replace("{think: 1s}", "{task: w, duration: 1, cost: 3}")
    assert len(warnings(text)) == 2
    assert warnings(text.replace("count: 5", "count: 6k")) == []


def test_a_constraint_that_comes_when_the_run_has_ended() -> None:
    text = around("constraint", "{id: p, type: pause, scope: global, from: 1h}")
    text = text.replace("{think: 1s}", "{task: w, duration: 1}")
    said = "2:57: constraints.p.from: warning: not before the run ends; allowed: a time before until"
    assert warnings(text) == [said]
    assert warnings(text.replace("until: 1h", "until: 2h")) == []


def test_a_pause_for_ever_in_a_run_without_an_end() -> None:
    text = around("top", "seed: 1").replace("{think: 1s}", "{task: w, duration: 1}")

    def told(**rest: str) -> list[str]:
        keys = "".join(f", {key}: {value}" for key, value in rest.items())
        return warnings(text.replace("[]", f"[{{id: p, type: pause, scope: global{keys}}}]"))

    said = "2:15: constraints.p: warning: it is never lifted, and without until whoever it stops is left waiting; allowed: expires, a change to paused: false, or until"
    assert told() == [said]
    assert told(paused="false", changes="[{at: 1s, paused: true}]") == [said]
    assert told(**{"from": "5s"}) == [said]
    assert told(expires="5s") == []
    assert told(changes="[{at: 1s, paused: false}]") == []
    assert told(on_limit="reject") == []
    assert (
        warnings(
            around("constraint", "{id: p, type: pause, scope: global}").replace("{think: 1s}", "{task: w, duration: 1}")
        )
        == []
    )


def test_a_bound_on_the_waits_of_a_tenant_without_fleets_that_it_would_hold_for() -> None:
    text = around("top", "tenants: {acme: {starvation: 1m}}\nuntil: 1h")
    said = "1:30: tenants.acme.starvation: warning: it bounds nobody's wait; allowed: a tenant of a fleet that has no bound of its own"
    assert warnings(text) == [said]
    assert warnings(text.replace("count: 5", "tenant: acme\n  count: 5\n  starvation: 5s")) == [said]
    assert warnings(text.replace("count: 5", "tenant: acme\n  count: 5")) == []


def test_with_faults_there_are_no_warnings() -> None:
    text = around("constraint", "{id: alone, type: pause}, {id: x, type: concurrency, limit: ^0}")
    check(text, "constraints.x.limit: 0 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ...")
