"""Agno's log tells which tool failed, and nothing of what it was called with."""

from __future__ import annotations

import logging

import pytest
from agno.utils.functions import get_function_call
from agno.utils.log import agent_logger

from agentllm.runtimes.agno.log import hide_content


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What Agno logs, with our filter."""
    monkeypatch.setattr(agent_logger, "filters", [])
    monkeypatch.setattr(agent_logger, "propagate", True)
    hide_content()
    caplog.set_level(logging.INFO)
    return caplog


def test_a_tool_that_fails_is_named_without_its_arguments(log: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("no file secret")
    except ValueError as error:
        agent_logger.warning(f"Could not run function read(name=secret): {error}")
        agent_logger.exception(error)
    assert "secret" not in log.text
    assert "Could not run function read" in log.text
    assert "ValueError at" in log.text
    assert "test_log.py" in log.text


@pytest.mark.parametrize("arguments", ['{"a": "secret', '["secret"]'])
def test_arguments_that_cannot_be_read_are_not_shown(log: pytest.LogCaptureFixture, arguments: str) -> None:
    from agno.tools.function import Function

    get_function_call("read", arguments, functions={"read": Function(name="read")})
    assert "arguments" in log.text
    assert "secret" not in log.text


def test_a_tool_that_there_is_not_is_not_named(log: pytest.LogCaptureFixture) -> None:
    get_function_call("secret", "{}", functions={})
    assert "not shown" in log.text
    assert "secret" not in log.text


def test_what_an_error_says_is_not_shown_wherever_it_is_quoted(log: pytest.LogCaptureFixture) -> None:
    try:
        try:
            raise KeyError("secret")
        except KeyError as cause:
            raise ValueError("another secret") from cause
    except ValueError as error:
        agent_logger.error(f"Error in Agent run: {error}, which came from {error.__cause__}")
        agent_logger.error("%s", error)
        agent_logger.error("it broke", exc_info=True)
    assert "secret" not in log.text
    assert "Error in Agent run: ValueError, which came from KeyError" in log.text
    assert "it broke, ValueError at:" in log.text
    assert "from KeyError at:" in log.text


def test_everything_else_is_as_agno_says_it(log: pytest.LogCaptureFixture) -> None:
    agent_logger.error("API status error: the key is wrong")
    assert "the key is wrong" in log.text
