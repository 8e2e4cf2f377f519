"""A real browser for tests: Debian's Chromium, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def browse(page: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    quiet = ("no-first-run", "disable-background-networking", "disable-component-update")
    options = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "disable-sync", *quiet)
    return subprocess.run(
        [
            CHROMIUM,
            *(f"--{option}" for option in options),
            "--enable-logging=stderr",
            "--window-size=390,800",
            f"--user-data-dir={profile}",
            "--dump-dom",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
