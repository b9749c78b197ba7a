"""What a request says of where in its caller's conversations it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentllm.core import Place
from agentllm.errors import InvalidRequest
from agentllm.gateway import openwebui

SESSION_HEADER = "x-agentllm-session-id"
LITELLM_SESSION_HEADER = "x-litellm-session-id"
LONGEST_ID = 512
"""Characters of an id that a client may give."""


def place_of(headers: Mapping[str, str], body_metadata: Mapping[str, Any], *, store: object) -> Place | None:
    """Where the request stands; None where its client wants nothing of it kept.

    That is `store: false`, or a chat that Open WebUI calls temporary. The session is the first that is given of
    `x-agentllm-session-id`, Open WebUI's chat, `x-litellm-session-id` and `metadata.session_id`.

    Raises:
        InvalidRequest: an id is no text or too long.
    """
    chat = openwebui.chat_id(headers)
    if store is False or openwebui.is_temporary(chat):
        return None
    given = {
        SESSION_HEADER: headers.get(SESSION_HEADER),
        openwebui.CHAT_ID_HEADER: chat,
        LITELLM_SESSION_HEADER: headers.get(LITELLM_SESSION_HEADER),
        "metadata.session_id": body_metadata.get("session_id"),
    }
    session = next((_id(value, name) for name, value in given.items() if value), None)
    message = _id(headers.get(openwebui.MESSAGE_ID_HEADER), openwebui.MESSAGE_ID_HEADER)
    if session is None or not message:
        return Place(session)
    return Place(session, message, _id(headers.get(openwebui.PARENT_ID_HEADER), openwebui.PARENT_ID_HEADER) or "")


def _id(value: object, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} is {value!r:.80}; it must be a text.", param=name)
    if len(value) > LONGEST_ID:
        raise InvalidRequest(f"{name} has {len(value)} characters; {LONGEST_ID} are the limit.", param=name)
    if not value.isprintable():
        raise InvalidRequest(f"{name} holds a character that cannot be printed.", param=name)
    return value
