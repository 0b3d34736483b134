"""A biased engine fails: small faults are put into the engine, and the suite's own checks find each of them.

Rules:

1. A fault is put into the engine, never into a check. It is found when a result of the row lies outside its interval.
2. The rows are those in which a fault shows, and each replication has only a `SHARE` of its length.
3. A check that never agrees would find every mutant: the very same checks agree where no fault is put in.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from sim.constraints.concurrency import Concurrency
from sim.constraints.rate_limit import RateLimit
from sim.queues import UniformQueue
from sim.task import Task

from . import bursts
from .experiment import Verdict, compare
from .reference import cases
from .rows import BURSTS, rows

SHARE = 1 / 4


def one_slot_more(monkeypatch):
    _renumber(monkeypatch, Concurrency, "limit", 1)


def one_slot_less(monkeypatch):
    _renumber(monkeypatch, Concurrency, "limit", -1)


def one_token_less_in_the_bucket(monkeypatch):
    _renumber(monkeypatch, RateLimit, "burst", -1)


def every_twentieth_token_lost(monkeypatch):
    take, taken = RateLimit.take, []

    def mutant(self, amount):
        taken.append(amount)
        take(self, amount + (len(taken) % 20 == 0))

    monkeypatch.setattr(RateLimit, "take", mutant)


def last_come_first_served(monkeypatch):
    pop = UniformQueue.pop

    def mutant(self, free):
        return self._asked.pop() if self._asked and free >= self.least else pop(self, free)

    monkeypatch.setattr(UniformQueue, "pop", mutant)


def service_two_per_cent_long(monkeypatch):
    init = Task.__init__

    def mutant(self, *args):
        init(self, *args)
        self.durations = map(_two_per_cent_longer, self.durations)

    monkeypatch.setattr(Task, "__init__", mutant)


def _two_per_cent_longer(duration_ns: int) -> int:
    return duration_ns + duration_ns // 50


def _renumber(monkeypatch, constraint: type, number: str, by: int) -> None:
    """Let a constraint read one of its numbers wrong."""
    apply = constraint.apply

    def mutant(self, numbers):
        apply(self, None if numbers is None else {**numbers, number: numbers[number] + by})

    monkeypatch.setattr(constraint, "apply", mutant)


FOUND: list[tuple[Callable[..., None], str]] = [
    (one_slot_more, "mmc_c2_rho0.7"),
    (one_slot_less, "repair_c4_N20_Z3"),
    (one_token_less_in_the_bucket, "tokenbucket_queue_lam0.8_r1_b5"),
    (every_twentieth_token_lost, "tokenbucket_queue_lam0.8_r1_b1"),
    (last_come_first_served, "md1_rho0.5"),
    (service_two_per_cent_long, "repair_c4_N20_Z3"),
]
"""A fault, and a row in which it shows."""


def outside(name: str) -> list[Verdict]:
    row = rows()[name]
    return [verdict for verdict in compare(replace(row, length_s=row.length_s * SHARE)) if not verdict.agrees]


@pytest.mark.parametrize(("fault", "name"), FOUND)
def test_a_fault_puts_a_result_outside_its_interval(monkeypatch, fault, name):
    fault(monkeypatch)
    assert outside(name)


@pytest.mark.parametrize("name", sorted({name for _, name in FOUND}))
def test_without_a_fault_the_same_checks_agree(name):
    assert not outside(name)


@pytest.mark.parametrize("fault", [one_token_less_in_the_bucket, every_twentieth_token_lost])
def test_a_lost_token_delays_a_burst(monkeypatch, fault):
    fault(monkeypatch)
    case = cases()[BURSTS[0]]
    assert bursts.found(case) != bursts.expected(case)
