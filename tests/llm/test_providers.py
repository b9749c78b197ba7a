"""Google's and OpenAI's models against a server that speaks their wire formats."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from agno.agent import Agent
from agno.exceptions import ModelProviderError
from agno.models.base import Model
from agno.models.google import Gemini
from agno.models.message import Message
from agno.models.openai import OpenAIChat

from agentllm.llm.providers import gemini, openai
from tests.scripted_llm import Reply, ScriptedLLM, ToolCall

STATUSES = [400, 401, 403, 429, 500, 503]


@asynccontextmanager
async def google() -> AsyncIterator[Gemini]:
    model = gemini("gemini-2.5-flash")
    assert model.client is not None
    assert model.client_params is not None
    yield model
    await model.client_params["http_options"]["httpx_async_client"].aclose()
    model.client.close()


@asynccontextmanager
async def openais() -> AsyncIterator[OpenAIChat]:
    model = openai("gpt-5.4-mini")
    yield model
    await model.get_async_client().close()
    model.get_client().close()


Opened = Callable[[], AbstractAsyncContextManager[Model]]
both = pytest.mark.parametrize("opened", [google, openais])


async def answer(model: Model) -> str:
    said = await model.ainvoke(
        messages=[Message(role="user", content="hi")], assistant_message=Message(role="assistant")
    )
    return str(said.content)


async def stream(model: Model) -> str:
    pieces: AsyncIterator[Any] = model.ainvoke_stream(
        messages=[Message(role="user", content="hi")], assistant_message=Message(role="assistant")
    )
    return "".join([piece.content or "" async for piece in pieces])


@both
async def test_it_asks_the_server_of_the_variable(opened: Opened, provider: ScriptedLLM) -> None:
    async with opened() as model:
        assert await answer(model) == "echo: hi"
        assert await stream(model) == "echo: hi"


async def test_the_older_name_of_openais_variable_is_honoured(
    provider: ScriptedLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.setenv("OPENAI_API_BASE", provider.openai_base)
    async with openais() as model:
        assert await answer(model) == "echo: hi"


async def test_googles_own_name_for_the_key_will_do(provider: ScriptedLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_API_KEY", "another-google-key")
    async with google() as model:
        await answer(model)
    assert provider.requests()[-1].headers["x-goog-api-key"] == "another-google-key"


@both
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("ask", [answer, stream])
async def test_a_failure_comes_back_at_once_with_its_status_and_words(
    opened: Opened, status: int, ask: Callable[[Model], Any], provider: ScriptedLLM
) -> None:
    provider.script(Reply.failing(status, "the words of the provider"), times=None)
    async with opened() as model:
        with pytest.raises(ModelProviderError) as caught:
            await ask(model)
    assert caught.value.status_code == status
    assert "the words of the provider" in caught.value.message
    assert len(provider.requests()) == 1


@both
async def test_a_server_that_is_not_there_is_a_provider_error(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("GEMINI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(key, "x")
    for base in ("GOOGLE_GEMINI_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.setenv(base, "http://127.0.0.1:9/v1")
    async with opened() as model:
        with pytest.raises(ModelProviderError) as caught:
            await answer(model)
    assert caught.value.status_code == 502


@both
async def test_tools_are_called_and_answered(opened: Opened, provider: ScriptedLLM) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    provider.script(Reply.calling(ToolCall.of("add", a=1, b=2), ToolCall.of("add", a=30, b=40)))
    provider.script(Reply("3 and 70"))
    async with opened() as model:
        run = await Agent(model=model, tools=[add], telemetry=False).arun("add")
    assert [tool.result for tool in run.tools or ()] == ["3", "70"]
    assert run.content == "3 and 70"


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_another_server_gets_instructions_as_system_messages(role: str, provider: ScriptedLLM) -> None:
    messages = [Message(role=role, content="Be kind."), Message(role="user", content="hi")]
    async with openais() as model:
        await model.ainvoke(messages=messages, assistant_message=Message(role="assistant"))
    assert provider.requests()[-1].body["messages"][0]["role"] == "system"
