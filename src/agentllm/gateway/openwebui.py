"""Open WebUI's dialect: what its headers and background requests look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentllm.core import Message

CHAT_ID_HEADER = "x-openwebui-chat-id"
USER_ID_HEADER = "x-openwebui-user-id"
TASK_HEADER = "x-agentllm-task"
"""Not of Open WebUI itself: a header that its connection settings can be told to send."""

_TASK_MARKS = ("<chat_history>", "### Chat History:")


def chat_id(headers: Mapping[str, str]) -> str | None:
    """The chat that a request belongs to."""
    return headers.get(CHAT_ID_HEADER)


def user_id(headers: Mapping[str, str]) -> str | None:
    """The person whose request it is, as far as the sender may be believed."""
    return headers.get(USER_ID_HEADER) or None


def is_background_task(headers: Mapping[str, str], messages: Sequence[Message]) -> bool:
    """Whether Open WebUI asks for a title, tags or the like, which are no turn of the chat whose id they carry.

    A turn with a file begins "### Task:" too, so both that and the chat's history must be there.
    """
    if headers.get(TASK_HEADER):
        return True
    if len(messages) != 1 or CHAT_ID_HEADER not in headers:
        return False
    text = messages[0].content
    return text.startswith("### Task:") and any(mark in text for mark in _TASK_MARKS)
