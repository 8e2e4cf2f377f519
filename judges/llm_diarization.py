"""Diarization by a language model, as the release of MM-DIA does it for its cpWER."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from mmdia_eval.api import Inputs
from mmdia_eval.judges.asking import TRIES, JudgeExtractor, JudgeSettings, Parts
from mmdia_eval.judges.estimate import Size, estimate
from mmdia_eval.judges.material import data, sound
from mmdia_eval.judges.replies import Stretch, UnreadableReplyError, read_stretches
from mmdia_eval.judges.rubric import filled, prompt_sha256, text
from mmdia_eval.registry import extractor
from mmdia_eval.text import normalizer
from mmdia_eval.types import Dialogue, Transcript, Utterance, Word

TEXTS = ("diarization", "data")


class LlmDiarizationSettings(JudgeSettings):
    """`normalizer`: what the transcript goes through before it is shown, see `mmdia_eval.text`.
    `temperature`: None leaves it to the service, as the release does.
    """

    normalizer: str = "seedtts"
    temperature: float | None = Field(default=None, ge=0, le=2)


@extractor("llm_diarization")
class LlmDiarization(JudgeExtractor[Transcript]):
    """A recogniser's words divided among voices by a model that hears the recording.

    After `gemini_diarization.py` of jessyjinzy/MM-Dia (cc8a4e0): the sound and the normalised
    transcript go out, a JSON list comes back; one call a file, no schema, no sampling setting. The
    utterances keep the list's order where starts are equal; their words stand at even steps.

    There, a failed request becomes an empty list, so that the dialogue counts with 100 % errors,
    and a reply that is not JSON drops it from the mean. Here a reply that cannot be read is asked
    for once more, and then, like a failed request, the file has failed and is tried again with the
    next run. An empty list in answer to words is unreadable, too. Which speakers count is the
    metric's business: all are kept.
    """

    version = "1"
    makes = Transcript
    needs = (Transcript,)
    Settings = LlmDiarizationSettings

    def __init__(self, settings: LlmDiarizationSettings, scripts: Sequence[str]) -> None:
        super().__init__(settings, scripts)
        self.prompt_sha256 = prompt_sha256(*TEXTS)
        self._normalize = normalizer(settings.normalizer)

    def identity(self) -> Mapping[str, Any]:
        return {
            "prompt_sha256": self.prompt_sha256,
            "normalizer": f"{self._normalize.name}@{self._normalize.version}",
        }

    async def ask(self, inputs: Inputs) -> Transcript:
        heard = inputs.artifacts[Transcript]
        spoken = " ".join(
            self._normalize(" ".join(word.text for word in utterance.words))
            for utterance in heard.utterances
        ).strip()
        if not spoken:
            return Transcript((), word_times=False, language=heard.language)
        clip = await asyncio.to_thread(sound, inputs.audio)

        def parts(nonce: str) -> Parts:
            before = [text("diarization"), filled("data", nonce=nonce)]
            return ("\n\n".join([*before, data(nonce, "The transcript", spoken)]), clip)

        for number in range(TRIES):
            name = f"diarization/{inputs.dialogue.id}/{number}"
            call = await self.call(name, parts, None, self.settings.temperature, None)
            try:
                stretches = _stretches(call.reply.text, call.reply.refusal)
            except UnreadableReplyError as error:
                problem = f"{error}; the reply began {call.reply.text[:80]!r}"
                continue
            utterances = tuple(map(_utterance, sorted(stretches, key=lambda s: s.start)))
            return Transcript(utterances, word_times=False, language=heard.language)
        raise UnreadableReplyError(problem)

    def estimate(self, files: Sequence[tuple[Dialogue, float]]) -> str:
        common = len("".join(map(text, TEXTS)))
        sizes = [
            Size(common + sum(len(turn.text) + 1 for turn in dialogue.turns), seconds)
            for dialogue, seconds in files
        ]
        return estimate(self.settings.judge, sizes)


def _stretches(reply: str, refusal: str | None) -> list[Stretch]:
    if refusal is not None:
        raise UnreadableReplyError(f"refused: {refusal}")
    stretches = [stretch for stretch in read_stretches(reply) if stretch.text.split()]
    if not stretches:
        raise UnreadableReplyError("no stretch for a transcript with words")
    return stretches


def _utterance(stretch: Stretch) -> Utterance:
    texts = stretch.text.split()
    edges = np.linspace(stretch.start, stretch.end, len(texts) + 1).tolist()
    words = (Word(word, *edges[i : i + 2]) for i, word in enumerate(texts))
    return Utterance(tuple(words), speaker=stretch.speaker)
