"""Messages as JSON and back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from agentllm.conversations.records import StoredTurn, from_json, to_json
from agentllm.core import Json, Message, ToolCall

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
)


@given(st.lists(messages, max_size=3))
def test_they_come_back_as_they_were(said: list[Message]) -> None:
    assert from_json(json.loads(json.dumps(to_json(said)))) == tuple(said)


def test_what_is_unset_takes_no_room() -> None:
    assert to_json([Message("user", "hello")]) == [{"role": "user", "content": "hello"}]
    (message,) = to_json([Message("assistant", tool_calls=(ToolCall("c", "f", "{}"),))])
    assert message == {"role": "assistant", "tool_calls": [{"id": "c", "name": "f", "arguments": "{}"}]}


def test_a_turns_messages_are_its_input_and_then_its_output() -> None:
    said, answered = Message("user", "a"), Message("assistant", "b")
    assert StoredTurn(1, None, (said,), (answered,), "b", None).messages == (said, answered)
