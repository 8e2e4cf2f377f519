"""The rubric judge: six dimensions of one dialogue, each from 1 to 5."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mmdia_eval.api import Estimate, Inputs, Reads
from mmdia_eval.artifacts import Draw, Verdict
from mmdia_eval.errors import StageStoppedError, UnfinishedError, UserError
from mmdia_eval.judges import release
from mmdia_eval.judges.asking import (
    TRIES,
    JudgeSettings,
    Parts,
    Prompt,
    VerdictExtractor,
    earlier_draws,
    recorded_draw,
)
from mmdia_eval.judges.client import JudgeError, Media
from mmdia_eval.judges.estimate import Size, estimate
from mmdia_eval.judges.material import (
    Condition,
    data,
    direction,
    keyframes,
    lacks,
    reference_audio,
    script,
    sound,
    video,
)
from mmdia_eval.judges.release import read_clip
from mmdia_eval.judges.replies import read_scores
from mmdia_eval.judges.rubric import SCORES_SCHEMA, filled, prompt_sha256, text
from mmdia_eval.registry import extractor
from mmdia_eval.types import Dialogue

Mode = Literal["strict", "paper", "release"]

_TEXTS: Mapping[Condition, str] = {
    "description": "speech",
    "triplet": "speech",
    "keyframes": "keyframes",
    "reference": "video",
}
_READS: Mapping[Condition, Reads] = {
    "description": "style",
    "triplet": "style",
    "keyframes": "keyframes",
    "reference": "reference",
}


class RubricSettings(JudgeSettings):
    """`condition`: what the output is judged against, see `material.Condition`.

    `mode` "strict": one dialogue a call, three draws at temperature 0. "paper": one draw at the
    service's own temperature; the paper states neither scale, prompt nor sampling. "release": as
    "paper", but five clips a call, no script, and a line of reply for each, in which the judge also
    names the labels that its prompt shows it (condition "triplet"). `draws` and `temperature`
    (None: the service's own) are the mode's unless given.
    """

    mode: Mode = "strict"
    condition: Condition = "description"
    draws: int = Field(default=3, ge=1, le=25)
    temperature: float | None = Field(default=0.0, ge=0, le=2)

    @model_validator(mode="before")
    @classmethod
    def _by_mode(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("mode", "strict") != "strict":
            return {"draws": 1, "temperature": None, **given}
        return given

    @model_validator(mode="after")
    def _release_is_of_task_1(self) -> Self:
        if self.mode == "release" and (
            self.condition not in ("description", "triplet") or self.draws != 1
        ):
            raise ValueError("mode 'release' has one draw, against a description or a triplet")
        return self


@extractor("rubric_judge")
class RubricJudge(VerdictExtractor):
    """Scores of one judge for one dialogue.

    What it sees is made here: the sound as plain WAV, pictures and videos re-encoded, the
    benchmark's text between random marks; no file name, no tag, no word of the submitter.

    In mode "release" a verdict depends on the clips it was asked with: up to five files that were
    not in the cache, in the split's order.
    """

    version = "1"
    Settings = RubricSettings

    def __init__(self, settings: RubricSettings, scripts: Sequence[str]) -> None:
        super().__init__(settings, scripts)
        self._texts: tuple[str, ...] = (_TEXTS[settings.condition], "data", "reply_scores")
        self.reads = ("script", "speakers", _READS[settings.condition])
        if settings.mode == "release":
            self._texts, self.reads, self.group = release.TEXTS, ("style",), release.GROUP
        self.prompt_sha256 = prompt_sha256(*self._texts)
        self.kind = f"{settings.mode}.{settings.condition}"

    def controls(self) -> RubricSettings:
        settings: RubricSettings = self.settings
        return settings

    async def ask(self, inputs: Inputs) -> Verdict:
        if self.settings.mode == "release":
            (answer,) = await self.ask_group([inputs])
            if isinstance(answer, Exception):
                raise answer
            return answer
        prompt = await asyncio.to_thread(self.prompt, inputs)
        return await self.verdict(lambda _: prompt, SCORES_SCHEMA, read_scores, inputs)

    async def ask_group(self, batch: Sequence[Inputs]) -> Sequence[Verdict | Exception]:
        if self.settings.mode != "release":
            return await super().ask_group(batch)
        if self.settings.replies is not None:
            return [self._recorded_or_error(inputs) for inputs in batch]
        try:
            return await self._release(batch)
        except StageStoppedError:
            raise
        except (JudgeError, UserError) as error:
            return [error] * len(batch)

    def estimate(self, files: Sequence[tuple[Dialogue, float]]) -> Estimate:
        if self.settings.mode == "release":
            told = [(self._told(dialogue), seconds) for dialogue, seconds in files]
            groups = [told[i : i + self.group] for i in range(0, len(told), self.group)]
            return estimate(self.settings.judge, [release.size(group) for group in groups])
        sizes = [self._size(dialogue, seconds) for dialogue, seconds in files]
        return estimate(self.settings.judge, sizes * self.settings.draws)

    def prompt(self, inputs: Inputs) -> Prompt:
        """The question about one file. Raises UserError where the dialogue lacks what it shows."""
        if self.settings.mode == "release":
            return self._release_prompt([inputs])
        body = self._body(inputs)
        told = {"The script": script(inputs.dialogue)}
        if _READS[self.settings.condition] == "style":
            told["The direction"] = direction(inputs.dialogue, self.settings.condition)

        def parts(nonce: str) -> Parts:
            marked = [data(nonce, title, content) for title, content in told.items()]
            before = [text(self._texts[0]), filled("data", nonce=nonce), *marked]
            return ("\n\n".join(before), *body, text("reply_scores"))

        return parts

    def _body(self, inputs: Inputs) -> list[str | Media]:
        """What is seen and heard, with a line before each."""
        if self.settings.condition == "reference":
            return [
                "The recording that the system was given:",
                sound(reference_audio(inputs.dialogue)),
                "The video that it produced:",
                video(inputs.path, inputs.sandbox),
            ]
        pictures = keyframes(inputs.dialogue) if self.settings.condition == "keyframes" else []
        return [*pictures, "The recording to judge:", sound(inputs.audio)]

    async def _release(self, batch: Sequence[Inputs]) -> Sequence[Verdict | Exception]:
        prompt = await asyncio.to_thread(self._release_prompt, batch)
        ids = "+".join(inputs.dialogue.id for inputs in batch)
        drawn: list[tuple[Draw, ...]] = []
        for number in range(TRIES):
            name = f"{self.kind}/{ids}/{number}"
            call = await self.call(name, prompt, None, self.settings.temperature, None)
            drawn.append(release.draws(call, len(batch)))
            if call.refused or drawn[-1][0].problem is None:
                break
        by_clip = zip(batch, zip(*drawn, strict=True), strict=True)
        return [self._checked_or_error(inputs, draws) for inputs, draws in by_clip]

    def _release_prompt(self, batch: Sequence[Inputs]) -> Prompt:
        condition = self.settings.condition
        return release.prompt([(sound(i.audio), direction(i.dialogue, condition)) for i in batch])

    def _checked_or_error(self, inputs: Inputs, draws: tuple[Draw, ...]) -> Verdict | Exception:
        try:
            return self.checked([*earlier_draws(inputs), *draws])
        except UnfinishedError as error:
            return error

    def _recorded_or_error(self, inputs: Inputs) -> Verdict | Exception:
        name = self.question(inputs.dialogue.id)
        recorded = self.recorded(name)
        if not recorded:
            return JudgeError(f"{self.settings.replies} has no reply to the question {name!r}")
        draws = [recorded_draw(one, partial(read_clip, one.clip, one.clips)) for one in recorded]
        try:
            return self.checked(draws, recorded[0].prompt_sha256)
        except UnfinishedError as error:
            return error

    def _told(self, dialogue: Dialogue) -> str:
        """The direction, for counting; empty where the dialogue has none."""
        condition = self.settings.condition
        told = _READS[condition] == "style" and lacks(dialogue, condition) is None
        return direction(dialogue, condition) if told else ""

    def _size(self, dialogue: Dialogue, seconds: float) -> Size:
        characters = len("".join(map(text, self._texts))) + len(script(dialogue))
        characters += len(self._told(dialogue))
        if self.settings.condition == "reference":
            heard = dialogue.duration or seconds
            return Size(characters, audio_seconds=heard, video_seconds=seconds)
        pictures = len(dialogue.keyframes) if self.settings.condition == "keyframes" else 0
        return Size(characters, audio_seconds=seconds, pictures=pictures)
