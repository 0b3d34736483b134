"""No task waits for a constraint that could admit it (contract, section 7.6), checked after every instant.

After the last row of an instant, the constraint that a waiting task is bound to has less room than the task wants; if it
has room, the task should have been admitted, or been bound to another one that refuses it.

Within an instant, a completion or a change admits whom it can before anything else happens (section 4), so right before
the next completion, change or arrival nobody waits for a slot that is free or a pause that is over. (A bucket may have
earned something that is given out after the completions.) Changes of one instant are made together, before anybody is
tried.

A bucket also earns between the rows. A task has to be tried in the very nanosecond in which enough is there, and whatever
comes of that is a row, so until the nanosecond before the next row the bucket must still have too little.

Where the constraint is strict, only the first in its queue has to have been admitted. Where the log does not tell who that
is, it is enough if there is anybody for whom there is no room.

Within an instant nothing is said between the rows of a pre-emption, which is one event. Nor is it between the rows of what
is called off together, which gives back everything before anybody is tried: what is left at a join; what an agent does
whose life is over, or that stops, the attempt that makes it stop and what is held around it among that; and what all do
who crash at one instant.

Where the wanted amount is drawn and the task never starts, it is not known. It is at most what the constraint can ever
admit from now on (`refusal`), so a constraint with room for that much is found out even then.
"""

from model.events import Kind, Status
from model.log import Log

from .reading import Reading, Row, read
from .replay import Replay, Waiter

RULE = "conservation"


_GIVING = (Kind.TaskAbandoned, Kind.ResourceReleased)


class _Together:
    """Follows what is called off together: whose tasks end, one right after the other, while nobody is tried."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._retried = {row.task for row in reading.rows if row.kind == Kind.TaskRetrying}
        self._crashes = {(row.time, row.agent) for row in reading.rows if row.kind == Kind.AgentCrashed}
        self._agent: int | None = None  # the last of whom something was called off just now
        self._has_crashed = False  # whether that was a crash, so that others may follow

    def end(self) -> None:
        """Take in that an instant begins."""
        self._agent, self._has_crashed = None, False

    def goes_on(self, row: Row) -> bool:
        """Whether this row, the next, belongs to what is being called off."""
        if row.kind != Kind.TaskFinished or not (row.value == Status.cancelled or self._fails_around(row)):
            return False
        return row.agent == self._agent or (self._has_crashed and (row.time, row.agent) in self._crashes)

    def apply(self, row: Row, is_running: bool) -> None:
        """Take in the next row, which may be about a task that works or holds something."""
        if row.kind == Kind.TaskFinished and (row.value == Status.cancelled or (is_running and self._stops(row))):
            self._agent = row.agent
        elif row.kind == Kind.AgentCrashed:
            self._has_crashed = True
        elif not (
            row.kind in _GIVING
            or (row.kind == Kind.AgentRestarted and self._has_crashed)
            or (row.kind == Kind.ConstraintChanged and self._reading.hears(row.constraint))
        ):
            self.end()

    def _fails_around(self, row: Row) -> bool:
        """Whether it is a hold that fails because the agent stops within it."""
        return row.value == Status.failed and self._reading.header.steps[row.step].kind == "hold"

    def _stops(self, row: Row) -> bool:
        """Whether the agent stops because of how an attempt has ended."""
        failed = row.value in (Status.failed, Status.timed_out) and row.task not in self._retried
        return self._fails_around(row) or (failed and self._reading.policy(row.step).get("on_failure") == "stop")


def check(log: Log) -> list[str]:
    """Return who waits in vain."""
    reading = read(log)
    replay = Replay(reading)
    together = _Together(reading)
    found = []
    instants = list(reading.instants())
    for (_, rows), following in zip(instants, [*instants[1:], None], strict=True):
        together.end()
        for before, row in zip([None, *rows], rows, strict=False):
            goes_on = before is not None and before.kind == row.kind == Kind.ConstraintChanged
            if (
                (row.kind == Kind.ConstraintChanged and not goes_on and not reading.hears(row.constraint))
                or row.kind == Kind.AgentStarted
                or (row.kind == Kind.TaskFinished and row.task in replay.running and row.value != Status.preempted)
            ) and not together.goes_on(row):
                found += _left(reading, replay, row)
            together.apply(row, row.task in replay.running)
            replay.apply(row)
        last = rows[-1]
        for waiter in _offered(reading, replay):
            found += _waits(reading, replay, waiter, last, None if following is None else following[0] - 1)
    return found


def _offered(reading: Reading, replay: Replay) -> list[Waiter]:
    """Return those who wait and whom nobody may pass."""
    found = []
    for number in range(len(replay.types)):
        waiters = replay.waiting_for(number)
        if reading.rule_of(number, "admission") == "strict" and waiters:
            places = {waiter.task: replay.place(number, waiter.task, waiter.age) for waiter in waiters}
            if None in places.values():
                amounts = [waiter.asks.get(number) for waiter in waiters]
                all_fit = all(amount is not None and replay.admits(number, amount) for amount in amounts)
                waiters = waiters if all_fit else []
            else:
                waiters = [min(waiters, key=lambda waiter, places=places: places[waiter.task])]  # type: ignore[misc]
        found += waiters
    return found


def _left(reading: Reading, replay: Replay, row: Row) -> list[str]:
    """Return who could have been admitted before the event that begins with this row."""
    found = []
    for waiter in _offered(reading, replay):
        number = waiter.constraint
        amount = waiter.asks.get(number)
        if not replay.levels[number].timed and amount is not None and replay.admits(number, amount):
            text = (
                f"{reading.who(waiter.task)} waits for {amount} of {reading.constraint(number)} ({replay.room(number)})"
            )
            found.append(reading.say(RULE, row, f"before this {text}, which could admit it"))
    return found


def _waits(reading: Reading, replay: Replay, waiter: Waiter, last: Row, until: int | None) -> list[str]:
    number = waiter.constraint
    amount = waiter.asks.get(number, 0)
    wanted = replay.ceiling(number) if amount is None else amount
    if wanted is None:
        wanted = 0  # not in force it lets everybody pass; otherwise there is no telling what is wanted
        if replay.numbers[number] is not None:
            return []
    who, what = reading.who(waiter.task), reading.constraint(number)
    text = f"{who} waits for {wanted} of {what} ({replay.room(number)})"
    if replay.admits(number, wanted):
        return [reading.say(RULE, last, f"after this instant {text}, which could admit it")]
    if until is not None and until > replay.now and replay.admits(number, wanted, until):
        return [reading.say(RULE, last, f"after this instant {text}, which has earned enough at {until} ns")]
    return []
