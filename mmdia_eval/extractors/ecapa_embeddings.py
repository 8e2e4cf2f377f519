"""One voice embedding a turn, from speechbrain's ECAPA-TDNN trained on VoxCeleb.

B. Desplanques, J. Thienpondt, K. Demuynck: ECAPA-TDNN, Interspeech 2020. Model:
speechbrain/spkrec-ecapa-voxceleb, Apache-2.0, run by speechbrain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from mmdia_eval import api, models, torch_audio
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Alignment, Artifact
from mmdia_eval.extractors.voices import (
    SPEECHBRAIN,
    TORCH,
    Heard,
    VoiceEmbeddings,
    aligned_turns,
    batch_limit,
    inference,
    padded_batches,
    reference_turns,
    voiced_turns,
)
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, FloatArray, Segment

MODEL = "spkrec-ecapa-voxceleb"
FRAME_STEP = SAMPLE_RATE // 100


class EcapaSettings(api.Settings):
    """A turn with less than `min_seconds` of voiced sound is left out.

    The least is what the widest convolution needs to reflect at a turn's ends.
    """

    min_seconds: float = Field(default=1.0, ge=0.1)


@extractor("ecapa_embeddings")
class EcapaEmbeddings(VoiceEmbeddings):
    """Unit vectors of 192 values, one for each aligned turn with enough voice.

    16 kHz. A turn goes in as it is, pauses included, as speechbrain's `encode_batch` takes a file;
    `seconds` is the voiced sound of it. Turns share batches, and each gets the vector that it has
    alone (to 1e-5): see `_ReflectAtEnds`.
    """

    version = "1"
    cost = 0.1
    batch_seconds = 1200.0
    needs: ClassVar[tuple[type[Artifact], ...]] = (Alignment,)
    requires = (TORCH, SPEECHBRAIN)
    Settings = EcapaSettings

    def models(self) -> tuple[str, ...]:
        return (MODEL,)

    @property
    def dimensions(self) -> int:
        return int(self._encoder.mods.embedding_model.fc.conv.out_channels)

    def load(self) -> None:
        torch_audio.prepare()
        from speechbrain.inference.classifiers import EncoderClassifier  # noqa: PLC0415
        from speechbrain.utils.fetching import LocalStrategy  # noqa: PLC0415

        folder = str(models.folder(MODEL))
        self._encoder = EncoderClassifier.from_hparams(
            source=folder,
            overrides={"pretrained_path": folder},  # else the yaml sends it to the hub
            run_opts={"device": self.torch_device},
            local_strategy=LocalStrategy.NO_LINK,  # without savedir: nothing is written
        )
        self._ends = _ReflectAtEnds(self._encoder.mods.embedding_model)

    def heard(self, item: Inputs) -> Iterable[Heard]:
        turns = self._turns(item)
        for index, seconds in voiced_turns(item.audio, turns, self.settings.min_seconds):
            yield Heard(index, item.audio.cut(turns[index]).samples, seconds)

    def embed(self, stretches: Sequence[FloatArray]) -> Sequence[FloatArray]:
        found = np.empty((len(stretches), self.dimensions), np.float32)
        for batch in padded_batches([len(one) for one in stretches], batch_limit(self)):
            found[batch] = self._embed([stretches[i] for i in batch])
        return list(found)

    def _embed(self, stretches: Sequence[FloatArray]) -> FloatArray:
        import torch  # noqa: PLC0415

        device = self.torch_device
        waves = torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(one).to(device) for one in stretches], batch_first=True
        )
        waves = torch.nn.functional.pad(waves, (0, self._ends.widest * FRAME_STEP))
        frames = torch.tensor([len(one) // FRAME_STEP + 1 for one in stretches], device=device)
        modules = self._encoder.mods
        with inference():
            features = modules.compute_features(waves)
            # Half a frame less, so that rounding cannot count one too many.
            shares = (frames - 0.5) / features.shape[1]
            features = modules.mean_var_norm(features, shares)
            with self._ends.of(frames):
                vectors = modules.embedding_model(features, shares)
        result: FloatArray = vectors[:, 0].cpu().numpy()
        return result

    def _turns(self, item: Inputs) -> Mapping[int, Segment]:
        return aligned_turns(item)


class _ReflectAtEnds:
    """Makes the network treat the end of each item of a batch as it treats the end of the batch.

    speechbrain's masks cover the network's averages; but its convolutions reflect the features at
    the two ends of the batch, so that a shorter item would hear its padding. Before each of them,
    the frames past an item's end, of which a batch has `widest` or more, are overwritten with the
    mirror image of those before it.
    """

    def __init__(self, network: Any) -> None:
        self._frames: Any = None
        self.widest = 0
        for module in network.modules():
            if getattr(module, "padding_mode", None) == "reflect" and module.kernel_size > 1:
                module.register_forward_pre_hook(self._mirror)
                self.widest = max(self.widest, module.dilation * (module.kernel_size // 2))

    @contextmanager
    def of(self, frames: Any) -> Iterator[None]:
        """Inside, the items of the batch have so many `frames` (n,)."""
        self._frames = frames
        try:
            yield
        finally:
            self._frames = None

    def _mirror(self, _: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        import torch  # noqa: PLC0415

        if self._frames is None:
            return arguments
        (x,) = arguments
        place = torch.arange(x.shape[2], device=x.device)
        last = self._frames[:, None] - 1
        mirrored = torch.where(place <= last, place, 2 * last - place).clamp(min=0)
        return (x.gather(2, mirrored[:, None].expand_as(x)),)


@extractor("ecapa_reference_embeddings")
class EcapaReferenceEmbeddings(EcapaEmbeddings):
    """`ecapa_embeddings` of a reference recording, whose turn times the benchmark gives."""

    version = "1"
    needs = ()
    reads = ("turn_times",)

    def _turns(self, item: Inputs) -> Mapping[int, Segment]:
        return reference_turns(item)
