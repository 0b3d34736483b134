"""A task with a policy: attempts, failures, patience, and whatever else a task does beside working.

Rules:

1. A visit is one or more attempts. An attempt asks, works, and ends with one `TaskFinished`; after one that did not succeed
   the retry policy says whether and when there is another, and then the agent goes on as `on_failure` says.
2. How an attempt will end is known when it is made: the draw for failure, and the shorter of duration and timeout. What can
   still come in between is a refusal, an end of patience, or a pre-emption.
3. The first attempt of the n-th visit takes the n-th draw of the step's variables; all further attempts take the draws of
   variables of their own, one after the other. So a limit that causes retries does not change what first attempts meet.
4. The first attempt of a visit pays into the budget of retries when it asks; another attempt is paid for when the one
   before it ends, if nothing else is against it.
5. The end of an attempt is an event of its own, which can be called off.
"""

from collections.abc import Generator
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from simpy.events import Event

from model.events import Kind, Skip, Status
from model.plan import END
from sim.environment import COMPLETION, REQUEST
from sim.recorder import attempt_code, who
from sim.task import Activity, Demands, Link, Task, Waker

if TYPE_CHECKING:
    from model.plan import Chance, Policy, RetryPlan
    from sim.agent import Agent, Strand
    from sim.constraints.base import GlobalConstraint
    from sim.environment import Environment
    from sim.step import Step

_RETRYING: Final = int(Kind.TaskRetrying)
_SKIPPED: Final = int(Kind.TaskSkipped)
NEVER: Final = 2**63
"""A deadline that does not come."""
_BITS: Final = 53


class Stop(Exception):
    """A task failed for good, and its agent stops."""


class PolicyTask(Task):
    """A task of which a visit may be several attempts, or that is held while its strand goes through other steps."""

    __slots__ = (
        "acquire",
        "acquired",
        "after_failure",
        "again",
        "attempt",
        "backing_off_ns",
        "backoff_ns",
        "began_ns",
        "binding",
        "body",
        "budget",
        "came_to_nothing",
        "due_ns",
        "ending",
        "ends_ns",
        "fails",
        "first_ns",
        "first_who",
        "fleet",
        "gives_back",
        "has_body",
        "incidents",
        "is_lent",
        "kept",
        "laps_left",
        "luck",
        "outcome",
        "own_ns",
        "patience_ns",
        "policy",
        "priority",
        "produced",
        "refused_ns",
        "sharing",
        "skipped",
        "stages",
        "started",
        "states_all",
        "status",
        "step_code",
        "stops",
        "strand",
        "taken_ns",
        "timeout_ns",
        "visits",
        "whole",
        "work_ns",
        "worked_ns",
    )

    env: "Environment"

    def __init__(self, agent: "Agent", waker: Waker, step: "Step") -> None:
        super().__init__(agent.env, waker, step, agent.number, agent.index)
        assert step.policy is not None
        self.policy: Policy = step.policy
        self.budget = step.budget
        self.priority = self.policy.priority
        self.fleet = step.plan.fleet
        self.visits = agent.visits(step)
        self.step_code = step.code
        self.first_who = self.who + 1
        self.attempt = 0
        self.binding: GlobalConstraint | None = None  # what it waits for, while it waits
        self.due_ns = NEVER  # its deadline
        self.patience_ns: int | None = None  # how long each attempt of the visit waits at most; None: for ever
        self.outcome = Status.succeeded  # how the attempt ends, unless something comes in between
        self.status = Status.succeeded  # how the attempt did end
        self.skipped: Skip | None = None  # why the visit was skipped, if it was
        self.refused_ns = -1  # when it was rejected: the ns after which it could have been admitted
        self.again = True  # whether a further attempt may do better
        self.backoff_ns = 0  # the last back-off
        self.backing_off_ns: int | None = None  # since when it backs off, while it does
        self.ending: Event | None = None  # the end of the work that is going on
        self.began_ns = 0  # when it began to work
        self.ends_ns = 0
        self.own_ns = 0  # how long it would work by itself
        self.work_ns = 0  # how long it would work if nothing came in between
        self.worked_ns = 0  # how much of it was done when it was over, where something else says how fast that goes
        self.fails = False  # whether it fails by itself at the end of its work
        self.incidents: tuple[GlobalConstraint, ...] = step.incidents[step.group(agent.index)]  # what may strike it
        self.luck: dict[
            tuple[str, int], bool
        ] = {}  # whether incidents refuse the attempt or let it fail, if they are on
        self.taken_ns: dict[GlobalConstraint, int] = {}  # when it took what is settled or heard of at the end
        self.produced: dict[GlobalConstraint, int] = {}  # what was charged of what is charged as it is produced
        self.sharing: GlobalConstraint | None = None  # what says how fast it works, while it works
        self.states_all = self.policy.states_all  # whether the log states all that it takes and gives back
        self.started = 0  # place in the order of starts, where others may pre-empt it
        self.kept: Demands = ()  # what it holds from one attempt to the next
        self.first_ns = 0  # when it asked for the first of what it takes one after the other
        self.acquire = step.acquire
        self.acquired: Demands = ()  # what it holds already while it waits for the rest
        self.stages: list[Demands] = []  # what it asks for after that
        self.came_to_nothing = False  # whether its last attempt was refused, gave up or lost its slots for good
        self.timeout_ns: int | None = None  # how long its attempt may work
        self.is_lent = False  # whether it gave back what it goes on holding later
        self.whole = self.demands, self.held, self.drawn  # what it asks for in its first attempt
        self.strand: Strand | None = None  # who does it
        self.body: Activity | None = None  # what it does while it holds
        self.has_body = step.body is not None
        self.gives_back = step.gives_back
        self.after_failure: Activity | None = None
        self.stops = self.policy.after_failure == END
        self.laps_left: list[Any] = []  # the repeats that it leaves when it goes there

    def link(self, step: "Step", activity_of: Link) -> None:
        """Link it with its body, and with what follows a failure."""
        self.body = activity_of(step.body)
        self.after_failure = activity_of(step.after_failure)
        self.laps_left = [activity_of(repeat) for repeat in step.laps_left]

    @property
    def counts_as_done(self) -> bool:
        """Whether what comes after it in a graph may begin."""
        return self.status is Status.succeeded and self.skipped in (None, Skip.cache_hit)

    def come(self) -> None:
        """Begin a visit."""
        self.who = self.first_who + self.visits.come()
        self.attempt = 0
        self.backoff_ns = 0
        self.status, self.skipped = Status.succeeded, None
        self.came_to_nothing = False
        self.code, self.code_finished = self.step_code, self.step_code + Kind.TaskFinished
        if self.visits.requests is not None:
            self.whole = next(self.visits.requests)
        self.demands, self.held, drawn = self.whole
        self.drawn = drawn
        self._line_up()
        self._work(self.visits.draw("duration"), self._fails())
        self._try_luck("")
        self.patience_ns = self.visits.draw("patience") if self.policy.patience is not None else None
        if self.policy.deadline_ns is not None:
            self.due_ns = self.env._now + self.policy.deadline_ns

    def skips(self) -> bool:
        """Draw whether this visit is skipped."""
        if self.policy.skip is None:
            return False
        chance, reason = self.policy.skip
        self.skipped = Skip(reason) if _happens(chance, 0, self.visits.draw("skip")) else None
        return self.skipped is not None

    def _fails(self) -> bool:
        chance = self.policy.fail
        if chance is None:
            return False
        return _happens(chance, self.attempt, self.visits.draw("fail" if self.attempt == 0 else "fail_again"))

    def try_again(self) -> None:
        """Begin the next attempt after a failure."""
        self.number_attempt()
        self._work(self.visits.draw("duration_again"), self._fails())
        self._try_luck("_again")

    def _try_luck(self, again: str) -> None:
        """Draw what incidents would do to the attempt, whether they are on or not."""
        for exposure in self.policy.exposures:
            for what, chance in (("refuse", exposure.refuse), ("fail", exposure.fail)):
                if chance is not None:
                    bits = self.visits.draw(f"{what}{again}/{exposure.incident}")
                    self.luck[what, exposure.incident] = not _happens(chance, 0, bits)

    def has_bad_luck(self, what: str, incident: "GlobalConstraint") -> bool:
        """Say whether an incident does this to the attempt, if it is on."""
        return not self.luck.get((what, incident.number), True)

    def meet_incidents(self) -> None:
        """Begin to work under the incidents that are on: it may take longer, or fail."""
        slowness, fails = Fraction(1), self.fails
        for incident in self.incidents:
            if incident.is_on:
                if incident.slows_new:
                    slowness *= incident.slowness
                fails |= self.has_bad_luck("fail", incident)
        self.work_ns = round(self.own_ns * slowness)
        self._aim(fails)

    def number_attempt(self) -> None:
        """Give the next attempt its number."""
        self.attempt += 1
        self._line_up()

    def name_attempt(self) -> None:
        """Let the rows have the number of the attempt, which begins."""
        self.code = self.step_code + attempt_code(self.attempt)
        self.code_finished = self.code + Kind.TaskFinished

    def _work(self, duration_ns: int, fails: bool) -> None:
        self.timeout_ns = self.policy.timeout_ns
        self.own_ns = self.work_ns = duration_ns
        self.fails = fails
        self.again = True
        self.refused_ns = -1
        self._aim(fails)

    def _aim(self, fails: bool) -> None:
        """Work out how the attempt ends if nothing comes in between."""
        if self.timeout_ns is not None and self.work_ns > self.timeout_ns:
            self.duration_ns, self.outcome = self.timeout_ns, Status.timed_out
        else:
            self.duration_ns, self.outcome = self.work_ns, Status.failed if fails else Status.succeeded

    def _line_up(self) -> None:
        """Ask for what is to be taken first, and then for the rest."""
        if self.acquire:
            wanted = [demand for demand in self.whole[0] if not (self.kept and demand[0].holds)]
            by_number = {constraint.number: (constraint, amount) for constraint, amount in wanted}
            first: list[Demands] = [(by_number.pop(number),) for number in self.acquire if number in by_number]
            self.stages = first if first and not by_number else [*first, tuple(by_number.values())]
            self.demands = self.stages.pop(0)
        self._state()

    def _state(self) -> None:
        """Let the log state what is asked for; what is charged at the end alone is not taken before."""
        if self.states_all:
            self.drawn = tuple(demand for demand in self.demands if not demand[0].defers)

    def next_stage(self) -> None:
        """Hold what was taken, and ask for what comes next."""
        self.acquired += tuple((c, n) for c, n in self.demands if c.holds or c.hears or (c.settles and not c.defers))
        self.demands = self.stages.pop(0)
        self._state()

    def keep(self) -> None:
        """Hold on to the slots, and ask for the rest alone next time."""
        self.kept = tuple(demand for demand in self.held if demand[0].holds)
        self.held = ()
        self.demands = tuple(demand for demand in self.whole[0] if not demand[0].holds)
        self._state()

    def hold_all(self) -> None:
        """Hold all that it asked for: what it has taken now, one after the other, or kept from the attempt before."""
        if self.is_lent:
            self.held, self.is_lent = self.demands + self.held, False
        else:
            self.kept = self.acquired = ()
            self.demands, self.held, _ = self.whole

    def resume_later(self, mode: str, left_ns: int) -> None:
        """Begin the next attempt after a pre-emption that left this much to do."""
        self.number_attempt()
        self.name_attempt()
        if mode == "resample":
            self._work(self.visits.draw("preempted"), self.fails)
            return
        if mode == "resume":
            left_of_work_ns = self.work_ns - (self.duration_ns - left_ns)
            if self.own_ns != self.work_ns:  # it was longer, which it may not be next time
                left_of_work_ns = round(Fraction(left_of_work_ns * self.own_ns, self.work_ns))
            self.own_ns = left_of_work_ns
            if self.timeout_ns is not None:
                self.timeout_ns -= self.env._now - self.began_ns
        self.work_ns = self.own_ns
        self._aim(self.fails)

    def begin(self, sharing: "GlobalConstraint | None") -> None:
        """Start to work: schedule the end of it, or let the constraint do so that the work shares."""
        self.sharing = None if self.has_body else sharing
        if self.sharing is not None:
            self.ending = Event(self.env)
            self.ending._ok, self.ending._value = True, None
            self.sharing.enter(self)
            if self.timeout_ns is not None:
                time_out = self.env.at(self.env._now + self.timeout_ns, COMPLETION)
                time_out.callbacks = [partial(self._time_out, self.started)]
            return
        self.ends_ns = self.env._now + self.duration_ns
        self.ending = self.env.at(self.ends_ns, REQUEST if self.has_body else COMPLETION)
        self.ending.callbacks = self.waker

    def _time_out(self, started: int, _: Event) -> None:
        """Callback: end the attempt that was the `started`-th, if it still works and is not done at this very instant."""
        sharing = self.sharing
        if self.ending is not None and self.started == started and sharing is not None and sharing.works(self):
            sharing.leave(self)
            self.outcome = Status.timed_out
            self.ending = self.env.at(self.env._now, COMPLETION)
            self.ending.callbacks = self.waker

    def produce(self, constraint: "GlobalConstraint") -> int:
        """Return what was produced since the last time of what `constraint` counts, and is to be charged now."""
        cost = next(-amount for other, amount in self.held if other is constraint)
        worked_ns = self.env._now - self.began_ns if self.sharing is None else self.sharing.worked(self)
        produced = cost if worked_ns >= self.work_ns else cost * worked_ns // self.work_ns
        charged, self.produced[constraint] = self.produced[constraint], produced
        return produced - charged

    def hand_back(self, constraint: "GlobalConstraint", amount: int) -> None:
        """Give back what it held, or settle what it took."""
        if constraint.settles:
            constraint.settle(amount, self.taken_ns[constraint])
        else:
            constraint.give(amount)

    def gives(self) -> Demands:
        """Return what the attempt gives back at its end."""
        if not self.produced:
            return self.held
        return tuple(
            (constraint, -self.produce(constraint) if constraint in self.produced else amount)
            for constraint, amount in self.held
        )

    def lend(self) -> None:
        """Give up what it holds for a while: what it asks for then is that."""
        self.is_lent = True
        self.demands = self.drawn = tuple(demand for demand in self.held if demand[0].holds)
        self.held = tuple(demand for demand in self.held if not demand[0].holds)

    def call_off(self) -> int:
        """Stop working; return the ns that were left to do."""
        assert self.ending is not None
        self.ending.callbacks = []
        self.ending = None
        if self.sharing is not None:
            return self.sharing.leave(self)
        return self.ends_ns - self.env._now

    def may_retry(self) -> bool:
        """Say whether the attempt that just ended is followed by another, if it is paid for."""
        retry = self.policy.retry
        return (
            retry is not None
            and self.again
            and self.status is not Status.cancelled
            and self.attempt + 1 < retry.attempts
        )

    def is_paid_for(self) -> bool:
        """Pay for another attempt, if it costs anything; say whether that was possible."""
        return self.budget is None or self.budget.pay_out()

    def back_off(self) -> int:
        """Return the ns until the next attempt."""
        retry = self.policy.retry
        assert retry is not None
        jitter = self.visits.draw("jitter") if retry.draws is not None else 0
        self.backoff_ns = _back_off(retry, self.attempt, self.backoff_ns, jitter)
        return max(self.backoff_ns, self.refused_ns) if retry.retry_after else self.backoff_ns


def _back_off(retry: "RetryPlan", attempt: int, before_ns: int, bits: int) -> int:
    """Return the back-off after an attempt, to the nearest ns, ties to even; `bits` is a draw of 53 bits."""
    share = Fraction(bits, 1 << _BITS)
    if retry.jitter == "decorrelated":
        upper = max(retry.delay_ns, 3 * (before_ns or retry.delay_ns))
        return min(retry.cap_ns, round(retry.delay_ns + (upper - retry.delay_ns) * share))
    # The power is cut off where it is above every cap, so that no number has thousands of digits.
    base = Fraction(retry.delay_ns)
    for _ in range(attempt if retry.factor > 1 and base else 0):
        base *= retry.factor
        if base >= retry.cap_ns:
            break
    base = min(Fraction(retry.cap_ns), base)
    if retry.jitter == "full":
        base *= share
    elif retry.jitter == "equal":
        base = base / 2 + base / 2 * share
    return round(base)


def _happens(chance: "Chance", attempt: int, bits: int) -> bool:
    return bits < chance.thresholds[min(attempt, len(chance.thresholds) - 1)]


def skip(agent: "Agent", step: "Step", reason: Skip) -> None:
    """Record that an agent skips a step; what the visit would have drawn is left out."""
    visits = agent.visits(step)
    visit = visits.come()
    visits.leave_out()
    agent.fleet.record((agent.env._now, step.code + _SKIPPED, who(agent.number, visit), reason))


def attempts(task: PolicyTask, strand: "Strand") -> Generator[Event, Any, Activity | None]:
    """Go through one visit to a task; return the activity that follows it. Raises Stop where the agent is to stop."""
    agent = strand.agent
    env, manager, record = agent.env, agent.manager, agent.fleet.record
    task.come()
    task.strand = strand
    strand.doing = task
    if task.skips():
        assert task.skipped is not None
        record((env._now, task.code + _SKIPPED, task.who, task.skipped))
    elif task.budget is not None:
        task.budget.pay_in()
    while task.skipped is None:
        manager.ask(task)
        ended = (yield task) is task.ending
        if ended:
            task.ending = None
            if task.has_body:
                yield from _hold(task, strand)
            else:
                task.status = task.outcome
        task.came_to_nothing = not ended
        retry = task.policy.retry
        retrying = task.status is not Status.succeeded and task.may_retry() and task.is_paid_for()
        if task.stops and task.status is not Status.succeeded and not retrying:
            manager.postpone()  # until all that the agent does is called off
        if ended:
            manager.finish(task, keep=retrying and retry is not None and retry.holds)
        if not retrying:
            break
        delay_ns = task.back_off()
        record((env._now, task.code + _RETRYING, task.who, delay_ns))
        task.try_again()
        env.at(env._now + delay_ns, REQUEST).callbacks = task.waker
        task.backing_off_ns = env._now
        yield task
        task.backing_off_ns = None
        task.name_attempt()
    strand.doing = None
    if task.kept:
        manager.give_back(task)
    if strand.when_judged is not None:
        strand.when_judged(task)
    if task.status is Status.succeeded:
        return task.next
    if task.stops:
        raise Stop
    for repeat in task.laps_left:
        repeat.laps = 0
    return task.after_failure


def _hold(task: PolicyTask, strand: "Strand") -> Generator[Event, Any, None]:
    """Go through the body of a task that holds what it asked for."""
    strand.doing = None
    strand.holds += (task,)
    task.status = Status.succeeded
    try:
        yield from strand.go_through(task.body)
    except Stop:
        task.status = Status.failed
        strand.holds = strand.holds[:-1]
        strand.agent.manager.finish(task)
        raise
    strand.holds = strand.holds[:-1]
