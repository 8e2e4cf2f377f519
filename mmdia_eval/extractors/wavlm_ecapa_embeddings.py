"""Voice embeddings from WavLM-Large with ECAPA-TDNN, by turn or by sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from mmdia_eval import api, models, sandbox
from mmdia_eval.api import Inputs, Reads
from mmdia_eval.artifacts import Alignment, Artifact
from mmdia_eval.extractors.voices import (
    TORCH,
    TRANSFORMERS,
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
from mmdia_eval.sentences import find_sentences, split_sentences
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray, Segment

MODEL = "wavlm-large-ecapa"
CHECKPOINT = "wavlm_large_finetune.pth"


class WavlmEcapaReferenceSettings(api.Settings):
    """What the network hears, and how much of it there must be.

    `sample_rate_fed` is the rate of the samples given to the network, which takes them for 16 kHz:
    24000 lets it hear every voice 1.5 times too slow and too low, which MM-DIA's release does
    (`SpeakerSimilarity(sample_rate=24000)`). A turn with less than `min_seconds` of voiced sound is
    left out.
    """

    sample_rate_fed: Literal[16000, 24000] = 16000
    min_seconds: float = Field(default=1.0, ge=0.05)


class WavlmEcapaSettings(WavlmEcapaReferenceSettings):
    """As for reference recordings, and `units`: one embedding a "turn" or one a "sentence".

    A sentence is found among the aligned words as in MM-DIA's release, see `sentences`; all of it
    counts, voiced or not, so that `min_seconds` is its length there: 0.1 in the release.
    """

    units: Literal["turn", "sentence"] = "turn"


@extractor("wavlm_ecapa_embeddings")
class WavlmEcapaEmbeddings(VoiceEmbeddings):
    """Unit vectors of 256 values, one for each aligned turn or sentence that is long enough.

    The network can hear no less than 720 samples, 0.045 s at 16 kHz: `min_seconds` keeps what is
    shorter away from it. (The x-vector head of WavLM stops with an error below about 5,000 samples,
    microsoft/unilm issue 1462; this head does not, and the release's shortest, 0.1 s at 24 kHz, are
    2,400.) Stretches share batches, and each gets the vector that it has alone (to 1e-5).
    """

    version = "1"
    cost = 1.0
    batch_seconds = 320.0
    needs: ClassVar[tuple[type[Artifact], ...]] = (Alignment,)
    reads: tuple[Reads, ...] = ("script",)
    requires = (TORCH, TRANSFORMERS)
    Settings: ClassVar[type[api.Settings]] = WavlmEcapaSettings

    def models(self) -> tuple[str, ...]:
        return (MODEL,)

    @property
    def dimensions(self) -> int:
        return int(self._network.embedding.out_features)

    def load(self) -> None:
        from mmdia_eval.networks import wavlm_ecapa  # noqa: PLC0415

        self._network = wavlm_ecapa.load(models.folder(MODEL) / CHECKPOINT).to(self.torch_device)

    def heard(self, item: Inputs) -> Iterable[Heard]:
        if self.settings.units == "turn":
            return self._turns(item, aligned_turns(item))
        return self._sentences(item)

    def _turns(self, item: Inputs, turns: Mapping[int, Segment]) -> Iterable[Heard]:
        fed = self._fed(item)
        for index, seconds in voiced_turns(item.audio, turns, self.settings.min_seconds):
            yield Heard(index, fed.cut(turns[index]).samples, seconds)

    def _sentences(self, item: Inputs) -> Iterable[Heard]:
        fed = self._fed(item)
        owned = [
            (index, sentence)
            for index, turn in enumerate(item.dialogue.turns)
            for sentence in split_sentences(turn.text)
        ]
        words = [word for turn in item.artifacts[Alignment].turns for word in turn.words]
        places = find_sentences((sentence for _, sentence in owned), words)
        for (index, _), segment in zip(owned, places, strict=True):
            heard = fed.cut(segment) if segment else Audio(fed.samples[:0])
            if heard.duration >= self.settings.min_seconds:
                yield Heard(index, heard.samples, heard.duration)

    def _fed(self, item: Inputs) -> Audio:
        if self.settings.sample_rate_fed == SAMPLE_RATE:
            return item.audio
        return sandbox.decode_at(item.path, self.settings.sample_rate_fed, item.sandbox)

    def embed(self, stretches: Sequence[FloatArray]) -> Sequence[FloatArray]:
        import torch  # noqa: PLC0415

        found = np.empty((len(stretches), self.dimensions), np.float32)
        for batch in padded_batches([len(one) for one in stretches], batch_limit(self)):
            waves = [torch.from_numpy(stretches[i]).to(self.torch_device) for i in batch]
            with inference():
                found[batch] = self._network(waves).cpu().numpy()
        return list(found)


@extractor("wavlm_ecapa_reference_embeddings")
class WavlmEcapaReferenceEmbeddings(WavlmEcapaEmbeddings):
    """`wavlm_ecapa_embeddings` of the turns of a reference recording, timed by the benchmark."""

    version = "1"
    needs = ()
    reads: tuple[Reads, ...] = ("turn_times",)
    Settings = WavlmEcapaReferenceSettings

    def heard(self, item: Inputs) -> Iterable[Heard]:
        return self._turns(item, reference_turns(item))
