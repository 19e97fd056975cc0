"""Benchmarks: ratios, side by side in one run. Not part of the tests, and never timed in them."""
