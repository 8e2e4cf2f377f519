"""Diarization by a language model, as the release of MM-DIA does it for its cpWER."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from mmdia_eval.api import Estimate, Inputs
from mmdia_eval.artifacts import Draw, Transcript, Utterance, Word
from mmdia_eval.errors import StageStoppedError, UnfinishedError
from mmdia_eval.judges.asking import (
    TRIES,
    JudgeExtractor,
    JudgeSettings,
    Parts,
    earlier_draws,
    recorded_draw,
)
from mmdia_eval.judges.client import JudgeError
from mmdia_eval.judges.estimate import Size, estimate
from mmdia_eval.judges.material import data, sound
from mmdia_eval.judges.replies import Reading, Stretch, UnreadableReplyError, read_stretches
from mmdia_eval.judges.rubric import filled, prompt_sha256, text
from mmdia_eval.registry import extractor
from mmdia_eval.text import normalizer
from mmdia_eval.types import Dialogue

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
        self.kind = "diarization"
        self._normalize = normalizer(settings.normalizer)

    def identity(self) -> Mapping[str, Any]:
        rules = f"{self._normalize.name}@{self._normalize.version}"
        return {**super().identity(), "normalizer": rules}

    @staticmethod
    def draws_of(artifact: Transcript) -> Sequence[Draw]:
        return artifact.draws

    async def ask(self, inputs: Inputs) -> Transcript:
        heard = inputs.artifacts[Transcript]
        spoken = " ".join(
            self._normalize(" ".join(word.text for word in utterance.words))
            for utterance in heard.utterances
        ).strip()
        if not spoken:
            return Transcript((), word_times=False, language=heard.language)
        name = self.question(inputs.dialogue.id)
        if recorded := self.recorded(name):
            draws = [recorded_draw(reply, _readable) for reply in recorded]
        else:
            draws = await self._drawn(name, inputs, spoken)
        last = draws[-1]
        if last.problem is not None:
            raise UnfinishedError(
                f"{last.problem}; the reply began {last.reply[:80]!r}", _unread(draws)
            )
        stretches = sorted(_stretches(last.reply), key=lambda stretch: stretch.start)
        return Transcript(
            tuple(map(_utterance, stretches)),
            word_times=False,
            language=heard.language,
            draws=tuple(draws),
        )

    async def _drawn(self, name: str, inputs: Inputs, spoken: str) -> list[Draw]:
        """The draws so far, to which one is added: or two, when the first cannot be read."""
        clip = await asyncio.to_thread(sound, inputs.audio)

        def parts(nonce: str) -> Parts:
            before = [text("diarization"), filled("data", nonce=nonce)]
            return ("\n\n".join([*before, data(nonce, "The transcript", spoken)]), clip)

        made = list(earlier_draws(inputs))
        try:
            for _ in range(TRIES):
                asked = f"{name}/{len(made)}"
                call = await self.call(asked, parts, None, self.settings.temperature, None)
                made.append(call.draw(_readable))
                if made[-1].problem is None:
                    break
        except StageStoppedError as error:
            raise StageStoppedError(str(error), _unread(made) if made else None) from None
        except JudgeError as error:
            if not made:
                raise
            raise UnfinishedError(str(error), _unread(made)) from None
        return made

    def estimate(self, files: Sequence[tuple[Dialogue, float]]) -> Estimate:
        common = len("".join(map(text, TEXTS)))
        sizes = [
            Size(common + sum(len(turn.text) + 1 for turn in dialogue.turns), seconds)
            for dialogue, seconds in files
        ]
        return estimate(self.settings.judge, sizes)


def _unread(draws: Sequence[Draw]) -> Transcript:
    """What is kept of replies of which none could be read."""
    return Transcript((), word_times=False, draws=tuple(draws))


def _readable(reply: str) -> Reading:
    """Nothing but that the reply can be read: its answer is the transcript."""
    _stretches(reply)
    return Reading({})


def _stretches(reply: str) -> list[Stretch]:
    stretches = [stretch for stretch in read_stretches(reply) if stretch.text.split()]
    if not stretches:
        raise UnreadableReplyError("no stretch for a transcript with words")
    return stretches


def _utterance(stretch: Stretch) -> Utterance:
    texts = stretch.text.split()
    edges = np.linspace(stretch.start, stretch.end, len(texts) + 1).tolist()
    words = (Word(word, *edges[i : i + 2]) for i, word in enumerate(texts))
    return Utterance(tuple(words), speaker=stretch.speaker)
