"""One voice embedding a turn, from the GE2E speaker encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from mmdia_eval import api
from mmdia_eval.api import Extractor, Inputs
from mmdia_eval.artifacts import Alignment, Artifact, SpeakerEmbeddings
from mmdia_eval.extractors import ge2e
from mmdia_eval.extractors.voices import aligned_turns, reference_turns
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Segment, Weights


class EmbeddingSettings(api.Settings):
    """A turn with less than `min_seconds` of voiced sound is left out."""

    min_seconds: float = Field(default=1.0, gt=0.0)


@extractor("ge2e_embeddings")
class Ge2eEmbeddings(Extractor[SpeakerEmbeddings]):
    """Unit vectors of 256 values, none negative, one for each aligned turn with enough voice.

    English, 16 kHz. Each turn is brought to one level, its pauses are cut down to 0.2 s, and its
    windows of 1.6 s are averaged, see `ge2e`. Cosines of two turns of 1 to 4 s, mean and deviation:
    real speech 0.79 and 0.10 for one voice, 0.49 and 0.09 for two; flite 0.86 and 0.05, 0.54 and
    0.08. `seconds` is the voiced sound.
    """

    version = "1"
    makes = SpeakerEmbeddings
    cost = 0.02
    needs: ClassVar[tuple[type[Artifact], ...]] = (Alignment,)
    requires = (ge2e.REQUIREMENT,)
    Settings = EmbeddingSettings

    def weights(self) -> tuple[Weights, ...]:
        return (ge2e.WEIGHTS,)

    def load(self) -> None:
        self._encoder = ge2e.load_encoder()

    def extract(self, batch: Sequence[Inputs]) -> Sequence[SpeakerEmbeddings]:
        return [self._embed(item) for item in batch]

    def _embed(self, item: Inputs) -> SpeakerEmbeddings:
        voiced = {
            index: ge2e.trim_silence(ge2e.at_level(item.audio.cut(segment).samples))
            for index, segment in self._turns(item).items()
        }
        enough = self.settings.min_seconds * SAMPLE_RATE
        kept = {index: samples for index, samples in voiced.items() if len(samples) >= enough}
        return SpeakerEmbeddings(
            vectors=ge2e.embed_utterances(self._encoder, tuple(kept.values())),
            turns=tuple(kept),
            seconds=tuple(len(samples) / SAMPLE_RATE for samples in kept.values()),
        )

    def _turns(self, item: Inputs) -> Mapping[int, Segment]:
        return aligned_turns(item)


@extractor("ge2e_reference_embeddings")
class Ge2eReferenceEmbeddings(Ge2eEmbeddings):
    """`ge2e_embeddings` of a reference recording, whose turn times the benchmark gives."""

    version = "1"
    needs = ()
    reads = ("turn_times",)

    def _turns(self, item: Inputs) -> Mapping[int, Segment]:
        return reference_turns(item)
