"""The scripted model behind OpenAI's and Google's APIs, as LiteLLM reaches it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from openai import OpenAI

from tests.scripted_llm import ScriptedLLM


@pytest.fixture(scope="session")
def running() -> Iterator[ScriptedLLM]:
    with ScriptedLLM() as llm:
        yield llm


@pytest.fixture
def llm(running: ScriptedLLM, monkeypatch: pytest.MonkeyPatch) -> ScriptedLLM:
    running.reset()
    monkeypatch.setenv("OPENAI_API_KEY", "an-openai-key")
    monkeypatch.setenv("OPENAI_BASE_URL", running.openai_base)
    monkeypatch.setenv("GEMINI_API_KEY", "a-google-key")
    monkeypatch.setenv("GEMINI_API_BASE", f"{running.gemini_base}/v1beta")
    return running


@pytest.fixture(autouse=True)
async def closed_connections() -> AsyncIterator[None]:
    """Close the connections that LiteLLM keeps for the next call of this event loop."""
    yield
    import litellm
    from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

    for client in litellm.in_memory_llm_clients_cache.cache_dict.values():
        if isinstance(client, OpenAI):
            client.close()
    await close_litellm_async_clients()  # type: ignore[no-untyped-call]
    litellm.in_memory_llm_clients_cache.flush_cache()  # type: ignore[no-untyped-call]
