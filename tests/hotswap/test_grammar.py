"""What counts as a control message, and what it sets."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.core import Change, Media, Message, ToolCall
from agentllm.errors import InvalidRequest
from agentllm.hotswap.grammar import (
    GRAMMAR,
    LONGEST_MODEL,
    LONGEST_PROMPT,
    read_control,
    without_control,
    write_control,
)

_TEXT = st.text().filter(lambda text: not re.search(r"\]\s*\[HOTSWAP:", f"{text}]"))
_NAMES = st.text(st.characters(exclude_characters="[]", exclude_categories=("C", "Z")), min_size=1, max_size=40)
_CHANGES = st.lists(
    st.one_of(st.builds(Change, st.just("prompt"), _TEXT), st.builds(Change, st.just("model"), _NAMES)), max_size=4
)


def read(text: str) -> tuple[Change, ...] | None:
    return read_control(Message("user", text))


def model(value: str | None) -> Change:
    return Change("model", value)


def prompt(value: str | None) -> Change:
    return Change("prompt", value)


@given(_CHANGES)
def test_what_is_written_is_read_again(changes: list[Change]) -> None:
    expected = [Change(change.what, (change.value or "").strip() or None) for change in changes]
    assert list(read(write_control(changes)) or ()) == expected


@given(st.text(), st.text())
def test_any_text_is_read_refused_or_left_to_the_agent(before: str, after: str) -> None:
    for text in (before, f"[HOTSWAP:{before}]{after}", f"{before}[HOTSWAP:PROMPT:{after}]"):
        try:
            is_one = read(text) is not None
        except InvalidRequest:
            is_one = True
        assert is_one == text.strip().startswith("[HOTSWAP:")


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("[HOTSWAP:MODEL:openai/gpt-5.4-mini]", (model("openai/gpt-5.4-mini"),)),
        ("  [HOTSWAP:MODEL: red ]\n", (model("red"),)),
        ("[HOTSWAP:MODEL:]", (model(None),)),
        ("[HOTSWAP:PROMPT:Be brief.]", (prompt("Be brief."),)),
        ("[HOTSWAP:PROMPT:]", (prompt(None),)),
        ("[HOTSWAP:PROMPT: \n ]", (prompt(None),)),
        ("[HOTSWAP:PROMPT:one\n\n two]", (prompt("one\n\n two"),)),
        ("[HOTSWAP:PROMPT:a [b] c]", (prompt("a [b] c"),)),
        ("[HOTSWAP:PROMPT:a] b]", (prompt("a] b"),)),
        ("[HOTSWAP:PROMPT:[x]]", (prompt("[x]"),)),
        ("[HOTSWAP:PROMPT:say :]\nor [HOTSWAP:x]", (prompt("say :]\nor [HOTSWAP:x"),)),
        ("[HOTSWAP:GET_CONFIG]", ()),
        ("[HOTSWAP:MODEL:a]\n[HOTSWAP:PROMPT:b]\n\n  [HOTSWAP:GET_CONFIG]", (model("a"), prompt("b"))),
        ("[HOTSWAP:MODEL:a]\r\n[HOTSWAP:MODEL:b]", (model("a"), model("b"))),
    ],
)
def test_a_control_message_sets_this(text: str, changes: tuple[Change, ...]) -> None:
    assert read(text) == changes


@pytest.mark.parametrize(
    "text",
    [
        "[HOTSWAP:]",
        "[HOTSWAP:MODEL]",
        "[HOTSWAP:MODEL:a",
        "[HOTSWAP:MODEL:a] and this",
        "[HOTSWAP:MODEL:a]\nand this",
        "[HOTSWAP:MODEL:a][HOTSWAP:GET_CONFIG]",
        "[HOTSWAP:PROMPT:a] [HOTSWAP:GET_CONFIG]",
        "[HOTSWAP:MODEL:a\nb]",
        "[HOTSWAP:MODEL:a[b]]",
        "[HOTSWAP:GET_CONFIG:a]",
        "[HOTSWAP:model:a]",
        f"[HOTSWAP:MODEL:{'a' * (LONGEST_MODEL + 1)}]",
        f"[HOTSWAP:PROMPT:{'a' * (LONGEST_PROMPT + 1)}]",
    ],
    ids=lambda text: text[:40],
)
def test_what_begins_like_one_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read(text)


def test_a_refusal_shows_the_grammar() -> None:
    with pytest.raises(InvalidRequest) as raised:
        read("[HOTSWAP:MODLE:a]")
    assert GRAMMAR in raised.value.message


@pytest.mark.parametrize(
    "text", ["", "hi", "hi [HOTSWAP:GET_CONFIG]", "> [HOTSWAP:GET_CONFIG]", "[hotswap:get_config]", "[HOTSWAP]"]
)
def test_anything_else_is_the_agent_s(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool"])
def test_only_the_user_gives_them(role: str) -> None:
    assert read_control(Message(role, "[HOTSWAP:MODEL:a]")) is None  # type: ignore[arg-type]  # it is one of Role


def test_one_with_a_picture_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_control(Message("user", "[HOTSWAP:MODEL:a]", media=(Media("image", "image/png", b"x"),)))


@pytest.mark.parametrize("text", ["[HOTSWAP:PROMPT:a]", "[HOTSWAP:PROMPT:a\n]", "[HOTSWAP:PROMPT:a\nWhat is this?"])
def test_a_document_is_not_read(text: str) -> None:
    message = Message("user", text, document_at=0)
    assert read_control(message) is None
    assert without_control([message]) == (message,)


def test_one_with_a_document_after_it_is_refused() -> None:
    text = "[HOTSWAP:PROMPT:a]\nof a document]"
    with pytest.raises(InvalidRequest):
        read_control(Message("user", text, document_at=text.index("of")))


def test_a_long_message_is_read_in_time_that_grows_with_its_length() -> None:
    for text in ("]" + "\n" * 200_000, "]\n" * 100_000, "[HOTSWAP:" * 50_000):
        with pytest.raises(InvalidRequest):
            read(f"[HOTSWAP:PROMPT:{text}x]")


def test_a_prompt_that_would_be_read_as_two_is_not_written() -> None:
    with pytest.raises(InvalidRequest):
        write_control([prompt("a]\n[HOTSWAP:MODEL:b")])


def test_control_messages_and_their_answers_are_no_part_of_a_conversation() -> None:
    call = ToolCall("1", "f", "{}")
    spoken = (
        Message("system", "s"),
        Message("user", "one"),
        Message("assistant", tool_calls=(call,)),
        Message("tool", "done", tool_call_id="1"),
        Message("assistant", "two"),
        Message("user", "[x]"),
    )
    control = (Message("user", "[HOTSWAP:MODEL:a]"), Message("assistant", "Model: a"))
    assert without_control((*control, *spoken[:5], *control, *control, spoken[5])) == spoken
    assert without_control(spoken) == spoken
