"""What happens before LiteLLM routes a request, and to the headers of its answer."""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper
from litellm.proxy._types import ProxyException, UserAPIKeyAuth
from litellm.router import Router

from agentllm.catalog import Catalog
from agentllm.errors import AgentLLMError, AgentUnavailable, InvalidRequest, UnknownAgent
from agentllm.gateway.accounts import Accounts
from agentllm.gateway.callers import caller_of
from agentllm.gateway.chat_parts import prepare_parts
from agentllm.gateway.chunks import of_openai
from agentllm.gateway.endpoints import form_answer, give_headers, in_form, prepare, refuse_call_for_answer
from agentllm.gateway.failures import STREAM_HEADERS, mark
from agentllm.gateway.families import is_of_an_agent
from agentllm.gateway.footnotes import Footnotes
from agentllm.gateway.openwebui_work import shows_work, with_cards
from agentllm.gateway.registration import is_served_here
from agentllm.gateway.shapes import check_shape

_NEVER_CACHED = {"no-cache": True, "no-store": True}
"""LiteLLM's cache would give an agent's answer to whoever sends the same messages, without running it."""


class AgentHooks(CustomLogger):
    """Callbacks of the proxy; LiteLLM calls them for the requests of all models."""

    def __init__(self, catalog: Catalog, footnotes: Footnotes | None = None, accounts: Accounts | None = None) -> None:
        super().__init__()
        self._catalog = catalog
        self._footnotes = footnotes or Footnotes()
        self._accounts = accounts

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
    ) -> None:
        """Refuse callers whose budget is used up or whom a front end forwards in a way that is not to be believed, and
        answer for models `agno/…` that the router does not know, which LiteLLM would call a bad request.

        Nothing reaches the router, so nothing cools down.
        """
        from litellm.proxy import proxy_server

        model = data.get("model")
        try:
            refuse_call_for_answer(data, call_type)
            if self._accounts is not None and isinstance(user_api_key_dict, UserAPIKeyAuth):
                await self._accounts.check(str(user_api_key_dict.api_key))
            if not is_served_here(proxy_server.llm_router, model):
                return
            if isinstance(user_api_key_dict, UserAPIKeyAuth):
                _check_caller(user_api_key_dict, data)
            self._check_model(str(model), proxy_server.llm_router)
            check_shape(data, call_type)
            data["cache"] = dict(_NEVER_CACHED)
            prepare(data, call_type)
            prepare_parts(data, call_type)
        except AgentLLMError as error:
            raise _as_answer(error) from None

    def _check_model(self, model: str, router: Router | None) -> None:
        if router is not None and (model in router.model_names or model in router.model_group_alias):
            return
        if is_of_an_agent(model):
            self._catalog.called(model)

    async def async_post_call_success_hook(self, data: dict[str, Any], user_api_key_dict: Any, response: Any) -> None:
        """Put a whole answer of /v1/responses into OpenAI's form, and its footnote into one of any endpoint."""
        form_answer(response, data)
        self._footnotes.tell(data.get("litellm_call_id"), response)

    async def async_post_call_failure_hook(
        self,
        request_data: dict[str, Any],
        original_exception: Exception,
        user_api_key_dict: Any,
        traceback_str: str | None = None,
    ) -> None:
        """Have an error on /v1/messages keep its headers."""
        give_headers(original_exception, request_data)

    def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> AsyncGenerator[Any, None]:
        """Show Open WebUI an agent's work in its own way, and give the other endpoints' clients what they expect;
        another model's stream is given back as it is."""
        from litellm.proxy import proxy_server

        call_id = str(request_data.get("litellm_call_id"))
        if (formed := in_form(response, user_api_key_dict, request_data)) is not None:
            return self._footnotes.telling(call_id, formed)
        if not is_served_here(proxy_server.llm_router, request_data.get("model")):
            untouched: AsyncGenerator[Any, None] = response
            return untouched
        headers = (request_data.get("proxy_server_request") or {}).get("headers") or {}
        tells_usage = (request_data.get("stream_options") or {}).get("include_usage") is True
        chunks = self._footnotes.telling(call_id, of_openai(response, tells_usage=tells_usage))
        return with_cards(chunks) if shows_work(headers) else chunks

    async def async_post_call_response_headers_hook(
        self,
        data: dict[str, Any],
        user_api_key_dict: Any,
        response: Any,
        request_headers: dict[str, str] | None = None,
        litellm_call_info: dict[str, Any] | None = None,
    ) -> dict[str, str] | None:
        """Tell OpenAI's clients not to repeat a failed request by themselves: an agent may have acted already.

        Of a stream nothing has run yet; it may still add headers.
        """
        from litellm.proxy import proxy_server

        if not is_served_here(proxy_server.llm_router, data.get("model")):
            return None
        if isinstance(response, CustomStreamWrapper):
            _drop_chunks_with(response)
        hidden = getattr(response, "_hidden_params", None)
        if isinstance(response, AsyncIterator) and isinstance(hidden, dict):
            STREAM_HEADERS.set(hidden.setdefault("additional_headers", {}))
        return {"x-should-retry": "false"}


def _check_caller(key: UserAPIKeyAuth, data: dict[str, Any]) -> None:
    known = {"user_api_key_hash": key.api_key, "user_api_key_alias": key.key_alias}
    caller_of(known, (data.get("proxy_server_request") or {}).get("headers") or {})


def _as_answer(error: AgentLLMError) -> ProxyException:
    about_model = isinstance(error, UnknownAgent | AgentUnavailable)
    param = error.param if isinstance(error, InvalidRequest) else "model" if about_model else None
    made = ProxyException(message=error.message, type=error.type, param=param, code=error.status)
    mark(made, error)
    return made


def _drop_chunks_with(stream: CustomStreamWrapper) -> None:
    """Free the chunks that LiteLLM keeps of `stream` as soon as the stream is done with.

    LiteLLM's router makes a class for each stream, and a class is a cycle that holds all of them until
    a full garbage collection, which then stops every other stream for tenths of a second.
    """
    weakref.finalize(stream, stream.chunks.clear).atexit = False
