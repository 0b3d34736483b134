# ruff: noqa: E501 - scenarios are given as people write them
"""Scenarios as text, and the faults and warnings of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model.faults import ScenarioError
from model.source import parse
from model.validation import Loaded, load, load_embedded

Keys = tuple[str | int, ...]

TRACE = "time,tokens\n2023-11-16 18:17:03.9799600,5\n2023-11-16 18:17:04.9799600,7\n"

FULL = """\
name: full
description: a bit of everything
seed: 7
until: 1h
constraints:
  - {id: slots, type: concurrency, limit: 1k, scope: "task:*_work", from: 1s, expires: 2m, changes: [{at: 30s, limit: 5}]}
  - {id: rpm, type: rate_limit, rate: 0.5/s, burst: 20, scope: global, changes: [{at: 1m, rate: 40k/h}, {at: 2m, burst: 30}]}
  - {id: tpm, type: rate_limit, rate: 90k/m, scope: global, counts: tokens}
  - {id: stop, type: pause, scope: "fleet:chat", paused: false, changes: [{at: 10s, paused: true}, {at: 20s, paused: false}]}
fleets:
  - name: agent
    count: 10
    tenant: acme
    priority: -1
    starvation: 90s
    stagger: {exponential: 10ms}
    steps:
      - repeat: forever
        steps:
          - {think: {lognormal: {median: 1s, p95: 4s}}, name: ponder}
          - repeat: 3
            steps:
              - task: work
                duration: {mixture: [{weight: 9, value: 1.5s}, {weight: 1, value: {pareto: {shape: 1.5, minimum: 1s}}}]}
                needs: {slots: 2}
                cost: {requests: 1, tokens: {gamma: {shape: 2.5, mean: 300}}}
  - name: chat
    arrivals: {trace: {file: t.csv, time: time, unit: 1ms}}
    steps:
      - {task: answer, duration: {linear: {base: 200ms, tokens: 20.5ms}}, cost: {tokens: {linear: {tokens: 1.5}}}, priority: 4}
      - {think: {empirical: {file: t.csv, column: tokens, scale: 1ms}}}
  - {name: rate, arrivals: {poisson: 5/200ms}, steps: [{think: {triangular: [1, 2, 4]}}]}
  - {name: some, arrivals: {at: [0, 1s, 1s]}, steps: [{think: {weibull: {shape: 0.7, scale: 2s}}}, {think: {erlang: {k: 3, mean: 3s}}}]}
  - {name: last, arrivals: {every: 1.5s}, steps: [{think: {empirical: [0, 1s, 9.123456789s]}}]}
"""


def loaded(text: str, *overrides: str, files: dict[str, str] | None = None) -> Loaded:
    for name, content in (files or {}).items():
        Path(name).write_text(content)
    Path("f.yaml").write_text(text)
    return load(Path("f.yaml"), overrides)


def faults(text: str, *overrides: str, files: dict[str, str] | None = None) -> list[str]:
    """Return all faults of a scenario, without the `f.yaml:`."""
    with pytest.raises(ScenarioError) as caught:
        loaded(text, *overrides, files=files)
    return [str(fault).removeprefix("f.yaml:") for fault in caught.value.faults]


def check(text: str, *expected: str) -> None:
    """Assert that a scenario has these faults, in this order, where it is marked with `^`."""
    parts = text.split("^")
    before = ["".join(parts[: number + 1]) for number in range(len(parts) - 1)]
    places = [f"{part.count(chr(10)) + 1}:{len(part) - part.rfind(chr(10))}" for part in before]
    assert faults("".join(parts)) == [f"{place}: {fault}" for place, fault in zip(places, expected, strict=True)]


def warnings(text: str, files: dict[str, str] | None = None) -> list[str]:
    return [str(fault).removeprefix("f.yaml:") for fault in loaded(text, files=files).warnings]


def embedded(data: Any) -> Loaded:
    return load_embedded(data, {"t.csv": TRACE.encode()})


def around(part: str, value: str) -> str:
    """A small scenario with one part of it as given."""
    parts = {"top": "until: 1h", "constraint": "", "fleet": "count: 5", "step": "{think: 1s}"}
    parts[part] = value
    return (
        f"{parts['top']}\nconstraints: [{parts['constraint']}]\nfleets:\n- name: agent\n  {parts['fleet']}\n  steps:\n"
        f"  - {parts['step']}\n"
    )


def paths(data: Any, path: Keys = ()) -> Iterator[Keys]:
    """Yield the path of everything inside `data`."""
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield (*path, key)
        yield from paths(value, (*path, key))


def told_by(run: Callable[[], object]) -> list[str]:
    """Return the faults that come of it; anything else that is raised fails the test."""
    try:
        run()
    except ScenarioError as error:
        return [str(fault) for fault in error.faults]
    return []


FULL_DATA = parse(FULL.encode(), "f").data
ALL_PATHS = list(paths(FULL_DATA))
