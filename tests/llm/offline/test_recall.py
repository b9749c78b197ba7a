"""Recalling what the user said."""

from __future__ import annotations

import pytest

from agentllm.core import Message
from agentllm.llm.offline.answer import answer


def recalled(*said: str) -> str:
    """The answer to the last of `said` in a conversation in which the model said nothing of note."""
    *earlier, newest = said
    messages = [
        message for text in earlier for message in (Message("user", text), Message("assistant", "my name is HAL"))
    ]
    return answer([Message("system", "my name is System"), *messages, Message("user", newest)], (), None).text


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (["My name is Ana María."], "Ana María"),
        (["my name's bob"], "bob"),
        (["Hi, I'm Zoë, and I like trains"], "Zoë"),
        (["I am Jean-Luc Picard."], "Jean-Luc Picard"),
        (["call me Al"], "Al"),
        (["My name is Ann.", "No, my name is Eve."], "Eve"),
        (["I\u2019m Conan O\u2019Brien"], "Conan O'Brien"),
        (["My name is Ann.", "I am tired", "call me later"], "Ann"),
    ],
)
@pytest.mark.parametrize("question", ["What is my name?", "what's my name", "Who am I?", "Do you know my name?"])
def test_the_latest_name_is_known(said: list[str], name: str, question: str) -> None:
    assert recalled(*said, question) == f"Your name is {name}."


@pytest.mark.parametrize("said", [[], ["hello"], ["I am not telling"], ["What is my name?"], ["Is my name Bob?"]])
def test_a_name_that_was_not_told_is_not_made_up(said: list[str]) -> None:
    assert "not told me" in recalled(*said, "What is my name?")


def test_a_fact_is_recalled_and_the_latest_counts() -> None:
    said = ["My favourite colour is blue.", "Now my favourite colour is green"]
    assert recalled(*said, "What's my favourite colour?") == "Your favourite colour: green."


def test_a_fact_that_was_not_told_is_not_made_up() -> None:
    assert "not told me your age" in recalled("hello", "What is my age?")


def test_what_is_to_be_remembered_is_listed() -> None:
    text = recalled("Remember that the code is 42.", "hello", "remember: buy milk", "What did I ask you to remember?")
    assert "the code is 42." in text
    assert "buy milk" in text
    assert "hello" not in text


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ("What was my first message?", "alpha"),
        ("What was my second message?", "beta"),
        ("What was my last message?", "gamma delta"),
        ("what did I say first?", "alpha"),
        ("What did I say about delta?", "gamma delta"),
    ],
)
def test_a_message_is_quoted(question: str, quoted: str) -> None:
    text = recalled("alpha", "beta", "gamma delta", question)
    assert f"“{quoted}”" in text
    assert text.count("“") == 1


def test_all_messages_are_listed_and_none_of_the_model() -> None:
    text = recalled("alpha", "beta", "What did I say?")
    assert "1. “alpha”" in text
    assert "2. “beta”" in text
    assert "HAL" not in text


def test_a_long_conversation_is_listed_from_its_end() -> None:
    text = recalled(*(f"message {number}" for number in range(30)), "What did I say?")
    assert "30. “message 29”" in text
    assert "“message 9”" not in text


@pytest.mark.parametrize("question", ["What did I say?", "What was my first message?", "What was my last message?"])
def test_at_the_beginning_there_is_nothing_to_recall(question: str) -> None:
    assert "first message" in recalled(question)


def test_a_message_that_was_not_sent_is_not_made_up() -> None:
    assert "no third one" in recalled("alpha", "What was my third message?")


def test_messages_are_counted() -> None:
    assert "3 messages" in recalled("alpha", "beta", "How many messages have I sent?")


@pytest.mark.parametrize("statement", ["My name is Ann.", "Remember that it rains.", "My dog is called Rex."])
def test_a_statement_is_acknowledged(statement: str) -> None:
    assert "You said:" not in recalled(statement)


def test_other_text_is_repeated_with_what_can_be_done() -> None:
    text = recalled("The quick brown fox.")
    assert "“The quick brown fox.”" in text
    assert "recall" in text


def test_a_long_text_is_repeated_in_part() -> None:
    assert len(recalled("word " * 1_000)) < 700


def test_a_message_without_text_is_answered_too() -> None:
    assert "no text" in recalled("")


def test_without_a_user_there_is_still_an_answer() -> None:
    assert answer([Message("system", "Be kind.")], (), None).text
