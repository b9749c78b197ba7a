"""Where in a conversation a request stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentllm.conversations.position import Position, locate
from agentllm.core import Message
from tests.conversations.talk import assistant, branch, system, texts, transcript, user

STORED = branch(("hello", "hi"), ("and?", "so"), ("more", "less"))
END = branch(("and?", "so"), ("more", "less"), first=7, parent=6)
"""The last turns of a longer conversation."""


@pytest.mark.parametrize(
    ("messages", "remembered", "new"),
    [
        pytest.param([user("next")], 3, ["next"], id="new messages alone are appended"),
        pytest.param([system("be kind"), user("next")], 3, ["next"], id="instructions are not part of what is said"),
        pytest.param([user("a"), user("b")], 3, ["a", "b"], id="several new messages are appended"),
        pytest.param([Message("tool", "42", tool_call_id="c")], 3, ["42"], id="a tool's result is appended"),
        pytest.param([], 3, [], id="no message at all"),
        pytest.param([*transcript(STORED), user("next")], 3, ["next"], id="the transcript so far is recognised"),
        pytest.param(
            [system("a"), *transcript(STORED), Message("developer", "b"), user("next")],
            3,
            ["next"],
            id="instructions between do not matter",
        ),
        pytest.param([*transcript(STORED[:2]), user("more")], 2, ["more"], id="regenerating asks the last turn again"),
        pytest.param([*transcript(STORED[:2]), user("less")], 2, ["less"], id="editing the last message"),
        pytest.param([*transcript(STORED[:1]), user("other")], 1, ["other"], id="editing an earlier message"),
        pytest.param(
            [user("hello"), assistant("HI"), user("next")],
            0,
            ["hello", "HI", "next"],
            id="an answer that the client has edited counts as the client has it",
        ),
        pytest.param(
            [*transcript(STORED[:1]), user("and?"), assistant("SO"), user("next")],
            1,
            ["and?", "SO", "next"],
            id="from where they part the client is believed",
        ),
        pytest.param(transcript(STORED), 3, [], id="the transcript with nothing new"),
        pytest.param(
            [user(" hello\n"), assistant("hi  "), user("next")],
            1,
            ["next"],
            id="space around a message does not matter",
        ),
        pytest.param(
            [user("x"), assistant("y"), user("next")], 0, ["x", "y", "next"], id="another transcript is believed whole"
        ),
        pytest.param(
            [assistant("welcome"), *transcript(STORED), user("next")],
            0,
            ["welcome", "hello", "hi", "and?", "so", "more", "less", "next"],
            id="a transcript that begins before the conversation is another one",
        ),
        pytest.param(
            [*transcript(STORED[1:]), user("next")], 0, ["and?", "so", "more", "less", "next"], id="cut short"
        ),
    ],
)
def test_a_whole_conversation(messages: list[Message], remembered: int, new: list[str]) -> None:
    position = locate(STORED, messages)
    assert position.remembered == tuple(STORED[:remembered])
    assert texts(position.new) == new
    assert position.parent == (remembered or None)


@pytest.mark.parametrize(
    ("messages", "remembered", "new"),
    [
        pytest.param([user("next")], 2, ["next"], id="new messages alone are appended"),
        pytest.param([*transcript(STORED), user("next")], 2, ["next"], id="the whole transcript"),
        pytest.param([*transcript(END), user("next")], 2, ["next"], id="the transcript of the end alone"),
        pytest.param([*transcript(STORED), user("a"), user("b")], 2, ["a", "b"], id="several new messages"),
        pytest.param(
            [*transcript(STORED[:2]), user("more?"), assistant("no"), user("next")],
            0,
            ["hello", "hi", "and?", "so", "more?", "no", "next"],
            id="a transcript that ends otherwise is believed whole",
        ),
    ],
)
def test_the_end_of_a_longer_conversation(messages: list[Message], remembered: int, new: list[str]) -> None:
    position = locate(END, messages)
    assert position.remembered == tuple(END[:remembered])
    assert texts(position.new) == new
    assert position.parent == (8 if remembered else None)


@pytest.mark.parametrize("messages", [[], [user("a")], [user("a"), assistant("b"), user("c")]])
def test_nothing_is_remembered_where_nothing_is_stored(messages: list[Message]) -> None:
    assert locate([], messages) == Position((), tuple(messages))


def test_a_turn_with_several_messages_is_recognised_as_a_whole() -> None:
    (plain,) = branch(("one", "answer"))
    stored = dataclasses.replace(plain, input=(user("one"), user("two")))
    assert locate([stored], [*transcript([stored]), user("next")]).remembered == (stored,)
    assert locate([stored], [user("one"), assistant("answer"), user("next")]).remembered == ()


def test_what_the_agent_did_unseen_is_remembered_with_the_turn() -> None:
    position = locate(STORED, [*transcript(STORED), user("next")])
    assert [message.role for message in position.remembered[0].messages] == ["user", "assistant", "tool", "assistant"]


words = st.text("ab ", max_size=2)
spoken = st.lists(st.tuples(words, words), max_size=6)
news = st.lists(words.map(user), max_size=2)


@given(spoken, news)
def test_what_was_stored_and_new_messages_are_told_apart(turns: list[tuple[str, str]], new: list[Message]) -> None:
    stored = branch(*turns)
    assert locate(stored, [*transcript(stored), *new]) == Position(tuple(stored), tuple(new))


@given(spoken.filter(bool), st.integers(1, 6), news)
@example([("ok", "done")] * 4, 2, [user("next")])
def test_they_are_told_apart_where_only_the_end_was_read(
    turns: list[tuple[str, str]], read: int, new: list[Message]
) -> None:
    whole = branch(*turns)
    end = whole[-read:]
    assert locate(end, [*transcript(whole), *new]) == Position(tuple(end), tuple(new))


@given(spoken, st.integers(0, 6), news)
def test_going_back_remembers_no_more_than_the_client_shows(
    turns: list[tuple[str, str]], kept: int, new: list[Message]
) -> None:
    stored = branch(*turns)
    shown = transcript(stored[:kept])
    position = locate(stored, [*shown, *new])
    if shown:
        assert position == Position(tuple(stored[:kept]), tuple(new))
    else:
        assert position == Position(tuple(stored), tuple(new))


@given(spoken, st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), words), max_size=8), st.booleans())
def test_the_client_is_believed_word_for_word(
    turns: list[tuple[str, str]], messages: list[Message], is_end: bool
) -> None:
    """What is remembered and what is new are together the transcript, or its end where only the end was read."""

    def spoken_in(said: Iterable[Message]) -> list[tuple[str, str]]:
        return [(message.role, message.content.strip()) for message in said]

    stored = branch(*turns, parent=99 if is_end else None)
    position = locate(stored, messages)
    assert position.remembered == tuple(stored[: len(position.remembered)])
    assert position.new == tuple(messages[len(messages) - len(position.new) :])
    if any(message.role == "assistant" for message in messages):
        shown = spoken_in([*transcript(position.remembered), *position.new])
        assert spoken_in(messages)[len(messages) - len(shown) :] == shown
        assert len(shown) == len(messages) or (is_end and position.remembered)
