"""The documents: links lead somewhere, commands exist, the Python example is true."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mmdia_eval.metrics.cpwer import cpwer

ROOT = Path(__file__).parents[1]
PAGES = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_make_targets_named_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"(?:^|`)make (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert {"demo", "test", "install"} <= set(named)
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_options_named_in_the_readme_exist() -> None:
    source = (ROOT / "mmdia_eval" / "cli.py").read_text(encoding="utf-8")
    for option in set(re.findall(r"--([a-z][a-z-]+)", (ROOT / "README.md").read_text("utf-8"))):
        if option not in ("no-deps",):  # pip's
            assert f"--{option}" in source or f"{option.replace('-', '_')}:" in source, option


def test_the_readme_says_what_cpwer_gives() -> None:
    line = next(
        line
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("cpwer(")
    )
    code, _, value = line.partition("#")
    assert eval(code, {"cpwer": cpwer}) == float(value)  # noqa: S307
