"""Pictures of a log, a function of the log alone. Nothing here knows an engine."""
