"""A stored conversation in the messages of OpenAI's chat format, branch by branch."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

from agentllm.conversations.records import StoredTurn, messages_of
from agentllm.core import Json, JsonObject, Media, Message

_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3"}


def newest_branch(turns: Sequence[StoredTurn]) -> int | None:
    """The id of the turn with which the branch ends that was continued last; one that failed only if all did."""
    ended = [turn.id for turn in turns if turn.status != "failed"]
    return max(ended or [turn.id for turn in turns], default=None)


def branch_ends(turns: Iterable[StoredTurn]) -> list[int]:
    """The ids of the turns that none follows, oldest first: one for each branch."""
    turns = list(turns)
    followed = {turn.parent for turn in turns}
    return sorted(turn.id for turn in turns if turn.id not in followed)


def branch(turns: Iterable[StoredTurn], end: int) -> list[StoredTurn]:
    """The turns of a branch, oldest first, to the one with the id `end`.

    Raises:
        KeyError: there is none.
    """
    by_id = {turn.id: turn for turn in turns}
    path = [by_id[end]]
    while (parent := path[-1].parent) is not None:
        path.append(by_id[parent])
    return path[::-1]


def openai_messages(turns: Iterable[StoredTurn]) -> list[JsonObject]:
    """The messages of `turns`, as an agent is given them again.

    With calls of tools and their results, which clients do not see, and without system messages,
    which are not stored. Where more of an answer was wanted, a message of the user says so.
    """
    return [openai_message(message) for message in messages_of(turns)]


def openai_message(message: Message) -> JsonObject:
    """`role` and `content`, and `tool_calls` or `tool_call_id` where there are any.

    With pictures, sounds or files the content is a list of parts, with their bytes in them.
    """
    exported: dict[str, Json] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        exported["content"] = message.content or None
        exported["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        exported["tool_call_id"] = message.tool_call_id
    return exported


def _content(message: Message) -> Json:
    if not message.media:
        return message.content
    text = [{"type": "text", "text": message.content}] if message.content else []
    return [*text, *map(_part, message.media)]


def _part(media: Media) -> JsonObject:
    encoded = base64.b64encode(media.data).decode()
    url = f"data:{media.mime_type};base64,{encoded}"
    if media.kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if media.kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": _FORMATS[media.mime_type]}}
    return {"type": "file", "file": {"file_data": url, **({"filename": media.name} if media.name else {})}}
