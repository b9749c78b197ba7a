"""The first request of a process is its slowest: LiteLLM, Agno and OpenAI's SDK load much of themselves with it.

So AgentLLM makes it, while the proxy starts. In two steps, because LiteLLM is ready before all of
it could be asked: what needs no router is gone through while nothing else can run, the rest at the
side as soon as there is a router.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Coroutine
from typing import Any

import httpx
import litellm
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

from agentllm.catalog import Catalog
from agentllm.conversations import Conversations
from agentllm.gateway.bridge import HomeLoop
from agentllm.gateway.families import provide
from agentllm.gateway.handler import AgentHandler
from agentllm.gateway.registration import router_of_proxy
from agentllm.gateway.request import HEALTH_CHECK_TAG

_FULL_COLLECTION_AFTER = 50
"""Collections of the middle generation, each after at most 7,000 new objects."""

_FORMS = (False, True) * 3
"""Plain and streamed, more than once: Python and LiteLLM's caches get faster with the first few."""

_MESSAGES = [{"role": "user", "content": "ready?"}]


def rehearse(catalog: Catalog, conversations: Conversations) -> None:
    """Go through a turn of each runtime and a request that the proxy refuses, before it has started.

    Blocks the caller; runs on an event loop of its own, so that nothing is bound to the caller's.
    """
    litellm.token_counter(model="", text="ready?")
    _run_aside(_rehearse(catalog, conversations))
    _spare_garbage_collector()


async def ask_once(catalog: Catalog, conversations: Conversations) -> None:
    """Go through an answer of the proxy, plain and streamed, as soon as it has a router; no agent is run."""
    from litellm.proxy import proxy_server

    await conversations.warm_up()
    await router_of_proxy()
    if first := next(iter(catalog), None):
        await _post(proxy_server.app, key=proxy_server.master_key or "", model=first.model)
    _spare_garbage_collector()


async def _rehearse(catalog: Catalog, conversations: Conversations) -> None:
    from litellm.proxy import proxy_server

    await conversations.warm_up()
    for agent in catalog:
        await agent.runtime.warm_up()
    await _answer(catalog, conversations)
    await _post(proxy_server.app, key="", model="")


async def _answer(catalog: Catalog, conversations: Conversations) -> None:
    """Go through LiteLLM's own way of a call; the proxy sets its own provider after this."""
    first = next(iter(catalog), None)
    if first is None:
        return
    handler = AgentHandler(catalog, conversations, HomeLoop(asyncio.get_running_loop()), run_timeout=60)
    before = litellm.custom_provider_map
    provide(handler)
    try:
        for stream in _FORMS:
            answer = await litellm.acompletion(
                model=first.model, messages=_MESSAGES, metadata={"tags": [HEALTH_CHECK_TAG]}, stream=stream
            )
            if isinstance(answer, CustomStreamWrapper):
                async for _ in answer:
                    pass
    finally:
        litellm.custom_provider_map = before


async def _post(app: Any, *, key: str, model: str) -> None:
    body = {
        "model": model,
        "messages": _MESSAGES,
        "metadata": {"tags": [HEALTH_CHECK_TAG]},
    }
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://agentllm.invalid", headers=headers) as client:
        for stream in (False, True):
            await client.post("/v1/chat/completions", json={**body, "stream": stream})


def _run_aside(work: Coroutine[Any, Any, None]) -> None:
    thread = threading.Thread(target=asyncio.run, args=(work,))
    thread.start()
    thread.join()


def _spare_garbage_collector() -> None:
    """Leave what is loaded by now out of garbage collection, and what came since for longer.

    A full collection over all that LiteLLM loads stops every stream for half a second, and one over
    what a hundred open streams hold for a tenth, which Python's own threshold of 10 makes every second.
    """
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], _FULL_COLLECTION_AFTER)
