"""What is found out about a run: folds over its log. Nothing here knows an engine."""
