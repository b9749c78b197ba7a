"""From events to what LiteLLM takes from a provider: chunks of a stream, or a whole answer."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from litellm.types.utils import (
    Choices,
    CompletionTokensDetailsWrapper,
    Delta,
    GenericStreamingChunk,
    Message,
    ModelResponse,
    ModelResponseStream,
    PromptTokensDetailsWrapper,
    StreamingChoices,
)
from litellm.types.utils import Usage as LiteLLMUsage

from agentllm.core import Event, FinishReason, Reasoning, Text, Usage

Chunk = GenericStreamingChunk | ModelResponseStream


class _IdentifiedChunk(dict[str, object]):
    """A `GenericStreamingChunk` with the answer's id, which LiteLLM takes from a chunk that has one.

    Without it the chunks of both types that one answer is made of would go out under two ids.
    """

    id: str


@dataclass(slots=True)
class Answer:
    """One answer being sent: all its chunks carry one id and one time of creation, that of the first.

    LiteLLM gives its own chunks the time at which it got the first, so this is not set before.
    """

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4()}")
    created: int = 0
    _last_text: str = ""

    async def chunks(self, events: AsyncIterator[Event]) -> AsyncGenerator[Chunk, None]:
        """The events of one turn as chunks; usage stands before the finish chunk, as LiteLLM loses it otherwise."""
        async for event in events:
            if not self.created:
                self.created = int(time.time())
                if isinstance(event, Reasoning):
                    yield self._generic()  # LiteLLM looks at the clock for this form only, and sends nothing for it
            if isinstance(event, Text):
                yield self._text(event.text)
            elif isinstance(event, Reasoning):
                yield self._delta(reasoning_content=event.text)
            elif isinstance(event, Usage):
                yield self._generic(usage=event)
            else:
                yield self._generic(finish=event.reason)

    def _text(self, text: str) -> Chunk:
        """LiteLLM breaks off a stream of 100 equal generic chunks, so an equal one takes the other form."""
        repeated, self._last_text = text == self._last_text, text
        return self._delta(content=text) if repeated else self._generic(text)

    def _generic(self, text: str = "", *, usage: Usage | None = None, finish: FinishReason | None = None) -> Chunk:
        chunk = _IdentifiedChunk(
            text=text,
            is_finished=finish is not None,
            finish_reason=finish or "",
            usage=None if usage is None else litellm_usage(usage).model_dump(exclude_none=True),
            index=0,
            tool_use=None,
        )
        chunk.id = self.id
        return chunk  # type: ignore[return-value]  # a TypedDict cannot be subclassed by a class with attributes

    def _delta(self, *, content: str | None = None, reasoning_content: str | None = None) -> ModelResponseStream:
        delta = Delta(content=content, reasoning_content=reasoning_content, role="assistant")
        choice = StreamingChoices(index=0, delta=delta, finish_reason=None)
        return ModelResponseStream(id=self.id, created=self.created, model=self.model, choices=[choice])


async def whole_answer(events: AsyncIterator[Event], response: ModelResponse, model: str) -> ModelResponse:
    """`response` filled with the events of one turn."""
    text, reasoning, usage, reason = "", "", Usage(), "stop"
    async for event in events:
        if isinstance(event, Text):
            text += event.text
        elif isinstance(event, Reasoning):
            reasoning += event.text
        elif isinstance(event, Usage):
            usage = event
        else:
            reason = event.reason
    message = Message(role="assistant", content=text, reasoning_content=reasoning or None)
    answer = Answer(model)
    response.id, response.created, response.model = answer.id, int(time.time()), model
    response.choices = [Choices(finish_reason=reason, index=0, message=message)]
    response.usage = litellm_usage(usage)  # type: ignore[attr-defined]  # LiteLLM sets it this way
    return response


def litellm_usage(usage: Usage) -> LiteLLMUsage:
    """`usage` in OpenAI's form."""
    return LiteLLMUsage(
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
