"""Speech recognition with pocketsphinx, by default biased to the benchmark's scripts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from mmdia_eval import api
from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Transcript, Utterance
from mmdia_eval.errors import UserError
from mmdia_eval.extractors.pocketsphinx_model import (
    GENERIC_LANGUAGE_MODEL,
    REQUIRES,
    Lexicon,
    decode,
    model_directory,
    new_decoder,
    spoken_words,
    weights,
)
from mmdia_eval.extractors.vad import VadParameters, speech_segments
from mmdia_eval.registry import extractor
from mmdia_eval.types import Audio, Weights

if TYPE_CHECKING:
    from pocketsphinx import Decoder

UTTERANCES = VadParameters(min_silence=0.4, pad=0.15)
"""What is decoded in one go. Chosen on real two-speaker dialogues (207 words), script model: word
error rate 4.3 % at pauses of 0.1 s, 1.9 % at 0.3 and 0.4 s, 2.4 % at 0.5 s, 7 % at 0.8 s and more;
without padding 1.3 % instead of 0 on synthetic ones, as words lose their edges."""

_SEARCH = "scripts"


class TranscriptSettings(api.Settings):
    """`language_model`: "scripts", built of the benchmark's own turns, or "generic", the wheel's.

    With "scripts" only words of the scripts can be heard. That flatters: it is a test of whether
    the script was said, not an open recognition. The generic model hears half of real words wrong.
    """

    language_model: Literal["scripts", "generic"] = "scripts"


@extractor("pocketsphinx_transcript")
class PocketsphinxTranscript(api.Extractor[Transcript]):
    """Words of mono 16 kHz audio with their times, in seconds from the start of the file.

    Engine: pocketsphinx 5.1.1 (https://github.com/cmusphinx/pocketsphinx) with its en-us model,
    licence BSD-2-Clause, US English only. An utterance is what lies between two pauses and may hold
    several speakers. Words are in lower case, numbers spelled out.

    Worth: word error rate on real speech about 10 % with the "scripts" model (2 % in dialogues of
    read sentences) and about 50 % with "generic"; a word's times against a forced aligner's are off
    by 10 ms in the median with "scripts", 30 ms with "generic". For development and demonstration.
    """

    version: ClassVar[str] = "1"
    makes = Transcript
    cost = 0.06
    requires = REQUIRES
    Settings = TranscriptSettings
    settings: TranscriptSettings

    def weights(self) -> tuple[Weights, ...]:
        if self.settings.language_model == "generic":
            return weights(GENERIC_LANGUAGE_MODEL)
        return weights()

    def identity(self) -> Mapping[str, Any]:
        if self.settings.language_model == "generic":
            return {}
        return {"scripts_sha256": self._scripts_sha256}

    @cached_property
    def _scripts_sha256(self) -> str:
        return hashlib.sha256(json.dumps(sorted(self.scripts)).encode()).hexdigest()

    def load(self) -> None:
        """Load the model; build the language model of the scripts.

        Raises:
            UserError: no word of the scripts has a pronunciation.
        """
        if self.settings.language_model == "generic":
            self._decoder = new_decoder(lm=str(model_directory() / GENERIC_LANGUAGE_MODEL))
            return
        self._decoder = new_decoder()
        add_script_model(self._decoder, self.scripts)

    def extract(self, batch: Sequence[Inputs]) -> Sequence[Transcript]:
        return [self._transcript(inputs.audio) for inputs in batch]

    def _transcript(self, audio: Audio) -> Transcript:
        heard = (
            Utterance(decode(self._decoder, audio.cut(segment).samples, segment.start))
            for segment in speech_segments(audio, UTTERANCES)
        )
        return Transcript(tuple(utterance for utterance in heard if utterance.words))


def add_script_model(decoder: Decoder, scripts: Sequence[str]) -> None:
    """Have `decoder` expect what `scripts` say: a trigram model, half its mass for backing off.

    A word without a pronunciation cannot be heard and is left out. The order of `scripts` is of no
    effect. Takes 0.6 s with 500 different words but 10 s with five: pocketsphinx enters its whole
    dictionary into a hash table as small as the model.

    Raises:
        UserError: no word of the scripts has a pronunciation.
    """
    from pocketsphinx.lm import ArpaBoLM  # noqa: PLC0415

    lexicon = Lexicon(decoder)
    lines = []
    for script in sorted(scripts):
        entries = (lexicon.entry(word) for word in spoken_words(script))
        if line := " ".join(entry for entry in entries if entry is not None):
            lines.append(line)
    if not lines:
        raise UserError(
            "the benchmark's scripts hold no word that pocketsphinx's US English dictionary knows; "
            'set language_model = "generic", or use another extractor for another language'
        )
    model = ArpaBoLM(text="\n".join(lines), add_start=True)
    model.compute()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scripts.arpa"
        with path.open("w", encoding="ascii") as file:
            model.write(file)
        decoder.add_lm_file(_SEARCH, str(path))
    decoder.activate_search(_SEARCH)
