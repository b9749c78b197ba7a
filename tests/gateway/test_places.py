"""Where a request says that it stands."""

from __future__ import annotations

from typing import Any

import pytest

from agentllm.core import Place
from agentllm.errors import InvalidRequest
from agentllm.gateway.places import LONGEST_ANSWER_ID, LONGEST_ID, place_of


def place(
    store: Any = None, metadata: Any = None, previous: Any = None, conversation: Any = None, **headers: Any
) -> Place | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return place_of(named, metadata or {}, store=store, previous_response_id=previous, conversation=conversation)


def test_a_request_that_says_nothing_has_no_session() -> None:
    assert place() == Place()


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ({"x_agentllm_session_id": "ours", "x_openwebui_chat_id": "chat", "x_litellm_session_id": "lite"}, "ours"),
        ({"x_openwebui_chat_id": "chat", "x_agentllm_chat_id": "set", "x_litellm_session_id": "lite"}, "chat"),
        ({"x_agentllm_chat_id": "set", "x_litellm_session_id": "lite"}, "set"),
        ({"x_litellm_session_id": "lite"}, "lite"),
        ({"x_agentllm_session_id": "", "x_openwebui_chat_id": ""}, "body"),
        ({}, "body"),
    ],
)
def test_the_first_session_that_is_given_counts(headers: dict[str, str], session: str) -> None:
    assert place(metadata={"session_id": "body"}, **headers) == Place(session)


def test_open_webui_s_ids_place_a_turn_in_its_chat() -> None:
    ids = {"x_agentllm_message_id": "A2", "x_agentllm_parent_message_id": "A1"}
    assert place(x_openwebui_chat_id="chat", **ids) == Place("chat", "A2", "A1")
    assert place(**ids) == Place()


def test_a_first_turn_has_an_empty_parent() -> None:
    assert place(x_openwebui_chat_id="chat", x_agentllm_message_id="A1") == Place("chat", "A1", "")


@pytest.mark.parametrize("chat", ["temporary:socket", "local:1"])
def test_a_temporary_chat_has_no_place(chat: str) -> None:
    assert place(x_openwebui_chat_id=chat, x_agentllm_message_id="A1") is None


def test_a_request_that_is_not_to_be_stored_has_no_place() -> None:
    assert place(store=False, x_agentllm_session_id="s") is None
    assert place(store=True, x_agentllm_session_id="s") == Place("s")


@pytest.mark.parametrize("header", ["x_agentllm_session_id", "x_openwebui_chat_id", "x_litellm_session_id"])
def test_the_longest_id_is_taken_and_a_longer_one_refused(header: str) -> None:
    longest = "x" * LONGEST_ID
    assert place(**{header: longest}) == Place(longest)
    with pytest.raises(InvalidRequest, match=str(LONGEST_ID)):
        place(**{header: f"{longest}x"})


@pytest.mark.parametrize("value", [7, ["s"], {"a": 1}, True])
def test_a_session_in_the_body_must_be_a_text(value: object) -> None:
    with pytest.raises(InvalidRequest, match=r"metadata\.session_id"):
        place(metadata={"session_id": value})


@pytest.mark.parametrize("value", ["a\x00b", "a\nb", "\ud800"])
def test_an_id_that_cannot_be_printed_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest, match="printed"):
        place(metadata={"session_id": value})


# The Responses API


@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_a_conversation_is_a_session_that_a_header_overrides(conversation: object) -> None:
    assert place(conversation=conversation, metadata={"session_id": "body"}) == Place("conv_1")
    assert place(conversation=conversation, x_agentllm_session_id="s") == Place("s")


@pytest.mark.parametrize("conversation", [7, ["conv_1"], {"id": 7}, "x" * (LONGEST_ID + 1)])
def test_a_conversation_must_be_a_text_that_is_not_too_long(conversation: object) -> None:
    with pytest.raises(InvalidRequest, match="conversation"):
        place(conversation=conversation)


def test_a_request_goes_on_after_an_answer_also_in_a_session() -> None:
    assert place(previous="chatcmpl-1") == Place(after="1")
    assert place(previous="chatcmpl-1", x_agentllm_session_id="s") == Place("s", after="1")
    chat = {"x_openwebui_chat_id": "chat", "x_agentllm_message_id": "A2", "x_agentllm_parent_message_id": "A1"}
    assert place(previous="chatcmpl-1", **chat) == Place("chat", "A2", "A1", "1")


@pytest.mark.parametrize(
    "previous", [7, ["x"], "a\x00b", "x" * (LONGEST_ANSWER_ID + 1), "resp_YTtiO3Jlc3BvbnNlX2lkOgA="]
)
def test_an_answer_before_must_be_an_id(previous: object) -> None:
    with pytest.raises(InvalidRequest, match="previous_response_id"):
        place(previous=previous)


def test_an_answer_before_excludes_a_conversation_and_not_storing() -> None:
    for other in ({"conversation": "c"}, {"store": False}, {"x_openwebui_chat_id": "local:1"}):
        with pytest.raises(InvalidRequest, match="previous_response_id"):
            place(previous="chatcmpl-1", **other)
