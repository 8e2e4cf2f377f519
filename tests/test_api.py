"""The public Python API, used as the README shows it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mmdia_eval
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark
from mmdia_eval.errors import UserError

SCRIPT = """
import mmdia_eval

results = mmdia_eval.score("outputs", task=1, split="test", protocol="embedded",
                           metrics=["duration_ratio"], cache="cache", out="out/results.json")
print(results.status, results.metrics[0].coverage.scored)
"""


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    for dialogue in load_benchmark(resolve_benchmark("mini")).split("test"):
        assert dialogue.audio is not None
        shutil.copy(dialogue.audio, folder / f"{dialogue.id}.opus")
    return folder


def test_a_script_without_a_main_guard_scores_once(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.stdout == "complete 8\n", ended.stderr
    assert (tmp_path / "out" / "results.rows.jsonl").exists()


def test_nothing_is_written_unless_asked(outputs: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    results = mmdia_eval.score(outputs, metrics=["duration_ratio"], cache=tmp_path / "cache")
    assert results.rows_file is None
    assert set(tmp_path.iterdir()) - before == {tmp_path / "cache"}


def test_bad_input_raises_for_the_caller(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        mmdia_eval.score(tmp_path / "nowhere")


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        _ = mmdia_eval.scores
