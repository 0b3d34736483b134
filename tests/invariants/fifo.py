"""First come, first served, as far as it is true under first-fit with several constraints (contract, sections 4 and 7.5).

The rule: at the row where a task Y starts, no task O that asked before Y waits for a constraint C that governs Y too and
of which O wants no more than Y.

Why nothing stronger holds: O may wait for a constraint that does not govern Y, which is no reason to hold Y back; and O
may want more of C than Y does, and then first-fit lets Y pass.

Why this much has to hold: C has just had room for what Y wants, so it had room for O. O is retried before Y whenever
C may have changed, because those who wait are tried by age; had another constraint then refused O, O would be bound to
that one and not wait for C. The one change that is not an event of its own is what a bucket earns as time passes. What it
has earned for O at this very instant is due to O at rank 2, and a completion of the same instant (rank 1) must not let
Y take it.

"Among equal requests, admission follows the order of asking" follows: equal requests want the same of the same
constraints, so whatever O waits for governs Y, and O wants no more of it.
"""

from model.log import Log

from .reading import read
from .replay import starts

RULE = "fifo"


def check(log: Log) -> list[str]:
    """Return the starts that overtook an older task for no reason."""
    reading = read(log)
    found = []
    for replay, row in starts(reading):
        asked = reading.asked_at[row.task].number
        for number, amount in reading.amounts(row.task).items():
            if amount is None or replay.numbers[number] is None:
                continue  # what is not in force makes nobody wait; a waiter that it still has is tried by `conservation`
            for older in replay.older_waiting(number, amount, asked):
                wanted = reading.amounts(older.task).get(number, 0)
                if wanted is not None:
                    text = f"asked at event {asked} and takes {amount} of {reading.constraint(number)}, for which "
                    text += f"{reading.who(older.task)} waits since event {older.asked} and wants {wanted}"
                    found.append(reading.say(RULE, row, text))
    return found
