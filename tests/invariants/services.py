"""Agents do what the scenario says, when it says so (contract, sections 1, 2 and 4; it needs the scenario in the header).

- Agents that nobody spawns start at their times: all at 0, one `stagger` after another, `every` so often, or `at` the times
  given.
- An agent goes through its steps as they are written. It asks for a task at the very time at which what came before
  ended, later by its thinking; it finishes when nothing is left, or stops where a failure says so.
- An attempt that started runs exactly as long as its duration says, or as its timeout; that it timed out, failed or
  succeeded agrees with that and with `fail` where that is 0 or 1. One that is refused or gives up takes no time.
- The next attempt asks at the end of the back-off, or at once after a pre-emption; then it works for what was left, or for
  the whole duration, where all limits of the scenario that pre-empt say the same.
- An agent that crashed does all that anew from its restart on; what comes at the instant of a crash comes too late.
- Nothing is overdue at the end: whatever is due by then, that instant included, has happened. A run without `until` goes
  on until nobody has anything left to do but to wait.

Only agents of fleets that do one thing after another are followed: their steps are think, task and repeat, and their life
has no limit (`program.followed`). Of others only the start is checked here; `lifecycle` and `retries` know what their tasks
may do.

Where a time is drawn it may be anything from 0 on. How long that takes which incidents slow is the rule `incidents`.
"""

from typing import Any

from model.events import Kind, Status
from model.log import Log
from model.units import parse_duration

from . import program
from .incidents import met, slows
from .reading import ASKING_KINDS, Reading, Row, read

RULE = "services"
ENDS_OF_WAITS = frozenset({Kind.TaskStarted, Kind.TaskRejected, Kind.TaskAbandoned})
THINKS_MAX = 1000
"""An agent that thinks so often one after another may do so for ever, and is not followed any further."""
MILESTONES = ASKING_KINDS | {
    Kind.AgentStarted, Kind.AgentFinished, Kind.TaskFinished, Kind.TaskRetrying, Kind.TaskAbandoned,
    Kind.AgentCrashed, Kind.AgentRestarted,
}  # fmt: skip


def check(log: Log) -> list[str]:
    """Return who does something else, or at another time."""
    reading = read(log)
    scenario = reading.header.scenario
    if not scenario or not program.same_steps(reading.header):
        return []  # a log written by hand, without a scenario to keep to; other steps are reported by `declared`
    by_agent: dict[int, list[Row]] = {agent: [] for agent in range(reading.agents)}
    for row in reading.rows:
        if row.kind in MILESTONES and row.agent >= 0:
            again = row.kind == Kind.AgentStarted and by_agent[row.agent]
            before = by_agent[row.agent][-1] if by_agent[row.agent] else None
            again = again or (row.kind == Kind.TaskBlocked and before is not None and before.task == row.task)
            by_agent[row.agent] += [] if again else [row]  # that it starts or blocks again is reported by other rules
    found, first_step = [], 0
    for fleet, entry in zip(scenario["fleets"], reading.header.fleets, strict=True):
        agents = range(entry.first, entry.first + entry.count)
        found += _starts(reading, fleet, [by_agent[agent] for agent in agents])
        spawned = [agent for agent in reading.parents if reading.fleet(agent) == entry]
        for agent in [*agents, *spawned]:
            rows = by_agent[agent]
            if rows and rows[0].kind == Kind.AgentStarted and program.followed(fleet):
                for life in _lives(rows):
                    found += _Follower(reading, life).follow(program.walk(fleet["steps"], first_step))
        first_step += program.size(fleet["steps"])
    return found


def _starts(reading: Reading, fleet: dict[str, Any], agents: list[list[Row]]) -> list[str]:
    """Check when the agents of a fleet start."""
    expected = program.starts(fleet, reading.header.until_ns)
    if expected is None:
        return []
    if len(expected) != len(agents):
        return [f"{RULE}: fleet {fleet['name']} has {len(agents)} agents in the header; it has to be {len(expected)}"]
    found = []
    for number, (time, rows) in enumerate(zip(expected, agents, strict=True)):
        first = rows[0] if rows else None
        if time is None or (first is not None and first.time == time):
            continue
        if first is not None and first.kind == Kind.AgentStarted:
            found.append(reading.say(RULE, first, f"the agent has to start at {time} ns"))
        elif first is None and (time <= reading.end or reading.header.until_ns is None):
            found.append(f"{RULE}: agent {number} of fleet {fleet['name']} has to start at {time} ns; no row says so")
    return found


def _lives(rows: list[Row]) -> list[list[Row]]:
    """Return what an agent does from its start and from each restart on, up to the crash, without what that calls off."""
    lives: list[list[Row]] = [[]]
    for row in rows:
        if row.kind == Kind.AgentRestarted:
            lives.append([])
        if row.kind == Kind.AgentCrashed:
            while lives[-1] and _is_called_off(lives[-1][-1], row):
                lives[-1].pop()
        lives[-1].append(row)
    return lives


def _is_called_off(row: Row, crash: Row) -> bool:
    ends = row.kind == Kind.TaskAbandoned or (row.kind == Kind.TaskFinished and row.value == Status.cancelled)
    return ends and row.time == crash.time


class _Differs(Exception):
    """What differs first: all after it would differ. Without a text the agent is not to be followed any further."""


class _Follower:
    """Follows one agent through its steps."""

    def __init__(self, reading: Reading, rows: list[Row]) -> None:
        self._reading = reading
        crashed = [row for row in rows if row.kind == Kind.AgentCrashed]  # once, but for other rules
        self._crash = crashed[0].time if crashed else None
        self._rows = [row for row in rows if row.kind != Kind.AgentCrashed]
        self._at = 1  # the next row
        self._ready = rows[0].time  # when the agent is ready for what comes next, at the earliest
        self._exact = True
        self._modes = {row.get("preempt") for row in reading.written.constraints} - {None}

    def follow(self, way: program.Way) -> list[str]:
        """Return what differs first, if anything does."""
        try:
            self._go(way)
        except _Differs as differs:
            return [text for text in differs.args if text]
        return []

    def _go(self, way: program.Way) -> None:
        answer, idle = None, 0
        while True:
            try:
                do = way.send(answer)
            except StopIteration:
                break
            answer = None
            if isinstance(do, program.Busy):
                self._ready, self._exact, idle = self._ready + (do.ns or 0), self._exact and do.ns is not None, idle + 1
                if idle > THINKS_MAX:
                    raise _Differs(None)
                continue
            idle = 0
            answer = self._visit(do)
        self._next({Kind.AgentFinished}, "finish")

    def _next(self, kinds: "frozenset[Kind] | set[Kind]", what: str, step: int | None = None) -> Row:
        """Take the next row, which has to be of one of these kinds, at the time at which the agent is ready."""
        due = f"{what} at {self._ready} ns" + ("" if self._exact else " or later")
        if self._at == len(self._rows):
            # Nothing more is known of it: that is right only where the rest comes after the end, or may do so.
            reading = self._reading
            last = reading.end if self._crash is None else self._crash - 1
            if reading.header.until_ns is not None and (self._ready > last or not self._exact):
                raise _Differs(None)
            raise _Differs(
                reading.say(RULE, self._rows[-1], f"the last row of the agent; by {last} ns it has to {due}")
            )
        row = self._rows[self._at]
        in_time = row.time == self._ready if self._exact else row.time >= self._ready
        if row.kind not in kinds or (step is not None and row.step != step) or not in_time:
            raise _Differs(self._reading.say(RULE, row, f"the agent has to {due}"))
        self._at += 1
        self._ready, self._exact = row.time, True
        return row

    def _visit(self, do: program.Work) -> bool:
        """Follow a visit to a task; return whether it ended well."""
        name = self._reading.header.steps[do.step].name
        left = self._length(do.task)
        while True:
            asks = self._next(ASKING_KINDS, f"ask for step {do.step} ({name})", do.step)
            if asks.kind == Kind.TaskSkipped:
                return True
            begins = self._begins(asks)
            if begins is None:
                ends = self._next({Kind.TaskFinished}, f"end {self._reading.who(asks.task)}")
            else:
                ends = self._works(do.task, asks, begins, left)
            if ends.value == Status.succeeded:
                return True
            following = self._rows[self._at] if self._at < len(self._rows) else None
            if following is not None and following.kind == Kind.TaskRetrying and following.task == ends.task:
                self._next({Kind.TaskRetrying}, "back off")
                self._ready += following.value
                left = self._length(do.task)
            elif ends.value == Status.preempted and self._modes != {"fail"}:
                shared = any(self._reading.shares(number) for number in self._reading.amounts(ends.task))
                if (
                    shared
                    or slows(self._reading, asks)
                    or len(self._modes) != 1
                    or isinstance(do.task["duration"], dict)
                ):
                    left = None
                elif self._modes == {"resume"} and left is not None and begins is not None:
                    left -= ends.time - begins.time
                again = following is not None and following.task == ends.task._replace(attempt=ends.attempt + 1)
                if "fail" in self._modes and not again:
                    return False
            else:
                return False

    def _begins(self, asks: Row) -> Row | None:
        """Return the row at which an attempt starts, None where it is refused or gives up."""
        if asks.kind == Kind.TaskStarted:
            return asks
        if asks.kind == Kind.TaskRejected:
            return None
        if self._at == len(self._rows):
            raise _Differs(None)  # it still waits
        begins = self._rows[self._at]
        if begins.task != asks.task or begins.kind not in ENDS_OF_WAITS:
            raise _Differs(self._reading.say(RULE, begins, f"{self._reading.who(asks.task)} waits still"))
        self._at += 1
        self._ready = begins.time
        return begins if begins.kind == Kind.TaskStarted else None

    def _works(self, task: program.Step, asks: Row, begins: Row, ns: int | None) -> Row:
        """Take the end of an attempt that has started and works for `ns`, None where that is drawn."""
        following = self._rows[self._at] if self._at < len(self._rows) else None
        cut = following is not None and following.kind == Kind.TaskFinished and following.value == Status.preempted
        timeout = None if task.get("timeout") is None else parse_duration(task["timeout"])
        in_time = None if ns is None else timeout is None or ns <= timeout
        length = None if ns is None else ns if in_time or timeout is None else timeout
        shared = any(self._reading.shares(number) for number in self._reading.amounts(asks.task))
        if shared or slows(self._reading, asks):  # how long that takes is a part of `sharing` and `incidents`
            length = timeout = None
            in_time = False if in_time is False else None
        self._ready, self._exact = begins.time + (0 if cut else length or 0), length is not None and not cut
        ends = self._next({Kind.TaskFinished}, f"end {self._reading.who(asks.task)}")
        longest = timeout if length is None else length
        if longest is not None and ends.time - begins.time > longest:
            raise _Differs(self._reading.say(RULE, ends, f"it works {ends.time - begins.time} ns; at most {longest}"))
        allowed = {Status.preempted} if cut else self._statuses(task, asks.attempt, in_time)
        if any(met(self._reading, begins).fails) and allowed & {Status.succeeded}:
            allowed |= {Status.failed}
        if self._again(asks):
            allowed |= {Status.succeeded, Status.failed, Status.timed_out}
        if ends.value in list(Status) and ends.value not in allowed:  # another status is reported by `lifecycle`
            names = ", ".join(sorted(status.name for status in allowed))
            raise _Differs(self._reading.say(RULE, ends, f"it ended with {ends.value}; allowed: {names}"))
        return ends

    def _again(self, asks: Row) -> bool:
        """Whether it goes on with what was pre-empted, and so ends as that would have."""
        before = [row for row in self._rows[: self._at] if row.task == asks.task._replace(attempt=asks.attempt - 1)]
        return any(row.kind == Kind.TaskFinished and row.value == Status.preempted for row in before)

    def _statuses(self, task: program.Step, attempt: int, in_time: bool | None) -> set[Status]:
        """Return how an attempt may end that nobody ends."""
        fail = task.get("fail", 0)
        chance = fail[min(attempt, len(fail) - 1)] if isinstance(fail, list) else fail
        statuses = set[Status]()
        if in_time is not True and task.get("timeout") is not None:
            statuses.add(Status.timed_out)
        if in_time is not False:
            statuses |= {Status.succeeded} if chance < 1 else set()
            statuses |= {Status.failed} if chance > 0 else set()
        return statuses

    def _length(self, task: program.Step) -> int | None:
        return program.constant(task["duration"])
