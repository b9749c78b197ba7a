"""Messages there and back: what one form can say, the other keeps."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from agno.models.message import Message as AgnoMessage
from hypothesis import given
from hypothesis import strategies as st

from agentllm.conversations.records import from_json, to_json
from agentllm.core import JsonObject, Message, ToolCall
from agentllm.runtimes.agno.messages import from_agno, join_texts, produced, to_agno

words = st.text(min_size=1, max_size=8)
arguments = st.dictionaries(words, st.integers() | words | st.none() | st.booleans(), max_size=3).map(json.dumps)
data: st.SearchStrategy[JsonObject | None] = st.none() | st.dictionaries(
    words, words | st.integers() | st.booleans(), min_size=1, max_size=2
)
call_data = st.none() | st.dictionaries(
    words.filter(lambda key: key not in ("id", "type", "function")), words, min_size=1, max_size=2
)
calls = st.builds(ToolCall, words, words, arguments, call_data)
users = st.builds(Message, st.just("user"), st.text(max_size=20), name=st.none() | words)
assistants = st.builds(
    Message, st.just("assistant"), st.text(max_size=20), st.lists(calls, max_size=3).map(tuple), provider_data=data
)
tools = st.builds(Message, st.just("tool"), st.text(max_size=20), tool_call_id=words, name=words)
messages = st.one_of(users, assistants, tools)


@given(messages)
def test_a_message_survives_the_way_through_agno(message: Message) -> None:
    assert from_agno(to_agno(message)) == message


@given(st.lists(messages, max_size=4).map(tuple))
def test_messages_survive_the_way_through_agno_and_the_store(said: tuple[Message, ...]) -> None:
    kept = json.loads(json.dumps(to_json(from_agno(to_agno(message)) for message in said)))
    assert from_json(kept) == said


@given(st.lists(assistants | tools, max_size=4).map(tuple))
def test_what_a_run_produced_can_be_given_to_the_next(said: tuple[Message, ...]) -> None:
    run = [AgnoMessage(role="user", content="hi"), *map(to_agno, said)]
    kept = from_json(json.loads(json.dumps(to_json(produced(run, [])))))
    assert produced([AgnoMessage(role="user", content="hi"), *map(to_agno, kept)], []) == said


def test_provider_data_that_json_cannot_hold_is_left_out() -> None:
    message = AgnoMessage(role="assistant", content="x", provider_data={"keep": "a", "drop": object(), "list": [1]})
    assert from_agno(message).provider_data == {"keep": "a"}


def test_a_tool_call_without_function_or_arguments_is_kept_as_an_empty_one() -> None:
    message = AgnoMessage(role="assistant", tool_calls=[{"type": "function"}, {"id": "1", "function": {"name": "f"}}])
    assert from_agno(message).tool_calls == (ToolCall("", "", "{}"), ToolCall("1", "f", "{}"))


def agno(role: str, content: str, **more: Any) -> AgnoMessage:
    return AgnoMessage(role=role, content=content, **more)


def test_what_a_run_produced_begins_after_the_user_s_newest_message() -> None:
    few_shot = [agno("user", "q"), agno("assistant", "a")]
    run = [agno("system", "be"), *few_shot, agno("user", "hi"), agno("assistant", "calling"), agno("tool", "x")]
    assert [message.content for message in produced(run, few_shot)] == ["calling", "x"]


def test_a_user_s_message_that_a_tool_adds_later_is_kept() -> None:
    run = [agno("user", "hi"), agno("assistant", "a"), agno("user", "an image"), agno("assistant", "b")]
    assert [message.content for message in produced(run, [])] == ["a", "an image", "b"]


def test_temporary_messages_are_not_kept() -> None:
    run = [agno("user", "hi"), agno("assistant", "a", temporary=True), agno("assistant", "b")]
    assert [message.content for message in produced(run, [])] == ["b"]


@pytest.mark.parametrize("run", [None, [], [agno("user", "hi")]])
def test_a_run_that_said_nothing_produced_nothing(run: list[AgnoMessage] | None) -> None:
    assert produced(run, []) == ()


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a\n\nb"),
        (["a\n", "b"], "a\nb"),
        (["", "a", "", "b"], "a\n\nb"),
    ],
)
def test_texts_of_several_calls_are_parted_by_a_paragraph(texts: list[str], joined: str) -> None:
    assert join_texts(texts) == joined


@pytest.mark.parametrize("role", ["user", "tool"])
def test_a_name_stands_where_agno_looks_for_it(role: Literal["user", "tool"]) -> None:
    made = to_agno(Message(role, "x", name="n", tool_call_id="1" if role == "tool" else None))
    assert (made.name, made.tool_name) == (("n", None) if role == "user" else (None, "n"))
