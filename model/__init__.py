"""The nouns: scenario, distributions, random streams, Plan, events, log, and the state of a fleet at a moment."""

__version__ = "0.1.0"
