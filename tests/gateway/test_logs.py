"""LiteLLM's log tells which error it was, and its text only where that cannot quote a request."""

from __future__ import annotations

import logging

import litellm.exceptions as litellm_errors
import pytest

from agentllm.errors import AgentFailed, AgentLLMError, InvalidRequest, ModelFailed, UnknownAgent
from agentllm.gateway.failures import to_litellm
from agentllm.gateway.logs import LOGGERS, hide_quotes


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """One of LiteLLM's, with its filters as they were after the test."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "filters", list(logger.filters))
        monkeypatch.setattr(logger, "propagate", True)
    hide_quotes()
    hide_quotes()
    return logging.getLogger(LOGGERS[0])


def logged(logger: logging.Logger, caplog: pytest.LogCaptureFixture, error: Exception) -> str:
    """What is logged of an error as LiteLLM does it: in the message and with its traceback."""
    with caplog.at_level(logging.ERROR):
        try:
            raise error
        except Exception as caught:
            logger.exception("call %s failed: %s", 17, caught)
    return caplog.text


@pytest.mark.parametrize(
    "error",
    [InvalidRequest("it is 'secret'"), UnknownAgent("secret", ["demo"]), ModelFailed("no 'secret'", status=400)],
    ids=repr,
)
def test_an_error_that_quotes_the_request_is_only_named(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, error: AgentLLMError
) -> None:
    text = logged(logger, caplog, to_litellm(error, "demo"))
    assert "secret" not in text
    assert "call 17 failed" in text
    assert "Error" in text


def test_the_filter_is_there_once(logger: logging.Logger) -> None:
    assert len([one for one in logger.filters if getattr(one, "__name__", "") == "_hide"]) == 1


def test_one_that_litellm_wraps_is_found(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    inner = to_litellm(InvalidRequest("it is 'secret'"), "demo")
    outer = litellm_errors.MidStreamFallbackError(str(inner), "demo", "agno", original_exception=inner)
    assert "secret" not in logged(logger, caplog, outer)


def test_what_litellm_itself_raises_for_an_agent_is_only_named(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    error = litellm_errors.APIConnectionError("could not convert 'secret'", llm_provider="agno", model="demo")
    assert "secret" not in logged(logger, caplog, error)


@pytest.mark.parametrize(
    "error", [to_litellm(AgentFailed("no such model"), "demo"), ValueError("no such model")], ids=["ours", "another"]
)
def test_other_errors_are_logged_whole(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    text = logged(logger, caplog, error)
    assert "no such model" in text
    assert "Traceback" in text
