"""The random streams: every draw is a pure function, and the cache in front of it changes nothing and stays small."""

import hashlib
import math
import random
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import streams
from model.streams import DRAWS_PER_ROW, Stream, index_draws, rounded, uniforms
from model.units import TIME_MAX_NS

K = 32
NAME = "agent/work/duration"
PINNED = "68fb1baf2b5036befd0eb98f76e044dcb116dd9b1eb0a813abe7dacc7dcd0b6e"


def in_ns(u):
    return rounded(1e12 * u)


class Counting:
    """A transform that remembers the shapes that it was given."""

    def __init__(self):
        self.shapes = []

    def __call__(self, u):
        self.shapes.append(u.shape)
        return in_ns(u)

    @property
    def draws(self):
        return sum(rows * columns for rows, columns in self.shapes)


def defined(agent, count, seed=1, name=NAME):
    """The first draws of an agent, by the definition."""
    rows = [uniforms(seed, name, agent, 1, row)[0] for row in range(-(-count // K))]
    return in_ns(np.concatenate([np.empty(0), *rows]))[:count].tolist()


def drawn(stream, agent, count):
    return list(islice(stream.of(agent), count))


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 4 agents, so that a few agents fill several."""
    monkeypatch.setattr(streams, "CHUNK_DRAWS", 4 * K)


def philox(counter, key):
    """Philox-4x64-10, written from Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        product_0, product_1 = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        low = 2**64 - 1
        c = [(product_1 >> 64) ^ c[1] ^ k[0], product_1 & low, (product_0 >> 64) ^ c[3] ^ k[1], product_0 & low]
        k = [(k[0] + 0x9E3779B97F4A7C15) & low, (k[1] + 0xBB67AE8584CAA73B) & low]
    return c


# Counter, key and output, from the file kat_vectors of Random123.
KNOWN_ANSWERS = [
    (
        "0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000",
        "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b",
    ),
    (
        "ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff ffffffffffffffff",
        "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
    ),
    (
        "243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89 452821e638d01377 be5466cf34e90c6c",
        "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
    ),
]


class TestPhilox:
    @pytest.mark.parametrize(("arguments", "output"), KNOWN_ANSWERS)
    def test_known_answers(self, arguments, output):
        *counter, key_0, key_1 = (int(word, 16) for word in arguments.split())
        expected = [int(word, 16) for word in output.split()]
        assert philox(counter, [key_0, key_1]) == expected
        # NumPy counts before it generates.
        whole = sum(word << 64 * place for place, word in enumerate(counter))
        generator = np.random.Philox(key=key_0 + (key_1 << 64), counter=(whole - 1) % 2**256)
        assert generator.random_raw(4).tolist() == expected


class TestUniforms:
    @pytest.mark.parametrize(("seed", "name"), [(0, ""), (1, NAME), (2**64 - 1, "flotte/tâche/durée")])
    @pytest.mark.parametrize(("agent", "draw"), [(0, 0), (0, 31), (0, 32), (1, 5), (7, 1000), (2**40, 2**20 + 17)])
    def test_are_what_the_rules_say(self, seed, name, agent, draw):
        digest = hashlib.blake2b(seed.to_bytes(8, "little") + name.encode("utf-8")).digest()
        key = [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")]
        word = agent * K + draw % K
        value = philox([word // 4 + 1, draw // K, 0, 0], key)[word % 4]
        expected = ((value >> 11) + 0.5) * 2.0**-53
        assert uniforms(seed, name, agent, 1, draw // K)[0, draw % K] == expected

    def test_the_format_is_pinned(self):
        assert DRAWS_PER_ROW == K
        block = np.stack([uniforms(42, NAME, 5, 100, row) for row in (0, 1, 1000)])
        assert hashlib.sha256(block.astype("<f8").tobytes()).hexdigest() == PINNED

    def test_a_block_is_its_agents_one_by_one(self):
        block = uniforms(1, NAME, 10, 6, 3)
        assert block.shape == (6, K)
        assert (block == [uniforms(1, NAME, 10 + place, 1, 3)[0] for place in range(6)]).all()

    @pytest.mark.parametrize(
        ("word", "expected"),
        [(0, 2.0**-54), (2**11 - 1, 2.0**-54), (2**11, 3 * 2.0**-54), (2**64 - 1, 1.0 - 2.0**-53)],
    )
    def test_lie_inside_0_and_1(self, word, expected, monkeypatch):
        class Fixed:
            def __init__(self, key, counter):
                pass

            def random_raw(self, size):
                return np.full(size, word, dtype=np.uint64)

        monkeypatch.setattr(streams, "Philox", Fixed)
        assert (uniforms(1, NAME, 0, 2, 0) == expected).all()

    def test_are_uniform_and_unrelated(self):
        u = uniforms(3, NAME, 0, 4000, 0)
        counts = np.histogram(u, bins=50, range=(0.0, 1.0))[0]
        chi_square = ((counts - u.size / 50) ** 2 / (u.size / 50)).sum()
        assert 25 < chi_square < 86  # 0.2 % and 99.9 % points with 49 degrees of freedom
        neighbours = [np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1], np.corrcoef(u[:, 0], u[:, 1])[0, 1]]
        rows = np.corrcoef(u[:, 0], uniforms(3, NAME, 0, 4000, 1)[:, 0])[0, 1]
        names = np.corrcoef(u[:, 0], uniforms(3, NAME + "2", 0, 4000, 0)[:, 0])[0, 1]
        assert max(map(abs, [*neighbours, rows, names])) < 4 / math.sqrt(4000)

    def test_every_seed_and_name_has_a_key_of_its_own(self):
        names = ["", "a", "a/", "/a", "a/b", "ab", NAME, NAME + "\0", "é", "e\u0301"]
        seeds = [*range(300), 2**63, 2**64 - 1, *(2**bit for bit in range(9, 63)), *(256**k - 1 for k in range(2, 8))]
        first = {uniforms(seed, name, 0, 1, 0).tobytes() for seed in seeds for name in names}
        assert len(first) == len(seeds) * len(names)

    @pytest.mark.parametrize("seed", [-1, 2**64])
    def test_refuse_other_seeds(self, seed):
        with pytest.raises(ValueError, match=f"seed {seed} is out of range; allowed: 0 to 18446744073709551615"):
            uniforms(seed, NAME, 0, 1, 0)

    def test_touch_no_global_state(self):
        def states():
            kind, words, *rest = np.random.get_state()
            return random.getstate(), kind, words.tolist(), rest

        before = states()
        first = uniforms(1, NAME, 0, 3, 0)
        drawn(Stream(1, NAME, 3, in_ns), 1, 100)
        assert states() == before
        np.random.seed(7)
        assert (uniforms(1, NAME, 0, 3, 0) == first).all()


class TestRounded:
    def test_to_the_nearest_and_ties_to_even(self):
        values = np.array([0.0, 0.49, 0.5, 1.5, 2.5, 3.51, 2.0**52 + 0.5, 2.0**53 + 2.0])
        assert rounded(values).tolist() == [0, 0, 0, 2, 2, 4, 2**52, 2**53 + 2]

    def test_stays_within_the_bounds_in_silence(self):
        values = np.array([-0.0, -0.6, -1e300, -math.inf, 2.0**62, 2.0**62 * 1.1, 1e300, math.inf, math.nan])
        with np.errstate(all="raise"):
            bounded = rounded(values)
        assert bounded.dtype == np.int64
        assert bounded.tolist() == [0, 0, 0, 0, *[TIME_MAX_NS] * 5]

    def test_leaves_its_argument_alone(self):
        values = np.array([-1.0, 0.3])
        rounded(values)
        assert values.tolist() == [-1.0, 0.3]


class TestIndexDraws:
    @pytest.mark.parametrize(("first", "count"), [(0, 0), (0, 1), (3, 7), (0, 300), (250, 129)])
    def test_are_the_first_draws(self, first, count, small_chunks):
        values = index_draws(1, NAME, in_ns, first, count)
        assert values.dtype == np.int64
        assert values.tolist() == in_ns(uniforms(1, NAME, first, count, 0)[:, 0]).tolist()

    def test_take_no_more_memory_for_more_agents(self):
        count = 3 * streams.CHUNK_DRAWS + 1
        transform = Counting()
        index_draws(1, NAME, transform, 0, count)
        assert transform.draws == count
        assert max(rows for rows, _ in transform.shapes) == streams.CHUNK_DRAWS


class TestStream:
    @pytest.mark.usefixtures("small_chunks")
    @settings(max_examples=60)
    @given(
        agents=st.integers(min_value=1, max_value=11),
        asked=st.lists(st.tuples(st.integers(min_value=0, max_value=10), st.integers(min_value=1, max_value=3 * K))),
        kept_max=st.integers(min_value=1, max_value=4),
    )
    def test_gives_the_defined_draws_in_whatever_order(self, agents, asked, kept_max):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streams, "CHUNK_ROWS_KEPT", kept_max)
            stream = Stream(1, NAME, agents, in_ns)
        iterators = [stream.of(agent) for agent in range(agents)]
        got = [[] for _ in range(agents)]
        for agent, count in asked:
            got[agent % agents].extend(islice(iterators[agent % agents], count))
            assert stream.chunk_rows_kept <= max(kept_max, -(-agents // 4))
        for agent, draws in enumerate(got):
            assert draws == defined(agent, len(draws))

    def test_gives_plain_integers(self):
        assert type(next(Stream(1, NAME, 1, in_ns).of(0))) is int

    def test_the_seed_and_the_name_matter(self):
        first = {drawn(Stream(seed, name, 2, in_ns), 1, 1)[0] for seed in (1, 2) for name in ("a", "b")}
        assert len(first) == 4

    def test_more_agents_change_no_draw(self):
        few, many = Stream(1, NAME, 300, in_ns), Stream(1, NAME, 5000, in_ns)
        for agent in (0, 255, 256, 299):
            assert drawn(few, agent, 70) == drawn(many, agent, 70) == defined(agent, 70)

    def test_two_iterators_of_an_agent_do_not_disturb_each_other(self):
        stream = Stream(1, NAME, 2, in_ns)
        ones, others = stream.of(1), stream.of(1)
        mixed = [next(iterator) for _ in range(100) for iterator in (ones, others)]
        assert mixed[::2] == mixed[1::2] == defined(1, 100)

    def test_computes_nothing_before_it_is_asked(self):
        transform = Counting()
        iterators = [Stream(1, NAME, 5, transform).of(agent) for agent in range(5)]
        assert transform.shapes == []
        next(iterators[0])
        assert transform.shapes == [(5, K)]

    def test_computes_every_row_once_for_agents_in_step(self):
        transform, agents = Counting(), streams.CHUNK_DRAWS // K + 10
        stream = Stream(1, NAME, agents, transform)
        iterators = [stream.of(agent) for agent in range(agents)]
        for _ in range(3 * K):
            for iterator in iterators:
                next(iterator)
        assert transform.draws == 3 * K * agents
        assert len(transform.shapes) == 6
        assert stream.chunk_rows_kept == 0

    def test_a_front_runner_has_its_rows_computed_alone(self):
        transform, chunk = Counting(), streams.CHUNK_DRAWS // K
        stream = Stream(1, NAME, 10 * chunk, transform)
        ahead = stream.of(7)
        assert list(islice(ahead, 50 * K)) == defined(7, 50 * K)
        assert transform.shapes == [(chunk, K), *[(1, K)] * 49]
        # Once a 16th of the chunk has taken a row, the others are close behind for the next one, but for no later one.
        behind = [stream.of(agent) for agent in range(8, 8 + chunk // 16)]
        for iterator in behind:
            next(iterator)
        next(ahead)
        assert transform.shapes[50:] == [(1, K)]
        for iterator in behind:
            assert len(list(islice(iterator, K))) == K
        assert transform.shapes[51:] == [(chunk, K)]

    def test_laggards_have_their_rows_computed_alone(self, monkeypatch):
        monkeypatch.setattr(streams, "CHUNK_ROWS_KEPT", 2)
        transform, chunk = Counting(), streams.CHUNK_DRAWS // K
        stream = Stream(1, NAME, chunk, transform)
        for row in range(1, 11):
            for agent in range(2, chunk):
                assert len(drawn(stream, agent, row * K)) == row * K
        transform.shapes.clear()
        laggards = [stream.of(0), stream.of(1)]
        got = [next(iterator) for _ in range(8 * K) for iterator in laggards]
        assert transform.shapes == [(1, K)] * 16
        assert got[::2] == defined(0, 8 * K)
        assert got[1::2] == defined(1, 8 * K)

    @pytest.mark.usefixtures("small_chunks")
    def test_keeps_few_rows_when_in_each_chunk_an_agent_is_stuck(self, monkeypatch):
        monkeypatch.setattr(streams, "CHUNK_ROWS_KEPT", 7)
        stream = Stream(1, NAME, 4 * 5, in_ns)
        iterators = {agent: stream.of(agent) for agent in range(20)}
        for _ in range(10 * K):
            for agent, iterator in iterators.items():
                if agent % 4:
                    next(iterator)
            assert stream.chunk_rows_kept <= 7
        assert stream.chunk_rows_kept == 7
        assert drawn(stream, 0, 100) == defined(0, 100)

    def test_keeps_at_most_a_row_for_each_chunk_of_a_large_fleet(self, monkeypatch):
        monkeypatch.setattr(streams, "CHUNK_ROWS_KEPT", 7)
        chunk = streams.CHUNK_DRAWS // K
        stream = Stream(1, NAME, 9 * chunk, in_ns)
        for row in range(1, 4):
            for agent in range(0, 9 * chunk, 16):
                drawn(stream, agent, row * K)
                assert stream.chunk_rows_kept <= 9
        assert stream.chunk_rows_kept == 9

    @pytest.mark.parametrize("draws", [1, 2, 31, 32, 33, 70])
    @pytest.mark.parametrize("agents", [1, 300, 9000])
    def test_a_bound_on_the_draws_changes_none(self, draws, agents):
        stream = Stream(1, NAME, agents, in_ns, draws)
        for agent in {0, agents // 2, agents - 1}:
            assert drawn(stream, agent, draws) == defined(agent, draws)

    def test_a_bound_on_the_draws_saves_the_others(self):
        transform = Counting()
        stream = Stream(1, NAME, 100, transform, draws=K + 3)
        iterators = [stream.of(agent) for agent in range(100)]
        for _ in range(K + 3):
            for iterator in iterators:
                next(iterator)
        assert transform.shapes == [(100, K), (100, 3)]

    @pytest.mark.parametrize("draws", [1, 32, 33, 64])
    def test_ends_after_the_bound(self, draws):
        assert list(Stream(1, NAME, 3, in_ns, draws).of(2)) == defined(2, draws)

    @pytest.mark.parametrize("draws", [0, -1])
    def test_refuses_a_bound_below_1(self, draws):
        with pytest.raises(ValueError, match=f"{NAME} has {draws} draws an agent; allowed: 1 or more, or None"):
            Stream(1, NAME, 3, in_ns, draws)

    @pytest.mark.parametrize("agent", [-1, 3])
    def test_refuses_other_agents(self, agent):
        with pytest.raises(IndexError, match=f"{NAME} has no agent {agent}; allowed: 0 to 2"):
            Stream(1, NAME, 3, in_ns).of(agent)

    @pytest.mark.parametrize("transform", [lambda u: u, lambda u: in_ns(u).astype(np.int32), lambda u: in_ns(u)[:, 0]])
    def test_refuses_a_transform_that_returns_something_else(self, transform):
        with pytest.raises(TypeError, match=r"a transform returned .*; allowed: int64 \(3, 32\)"):
            next(Stream(1, NAME, 3, transform).of(0))
