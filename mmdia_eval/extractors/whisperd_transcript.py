"""Speech recognition with WhisperD, which writes who speaks and where somebody laughs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

from mmdia_eval import api
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Transcript, Utterance
from mmdia_eval.extractors import hf_whisper
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio

Labelled = Iterator[tuple[str | None, str]]


class WhisperDSettings(hf_whisper.HfWhisperSettings):
    """`tags`: how "[S1]" and its like name a speaker.

    "number": by their number; what stands before the first tag has no speaker. "parity", the
    definition of `zipvoice-dialog`: by turns, S1 after the first tag, S2 after the second and
    before the first, whatever their numbers, so that there are two speakers at most and a tag
    written twice changes the speaker.
    """

    model: str = "whisper-d-v1a"
    tags: Literal["number", "parity"] = "number"


@extractor("whisperd_transcript")
class WhisperDTranscript(api.Extractor[Transcript]):
    """English text of mono 16 kHz audio with speaker labels; without word times.

    Engine: WhisperD (https://huggingface.co/jordand/whisper-d-v1a, MIT), a whisper-large-v2 that
    was taught to write "[S1]", "[S2]" and "(laughs)", in transformers' recognition pipeline. Run as
    in ZipVoice's `eval/wer/dialog.py` (k2-fsa/ZipVoice at 2f7326f): chunks of 30 s that overlap by
    5 s on both sides and are joined where their tokens agree best, no token suppressed, greedy.
    ZipVoice runs it in float16.

    An utterance is what follows a tag. Its words stand at even steps over the whole file, as
    nothing is known of their times. Speakers are numbered anew in every chunk: over 30 s, beyond
    which WhisperD was not tested by its maker, labels may change owner.
    """

    version: ClassVar[str] = "1"
    makes = Transcript
    device = "gpu"
    batch_seconds = 2 * hf_whisper.WINDOWS * hf_whisper.WINDOW
    requires = hf_whisper.REQUIRES
    Settings = WhisperDSettings
    settings: WhisperDSettings

    def models(self) -> tuple[str, ...]:
        return (self.settings.model,)

    def load(self) -> None:
        """Load the model onto `torch_device`. Raises UserError as `hf_whisper.load`."""
        whisper = hf_whisper.load(self.settings, "en", self.torch_device)
        whisper.model.generation_config.suppress_tokens = None
        whisper.model.generation_config.forced_decoder_ids = None
        from transformers import AutomaticSpeechRecognitionPipeline  # noqa: PLC0415

        self._pipeline: Any = AutomaticSpeechRecognitionPipeline(
            model=whisper.model,
            tokenizer=whisper.tokenizer,
            feature_extractor=whisper.features,
            device=whisper.model.device,
            chunk_length_s=hf_whisper.WINDOW,
            ignore_warning=True,
        )

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Transcript]:
        sounds = [{"raw": inputs.audio.samples, "sampling_rate": SAMPLE_RATE} for inputs in batch]
        with hf_whisper.quiet():
            found = self._pipeline(
                sounds,
                batch_size=hf_whisper.WINDOWS,
                generate_kwargs={
                    "language": "en",
                    "task": "transcribe",
                    "num_beams": self.settings.num_beams,
                    "max_new_tokens": self.settings.max_new_tokens,
                    "do_sample": False,
                },
            )
        split = SPLITTERS[self.settings.tags]
        return [
            _transcript(inputs.audio, split(item["text"]))
            for inputs, item in zip(batch, found, strict=True)
        ]


_TAG = re.compile(r"\[S(\d+)\]")


def by_number(text: str) -> Labelled:
    """Each run of text with the tag before it; None before the first.

    >>> list(by_number("[S1] a [S1] b [S2] c"))
    [(None, ''), ('S1', 'a'), ('S1', 'b'), ('S2', 'c')]
    """
    before, *rest = _TAG.split(text)
    yield None, before.strip()
    for number, run in zip(rest[::2], rest[1::2], strict=True):
        yield f"S{int(number)}", run.strip()


_ZIPVOICE_TAG = re.compile(r"\[S[1-9]\]")


def by_parity(text: str) -> Labelled:
    """Each run of text with the speaker that its place means to ZipVoice's `split_dialogue`.

    >>> list(by_parity("[S1] a [S1] b [S2] c"))
    [('S2', ''), ('S1', 'a'), ('S2', 'b'), ('S1', 'c')]
    """
    for place, run in enumerate(_ZIPVOICE_TAG.split(text)):
        yield f"S{2 - place % 2}", run.strip()


SPLITTERS: dict[str, Callable[[str], Labelled]] = {"number": by_number, "parity": by_parity}


def _transcript(audio: Audio, labelled: Labelled) -> Transcript:
    """An utterance of each run that has words, by their number's share of the file's length."""
    runs = [(speaker, run) for speaker, run in labelled if run]
    words = iter(hf_whisper.spread(" ".join(run for _, run in runs), 0.0, audio.duration))
    utterances = tuple(
        Utterance(
            tuple(next(words) for _ in run.split()),
            speaker,
            compression_ratio=hf_whisper.compression_ratio(run),
        )
        for speaker, run in runs
    )
    return Transcript(utterances, word_times=False, language="en")
