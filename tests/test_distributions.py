"""Distributions: the inverse CDFs against SciPy's, what their parameters promise, and how they are written."""

import hashlib
import math
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from model.distributions import (
    DISTRIBUTION_TAGS,
    AmountDistribution,
    DurationDistribution,
    Empirical,
    Triangular,
    Uniform,
    inverse_cdf,
    upper,
)
from model.streams import rounded
from model.units import TIME_MAX_NS

S = 1e9
PINNED = "09f5a959a475d06f871778fd6428f4d07bac9dc8a2707ebfaaf816cc897077ad"

durations = TypeAdapter(DurationDistribution)
amounts = TypeAdapter(AmountDistribution)


class Columns:
    """A table whose columns are given."""

    def __init__(self, **columns):
        self.columns = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}

    def column(self, name):
        return self.columns[name]


TABLES = {"jobs.csv": Columns(seconds=[3.0, 1.0, 2.0, 1.0], tokens=[10.0, 20.0, 0.0, 5.0])}


def grid():
    """Numbers in (0, 1), built by exact operations only."""
    ends = np.ldexp(1.0, -np.arange(10, 54))
    return np.concatenate([[2.0**-54], ends[::-1], np.arange(1, 512) / 512, 1.0 - ends])


def drawn(written, u, adapter=durations):
    return inverse_cdf(adapter.validate_python(written), TABLES)(np.asarray(u, dtype=np.float64))


def mean_and_cv(mean, cv):
    sigma = math.sqrt(math.log1p(cv * cv))
    return stats.lognorm(s=sigma, scale=mean * math.exp(-sigma * sigma / 2))


# As written; SciPy's; whether it rises with u (the others are written in terms of 1 - u); its mean.
CONTINUOUS = {
    "uniform": ({"uniform": ["0.1s", "0.3s"]}, stats.uniform(0.1 * S, 0.2 * S), True, 0.2 * S),
    "exponential": ({"exponential": "3s"}, stats.expon(scale=3 * S), False, 3 * S),
    "lognormal by median and p95": (
        {"lognormal": {"median": "2s", "p95": "8s"}},
        stats.lognorm(s=math.log(4) / stats.norm.ppf(0.95), scale=2 * S),
        True,
        2 * S * math.exp((math.log(4) / stats.norm.ppf(0.95)) ** 2 / 2),
    ),
    "lognormal by mean and cv": ({"lognormal": {"mean": "3s", "cv": 1.2}}, mean_and_cv(3 * S, 1.2), True, 3 * S),
    "gamma": ({"gamma": {"shape": 2.5, "mean": "3s"}}, stats.gamma(2.5, scale=3 * S / 2.5), True, 3 * S),
    "gamma of a small shape": ({"gamma": {"shape": 0.2, "mean": "3s"}}, stats.gamma(0.2, scale=15 * S), True, 3 * S),
    "erlang": ({"erlang": {"k": 3, "mean": "3s"}}, stats.erlang(3, scale=S), True, 3 * S),
    "weibull": (
        {"weibull": {"shape": 0.7, "scale": "2s"}},
        stats.weibull_min(0.7, scale=2 * S),
        False,
        2 * S * math.gamma(1 + 1 / 0.7),
    ),
    "pareto": (
        {"pareto": {"shape": 1.5, "minimum": "1s"}},
        stats.genpareto(1 / 1.5, loc=S, scale=S / 1.5),  # the same; old SciPy's pareto.isf goes through 1 - u
        False,
        3 * S,
    ),
    "triangular": ({"triangular": ["1s", "2s", "4s"]}, stats.triang(1 / 3, S, 3 * S), True, 7 / 3 * S),
    "triangular that only rises": ({"triangular": ["1s", "4s", "4s"]}, stats.triang(1, S, 3 * S), True, 3 * S),
    "triangular that only falls": ({"triangular": ["1s", "1s", "4s"]}, stats.triang(0, S, 3 * S), True, 2 * S),
}
WRITTEN = {
    "constant": "2s",
    **{name: written for name, (written, *_) in CONTINUOUS.items()},
    "empirical list": {"empirical": ["100ms", "400ms", "9s"]},
    "empirical column": {"empirical": {"file": "jobs.csv", "column": "seconds", "scale": "1s"}},
    "linear": {"linear": {"base": "200ms", "tokens": "20ms"}},
    "linear without a base": {"linear": {"tokens": "20ms", "seconds": "1us"}},
    "mixture": {"mixture": [{"weight": 9.0, "value": "1s"}, {"weight": 1.5, "value": {"exponential": "30s"}}]},
}


@pytest.mark.parametrize(("written", "scipy", "rises", "mean"), CONTINUOUS.values(), ids=CONTINUOUS.keys())
class TestContinuous:
    def test_agrees_with_scipy(self, written, scipy, rises, mean):
        u = grid()
        expected = scipy.ppf(u) if rises else scipy.isf(u)
        assert drawn(written, u) == pytest.approx(expected, rel=1e-12, abs=0)

    def test_has_the_mean_that_its_parameters_state(self, written, scipy, rises, mean):
        assert scipy.mean() == pytest.approx(mean, rel=1e-12)
        if "pareto" not in written:  # its tail is too heavy for a sum over a grid
            assert drawn(written, (np.arange(2**20) + 0.5) / 2**20).mean() == pytest.approx(mean, rel=1e-3)

    def test_is_monotone(self, written, scipy, rises, mean):
        steps = np.diff(drawn(written, np.arange(1, 2000) / 2000))
        assert (steps > 0).all() if rises else (steps < 0).all()

    def test_stays_between_0_and_its_upper_bound(self, written, scipy, rises, mean):
        values = drawn(written, grid())
        assert (values >= 0.0).all()
        assert (values <= upper(durations.validate_python(written))).all()

    def test_rounds_without_a_warning(self, written, scipy, rises, mean):
        with np.errstate(all="raise", under="ignore"):
            values = rounded(drawn(written, grid()))
        assert (values >= 0).all()
        assert (values <= TIME_MAX_NS).all()


class TestParameters:
    @pytest.mark.parametrize(("median", "p95"), [("2s", "8s"), ("1ns", "100d"), ("5s", "5s")])
    def test_lognormal_has_its_median_and_its_95th_percentile(self, median, p95):
        expected = [durations.validate_python(median), durations.validate_python(p95)]
        written = {"lognormal": {"median": median, "p95": p95}}
        assert drawn(written, [0.5, 0.95]) == pytest.approx(expected, rel=1e-13)

    @pytest.mark.parametrize("cv", [0.1, 1.0, 3.0])
    def test_lognormal_has_its_coefficient_of_variation(self, cv):
        oracle = mean_and_cv(3 * S, cv)
        assert oracle.std() / oracle.mean() == pytest.approx(cv, rel=1e-12)
        u = grid()
        assert drawn({"lognormal": {"mean": 3, "cv": cv}}, u) == pytest.approx(oracle.ppf(u), rel=1e-12)

    def test_erlang_is_gamma_with_a_whole_shape(self):
        u = grid()
        gamma = drawn({"gamma": {"shape": 4, "mean": 3}}, u)
        assert (drawn({"erlang": {"k": 4, "mean": 3}}, u) == gamma).all()

    def test_weibull_of_shape_1_is_exponential(self):
        u = grid()
        weibull = drawn({"weibull": {"shape": 1, "scale": 3}}, u)
        assert weibull == pytest.approx(drawn({"exponential": 3}, u), rel=1e-14)

    @pytest.mark.parametrize(
        "written", [{"exponential": 0}, {"gamma": {"shape": 0.5, "mean": 0}}, {"uniform": [0, 0]}, 0]
    )
    def test_a_mean_of_0_gives_only_0(self, written):
        assert (drawn(written, grid()) == 0.0).all()

    def test_amounts_are_in_tokens(self):
        assert drawn({"uniform": [10, "1k"]}, [0.5], amounts).tolist() == [505.0]
        assert drawn("1.5k", [0.1, 0.9], amounts).tolist() == [1500.0, 1500.0]

    def test_the_heaviest_tails_are_held_at_the_longest_time(self):
        for written in ({"pareto": {"shape": 0.05, "minimum": "1ns"}}, {"lognormal": {"median": "1ns", "p95": "146d"}}):
            values = rounded(drawn(written, grid()))
            assert values.max() == TIME_MAX_NS
            assert values.min() >= 0


quantities = st.floats(min_value=1e-3, max_value=1e18)


class TestBounds:
    @given(st.tuples(quantities, quantities, quantities).map(sorted), st.integers(min_value=0, max_value=2))
    def test_no_value_is_above_the_upper_bound(self, points, equal):
        low, mode, high = points[0], points[equal], points[2]
        for value in (Uniform[float](uniform=(low, high)), Empirical[float](empirical=[low, mode, high])):
            assert value.inverse_cdf({})(grid()).max() <= upper(value) == high
        if low < high:
            value = Triangular[float](triangular=(low, mode, high))
            assert value.inverse_cdf({})(grid()).max() <= upper(value) == high

    def test_rounding_does_not_lead_past_the_mode(self):
        high = 945.0246483046266
        value = Triangular[float](triangular=(162.5697247533182, high, high))
        assert value.inverse_cdf({})(grid()).max() <= high

    @pytest.mark.parametrize(
        ("written", "bound"),
        [
            ("2s", 2 * S),
            ({"uniform": [1, 2]}, 2 * S),
            ({"triangular": [1, 2, 3]}, 3 * S),
            ({"empirical": [1, 2, 5]}, 5 * S),
            ({"mixture": [{"weight": 1, "value": {"uniform": [1, 2]}}, {"weight": 1, "value": 7}]}, 7 * S),
            ({"mixture": [{"weight": 1, "value": {"exponential": 1}}, {"weight": 1, "value": 7}]}, math.inf),
            (WRITTEN["empirical column"], math.inf),
            (WRITTEN["linear"], math.inf),
            *((WRITTEN[name], math.inf) for name in ("exponential", "gamma", "erlang", "weibull", "pareto")),
            (WRITTEN["lognormal by mean and cv"], math.inf),
        ],
    )
    def test_the_upper_bound(self, written, bound):
        assert upper(durations.validate_python(written)) == bound


class TestEmpirical:
    def test_a_list_is_joined_by_lines(self):
        points = [0.1, 0.4, 0.4, 2.0, 9.0]
        u = grid()
        expected = np.interp(u, np.linspace(0.0, 1.0, 5), points) * S
        assert drawn({"empirical": points}, u) == pytest.approx(expected, rel=1e-12)
        assert drawn({"empirical": points}, [0.25, 0.5, 0.625]) == pytest.approx([0.4 * S, 0.4 * S, 1.2 * S], rel=1e-14)
        assert (np.diff(drawn({"empirical": points}, u)) >= 0.0).all()

    def test_each_row_of_a_column_is_equally_likely(self):
        values = drawn(WRITTEN["empirical column"], (np.arange(400) + 0.5) / 400)
        assert (np.diff(values) >= 0.0).all()
        assert np.unique(values, return_counts=True)[1].tolist() == [200, 100, 100]
        assert np.unique(values).tolist() == [1 * S, 2 * S, 3 * S]
        assert drawn(WRITTEN["empirical column"], [2.0**-54, 1.0 - 2.0**-53]).tolist() == [1 * S, 3 * S]

    def test_a_column_is_scaled(self):
        written = {"empirical": {"file": "jobs.csv", "column": "tokens", "scale": "2ms"}}
        assert drawn(written, [0.9]).tolist() == [40_000_000.0]

    def test_names_its_source(self):
        assert durations.validate_python(WRITTEN["empirical column"]).source[:2] == ("jobs.csv", "seconds")
        assert durations.validate_python(WRITTEN["empirical list"]).source is None
        assert durations.validate_python(WRITTEN["gamma"]).source is None


class TestLinear:
    def test_adds_each_column_times_its_factor(self):
        written = durations.validate_python({"linear": {"base": "200ms", "tokens": "20ms", "seconds": "1us"}})
        expected = [400_003_000.0, 600_001_000.0, 200_002_000.0, 300_001_000.0]
        assert written.of_rows(TABLES["jobs.csv"]).tolist() == expected

    def test_needs_no_base(self):
        written = amounts.validate_python({"linear": {"tokens": 0.5}})
        assert written.of_rows(TABLES["jobs.csv"]).tolist() == [5.0, 10.0, 0.0, 2.5]


class TestMixture:
    def test_chooses_by_weight(self):
        written = {"mixture": [{"weight": 9, "value": 1}, {"weight": 0.5, "value": 2}, {"weight": 0.5, "value": 3}]}
        values = drawn(written, (np.arange(1000) + 0.5) / 1000)
        assert np.unique(values, return_counts=True)[1].tolist() == [900, 50, 50]

    def test_draws_from_a_component_with_what_is_left_of_the_uniform(self):
        parts = [{"weight": 1, "value": {"uniform": [0, 1]}}, {"weight": 3, "value": {"uniform": [10, 12]}}]
        assert drawn({"mixture": parts}, [0.125, 0.25, 0.625]).tolist() == [0.5 * S, 10 * S, 11 * S]

    def test_a_component_alone_is_itself(self):
        u = grid()
        alone = drawn({"mixture": [{"weight": 0.3, "value": {"exponential": 3}}]}, u)
        assert (alone == drawn({"exponential": 3}, u)).all()

    @pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, 1e-12], [1e-12, 1.0], [1.0, 1e12, 1e-300], [0.1] * 1000])
    def test_gives_a_number_at_every_edge(self, weights):
        parts = [{"weight": weight, "value": {"gamma": {"shape": 0.5, "mean": 1}}} for weight in weights]
        edges = np.array(list(accumulate(weights))) / math.fsum(weights)
        u = np.concatenate([edges, np.nextafter(edges, 0.0), np.nextafter(edges, 1.0), grid()])
        values = drawn({"mixture": parts}, u[(u > 0.0) & (u < 1.0)])
        assert np.isfinite(values).all()
        assert (values >= 0.0).all()

    def test_adds_the_weights_in_their_order(self):
        # numpy.sum adds these in another order, which gives another last bit.
        weights = [0.1, 0.7, 0.3, 0.9, 0.2, 0.6, 0.8, 0.4, 0.11, 0.13, 0.17]
        total = list(accumulate(weights))[-1]
        parts = [{"weight": weight, "value": {"uniform": [0, 1]}} for weight in weights]
        first = weights[0] / total
        u = np.linspace(0.001, 0.02, 50)
        assert drawn({"mixture": parts}, u, amounts).tolist() == (u / first).tolist()

    def test_keeps_the_form_of_its_argument(self):
        u = grid()[:300].reshape(10, 30)
        assert (drawn(WRITTEN["mixture"], u) == drawn(WRITTEN["mixture"], u.reshape(-1)).reshape(10, 30)).all()


class TestWritten:
    @pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
    def test_reads_back_as_itself(self, written):
        value = durations.validate_python(written)
        dumped = durations.dump_python(value, mode="json", exclude_none=True)
        assert durations.validate_python(dumped) == value
        if isinstance(written, dict):
            assert value.model_dump(mode="json", exclude_none=True) == dumped
            assert dumped.keys() == written.keys()

    def test_is_written_in_the_largest_unit(self):
        value = durations.validate_python({"linear": {"base": 0.2, "tokens": "20000us"}})
        assert value.model_dump(mode="json", exclude_none=True) == {"linear": {"base": "200ms", "tokens": "20ms"}}
        value = durations.validate_python(WRITTEN["mixture"])
        assert value.model_dump(mode="json", exclude_none=True) == WRITTEN["mixture"]

    def test_amounts_read_back_as_themselves(self):
        for written in (5, 0.5, {"uniform": [1, "2k"]}, {"linear": {"tokens": 0.25}}, {"empirical": [1, 2.5]}):
            value = amounts.validate_python(written)
            assert amounts.validate_python(amounts.dump_python(value, mode="json", exclude_none=True)) == value

    def test_every_kind_is_covered_here(self):
        kinds = {next(iter(written)) for written in WRITTEN.values() if isinstance(written, dict)}
        assert kinds == set(DISTRIBUTION_TAGS)

    def test_the_bits_of_every_kind_are_pinned(self):
        u = grid()
        values = [drawn(written, u) for name, written in WRITTEN.items() if "linear" not in name]
        assert hashlib.sha256(b"".join(part.astype("<f8").tobytes() for part in values)).hexdigest() == PINNED


REFUSED = [
    ({"uniform": [2, 1]}, "LOW is above HIGH; allowed: [LOW, HIGH]"),
    ({"triangular": [1, 3, 2]}, "not in order; allowed: [LOW, MODE, HIGH] with LOW below HIGH"),
    ({"triangular": [2, 1, 3]}, "not in order; allowed: [LOW, MODE, HIGH] with LOW below HIGH"),
    ({"triangular": [1, 1, 1]}, "not in order; allowed: [LOW, MODE, HIGH] with LOW below HIGH"),
    ({"lognormal": {}}, "nothing is given; allowed: median and p95, or mean and cv"),
    ({"lognormal": {"median": 2}}, "median is given; allowed: median and p95, or mean and cv"),
    ({"lognormal": {"mean": 2, "p95": 3}}, "mean and p95 are given; allowed: median and p95, or mean and cv"),
    ({"lognormal": {"median": 0, "p95": 1}}, "the median or the mean is 0; allowed: above 0"),
    ({"lognormal": {"mean": 0, "cv": 1}}, "the median or the mean is 0; allowed: above 0"),
    ({"lognormal": {"median": 2, "p95": 1}}, "p95 is below the median; allowed: at or above it"),
    ({"pareto": {"shape": 1, "minimum": 0}}, "the minimum is 0; allowed: above 0"),
    ({"empirical": [1, 3, 2]}, "the quantiles are not in order; allowed: from the minimum to the maximum"),
    ({"linear": {"base": 1}}, "no column is named; allowed: {base: 200ms, COLUMN: 20ms}"),
    ({"exponential": -1}, "-1 is negative; allowed: 0 or a positive time"),
    (
        {"erlang": {"k": 2.5, "mean": 1}},
        "2.5 is not a whole number of 1 or more; allowed: 1, 2, 500, 2k ...",
    ),
    ({"gamma": {"shape": 0.001, "mean": 1}}, "Input should be greater than or equal to 0.01"),
    ({"gamma": {"shape": 20_000, "mean": 1}}, "Input should be less than or equal to 10000"),
    ({"erlang": {"k": 20_000, "mean": 1}}, "Input should be less than or equal to 10000"),
    ({"weibull": {"shape": 0.01, "scale": 1}}, "Input should be greater than or equal to 0.05"),
    ({"pareto": {"shape": 0.01, "minimum": 1}}, "Input should be greater than or equal to 0.05"),
    ({"mixture": [{"weight": 0, "value": 1}]}, "Input should be greater than 0"),
    ({"mixture": []}, "List should have at least 1 item after validation, not 0"),
    ({"exponential": 1, "uniform": [1, 2]}, "Extra inputs are not permitted"),
]


class TestRefused:
    @pytest.mark.parametrize(("written", "message"), REFUSED)
    def test_with_this_message(self, written, message):
        with pytest.raises(ValidationError) as caught:
            durations.validate_python(written)
        assert [error["msg"] for error in caught.value.errors()] == [message]

    @pytest.mark.parametrize(
        "written",
        [
            {"normal": 3},
            {},
            {"empirical": [1]},
            {"empirical": {"file": "jobs.csv"}},
            {"weibull": {"shape": "2", "scale": 1}},
            {"mixture": [{"weight": 1, "value": {"linear": {"tokens": 1}}}]},
            {"mixture": [{"weight": 1, "value": {"mixture": [{"weight": 1, "value": 1}]}}]},
        ],
    )
    def test_what_is_no_distribution(self, written):
        with pytest.raises(ValidationError):
            durations.validate_python(written)
