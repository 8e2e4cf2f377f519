"""A judge service on this machine: Gemini's REST interface and OpenAI's chat completions.

It answers the real clients by a script: a function of the question's first text and of how often
that text came before. The server runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

MODEL_VERSION = "loopback-judge-001"
INPUT_TOKENS, AUDIO_TOKENS, OUTPUT_TOKENS, THOUGHT_TOKENS = 1000, 640, 40, 10


@dataclass(frozen=True)
class Say:
    """A reply. `refused`: "question" or "reply" for a safety block, "empty" for no candidates."""

    text: str = '{"score": 4}'
    refused: str | None = None


@dataclass(frozen=True)
class Refuse:
    """An error in the wire's own form; `echo` puts the key it came with into the message."""

    status: int
    why: str = "server"
    headers: tuple[tuple[str, str], ...] = ()
    echo: bool = False


@dataclass(frozen=True)
class Raw:
    """A body as it is, under status 200; `cut`: promised longer than it is."""

    body: bytes
    cut: bool = False


@dataclass(frozen=True)
class Drip:
    """A good reply, a byte at a time, so that it would take `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Hang:
    """Nothing for so long."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """The connection breaks."""


Act = Say | Refuse | Raw | Drip | Hang | Reset
Script = Callable[[str, int], Act]


TRANSIENT: dict[str, Act] = {
    "429 with Retry-After": Refuse(429, "rate", (("Retry-After", "0.05"),)),
    "429 with x-ratelimit-reset": Refuse(429, "rate", (("x-ratelimit-reset-requests", "50ms"),)),
    "429 alone": Refuse(429, "rate"),
    "500": Refuse(500),
    "503": Refuse(503),
    "408": Refuse(408),
    "connection reset": Reset(),
    "no answer in time": Hang(5.0),
    "answer too slow": Drip(5.0),
    "body cut off": Raw(b'{"candidates": [', cut=True),
    "garbage": Raw(b"<html>bad gateway</html>"),
}
PERMANENT: dict[str, Act] = {
    "quota spent": Refuse(429, "quota"),
    "daily quota spent": Refuse(429, "day"),
    "unpaid": Refuse(402, "quota"),
    "key refused": Refuse(401, "key"),
    "no permission": Refuse(403, "key"),
    "unknown model": Refuse(404, "model"),
    "hours to wait": Refuse(429, "rate", (("Retry-After", "7200"),)),
}
UNWELCOME: dict[str, Act] = {
    "truncated JSON": Say('{"score": 4'),
    "prose around JSON": Say('Here you are:\n```json\n{"score": 4}\n```\nEnjoy!'),
    "score out of range": Say('{"score": 11}'),
    "wrong number of lines": Say("4\n4\n4"),
    "white space": Say(" \n"),
}
REFUSED: dict[str, Act] = {
    "question blocked": Say("", "question"),
    "reply blocked": Say("", "reply"),
    "no candidates": Say("", "empty"),
}


@dataclass(frozen=True)
class Seen:
    """A question as it came: `url` with its query, the body parsed."""

    text: str
    url: str
    headers: dict[str, str]
    body: dict[str, Any]


QUOTA = "You exceeded your current quota, please check your plan and billing details."
MESSAGES = {
    "rate": "Resource has been exhausted (e.g. check quota).",
    "minute": QUOTA,
    "day": QUOTA,
    "quota": QUOTA,
    "key": "API key not valid. Please pass a valid API key.",
    "model": "model is not found",
    "server": "internal error",
    "schema": "Invalid parameter: 'response_format' is not supported with this model.",
}


@dataclass
class LoopbackJudge:
    """`with LoopbackJudge(script) as service:`; `service.url` is the base URL of both interfaces.

    `delay`: seconds each answer takes. `polls`: how often an uploaded file is still PROCESSING.
    """

    script: Script = lambda text, before: Say()
    delay: float = 0.0
    polls: int = 1
    seen: list[Seen] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    most_under_way: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._came: Counter[str] = Counter()
        self._polled: Counter[str] = Counter()
        self._under_way = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> LoopbackJudge:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**30)
        app.router.add_post("/{version}/models/{model}:generateContent", self._gemini)
        app.router.add_post("/upload/{version}/files", self._begin_upload)
        app.router.add_post("/upload/bytes/{id}", self._upload)
        app.router.add_get("/{version}/files/{id}", self._file)
        app.router.add_delete("/{version}/files/{id}", self._delete)
        app.router.add_post("/chat/completions", self._openai)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _gemini(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        parts = body["contents"][0]["parts"]
        text = next(part["text"] for part in parts if "text" in part)
        return await self._play(request, body, text, _gemini_reply, _gemini_error)

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        parts = body["messages"][0]["content"]
        text = next(part["text"] for part in parts if part["type"] == "text")
        return await self._play(request, body, text, _openai_reply, _openai_error)

    async def _play(
        self,
        request: web.Request,
        body: dict[str, Any],
        text: str,
        reply: Callable[[Say], Any],
        error: Callable[[Refuse, str], Any],
    ) -> web.StreamResponse:
        self.seen.append(Seen(text, str(request.rel_url), dict(request.headers), body))
        act = self.script(text, self._came[text])
        self._came[text] += 1
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            return await self._act(request, act, reply, error)
        finally:
            self._under_way -= 1

    async def _act(
        self,
        request: web.Request,
        act: Act,
        reply: Callable[[Say], Any],
        error: Callable[[Refuse, str], Any],
    ) -> web.StreamResponse:
        if isinstance(act, Drip):
            data = json.dumps(reply(Say())).encode()
            return await self._stream(request, data, act.seconds / len(data), len(data))
        if isinstance(act, Raw):
            return await self._stream(request, act.body, 0.0, len(act.body) + 100 * act.cut)
        if isinstance(act, Refuse):
            key = request.headers.get("x-goog-api-key") or request.headers["authorization"]
            message = MESSAGES[act.why] + (f" You sent {key}." if act.echo else "")
            body = error(act, message)
            return web.json_response(body, status=act.status, headers=dict(act.headers))
        if isinstance(act, Reset):
            assert request.transport is not None
            request.transport.abort()
        if isinstance(act, Hang):
            await asyncio.sleep(act.seconds)
        return web.json_response(reply(act if isinstance(act, Say) else Say()))

    async def _stream(
        self, request: web.Request, data: bytes, pause: float, length: int
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Content-Length": str(length)}
        )
        await response.prepare(request)
        with suppress(ConnectionResetError):
            for place in range(len(data)):
                await response.write(data[place : place + 1])
                await asyncio.sleep(pause)
        if length > len(data) and request.transport is not None:
            request.transport.close()
        return response

    async def _begin_upload(self, request: web.Request) -> web.Response:
        name = f"file{len(self.files)}"
        self.files[name] = b""
        return web.json_response(
            {}, headers={"X-Goog-Upload-URL": f"{self.url}/upload/bytes/{name}"}
        )

    async def _upload(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        self.files[name] += await request.read()
        final = "finalize" in request.headers["X-Goog-Upload-Command"]
        return web.json_response(
            {"file": self._describe(name)},
            headers={"X-Goog-Upload-Status": "final" if final else "active"},
        )

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        self._polled[name] += 1
        return web.json_response(self._describe(name))

    async def _delete(self, request: web.Request) -> web.Response:
        self.deleted.append(request.match_info["id"])
        return web.json_response({})

    def _describe(self, name: str) -> dict[str, Any]:
        state = "PROCESSING" if self._polled[name] < self.polls else "ACTIVE"
        return {"name": f"files/{name}", "uri": f"{self.url}/v1beta/files/{name}", "state": state}


def _gemini_reply(say: Say) -> dict[str, Any]:
    usage = {
        "promptTokenCount": INPUT_TOKENS,
        "candidatesTokenCount": OUTPUT_TOKENS,
        "thoughtsTokenCount": THOUGHT_TOKENS,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": INPUT_TOKENS - AUDIO_TOKENS},
            {"modality": "AUDIO", "tokenCount": AUDIO_TOKENS},
        ],
    }
    common = {"usageMetadata": usage, "modelVersion": MODEL_VERSION}
    if say.refused == "question":
        return {"promptFeedback": {"blockReason": "SAFETY"}, **common}
    if say.refused == "empty":
        return {"candidates": [], **common}
    if say.refused == "reply":
        return {"candidates": [{"finishReason": "SAFETY"}], **common}
    parts = [{"text": "a thought", "thought": True}, {"text": say.text}]
    content = {"role": "model", "parts": parts}
    return {"candidates": [{"content": content, "finishReason": "STOP"}], **common}


def _gemini_error(act: Refuse, message: str) -> dict[str, Any]:
    details: list[dict[str, Any]] = []
    if act.why in {"minute", "day"}:
        id_ = f"GenerateRequestsPer{act.why.capitalize()}PerProjectPerModel"
        rpc = "type.googleapis.com/google.rpc."
        details.append({"@type": f"{rpc}QuotaFailure", "violations": [{"quotaId": id_}]})
        details.append({"@type": f"{rpc}RetryInfo", "retryDelay": "0.05s"})
    error = {"code": act.status, "message": message, "status": "SOME_STATUS", "details": details}
    return {"error": error}


def _openai_reply(say: Say) -> dict[str, Any]:
    message = {"role": "assistant", "content": say.text, "refusal": None}
    reason = "stop"
    if say.refused == "question":
        message |= {"content": None, "refusal": "I can't help with that."}
    if say.refused == "reply":
        message["content"], reason = None, "content_filter"
    choices = [{"index": 0, "message": message, "finish_reason": reason}]
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL_VERSION,
        "choices": [] if say.refused == "empty" else choices,
        "usage": {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS + THOUGHT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS + THOUGHT_TOKENS,
            "prompt_tokens_details": {"audio_tokens": AUDIO_TOKENS, "cached_tokens": 0},
        },
    }


def _openai_error(act: Refuse, message: str) -> dict[str, Any]:
    codes = {"quota": "insufficient_quota", "day": "insufficient_quota", "key": "invalid_api_key"}
    return {"error": {"message": message, "type": "some_type", "code": codes.get(act.why)}}
