"""Speech recognition with Whisper in transformers, as the authors' release runs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mmdia_eval import api
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Transcript, Utterance
from mmdia_eval.extractors import hf_whisper
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray

if TYPE_CHECKING:
    import torch


class WhisperSettings(hf_whisper.HfWhisperSettings):
    """`language`: an ISO 639-1 code, or None to have it detected in each file's first 30 s.

    `long_form`: go through the whole file as Whisper's paper has it; else 30 s are heard and the
    rest is cut off, as in the release.
    """

    model: str = "whisper-large-v3"
    language: str | None = None
    long_form: bool = False


@extractor("whisper_transcript")
class WhisperTranscript(api.Extractor[Transcript]):
    """Text of mono 16 kHz audio; without word times.

    Engine: `WhisperForConditionalGeneration` of transformers (Apache-2.0). The defaults are those
    of the release's `evaluation/evaluate_wer_seedtts.py` (jessyjinzy/MM-Dia at cc8a4e0): float32,
    the first 30 s alone, language detected, greedy, no timestamps. `heard_seconds` says where the
    rest was cut off. The text is one utterance, its words at even steps.

    With `long_form`, files over 30 s go through transformers' own sequential long form (30 s, then
    on from the last timestamp), at temperature 0 alone, with none of its guards and nothing carried
    from window to window; an utterance is what lies between two timestamps.

    Not as in the release: sound comes in as everywhere here, mono by mean and resampled by soxr,
    where the release fails on stereo and resamples by FFT.
    """

    version: ClassVar[str] = "1"
    makes = Transcript
    device = "gpu"
    batch_seconds = 2 * hf_whisper.WINDOWS * hf_whisper.WINDOW
    requires = hf_whisper.REQUIRES
    Settings = WhisperSettings
    settings: WhisperSettings

    def models(self) -> tuple[str, ...]:
        return (self.settings.model,)

    def load(self) -> None:
        """Load the model onto `torch_device`. Raises UserError as `hf_whisper.load`."""
        self._whisper = hf_whisper.load(self.settings, self.settings.language, self.torch_device)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Transcript]:
        audios = [inputs.audio for inputs in batch]
        long = [self.settings.long_form and audio.duration > hf_whisper.WINDOW for audio in audios]
        found: dict[int, Transcript] = {}
        # Apart, as transformers treats a short file otherwise when a long one is in its batch.
        for kind, function in ((False, self._short), (True, self._long)):
            numbers = [number for number, is_long in enumerate(long) if is_long is kind]
            for group in hf_whisper.groups(numbers):
                found |= zip(group, function([audios[i] for i in group]), strict=True)
        return [found[number] for number in range(len(batch))]

    def _short(self, audios: Sequence[Audio]) -> list[Transcript]:
        """One window of each."""
        features = self._features([a.samples for a in audios], padding="max_length")
        languages = self._languages(features.input_features)
        tokens = self._generate(features, languages, return_timestamps=False)
        texts = self._whisper.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [
            self._one_utterance(audio, text, language)
            for audio, text, language in zip(audios, texts, languages, strict=True)
        ]

    def _one_utterance(self, audio: Audio, text: str, language: str) -> Transcript:
        heard = min(audio.duration, hf_whisper.WINDOW)
        return Transcript(
            _utterances([(text, 0.0, heard)]),
            word_times=False,
            language=language,
            heard_seconds=heard if heard < audio.duration else None,
        )

    def _long(self, audios: Sequence[Audio]) -> list[Transcript]:
        """All windows of files over 30 s."""
        features = self._features([a.samples for a in audios], padding="longest", truncation=False)
        languages = self._languages(features.input_features)
        found = self._generate(features, languages, return_timestamps=True, return_segments=True)
        decode = self._whisper.tokenizer.decode
        return [
            Transcript(
                _utterances(
                    (
                        decode(segment["tokens"], skip_special_tokens=True),
                        min(float(segment["start"]), audio.duration),
                        min(float(segment["end"]), audio.duration),
                    )
                    for segment in segments
                ),
                word_times=False,
                language=language,
            )
            for audio, segments, language in zip(audios, found["segments"], languages, strict=True)
        ]

    def _features(self, samples: Sequence[FloatArray], **options: Any) -> Any:
        """Log-mel features of each, (n, mels, frames), and the mask of those that are sound."""
        features = self._whisper.features(
            samples,
            sampling_rate=SAMPLE_RATE,
            return_attention_mask=True,
            return_tensors="pt",
            **options,
        )
        model = self._whisper.model
        features["input_features"] = features.input_features.to(model.device, model.dtype)
        features["attention_mask"] = features.attention_mask.to(model.device)
        return features

    def _languages(self, features: torch.Tensor) -> list[str]:
        """The language told, or that of each file's first 30 s."""
        if self.settings.language is not None:
            return [self.settings.language] * len(features)
        codes = {id_: code for code, id_ in self._whisper.languages.items()}
        found = self._whisper.model.detect_language(features)
        return [codes[id_] for id_ in found.tolist()]

    def _generate(self, features: Any, languages: list[str], **options: Any) -> Any:
        with hf_whisper.quiet():
            return self._whisper.model.generate(
                features.input_features,
                attention_mask=features.attention_mask,
                language=languages,
                task="transcribe",
                num_beams=self.settings.num_beams,
                max_new_tokens=self.settings.max_new_tokens,
                do_sample=False,
                temperature=0.0,
                condition_on_prev_tokens=False,
                **options,
            )


def _utterances(spoken: Iterable[tuple[str, float, float]]) -> tuple[Utterance, ...]:
    """An utterance of each text that has words, from its start to its end in seconds."""
    return tuple(
        Utterance(words, compression_ratio=hf_whisper.compression_ratio(text))
        for text, start, end in spoken
        if (words := hf_whisper.spread(text, start, end))
    )
