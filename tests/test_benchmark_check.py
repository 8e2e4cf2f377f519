"""`check_benchmark`: counts, media, seals, dialogues shared by splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmdia_eval.benchmark import load_benchmark, seal_benchmark, write_benchmark
from mmdia_eval.benchmark_check import check_benchmark
from mmdia_eval.errors import ProblemsError
from mmdia_eval.types import Dialogue, Segment, Turn


def benchmark(root: Path, name: str = "x") -> Path:
    media = root / "media"
    media.mkdir(parents=True)
    soundfile.write(media / "good.wav", np.sin(np.arange(16_000, dtype=np.float32)), 16_000)
    (media / "text.wav").write_text("no sound")
    (media / "empty.wav").write_bytes(b"")
    (media / "film.mp4").write_bytes(b"film")
    turns = (Turn("Ann", "Hi.", Segment(0, 1)), Turn("Bob", "Ho."))
    write_benchmark(
        root,
        name=name,
        version="1",
        license="",
        splits={
            "test": [
                Dialogue("good", turns, audio=media / "good.wav", video=media / "film.mp4"),
                Dialogue("text", turns, audio=media / "text.wav"),
                Dialogue("empty", turns, audio=media / "empty.wav"),
                Dialogue("gone", turns, audio=media / "gone.wav"),
                Dialogue("no_film", turns, audio=media / "good.wav", video=media / "no.mp4"),
            ],
            "hard": [
                Dialogue("GOOD", turns),
                Dialogue("three", (*turns, Turn("Cleo", "Hm."))),
            ],
        },
    )
    return root


def test_a_report_of_everything(tmp_path: Path) -> None:
    report = check_benchmark(benchmark(tmp_path / "b"))
    hard, test = report.splits
    assert (hard.name, test.name) == ("hard", "test")
    assert (test.listed, test.found, test.sealed) == (5, 5, True)
    assert (test.turns, test.untimed_turns) == (10, 5)
    assert (test.with_audio, test.with_video) == (5, 2)
    assert (test.missing, test.unreadable) == (("gone", "no_film"), ("text", "empty"))
    assert (test.duplicated, hard.duplicated) == (("good",), ("GOOD",))
    assert (test.over_two_speakers, hard.over_two_speakers) == (0, 1)
    assert not report.sound
    text = "\n".join(report.lines())
    assert "2 media missing: gone, no_film" in text
    assert "paper" not in text


def test_a_changed_split_is_a_finding_not_an_error(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "b")
    path = root / "hard.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    hard, test = check_benchmark(root).splits
    assert (hard.listed, hard.found, hard.sealed) == (2, 1, False)
    assert (test.sealed, test.duplicated) == (True, ())
    assert "CHANGED" in next(hard.lines())
    seal_benchmark(root)
    assert check_benchmark(root).splits[0].sound
    assert len(load_benchmark(root).split("hard")) == 1


def test_bad_lines_come_first(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "b")
    (root / "hard.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(ProblemsError, match=r"hard\.jsonl:1: turns: missing"):
        check_benchmark(root)


def test_the_papers_counts_are_told_for_mm_dia(tmp_path: Path) -> None:
    hard, test = check_benchmark(benchmark(tmp_path / "b", name="mm-dia")).splits
    assert (hard.paper, test.paper) == (598, None)
    assert "  the paper counts 598" in hard.lines()
