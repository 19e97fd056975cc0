"""Frozen code that the benchmarks compare with. Never improved: the ratios over the years depend on it."""
