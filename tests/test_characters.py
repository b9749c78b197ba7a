"""Halves of characters, and how they become whole ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.characters import whole, whole_values
from agentllm.core import Message

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("\ud83d\ude00"))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("plain", "plain"),
        ("é 😀", "é 😀"),
        ("\ud83d\ude00", "😀"),
        ("a \ud83d b", "a \ufffd b"),
        ("caf\udce9", "caf\ufffd"),
    ],
)
def test_two_halves_are_a_character_and_a_lone_one_is_replaced(text: str, made: str) -> None:
    assert whole(text) == made


@given(ANY_TEXT)
def test_any_text_can_be_sent_then(text: str) -> None:
    whole(text).encode()


def test_texts_are_found_wherever_they_stand() -> None:
    given = {"a\ud83d": ["\ud83d", 1, None, ("\ud83d",)], "b": Message("user", "\ud83d")}
    made = {"a\ufffd": ["\ufffd", 1, None, ("\ufffd",)], "b": Message("user", "\ufffd")}
    assert whole_values(given) == made
