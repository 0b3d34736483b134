"""The random streams: draw k of agent i of a named variable, whoever asks and whenever.

Rules:

1. A random quantity is a variable named `fleet/step/what`. Its k-th draw for agent i of the fleet (from 0) depends on
   (seed, name, i, k) alone: not on the other agents, not on their number, not on the order of asking.
2. The key is the first 16 bytes of BLAKE2b-512 over the seed, as 8 little-endian bytes, followed by the name in UTF-8;
   read as two little-endian 64-bit words it keys NumPy's `Philox` (Philox-4x64-10), whose raw words are stable by
   NumPy's policy.
3. Draws lie in rows of `DRAWS_PER_ROW` = K for each agent. Draw k of agent i is word i * K + k % K of the stream that
   starts at the counter [0, k // K, 0, 0]. So one row of consecutive agents is one contiguous run of words. (NumPy
   counts before it generates: the first four words of that stream are Philox's at the counter [1, k // K, 0, 0].)
4. u = ((word >> 11) + 0.5) * 2**-53, in floats. One word in 2**53 would round up to 1: it gives 1 - 2**-53, so that u
   is inside (0, 1).
5. K and all of the above are the format: changing any of it changes every run. How many agents are computed at a time,
   and what is kept, is not, and changes none.

A `Stream` computes rows for a chunk of agents at once, since a row alone costs twenty to sixty times a row in a chunk,
and hands each agent its own. A chunk's row is kept until all of its agents have taken theirs, or until too many are
kept. An agent that comes later than that, or long before the rest of its chunk, has its row computed alone.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

from model.units import TIME_MAX_NS

DRAWS_PER_ROW = 32
"""Draws of one agent that lie side by side; a constant of the format."""

CHUNK_DRAWS = 8192
"""Draws computed together: 64 KiB an array, the fastest of 16 to 256 KiB. With whole rows, a chunk of 256 agents."""

CHUNK_ROWS_KEPT = 256
"""Rows of whole chunks that a stream keeps at least: 16 MiB. It may keep one for each chunk, 256 bytes an agent."""

FRONT_SHARE = 16
"""A chunk's next row is computed once a 16th of its agents have taken the one before: the others are close behind."""

FIRST_SPAWNED = 2**59
"""Agents that are spawned while a run goes on have numbers from here on in the streams: a hash of where they come from."""

_WORDS_PER_COUNT = 4
_UNIFORM_MAX = 1.0 - 2.0**-53

Uniforms = NDArray[np.float64]
Values = NDArray[np.int64]
Transform = Callable[[Uniforms], Values]
"""From uniforms to whole nanoseconds or tokens, element by element: an inverse CDF, then `rounded`."""


def uniforms(seed: int, name: str, first_agent: int, agents: int, row: int) -> Uniforms:
    """Return draws `row` * K to `row` * K + K - 1, a column each, of `agents` agents from `first_agent` on, a row each.

    This is the definition; everything else in this module is a faster way to the same numbers.
    """
    return _uniforms(_key(seed, name), first_agent, agents, row, DRAWS_PER_ROW)


def rounded(values: NDArray[np.float64]) -> Values:
    """Return the nearest whole numbers, ties to even, no less than 0 and no more than `TIME_MAX_NS`.

    What is no number (infinity minus infinity, in a distribution with such a tail) is `TIME_MAX_NS` too.
    """
    bounded = np.maximum(np.fmin(values, float(TIME_MAX_NS)), 0.0)  # fmin prefers the bound to a NaN
    return np.rint(bounded, out=bounded).astype(np.int64)


def bits(u: Uniforms) -> Values:
    """Return u as a whole number from 0 to 2**53 - 1: the transform of what is compared or scaled exactly."""
    return np.floor(u * 2.0**53).astype(np.int64)


def spawned(parent: int, step: str, visit: int, copy: int) -> int:
    """Return the number in the streams of an agent that `parent` (its own number there) spawned at `step` (FLEET/STEP).

    It depends on nothing but who spawned it and at which visit to which step, so that the draws of the agents of a tree do
    not depend on the order in which the tree grows, nor on what other fleets there are. Of a million agents two have the
    same with probability 1e-6.
    """
    lineage = b"".join(number.to_bytes(8, "little") for number in (parent, visit, copy)) + step.encode()
    return FIRST_SPAWNED + (int.from_bytes(hashlib.blake2b(lineage, digest_size=8).digest(), "little") >> 5)


def index_draws(seed: int, name: str, transform: Transform, first: int, count: int) -> Values:
    """Return draw 0 of `count` agents from `first` on: for what is drawn once an agent, such as a gap or a stagger."""
    key = _key(seed, name)
    result = np.empty(count, dtype=np.int64)
    for start in range(0, count, CHUNK_DRAWS):
        part = result[start : start + CHUNK_DRAWS]
        part[:] = _checked(transform, _uniforms(key, first + start, len(part), 0, 1))[:, 0]
    return result


class _ChunkRow:
    """One row of every agent of a chunk, one agent after another, and how many agents have yet to take theirs."""

    __slots__ = ("columns", "untaken", "values")

    def __init__(self, values: "array[int]", agents: int) -> None:
        self.values = values
        self.columns = len(values) // agents
        self.untaken = agents


class Stream:
    """The draws of one variable for the agents 0 to `agents` - 1 of a fleet.

    `transform` works element by element. `draws` is the most that an agent can ask for, where that is known: no others
    are transformed then, and each agent's iterator ends after that many.
    """

    def __init__(self, seed: int, name: str, agents: int, transform: Transform, draws: int | None = None) -> None:
        if draws is not None and draws < 1:
            raise ValueError(f"{name} has {draws} draws an agent; allowed: 1 or more, or None where there is no bound")
        self.name = name
        self.agents = agents
        self._key = _key(seed, name)
        self._transform = transform
        self._draws = draws
        self._chunk_agents = CHUNK_DRAWS // min(DRAWS_PER_ROW, draws or DRAWS_PER_ROW)
        chunks = -(-agents // self._chunk_agents)
        self._kept: dict[tuple[int, int], _ChunkRow] = {}  # by (chunk, row), oldest first
        self._kept_max = max(CHUNK_ROWS_KEPT, chunks)
        # By chunk: the newest row that was computed for the whole of it, and how many of its agents have got there.
        self._front = [-1] * chunks
        self._at_front = [self._chunk_agents] * chunks

    def of(self, agent: int) -> Iterator[int]:
        """Return the draws 0, 1, 2, ... of an agent; where `draws` is at most a row, they are computed here and now."""
        if not 0 <= agent < self.agents and not FIRST_SPAWNED <= agent < 2 * FIRST_SPAWNED:
            raise IndexError(f"{self.name} has no agent {agent}; allowed: 0 to {self.agents - 1}")
        if self._draws is not None and self._draws <= DRAWS_PER_ROW:
            # One row is all there is. Without the generator an agent takes half the memory and a third of the time.
            return iter(self._take(agent, 0))
        return chain.from_iterable(self._rows(agent))

    @property
    def chunk_rows_kept(self) -> int:
        """How many rows of whole chunks are kept now."""
        return len(self._kept)

    def _rows(self, agent: int) -> Iterator["array[int]"]:
        # A frame of this generator lives for each agent, so it holds no more than it must.
        row = 0
        while self._columns(row) > 0:
            yield self._take(agent, row)
            row += 1

    def _columns(self, row: int) -> int:
        return DRAWS_PER_ROW if self._draws is None else min(DRAWS_PER_ROW, self._draws - row * DRAWS_PER_ROW)

    def _take(self, agent: int, row: int) -> "array[int]":
        if agent >= FIRST_SPAWNED:
            return self._compute(agent, 1, row)
        chunk, place = divmod(agent, self._chunk_agents)
        kept = self._kept.get((chunk, row)) or self._advance(chunk, row)
        if row == self._front[chunk]:
            self._at_front[chunk] += 1
        if kept is None:
            return self._compute(agent, 1, row)
        kept.untaken -= 1
        if not kept.untaken:
            del self._kept[chunk, row]
        start = place * kept.columns
        return kept.values[start : start + kept.columns]

    def _advance(self, chunk: int, row: int) -> _ChunkRow | None:
        """Compute `row` for the whole chunk if it is the next one and enough of the agents are about to want it."""
        first_agent = chunk * self._chunk_agents
        size = min(self._chunk_agents, self.agents - first_agent)
        if row != self._front[chunk] + 1 or self._at_front[chunk] * FRONT_SHARE < size:
            return None
        if len(self._kept) >= self._kept_max:
            del self._kept[next(iter(self._kept))]
        kept = _ChunkRow(self._compute(first_agent, size, row), size)
        self._kept[chunk, row] = kept
        self._front[chunk], self._at_front[chunk] = row, 0
        return kept

    def _compute(self, first_agent: int, agents: int, row: int) -> "array[int]":
        values = _checked(self._transform, _uniforms(self._key, first_agent, agents, row, self._columns(row)))
        return array("q", values.tobytes())


def _key(seed: int, name: str) -> NDArray[np.uint64]:
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed {seed} is out of range; allowed: 0 to {2**64 - 1}")
    digest = hashlib.blake2b(seed.to_bytes(8, "little") + name.encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)


def _uniforms(key: NDArray[np.uint64], first_agent: int, agents: int, row: int, columns: int) -> Uniforms:
    """Return the first `columns` of a row."""
    counter = np.array([first_agent * DRAWS_PER_ROW // _WORDS_PER_COUNT, row, 0, 0], dtype=np.uint64)
    words = Philox(key=key, counter=counter).random_raw(agents * DRAWS_PER_ROW)
    u = (words.reshape(agents, DRAWS_PER_ROW)[:, :columns] >> np.uint64(11)).astype(np.float64)
    u += 0.5
    u *= 2.0**-53
    return np.minimum(u, _UNIFORM_MAX, out=u)


def _checked(transform: Transform, u: Uniforms) -> Values:
    """Transform `u`, and refuse what would be misread as other numbers."""
    values = transform(u)
    if values.dtype != np.int64 or values.shape != u.shape:
        raise TypeError(f"a transform returned {values.dtype} {values.shape}; allowed: int64 {u.shape}")
    return values
