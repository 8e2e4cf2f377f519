"""Fixtures of other tests."""

from test_cli import invoke, outputs  # noqa: F401 - fixtures
