"""Which requests are the same."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import (
    Caller,
    Change,
    ClientTool,
    Decision,
    Media,
    Message,
    OutputFormat,
    Parameters,
    Place,
    Swap,
    ToolCall,
    ToolChoice,
    Turn,
)
from agentllm.idempotency.asked import asked_digest, key_digest

SECRET = b"0" * 32
PICTURE = Media("image", "image/png", b"\x89PNG")
TURN = Turn("1", "demo", Caller("k"), (Message("user", "hi", media=(PICTURE,)),), place=Place("s"))

SHAPING: dict[str, Any] = {
    "agent": "other",
    "messages": (Message("user", "hi", media=(replace(PICTURE, data=b"another"),)),),
    "parameters": Parameters(temperature=0.5),
    "drop_unsupported": True,
    "place": Place("s", after="answer"),
    "client_tools": (ClientTool("f", "does it", {"type": "object"}),),
    "tool_choice": ToolChoice("required"),
    "parallel_tool_calls": False,
    "output_format": OutputFormat({"type": "object"}),
    "decisions": (Decision("call", True),),
    "answers": "1",
    "changes": (Change("model", "other"),),
}
NOT_SHAPING: dict[str, Any] = {
    "id": "2",
    "caller": Caller("k", team="t"),
    "stream": True,
    "conversation": "c",
    "state": {"a": 1},
    "pending": {"a": 1},
    "swap": Swap("other"),
}


def digest(turn: Turn) -> str:
    return asked_digest(SECRET, turn)


def test_every_part_of_a_request_is_one_or_the_other() -> None:
    assert SHAPING.keys() | NOT_SHAPING.keys() == {field.name for field in fields(Turn)}


@pytest.mark.parametrize("name", SHAPING)
def test_what_shapes_the_answer_makes_another_request(name: str) -> None:
    assert digest(replace(TURN, **{name: SHAPING[name]})) != digest(TURN)


@pytest.mark.parametrize("name", NOT_SHAPING)
def test_what_does_not_is_no_difference(name: str) -> None:
    assert digest(replace(TURN, **{name: NOT_SHAPING[name]})) == digest(TURN)


@pytest.mark.parametrize(
    "message",
    [
        Message("user", "ho"),
        Message("system", "hi"),
        Message("user", "hi", name="ada"),
        Message("assistant", "hi", tool_calls=(ToolCall("1", "f", "{}"),)),
        Message("user", "hi", media=(PICTURE, PICTURE)),
        Message("user", "half a character: \ud800"),
    ],
)
def test_messages_are_told_apart(message: Message) -> None:
    assert digest(replace(TURN, messages=(message,))) != digest(TURN)


def test_the_order_of_keys_in_a_schema_means_nothing() -> None:
    one = replace(TURN, output_format=OutputFormat({"type": "object", "title": "t"}))
    other = replace(TURN, output_format=OutputFormat({"title": "t", "type": "object"}))
    assert digest(one) == digest(other)


names = st.text(min_size=1, max_size=3)
callers = st.builds(Caller, names, st.none() | names, st.none() | names, st.none() | names)


@given(callers, names, callers, names)
def test_a_key_is_the_same_exactly_for_the_same_caller(one: Caller, key: str, other: Caller, other_key: str) -> None:
    same = (one.principal, key) == (other.principal, other_key)
    assert (key_digest(SECRET, one, key) == key_digest(SECRET, other, other_key)) == same


def test_nobody_without_the_secret_can_tell_what_a_digest_stands_for() -> None:
    assert key_digest(b"1" * 32, TURN.caller, "k") != key_digest(SECRET, TURN.caller, "k")
    assert asked_digest(b"1" * 32, TURN) != digest(TURN)
