"""What LiteLLM leaves open is closed after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from openai import OpenAI


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
