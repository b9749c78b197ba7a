"""The digest of a visible conversation: what the client was given and gave, message by message."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from agentllm.core import Message


def extended(digest: str, messages: Iterable[Message]) -> str:
    """The digest after `messages`, where `digest` is that before them: SHA-256 in hex, chained.

    An answer without text and calls, such as a picture alone, is nothing that a client shows again. Of the arguments
    of a call counts what they mean: clients, and LiteLLM on /v1/messages, write the JSON again in their own way.
    What begins a chain is an id that is known of one caller only, so that chains of two never meet.
    """
    for message in messages:
        if message.role == "assistant" and not (message.content or message.tool_calls):
            continue
        calls = [[call.id, call.name, _meant(call.arguments)] for call in message.tool_calls]
        said = [message.role, message.content, calls]
        media = [hashlib.sha256(item.data).hexdigest() for item in message.media]
        visible = json.dumps([*said, message.tool_call_id, *media]).encode()
        digest = hashlib.sha256(digest.encode() + visible).hexdigest()
    return digest


def _meant(arguments: str) -> str:
    try:
        value = json.loads(arguments, parse_float=_number)
    except (ValueError, RecursionError):
        return arguments
    return json.dumps(value, sort_keys=True)


def _number(written: str) -> float | int:
    """JavaScript knows one kind of number, and writes 1.0 as 1."""
    number = float(written)
    return int(number) if number.is_integer() else number
