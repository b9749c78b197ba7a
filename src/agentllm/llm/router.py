"""An Agno model class that reaches any model of LiteLLM, through the running proxy's router where there is one."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from agno.exceptions import (
    AgnoError,
    ContextWindowExceededError,
    ModelAuthenticationError,
    ModelProviderError,
    ModelRateLimitError,
)
from agno.metrics import MessageMetrics
from agno.models.message import Message
from agno.models.openai.like import OpenAILike
from agno.models.response import ModelResponse
from agno.utils.message import normalize_tool_messages
from pydantic import BaseModel

from agentllm.core import Json
from agentllm.errors import BudgetExceeded, causes
from agentllm.llm.accounts import check_account
from agentllm.llm.costs import CACHED, cost_of
from agentllm.llm.gemini import takes_tools_with_json
from agentllm.llm.own_router import own_router

if TYPE_CHECKING:
    from litellm.router import Router

log = logging.getLogger("agentllm.llm")

CALLER_METADATA: ContextVar[Mapping[str, Json] | None] = ContextVar("agentllm_caller_metadata", default=None)
"""What goes with every call as LiteLLM's `metadata`: the key, user and team that it is for."""

_OPENAI_TOOL_KEYS = frozenset({"name", "description", "parameters", "strict"})
_SIGNING_IN = ("github_copilot/", "chatgpt/")
"""Providers that LiteLLM signs in to before it says anything about their models."""

_SILENCE = "Timeout on reading data from socket"
"""What LiteLLM says, as of any broken connection, where a provider lets a stream wait for too long."""

_OF_LITELLM = (422, 500)
"""The statuses that LiteLLM gives to an answer which it did not get, or cannot read."""

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
_LITELLM_PREFIX = re.compile(r"^(?:litellm\.)?(?:\w+(?:Error|Exception|Timeout)|Timeout)(?::| -)\s+")
_ROUTER_SUFFIX = re.compile(
    r"\.?\s*(?:Received Model Group=|Available Model Group Fallbacks=|LiteLLM Retried: |LiteLLM: model group ).*",
    re.DOTALL,
)


@dataclass
class RouterModel(OpenAILike):
    """A model by its name in LiteLLM.

    `id` is a `model_name` of the proxy that this process runs, which then brings its fallbacks, retries,
    limits and spend; where no proxy runs here, of the file that would configure one. Where that does not
    know it, `id` is a LiteLLM model such as `anthropic/claude-haiku-4-5`, asked directly and `num_retries`
    times again after a failure.

    Only parameters that are set are sent. `request_params` are further arguments of
    `litellm.completion`; they win.

    Raises (each of its four ways to call):
        ModelRateLimitError, ContextWindowExceededError, ModelAuthenticationError, ModelProviderError:
            what went wrong, with the provider's status code and words.
        BudgetExceeded: a budget is used up; Agno's own errors would have it try again, or another model.
    """

    id: str = ""
    name: str = "RouterModel"
    provider: str = "LiteLLM"
    num_retries: int = 0

    default_role_map = _ROLES

    def invoke(
        self,
        messages: list[Message],
        assistant_message: Message,
        response_format: dict[str, Any] | type[BaseModel] | None = None,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: str | dict[str, Any] | None = None,
        run_response: Any = None,
        compress_tool_results: bool = False,
    ) -> ModelResponse:
        with self._provider_errors():
            request = self._request(messages, response_format, tools, tool_choice, compress_tool_results)
            return self._parse_provider_response(self._completion(request))

    async def ainvoke(
        self,
        messages: list[Message],
        assistant_message: Message,
        response_format: dict[str, Any] | type[BaseModel] | None = None,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: str | dict[str, Any] | None = None,
        run_response: Any = None,
        compress_tool_results: bool = False,
    ) -> ModelResponse:
        with self._provider_errors():
            request = self._request(messages, response_format, tools, tool_choice, compress_tool_results)
            return self._parse_provider_response(await self._acompletion(request))

    def invoke_stream(
        self,
        messages: list[Message],
        assistant_message: Message,
        response_format: dict[str, Any] | type[BaseModel] | None = None,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: str | dict[str, Any] | None = None,
        run_response: Any = None,
        compress_tool_results: bool = False,
    ) -> Iterator[ModelResponse]:
        with self._provider_errors():
            request = self._request(messages, response_format, tools, tool_choice, compress_tool_results) | _STREAMED
            stream = self._completion(request)
            for chunk in stream:
                yield self._parse_provider_response_delta(_as_sent(chunk, stream))

    async def ainvoke_stream(
        self,
        messages: list[Message],
        assistant_message: Message,
        response_format: dict[str, Any] | type[BaseModel] | None = None,
        tools: list[dict[str, Any]] | None = None,
        tool_choice: str | dict[str, Any] | None = None,
        run_response: Any = None,
        compress_tool_results: bool = False,
    ) -> AsyncIterator[ModelResponse]:
        with self._provider_errors():
            request = self._request(messages, response_format, tools, tool_choice, compress_tool_results) | _STREAMED
            stream = await self._acompletion(request)
            try:
                async for chunk in stream:
                    yield self._parse_provider_response_delta(_as_sent(chunk, stream))
            finally:
                await stream.aclose()

    def _completion(self, request: dict[str, Any]) -> Any:
        router = _router_for(self.id)
        if router is not None:
            return router.completion(**request)
        return _litellm().completion(**_direct(request, self.num_retries))

    async def _acompletion(self, request: dict[str, Any]) -> Any:
        return await acompletion(request, num_retries=self.num_retries)

    def takes(self, parameter: str) -> bool:
        """Whether LiteLLM gives a parameter of OpenAI's API to every model behind this name, as far as it knows."""
        return all(_takes(params, parameter) for params in _behind(self.id))

    def takes_schema(self) -> bool:
        """Whether every model behind this name is known to take the JSON schema of its answer."""
        supports = _litellm().supports_response_schema
        return all(supports(params["model"], params.get("custom_llm_provider")) for params in _behind(self.id))

    def takes_tools_with_json(self) -> bool:
        """Whether the models behind this name take tools and the form of the answer in one request."""
        return all(takes_tools_with_json(params["model"]) for params in _behind(self.id) if "gemini" in params["model"])

    def _request(
        self,
        messages: list[Message],
        response_format: dict[str, Any] | type[BaseModel] | None,
        tools: Sequence[Mapping[str, Any]] | None,
        tool_choice: str | dict[str, Any] | None,
        compress_tool_results: bool,
    ) -> dict[str, Any]:
        if tools and response_format is not None and not self.takes_tools_with_json():
            response_format = None
        request = self.get_request_params(
            response_format=response_format, tools=[_openai_tool(tool) for tool in tools or ()], tool_choice=tool_choice
        )
        # LiteLLM turns max_tokens into what each provider calls it; not so the newer name.
        if (limit := request.pop("max_completion_tokens", None)) is not None:
            request.setdefault("max_tokens", limit)
        metadata = {**(CALLER_METADATA.get() or {}), **(request.get("metadata") or {})}
        if metadata:
            request["metadata"] = metadata
        return {"model": self.id, "messages": self._format_all_messages(messages, compress_tool_results), **request}

    def _format_all_messages(
        self, messages: list[Message], compress_tool_results: bool = False
    ) -> list[dict[str, Any]]:
        # Ids of tool calls stay as they are: LiteLLM keeps Gemini's thought signatures in them.
        return [self._format_message(message, compress_tool_results) for message in normalize_tool_messages(messages)]

    def _parse_provider_response(self, response: Any, response_format: Any = None, **kwargs: Any) -> ModelResponse:
        message = response.choices[0].message
        return ModelResponse(
            role="assistant",
            content=message.content,
            reasoning_content=message.get("reasoning_content"),
            tool_calls=[
                {"id": call.id, "type": "function", "function": call.function.model_dump()}
                for call in message.tool_calls or ()
            ],
            response_usage=_metrics(response),
        )

    def _parse_provider_response_delta(self, response_delta: Any) -> ModelResponse:
        parsed = ModelResponse(response_usage=_metrics(response_delta))
        if response_delta.choices:
            delta = response_delta.choices[0].delta
            parsed.content = delta.content
            parsed.reasoning_content = delta.get("reasoning_content")
            parsed.tool_calls = delta.tool_calls or []
        return parsed

    @contextmanager
    def _provider_errors(self) -> Iterator[None]:
        try:
            yield
        except (AgnoError, BudgetExceeded):
            raise
        except Exception as error:
            raise self._as_agno_error(error) from error

    def _as_agno_error(self, error: Exception) -> AgnoError | BudgetExceeded:
        from litellm import exceptions

        status, error = status_of(error), _cause(error)
        if is_of_budget(error):
            return _budget_exceeded(error)
        message = own_words(error)
        if isinstance(error, exceptions.AuthenticationError):
            return ModelAuthenticationError(message, model_name=self.name)
        if isinstance(error, exceptions.ContextWindowExceededError):
            return ContextWindowExceededError(message, model_name=self.name, model_id=self.id)
        if isinstance(error, exceptions.RateLimitError):
            return ModelRateLimitError(message, model_name=self.name, model_id=self.id)
        return ModelProviderError(message, status, model_name=self.name, model_id=self.id)


async def acompletion(request: Mapping[str, Any], *, num_retries: int = 0) -> Any:
    """LiteLLM's answer to a request, by the router of the proxy's configuration where that serves `request["model"]`.

    Else LiteLLM asks the model directly, `num_retries` times again after a failure. With `stream` in the
    request this is an iterator of chunks, to be closed.

    Raises:
        BudgetExceeded: a budget is used up, that of the caller whose turn runs or one of LiteLLM's.
        Exception: LiteLLM's own; `status_of` and `own_words` say what it means.
    """
    await check_account()
    router = _router_for(str(request["model"]))
    try:
        if router is not None:
            return await router.acompletion(**request)
        return await _litellm().acompletion(**_direct(request, num_retries))
    except Exception as error:
        if is_of_budget(error):
            raise _budget_exceeded(error) from error
        raise


def _direct(request: Mapping[str, Any], num_retries: int) -> dict[str, Any]:
    return {"num_retries": num_retries, "max_retries": num_retries, **request}


def status_of(error: Exception) -> int:
    """The HTTP status that an error of LiteLLM stands for; 502 where its provider gave none.

    So it is of a broken connection and of an answer that is no JSON, whatever LiteLLM calls them.
    """
    from litellm import exceptions

    is_no_answer, error = _is_no_answer(error), _cause(error)
    if isinstance(error, exceptions.Timeout) or _SILENCE in str(error):
        return 504
    if isinstance(error, exceptions.BudgetExceededError):
        return 429
    status = getattr(error, "status_code", None)
    if status in _OF_LITELLM and is_no_answer:
        return 502
    return status if isinstance(status, int) and status >= 400 else 502


def _is_no_answer(error: Exception) -> bool:
    """Whether it goes back to a connection that broke or to broken JSON, and to no status of the provider's."""
    behind = list(causes(error))
    if any(isinstance(cause, httpx.HTTPStatusError) for cause in behind):
        return False
    return any(isinstance(cause, httpx.TransportError | json.JSONDecodeError) for cause in behind)


def is_of_budget(error: Exception) -> bool:
    """Whether an error of LiteLLM is that a budget is used up: a key's, the proxy's, a provider's or a deployment's."""
    from litellm import exceptions
    from litellm.types.router import RouterErrors

    crossed = RouterErrors.no_deployments_with_provider_budget_routing.value
    return isinstance(error, exceptions.BudgetExceededError) or crossed in str(error)


def _budget_exceeded(error: Exception) -> BudgetExceeded:
    """LiteLLM's message names the operator's budgets and what is spent of them, which is not for clients."""
    log.warning("LiteLLM refuses a model call: %s", own_words(error))
    return BudgetExceeded(
        "The budget for this language model is used up. Ask who runs this proxy for more, or choose another model."
    )


def own_words(error: Exception) -> str:
    """The provider's message, without the names of LiteLLM's classes and the proxy's model groups around it."""
    message = _ROUTER_SUFFIX.sub("", str(_cause(error))).strip()
    while (shorter := _LITELLM_PREFIX.sub("", message)) != message:
        message = shorter
    return message or type(error).__name__


def _cause(error: Exception) -> Exception:
    """What a stream ended with, where LiteLLM wraps it because another model could stand in."""
    from litellm import exceptions

    if isinstance(error, exceptions.MidStreamFallbackError) and error.original_exception is not None:
        return error.original_exception
    return error


def _litellm() -> Any:
    import litellm

    return litellm


def _router_for(model: str) -> Router | None:
    """The router of the proxy that runs in this process, or where none does our own, if it serves `model`."""
    proxy = sys.modules.get("litellm.proxy.proxy_server")
    router = proxy.llm_router if proxy is not None else own_router()
    return router if router is not None and router.get_model_list(model_name=model) else None


def models_behind(name: str) -> list[str]:
    """The models that a call of `name` may go to, as LiteLLM names them; not those of its fallbacks."""
    return [str(params["model"]) for params in _behind(name)]


def _behind(model: str) -> list[Mapping[str, Any]]:
    """LiteLLM's parameters, `model` among them, of each model that a call of `model` may go to."""
    router = _router_for(model)
    deployments = router.get_model_list(model_name=model) if router is not None else None
    return [deployment["litellm_params"] for deployment in deployments or ()] or [{"model": model}]


def _takes(params: Mapping[str, Any], parameter: str) -> bool:
    model: str = params["model"]
    if parameter in (params.get("allowed_openai_params") or ()) or model.startswith(_SIGNING_IN):
        return True
    litellm = _litellm()
    try:
        name, provider, *_ = litellm.get_llm_provider(model, params.get("custom_llm_provider"))
    except Exception:  # LiteLLM's own, of which the call itself will tell
        return True
    known = litellm.get_supported_openai_params(model=name, custom_llm_provider=provider)
    return known is None or parameter in known


def _openai_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """`tool` with the keys of OpenAI's API alone; Agno adds its own, which some providers refuse."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return dict(tool)
    return {**tool, "function": {key: value for key, value in function.items() if key in _OPENAI_TOOL_KEYS}}


def _as_sent(chunk: Any, stream: Any) -> Any:
    """`chunk` of `stream`; LiteLLM's last one, with usage alone, as OpenAI sends it: without a choice.

    What comes out of LiteLLM's cache costs nothing, which only the stream knows.
    """
    if (usage := chunk.get("usage")) is not None:
        if chunk.choices and chunk.choices[0].finish_reason is None:
            chunk.choices = []
        if stream.custom_llm_provider == CACHED:
            usage.cost = 0.0
    return chunk


def _metrics(response: Any) -> MessageMetrics | None:
    if (usage := response.get("usage")) is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return MessageMetrics(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        total_tokens=usage.total_tokens or 0,
        cache_read_tokens=(prompt and prompt.cached_tokens) or 0,
        reasoning_tokens=(completion and completion.reasoning_tokens) or 0,
        cost=cost_of(response),
    )
