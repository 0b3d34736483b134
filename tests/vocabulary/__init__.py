"""Hypothesis strategies for scenarios over the whole vocabulary that `docs/scenario.md` describes.

`rich(draws)` draws a scenario; the modules draw its parts: `limits` the constraints, `asking` what a task asks for and its
policy, `steps` what an agent goes through, `troubles` what goes wrong, `whole` the fleets and the rest. `draws` says what
may be random, as in `strategies`:

- "any": everything.
- "exact": nothing that is rounded on its way to a whole number of nanoseconds: so no jitter, no shared processor, no factor
  that is not whole, no work that goes slower for a while, and durations that are constants or mixtures of constants.
  Amounts and chances are drawn freely.
- "none": nothing is drawn, so that the names of the variables do not matter: no chance is between 0 and 1.

Rules:

1. Times are short multiples of 100 ms, so that most things coincide; now and then a time is odd, or drawn.
2. A run is small: at most `AGENTS_MAX` agents a fleet, a few steps, `UNTIL_MAX_MS`. A loop for ever, and what a failure
   leads back to, begin with thinking, so that (almost) nothing goes round at one instant.
3. What is drawn is valid: what a person may write. A constant amount never exceeds what its limit admits at the best of
   times; a drawn one may.
4. Simpler choices come first, so that what fails shrinks to them.
"""

from .whole import FLEETS, rich

__all__ = ["FLEETS", "rich"]
