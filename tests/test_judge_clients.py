"""The clients of judges against a service on this machine that speaks their wire formats."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
from typing import Any

import pytest
from loopback_judge import (
    AUDIO_TOKENS,
    INPUT_TOKENS,
    MODEL_VERSION,
    OUTPUT_TOKENS,
    PERMANENT,
    REFUSED,
    THOUGHT_TOKENS,
    TRANSIENT,
    UNWELCOME,
    Act,
    Drip,
    Hang,
    LoopbackJudge,
    Raw,
    Refuse,
    Reset,
    Say,
    Script,
)

from mmdia_eval.errors import StageStoppedError, UserError
from mmdia_eval.judges.account import Budget
from mmdia_eval.judges.client import JudgeClient, JudgeError, Media, Question, Reply, connect
from mmdia_eval.judges.gemini import Gemini
from mmdia_eval.judges.openai_compatible import SCHEMA_AS_TEXT
from mmdia_eval.judges.service import Service
from mmdia_eval.keys import HIDDEN

KEY = "canary-key-0123456789-abcdefghij"
JUDGES = "gemini:gemini-2.5-flash", "openai:gpt-audio"
SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer"}},
    "required": ["score"],
    "additionalProperties": False,
}
SOUND = Media(b"RIFF....WAVE", "audio/wav")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, and delays of hundredths of a second."""
    for name in ("GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(Service, "first_delay", 0.01)
    monkeypatch.setattr(Service, "timeout", 60.0)
    monkeypatch.setattr(Gemini, "poll_seconds", 0.01)


@pytest.fixture(params=JUDGES)
def judge(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def question(name: str = "q", **changes: Any) -> Question:
    settings = {"schema": None, "temperature": 0.0, "seed": 7, "max_output_tokens": 100}
    return Question(**({"name": name, "parts": (f"rate {name}", SOUND)} | settings | changes))


def run(
    judge: str, script: Script, *asked: Question, max_cost: float | None = None
) -> tuple[list[Reply | BaseException], LoopbackJudge, JudgeClient]:
    """What each question came to, the service afterwards, and the client."""

    async def ask_all(client: JudgeClient) -> list[Reply | BaseException]:
        try:
            return await asyncio.gather(*map(client.ask, asked), return_exceptions=True)
        finally:
            await client.close()

    with LoopbackJudge(script) as service:
        client = connect(judge, base_url=service.url, max_cost=max_cost)
        return asyncio.run(ask_all(client)), service, client


def first(*acts: Act) -> Script:
    """These acts for the first attempts of each question, a good reply afterwards."""
    return lambda text, before: acts[before] if before < len(acts) else Say()


def test_a_reply_comes_with_its_model_version_and_tokens(judge: str) -> None:
    (reply,), service, client = run(judge, lambda text, before: Say("four"), question())
    assert reply == Reply(
        "four", MODEL_VERSION, INPUT_TOKENS, OUTPUT_TOKENS + THOUGHT_TOKENS, 0, None, AUDIO_TOKENS
    )
    assert len(service.seen) == 1
    usage = client.account.models[MODEL_VERSION]
    assert (usage.calls, usage.input_tokens, usage.retries) == (1, INPUT_TOKENS, 0)


def test_the_cost_follows_the_price_table() -> None:
    _, _, client = run("gemini:gemini-2.5-flash", first(), question())
    # $0.30 a million for text, $1.00 for sound, $2.50 for output, thoughts included.
    expected = (360 * 0.30 + 640 * 1.00 + 50 * 2.50) / 1e6
    assert client.account.cost == pytest.approx(expected)


def test_gemini_sends_what_was_asked_and_the_key_only_as_a_header() -> None:
    _, service, _ = run("gemini:gemini-2.5-flash", first(), question(schema=SCHEMA))
    (seen,) = service.seen
    assert seen.url == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert seen.headers["x-goog-api-key"] == KEY
    assert KEY not in json.dumps(seen.body)
    text, sound = seen.body["contents"][0]["parts"]
    assert text == {"text": "rate q"}
    # The names inside are in snake case, which JSON of protocol buffers allows.
    assert sound["inlineData"].pop("mime_type") == "audio/wav"
    assert base64.b64decode(sound["inlineData"].pop("data"), b"-_") == SOUND.data
    config = seen.body["generationConfig"]
    assert config == {
        "temperature": 0.0,
        "seed": 7,
        "maxOutputTokens": 100,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }


def test_openai_sends_what_was_asked_and_the_key_only_as_a_header() -> None:
    video, image = Media(b"mp4", "video/mp4"), Media(b"png", "image/png")
    asked = question(schema=SCHEMA, parts=("rate q", SOUND, image, video))
    _, service, _ = run("openai:gpt-audio", first(), asked)
    (seen,) = service.seen
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(seen.body) + seen.url
    data = base64.b64encode(SOUND.data).decode()
    assert seen.body["messages"][0]["content"] == [
        {"type": "text", "text": "rate q"},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,bXA0"}},
    ]
    settings = {key: seen.body[key] for key in ("temperature", "seed", "max_completion_tokens")}
    assert settings == {"temperature": 0.0, "seed": 7, "max_completion_tokens": 100}
    assert seen.body["response_format"]["json_schema"]["schema"] == SCHEMA


def test_what_is_not_set_is_left_to_the_service(judge: str) -> None:
    _, service, _ = run(judge, first(), question(temperature=None, seed=None))
    body = json.dumps(service.seen[0].body)
    assert "temperature" not in body
    assert "seed" not in body
    assert "response" not in body


def test_the_name_is_not_sent(judge: str) -> None:
    asked = question("rubric/secret_dialogue/1", parts=("rate", SOUND))
    _, service, _ = run(judge, first(), asked)
    assert "secret_dialogue" not in json.dumps(service.seen[0].body) + service.seen[0].url


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_fault_of_the_transport_is_tried_again_and_counted(
    judge: str, fault: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(fault, Hang | Drip):
        run(judge, first(), question())  # a client's first question imports much
        monkeypatch.setattr(Service, "timeout", 1.0)
    (reply,), service, client = run(judge, first(fault), question())
    assert isinstance(reply, Reply)
    assert (reply.text, reply.retries) == ('{"score": 4}', 1)
    assert len(service.seen) == 2
    assert client.account.models[MODEL_VERSION].retries == 1
    assert client.account.failed == 0


def test_geminis_limit_per_minute_is_waited_for_although_it_speaks_of_quota() -> None:
    fault = Refuse(429, "minute")
    (reply,), _, _ = run("gemini:gemini-2.5-flash", first(fault, fault), question())
    assert isinstance(reply, Reply)
    assert reply.retries == 2


def test_after_all_retries_only_that_question_fails(
    judge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "attempts", 3)
    answers, service, client = run(
        judge,
        lambda text, before: Refuse(500) if "bad" in text else Say(),
        question("bad"),
        question("good"),
    )
    assert isinstance(answers[0], JudgeError)
    assert str(answers[0]) == "the service failed each time (HTTP 500)"
    assert isinstance(answers[1], Reply)
    assert len(service.seen) == 4
    assert (client.account.failed, client.account.lost_faults, client.account.calls) == (1, 3, 1)


STOPS = {
    "quota spent": "quota of this account for .* is spent",
    "daily quota spent": "quota of this account for .* is spent",
    "unpaid": "quota of this account for .* is spent",
    "key refused": r"refused the key \(HTTP 401\): check (GEMINI|OPENAI)_API_KEY",
    "no permission": "refused the key",
    "unknown model": "has no model",
    "hours to wait": "asks to wait 120 minutes",
}


@pytest.mark.parametrize("name", PERMANENT)
def test_what_no_retry_mends_stops_everything_at_once(judge: str, name: str) -> None:
    asked = [question(str(number)) for number in range(50)]
    answers, service, _ = run(judge, lambda text, before: PERMANENT[name], *asked)
    assert all(isinstance(answer, StageStoppedError) for answer in answers)
    assert len(service.seen) <= 4
    with pytest.raises(StageStoppedError, match=STOPS[name]):
        raise answers[0]  # type: ignore[misc]
    assert "give the same command again" in str(answers[0])


def test_geminis_word_for_a_bad_key_is_understood() -> None:
    (answer,), _, _ = run("gemini:x", lambda text, before: Refuse(400, "key"), question())
    assert isinstance(answer, StageStoppedError)


def test_a_refused_question_is_not_asked_again(judge: str) -> None:
    (answer,), service, client = run(judge, lambda text, before: Refuse(400), question())
    assert isinstance(answer, JudgeError)
    assert str(answer) == "the service refused the question (HTTP 400)"
    assert (len(service.seen), client.account.failed) == (1, 1)


@pytest.mark.parametrize("name", UNWELCOME)
def test_an_unwelcome_answer_passes_as_it_came_and_is_not_asked_again(
    judge: str, name: str
) -> None:
    (reply,), service, _ = run(judge, lambda _, before: UNWELCOME[name], question(schema=SCHEMA))
    assert isinstance(reply, Reply)
    assert Say(reply.text) == UNWELCOME[name]
    assert reply.refusal is None
    assert len(service.seen) == 1


@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED.keys())
def test_a_reply_without_text_says_why(judge: str, act: Act) -> None:
    (reply,), service, client = run(judge, lambda _, before: act, question())
    assert isinstance(reply, Reply)
    assert reply.text == ""
    assert reply.refusal
    assert len(service.seen) == 1
    assert client.account.calls == 1


def test_a_large_request_goes_through_the_files_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gemini, "inline_bytes", 1000)
    film, sound = Media(b"f" * 600, "video/mp4"), Media(b"s" * 600, "audio/wav")
    (reply,), service, _ = run("gemini:x", first(), question(parts=("rate", film, sound)))
    assert isinstance(reply, Reply)
    assert service.files == {"file0": film.data, "file1": sound.data}
    assert sorted(service.deleted) == ["file0", "file1"]
    _, one, two = service.seen[0].body["contents"][0]["parts"]
    uri = f"{service.url}/v1beta/files/file0"
    assert one["fileData"] == {"file_uri": uri, "mime_type": "video/mp4"}
    assert two["fileData"]["mime_type"] == "audio/wav"


def test_uploaded_files_are_deleted_when_the_question_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Gemini, "inline_bytes", 4)
    (answer,), service, _ = run("gemini:x", lambda _, before: Refuse(400), question())
    assert isinstance(answer, JudgeError)
    assert service.deleted == list(service.files) == ["file0"]


def test_a_server_without_structured_output_gets_the_schema_as_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with LoopbackJudge() as service:
        service.script = lambda text, before: (
            Refuse(400, "schema") if "response_format" in service.seen[-1].body else Say()
        )

        async def ask() -> list[Reply]:
            client = connect("openai:local", base_url=service.url)
            try:
                return [await client.ask(question(str(n), schema=SCHEMA)) for n in range(3)]
            finally:
                await client.close()

        replies = asyncio.run(ask())
    assert [reply.retries for reply in replies] == [0, 0, 0]
    assert ["response_format" in seen.body for seen in service.seen] == [True, False, False, False]
    last = service.seen[-1].body["messages"][0]["content"][-1]["text"]
    assert last == SCHEMA_AS_TEXT + json.dumps(SCHEMA)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_local_server_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    (reply,), _, client = run("openai:qwen", first(), question())
    assert isinstance(reply, Reply)
    assert client.account.cost is None


@pytest.mark.parametrize("judge", JUDGES)
def test_a_missing_key_is_said_before_anything_is_sent(
    judge: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match=r"set (GEMINI|OPENAI)_API_KEY"):
        connect(judge)


def test_names_that_are_no_judge() -> None:
    with pytest.raises(UserError, match=r"names no model; a judge is one of gemini:…, openai:…"):
        connect("gemini")
    with pytest.raises(UserError, match="unknown judge 'oracle'"):
        connect("oracle:x")


def test_a_cost_limit_needs_a_known_price() -> None:
    with pytest.raises(UserError, match="the price of 'qwen' is not in the price table"):
        connect("openai:qwen", base_url="http://x", max_cost=1.0)


def test_the_cost_limit_stops_before_it_is_passed() -> None:
    each = (360 * 0.30 + 640 * 1.00 + 50 * 2.50) / 1e6
    asked = [question(str(number)) for number in range(100)]
    answers, service, client = run("gemini:gemini-2.5-flash", first(), *asked, max_cost=10.5 * each)
    replies = [answer for answer in answers if isinstance(answer, Reply)]
    assert len(replies) == len(service.seen) == client.account.calls
    assert len(replies) == 10
    assert client.account.cost == pytest.approx(len(replies) * each)
    (message,) = {str(answer) for answer in answers if isinstance(answer, StageStoppedError)}
    assert message.startswith("--max-judge-cost: $0.0087 of $0.0091665 is spent on 10 calls, and")


def test_two_clients_keep_to_one_limit_together() -> None:
    each = (360 * 0.30 + 640 * 1.00 + 50 * 2.50) / 1e6
    budget = Budget(6.5 * each)

    async def ask_both(url: str) -> list[Reply | BaseException]:
        clients = [connect(JUDGES[0], base_url=url, max_cost=budget) for _ in range(2)]
        asked = [client.ask(question(str(n))) for n in range(10) for client in clients]
        try:
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            for client in clients:
                await client.close()

    with LoopbackJudge() as service:
        answers = asyncio.run(ask_both(service.url))
    # Eight were out before the first answer told what one costs.
    assert sum(isinstance(answer, Reply) for answer in answers) == len(service.seen) <= 8
    assert budget.spent == pytest.approx(len(service.seen) * each)


@pytest.mark.parametrize(("judge", "count"), [(JUDGES[0], 1000), (JUDGES[1], 300)])
def test_no_question_is_lost_or_doubled_under_faults(judge: str, count: int) -> None:
    fates = random.Random(1)
    kinds: list[Act] = [
        Refuse(429, "rate", (("Retry-After", "0.01"),)),
        Refuse(500),
        Refuse(503),
        Reset(),
        Raw(b"not JSON"),
    ]
    faults = 0

    def script(text: str, before: int) -> Act:
        nonlocal faults
        if fates.random() < 0.05:
            faults += 1
            return fates.choice(kinds)
        return Say(f"reply to {text}")

    asked = [question(str(number)) for number in range(count)]
    answers, service, client = run(judge, script, *asked)
    assert [answer.text for answer in answers if isinstance(answer, Reply)] == [
        f"reply to rate {number}" for number in range(count)
    ]
    assert faults > count / 50
    assert len(service.seen) == count + faults
    assert service.most_under_way <= Service.most
    usage = client.account.models[MODEL_VERSION]
    assert (usage.calls, usage.retries, client.account.failed) == (count, faults, 0)
    assert usage.input_tokens == count * INPUT_TOKENS
    assert usage.output_tokens == count * (OUTPUT_TOKENS + THOUGHT_TOKENS)


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


LEAKS = {
    "401": Refuse(401, "key", echo=True),
    "400": Refuse(400, "key", echo=True),
    "400 of the question": Refuse(400, "server", echo=True),
    "429": Refuse(429, "rate", (("Retry-After", "0.01"),), echo=True),
    "quota": Refuse(429, "quota", echo=True),
    "500": Refuse(500, echo=True),
    "garbage": Raw(f"<html>{KEY}</html>".encode()),
    "cut": Raw(f'{{"candidates": "{KEY}'.encode(), cut=True),
    "reply": Say(f"the key is {KEY}"),
}


@pytest.mark.parametrize("act", LEAKS.values(), ids=LEAKS.keys())
def test_an_echoed_key_is_shown_nowhere(
    judge: str,
    act: Act,
    everything_logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Service, "attempts", 2)
    monkeypatch.setattr(Service, "patience", 0.05)
    (answer,), service, client = run(judge, lambda text, before: act, question())
    assert isinstance(answer, (JudgeError, StageStoppedError))
    assert any(KEY in value for value in service.seen[0].headers.values())
    shown = [everything_logged.text, *capfd.readouterr(), repr(client.__dict__), repr(answer)]
    error: BaseException | None = answer
    while error is not None:
        shown += [str(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    assert not [text for text in shown if KEY in text]
    # The service's own exception was logged, and held the key until then.
    assert HIDDEN in everything_logged.text or not getattr(act, "echo", False)
