"""Who spoke when, by pyannote.audio's community-1 pipeline."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import Field

from mmdia_eval import api, models, torch_audio
from mmdia_eval.api import Extractor, Inputs, Requirement
from mmdia_eval.artifacts import Diarization, SpeakerSegment
from mmdia_eval.registry import extractor
from mmdia_eval.types import Audio

MODEL = "speaker-diarization-community-1"


class PyannoteSettings(api.Settings):
    """`exclusive` leaves one speaker at a time, who is transcribed best; else speech may overlap.

    The batch sizes are those of the pipeline's windows and voices: they change speed and memory,
    and the result by no more than rounding.
    """

    exclusive: bool = True
    segmentation_batch_size: int = Field(default=32, ge=1)
    embedding_batch_size: int = Field(default=32, ge=1)


@extractor("pyannote_diarization")
class PyannoteDiarization(Extractor[Diarization]):
    """Speech of each voice in mono 16 kHz audio, to the millisecond; the number is estimated.

    Pipeline: `pyannote/speaker-diarization-community-1` (licence CC-BY-4.0, gated): powerset
    segmentation of 10 s windows, WeSpeaker embeddings, VBx clustering with its own settings. Its
    checkpoints are pickles, which pyannote.audio 4 loads as such: `models.folder` has checked
    them. A file without speech has no segment. A voice counts for clustering when it has 2 s of a
    window alone; with no such voice, all speech is one speaker's.
    """

    version: ClassVar[str] = "1"
    makes = Diarization
    device = "gpu"
    batch_seconds = 300.0
    cost = 2.0
    requires = (Requirement("pyannote.audio", "pip install 'mmdia-eval[speech]'"),)
    Settings: ClassVar[type[api.Settings]] = PyannoteSettings

    def models(self) -> tuple[str, ...]:
        return (MODEL,)

    def load(self) -> None:
        """The pipeline on `torch_device`, from the local folder alone."""
        os.environ["HF_HUB_OFFLINE"] = "1"
        torch_audio.prepare()
        torch_audio.full_precision()
        import torch  # noqa: PLC0415

        with warnings.catch_warnings():
            # Files are never handed over by path, so no decoder is needed.
            warnings.filterwarnings("ignore", r"\s*torchcodec is not installed correctly")
            from pyannote.audio import Pipeline  # noqa: PLC0415

        pipeline: Any = Pipeline.from_pretrained(models.folder(MODEL))
        pipeline.segmentation_batch_size = self.settings.segmentation_batch_size
        pipeline.embedding_batch_size = self.settings.embedding_batch_size
        self._pipeline = pipeline.to(torch.device(self.torch_device))

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Diarization]:
        return [self._diarize(inputs) for inputs in batch]

    def _diarize(self, inputs: Inputs) -> Diarization:
        if not len(inputs.audio.samples):
            return Diarization(())
        with _quiet():
            output = self._apply(inputs)
        found = (
            output.exclusive_speaker_diarization
            if self.settings.exclusive
            else output.speaker_diarization
        )
        return Diarization(tuple(_segments(found, inputs.audio.duration)))

    def _apply(self, inputs: Inputs) -> Any:
        return self._pipeline(_waveform(inputs.audio))


@extractor("pyannote_diarization_oracle")
class PyannoteDiarizationOracle(PyannoteDiarization):
    """`pyannote_diarization` told how many speakers the reference dialogue has.

    It may find fewer (pyannote/pyannote-audio issue 1567); that stays as it is, for metrics to
    count. With fewer usable voices than speakers the pipeline's last resort, k-means, cannot run:
    the estimated number is taken then.
    """

    version = "1"
    reads = ("speaker_count",)

    def _apply(self, inputs: Inputs) -> Any:
        count = len(inputs.dialogue.speakers)
        try:
            return self._pipeline(_waveform(inputs.audio), num_speakers=count)
        except ValueError as error:
            if "n_clusters" not in str(error):
                raise
            return self._pipeline(_waveform(inputs.audio), max_speakers=count)


def _segments(annotation: Any, duration: float) -> Iterator[SpeakerSegment]:
    """In time order, clipped to the file: the pipeline fills its last window up with silence."""
    for segment, _, speaker in annotation.itertracks(yield_label=True):
        end = round(min(segment.end, duration), 3)
        start = round(max(segment.start, 0.0), 3)
        if start < end:
            yield SpeakerSegment(start, end, speaker)


def _waveform(audio: Audio) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    # A copy: the samples may be mapped into memory read-only.
    return {"waveform": torch.tensor(audio.samples)[None], "sample_rate": audio.sample_rate}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the pipeline says of short files; the result shows it."""
    with warnings.catch_warnings():
        for message in (
            r"\s*The detected number of speakers",
            "Mean of empty slice",
            "invalid value encountered",
            "Number of distinct clusters",
            r"std\(\): degrees of freedom",
        ):
            warnings.filterwarnings("ignore", message)
        yield
