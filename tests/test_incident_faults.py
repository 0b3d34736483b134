# ruff: noqa: E501 - faults are given as they are printed, each on a line
"""What is wrong with an incident or a crash is told with its place, and what is hardly meant is warned of."""

import pytest

from tests.written import around, check, faults, loaded, warnings

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

SCOPE = "global, task:PATTERN, fleet:PATTERN, tenant:PATTERN or constraint:PATTERN"
LIMIT = "{id: slots, type: concurrency, limit: 2, scope: global}"


def text(row: str, until: str = "until: 1h") -> str:
    """A scenario with one incident; `^` marks where it is wrong."""
    whole = around("constraint", LIMIT).replace("until: 1h", f"{until}\nincidents: [{row}]")
    return whole.replace("{think: 1s}", "{task: t, duration: 1s}")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("^{at: 1s, slow: 2}", "incidents.0.id: the key 'id' is missing; allowed: a name: a letter, then letters, digits, _ and -, 64 at most"),
        ("^{id: b, slow: 2}", "incidents.b: neither at nor between; allowed: at for known times, between for drawn ones"),
        ("^{id: b, at: 1s}", "incidents.b: it does nothing; allowed: slow, refuse, block or fail, in up to six decimals"),
        ("{id: b, at: 1s, slow: ^0.5}", "incidents.b.slow: 0.5 is below 1; allowed: 1 or more"),
        ("{id: b, at: 1s, refuse: ^1.5}", "incidents.b.refuse: 1.5 is above 1; allowed: at most 1"),
        ("{id: b, at: ^soon, block: true}", "incidents.b.at: 'soon' is not a time; allowed: a time such as 300ms, 1.5s, 2m, 1h or 7d; a bare number is seconds"),
        ("{id: b, at: [1s, ^-1s], block: true}", "incidents.b.at.1: '-1s' is negative; allowed: 0 or a positive time"),
        ("^{id: b, at: [2s, 1s], block: true}", "incidents.b: the times of at are not in order; allowed: each after the one before"),
        ("{id: b, at: 1s, block: true, scope: ^limit:x}", f"incidents.b.scope: 'limit:x' is not a scope; allowed: {SCOPE}"),
        ("{id: b, at: 1s, block: true, scope: ^'constraint:slot'}", "incidents.b.scope: no constraint is called 'slot' (did you mean 'slots'?); allowed: slots"),
        ("{id: ^slots, at: 1s, block: true}", "incidents.slots.id: a constraint is called 'slots' already; allowed: a name of its own"),
        ("{id: b, at: 1s, block: true}, {id: ^b, at: 2s, block: true}", "incidents.1.id: an incident is called 'b' already in line 2; allowed: a name of its own"),
        ("{id: b, at: 1s, slow: 2, lasts: {^linear: {x: 1}}}", "incidents.b.lasts.linear: linear reads the row by which an agent arrived, and an incident is no agent; allowed: another distribution"),
        ("{id: b, at: 1s, slow: 2, lasts: {empirical: {file: ^none.csv, column: x, scale: 1s}}}", "incidents.b.lasts.empirical.file: 'none.csv': no such file; allowed: a CSV file, by its path from the folder of the scenario"),
        ("{id: b, at: 1s, ^slowly: 2}", "incidents.b.slowly: unknown key 'slowly' (did you mean 'slow'?); allowed: id, scope, at, between, lasts, slow, applies_to, refuse, block, fail, retry_after"),
    ],
)  # fmt: skip
def test_a_fault_is_told_where_it_is(row: str, fault: str) -> None:
    check(text(row), fault)


def test_what_comes_again_and_again_needs_an_end() -> None:
    again = "{id: b, between: {exponential: 1m}, lasts: 1s, block: true}"
    missing = "the key 'until' is missing, and {}; allowed: the time at which the run ends, such as until: 1h"
    (fault,) = faults(text(again, until="name: x"))
    assert fault.endswith(missing.format("b comes again and again"))
    crashing = around("fleet", "count: 5\n  crash: {uptime: 1h}").replace("until: 1h\n", "")
    (fault,) = faults(crashing)
    assert fault.endswith(missing.format("fleets.agent crashes again and again"))


def test_work_on_a_shared_processor_is_slowed_by_its_limit() -> None:
    shared = text("{id: b, at: 1s, slow: 2}").replace("limit: 2", "limit: 2, queue: processor_sharing")
    (fault,) = faults(shared)
    assert "it shares slots, and b slows it; allowed: changes of slots, or applies_to: new in b" in fault
    loaded(shared.replace("slow: 2", "slow: 2, applies_to: new"))
    loaded(shared.replace("slow: 2", "slow: 2, scope: 'fleet:other'"))


def test_agents_that_are_neither_up_nor_down_for_any_time_are_refused() -> None:
    (fault,) = faults(around("fleet", "count: 5\n  crash: {uptime: 0s}"))
    assert fault.endswith(
        "fleets.agent.crash: its agents are neither up nor down for any time; allowed: an uptime or a repair above 0"
    )
    loaded(around("fleet", "count: 5\n  crash: {uptime: 0s, repair: 1s}"))


def test_the_data_files_of_lives_and_crashes_are_looked_for() -> None:
    for key in ("life: {}", "crash: {{uptime: {}}}", "crash: {{uptime: 1s, repair: {}}}"):
        given = key.format("{empirical: {file: none.csv, column: x, scale: 1s}}")
        (fault,) = faults(around("fleet", f"count: 5\n  {given}"))
        assert "'none.csv': no such file" in fault


def test_an_incident_that_comes_too_often_is_refused(tmp_path) -> None:
    from model.plan import PlanError
    from sim.run import prepare

    for often in ("between: 1ms, lasts: 1ms", "between: 0, lasts: 0"):
        scenario = loaded(text(f"{{id: b, {often}, block: true}}")).scenario
        with pytest.raises(
            PlanError, match=r"incidents\.b: it comes more than 50,000 times before the run ends; allowed"
        ):
            prepare(scenario, {}, {})


def test_what_is_hardly_meant_is_warned_of() -> None:
    (warning,) = warnings(text("{id: b, at: 1s, block: true, scope: 'fleet:other'}"))
    assert warning == "2:49: incidents.b.scope: warning: it hits nothing; allowed: a scope with tasks"
    (warning,) = warnings(text("{id: b, at: 1h, block: true}"))
    assert warning == "2:25: incidents.b.at: warning: not before the run ends; allowed: a time before until"
    (warning,) = warnings(text("{id: b, at: 1s, block: true}", until="name: x"))
    assert (
        warning
        == "2:13: incidents.b: warning: it is never over, and without until whoever it blocks is left waiting; allowed: lasts, or until"
    )
    assert warnings(text("{id: b, at: 1s, slow: 2, scope: 'constraint:*'}")) == []


def test_a_value_of_an_incident_is_set_by_its_id() -> None:
    assert loaded(text("{id: b, at: 1s, slow: 2}"), "incidents.b.slow=3").scenario.incidents[0].slow == 3


def test_agents_that_are_spawned_have_no_numbers_to_look_at() -> None:
    rows = "{id: b, at: 1s, slow: 2, scope: 'task:child_3_*'}"
    fleets = "- {name: p, count: 1, steps: [{spawn: child}]}\n- {name: child, steps: [{task: t, duration: 1s}]}\n"
    (fault,) = faults(f"until: 1h\nincidents: [{rows}]\nfleets:\n{fleets}")
    assert "the scope of b looks at the numbers of its agents, and these are spawned" in fault
