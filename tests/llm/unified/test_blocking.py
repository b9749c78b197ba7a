"""Runs that are waited for without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import litellm
import pytest

from agentllm import UnifiedAgent
from agentllm.llm.unified.agent import shared_loop
from tests.llm.unified.asking import OPENAI, SECOND
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

pytestmark = pytest.mark.usefixtures("provider")


@pytest.fixture(autouse=True)
def closed_connections() -> Iterator[None]:
    """Those of the event loop that such runs share."""
    yield
    from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

    closing = close_litellm_async_clients()  # type: ignore[no-untyped-call]
    asyncio.run_coroutine_threadsafe(closing, shared_loop()).result(SECOND)
    litellm.in_memory_llm_clients_cache.flush_cache()  # type: ignore[no-untyped-call]


def test_a_run_can_be_waited_for(llm: ScriptedLLM) -> None:
    agent = UnifiedAgent(OPENAI)
    assert [agent.run_sync(text).text for text in ("one", "two")] == ["echo: one", "echo: two"]


async def test_also_where_an_event_loop_runs_and_in_many_threads(llm: ScriptedLLM) -> None:
    agent = UnifiedAgent(OPENAI)
    assert agent.run_sync("here").text == "echo: here"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(agent.run_sync, map(str, range(8))))
    assert [answer.text for answer in answers] == [f"echo: {n}" for n in range(8)]


def test_not_by_an_async_tool_of_such_a_run(llm: ScriptedLLM) -> None:
    agent = UnifiedAgent(OPENAI)

    async def ask_again() -> str:
        return agent.run_sync("again").text

    llm.script(Reply.calling(ToolCall.of("ask_again")), "Sorry.")
    answer = UnifiedAgent(OPENAI, tools=[ask_again]).run_sync("hi")
    assert "RuntimeError" in str(answer.messages[-2]["content"])
