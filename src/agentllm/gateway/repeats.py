"""Requests with an Idempotency-Key: where it is given, and under which id and time the answer goes out again."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Mapping
from contextvars import ContextVar

from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

from agentllm.errors import InvalidRequest
from agentllm.gateway.chunks import Answer

HEADER = "idempotency-key"
LONGEST_KEY = 255

STREAM: ContextVar[weakref.ref[CustomStreamWrapper] | None] = ContextVar("agentllm_stream", default=None)
"""LiteLLM's own reader of the streamed answer of this request."""


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The key that the request came with, None where it has none.

    Raises:
        InvalidRequest: it has not 1 to 255 printable characters.
    """
    key = headers.get(HEADER)
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise InvalidRequest(
            f"The header Idempotency-Key has {len(key)} characters; it must have 1 to {LONGEST_KEY}, "
            "all of them printable.",
            param=HEADER,
        )
    return key


def identify(answer: Answer, answer_id: str, created: int) -> None:
    """Have `answer` go out under this id and time, of which nothing was sent yet.

    LiteLLM gives the chunks that it makes itself the time of its own reader.
    """
    answer.id, answer.created = answer_id, created
    reference = STREAM.get()
    if reference is not None and (stream := reference()) is not None:
        stream.created = created
        if (inner := _inner(stream)) is not None:
            inner.created = created


def _inner(stream: CustomStreamWrapper) -> CustomStreamWrapper | None:
    """The reader that `stream` reads, where it is one of LiteLLM's router, which knows it in its class alone."""
    found = inspect.getclosurevars(type(stream).__init__).nonlocals.get("model_response")
    return found if isinstance(found, CustomStreamWrapper) else None
