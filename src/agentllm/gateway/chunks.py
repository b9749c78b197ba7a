"""From events to what LiteLLM takes from a provider: chunks of a stream, or a whole answer."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from litellm.types.utils import (
    ChatCompletionAudioResponse,
    Choices,
    CompletionTokensDetailsWrapper,
    Delta,
    GenericStreamingChunk,
    Message,
    ModelResponse,
    ModelResponseStream,
    PromptTokensDetailsWrapper,
    StreamingChoices,
    TextCompletionResponse,
)
from litellm.types.utils import Usage as LiteLLMUsage

from agentllm.core import (
    ClientCalls,
    Event,
    Finished,
    FinishReason,
    Link,
    Questions,
    Reasoning,
    Shown,
    Text,
    ToolCall,
    Usage,
    Work,
)
from agentllm.gateway.work import WORK, work_fields

Chunk = GenericStreamingChunk | ModelResponseStream

FREE = 0.0
"""What an answer costs for LiteLLM: the calls that it is made of are counted themselves, for the same key."""

MODEL = "agentllm_model"
"""The key in `provider_specific_fields`: the model that wrote the answer, as LiteLLM names it."""


class _IdentifiedChunk(dict[str, object]):
    """A `GenericStreamingChunk` with the answer's id, which LiteLLM takes from a chunk that has one.

    Without it the chunks of both types that one answer is made of would go out under two ids.
    """

    id: str


@dataclass(slots=True)
class Answer:
    """One answer being sent: all its chunks carry one id, and the first its time of creation in Unix seconds.

    `shows_model` is whether its form has a place for the model that wrote it.
    """

    model: str
    id: str
    shows_model: bool = False
    created: int = field(default_factory=lambda: int(time.time()))
    _last_text: str = ""
    _images: int = 0
    _is_begun: bool = False

    async def chunks(self, events: AsyncIterator[Event]) -> AsyncGenerator[Chunk, None]:
        """The events of one turn as chunks; usage stands before the finish chunk, as LiteLLM loses it otherwise."""
        async for event in events:
            if isinstance(event, Finished) and (not self._is_begun or self.fields(event)):
                yield self._delta(content="", provider_specific_fields=self.fields(event))
            if isinstance(event, ClientCalls):
                for index, call in enumerate(event.calls):  # LiteLLM's /v1/messages reads one call of a chunk
                    yield self._delta(tool_calls=[{"index": index, **_tool_call(call)}])
            elif (chunk := self._chunk(event)) is not None:
                yield chunk

    def fields(self, end: Finished) -> dict[str, Any] | None:
        """What clients are told of the answer at its end, beside what OpenAI's API has."""
        return {MODEL: end.model} if self.shows_model and end.model else None

    def _chunk(self, event: Event) -> Chunk | None:
        """None for calls, which are a chunk each, and for questions, which are put into words or calls before."""
        match event:
            case Text(text):
                return self._text(text)
            case Reasoning(text):
                return self._delta(reasoning_content=text)
            case Usage():
                return self._generic(usage=event)
            case Finished(reason):
                return self._generic(finish=reason)
            case Work():
                return self._delta(provider_specific_fields={WORK: work_fields(event)})
            case Shown():
                shown = _shown(event, index=self._images)
                self._images += "images" in shown
                return self._delta(**shown)
            case ClientCalls() | Questions():
                return None

    def _text(self, text: str) -> Chunk:
        """A generic chunk, but for the first, which carries the time, and for one that is equal to the one before it:
        LiteLLM breaks off a stream of 100 equal generic chunks.
        """
        repeated, self._last_text = text == self._last_text, text
        return self._generic(text) if self._is_begun and not repeated else self._delta(content=text)

    def _generic(self, text: str = "", *, usage: Usage | None = None, finish: FinishReason | None = None) -> Chunk:
        chunk = _IdentifiedChunk(
            text=text,
            is_finished=finish is not None,
            finish_reason=finish or "",
            usage=None if usage is None else litellm_usage(replace(usage, cost=FREE)).model_dump(exclude_none=True),
            index=0,
            tool_use=None,
        )
        chunk.id = self.id
        return chunk  # type: ignore[return-value]  # a TypedDict cannot be subclassed by a class with attributes

    def _delta(self, **fields: Any) -> ModelResponseStream:
        role, self._is_begun = None if self._is_begun else "assistant", True
        delta = Delta(role=role, **fields)
        choice = StreamingChoices(index=0, delta=delta, finish_reason=None)
        return ModelResponseStream(id=self.id, created=self.created, model=self.model, choices=[choice])


async def of_openai(chunks: AsyncIterator[Any], *, tells_usage: bool = True) -> AsyncGenerator[Any, None]:
    """`chunks` of LiteLLM's as OpenAI has them: all with the first one's time of creation, and usage without a choice.

    Those of /v1/completions all say that nothing was used, where the request does not ask for usage. Its readers, one
    within the other, give the chunks that they make themselves the times at which they made the first.
    """
    created = 0
    async for chunk in chunks:
        if isinstance(chunk, ModelResponseStream):
            created = created or chunk.created
            chunk.created = created
            if getattr(chunk, "usage", None) and not any(map(_says_something, chunk.choices)):
                chunk.choices = []
        elif isinstance(chunk, TextCompletionResponse) and not tells_usage:
            chunk.usage = None
        yield chunk


def _says_something(choice: StreamingChoices) -> bool:
    return bool(choice.finish_reason) or any(choice.delta.model_dump().values())


async def whole_answer(events: AsyncIterator[Event], response: ModelResponse, answer: Answer) -> ModelResponse:
    """`response` filled with the events of one turn."""
    text, reasoning, usage, end = "", "", Usage(), Finished("stop")
    calls: list[dict[str, Any]] = []
    images: list[Any] = []
    work: list[dict[str, Any]] = []
    audio: dict[str, Any] = {}
    async for event in events:
        if isinstance(event, Text):
            text += event.text
        elif isinstance(event, Reasoning):
            reasoning += event.text
        elif isinstance(event, Usage):
            usage = event
        elif isinstance(event, Finished):
            end = event
        elif isinstance(event, ClientCalls):
            calls = [_tool_call(call) for call in event.calls]
        elif isinstance(event, Work):
            work.append(work_fields(event))
        elif isinstance(event, Shown):
            shown = _shown(event, index=len(images))
            images += shown.get("images", ())
            audio = shown if "audio" in shown else audio
    message = Message(
        role="assistant",
        content=text or (None if calls else ""),
        reasoning_content=reasoning or None,
        tool_calls=calls or None,
        images=images or None,
        provider_specific_fields={**({WORK: work} if work else {}), **(answer.fields(end) or {})} or None,
        **audio,
    )
    response.id, response.created, response.model = answer.id, answer.created, answer.model
    response.choices = [Choices(finish_reason=end.reason, index=0, message=message)]
    response.usage = litellm_usage(usage)  # type: ignore[attr-defined]  # LiteLLM sets it this way
    response._hidden_params["response_cost"] = FREE
    return response


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _shown(event: Shown, *, index: int) -> dict[str, Any]:
    """The field of a message or a delta that holds a picture, the `index`-th of its answer, or a sound.

    Of a link to a sound it is empty: OpenAI's form has no place for one, so it has been put into words before.
    """
    media = event.media
    if isinstance(media, Link):
        return {"images": [_image(media.url, index)]} if media.kind == "image" else {}
    data = base64.b64encode(media.data).decode()
    if media.kind == "audio":
        return {"audio": ChatCompletionAudioResponse(data, expires_at=0, transcript=event.transcript)}
    return {"images": [_image(f"data:{media.mime_type};base64,{data}", index)]}


def _image(url: str, index: int) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "index": index}


def litellm_usage(usage: Usage) -> LiteLLMUsage:
    """`usage` in OpenAI's form, and its cost as LiteLLM tells it."""
    return LiteLLMUsage(
        cost=usage.cost,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=usage.reasoning_tokens)
        if usage.reasoning_tokens
        else None,
        prompt_tokens_details=PromptTokensDetailsWrapper(cached_tokens=usage.cached_tokens)
        if usage.cached_tokens
        else None,
    )
