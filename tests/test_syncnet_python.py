"""Against PyPI's `syncnet-python`, where it is installed: same weights and crops."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmdia_eval.extractors.syncnet_embeddings import SyncnetEmbeddings, SyncnetSettings
from mmdia_eval.lip_sync import LipTrack, track_lip_sync
from mmdia_eval.networks.syncnet import SyncNet
from mmdia_eval.types import Audio

peer = pytest.importorskip("syncnet_python", reason="syncnet-python is not installed")


def test_one_track_has_the_numbers_of_the_peer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2
    from scipy.io import wavfile
    from syncnet_python.SyncNetInstance import SyncNetInstance
    from syncnet_python.SyncNetModel import S

    torch.manual_seed(0)
    ours = SyncNet().eval()
    theirs = S().eval()
    theirs.load_state_dict(ours.state_dict())
    draw = np.random.default_rng(0)
    crops = draw.integers(0, 256, (14, 28, 28, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    for number, crop in enumerate(crops):
        _, png = cv2.imencode(".png", np.ascontiguousarray(crop[..., ::-1]))
        (tmp_path / f"{number:06d}.jpg").write_bytes(png.tobytes())
    samples = draw.integers(-9000, 9000, 14 * 640).astype(np.int16)
    wavfile.write(tmp_path / "audio.wav", 16_000, samples)
    options = SimpleNamespace(tmp_dir=str(tmp_path), batch_size=20, vshift=15)
    offset, confidence, distance = SyncNetInstance(theirs, "cpu").evaluate(opt=options)

    extractor = SyncnetEmbeddings(SyncnetSettings(), ())
    extractor._network = ours
    sound = extractor.sound(Audio((samples / 32768).astype(np.float32)))
    found = track_lip_sync(LipTrack("face 1", 0, extractor.lips([crops])), sound, "legacy")
    assert found is not None
    assert found.windows == 9
    assert found.confidence == pytest.approx(confidence, abs=1e-4)
    assert found.distance == pytest.approx(distance, abs=1e-4)
    assert found.offset == offset
