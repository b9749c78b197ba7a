"""A client that leaves stops the agent and its model call."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.proxy import Proxy
from tests.scripted_llm import CapturedRequest, Reply, ScriptedLLM, ToolCall

WITHIN = 0.2
"""Seconds in which the model call must have ended."""


@contextmanager
def request(proxy: Proxy, body: dict[str, Any], path: str = "/v1/chat/completions") -> Iterator[socket.socket]:
    """A connection on which a request was sent; leaving the block closes it."""
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    said = {} if body.keys() & {"input", "prompt"} else {"messages": [{"role": "user", "content": "hi"}]}
    data = json.dumps({**said, **body}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {proxy.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + data)
        yield connection


def stopped_after(llm: ScriptedLLM, left_at: float) -> float:
    """Seconds from `left_at` until the model saw its one call end."""
    requests = llm.wait_for(lambda seen: len(seen) == 1 and not seen[0].open, timeout=5)
    return _disconnected(requests[0]) - left_at


def _disconnected(call: CapturedRequest) -> float:
    assert call.disconnected_at is not None, "the model call was finished, not stopped"
    return call.disconnected_at


@pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])
def test_leaving_a_stream_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM, model: str) -> None:
    llm.script(Reply("and on it goes ", endless=True))
    with request(proxy, {"model": model, "stream": True}) as connection:
        seen = b""
        while b"and" not in seen:
            seen += connection.recv(4096)
    assert stopped_after(llm, time.monotonic()) < WITHIN


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo"])
def test_leaving_before_the_first_token_stops_the_model_call(
    proxy: Proxy, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    llm.script(Reply("late", first_delay=20))
    with request(proxy, {"model": model, "stream": stream}):
        llm.wait_for(lambda seen: len(seen) == 1)
    assert stopped_after(llm, time.monotonic()) < WITHIN


def test_a_session_goes_on_after_its_client_left(proxy: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply("and on it goes ", endless=True))
    for _ in range(2):
        with request(proxy, {"model": "agno/echo", "stream": True}) as connection:
            connection.recv(4096)
    llm.wait_for(lambda seen: len(seen) == 2 and not any(call.open for call in seen))


def test_leaving_while_a_tool_s_result_is_answered_stops_that_call(proxy: Proxy, llm: ScriptedLLM) -> None:
    llm.script(Reply.calling(ToolCall.of("add", a=1, b=2)), Reply("three ", endless=True))
    with request(proxy, {"model": "agno/tooled", "stream": True}) as connection:
        seen = b""
        while b"three" not in seen:
            seen += connection.recv(4096)
    left_at = time.monotonic()
    calls = llm.wait_for(lambda seen: len(seen) == 2 and not any(call.open for call in seen))
    assert _disconnected(calls[1]) - left_at < WITHIN


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_while_a_team_s_member_answers_stops_that_call(proxy: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    delegation = ToolCall.of("delegate_task_to_member", member_id="member", task="answer")
    llm.script(Reply.calling(delegation), model="gpt-leader")
    llm.script(Reply("late", first_delay=20), model="gpt-member")
    with request(proxy, {"model": "agno/team", "stream": stream}):
        llm.wait_for(lambda seen: len(seen) == 2)
    left_at = time.monotonic()
    calls = llm.wait_for(lambda seen: not any(call.open for call in seen), timeout=5)
    assert _disconnected(calls[1]) - left_at < WITHIN


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_while_a_workflow_s_step_answers_stops_that_call(proxy: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("late", first_delay=20), model="gpt-first")
    with request(proxy, {"model": "agno/flow", "stream": stream}):
        llm.wait_for(lambda seen: len(seen) == 1)
    assert stopped_after(llm, time.monotonic()) < WITHIN
