"""Measurements: `make bench` and `make accuracy`. Ratios are taken within one run."""
