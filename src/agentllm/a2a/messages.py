"""From the parts of A2A's messages to those of OpenAI's chat completions, and from answers to parts."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from a2a.types import Message, Part, Role
from google.protobuf.json_format import MessageToDict

from agentllm.core import Link, Media


def content_of(message: Message) -> list[dict[str, Any]]:
    """The parts of `message` in OpenAI's form: a data part is its JSON, a file is of whatever kind its bytes are."""
    return [_openai_part(part) for part in message.parts]


def without_bytes(message: Message) -> None:
    """Put a short text in the place of each file in `message`, which the history of its task is to hold."""
    for part in message.parts:
        if part.WhichOneof("content") == "raw":
            said = f"{part.filename or 'file'}: {part.media_type or 'unknown type'}, {len(part.raw):,} bytes"
            part.text = f"[{said}]"


def text_parts(text: str) -> list[Part]:
    return [Part(text=text, media_type="text/plain")]


def media_parts(media: Media | Link, transcript: str = "") -> list[Part]:
    """A picture or a sound of an answer, and what is said in it."""
    if isinstance(media, Link):
        shown = Part(url=media.url)
    else:
        shown = Part(raw=media.data, media_type=media.mime_type, filename=media.name or "")
    return [shown, *(text_parts(transcript) if transcript else ())]


def agent_message(text: str, message_id: str, task_id: str, context_id: str) -> Message:
    """What the agent says of the state of its task."""
    parts = text_parts(text)
    return Message(role=Role.ROLE_AGENT, message_id=message_id, task_id=task_id, context_id=context_id, parts=parts)


def text_of(parts: Iterable[Part]) -> str:
    """The texts of `parts`, as they follow each other."""
    return "".join(part.text for part in parts)


def _openai_part(part: Part) -> dict[str, Any]:
    match part.WhichOneof("content"):
        case "raw":
            encoded = base64.b64encode(part.raw).decode()
            data = f"data:{part.media_type};base64,{encoded}" if part.media_type else encoded
            return {"type": "file", "file": {"file_data": data, "filename": part.filename or None}}
        case "url":
            return {"type": "file", "file": {"file_id": part.url, "filename": part.filename or None}}
        case "data":
            return {"type": "text", "text": json.dumps(_plain(MessageToDict(part.data)), ensure_ascii=False)}
        case _:
            return {"type": "text", "text": part.text}


def _plain(value: Any) -> Any:
    """`value` with whole numbers as such: protobuf has only floats."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value
