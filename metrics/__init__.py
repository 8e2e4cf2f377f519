"""Metrics: pure functions from a dialogue and its artifacts to counts, one file each."""
