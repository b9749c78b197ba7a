"""What an agent says and does, in whole characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentllm.characters import whole
from agentllm.core import Caller, Event, Finished, Message, Reasoning, Text, Turn, Work
from agentllm.runtimes.characters import WholeCharacters
from tests.runtimes.told import Told

ANY_TEXT = st.text(st.characters(codec=None) | st.sampled_from("\ud83d\ude00"))
DONE = Finished("stop")


async def told(*events: Event) -> list[Event]:
    turn = Turn("t", "told", Caller("k"), (Message("user", "?"),))
    return [event async for event in WholeCharacters(Told(events)).run(turn)]


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
