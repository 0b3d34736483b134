"""The engine beside SimPy: the same order as stock SimPy, ordinary processes beside ours, and nothing left behind."""

import gc
import time
import tracemalloc

import pytest
import simpy
from simpy.core import StopSimulation

from model.events import concatenate
from model.planner import plan
from model.scenario import Scenario
from sim.engine import Engine, Interrupted
from sim.environment import CHANGE, COMPLETION, CONTROL, DEADLINE, END, REFILL, REQUEST, Environment
from sim.manager import ConstraintManager
from tests.runs import scenario

DATA = scenario(
    constraints=[
        {"id": "slots", "type": "concurrency", "limit": 3, "changes": [{"at": "5s", "limit": 2}]},
        {"id": "rate", "type": "rate_limit", "rate": "4/s", "burst": 3},
    ],
    count=12,
    until="10s",
    steps=[
        {
            "repeat": "forever",
            "steps": [{"think": {"uniform": ["0.1s", "1s"]}}, {"task": "work", "duration": {"exponential": "400ms"}}],
        }
    ],
)


def engine(data=DATA, batch_rows=65_536):
    batches = []
    return Engine(plan(Scenario.model_validate(data), {}), batches.append, batch_rows), batches


def columns(batches):
    return [column.tolist() for column in concatenate(batches).columns()]


def test_events_of_one_instant_come_in_the_order_of_their_ranks():
    env, order = Environment(), []
    for rank in (END, DEADLINE, REQUEST, REFILL, COMPLETION, CONTROL, CHANGE):
        for number in range(2):
            env.at(5, rank).callbacks.append(lambda event, key=(rank, number): order.append(key))
    while env._queue:
        env.step()
    assert order == [(rank, number) for rank in range(CHANGE, END + 1) for number in range(2)]


def test_the_fast_loop_and_stock_steps_give_the_same_events(monkeypatch):
    fast, batches = engine()
    fast.run()

    def stock(self, events):
        for _ in range(events):
            self.step()

    monkeypatch.setattr(Environment, "advance", stock)
    slow, again = engine()
    slow.run()
    assert columns(batches) == columns(again)


def test_ordinary_simpy_processes_and_resources_work_beside_ours():
    ours, batches = engine()
    alone, expected = engine()
    env, seen = ours.env, []
    resource = simpy.Resource(env, capacity=1)

    def visitor(number):
        with resource.request() as request:
            yield request
            yield env.timeout(3_000_000_000)
            seen.append((number, env.now))

    for number in range(3):
        env.process(visitor(number))
    ours.run()
    alone.run()
    assert seen == [(0, 3_000_000_000), (1, 6_000_000_000), (2, 9_000_000_000)]
    assert columns(batches) == columns(expected)


def test_an_error_in_a_process_is_raised_by_the_run():
    broken, _ = engine()

    def process():
        yield broken.env.timeout(1)
        raise RuntimeError("broken")

    broken.env.process(process())
    with pytest.raises(RuntimeError, match="broken"):
        broken.run()
    assert gc.isenabled()


def test_a_run_without_a_sink_takes_the_same_steps():
    recorded, _ = engine()
    recorded.run()
    silent = Engine(plan(Scenario.model_validate(DATA), {}), None)
    silent.run()
    assert next(silent.env._eid) == next(recorded.env._eid)
    assert sorted(entry[:3] for entry in silent.env._queue) == sorted(entry[:3] for entry in recorded.env._queue)


def test_an_interrupted_run_hands_over_what_happened():
    whole, all_batches = engine()
    whole.run()
    stopped, batches = engine()
    stopped.env.at(5_000_000_000, CONTROL).callbacks.append(lambda event: stopped.interrupt())
    with pytest.raises(Interrupted):
        stopped.run()
    rows = columns(batches)
    assert 0 < len(rows[0]) < len(columns(all_batches)[0])
    assert rows == [column[: len(rows[0])] for column in columns(all_batches)]


def test_stop_is_no_event_of_the_run():
    env = Environment()
    env.at(1, END).callbacks.append(StopSimulation.callback)
    with pytest.raises(StopSimulation):
        env.advance(10)
    assert env.now == 1


def test_agents_that_are_done_are_freed_without_the_collector():
    def peak(agents):
        data = scenario(
            arrivals={"every": "1ms"},
            until=f"{agents}ms",
            constraints=[{"id": "slots", "type": "concurrency", "limit": 2}],
            steps=[{"think": "1ms"}, {"task": "work", "duration": "1ms"}],
        )
        run = Engine(plan(Scenario.model_validate(data), {}), None)
        tracemalloc.start()
        run.run()
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(12_000) < peak(3_000) * 1.5


def test_a_release_costs_the_same_however_many_wait():
    """A release with 100,000 waiting against one with 10, with the same amount for all and with different ones."""

    def seconds(waiting, needs):
        def steps(need):
            return [{"repeat": "forever", "steps": [{"task": "w", "duration": "1ms", "needs": {"slots": need}}]}]

        fleets = [{"name": f"n{need}", "count": waiting // len(needs), "steps": steps(need)} for need in needs]
        slots = {"id": "slots", "type": "concurrency", "limit": 4, "scope": None}
        data = scenario(constraints=[slots], until="1h", fleets=fleets)
        run = Engine(plan(Scenario.model_validate(data), {}), None)
        manager: ConstraintManager = run._manager
        run.env.at(0, END).callbacks.append(StopSimulation.callback)
        run.run()  # to the end of the first instant: everybody has asked
        assert len(manager.constraints[0].waiting) >= waiting - 10
        started = time.perf_counter()
        for _ in range(1000):
            run.env.step()
        return time.perf_counter() - started

    for needs in ([1], [1, 2, 3, 4]):
        few, many = (min(seconds(waiting, needs) for _ in range(2)) for waiting in (200, 100_000))
        assert many < few * 12, (needs, few, many)


def test_constraint_types_are_named_in_one_place():
    import pathlib

    root = pathlib.Path(__file__).parent.parent / "sim"
    for name in ("engine", "manager", "agent", "task", "step", "queues", "recorder", "environment"):
        text = (root / f"{name}.py").read_text()
        for word in ("Concurrency", "RateLimit", "Pause", '"concurrency"', '"rate_limit"', '"pause"'):
            assert word not in text, (name, word)
