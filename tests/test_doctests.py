"""The examples in docstrings are true, and every module imports by itself."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import mmdia_eval

MODULES = [
    module.name
    for module in pkgutil.walk_packages(mmdia_eval.__path__, "mmdia_eval.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    attempted = sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES)
    assert attempted > 10
