"""How much of the past an agent is given again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.conversations.memory import SHARE, within
from agentllm.conversations.records import StoredTurn, messages_of
from agentllm.core import Message, ToolCall
from tests.conversations.talk import Tree, user

spoken = st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), max_size=8)


def branch(*said: tuple[str, str]) -> list[StoredTurn]:
    tree, last = Tree(), None
    for question, answer in said:
        last = tree.add(question, answer=answer, after=last)
    return tree.turns


def characters(path: list[StoredTurn]) -> int:
    return sum(len(message.content) for message in messages_of(path))


def test_where_the_window_is_not_known_all_is_remembered() -> None:
    path = branch(("a" * 1_000_000, "b"), ("c", "d"))
    assert within(None, path, [user("x")]) == path


@given(spoken, st.integers(0, 400))
def test_whole_turns_are_left_out_the_oldest_first(said: list[tuple[str, str]], tokens: int) -> None:
    path = branch(*said)
    kept = list(within(tokens, path, [user("x")]))
    assert kept == path[len(path) - len(kept) :]


@given(spoken, st.integers(0, 400), st.integers(0, 400))
def test_in_a_larger_window_no_less_is_remembered(said: list[tuple[str, str]], small: int, more: int) -> None:
    path = branch(*said)
    assert len(within(small, path, [user("x")])) <= len(within(small + more, path, [user("x")]))


@given(spoken, st.integers(0, 400), st.integers(0, 200))
def test_what_is_new_takes_its_room_first(said: list[tuple[str, str]], tokens: int, length: int) -> None:
    path = branch(*said)
    assert len(within(tokens, path, [user("x" * length)])) <= len(within(tokens, path, [user("")]))


@given(spoken, st.integers(0, 400))
def test_what_is_kept_fits_into_its_share_at_four_characters_to_a_token(
    said: list[tuple[str, str]], tokens: int
) -> None:
    kept = list(within(tokens, branch(*said), []))
    assert characters(kept) / 4 <= tokens * SHARE


@given(spoken, st.integers(0, 400))
def test_no_call_of_a_tool_is_without_its_result(said: list[tuple[str, str]], tokens: int) -> None:
    kept = list(messages_of(within(tokens, branch(*said), [])))
    called = [call.id for message in kept for call in message.tool_calls]
    assert called == [message.tool_call_id for message in kept if message.role == "tool"]


results = st.lists(st.tuples(st.booleans(), st.text(max_size=30)), max_size=8)


@given(results, st.integers(0, 200), st.booleans())
def test_results_stay_with_their_question_or_go_with_it(
    said: list[tuple[bool, str]], tokens: int, new_begins_with_results: bool
) -> None:
    tree = Tree()
    last = tree.add("question", answer="a")
    for begins_with_results, text in said:
        message = Message("tool", text, tool_call_id="c") if begins_with_results else user(text)
        last = tree.add(message, answer="b", after=last)
    new = [Message("tool", "x", tool_call_id="c") if new_begins_with_results else user("x")]
    kept = list(within(tokens, tree.turns, new))
    assert kept == tree.turns[len(tree.turns) - len(kept) :]
    assert not kept or kept[0].input[0].role == "user"
    assert kept or not new_begins_with_results


@pytest.mark.parametrize("letter", ["漢", "é", "😀"])
def test_other_letters_take_more_room(letter: str) -> None:
    plain, other = branch(("a" * 60, "")), branch((letter * 60, ""))
    tokens = next(tokens for tokens in range(1_000) if within(tokens, plain, []))
    assert not within(tokens, other, [])
    assert within(tokens * 3, other, [])


def test_arguments_of_calls_take_room_too() -> None:
    (turn,) = branch(("a", "b"))
    call = ToolCall("c", "look_up", "x" * 300)
    long = replace(turn, output=(Message("assistant", tool_calls=(call,)), *turn.output[1:]))
    tokens = next(tokens for tokens in range(1_000) if within(tokens, [turn], []))
    assert not within(tokens, [long], [])
