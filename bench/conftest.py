"""The fixtures of the suite."""

from bench.measure import measure, threads

__all__ = ["measure", "threads"]
