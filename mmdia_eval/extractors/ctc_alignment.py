"""Forced alignment on the letters that a wav2vec2 recogniser hears, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from mmdia_eval import api, models, torch_audio
from mmdia_eval.api import Extractor, Inputs, Requirement
from mmdia_eval.artifacts import Alignment, Word
from mmdia_eval.extractors.ctc_viterbi import TokenPath, frames_needed, viterbi_batch
from mmdia_eval.extractors.script_words import Script, by_turn, script_words, unplaced
from mmdia_eval.registry import extractor
from mmdia_eval.types import SAMPLE_RATE, Audio, FloatArray

if TYPE_CHECKING:
    import torch

MODEL = "wav2vec2-base-960h"

INSTALL = "pip install 'mmdia-eval[speech]'"


class CtcSettings(api.Settings):
    """A file of up to `window` seconds is heard whole; a longer one in windows of that length.

    Of a window, `context` seconds at each end only help to hear the rest, but at the file's ends.

    `min_log_probability`: a turn whose letters have a lower mean gets no words, and the alignment
    a `problem`; None takes every alignment. It is a natural logarithm, 0 at best; NeMo's corpus
    tool drops utterances under -2 by a similar score (tools/ctc_segmentation). No figure for
    synthetic dialogue is known.
    """

    window: float = Field(default=30.0, gt=0.0)
    context: float = Field(default=5.0, ge=0.0)
    min_log_probability: float | None = Field(default=None, le=0.0)

    @model_validator(mode="after")
    def _room_between_contexts(self) -> CtcSettings:
        if self.window <= 2 * self.context:
            raise ValueError("window must be longer than two contexts")
        return self


class Window(NamedTuple):
    """Frames `first` to `last` are heard together, those from `kept` to `kept_last` are used."""

    first: int
    last: int
    kept: int
    kept_last: int


@dataclass(frozen=True)
class Alphabet:
    """What the model can emit: tokens of letters in either case, of blank, of a word's end."""

    tokens: Mapping[str, int]
    blank: int
    separator: int | None

    def spell(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """Tokens of `words` with separators between them, and the number of the word that each
        token belongs to, -1 for a separator. Letters that the model does not know are dropped.
        """
        tokens: list[int] = []
        owners: list[int] = []
        for number, word in enumerate(words):
            known = [token for letter in word if (token := self._token(letter)) is not None]
            if known and tokens and self.separator is not None:
                tokens.append(self.separator)
                owners.append(-1)
            tokens += known
            owners += [number] * len(known)
        return tokens, owners

    def _token(self, letter: str) -> int | None:
        return self.tokens.get(letter.upper(), self.tokens.get(letter))


@extractor("ctc_alignment")
class CtcAlignment(Extractor[Alignment]):
    """Where in mono 16 kHz audio each word of the script is, in seconds, in steps of 20 ms.

    Model: `facebook/wav2vec2-base-960h` (Baevski et al. 2020, licence Apache-2.0), English read
    speech, in float32 through transformers, one window at a time: its group norm and attention see
    all of a window, so padding would change the result. The file is normalised whole. `viterbi`
    finds the most probable path over the script's letters, word ends between them.

    A forced alignment places words that were never said, too, squeezed into the few frames left
    over: such a turn is mostly too short for what is made of it, and `min_log_probability` can
    refuse it. Speech beyond the script is put into pauses. CTC emits a letter at a peak somewhere
    in its sound, so a word's edges lie inside it. An alignment fails, with no words, when there are
    fewer frames than letters.
    """

    version: ClassVar[str] = "1"
    makes = Alignment
    reads = ("script",)
    device = "gpu"
    batch_seconds = 600.0
    cost = 0.2
    requires = (Requirement("torch", INSTALL), Requirement("transformers", INSTALL))
    Settings: ClassVar[type[api.Settings]] = CtcSettings

    def models(self) -> tuple[str, ...]:
        return (MODEL,)

    def load(self) -> None:
        """The model on `torch_device`.

        Raises:
            RuntimeError: weights are missing in the checkpoint.
        """
        torch_audio.prepare()
        torch_audio.full_precision()
        from transformers import (  # noqa: PLC0415
            Wav2Vec2CTCTokenizer,
            Wav2Vec2FeatureExtractor,
            Wav2Vec2ForCTC,
        )
        from transformers.utils import logging  # noqa: PLC0415

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        folder = models.folder(MODEL)
        tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(folder)
        self._alphabet = Alphabet(
            tokenizer.get_vocab(), tokenizer.pad_token_id, tokenizer.word_delimiter_token_id
        )
        self._features = Wav2Vec2FeatureExtractor.from_pretrained(folder)
        loaded: Any = Wav2Vec2ForCTC.from_pretrained(
            folder, output_loading_info=True, use_safetensors=True
        )
        model, loading = loaded
        # Used in training only; the published checkpoint lacks it.
        missing = set(loading["missing_keys"]) - {"wav2vec2.masked_spec_embed"}
        if missing:
            raise RuntimeError(f"{folder} lacks weights: {', '.join(sorted(missing))}")
        self._model = model.eval().to(self.torch_device)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Alignment]:
        scripts = [script_words(inputs.dialogue) for inputs in batch]
        spelled = [self._alphabet.spell([w for turn in s for w in turn]) for s in scripts]
        problems = [
            self._problem(inputs.audio, tokens)
            for inputs, (tokens, _) in zip(batch, spelled, strict=True)
        ]
        sound = [number for number, problem in enumerate(problems) if problem is None]
        heard = [self._log_probabilities(batch[number].audio) for number in sound]
        tokens_of = [spelled[number][0] for number in sound]
        paths = viterbi_batch(heard, tokens_of, self._alphabet.blank) if sound else []
        found = {
            number: self._placed(scripts[number], spelled[number], path, rows)
            for number, path, rows in zip(sound, paths, heard, strict=True)
        }
        return [
            found[number] if problem is None else unplaced(scripts[number], problem)
            for number, problem in enumerate(problems)
        ]

    def _problem(self, audio: Audio, tokens: Sequence[int]) -> str | None:
        if not tokens:
            return "the script has no word with letters that the model knows"
        frames, needed = self._frames(len(audio.samples)), frames_needed(tokens)
        if frames < needed:
            return (
                f"{audio.duration:.2f} s of audio are {frames} frames, "
                f"the script's letters need {needed}"
            )
        return None

    def _frames(self, samples: int) -> int:
        """How many frames the model makes of so many samples."""
        config = self._model.config
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            samples = max(0, (samples - kernel) // stride + 1)
        return samples

    @property
    def _hop(self) -> int:
        """Samples between frames."""
        return int(np.prod(self._model.config.conv_stride))

    def _log_probabilities(self, audio: Audio) -> torch.Tensor:
        """Shape (frames, vocabulary), natural logarithms, on `torch_device`."""
        import torch  # noqa: PLC0415

        samples = self._features(
            audio.samples, sampling_rate=audio.sample_rate, return_tensors="pt"
        ).input_values
        per_second = SAMPLE_RATE / self._hop
        frames = windows(
            self._frames(samples.shape[1]),
            round(self.settings.window * per_second),
            round(self.settings.context * per_second),
        )
        reach = self._receptive_field()
        parts = []
        with torch.inference_mode():
            for window in frames:
                begin, end = window.first * self._hop, (window.last - 1) * self._hop + reach
                logits = self._model(samples[:, begin:end].to(self.torch_device)).logits[0]
                kept = slice(window.kept - window.first, window.kept_last - window.first)
                parts.append(torch.log_softmax(logits[kept].float(), dim=-1))
        return torch.cat(parts)

    def _receptive_field(self) -> int:
        """Samples that one frame is made of."""
        config = self._model.config
        reach, hop = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            reach += (kernel - 1) * hop
            hop *= stride
        return reach

    def _placed(
        self,
        script: Script,
        spelled: tuple[Sequence[int], Sequence[int]],
        path: TokenPath,
        heard: torch.Tensor,
    ) -> Alignment:
        tokens, owners = spelled
        texts = [word for turn in script for word in turn]
        words = iter(word_times(texts, owners, path, self._hop / SAMPLE_RATE))
        turns = [[word for word in islice(words, len(turn)) if word] for turn in script]
        lowest = self.settings.min_log_probability
        if lowest is None:
            return by_turn(script, turns)
        scores = turn_log_probabilities(script, tokens, owners, path, heard.cpu().numpy())
        refused = [index for index, score in enumerate(scores) if score < lowest]
        for index in refused:
            turns[index] = []
        problem = f"log probability under {lowest:g} in the turns {[i + 1 for i in refused]}"
        return by_turn(script, turns, problem if refused else None)


def windows(frames: int, length: int, context: int) -> Iterator[Window]:
    """The windows of a file of so many frames; the parts used follow each other without gap.

    All windows of a file have one length: the last one ends with the file and begins earlier.

    >>> [tuple(w) for w in windows(25, 10, 2)]
    [(0, 10, 0, 8), (6, 16, 8, 14), (12, 22, 14, 20), (15, 25, 20, 25)]
    >>> [tuple(w) for w in windows(7, 10, 2)]
    [(0, 7, 0, 7)]
    """
    first = kept = 0
    while first + length < frames:
        yield Window(first, first + length, kept, first + length - context)
        kept = first + length - context
        first += length - 2 * context
    first = max(0, frames - length)
    yield Window(first, frames, kept, frames)


def word_times(
    words: Sequence[str], owners: Sequence[int], path: TokenPath, frame_seconds: float
) -> Iterator[Word | None]:
    """Each word from its first letter's first frame to the end of its last letter's last.

    A word without letters gives None. `path` is `viterbi`'s, `owners` is `Alphabet.spell`'s.
    """
    frames = np.flatnonzero(path >= 0)
    owner = np.asarray(owners)[path[frames]]
    for number, text in enumerate(words):
        own = frames[owner == number]
        if len(own):
            start, end = own[0] * frame_seconds, (own[-1] + 1) * frame_seconds
            yield Word(text, round(float(start), 3), round(float(end), 3))
        else:
            yield None


def turn_log_probabilities(
    script: Script,
    tokens: Sequence[int],
    owners: Sequence[int],
    path: TokenPath,
    log_probs: FloatArray,
) -> list[float]:
    """Mean over the frames of each turn's letters of what the model gives them; 0 without letters.

    `log_probs` has shape (frames, vocabulary); `tokens` and `owners` are `Alphabet.spell`'s.
    """
    frames = np.flatnonzero(path >= 0)
    scores = log_probs[frames, np.asarray(tokens)[path[frames]]]
    owner = np.asarray(owners)[path[frames]]
    ends = np.cumsum([len(turn) for turn in script])
    means = []
    for turn, end in zip(script, ends.tolist(), strict=True):
        own = scores[(owner >= end - len(turn)) & (owner < end)]
        means.append(float(own.mean()) if len(own) else 0.0)
    return means
