"""The constraint manager: who is admitted, who is blocked on what, and who is tried next.

Rules (sections 4 and 5 of the design):

1. All or nothing: a task takes everything that it asks for at one instant, or nothing.
2. A refused task is bound to the first constraint, in the order of the scenario, that refuses it. It is charged to that
   one alone, and tried again only when that one may have changed: then, if another refuses it, it is bound to that other
   and keeps its place by age.
3. When several constraints change at once, as at the end of a task that held them all, those who wait for any of them are
   tried in one order, by age; among those who wait for one, its queue says who is first.
4. A request that some constraint could never admit is refused for good, when it asks or when a change makes it so: the
   task fails without having started.
5. A task whose policy is none asks by `request` and ends by `release`, which do no more than that takes; all others by
   `ask` and `finish`.

TaskBlocked is recorded once an episode, TaskRebound when the binding constraint changes, TaskResumed when the task is
admitted. The manager names no constraint type.
"""

from collections.abc import Container, Sequence
from functools import partial
from heapq import heappush
from itertools import count
from typing import TYPE_CHECKING

from simpy.events import Event

from model.events import Kind, Status
from model.plan import TaskPlan
from sim.constraints import TYPES, GlobalConstraint
from sim.deadlock import Watch
from sim.environment import COMPLETION, DEADLINE, REFILL, REQUEST, Environment
from sim.policy import PolicyTask
from sim.queues import EVERYTHING, queue_of
from sim.recorder import NOBODY, Recorder, code, who
from sim.task import YOUNGEST, Demands, Task, Waker

if TYPE_CHECKING:
    from model.plan import Change, Plan

_CHANGED = code(Kind.ConstraintChanged)
_REBOUND = int(Kind.TaskRebound)
_RESUMED = int(Kind.TaskResumed)
_STARTED = int(Kind.TaskStarted)
_REJECTED = int(Kind.TaskRejected)
_ACQUIRED = int(Kind.ResourceAcquired)
_RELEASED = int(Kind.ResourceReleased)
_ABANDONED = int(Kind.TaskAbandoned)
_SUCCEEDED = int(Status.succeeded)
_FAILED = int(Status.failed)


class ConstraintManager:
    """Admits the tasks of all agents."""

    def __init__(self, env: Environment, plan: "Plan", recorder: Recorder) -> None:
        self.constraints = [TYPES[row.behaviour](env, row, queue_of(row, plan.seed)) for row in plan.constraints]
        for constraint in self.constraints:
            constraint.armed.append(self._passed)
        asked_with_policy = {
            demand.constraint
            for step in plan.steps
            if isinstance(step, TaskPlan) and step.policy is not None
            for group in step.demands
            for demand in group
        }
        for constraint in self.constraints:
            constraint.plain = constraint.number not in asked_with_policy
        self.asking: Waker = [self.request]
        """The callbacks of an event at which a task asks."""
        self._env = env
        self._ages = count()
        self._starts = count()
        self._admitting = False  # whether those who wait for something that changed are being tried
        self._going_on: list[PolicyTask] = []  # who has taken one thing meanwhile and asks for the next afterwards
        self._ids = env._eid
        self.watch = Watch(env, recorder) if plan.waits_while_holding else None
        self._record = recorder.record
        self._schedule = env._queue

    def request(self, task: Task) -> None:
        """Start the task, or let it wait. Either way its event will happen, at the end of its work."""
        now = self._env._now
        for constraint, amount in task.demands:
            if not constraint.admits(task, amount):
                if task.doubtful and (never := _never(task)) is not None:
                    self._refuse(task, never)
                    return
                task.asked_ns = task.bound_ns = now
                task.age = next(self._ages)
                before = constraint.waiting.add(task, amount)
                record = self._record  # 3.11 calls a local much faster than an attribute
                record((now, constraint.code_blocked + task.code, task.who, before))
                if constraint.timed:
                    constraint.look_ahead()
                return
        for constraint, amount in task.demands:
            constraint.take(amount)
        if task.drawn:
            self._state_amounts(task, now)
        record = self._record
        record((now, _STARTED + task.code, task.who, 0))
        task.callbacks = task.waker
        heappush(self._schedule, (now + task.duration_ns, COMPLETION, next(self._ids), task))

    def release(self, task: Task) -> None:
        """End the task: give back what it holds, and admit those who were waiting for it."""
        record, now, held = self._record, self._env._now, task.held
        if len(held) == 1:
            constraint, amount = held[0]
            if constraint.exclusive and (waiter := constraint.hand_over()) is not None:
                if type(waiter) is Task and not waiter.drawn:  # the commonest end: what _resume does, cheaper
                    admitted, waited_ns = constraint.code_admitted + waiter.code, now - waiter.asked_ns
                    record((now, task.code_finished, task.who, _SUCCEEDED, now, admitted, waiter.who, waited_ns))
                    waiter.age = YOUNGEST
                    waiter.callbacks = waiter.waker
                    heappush(self._schedule, (now + waiter.duration_ns, COMPLETION, next(self._ids), waiter))
                    return
                record((now, task.code_finished, task.who, _SUCCEEDED))
                self._resume(waiter, constraint)
                return
            record((now, task.code_finished, task.who, _SUCCEEDED))
            constraint.give(amount)
            if constraint.plain:
                self._admit_plain(constraint)
            else:
                self._admit_in_turn((constraint,))
        else:
            record((now, task.code_finished, task.who, _SUCCEEDED))
            for constraint, amount in held:
                constraint.give(amount)
            self._admit_in_turn([constraint for constraint, _ in held])

    def change(self, changes: "Sequence[Change]") -> None:
        """Give constraints their new numbers of this instant, and then admit those for whom they make room."""
        changed: dict[GlobalConstraint, None] = {}
        is_ceiling_lower = False
        for change in changes:
            constraint = self.constraints[change.constraint]
            changed[constraint] = None
            ceiling_before = constraint.ceiling
            constraint.change(change.setting)
            is_ceiling_lower |= constraint.ceiling < ceiling_before
            self._record_limit(constraint)
        if is_ceiling_lower:
            everybody = [
                (task, other)
                for other in self.constraints
                for task, _ in other.waiting
                if task.doubtful and not _is_lent(task)
            ]
            hopeless = [(task, other, _never(task)) for task, other in sorted(everybody, key=lambda pair: pair[0].age)]
            for task, binding, never in hopeless:
                if never is not None:
                    binding.waiting.remove(task)
                    changed[binding] = None  # it may have stood in the way of others
            for task, _, never in hopeless:  # only now: what one gives back may go to others who wait
                if never is not None:
                    self._refuse(task, never)
        self._admit_anew(list(changed))
        if is_ceiling_lower and self.watch is not None:
            self.watch.look_again()

    def _passed(self, event: Event) -> None:
        """Callback of a constraint that scheduled itself: time has passed, somebody may fit. So it is for all refills."""
        assert isinstance(event, GlobalConstraint)
        queue, now = self._schedule, self._env._now
        if event.plain and not (queue and queue[0][1] == REFILL and queue[0][0] == now):
            if event.happens():  # alone at this instant: what follows, cheaper
                self._admit_plain(event)
                event.look_ahead()
            return
        passed = [event] if event.happens() else []
        if event.rank == REFILL:
            while (other := self._env.take_next(REFILL)) is not None:
                assert isinstance(other, GlobalConstraint)
                if other.happens():
                    passed.append(other)
        for constraint in passed:
            if constraint.hears:  # what it hears may change it, and so may the end of a time
                before = constraint.limit_recorded
                constraint.pass_time()
                self._note_change(constraint, before)
        self._admit_anew(passed)

    def _admit_anew(self, changed: Sequence[GlobalConstraint]) -> None:
        """Admit those for whom there is room in constraints that changed by themselves, and see when there is more."""
        self._admit_in_turn(changed)
        for constraint in changed:
            constraint.look_ahead()

    def _admit_in_turn(self, changed: Sequence[GlobalConstraint]) -> None:
        """Try those who wait for any of the changed constraints, in one order by age.

        Who takes one thing after another asks for the next when all of them have been tried, so as not to overtake them.
        """
        if len(changed) == 1 and changed[0].plain:
            self._admit_plain(changed[0])
            return
        outermost, self._admitting = not self._admitting, True
        self._try_in_turn(changed)
        if outermost:
            self._admitting = False
            going_on, self._going_on = self._going_on, []
            for task in going_on:
                self._go_on_asking(task)

    def _try_in_turn(self, changed: Sequence[GlobalConstraint]) -> None:
        while True:
            task, binding = None, None
            for constraint in changed:
                candidate = constraint.first_fitting() if constraint.holders is None else self._next_of(constraint)
                if candidate is not None and (task is None or candidate.age < task.age):
                    task, binding = candidate, constraint
            if task is None or binding is None:
                return
            self._try(task, binding)

    def _admit_plain(self, binding: GlobalConstraint) -> None:
        """Try those who wait for a constraint for which only tasks without a policy ask: as for others, but cheaper."""
        if binding.plan.exclusive:  # they ask for nothing else
            while (task := binding.next_fitting()) is not None:
                self._let_go(task, binding, None)
        else:
            while (task := binding.next_fitting()) is not None:
                self._let_go(task, binding, _refusing(task))

    def _try(self, task: Task, binding: GlobalConstraint) -> None:
        """Admit a task that waits for `binding`, which would admit it, unless another constraint refuses it."""
        refusing = _refusing(task)  # while it has its place, which may depend on who else waits
        binding.waiting.remove(task)
        self._let_go(task, binding, refusing)

    def _let_go(self, task: Task, binding: GlobalConstraint, refusing: tuple[GlobalConstraint, int] | None) -> None:
        """Admit a task that does not wait for `binding` any more, unless another constraint is `refusing` it."""
        if refusing is None:
            for constraint, amount in task.demands:
                constraint.take(amount)
            self._resume(task, binding)
        elif type(task) is PolicyTask:
            self._turn_away(task, *refusing)
        else:
            self._rebind(task, *refusing)

    def _resume(self, task: Task, binding: GlobalConstraint) -> None:
        """Start a task that waited for `binding` last and has all that it asks for."""
        now = self._env._now
        waited_ns = now - task.asked_ns
        record = self._record
        if type(task) is PolicyTask:
            record((now, _RESUMED + task.code + binding.code, task.who, waited_ns))
            self._start(task)
            return
        if task.drawn:
            record((now, _RESUMED + task.code + binding.code, task.who, waited_ns))
            self._state_amounts(task, now)
            record((now, _STARTED + task.code, task.who, waited_ns))
        else:
            record((now, binding.code_admitted + task.code, task.who, waited_ns))
        task.age = YOUNGEST
        task.callbacks = task.waker
        heappush(self._schedule, (now + task.duration_ns, COMPLETION, next(self._ids), task))

    def _note_change(self, constraint: GlobalConstraint, before: int) -> None:
        """Record that a constraint changed by itself, if it did."""
        if constraint.limit_recorded != before:
            self._record_limit(constraint)

    def _record_limit(self, constraint: GlobalConstraint) -> None:
        self._record((self._env._now, _CHANGED + constraint.code, who(NOBODY), constraint.limit_recorded))

    def _state_amounts(self, task: Task, now: int) -> None:
        for constraint, amount in task.drawn:
            self._record((now, _ACQUIRED + task.code + constraint.code, task.who, amount))

    def _rebind(self, task: Task, constraint: GlobalConstraint, amount: int) -> None:
        now = self._env._now
        self._record((now, _REBOUND + task.code + constraint.code, task.who, now - task.bound_ns))
        task.bound_ns = now
        constraint.waiting.add(task, amount)
        constraint.look_ahead()

    def _refuse(self, task: Task, constraint: GlobalConstraint, after_ns: int = -1, again: bool = False) -> None:
        """Fail a request that `constraint` does not admit; `again` says that it might at another time."""
        now = self._env._now
        task.age = YOUNGEST
        self._record((now, _REJECTED + task.code + constraint.code, task.who, after_ns))
        self._record((now, task.code_finished, task.who, _FAILED))
        if type(task) is PolicyTask:
            self._goes_on(task)
            task.status, task.refused_ns, task.again = Status.failed, after_ns, again
            self._give_up_acquired(task)
        self._wake(task)

    def _wake(self, task: Task) -> None:
        """Let the agent of a task that was refused, or gives up, go on after all completions of this instant."""
        self._env.at(self._env._now, REQUEST).callbacks = task.waker

    # What only tasks with a policy do.

    def ask(self, task: PolicyTask, age: int | None = None) -> None:
        """Start an attempt, let it wait, or refuse it. Either way its agent will be resumed.

        `age` is that of the attempt before, where the task keeps its place.
        """
        task.first_ns = self._env._now
        self._ask(task, age)

    def _ask(self, task: PolicyTask, age: int | None = None) -> None:
        task.asked_ns = task.bound_ns = self._env._now
        task.age = next(self._ages) if age is None else age
        refusing = _refusing(task)
        if refusing is None:
            self._let_in(task)
        else:
            self._turn_away(task, *refusing)

    def finish(self, task: PolicyTask, keep: bool = False) -> None:
        """End an attempt at the end of its work, as its status says; `keep` lets it keep its slots for the next."""
        self._record((self._env._now, task.code_finished, task.who, int(task.status)))
        self._forget_holder(task)
        heard = self._tell(task)
        if keep:
            self._give(task, tuple(demand for demand in task.gives() if demand[0].settles), heard)
            task.keep()
        else:
            self._give(task, task.gives(), heard)

    def give_back(self, task: PolicyTask) -> None:
        """Give back what a task kept from one attempt to the next."""
        kept, task.kept = task.kept, ()
        self._give(task, kept)

    def _give_up(self, task: PolicyTask, age: int, attempt: int, _: Event) -> None:
        """Callback of the end of a task's patience, if it still waits as it did when this was scheduled."""
        if task.binding is not None and (task.age, task.attempt) == (age, attempt):
            self._abandon(task, task.binding)
            self._wake(task)

    def call_off(self, task: PolicyTask, is_held: bool = False) -> None:
        """End an attempt, whatever it does, and give back what it holds; `is_held` while its strand does other steps."""
        task.status = Status.cancelled
        if task.binding is not None:
            self._abandon(task, task.binding)
        elif task.ending is not None:
            task.call_off()
            self.finish(task)
        elif is_held:
            self.finish(task)
        if task.kept:
            self.give_back(task)

    def lend(self, task: PolicyTask) -> None:
        """Give back what a task holds while its strand waits; it asks for it again later."""
        task.lend()
        self._give(task, task.demands)

    def _goes_on(self, task: PolicyTask) -> None:
        task.binding = None
        if self.watch is not None and task.strand is not None:
            self.watch.goes_on(task.strand)

    def _abandon(self, task: PolicyTask, binding: GlobalConstraint) -> None:
        now = self._env._now
        binding.waiting.remove(task)
        self._goes_on(task)
        task.age = YOUNGEST
        self._record((now, _ABANDONED + task.code + binding.code, task.who, now - task.asked_ns))
        task.status = Status.cancelled
        self._record((now, task.code_finished, task.who, int(task.status)))
        self._give_up_acquired(task)
        self._admit_anew([binding])  # it may have stood in the way of others

    def _tell(self, task: PolicyTask) -> list[GlobalConstraint]:
        """Tell the constraints that want to know how an attempt ended; return them."""
        heard = [constraint for constraint, _ in task.whole[0] if constraint.hears]
        for constraint in heard:
            self._hear(constraint, task, task.status, self._env._now - task.began_ns)
        return heard

    def _hear(self, constraint: GlobalConstraint, task: PolicyTask, status: Status, worked_ns: int) -> None:
        before = constraint.limit_recorded
        constraint.hear(status, worked_ns, task.taken_ns[constraint])
        self._note_change(constraint, before)

    def _forget_holder(self, task: PolicyTask) -> None:
        for constraint, _ in () if task.has_body else task.held:
            if constraint.holders is not None:
                constraint.holders.remove(task)

    def _give(self, task: PolicyTask, held: Demands, heard: Sequence[GlobalConstraint] = ()) -> None:
        """Give back what is held; then try those who wait for any of that, or for what has heard of the end."""
        self._hand_back(task, held)
        changed = dict.fromkeys(constraint for constraint, _ in held) | dict.fromkeys(heard)
        self._admit_anew(list(changed))  # what is handed back brings forward what time brings

    def _hand_back(self, task: PolicyTask, held: Demands) -> None:
        now = self._env._now
        for constraint, amount in held:
            task.hand_back(constraint, amount)
            if task.states_all:
                self._record((now, _RELEASED + task.code + constraint.code, task.who, amount))

    def _start(self, task: PolicyTask) -> None:
        """Start a task that has all that it asks for, or let it ask for the rest."""
        now = self._env._now
        for constraint, amount in task.demands:
            constraint.waiting.served(task, amount)
            if constraint.settles or constraint.hears:
                task.taken_ns[constraint] = now
        if task.drawn:
            self._state_amounts(task, now)
        if task.stages:
            if self._admitting:
                self._going_on.append(task)
            else:
                self._go_on_asking(task)
            return
        if not task.is_lent:
            self._record((now, _STARTED + task.code, task.who, now - task.first_ns))
        self._begin(task)

    def _go_on_asking(self, task: PolicyTask) -> None:
        """Ask for what the task takes next, while it holds what it has."""
        self._goes_on(task)
        task.next_stage()
        self._ask(task)

    def _give_up_acquired(self, task: PolicyTask) -> None:
        """Give back what a task took before it was refused the rest."""
        acquired, task.acquired = task.acquired, ()
        if acquired:
            heard = [constraint for constraint, _ in acquired if constraint.hears]
            for constraint in heard:
                self._hear(constraint, task, Status.cancelled, 0)  # it has not worked: a probe is no probe
            self._give(task, tuple(demand for demand in acquired if demand[0].holds or demand[0].settles), heard)

    def _begin(self, task: PolicyTask) -> None:
        self._goes_on(task)
        task.started = next(self._starts)
        if not task.is_lent:
            task.began_ns = self._env._now
        task.hold_all()
        for constraint, amount in () if task.has_body else task.demands:
            if constraint.holders is not None:
                constraint.holders.add(task, amount)
        task.begin(next((constraint for constraint, _ in task.whole[0] if constraint.shares), None))
        for constraint, _ in task.held:
            if constraint.plan.produced_ns:
                task.produced[constraint] = 0
                self._produce_next(task, constraint)

    def _produce_next(self, task: PolicyTask, constraint: GlobalConstraint) -> None:
        due_ns = self._env._now + constraint.plan.produced_ns
        if due_ns < task.ends_ns:
            self._env.at(due_ns, COMPLETION).callbacks = [partial(self._produced, task, task.started, constraint)]

    def _produced(self, task: PolicyTask, started: int, constraint: GlobalConstraint, _: Event) -> None:
        """Callback: charge what a task has produced since the last time, unless that attempt is over."""
        if task.ending is None or task.started != started:
            return
        produced = task.produce(constraint)
        if produced:
            constraint.give(-produced)
            self._record((self._env._now, _RELEASED + task.code + constraint.code, task.who, -produced))
        self._produce_next(task, constraint)

    def _turn_away(self, task: PolicyTask, constraint: GlobalConstraint, amount: int) -> None:
        """Pre-empt for a task that `constraint` refuses, refuse it, or let it wait."""
        discipline = constraint.discipline
        if task.doubtful and not task.is_lent and (never := _never(task)) is not None:
            self._refuse(task, never)
        elif discipline.preempt is not None and self._preempt(task):
            return
        elif not task.is_lent and (discipline.rejects or not self._makes_room(task, constraint)):
            self._refuse(task, constraint, constraint.retry_after(amount), again=True)
        elif discipline.room is not None and (refusing := _refusing(task)) != (constraint, amount):
            # Who had to make room for it had stood in its way.
            if refusing is None:
                self._let_in(task)
            else:
                self._turn_away(task, *refusing)
        elif task.binding is not None:
            task.binding = constraint
            self._rebind(task, constraint, amount)
        else:
            now = self._env._now
            task.binding = constraint
            before = constraint.waiting.add(task, amount)
            self._record((now, constraint.code_blocked + task.code, task.who, before))
            constraint.look_ahead()
            if task.patience_ns is not None and not task.is_lent:
                end = self._env.at(now + task.patience_ns, DEADLINE)
                end.callbacks = [partial(self._give_up, task, task.age, task.attempt)]
            if self.watch is not None and task.strand is not None:
                self.watch.waits(task.strand, task)

    def _let_in(self, task: PolicyTask) -> None:
        """Let a task have what it asks for, whether it waited or asks only now."""
        for constraint, amount in task.demands:
            constraint.take(amount)
        if task.binding is not None:
            self._resume(task, task.binding)
        else:
            self._start(task)

    def _makes_room(self, task: PolicyTask, constraint: GlobalConstraint) -> bool:
        """Say whether the task may wait for `constraint`; whoever has to make room for it is refused."""
        room, overflow = constraint.discipline.room, constraint.discipline.overflow
        if room is None or len(constraint.waiting) < room:
            return True
        waiting = sorted((pair for pair in constraint.waiting if not _is_lent(pair[0])), key=lambda pair: pair[0].age)
        leaving = waiting if overflow == "all" else waiting[:1] if overflow == "oldest" else []
        for other, _ in leaving:
            constraint.waiting.remove(other)
        for other, wanted in leaving:  # only now: what one gives back may go to others who wait
            self._refuse(other, constraint, constraint.retry_after(wanted), again=True)
        return overflow == "oldest" and room > 0 and bool(waiting)

    def _next_of(self, constraint: GlobalConstraint) -> Task | None:
        """Return the first in the queue that fits, or for which others have to yield now."""
        fitting = constraint.first_fitting()
        for task, _ in constraint.waiting:
            if task is fitting or (type(task) is PolicyTask and _who_yields(task)):
                return task
            if constraint.discipline.strict:
                break
        return fitting

    def _preempt(self, task: PolicyTask) -> bool:
        """Start a task by taking the slots of less important ones; say whether that was possible."""
        victims = _who_yields(task)
        if victims is None:
            return False
        left = {victim: self._stop(victim) for victim in victims}
        self._let_in(task)
        for victim, mode in victims.items():
            if mode == "fail":
                self._wake(victim)
                continue
            victim.resume_later(mode, left[victim])
            self.ask(victim, victim.age)
        self._admit_anew(list(dict.fromkeys(constraint for victim in victims for constraint, _ in victim.held)))
        return True

    def _stop(self, task: PolicyTask) -> int:
        """End the attempt of a task that others need the slots of; return the ns that it still had to work."""
        left_ns = task.call_off()
        task.status = Status.preempted
        self._record((self._env._now, task.code_finished, task.who, int(task.status)))
        self._forget_holder(task)
        self._tell(task)
        self._hand_back(task, task.gives())
        return left_ns


def _refusing(task: Task) -> tuple[GlobalConstraint, int] | None:
    """Return the first constraint that does not admit the task, and what the task wants of it."""
    for constraint, amount in task.demands:
        if not constraint.admits(task, amount) or (constraint.discipline.strict and _stands_behind(task, constraint)):
            return constraint, amount
    return None


def _is_lent(task: Task) -> bool:
    """Say whether it is a hold that asks for what it gave back: it goes on meanwhile, and cannot be refused."""
    return type(task) is PolicyTask and task.is_lent


def _stands_behind(task: Task, constraint: GlobalConstraint) -> bool:
    first = constraint.waiting.peek(EVERYTHING)
    return first is not None and constraint.waiting.precedes(first, task)


def _who_yields(task: PolicyTask) -> dict[PolicyTask, str] | None:
    """Return whose slots have to be taken to start the task, and what becomes of those; None if that does not help."""
    victims: dict[PolicyTask, str] = {}
    for constraint, amount in task.demands:
        if constraint.discipline.strict and _stands_behind(task, constraint):
            return None
        if constraint.admits(task, amount):
            continue
        taken = _victims(constraint, task, amount, victims)
        if taken is None:
            return None
        victims.update(dict.fromkeys(taken, str(constraint.discipline.preempt)))
    return victims


def _victims(
    constraint: GlobalConstraint, task: PolicyTask, amount: int, before: Container[PolicyTask]
) -> list[PolicyTask] | None:
    """Return those whose slots the task takes, the least important first, then the last to start; None if too few.

    What those give up who yield already, for another constraint, need not be taken from others.
    """
    if constraint.holders is None:
        return None
    victims: list[PolicyTask] = []
    missing = amount - constraint.free() - sum(held for holder, held in constraint.holders if holder in before)
    for holder, held in constraint.holders:
        assert isinstance(holder, PolicyTask)
        if holder in before:
            continue
        if missing <= 0 or holder.priority >= task.priority:
            break
        victims.append(holder)
        missing -= held
    return victims if missing <= 0 else None


def _never(task: Task) -> GlobalConstraint | None:
    """Return the first constraint that can never admit what the task asks of it, from now on."""
    return next((constraint for constraint, amount in task.demands if amount > constraint.ceiling), None)
