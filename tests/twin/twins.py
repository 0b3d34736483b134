"""The scenarios that have a real twin, how late a wait may be in each of them, and how each is told from a wrong one."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.runs import run, scenario

from .fleets import FixedDelay, Fleet, Limited, Memory, Nested, Patient, Resized, RetryAfter, Semaphores
from .records import Records, simulated
from .settled import Settled

Data = dict[str, Any]


@dataclass(frozen=True)
class Twin:
    """A scenario and the real fleet that it describes."""

    fleet: type[Fleet]
    data: Data
    margin: float
    """How many seconds late a single wait (with its call) may be."""
    promised: Mapping[str, float]
    """How much of each kind of fact is compared on a clock that is so noisy, at least."""
    wrong: Sequence[tuple[str, str, Any]]
    """Changes that are told from reality: the kind of fact that tells it, the path of a value, the new value."""

    @property
    def name(self) -> str:
        """What the twin is called: as its real fleet."""
        return self.fleet.__name__

    @cached_property
    def settled(self) -> Settled:
        """What is compared."""
        return Settled(self.data, self.margin, int(self.fleet.served))

    def changed(self, path: str, value: Any) -> Records:
        """What the scenario says with another value at a path such as `constraints.0.limit`."""
        data = deepcopy(self.data)
        place: Any = data if path.startswith(("constraints", "fleets")) else data["fleets"][0]
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in way:
            place = place[part]
        place[last] = value
        return simulated(run(data))


def grid(*milliseconds: int) -> Data:
    """One of these durations, each as likely as the others."""
    return {"mixture": [{"weight": 1, "value": f"{each}ms"} for each in milliseconds]}


def at(*milliseconds: float) -> Data:
    """Arrivals at these times."""
    return {"at": [f"{each:g}ms" for each in milliseconds]}


def every(ms: float, count: int, start: float = 0) -> Data:
    """So many arrivals, one after the other."""
    return at(*(start + number * ms for number in range(count)))


def _pulses() -> Data:
    """Three pulses empty the bucket; then there is one token in each, for one client that is early, or one that is second.

    A crowd comes too late in each pulse, and so does every time that it comes back. A second client that was refused comes
    back when nobody is early.
    """
    first = [200 * pulse + 10 + 5 * number for pulse in range(3) for number in range(30)]
    early = [200 * pulse + 40 for pulse in (3, 4, 6, 7, 11, 12, 13, 14)]
    second = [200 * pulse + 75 for pulse in (5, 6, 7, 8)]
    crowd = [200 * pulse + at for pulse in range(3, 9) for at in range(120, 150, 4)]
    return at(*sorted([*first, *early, *second, *crowd]))


SEMAPHORES = Twin(
    Semaphores,
    scenario(
        seed=1,
        until=None,
        constraints=[
            {"id": "calls", "type": "concurrency", "limit": 24, "scope": "task:*_ask"},
            {"id": "sandboxes", "type": "concurrency", "limit": 16, "scope": "task:*_test"},
        ],
        count=200,
        stagger="1ms",
        steps=[
            {"task": "ask", "duration": grid(200, 250, 300)},
            {"think": "100ms"},
            {"task": "test", "duration": "200ms"},
        ],
    ),
    margin=0.04,
    promised={"outcomes": 1, "waits": 0.5, "order": 0.85, "instants": 0.65, "admissions": 1},
    wrong=[
        ("waits", "constraints.0.limit", 25),
        ("waits", "constraints.0.limit", 23),
        ("order", "constraints.0.queue", "lifo"),
        ("order", "constraints.1.queue", "lifo"),
        ("admissions", "constraints.1.limit", 20),
        ("instants", "steps.1.think", "200ms"),
    ],
)

NESTED = Twin(
    Nested,
    scenario(
        seed=1,
        until=None,
        constraints=[
            {"id": "machines", "type": "concurrency", "limit": 30, "scope": "global"},
            {"id": "gpus", "type": "concurrency", "limit": 6, "scope": "fleet:trainer"},
        ],
        fleets=[
            {
                "name": "trainer",
                "arrivals": every(3, 60),
                "steps": [{"task": "train", "duration": grid(250, 300, 350), "acquire": ["machines", "gpus"]}],
            },
            {
                "name": "builder",
                "arrivals": every(1, 140, 0.5),
                "steps": [{"task": "build", "duration": grid(200, 300, 400)}],
            },
        ],
    ),
    margin=0.04,
    promised={"outcomes": 1, "waits": 1, "order": 1, "instants": 1, "admissions": 1},
    wrong=[
        ("waits", "constraints.0.limit", 29),
        ("order", "constraints.0.queue", "lifo"),
        ("waits", "constraints.1.limit", 7),
        ("waits", "fleets.0.steps.0.acquire", "atomic"),
        ("waits", "fleets.0.steps.0.acquire", ["gpus", "machines"]),
    ],
)

PATIENT = Twin(
    Patient,
    scenario(
        seed=1,
        until=None,
        constraints=[{"id": "slots", "type": "concurrency", "limit": 20}],
        arrivals=at(*(burst + number / 4 for burst in (0, 1100) for number in range(100))),
        steps=[{"task": "call", "duration": grid(295, 300, 305), "patience": "795ms"}],
    ),
    margin=0.03,
    promised={"outcomes": 1, "waits": 1, "order": 1, "instants": 1, "admissions": 1},
    wrong=[
        ("totals", "constraints.0.limit", 21),
        ("outcomes", "constraints.0.queue", "lifo"),
        ("outcomes", "steps.0.patience", "1.1s"),
        ("outcomes", "steps.0.patience", "400ms"),
    ],
)

MEMORY = Twin(
    Memory,
    scenario(
        seed=1,
        until=None,
        constraints=[{"id": "memory", "type": "resource", "capacity": 288, "scope": None}],
        arrivals=every(1, 200),
        steps=[
            {
                "task": "run",
                "duration": grid(250, 350, 450),
                "needs": {"memory": {"mixture": [{"weight": 3, "value": 4}, {"weight": 1, "value": 32}]}},
            }
        ],
    ),
    margin=0.03,
    promised={"outcomes": 1, "waits": 1, "order": 0.95, "instants": 1, "admissions": 1},
    wrong=[
        ("waits", "constraints.0.capacity", 292),
        ("waits", "constraints.0.capacity", 284),
        ("order", "constraints.0.admission", "strict"),
        ("order", "constraints.0.queue", "lifo"),
    ],
)

RESIZED = Twin(
    Resized,
    scenario(
        seed=1,
        until=None,
        constraints=[
            {
                "id": "workers",
                "type": "concurrency",
                "limit": 40,
                "changes": [{"at": "950ms", "limit": 10}, {"at": "1.75s", "limit": 50}],
            }
        ],
        arrivals=every(0.25, 250),
        steps=[{"task": "job", "duration": grid(200, 400)}],
    ),
    margin=0.025,
    promised={"outcomes": 1, "waits": 1, "order": 1, "instants": 0.85, "admissions": 0.8},
    wrong=[
        ("waits", "constraints.0.limit", 41),
        ("order", "constraints.0.queue", "lifo"),
        ("instants", "constraints.0.changes.0.limit", 11),
        ("instants", "constraints.0.changes.1.at", "2.15s"),
    ],
)

LIMITED = Twin(
    Limited,
    scenario(
        seed=1,
        until=None,
        constraints=[{"id": "requests", "type": "rate_limit", "rate": "120/4s"}],
        arrivals=at(*(number / 100 for number in range(150)), *(1508 + number / 100 for number in range(50))),
        steps=[{"task": "request", "duration": grid(100, 200)}],
    ),
    margin=0.015,
    promised={"outcomes": 1, "waits": 0.99, "order": 1, "instants": 1, "admissions": 1},
    wrong=[
        ("waits", "constraints.0.burst", 121),
        ("waits", "constraints.0.burst", 119),
        ("waits", "constraints.0.rate", "124/4s"),
        ("waits", "constraints.0.algorithm", "sliding_window"),
        ("order", "constraints.0.queue", "lifo"),
    ],
)

FIXED_DELAY = Twin(
    FixedDelay,
    scenario(
        seed=1,
        until=None,
        constraints=[{"id": "bucket", "type": "rate_limit", "rate": "5/s", "burst": 88, "on_limit": "reject"}],
        arrivals=_pulses(),
        steps=[
            {
                "task": "ask",
                "duration": grid(100, 200),
                "retry": {"max_attempts": 3, "delay": "0.615s", "retry_after": False},
            }
        ],
    ),
    margin=0.03,
    promised={"outcomes": 0.65, "waits": 0.85, "order": 0.7, "instants": 0.9, "admissions": 0.95},
    wrong=[
        ("totals", "constraints.0.burst", 98),
        ("totals", "constraints.0.rate", "8/s"),
        ("totals", "steps.0.retry.max_attempts", 4),
        ("outcomes", "constraints.0.on_limit", "block"),
        ("instants", "steps.0.retry.delay", "0.915s"),
        ("instants", "steps.0.retry.delay", "0.315s"),
    ],
)

RETRY_AFTER = Twin(
    RetryAfter,
    scenario(
        seed=1,
        until=None,
        constraints=[
            {
                "id": "window",
                "type": "rate_limit",
                "rate": "75/s",
                "algorithm": "fixed_window",
                "on_limit": "reject",
                "retry_after": "1s",
            }
        ],
        arrivals=at(*(window + after for window in (0, 1000) for after in (*range(50, 350, 4), *range(450, 850, 16)))),
        steps=[{"task": "ask", "duration": grid(100, 200), "retry": {"max_attempts": 2, "delay": "0s"}}],
    ),
    margin=0.04,
    promised={"outcomes": 1, "waits": 1, "order": 0.85, "instants": 1, "admissions": 1},
    wrong=[
        ("totals", "steps.0.retry.max_attempts", 3),
        ("outcomes", "constraints.0.rate", "76/s"),
        ("outcomes", "constraints.0.rate", "74/s"),
        ("outcomes", "constraints.0.algorithm", "token_bucket"),
        ("outcomes", "constraints.0.retry_after", "exact"),
        ("instants", "constraints.0.retry_after", "2s"),
    ],
)

TOGETHER = [[SEMAPHORES, NESTED, PATIENT, MEMORY, RESIZED, LIMITED], [FIXED_DELAY], [RETRY_AFTER]]
"""Those of one list run in one loop: they hardly disturb each other, and how much they do is measured."""
TWINS = [twin for group in TOGETHER for twin in group]
