"""Independent checkers: each rule of the contract, worked out from a log alone, as plainly as possible.

A module has one rule, and `check(log)` returns its violations as sentences. The modules know the log and nothing else: not
the engine, not the constraints, not the planner. `reading` lays the rows out, `replay` works usage and levels out again,
`program` reads the scenario that the header carries.
"""

from model.log import Log

from . import (
    binding,
    bucket,
    changes,
    conservation,
    crashes,
    deadlock,
    declared,
    fifo,
    hearing,
    incidents,
    ledger,
    lifecycle,
    little,
    order,
    pause,
    refusal,
    retries,
    services,
    sharing,
    stall,
    usage,
    values,
)

RULES = {
    module.RULE: module.check
    for module in (
        order,
        lifecycle,
        values,
        changes,
        usage,
        bucket,
        pause,
        fifo,
        conservation,
        binding,
        refusal,
        ledger,
        little,
        services,
        retries,
        hearing,
        sharing,
        deadlock,
        stall,
        incidents,
        crashes,
        declared,
    )
}


def check_all(log: Log) -> list[str]:
    """Return all violations of all rules; an empty list for a log as it has to be."""
    return [violation for check in RULES.values() for violation in check(log)]
