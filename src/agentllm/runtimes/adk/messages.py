"""Messages of a conversation as events of an ADK session, and back.

Kept with a message, beside its text and its calls, is what ADK needs of the event that it was: which
agent of a tree said it, where in the tree, and parts that are neither text nor calls, such as thought
signatures and executed code.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.adk.events.event import Event, NodeInfo
from google.genai import types

from agentllm.core import JsonObject, Media, Message, ToolCall

USER = "user"
_RESULT = "result"
_INVOCATION = "turn-"
_PLAIN = frozenset({"text", "thought", "function_call"})
"""What of a part needs no keeping: a message has it, or no model gets it again."""


def events_of(messages: Iterable[Message], agent: str) -> list[Event]:
    """What was said, as events of a session; `agent` said what is not noted as another agent's."""
    events: list[Event] = []
    turns, speaker = 0, agent
    for message in messages:
        if message.role == "user":
            turns += 1
            events.append(_event(USER, turns, user_content(message)))
        elif message.role == "assistant":
            speaker = str((message.provider_data or {}).get("author", agent))
            events.append(_event(speaker, turns, _model_content(message), message.provider_data))
        elif message.role == "tool":
            _add_result(events, message, turns)
    return events


def invocation_of(events: Sequence[Event]) -> str:
    """The id under which ADK goes on with the newest of `events`."""
    return events[-1].invocation_id if events else f"{_INVOCATION}0"


def user_content(message: Message) -> types.Content:
    """A message of the user, or the results of tools that media came with."""
    parts = [types.Part(text=message.content)] if message.content or not message.media else []
    return types.Content(role=USER, parts=[*parts, *(_media_part(item) for item in message.media)])


def messages_of(event: Event, agent: str) -> Iterator[Message]:
    """What is kept of an event of a run of `agent`: not its pictures, sounds and files."""
    parts = (event.content.parts if event.content else None) or []
    about = _about(event, agent)
    responses = [part.function_response for part in parts if part.function_response]
    for response in responses:
        data = {"author": event.author, **about}
        yield Message("tool", result_text(response), tool_call_id=response.id, name=response.name, provider_data=data)
    if responses or not event.content:
        return
    if any(_is_special(part) for part in parts):
        kept = [part for part in parts if not part.inline_data]
        about["parts"] = [part.model_dump(mode="json", exclude_none=True) for part in kept]
    calls = tuple(call_of(part.function_call) for part in parts if part.function_call)
    text = text_of(parts)
    if text or calls or "parts" in about:
        yield Message("assistant", text, calls, provider_data=about or None)


def text_of(parts: Iterable[types.Part]) -> str:
    """What is said in `parts`, without what was thought."""
    return "".join(part.text for part in parts if part.text and not part.thought)


def call_of(call: types.FunctionCall) -> ToolCall:
    return ToolCall(call.id or "", call.name or "", json.dumps(call.args or {}, ensure_ascii=False, default=str))


def result_text(response: types.FunctionResponse) -> str:
    """A tool's result: the text where it returned one, else JSON."""
    found = response.response or {}
    if found.keys() == {_RESULT}:
        inner = found[_RESULT]
        return inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False, default=str)
    return json.dumps(found, ensure_ascii=False, default=str)


def _event(author: str, turns: int, content: types.Content, kept: JsonObject | None = None) -> Event:
    kept = kept or {}
    return Event(
        author=author,
        invocation_id=f"{_INVOCATION}{turns}",
        content=content,
        branch=_text(kept, "branch"),
        isolation_scope=_text(kept, "isolation_scope"),
        node_info=NodeInfo(path=_text(kept, "path") or ""),
    )


def _text(kept: JsonObject, name: str) -> str | None:
    found = kept.get(name)
    return found if isinstance(found, str) else None


def _model_content(message: Message) -> types.Content:
    kept = (message.provider_data or {}).get("parts")
    if isinstance(kept, list):
        return types.Content(role="model", parts=[types.Part.model_validate(part) for part in kept])
    parts = [types.Part(text=message.content)] if message.content else []
    return types.Content(role="model", parts=[*parts, *(_call_part(call) for call in message.tool_calls)])


def _call_part(call: ToolCall) -> types.Part:
    return types.Part(
        function_call=types.FunctionCall(id=call.id, name=call.name, args=_object(call.arguments, "arguments"))
    )


def _add_result(events: list[Event], message: Message, turns: int) -> None:
    """Results of one message's calls are one event, as ADK reads them; a client's are the user's."""
    author = _text(message.provider_data or {}, "author") or USER
    part = types.Part(
        function_response=types.FunctionResponse(
            id=message.tool_call_id,
            name=message.name or _called(events, message.tool_call_id),
            response=_object(message.content, _RESULT),
            parts=[_response_part(item) for item in message.media] or None,
        )
    )
    last = events[-1] if events else None
    if last is not None and last.author == author and last.get_function_responses() and last.content:
        assert last.content.parts is not None
        last.content.parts.append(part)
    else:
        content = types.Content(role=USER, parts=[part])
        events.append(_event(author, turns, content, message.provider_data))


def _called(events: Sequence[Event], call_id: str | None) -> str:
    """The name of the tool that the call with this id is of: a client need not repeat it."""
    calls = (call for event in reversed(events) for call in event.get_function_calls())
    return next((call.name or "" for call in calls if call.id == call_id), "")


def _object(text: str, otherwise: str) -> dict[str, Any]:
    """The JSON object that `text` is, else one with `text` under the name `otherwise`."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {otherwise: text}


def _about(event: Event, agent: str) -> dict[str, Any]:
    told = {
        "author": event.author if event.author != agent else None,
        "branch": event.branch,
        "isolation_scope": event.isolation_scope,
        "path": event.node_info.path if event.isolation_scope else None,
    }
    return {name: value for name, value in told.items() if value}


def _is_special(part: types.Part) -> bool:
    told = part.model_fields_set - _PLAIN - {"inline_data"}
    return any(getattr(part, name) for name in told)


def _media_part(media: Media) -> types.Part:
    return types.Part(inline_data=types.Blob(mime_type=media.mime_type, data=media.data, display_name=media.name))


def _response_part(media: Media) -> types.FunctionResponsePart:
    return types.FunctionResponsePart.from_bytes(data=media.data, mime_type=media.mime_type)
