"""Imports of the per-movie annotations, in the layout of the release. The texts are ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from mmdia_eval.benchmark import load_benchmark
from mmdia_eval.benchmark_check import check_benchmark
from mmdia_eval.importers import ImportReport, import_benchmark
from mmdia_eval.types import Dialogue, Segment, Turn


def clip(number: int | str, *lines: str, **more: Any) -> dict[str, Any]:
    return {
        "clip_id": number,
        "speakers": ["Sizwe", "Noni"],
        "style_annotation": {"Tags": ["colleagues", "asking", "uneasy"], "Summary": "A quarrel."},
        "relationship": "Workplace",
        "interaction_type": "Persuasion",
        "srt": [
            {
                "index": i,
                "character_annotation": text,
                "relative_start": f"00:00:{2 * i:02d},000",
                "relative_end": f"00:00:{2 * i + 1:02d},500",
                "abs_start_time": "00:12:00,000",
            }
            for i, text in enumerate(lines)
        ],
        **more,
    }


def movie(folder: Path, name: str, *clips: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"movie": path.stem, "clips": list(clips)}))
    return folder


def wav(path: Path, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.sin(np.arange(seconds * 16_000, dtype=np.float32)), 16_000)


def imported(source: Path, out: Path) -> tuple[ImportReport, dict[str, Dialogue]]:
    report = import_benchmark(source, out)
    return report, {dialogue.id: dialogue for dialogue in load_benchmark(out).split("test")}


def test_per_movie_json(tmp_path: Path) -> None:
    root = tmp_path / "release"
    movie(
        root / "json",
        "movie/tt0114369.json",
        clip(3, "Sizwe: Definitely. Noni: Right?", "Noni: Yes <sigh>: no."),
        clip("12", "Sizwe: Well.", srt_extra=1),
        clip(4, "Sizwe: Hello.", "Thandi: Who?"),
        clip(5, "No colon here"),
        clip(6, "Background music: la la", "Noni: Nice song."),
        clip(7, "Sizwe: Hi.", style_annotation=None, relationship=None, interaction_type=None),
        clip("x", "Sizwe: Hi."),
        clip(
            8,
            srt=[
                {
                    "character_annotation": {"text": "Noni: Hm?"},
                    "relative_start": 0.5,
                    "relative_end": 2,
                }
            ],
        ),
        clip(9, srt="none"),
    )
    early = clip(1, "Sizwe: The film begins.")
    early["srt"][0]["abs_start_time"] = "00:00:29,999"
    later = clip(2, "Sizwe: Half a minute in.")
    later["srt"][0] = {**later["srt"][0], "start_time": "00:00:30,000"}
    del later["srt"][0]["abs_start_time"]
    broken = clip(3, "Noni: When?", "Noni: Then.")
    broken["srt"][0]["relative_end"] = "soon"
    movie(root / "json", "tv 01/S02E11 The One.json", early, later, broken)
    (root / "json/movie/broken.json").write_text('{"clips": [')
    (root / "json/movie/list.json").write_text("[]")

    report, dialogues = imported(root, tmp_path / "out")
    assert list(dialogues) == [
        *(f"tt0114369_clip_{number}" for number in (3, 12, 6, 7, 8)),
        "tv_01_S02E11_The_One_clip_2",
        "tv_01_S02E11_The_One_clip_3",
    ]
    first = dialogues["tt0114369_clip_3"]
    assert [(turn.speaker, turn.text) for turn in first.turns] == [
        ("Sizwe", "Definitely."),
        ("Noni", "Right?"),
        ("Noni", "Yes <sigh>: no."),
    ]
    sizwe, noni = first.turns[0].segment, first.turns[1].segment
    assert sizwe is not None
    assert noni is not None
    assert (sizwe.start, sizwe.end, noni.end) == (0.0, noni.start, 1.5)
    assert sizwe.duration / noni.duration == pytest.approx(len("Definitely.") / len("Right?"))
    assert first.style.interaction_type == "Suggesting"
    assert first.style.emotional_tone == "uneasy"
    assert dialogues["tt0114369_clip_7"].style.relationship is None
    assert dialogues["tt0114369_clip_8"].turns == (Turn("Noni", "Hm?", Segment(0.5, 2.0)),)
    assert [turn.text for turn in dialogues["tv_01_S02E11_The_One_clip_3"].turns] == ["Then."]
    assert report.dropped == {
        "files that cannot be read": report.dropped["files that cannot be read"],
        "files without a list of clips": [str(root / "json/movie/list.json")],
        "a line's speaker is not among the clip's speakers": [
            "tt0114369_clip_4",
            "tt0114369_clip_5",
        ],
        "clips without a numeric clip_id": [f"{root / 'json/movie/tt0114369.json'}, clip 6"],
        "not of the expected form: srt: Input should be a valid list": ["tt0114369_clip_9"],
        "first line starts before 30 s of the film": ["tv_01_S02E11_The_One_clip_1"],
    }
    assert report.skipped["background music"] == ["tt0114369_clip_6"]
    assert report.skipped["lines whose times cannot be read"] == ["tv_01_S02E11_The_One_clip_3"]
    assert "lines of several speakers, their times divided by length of text" in report.noted
    assert len(report.noted["audio not found"]) == 7


def test_mceiu_batches_give_speaker_and_text_apart(tmp_path: Path) -> None:
    line = {"speaker": "Noni", "text": "Really: yes.", "relative_start": 0, "relative_end": "1.5"}
    root = movie(tmp_path / "json", "tv_05_mceiu/Friends.json", clip(341, srt=[line])).parent
    wav(root / "audio/tv_05_mceiu/dia_341.wav")
    _, dialogues = imported(root / "json/tv_05_mceiu/Friends.json", tmp_path / "out")
    dialogue = dialogues["tv_05_mceiu_Friends_clip_341"]
    assert dialogue.turns == (Turn("Noni", "Really: yes.", Segment(0.0, 1.5)),)
    assert dialogue.audio == tmp_path / "out/media/tv_05_mceiu_Friends_clip_341.wav"


def test_media_of_the_release_layout(tmp_path: Path) -> None:
    root = movie(
        tmp_path / "json", "movie/tt1.json", clip(0, "Noni: Hi."), clip(1, "Noni: Ho.")
    ).parent
    movie(root / "json", "movie/tt2.json", clip(0, "Noni: Hm."))
    wav(root / "audio/movie/tt1/clip_000/clip_000.wav", seconds=0.5)
    wav(root / "audio/clip_001/clip_001.wav")
    (root / "video/movie/tt1").mkdir(parents=True)
    (root / "video/movie/tt1/clip_000.mp4").write_bytes(b"film")
    broken = root / "audio/movie/tt2/clip_000/clip_000.wav"
    broken.parent.mkdir(parents=True)
    broken.write_text("no sound")
    report, dialogues = imported(root, tmp_path / "out")
    assert (report.with_audio, report.with_video) == (2, 1)
    assert report.noted["audio not found"] == ["tt1_clip_1"]
    assert report.noted["audio whose length cannot be read"] == ["tt2_clip_0"]
    found = dialogues["tt1_clip_0"]
    assert found.duration == 0.5
    assert found.video == tmp_path / "out/media/tt1_clip_0.mp4"
    assert check_benchmark(tmp_path / "out").splits[0].unreadable == ("tt2_clip_0",)
