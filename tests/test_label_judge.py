from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from scripted_judge import ScriptedJudge, a_dialogue, inputs, sent_media, sent_text

from mmdia_eval.judges.label_judge import LabelJudge, LabelSettings
from mmdia_eval.judges.probes import tagged
from mmdia_eval.judges.rubric import options

SAID = json.dumps({"rationale": "", "relationship": "Friends", "interaction_type": "Storytelling"})


def judge(**settings: Any) -> LabelJudge:
    return LabelJudge(LabelSettings.model_validate({"judge": "openai:scripted", **settings}), ())


def asked_about(monkeypatch: pytest.MonkeyPatch, id_: str, **settings: Any) -> list[str]:
    client = ScriptedJudge([SAID] * 3).install(monkeypatch)
    judge(**settings).extract([inputs(id_)])
    return [sent_text(question) for question in client.asked]


def option_order(told: str) -> list[str]:
    return [line for line in told.splitlines() if line.startswith("- ")]


def test_the_judge_is_shown_nothing_of_style_script_or_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    style = {"description": "Xylophones.", "relationship": "Quixotic", "emotional_tone": "Zestful"}
    client = ScriptedJudge([SAID] * 3).install(monkeypatch)
    (verdict,) = judge().extract([inputs(dialogue=a_dialogue("d1", style))])
    told = sent_text(client.asked[0])
    for hidden in ("Xylophones", "Quixotic", "Zestful", "boat", "Ann", "d1"):
        assert hidden not in told
    assert [media.mime_type for media in sent_media(client.asked[0])] == ["audio/wav"]
    assert verdict.draws[0].answers == {"relationship": "Friends", "interaction_type": "Narration"}


def test_options_are_all_there_shuffled_by_dialogue_and_draw_and_written_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = asked_about(monkeypatch, "d1")
    orders = [option_order(text) for text in told]
    every = {*options("relationships"), *options("interaction_types")}
    assert all(set(order) == every and len(order) == 23 for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    again = asked_about(monkeypatch, "d1")
    assert [option_order(text) for text in again] == orders
    assert option_order(asked_about(monkeypatch, "d2")[0]) != orders[0]
    assert option_order(asked_about(monkeypatch, "d1", seed=1)[0]) != orders[0]


def test_every_option_comes_first_about_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = judge()
    firsts = [option_order(extractor._asked(f"d{i}", 0))[0] for i in range(800)]
    for option in options("relationships"):
        assert 60 <= firsts.count(option) <= 140  # 100 expected, sd 9.4


def test_a_video_is_shown_as_video(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ScriptedJudge([SAID]).install(monkeypatch)
    judge(medium="video", mode="paper").extract([tagged("reference")])
    assert [media.mime_type for media in sent_media(client.asked[0])] == ["video/mp4"]
    assert client.asked[0].temperature is None


def test_the_estimate() -> None:
    files = [(replace(a_dialogue(), id="x"), 10.0)]
    assert judge(judge="gemini:gemini-2.5-pro").estimate(files).text.startswith("3 calls")
