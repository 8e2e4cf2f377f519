from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from loopback_judge import LoopbackJudge, Say
from pydantic import ValidationError
from scripted_judge import (
    ScriptedJudge,
    a_dialogue,
    inputs,
    reply,
    scores,
    sent_media,
    sent_text,
)

from mmdia_eval.artifact_keys import artifact_key
from mmdia_eval.artifacts import Verdict
from mmdia_eval.errors import StageStoppedError, UnfinishedError, UserError
from mmdia_eval.judges.client import JudgeError
from mmdia_eval.judges.probes import tagged
from mmdia_eval.judges.rubric import DIMENSIONS
from mmdia_eval.judges.rubric_judge import RubricJudge, RubricSettings
from mmdia_eval.judges.usage import account_of
from mmdia_eval.plan import Stage
from mmdia_eval.types import Keyframe, Style

LINE = "4, 5, 4, 3, 4, {}, Family, Storytelling"


def judge(**settings: Any) -> RubricJudge:
    given = RubricSettings.model_validate({"judge": "openai:scripted", **settings})
    return RubricJudge(given, ())


def verdict_of(extractor: RubricJudge, **more: Any) -> Verdict:
    (verdict,) = extractor.extract([inputs(**more)])
    return verdict


def test_three_draws_at_temperature_0_with_different_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ScriptedJudge([scores(4), scores(5), scores(2)]).install(monkeypatch)
    verdict = verdict_of(judge())
    assert [draw.answers["quality"] for draw in verdict.draws] == [4, 5, 2]
    assert [question.temperature for question in client.asked] == [0.0] * 3
    assert [question.seed for question in client.asked] == [0, 1, 2]
    assert client.names == [f"strict.description/d1/{number}" for number in range(3)]
    assert client.closed
    assert verdict.draws[0].model == "scripted-1"
    assert verdict.prompt_sha256 == judge().prompt_sha256


def test_the_judge_hears_the_samples_and_is_told_script_and_direction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = ScriptedJudge([scores()] * 3).install(monkeypatch)
    asked = inputs()
    judge().extract([asked])
    (clip,) = sent_media(client.asked[0])
    samples, rate = soundfile.read(io.BytesIO(clip.data), dtype="float32")
    assert clip.mime_type == "audio/wav"
    assert rate == 16_000
    np.testing.assert_allclose(samples, asked.audio.samples, atol=2**-15)
    told = sent_text(client.asked[0])
    assert "Ann: You sank my boat." in told
    assert "Two old friends argue" in told
    assert "Friends" not in told


def test_the_triplet_is_told_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ScriptedJudge([scores()] * 3).install(monkeypatch)
    judge(condition="triplet").extract([inputs()])
    told = sent_text(client.asked[0])
    assert "Relationship: Friends\nInteraction type: Conflict\nEmotional tone: bitter" in told
    assert "Two old friends argue" not in told


def test_each_call_has_a_nonce_of_its_own_around_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ScriptedJudge([scores()] * 3).install(monkeypatch)
    verdict = verdict_of(judge())
    nonces = [draw.nonce for draw in verdict.draws]
    assert len(set(nonces)) == 3
    for question, nonce in zip(client.asked, nonces, strict=True):
        assert f"begin {nonce}\nAnn: You sank my boat." in sent_text(question)
        assert nonce not in question.name
    assert judge().prompt_sha256 == judge().prompt_sha256


def test_the_name_and_the_tags_of_a_file_do_not_reach_the_judge() -> None:
    asked = tagged("description")
    assert "five points" in asked.path.name
    parts = judge().prompt(asked)("n")
    sent = [part.encode() if isinstance(part, str) else part.data for part in parts]
    assert not any(b"five points" in part for part in sent)


@pytest.mark.parametrize("broken", ["no", scores(9), scores()[:-9], f"{scores(1)} {scores(5)}"])
def test_an_unreadable_reply_is_asked_for_once_more(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    client = ScriptedJudge([broken, scores(3), scores(4), scores(5)]).install(monkeypatch)
    verdict = verdict_of(judge())
    assert len(client.asked) == len(verdict.draws) == 4
    assert verdict.draws[0].reply == broken
    assert verdict.draws[0].problem is not None
    assert [draw.answers["quality"] for draw in verdict.readable] == [3, 4, 5]


def test_one_readable_draw_makes_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    ScriptedJudge(["no", "no", scores(2), "no", "no"]).install(monkeypatch)
    verdict = verdict_of(judge())
    assert len(verdict.draws) == 5
    assert len(verdict.readable) == 1


def test_a_refusal_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ScriptedJudge([reply("", "safety block")] * 3).install(monkeypatch)
    with pytest.raises(UnfinishedError, match="refused: safety block"):
        judge().extract([inputs()])
    assert len(client.asked) == 3


def test_without_a_readable_draw_the_file_failed_and_every_reply_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ScriptedJudge([f"no {i}" for i in range(6)]).install(monkeypatch)
    with pytest.raises(UnfinishedError, match="none of 6 replies") as caught:
        judge().extract([inputs()])
    kept = caught.value.earlier
    assert [draw.reply for draw in kept.draws] == [f"no {i}" for i in range(6)]
    client = ScriptedJudge([scores(2), scores(3), scores(3)]).install(monkeypatch)
    (verdict,) = judge().extract([replace(inputs(), earlier=kept)])
    assert len(verdict.draws) == 9
    assert client.names == [f"strict.description/d1/{number}" for number in (6, 7, 8)]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(StageStoppedError("quota spent"), StageStoppedError), (JudgeError("502"), UnfinishedError)],
)
def test_what_was_paid_before_a_fault_is_not_paid_again(
    monkeypatch: pytest.MonkeyPatch, fault: Exception, kind: type[Exception]
) -> None:
    ScriptedJudge([scores(4), fault]).install(monkeypatch)
    with pytest.raises(kind, match=str(fault)) as caught:
        judge().extract([inputs()])
    kept = caught.value.earlier  # type: ignore[attr-defined]
    client = ScriptedJudge([scores(5), scores(1)]).install(monkeypatch)
    (verdict,) = judge().extract([replace(inputs(), earlier=kept)])
    assert len(client.asked) == 2
    assert [draw.answers["quality"] for draw in verdict.draws] == [4, 5, 1]


def test_a_fault_before_any_reply_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ScriptedJudge([StageStoppedError("key refused")]).install(monkeypatch)
    with pytest.raises(StageStoppedError) as caught:
        judge().extract([inputs()])
    assert caught.value.earlier is None


def test_modes_set_draws_and_temperature_unless_given() -> None:
    assert judge().settings.draws == 3
    assert (judge(mode="paper").settings.draws, judge(mode="paper").settings.temperature) == (
        1,
        None,
    )
    assert judge(mode="paper", draws=5).settings.draws == 5
    with pytest.raises(ValidationError, match="one draw"):
        judge(mode="release", draws=3)
    with pytest.raises(ValidationError, match="against a description or a triplet"):
        judge(mode="release", condition="keyframes")


def release_inputs(count: int) -> list[Any]:
    return [
        inputs(dialogue=a_dialogue(f"d{i}", {"description": f"Scene number {i}."}), seed=i)
        for i in range(count)
    ]


def test_release_asks_five_clips_at_once_and_keeps_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = ["\n".join(LINE.format(n) for n in lines) for lines in ([5, 4, 3, 2, 1], [2, 3])]
    client = ScriptedJudge(lambda q: answers[0] if "d0" in q.name else answers[1])
    client.install(monkeypatch)
    asked = release_inputs(7)
    verdicts = judge(mode="release").extract(asked)
    found = [verdict.draws[0].answers["instruction_following"] for verdict in verdicts]
    assert found == [5, 4, 3, 2, 1, 2, 3]
    assert verdicts[0].draws[0].answers["interaction_type"] == "Narration"
    asked_of = {question.name: question for question in client.asked}
    assert set(asked_of) == {"release.description/d0+d1+d2+d3+d4/0", "release.description/d5+d6/0"}
    first = asked_of["release.description/d0+d1+d2+d3+d4/0"]
    assert (first.schema, first.temperature, first.seed) == (None, None, None)
    clips = [soundfile.read(io.BytesIO(m.data), dtype="float32")[0] for m in sent_media(first)]
    for clip, one in zip(clips, asked, strict=False):
        np.testing.assert_allclose(clip, one.audio.samples, atol=2**-15)
    told = sent_text(first)
    assert told.index("Scene number 0") < told.index("Scene number 4")


def test_release_divides_a_calls_tokens_so_that_they_add_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ScriptedJudge(["\n".join([LINE.format(5)] * 3)]).install(monkeypatch)
    verdicts = judge(mode="release").extract(release_inputs(3))
    assert [v.draws[0].input_tokens for v in verdicts] == [333, 333, 334]
    account = account_of(draw for verdict in verdicts for draw in verdict.draws)
    assert (account.calls, account.models["scripted-1"].input_tokens) == (1, 1000)


def test_release_with_a_wrong_number_of_lines_fails_all_its_clips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = ScriptedJudge(["\n".join([LINE.format(5)] * 4)] * 2).install(monkeypatch)
    extractor = judge(mode="release")

    async def ask() -> Any:
        await extractor.open()
        return await extractor.ask_group(release_inputs(5))

    answers = asyncio.run(ask())
    assert len(client.asked) == 2
    assert all(isinstance(answer, UnfinishedError) for answer in answers)
    assert "4 lines for 5 clips" in str(answers[0])


def test_a_dialogue_without_the_condition_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ScriptedJudge([]).install(monkeypatch)
    bare = replace(a_dialogue(), style=Style(relationship="Friends"))
    with pytest.raises(UserError, match="'d1': the dialogue has no description"):
        judge().extract([inputs(dialogue=bare)])
    with pytest.raises(UserError, match="no keyframes"):
        judge(condition="keyframes").extract([inputs(dialogue=bare)])
    with pytest.raises(UserError, match="no reference"):
        judge(condition="reference").extract([inputs(dialogue=bare)])
    assert not client.asked


def write_picture(path: Path, level: int) -> Path:
    pixels = np.full((48, 64, 3), level, np.uint8)
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_task_2_shows_the_keyframes_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = ScriptedJudge([scores()] * 3).install(monkeypatch)
    frames = (
        Keyframe(write_picture(tmp_path / "a.png", 20), 0.5, "Ann"),
        Keyframe(write_picture(tmp_path / "b.png", 220), 3.0),
    )
    judge(condition="keyframes").extract([inputs(dialogue=replace(a_dialogue(), keyframes=frames))])
    question = client.asked[0]
    assert [m.mime_type for m in sent_media(question)] == ["image/jpeg"] * 2 + ["audio/wav"]
    told = sent_text(question)
    assert "Picture 1 of 2, at 0.5 s, shows Ann:\nPicture 2 of 2, at 3.0 s:" in told
    assert "Two old friends argue" not in told
    assert "a.png" not in told


def test_task_3_shows_the_video_beside_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ScriptedJudge([scores()] * 3).install(monkeypatch)
    judge(condition="reference").extract([tagged("reference")])
    kinds = [media.mime_type for media in sent_media(client.asked[0])]
    assert kinds == ["audio/wav", "video/mp4"]
    assert b"five points" not in sent_media(client.asked[0])[1].data


def test_what_the_judge_is_told_is_part_of_the_key_and_the_budget_is_not(tmp_path: Path) -> None:
    def key(dialogue: Any, **settings: Any) -> str:
        extractor = judge(**settings)
        return artifact_key(Stage("verdict", extractor, {}, {}), "0" * 64, dialogue, {})

    one = a_dialogue()
    other = replace(one, style=replace(one.style, description="They laugh."))
    frame = Keyframe(write_picture(tmp_path / "a.png", 20), 0.0)
    assert key(one) == key(one, max_cost=3.0) == key(replace(one, keyframes=(frame,)))
    changed = [
        key(other),
        key(replace(one, turns=one.turns[:1])),
        key(one, mode="paper"),
        key(one, judge="openai:another"),
        key(one, condition="triplet"),
        key(one, base_url="http://localhost:8000"),
        key(one, draws=2),
    ]
    assert len({key(one), *changed}) == 8
    before = key(replace(one, keyframes=(frame,)), condition="keyframes")
    write_picture(tmp_path / "a.png", 200)
    assert key(replace(one, keyframes=(frame,)), condition="keyframes") != before


def test_an_address_with_a_key_in_it_is_refused() -> None:
    for url in ("http://me:secret@host", "http://host/?key=secret"):
        with pytest.raises(ValidationError, match="keys come from the environment"):
            judge(base_url=url)


def test_the_estimate_counts_calls_tokens_and_dollars() -> None:
    files = [(a_dialogue(f"d{i}"), 20.0) for i in range(10)]
    line = judge(judge="gemini:gemini-2.5-pro").estimate(files).text
    assert line.startswith("30 calls of gemini:gemini-2.5-pro, about ")
    tokens = int(line.partition("about ")[2].partition(" tokens")[0].replace(",", ""))
    assert tokens > 30 * 20 * 32
    assert line.endswith(f"about ${(tokens * 1.25 + 30_000 * 10) / 1e6:.2f}")
    release = judge(judge="gemini:gemini-2.5-pro", mode="release").estimate(files).text
    assert release.startswith("2 calls")
    assert "price is not known" in judge(judge="gemini:gemini-none").estimate(files).text
    framed = [(replace(d, keyframes=(Keyframe(Path("a"), 0.0),)), s) for d, s in files]
    assert "not known" in judge(condition="keyframes").estimate(framed).text
    assert "nothing is sent" in judge(judge="replay:verdicts.jsonl").estimate(files).text


def test_what_lacks_is_said_at_planning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    (problem,) = judge(judge="gemini:gemini-2.5-pro").problems()
    assert "GEMINI_API_KEY" in problem
    assert judge(base_url="http://localhost:1").problems() == []


@pytest.mark.parametrize("backend", ["gemini", "openai"])
def test_end_to_end_through_the_real_client(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "canary-key-of-this-test-0001")
    monkeypatch.setenv("OPENAI_API_KEY", "canary-key-of-this-test-0001")
    said = [scores(4), "I cannot say.", f"Here you are:\n```json\n{scores(5)}\n```", scores(5)]
    with LoopbackJudge(lambda _, __: Say(said.pop(0))) as service:
        extractor = judge(judge=f"{backend}:gemini-2.5-pro", base_url=service.url)
        verdict = verdict_of(extractor)
    assert [draw.answers.get("quality") for draw in verdict.draws] == [4, None, 5, 5]
    assert all(set(draw.answers) == set(DIMENSIONS) for draw in verdict.readable)
    assert verdict.draws[0].input_tokens == 1000
    assert len({draw.nonce for draw in verdict.draws}) == len(service.seen) == 4
    assert "canary" not in repr(verdict)
