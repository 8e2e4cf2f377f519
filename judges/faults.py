"""What a service's refusal means: ask again later, stop asking, or give up this question.

Its own text is matched here and never shown: an echoed key would be in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mmdia_eval.errors import StageStoppedError
from mmdia_eval.judges.client import GO_ON, JudgeError

LONGEST_WAIT = 900.0
"""Seconds. A service that asks for more is out of reach for this run."""

PERMANENT_QUOTA = (
    "insufficient_quota",
    "billing_hard_limit",
    "billing_not_active",
    "credits are depleted",
    "perday",
    "per day",
)
"""In the body of a 429 that no wait within the run mends: OpenAI's error codes, Gemini's message on
prepaid credits, Gemini's `quotaId` and message on daily limits. Gemini says "You exceeded your
current quota, please check your plan and billing details" of limits per minute too, then with a
`RetryInfo` (https://github.com/RooCodeInc/Roo-Code/issues/3883), and of limits per day with a
`RetryInfo` of seconds (https://github.com/diegosouzapw/OmniRoute/issues/9504)."""
QUOTA = "exceeded your current quota"
BAD_KEY = ("api_key_invalid", "api key not valid", "api key expired", "invalid_api_key")

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
_RETRY_DELAY = re.compile(r'"?retryDelay"?\'?:\s*["\']?([\d.]+)s')


class TransportError(JudgeError):
    """A fault of the way there or back: the same question may be asked again."""


class RateLimitError(TransportError):
    """The service asks to slow down; `seconds` is how long to wait, None where it does not say."""

    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(f"the service kept asking to slow down (HTTP {status})")
        self.seconds = seconds


def fault_of(
    status: int, body: str, headers: Mapping[str, str], *, model: str, key_name: str
) -> Exception:
    """The exception for a response that is no success.

    `body` is its text, `key_name` the environment variable to name where the key is refused.
    """
    seconds = wait_of(headers, body)
    stop = _reason_to_stop(status, body.lower(), seconds, model, key_name)
    if stop is not None:
        return StageStoppedError(f"{stop}. {GO_ON}")
    if status in {429, 529} or (status == 503 and seconds is not None):
        return RateLimitError(status, seconds)
    if status in {408, 409} or status >= 500:
        return TransportError(f"the service failed each time (HTTP {status})")
    return JudgeError(f"the service refused the question (HTTP {status})")


def _reason_to_stop(
    status: int, text: str, seconds: float | None, model: str, key_name: str
) -> str | None:
    if status in {401, 403} or (status == 400 and any(mark in text for mark in BAD_KEY)):
        return (
            f"the service refused the key (HTTP {status}): check {key_name}, and that its account "
            f"may use {model}"
        )
    if status == 404:
        return (
            f"the service has no model {model!r} (HTTP 404): check its name, whether it was "
            "withdrawn, and the address"
        )
    if status == 402 or (status == 429 and _is_permanent(text, seconds)):
        return (
            f"the quota of this account for {model} is spent (HTTP {status}); see the service's "
            "page on usage and billing"
        )
    if seconds is not None and seconds > LONGEST_WAIT and status in {429, 503, 529}:
        return f"the service asks to wait {seconds / 60:.0f} minutes (HTTP {status})"
    return None


def _is_permanent(text: str, seconds: float | None) -> bool:
    if any(mark in text for mark in PERMANENT_QUOTA):
        return True
    return QUOTA in text and seconds is None and "perminute" not in text


def wait_of(headers: Mapping[str, str], body: str = "") -> float | None:
    """Seconds a service asks to wait, None where it does not say.

    Read from `Retry-After-Ms`, `Retry-After` (seconds or a date, RFC 9110 10.2.3), the longer of
    OpenAI's `x-ratelimit-reset-requests` and `-tokens` ("1s", "6m0s", "20ms"), and the `retryDelay`
    of Gemini's `google.rpc.RetryInfo`.

    >>> wait_of({"Retry-After": "7"}), wait_of({"x-ratelimit-reset-tokens": "1m0.5s"})
    (7.0, 60.5)
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if (milliseconds := _number(lower.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    if (after := lower.get("retry-after")) is not None:
        seconds = _number(after)
        return seconds if seconds is not None else _until(after)
    resets = [lower.get(f"x-ratelimit-reset-{what}") for what in ("requests", "tokens")]
    waits = [_duration(reset) for reset in resets if reset]
    if waits:
        return max(waits)
    found = _RETRY_DELAY.search(body)
    return None if found is None else float(found[1])


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None


def _until(date: str) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _duration(text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        return _number(text) or 0.0
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
