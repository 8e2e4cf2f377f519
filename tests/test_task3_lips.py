"""LSE and SA-LSE through the harness: videos on disk, tracks handed in, weights in their format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_lips
from tiny_video import pictures, write_video

from mmdia_eval.choices import Choices
from mmdia_eval.plan import make_plan
from mmdia_eval.protocol import Protocol
from mmdia_eval.run import run
from mmdia_eval.store import Store
from mmdia_eval.types import Dialogue, Sample, Segment, Turn

FRAMES = 26


def protocol(folder: Path) -> Protocol:
    names = ("lse_c", "lse_d", "sa_lse_c", "sa_lse_d")
    return Protocol.model_validate(
        {
            "name": "lips",
            "version": "1",
            "summary": "LSE of tracks handed in",
            "comparable": False,
            "tasks": [3],
            "extractors": {
                "face_tracks": {
                    "extractor": "given_faces",
                    "settings": {"folder": str(folder)},
                },
                "lip_sync_embeddings": {"extractor": "syncnet_embeddings"},
            },
            "metrics": [{"name": name, "metric": name} for name in names],
        }
    )


def hand_in(folder: Path, dialogue: str, *people: str) -> None:
    frames = list(range(FRAMES))
    boxes = [[10 + 20 * i, 10, 26 + 20 * i, 30] for i in range(len(people))]
    tracks = [
        {"person": person, "frames": frames, "boxes": [[float(x) for x in box]] * FRAMES}
        for person, box in zip(people, boxes, strict=True)
    ]
    document = {"dialogue": dialogue, "frame_rate": 25, "detector": {"id": "by hand"}}
    text = json.dumps({**document, "tracks": tracks})
    (folder / f"{dialogue}.tracks.json").write_text(text)


def test_each_output_has_its_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMDIA_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("MMDIA_ALLOW_UNVERIFIED_MODELS", "1")
    weights = tiny_lips.planted_syncnet()
    tiny_lips.write(tmp_path / "models", "syncnet-v2", "syncnet_v2.model", weights)
    draw = np.random.default_rng(0)
    samples = []
    for name, people in (("seen", ("ann",)), ("empty", ()), ("forgotten", None)):
        turns = (Turn("ann", "Hello there.", Segment(0.1, 1.0)),)
        sound = draw.normal(0, 0.1, FRAMES * 640).astype(np.float32)
        clip = pictures(FRAMES) + draw.integers(0, 30, (FRAMES, 1, 1, 3), np.uint8)
        video = write_video(tmp_path / f"{name}.mp4", clip, sound=sound)
        samples.append(Sample(Dialogue(name, turns), video))
        if people is not None:
            hand_in(tmp_path, name, *people)
    plan = make_plan(protocol(tmp_path), 3, samples, (), choices=Choices(sandbox="off"))
    result = run(plan, Store(tmp_path / "cache"), 1)
    outcomes = {(o.dialogue, o.metric): o for o in result.outcomes}
    for metric in ("lse_c", "lse_d", "sa_lse_c", "sa_lse_d"):
        assert outcomes["seen", metric].status == "scored"
        missing = outcomes["empty", metric]
        assert missing.status == "missing"
        assert missing.reason == "no face was found for long enough to be a track"
        failed = outcomes["forgotten", metric]
        assert failed.status == "failed"
        assert "forgotten.tracks.json: no such file" in (failed.reason or "")
    counts = outcomes["seen", "lse_c"].counts
    assert counts["tracks"] == 1
    assert counts["seconds"] == pytest.approx(FRAMES / 25, abs=0.1)
    assert outcomes["seen", "sa_lse_c"].counts["oracle_seconds"] == pytest.approx(0.9)
