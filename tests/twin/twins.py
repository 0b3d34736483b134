"""The scenarios that have a real twin, how late a wait may be in each of them, and how each is told from a wrong one."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.runs import scenario

from .fleets import FixedDelay, Fleet, Limited, Memory, Nested, Patient, Resized, RetryAfter, Semaphores
from .lateness import Settled

Data = dict[str, Any]


@dataclass(frozen=True)
class Twin:
    """A scenario and the real fleet that it describes."""

    name: str
    fleet: type[Fleet]
    data: Data
    margin: float
    """How many seconds late a single wait (with its call) may be while all that is promised is settled."""
    promised: Mapping[str, float]
    """How much of each kind of fact is settled, at least."""
    wrong: Sequence[tuple[str, str, Any]]
    """Changes that have to be told from reality: which kind of fact tells it, the path of the value, and the new value."""

    @cached_property
    def settled(self) -> Settled:
        """What is compared."""
        return Settled(self.data, self.margin, calls=int(self.fleet.call is not None or hasattr(self.fleet, "limiter")))


def changed(data: Data, path: str, value: Any) -> Data:
    """Return the scenario with another value at a path such as `constraints.0.limit`."""
    copy = deepcopy(data)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = copy
    for part in way:
        place = place[part]
    place[last] = value
    return copy


def grid(*milliseconds: int) -> Data:
    """One of these durations, each as likely as the others."""
    return {"mixture": [{"weight": 1, "value": f"{each}ms"} for each in milliseconds]}


def at(*milliseconds: float) -> Data:
    """Arrivals at these times."""
    return {"at": [f"{each:g}ms" for each in milliseconds]}


def every(ms: float, count: int, start: float = 0) -> Data:
    """So many arrivals, one after the other."""
    return at(*(start + number * ms for number in range(count)))


SEMAPHORES = Twin(
    "semaphores",
    Semaphores,
    scenario(
        seed=1,
        until=None,
        constraints=[
            {"id": "calls", "type": "concurrency", "limit": 24, "scope": "task:*_ask"},
            {"id": "sandboxes", "type": "concurrency", "limit": 16, "scope": "task:*_test"},
        ],
        fleets=[
            {
                "name": "agent",
                "count": 200,
                "stagger": "1ms",
                "steps": [
                    {"task": "ask", "duration": grid(200, 250, 300)},
                    {"think": "100ms"},
                    {"task": "test", "duration": grid(150, 200, 250)},
                ],
            }
        ],
    ),
    0.02, {}, (),
)

NESTED = Twin(
    "nested",
    Nested,
    scenario(
        seed=1,
        until=None,
        constraints=[
            {"id": "machines", "type": "concurrency", "limit": 30, "scope": "global"},
            {"id": "gpus", "type": "concurrency", "limit": 8, "scope": "fleet:trainer"},
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
    0.02, {}, (),
)

PATIENT = Twin(
    "patient",
    Patient,
    scenario(
        seed=1,
        until=None,
        constraints=[{"id": "slots", "type": "concurrency", "limit": 20}],
        arrivals=at(*(burst + number for burst in (0, 1200, 2400) for number in range(80))),
        steps=[{"task": "call", "duration": grid(290, 300, 310), "patience": "700ms"}],
    ),
    0.02, {}, (),
)

MEMORY = Twin(
    "memory",
    Memory,
    scenario(
        seed=1,
        until=None,
        constraints=[{"id": "memory", "type": "resource", "capacity": 256, "scope": None}],
        arrivals=every(1, 200),
        steps=[
            {
                "task": "run",
                "duration": grid(250, 350, 450),
                "needs": {"memory": {"mixture": [{"weight": 3, "value": 4}, {"weight": 1, "value": 32}]}},
            }
        ],
    ),
    0.02, {}, (),
)

RESIZED = Twin(
    "resized",
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
    0.02, {}, (),
)

LIMITED = Twin(
    "limited",
    Limited,
    scenario(
        seed=1,
        until=None,
        constraints=[{"id": "requests", "type": "rate_limit", "rate": "120/4s"}],
        arrivals=at(*(number / 10 for number in range(180)), *(2516 + number / 10 for number in range(50))),
        steps=[{"task": "request", "duration": grid(100, 200)}],
    ),
    0.014, {}, (),
)

FIXED_DELAY = Twin(
    "fixed_delay",
    FixedDelay,
    scenario(
        seed=1,
        until=None,
        constraints=[{"id": "bucket", "type": "rate_limit", "rate": "5/s", "burst": 88, "on_limit": "reject"}],
        arrivals=at(*(200 * pulse + 10 + 5 * number for pulse in range(3) for number in range(30)), *(200 * pulse + after for pulse in range(3, 10) for after in ([40] if pulse in (3, 4, 6, 7) else []) + [75, *range(120, 150, 4)])),
        steps=[{"task": "ask", "duration": grid(100, 200), "retry": {"max_attempts": 3, "delay": "0.615s", "retry_after": False}}],
    ),
    0.02, {}, (),
)

RETRY_AFTER = Twin(
    "retry_after",
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
        arrivals=at(*(window + after for window in (0, 1000) for after in [*range(50, 350, 4), *range(450, 850, 16)])),
        steps=[{"task": "ask", "duration": grid(100, 200), "retry": {"max_attempts": 2, "delay": "0s"}}],
    ),
    0.02, {}, (),
)

TWINS = [SEMAPHORES, NESTED, PATIENT, MEMORY, RESIZED, LIMITED, FIXED_DELAY, RETRY_AFTER]
