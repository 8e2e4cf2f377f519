"""A small diarization pipeline in community-1's layout, and sounds that it tells apart.

All weights are random but those of the segmentation's last layer, which are fitted to a buzz and a
hiss for voices: so the real loader, windows and clustering find turns that were planted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdia_eval import torch_audio
from mmdia_eval.types import SAMPLE_RATE, FloatArray

SILENCE, BUZZ, HISS, BOTH = 0, 1, 2, 4
"""Kinds of sound, and at the same time their classes in the powerset."""

WINDOW = 5.0
"""Seconds that the segmentation hears at once; the real one hears 10."""

CONFIG = """\
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: VBxClustering
    segmentation: $model/segmentation
    segmentation_step: 0.5
    embedding: $model/embedding
    embedding_exclude_overlap: true
    plda: $model/plda
params:
  clustering:
    threshold: 0.6
    Fa: 0.07
    Fb: 0.8
  segmentation:
    min_duration_off: 0.0
"""

CLASSES = 7
"""Of the powerset of three speakers, two at most at a time: nobody, each alone, each pair."""


def sound(parts: Sequence[tuple[int, float]], seed: int = 0) -> FloatArray:
    """Kinds of sound, each for its seconds, one after the other: mono, 16 kHz."""
    rng = np.random.default_rng(seed)
    return np.concatenate([_kind(kind, _samples(s), rng) for kind, s in parts]).astype(np.float32)


def _kind(kind: int, samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if kind == BOTH:
        return _kind(BUZZ, samples, rng) + _kind(HISS, samples, rng)
    if kind == BUZZ:
        buzz = np.sign(np.sin(2 * np.pi * 150 * np.arange(samples) / SAMPLE_RATE))
        return np.asarray(0.3 * buzz + 0.01 * rng.standard_normal(samples))
    if kind == HISS:
        return 0.3 * np.diff(rng.standard_normal(samples + 1))
    return np.zeros(samples)


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def make(folder: Path) -> Path:
    """Write the files `config.yaml`, `segmentation`, `embedding` and `plda` into `folder`."""
    torch_audio.prepare()
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import XVectorMFCC
    from pyannote.audio.models.segmentation import PyanNet

    torch.manual_seed(0)
    segmentation: Any = PyanNet(
        lstm={"hidden_size": 32, "num_layers": 2}, linear={"hidden_size": 256, "num_layers": 1}
    )
    segmentation.specifications = Specifications(
        Problem.MONO_LABEL_CLASSIFICATION,
        Resolution.FRAME,
        duration=WINDOW,
        classes=["speaker#1", "speaker#2", "speaker#3"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    segmentation.setup()
    _fit(segmentation)
    _save(segmentation, folder / "segmentation" / "pytorch_model.bin")

    embedding: Any = XVectorMFCC(dimension=32)
    embedding.specifications = Specifications(
        Problem.REPRESENTATION, Resolution.CHUNK, duration=WINDOW
    )
    embedding.setup()
    _save(embedding, folder / "embedding" / "pytorch_model.bin")

    plda = folder / "plda"
    plda.mkdir()
    axes, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((32, 16)))
    np.savez(plda / "xvec_transform.npz", mean1=np.zeros(32), mean2=np.zeros(16), lda=axes)
    np.savez(plda / "plda.npz", mu=np.zeros(16), tr=np.eye(16), psi=np.linspace(5, 1, 16))
    (folder / "config.yaml").write_text(CONFIG)
    return folder


def _fit(segmentation: Any) -> None:
    """Set the classifier to the least-squares one over the random layers below it."""
    import torch

    features: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.int64]] = []
    rng = np.random.default_rng(1)
    segmentation.eval()
    hook = segmentation.classifier.register_forward_pre_hook(
        lambda _, inputs: features.append(inputs[0][0].numpy())
    )
    for seed in range(24):
        kinds = rng.choice([SILENCE, BUZZ, HISS, BOTH], 20).tolist()
        parts = [(kind, float(rng.uniform(0.3, 1.5))) for kind in kinds]
        parts = [(SILENCE, WINDOW)] if seed == 0 else parts
        window = sound(parts, seed)[: _samples(WINDOW)]
        truth = np.concatenate([np.full(_samples(seconds), kind) for kind, seconds in parts])
        with torch.no_grad():
            segmentation(torch.tensor(window)[None, None])
        frames = len(features[-1])
        labels.append(truth[((np.arange(frames) + 0.5) * len(window) / frames).astype(int)])
    hook.remove()
    known = np.concatenate(labels)
    inputs = np.concatenate(features)
    targets = np.where(known[:, None] == np.arange(CLASSES), 3.0, -3.0)
    fitted, *_ = np.linalg.lstsq(np.c_[inputs, np.ones(len(inputs))], targets, rcond=None)
    with torch.no_grad():
        segmentation.classifier.weight.copy_(torch.tensor(fitted[:-1].T))
        segmentation.classifier.bias.copy_(torch.tensor(fitted[-1]))


def _save(model: Any, path: Path) -> None:
    import lightning
    import torch

    path.parent.mkdir(parents=True)
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": lightning.__version__,
    }
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
