"""Parts of users' messages in a form that LiteLLM lets through whole.

In chat completions it refuses types that it does not know in words that do not name them, and among these are those
that the Responses API has for the same. From the Responses API and from Anthropic's it leaves out what it does not
know, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentllm.errors import InvalidRequest
from agentllm.gateway.part_forms import DOCUMENT_MARK, MEDIA_PARTS, TEXT_PARTS, part_type, unsupported

_CHAT = frozenset({"completion", "acompletion"})
_RESPONSES = frozenset({"responses", "aresponses"})
_MESSAGES = frozenset({"anthropic_messages"})
_ANTHROPIC = ("text", "image", "document", "tool_result")
_FILE_KEYS = ("filename", "file_data", "file_id")


def prepare_parts(data: Mapping[str, Any], call_type: object) -> None:
    """Put the parts of users' messages in a request's body into a form in which they reach an agent.

    Raises:
        InvalidRequest: one is of a type that cannot reach agents.
    """
    if str(call_type) in _CHAT:
        for content, place in _contents(data.get("messages"), "messages"):
            for index, part in enumerate(content):
                content[index] = _in_chat_form(part, f"{place}[{index}]")
    elif str(call_type) in _RESPONSES:
        for content, place in _contents(data.get("input"), "input"):
            for index, part in enumerate(content):
                _check_kept(part, f"{place}[{index}]")
    elif str(call_type) in _MESSAGES:
        for content, place in _contents(data.get("messages"), "messages"):
            for index, part in enumerate(content):
                content[index] = _in_kept_form(part, f"{place}[{index}]")


def _contents(messages: object, name: str) -> Iterator[tuple[list[Any], str]]:
    """The lists of parts in users' messages, and their places."""
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        if isinstance(message, dict) and message.get("role") == "user" and isinstance(message.get("content"), list):
            yield message["content"], f"{name}[{number}].content"


def _in_chat_form(part: object, place: str) -> object:
    kind = part_type(part)
    if not isinstance(part, dict) or (kind not in TEXT_PARTS and kind not in MEDIA_PARTS):
        raise unsupported(kind, place)
    match kind:
        case "input_text" | "output_text":
            return {**part, "type": "text"}
        case "refusal":
            return {"type": "text", "text": part.get("refusal")}
        case "input_image":
            return {**part, "type": "image_url"}
        case "input_file":
            file = {key: part[key] for key in _FILE_KEYS if part.get(key) is not None}
            return {"type": "file", "file": {"file_id": part["file_url"], **file} if part.get("file_url") else file}
    return part


def _check_kept(part: object, place: str) -> None:
    kind = part_type(part)
    if not isinstance(part, dict) or (kind not in TEXT_PARTS and kind not in MEDIA_PARTS):
        raise unsupported(kind, place)
    if kind == "input_audio":
        raise InvalidRequest(
            f"{place} is of the type 'input_audio', which the proxy does not pass on from /v1/responses. "
            "Send it to /v1/chat/completions.",
            param=place,
        )
    if kind == "input_image" and part.get("file_id") is not None:
        raise InvalidRequest(
            f"{place}.file_id names a file that was uploaded elsewhere, and no files are kept here. "
            "Send its bytes as a data URL in 'image_url'.",
            param=f"{place}.file_id",
        )


def _in_kept_form(part: object, place: str) -> object:
    kind = part_type(part)
    if not isinstance(part, dict) or kind not in _ANTHROPIC:
        raise InvalidRequest(
            f"{place} is of the type {kind!r:.80}; agents here take parts of the types {', '.join(_ANTHROPIC)}.",
            param=place,
        )
    source = part.get("source")
    if kind not in ("image", "document"):
        return part
    match source:
        case {"type": "base64" | "url"}:
            return part
        case {"type": "text", "data": str(text)}:
            return {"type": "text", "text": f"{DOCUMENT_MARK}{text}"}
    given = source.get("type") if isinstance(source, dict) else None
    raise InvalidRequest(
        f"{place}.source is of the type {given!r:.80}; it must be of the type base64, url or text.",
        param=f"{place}.source",
    )
