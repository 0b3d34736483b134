"""The constraint types: one module each, all listed here and nowhere else."""

from sim.constraints.adaptive import Adaptive
from sim.constraints.base import GlobalConstraint
from sim.constraints.circuit_breaker import CircuitBreaker
from sim.constraints.concurrency import Concurrency
from sim.constraints.incident import Incident
from sim.constraints.pause import Pause
from sim.constraints.processor_sharing import ProcessorSharing
from sim.constraints.rate_limit import RateLimit
from sim.constraints.resource import Resource
from sim.constraints.windows import FixedWindow, Quota, Ramp, SlidingWindow

__all__ = ["TYPES", "GlobalConstraint"]

TYPES: dict[str, type[GlobalConstraint]] = {
    kind.type: kind
    for kind in (
        Concurrency,
        ProcessorSharing,
        Adaptive,
        Resource,
        RateLimit,
        FixedWindow,
        SlidingWindow,
        Ramp,
        Quota,
        CircuitBreaker,
        Pause,
        Incident,
    )
}
"""Every constraint type by the name that the Plan gives its behaviour."""
