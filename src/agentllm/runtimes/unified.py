"""Runs a `UnifiedAgent` for many callers at once; it keeps nothing of a run."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from functools import cached_property
from typing import Any

from agentllm.core import Event, Finished, JsonObject, Media, Memory, Message, ToolCall, Turn
from agentllm.errors import InvalidRequest
from agentllm.hotswap.in_force import in_force
from agentllm.llm.unified import Answer, Asked, UnifiedAgent
from agentllm.runtimes.questions import ASK_USER
from agentllm.runtimes.tool_media import with_media_of_tools

_INSTRUCTIONS = ("system", "developer")
_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3"}


class UnifiedRuntime:
    """The runtime of one `UnifiedAgent`."""

    def __init__(self, agent: UnifiedAgent) -> None:
        self._agent = agent

    @property
    def name(self) -> str | None:
        return self._agent.name

    @property
    def description(self) -> str | None:
        return self._agent.description

    @cached_property
    def memory(self) -> Memory:
        """As many turns as the settings say, and its model's window."""
        from agentllm.llm.windows import context_window

        return Memory(tokens=context_window(self._agent.model))

    @property
    def takes_front_end_tools(self) -> bool:
        return False

    async def warm_up(self) -> None:
        """See `agentllm.core.Runtime.warm_up`."""
        from agentllm.llm.unified import loop  # noqa: F401 - it loads what a run needs

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`."""
        asked = self._asked(turn)
        async with aclosing(self._agent.answering(asked)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    added = event.messages[len(asked.messages) :]
                    yield Finished(event.reason, tuple(_from_openai(added)), turn.state, model=event.model)
                else:
                    yield event

    def _asked(self, turn: Turn) -> Asked:
        own = {tool.name for tool in self._agent.functions}
        taken = {tool.name for tool in turn.client_tools} & own - {ASK_USER}
        if taken:
            names = ", ".join(repr(name) for name in sorted(taken))
            raise InvalidRequest(
                f"The agent {turn.agent!r} has a tool of its own with each of these names: {names}. "
                "Give the request's tools other names, or leave them out.",
                param="tools",
            )
        said = with_media_of_tools(m for m in turn.messages if m.role not in _INSTRUCTIONS)
        return Asked(
            messages=tuple(_to_openai(message) for message in said),
            instructions=tuple(m.content for m in turn.messages if m.role in _INSTRUCTIONS),
            stream=turn.stream,
            parameters=turn.parameters,
            drop_unsupported=turn.drop_unsupported,
            client_tools=tuple(tool for tool in turn.client_tools if tool.name not in own),
            tool_choice=turn.tool_choice,
            parallel_tool_calls=turn.parallel_tool_calls,
            output_format=turn.output_format,
            swap=in_force,
        )


def _to_openai(message: Message) -> JsonObject:
    made: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.media:
        text = [{"type": "text", "text": message.content}] if message.content else []
        made["content"] = [*text, *map(_part, message.media)]
    if message.tool_calls:
        made["content"] = message.content or None
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        made["tool_call_id"] = message.tool_call_id
    if message.role == "user" and message.name:
        made["name"] = message.name
    if message.provider_data:
        made["provider_data"] = message.provider_data
    return made


def _part(media: Media) -> JsonObject:
    data = base64.b64encode(media.data).decode()
    url = f"data:{media.mime_type};base64,{data}"
    if media.kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if media.kind == "audio":
        sound = {"data": data, "format": _FORMATS.get(media.mime_type, media.mime_type.partition("/")[2])}
        return {"type": "input_audio", "input_audio": sound}
    named = {"filename": media.name} if media.name else {}
    return {"type": "file", "file": {"file_data": url, **named}}


def _from_openai(messages: Iterable[Mapping[str, Any]]) -> Iterator[Message]:
    """What a run added: answers of the model, and results of tools."""
    names: dict[str, str] = {}
    for message in messages:
        calls = tuple(
            ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or ()
        )
        names |= {call.id: call.name for call in calls}
        call_id = message.get("tool_call_id")
        yield Message(
            role=message["role"],
            content=message["content"] or "",
            tool_calls=calls,
            tool_call_id=call_id,
            name=names.get(str(call_id)),
            provider_data=message.get("provider_data"),
        )
