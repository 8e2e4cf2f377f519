"""OpenAI's chat completions through `openai`: OpenAI itself, or a server that speaks the same.

vLLM and SGLang serve Qwen-Omni and the like at any `base_url`; they take video as `video_url`,
which OpenAI's own models do not. A server that refuses `response_format` (OpenAI's gpt-audio has no
structured output: https://developers.openai.com/api/docs/models/gpt-audio-1.5) is given the schema
as text after the question, from then on; this is logged once as a warning.
"""

from __future__ import annotations

import base64
import json
import logging
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
    import openai
    from openai.types.chat import ChatCompletion

logger = logging.getLogger(__name__)

AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
"""What `input_audio` takes (https://developers.openai.com/api/docs/guides/audio)."""
NO_KEY = "none"
SCHEMA_AS_TEXT = "Answer with JSON alone, in one object that follows this JSON Schema:\n"


@registry.judge("openai")
class OpenAICompatible(Service):
    """The key is in OPENAI_API_KEY; with a `base_url` it may be absent."""

    requires = Requirement("openai", INSTALL)
    key_names = ("OPENAI_API_KEY",)

    def __init__(self, model: str, *, base_url: str | None, max_cost: Budget | None) -> None:
        super().__init__(model, base_url=base_url, max_cost=max_cost)
        if self.key is None and base_url is None:
            raise UserError(
                f"judge openai:{model}: set OPENAI_API_KEY, or give the address of a server that "
                "needs none"
            )
        self._client: openai.AsyncOpenAI | None = None
        self._takes_schema = True

    def open(self) -> None:
        if self._client is None:
            import openai  # noqa: PLC0415

            self._client = openai.AsyncOpenAI(
                api_key=self.key.get_secret_value() if self.key else NO_KEY,
                base_url=self.base_url,
                timeout=self.timeout,
                max_retries=0,
            )

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def send(self, question: Question) -> Reply:
        import openai  # noqa: PLC0415

        content = [_content(part) for part in question.parts]
        if question.schema is None:
            return _read(await self._complete(question, content), self.model)
        if self._takes_schema:
            try:
                completion = await self._complete(
                    question, content, response_format=_response_format(question.schema)
                )
            except (openai.BadRequestError, openai.UnprocessableEntityError):
                logger.debug("%s: asked again without response_format", question.name)
            else:
                return _read(completion, self.model)
        content.append({"type": "text", "text": SCHEMA_AS_TEXT + json.dumps(question.schema)})
        completion = await self._complete(question, content)
        if self._takes_schema:
            # Had the refusal another reason, this would have been refused as well.
            self._takes_schema = False
            logger.warning("%s takes no JSON Schema: it goes as text in the question", self.model)
        return _read(completion, self.model)

    async def _complete(
        self, question: Question, content: list[dict[str, Any]], **more: Any
    ) -> ChatCompletion:
        if question.temperature is not None:
            more["temperature"] = question.temperature
        if question.seed is not None:
            more["seed"] = question.seed
        if self._client is None:
            raise RuntimeError("asked before it was opened")
        messages: Any = [{"role": "user", "content": content}]
        completion: ChatCompletion = await self._client.chat.completions.create(
            model=self.model,
            messages=messages,
            max_completion_tokens=question.max_output_tokens,
            **more,
        )
        return completion

    def explain(self, error: Exception) -> Exception:
        import openai  # noqa: PLC0415

        if isinstance(error, openai.APIStatusError):
            response = error.response
            return fault_of(
                response.status_code,
                response.text,
                response.headers,
                model=self.model,
                key_name=self.key_names[0],
            )
        if isinstance(error, openai.APIConnectionError):
            return TransportError(f"no connection to the service ({type(error).__name__})")
        if isinstance(error, (ValueError, TypeError, AttributeError, openai.APIError)):
            return TransportError("the service's answer is not in the form of its interface")
        return JudgeError(f"the client of the service failed ({type(error).__name__})")


def _content(part: str | Media) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    data = base64.b64encode(part.data).decode()
    if part.mime_type in AUDIO_FORMATS:
        audio = {"data": data, "format": AUDIO_FORMATS[part.mime_type]}
        return {"type": "input_audio", "input_audio": audio}
    kind = part.mime_type.partition("/")[0]
    if kind not in {"image", "video"}:
        raise JudgeError(f"this interface takes no {part.mime_type}: send sound as audio/wav")
    url = {"url": f"data:{part.mime_type};base64,{data}"}
    return {"type": f"{kind}_url", f"{kind}_url": url}


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": dict(schema), "strict": True},
    }


def _read(completion: ChatCompletion, asked: str) -> Reply:
    usage = completion.usage
    details = usage.prompt_tokens_details if usage else None
    text, refusal = "", "the service gave no choice"
    if completion.choices:
        choice = completion.choices[0]
        text = choice.message.content or ""
        reason = choice.message.refusal or f"no text ({choice.finish_reason})"
        refusal = f"the service refused: {reason}" if choice.message.refusal else reason
    return Reply(
        text=text,
        model=completion.model or asked,
        input_tokens=usage.prompt_tokens if usage else 0,
        output_tokens=usage.completion_tokens if usage else 0,
        retries=0,
        refusal=None if text else refusal,
        audio_tokens=(details.audio_tokens if details else None) or 0,
    )
