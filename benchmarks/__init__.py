"""Measurements that the documentation cites; `python -m benchmarks` runs them."""
