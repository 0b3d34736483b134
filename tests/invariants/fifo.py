"""Who is served in which order (contract, sections 4, 5 and 7.5), as far as it is true with several constraints.

First come, first served: at the row where a task Y is admitted, no task O that is older waits for a constraint C whose
queue is fifo, that governs Y too, and of which O wants no more than Y.

Why nothing stronger holds: O may wait for a constraint that does not govern Y, which is no reason to hold Y back; and O
may want more of C than Y does, and then first-fit lets Y pass.

Why this much has to hold: C has just had room for what Y wants, so it had room for O. O is retried before Y whenever
C may have changed, because those who wait are tried by age; had another constraint then refused O, O would be bound to
that one and not wait for C. The one change that is not an event of its own is what a bucket earns as time passes. What it
has earned for O at this very instant is due to O at rank 2, and a completion of the same instant (rank 1) must not let
Y take it.

"Among equal requests, admission follows the order of asking" follows: equal requests want the same of the same
constraints, so whatever O waits for governs Y, and O wants no more of it.

The other queues (lifo, priority, edf, and sjf where durations are constant) order those who wait for one and the same
constraint: so this holds of them where Y waited for C last, or did not wait. Those who wait for different limits that
change at once are tried by age. Where C is strict, it does not matter how much O wants, whatever the queue. Of random and
fair queues nothing is said. Nor is of one who pre-empts: it takes what others held, of which O could have had nothing.
"""

from model.events import Kind, Status
from model.log import Log

from .reading import Reading, Row, read
from .replay import admissions

RULE = "fifo"


def check(log: Log) -> list[str]:
    """Return the admissions that overtook somebody for no reason."""
    reading = read(log)
    found = []
    for replay, (row, amounts, waited, ages, _) in admissions(reading):
        for number, amount in amounts.items():
            age = ages[number]
            if amount is None or replay.numbers[number] is None:
                continue  # what is not in force makes nobody wait; a waiter that it still has is tried by `conservation`
            strict = reading.rule_of(number, "admission") == "strict"
            by_age = reading.rule_of(number, "queue") == "fifo"
            if (not by_age and waited not in (None, number)) or preempts(reading, row):
                continue
            for older in replay.waiting_for(number):
                wanted = older.asks.get(number, 0)
                may_pass = wanted is None or (wanted > amount and not strict)
                place = replay.place(number, row.task, age)
                first = replay.place(number, older.task, older.age)
                if not may_pass and place is not None and first is not None and first < place:
                    text = f"it takes {amount} of {reading.constraint(number)}, for which before it in the queue "
                    text += f"{reading.who(older.task)} waits since event {older.age} and wants {wanted}"
                    found.append(reading.say(RULE, row, text))
    return found


def preempts(reading: Reading, row: Row) -> list[Row]:
    """Return the rows at which others were pre-empted for the task that is admitted at this row."""
    place = reading.place_of[row.number]
    while place > 0 and reading.rows[place - 1].task == row.task and reading.rows[place - 1].time == row.time:
        place -= 1
    victims = []
    for before in reversed(reading.rows[:place]):
        if before.kind == Kind.TaskFinished and before.value == Status.preempted and before.time == row.time:
            victims.append(before)
        elif before.kind != Kind.ResourceReleased:
            break
    return victims[::-1]
