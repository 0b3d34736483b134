"""Which tasks a constraint governs.

A scope is `global`, `task:PATTERN`, `fleet:PATTERN` or `tenant:PATTERN`, with shell-style patterns: `*` any text, `?` one
character, `[abc]` one of them, `[!abc]` none of them. Matching is case-sensitive on every machine. The task of step `work`
of agent 42 of fleet `agent` is called `agent_42_work`.
"""

import re
from collections.abc import Callable
from fnmatch import translate
from functools import cache

import numpy as np
from numpy.typing import NDArray

from model.scenario import Fleet


def governed(scope: str | None, fleet: Fleet, count: int, step: str) -> bool | NDArray[np.bool_]:
    """Say which of the `count` agents of `fleet` are governed in step `step` by a constraint with this scope.

    True or False speaks for all of them; an array (one flag an agent) where the pattern looks at the agent's number.
    A constraint without a scope governs only those that name it.
    """
    if scope is None:
        return False
    level, _, pattern = scope.partition(":")
    if level == "global":
        return True
    matches = _matcher(pattern)
    if level == "fleet":
        return matches(fleet.name) is not None
    if level == "tenant":
        return fleet.tenant is not None and matches(fleet.tenant) is not None
    before, after = f"{fleet.name}_", f"_{step}"
    if not re.search(r"[0-9\[]", pattern):
        # Without digits and character sets a pattern cannot tell numbers of one length apart.
        by_length = [matches(f"{before}{'0' * length}{after}") is not None for length in range(1, len(str(count)) + 1)]
        if all(by_length) or not any(by_length):
            return by_length[0]
    return np.fromiter((matches(f"{before}{agent}{after}") is not None for agent in range(count)), np.bool_, count)


def is_called(name: str, pattern: str) -> bool:
    """Say whether a name matches a shell-style pattern."""
    return _matcher(pattern)(name) is not None


@cache  # re.compile keeps 512 patterns; a scenario may have more, and each is asked about every step
def _matcher(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(translate(pattern)).match
