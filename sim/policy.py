"""A task with a policy: attempts, failures, patience, and whatever else a task does beside working.

Rules:

1. A visit is one or more attempts. An attempt asks, works, and ends with one `TaskFinished`; after one that did not succeed
   the retry policy says whether and when there is another, and then the agent goes on as `on_failure` says.
2. How an attempt will end is known when it is made: the draw for failure, and the shorter of duration and timeout. What can
   still come in between is a refusal, an end of patience, or a pre-emption.
3. The first attempt of the n-th visit takes the n-th draw of the step's variables; all further attempts take the draws of
   variables of their own, one after the other. So a limit that causes retries does not change what first attempts meet.
4. The end of an attempt is an event of its own, which can be called off.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

from simpy.events import Event

from model.events import Kind, Status
from sim.environment import COMPLETION, REQUEST
from sim.recorder import Recorder, attempt_code
from sim.task import Activity, Demands, Task, Waker

if TYPE_CHECKING:
    from model.plan import Chance, Policy, RetryPlan
    from sim.constraints.base import GlobalConstraint
    from sim.environment import Environment
    from sim.manager import ConstraintManager
    from sim.step import Draws, Step

_RETRYING: Final = int(Kind.TaskRetrying)
_SKIPPED: Final = int(Kind.TaskSkipped)
NEVER: Final = 2**63
"""A deadline that does not come."""
_BITS: Final = 53


class PolicyTask(Task):
    """A task of which a visit may be several attempts."""

    env: "Environment"  # ours, with whole nanoseconds

    __slots__ = (
        "after_failure",
        "again",
        "attempt",
        "backoff_ns",
        "binding",
        "draws",
        "due_ns",
        "ending",
        "ends_ns",
        "fleet",
        "kept",
        "laps_left",
        "outcome",
        "policy",
        "priority",
        "refused_ns",
        "started",
        "states_all",
        "status",
        "step_code",
        "whole",
    )

    def __init__(self, env: "Environment", waker: Waker, step: "Step", number: int, index: int) -> None:
        super().__init__(env, waker, step, number, index)
        assert step.policy is not None
        self.policy: Policy = step.policy
        self.priority = self.policy.priority
        self.fleet = step.plan.fleet
        self.draws = _Draws(step.policy, step.draws, index)
        self.step_code = step.code
        self.attempt = 0
        self.binding: GlobalConstraint | None = None  # what it waits for, while it waits
        self.due_ns = NEVER  # its deadline
        self.outcome = Status.succeeded  # how the attempt ends, unless something comes in between
        self.status = Status.succeeded  # how the attempt did end
        self.refused_ns = -1  # when it was rejected: the ns after which it could have been admitted
        self.again = True  # whether a further attempt may do better
        self.backoff_ns = 0  # the last back-off
        self.ending: Event | None = None  # the end of the work that is going on
        self.ends_ns = 0
        self.states_all = step.states_all  # whether the log states all that it takes and gives back
        self.started = 0  # place in the order of starts, where others may pre-empt it
        self.kept: Demands = ()  # what it holds from one attempt to the next
        self.whole = self.demands, self.held, self.drawn  # what it asks for in its first attempt
        self.after_failure: Activity | None = None
        self.laps_left: list[Any] = []  # the repeats that it leaves when it goes there

    def come(self) -> None:
        """Begin a visit."""
        self.who += 1
        self.attempt = 0
        self.backoff_ns = 0
        self.code, self.code_finished = self.step_code, self.step_code + Kind.TaskFinished
        if self.requests is not None:
            self.whole = next(self.requests)
        self.demands, self.held, drawn = self.whole
        self.drawn = self.demands if self.states_all else drawn
        self._work(next(self.durations), self.draws.fails(0))
        if self.policy.deadline_ns is not None:
            self.due_ns = self.env._now + self.policy.deadline_ns

    def try_again(self) -> None:
        """Begin the next attempt after a failure."""
        self.number_attempt()
        self._work(self.draws.duration(), self.draws.fails(self.attempt))

    def number_attempt(self) -> None:
        """Give the next attempt its number."""
        self.attempt += 1
        self.code = self.step_code + attempt_code(self.attempt)
        self.code_finished = self.code + Kind.TaskFinished

    def _work(self, duration_ns: int, fails: bool) -> None:
        timeout_ns = self.policy.timeout_ns
        self.again = True
        self.refused_ns = -1
        if timeout_ns is not None and duration_ns > timeout_ns:
            self.duration_ns, self.outcome = timeout_ns, Status.timed_out
        else:
            self.duration_ns, self.outcome = duration_ns, Status.failed if fails else Status.succeeded

    def keep(self) -> None:
        """Hold on to the slots, and ask for the rest alone next time."""
        self.kept += self.held
        self.held = ()
        self.demands = tuple(demand for demand in self.demands if not demand[0].holds)
        self.drawn = tuple(demand for demand in self.drawn if not demand[0].holds)

    def resume_later(self, mode: str, left_ns: int) -> None:
        """Begin the next attempt after a pre-emption that left this much to do."""
        self.number_attempt()
        if mode == "resume":
            self.duration_ns = left_ns
        elif mode == "resample":
            self._work(self.draws.next("preempted"), self.outcome is Status.failed)

    def begin(self) -> None:
        """Start to work: schedule the end of it."""
        self.ends_ns = self.env._now + self.duration_ns
        self.ending = self.env.at(self.ends_ns, COMPLETION)
        self.ending.callbacks = self.waker

    def call_off(self) -> int:
        """Stop working; return the ns that were left to do."""
        assert self.ending is not None
        self.ending.callbacks = []
        self.ending = None
        return self.ends_ns - self.env._now

    def may_retry(self) -> bool:
        """Say whether the attempt that just ended is followed by another."""
        retry = self.policy.retry
        return (
            retry is not None
            and self.again
            and self.status is not Status.cancelled
            and self.attempt + 1 < retry.attempts
        )

    def back_off(self) -> int:
        """Return the ns until the next attempt."""
        retry = self.policy.retry
        assert retry is not None
        self.backoff_ns = _back_off(retry, self.attempt, self.backoff_ns, self.draws.jitter())
        return max(self.backoff_ns, self.refused_ns) if retry.retry_after else self.backoff_ns


def _back_off(retry: "RetryPlan", attempt: int, before_ns: int, bits: int) -> int:
    """Return the back-off after an attempt, in whole ns, rounded down; `bits` is a draw of 53 bits."""
    if retry.jitter == "decorrelated":
        upper = max(retry.delay_ns, 3 * (before_ns or retry.delay_ns))
        return min(retry.cap_ns, retry.delay_ns + ((upper - retry.delay_ns) * bits >> _BITS))
    # The power is cut off where it is above every cap, so that no number has thousands of digits.
    base = retry.delay_ns
    for _ in range(attempt if retry.factor > 1 else 0):
        base = int(base * retry.factor)
        if base >= retry.cap_ns:
            break
    base = min(retry.cap_ns, base)
    if retry.jitter == "full":
        return base * bits >> _BITS
    if retry.jitter == "equal":
        return base // 2 + ((base - base // 2) * bits >> _BITS)
    return base


class _Draws:
    """The random variables of one agent's visits to a step, each made when it is first wanted."""

    __slots__ = ("_draws", "_index", "_iterators", "_policy")

    def __init__(self, policy: "Policy", draws: dict[str, "Draws"], index: int) -> None:
        self._policy = policy
        self._draws = draws
        self._index = index
        self._iterators: dict[str, Iterator[int]] = {}

    def next(self, name: str) -> int:
        """Return the next value of a variable of the step."""
        iterator = self._iterators.get(name)
        if iterator is None:
            iterator = self._iterators[name] = self._draws[name](self._index)
        return next(iterator)

    def fails(self, attempt: int) -> bool:
        """Draw whether this attempt ends in failure."""
        chance = self._policy.fail
        if chance is None:
            return False
        return _happens(chance, attempt, self.next("fail" if attempt == 0 else "fail_again"))

    def skips(self) -> bool:
        """Draw whether this visit is skipped."""
        skip = self._policy.skip
        return skip is not None and _happens(skip[0], 0, self.next("skip"))

    def duration(self) -> int:
        """Draw the duration of a further attempt."""
        return self.next("duration_again")

    def patience(self) -> int | None:
        """Draw the patience of an attempt that has to wait; None where it has no end."""
        return self.next("patience") if "patience" in self._draws else None

    def jitter(self) -> int:
        """Draw the jitter of a back-off; 0 where there is none."""
        return self.next("jitter") if "jitter" in self._draws else 0


def _happens(chance: "Chance", attempt: int, bits: int) -> bool:
    return bits < chance.thresholds[min(attempt, len(chance.thresholds) - 1)]


def attempts(
    task: PolicyTask, env: "Environment", manager: "ConstraintManager", recorder: Recorder
) -> Generator[Event, Any, Activity | None]:
    """Go through one visit to a task; return the activity that follows it."""
    task.come()
    if task.draws.skips():
        assert task.policy.skip is not None
        recorder.record((env._now, task.code + _SKIPPED, task.who, task.policy.skip[1]))
        return task.next
    while True:
        manager.ask(task)
        done = yield task
        ended = done is task.ending
        if ended:
            task.status = task.outcome
        retrying = task.status is not Status.succeeded and task.may_retry()
        retry = task.policy.retry
        if ended:
            manager.finish(task, keep=retrying and retry is not None and retry.holds)
        if not retrying:
            break
        delay_ns = task.back_off()
        recorder.record((env._now, task.code + _RETRYING, task.who, delay_ns))
        task.try_again()
        resuming = env.at(env._now + delay_ns, REQUEST)
        resuming.callbacks = task.waker
        yield resuming
    if task.kept:
        manager.give_back(task)
    if task.status is Status.succeeded:
        return task.next
    for repeat in task.laps_left:
        repeat.laps = 0
    return task.after_failure
