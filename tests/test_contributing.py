"""The metric in CONTRIBUTING.md runs as it is printed, through the real harness."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

import mmdia_eval
from mmdia_eval import registry
from mmdia_eval.benchmark import load_benchmark, resolve_benchmark

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return next(text for text in found if containing in text)


@pytest.fixture
def plugin() -> Iterator[None]:
    exec(compile(block("python", "SpeakingRate"), "CONTRIBUTING.md", "exec"), {})  # noqa: S102
    yield
    del registry.metric._items["acme/speaking_rate"]


def test_the_example_metric_has_about_twenty_lines() -> None:
    lines = block("python", "SpeakingRate").splitlines()
    assert sum(1 for line in lines if line.strip() and "import" not in line) <= 20


def test_the_example_metric_scores(plugin: None, tmp_path: Path) -> None:
    embedded = resources.files("mmdia_eval.protocols").joinpath("embedded.toml").read_text("utf-8")
    text = embedded.replace('name = "embedded"', 'name = "acme"')
    (tmp_path / "acme.toml").write_text(f"{text}\n{block('toml', '[[metrics]]')}", "utf-8")
    dialogue = load_benchmark(resolve_benchmark("mini")).split("test")[0]
    assert dialogue.audio is not None
    (tmp_path / "outputs").mkdir()
    shutil.copy(dialogue.audio, tmp_path / "outputs" / f"{dialogue.id}.opus")
    results = mmdia_eval.score(
        tmp_path / "outputs",
        protocol=str(tmp_path / "acme.toml"),
        metrics=["speaking_rate"],
        cache=tmp_path / "cache",
    )
    (metric,) = results.metrics
    words = sum(len(turn.text.split()) for turn in dialogue.turns)
    assert dialogue.duration is not None
    assert metric.coverage.scored == 1
    assert metric.coverage.missing == 7
    seconds = sum(d.duration or 0 for d in load_benchmark(resolve_benchmark("mini")).split("test"))
    assert metric.value == pytest.approx(words / seconds, rel=0.1)
