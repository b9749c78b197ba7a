"""What a request says of where in its caller's conversations it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentllm.core import Place
from agentllm.errors import InvalidRequest
from agentllm.gateway import openwebui
from agentllm.gateway.answer_ids import read_answer_id

SESSION_HEADER = "x-agentllm-session-id"
LITELLM_SESSION_HEADER = "x-litellm-session-id"
LONGEST_ID = 512
"""Characters of an id that a client may give."""

LONGEST_ANSWER_ID = 4_096
"""The same for the id of an answer, which LiteLLM makes from the names of the agent, the user and the team."""


def place_of(
    headers: Mapping[str, str],
    body_metadata: Mapping[str, Any],
    *,
    store: object,
    previous_response_id: object = None,
    conversation: object = None,
) -> Place | None:
    """Where the request stands; None where its client wants nothing of it kept.

    That is `store: false`, or a chat that Open WebUI calls temporary. The session is the first that is given of
    `x-agentllm-session-id`, Open WebUI's chat, `x-litellm-session-id`, the Responses API's `conversation` and
    `metadata.session_id`.

    Raises:
        InvalidRequest: an id is no text or too long, or two things are asked for that exclude each other.
    """
    chat = openwebui.chat_id(headers)
    after = _after(previous_response_id)
    if store is False or openwebui.is_temporary(chat):
        if after is not None:
            raise InvalidRequest(
                "'previous_response_id' cannot be gone on after where nothing is stored. "
                "Leave out `store: false`, or send the whole conversation.",
                param="previous_response_id",
            )
        return None
    if after is not None and conversation is not None:
        raise InvalidRequest(
            "'previous_response_id' and 'conversation' both say where the request stands. Send one of them.",
            param="previous_response_id",
        )
    given = {
        SESSION_HEADER: headers.get(SESSION_HEADER),
        openwebui.CHAT_ID_HEADER: chat,
        LITELLM_SESSION_HEADER: headers.get(LITELLM_SESSION_HEADER),
        "conversation": conversation.get("id") if isinstance(conversation, Mapping) else conversation,
        "metadata.session_id": body_metadata.get("session_id"),
    }
    session = next((_id(value, name) for name, value in given.items() if value), None)
    message = _id(headers.get(openwebui.MESSAGE_ID_HEADER), openwebui.MESSAGE_ID_HEADER)
    if session is None or not message:
        return Place(session, after=after)
    parent = _id(headers.get(openwebui.PARENT_ID_HEADER), openwebui.PARENT_ID_HEADER) or ""
    return Place(session, message, parent, after)


def _after(previous_response_id: object) -> str | None:
    """The turn whose answer has that id."""
    name = "previous_response_id"
    given = _id(previous_response_id, name, longest=LONGEST_ANSWER_ID)
    return _id(read_answer_id(given).turn, name, longest=LONGEST_ANSWER_ID) if given else None


def _id(value: object, name: str, *, longest: int = LONGEST_ID) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} is {value!r:.80}; it must be a text.", param=name)
    if len(value) > longest:
        raise InvalidRequest(f"{name} has {len(value)} characters; {longest} are the limit.", param=name)
    if not value.isprintable():
        raise InvalidRequest(f"{name} holds a character that cannot be printed.", param=name)
    return value
