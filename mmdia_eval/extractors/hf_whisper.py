"""What the engines on transformers' Whisper share: loading, 30 s windows, text laid over time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from mmdia_eval import api, models, torch_audio
from mmdia_eval.api import Requirement
from mmdia_eval.artifacts import Word
from mmdia_eval.errors import UserError

REQUIRES = (
    Requirement("torch", "pip install 'mmdia-eval[speech]'"),
    Requirement("transformers", "pip install 'mmdia-eval[speech]'"),
)

WINDOWS = 16
"""Windows of 30 s decoded together; see `faster_whisper_transcript`."""

WINDOW = 30.0
"""Seconds that Whisper looks at in one go."""


class HfWhisperSettings(api.Settings):
    """`model`: an id of the model manifest. `dtype`: precision, the same on every device.

    `num_beams` 1 is greedy. `max_new_tokens`: 444 and the prompt's 4 fill the 448 places of
    Whisper's decoder. Both are always given to transformers, whose own defaults moved between
    releases (its pipeline searches with 5 beams and stops after 256 tokens since 4.52).
    """

    model: str
    dtype: Literal["float32", "float16"] = "float32"
    num_beams: int = Field(default=1, ge=1)
    max_new_tokens: int = Field(default=444, ge=1, le=444)


@dataclass(frozen=True)
class Whisper:
    """A loaded checkpoint: transformers' model, its feature extractor and its tokenizer."""

    model: Any
    features: Any
    tokenizer: Any

    @property
    def languages(self) -> dict[str, int]:
        """The token of each language, by its ISO 639-1 code."""
        ids: dict[str, int] = self.model.generation_config.lang_to_id
        return {token.strip("<|>"): id_ for token, id_ in ids.items()}


def load(settings: HfWhisperSettings, language: str | None, torch_device: str) -> Whisper:
    """The model from its local folder, on the device.

    Raises:
        UserError: the model's files are not here, or it does not know `language`, or only one
            language while `language` is None.
    """
    folder = str(models.folder(settings.model))
    torch_audio.prepare()
    import torch  # noqa: PLC0415
    from transformers import (  # noqa: PLC0415
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    with quiet():
        model: Any = WhisperForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, dtype=getattr(torch, settings.dtype)
        )
    whisper = Whisper(
        model.to(torch_device).eval(),
        WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True),
        WhisperTokenizer.from_pretrained(folder, local_files_only=True),
    )
    if not getattr(model.generation_config, "lang_to_id", None):
        raise UserError(
            f"model {settings.model!r} names no languages in its generation_config.json; "
            "a multilingual Whisper is needed"
        )
    if language is not None and language not in whisper.languages:
        raise UserError(
            f"model {settings.model!r} does not know language {language!r}; "
            f"it knows {', '.join(sorted(whisper.languages))}"
        )
    return whisper


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of transformers, and errors alone of its messages."""
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    logging: Any = transformers_logging  # it has no annotations
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def spread(text: str, start: float, end: float) -> tuple[Word, ...]:
    """The words of `text`, split on whitespace, at even steps from `start` to `end` seconds.

    >>> spread("So do I.", 1.0, 4.0)[1]
    Word(text='do', start=2.0, end=3.0)
    """
    words = text.split()
    step = (end - start) / max(len(words), 1)
    return tuple(
        Word(word, start + step * i, start + step * (i + 1)) for i, word in enumerate(words)
    )


def compression_ratio(text: str) -> float:
    """Bytes of the text over its bytes under zlib, high for a loop (openai/whisper, `utils.py`)."""
    raw = text.strip().encode()
    return len(raw) / len(zlib.compress(raw))


def groups(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """`items` in order, `WINDOWS` at a time."""
    return (items[first : first + WINDOWS] for first in range(0, len(items), WINDOWS))
