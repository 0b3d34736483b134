"""`python -m sim check`, `schema` and `presets`: what a scenario is, without running it."""

import json
from typing import Annotated

from typer import Argument

from model.faults import BadInput, did_you_mean
from model.program import DONE
from model.units import counted
from sim.commands.files import Overrides, Scenario, load


def check(scenario: Scenario, set_: Overrides = None) -> int:
    """Validate a scenario and say what it holds, without running it."""
    loaded = load(scenario, set_ or [])
    fleets, limits = len(loaded.scenario.fleets), len(loaded.scenario.constraints)
    held = [counted(fleets, "fleet"), counted(limits, "constraint")]
    if loaded.scenario.incidents:
        held.append(counted(len(loaded.scenario.incidents), "incident"))
    print(f"{scenario}: valid, {', '.join(held[:-1])} and {held[-1]}")
    return DONE


def schema() -> int:
    """Print the JSON Schema of a scenario."""
    from model.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return DONE


def presets(
    name: Annotated[
        str | None, Argument(help="A preset, such as anthropic/build/sonnet-5.", show_default=False)
    ] = None,
) -> int:
    """List the limits of providers that a scenario can name; of one of them, print the constraints it stands for."""
    from model.providers import presets as known
    from sim import display

    if name is None:
        for line in display.presets(known().values()):
            print(line)
    elif name not in known():
        alike = [each for each in known() if each.startswith(name)]
        allowed = ", ".join(alike) or "one that python -m sim presets lists"
        raise BadInput(f"no preset is called {name!r}{did_you_mean(name, list(known()))}; allowed: {allowed}")
    else:
        print(display.preset(known()[name]))
    return DONE
