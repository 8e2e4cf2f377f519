"""The wheel holds what the tree holds, and importing the package costs nothing."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "mmdia_eval": "mmdia_eval",
    "metrics": "mmdia_eval/metrics",
    "judges": "mmdia_eval/judges",
    "leaderboard": "mmdia_eval/leaderboard",
    "examples": "mmdia_eval/examples",
    "submissions/published": "mmdia_eval/published",
}


def tracked(folder: str) -> list[str]:
    """Files below a folder as git has them, links left out."""
    output = subprocess.run(
        ["git", "ls-files", "-s", folder], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [line.split("\t")[1] for line in output.splitlines() if not line.startswith("120000")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the tracked files, built outside the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    subprocess.run(
        ["tar", "-C", str(ROOT), "--null", "-T", "-", "-cf", str(source / "tree.tar")],
        input=listing,
        check=True,
    )
    subprocess.run(["tar", "-C", str(source), "-xf", str(source / "tree.tar")], check=True)
    (source / "tree.tar").unlink()
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(source)],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_exactly_the_tree(wheel: Path) -> None:
    expected = {
        path.replace(folder, target, 1)
        for folder, target in FOLDERS.items()
        for path in tracked(folder)
    }
    found = {
        name
        for name in zipfile.ZipFile(wheel).namelist()
        if ".dist-info/" not in name and not name.endswith("/")
    }
    assert found == expected


def test_the_wheel_takes_no_common_name(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mmdia_eval"}


def test_import_loads_no_heavy_module() -> None:
    heavy = "numpy", "torch", "pandas", "scipy", "pocketsphinx", "onnxruntime", "pydantic"
    code = f"import sys, mmdia_eval; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_loads_no_heavy_module() -> None:
    code = (
        "import sys\nfrom mmdia_eval.cli import app\ntry:\n    app(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'numpy', 'torch', 'pandas', 'scipy', 'pydantic'}\n"
        "print('HEAVY', sorted(heavy & sys.modules.keys()))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in out.stdout
