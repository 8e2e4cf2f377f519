"""What lies under the clients of judges: pace, waits, prices, recorded replies, keys."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdia_eval import keys
from mmdia_eval.errors import UserError
from mmdia_eval.files import write_atomic
from mmdia_eval.judges import account
from mmdia_eval.judges.account import Account, price_of
from mmdia_eval.judges.client import JudgeError, Question, Reply, connect
from mmdia_eval.judges.faults import wait_of
from mmdia_eval.judges.pace import FIRST, Pace
from mmdia_eval.judges.replay import RecordedReply, Replay, write_replies

KEY = "canary-key-0123456789-abcdefghij"


def test_the_pace_doubles_each_round_until_pushed_back_then_creeps() -> None:
    pace = Pace(32)
    for _ in range(FIRST):
        pace.succeed()
    assert pace.limit == 2 * FIRST
    for _ in range(100):
        pace.succeed()
    assert pace.limit == 32
    pace.push_back(began=float("inf"), seconds=0.0)
    assert pace.limit == 16
    for _ in range(16):
        pace.succeed()
    assert 16.9 < pace.limit <= 17


def test_questions_sent_before_a_push_back_do_not_halve_again() -> None:
    async def storm(pace: Pace) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(FIRST):
                group.create_task(refused(pace))

    async def refused(pace: Pace) -> None:
        async with pace.turn() as began:
            await asyncio.sleep(0.01)
            pace.push_back(began, 0.0)

    pace = Pace(32)
    asyncio.run(storm(pace))
    assert pace.limit == FIRST / 2


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 64))
def test_the_pace_stays_between_one_and_its_most(outcomes: list[bool], most: int) -> None:
    pace = Pace(most)
    for answered in outcomes:
        if answered:
            pace.succeed()
        else:
            pace.push_back(float("inf"), 0.0)
        assert 1 <= pace.limit <= max(1, most)


def test_a_push_back_holds_all_and_then_lets_few_go() -> None:
    async def go() -> tuple[float, int]:
        pace = Pace(32)
        most = 0

        async def one() -> None:
            nonlocal most
            async with pace.turn():
                most = max(most, pace.under_way)
                await asyncio.sleep(0.001)

        loop = asyncio.get_running_loop()
        pace.push_back(float("inf"), 0.1)
        begin = loop.time()
        await asyncio.gather(*(one() for _ in range(10)))
        return loop.time() - begin, most

    seconds, most = asyncio.run(go())
    assert seconds >= 0.1
    assert most == FIRST / 2


def test_the_services_packages_are_not_imported_with_the_plugins() -> None:
    heavy = "google.genai", "openai", "tenacity", "httpx2"
    code = (
        "import sys; from mmdia_eval import registry; "
        f"print(sorted(registry.judge), [m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['gemini', 'openai', 'replay'] []"


def test_waits_in_every_form() -> None:
    assert wait_of({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert wait_of({"Retry-After": "9"}) == 9
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert wait_of({"Retry-After": soon}) == pytest.approx(29.5, abs=1)
    assert wait_of({"Retry-After": "whenever"}) is None
    resets = {"X-RateLimit-Reset-Requests": "20ms", "X-RateLimit-Reset-Tokens": "6m0s"}
    assert wait_of(resets) == 360
    assert wait_of({"x-ratelimit-reset-tokens": "1h2m3.5s"}) == 3723.5
    assert wait_of({}, json.dumps({"details": [{"retryDelay": "34.07s"}]})) == 34.07
    assert wait_of({}) is None


def test_a_price_is_that_of_the_model_or_of_a_dated_version_and_no_other() -> None:
    price = price_of("gpt-audio")
    assert price is not None
    assert price_of("gpt-audio-2025-08-28") is price
    assert price_of("gpt-audio-mini") is None
    assert price_of("gemini-2.5-flash-lite") is None
    assert price_of("models/gemini-2.5-flash") is price_of("gemini-2.5-flash-001") is not None


def test_a_long_prompt_costs_the_higher_price_as_a_whole() -> None:
    price = price_of("gemini-2.5-pro")
    assert price is not None
    assert price.of(200_000, 1000) == pytest.approx(0.25 + 0.01)
    assert price.of(200_001, 1000) == pytest.approx(200_001 * 2.5e-6 + 0.015)


def test_every_price_says_where_it_is_from() -> None:
    prices, tokens = account._table()
    assert all("https://" in price.source for price in prices.values())
    assert all("https://" in rates.source for rates in tokens.values())
    assert all(datetime.fromisoformat(price.date) for price in prices.values())


def test_one_unknown_price_makes_the_sum_unknown() -> None:
    reply = Reply("x", "one", 1_000_000, 0, 0, None)
    counted = Account()
    counted.add(reply, price_of("gemini-2.5-flash"))
    assert counted.cost == pytest.approx(0.30)
    counted.add(Reply("x", "two", 1, 0, 0, None), None)
    assert (counted.cost, counted.calls) == (None, 2)


def recorded(name: str, **changes: object) -> RecordedReply:
    fields = {
        "name": name,
        "reply": '{"score": 4}\n',
        "model": "judge-001",
        "input_tokens": 10,
        "output_tokens": 2,
        "retries": 1,
        "refusal": None,
        "prompt_sha256": "0" * 64,
    }
    return RecordedReply.model_validate(fields | changes)


def test_recorded_replies_come_back_in_the_order_they_were_said(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    said = [recorded(f"r/a/{draw}", refusal="blocked", audio_tokens=3) for draw in range(11)]
    other = recorded("r/b/0", clip=1, clips=5)
    write_replies(path, [other, *said[::-1], other])
    assert len(path.read_text().splitlines()) == 12
    client = connect(f"replay:{path}", max_cost=0.0)
    assert isinstance(client, Replay)
    assert list(client.recorded("r/a")) == said
    assert list(client.recorded("r/b")) == [other]
    assert client.recorded("r/c") == []
    assert asdict(other.as_reply) == asdict(Reply('{"score": 4}\n', "judge-001", 10, 2, 1, None))
    assert said[0].as_reply.refusal == "blocked"


def test_a_new_question_has_no_reply(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    write_replies(path, [recorded("r/a/1")])
    client = connect(f"replay:{path}")
    with pytest.raises(JudgeError, match=r"replies\.jsonl has no reply to the question 'r/b/1'"):
        asyncio.run(client.ask(Question("r/b/1", ("text",), None, 0.0, None, 10)))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"replies\.jsonl:2: not valid JSON"),
        ('{"name": "x"}', r"replies\.jsonl:2: reply: Field required"),
        (recorded("r/a/1").model_dump_json(), r"replies\.jsonl:2: a second reply .* 'r/a/1'"),
        (recorded("x").model_dump_json(), "name: 'x' is not <kind>/<dialogue id>/<draw>"),
        (
            recorded("r/b/1", prompt_sha256="1" * 64).model_dump_json(),
            r"replies\.jsonl:2: prompt_sha256 is not that of the 'r' before",
        ),
        (
            json.dumps(recorded("r/x/0").model_dump() | {"retries": -1}),
            r"replies\.jsonl:2: retries: .*greater than or equal to 0",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(f"{recorded('r/a/1').model_dump_json()}\n{line}\n")
    with pytest.raises(UserError, match=message):
        connect(f"replay:{path}")


def test_two_replies_of_one_name_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    with pytest.raises(UserError, match="two replies to the question 'r/x/0'"):
        write_replies(path, [recorded("r/x/0"), recorded("r/x/0", retries=2)])
    assert not path.exists()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    found = keys.read_key("OPENAI_API_KEY")
    assert found is not None
    assert KEY not in repr(found)
    return found.get_secret_value()


def test_nothing_with_a_key_in_it_is_written(tmp_path: Path, key: str) -> None:
    assert key == KEY
    with pytest.raises(keys.KeyLeakError, match=r"x\.json: not written") as caught:
        write_atomic(tmp_path / "x.json", json.dumps({"reply": f"it is {KEY}!"}).encode())
    assert KEY not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(keys.KeyLeakError):
        write_replies(tmp_path / "x.jsonl", [recorded("r/x/0", reply=KEY)])


def test_a_short_key_for_a_local_server_is_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "EMPTY")
    write_atomic(tmp_path / "x", b"EMPTY")
    assert (tmp_path / "x").read_bytes() == b"EMPTY"


def test_no_log_record_shows_a_key(key: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    log = logging.getLogger("somebody.else")
    log.info("sent %s to %s", {"authorization": f"Bearer {KEY}"}, "https://x/?key=" + KEY)
    log.error("it failed", exc_info=ValueError(f"401: you sent {KEY}"))
    assert KEY not in caplog.text
    assert caplog.text.count(keys.HIDDEN) == 3
    assert "ValueError: 401: you sent [key]" in caplog.text


@pytest.mark.parametrize("name", ["httpx", "httpx2", "openai", "google_genai.models", "httpcore"])
def test_the_clients_own_logs_are_quiet(name: str, key: str) -> None:
    assert not logging.getLogger(name).isEnabledFor(logging.INFO)
