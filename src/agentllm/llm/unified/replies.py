"""One model call: what is said in it piece by piece, and what it came to."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agentllm.core import FinishReason, JsonObject, Reasoning, Text, ToolCall, Usage
from agentllm.errors import ModelFailed, ModelTimedOut
from agentllm.llm.costs import cost_of, model_of
from agentllm.llm.offline.completion import OFFLINE, offline_completion
from agentllm.llm.router import acompletion, models_behind
from agentllm.llm.unified.requests import PROVIDER_DATA


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model call came to; `message` is in the form of OpenAI's chat API, `model` as `provider/model`."""

    message: JsonObject
    text: str
    calls: tuple[ToolCall, ...]
    reason: FinishReason
    usage: Usage
    model: str


async def ask(
    request: Mapping[str, Any], *, patience: float | None = None
) -> AsyncGenerator[Text | Reasoning | Reply, None]:
    """Ask LiteLLM, and yield what is said, as it comes where the request is for a stream, and the reply at the end.

    Raises:
        ModelFailed: the answer is empty or broken off.
        ModelTimedOut: it was silent for longer than `patience`, in seconds.
        Exception: LiteLLM's own.
    """
    complete = offline_completion if request["model"] == OFFLINE else acompletion
    response = await _within(patience, complete(request), request["model"])
    if not request.get("stream"):
        for piece in _pieces(response.choices[0].message if response.choices else None):
            yield piece
        yield _reply(response, request)
        return
    chunks: list[Any] = []
    try:
        while (chunk := await _within(patience, anext(response, None), request["model"])) is not None:
            chunks.append(chunk)
            for piece in _pieces(chunk.choices[0].delta if chunk.choices else None):
                yield piece
    finally:
        await response.aclose()
    yield _streamed_reply(response, chunks, request)


async def _within(limit: float | None, waiting: Awaitable[Any], model: str) -> Any:
    """What is waited for; LiteLLM itself looks at the time within some providers' streams only."""
    try:
        async with asyncio.timeout(limit):
            return await waiting
    except TimeoutError:
        raise ModelTimedOut(f"The language model {model!r} said nothing for {limit} s.", status=504) from None


def _pieces(said: Any) -> Iterator[Text | Reasoning]:
    if said is None:
        return
    if reasoning := said.get("reasoning_content"):
        yield Reasoning(reasoning)
    if said.content:
        yield Text(said.content)


def _streamed_reply(stream: Any, chunks: list[Any], request: Mapping[str, Any]) -> Reply:
    import litellm

    if not any(choice.finish_reason for chunk in chunks for choice in chunk.choices):
        raise ModelFailed(f"The language model {request['model']!r} broke off in the middle of its answer.")
    if not isinstance(stream, litellm.CustomStreamWrapper):  # the offline model's
        return _reply(litellm.stream_chunk_builder(chunks), request)
    built: Any = litellm.stream_chunk_builder(chunks, logging_obj=stream.logging_obj)
    hidden = built._hidden_params
    hidden.setdefault("custom_llm_provider", stream.custom_llm_provider)
    hidden["cache_hit"] = stream._hidden_params.get("cache_hit")
    return _reply(built, request)


def _reply(response: Any, request: Mapping[str, Any]) -> Reply:
    asked = request["model"]
    if not response.choices:
        raise ModelFailed(f"The language model {asked!r} returned an empty answer.")
    choice = response.choices[0]
    said = choice.message
    calls = tuple(_call(call) for call in said.tool_calls or ())
    reason = _reason(choice.finish_reason, calls)
    if not said.content and not calls and reason == "stop":
        raise ModelFailed(f"The language model {asked!r} returned an empty answer.")
    message: dict[str, Any] = {"role": "assistant", "content": said.content or (None if calls else "")}
    if calls:
        message["tool_calls"] = [_in_openai_form(call) for call in calls]
    if blocks := [block for block in said.get("thinking_blocks") or () if _is_signed(block)]:
        message[PROVIDER_DATA] = {"model": asked, "thinking_blocks": blocks}
    usage = _usage(response.get("usage"), cost_of(response))
    return Reply(message, said.content or "", calls, reason, usage, _model_of(response, asked))


def _is_signed(block: Any) -> bool:
    """Whether it is one of Anthropic's, who want it back with the results of tools."""
    return bool(block.get("signature")) or block.get("type") == "redacted_thinking"


def _call(call: Any) -> ToolCall:
    return ToolCall(call.id or f"call_{uuid.uuid4().hex}", call.function.name or "", call.function.arguments or "{}")


def _in_openai_form(call: ToolCall) -> JsonObject:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _reason(word: str | None, calls: tuple[ToolCall, ...]) -> FinishReason:
    if calls:
        return "tool_calls"
    return "length" if word == "length" else "content_filter" if word == "content_filter" else "stop"


def _model_of(response: Any, asked: str) -> str:
    """The model that answered, after whatever LiteLLM's router did, with its provider."""
    if response._hidden_params.get("custom_llm_provider") is None:  # as of an answer of the cache
        names = (asked, *models_behind(asked))
        if found := next((name for name in names if name.endswith(f"/{response.model}")), None):
            return found
    return model_of(response) or asked


def _usage(counts: Any, cost: float | None) -> Usage:
    if counts is None:
        return Usage(cost=cost)
    prompt, completion = counts.prompt_tokens_details, counts.completion_tokens_details
    return Usage(
        counts.prompt_tokens or 0,
        counts.completion_tokens or 0,
        (completion and completion.reasoning_tokens) or 0,
        (prompt and prompt.cached_tokens) or 0,
        cost,
    )
