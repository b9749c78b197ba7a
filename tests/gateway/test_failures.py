"""Errors on their way to LiteLLM."""

from __future__ import annotations

import litellm.exceptions as litellm_errors
import pytest

from agentllm.core import Caller
from agentllm.errors import (
    AgentFailed,
    AgentLLMError,
    AgentUnavailable,
    AuthenticationFailed,
    ConversationBusy,
    InvalidRequest,
    ModelFailed,
    RunTimedOut,
    StoreUnavailable,
    UnknownAgent,
)
from agentllm.gateway.failures import STREAM_HEADERS, FailedCalls, to_litellm

ME, OTHER = Caller("key", "me"), Caller("key", "other")


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (InvalidRequest("x"), litellm_errors.BadRequestError, 400),
        (AuthenticationFailed("x"), litellm_errors.AuthenticationError, 401),
        (ModelFailed("x", status=403), litellm_errors.PermissionDeniedError, 403),
        (UnknownAgent("x", []), litellm_errors.NotFoundError, 404),
        (ModelFailed("x", status=422), litellm_errors.UnprocessableEntityError, 422),
        (ModelFailed("x", status=429), litellm_errors.RateLimitError, 429),
        (AgentFailed("x"), litellm_errors.InternalServerError, 500),
        (ModelFailed("x"), litellm_errors.BadGatewayError, 502),
        (AgentUnavailable("x"), litellm_errors.ServiceUnavailableError, 503),
        (StoreUnavailable("x"), litellm_errors.ServiceUnavailableError, 503),
        (RunTimedOut("x"), litellm_errors.APIError, 504),
        (ModelFailed("x", status=418), litellm_errors.APIError, 418),
        (ModelFailed("x", status=529), litellm_errors.APIError, 529),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_an_error_keeps_its_status_and_message_and_is_not_tried_again(
    error: AgentLLMError, kind: type[Exception], status: int
) -> None:
    made = to_litellm(error, "demo")
    assert type(made) is kind
    assert getattr(made, "status_code", None) == status
    assert getattr(made, "num_retries", None) == 0
    assert error.message in str(made)


def test_when_to_try_again_is_told_in_a_header_of_a_plain_answer_and_of_a_stream() -> None:
    busy = ConversationBusy(16, retry_after=5)
    assert getattr(to_litellm(busy, "demo"), "headers", None) == {"retry-after": "5"}
    assert not hasattr(to_litellm(AgentFailed("x"), "demo"), "headers")
    headers = {"llm_provider-date": "today"}
    token = STREAM_HEADERS.set(headers)
    to_litellm(AgentFailed("x"), "demo")
    assert "retry-after" not in headers
    to_litellm(busy, "demo")
    assert headers == {"llm_provider-date": "today", "retry-after": "5"}
    STREAM_HEADERS.reset(token)


def test_an_unexpected_error_is_logged_with_its_origin_and_told_without_it(caplog: pytest.LogCaptureFixture) -> None:
    made = to_litellm(ZeroDivisionError("secret-detail"), "demo")
    assert isinstance(made, litellm_errors.InternalServerError)
    assert "secret-detail" not in str(made)
    assert "'demo'" in str(made)
    assert "secret-detail" not in caplog.text
    assert "ZeroDivisionError at" in caplog.text


def test_a_failed_call_is_recalled_for_its_id_its_caller_and_its_agent_alone() -> None:
    calls, error = FailedCalls(), AgentFailed("x")
    calls.remember("c", ME, "demo", error)
    assert calls.recall("c", ME, "demo") is error
    assert calls.recall("d", ME, "demo") is None
    assert calls.recall("c", OTHER, "demo") is None
    assert calls.recall("c", ME, "another") is None


def test_a_call_without_an_id_is_not_remembered() -> None:
    calls = FailedCalls()
    calls.remember(None, ME, "demo", AgentFailed("x"))
    assert calls.recall(None, ME, "demo") is None


def test_the_oldest_calls_are_forgotten() -> None:
    calls = FailedCalls(size=2)
    for call in "abc":
        calls.remember(call, ME, "demo", AgentFailed(call))
    assert [calls.recall(call, ME, "demo") is not None for call in "abc"] == [False, True, True]
