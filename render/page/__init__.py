"""A run, or two of them, as one file for a browser."""
