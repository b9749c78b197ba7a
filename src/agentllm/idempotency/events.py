"""Events as JSON text: what a client gets of a turn, and the error that it may end in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from agentllm.core import (
    Choice,
    ClientCalls,
    Event,
    Field,
    Finished,
    Link,
    Media,
    Question,
    Questions,
    Reasoning,
    Shown,
    Text,
    ToolCall,
    Usage,
    Work,
)
from agentllm.errors import AgentFailed, AgentLLMError, InvalidRequest


def to_json(events: Iterable[Event]) -> str:
    """`events` as ASCII text, with neighbouring pieces of text (or of reasoning) joined.

    Of `Finished` only the reason, the model and what was asked are kept: what the turn adds to its conversation is
    stored there, and no client's.
    """
    return json.dumps([_to_json(event) for event in joined(events)])


def from_json(text: str) -> list[Event]:
    """What `to_json` wrote."""
    return [_from_json(kind, value) for kind, value in json.loads(text)]


def joined(events: Iterable[Event]) -> Iterator[Event]:
    """`events` with neighbouring pieces of text joined, and likewise of reasoning."""
    kind: type[Text] | type[Reasoning] = Text
    texts: list[str] = []
    for event in events:
        if texts and type(event) is not kind:
            yield kind("".join(texts))
            texts = []
        if isinstance(event, (Text, Reasoning)):
            kind = type(event)
            texts.append(event.text)
        else:
            yield event
    if texts:
        yield kind("".join(texts))


def error_to_json(error: Exception) -> str:
    """`error` as text; of one that is not ours nothing is kept but that it was one."""
    if not isinstance(error, AgentLLMError):
        error = AgentFailed("The agent failed. Its operator finds the cause in the log.")
    kept = {"message": error.message, "status": error.status, "type": error.type, "retry_after": error.retry_after}
    return json.dumps({**kept, "param": error.param} if isinstance(error, InvalidRequest) else kept)


def error_from_json(text: str) -> AgentLLMError:
    """An error with the message, status, type and retry time of the one that `error_to_json` was given."""
    kept = json.loads(text)
    error: AgentLLMError
    error = InvalidRequest(kept["message"], param=kept["param"]) if "param" in kept else AgentFailed(kept["message"])
    error.status, error.type, error.retry_after = kept["status"], kept["type"], kept["retry_after"]
    return error


def _to_json(event: Event) -> tuple[str, Any]:
    match event:
        case Text(text):
            return "text", text
        case Reasoning(text):
            return "reasoning", text
        case Finished(reason):
            return "finished", {"reason": reason, "model": event.model, "asked": event.asked}
        case Shown(media, transcript):
            return "shown", {**_media_to_json(media), "transcript": transcript}
        case Usage():
            return "usage", asdict(event)
        case Work():
            return "work", asdict(event)
        case ClientCalls(calls):
            return "calls", [asdict(call) for call in calls]
        case Questions(questions):
            return "questions", [asdict(question) for question in questions]


def _from_json(kind: str, value: Any) -> Event:
    match kind:
        case "text":
            return Text(value)
        case "reasoning":
            return Reasoning(value)
        case "finished":
            return Finished(**value)
        case "shown":
            return Shown(_media(value), value["transcript"])
        case "usage":
            return Usage(**value)
        case "work":
            return Work(**value)
        case "calls":
            return ClientCalls(tuple(ToolCall(**call) for call in value))
        case _:
            return Questions(tuple(map(_question, value)))


def _media_to_json(media: Media | Link) -> dict[str, Any]:
    if isinstance(media, Link):
        return {"link": asdict(media)}
    return {"media": {**asdict(media), "data": base64.b64encode(media.data).decode()}}


def _media(value: Mapping[str, Any]) -> Media | Link:
    if "link" in value:
        return Link(**value["link"])
    return Media(**{**value["media"], "data": base64.b64decode(value["media"]["data"])})


def _question(value: Mapping[str, Any]) -> Question:
    asked = tuple(Field(**field) for field in value["fields"])
    return Question(**{**value, "fields": asked, "choices": tuple(map(_choice, value["choices"]))})


def _choice(value: Mapping[str, Any]) -> Choice:
    options = tuple((label, meaning) for label, meaning in value["options"])
    return Choice(**{**value, "options": options})
