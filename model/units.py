"""How people write times, rates and amounts, and the whole numbers they stand for.

Rules:

1. Time is a whole number of nanoseconds; a bare number is seconds.
2. Text is read as a decimal, never through binary floating point: `0.1s` is exactly 100,000,000 ns.
3. A rate is a whole number of tokens in a whole number of nanoseconds, so that it can be kept exactly.
4. Every refusal is a `UnitError` whose text has two halves, "what is wrong; what is allowed".
"""

import math
import re
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction

from model.faults import shown

MICRO = 1_000_000
"""Amounts with fractions are kept in whole millionths of a unit."""
NS_PER_SECOND = 1_000_000_000
TIME_MAX_NS = 2**62
"""No time in a scenario may be larger (146 years), so that sums of two stay inside int64."""
_LONGEST = "at most 146 years"
_AMOUNT_MOST, _COUNT_MOST = f"at most {2**62}", f"at most {2**53}"
_PLAIN = 1e-9, 1e15
"""From where to where numbers are written without an exponent."""

_NS_PER_UNIT = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_SECOND,
    "m": 60 * NS_PER_SECOND,
    "h": 3600 * NS_PER_SECOND,
    "d": 86_400 * NS_PER_SECOND,
}
_MULTIPLIERS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_DURATION = re.compile(rf"\s*({_NUMBER})\s*([a-zA-Zµ]*)\s*")
_AMOUNT = re.compile(rf"\s*({_NUMBER})\s*([a-zA-Z]*)\s*")
_RATE = re.compile(rf"\s*({_NUMBER})\s*([a-zA-Z]*)\s*/\s*([0-9.]*)\s*([a-zA-Zµ]+)\s*")

DURATION_HINT = "a time such as 300ms, 1.5s, 2m, 1h or 7d; a bare number is seconds"
RATE_HINT = "a rate such as 10/s, 600/m, 40k/h or 5/200ms"
AMOUNT_HINT = "a number such as 500, 2k or 1.5M"
PRICE_HINT = "a price such as 0.02, or 3/1M for 3 for a million"


class UnitError(ValueError):
    """A text or number that does not stand for the quantity asked for."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`tokens` earned every `period_ns` nanoseconds, both whole; `depth` is the default depth of a bucket."""

    tokens: int
    period_ns: int
    depth: int
    written: str = field(default="", compare=False)

    def __str__(self) -> str:
        if self.depth == self.tokens:
            return f"{self.tokens}/{format_duration(self.period_ns)}"
        # A fraction of tokens: the same rate and depth come back only from the fraction itself.
        return self.written


def parse_duration(value: object) -> int:
    """Return the nanoseconds that `value` stands for, rounded to the nearest (ties to even).

    Raises UnitError when `value` is no time, is negative, is not finite, or is over `TIME_MAX_NS`.
    """
    too_long = f"{shown(value)} is too long; allowed: {_LONGEST}"
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise UnitError(f"{shown(value)} is not a time; allowed: {DURATION_HINT}")
        number, unit = match.groups()
        if unit and unit not in _NS_PER_UNIT:
            raise UnitError(f"unknown unit {shown(unit)} in {shown(value)}; allowed: {', '.join(_NS_PER_UNIT)}")
        quantity = _decimal(number, too_long) * _NS_PER_UNIT[unit or "s"]
    else:
        quantity = _number(value, DURATION_HINT, too_long) * NS_PER_SECOND
    if quantity < 0:
        raise UnitError(f"{shown(value)} is negative; allowed: 0 or a positive time")
    if quantity > TIME_MAX_NS:
        raise UnitError(too_long)
    return int(quantity.to_integral_value(ROUND_HALF_EVEN))


def parse_amount(value: object) -> float:
    """Return the number of tokens or slots that `value` stands for (not rounded).

    Raises UnitError when `value` is no number, is negative or is not finite.
    """
    amount = _amount(value, AMOUNT_HINT)
    if amount < 0:
        raise UnitError(f"{shown(value)} is negative; allowed: 0 or a positive number")
    return float(amount)


def parse_price(value: object) -> float:
    """Return the price of one of something: a number, or `3/1M` for 3 for a million of them.

    Raises UnitError when `value` is neither, or is negative.
    """
    price, slash, many = value.partition("/") if isinstance(value, str) else (value, "", "")
    divisor = _amount(many, PRICE_HINT) if slash else Decimal(1)
    if divisor <= 0:
        raise UnitError(f"{shown(value)} is the price of nothing; allowed: {PRICE_HINT}")
    quotient = _amount(price, PRICE_HINT) / divisor
    if quotient < 0:
        raise UnitError(f"{shown(value)} is negative; allowed: {PRICE_HINT}")
    return float(quotient)


def parse_count(value: object) -> int:
    """Return the whole number, 1 or more, that `value` stands for; raises UnitError otherwise."""
    amount = _amount(value, "a whole number of 1 or more, such as 500 or 2k", _COUNT_MOST)
    if amount != amount.to_integral_value() or amount < 1:
        raise UnitError(f"{shown(value)} is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ...")
    if amount > 2**53:
        raise UnitError(f"{shown(value)} is too large; allowed: {_COUNT_MOST}")
    return int(amount)


def parse_rate(value: object) -> Rate:
    """Return the rate that `value` stands for; a bare number is tokens a second.

    Raises UnitError when `value` is no rate, has an unknown unit, or is 0 or below.
    """
    too_large = f"{shown(value)} is too large; allowed: {_COUNT_MOST} tokens in 146 years"
    if not isinstance(value, str):
        number, multiplier, count, unit = str(_number(value, RATE_HINT, too_large)), "", "", "s"
    elif match := _RATE.fullmatch(value):
        number, multiplier, count, unit = match.groups()
    elif re.fullmatch(_NUMBER, value.strip()):
        number, multiplier, count, unit = value.strip(), "", "", "s"
    else:
        raise UnitError(f"{shown(value)} is not a rate; allowed: {RATE_HINT}")
    if multiplier not in _MULTIPLIERS:
        raise UnitError(f"unknown multiplier {shown(multiplier)} in {shown(value)}; allowed: k, M, G")
    if unit not in _NS_PER_UNIT:
        raise UnitError(f"unknown unit {shown(unit)} in {shown(value)}; allowed: {', '.join(_NS_PER_UNIT)}")
    tokens = _decimal(number, too_large) * _MULTIPLIERS[multiplier]
    period = _decimal(count or "1", too_large) * _NS_PER_UNIT[unit]
    if not tokens.is_finite() or tokens <= 0 or period <= 0:
        raise UnitError(f"{shown(value)} is not above 0; allowed: {RATE_HINT}")
    if period > TIME_MAX_NS or tokens > 2**53:
        raise UnitError(too_large)
    per_period = Fraction(tokens) / Fraction(period)
    whole_ns = Fraction(period).denominator == 1 and Fraction(tokens).denominator == 1
    # 0.5/s is kept as one token in two seconds: the fraction in lowest terms is whole in both halves.
    if whole_ns:
        return Rate(int(tokens), int(period), int(tokens))
    return Rate(per_period.numerator, per_period.denominator, max(1, math.ceil(tokens)), str(value))


def format_duration(ns: int) -> str:
    """Write a time so that `parse_duration` reads the same nanoseconds back: `1.5s`, `300ms`, `7d`."""
    if ns == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if ns % _NS_PER_UNIT[unit] == 0:
            return f"{ns // _NS_PER_UNIT[unit]}{unit}"
    unit = next(unit for unit in ("s", "ms", "us", "ns") if ns >= _NS_PER_UNIT[unit])
    return f"{(Decimal(ns) / _NS_PER_UNIT[unit]).normalize():f}{unit}"


def counted(count: int, one: str, several: str | None = None) -> str:
    """Write how many of something there are: 1 agent, 2 agents. What the rest of the sentence does goes along in both."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def format_number(value: float, digits: int = 12) -> str:
    """Write a number to so many digits, and to all that it has before the point: 2,000,000, and not 2e+06.

    There is an exponent only where there would be more than fifteen digits before the point, or nine zeros after it.
    """
    if value and not _PLAIN[0] <= abs(value) < _PLAIN[1]:
        return f"{value:,.{digits}g}"
    return f"{Decimal(f'{value:.{max(digits, len(str(int(abs(value)))))}g}'):,f}"


def _amount(value: object, hint: str, most: str = _AMOUNT_MOST) -> Decimal:
    too_large = f"{shown(value)} is too large; allowed: {most}"
    if not isinstance(value, str):
        return _number(value, hint, too_large)
    match = _AMOUNT.fullmatch(value)
    if match is None:
        raise UnitError(f"{shown(value)} is not a number; allowed: {hint}")
    number, multiplier = match.groups()
    if multiplier not in _MULTIPLIERS:
        raise UnitError(f"unknown multiplier {shown(multiplier)} in {shown(value)}; allowed: k, M, G")
    return _decimal(number, too_large) * _MULTIPLIERS[multiplier]


def _number(value: object, hint: str, too_large: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnitError(f"{_kind(value)} is not allowed here; allowed: {hint}")
    if isinstance(value, int) and abs(value) >= 10**40:  # not repeated: it may have thousands of digits
        raise UnitError(f"a number that is too large; allowed: {hint}")
    if not math.isfinite(value):
        raise UnitError(f"{value} is not a finite number; allowed: {hint}")
    # repr, not the binary value: a person who writes 0.1 means one tenth.
    return _decimal(repr(value), too_large)


def _decimal(text: str, too_large: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of a score of digits
        number = Decimal(0) if "e-" in text.lower() else Decimal("1e99")
    if number and number.adjusted() > 40:
        raise UnitError(too_large)
    return number


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", bool: "true or false", type(None): "an empty value"}
    return names.get(type(value), type(value).__name__)
