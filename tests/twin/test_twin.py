"""Real fleets beside their simulated twins: what agrees, what tells them apart, and how noisy the clock may be."""

import asyncio
import pickle
import time
from collections.abc import Callable
from fcntl import LOCK_EX, flock
from functools import cache

import aiolimiter
import pytest

from tests.runs import run, scenario

from . import __main__
from .compare import compare
from .noise import PERIOD_S, Noise, witnessed
from .pictures import side_by_side
from .records import Records, simulated
from .settled import Data, Settled
from .stage import live
from .twins import PATIENT, TOGETHER, TWINS, Twin

NAMES = {twin.name: twin for twin in TWINS}
TRIES = 2
"""So often fleets run at most where the clock is noisy: all of this takes less than 40 s."""
WRONG = [(twin.name, *change) for twin in TWINS for change in twin.wrong]

Performance = tuple[Records, Noise]


def perform(group: int) -> dict[str, Performance]:
    """Let the real fleets run, and again where the clock was too noisy, whatever the fleets did."""
    found: dict[str, Performance] = {}
    noisy = TOGETHER[group]
    for _ in range(TRIES):
        reals, noise = live(*((twin.fleet, twin.settled.records) for twin in noisy))
        found |= {twin.name: (real, noise) for twin, real in zip(noisy, reals, strict=True)}
        noisy = [twin for twin in noisy if noise.worst > twin.margin]
        if not noisy:
            break
    return found


@pytest.fixture(scope="session")
def performances(tmp_path_factory, worker_id) -> Callable[[int], dict[str, Performance]]:
    """Each group runs once, whichever worker asks first, and never beside another: they would be each other's noise."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    @cache
    def performed(group: int) -> dict[str, Performance]:
        file = shared / f"twin_{group}.pickle"
        with (shared / "twin.lock").open("w") as lock:
            flock(lock, LOCK_EX)
            if not file.exists():
                file.write_bytes(pickle.dumps(perform(group)))
        return pickle.loads(file.read_bytes())

    return performed


@pytest.fixture
def seen(performances) -> Callable[[Twin], Performance]:
    """What a real fleet did, where the clock was quiet enough for its twin."""

    def quiet(twin: Twin) -> Performance:
        group = next(number for number, twins in enumerate(TOGETHER) if twin in twins)
        return if_quiet(twin, performances(group)[twin.name])

    return quiet


def if_quiet(twin: Twin, performance: Performance) -> Performance:
    noise = performance[1]
    if noise.worst > twin.margin:
        pytest.skip(
            f"too noisy: a wait may be {1e3 * noise.worst:.1f} ms late, this twin bears {1e3 * twin.margin:.0f} ms; {noise}"
        )
    return performance


@pytest.mark.parametrize("name", NAMES)
def test_what_is_promised_does_not_hang_on_a_late_wake(name):
    shares, promised = NAMES[name].settled.shares, NAMES[name].promised
    assert shares.keys() == promised.keys()
    assert {kind: share for kind, share in shares.items() if share < promised[kind]} == {}


@pytest.mark.parametrize("name", NAMES)
def test_reality_does_what_the_simulation_says(seen, name):
    twin = NAMES[name]
    real, noise = seen(twin)
    verdict = compare(twin.settled, twin.settled.records, real, noise)
    assert not verdict.differences, f"{noise}\n" + "\n".join(verdict.differences)


@pytest.mark.parametrize(("name", "kind", "path", "value"), WRONG)
def test_a_wrong_scenario_is_told_from_reality(seen, name, kind, path, value):
    twin = NAMES[name]
    real, noise = seen(twin)
    wrong = twin.changed(path, value)
    apart = compare(twin.settled, wrong, twin.settled.records, noise.doubled())
    if kind in ("instants", "admissions") and not getattr(apart, kind):
        pytest.skip(f"too noisy: the change moves nothing by twice the tolerance; {noise}")
    assert getattr(compare(twin.settled, wrong, real, noise), kind)


def test_the_simulation_agrees_with_itself():
    settled = PATIENT.settled
    assert compare(settled, settled.records, settled.records, Noise([0.0])).differences == []


def test_an_attempt_that_no_simulation_makes_is_a_difference():
    data = scenario(until=None, steps=[{"task": "one", "duration": "100ms"}])
    settled = Settled(data, margin=0.01)
    more = simulated(run({**data, "fleets": [{**data["fleets"][0], "count": 2}]}))
    assert compare(settled, settled.records, more, Noise([0.0])).outcomes == ["a_1_one: simulated not made, real done"]


# The noise of the clock


def test_the_tolerance_is_the_sum_of_the_largest_delays_and_of_what_no_witness_sees():
    tolerance = Noise([0.001, 0.005, 0.003], [0.002, 0.004]).tolerance()
    assert tolerance(0, 0) == 0
    assert tolerance(1, 0) == pytest.approx(0.005 + PERIOD_S)
    assert tolerance(1, 1) == pytest.approx(0.008 + 2 * PERIOD_S + 0.004)
    assert tolerance(9, 0) == pytest.approx(0.009 + 9 * PERIOD_S)


def test_the_witness_sees_a_loop_that_is_held_up():
    async def held_up() -> Noise:
        async with witnessed() as noise:
            await asyncio.sleep(0.02)
            time.sleep(0.05)
            await asyncio.sleep(0.02)
        return noise

    assert asyncio.run(held_up()).worst >= 0.05


def test_a_noisy_clock_is_a_reason_to_skip_and_never_to_agree():
    with pytest.raises(pytest.skip.Exception, match=r"a wait may be 32\.0 ms late, this twin bears 30 ms"):
        if_quiet(PATIENT, (PATIENT.settled.records, Noise([PATIENT.margin])))


# What is shown


def test_the_pictures_show_what_happened():
    limit = {"id": "slot", "type": "concurrency", "limit": 1, "on_limit": "reject", "retry_after": "1s"}
    step = {"task": "one", "duration": "1s", "retry": {"max_attempts": 2, "delay": "0s"}}
    refused = simulated(run(scenario(until=None, constraints=[limit], arrivals={"at": ["0s", "0.5s"]}, steps=[step])))
    waits = scenario(until=None, constraints=[{**limit, "on_limit": "block"}], arrivals={"at": ["0s", "0.5s"]})
    waits["fleets"][0]["steps"] = [step]
    assert side_by_side(refused, simulated(run(waits)), ("refused", "waits")).splitlines()[1:3] == [
        "a_0 |################                        |  |################                        |",
        "a_1 |........xrrrrrrrrrrrrrrr################|  |........--------################        |",
    ]


@pytest.mark.parametrize(
    ("slots", "late_s", "code", "verdict"),
    [
        (20, 0.0, 0, "verdict    no difference"),
        (21, 0.0, 1, "done: simulated 120, real 126"),
        (21, 1.0, 0, "too noisy, nothing is concluded"),
    ],
)
def test_the_command_ends_with_1_where_a_fleet_differs_and_the_clock_is_quiet(
    monkeypatch, capsys, slots, late_s, code, verdict
):
    other = PATIENT.changed("constraints.0.limit", slots)
    monkeypatch.setattr(__main__, "live", lambda *fleets: ([other], Noise([late_s])))
    assert __main__.main(["Patient"]) == code
    assert verdict in capsys.readouterr().out


# Where asyncio and aiolimiter differ from the simulator, and where they do not


def tried(limits: list[Data], fleets: list[Data]) -> list[str]:
    """Who is admitted by the simulator, in order, by the name of the fleet."""
    records = simulated(run(scenario(until=None, constraints=limits, fleets=fleets)))
    return [key.agent.rpartition("_")[0] for key in records.order if key.agent != "holder_0"]


def one_after_the_other(limit: Data) -> list[str]:
    """A holder gives back at 1 s; somebody waits for it, and a newcomer asks at that very instant."""
    step = {"task": "work", "duration": "1s"}
    arrivals = {"holder": "0s", "waits": "500ms", "newcomer": "1s"}
    fleets = [{"name": name, "arrivals": {"at": [when]}, "steps": [step]} for name, when in arrivals.items()]
    return tried([limit], fleets)


def test_a_semaphore_gives_its_slot_to_who_waits_and_not_to_a_newcomer():
    async def fleet() -> list[str]:
        slot, admitted = asyncio.Semaphore(1), []

        async def agent(name: str) -> None:
            async with slot:
                admitted.append(name)

        await slot.acquire()
        waits = asyncio.create_task(agent("waits"))
        await asyncio.sleep(0)
        slot.release()
        await agent("newcomer")  # in the same turn of the loop
        await waits
        return admitted

    assert asyncio.run(fleet()) == ["waits", "newcomer"]
    assert one_after_the_other({"id": "slot", "type": "concurrency", "limit": 1}) == ["waits", "newcomer"]


def test_who_is_given_the_outer_of_two_slots_does_not_pass_who_waits_for_the_inner_one():
    async def fleet() -> list[str]:
        machines, gpus, admitted = asyncio.Semaphore(2), asyncio.Semaphore(1), []
        built, trained = asyncio.Event(), asyncio.Event()

        async def train(name: str, until: asyncio.Event) -> None:
            async with machines, gpus:
                admitted.append(name)
                await until.wait()

        async def build() -> None:
            async with machines:
                await built.wait()

        agents = [asyncio.create_task(train("first", trained)), asyncio.create_task(build())]
        agents += [asyncio.create_task(train(name, trained)) for name in ("earlier", "later")]
        for event in (built, trained):  # `earlier` gets a machine and waits for the GPU; then both are given back
            for _ in range(5):
                await asyncio.sleep(0)
            event.set()
        await asyncio.gather(*agents)
        return admitted

    both = {"task": "train", "needs": {"machines": 1, "gpus": 1}, "acquire": ["machines", "gpus"], "duration": "2s"}
    build = {"task": "build", "needs": {"machines": 1}, "duration": "1s"}
    slots = {"type": "concurrency", "scope": None}
    limits = [{"id": "machines", "limit": 2, **slots}, {"id": "gpus", "limit": 1, **slots}]
    fleets = [
        {"name": "first", "count": 1, "steps": [both]},
        {"name": "builds", "count": 1, "steps": [build]},
        {"name": "earlier", "arrivals": {"at": ["100ms"]}, "steps": [both]},
        {"name": "later", "arrivals": {"at": ["200ms"]}, "steps": [both]},
    ]
    assert asyncio.run(fleet()) == ["first", "earlier", "later"]
    assert [name for name in tried(limits, fleets) if name != "builds"] == ["first", "earlier", "later"]


async def at_a_condition(notify: str) -> list[str]:
    """A slot that is counted with a Condition, given back while somebody waits and a newcomer comes."""
    condition, free, admitted = asyncio.Condition(), 0, []

    async def agent(name: str) -> None:
        nonlocal free
        async with condition:
            while not free:
                await condition.wait()
            free -= 1
        admitted.append(name)
        await gives_back()

    async def gives_back() -> None:
        nonlocal free
        async with condition:
            free += 1
            getattr(condition, notify)()

    waits = asyncio.create_task(agent("waits"))
    await asyncio.sleep(0)
    await gives_back()
    await agent("newcomer")  # in the same turn of the loop
    await waits
    return admitted


@pytest.mark.parametrize("notify", ["notify", "notify_all"])
def test_a_condition_lets_a_newcomer_pass_who_comes_before_the_loop_turns_and_the_simulator_does_not(notify):
    assert asyncio.run(at_a_condition(notify)) == ["newcomer", "waits"]
    memory = {"id": "memory", "type": "resource", "capacity": 1}
    assert one_after_the_other(memory) == ["waits", "newcomer"]


def test_who_is_notified_for_nothing_goes_to_the_end_of_a_condition():
    async def fleet() -> list[str]:
        condition, admitted, is_open = asyncio.Condition(), [], False

        async def agent(name: str) -> None:
            async with condition:
                while not is_open:
                    await condition.wait()
                admitted.append(name)

        agents = [asyncio.create_task(agent(name)) for name in ("first", "second")]
        await asyncio.sleep(0)
        async with condition:
            condition.notify()  # the first looks, and waits again
        await asyncio.sleep(0)
        async with condition:
            is_open = True
            condition.notify_all()
        await asyncio.gather(*agents)
        return admitted

    assert asyncio.run(fleet()) == ["second", "first"]


def test_aiolimiter_wakes_who_wants_least_as_first_fit_does():
    async def fleet() -> list[str]:
        limiter, admitted = aiolimiter.AsyncLimiter(4, time_period=0.2), []

        async def agent(name: str, amount: float) -> None:
            await limiter.acquire(amount)
            admitted.append(name)

        await limiter.acquire(4)
        await asyncio.gather(agent("large", 3), agent("small", 1))
        return admitted

    limit = {"id": "bucket", "type": "rate_limit", "rate": "4/200ms"}
    fleets = [
        {"name": name, "count": 1, "steps": [{"task": "work", "duration": "0s", "cost": cost}]}
        for name, cost in {"holder": 4, "large": 3, "small": 1}.items()
    ]
    assert asyncio.run(fleet()) == tried([limit], fleets) == ["small", "large"]
    assert tried([{**limit, "admission": "strict"}], fleets) == ["large", "small"]


def test_aiolimiter_lets_a_newcomer_pass_whose_loop_was_late_and_the_simulator_does_not():
    async def fleet() -> list[str]:
        limiter, admitted = aiolimiter.AsyncLimiter(1, time_period=0.02), []

        async def agent(name: str) -> None:
            await limiter.acquire()
            admitted.append(name)

        await limiter.acquire()
        waits = asyncio.create_task(agent("waits"))
        await asyncio.sleep(0)
        time.sleep(0.03)  # the loop is held up: a request has been earned, and nobody was woken for it
        await agent("newcomer")
        await waits
        return admitted

    assert asyncio.run(fleet()) == ["newcomer", "waits"]
    assert one_after_the_other({"id": "bucket", "type": "rate_limit", "rate": "1/s"}) == ["waits", "newcomer"]
