"""Gemini through `google-genai`.

The key goes as the header `x-goog-api-key`, never in an address. Thinking is left at the model's
own default: its levels differ from model to model, 2.5 Pro and 3 Pro cannot be without it, and its
tokens count as output and against `max_output_tokens`, which therefore has to leave room for them
(https://ai.google.dev/gemini-api/docs/thinking).
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmdia_eval import registry
from mmdia_eval.api import Requirement
from mmdia_eval.errors import UserError
from mmdia_eval.judges.account import Budget
from mmdia_eval.judges.client import JudgeError, Media, Question, Reply
from mmdia_eval.judges.faults import TransportError, fault_of
from mmdia_eval.judges.service import INSTALL, Service

if TYPE_CHECKING:
    from google import genai
    from google.genai import types

API_VERSION = "v1beta"
"""`v1`, the default of google-genai 3, lacks the preview models and the `-latest` names."""
INLINE_BYTES = 20 * 1000 * 1000
"""A request of more than 20 MB must use the Files API (https://ai.google.dev/gemini-api/docs/audio;
raised to 100 MB for some models in January 2026). Counted after base64, which adds a third."""
POLL_SECONDS = 2.0
DEFAULT_MODEL = "gemini-3.8-flash"
"""What "gemini" alone stands for: the stable model that Google names as the successor of the
paper's gemini-2.5-pro, which is shut down on 2026-12-01
(https://ai.google.dev/gemini-api/docs/deprecations)."""


@registry.judge("gemini")
class Gemini(Service):
    """Models of the Gemini Developer API; the key is in GEMINI_API_KEY or GOOGLE_API_KEY."""

    requires = Requirement("google.genai", INSTALL)
    default_model = DEFAULT_MODEL
    key_names = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    poll_seconds = POLL_SECONDS
    inline_bytes = INLINE_BYTES

    def __init__(self, model: str, *, base_url: str | None, max_cost: Budget | None) -> None:
        super().__init__(model, base_url=base_url, max_cost=max_cost)
        if self.key is None:
            raise UserError(f"judge gemini:{model}: set GEMINI_API_KEY to a key of the Gemini API")
        self._client: genai.Client | None = None
        self._http: Any = None

    def open(self) -> None:
        if self._client is not None:
            return
        import httpx2  # noqa: PLC0415
        from google import genai  # noqa: PLC0415
        from google.genai import types  # noqa: PLC0415

        # Our own HTTP client: theirs is aiohttp or httpx2, as the machine has it.
        self._http = httpx2.AsyncClient(timeout=self.timeout, follow_redirects=True)
        self._client = genai.Client(
            api_key=self.key.get_secret_value() if self.key else None,
            vertexai=False,
            http_options=types.HttpOptions(
                api_version=API_VERSION,
                base_url=self.base_url,
                timeout=round(self.timeout * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=self._http,
            ),
        )

    def _opened(self) -> genai.Client:
        if self._client is None:
            raise RuntimeError("asked before it was opened")
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aio.aclose()
            self._client.close()
            await self._http.aclose()
            self._client = None

    async def send(self, question: Question) -> Reply:
        from google.genai import types  # noqa: PLC0415

        client = self._opened()
        uploaded: list[types.File] = []
        try:
            parts = await self._parts(client, question, uploaded)
            response = await client.aio.models.generate_content(
                model=self.model,
                contents=[types.Content(role="user", parts=parts)],
                config=types.GenerateContentConfig(
                    temperature=question.temperature,
                    seed=question.seed,
                    max_output_tokens=question.max_output_tokens,
                    response_mime_type=None if question.schema is None else "application/json",
                    response_json_schema=question.schema,
                ),
            )
        finally:
            for file in uploaded:
                await _delete(client, file)
        return self._read(response)

    async def _parts(
        self, client: genai.Client, question: Question, uploaded: list[types.File]
    ) -> list[types.Part]:
        from google.genai import types  # noqa: PLC0415

        inline = _request_bytes(question) <= self.inline_bytes
        parts = []
        for part in question.parts:
            if isinstance(part, str):
                parts.append(types.Part.from_text(text=part))
            elif inline:
                parts.append(types.Part.from_bytes(data=part.data, mime_type=part.mime_type))
            else:
                file = await client.aio.files.upload(
                    file=io.BytesIO(part.data),
                    config=types.UploadFileConfig(mime_type=part.mime_type),
                )
                uploaded.append(file)
                uri = await self._when_active(client, file)
                parts.append(types.Part.from_uri(file_uri=uri, mime_type=part.mime_type))
        return parts

    async def _when_active(self, client: genai.Client, file: types.File) -> str:
        from google.genai import types  # noqa: PLC0415

        while file.state == types.FileState.PROCESSING and file.name is not None:
            await asyncio.sleep(self.poll_seconds)
            file = await client.aio.files.get(name=file.name)
        if file.state == types.FileState.FAILED or file.uri is None:
            raise JudgeError("the service could not process an uploaded file")
        return file.uri

    def _read(self, response: types.GenerateContentResponse) -> Reply:
        usage = response.usage_metadata
        details = (usage.prompt_tokens_details if usage else None) or []
        text, refusal = _text(response)
        return Reply(
            text=text,
            model=response.model_version or self.model,
            input_tokens=(usage.prompt_token_count if usage else None) or 0,
            output_tokens=sum(
                tokens or 0
                for tokens in (
                    (usage.candidates_token_count, usage.thoughts_token_count) if usage else ()
                )
            ),
            retries=0,
            refusal=refusal,
            audio_tokens=sum(
                detail.token_count or 0 for detail in details if detail.modality == "AUDIO"
            ),
        )

    def explain(self, error: Exception) -> Exception:
        import httpx2  # noqa: PLC0415
        from google.genai import errors  # noqa: PLC0415

        if isinstance(error, errors.APIError):
            headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
            body = json.dumps(error.details, default=str)
            return fault_of(error.code, body, headers, model=self.model, key_name=self.key_names[0])
        if isinstance(error, httpx2.TransportError):
            return TransportError(f"no connection to the service ({type(error).__name__})")
        if isinstance(error, (ValueError, KeyError, errors.UnknownApiResponseError)):
            return TransportError("the service's answer is not in the form of its interface")
        return JudgeError(f"the client of the service failed ({type(error).__name__})")


def _request_bytes(question: Question) -> int:
    """Bytes of the request's body, nearly: media in base64."""
    return sum(
        (len(part.data) + 2) // 3 * 4 if isinstance(part, Media) else len(part.encode())
        for part in question.parts
    )


async def _delete(client: genai.Client, file: types.File) -> None:
    # The service forgets files after 48 hours by itself: no reason to lose a reply.
    import httpx2  # noqa: PLC0415
    from google.genai import errors  # noqa: PLC0415

    try:
        if file.name is not None:
            await client.aio.files.delete(name=file.name)
    except (errors.APIError, httpx2.TransportError):
        pass


def _text(response: types.GenerateContentResponse) -> tuple[str, str | None]:
    """The text of the first candidate, thoughts left out; or why there is none."""
    feedback = response.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        return "", f"the service blocked the question ({feedback.block_reason.value})"
    if not response.candidates:
        return "", "the service gave no candidate"
    candidate = response.candidates[0]
    parts = (candidate.content.parts if candidate.content else None) or []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    if text:
        return text, None
    reason = candidate.finish_reason.value if candidate.finish_reason else "no reason given"
    return "", f"the service gave no text ({reason})"
