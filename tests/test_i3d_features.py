"""The extractor through real files in the published format, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts
from mmdia_eval.clips import PRESETS, clips
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.i3d_features import BATCH_NORM_EPSILON, I3dFeatures, I3dSettings
from mmdia_eval.networks.i3d import I3D
from mmdia_eval.types import Audio, Dialogue, Frames

MODEL = "i3d-kinetics-400"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """A random state dict as the published file holds it: 287 tensors, no batch counters."""
    torch.manual_seed(0)
    state = I3D(epsilon=BATCH_NORM_EPSILON).state_dict()
    return {name: tensor for name, tensor in state.items() if "num_batches" not in name}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMDIA_MODELS", str(tmp_path))
    monkeypatch.setenv("MMDIA_ALLOW_UNVERIFIED_MODELS", "1")
    path = tmp_path / MODEL / "i3d_pretrained_400.pt"
    path.parent.mkdir()
    return path


def made(**settings: object) -> I3dFeatures:
    extractor = I3dFeatures(I3dSettings.model_validate({"model": MODEL, **settings}), ())
    extractor.load()
    return extractor


def inputs(frames: Frames) -> Inputs:
    return Inputs(Audio(np.zeros(0, np.float32)), Dialogue("d", ()), Artifacts({}), frames=frames)


def video(count: int) -> Frames:
    return np.random.default_rng(0).integers(0, 256, (count, 24, 32, 3), dtype=np.uint8)


def test_features_are_the_logits_of_each_clip(
    model: Path, tensors: dict[str, torch.Tensor]
) -> None:
    assert len(tensors) == 287
    torch.save(tensors, model)
    frames = video(20)
    (found, short) = made(clips_at_once=3).extract([inputs(frames), inputs(video(15))])
    network = I3D(epsilon=BATCH_NORM_EPSILON).eval()
    network.load_state_dict(tensors, strict=False)
    with torch.inference_mode():
        expected = network(clips(frames, PRESETS["fvd-mmdia-v1"])[-1:]).numpy()
    assert found.features.shape == (4, 400)
    np.testing.assert_allclose(found.features[-1:], expected, rtol=1e-4, atol=1e-5)
    assert short.features.shape == (0, 400)


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape"])
def test_a_file_of_another_network_is_refused(
    model: Path, tensors: dict[str, torch.Tensor], fault: str
) -> None:
    changed = dict(tensors)
    if fault == "missing":
        del changed["Mixed_3b.b0.bn.bias"]
    elif fault == "unknown":
        changed["fc.weight"] = torch.zeros(1)
    else:
        changed["logits.conv3d.bias"] = torch.zeros(600)
    torch.save(changed, model)
    with pytest.raises(UserError, match=r"Mixed_3b\.b0\.bn\.bias|fc\.weight|logits\.conv3d\.bias"):
        made()


def test_a_file_that_could_run_code_is_not_opened(model: Path) -> None:
    torch.save({"weight": Path("x")}, model)
    with pytest.raises(UserError, match="holds more than tensors"):
        made()
