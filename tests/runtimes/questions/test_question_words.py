"""A clear yes and a clear no."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.runtimes.questions.words import is_cancel, is_no, is_yes


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "Yes!",
        "YES",
        "y",
        "ok",
        "Okay.",
        "yes, please",
        "yes, go ahead",
        "go ahead",
        "do it",
        "Sure, thanks!",
        "**yes**",
        "approve",
        "ja",
        "Ja, bitte.",
        "oui",
        "d'accord",
        "d\u2019accord",
        "sí",
        "sì",
        "sim",
        "да",
        "はい",
        "好的。",
        "네",
        "👍",
        "👍🏽",
        "✅\ufe0f",
        "  yes\n",
    ],
)
def test_a_yes_is_clear(text: str) -> None:
    assert is_yes(text)
    assert not is_no(text)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "No!",
        "nope",
        "no, thanks",
        "cancel",
        "stop",
        "nein",
        "Nein danke",
        "non",
        "não",
        "нет",
        "いいえ",
        "不",
        "👎",
        "don't",
    ],
)
def test_a_no_is_clear(text: str) -> None:
    assert is_no(text)
    assert not is_yes(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "please",
        "thanks",
        "yes?",
        "ok?",
        "はい\uff1f",
        "yes and no",
        "yes, but not today",
        "not yes",
        "yes to the first one",
        "no problem",
        "no, yes",
        "yesterday",
        "okra",
        "Is that ok",
        "yes yes yes yes yes yes",
        "why",
        "deploy",
        "1",
        "go away",
        "I said yes before",
    ],
)
def test_anything_else_is_neither(text: str) -> None:
    assert not is_yes(text)
    assert not is_no(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("cancel", True), ("Abbrechen, bitte", True), ("no", False), ("", False)]
)
def test_a_cancel_is_told_from_a_no(text: str, expected: bool) -> None:
    assert is_cancel(text) is expected


@given(st.text(max_size=30))
def test_no_text_is_both(text: str) -> None:
    assert not (is_yes(text) and is_no(text))
