from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import ScriptedJudge, inputs, reply, sent_text

from mmdia_eval.api import Inputs
from mmdia_eval.artifacts import Artifacts, Transcript, Utterance, Word
from mmdia_eval.errors import StageStoppedError, UnfinishedError
from mmdia_eval.judges.client import JudgeError
from mmdia_eval.judges.llm_diarization import LlmDiarization, LlmDiarizationSettings
from mmdia_eval.judges.replay import RecordedReply, write_replies

STRETCHES = [
    {"start": 1.0, "end": 2.0, "speaker": 1, "text": "it was small"},
    {"start": 0.0, "end": 0.9, "speaker": 0, "text": "you sank my boat"},
]


def heard(*texts: str) -> Inputs:
    utterances = tuple(
        Utterance(tuple(Word(word, i, i + 0.5) for word in text.split()))
        for i, text in enumerate(texts)
    )
    return replace(
        inputs(), artifacts=Artifacts({Transcript: Transcript(utterances, language="en")})
    )


def diarizer(**settings: Any) -> LlmDiarization:
    given = LlmDiarizationSettings.model_validate({"judge": "openai:scripted", **settings})
    return LlmDiarization(given, ())


def test_the_models_stretches_become_utterances_with_speakers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = ScriptedJudge([json.dumps(STRETCHES)]).install(monkeypatch)
    (found,) = diarizer().extract([heard("You sank my boat!", "It was small.")])
    assert [u.speaker for u in found.utterances] == ["0", "1"]
    assert [w.text for w in found.words] == ["you", "sank", "my", "boat", "it", "was", "small"]
    assert [w.start for w in found.utterances[1].words] == pytest.approx([1.0, 4 / 3, 5 / 3])
    assert found.utterances[1].words[-1].end == 2.0
    assert not found.word_times
    assert found.language == "en"
    assert "\nyou sank my boat it was small\n" in sent_text(client.asked[0])
    assert (client.asked[0].schema, client.asked[0].temperature) == (None, None)
    assert client.names == ["diarization/d1/0"]


def test_a_transcript_without_words_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ScriptedJudge([]).install(monkeypatch)
    (found,) = diarizer().extract([heard("...")])
    assert found.utterances == ()
    assert not client.asked


@pytest.mark.parametrize("broken", ["[]", "Sure!", '[{"start": 0, "end": 1, "text": "a"}]'])
def test_what_the_release_drops_or_counts_as_all_wrong_has_failed(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    client = ScriptedJudge([broken, broken]).install(monkeypatch)
    with pytest.raises(UnfinishedError, match="unreadable") as caught:
        diarizer().extract([heard("a b")])
    assert len(client.asked) == 2
    kept = caught.value.earlier
    assert [draw.reply for draw in kept.draws] == [broken, broken]
    client = ScriptedJudge([json.dumps(STRETCHES)]).install(monkeypatch)
    (found,) = diarizer().extract([replace(heard("a b"), earlier=kept)])
    assert client.names == ["diarization/d1/2"]
    assert len(found.draws) == 3


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(StageStoppedError("quota spent"), StageStoppedError), (JudgeError("502"), UnfinishedError)],
)
def test_what_was_paid_before_a_fault_is_kept(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, kind: type[Exception]
) -> None:
    ScriptedJudge(["no", fault]).install(monkeypatch)
    with pytest.raises(kind, match=str(fault)) as caught:
        diarizer().extract([heard("a b")])
    assert [draw.reply for draw in caught.value.earlier.draws] == ["no"]  # type: ignore[attr-defined]


def test_an_unreadable_reply_is_asked_for_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    ScriptedJudge([reply("", "blocked"), json.dumps(STRETCHES)]).install(monkeypatch)
    (found,) = diarizer().extract([heard("a b")])
    assert len(found.utterances) == 2


def test_the_normalizer_is_part_of_the_identity() -> None:
    assert diarizer().identity() != diarizer(normalizer="whisper-en").identity()


def test_recorded_replies_give_the_transcript_again(tmp_path: Path) -> None:
    fields = {"model": "m", "input_tokens": 1, "output_tokens": 1, "retries": 0, "refusal": None}
    said = ["no", json.dumps(STRETCHES)]
    replies = [
        RecordedReply(name=f"diarization/d1/{n}", reply=reply, prompt_sha256="0" * 64, **fields)  # type: ignore[arg-type]
        for n, reply in enumerate(said)
    ]
    write_replies(tmp_path / "r.jsonl", replies)
    replayed = diarizer(judge=f"replay:{tmp_path / 'r.jsonl'}")
    (found,) = replayed.extract([heard("you sank my boat it was small")])
    assert [u.speaker for u in found.utterances] == ["0", "1"]
    assert [draw.reply for draw in found.draws] == said
    before = replayed.identity()
    write_replies(tmp_path / "r.jsonl", replies[1:])
    assert replayed.identity() != before, "what the file holds is part of the key"
