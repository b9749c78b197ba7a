"""Open WebUI's dialect."""

from __future__ import annotations

import pytest

from agentllm.core import Message
from agentllm.gateway.openwebui import CHAT_ID_HEADER, TASK_HEADER, USER_ID_HEADER, chat_id, is_background_task, user_id

TITLE = "### Task:\nGenerate a concise title.\n### Chat History:\n<chat_history>\nUSER: hi\n</chat_history>"
CHAT = {CHAT_ID_HEADER: "chat-1"}


def test_the_chat_and_the_person_are_in_headers() -> None:
    headers = {CHAT_ID_HEADER: "chat-1", USER_ID_HEADER: "ada"}
    assert (chat_id(headers), user_id(headers)) == ("chat-1", "ada")


@pytest.mark.parametrize("headers", [{}, {USER_ID_HEADER: ""}])
def test_nobody_is_nobody(headers: dict[str, str]) -> None:
    assert (chat_id(headers), user_id(headers)) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        TITLE,
        "### Task:\nSuggest follow-ups.\n### Chat History:\nUSER: hi",
        "### Task:\nTag it.\n<chat_history>x</chat_history>",
    ],
)
def test_a_request_for_a_title_tags_or_the_like_is_a_background_task(text: str) -> None:
    assert is_background_task(CHAT, [Message("user", text)])


@pytest.mark.parametrize(
    ("headers", "messages"),
    [
        (CHAT, [Message("user", "hi")]),
        (CHAT, [Message("user", "### Task:\nRespond to the query with the context.\n<context>a file</context>")]),
        (CHAT, [Message("user", f"Why does it say {TITLE!r}?")]),
        (CHAT, [Message("user", "hi"), Message("assistant", "hello"), Message("user", TITLE)]),
        ({}, [Message("user", TITLE)]),
        ({TASK_HEADER: ""}, [Message("user", "hi")]),
    ],
    ids=["a message", "a turn with a file", "a quotation", "a later message", "another client", "an empty header"],
)
def test_anything_else_is_a_turn(headers: dict[str, str], messages: list[Message]) -> None:
    assert not is_background_task(headers, messages)


def test_a_header_says_that_it_is_one_whatever_the_text() -> None:
    assert is_background_task({TASK_HEADER: "title_generation"}, [Message("user", "hi")])
