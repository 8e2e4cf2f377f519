"""What all tests share. No deadlines for hypothesis: a busy machine is no failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def real_speech() -> Path:
    """The folder `speech` of the real recordings, which are not shipped."""
    folder = os.environ.get("MMDIA_REAL_DATA")
    if folder is None:
        pytest.skip("set MMDIA_REAL_DATA to the folder of the real recordings")
    return Path(folder) / "speech"
