"""Halves of characters, and how they become whole ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentllm.characters import WholeCharacters, whole, whole_values
from agentllm.core import Caller, Event, Finished, Message, Reasoning, Text, Turn, Work
from tests.runtimes.told import Told

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("\ud83d\ude00"))
DONE = Finished("stop")


async def told(*events: Event) -> list[Event]:
    turn = Turn("t", "told", Caller("k"), (Message("user", "?"),))
    return [event async for event in WholeCharacters(Told(events)).run(turn)]


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


async def test_a_character_in_two_pieces_is_sent_in_the_second() -> None:
    assert await told(Text("a\ud83d"), Text("\ude00b"), DONE) == [Text("a"), Text("😀b"), DONE]


async def test_a_half_that_nothing_follows_is_replaced() -> None:
    assert await told(Text("\ud83d"), DONE) == [Text("\ufffd"), DONE]
    assert await told(Text("\ud83d"), Reasoning("\ude00"), DONE) == [Text("\ufffd"), Reasoning("\ufffd"), DONE]


@given(st.lists(ANY_TEXT))
async def test_pieces_are_together_what_the_whole_text_is(texts: list[str]) -> None:
    events = await told(*map(Text, texts), DONE)
    assert "".join(event.text for event in events if isinstance(event, Text)) == whole("".join(texts))


async def test_all_that_an_event_holds_is_whole() -> None:
    work = Work("work_1", "tool", "list", "finished", {"path": "\ud83d"}, "caf\udce9")
    done = Finished("stop", (Message("tool", "caf\udce9"),), state={"seen": ["caf\udce9"]})
    assert await told(work, done) == [
        Work("work_1", "tool", "list", "finished", {"path": "\ufffd"}, "caf\ufffd"),
        Finished("stop", (Message("tool", "caf\ufffd"),), state={"seen": ["caf\ufffd"]}),
    ]


async def test_closing_it_closes_the_run() -> None:
    inner = Told([Text("a"), Text("b")])
    reading = WholeCharacters(inner).run(Turn("t", "told", Caller("k"), (Message("user", "?"),)))
    await anext(reading)
    await reading.aclose()
    assert inner.is_closed
