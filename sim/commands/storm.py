"""`python -m sim storm`: what an incident leaves behind, and what would help."""

import json
from typing import Annotated

from typer import Option

from model.faults import BadInput, did_you_mean
from model.program import DONE
from sim.commands.files import AsJson, Overrides, Scenario, load


def storm(
    scenario: Scenario,
    incident: Annotated[
        str | None, Option(help="The incident; where there is one only, that one.", show_default=False)
    ] = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> int:
    """Say what an incident leaves behind, what tips the fleet over, and which retries would have helped."""
    from model.plan import PlanError
    from sim import display
    from sim import storm as storming

    loaded = load(scenario, set_ or [])
    known = [row.id for row in loaded.scenario.incidents]
    if not known:
        raise BadInput(f"{scenario}: nothing goes wrong in it; allowed: a scenario with incidents")
    if incident is None and len(known) > 1:
        raise BadInput(f"--incident: missing, and there are several; allowed: {', '.join(known)}")
    name = known[0] if incident is None else incident
    if name not in known:
        raise BadInput(
            f"--incident: no incident is called {name!r}{did_you_mean(name, known)}; allowed: {', '.join(known)}"
        )
    try:
        with display.counting_runs() as tell:
            result = storming.in_processes(loaded, name, tell)
    except PlanError as error:
        raise BadInput(f"{scenario}: {error}") from None
    if as_json:
        print(json.dumps(result))
    else:
        display.storm(display.console(), result)
    return DONE
