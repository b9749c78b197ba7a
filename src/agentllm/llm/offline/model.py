"""An Agno model class that needs no network and no key."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from agno.metrics import MessageMetrics
from agno.models.base import Model
from agno.models.message import Message as AgnoMessage
from agno.models.response import ModelResponse

from agentllm.core import Json, JsonObject, Media, Message, Role, ToolCall
from agentllm.llm.offline.answer import Answer, answer
from agentllm.llm.offline.structure import smallest
from agentllm.llm.offline.tools import read_tools
from agentllm.settings import PROVIDER_VARIABLES

NOTICE = (
    "Offline model: no language model is configured. "
    f"Set {', '.join(PROVIDER_VARIABLES[:-1])} or {PROVIDER_VARIABLES[-1]} to use one."
)

_TOKEN = re.compile(r"\s+|\S+\s*")
_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "model": "assistant", "tool": "tool"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says, whole or a piece of it; the last piece alone has a finish reason and usage."""

    text: str = ""
    finish_reason: Literal["stop", "length", "tool_calls"] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: MessageMetrics | None = None


@dataclass
class OfflineModel(Model):
    """A model without a language model: for trying things out, and for tests.

    It calls the offered tools that a message clearly asks for, at most once each, and then quotes their
    results; it recalls what the user said in the messages it is given; otherwise it says what it can do.
    It makes nothing up. The first line of a conversation's first answer says what it is.

    A token is a word with the white space behind it. That is what is streamed, what `max_tokens` counts,
    and what usage reports: for the prompt the words of all messages, for the completion the words of the
    text, of the called tools' names and of their arguments. `stop` ends the text before the first of the
    strings; a text that is cut has no calls of tools. With `parallel_tool_calls` False it calls one at most.
    The same messages always get the same text, so `temperature`, `top_p`, `seed`, `presence_penalty`,
    `frequency_penalty` and `reasoning_effort` are taken and change nothing.

    Asked for JSON it answers with the text in an object, or with the smallest value of the schema.
    """

    id: str = "offline"
    name: str | None = "OfflineModel"
    provider: str | None = "AgentLLM"
    supports_json_schema_outputs: bool = True

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: str | Sequence[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None
    tokens_per_second: float | None = None
    """The pace of the answer, for demonstrations and tests; None is as fast as it can."""

    def invoke(
        self,
        messages: list[AgnoMessage],
        tools: list[dict[str, object]] | None = None,
        tool_choice: str | JsonObject | None = None,
        response_format: object = None,
        **_: object,
    ) -> ModelResponse:
        pieces = self._pieces(messages, tools, tool_choice, response_format)
        for due in self._deadlines(len(pieces))[-1:]:
            time.sleep(max(0.0, due - time.monotonic()))
        return self._parse_provider_response(_whole(pieces))

    async def ainvoke(
        self,
        messages: list[AgnoMessage],
        tools: list[dict[str, object]] | None = None,
        tool_choice: str | JsonObject | None = None,
        response_format: object = None,
        **_: object,
    ) -> ModelResponse:
        pieces = self._pieces(messages, tools, tool_choice, response_format)
        for due in self._deadlines(len(pieces))[-1:]:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        return self._parse_provider_response(_whole(pieces))

    def invoke_stream(
        self,
        messages: list[AgnoMessage],
        tools: list[dict[str, object]] | None = None,
        tool_choice: str | JsonObject | None = None,
        response_format: object = None,
        **_: object,
    ) -> Iterator[ModelResponse]:
        pieces = self._pieces(messages, tools, tool_choice, response_format)
        deadlines = self._deadlines(len(pieces))
        for place, piece in enumerate(pieces):
            if deadlines:
                time.sleep(max(0.0, deadlines[place] - time.monotonic()))
            yield self._parse_provider_response_delta(piece)

    async def ainvoke_stream(
        self,
        messages: list[AgnoMessage],
        tools: list[dict[str, object]] | None = None,
        tool_choice: str | JsonObject | None = None,
        response_format: object = None,
        **_: object,
    ) -> AsyncIterator[ModelResponse]:
        pieces = self._pieces(messages, tools, tool_choice, response_format)
        deadlines = self._deadlines(len(pieces))
        for place, piece in enumerate(pieces):
            await asyncio.sleep(max(0.0, deadlines[place] - time.monotonic()) if deadlines else 0)
            yield self._parse_provider_response_delta(piece)

    def _parse_provider_response(self, response: Reply, **_: object) -> ModelResponse:
        return ModelResponse(
            role="assistant",
            content=response.text or (None if response.tool_calls else ""),
            tool_calls=_openai_calls(response),
            response_usage=response.usage,
        )

    def _parse_provider_response_delta(self, response: Reply) -> ModelResponse:
        return ModelResponse(
            content=response.text or None,
            tool_calls=_openai_calls(response),
            response_usage=response.usage,
        )

    def _pieces(
        self,
        messages: Sequence[AgnoMessage],
        offered: Sequence[Mapping[str, object]] | None,
        tool_choice: str | JsonObject | None,
        response_format: object,
    ) -> list[Reply]:
        """The reply in the pieces that are streamed; at least one."""
        conversation = [_read(message) for message in messages]
        said = answer(conversation, read_tools(offered or ()), tool_choice)
        is_first = not any(message.role == "assistant" for message in conversation)
        stops = (self.stop,) if isinstance(self.stop, str) else self.stop or ()
        text = f"*{NOTICE}*\n\n{said.text}" if is_first else said.text
        if not said.calls and isinstance(response_format, Mapping):
            text = _in_json(response_format, said.text)
        tokens, cut_by = cut(text, stops, self.max_tokens)
        most = 1 if self.parallel_tool_calls is False else None
        calls = () if cut_by else _calls(said)[:most]
        *texts, last = tokens or [""]
        usage = _usage(conversation, tokens, calls)
        finish = cut_by or ("tool_calls" if calls else "stop")
        return [*map(Reply, texts), Reply(last, finish, calls, usage)]

    def _deadlines(self, tokens: int) -> list[float]:
        """When each token is due on the monotonic clock; empty where there is no pace to keep."""
        if self.tokens_per_second is None:
            return []
        start, pace = time.monotonic(), self.tokens_per_second
        return [start + (place + 1) / pace for place in range(tokens)]


def cut(text: str, stop: Sequence[str], max_tokens: int | None) -> tuple[list[str], Literal["stop", "length"] | None]:
    """The tokens of `text` before the first of the strings `stop`, at most `max_tokens`, and what cut them."""
    ends = [place for string in stop if string and (place := text.find(string)) >= 0]
    tokens = _TOKEN.findall(text[: min(ends)] if ends else text)
    if max_tokens is not None and len(tokens) > max_tokens:
        return tokens[:max_tokens], "length"
    return tokens, "stop" if ends else None


def _in_json(response_format: JsonObject, text: str) -> str:
    """A JSON value in the form that `response_format`, of OpenAI's API, asks for."""
    asked = response_format.get("json_schema")
    value: Json = {"notice": NOTICE, "answer": text}
    if isinstance(asked, Mapping) and isinstance(schema := asked.get("schema"), Mapping):
        value = smallest(schema, NOTICE)
    return json.dumps(value, ensure_ascii=False)


def _read(message: AgnoMessage) -> Message:
    return Message(
        role=_ROLES.get(message.role, "system"),
        content=_text(message.content),
        tool_calls=tuple(
            ToolCall(str(call.get("id")), call["function"]["name"], call["function"].get("arguments") or "")
            for call in message.tool_calls or ()
            if "function" in call
        ),
        tool_call_id=message.tool_call_id,
        name=message.tool_name,
        media=tuple(_media(message)),
    )


def _media(message: AgnoMessage) -> Iterator[Media]:
    """What came with a message, without its bytes, which the model can make nothing of."""
    given: dict[Literal["image", "audio", "file"], Sequence[object] | None] = {
        "image": message.images,
        "audio": message.audio,
        "file": message.files,
    }
    for kind, items in given.items():
        yield from (Media(kind, "", b"") for _ in items or ())


def _text(content: str | list[object] | None) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    parts = (part.get("text") if isinstance(part, Mapping) else part for part in content)
    return "\n".join(part for part in parts if isinstance(part, str))


def _calls(said: Answer) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(f"call_{uuid4().hex}", call.tool.name, json.dumps(call.arguments, ensure_ascii=False))
        for call in said.calls
    )


def _usage(conversation: Sequence[Message], tokens: Sequence[str], calls: Sequence[ToolCall]) -> MessageMetrics:
    prompt = sum(len(message.content.split()) for message in conversation)
    completion = len(tokens) + sum(1 + len(call.arguments.split()) for call in calls)
    return MessageMetrics(input_tokens=prompt, output_tokens=completion, total_tokens=prompt + completion)


def _whole(pieces: Sequence[Reply]) -> Reply:
    last = pieces[-1]
    return Reply("".join(piece.text for piece in pieces), last.finish_reason, last.tool_calls, last.usage)


def _openai_calls(reply: Reply) -> list[dict[str, object]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in reply.tool_calls
    ]
