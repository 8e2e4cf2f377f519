"""The label judge: what the speakers are to each other and what they do, heard without any hint."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from mmdia_eval.api import Estimate, Inputs
from mmdia_eval.artifacts import Verdict
from mmdia_eval.judges.asking import JudgeSettings, Parts, Prompt, VerdictExtractor
from mmdia_eval.judges.estimate import Size, estimate
from mmdia_eval.judges.material import sound, video
from mmdia_eval.judges.replies import read_labels
from mmdia_eval.judges.rubric import LABELS_SCHEMA, filled, options, prompt_sha256, text
from mmdia_eval.judges.rubric_judge import RubricSettings
from mmdia_eval.registry import extractor
from mmdia_eval.types import Dialogue

SEED = 20260101


class LabelSettings(JudgeSettings):
    """`medium`: whether the output is "speech" (Tasks 1 and 2) or "video" (Task 3).

    `mode` "strict": three draws at temperature 0; "paper": one, at the service's own. `draws` and
    `temperature` are the mode's unless given. `seed` determines, with the dialogue's id and the
    draw, the order in which the options stand.
    """

    mode: Literal["strict", "paper"] = "strict"
    medium: Literal["speech", "video"] = "speech"
    draws: int = Field(default=3, ge=1, le=25)
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    seed: int = SEED

    @model_validator(mode="before")
    @classmethod
    def _by_mode(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("mode", "strict") != "strict":
            return {"draws": 1, "temperature": None, **given}
        return given


@extractor("label_judge")
class LabelJudge(VerdictExtractor):
    """Relationship and interaction type, out of the paper's options, from the output alone.

    The judge is shown neither style nor script nor speakers' names: whatever it knows of the
    conditioning it has from the performance.
    """

    version = "1"
    Settings = LabelSettings
    reads = ("id",)

    def __init__(self, settings: LabelSettings, scripts: Sequence[str]) -> None:
        super().__init__(settings, scripts)
        self._texts = (
            f"labels_{settings.medium}",
            "data",
            "relationships",
            "interaction_types",
            "reply_labels",
        )
        self.prompt_sha256 = prompt_sha256(*self._texts)
        self.kind = f"labels.{settings.mode}.{settings.medium}"

    def controls(self) -> RubricSettings:
        """Those of the rubric in the same mode: labels have none of their own."""
        settings = self.settings
        return RubricSettings(
            judge=settings.judge,
            base_url=settings.base_url,
            max_cost=settings.max_cost,
            mode=settings.mode,
            condition="reference" if settings.medium == "video" else "description",
        )

    async def ask(self, inputs: Inputs) -> Verdict:
        as_video = self.settings.medium == "video"
        clip = await asyncio.to_thread(
            lambda: video(inputs.path, inputs.sandbox) if as_video else sound(inputs.audio)
        )
        id_ = inputs.dialogue.id

        def prompt(number: int) -> Prompt:
            asked = self._asked(id_, number)

            def parts(nonce: str) -> Parts:
                before = [text(self._texts[0]), filled("data", nonce=nonce)]
                return ("\n\n".join(before), clip, asked)

            return parts

        return await self.verdict(prompt, LABELS_SCHEMA, read_labels, inputs)

    def estimate(self, files: Sequence[tuple[Dialogue, float]]) -> Estimate:
        characters = len("".join(map(text, self._texts)))
        as_video = self.settings.medium == "video"
        sizes = [
            Size(characters, video_seconds=seconds)
            if as_video
            else Size(characters, audio_seconds=seconds)
            for _, seconds in files
        ]
        return estimate(self.settings.judge, sizes * self.settings.draws)

    def _asked(self, dialogue: str, number: int) -> str:
        order = random.Random(f"{self.settings.seed}/{dialogue}/{number}")  # noqa: S311
        lists = {
            "What are the speakers to each other?": options("relationships"),
            "What are they mainly doing?": options("interaction_types"),
        }
        blocks = [
            f"{question}\n" + "\n".join(order.sample(lines, len(lines)))
            for question, lines in lists.items()
        ]
        return "\n\n".join([*blocks, text("reply_labels")])
