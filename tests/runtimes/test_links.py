"""Links to pictures and sounds in words, where the client has no other place for them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agentllm.core import (
    Caller,
    Event,
    Finished,
    Link,
    Media,
    Message,
    OutputFormat,
    Reasoning,
    Runtime,
    Shown,
    Text,
    Turn,
    Work,
)
from agentllm.runtimes.links import links_in_words
from tests.runtimes.told import Told

SOUND = Shown(Link("audio", "https://example.org/a.mp3"))
PICTURE = Shown(Link("image", "https://example.org/a.png"))
HERE = Shown(Media("image", "image/png", b"x"))
DONE = Finished("stop", (Message("assistant", "said"),))


async def told(*events: Event, pictures: bool = False, form: OutputFormat | None = None) -> list[Event]:
    turn = Turn("t", "told", Caller("k"), (Message("user", "?"),), output_format=form)
    return [event async for event in links_in_words(Told([*events, DONE]), pictures=pictures).run(turn)]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


async def test_a_link_to_a_sound_is_a_paragraph_of_the_answer() -> None:
    events = await told(Text("Be"), Text("fore."), SOUND, Text(""), Text("After."), Text(" More."))
    assert text_of(events) == "Before.\n\nSound: https://example.org/a.mp3\n\nAfter. More."


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([SOUND], "Sound: https://example.org/a.mp3"),
        ([Text("Here:\n"), SOUND, Text("\n\nDone.")], "Here:\nSound: https://example.org/a.mp3\n\nDone."),
        ([SOUND, SOUND], "Sound: https://example.org/a.mp3\n\nSound: https://example.org/a.mp3"),
        ([Shown(SOUND.media, "Ding.")], "Sound: https://example.org/a.mp3\nDing."),
    ],
)
async def test_paragraphs_are_parted_once(events: list[Event], text: str) -> None:
    assert text_of(await told(*events)) == text


async def test_a_link_to_a_picture_is_left_to_a_client_that_shows_it() -> None:
    events: list[Event] = [Text("a"), PICTURE, HERE, Text("b")]
    assert await told(*events) == [*events, DONE]
    worded = await told(*events, pictures=True)
    assert text_of(worded) == "a\n\nPicture: https://example.org/a.png\n\nb"
    assert [event for event in worded if isinstance(event, Shown)] == [HERE]


async def test_an_answer_that_is_json_alone_has_its_links_in_the_reasoning() -> None:
    events = await told(SOUND, Text("{}"), form=OutputFormat())
    assert events == [Reasoning("Sound: https://example.org/a.mp3\n"), Text("{}"), DONE]


async def test_what_is_no_link_passes_as_it_is() -> None:
    events: list[Event] = [Text("a"), Reasoning("b"), Work("1", "tool", "add", "started"), HERE, Text("c")]
    assert await told(*events, pictures=True) == [*events, DONE]


async def test_it_is_the_runtime_that_it_was() -> None:
    runtime = Told([Text("a"), Text("b")])
    same: Runtime = links_in_words(runtime, pictures=False)
    assert (same.name, same.description, same.memory) == (runtime.name, runtime.description, runtime.memory)
    assert same.takes_front_end_tools
    await same.warm_up()
    assert runtime.is_warm
    events = same.run(Turn("t", "told", Caller("k"), ()))
    assert await anext(events) == Text("a")
    await events.aclose()
    assert runtime.is_closed
