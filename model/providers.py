"""The limits of providers, as they publish them: a `preset` in a scenario stands for several constraints.

Rules:

1. The presets are data (`providers.yaml`), in the words of a scenario. Nothing else in the program knows a provider.
2. `expand` puts the constraints that the providers of a scenario stand for after those that it lists itself, so that from
   there on they are constraints like any others, and a log holds them as they were. A constraint that the scenario lists
   under the same id takes the place of the provider's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from model.faults import did_you_mean, shown
from model.limits import Scope
from model.schema import Model, Name, Positive

_FIGURES = ("rate", "limit", "total")
"""The keys of a limit that hold a figure."""


@dataclass(frozen=True, slots=True)
class Preset:
    """The limits of one tier or model; `limits` are constraints without a scope, whose ids say what they count."""

    name: str
    about: str
    source: str
    as_of: str
    limits: tuple[dict[str, Any], ...]


def _known(name: str) -> str:
    if name not in presets():
        problem = f"no preset is called {shown(name)}{did_you_mean(name, list(presets()))}"
        message = f"{problem}; allowed: what python -m sim presets lists"
        raise PydanticCustomError("preset", "{message}", {"message": message})
    return name


class Provider(Model):
    """The limits of a provider: `preset` names them, and their ids begin with `id`, by default the provider's name.

    `share` of each figure is what they have: a workspace that may use 40 % of what its organisation has says 0.4.
    """

    preset: Annotated[str, AfterValidator(_known)]
    id: Name | None = None
    scope: Scope = "global"
    share: Annotated[Positive, Field(ge=0.000_001, le=1_000_000)] = 1.0
    on_limit: Literal["block", "reject"] | None = None

    @model_validator(mode="after")
    def _check_share(self) -> Self:
        for row in presets()[self.preset].limits:
            key = next(key for key in _FIGURES if key in row)
            if str(_shared(row, key, Fraction(str(self.share)))).partition("/")[0] == "0":
                message = f"a share of {self.share:g} of {row['id']} is less than one; allowed: a share that leaves one"
                raise PydanticCustomError("share", "{message}", {"message": message})
        return self

    @property
    def prefix(self) -> str:
        """What the ids of its constraints begin with."""
        return self.id or self.preset.partition("/")[0]

    def constraints(self) -> list[dict[str, Any]]:
        """Return what it stands for, as a scenario would list it."""
        return [self._constraint(row) for row in presets()[self.preset].limits]

    def _constraint(self, row: dict[str, Any]) -> dict[str, Any]:
        shared = {key: _shared(row, key, Fraction(str(self.share))) for key in _FIGURES if key in row}
        given = {} if self.on_limit is None else {"on_limit": self.on_limit}
        return {**row, **shared, **given, "id": f"{self.prefix}_{row['id']}", "scope": self.scope}


@cache
def presets() -> dict[str, Preset]:
    """Return all presets by name."""
    from ruamel.yaml import YAML  # only where somebody names a preset

    families = YAML(typ="safe", pure=True).load(files("model").joinpath("providers.yaml").read_text("utf-8"))
    return {preset.name: preset for family in families for preset in _presets(family)}


def _presets(family: dict[str, Any]) -> Iterator[Preset]:
    for name, row in family["presets"].items():
        figures = dict(zip(family["columns"], row, strict=True))
        limits = tuple(filter(None, (_filled(limit, figures) for limit in family["limits"])))
        yield Preset(f"{family['provider']}/{name}", family["about"], family["source"], family["as_of"], limits)


def _filled(limit: dict[str, Any], figures: dict[str, int | None]) -> dict[str, Any] | None:
    """Return a limit with its figure in place of the name of a column; None where there is none."""
    key = next(key for key in _FIGURES if key in limit)
    column, slash, period = limit[key].partition("/")
    figure = figures[column]
    return None if figure is None else {**limit, key: f"{figure}/{period}" if slash else figure}


def _shared(row: dict[str, Any], key: str, share: Fraction) -> int | float | str:
    """Return a share of a figure: exact of a bucket and of a total, in whole numbers, rounded down, of all others."""
    number, slash, period = str(row[key]).partition("/")
    part = int(number) * share
    if key != "total" and row.get("algorithm", "token_bucket" if slash else "") != "token_bucket":
        part = Fraction(int(part))
    written = int(part) if part.denominator == 1 else float(part)
    return f"{written}/{period}" if slash else written


def name_providers(data: Any) -> None:
    """Give the providers of a scenario that have no id the one that their limits are called by, in place."""
    providers = data.get("providers") if isinstance(data, dict) else None
    for written in providers if isinstance(providers, list) else ():
        preset = written.get("preset") if isinstance(written, dict) and "id" not in written else None
        if isinstance(preset, str) and preset in presets():
            written["id"] = preset.partition("/")[0]


def expand(data: Any) -> list[tuple[int, dict[str, Any]]]:
    """Append to the constraints of a scenario, in place, those that its providers stand for.

    Returns them with the place of their provider in the list. What is not as it has to be is left alone: it is told when
    the scenario is validated.
    """
    if not isinstance(data, dict) or not isinstance(data.get("providers"), list):
        return []
    rows = data.setdefault("constraints", [])
    if not isinstance(rows, list):
        return []
    known = {row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)}
    added = []
    for number, written in enumerate(data["providers"]):
        try:
            provider = Provider.model_validate(written)
        except ValueError:
            continue
        new = [row for row in provider.constraints() if row["id"] not in known]
        known.update(row["id"] for row in new)
        added += [(number, row) for row in new]
    rows.extend(row for _, row in added)
    return added
