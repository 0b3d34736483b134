"""The constraint types: one module each, all listed here and nowhere else."""

from sim.constraints.base import GlobalConstraint
from sim.constraints.concurrency import Concurrency
from sim.constraints.pause import Pause
from sim.constraints.rate_limit import RateLimit

__all__ = ["TYPES", "GlobalConstraint"]

TYPES: dict[str, type[GlobalConstraint]] = {kind.type: kind for kind in (Concurrency, RateLimit, Pause)}
"""Every constraint type by the name that the scenario gives it."""
