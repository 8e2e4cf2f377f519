"""UTMOS: the naturalness that listeners would hear, by the strong learner of UTMOS22.

T. Saeki et al.: UTMOS: UTokyo-SaruLab System for VoiceMOS Challenge 2022, Interspeech 2022. The
weights are those that ZipVoice and MM-DIA's release use, through SpeechMOS or a copy of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from mmdia_eval import api, models
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import Alignment, Artifact, MosPrediction, TurnScores
from mmdia_eval.extractors.voices import (
    TORCH,
    TRANSFORMERS,
    aligned_turns,
    batch_limit,
    inference,
    padded_batches,
)
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, FloatArray

MODEL = "utmos22-strong"
CHECKPOINT = "utmos22_strong_step7459_v1.pt"
SHORTEST = 400
"""Samples of the network's first frame."""


class UtmosSettings(api.Settings):
    """`per_turn` says whether each aligned turn gets a score of its own, beside the whole file."""

    per_turn: bool = True


@extractor("utmos22_strong")
class Utmos22Strong(Extractor[MosPrediction]):
    """Score `utmos`, about 1 to 5, higher is better: the mean over frames, times 2, plus 3.

    The whole file goes in at once, as decoded, at 16 kHz, with the embeddings of domain 0 and judge
    288, as in SpeechMOS 1.2.0. It was trained on single sentences of one speaker: the scores of the
    turns are nearer to that. Sounds share batches, and each gets the score that it has alone (to
    1e-4); a file of less than 400 samples is filled up with silence, a turn of less has no score.
    """

    version = "1"
    makes = MosPrediction
    device = "gpu"
    cost = 0.7
    batch_seconds = 320.0
    needs: ClassVar[tuple[type[Artifact], ...]] = (Alignment,)
    requires = (TORCH, TRANSFORMERS)
    Settings = UtmosSettings

    def models(self) -> tuple[str, ...]:
        return (MODEL,)

    def load(self) -> None:
        from mmdia_eval.networks import utmos  # noqa: PLC0415

        self._network = utmos.load(models.folder(MODEL) / CHECKPOINT).to(self.torch_device)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[MosPrediction]:
        files = [_filled(_sound(item)) for item in batch]
        turns = [dict(self._turns(item)) for item in batch]
        of_turns = [sound for of_file in turns for sound in of_file.values()]
        scores = iter(self.score([*files, *of_turns]))
        of_files = [next(scores) for _ in files]
        return [
            MosPrediction(
                {"utmos": score},
                tuple(TurnScores(index, {"utmos": next(scores)}) for index in of_file),
            )
            for score, of_file in zip(of_files, turns, strict=True)
        ]

    def _turns(self, item: Inputs) -> Iterator[tuple[int, FloatArray]]:
        if self.settings.per_turn:
            for index, segment in aligned_turns(item).items():
                samples = item.audio.cut(segment).samples
                if len(samples) >= SHORTEST:
                    yield index, samples

    def score(self, sounds: Sequence[FloatArray]) -> list[float]:
        """The score of each sound (n,), of `SHORTEST` samples or more, at 16 kHz."""
        import torch  # noqa: PLC0415

        scores = np.empty(len(sounds), np.float64)
        for batch in padded_batches([len(sound) for sound in sounds], batch_limit(self)):
            waves = [torch.from_numpy(sounds[i]).to(self.torch_device) for i in batch]
            with inference():
                scores[batch] = self._network(waves).cpu().numpy()
        return [float(score) for score in scores]


def _sound(item: Inputs) -> FloatArray:
    if item.audio.sample_rate != SAMPLE_RATE:
        raise ValueError(f"expected {SAMPLE_RATE} Hz, got {item.audio.sample_rate} Hz")
    return item.audio.samples


def _filled(samples: FloatArray) -> FloatArray:
    return np.pad(samples, (0, max(0, SHORTEST - len(samples))))
