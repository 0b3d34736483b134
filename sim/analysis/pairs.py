"""The same visits in two runs: which were sooner over in the second, which later, and why in total.

Rules:

1. Visits are matched by agent, step and visit number (`sides`). Both have to be over: of one that goes on nobody knows how
   long it takes. It is won where its sojourn is shorter in the second run, lost where it is longer.
2. Kept is only what has no match yet, of each visit a row and its spells. What has come since is matched when it is as
   much as what is kept, so that the work does not grow with the square of that.
3. Sums are exact, of whole numbers of any size. The differences of the waiting times by cause, of the back-off and of the
   work add up to the difference of the sojourn times.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.events import Batch
from sim.analysis.sides import Integers, Shared, Side
from sim.analysis.sojourns import BACK_OFF, Outcome, Over, Sojourns, Spells

LISTED_MAX = 10
"""How many of the most won and of the most lost visits are named, and how many of those that are in one run only."""
_AT_LEAST = 200_000
"""So many visits have to come before they are matched."""
_GOES_ON = -1
_OUTCOMES = np.array([outcome.name for outcome in Outcome], dtype=object)

SCHEMA = pa.schema(
    [
        ("agent", pa.string()),
        ("step", pa.string()),
        ("visit", pa.int64()),
        *(
            (f"{what}_{side}_ns", pa.int64())
            for what in ("asked", "sojourn", "waited", "back_off", "work")
            for side in "ab"
        ),
        *((f"outcome_{side}", pa.string()) for side in "ab"),
    ]
)
"""A row for each matched visit. When it asked is a time, the others are durations: sojourn = waited + back-off + work."""

_KEPT = np.dtype(
    [
        ("key", np.int64),  # agent, in the numbers of both logs, and visit
        ("place", np.int32),  # the step, in those
        ("number", np.int64),  # of the visit, in its own log
        ("agent", np.int64),  # in its own log
        ("step", np.int16),
        ("asked_ns", np.int64),
        ("ended_ns", np.int64),
        ("outcome", np.int8),
    ]
)

Keep = Callable[[pa.RecordBatch], None]
"""Takes the rows of matched visits, as `SCHEMA` has them."""


@dataclass(slots=True)
class _Run:
    """What is kept of one of the two runs."""

    side: Side
    visits: Sojourns
    kept: NDArray[np.void]
    spells: Spells
    fresh: list[NDArray[np.void]]
    fresh_spells: list[Spells]


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Visits that are over in both runs, by row, and for how long they waited and backed off in each."""

    runs: tuple[NDArray[np.void], NDArray[np.void]]
    waited_ns: tuple[Integers, Integers]
    back_off_ns: tuple[Integers, Integers]

    @property
    def sojourn_ns(self) -> tuple[Integers, Integers]:
        one, two = (rows["ended_ns"] - rows["asked_ns"] for rows in self.runs)
        return one, two


class Pairs:
    """Feed it the batches of both logs, each in its order; then ask for `result`."""

    def __init__(self, shared: Shared, keep: Keep | None = None) -> None:
        self._shared = shared
        self._keep = keep
        self._runs = tuple(_Run(side, Sojourns(), np.zeros(0, _KEPT), _no_spells(), [], []) for side in shared.sides)
        self._fresh = 0
        self._matched = 0
        self._totals: Counter[str] = Counter()
        self._causes: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        self._of_fleet: dict[str, Counter[str]] = {name: Counter() for name in shared.fleets}
        self._otherwise: Counter[tuple[str, str]] = Counter()  # how visits ended in either run that ended otherwise
        # The most won and the most lost, each after what it is ranked by.
        self._extremes: list[list[tuple[tuple[int, ...], dict[str, Any]]]] = [[], []]

    def feed(self, which: int, batch: Batch) -> None:
        """Take in the next rows of the first log (0) or of the second (1), which its side has been fed."""
        run = self._runs[which]
        over, spells, _ = run.visits.feed(batch)
        run.fresh.append(self._placed(run, over))
        run.fresh_spells.append(spells)
        self._fresh += len(over.number)
        if self._fresh >= max(_AT_LEAST, *(len(run.kept) for run in self._runs)):
            self._match()

    def result(self) -> dict[str, Any]:
        """Both logs are at their ends: return what came of it, by the names of `python -m sim diff --json`."""
        going_on = []
        for run in self._runs:
            over, left = run.visits.end()
            run.fresh.append(self._placed(run, over))
            rows = self._placed(run, left)
            rows["outcome"] = _GOES_ON
            going_on.append(rows)
        self._match()
        for run, rows in zip(self._runs, going_on, strict=True):
            run.kept = np.concatenate([run.kept, rows])
        return self._told()

    def _placed(self, run: _Run, over: Over) -> NDArray[np.void]:
        rows = np.zeros(len(over.number), _KEPT)
        rows["key"] = (run.side.agents(over.agent) << 32) | over.visit
        rows["place"] = run.side.steps[over.step]
        for name in ("number", "agent", "step", "asked_ns", "ended_ns", "outcome"):
            rows[name] = getattr(over, name)
        return rows

    def _match(self) -> None:
        """Match what there is, and keep what has no match."""
        self._fresh = 0
        for run in self._runs:
            run.kept = np.concatenate([run.kept, *run.fresh])
            run.spells = _joined([run.spells, *run.fresh_spells])
            run.fresh, run.fresh_spells = [], []
        places = _matches(*(run.kept for run in self._runs))
        if not len(places[0]):
            return
        rows, waited, back_off = [], [], []
        for run, at, causes in zip(self._runs, places, self._causes, strict=True):
            rows.append(run.kept[at])
            run.kept = np.delete(run.kept, at)
            times = self._take_spells(run, rows[-1]["number"], causes)
            waited.append(times[0])
            back_off.append(times[1])
        self._take_in(_Pairs((rows[0], rows[1]), (waited[0], waited[1]), (back_off[0], back_off[1])))

    def _take_spells(self, run: _Run, numbers: Integers, causes: Counter[int]) -> tuple[Integers, Integers]:
        """Take the spells of these visits out of those that are kept; return how long each waited and backed off."""
        order = np.argsort(numbers)
        found = np.minimum(np.searchsorted(numbers, run.spells.number, sorter=order), len(numbers) - 1)
        pairs = order[found]
        mine = numbers[pairs] == run.spells.number
        taken = _some(run.spells, mine)
        run.spells = _some(run.spells, ~mine)
        pairs, backs_off = pairs[mine], taken.cause == BACK_OFF
        times = np.zeros((2, len(numbers)), np.int64)
        np.add.at(times, (backs_off.astype(np.intp), pairs), taken.lasted_ns)
        shared = np.where(backs_off, BACK_OFF, run.side.constraints[taken.cause])
        causes.update(sums(shared, taken.lasted_ns))
        return times[0], times[1]

    def _take_in(self, pairs: _Pairs) -> None:
        first, second = pairs.sojourn_ns
        change = second - first
        fleets = self._shared.fleet_of_step[pairs.runs[0]["place"]]
        names = list(self._shared.fleets)
        self._matched += len(change)
        for what, some in (("won", change < 0), ("lost", change > 0)):
            counts, lasted = np.bincount(fleets[some], minlength=len(names)), sums(fleets[some], np.abs(change[some]))
            for fleet, name in enumerate(names):
                self._of_fleet[name][what] += int(counts[fleet])
                self._of_fleet[name][f"{what}_ns"] += lasted.get(fleet, 0)
        one, two = (each["outcome"] for each in pairs.runs)
        ends, counts = np.unique(np.stack([one, two])[:, one != two], axis=1, return_counts=True)
        for (before, after), count in zip(ends.T.tolist(), counts.tolist(), strict=True):
            self._otherwise[_OUTCOMES[before], _OUTCOMES[after]] += count
        everybody = np.zeros(len(change), np.int64)
        for side, sojourn in zip("ab", (first, second), strict=True):
            self._totals[f"sojourn_{side}_ns"] += sums(everybody, sojourn).get(0, 0)
        self._list(pairs, change)
        if self._keep is not None:
            self._keep(self._rows(pairs))

    def _list(self, pairs: _Pairs, change: Integers) -> None:
        """Keep the most won and the most lost by name; where they are even, who asked first in the first run."""
        rows = pairs.runs[0]
        for place, gains in enumerate((-change, change)):
            some = np.flatnonzero(gains > 0)
            if len(some) > LISTED_MAX:
                bound = np.partition(gains[some], -LISTED_MAX)[-LISTED_MAX]
                some = some[gains[some] >= bound]
            some = some[np.lexsort((*_order(rows[some]), -gains[some]))[:LISTED_MAX]]
            told = self._rows(_chosen(pairs, some)).to_pylist()
            ranks = zip((-gains[some]).tolist(), *(part.tolist() for part in reversed(_order(rows[some]))), strict=True)
            more = [*self._extremes[place], *zip(ranks, told, strict=True)]
            self._extremes[place] = sorted(more, key=itemgetter(0))[:LISTED_MAX]

    def _rows(self, pairs: _Pairs) -> pa.RecordBatch:
        rows, side = pairs.runs[0], self._runs[0].side
        columns: list[Any] = [_agents(side, rows), _steps(side, rows), rows["key"] & 0xFFFFFFFF]
        columns += [each["asked_ns"] for each in pairs.runs]
        columns += pairs.sojourn_ns
        columns += pairs.waited_ns
        columns += pairs.back_off_ns
        columns += [
            sojourn - waited - back_off
            for sojourn, waited, back_off in zip(pairs.sojourn_ns, pairs.waited_ns, pairs.back_off_ns, strict=True)
        ]
        columns += [_OUTCOMES[each["outcome"]] for each in pairs.runs]
        return pa.record_batch(
            [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )

    def _told(self) -> dict[str, Any]:
        fleets = self._of_fleet.values()
        summed = {name: sum(each[name] for each in fleets) for name in ("won", "won_ns", "lost", "lost_ns")}
        by_cause = [
            {name: each[number] for name, number in [*self._shared.constraints.items(), ("back-off", BACK_OFF)]}
            for each in self._causes
        ]
        sojourns = [self._totals[f"sojourn_{side}_ns"] for side in "ab"]
        works = [sojourn - sum(each.values()) for sojourn, each in zip(sojourns, by_cause, strict=True)]
        one, two = (run.kept for run in self._runs)
        return {
            "matched": self._matched,
            "even": self._matched - summed["won"] - summed["lost"],
            **summed,
            "otherwise": [
                {"a": before, "b": after, "visits": count}
                for (before, after), count in sorted(self._otherwise.items(), key=lambda item: (-item[1], item[0]))
            ],
            "sojourn_ns": dict(zip("ab", sojourns, strict=True)),
            "waiting_ns": {name: {"a": by_cause[0][name], "b": by_cause[1][name]} for name in self._shared.constraints},
            "back_off_ns": {"a": by_cause[0]["back-off"], "b": by_cause[1]["back-off"]},
            "work_ns": dict(zip("ab", works, strict=True)),
            "most_won": [_listed(each) for _, each in self._extremes[0]],
            "most_lost": [_listed(each) for _, each in self._extremes[1]],
            "fleets": {name: dict(each) for name, each in self._of_fleet.items()},
            **self._unmatched(one, two),
        }

    def _unmatched(self, one: NDArray[np.void], two: NDArray[np.void]) -> dict[str, Any]:
        """Tell of the visits that are over in one run only, and of those that are in one run only."""
        places = _matches(one, two)
        states = [rows["outcome"][at] == _GOES_ON for rows, at in zip((one, two), places, strict=True)]
        only = []
        for run, rows, at in zip(self._runs, (one, two), places, strict=True):
            left = np.delete(rows, at)
            first = left[np.lexsort(_order(left))][:LISTED_MAX]
            names = [
                f"{agent}_{step}#{visit}"
                for agent, step, visit in zip(
                    _agents(run.side, first).to_pylist(),
                    _steps(run.side, first).to_pylist(),
                    (first["key"] & 0xFFFFFFFF).tolist(),
                    strict=True,
                )
            ]
            only.append({"visits": len(left), "over": int((left["outcome"] != _GOES_ON).sum()), "first": names})
        return {
            "over_in_a_only": int((~states[0] & states[1]).sum()),
            "over_in_b_only": int((states[0] & ~states[1]).sum()),
            "over_in_neither": int((states[0] & states[1]).sum()),
            "only_in_a": only[0],
            "only_in_b": only[1],
        }


def sums(groups: NDArray[np.signedinteger], values: Integers) -> dict[int, int]:
    """Return the sum of the values by group, exactly: in two halves, so that it cannot overflow."""
    if not len(groups):
        return {}
    order = np.argsort(groups, kind="stable")
    ordered, values = groups[order], values[order]
    firsts = np.flatnonzero(np.append(True, np.diff(ordered) != 0))
    high, low = np.add.reduceat(values >> 32, firsts), np.add.reduceat(values & 0xFFFFFFFF, firsts)
    return {
        group: (more << 32) + less
        for group, more, less in zip(ordered[firsts].tolist(), high.tolist(), low.tolist(), strict=True)
    }


def _matches(one: NDArray[np.void], two: NDArray[np.void]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places in both of the visits that are in both."""
    keys, places = (np.concatenate([one[name], two[name]]) for name in ("key", "place"))
    order = np.lexsort((places, keys))  # stable: that of the first run comes before that of the second
    same = np.flatnonzero((np.diff(keys[order]) == 0) & (np.diff(places[order]) == 0))
    return order[same], order[same + 1] - len(one)


def _chosen(pairs: _Pairs, places: NDArray[np.intp]) -> _Pairs:
    chosen: list[Any] = [tuple(each[places] for each in getattr(pairs, part.name)) for part in fields(_Pairs)]
    return _Pairs(*chosen)


def _no_spells() -> Spells:
    return Spells(np.zeros(0, np.int64), np.zeros(0, np.int16), np.zeros(0, np.int64))


def _joined(parts: list[Spells]) -> Spells:
    return Spells(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Spells)))


def _some(spells: Spells, flags: NDArray[np.bool_]) -> Spells:
    return Spells(*(getattr(spells, each.name)[flags] for each in fields(Spells)))


def _agents(side: Side, rows: NDArray[np.void]) -> pa.Array:
    """Return the names of the agents, in the numbers of their own log."""
    fleets, numbers = side.roster.places(rows["agent"])
    names = pa.array([fleet.name for fleet in side.roster.header.fleets], pa.string())
    return pc.binary_join_element_wise(names.take(pa.array(fleets)), pa.array(numbers).cast(pa.string()), "_")


def _steps(side: Side, rows: NDArray[np.void]) -> pa.Array:
    names = pa.array([step.name for step in side.roster.header.steps], pa.string())
    return names.take(pa.array(rows["step"]))


def _order(rows: NDArray[np.void]) -> tuple[Integers, ...]:
    """Return what visits are listed by, as `lexsort` takes it: when they asked, then as they are numbered in their log."""
    return rows["key"] & 0xFFFFFFFF, rows["step"], rows["agent"], rows["asked_ns"]


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    """Tell of one visit, with what changed."""
    told = {"task": f"{row['agent']}_{row['step']}", **{name: row[name] for name in SCHEMA.names[2:]}}
    return {**told, "change_ns": row["sojourn_b_ns"] - row["sojourn_a_ns"]}
