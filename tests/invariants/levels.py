"""How much room each type of limit has, worked out again: plain sums, whole numbers and fractions.

A level hears what happens in the order of the rows: `change` to other numbers, `take` at the start, `give` at the end (of
what was reserved or is charged only then, less than nothing is given where more is charged), `tell` what a row says that
the limit has become by itself. `free` is the largest amount that could be taken, None where there is no bound; `due` is
the time at which there would be room for an amount if nothing else happened, None where that is never or not known.

Not in force everything passes; what is held is counted all the same.
"""

from fractions import Fraction
from math import ceil

Numbers = dict[str, int]
MICRO = 1_000_000


class Level:
    """A limit without a bound; a shared processor is one."""

    timed = False
    """Whether time alone makes room; what it brings is due to those who wait."""

    def __init__(self, numbers: Numbers | None) -> None:
        self.numbers: Numbers | None = None
        self.now = 0
        if numbers is not None:
            self.change(numbers, 0)

    def change(self, numbers: Numbers | None, now: int) -> None:
        self.pass_time(now)
        self.numbers = numbers

    def tell(self, value: int, now: int) -> None:
        self.pass_time(now)

    def pass_time(self, now: int) -> None:
        self.now = now

    def free(self, now: int) -> Fraction | int | None:
        return None

    def take(self, amount: int, now: int) -> None:
        self.pass_time(now)

    def give(self, amount: int, now: int, since: int) -> None:
        """`since` is when it was taken."""
        self.pass_time(now)

    def due(self, amount: int, now: int) -> int | None:
        return None

    def room(self, now: int) -> str:
        """Say how much room there is, for a message."""
        free = self.free(now)
        return "no bound" if free is None else f"room for {free}"


class Slots(Level):
    """What is held is given back. An adaptive limit says what it has become."""

    def __init__(self, numbers: Numbers | None) -> None:
        self.held = 0
        super().__init__(numbers)

    @property
    def limit(self) -> int | None:
        return None if self.numbers is None else self.numbers.get("limit", self.numbers.get("capacity"))

    def tell(self, value: int, now: int) -> None:
        if self.numbers is not None:
            self.numbers = {**self.numbers, "limit": value}

    def free(self, now: int) -> int | None:
        return None if self.limit is None else self.limit - self.held

    def take(self, amount: int, now: int) -> None:
        self.held += amount

    def give(self, amount: int, now: int, since: int) -> None:
        self.held -= amount

    def room(self, now: int) -> str:
        return "not in force" if self.limit is None else f"{self.held} of {self.limit} held"


class Bucket(Level):
    """Earns `tokens` every `period_ns` up to `burst`; full when it comes into force."""

    timed = True
    level = Fraction(0)

    def change(self, numbers: Numbers | None, now: int) -> None:
        was_in_force = self.numbers is not None
        super().change(numbers, now)
        if numbers is not None:
            burst = Fraction(numbers["burst"])
            self.level = min(burst, self.level) if was_in_force else burst

    def pass_time(self, now: int) -> None:
        if self.numbers is not None:
            self.level = self._level(now)
        self.now = now

    def _level(self, now: int) -> Fraction:
        assert self.numbers is not None
        earned = Fraction((now - self.now) * self.numbers["tokens"], self.numbers["period_ns"])
        return min(Fraction(self.numbers["burst"]), self.level + earned)

    def free(self, now: int) -> Fraction | None:
        return None if self.numbers is None else self._level(now)

    def take(self, amount: int, now: int) -> None:
        self.pass_time(now)
        if self.numbers is not None:
            self.level = min(Fraction(self.numbers["burst"]), self.level - amount)

    def give(self, amount: int, now: int, since: int) -> None:
        self.take(-amount, now)

    def due(self, amount: int, now: int) -> int | None:
        if self.numbers is None or amount > self.numbers["burst"]:
            return None
        missing = amount - self._level(now)
        return now + max(0, ceil(missing * self.numbers["period_ns"] / self.numbers["tokens"]))

    def room(self, now: int) -> str:
        return "not in force" if self.numbers is None else f"{self._level(now)} of {self.numbers['burst']} tokens"


class Window(Level):
    """So much in each window, which begins at the multiples of the period or with a first use; a quota may have no end.

    A ramp has `growth` times what was used in the window before, and at least what its numbers say; but no one task has
    more than these say, however much there is.
    """

    timed = True

    def __init__(self, numbers: Numbers | None) -> None:
        self.used = self.before = 0
        self.began: int | None = 0  # None: the next begins with its first use
        super().__init__(numbers)

    @property
    def most_at_once(self) -> int:
        """What one task may have of it."""
        assert self.numbers is not None
        return self.numbers.get("tokens", self.numbers.get("total", 0))

    @property
    def limit(self) -> int:
        assert self.numbers is not None
        return max(self.most_at_once, self.before * self.numbers.get("growth", 0) // MICRO)

    def change(self, numbers: Numbers | None, now: int) -> None:
        before = self.numbers
        super().change(numbers, now)
        if numbers is None:
            return
        if not numbers.get("first_use"):
            self.began = self._beginning(now)
        elif before is None or not before.get("first_use"):
            self.began = None

    def _beginning(self, now: int) -> int:
        period = 0 if self.numbers is None else self.numbers["period_ns"]
        return now // period * period if period else 0

    def pass_time(self, now: int) -> None:
        self.now = now
        if self.numbers is None:
            return
        period = self.numbers["period_ns"]
        if self.numbers.get("first_use"):
            if self.began is not None and period and now >= self.began + period:
                self.began, self.used = None, 0
        elif self.began != self._beginning(now):
            follows = self.began is not None and self.began + period == self._beginning(now)
            self.before = self.used if follows else 0
            self.began, self.used = self._beginning(now), 0

    def free(self, now: int) -> int | None:
        self.pass_time(now)
        return None if self.numbers is None else min(self.limit - self.used, self.most_at_once)

    def take(self, amount: int, now: int) -> None:
        self.pass_time(now)
        if self.numbers is not None:
            self.used = max(0, self.used + amount)
            if self.began is None and self.used:
                self.began = now

    def give(self, amount: int, now: int, since: int) -> None:
        self.pass_time(now)
        if amount < 0 or since >= (now if self.began is None else self.began):
            self.take(-amount, now)  # of a window that is over there is nothing to give back

    def due(self, amount: int, now: int) -> int | None:
        free = self.free(now)
        if self.numbers is None or free is None or amount <= free:
            return now
        if not self.numbers["period_ns"] or amount > self.most_at_once:
            return None
        assert self.began is not None
        return self.began + self.numbers["period_ns"]


class Sliding(Level):
    """So much in any window: what was taken at t counts until just before t + period, less what was given back of it."""

    timed = True

    def __init__(self, numbers: Numbers | None) -> None:
        self.taken: list[tuple[int, int]] = []
        super().__init__(numbers)

    def pass_time(self, now: int) -> None:
        self.now = now
        if self.numbers is not None:
            self.taken = [(at, amount) for at, amount in self.taken if at > now - self.numbers["period_ns"]]

    def free(self, now: int) -> int | None:
        if self.numbers is None:
            return None
        period = self.numbers["period_ns"]
        return self.numbers["tokens"] - sum(amount for at, amount in self.taken if at > now - period)

    def take(self, amount: int, now: int) -> None:
        self.pass_time(now)
        if self.numbers is not None:
            self.taken.append((now, amount))

    def give(self, amount: int, now: int, since: int) -> None:
        self.pass_time(now)
        if self.numbers is not None:
            self.taken.append((now if amount < 0 else since, -amount))

    def due(self, amount: int, now: int) -> int | None:
        if self.numbers is None:
            return now
        times = [now, *sorted(at + self.numbers["period_ns"] for at, _ in self.taken)]
        return next((time for time in times if time >= now and (self.free(time) or 0) >= amount), None)


class Switch(Level):
    """A pause: nobody passes while it is on."""

    def free(self, now: int) -> int | None:
        return -1 if self.numbers is not None and self.numbers["paused"] else None

    def room(self, now: int) -> str:
        return "not in force" if self.numbers is None else "paused" if self.numbers["paused"] else "not paused"


class Trouble(Level):
    """An incident: nobody passes while it blocks, or refuses everybody."""

    def free(self, now: int) -> int | None:
        if self.numbers is None:
            return None
        return -1 if self.numbers["block"] or self.numbers["refuse"] == MICRO else None

    @property
    def may_refuse(self) -> bool:
        """Whether it refuses a share, of which the log does not tell the draws."""
        return self.numbers is not None and 0 < self.numbers["refuse"] < MICRO

    def room(self, now: int) -> str:
        return "it is over" if self.numbers is None else "it lasts"


class Breaker(Level):
    """Closed, open since a time, or half-open with so many probes left: as the rows say."""

    def __init__(self, numbers: Numbers | None) -> None:
        self.opened: int | None = None
        self.half_open: int | None = None
        self.probes = 0
        super().__init__(numbers)

    def change(self, numbers: Numbers | None, now: int) -> None:
        super().change(numbers, now)
        self.opened = self.half_open = None

    def tell(self, value: int, now: int) -> None:
        self.opened = now if value == 0 else None
        self.half_open = now if value > 0 else None
        self.probes = max(0, value)

    def free(self, now: int) -> int | None:
        if self.numbers is None:
            return None
        return 0 if self.opened is not None else None if self.half_open is None else self.probes

    def take(self, amount: int, now: int) -> None:
        if self.half_open is not None:
            self.probes -= amount

    def call_off(self, since: int) -> None:
        """A probe was called off that had begun at `since`: another may go."""
        if self.half_open is not None and since >= self.half_open:
            self.probes += 1

    def due(self, amount: int, now: int) -> int | None:
        return None if self.opened is None or self.numbers is None else self.opened + self.numbers["open_ns"]


def level_of(kind: str, algorithm: str, queue: str, numbers: Numbers | None) -> Level:
    """Return the level of a limit of this type."""
    if queue == "processor_sharing":
        return Level(numbers)
    windows = {"fixed_window": Window, "ramp": Window, "sliding_window": Sliding}
    types: dict[str, type[Level]] = {
        "concurrency": Slots,
        "adaptive": Slots,
        "resource": Slots,
        "quota": Window,
        "rate_limit": windows.get(algorithm, Bucket),
        "circuit_breaker": Breaker,
        "pause": Switch,
        "incident": Trouble,
    }
    return types[kind](numbers)


def capacity(kind: str, queue: str, numbers: Numbers | None) -> int | None:
    """Return the most that can ever be admitted at once under these numbers, None where there is no bound."""
    names = {
        "concurrency": "limit",
        "adaptive": "most",
        "resource": "capacity",
        "quota": "total",
        "rate_limit": "burst",
    }
    if numbers is None or kind not in names or queue == "processor_sharing":
        return None
    return numbers[names[kind]]
