"""What happens before LiteLLM routes a request, and to the headers of its answer."""

from __future__ import annotations

import weakref
from typing import Any

from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.proxy._types import ProxyException

from agentllm.catalog import Catalog
from agentllm.errors import AgentLLMError
from agentllm.gateway.failures import PROVIDER
from agentllm.gateway.registration import is_served_here


class AgentHooks(CustomLogger):
    """Callbacks of the proxy; LiteLLM calls them for the requests of all models."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__()
        self._catalog = catalog

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
    ) -> None:
        """Answer for models `agno/…` that the router does not know, which LiteLLM would call a bad request.

        Nothing reaches the router, so nothing cools down.
        """
        from litellm.proxy import proxy_server

        model = data.get("model")
        if not isinstance(model, str) or not model.startswith(f"{PROVIDER}/"):
            return
        router = proxy_server.llm_router
        if router is not None and (model in router.model_names or model in router.model_group_alias):
            return
        try:
            self._catalog.get(model.removeprefix(f"{PROVIDER}/"))
        except AgentLLMError as error:
            raise ProxyException(message=error.message, type=error.type, param="model", code=error.status) from None

    async def async_post_call_response_headers_hook(
        self,
        data: dict[str, Any],
        user_api_key_dict: Any,
        response: Any,
        request_headers: dict[str, str] | None = None,
        litellm_call_info: dict[str, Any] | None = None,
    ) -> dict[str, str] | None:
        """Tell OpenAI's clients not to repeat a failed request by themselves: an agent may have acted already."""
        from litellm.proxy import proxy_server

        if not is_served_here(proxy_server.llm_router, data.get("model")):
            return None
        if isinstance(response, CustomStreamWrapper):
            _drop_chunks_with(response)
        return {"x-should-retry": "false"}


def _drop_chunks_with(stream: CustomStreamWrapper) -> None:
    """Free the chunks that LiteLLM keeps of `stream` as soon as the stream is done with.

    LiteLLM's router makes a class for each stream, and a class is a cycle that holds all of them until
    a full garbage collection, which then stops every other stream for tenths of a second.
    """
    weakref.finalize(stream, stream.chunks.clear).atexit = False
