"""The fold: against an obvious one, at moments, in pieces."""

import time
from itertools import pairwise

import numpy as np
import pytest
from fleet_logs import S, batch, concurrency, content, header, log, loop, pause, rate_limit, row
from hypothesis import given
from hypothesis import strategies as st

from model.events import Batch, Kind
from model.log import DemandEntry, Header, Log, StepEntry
from model.state import Cursor, FleetState, Moment, Phase, extent_of, limits_of, state_at
from tests.runs import run, scenario

HEAD = header({"a": 3, "b": 2}, [concurrency("c", 2), rate_limit("r", 5, S), pause("p", False)])
PHASES = {
    Kind.AgentStarted: Phase.THINKING,
    Kind.AgentFinished: Phase.FINISHED,
    Kind.AgentCrashed: Phase.DOWN,
    Kind.AgentRestarted: Phase.THINKING,
    Kind.TaskBlocked: Phase.BLOCKED,
    Kind.TaskRebound: Phase.BLOCKED,
    Kind.TaskResumed: Phase.THINKING,
    Kind.TaskStarted: Phase.RUNNING,
    Kind.TaskFinished: Phase.THINKING,
    Kind.TaskRetrying: Phase.BACKING_OFF,
    Kind.TaskRejected: Phase.THINKING,
    Kind.TaskSkipped: Phase.THINKING,
    Kind.TaskAbandoned: Phase.THINKING,
}

any_row = st.builds(
    row,
    time=st.integers(0, 20),
    kind=st.sampled_from(Kind),
    agent=st.integers(0, 4),
    step=st.integers(0, 1),
    constraint=st.integers(0, 2),
    value=st.integers(-1, 9),
)
any_rows = st.lists(any_row, max_size=60).map(lambda rows: sorted(rows, key=lambda each: each[0]))


def obvious(rows, head: Header) -> list[object]:
    """The state by one row after another, in plain Python."""
    phase, bound, step = [0] * head.agents, [-1] * head.agents, [-1] * head.agents
    limit = limits_of(head).tolist()
    for _, kind, agent, of_step, _, _, constraint, value in rows:
        if kind == Kind.ConstraintChanged:
            limit[constraint] = value
        elif kind in PHASES:
            phase[agent] = int(PHASES[kind])
            step[agent] = of_step
            bound[agent] = constraint if PHASES[kind] == Phase.BLOCKED else -1
    return [phase, bound, step, limit]


def listed(state: Moment) -> list[object]:
    return [column.tolist() for column in (state.phase, state.agents.constraint, state.agents.step, state.limit)]


def fold(batches: list[Batch], head: Header = HEAD) -> Moment:
    state = FleetState(head)
    for each in batches:
        state.apply(each)
    return state.moment()


@given(any_rows)
def test_the_fold_of_any_rows_is_the_obvious_one(rows):
    state = fold([batch(rows)])
    assert listed(state) == obvious(rows, HEAD)
    assert state.counts().tolist() == [state.phase.tolist().count(phase) for phase in Phase]
    assert state.counts(1, 3).tolist() == [state.phase.tolist()[1:3].count(phase) for phase in Phase]
    assert state.waiting.tolist() == [state.agents.constraint.tolist().count(number) for number in range(3)]


@given(any_rows, st.lists(st.integers(0, 60), max_size=5))
def test_any_split_into_batches_gives_the_same_state(rows, cuts):
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [batch(rows[a:b]) for a, b in pairwise(edges)]
    assert listed(fold(parts)) == listed(fold([batch(rows)]))


@pytest.mark.parametrize("batch_rows", [1, 7, 10_000])
def test_a_loop_at_every_moment(batch_rows):
    head = header({"a": 12, "b": 30}, [concurrency("c", 2), concurrency("d", 5)])
    rows = loop(head, 6 * S, stagger=S // 10, visits=3)
    written = log(head, rows, batch_rows)
    cursor, seen = Cursor(written), set()
    for moment in range(0, 6 * S + 1, S // 7):
        state = cursor.advance(moment)
        assert listed(state) == obvious([each for each in rows if each[0] <= moment], head)
        assert state.time_ns == moment
        busy = np.flatnonzero(state.phase == Phase.RUNNING)
        assert state.used.tolist() == [np.count_nonzero(busy < 12), np.count_nonzero(busy >= 12)]
        assert (state.used <= state.limit).all()
        seen |= set(state.phase.tolist())
    assert seen == set(Phase) - {Phase.DOWN, Phase.BACKING_OFF}, (
        "the loop did not bring about every phase, so this test shows less than it says"
    )


def test_who_was_refused_backs_off_until_the_next_attempt():
    steps = [{"task": "ask", "duration": "1s", "retry": {"max_attempts": 3, "delay": "2s", "retry_after": False}}]
    limits = [{"id": "rpm", "type": "rate_limit", "rate": "1/m", "on_limit": "reject"}]
    written = run(scenario(constraints=limits, count=2, steps=steps))
    phases = [state_at(written, second * S).phase.tolist() for second in (0, 1, 2, 3, 4, 5)]
    # One is admitted. The other is refused at 0 s, 2 s and 4 s, and gives up.
    running, off = int(Phase.RUNNING), int(Phase.BACKING_OFF)
    over = int(Phase.FINISHED)
    assert phases == [[running, off], [over, off], [over, off], [over, off], [over, over], [over, over]]


def test_events_at_the_moment_are_included():
    rows = [row(5, Kind.AgentStarted, 0), row(5, Kind.TaskBlocked, 0, constraint=1), row(6, Kind.TaskStarted, 0)]
    written = log(HEAD, rows, batch_rows=1)
    assert [state_at(written, moment).phase[0] for moment in (4, 5, 6, 10**12)] == [
        Phase.ABSENT,
        Phase.BLOCKED,
        Phase.RUNNING,
        Phase.RUNNING,
    ]
    assert state_at(written, 5).agents.constraint.tolist() == [1, -1, -1, -1, -1]


def test_a_cursor_does_not_go_back():
    cursor = Cursor(log(HEAD, [row(5, Kind.AgentStarted, 0)]))
    cursor.advance(9)
    cursor.advance(9)
    with pytest.raises(ValueError, match="8 ns is in the past; allowed: 9 ns or later"):
        cursor.advance(8)


def test_limits_in_force_at_the_beginning_and_later():
    head = header(
        {"a": 1},
        [concurrency("c", 7, (10, 9)), rate_limit("r", 600, 60 * S), pause("p", True), pause("q", False)],
    )
    written = log(head, [row(10, Kind.ConstraintChanged, constraint=0, value=9)])
    assert state_at(written, 9).limit.tolist() == [7, 10_000_000, 0, -1]
    assert state_at(written, 10).limit.tolist() == [9, 10_000_000, 0, -1]


def test_what_is_used_depends_on_the_step_and_the_group():
    head = header(
        {"a": 2, "b": 3},
        [concurrency("c", 9), concurrency("d", 9), rate_limit("r", 5, S)],
        [
            StepEntry(0, "rest", "think", (), ()),
            StepEntry(0, "work", "task", ((DemandEntry(0, 2), DemandEntry(2, 1)),), ()),
            StepEntry(1, "work", "task", ((DemandEntry(1, 1),), (DemandEntry(0, 3),)), ((0, 1, 0), (2, 2, 1))),
        ],
    )
    rows = [
        row(0, Kind.TaskStarted, 0, step=1),
        *(row(0, Kind.TaskStarted, agent, step=2) for agent in (2, 3, 4)),
        row(1, Kind.TaskFinished, 3, step=2),
        row(2, Kind.TaskBlocked, 0, step=1, constraint=0),
    ]
    written = log(head, rows)
    assert state_at(written, 0).used.tolist() == [2 + 3, 1 + 1, -1]
    assert state_at(written, 1).used.tolist() == [2 + 3, 1, -1]
    assert state_at(written, 2).used.tolist() == [3, 1, -1]


def test_a_drawn_amount_leaves_open_how_much_is_used():
    head = header({"a": 1}, [concurrency("c", 9)], [StepEntry(0, "work", "task", ((DemandEntry(0, None),),), ())])
    assert fold([batch([row(0, Kind.TaskStarted, 0)])], head).used.tolist() == [-1]


def test_the_end_and_whether_there_is_one():
    rows = [row(3, Kind.AgentStarted, 0), row(7, Kind.RunFinished)]
    assert extent_of(log(HEAD, rows)) == (7, HEAD.agents)
    assert extent_of(log(HEAD, [])) == (0, HEAD.agents)
    cut = Log.from_bytes(content(HEAD, rows, batch_rows=1)[:-300])
    assert (extent_of(cut).end_ns, cut.cut) == (3, True)


def test_the_fold_is_quick():
    """5 million events are to take about a second; row by row they take half a minute. This asks for a million."""
    head = header({"a": 1000}, [concurrency("c", 100)])
    rows = batch(loop(head, 10 * S))
    parts = [rows] * (1_000_000 // len(rows))
    start = time.process_time()
    fold(parts, head)
    assert time.process_time() - start < 0.5


def test_an_agent_of_several_open_tasks_does_what_the_busiest_does():
    from tests.runs import run, scenario

    limits = [{"id": "llm", "type": "concurrency", "limit": 2, "scope": "task:*"}]
    steps = [{"hold": "plan", "steps": [{"fork": 3, "steps": [{"task": "sub", "duration": "1s"}]}]}]
    written = run(scenario(until=None, constraints=limits, steps=steps))
    # One slot is held by the plan. The three copies follow each other: at 2 s two are done.
    at_1 = state_at(written, 1_500_000_000)
    assert at_1.phase.tolist() == [Phase.RUNNING]
    assert at_1.waiting.tolist() == [1]
    assert at_1.used.tolist() == [2]
    over = state_at(written, 3_000_000_000)
    assert over.phase.tolist() == [Phase.FINISHED]
    assert (over.waiting.tolist(), over.used.tolist()) == ([0], [0])


OPENED = {
    Kind.TaskBlocked: Phase.BLOCKED,
    Kind.TaskRebound: Phase.BLOCKED,
    Kind.TaskStarted: Phase.RUNNING,
    Kind.TaskRetrying: Phase.BACKING_OFF,
}
ENDED = {Kind.TaskResumed, Kind.TaskFinished, Kind.TaskRejected, Kind.TaskSkipped, Kind.TaskAbandoned}
SEVERAL = header(
    {"a": 2, "b": 1},
    [concurrency("c", 2), concurrency("d", 2)],
    [
        StepEntry(0, "fan", "fork", (), ()),
        StepEntry(
            0, "work", "task", ((DemandEntry(0, 2), DemandEntry(1, 1)), (DemandEntry(1, 3),)), ((0, 0, 0), (1, 1, 1))
        ),
        StepEntry(0, "keep", "hold", ((DemandEntry(0, 1),),), (), states_all=True),
        StepEntry(1, "work", "task", ((DemandEntry(0, 1),),), ()),
    ],
)


@st.composite
def rows_of_several(draw):
    """Rows of three agents with several visits at a time, each begun and ended as the draws come, by the rules of a log."""
    rows, open_, moment = [], {}, 0
    for _ in range(draw(st.integers(0, 60))):
        moment += draw(st.integers(0, 2))
        agent = draw(st.integers(0, 2))
        step = 3 if agent == 2 else draw(st.integers(1, 2))
        task = agent, step, draw(st.integers(0, 3))
        state = open_.get(task)
        if state is None:
            begin = [Kind.TaskBlocked, Kind.TaskStarted, Kind.TaskRetrying, Kind.AgentCrashed, Kind.TaskSkipped]
            kind = draw(st.sampled_from(begin))
        elif state == Kind.TaskRetrying:
            kind = draw(st.sampled_from([Kind.TaskBlocked, Kind.TaskStarted, Kind.TaskAbandoned]))
        elif state == Kind.TaskStarted:
            kind = Kind.TaskFinished
        else:
            kind = draw(st.sampled_from([Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned]))
        if kind == Kind.AgentCrashed and any(each[0] == agent for each in open_):
            continue
        names = (Kind.TaskBlocked, Kind.TaskRebound, Kind.TaskResumed, Kind.TaskRejected, Kind.TaskAbandoned)
        bound = draw(st.integers(0, 1)) if kind in names else -1
        rows.append(row(moment, kind, agent, step, bound, visit=task[2]))
        if kind in OPENED:
            open_[task] = kind
        else:
            open_.pop(task, None)
    return rows


def obvious_of_several(rows, head: Header) -> list[object]:
    """The same by one row after another: phase, constraint, waiting and used."""
    phase, tasks = [Phase.ABSENT] * head.agents, {}
    for order, (_, kind, agent, step, visit, _, bound, _) in enumerate(rows):
        tasks.pop((agent, step, visit), None)
        is_hold = head.steps[step].kind == "hold"
        if kind in OPENED and not (kind == Kind.TaskStarted and is_hold):
            tasks[agent, step, visit] = (OPENED[kind], bound, order)
        own = {each[0] for task, each in tasks.items() if task[0] == agent}
        busiest = next(
            (each for each in (Phase.RUNNING, Phase.BLOCKED, Phase.BACKING_OFF) if each in own), Phase.THINKING
        )
        phase[agent] = Phase.DOWN if kind == Kind.AgentCrashed else busiest
    waits = [(order, task[0], bound) for task, (state, bound, order) in tasks.items() if state == Phase.BLOCKED]
    oldest = {agent: bound for _, agent, bound in sorted(waits, reverse=True)}
    used = [0, 0]
    for (agent, step, _), (state, _, _) in tasks.items():
        if state == Phase.RUNNING and step != 2:
            group = 1 if (agent, step) == (1, 1) else 0
            for demand in head.steps[step].demands[group]:
                used[demand.constraint] += demand.amount
    return [
        [int(each) for each in phase],
        [oldest.get(agent, -1) if phase[agent] == Phase.BLOCKED else -1 for agent in range(head.agents)],
        [sum(bound == number for _, _, bound in waits) for number in (0, 1)],
        used,
    ]


@given(rows_of_several(), st.lists(st.integers(0, 60), max_size=4))
def test_several_open_tasks_are_followed_as_the_obvious_fold_does(rows, cuts):
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    state = FleetState(SEVERAL)
    for a, b in pairwise(edges):
        state.apply(batch(rows[a:b]))
        now = state.moment()
        columns = (now.phase, now.agents.constraint, now.waiting, now.used)
        assert [column.tolist() for column in columns] == obvious_of_several(rows[:b], SEVERAL)


def test_agents_that_were_spawned_have_a_state():
    from tests.runs import run, scenario

    child = {"name": "child", "steps": [{"task": "sub", "duration": "1s"}]}
    parent = {"name": "a", "count": 1, "steps": [{"think": "1s"}, {"spawn": "child", "count": 2}]}
    written = run(scenario(until=None, fleets=[parent, child]))
    assert extent_of(written) == (2_000_000_000, 3)
    assert state_at(written, 0).phase.tolist() == [Phase.THINKING]
    assert state_at(written, 0, 3).phase.tolist() == [Phase.THINKING, Phase.ABSENT, Phase.ABSENT]
    assert state_at(written, 1_000_000_000).phase.tolist() == [Phase.THINKING, Phase.RUNNING, Phase.RUNNING]


@pytest.mark.parametrize("several", [False, True])
def test_an_agent_that_crashed_is_down_until_it_is_repaired(several):
    from tests.runs import run, scenario

    task = {"task": "work", "duration": "4s"}
    steps = [{"fork": 2, "steps": [task]}] if several else [task]
    written = run(scenario(until="6s", count=1, steps=steps, crash={"uptime": "2s", "repair": "3s"}))
    phases = [state_at(written, second * S).phase.tolist() for second in (1, 2, 4, 5)]
    assert phases == [[Phase.RUNNING], [Phase.DOWN], [Phase.DOWN], [Phase.RUNNING]]
