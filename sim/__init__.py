"""The verbs: the engine, the constraints, verification, statistics and the command line."""
