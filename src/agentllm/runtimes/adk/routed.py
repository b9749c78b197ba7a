"""An ADK model that reaches any model of LiteLLM, through the running proxy's router where there is one."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

from google.adk.models.lite_llm import LiteLlm, LiteLLMClient
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from google.genai.errors import APIError, ClientError, ServerError

from agentllm.errors import AgentLLMError
from agentllm.hotswap.in_force import in_force
from agentllm.llm.offline.completion import OFFLINE, offline_completion
from agentllm.llm.router import CALLER_METADATA, acompletion, own_words, status_of

_STATUS_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Google's words for HTTP statuses."""

Note: TypeAlias = Callable[[Any], None]

_NEUTRAL = "model"
"""A name that ADK knows no provider by."""


class RoutedLlm(LiteLlm):
    """A model by its name in LiteLLM: `RoutedLlm(model="anthropic/claude-haiku-4-5")`.

    `model` is a `model_name` of the proxy that this process runs, which then brings its fallbacks, retries,
    limits and spend; where the proxy does not know it, or no proxy runs here, it is a LiteLLM model, asked
    directly. What is in force by hot-swap when it is called comes before it. Further arguments are those of
    `litellm.completion`. One object serves any number of calls at once.

    Raises (from `generate_content_async`):
        google.genai.errors.ClientError, ServerError: what went wrong, with the provider's status as `code` and
            its words as `message`.
    """

    def __init__(self, model: str, **arguments: Any) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"\[GEMINI_VIA_LITELLM\]")
            super().__init__(model=model, **arguments)

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        async with aclosing(self.respond(llm_request, stream)) as responses:
            async for response in responses:
                yield response

    async def respond(
        self,
        llm_request: LlmRequest,
        stream: bool = False,
        arguments: Mapping[str, Any] | None = None,
        note: Note | None = None,
    ) -> AsyncGenerator[LlmResponse, None]:
        """The model's responses; `arguments` of `litellm.completion` come before those made of the request.

        `note` is told each answer of LiteLLM's, or chunk of one. Closing this ends the call of the model.
        """
        keep_litellm_as_it_is()
        model = in_force().model or llm_request.model or self.model
        _give_ids(llm_request.contents)
        asked = {**_tool_choice(llm_request), **(arguments or {}), "model": model}
        if "headers" not in self._additional_args:
            asked["headers"] = None  # ADK's own, which a fallback would send to other providers too

        async def ask(**made: Any) -> Any:
            return await _ask_router(note or _ignore, **{**made, **asked})

        client = ClosingClient(ask)
        own = self.model_copy(update={"llm_client": client})
        llm_request.model = _NEUTRAL if _has_files(llm_request.contents) else model
        try:
            async with aclosing(LiteLlm.generate_content_async(own, llm_request, stream)) as responses:
                async for response in responses:
                    yield response
        finally:
            llm_request.model = model
            await client.aclose()


class ClosingClient(LiteLLMClient):
    """ADK's way to LiteLLM for one answer, whose stream can be closed; ADK leaves that to the garbage collector."""

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        self._ask = ask
        self._stream: Any = None

    async def acompletion(self, model: Any, messages: Any, tools: Any, **kwargs: Any) -> Any:
        answer = await self._ask(model=model, messages=messages, tools=tools, **kwargs)
        self._stream = answer if kwargs.get("stream") else None
        return answer

    async def aclose(self) -> None:
        """End the call, where its stream is still open."""
        if (close := getattr(self._stream, "aclose", None)) is not None:
            await close()


def _ignore(answer: Any) -> None:
    """Where nobody counts."""


async def _ask_router(note: Note, **asked: Any) -> Any:
    # LiteLLM turns max_tokens into what each provider calls it; not so the newer name.
    if (limit := asked.pop("max_completion_tokens", None)) is not None:
        asked.setdefault("max_tokens", limit)
    metadata = {**(CALLER_METADATA.get() or {}), **(asked.get("metadata") or {})}
    request = {name: value for name, value in asked.items() if value is not None}
    if metadata:
        request["metadata"] = metadata
    try:
        answer = await (offline_completion if request["model"] == OFFLINE else acompletion)(request)
    except AgentLLMError:
        raise
    except Exception as error:
        raise as_google_error(error) from error
    if request.get("stream"):
        return _read(answer, note)
    note(answer)
    return answer


async def _read(stream: Any, note: Note) -> AsyncGenerator[Any, None]:
    try:
        async for chunk in stream:
            note(chunk)
            yield chunk
    except AgentLLMError:
        raise
    except Exception as error:
        raise as_google_error(error) from error
    finally:
        await stream.aclose()


def as_google_error(error: Exception) -> APIError:
    """An error of LiteLLM as the one that Google's own client would raise, by which ADK decides what to do."""
    status = status_of(error)
    words = {"code": status, "message": own_words(error), "status": _STATUS_WORDS.get(status, "UNKNOWN")}
    return (ClientError if status < 500 else ServerError)(status, {"error": words})


def _tool_choice(request: LlmRequest) -> dict[str, Any]:
    """What ADK's class leaves out: which tool must be called."""
    config = request.config.tool_config.function_calling_config if request.config.tool_config else None
    names = (config and config.allowed_function_names) or []
    if config is None or config.mode != types.FunctionCallingConfigMode.ANY or len(names) != 1:
        return {}
    return {"tool_choice": {"type": "function", "function": {"name": names[0]}}}


def _has_files(contents: Iterable[types.Content]) -> bool:
    """Whether there are documents, which ADK's class would upload to OpenAI or Azure with keys of its own."""
    blobs = (part.inline_data for content in contents for part in content.parts or ())
    return any(blob and (blob.mime_type or "").startswith("application/") for blob in blobs)


def _give_ids(contents: Iterable[types.Content]) -> None:
    """Have each call and its result share an id, where ADK left ids out for a model of Google's."""
    open_calls: dict[str | None, list[str]] = {}
    number = 0
    for content in contents:
        for part in content.parts or ():
            call = part.function_call
            if call is not None and not call.id:
                number += 1
                part.function_call = call.model_copy(update={"id": f"call_{number}"})
                open_calls.setdefault(call.name, []).append(f"call_{number}")
            response = part.function_response
            if response is not None and not response.id and (waiting := open_calls.get(response.name)):
                part.function_response = response.model_copy(update={"id": waiting.pop(0)})


def keep_litellm_as_it_is() -> None:
    """ADK has LiteLLM write tools into prompts where a model takes none, for the whole process, which may be a proxy's.

    It does so once, when its class first needs LiteLLM.
    """
    from google.adk.models import lite_llm

    if lite_llm._LITELLM_IMPORTED:
        return
    lite_llm._ensure_litellm_imported()
    lite_llm.litellm.add_function_to_prompt = False  # type: ignore[attr-defined]  # ADK's module has it from then on
