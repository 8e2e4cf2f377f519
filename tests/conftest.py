"""What all tests share. No deadlines for hypothesis: a busy machine is no failure."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


# A process for each output takes longer than what most tests do with it.
os.environ["MMDIA_SANDBOX"] = "off"


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests make is not kept in the user's cache, nor taken from it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMDIA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def real_speech() -> Path:
    """The folder `speech` of the real recordings, which are not shipped."""
    folder = os.environ.get("MMDIA_REAL_DATA")
    if folder is None:
        pytest.skip("set MMDIA_REAL_DATA to the folder of the real recordings")
    return Path(folder) / "speech"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many hostile things were tried, and withstood; what was not run for lack of weights."""

    def count(outcome: str, keyword: str) -> int:
        return sum(
            keyword in getattr(each, "keywords", ())  # a module skipped whole has none
            for each in terminalreporter.getreports(outcome)
        )

    passed, failed = (count(outcome, "hostile_case") for outcome in ("passed", "failed"))
    if passed or failed:
        terminalreporter.write_line(f"hostile suite: {passed} cases withstood, {failed} failed")
    if skipped := count("skipped", "weights"):
        terminalreporter.write_line(
            f"published weights: {skipped} tests skipped (mmdia-eval models fetch, MMDIA_MODELS, "
            "MMDIA_REAL_DATA; why each: pytest -m weights -rs)"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """Forget speechbrain's placeholders for its old modules, which pyannote.audio brings along.

    hypothesis looks at every module there is, and a placeholder that is looked at warns, or raises
    ImportError.
    """
    for name, module in list(sys.modules.items()):
        if type(module).__module__ == "speechbrain.utils.importutils":
            del sys.modules[name]
