"""Open WebUI's dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from agentllm.core import Message, Role
from agentllm.gateway.openwebui import (
    CHAT_ID_HEADER,
    CONNECTION_CHAT_ID_HEADER,
    MESSAGE_ID_HEADER,
    TASK_HEADER,
    Task,
    background_task,
    chat_id,
)
from tests.openwebui import TASKS, TURNS, Captured

HISTORY = "### Chat History:\n<chat_history>\nUSER: hi\n</chat_history>"
TITLE = f'### Task:\nGenerate a title.\n### Output:\nJSON format: {{ "title": "a title" }}\n{HISTORY}'
NO_FORM = f"### Task:\nSuggest what comes next.\n{HISTORY}"
WITH_FILE = "### Task:\nRespond to the user query using the provided context.\n<context>\n{}\n</context>\n\nWhat is it?"
CHAT = {CHAT_ID_HEADER: "chat-1"}

FIXED_PROMPTS: dict[str, Sequence[tuple[Role, str]]] = {
    "emoji_generation": [
        ("user", "Your task is to reflect the speaker's likely facial expression by an emoji.\n\nMessage: ```hi```")
    ],
    "function_calling": [
        ("system", "Available Tools: []\n\nYour task is to choose and return the correct tool(s) from the list."),
        ("user", "Query: hi"),
    ],
    "context_compaction": [
        ("user", "### Task:\nSummarize the conversation history.\n\n### Messages Being Compacted:\nUSER: hi")
    ],
    "memory_review": [
        ("system", "You are Open WebUI's private memory reviewer. Return only valid JSON."),
        ("user", "Conversation: hi"),
    ],
    "autocomplete_generation": [
        (
            "user",
            '### Task:\nComplete.\nRespond only in JSON format: `{ "text": "<it>" }`.\n'
            "<chat_history>\n\n</chat_history>\n<type>General</type>\n<text>The sun</text>",
        )
    ],
}
MERGE: Sequence[tuple[Role, str]] = [
    (
        "user",
        'You have been provided with a set of responses from various models to the latest user query: "hi"\n\n'
        'Merge them.\n\nResponses from models: """a"""\n\n"""b"""',
    )
]


def said(*messages: tuple[Role, str]) -> list[Message]:
    return [Message(role, content) for role, content in messages]


def kind_of(
    headers: Mapping[str, str], messages: Sequence[Message], *, stream: bool = False, tools: bool = False
) -> str | None:
    task = background_task(headers, messages, stream=stream, tools=tools)
    return None if task is None else task.kind


def kind_of_captured(request: Captured, headers: Mapping[str, str], *, stream: bool | None = None) -> str | None:
    body = request.body
    messages = [Message(message["role"], message.get("content") or "") for message in body["messages"]]
    stream = body["stream"] if stream is None else stream
    return kind_of(headers, messages, stream=stream, tools=bool(body.get("tools")))


def test_the_chat_is_in_a_header() -> None:
    assert chat_id({CHAT_ID_HEADER: "chat-1"}) == "chat-1"
    assert chat_id({}) is None


# Real requests


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("request_", TASKS, ids=str)
def test_a_real_task_is_known_by_its_name_in_a_header(request_: Captured, stream: bool) -> None:
    assert kind_of_captured(request_, request_.headers, stream=stream) == request_.task


@pytest.mark.parametrize("request_", TASKS, ids=str)
def test_a_real_task_is_known_by_the_message_that_it_does_not_fill(request_: Captured) -> None:
    headers = {name: value for name, value in request_.headers.items() if name != TASK_HEADER}
    assert kind_of_captured(request_, headers, stream=True) == request_.task


@pytest.mark.parametrize("request_", TASKS, ids=str)
def test_a_real_task_is_known_by_its_shape(request_: Captured) -> None:
    assert kind_of_captured(request_, request_.without_connection_headers) == request_.task
    assert kind_of_captured(request_, {}) == request_.task


@pytest.mark.parametrize("request_", TURNS, ids=str)
def test_a_real_turn_is_none_whatever_headers_it_has(request_: Captured) -> None:
    assert kind_of_captured(request_, request_.headers) is None
    assert kind_of_captured(request_, request_.without_connection_headers) is None
    assert kind_of_captured(request_, {}) is None


@pytest.mark.parametrize("request_", TURNS, ids=str)
def test_a_real_turn_that_is_not_streamed_is_none_either(request_: Captured) -> None:
    assert kind_of_captured(request_, request_.headers, stream=False) is None
    assert kind_of_captured(request_, request_.without_connection_headers, stream=False) is None


# Headers


def test_a_task_of_an_unknown_name_is_one_still() -> None:
    assert background_task({TASK_HEADER: "new"}, said(("user", "hi")), stream=True, tools=True) == Task("other", "hi")


def test_the_prompt_says_what_a_task_of_an_unknown_name_wants() -> None:
    assert kind_of({TASK_HEADER: "new"}, said(("user", TITLE))) == "title_generation"


@pytest.mark.parametrize("chat", [CHAT_ID_HEADER, CONNECTION_CHAT_ID_HEADER])
def test_a_request_of_a_chat_that_fills_no_message_is_a_task(chat: str) -> None:
    assert kind_of({chat: "c", MESSAGE_ID_HEADER: ""}, said(("user", "hi"))) == "other"
    assert kind_of({chat: "c", MESSAGE_ID_HEADER: "m"}, said(("user", "hi"))) is None
    assert kind_of({chat: "c"}, said(("user", "hi"))) is None


def test_outside_of_a_chat_an_empty_message_id_says_nothing() -> None:
    headers = {CHAT_ID_HEADER: "", CONNECTION_CHAT_ID_HEADER: "", MESSAGE_ID_HEADER: "", TASK_HEADER: ""}
    assert kind_of(headers, said(("user", "hi"))) is None


# Shape


@pytest.mark.parametrize("headers", [{}, CHAT], ids=["no chat", "a chat"])
@pytest.mark.parametrize("kind", FIXED_PROMPTS)
def test_each_prompt_of_open_webui_is_known(kind: str, headers: Mapping[str, str]) -> None:
    assert kind_of(headers, said(*FIXED_PROMPTS[kind])) == kind
    assert kind_of(headers, said(*FIXED_PROMPTS[kind]), stream=True) is None
    assert kind_of(headers, said(*FIXED_PROMPTS[kind]), tools=True) is None


@pytest.mark.parametrize("stream", [False, True])
def test_answers_to_be_merged_are_known_streamed_too(stream: bool) -> None:
    assert kind_of({}, said(*MERGE), stream=stream) == "moa_response_generation"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("title", "title_generation"),
        ("tags", "tags_generation"),
        ("follow_ups", "follow_up_generation"),
        ("queries", "query_generation"),
        ("prompt", "image_prompt_generation"),
        ("text", "autocomplete_generation"),
    ],
)
def test_the_wanted_json_says_the_kind_and_what_the_chat_holds_does_not(key: str, kind: str) -> None:
    history = '<chat_history>\nUSER: { "title": "t" } { "tags": [] } { "text": "" }\n</chat_history>'
    assert kind_of({}, said(("user", f'### Task:\nDo it.\n{{\n  "{key}": "…"\n}}\n{history}'))) == kind


def test_in_a_chat_the_form_need_not_be_known() -> None:
    assert kind_of(CHAT, said(("user", NO_FORM))) == "other"
    assert kind_of({}, said(("user", NO_FORM))) is None


@pytest.mark.parametrize(
    "messages",
    [
        said(("user", "hi")),
        said(("user", WITH_FILE.format("a file"))),
        said(("user", WITH_FILE.format(TITLE))),
        said(("user", f"Why does it say {TITLE!r}?")),
        said(("user", "hi"), ("assistant", "hello"), ("user", TITLE)),
        said(("system", "Be brief."), ("user", TITLE)),
        said(("assistant", TITLE)),
        said(("user", '### Task:\nAnswer in JSON: { "title": "…" }')),
        [],
    ],
    ids=[
        "a message",
        "a turn with a file",
        "a turn with a file that holds a task",
        "a quotation",
        "a later message",
        "instructions before it",
        "no message of a person",
        "no history",
        "nothing",
    ],
)
@pytest.mark.parametrize("headers", [{}, CHAT], ids=["no chat", "a chat"])
def test_anything_else_is_a_turn(headers: Mapping[str, str], messages: Sequence[Message]) -> None:
    assert kind_of(headers, messages) is None


def test_a_streamed_task_without_telling_headers_and_one_with_tools_are_turns() -> None:
    assert kind_of(CHAT, said(("user", TITLE)), stream=True) is None
    assert kind_of(CHAT, said(("user", TITLE)), tools=True) is None
