"""A model that says what a test gives it, in this process, and turns to run agents with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast
from uuid import uuid4

from agno.agent import Agent
from agno.metrics import MessageMetrics
from agno.models.base import Model
from agno.models.message import Message as AgnoMessage
from agno.models.response import ModelResponse

from agentllm.core import Caller, Event, Finished, Message, Parameters, Reasoning, Text, ToolCall, Turn, Usage
from agentllm.gateway.bridge import HomeLoop
from agentllm.llm.offline import OfflineModel
from agentllm.runtimes import runtime_for

HOME = HomeLoop()
"""The one loop of this process for tests over real connections, which belong to the loop that opened them."""

ME = Caller("key", user="me")

SECOND = 30.0
"""Bounds of waits that take no time when all is well."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a provider sends at once; the last piece of an answer has the finish reason and the usage."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None


Wait: TypeAlias = Callable[[], Awaitable[None]]
Step: TypeAlias = Piece | Exception | Wait
"""What a model does next: say something, fail, or wait."""


@dataclass(frozen=True, slots=True)
class Hang:
    """A wait that only a cancellation ends; `begun` and `ended` tell of it."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def no_task_is_left() -> None:
    """Wait for what the runs so far have started, which must come to its end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, pending = await asyncio.wait(others, timeout=SECOND)
        assert not pending


def answer(*texts: str | Wait, finish: str | None = "stop", usage: Usage | None = None) -> tuple[Step, ...]:
    """The steps of a streamed answer."""
    said: list[Step] = [Piece(text) if isinstance(text, str) else text for text in texts]
    return (*said, Piece(finish_reason=finish, usage=usage or Usage(10, 1)))


def calling(name: str, arguments: str = "{}", *, text: str = "", usage: Usage | None = None) -> tuple[Step, ...]:
    """The steps of an answer that calls one tool."""
    return (
        Piece(text),
        Piece("", "", (ToolCall(f"call_{name}", name, arguments),), "tool_calls", usage or Usage(10, 1)),
    )


@dataclass
class Spoken(OfflineModel):
    """Each call of the model takes the next of `says`, the last of them for ever.

    `asked` has the messages of each call, `arguments` its other arguments, `calls` the copy of the model that it was
    made with, and `closed` is set when a streamed answer has ended, whichever way. Copies of the model share them.
    """

    says: list[Sequence[Step]] = field(default_factory=lambda: [answer("hello")])
    asked: list[list[AgnoMessage]] = field(default_factory=list)
    arguments: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Spoken] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, *says: Sequence[Step] | str) -> Spoken:
        return cls(says=[answer(item) if isinstance(item, str) else item for item in says])

    async def ainvoke(self, messages: list[AgnoMessage], *_: object, **arguments: object) -> ModelResponse:
        self.arguments.append(arguments)
        whole = Piece()
        async for piece in self._speak(messages):
            whole = Piece(
                whole.text + piece.text,
                whole.reasoning + piece.reasoning,
                whole.tool_calls + piece.tool_calls,
                piece.finish_reason or whole.finish_reason,
                piece.usage or whole.usage,
            )
        return self._parse_provider_response(cast("Any", whole))

    async def ainvoke_stream(
        self, messages: list[AgnoMessage], *_: object, **arguments: object
    ) -> AsyncIterator[ModelResponse]:
        self.arguments.append(arguments)
        try:
            async for piece in self._speak(messages):
                yield self._parse_provider_response_delta(cast("Any", piece))
        finally:
            self.closed.set()

    def _parse_provider_response(self, response: Any, **_: object) -> ModelResponse:
        parsed = self._parse_provider_response_delta(response)
        parsed.role = "assistant"
        return parsed

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        return ModelResponse(
            content=response.text or None,
            reasoning_content=response.reasoning or None,
            tool_calls=[
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in response.tool_calls
            ],
            response_usage=_metrics(response.usage),
        )

    async def _speak(self, messages: list[AgnoMessage]) -> AsyncIterator[Piece]:
        self.asked.append(list(messages))
        self.calls.append(self)
        steps = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        for step in steps:
            await asyncio.sleep(0)
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Piece):
                yield step
            else:
                await step()


def _metrics(usage: Usage | None) -> MessageMetrics | None:
    if usage is None:
        return None
    return MessageMetrics(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cache_read_tokens=usage.cached_tokens,
    )


def agent(*says: Sequence[Step] | str, **more: Any) -> tuple[Agent, Spoken]:
    """An agent whose model says `says`, and that model."""
    model = Spoken.of(*says)
    return Agent(name="spoken", model=model, telemetry=False, **more), model


def turn(*messages: Message | str, stream: bool = False, **more: Any) -> Turn:
    """A turn of `messages`; a string is one of the user."""
    said = tuple(m if isinstance(m, Message) else Message("user", m) for m in messages or ("hi",))
    given = Turn(id=str(uuid4()), agent="spoken", caller=ME, messages=said, parameters=Parameters(), stream=stream)
    return replace(given, **more)


async def run(who: object, asked: Turn) -> list[Event]:
    """All events of one turn."""
    return [event async for event in runtime_for(who).run(asked)]


async def first_usage(events: AsyncGenerator[Event, None]) -> Usage:
    """The next usage in `events`, which stay open."""
    while not isinstance(event := await anext(events), Usage):
        pass
    return event


async def leave(who: object, asked: Turn, waiting: asyncio.Event) -> None:
    """Run one turn and cancel it once `waiting` is set."""
    task = asyncio.create_task(run(who, asked))
    await asyncio.wait_for(waiting.wait(), SECOND)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def reasoning_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Reasoning))


def usage_of(events: Sequence[Event]) -> Usage:
    """The last, which is the sum."""
    return [event for event in events if isinstance(event, Usage)][-1]


def finished(events: Sequence[Event]) -> Finished:
    """The last event, which must be the only one of its kind."""
    assert [isinstance(event, Finished) for event in events].count(True) == 1
    last = events[-1]
    assert isinstance(last, Finished)
    return last


def heard(model: Model, call: int = -1) -> list[tuple[str, str]]:
    """Roles and texts of the messages that the model was given in a call of it."""
    assert isinstance(model, Spoken)
    return [(message.role, message.get_content_string()) for message in model.asked[call]]
