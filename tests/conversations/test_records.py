"""Messages as JSON and back, and what an agent is given again of turns."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.conversations.records import CONTINUE, Status, StoredTurn, from_json, messages_of, to_json
from agentllm.core import Json, Message, ToolCall
from tests.conversations.speaking import worked
from tests.conversations.talk import Tree, assistant, texts, user

text = st.text(max_size=5)
set_text = st.none() | st.text(min_size=1, max_size=5)
json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)
provider_data = st.none() | st.dictionaries(text, json_values, min_size=1, max_size=2)
calls = st.builds(ToolCall, text, text, text, provider_data)
messages = st.builds(
    Message,
    st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    text,
    st.lists(calls, max_size=2).map(tuple),
    set_text,
    set_text,
    provider_data,
    document_at=st.none() | st.integers(0, 9),
)


@given(st.lists(messages, max_size=3))
def test_they_come_back_as_they_were(said: list[Message]) -> None:
    assert from_json(json.loads(json.dumps(to_json(said)))) == tuple(said)


def test_what_is_unset_takes_no_room() -> None:
    assert to_json([Message("user", "hello")]) == [{"role": "user", "content": "hello"}]
    (message,) = to_json([Message("assistant", tool_calls=(ToolCall("c", "f", "{}"),))])
    assert message == {"role": "assistant", "tool_calls": [{"id": "c", "name": "f", "arguments": "{}"}]}


def said(path: list[StoredTurn]) -> list[str]:
    return texts(messages_of(path))


def test_a_turn_s_messages_are_its_input_and_then_what_the_agent_did() -> None:
    turn = Tree().add("a", answer="A")
    assert turn.messages == (user("a"), *worked("a", "A"))


def test_of_a_turn_that_was_interrupted_it_is_what_was_sent() -> None:
    turn = Tree().add("a", answer="half", status="interrupted")
    assert turn.messages == (user("a"), assistant("half"))


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_of_a_turn_without_any_answer_it_is_what_was_asked(status: Status) -> None:
    assert Tree().add("a", answer="", status=status).messages == (user("a"),)


class TestMoreOfAnAnswer:
    def test_it_is_asked_for_and_said_once(self) -> None:
        tree = Tree()
        first = tree.add("a", answer="Once", status="interrupted")
        more = tree.add(answer="Once upon", after=first, status="interrupted")
        rest = tree.add(answer="Once upon a time", after=more, status="interrupted")
        assert said([first, more, rest]) == ["a", "Once", CONTINUE.content, " upon", CONTINUE.content, " a time"]

    def test_of_a_whole_turn_it_is_what_the_agent_did(self) -> None:
        tree = Tree()
        first = tree.add("a", answer="Once", status="interrupted")
        more = tree.add(answer="Once upon", after=first)
        assert list(messages_of([first, more]))[2:] == [CONTINUE, *more.output]

    @pytest.mark.parametrize("status", ["failed", "interrupted"])
    def test_nothing_is_left_of_a_turn_that_added_nothing(self, status: Status) -> None:
        tree = Tree()
        first = tree.add("a", answer="Once", status="interrupted")
        more = tree.add(answer="Once", after=first, status=status)
        assert said([first, more]) == ["a", "Once"]
