"""The digest of a visible conversation: what the client was given and gave, message by message."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from agentllm.core import Message


def extended(digest: str, messages: Iterable[Message]) -> str:
    """The digest after `messages`, where `digest` is that before them: SHA-256 in hex, chained.

    An answer without text and calls, such as a picture alone, is nothing that a client shows again.
    What begins a chain is an id that is known of one caller only, so that chains of two never meet.
    """
    for message in messages:
        if message.role == "assistant" and not (message.content or message.tool_calls):
            continue
        said = [message.role, message.content, [[call.id, call.name, call.arguments] for call in message.tool_calls]]
        media = [hashlib.sha256(item.data).hexdigest() for item in message.media]
        visible = json.dumps([*said, message.tool_call_id, *media]).encode()
        digest = hashlib.sha256(digest.encode() + visible).hexdigest()
    return digest
