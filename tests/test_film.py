"""A log laid out: every moment is that of the fold, every count over time too."""

import numpy as np
import pytest
from fleet_logs import S, concurrency, content, header, log, loop, row
from hypothesis import given
from hypothesis import strategies as st
from test_state import SEVERAL, rows_of_several

from model.events import Kind
from model.log import Log
from model.state import Moment, Phase, state_at
from model.units import MICRO
from render import film as module
from render.film import Film, Steps
from tests.runs import run, scenario


def listed(moment: Moment) -> list[object]:
    who = moment.agents
    columns = (who.phase, who.since_ns, who.constraint, who.step, moment.limit, moment.waiting, moment.used)
    return [moment.time_ns, *(column.tolist() for column in columns)]


def like_the_fold(written: Log, moments: list[int]) -> Film:
    film = Film(written)
    for moment in moments:
        folded = state_at(written, moment, film.agents)
        assert listed(film.at(moment)) == listed(folded)
        assert [film.counts[phase].at(moment) for phase in Phase] == folded.counts().tolist()
    return film


@given(rows_of_several(), st.integers(1, 20), st.lists(st.integers(0, 130), min_size=1, max_size=6))
def test_every_moment_is_that_of_the_fold(rows, stride, moments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_STRIDE", stride)
        like_the_fold(log(SEVERAL, rows, 7), moments)


def test_moments_of_a_run_in_any_order():
    head = header({"a": 12, "b": 30}, [concurrency("c", 2), concurrency("d", 5)])
    rows = loop(head, 6 * S, stagger=S // 10, visits=3)
    like_the_fold(log(head, rows, 100), [5 * S, 0, 3 * S + 1, S // 7, 6 * S, 10 * S])


def test_a_step_function_has_values_means_and_rises():
    steps = Steps(np.array([0, 2, 2, 5, 7]), np.array([0, 9, 1, 1, 0]))
    assert steps.time_ns.tolist() == [0, 2, 7]  # of two at one instant the last stands, and no change is no step
    assert [steps.at(moment) for moment in (0, 1, 2, 6, 7, 100)] == [0, 0, 1, 1, 0, 0]
    assert steps.means(np.array([0, 4, 8])).tolist() == [2 / 4, 3 / 4]
    assert steps.rises().tolist() == [2]
    assert Steps(np.array([0]), np.array([3])).rises().tolist() == [0]


def test_means_and_extremes_of_a_step_function():
    steps = Steps(np.array([0, 2, 5, 7]), np.array([3, 9, 1, 4]))
    least, greatest = steps.extremes(np.array([0, 2, 5, 6, 9, 20]))
    assert (least.tolist(), greatest.tolist()) == ([3, 9, 1, 1, 4], [3, 9, 1, 4, 4])
    assert steps.values(np.array([0, 1, 2, 6, 100])).tolist() == [3, 3, 9, 1, 4]
    # Whole numbers of 64 bits would not hold the product.
    large = Steps(np.array([0]), np.array([10**9]))
    assert large.means(np.array([0, 10**13, 2 * 10**13])).tolist() == [1e9, 1e9]
    assert large.areas(np.array([10**13])).tolist() == [1e22]


def test_the_next_event_and_the_next_constraint_that_binds():
    head = header({"a": 3}, [concurrency("c", 1), concurrency("d", 1)])
    rows = [
        row(2, Kind.AgentStarted, 0),
        row(4, Kind.TaskBlocked, 0, constraint=1),
        row(5, Kind.TaskBlocked, 1, constraint=1),  # somebody waited for it already
        row(6, Kind.TaskBlocked, 2, constraint=0),
        row(7, Kind.TaskResumed, 2, constraint=0),
        row(7, Kind.TaskBlocked, 2, constraint=0),  # one instant: it bound all the time
        row(9, Kind.TaskResumed, 2, constraint=0),
        row(12, Kind.TaskBlocked, 2, constraint=0),
    ]
    film = Film(log(head, rows))
    assert [film.next_event(moment) for moment in (0, 2, 3, 7, 12)] == [2, 4, 4, 9, 12]
    assert [film.previous_event(moment) for moment in (0, 2, 3, 7, 12, 20)] == [0, 0, 2, 6, 9, 12]
    assert [film.next_binding(moment) for moment in (0, 4, 6, 12)] == [(4, 1), (6, 0), (12, 0), None]
    assert film.of_agent(1).tolist() == [2]


def test_a_cut_log_and_one_without_rows_have_moments():
    assert listed(Film(log(SEVERAL, [])).at(7)) == listed(state_at(log(SEVERAL, []), 7))
    cut = Film(Log.from_bytes(content(SEVERAL, [row(3, Kind.AgentStarted, 0), row(9, Kind.RunFinished)], 1)[:-300]))
    assert (cut.cut, cut.end_ns, cut.at(5).phase.tolist()) == (True, 3, [Phase.THINKING, Phase.ABSENT, Phase.ABSENT])


def test_tokens_that_were_charged():
    limits = [
        {"id": "rpm", "type": "rate_limit", "rate": "10/s", "scope": "task:*"},
        {"id": "tpm", "type": "rate_limit", "rate": "100/s", "counts": "tokens", "scope": "task:*"},
        {"id": "slots", "type": "concurrency", "limit": 2, "scope": "task:*"},
    ]
    steps = [{"repeat": 3, "steps": [{"task": "work", "duration": "1s", "cost": {"tokens": {"uniform": [1, 9]}}}]}]
    written = run(scenario(until=None, constraints=limits, count=2, steps=steps))
    film, (whole,) = Film(written), list(written.batches())
    rpm, tpm, slots = film.taken
    assert slots is None
    assert [rpm.at(second * S) for second in (0, 1, 2, 9)] == [2, 4, 6, 6]
    drawn = whole.value[(whole.kind == Kind.ResourceAcquired) & (whole.constraint == 1)]
    assert len(drawn) == 6
    assert tpm.at(film.end_ns) == sum(drawn.tolist())


def test_what_was_charged_in_the_last_period_of_a_rate():
    limits = [
        {"id": "rpm", "type": "rate_limit", "rate": "4/2s", "burst": 4, "changes": [{"at": "6s", "rate": "8/4s"}]}
    ]
    steps = [{"repeat": "forever", "steps": [{"task": "work", "duration": "1s"}]}]
    written = run(scenario(until="12s", constraints=limits, count=2, steps=steps))
    film = Film(written)
    # Two a second are asked for, and two a second there are: at 0, 1, 2 ... s.
    assert [film.at(moment * S // 2).charged.tolist() for moment in (0, 1, 2, 3, 4, 12, 20)] == [
        [2],
        [2],
        [4],
        [4],
        [4],  # those of 0 s are two seconds ago
        [8],
        [8],
    ]
    for moment in range(0, 12 * S, S // 3):
        assert state_at(written, moment).charged.tolist() == film.at(moment).charged.tolist()


def test_nothing_is_charged_while_a_rate_is_not_in_force():
    limits = [{"id": "rpm", "type": "rate_limit", "rate": "60/m", "from": "10s"}]
    steps = [{"repeat": "forever", "steps": [{"task": "work", "duration": "100ms"}]}]
    written = run(scenario(until="12s", constraints=limits, count=10, steps=steps))
    film = Film(written)
    assert film.at(10 * S - 1).charged.tolist() == [0]
    for moment in (10 * S, 11 * S, 12 * S):
        (charged,) = film.at(moment).charged.tolist()
        assert charged == state_at(written, moment).charged.tolist()[0]
        assert 0 < charged <= 62


def test_what_was_charged_of_a_quota_since_it_last_came_back():
    limits = [
        {"id": "day", "type": "quota", "counts": "requests", "total": 6, "period": "4s"},
        {"id": "all", "type": "quota", "counts": "requests", "total": 100},
        {"id": "own", "type": "quota", "counts": "requests", "total": 50, "period": "1h", "begins": "first_use"},
    ]
    steps = [{"repeat": "forever", "steps": [{"task": "work", "duration": "1s"}]}]
    written = run(scenario(until="9s", constraints=limits, count=2, steps=steps))
    film = Film(written)
    # Two start at each second, but at 3 s and 7 s, when the six of each four seconds are used up.
    for second, charged in enumerate([2, 4, 6, 6, 2, 4, 6, 6, 2]):
        whole = [2, 4, 6, 6, 8, 10, 12, 12, 14][second]
        micro = [charged * MICRO, whole * MICRO, -1]
        assert film.at(second * S).charged.tolist() == state_at(written, second * S).charged.tolist() == micro
