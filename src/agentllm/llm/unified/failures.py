"""LiteLLM's exceptions as errors of ours, with the provider's status and words."""

from __future__ import annotations

import json

import httpx
from litellm import exceptions
from litellm.litellm_core_utils.exception_mapping_utils import ExceptionCheckers

from agentllm.errors import (
    AgentLLMError,
    BudgetExceeded,
    ContentRefused,
    ContextTooLong,
    ModelFailed,
    ModelKeyRefused,
    ModelRateLimited,
    ModelRequestRefused,
    ModelTimedOut,
    ProviderDown,
)
from agentllm.llm.retry_after import retry_after
from agentllm.llm.router import is_of_budget, own_words, status_of

PASSING = (ModelRateLimited, ModelTimedOut, ProviderDown)
"""What may go well if it is tried again."""

_LONGEST = 500
_BY_STATUS: dict[int, type[ModelFailed]] = {
    401: ModelKeyRefused,
    403: ModelKeyRefused,
    408: ModelTimedOut,
    429: ModelRateLimited,
    504: ModelTimedOut,
}


def as_failure(error: Exception, model: str) -> AgentLLMError:
    """What `error`, which a call of `model` ended in, is called here: a `ModelFailed`, or `BudgetExceeded`."""
    if isinstance(error, AgentLLMError):
        return error
    cause = _cause(error)
    if is_of_budget(cause):  # whose message names what others may spend
        return BudgetExceeded(f"The budget for the language model {model!r} is used up. Ask its operator for more.")
    words = " ".join(_message(own_words(cause)).split())
    message = f"The language model {model!r} failed: {words[:_LONGEST]}"
    status = 504 if _is_timeout(cause) else status_of(error)
    return _kind(cause, status, words)(message, status=status, retry_after=retry_after(cause))


def _cause(error: Exception) -> Exception:
    """What LiteLLM wraps where a stream ends in an error."""
    original = getattr(error, "original_exception", None)
    return original if isinstance(original, Exception) else error


def _is_timeout(error: BaseException) -> bool:
    """Whether it goes back to a wait that was too long; within streams LiteLLM calls that a broken connection."""
    seen = error.__cause__ or error.__context__
    while seen is not None and not isinstance(seen, TimeoutError | httpx.TimeoutException):
        seen = seen.__cause__ or seen.__context__
    return seen is not None


def _message(words: str) -> str:
    """The message in what LiteLLM gives of Google's and others' errors, in which their JSON stands."""
    body = words[words.find("{") : words.rfind("}") + 1].replace("\\'", "'")  # as Python shows bytes
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return words


def _kind(error: Exception, status: int, words: str) -> type[ModelFailed]:
    # LiteLLM does not look at the words where a stream of Google's is refused.
    is_too_long = status == 400 and ExceptionCheckers.is_error_str_context_window_exceeded(words)
    if is_too_long or isinstance(error, exceptions.ContextWindowExceededError):
        return ContextTooLong
    if isinstance(error, exceptions.ContentPolicyViolationError):
        return ContentRefused
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ProviderDown if status >= 500 else ModelRequestRefused
