"""The functions of `model.elementary`: as accurate as they say, and the same bits everywhere.

Run as a program, this file prints the digest of their values over a fixed grid.
"""

import hashlib
import math
import os
import subprocess
import sys
from decimal import Context, Decimal
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from model import elementary

TINIEST, SMALLEST, LARGEST = 5e-324, 2.0**-1022, sys.float_info.max
U_MIN, U_MAX = 2.0**-54, 1.0 - 2.0**-53
SHAPES = (0.01, 0.013, 0.05, 0.2, 0.49, 0.5, 0.7, 1.0, 1.5, 2.0, 3.3, 8.0, 30.0, 150.0, 1000.0, 10_000.0)
PINNED = "14e0b08ebdfdbade7692cfdb302d68ed45d743b77d162fc81a525f5df9fc340b"


def grid() -> np.ndarray:
    """Numbers in (0, 1), built by exact operations only: evenly spaced, and towards both ends."""
    even = np.arange(1, 2048) / 2048
    ends = np.ldexp(1.0, -np.arange(2, 54)), np.ldexp(np.arange(33, 64) / 64, -20), [U_MIN]
    near_zero = np.concatenate(ends)
    return np.unique(np.concatenate([near_zero, even, 1.0 - near_zero[near_zero >= 2.0**-53], [U_MAX]]))


def digest() -> str:
    u = grid()
    parts = [
        elementary.log(u),
        elementary.log(u * 2.0**62),
        elementary.log(u * 2.0**-1020),
        elementary.exp(1500.0 * (u - 0.5)),
        elementary.exp(u - 0.5),
        elementary.power(u, -1.7),
        elementary.normal_quantile(u),
        *(elementary.gamma_quantile(shape, u) for shape in SHAPES),
    ]
    return hashlib.sha256(b"".join(part.astype("<f8").tobytes() for part in parts)).hexdigest()


def of(function, x: float) -> float:
    return float(function(np.array([x]))[0])


def ulps(value: float, exact: Decimal) -> float:
    return abs(float((Decimal(value) - exact) / Decimal(math.ulp(value))))


class TestLog:
    @pytest.mark.parametrize(
        ("low", "high"),
        [
            (TINIEST, SMALLEST),
            (1e-300, 1e-290),
            (1e-17, 1e-3),
            (0.01, 0.99),
            (0.9999, 1.0001),
            (1.0, 2.0),
            (1e9, 2.0**62),
        ],
    )
    def test_error_is_below_0_9_ulp(self, low, high):
        context = Context(prec=40)
        x = np.append(low + (high - low) * grid()[::5], [low, high])
        worst = max(ulps(y, context.ln(Decimal(v))) for v, y in zip(x, elementary.log(x), strict=True) if v != 1.0)
        assert worst < 0.9

    @given(st.floats(min_value=TINIEST, max_value=LARGEST))
    def test_agrees_with_the_mathematics_library_to_an_ulp(self, x):
        assert abs(of(elementary.log, x) - math.log(x)) <= math.ulp(math.log(x))

    def test_is_exact_at_1(self):
        assert of(elementary.log, 1.0) == 0.0

    @pytest.mark.parametrize("x", [0.0, -0.0, -1.0, math.inf, math.nan])
    def test_refuses_what_has_no_finite_logarithm(self, x):
        with pytest.raises(ValueError, match="is not above 0 and finite; allowed: positive numbers"):
            elementary.log(np.array([1.0, x, 2.0]))


class TestExp:
    @pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-1e-9, 1e-9), (-40.0, 40.0), (-708.0, 709.78)])
    def test_error_is_below_0_9_ulp(self, low, high):
        context = Context(prec=40)
        x = low + (high - low) * grid()[::5]
        assert max(ulps(y, context.exp(Decimal(v))) for v, y in zip(x, elementary.exp(x), strict=True)) < 0.9

    @given(st.floats(min_value=-800, max_value=709.78))
    def test_agrees_with_the_mathematics_library_to_an_ulp(self, x):
        assert abs(of(elementary.exp, x) - math.exp(x)) <= math.ulp(math.exp(x))

    def test_fades_to_0_and_grows_to_infinity_in_silence(self):
        x = np.array([-math.inf, -1e308, -746.0, -745.0, 0.0, -0.0, 709.0, 710.0, 1e308, math.inf])
        with np.errstate(all="raise"):
            y = elementary.exp(x)
        assert y.tolist() == [0.0, 0.0, 0.0, TINIEST, 1.0, 1.0, math.exp(709.0), math.inf, math.inf, math.inf]

    def test_refuses_what_is_no_number(self):
        with pytest.raises(ValueError, match="is not a number; allowed: numbers"):
            elementary.exp(np.array([1.0, math.nan]))


class TestPower:
    @pytest.mark.parametrize("exponent", [-20.0, -1.0, 0.01, 0.5, 1.0, 3.0, 20.0])
    def test_relative_error_is_that_of_the_logarithm(self, exponent):
        x = np.concatenate([grid(), 37.0 * grid()])
        with np.errstate(over="ignore"):
            expected = np.power(x, exponent)
        values, finite = elementary.power(x, exponent), np.isfinite(expected)
        assert (values[~finite] == math.inf).all()
        error = np.abs(values[finite] - expected[finite])
        allowed = 3e-16 * (1.0 + np.abs(exponent * np.log(x[finite])))
        assert (error <= allowed * expected[finite] + TINIEST).all()

    def test_of_0_is_1(self):
        assert (elementary.power(grid(), 0.0) == 1.0).all()


class TestNormalQuantile:
    def test_agrees_with_two_other_implementations(self):
        u = grid()
        z = elementary.normal_quantile(u)
        assert z == pytest.approx([NormalDist().inv_cdf(v) for v in u], rel=2e-15, abs=0)
        assert z == pytest.approx(special.ndtri(u), rel=4e-15, abs=0)

    @given(st.integers(min_value=1, max_value=2**53 - 1))
    def test_is_odd_around_the_median(self, numerator):
        u = numerator * 2.0**-53
        assert of(elementary.normal_quantile, u) == -of(elementary.normal_quantile, 1.0 - u)

    def test_is_0_at_the_median(self):
        assert of(elementary.normal_quantile, 0.5) == 0.0

    @pytest.mark.parametrize("u", [0.0, 1.0, -0.5, 1.5, math.nan])
    def test_refuses_what_is_no_probability_inside(self, u):
        with pytest.raises(ValueError, match=r"not inside \(0, 1\); allowed: above 0 and below 1"):
            elementary.normal_quantile(np.array([0.5, u]))


class TestGammaQuantile:
    @pytest.mark.parametrize("shape", [*SHAPES, *10.0 ** np.linspace(-1.99, 3.99, 25)])
    def test_relative_error_against_scipy(self, shape):
        u = grid()
        expected = np.where(u < 0.5, special.gammaincinv(shape, u), special.gammainccinv(shape, 1.0 - u))
        sound = expected > 1e-300
        assert elementary.gamma_quantile(shape, u)[sound] == pytest.approx(expected[sound], rel=1e-12, abs=0)

    @given(
        st.floats(min_value=-2, max_value=4).map(lambda exponent: min(max(10.0**exponent, 0.01), 10_000.0)),
        st.floats(min_value=U_MIN, max_value=U_MAX) | st.floats(min_value=-54, max_value=-1).map(lambda e: 2.0**e),
    )
    def test_takes_any_shape_and_any_probability(self, shape, u):
        value = of(lambda block: elementary.gamma_quantile(shape, block), u)
        expected = special.gammaincinv(shape, u) if u < 0.5 else special.gammainccinv(shape, 1.0 - u)
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-300)

    def test_is_the_exponential_quantile_for_shape_1(self):
        u = grid()
        assert elementary.gamma_quantile(1.0, u) == pytest.approx([-math.log1p(-v) for v in u], rel=2e-14, abs=0)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_needs_fewer_steps_than_it_may_take(self, shape, monkeypatch):
        at_most_six = elementary.gamma_quantile(shape, grid())
        monkeypatch.setattr(elementary, "_STEPS_MAX", 4)
        assert (elementary.gamma_quantile(shape, grid()) == at_most_six).all()

    def test_fades_to_0_in_silence(self):
        with np.errstate(all="raise"):
            values = elementary.gamma_quantile(0.01, grid())
        assert values[0] == 0.0
        assert (np.diff(values) >= 0.0).all()

    @pytest.mark.parametrize("shape", [0.0, 0.0099, 10_001.0, math.inf, math.nan])
    def test_refuses_other_shapes(self, shape):
        with pytest.raises(ValueError, match=rf"shape {shape} is out of range; allowed: 0.01 to 10000"):
            elementary.gamma_quantile(shape, np.array([0.5]))

    @pytest.mark.parametrize("u", [0.0, 1.0, -0.5, 1.5, math.nan])
    @pytest.mark.parametrize("shape", [0.1, 5.0])
    def test_refuses_what_is_no_probability_inside(self, shape, u):
        with pytest.raises(ValueError, match=r"not inside \(0, 1\); allowed: above 0 and below 1"):
            elementary.gamma_quantile(shape, np.array([0.5, u]))


FUNCTIONS = {
    "log": elementary.log,
    "exp": elementary.exp,
    "power": lambda x: elementary.power(x, 1.7),
    "normal_quantile": elementary.normal_quantile,
    **{f"gamma_quantile {shape}": lambda x, shape=shape: elementary.gamma_quantile(shape, x) for shape in SHAPES},
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
class TestEveryFunction:
    def test_rises(self, function):
        values = function(np.arange(1, 4000) / 4000)
        assert (np.diff(values[values != 0.0]) > 0.0).all()

    def test_an_element_does_not_depend_on_its_neighbours(self, function):
        u = grid()
        together = function(u)
        order = np.argsort(np.arange(u.size) * 0.6180339887498949 % 1.0)
        assert (function(u[order]) == together[order]).all()
        assert [of(function, v) for v in u[::40]] == together[::40].tolist()

    def test_many_blocks_give_what_one_gives(self, function, monkeypatch):
        u = grid()
        together = function(u)
        monkeypatch.setattr(elementary, "_BLOCK", 100)
        assert (function(u) == together).all()

    def test_keeps_the_form_and_the_argument(self, function):
        u = grid()[:2000].reshape(4, 10, 50)
        before = u.copy()
        assert (function(u) == function(u.reshape(-1)).reshape(u.shape)).all()
        assert (function(u[:, ::3, ::-1]) == function(u)[:, ::3, ::-1]).all()
        assert function(u[:, :0]).shape == (4, 0, 50)
        assert (u == before).all()


def simd_features() -> list[str]:
    """The variants of its loops that this NumPy chooses from on this processor."""
    return list(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))


class TestBits:
    def test_are_the_pinned_ones(self):
        assert digest() == PINNED

    def test_are_the_same_without_simd_variants(self):
        features = simd_features()
        if not features:
            pytest.skip("this NumPy has no variants of its loops for this processor")
        path = os.pathsep.join([str(Path(elementary.__file__).parents[1]), *sys.path])
        environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(features), "PYTHONPATH": path}
        command = [sys.executable, __file__]
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
        assert output == ["features:", "digest:", PINNED]


if __name__ == "__main__":
    print("features:", *simd_features())
    print("digest:", digest())
