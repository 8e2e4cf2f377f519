"""What the speaker encoders share: which stretches are heard, and how many at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from mmdia_eval.api import Extractor, Inputs, Requirement
from mmdia_eval.artifacts import Alignment, SpeakerEmbeddings
from mmdia_eval.extractors import vad
from mmdia_eval.extractors.ge2e import at_level, unit
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray, Segment

TORCH = Requirement("torch", "pip install 'mmdia-eval[speech]'")
TRANSFORMERS = Requirement("transformers", "pip install 'mmdia-eval[speech]'")
SPEECHBRAIN = Requirement("speechbrain", "pip install 'mmdia-eval[speech]'")

CPU_SECONDS = 30.0
"""What a CPU gets at once: more is no faster there and takes memory, 20 MB a second in UTMOS."""


class Heard(NamedTuple):
    """A stretch of sound to embed: the turn it belongs to, and how much of it counts as speech."""

    turn: int
    samples: FloatArray
    seconds: float


class VoiceEmbeddings(Extractor[SpeakerEmbeddings]):
    """Embeds stretches of many files together, and gives each file its own."""

    makes = SpeakerEmbeddings
    device = "gpu"

    def identity(self) -> Mapping[str, Any]:
        return {"vad": asdict(vad.DEFAULT)}

    def extract(self, batch: Sequence[Inputs]) -> Sequence[SpeakerEmbeddings]:
        for item in batch:
            if item.audio.sample_rate != SAMPLE_RATE:
                raise ValueError(f"expected {SAMPLE_RATE} Hz, got {item.audio.sample_rate} Hz")
        heard = [tuple(self.heard(item)) for item in batch]
        vectors = iter(self.embed([one.samples for of_file in heard for one in of_file]))
        return [_embeddings(of_file, vectors, self.dimensions) for of_file in heard]

    @property
    @abstractmethod
    def dimensions(self) -> int:
        """Length of a vector. Known after `load`."""

    @abstractmethod
    def heard(self, item: Inputs) -> Iterable[Heard]:
        """What of a file is embedded."""

    @abstractmethod
    def embed(self, stretches: Sequence[FloatArray]) -> Sequence[FloatArray]:
        """A vector (d,) of any length but 0 for each stretch (n,), in order."""


def _embeddings(
    heard: Sequence[Heard], vectors: Iterator[FloatArray], dimensions: int
) -> SpeakerEmbeddings:
    """Those of one file, which are the next of `vectors`."""
    rows = [next(vectors) for _ in heard]
    return SpeakerEmbeddings(
        vectors=unit(np.stack(rows)) if rows else np.empty((0, dimensions), np.float32),
        turns=tuple(one.turn for one in heard),
        seconds=tuple(one.seconds for one in heard),
    )


def aligned_turns(item: Inputs) -> Mapping[int, Segment]:
    """Where each turn is by the alignment, by index; turns whose place is unknown are absent."""
    turns = item.artifacts[Alignment].turns
    return {turn.index: turn.segment for turn in turns if turn.segment is not None}


def reference_turns(item: Inputs) -> Mapping[int, Segment]:
    """Where each turn is by the benchmark, by index; turns whose place is unknown are absent."""
    turns = enumerate(item.dialogue.turns)
    return {index: turn.segment for index, turn in turns if turn.segment is not None}


def voiced_turns(
    audio: Audio, turns: Mapping[int, Segment], min_seconds: float
) -> Iterator[tuple[int, float]]:
    """Index and voiced seconds of each turn that has `min_seconds` of them or more.

    Args:
        audio: the file at 16 kHz.
        turns: where each turn is, by index.
        min_seconds: what WebRTC's detector must find in the turn, brought to one level first, as it
            does not hear quiet speech.
    """
    for index, segment in turns.items():
        turn = Audio(at_level(audio.cut(segment).samples))
        seconds = sum(speech.duration for speech in vad.speech_segments(turn))
        if seconds >= min_seconds:
            yield index, seconds


@contextmanager
def inference() -> Iterator[None]:
    """No gradients, and all of float32's digits: cuDNN rounds to TF32's ten bits by default.

    With those, what shares a batch would show in the third digit of a result.
    """
    import torch  # noqa: PLC0415

    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def batch_limit(extractor: Extractor[Any]) -> float:
    """Seconds of sound, padding counted, that the extractor's network hears at once."""
    return CPU_SECONDS if extractor.torch_device == "cpu" else extractor.batch_seconds


def padded_batches(lengths: Sequence[int], seconds: float) -> Iterator[list[int]]:
    """Indices into `lengths` (samples), longest first, in batches of at most `seconds` each.

    Padding counts: a batch is as long as its longest member times their number. What is longer than
    `seconds` comes alone.
    """
    batch: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * longest > seconds * SAMPLE_RATE:
            yield batch
            batch = []
        longest = longest if batch else lengths[index]
        batch.append(index)
    if batch:
        yield batch
