"""What the proxy is told before a request is routed and after it was answered."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

import litellm
import pytest
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.proxy import proxy_server
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.router import Router

from agentllm.catalog import BrokenAgent, Catalog
from agentllm.core import Agent
from agentllm.gateway.callers import MASTER_KEY
from agentllm.gateway.hooks import AgentHooks
from agentllm.runtimes import runtime_for
from tests.gateway.conftest import Serve
from tests.runtimes.agno import spoken


@pytest.fixture
def hooks() -> AgentHooks:
    demo = Agent("demo", "", runtime_for(spoken.agent()[0]))
    return AgentHooks(Catalog({"demo": demo}, {"broken": BrokenAgent("broken", "broken.py:3", "ZeroDivisionError")}))


@pytest.fixture(autouse=True)
def router(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Router:
    serve(demo=spoken.agent("hello")[0])
    routes = Router(
        model_list=[
            {"model_name": "gpt", "litellm_params": {"model": "openai/gpt", "api_key": "k"}},
            {"model_name": "mine", "litellm_params": {"model": "agno/demo"}},
            {"model_name": "agno/explicit", "litellm_params": {"model": "openai/gpt", "api_key": "k"}},
        ]
    )
    monkeypatch.setattr(proxy_server, "llm_router", routes)
    return routes


async def before(hooks: AgentHooks, data: dict[str, Any]) -> None:
    await hooks.async_pre_call_hook(None, None, data, "acompletion")


@pytest.mark.parametrize("model", ["agno/demo", "agno/explicit", "gpt", "nothing", None, 7])
async def test_a_request_for_an_agent_or_for_another_model_passes(hooks: AgentHooks, model: object) -> None:
    await before(hooks, {"model": model})


async def test_a_request_without_a_model_passes(hooks: AgentHooks) -> None:
    await before(hooks, {})


@pytest.mark.parametrize("with_router", [True, False])
async def test_an_unknown_agent_is_404_and_lists_those_there_are(
    hooks: AgentHooks, with_router: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_router:
        monkeypatch.setattr(proxy_server, "llm_router", None)
    with pytest.raises(ProxyException) as raised:
        await before(hooks, {"model": "agno/nobody"})
    assert (raised.value.code, raised.value.type, raised.value.param) == ("404", "not_found_error", "model")
    assert "demo" in raised.value.message


@pytest.mark.parametrize("model", ["agno/demo", "mine"])
async def test_a_person_who_is_not_to_be_believed_is_401_before_anything_is_routed(
    hooks: AgentHooks, model: str
) -> None:
    key = UserAPIKeyAuth(api_key=MASTER_KEY)
    data = {"model": model, "proxy_server_request": {"headers": {"x-openwebui-user-jwt": "forged"}}}
    with pytest.raises(ProxyException) as raised:
        await hooks.async_pre_call_hook(key, None, data, "acompletion")
    assert (raised.value.code, raised.value.type) == ("401", "authentication_error")
    await hooks.async_pre_call_hook(key, None, {**data, "model": "gpt"}, "acompletion")


async def test_a_broken_agent_is_503_without_its_cause(hooks: AgentHooks) -> None:
    with pytest.raises(ProxyException) as raised:
        await before(hooks, {"model": "agno/broken"})
    assert raised.value.code == "503"
    assert "ZeroDivisionError" not in raised.value.message


@pytest.mark.parametrize(
    ("model", "headers"),
    [
        ("agno/demo", {"x-should-retry": "false"}),
        ("mine", {"x-should-retry": "false"}),
        ("gpt", None),
        ("nothing", None),
        (None, None),
    ],
)
async def test_openai_s_clients_are_told_not_to_repeat_requests_to_agents(
    hooks: AgentHooks, model: object, headers: dict[str, str] | None
) -> None:
    assert await hooks.async_post_call_response_headers_hook({"model": model}, None, None) == headers


@pytest.mark.parametrize(("model", "is_kept"), [("agno/demo", False), ("gpt", True)])
async def test_the_chunks_that_litellm_keeps_of_an_agent_s_stream_go_with_the_stream(
    hooks: AgentHooks, model: str, is_kept: bool
) -> None:
    stream = await litellm.acompletion(model="agno/demo", messages=[{"role": "user", "content": "hi"}], stream=True)
    assert isinstance(stream, CustomStreamWrapper)
    await hooks.async_post_call_response_headers_hook({"model": model}, None, stream)
    async for _ in stream:
        pass
    chunks = stream.chunks
    assert chunks
    gone = asyncio.Event()
    weakref.finalize(stream, asyncio.get_running_loop().call_soon_threadsafe, gone.set)
    del stream
    await asyncio.wait_for(gone.wait(), 10)  # LiteLLM's logging looks at it for a moment
    assert bool(chunks) is is_kept
