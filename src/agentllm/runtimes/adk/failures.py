"""What an ADK run failed with, as the error that a client is told; nothing that was said goes to the log."""

from __future__ import annotations

import logging
from typing import Any

from google.genai.errors import APIError

from agentllm.core import Turn
from agentllm.errors import AgentFailed, AgentLLMError, InvalidRequest, ModelFailed, origin
from agentllm.llm.retry_after import retry_after
from agentllm.llm.router import own_words
from agentllm.runtimes.adk.calls import Calls

log = logging.getLogger("agentllm.adk")


def failure(error: Exception, calls: Calls, turn: Turn) -> AgentLLMError:
    """The error for a run that ended with `error`: the model's where that was in a call of it."""
    found = _ours(error)
    if found is not None:
        return found
    if calls.error is not None and _is_of(error, calls.error):
        return _of_model(calls.error, calls, turn)
    log.error("agent %r failed in run %s: %s", turn.agent, turn.id, origin(error))
    return AgentFailed(f"The agent {turn.agent!r} failed in run {turn.id}. Its operator finds the cause in the log.")


def _of_model(error: Exception, calls: Calls, turn: Turn) -> AgentLLMError:
    if isinstance(error, ValueError) and any(message.media for message in turn.messages):
        return InvalidRequest(
            f"The model {calls.model!r} of the agent {turn.agent!r} does not take what a message holds beside its "
            "text. Leave it out, or send it as another type.",
            param="messages",
        )
    status, words = _told(error, calls.status)
    detail = " ".join(words.split()) or type(error).__name__
    message = f"The language model {calls.model!r} failed: {detail[:500]}"
    return ModelFailed(message, status=status, retry_after=retry_after(error))


def _told(error: Exception, status: int) -> tuple[int, str]:
    """The status and the words of a model's error, of whichever provider's client it is; `status` is LiteLLM's."""
    if isinstance(error, APIError):
        return (error.code if 400 <= error.code <= 599 else 502), str(error.message or error)
    if isinstance(getattr(error, "status_code", None), int):
        return status, own_words(error)
    nested: Any = getattr(getattr(error, "response", None), "status_code", None)
    return (nested if isinstance(nested, int) and nested >= 400 else status), own_words(error)


def _is_of(error: BaseException | None, wanted: BaseException) -> bool:
    while error is not None and error is not wanted:
        error = error.__cause__ or error.__context__
    return error is not None


def _ours(error: BaseException | None) -> AgentLLMError | None:
    while error is not None and not isinstance(error, AgentLLMError):
        error = error.__cause__
    return error
