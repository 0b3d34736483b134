"""The scenario that a log carries."""

from pydantic import ValidationError

from model import __version__
from model.header import Header, LogError
from model.scenario import Scenario


def scenario_of(header: Header) -> Scenario:
    """Return what was run; raises LogError where it was written by a version that knew other scenarios."""
    try:
        return Scenario.model_validate(header.scenario)
    except ValidationError:
        wrote = header.versions.get("fleetsim", "another version")
        raise LogError(
            f"the scenario inside the log of {header.name} is not valid for this version, {__version__}; "
            f"allowed: fleetsim {wrote}, which wrote it"
        ) from None
