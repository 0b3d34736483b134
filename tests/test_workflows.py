"""Steps within steps, by timelines worked out by hand: choices, forks, holds, graphs, spawned agents, limited lives."""

import pytest

from sim.environment import Endless
from tests.runs import run, scenario, told

SLOT = {"id": "slot", "type": "concurrency", "limit": 1, "scope": "task:*_sub"}
SUB = {"task": "sub", "duration": "1s"}


def test_a_choice_follows_the_weights():
    steps = [{"repeat": 1000, "steps": [{"choose": [{"weight": 3, "steps": [SUB]}, {"steps": [{"think": "1s"}]}]}]}]
    subs = sum("TaskStarted" in line for line in told(run(scenario(until=None, steps=steps))))
    assert 700 <= subs <= 800  # 750, standard deviation 13.7


def test_an_empty_branch_goes_on():
    steps = [{"choose": [{"steps": []}]}, SUB]
    assert told(run(scenario(until=None, steps=steps)))[0] == "0 TaskStarted a_0_sub#0 0"


def test_the_copies_of_a_fork_run_side_by_side_and_queue_for_the_same_limit():
    steps = [{"fork": 3, "steps": [SUB]}, {"task": "merge", "duration": "1s"}]
    assert told(run(scenario(until=None, constraints=[{**SLOT, "limit": 2}], steps=steps))) == [
        "0 TaskStarted a_0_sub#0 0",
        "0 TaskStarted a_0_sub#1 0",
        "0 TaskBlocked a_0_sub#2 slot 0",
        "1 TaskFinished a_0_sub#0 succeeded",
        "1 TaskResumed a_0_sub#2 slot 1",
        "1 TaskStarted a_0_sub#2 1",
        "1 TaskFinished a_0_sub#1 succeeded",
        "2 TaskFinished a_0_sub#2 succeeded",
        "2 TaskStarted a_0_merge#0 0",
        "3 TaskFinished a_0_merge#0 succeeded",
        "3 RunFinished",
    ]


def test_a_fork_of_limited_width_begins_the_next_copy_when_one_is_over():
    steps = [{"fork": 3, "width": 2, "steps": [{"think": "1s"}, SUB]}]
    started = [line for line in told(run(scenario(until=None, steps=steps))) if "Started" in line]
    assert started == ["1 TaskStarted a_0_sub#0 0", "1 TaskStarted a_0_sub#1 0", "3 TaskStarted a_0_sub#2 0"]


def test_whoever_comes_too_late_for_the_join_is_called_off():
    steps = [{"fork": 3, "join": "any", "steps": [SUB]}, {"task": "merge", "duration": "1s"}]
    assert told(run(scenario(until=None, constraints=[{**SLOT, "limit": 2}], steps=steps))) == [
        "0 TaskStarted a_0_sub#0 0",
        "0 TaskStarted a_0_sub#1 0",
        "0 TaskBlocked a_0_sub#2 slot 0",
        "1 TaskFinished a_0_sub#0 succeeded",
        "1 TaskResumed a_0_sub#2 slot 1",
        "1 TaskStarted a_0_sub#2 1",
        "1 TaskFinished a_0_sub#1 succeeded",
        "1 TaskFinished a_0_sub#2 cancelled",
        "1 TaskStarted a_0_merge#0 0",
        "2 TaskFinished a_0_merge#0 succeeded",
        "2 RunFinished",
    ]


def test_a_task_that_waits_when_it_is_called_off_gives_up():
    steps = [{"fork": 2, "join": 1, "steps": [SUB]}]
    fleets = [{"name": "a", "count": 1, "steps": steps}, {"name": "b", "count": 1, "steps": [{"think": "500ms"}, SUB]}]
    log = told(run(scenario(until=None, constraints=[SLOT], fleets=fleets)))
    assert log[:6] == [
        "0 TaskStarted a_0_sub#0 0",
        "0 TaskBlocked a_0_sub#1 slot 0",
        "0.5 TaskBlocked b_0_sub#0 slot 1",
        "1 TaskFinished a_0_sub#0 succeeded",
        "1 TaskResumed a_0_sub#1 slot 1",
        "1 TaskStarted a_0_sub#1 1",
    ]
    assert log[6:10] == [
        "1 TaskFinished a_0_sub#1 cancelled",
        "1 TaskResumed b_0_sub#0 slot 0.5",
        "1 TaskStarted b_0_sub#0 0.5",
        "2 TaskFinished b_0_sub#0 succeeded",
    ]


def test_a_fork_of_no_copies_goes_on():
    assert told(run(scenario(until=None, steps=[{"fork": {"uniform": [0, 0]}, "steps": [SUB]}]))) == ["0 RunFinished"]


HELD = {"id": "llm", "type": "concurrency", "limit": 2, "scope": "task:a_*"}


def test_a_parent_that_holds_its_slot_leaves_one_for_its_children():
    steps = [{"hold": "parent", "steps": [{"fork": 2, "steps": [SUB]}]}]
    assert told(run(scenario(until=None, constraints=[HELD], steps=steps))) == [
        "0 ResourceAcquired a_0_parent#0 llm 1",
        "0 TaskStarted a_0_parent#0 0",
        "0 TaskStarted a_0_sub#0 0",
        "0 TaskBlocked a_0_sub#1 llm 0",
        "1 TaskFinished a_0_sub#0 succeeded",
        "1 TaskResumed a_0_sub#1 llm 1",
        "1 TaskStarted a_0_sub#1 1",
        "2 TaskFinished a_0_sub#1 succeeded",
        "2 TaskFinished a_0_parent#0 succeeded",
        "2 ResourceReleased a_0_parent#0 llm 1",
        "2 RunFinished",
    ]


def test_parents_that_hold_all_slots_lock_the_fleet_up():
    steps = [{"hold": "parent", "steps": [SUB]}]
    log = told(run(scenario(until="9s", constraints=[HELD], count=2, steps=steps)))
    assert log[-5:] == [
        "0 TaskBlocked a_0_sub#0 llm 0",
        "0 TaskBlocked a_1_sub#0 llm 1",
        "0 DeadlockDetected a_1_sub#0 llm 2",
        "0 DeadlockDetected a_0_sub#0 llm 0",
        "9 RunFinished",
    ]


def test_a_parent_that_gives_its_slot_back_while_it_waits():
    steps = [{"hold": "parent", "give_back": True, "steps": [{"fork": 1, "steps": [SUB]}, {"think": "1s"}]}]
    assert told(run(scenario(until=None, constraints=[{**HELD, "limit": 1}], steps=steps))) == [
        "0 ResourceAcquired a_0_parent#0 llm 1",
        "0 TaskStarted a_0_parent#0 0",
        "0 TaskBlocked a_0_sub#0 llm 0",
        "0 ResourceReleased a_0_parent#0 llm 1",
        "0 TaskResumed a_0_sub#0 llm 0",
        "0 TaskStarted a_0_sub#0 0",
        "1 TaskFinished a_0_sub#0 succeeded",
        "1 ResourceAcquired a_0_parent#0 llm 1",
        "2 TaskFinished a_0_parent#0 succeeded",
        "2 ResourceReleased a_0_parent#0 llm 1",
        "2 RunFinished",
    ]


def test_holds_may_be_nested():
    locks = [{"id": name, "type": "concurrency", "limit": 1, "scope": f"task:*_{name}"} for name in ("outer", "inner")]
    inner = {"hold": "inner", "steps": [{"think": "1s"}]}
    log = told(run(scenario(until=None, constraints=locks, steps=[{"hold": "outer", "steps": [inner]}])))
    assert [" ".join(line.split()[:3]) for line in log] == [
        "0 ResourceAcquired a_0_outer#0",
        "0 TaskStarted a_0_outer#0",
        "0 ResourceAcquired a_0_inner#0",
        "0 TaskStarted a_0_inner#0",
        "1 TaskFinished a_0_inner#0",
        "1 ResourceReleased a_0_inner#0",
        "1 TaskFinished a_0_outer#0",
        "1 ResourceReleased a_0_outer#0",
        "1 RunFinished",
    ]


def node(name, duration="1s", *after, **rest):
    return {"task": name, "duration": duration, "after": list(after), **rest}


DIAMOND = [node("fetch"), node("left", "1s", "fetch"), node("right", "3s", "fetch"), node("tail", "1s", "left")]


@pytest.mark.parametrize(("way", "tail"), [("dataflow", 2), ("stages", 4)])
def test_a_graph_runs_as_dataflow_or_in_stages(way, tail):
    log = told(run(scenario(until=None, steps=[{"graph": DIAMOND, "run": way}])))
    assert [" ".join(line.split()[:3]) for line in log if "Started" in line] == [
        "0 TaskStarted a_0_fetch#0",
        "1 TaskStarted a_0_left#0",
        "1 TaskStarted a_0_right#0",
        f"{tail} TaskStarted a_0_tail#0",
    ]


def test_what_comes_after_a_failure_or_a_skipped_task_is_skipped_and_a_cache_hit_counts_as_done():
    graph = [
        node("bad", fail=1.0),
        node("cached", skip_if={"cache_hit": 1.0}),
        node("after_bad", "1s", "bad"),
        node("after_that", "1s", "after_bad"),
        node("after_cached", "1s", "cached"),
    ]
    assert told(run(scenario(until=None, steps=[{"graph": graph}]))) == [
        "0 TaskStarted a_0_bad#0 0",
        "0 TaskSkipped a_0_cached#0 cache_hit",
        "0 TaskStarted a_0_after_cached#0 0",
        "1 TaskFinished a_0_bad#0 failed",
        "1 TaskFinished a_0_after_cached#0 succeeded",
        "1 TaskSkipped a_0_after_bad#0 upstream",
        "1 TaskSkipped a_0_after_that#0 upstream",
        "1 RunFinished",
    ]


def test_a_task_of_a_graph_begins_once_though_one_before_it_is_over_at_once():
    graph = [node("cached", skip_if={"cache_hit": 1.0}), node("other"), node("last", "1s", "cached", "other")]
    log = told(run(scenario(until=None, steps=[{"graph": graph}])))
    assert log[:3] == [
        "0 TaskSkipped a_0_cached#0 cache_hit",
        "0 TaskStarted a_0_other#0 0",
        "1 TaskFinished a_0_other#0 succeeded",
    ]
    assert log[3:] == ["1 TaskStarted a_0_last#0 0", "2 TaskFinished a_0_last#0 succeeded", "2 RunFinished"]


CHILD = {"name": "child", "steps": [SUB]}


def test_an_agent_spawns_others_and_waits_for_them():
    parent = {"name": "a", "count": 1, "steps": [{"spawn": "child", "count": 2}, {"task": "merge", "duration": "1s"}]}
    log = told(run(scenario(until=None, constraints=[SLOT], fleets=[parent, CHILD])), without=("RunStarted",))
    assert log == [
        "0 AgentStarted 0",
        "0 AgentStarted child_0 of 0 by a_0_spawn#0",
        "0 TaskStarted child_0_sub#0 0",
        "0 AgentStarted child_1 of 0 by a_0_spawn#0",
        "0 TaskBlocked child_1_sub#0 slot 0",
        "1 TaskFinished child_0_sub#0 succeeded",
        "1 TaskResumed child_1_sub#0 slot 1",
        "1 TaskStarted child_1_sub#0 1",
        "1 AgentFinished child_0",
        "2 TaskFinished child_1_sub#0 succeeded",
        "2 AgentFinished child_1",
        "2 TaskStarted a_0_merge#0 0",
        "3 TaskFinished a_0_merge#0 succeeded",
        "3 AgentFinished 0",
        "3 RunFinished",
    ]


def test_an_agent_that_does_not_wait_goes_on():
    parent = {
        "name": "a",
        "count": 1,
        "steps": [{"spawn": "child", "wait": False}, {"task": "own", "duration": "500ms"}],
    }
    assert told(run(scenario(until=None, fleets=[parent, CHILD]))) == [
        "0 TaskStarted child_0_sub#0 0",
        "0 TaskStarted a_0_own#0 0",
        "0.5 TaskFinished a_0_own#0 succeeded",
        "1 TaskFinished child_0_sub#0 succeeded",
        "1 RunFinished",
    ]


def test_a_tree_grows_no_deeper_than_it_may():
    fleet = {"name": "a", "count": 1, "steps": [SUB, {"spawn": "a", "count": 2, "depth": 2}]}
    log = told(run(scenario(until=None, fleets=[fleet])))
    assert sum("TaskStarted" in line for line in log) == 1 + 2 + 4
    assert log[-1] == "3 RunFinished"


def test_the_draws_of_a_tree_do_not_depend_on_how_it_grows():
    child = {"name": "child", "steps": [{"task": "sub", "duration": {"exponential": "1s"}}]}
    parent = {
        "name": "a",
        "count": 3,
        "steps": [{"task": "t", "duration": {"exponential": "1s"}}, {"spawn": "child", "count": 2}],
    }

    def lengths(limit):
        started, found = {}, []
        for line in told(run(scenario(until=None, constraints=[{**SLOT, "limit": limit}], fleets=[parent, child]))):
            time, kind, who, *_ = [*line.split(), ""]
            if kind == "TaskStarted":
                started[who] = float(time)
            elif kind == "TaskFinished" and "sub" in who:
                found.append(round(float(time) - started[who], 6))
        return sorted(found)

    assert lengths(1) == lengths(100)


def test_an_agent_is_gone_after_its_life():
    log = told(run(scenario(until="9s", constraints=[SLOT], fleets=[
        {"name": "a", "count": 2, "life": "1500ms", "steps": [{"repeat": "forever", "steps": [SUB]}]},
        {"name": "b", "count": 1, "steps": [{"think": "1200ms"}, SUB]},
    ])), without=("RunStarted", "AgentStarted"))  # fmt: skip
    assert log == [
        "0 TaskStarted a_0_sub#0 0",
        "0 TaskBlocked a_1_sub#0 slot 0",
        "1 TaskFinished a_0_sub#0 succeeded",
        "1 TaskResumed a_1_sub#0 slot 1",
        "1 TaskStarted a_1_sub#0 1",
        "1 TaskBlocked a_0_sub#1 slot 0",
        "1.2 TaskBlocked b_0_sub#0 slot 1",
        "1.5 TaskAbandoned a_0_sub#1 slot 0.5",
        "1.5 TaskFinished a_0_sub#1 cancelled",
        "1.5 AgentFinished 0",
        "1.5 TaskFinished a_1_sub#0 cancelled",
        "1.5 TaskResumed b_0_sub#0 slot 0.3",
        "1.5 TaskStarted b_0_sub#0 0.3",
        "1.5 AgentFinished 1",
        "2.5 TaskFinished b_0_sub#0 succeeded",
        "2.5 AgentFinished 2",
        "9 RunFinished",
    ]


def test_a_branch_that_stops_its_agent_stops_all_branches():
    steps = [{"graph": [node("bad", fail=1.0, on_failure="stop"), node("long", "5s")]}, SUB]
    assert told(run(scenario(until=None, steps=steps)), without=("RunStarted", "AgentStarted")) == [
        "0 TaskStarted a_0_bad#0 0",
        "0 TaskStarted a_0_long#0 0",
        "1 TaskFinished a_0_bad#0 failed",
        "1 TaskFinished a_0_long#0 cancelled",
        "1 AgentFinished 0",
        "1 RunFinished",
    ]


def test_what_a_task_gives_back_that_stops_its_agent_is_not_for_another_branch():
    """Both holds of the agent end, and all that waits of it, before b is tried."""
    bad = node("bad", fail=1.0, on_failure="stop", needs={"slot": 1})
    steps = [{"hold": "h", "needs": {"key": 1}, "steps": [{"graph": [bad, node("late", needs={"slot": 1})]}]}]
    b = [{"think": "500ms"}, {"task": "t", "duration": "1s", "needs": {"slot": 1, "key": 1}}]
    fleets = [{"name": "a", "count": 1, "steps": steps}, {"name": "b", "count": 1, "steps": b}]
    limits = [{**SLOT, "scope": None}, {**SLOT, "id": "key", "scope": None}]
    log = told(run(scenario(until=None, constraints=limits, fleets=fleets)), without=("RunStarted", "AgentStarted"))
    assert [line for line in log if line.startswith("1 ")] == [
        "1 TaskFinished a_0_bad#0 failed",
        "1 TaskAbandoned a_0_late#0 slot 1",
        "1 TaskFinished a_0_late#0 cancelled",
        "1 TaskFinished a_0_h#0 cancelled",
        "1 ResourceReleased a_0_h#0 key 1",
        "1 TaskResumed b_0_t#0 slot 0.5",
        "1 TaskStarted b_0_t#0 0.5",
        "1 AgentFinished 0",
    ]


def test_what_a_branch_gives_back_that_is_called_off_is_not_for_another_that_is():
    """Copy 2 reaches the join, and its slot goes to copy 1 as at the end of a task. From there it goes to b."""
    fork = [{"think": "500ms"}, {"fork": 3, "join": "any", "steps": [SUB]}]
    fleets = [{"name": name, "count": 1, "steps": [SUB]} for name in "cb"] + [{"name": "a", "count": 1, "steps": fork}]
    log = told(run(scenario(until=None, constraints=[{**SLOT, "queue": "lifo"}], fleets=fleets)))
    assert [line for line in log if line.startswith("2 ")] == [
        "2 TaskFinished a_0_sub#2 succeeded",
        "2 TaskResumed a_0_sub#1 slot 1.5",
        "2 TaskStarted a_0_sub#1 1.5",
        "2 TaskFinished a_0_sub#1 cancelled",
        "2 TaskAbandoned a_0_sub#0 slot 1.5",
        "2 TaskFinished a_0_sub#0 cancelled",
        "2 TaskResumed b_0_sub#0 slot 2",
        "2 TaskStarted b_0_sub#0 2",
    ]


def test_what_begins_because_another_is_over_asks_when_all_completions_of_the_instant_are_over():
    graph = {"graph": [{"task": "x", "duration": "1s"}, {**SUB, "after": ["x"]}]}
    fork = {"fork": 2, "width": 1, "steps": [{"task": "copy", "duration": "1s"}]}
    fleets = [{"name": name, "count": 1, "steps": [step]} for name, step in (("a", graph), ("b", fork), ("c", SUB))]
    assert told(run(scenario(until=None, constraints=[SLOT], fleets=fleets))) == [
        "0 TaskStarted a_0_x#0 0",
        "0 TaskStarted b_0_copy#0 0",
        "0 TaskStarted c_0_sub#0 0",
        "1 TaskFinished a_0_x#0 succeeded",
        "1 TaskFinished b_0_copy#0 succeeded",
        "1 TaskFinished c_0_sub#0 succeeded",
        "1 TaskStarted a_0_sub#0 0",
        "1 TaskStarted b_0_copy#1 0",
        "2 TaskFinished a_0_sub#0 succeeded",
        "2 TaskFinished b_0_copy#1 succeeded",
        "2 RunFinished",
    ]


def lending(asks):
    """An agent that gives back what it holds while a branch takes 1 s, and asks for it again."""
    inner = {"task": "inner", "duration": "1s"}
    return {"hold": "parent", "needs": asks, "give_back": True, "steps": [{"fork": 1, "steps": [inner]}]}


def test_a_hold_that_asks_for_what_it_gave_back_waits_even_if_that_is_more_than_there_will_ever_be():
    slot = {**SLOT, "scope": None, "limit": 2, "changes": [{"at": "2s", "limit": 1}]}
    other = {"task": "other", "duration": "9s", "needs": {"slot": 1}}
    fleets = [
        {"name": "a", "count": 1, "steps": [lending({"slot": 2})]},
        {"name": "b", "count": 1, "steps": [{"think": "500ms"}, other]},
    ]
    assert told(run(scenario(until="5s", constraints=[slot], fleets=fleets)))[4:] == [
        "0.5 TaskStarted b_0_other#0 0",
        "1 TaskFinished a_0_inner#0 succeeded",
        "1 TaskBlocked a_0_parent#0 slot 0",
        "2 ConstraintChanged slot 1",
        "5 RunFinished",
    ]


def test_a_hold_that_asks_for_what_it_gave_back_makes_room_for_nobody():
    slot = {**SLOT, "scope": None, "room": 1, "overflow": "oldest"}
    other = {"task": "other", "duration": "2s", "needs": {"slot": 1}}
    fleets = [
        {"name": "a", "count": 1, "steps": [lending({"slot": 1})]},
        {"name": "b", "count": 2, "stagger": "1s", "steps": [{"think": "500ms"}, other]},
    ]
    assert told(run(scenario(until=None, constraints=[slot], fleets=fleets)))[4:-1] == [
        "0.5 TaskStarted b_0_other#0 0",
        "1 TaskFinished a_0_inner#0 succeeded",
        "1 TaskBlocked a_0_parent#0 slot 0",
        "1.5 TaskRejected b_1_other#0 slot never",
        "1.5 TaskFinished b_1_other#0 failed",
        "2.5 TaskFinished b_0_other#0 succeeded",
        "2.5 TaskResumed a_0_parent#0 slot 1.5",
        "2.5 ResourceAcquired a_0_parent#0 slot 1",
        "2.5 TaskFinished a_0_parent#0 succeeded",
        "2.5 ResourceReleased a_0_parent#0 slot 1",
    ]


def test_a_visit_that_is_skipped_because_of_others_leaves_its_draws_out():
    def lasts(fails):
        graph = {"graph": [node("first", fail=fails), node("second", {"exponential": "1s"}, "first")]}
        log = told(run(scenario(until=None, seed=1, steps=[{"repeat": 20, "steps": [graph]}])))
        times = {}
        for line in log:
            time, kind, who, *_ = [*line.split(), ""]
            if "second" in who and kind != "TaskSkipped":
                times.setdefault(who, []).append(float(time))
        return {who: round(end - start, 6) for who, (start, end) in times.items()}

    always, sometimes = lasts(0.0), lasts(0.5)
    assert 0 < len(sometimes) < 20
    assert all(always[who] == lasted for who, lasted in sometimes.items())


def test_a_hold_that_gave_back_states_its_end_in_the_order_of_every_other():
    quota = {"id": "quota", "type": "quota", "total": 9, "charge": "on_finish", "scope": "task:a_*_parent"}
    steps = [{"hold": "parent", "cost": 2, "give_back": True, "steps": [{"fork": 1, "steps": [SUB]}]}]
    log = told(run(scenario(until=None, constraints=[HELD, quota], steps=steps)))
    assert log[-3:-1] == ["1 ResourceReleased a_0_parent#0 llm 1", "1 ResourceReleased a_0_parent#0 quota -2000000"]


SPAWNS_ITSELF = {"name": "f", "steps": [{"spawn": "f"}]}


def test_any_number_may_be_refused_what_they_take_next_one_after_the_other():
    """Each gives back what it has, which lets the next have it."""
    both = {"duration": "1s", "needs": {"a": 1, "b": 1}, "acquire": ["a", "b"]}
    fleets = [
        {"name": "b", "count": 1, "steps": [{"task": "t", "duration": "5s", "needs": {"b": 1}}]},
        {"name": "a", "count": 1, "steps": [{"task": "t", "duration": "1s", "needs": {"a": 1}}]},
        {"name": "c", "count": 1500, "steps": [{"task": "t", **both}]},
    ]
    rows = [{**SLOT, "id": "a", "scope": None}, {**SLOT, "id": "b", "scope": None, "on_limit": "reject"}]
    log = told(run(scenario(until=None, constraints=rows, fleets=fleets)))
    assert sum("Rejected" in line and line.startswith("1 ") for line in log) == 1500


@pytest.mark.parametrize("first", [{"spawn": "f"}, {"fork": 100, "steps": [{"fork": 100, "steps": [{"spawn": "f"}]}]}])
def test_agents_that_begin_without_end_are_an_error(first):
    fleets = [{"name": "a", "count": 1, "steps": [first]}, SPAWNS_ITSELF]
    with pytest.raises(Endless, match="begin without end at 0 s"):
        run(scenario(fleets=fleets))


def test_a_large_fork_is_no_endless_loop(monkeypatch):
    monkeypatch.setattr("sim.engine.INSTANT_EVENTS_MAX", 1000)
    monkeypatch.setattr("sim.engine.SLICE", 64)
    log = run(scenario(until=None, steps=[{"fork": 3000, "steps": [{"task": "t", "duration": "1s"}]}]))
    assert len([line for line in told(log) if "Finished a" in line]) == 3000
