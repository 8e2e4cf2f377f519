"""A judge client for tests: it answers by a script, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts
from mmdia_eval.judges.client import Media, Question, Reply
from mmdia_eval.judges.rubric import DIMENSIONS
from mmdia_eval.types import Audio, Dialogue, Style, Turn

Answer = str | Reply | Exception


def reply(text: str, refusal: str | None = None) -> Reply:
    return Reply(text, "scripted-1", 1000, 100, 0, refusal, audio_tokens=640)


def scores(value: int = 4, **others: object) -> str:
    return json.dumps({"rationale": "as scripted", **dict.fromkeys(DIMENSIONS, value), **others})


CONTROLS = {
    "reference": scores(4),
    "mismatch": scores(3, instruction_following=1),
    "silence": scores(1),
    "swapped_style": scores(4, instruction_following=2),
    "spoken_instruction": scores(3, instruction_following=1),
    "on_screen_instruction": scores(3, instruction_following=1),
}


def is_control(name: str) -> bool:
    """Whether a question is one of the controls."""
    return name.startswith("pairwise/") or name.split("/")[1] in CONTROLS


def honest(question: Question) -> Answer:
    """What passes the controls."""
    rubric, kind, *rest = question.name.split("/")
    if rubric == "pairwise":
        return json.dumps({"better": "first" if rest[1] == "0" else "second"})
    return CONTROLS[kind]


@dataclass
class ScriptedJudge:
    """`answer` is what each question gets, by itself or in turn."""

    answer: Callable[[Question], Answer] | Sequence[Answer]
    asked: list[Question] = field(default_factory=list)
    closed: bool = False

    async def ask(self, question: Question) -> Reply:
        number = len(self.asked)
        self.asked.append(question)
        said = self.answer(question) if callable(self.answer) else self.answer[number]
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Reply) else reply(said)

    async def close(self) -> None:
        self.closed = True

    def install(self, monkeypatch: pytest.MonkeyPatch) -> ScriptedJudge:
        """Be the judge that every extractor connects to."""

        def connect(judge: str, **_: object) -> ScriptedJudge:
            return self

        monkeypatch.setattr("mmdia_eval.judges.asking.connect", connect)
        return self

    @property
    def names(self) -> list[str]:
        return [question.name for question in self.asked]

    @property
    def names_of_outputs(self) -> list[str]:
        """Those that are no controls."""
        return [name for name in self.names if not is_control(name)]


def sent_text(question: Question) -> str:
    return "\n".join(part for part in question.parts if isinstance(part, str))


def sent_media(question: Question) -> list[Media]:
    return [part for part in question.parts if isinstance(part, Media)]


def a_dialogue(id_: str = "d1", style: Mapping[str, str] | None = None) -> Dialogue:
    given = style or {
        "description": "Two old friends argue about a boat.",
        "relationship": "Friends",
        "interaction_type": "Conflict",
        "emotional_tone": "bitter",
    }
    turns = (Turn("Ann", "You sank my boat."), Turn("Ben", "It was a small boat."))
    return Dialogue(id_, turns, Style(**given), duration=2.0)


def inputs(id_: str = "d1", seed: int = 0, dialogue: Dialogue | None = None) -> Inputs:
    samples = np.random.default_rng(seed).uniform(-0.1, 0.1, 16_000).astype(np.float32)
    return Inputs(Audio(samples), dialogue or a_dialogue(id_), Artifacts({}))
