"""The JSON Schema of a scenario file, for editors and other tools."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from model.scenario import Scenario


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a scenario file."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    names = {name: _readable(definition["title"]) for name, definition in schema["$defs"].items()}
    assert len(set(names.values())) == len(names)
    schema = {"$schema": GenerateJsonSchema.schema_dialect, **_tidied(schema, names)}
    schema["$defs"] = {names[name]: definition for name, definition in schema["$defs"].items()}
    schema["required"].remove("name")  # a file without a name is called by its file's name
    return schema


def _readable(title: str) -> str:
    """Return what to call a class: `UniformDuration` for pydantic's `Uniform[Annotated[int, BeforeValidator, ...]]`."""
    name, _, argument = title.partition("[")
    quantity = re.search(r"\b(?:int|float)\b", argument)
    return name + ({"int": "Duration", "float": "Amount"}[quantity.group()] if quantity else "")


def _tidied(node: Any, names: Mapping[str, str]) -> Any:
    """Return a JSON Schema with readable names, and unions of which more than one member may fit, as ours may."""
    if isinstance(node, list):
        return [_tidied(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    result = {}
    for key, value in node.items():
        if key == "$ref":
            value = "#/$defs/" + names[value.removeprefix("#/$defs/")]
        elif key == "title" and isinstance(value, str):
            value = _readable(value)
        if key != "discriminator":
            result["anyOf" if key == "oneOf" else key] = _tidied(value, names)
    return result
