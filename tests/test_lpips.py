"""LPIPS through real files in the published formats, beside torchmetrics' own network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torchmetrics.functional.image import lpips as peer

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts, PerceptualDistance
from mmdia_eval.errors import MissingOutputError, UserError
from mmdia_eval.extractors import lpips_distance
from mmdia_eval.extractors.frame_similarity import FrameSimilaritySettings
from mmdia_eval.extractors.lpips_distance import CHECKPOINT, HEADS, MODEL, LpipsDistance
from mmdia_eval.metrics.lpips import FARTHEST, Lpips
from mmdia_eval.networks.lpips import LEAST, load
from mmdia_eval.types import Audio, Dialogue, Frames

DIALOGUE = Dialogue("d", (), video=Path("d.mp4"))
LPIPS = Lpips(Lpips.Settings())


def published_layers() -> nn.Sequential:
    """`features` of torchvision's AlexNet, as `torchvision.models.alexnet` numbers them."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, kernel_size=3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, kernel_size=3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    )


@pytest.fixture(scope="module")
def layers() -> nn.Sequential:
    """With random weights; biases keep part of the features off, as training does."""
    torch.manual_seed(0)
    return published_layers()


@pytest.fixture
def tensors(layers: nn.Sequential) -> dict[str, Tensor]:
    """The published file's names: 10 of features and 6 of the classifier, here small."""
    features = {f"features.{name}": tensor for name, tensor in layers.state_dict().items()}
    ends = {
        f"classifier.{n}.{kind}": torch.zeros(1) for n in (1, 4, 6) for kind in ("weight", "bias")
    }
    return features | ends


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensors: dict[str, Tensor]) -> Path:
    monkeypatch.setenv("MMDIA_MODELS", str(tmp_path))
    monkeypatch.setenv("MMDIA_ALLOW_UNVERIFIED_MODELS", "1")
    path = tmp_path / MODEL / CHECKPOINT
    path.parent.mkdir()
    torch.save(tensors, path)
    return path


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch, layers: nn.Sequential) -> Callable[..., Tensor]:
    """torchmetrics' network with its own heads, on these features in torchvision's place."""
    monkeypatch.setattr(peer, "_get_tv_model_features", lambda net, pretrained: layers)
    network = peer._LPIPS(net="alex")
    return lambda a, b: network(a, b, normalize=True).flatten()


def pictures(frames: int, seed: int = 0, size: tuple[int, int] = (40, 56)) -> Frames:
    rng = np.random.default_rng(seed)
    raw = gaussian_filter(rng.normal(128, 400, (frames, *size, 3)), (0, 2, 2, 0))
    return np.clip(raw, 0, 255).astype(np.uint8)


def noisy(frames: Frames, level: float) -> Frames:
    noise = np.random.default_rng(1).normal(0, level, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def compare(frames: Frames, reference: Frames | None) -> PerceptualDistance:
    one = LpipsDistance(FrameSimilaritySettings(), ())
    one.load()
    dialogue = DIALOGUE if reference is not None else Dialogue("d", ())
    audio = Audio(np.zeros(0, np.float32))
    item = Inputs(audio, dialogue, Artifacts({}), frames=frames, reference_frames=reference)
    (found,) = one.extract([item])
    return found


def as_tensor(frames: Frames) -> Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("size", [(LEAST, LEAST), (40, 56), (75, 131)])
def test_it_is_what_torchmetrics_says(
    model: Path, theirs: Callable[..., Tensor], size: tuple[int, int]
) -> None:
    reference = pictures(11, size=size)
    output = noisy(reference, 30)
    expected = theirs(as_tensor(output), as_tensor(reference))
    found = compare(output, reference)
    assert found.lpips == pytest.approx(float(expected.mean()), rel=1e-5)
    assert found.lpips > 1e-4
    assert (found.frames, found.resized, found.problem) == (11, False, None)


def test_equal_frames_are_0_and_more_noise_or_blur_is_further(model: Path) -> None:
    reference = pictures(3)
    assert compare(reference, reference).lpips == 0
    blurred = [gaussian_filter(reference, (0, s, s, 0)) for s in (0.7, 1.5, 4)]
    for order in ([noisy(reference, level) for level in (4, 16, 64)], blurred):
        values = [compare(each, reference).lpips for each in order]
        assert values == sorted(values)
        assert values[0] > 0


def test_frames_are_paired_and_sized_as_for_psnr(model: Path) -> None:
    reference = pictures(9, size=(40, 56))
    assert compare(reference[:8], reference).lpips == 0
    assert compare(reference[:7], reference).problem == "7 frames, and the reference has 9"
    large = np.kron(reference, np.ones((1, 2, 2, 1), dtype=np.uint8))
    found = compare(large, reference)
    assert (found.lpips, found.resized) == (0, True)
    small = pictures(2, size=(30, 56))
    assert compare(small, small).problem == "the reference is 56x30: LPIPS needs 31 a side"
    assert compare(reference, None).problem == "the dialogue has no reference video"


def test_another_checkpoint_is_named(model: Path, tensors: dict[str, Tensor]) -> None:
    del tensors["features.8.bias"]
    torch.save(tensors, model)
    with pytest.raises(UserError, match=r"missing: features\.8\.bias"):
        compare(pictures(1), pictures(1))


def test_other_heads_are_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lpips_distance, "files", lambda package: tmp_path)
    with pytest.raises(UserError, match=r"alex\.pth is not LPIPS 0\.1"):
        compare(pictures(1), pictures(1))


def test_backbone_and_heads_are_in_the_key(model: Path) -> None:
    names = [weights.name for weights in LpipsDistance(FrameSimilaritySettings(), ()).weights()]
    assert names == [f"{MODEL}/{CHECKPOINT}", HEADS.name]
    assert LpipsDistance.reads == ("reference_video",)


def test_without_the_backbone_it_says_what_to_fetch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMDIA_MODELS", str(tmp_path))
    (problem,) = LpipsDistance(FrameSimilaritySettings(), ()).problems()
    assert "mmdia-eval models fetch alexnet" in problem


def test_no_pair_is_further_apart_than_a_missing_output(model: Path) -> None:
    network = load(model, lpips_distance._heads())
    greatest = sum(float(head.detach().flatten().topk(2).values.sum()) for head in network.lins)
    assert greatest <= FARTHEST < greatest + 0.01
    assert LPIPS.reduce(LPIPS.worst(DIALOGUE)) == FARTHEST


def test_means_over_dialogues() -> None:
    made = [PerceptualDistance(0.2, 50, True), PerceptualDistance(0.4, 50, False)]
    rows = [LPIPS.measure(DIALOGUE, Artifacts({PerceptualDistance: each})) for each in made]
    total = {field: sum(row[field] for row in rows) for field in LPIPS.fields}
    assert LPIPS.reduce(total) == pytest.approx(0.3)
    assert LPIPS.components([*rows, LPIPS.worst(DIALOGUE)]) == pytest.approx(
        {"scored": 2 / 3, "resized": 0.5, "of_scored": 0.3}
    )
    unlike = PerceptualDistance(0.0, 0, False, "8 frames")
    with pytest.raises(MissingOutputError, match="8 frames"):
        LPIPS.measure(DIALOGUE, Artifacts({PerceptualDistance: unlike}))
    assert LPIPS.not_applicable(Dialogue("d", ())) == "the dialogue has no reference video"
