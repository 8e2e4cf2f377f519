"""Speech recognition with faster-whisper: Whisper in CTranslate2, long form, with word times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mmdia_eval import api, models
from mmdia_eval.api import Inputs, Requirement
from mmdia_eval.artifacts import Transcript, Utterance, Word
from mmdia_eval.errors import UserError
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray

WINDOWS = 16
"""Windows of 30 s decoded together. Their cross-attention keys and values take 0.5 GB each with
large-v3 in float32 (32 layers, 1500 frames, width 1280, twice)."""

WINDOW = 30.0
"""Seconds that Whisper looks at in one go."""


class FasterWhisperSettings(api.Settings):
    """`model`: an id of the model manifest, in CTranslate2's format.

    `compute_type`: precision of weights and arithmetic, the same on every device; one that the
    device cannot do is refused, never replaced. `language`: an ISO 639-1 code, or None to have it
    detected in each file's first 30 s, by a model that knows several. `beam_size` 1 is greedy.
    `suppress_tokens`: token ids never written; -1 stands for Whisper's own list of signs that are
    not speech. `vad_filter`: decode only what Silero VAD (in faster-whisper's wheel) takes for
    speech.
    """

    model: str = "faster-whisper-large-v3"
    compute_type: Literal[
        "float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16", "int8_bfloat16"
    ] = "float32"
    language: str | None = "en"
    beam_size: int = Field(default=1, ge=1)
    suppress_tokens: tuple[int, ...] = Field(default=(-1,), strict=False)
    vad_filter: bool = False


@extractor("faster_whisper_transcript")
class FasterWhisperTranscript(api.Extractor[Transcript]):
    """Words of mono 16 kHz audio with their times, in seconds from the start of the file.

    Engine: faster-whisper 1.2 (https://github.com/SYSTRAN/faster-whisper, MIT) on CTranslate2.
    Long form as in Whisper's paper (Radford et al. 2022, 3.8): a window of 30 s, then on from the
    last timestamp it gave. Files advance side by side, one window of each in a batch. That is why
    faster-whisper's `BatchedInferencePipeline` is not used: it cuts a file at fixed places or at
    pauses and decodes the pieces independently, which gives other words than the sequential long
    form. Here a file's windows are those that `WhisperModel.transcribe` decodes one by one.

    What is fixed: temperature 0 alone, as Whisper's ladder of rising temperatures draws at random;
    no window is left out for its no-speech probability, as guards are to be reported by the metric
    `hallucination` and not applied; nothing carried from one window into the next
    (`condition_on_previous_text` off), as without the ladder one looping window would infect all
    that follow.

    An utterance is what Whisper put between two timestamps; `no_speech`, `log_probability` and
    `compression_ratio` are those of its window. Words keep case and punctuation. Word times come
    from cross-attention (openai/whisper, `timing.py`).
    """

    version: ClassVar[str] = "1"
    makes = Transcript
    device = "gpu"
    batch_seconds = 2 * WINDOWS * WINDOW
    requires = (Requirement("faster_whisper", "pip install 'mmdia-eval[speech]'"),)
    Settings = FasterWhisperSettings
    settings: FasterWhisperSettings

    def models(self) -> tuple[str, ...]:
        return (self.settings.model,)

    def load(self) -> None:
        """Load the model onto `torch_device`.

        Raises:
            UserError: the device is not there or cannot do `compute_type`, or the model does not
                know `language`.
        """
        from faster_whisper import WhisperModel  # noqa: PLC0415

        kind, index = _device(self.torch_device, self.settings.compute_type)
        self._model = WhisperModel(
            str(models.folder(self.settings.model)),
            device=kind,
            device_index=index,
            compute_type=self.settings.compute_type,
            cpu_threads=1,  # the harness runs a worker for each processor
            local_files_only=True,
        )
        self._check_language()
        if kind == "cuda":
            self._check_libraries()

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Transcript]:
        files = [_File(self._model, inputs.audio, self.settings) for inputs in batch]
        self._set_languages(files)
        while waiting := [file for file in files if file.seek < file.frames]:
            same = [file for file in waiting if file.language == waiting[0].language]
            self._advance(same[:WINDOWS])
        return [Transcript(tuple(file.utterances), language=file.language) for file in files]

    def _set_languages(self, files: Sequence[_File]) -> None:
        language = self.settings.language
        if not self._model.model.is_multilingual:
            language = "en"
        for first in range(0, len(files), WINDOWS):
            group = files[first : first + WINDOWS]
            found = [language] * len(group) if language else self._detected(group)
            for file, code in zip(group, found, strict=True):
                file.language = code

    def _detected(self, group: Sequence[_File]) -> list[str]:
        encoded = self._model.encode(np.stack([file.window() for file in group]))
        return [ranked[0][0].strip("<|>") for ranked in self._model.model.detect_language(encoded)]

    def _advance(self, group: Sequence[_File]) -> None:
        """Decode the next window of each file; all are in one language."""
        from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415
        from faster_whisper.transcribe import get_suppressed_tokens  # noqa: PLC0415

        model = self._model
        tokenizer = Tokenizer(
            model.hf_tokenizer, model.model.is_multilingual, "transcribe", group[0].language
        )
        suppressed = list(self.settings.suppress_tokens)
        encoded = model.encode(np.stack([file.window() for file in group]))
        results = model.model.generate(
            encoded,
            [model.get_prompt(tokenizer, [])] * len(group),
            beam_size=self.settings.beam_size,
            max_length=model.max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, suppressed) if suppressed else [],
        )
        decoded = [
            _Decoded(file, result, tokenizer) for file, result in zip(group, results, strict=True)
        ]
        alignments = model.find_alignment(
            tokenizer,
            [window.text_tokens for window in decoded],
            encoded,
            [window.frames for window in decoded],
        )
        for window, alignment in zip(decoded, alignments, strict=True):
            window.keep(alignment)

    def _check_language(self) -> None:
        language, model = self.settings.language, self._model
        known = {"en", None}
        if model.model.is_multilingual:
            known |= {code for code in model.supported_languages if _has(model, code)}
        if language not in known:
            raise UserError(
                f"model {self.settings.model!r} does not know language {language!r}; "
                f"it knows {', '.join(sorted(code for code in known if code))}"
            )

    def _check_libraries(self) -> None:
        """CTranslate2 loads cuBLAS when first used; its lack is no fault of the first file."""
        silence = np.zeros((self._model.model.n_mels, 3000), np.float32)
        try:
            self._model.encode(silence)
        except RuntimeError as error:
            if "cannot be loaded" not in str(error):
                raise
            raise UserError(
                f"CTranslate2 cannot use the GPU: {error}. Install the CUDA 12 libraries it is "
                "built for (pip install nvidia-cublas-cu12) and put their folder on "
                "LD_LIBRARY_PATH, or run with --device cpu"
            ) from None


def _device(torch_device: str, compute_type: str) -> tuple[str, int]:
    """CTranslate2's name and number of torch's device, which must be able to `compute_type`."""
    import ctranslate2  # noqa: PLC0415

    kind, _, number = torch_device.partition(":")
    index = int(number or 0)
    if kind == "cuda" and index >= ctranslate2.get_cuda_device_count():
        raise UserError(
            f"device {torch_device!r} is not there for CTranslate2, which sees "
            f"{ctranslate2.get_cuda_device_count()} CUDA devices; run with --device cpu"
        )
    able = ctranslate2.get_supported_compute_types(kind, index)
    if compute_type not in able:
        raise UserError(
            f'compute_type "{compute_type}" does not run on {torch_device}, which can do '
            f"{', '.join(sorted(able))}; use a protocol with one of these, or another device"
        )
    return kind, index


class _File:
    """One file on its way through long-form decoding."""

    def __init__(self, model: Any, audio: Audio, settings: FasterWhisperSettings) -> None:
        samples, self._original = audio.samples, None
        if settings.vad_filter:
            samples, self._original = _speech(samples)
        self.model = model
        self.duration = audio.duration
        self.features: FloatArray = model.feature_extractor(samples)
        self.frames: int = self.features.shape[-1] - 1
        self.seek = 0
        """The frame of 10 ms where the next window begins; `frames` or more when done."""
        self.last_word_end = 0.0
        self.language = ""
        self.utterances: list[Utterance] = []

    def window(self) -> FloatArray:
        """Features of the next window, (mels, 3000), with zeros after the file's end."""
        from faster_whisper.audio import pad_or_trim  # noqa: PLC0415

        padded: FloatArray = pad_or_trim(
            self.features[:, self.seek : self.seek + self.window_frames]
        )
        return padded

    @property
    def window_frames(self) -> int:
        """How many frames of the next window are in the file."""
        longest: int = self.model.feature_extractor.nb_max_frames
        return min(longest, self.frames - self.seek)

    def word(self, text: str, start: float, end: float) -> Word:
        """The word with its times in the file: inside it, and counted with what VAD took out."""
        if self._original is not None:
            piece = self._original.get_chunk_index((start + end) / 2)
            start = self._original.get_original_time(start, piece)
            end = self._original.get_original_time(end, piece)
        start = min(max(round(float(start), 2), 0.0), self.duration)
        return Word(text, start, min(max(round(float(end), 2), start), self.duration))


def _speech(samples: FloatArray) -> tuple[FloatArray, Any]:
    """The parts that Silero VAD takes for speech, joined, and the way back to the file's times."""
    from faster_whisper.vad import (  # noqa: PLC0415
        SpeechTimestampsMap,
        collect_chunks,
        get_speech_timestamps,
    )

    chunks = get_speech_timestamps(samples)
    joined, _ = collect_chunks(samples, chunks)
    return np.concatenate(joined), SpeechTimestampsMap(chunks, SAMPLE_RATE)


class _Decoded:
    """What Whisper wrote of one window, to be cut into utterances and given word times.

    Follows `WhisperModel.generate_segments` of faster-whisper 1.2, whose parts it calls.
    """

    def __init__(self, file: _File, result: Any, tokenizer: Any) -> None:
        from faster_whisper.transcribe import get_compression_ratio  # noqa: PLC0415

        self._file, self._tokenizer = file, tokenizer
        self.frames = file.window_frames
        tokens = result.sequences_ids[0]
        per_frame = file.model.feature_extractor.time_per_frame
        self._pieces, self._next, self._ended = file.model._split_segments_by_timestamps(  # noqa: SLF001
            tokenizer,
            tokens,
            file.seek * per_frame,
            self.frames,
            self.frames * per_frame,
            file.seek,
        )
        # The score is a mean over the tokens; Whisper counts the end of the text as one more.
        self._log_probability = result.scores[0] * len(tokens) / (len(tokens) + 1)
        self._compression_ratio = get_compression_ratio(tokenizer.decode(tokens).strip())
        self._no_speech = result.no_speech_prob

    @property
    def text_tokens(self) -> list[int]:
        """The tokens to be aligned with the sound: all but the timestamps."""
        end = self._tokenizer.eot
        return [token for piece in self._pieces for token in piece["tokens"] if token < end]

    def keep(self, alignment: list[dict[str, Any]]) -> None:
        """Add the window's utterances to the file, and set where its next window begins."""
        from faster_whisper.utils import get_end  # noqa: PLC0415

        file = self._file
        type(file.model).add_word_timestamps(
            # All that it uses of the model: the alignment is there already, made with the batch's.
            SimpleNamespace(
                find_alignment=lambda *_: [alignment],
                frames_per_second=file.model.frames_per_second,
            ),
            [self._pieces],
            self._tokenizer,
            None,
            self.frames,
            prepend_punctuations="\"'“¿([{-",
            append_punctuations="\"'.。,，!！?？:：”)]}、",
            last_speech_timestamp=file.last_word_end,
        )
        begin, last_word_end = file.seek, get_end(self._pieces)
        if last_word_end is not None:
            file.last_word_end = last_word_end
            if not self._ended and last_word_end > begin / file.model.frames_per_second:
                self._next = round(last_word_end * file.model.frames_per_second)
        # faster-whisper would decode the same window for ever where no timestamp leads on.
        file.seek = self._next if self._next > begin else begin + self.frames
        file.utterances += self._utterances()

    def _utterances(self) -> Iterator[Utterance]:
        for piece in self._pieces:
            text = self._tokenizer.decode(piece["tokens"])
            if piece["start"] == piece["end"] or not text.strip():
                continue
            words = tuple(
                self._file.word(spoken, word["start"], word["end"])
                for word in piece["words"]
                if (spoken := word["word"].strip())
            )
            if words:
                yield Utterance(
                    words,
                    no_speech=self._no_speech,
                    log_probability=self._log_probability,
                    compression_ratio=self._compression_ratio,
                )


def _has(model: Any, language: str) -> bool:
    return model.hf_tokenizer.token_to_id(f"<|{language}|>") is not None
