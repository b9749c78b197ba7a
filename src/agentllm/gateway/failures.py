"""Errors on their way to LiteLLM: as its exceptions, never retried, and remembered for retries that come anyway."""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextvars import ContextVar
from typing import Any

import httpx
import litellm.exceptions as litellm_errors

from agentllm.core import Caller
from agentllm.errors import (
    AgentFailed,
    AgentLLMError,
    AuthenticationFailed,
    InvalidRequest,
    MalformedAnswer,
    ModelFailed,
    UnknownAgent,
    origin,
)

log = logging.getLogger("agentllm.gateway")

PROVIDER = "agno"
"""The provider that LiteLLM's errors of agents name."""

MARK = "agentllm_quotes_request"
"""The attribute of exceptions made here that says whether their text may quote the request."""

STREAM_HEADERS: ContextVar[dict[str, Any] | None] = ContextVar("agentllm_stream_headers", default=None)
"""Headers that LiteLLM's proxy adds to the streamed answer of this request; they count until its first chunk."""

_BY_STATUS: dict[int, type[Exception]] = {
    400: litellm_errors.BadRequestError,
    401: litellm_errors.AuthenticationError,
    403: litellm_errors.PermissionDeniedError,
    404: litellm_errors.NotFoundError,
    422: litellm_errors.UnprocessableEntityError,
    429: litellm_errors.RateLimitError,
    500: litellm_errors.InternalServerError,
    502: litellm_errors.BadGatewayError,
    503: litellm_errors.ServiceUnavailableError,
}
_MAY_QUOTE = (InvalidRequest, UnknownAgent, AuthenticationFailed, MalformedAnswer, ModelFailed)
_NEEDS_RESPONSE = frozenset({403, 422})


def as_ours(error: Exception, agent: str) -> AgentLLMError:
    """`error`; one that is not ours is logged with its origin, and told to the client without it."""
    if isinstance(error, AgentLLMError):
        return error
    log.error("unexpected error of the agent %r: %s", agent, origin(error))
    return AgentFailed(f"The agent {agent!r} failed. Its operator finds the cause in the log.")


def to_litellm(error: Exception, model: str) -> Exception:
    """`error` as the exception of LiteLLM that has its status.

    It says that the call must not be tried again, because an agent may have acted already.
    """
    ours = as_ours(error, model)
    made = _make(ours, model)
    mark(made, ours)
    made.num_retries = 0  # type: ignore[attr-defined]  # LiteLLM's router reads it
    if ours.retry_after is not None:
        headers = {"retry-after": str(ours.retry_after)}
        made.headers = headers  # type: ignore[attr-defined]  # and its proxy this, where nothing is streamed
        if (of_stream := STREAM_HEADERS.get()) is not None:
            of_stream.update(headers)
    return made


def mark(made: Exception, error: AgentLLMError) -> None:
    """Note on `made`, which is to tell of `error`, whether that may quote the request."""
    setattr(made, MARK, isinstance(error, _MAY_QUOTE))


def _make(error: AgentLLMError, model: str) -> Exception:
    kwargs: dict[str, Any] = {"message": error.message, "llm_provider": PROVIDER, "model": model}
    cls = _BY_STATUS.get(error.status)
    if cls is None:
        made: Any = litellm_errors.APIError(status_code=error.status, **kwargs)
    else:
        if error.status in _NEEDS_RESPONSE:
            kwargs["response"] = httpx.Response(error.status, request=httpx.Request("POST", "https://agentllm.invalid"))
        made = cls(**kwargs)
    made.type = error.type
    if isinstance(error, InvalidRequest):
        made.param = error.param
    return made  # type: ignore[no-any-return]  # an exception


class FailedCalls:
    """The errors of the newest calls, by LiteLLM's call id: a retry gets its first error again.

    A client can make LiteLLM try again whatever we say; the agent must not run twice for it.
    """

    def __init__(self, size: int = 1_000) -> None:
        self._size = size
        self._errors: OrderedDict[tuple[str, ...], AgentLLMError] = OrderedDict()

    def remember(self, call_id: str | None, caller: Caller, agent: str, error: AgentLLMError) -> None:
        if call_id is None:
            return
        self._errors[call_id, agent, *caller.principal] = error
        if len(self._errors) > self._size:
            self._errors.popitem(last=False)

    def recall(self, call_id: str | None, caller: Caller, agent: str) -> AgentLLMError | None:
        return None if call_id is None else self._errors.get((call_id, agent, *caller.principal))
