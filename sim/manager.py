"""The constraint manager: admission, and what only tasks with a policy do.

Rules:

1. A task with a policy asks by `ask` for each of its attempts, which ends by `finish`, by being refused, or by giving up.
   What it has by then it gives back, keeps for the next attempt, or settles.
2. Who takes one thing after another holds what it has while it waits for the next.
3. Who is refused by a constraint takes the slots of others, is told so, or waits if there is room, in this order.
4. Circuit breakers and adaptive limits hear of a refusal only where a provider refuses, in an incident: that is a failure.
   What another limit refuses was never asked of it.
"""

from collections.abc import Sequence
from functools import partial

from simpy.events import Event

from model.events import Kind, Status
from sim.admission import Admission, is_lent, who_never_admits, who_refuses
from sim.constraints import GlobalConstraint
from sim.environment import COMPLETION, DEADLINE
from sim.policy import PolicyTask
from sim.preemption import who_yields
from sim.task import YOUNGEST, Demands

_STARTED = int(Kind.TaskStarted)
_RELEASED = int(Kind.ResourceReleased)
_ABANDONED = int(Kind.TaskAbandoned)


class ConstraintManager(Admission):
    """Admits the tasks of all agents."""

    def ask(self, task: PolicyTask, age: int | None = None) -> None:
        """Start an attempt, let it wait, or refuse it. Either way its agent will be resumed.

        `age` is that of the attempt before, where the task keeps its place.
        """
        task.first_ns = self._env._now
        self._ask(task, age)

    def _ask(self, task: PolicyTask, age: int | None = None) -> None:
        task.asked_ns = task.bound_ns = self._env._now
        task.age = next(self._ages) if age is None else age
        refusing = who_refuses(task)
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
        elif task.backing_off_ns is not None:
            self._call_off_again(task, task.backing_off_ns)
        if task.kept:
            self.give_back(task)

    def _call_off_again(self, task: PolicyTask, since_ns: int) -> None:
        """End the attempt that was to come after a back-off."""
        now = self._env._now
        task.name_attempt()
        self._record((now, _ABANDONED + task.code, task.who, now - since_ns))
        self._record((now, task.code_finished, task.who, int(task.status)))

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
        # In the queue of what it waited for it may have stood in the way of others.
        if task.is_lent:  # it was held all the while, and ends as what is held does
            self._give(task, task.gives(), [*self._tell(task), binding])
        else:
            self._give_up_acquired(task, binding)

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
        self._admit(list(changed))  # what is handed back brings forward what time brings

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
            if self._trying:
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

    def _drop(self, task: PolicyTask, refusing: GlobalConstraint) -> None:
        self._goes_on(task)
        if refusing.strikes:  # the request was made, and a provider has failed to answer it
            self._end_acquiring(task, Status.failed, [constraint for constraint, _ in task.whole[0]])
        else:
            self._give_up_acquired(task)

    def _give_up_acquired(self, task: PolicyTask, *left: GlobalConstraint) -> None:
        """Give back what a task took before it was refused the rest; the queues that it `left` have changed as well."""
        # It has not worked: a probe is no probe.
        self._end_acquiring(task, Status.cancelled, [constraint for constraint, _ in task.acquired], *left)

    def _end_acquiring(
        self, task: PolicyTask, status: Status, asked: list[GlobalConstraint], *left: GlobalConstraint
    ) -> None:
        """Give back what was acquired, and tell those of the constraints it `asked` that want to know how it ended."""
        acquired, task.acquired = task.acquired, ()
        taken = {constraint for constraint, _ in acquired}
        heard = [constraint for constraint in asked if constraint.hears]
        for constraint in heard:
            if constraint not in taken:
                task.taken_ns[constraint] = self._env._now
            self._hear(constraint, task, status, 0)
        held = tuple(demand for demand in acquired if demand[0].holds or demand[0].settles)
        if acquired or heard or left:
            self._give(task, held, [*heard, *left])

    def _begin(self, task: PolicyTask) -> None:
        self._goes_on(task)
        task.started = next(self._starts)
        if not task.is_lent:
            task.began_ns = self._env._now
            if task.incidents:
                task.meet_incidents()
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
        if due_ns < task.ends_ns or task.sharing is not None:  # it may end later than it seems
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
        if task.doubtful and not task.is_lent and (never := who_never_admits(task)) is not None:
            self._refuse(task, never)
        elif discipline.preempt is not None and self._preempt(task):
            return
        elif not task.is_lent and (discipline.rejects or not self._makes_room(task, constraint)):
            self._refuse(task, constraint, constraint.retry_after(amount), again=True)
        elif discipline.room is not None and (refusing := who_refuses(task)) != (constraint, amount):
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
        waiting = sorted((pair for pair in constraint.waiting if not is_lent(pair[0])), key=lambda pair: pair[0].age)
        leaving = waiting if overflow == "all" else waiting[:1] if overflow == "oldest" else []
        for other, _ in leaving:
            constraint.waiting.remove(other)
        for other, wanted in leaving:  # only now: what one gives back may go to others who wait
            self._refuse(other, constraint, constraint.retry_after(wanted), again=True)
        return overflow == "oldest" and room > 0 and bool(waiting)

    def _preempt(self, task: PolicyTask) -> bool:
        """Start a task by taking the slots of less important ones; say whether that was possible."""
        victims = who_yields(task)
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
        self._admit(list(dict.fromkeys(constraint for victim in victims for constraint, _ in victim.held)))
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
