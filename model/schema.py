"""What every part of the scenario schema shares: the base model and the quantities people write.

Rules:

1. Unknown keys are refused and values are never coerced silently: a scenario means what it says or is an error.
2. A quantity is validated to the whole number it stands for and dumps back to text that reads the same.
3. Messages have two halves, "what is wrong; what is allowed"; `model.validation` puts the place in front.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from model.units import (
    AMOUNT_HINT,
    DURATION_HINT,
    PRICE_HINT,
    RATE_HINT,
    TIME_MAX_NS,
    Rate,
    UnitError,
    format_duration,
    parse_amount,
    parse_count,
    parse_duration,
    parse_price,
    parse_rate,
)

_HUGE_EXPONENT = re.compile(r"[eE][+-]?\d{3}")
_TOKENS_MAX = 2**53
_LEVEL_MAX = 4_000_000_000_000


class Model(BaseModel):
    """Base of every schema class: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Reader:
    """Reads a quantity before pydantic does; `hint` says what it accepts."""

    def __init__(self, parse: Callable[[object], Any], hint: str) -> None:
        self.parse = parse
        self.hint = hint

    def __call__(self, value: object) -> Any:
        """Return the quantity; what `parse` refuses becomes an error of pydantic."""
        try:
            return self.parse(value)
        except UnitError as error:
            raise PydanticCustomError("quantity", "{message}", {"message": str(error)}) from error


def _rate(value: object) -> Rate:
    """Return the rate that `value` stands for; raises UnitError also where its exact fraction needs numbers too large."""
    if isinstance(value, Rate):
        return value
    if isinstance(value, str) and _HUGE_EXPONENT.search(value):  # would take for ever to write out
        raise UnitError(f"{value!r} is too large or too small; allowed: {RATE_HINT}")
    rate = parse_rate(value)
    if rate.tokens > _TOKENS_MAX or rate.period_ns > TIME_MAX_NS:
        raise UnitError(f"{value!r} has too many digits to be kept exactly; allowed: {RATE_HINT}")
    return rate


def _written(value: float) -> float | int:
    return int(value) if value == int(value) else value


_QUANTITY_SCHEMA = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}

Duration = Annotated[
    int,
    BeforeValidator(Reader(parse_duration, DURATION_HINT)),
    PlainSerializer(format_duration),
    WithJsonSchema({**_QUANTITY_SCHEMA, "description": "a time: 300ms, 1.5s, 2m; a bare number is seconds"}),
]
"""A time in whole nanoseconds."""

Amount = Annotated[
    float,
    BeforeValidator(Reader(parse_amount, AMOUNT_HINT)),
    PlainSerializer(_written),
    WithJsonSchema({**_QUANTITY_SCHEMA, "description": "a number: 500, 2k, 1.5M"}),
]
"""A number of tokens, as a parameter of a distribution; what is drawn is rounded to a whole number."""

Price = Annotated[
    float,
    BeforeValidator(Reader(parse_price, PRICE_HINT)),
    WithJsonSchema({**_QUANTITY_SCHEMA, "description": "the price of one, or 3/1M: of a million"}),
]
"""What one of something costs."""

Level = Annotated[Amount, Field(le=_LEVEL_MAX)]
"""What there is of a resource or a quota. It is kept in millionths, which have to fit into a row of the log."""

Count = Annotated[
    int,
    BeforeValidator(Reader(parse_count, "a whole number of 1 or more, such as 500 or 2k")),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]}),
]
"""A whole number of 1 or more."""

RateField = Annotated[
    Rate,
    BeforeValidator(Reader(_rate, RATE_HINT)),
    PlainSerializer(str),
    WithJsonSchema({**_QUANTITY_SCHEMA, "description": "a rate: 10/s, 600/m, 40k/h, 5/200ms"}),
]
"""Tokens a period."""

WholeNumber = Annotated[int, Field(strict=True)]
"""A whole number of either sign, never read from text or from true and false."""

Flag = Annotated[bool, Field(strict=True)]
"""True or false, never read from text or a number."""

Positive = Annotated[float, Field(strict=True, gt=0, le=1e12, allow_inf_nan=False)]
"""A plain number above 0, without a unit: a shape, a weight, a coefficient of variation."""

Probability = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
"""A plain number from 0 to 1."""

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
NAME_HINT = "a letter, then letters, digits, _ and -, 64 at most"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""A name or an id: a letter, then letters, digits, `_` and `-`, 64 at most."""


def tag_of(value: object, tags: tuple[str, ...], scalar: str | None = None) -> str | None:
    """Return the key of the mapping `value` that says which member of a union it is.

    `scalar` is the tag of anything that is not a mapping. Where no key is known, the first key is returned, so that the
    error can say which word was not understood.
    """
    if isinstance(value, dict):
        return next((tag for tag in tags if tag in value), str(next(iter(value), "")) or None)
    if isinstance(value, BaseModel):
        return next((tag for tag in tags if tag in type(value).model_fields), scalar)
    return scalar
