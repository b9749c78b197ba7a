"""A client that leaves stops the agent and its model call."""

from __future__ import annotations

import time

import pytest

from tests.integration.checks import WITHIN, disconnected_at, leave_early, leave_stream, request, stopped_after
from tests.proxy import Proxy
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall


@pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo", "agno/routed"])
def test_leaving_a_stream_stops_the_model_call(proxy: Proxy, llm: ScriptedLLM, model: str) -> None:
    leave_stream(proxy, llm, {"model": model})


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", ["agno/echo", "agno/gemini-echo"])
def test_leaving_before_the_first_token_stops_the_model_call(
    proxy: Proxy, llm: ScriptedLLM, model: str, stream: bool
) -> None:
    leave_early(proxy, llm, {"model": model, "stream": stream})


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
    assert disconnected_at(calls[1]) - left_at < WITHIN


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_while_a_team_s_member_answers_stops_that_call(proxy: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    delegation = ToolCall.of("delegate_task_to_member", member_id="member", task="answer")
    llm.script(Reply.calling(delegation), model="gpt-leader")
    llm.script(Reply("late", first_delay=20), model="gpt-member")
    with request(proxy, {"model": "agno/team", "stream": stream}):
        llm.wait_for(lambda seen: len(seen) == 2)
    left_at = time.monotonic()
    calls = llm.wait_for(lambda seen: not any(call.open for call in seen), timeout=30)
    assert disconnected_at(calls[1]) - left_at < WITHIN


@pytest.mark.parametrize("stream", [True, False])
def test_leaving_while_a_workflow_s_step_answers_stops_that_call(proxy: Proxy, llm: ScriptedLLM, stream: bool) -> None:
    llm.script(Reply("late", first_delay=20), model="gpt-first")
    with request(proxy, {"model": "agno/flow", "stream": stream}):
        llm.wait_for(lambda seen: len(seen) == 1)
    assert stopped_after(llm, time.monotonic()) < WITHIN
