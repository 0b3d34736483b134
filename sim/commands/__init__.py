"""The commands of `python -m sim`, a module each. `sim.cli` puts them together."""
