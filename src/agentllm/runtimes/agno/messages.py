"""Messages between AgentLLM's form and Agno's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from agno.models.message import Message as AgnoMessage

from agentllm.characters import whole
from agentllm.core import JsonObject, Message, Role, ToolCall
from agentllm.runtimes.agno.media import to_agno_media, transcript_of

_CALL_KEYS = frozenset({"id", "type", "function"})


def to_agno(message: Message) -> AgnoMessage:
    """`message` as Agno takes it."""
    return AgnoMessage(
        role=message.role,
        content=message.content or ("" if message.media else None),  # OpenAI's class would leave the media out
        name=message.name if message.role == "user" else None,
        tool_name=message.name if message.role == "tool" else None,
        tool_call_id=message.tool_call_id,
        tool_calls=[_call_to_agno(call) for call in message.tool_calls] or None,
        provider_data=dict(message.provider_data) if message.provider_data else None,
        **to_agno_media(message.media),
    )


def from_agno(message: AgnoMessage) -> Message:
    """What is kept of a message that Agno made: not its pictures, sounds and files."""
    return Message(
        role=cast("Role", message.role),
        content=message.get_content_string() or transcript_of(message),
        tool_calls=tuple(_call_from_agno(call) for call in message.tool_calls or ()),
        tool_call_id=message.tool_call_id,
        name=message.tool_name or message.name,
        provider_data=_keepable(message.provider_data),
    )


def produced(run_messages: Sequence[AgnoMessage] | None, given: Iterable[AgnoMessage]) -> tuple[Message, ...]:
    """What a run added after its input.

    `run_messages` are all of the run: the system message, those in `given`, the user's newest
    message where it is not among them, and then what the model and the tools said.
    """
    known = {message.id for message in given}
    rest = [m for m in run_messages or () if m.id not in known and m.role not in ("system", "developer")]
    answer_begins = next((i for i, m in enumerate(rest) if m.role != "user"), len(rest))
    return tuple(from_agno(m) for m in rest[answer_begins:] if not m.temporary)


def make_whole(messages: Iterable[AgnoMessage]) -> None:
    """Have the texts of `messages` hold whole characters only: what a tool returned may hold halves, which no
    request can."""
    for message in messages:
        if isinstance(message.content, str):
            message.content = whole(message.content)


def join_texts(texts: Iterable[str]) -> str:
    """What the model said in several calls, as one text: a paragraph for each."""
    joined = ""
    for text in filter(None, texts):
        joined += paragraph_break(joined) + text
    return joined


def paragraph_break(before: str) -> str:
    """What parts `before` from what the model says after it used a tool."""
    return "\n\n" if before and not before[-1].isspace() else ""


def _call_to_agno(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function, **(call.provider_data or {})}


def _call_from_agno(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    extra = {key: value for key, value in call.items() if key not in _CALL_KEYS}
    return ToolCall(
        str(call.get("id") or ""),
        str(function.get("name") or ""),
        str(function.get("arguments") or "{}"),
        extra or None,
    )


def _keepable(provider_data: Mapping[str, Any] | None) -> JsonObject | None:
    return {
        key: value for key, value in (provider_data or {}).items() if isinstance(value, (str, int, float, bool))
    } or None
