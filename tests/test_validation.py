# ruff: noqa: E501 - faults are given as they are printed, each on a line
"""Every fault of a scenario is reported at once, each once, where it is, with what is allowed."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from model.checks import STEPS_MAX
from model.faults import ScenarioError
from model.json_schema import json_schema
from model.limits import Concurrency
from model.scenario import Fleet, Scenario, Task
from model.source import Source, parse
from model.validation import load, load_embedded
from tests.written import (
    ALL_PATHS,
    FULL,
    FULL_DATA,
    TRACE,
    Keys,
    around,
    check,
    embedded,
    faults,
    loaded,
    told_by,
    warnings,
)

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")
ROOT = str(Path(__file__).parents[1])

TIME = "a time such as 300ms, 1.5s, 2m, 1h or 7d; a bare number is seconds"
NUMBER = "a number such as 500, 2k or 1.5M"
COUNT = "a whole number of 1 or more, such as 500 or 2k"
RATE = "a rate such as 10/s, 600/m, 40k/h or 5/200ms"
NAME = "a letter, then letters, digits, _ and -, 64 at most"
SCOPE = "global, task:PATTERN, fleet:PATTERN or tenant:PATTERN"
UNITS = "ns, us, µs, ms, s, m, h, d"
KINDS = "uniform, exponential, lognormal, gamma, erlang, weibull, pareto, triangular, empirical, linear, mixture"
ONE_STEP = "one of think, task, repeat, choose, fork, hold, graph, spawn"
STEP = f"a mapping with {ONE_STEP}"


def keys(model: type[BaseModel]) -> str:
    return ", ".join(field.alias or name for name, field in model.model_fields.items())


TASK, FLEET, TOP, LIMIT = keys(Task), keys(Fleet), keys(Scenario), keys(Concurrency)


# What is right


def test_a_scenario_with_everything_is_valid() -> None:
    result = loaded(FULL, files={"t.csv": TRACE})
    assert result.warnings == ()
    assert result.scenario.until == 3600 * 10**9
    assert list(result.tables) == ["t.csv"]
    assert result.tables["t.csv"].times("time", 1).tolist() == [0, 10**9]
    assert result.inputs == {"t.csv": TRACE.encode()}


def test_a_scenario_round_trips_through_json_and_a_log() -> None:
    result = loaded(FULL, files={"t.csv": TRACE})
    dumped = result.scenario.as_json()
    again = load_embedded(json.loads(json.dumps(dumped)), result.inputs)
    assert again.scenario == result.scenario
    assert again.inputs == result.inputs
    assert again.scenario.as_json() == dumped


def test_data_files_are_looked_for_beside_the_scenario() -> None:
    Path("deep/traces").mkdir(parents=True)
    Path("deep/traces/t.csv").write_text(TRACE)
    Path("deep/f.yaml").write_text(around("fleet", "arrivals: {trace: {file: traces/t.csv, time: time}}"))
    assert list(load("deep/f.yaml").inputs) == ["traces/t.csv"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("my fleet.v2.yaml", "my-fleet-v2"),
        ("2nd.yaml", "scenario-2nd"),
        ("é.yaml", "scenario"),
        ("a" * 70 + ".yaml", "a" * 64),
    ],
)
def test_a_scenario_without_a_name_has_that_of_its_file(file: str, name: str) -> None:
    Path(file).write_text(around("top", "until: 1h"))
    assert load(file).scenario.name == name


def test_merge_keys_and_aliases_are_written_out() -> None:
    text = (
        "until: 1s\nfleets:\n- &a {name: a, count: 5, steps: [&s {think: 1s}]}\n- {<<: *a, name: b, steps: [*s, *s]}\n"
    )
    scenario = loaded(text).scenario
    assert [(fleet.name, fleet.count, len(fleet.steps)) for fleet in scenario.fleets] == [("a", 5, 1), ("b", 5, 2)]


# One value


@pytest.mark.parametrize(
    ("part", "value", "fault"),
    [
        # quantities
        ("top", "until: ^-5s", "until: '-5s' is negative; allowed: 0 or a positive time"),
        ("top", "until: ^.nan", f"until: nan is not a finite number; allowed: {TIME}"),
        ("top", "until: ^.inf", f"until: inf is not a finite number; allowed: {TIME}"),
        ("top", "until: ^5 parsecs", f"until: unknown unit 'parsecs' in '5 parsecs'; allowed: {UNITS}"),
        ("top", "until: ^\uff11s", f"until: '\uff11s' is not a time; allowed: {TIME}"),
        ("constraint", "{id: a, type: concurrency, limit: ^'\uff11'}", f"constraints.a.limit: '\uff11' is not a number; allowed: {COUNT}"),
        ("constraint", "{id: a, type: rate_limit, rate: ^\uff11/s}", f"constraints.a.rate: '\uff11/s' is not a rate; allowed: {RATE}"),
        ("constraint", "{id: a, type: rate_limit, rate: ^1/\uff11s}", f"constraints.a.rate: '1/\uff11s' is not a rate; allowed: {RATE}"),
        ("top", "until: ^soon", f"until: 'soon' is not a time; allowed: {TIME}"),
        ("top", "until: ^1" + "0" * 400, "until: a whole number of 401 digits; allowed: at most 20 digits"),
        ("top", "until: ^1e400", f"until: inf is not a finite number; allowed: {TIME}"),
        ("top", "until: ^10000000000", "until: 10000000000 is too long; allowed: at most 146 years"),
        ("top", "until: ^[1]", f"until: a list is not allowed here; allowed: {TIME}"),
        ("top", "seed: ^-1", "seed: -1 is below 0; allowed: 0 or more"),
        ("top", "seed: ^18446744073709551616", "seed: 18446744073709551616 is too large; allowed: at most 18,446,744,073,709,551,615"),
        ("constraint", "{id: a, type: concurrency, limit: ^0}", "constraints.a.limit: 0 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ..."),
        ("constraint", "{id: a, type: concurrency, limit: ^-3}", "constraints.a.limit: -3 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ..."),
        ("constraint", "{id: a, type: concurrency, limit: ^1.5}", "constraints.a.limit: 1.5 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ..."),
        ("constraint", "{id: a, type: concurrency, limit: ^many}", f"constraints.a.limit: 'many' is not a number; allowed: {COUNT}"),
        ("constraint", "{id: a, type: concurrency, limit:^ }", f"constraints.a.limit: an empty value is not allowed here; allowed: {COUNT}"),
        ("constraint", "{id: a, type: rate_limit, rate: ^5/fortnight}", f"constraints.a.rate: unknown unit 'fortnight' in '5/fortnight'; allowed: {UNITS}"),
        ("constraint", "{id: a, type: rate_limit, rate: ^0/s}", f"constraints.a.rate: '0/s' is not above 0; allowed: {RATE}"),
        ("constraint", "{id: a, type: rate_limit, rate: ^fast}", f"constraints.a.rate: 'fast' is not a rate; allowed: {RATE}"),
        ("constraint", "{id: a, type: rate_limit, rate: ^1e-99999999/s}", f"constraints.a.rate: '1e-99999999/s' is too large or too small; allowed: {RATE}"),
        ("constraint", "{id: a, type: rate_limit, rate: ^1e-30/s}", f"constraints.a.rate: '1e-30/s' has too many digits to be kept exactly; allowed: {RATE}"),
        ("fleet", "count: ^1e20", "fleets.agent.count: 1e+20 is too large; allowed: at most 20,000,000"),
        ("constraint", "{id: a, type: resource, capacity: ^9e18}", "constraints.a.capacity: 9e+18 is above 4,000,000,000,000; allowed: at most 4,000,000,000,000"),
        ("constraint", "{id: a, type: quota, total: ^5000G}", "constraints.a.total: '5000G' is above 4,000,000,000,000; allowed: at most 4,000,000,000,000"),
        ("fleet", "count: ^30M", "fleets.agent.count: '30M' is above 20,000,000; allowed: at most 20,000,000"),
        # names and scopes
        ("constraint", "{id: ^my limit, type: pause}", f"constraints.my limit.id: 'my limit' is not a name; allowed: {NAME}"),
        ("constraint", "{id: ^7, type: pause}", f"constraints.0.id: 7 is not allowed here; allowed: a name: {NAME}"),
        ("constraint", "{id: a, type: pause, scope: ^tsk:x}", f"constraints.a.scope: 'tsk:x' is not a scope; allowed: {SCOPE}"),
        ("constraint", "{id: a, type: pause, scope: ^'task:'}", f"constraints.a.scope: 'task:' is not a scope; allowed: {SCOPE}"),
        ("constraint", "{id: a, type: pause, paused: ^'yes'}", "constraints.a.paused: 'yes' is not allowed here; allowed: true or false"),
        ("fleet", "count: 5\n  priority: ^1.5", "fleets.agent.priority: 1.5 is not allowed here; allowed: a whole number"),
        ("fleet", "count: 5\n  starvation: ^-1s", "fleets.agent.starvation: '-1s' is negative; allowed: 0 or a positive time"),
        ("fleet", "count: 5\n  starvation: ^{exponential: 1s}", f"fleets.agent.starvation: a mapping is not allowed here; allowed: {TIME}"),
        ("top", "until: 1h\ntenants: {acme: {starvation: ^1minute}}", "tenants.acme.starvation: unknown unit 'minute' in '1minute'; allowed: ns, us, µs, ms, s, m, h, d"),
        ("fleet", "count: 5\n  priority: ^true", "fleets.agent.priority: true is not allowed here; allowed: a whole number"),
        # keys
        ("top", "until: 1h\n^unitl: 2h", f"unitl: unknown key 'unitl' (did you mean 'until'?); allowed: {TOP}"),
        ("top", "until: 1h\n^colour: red", f"colour: unknown key 'colour'; allowed: {TOP}"),
        ("top", "until: 1h\n^until: 2h", "until: the key 'until' is there twice, first in line 1; allowed: each key once"),
        ("top", "until: 1h\n^1: 2", "1: the key 1 is a number; allowed: text as a key, in quotes where it looks like something else"),
        ("constraint", "{id: a, type: concurrency, ^limt: 5}", f"constraints.a.limt: unknown key 'limt' (did you mean 'limit'?); allowed: {LIMIT}"),
        ("constraint", "^{id: a, type: concurrency}", f"constraints.a.limit: the key 'limit' is missing; allowed: {COUNT}"),
        ("constraint", "^{id: a, type: rate_limit}", f"constraints.a.rate: the key 'rate' is missing; allowed: {RATE}"),
        ("constraint", "^{type: pause}", f"constraints.0.id: the key 'id' is missing; allowed: a name: {NAME}"),
        ("constraint", "^{id: a}", "constraints.a.type: the key 'type' is missing; allowed: concurrency, adaptive, resource, rate_limit, quota, circuit_breaker, pause"),
        ("constraint", "{id: a, ^typ: pause}", "constraints.a.typ: unknown key 'typ' (did you mean 'type'?); allowed: concurrency, adaptive, resource, rate_limit, quota, circuit_breaker, pause"),
        ("constraint", "{id: a, type: ^concurency, limit: 5}", "constraints.a.type: unknown type 'concurency' (did you mean 'concurrency'?); allowed: concurrency, adaptive, resource, rate_limit, quota, circuit_breaker, pause"),
        ("constraint", "{id: a, type: ^[pause]}", "constraints.a.type: unknown type a list; allowed: concurrency, adaptive, resource, rate_limit, quota, circuit_breaker, pause"),
        ("constraint", "^funnel", "constraints.0: 'funnel' is not allowed here; allowed: a mapping with type: concurrency or adaptive or resource or rate_limit or quota or circuit_breaker or pause"),
        ("fleet", "^cuont: 5", f"fleets.agent.cuont: unknown key 'cuont' (did you mean 'count'?); allowed: {FLEET}"),
        # timelines
        ("constraint", "^{id: a, type: pause, from: 2s, expires: 1s}", "constraints.a: it expires before it begins; allowed: expires after from"),
        ("constraint", "^{id: a, type: pause, changes: [{at: 2s, paused: true}, {at: 1s, paused: false}]}", "constraints.a: the changes are not in order; allowed: each change after the one before"),
        ("constraint", "{id: a, type: rate_limit, rate: 1/s, changes: [^{at: 2s}]}", "constraints.a.changes.0: it changes nothing; allowed: rate, burst or both"),
        # fleets
        ("fleet", "arrivals: {^poison: 1/s}", "fleets.agent.arrivals.poison: unknown key 'poison' (did you mean 'poisson'?); allowed: one of poisson, every, at, trace"),
        ("fleet", "arrivals: ^{poisson: 1/s, every: 1s}", "fleets.agent.arrivals: 'poisson' and 'every' together; allowed: one of poisson, every, at, trace"),
        ("fleet", "arrivals: ^5/s", "fleets.agent.arrivals: '5/s' is not allowed here; allowed: a mapping with one of poisson, every, at, trace"),
        ("fleet", "arrivals: ^{at: [2s, 1s]}", "fleets.agent.arrivals: the times go back; allowed: times in order"),
        ("fleet", "arrivals: {at: ^[]}", "fleets.agent.arrivals.at: an empty list; allowed: at least 1"),
        # steps
        ("step", "^think", f"fleets.agent.steps.0: 'think' is not allowed here; allowed: {STEP}"),
        ("step", "^{}", f"fleets.agent.steps.0: an empty mapping is not allowed here; allowed: {STEP}"),
        ("step", "{^sleep: 1s}", f"fleets.agent.steps.0.sleep: unknown key 'sleep'; allowed: {ONE_STEP}"),
        ("step", "^{duration: 1s, cost: 1}", f"fleets.agent.steps.0: none of its keys (duration, cost) says what it is; allowed: {ONE_STEP}"),
        ("step", "{duration: 1s, ^tsk: work}", f"fleets.agent.steps.0.tsk: unknown key 'tsk' (did you mean 'task'?); allowed: {ONE_STEP}"),
        ("step", "^{think: 1s, task: work, duration: 2s}", f"fleets.agent.steps.work: 'think' and 'task' together; allowed: {ONE_STEP}"),
        ("step", "^{think: 1s, task: work, repeat: 3}", f"fleets.agent.steps.work: 'think' and 'task' and 'repeat' together; allowed: {ONE_STEP}"),
        ("step", "^{task: work, repeat: -1, steps: [{think: -1s}]}", f"fleets.agent.steps.work: 'task' and 'repeat' together; allowed: {ONE_STEP}"),
        ("step", "^{task: work}", f"fleets.agent.steps.work.duration: the key 'duration' is missing; allowed: {TIME}, or a mapping with one of {KINDS}"),
        ("step", "{task: work, duration: 1s, ^neds: {}}", f"fleets.agent.steps.work.neds: unknown key 'neds' (did you mean 'needs'?); allowed: {TASK}"),
        ("step", "{task: work, duration: 1s, needs: ^3}", f"fleets.agent.steps.work.needs: 3 is not allowed here; allowed: a mapping from names, each to {NUMBER}, or a mapping with one of {KINDS}"),
        ("step", "{task: work, duration: 1s, needs: {^a b: 1}}", f"fleets.agent.steps.work.needs.a b: 'a b' is not a name; allowed: {NAME}"),
        ("step", "{task: ^my work, duration: 1s}", f"fleets.agent.steps.my work.task: 'my work' is not a name; allowed: {NAME}"),
        ("step", "{repeat: ^0, steps: [{think: 1s}]}", "fleets.agent.steps.0.repeat: 0 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ..., or forever"),
        ("step", "{repeat: ^forver, steps: [{think: 1s}]}", f"fleets.agent.steps.0.repeat: 'forver' is unknown (did you mean 'forever'?); allowed: {COUNT}, or forever"),
        ("step", "{repeat: 3, steps: ^[]}", "fleets.agent.steps.0.steps: an empty list; allowed: at least 1"),
        ("step", "{repeat: 3, steps: ^{think: 1s}}", f"fleets.agent.steps.0.steps: a mapping is not allowed here; allowed: a list, each item {STEP}"),
        # distributions
        ("step", "{think:^ }", f"fleets.agent.steps.0.think: an empty value is not allowed here; allowed: {TIME}, or a mapping with one of {KINDS}"),
        ("step", "{think: ^[1, 2]}", f"fleets.agent.steps.0.think: a list is not allowed here; allowed: {TIME}, or a mapping with one of {KINDS}"),
        ("step", "{think: {^unifrm: [1, 2]}}", f"fleets.agent.steps.0.think.unifrm: unknown key 'unifrm' (did you mean 'uniform'?); allowed: one of {KINDS}"),
        ("step", "{think: {^normal: [1, 2]}}", f"fleets.agent.steps.0.think.normal: unknown key 'normal' (did you mean 'lognormal'?); allowed: one of {KINDS}"),
        ("step", "{think: ^{uniform: [1, 2], exponential: 1}}", f"fleets.agent.steps.0.think: 'uniform' and 'exponential' together; allowed: one of {KINDS}"),
        ("step", "{think: ^{uniform: [3, 1]}}", "fleets.agent.steps.0.think: LOW is above HIGH; allowed: [LOW, HIGH]"),
        ("step", "{think: {uniform: ^[3]}}", f"fleets.agent.steps.0.think.uniform: 1 of 2 values; allowed: a list of 2, each {TIME}"),
        ("step", "{think: {uniform: ^[1, 2, 3]}}", "fleets.agent.steps.0.think.uniform: 3 items; allowed: at most 2"),
        ("step", "{think: {uniform: [^-1, 2]}}", "fleets.agent.steps.0.think.uniform.0: -1 is negative; allowed: 0 or a positive time"),
        ("step", "{think: {lognormal: ^{median: 1s, cv: 1}}}", "fleets.agent.steps.0.think.lognormal: cv and median are given; allowed: median and p95, or mean and cv"),
        ("step", "{think: {lognormal: {mean: 1s, cv: ^0}}}", "fleets.agent.steps.0.think.lognormal.cv: 0 is not above 0; allowed: above 0"),
        ("step", "{think: {gamma: {shape: ^.inf, mean: 1s}}}", "fleets.agent.steps.0.think.gamma.shape: inf is not a finite number; allowed: a number above 0"),
        ("step", "{think: {gamma: {shape: ^1e-3, mean: 1s}}}", "fleets.agent.steps.0.think.gamma.shape: 0.001 is below 0.01; allowed: 0.01 or more"),
        ("step", "{think: {gamma: {shape: ^2s, mean: 1s}}}", "fleets.agent.steps.0.think.gamma.shape: '2s' is not allowed here; allowed: a number above 0"),
        ("step", "{think: {empirical: ^3}}", f"fleets.agent.steps.0.think.empirical: 3 is not allowed here; allowed: a list, each item {TIME}, or a mapping with file, column, scale"),
        ("step", "{think: {empirical: ^[1s]}}", "fleets.agent.steps.0.think.empirical: 1 item; allowed: at least 2"),
        ("step", "{think: {empirical: [1s, ^x]}}", f"fleets.agent.steps.0.think.empirical.1: 'x' is not a time; allowed: {TIME}"),
        ("step", "{think: {empirical: {^fil: a.csv, column: c, scale: 1}}}", "fleets.agent.steps.0.think.empirical.fil: unknown key 'fil' (did you mean 'file'?); allowed: file, column, scale"),
        ("step", "{think: {mixture: [{weight: 1, value: {exponential: ^-1}}]}}", "fleets.agent.steps.0.think.mixture.0.value.exponential: -1 is negative; allowed: 0 or a positive time"),
        ("step", "{think: {linear: ^3}}", f"fleets.agent.steps.0.think.linear: 3 is not allowed here; allowed: a mapping with base, or names, each to {TIME}"),
        ("step", "{task: work, duration: 1s, cost: {exponential: ^x}}", f"fleets.agent.steps.work.cost.exponential: 'x' is not a number; allowed: {NUMBER}"),
        # retries
        ("step", "{task: work, duration: 1s, retry: {max_attempts: 2, budget: ^-1}}", "fleets.agent.steps.work.retry.budget: -1 is below 0; allowed: 0 or more"),
        ("step", "{task: work, duration: 1s, retry: {max_attempts: 2, budget: ^lots}}", "fleets.agent.steps.work.retry.budget: 'lots' is not allowed here; allowed: a number"),
        ("step", "{task: work, duration: 1s, retry: {max_attempts: 2, budget: ^{burst: 3}}}", "fleets.agent.steps.work.retry.budget.ratio: the key 'ratio' is missing; allowed: a number"),
        ("step", "{task: work, duration: 1s, retry: {max_attempts: 2, budget: {^ration: 1}}}", "fleets.agent.steps.work.retry.budget.ration: unknown key 'ration' (did you mean 'ratio'?); allowed: ratio, burst"),
        ("step", "{task: work, duration: 1s, retry: {max_attempts: 2, budget: {ratio: ^2000}}}", "fleets.agent.steps.work.retry.budget.ratio: 2000 is above 1,000; allowed: at most 1,000"),
        ("step", "{task: work, duration: 1s, retry: {max_attempts: 2, budget: {ratio: 1, burst: ^0}}}", "fleets.agent.steps.work.retry.budget.burst: 0 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ..."),
        ("step", "{task: work, duration: 1s, cost: ^-1}", "fleets.agent.steps.work.cost: -1 is negative; allowed: 0 or a positive number"),
    ],
)  # fmt: skip
def test_one_fault(part: str, value: str, fault: str) -> None:
    check(around(part, value), fault)


def test_a_fleet_is_closed_or_open() -> None:
    check(
        "until: 1h\nfleets:\n- ^{name: a, steps: [{think: 1}]}\n- ^{name: b, count: 5, arrivals: {every: 1s}, steps: [{think: 1}]}\n"
        "- ^{name: c, stagger: 1s, arrivals: {every: 1s}, steps: [{think: 1}]}\n",
        "fleets.a: neither count nor arrivals, and no step spawns it; allowed: "
        "count for a closed fleet, arrivals for an open one, or a step that spawns it",
        "fleets.b: both count and arrivals; allowed: count for a closed fleet, arrivals for an open one",
        "fleets.c: both arrivals and stagger; allowed: stagger for a closed fleet",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("^- 1\n- 2\n", [f"a list is not allowed here; allowed: a mapping with {TOP}"]),
        ("^just text", [f"'just text' is not allowed here; allowed: a mapping with {TOP}"]),
        ("^3", [f"3 is not allowed here; allowed: a mapping with {TOP}"]),
        ("^[]", [f"an empty list is not allowed here; allowed: a mapping with {TOP}"]),
        ("^{}", [f"fleets: the key 'fleets' is missing; allowed: a list, each item a mapping with {FLEET}"]),
        ("fleets: ^[]", ["fleets: an empty list; allowed: at least 1"]),
        ("fleets: ^{a: 1}", [f"fleets: a mapping is not allowed here; allowed: a list, each item a mapping with {FLEET}"]),
        ("fleets: [^3]", [f"fleets.0: 3 is not allowed here; allowed: a mapping with {FLEET}"]),
        ("^^{{ name }}: 1", ["a mapping as a key; allowed: text; '{' and '[' at the start need quotes", f"fleets: the key 'fleets' is missing; allowed: a list, each item a mapping with {FLEET}"]),
        ("constraints: ^3\nfleets: [{name: a, count: 1, steps: [{task: w, duration: 1, needs: {x: 1}, cost: {y: 1}}]}]", ["constraints: 3 is not allowed here; allowed: a list, each item a mapping with type: concurrency or adaptive or resource or rate_limit or quota or circuit_breaker or pause"]),
    ],
)  # fmt: skip
def test_a_scenario_of_another_shape(text: str, expected: list[str]) -> None:
    check(text, *expected)


def test_what_is_inside_a_misspelt_key_is_judged_as_what_it_seems_to_be() -> None:
    check(
        "until: 1h\n^constraint:\n- {id: a, type: concurrency, limit: ^0}\n^flets:\n- {name: a, ^cuont: x, steps: [{think: ^-1}]}\n",
        f"constraint: unknown key 'constraint' (did you mean 'constraints'?); allowed: {TOP}",
        "constraints.a.limit: 0 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ...",
        f"flets: unknown key 'flets' (did you mean 'fleets'?); allowed: {TOP}",
        f"fleets.a.cuont: unknown key 'cuont' (did you mean 'count'?); allowed: {FLEET}",
        "fleets.a.steps.0.think: -1 is negative; allowed: 0 or a positive time",
    )


def test_a_key_that_is_there_twice_is_not_held_against_other_parts() -> None:
    step = "{task: work, duration: 1s, needs: {a: 9}}"
    text = around("constraint", "{id: a, type: concurrency, limit: 1, ^limit: 10}").replace("{think: 1s}", step)
    check(text, "constraints.a.limit: the key 'limit' is there twice, first in line 2; allowed: each key once")
    text = around("top", "until: 1h").replace("{think: 1s}", step)
    check(
        text + "^constraints: [{id: a, type: concurrency, limit: 10}]\n",
        "constraints: the key 'constraints' is there twice, first in line 2; allowed: each key once",
    )
    text = around("step", "{repeat: forever, steps: [{think: 0, ^think: 5s}]}")
    path = "fleets.agent.steps.0.steps.0.think"
    check(text, f"{path}: the key 'think' is there twice, first in line 7; allowed: each key once")


def test_a_file_under_a_misspelt_key_is_not_looked_for() -> None:
    check(
        around("fleet", "arrivals: {trace: {^fle: t.csv, time: time}}"),
        "fleets.agent.arrivals.trace.fle: unknown key 'fle' (did you mean 'file'?); allowed: file, time, unit",
    )


def test_a_step_whose_name_is_wrong_is_checked_all_the_same() -> None:
    check(
        LIMITS.replace("STEP", "{task: ^my work, duration: 1s, needs: {slots: ^6}, cost: ^11}"),
        f"fleets.agent.steps.my work.task: 'my work' is not a name; allowed: {NAME}",
        "fleets.agent.steps.my work.needs.slots: 6 of slots, which never has more than 5; allowed: 1 to 5",
        "fleets.agent.steps.my work.cost: 11, more than rpm can ever hold: its burst is 10; allowed: at most 10",
    )


def test_a_fault_in_an_alias_stands_where_it_is_used() -> None:
    fault = "LOW is above HIGH; allowed: [LOW, HIGH]"
    check(
        "until: 1h\nfleets:\n- {name: a, count: 5, steps: [{think: ^&t {uniform: [2, 1]}}, {think: ^*t}]}\n",
        f"fleets.a.steps.0.think: {fault}",
        f"fleets.a.steps.1.think: {fault}",
    )


# Settings


def test_a_setting_is_judged_as_the_file_is_and_has_itself_as_its_place() -> None:
    text = around("constraint", "{id: funnel, type: concurrency, limit: 5, scope: global}")
    text = text.replace("{think: 1s}", "{task: work, duration: 1s, needs: {funnel: 3}}")
    overrides = [
        "constraints.funnel.limit=0",
        "fleets.agent.steps.work.duration=-2s",
        "sed=1",
        "fleets.agnt.count=1",
        "x",
    ]
    assert faults(text, *overrides) == [
        "--set constraints.funnel.limit=0: constraints.funnel.limit: 0 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ...",
        "--set fleets.agent.steps.work.duration=-2s: fleets.agent.steps.work.duration: '-2s' is negative; allowed: 0 or a positive time",
        f"--set sed=1: sed: unknown key 'sed' (did you mean 'seed'?); allowed: {TOP}",
        "--set fleets.agnt.count=1: fleets: no member 'agnt' (did you mean 'agent'?); allowed: agent, or an index below 1",
        "--set x: no = in it; allowed: PATH=VALUE, such as constraints.funnel.limit=50",
    ]
    assert faults(text, "constraints.funnel.limit=2") == [
        "7:48: fleets.agent.steps.work.needs.funnel: 3 of funnel, which never has more than 2; allowed: 1 to 2"
    ]
    assert loaded(text, "until=5s", "seed=3").scenario.until == 5 * 10**9


def test_a_setting_is_judged_even_where_the_file_has_something_broken() -> None:
    text = around("constraint", "{id: funnel, type: concurrency, limit: 1" + "0" * 400 + "}")
    assert faults(text, "constraints.funnel.limit=0") == [
        "2:54: constraints.funnel.limit: a whole number of 401 digits; allowed: at most 20 digits",
        "--set constraints.funnel.limit=0: constraints.funnel.limit: 0 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ...",
    ]


def test_a_setting_can_mend_a_fault_of_the_file() -> None:
    text = around("constraint", "{id: funnel, type: concurrency, limit: 0, scope: global}")
    text = text.replace("{think: 1s}", "{task: work, duration: 1s}")
    assert loaded(text, "constraints.funnel.limit=2").warnings == ()


# What two places have to agree on

LIMITS = """\
until: 1h
constraints:
- {id: slots, type: concurrency, limit: 2, changes: [{at: 1s, limit: 5}, {at: 2s, limit: 1}]}
- {id: rpm, type: rate_limit, rate: 10/m, scope: global}
- {id: tpm, type: rate_limit, rate: 100/m, scope: "task:agent_*_call", counts: tokens, changes: [{at: 1s, burst: 200}]}
- {id: stop, type: pause, scope: global, paused: false}
fleets:
- name: agent
  count: 5
  steps:
  - STEP
"""


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{task: work, duration: 1s, needs: {slots: ^6}}", ["work.needs.slots: 6 of slots, which never has more than 5; allowed: 1 to 5"]),
        ("{task: work, duration: 1s, needs: {rpm: ^11}}", ["work.needs.rpm: 11 of rpm, which never has more than 10; allowed: 1 to 10"]),
        ("{task: work, duration: 1s, needs: {^slot: 1, ^gpus: 1}}", [
            "work.needs.slot: no constraint is called 'slot' (did you mean 'slots'?); allowed: slots, rpm, tpm, stop",
            "work.needs.gpus: no constraint is called 'gpus'; allowed: slots, rpm, tpm, stop",
        ]),
        ("{task: work, duration: 1s, needs: {^stop: 1}}", ["work.needs.stop: stop is a pause, of which there is no amount; allowed: slots, rpm, tpm"]),
        ("{task: work, duration: 1s, cost: ^11}", ["work.cost: 11, more than rpm can ever hold: its burst is 10; allowed: at most 10"]),
        ("{task: call, duration: 1s, cost: {requests: ^10.6, tokens: ^201}}", [
            "call.cost.requests: 10.6, more than rpm can ever hold: its burst is 10; allowed: at most 10",
            "call.cost.tokens: 201, more than tpm can ever hold: its burst is 200; allowed: at most 200",
        ]),
        ("{task: work, duration: 1s, cost: {tokens: 201, ^request: 1}}", ["work.cost.request: no rate limit counts 'request' (did you mean 'requests'?); allowed: requests, tokens"]),
        ("{task: call, duration: 1s, cost: ^5}", ["call.cost: one cost, though the rate limits of this task count requests in rpm and tokens in tpm; allowed: a cost for each: {requests: COST, tokens: COST}"]),
        ("{task: call, duration: 1s, needs: {rpm: ^2, tpm: ^5}, cost: {requests: 1, tokens: 7}}", [
            "call.needs.rpm: 2 of rpm beside a cost of requests, which is what counts; allowed: 1, or no cost of requests",
            "call.needs.tpm: 5 of tpm beside a cost of tokens, which is what counts; allowed: 1, or no cost of tokens",
        ]),
        ("{task: work, duration: 1s, needs: {rpm: ^10}, cost: 7}", ["work.needs.rpm: 10 of rpm beside a cost of requests, which is what counts; allowed: 1, or no cost of requests"]),
        ("{task: work, duration: 1s, needs: {tpm: 1}, cost: ^5}", ["work.cost: one cost, though the rate limits of this task count requests in rpm and tokens in tpm; allowed: a cost for each: {requests: COST, tokens: COST}"]),
        ("{task: work, duration: {^linear: {x: 1s}}}", ["work.duration.linear: linear reads the row by which an agent arrived, and these agents do not arrive by a trace; allowed: arrivals by a trace, or another distribution"]),
        ("{repeat: ^forever, steps: [{think: 0}, {task: a, duration: {uniform: [0, 0]}}, {repeat: 3, steps: [{think: 0ms}]}]}", ["0.repeat: the steps take no time, so that time would stand still for ever; allowed: a step that takes time, or a number of repeats"]),
    ],
)  # fmt: skip
def test_a_step_and_the_constraints_disagree(step: str, expected: list[str]) -> None:
    check(LIMITS.replace("STEP", step), *(f"fleets.agent.steps.{fault}" for fault in expected))


@pytest.mark.parametrize(
    "step",
    [
        "{task: work, duration: 1s, needs: {slots: 5, rpm: 1}, cost: 10.4}",
        "{task: work, duration: 1s, needs: {rpm: 10, tpm: 1}, cost: {tokens: 200}}",
        "{task: call, duration: 1s, cost: {requests: 10, tokens: 200}}",
        "{task: work, duration: 1s, cost: {requests: {exponential: 50}, tokens: 500}}",
        "{repeat: 5, steps: [{think: 0}]}",
        "{repeat: forever, steps: [{think: 0}, {repeat: 2, steps: [{think: {uniform: [0, 1ns]}}]}]}",
    ],
)
def test_a_step_and_the_constraints_agree(step: str) -> None:
    assert loaded(LIMITS.replace("STEP", step)).scenario.until == 3600 * 10**9


SETTLED = around(
    "constraint", "{id: a, type: rate_limit, rate: 9/s, scope: global, charge: settle, cached: exempt}"
).replace("{think: 1s}", "{task: w, duration: 1, STEP}")
PRODUCED = around("constraint", "{id: a, type: rate_limit, rate: 9/s, scope: global, charge: as_produced}")
NOT_KNOWN = "a charges what it costs as it is produced, and how long it works is not known before; allowed: charge: on_finish or settle, or a task that shares no processor"


def test_what_is_reserved_or_left_uncached_must_fit_and_what_is_settled_need_not() -> None:
    loaded(SETTLED.replace("STEP", "cost: {requests: 50}, reserve: {requests: 9}"))
    loaded(SETTLED.replace("STEP", "cost: {requests: 45}, cached: {requests: 0.8}"))
    check(
        SETTLED.replace("STEP", "cost: {requests: ^50}, cached: {requests: 0.8}"),
        "fleets.agent.steps.w.cost.requests: 10, more than a can ever hold: its burst is 9; allowed: at most 9",
    )
    check(
        SETTLED.replace("STEP", "reserve: {requests: ^10}"),
        "fleets.agent.steps.w.reserve.requests: 10, more than a can ever hold: its burst is 9; allowed: at most 9",
    )
    check(
        SETTLED.replace("STEP", "reserve: {^request: 1}"),
        "fleets.agent.steps.w.reserve.request: no rate limit counts 'request' (did you mean 'requests'?); allowed: requests",
    )
    check(
        SETTLED.replace("STEP", "cached: {^tokens: 0.5}"),
        "fleets.agent.steps.w.cached.tokens: no rate limit counts 'tokens'; allowed: requests",
    )


def test_no_fork_and_no_spawn_is_larger_than_can_be() -> None:
    check(
        around("step", "{fork: ^2M, steps: [{think: 1}]}"),
        "fleets.agent.steps.0.fork: up to 2,000,000 copies; allowed: at most 1,000,000",
    )
    check(
        around("step", "{fork: ^{uniform: [1, 1e9]}, steps: [{think: 1}]}"),
        "fleets.agent.steps.0.fork: up to 1,000,000,000 copies; allowed: at most 1,000,000",
    )
    check(
        around("step", "{spawn: agent, count: ^2M, depth: 1}"),
        "fleets.agent.steps.0.count: up to 2,000,000 agents; allowed: at most 1,000,000",
    )


def test_steps_within_any_step_are_found_by_name() -> None:
    steps = "{fork: 2, steps: [{choose: [{steps: [{hold: h, steps: [{graph: [{task: inner, duration: 1}]}]}]}]}]}"
    task = loaded(around("step", steps), "fleets.agent.steps.inner.duration=2s", "fleets.agent.steps.h.patience=1s")
    assert '"duration":"2s"' in task.scenario.model_dump_json()
    assert '"patience":"1s"' in task.scenario.model_dump_json()


def test_what_is_charged_as_it_is_produced_needs_a_known_duration() -> None:
    loaded(PRODUCED.replace("{think: 1s}", "{task: w, duration: 1, cost: 50}"))
    check(PRODUCED.replace("{think: 1s}", "^{hold: w, steps: [{think: 1s}]}"), f"fleets.agent.steps.w: {NOT_KNOWN}")
    shared = PRODUCED.replace(
        "[{id: a", "[{id: p, type: concurrency, limit: 1, scope: global, queue: processor_sharing}, {id: a"
    )
    check(shared.replace("{think: 1s}", "^{task: w, duration: 1}"), f"fleets.agent.steps.w: {NOT_KNOWN}")


def test_agents_of_one_fleet_may_have_different_rate_limits() -> None:
    limits = "{id: a, type: rate_limit, rate: 9/s, scope: 'task:agent_0_*'}, {id: b, type: rate_limit, rate: 5/s, counts: t, scope: 'task:agent_[1-9]_*'}"
    text = around("constraint", limits).replace("{think: 1s}", "{task: w, duration: 1, cost: ^6}")
    check(text, "fleets.agent.steps.w.cost: 6, more than b can ever hold: its burst is 5; allowed: at most 5")
    assert loaded(text.replace("^6", "5")).warnings == ()


def test_names_are_overridesonce() -> None:
    check(
        """\
until: 1h
constraints:
- {id: a, type: pause}
- {id: b, type: pause}
- {id: ^a, type: concurrency, limit: ^0}
- {id: ^a, type: pause}
fleets:
- name: f
  count: 1
  steps:
  - {task: work, duration: 1s}
  - repeat: 3
    steps:
    - {think: 1s, name: ^work}
    - {task: think, duration: 1s}
    - repeat: 2
      steps: [{task: ^work, duration: 1s}, {think: 1s}]
  - {task: ^think2, duration: 1s}
- {name: ^f, count: 1, steps: [{task: work, duration: 1s}]}
""",
        "constraints.2.id: a constraint is called 'a' already in line 3; allowed: a name of its own",
        "constraints.2.limit: 0 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ...",
        "constraints.3.id: a constraint is called 'a' already in line 3; allowed: a name of its own",
        "fleets.f.steps.1.steps.work.name: a step of this fleet is called 'work' already in line 11; allowed: a name of its own",
        "fleets.f.steps.1.steps.2.steps.work.task: a step of this fleet is called 'work' already in line 11; allowed: a name of its own",
        "fleets.f.steps.think2.task: a think step without a name is called 'think2' already; allowed: a name of its own",
        "fleets.1.name: a fleet is called 'f' already in line 8; allowed: a name of its own",
    )


def test_a_run_without_an_end_needs_until() -> None:
    text = "fleets:\n- {name: a, FLEET, steps: [STEP]}\n"
    said = "1:1: until: the key 'until' is missing, and {}; allowed: the time at which the run ends, such as until: 1h"
    once, forever = "{think: 1s}", "{repeat: 2, steps: [{repeat: forever, steps: [{think: 1s}]}]}"
    for fleet in ("arrivals: {every: 1s}", "arrivals: {poisson: 1/s}"):
        assert faults(text.replace("FLEET", fleet).replace("STEP", once)) == [
            said.format("the arrivals of fleets.a never end")
        ]
    assert faults(text.replace("FLEET", "count: 2").replace("STEP", forever)) == [
        said.format("fleets.a goes on for ever")
    ]
    for fleet in ("count: 2", "arrivals: {at: [1s]}"):
        assert loaded(text.replace("FLEET", fleet).replace("STEP", once)).scenario.until is None


def test_there_are_not_more_steps_than_a_log_can_number() -> None:
    fleets = [{"name": f"f{n}", "count": 1, "steps": [{"think": 1}] * 1000} for n in range(STEPS_MAX // 1000)]
    data = {"name": "a", "fleets": fleets}
    assert embedded(data).scenario.name == "a"
    fleets.append({"name": "g", "count": 1, "steps": [{"think": 1}]})
    with pytest.raises(ScenarioError) as caught:
        embedded(data)
    assert (
        str(caught.value) == "scenario in the log: fleets: 32,001 steps; allowed: at most 32,000 in all fleets together"
    )


# Data files

TRACED = """\
until: 1h
fleets:
- name: chat
  arrivals: {trace: {file: t.csv, time: time}}
  steps:
  - {task: a, duration: {linear: {base: 1s, tokens: 1ms}}}
  - {think: {empirical: {file: t.csv, column: tokens, scale: 1ms}}}
"""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, ["4:28: fleets.chat.arrivals.trace.file: 't.csv': no such file; allowed: a CSV file, by its path from the folder of the scenario"]),
        ("", ["4:28: fleets.chat.arrivals.trace.file: 't.csv': the file is empty; allowed: a header that names the columns, then a line for each row"]),
        ("time,tokens\n", ["4:28: fleets.chat.arrivals.trace.file: 't.csv': the file has a header and no rows; allowed: at least one row"]),
        ("time,tokens\n1,2\n3\n", ["t.csv:3: the row has 1 value for 2 columns; allowed: a value for each column"]),
        ("time,tokens\n3,2\n1,2\n", ["t.csv:3: time: '1' is before '3' in the row above; allowed: times in order"]),
        ("time,tokens\n1,2\n3,x\n", ["t.csv:3: tokens: 'x' is not a number; allowed: a number in every row"]),
        ("time,tokens\n1,2\n3,-2\n", ["t.csv:3: tokens: -2 is negative; allowed: 0 or a positive number"]),
        ("time,tokens\n3,x\n1,\n", [
            "t.csv:3: time: '1' is before '3' in the row above; allowed: times in order",
            "t.csv:2: tokens: 'x' is not a number; allowed: a number in every row",
        ]),
        ("time,tokens\n1,2\n3,1e300\n4,5\n", ["t.csv:3: tokens: 1e+300 is too large where a 1 stands for 1ms; allowed: at most 146 years"]),
        ("time,tokens\n1,2\n3,5e12\n", ["t.csv:3: tokens: 5e+12 is too large where a 1 stands for 1ms; allowed: at most 146 years"]),
        ("time,tokens\n1700000000000,2\n", ["t.csv:2: time: '1700000000000' is too long a time; allowed: at most 146 years; a 1 stands for 1s, or for what unit says"]),
        ("time;tokens\n1;2\n", ["t.csv:1: time: the header is one column, 'time;tokens'; allowed: commas between the columns"]),
        ("tme,token\n1,2\n", [
            "4:41: fleets.chat.arrivals.trace.time: no column 'time' (did you mean 'tme'?); allowed: tme, token",
            "6:45: fleets.chat.steps.a.duration.linear.tokens: no column 'tokens' (did you mean 'token'?); allowed: tme, token",
            "7:47: fleets.chat.steps.1.think.empirical.column: no column 'tokens' (did you mean 'token'?); allowed: tme, token",
        ]),
    ],
)  # fmt: skip
def test_a_data_file(content: str | None, expected: list[str]) -> None:
    assert faults(TRACED, files={} if content is None else {"t.csv": content}) == expected


def test_a_value_that_is_bad_for_two_uses_is_told_once() -> None:
    text = around("fleet", "arrivals: {trace: {file: t.csv, time: t}}")
    text = text.replace("{think: 1s}", "{think: {linear: {t: 1s}}}")
    assert faults(text, files={"t.csv": "t\n1\nx\n"}) == [
        "t.csv:3: t: 'x' is not a number; allowed: in every row a timestamp such as 2023-11-16 18:17:03.979, or a number"
    ]


def test_a_cost_from_a_trace_may_be_too_large() -> None:
    text = around("constraint", "{id: r, type: rate_limit, rate: 1/s, scope: global}")
    text = text.replace("count: 5", "arrivals: {trace: {file: t.csv, time: t}}")
    text = text.replace("{think: 1s}", "{task: w, duration: 1s, cost: {linear: {x: 2}}}")
    assert faults(text, files={"t.csv": "t,x\n1,4e18\n"}) == [
        "t.csv:2: x: 4e+18 is too large where a 1 stands for 2; allowed: at most 4,611,686,018,427,387,904 in all"
    ]


def test_a_unit_of_no_time() -> None:
    text = around("fleet", "arrivals: {trace: {file: t.csv, time: t, unit: 0s}}")
    fault = "5:50: fleets.agent.arrivals.trace.unit: a 1 that stands for no time; allowed: a time above 0"
    assert faults(text, files={"t.csv": "t\n1\n"}) == [fault]


EARLY = "times since the start of the run in what unit says, or timestamps, which count from the first"


@pytest.mark.parametrize(
    ("until", "rows", "problem"),
    [
        ("100s", ["1700000000", "1700000001"], "the first row comes at 1,700,000,000 s; until is 100s"),
        (None, ["1700000000", "1700000001"], "the first row comes at 1,700,000,000 s"),
        ("100s", ["100.5"], "the first row comes at 100.5 s; until is 100s"),
        ("100s", [str(number) for number in range(0, 20_200, 100)], "only 2 of 202 rows come before until"),
        ("100s", [str(number) for number in range(0, 20_000, 100)], None),
        ("100s", ["1970-01-01"] * 2 + ["2020-01-01"] * 200, None),
        (None, ["5", "6"], None),
        ("100s", ["100"], None),
    ],
)
def test_a_trace_that_comes_after_the_run(until: str | None, rows: list[str], problem: str | None) -> None:
    text = around("top", f"until: {until}" if until else "seed: 1")
    text = text.replace("count: 5", "arrivals: {trace: {file: t.csv, time: t}}")
    told = warnings(text, files={"t.csv": "\n".join(["t", *rows, ""])})
    assert told == (
        [] if problem is None else [f"5:41: fleets.agent.arrivals.trace.time: warning: {problem}; allowed: {EARLY}"]
    )


def test_a_data_file_that_may_have_been_cut() -> None:
    said = "'t.csv': its last line has no end and a shorter last value than all others: was it cut?; allowed: a line end after the last row"
    assert warnings(TRACED, files={"t.csv": "time,tokens\n1,20\n2,3"}) == [
        f"4:28: fleets.chat.arrivals.trace.file: warning: {said}"
    ]
    text = around("step", "{think: {empirical: {file: t.csv, column: tokens, scale: 1ms}}}")
    assert warnings(text, files={"t.csv": "time,tokens\n1,20\n2,3"}) == [
        f"7:32: fleets.agent.steps.0.think.empirical.file: warning: {said}"
    ]


def test_a_data_file_that_is_a_directory_or_lacks_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "4:28: fleets.chat.arrivals.trace.file: 't.csv': "
    Path("t.csv").mkdir()
    assert faults(TRACED) == [place + "it is a directory; allowed: a CSV file"]

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    Path("t.csv").rmdir()
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert faults(TRACED, files={"t.csv": TRACE}) == [
        place + "no permission to read it; allowed: a file that you may read"
    ]


def test_a_data_file_inside_a_mixture_and_as_a_stagger() -> None:
    text = around("fleet", "count: 2\n  stagger: {linear: {x: 1s}}")
    text = text.replace(
        "{think: 1s}", "{think: {mixture: [{weight: 1, value: {empirical: {file: x.csv, column: c, scale: 1}}}]}}"
    )
    assert faults(text) == [
        "6:13: fleets.agent.stagger.linear: linear reads the row by which an agent arrived, and these agents do not arrive by a trace; allowed: another distribution",
        "8:62: fleets.agent.steps.0.think.mixture.0.value.empirical.file: 'x.csv': no such file; allowed: a CSV file, by its path from the folder of the scenario",
    ]


def test_a_log_holds_the_data_files() -> None:
    data = parse(TRACED.encode(), "f").data | {"name": "a"}
    assert embedded(data).inputs == {"t.csv": TRACE.encode()}
    with pytest.raises(ScenarioError) as caught:
        load_embedded(data, {"other.csv": b""})
    assert (
        str(caught.value)
        == "scenario in the log: fleets.chat.arrivals.trace.file: 't.csv': not in the log; allowed: other.csv"
    )


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ([], f"an empty list is not allowed here; allowed: a mapping with {TOP}"),
        ({"fleets": [{"name": "a", "count": 1, "steps": [{"think": 1}]}]}, f"name: the key 'name' is missing; allowed: a name: {NAME}"),
        ({"name": "a", "until": 10**400, "fleets": [{"name": "a", "count": 1, "steps": [{"think": 1}]}]}, f"until: a number that is too large; allowed: {TIME}"),
    ],
)  # fmt: skip
def test_a_log_may_hold_a_scenario_that_is_not_valid(data: Any, fault: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        embedded(data)
    assert str(caught.value) == f"scenario in the log: {fault}"


# All at once


def test_ten_faults_are_ten_lines_in_the_order_of_the_file() -> None:
    check(
        """\
^seed: 1
constraints:
  - id: funnel
    type: concurrency
    limit: ^0
    scope: task:*_work
  - {id: ^funnel, type: pause}
  - {id: api, type: rate_limit, rate: ^10/parsec, scope: global}
  - {id: slots, type: concurrency, limit: 3}
fleets:
  - name: agent
    count: 100
    steps:
      - repeat: forever
        steps:
          - {think: {uniform: [^-1s, 2s]}}
          - {task: work, duration: 1s, needs: {slots: ^4, funnel: 100, api: 50, ^slot: 1}, cost: {requests: 500}}
      - {task: ^work, ^duraton: 1s}
      - {^sleep: 1s}
""",
        "until: the key 'until' is missing, and fleets.agent goes on for ever; allowed: the time at which the run ends, such as until: 1h",
        "constraints.funnel.limit: 0 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ...",
        "constraints.1.id: a constraint is called 'funnel' already in line 3; allowed: a name of its own",
        f"constraints.api.rate: unknown unit 'parsec' in '10/parsec'; allowed: {UNITS}",
        "fleets.agent.steps.0.steps.0.think.uniform.0: '-1s' is negative; allowed: 0 or a positive time",
        "fleets.agent.steps.work.needs.slots: 4 of slots, which never has more than 3; allowed: 1 to 3",
        "fleets.agent.steps.work.needs.slot: no constraint is called 'slot' (did you mean 'slots'?); allowed: funnel, api, slots",
        "fleets.agent.steps.1.task: a step of this fleet is called 'work' already in line 17; allowed: a name of its own",
        f"fleets.agent.steps.1.duraton: unknown key 'duraton' (did you mean 'duration'?); allowed: {TASK}",
        f"fleets.agent.steps.2.sleep: unknown key 'sleep'; allowed: {ONE_STEP}",
    )


def spoilt(path: Keys, spoil: Callable[[Any, Any], None]) -> list[str]:
    """Spoil one part of the full scenario; return the faults."""
    data = deepcopy(FULL_DATA)
    spoil(Source("", data).at(path[:-1]), path[-1])
    return told_by(lambda: embedded(data))


@pytest.mark.parametrize("value", [[[]], {"zz": {}}, "@", -1.5, float("nan"), 10**19], ids=str)
def test_one_wrong_value_is_one_fault(value: Any) -> None:
    def put(around: Any, key: Any) -> None:
        around[key] = value

    for path in ALL_PATHS:
        before = Source("", FULL_DATA).at(path)
        if isinstance(value, (list, dict)) and (isinstance(before, type(value)) or path[-1] == "empirical"):
            continue  # it may be a list or a mapping there, so what is inside is wrong, and more is missing
        told = spoilt(path, put)
        assert len(told) <= 1, (path, told)
        if isinstance(value, (list, dict)):
            assert len(told) == 1, path


def test_one_unknown_key_is_one_fault() -> None:
    def add(around: Any, key: Any) -> None:
        around[key]["zzz"] = "red"

    for path in ALL_PATHS:
        at = Source("", FULL_DATA).at(path)
        if isinstance(at, dict) and path[-1] not in ("needs", "cost", "linear"):
            (told,) = spoilt(path, add)
            assert ".zzz: unknown key 'zzz'; allowed: " in told


def test_one_misspelt_key_is_one_fault() -> None:
    def misspell(around: Any, key: Any) -> None:
        items = [(f"{name}{name[-1]}" if name == key else name, value) for name, value in around.items()]
        around.clear()
        around.update(items)

    for path in ALL_PATHS:
        if isinstance(path[-1], str) and path[-2:-1] not in (("needs",), ("cost",), ("linear",)):
            (told,) = spoilt(path, misspell)
            assert f"unknown key '{path[-1]}{path[-1][-1]}' (did you mean '{path[-1]}'?); allowed: " in told


# JSON Schema


def test_the_schema_describes_what_is_accepted() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["fleets"]
    assert {"UniformDuration", "UniformAmount", "MixtureDuration", "Fleet", "RateLimit"} <= set(schema["$defs"])
    text = json.dumps(schema)
    assert "Annotated" not in text
    assert "oneOf" not in text
    references = set(re.findall(r'"#/\$defs/([^"]*)"', text))
    assert references == set(schema["$defs"])
    for name, fields in (
        ("Concurrency", set(LIMIT.split(", "))),
        ("Poisson", {"poisson"}),
    ):
        assert set(schema["$defs"][name]["properties"]) == fields
        assert schema["$defs"][name]["additionalProperties"] is False


def test_the_schema_accepts_what_we_accept() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(json_schema())
    validator = Draft202012Validator(json_schema())
    assert list(validator.iter_errors(FULL_DATA)) == []
    assert list(validator.iter_errors(loaded(FULL, files={"t.csv": TRACE}).scenario.as_json())) == []
    assert (
        list(
            validator.iter_errors(
                parse(around("step", "{task: w, duration: 1, cost: {exponential: 5}}").encode(), "f").data
            )
        )
        == []
    )
    for path in ALL_PATHS:
        data = deepcopy(FULL_DATA)
        Source("", data).at(path[:-1])[path[-1]] = [[]]
        assert list(validator.iter_errors(data)), path


# Speed


def test_no_library_for_tables_is_loaded_where_there_is_no_table() -> None:
    Path("f.yaml").write_text(around("top", "until: 1h"))
    code = "import sys; from model.validation import load; load('f.yaml'); print('pyarrow' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ROOT}, check=True
    )
    assert run.stdout == "False\n"


def test_a_large_scenario_is_validated_in_a_moment() -> None:
    steps = "".join(f"  - {{task: w{n}, duration: 1s, needs: {{a: 1}}}}\n" for n in range(1000))
    text = around("constraint", "{id: a, type: concurrency, limit: 3}").replace("  - {think: 1s}\n", steps)
    started = time.process_time()
    assert len(loaded(text).scenario.fleets[0].steps) == 1000
    assert time.process_time() - started < 3


def test_zeros_in_front_of_a_number_are_no_digits(in_a_folder_of_its_own):
    """However many: Python itself reads no more than 4,300."""
    zeros = "0" * 5000
    scenario = loaded(
        f"seed: -{zeros}\nuntil: {zeros}7\nfleets: [{{name: a, count: 1, steps: [{{think: 1s}}]}}]\n"
    ).scenario
    assert (scenario.seed, scenario.until) == (0, 7_000_000_000)
