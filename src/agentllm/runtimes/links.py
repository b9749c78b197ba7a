"""Puts links to pictures and sounds into words, where the client of a turn has no other place for them.

What is said in words is part of the answer, so this comes before the conversation is stored: a
client that sends its transcript again is known by it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agentllm.around import Around
from agentllm.core import Event, Link, Reasoning, Runtime, Shown, Text, Turn

_CALLED = {"image": "Picture", "audio": "Sound"}


def links_in_words(runtime: Runtime, *, pictures: bool) -> Runtime:
    """`runtime`, whose links to sounds are lines of its answer, and those to `pictures` too if that is set.

    Each is a paragraph. In a turn with an `output_format`, whose answer is JSON alone, they are lines of reasoning.
    """
    return _InWords(runtime, pictures)


class _InWords(Around):
    def __init__(self, inner: Runtime, pictures: bool) -> None:
        super().__init__(inner)
        self._pictures = pictures

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`."""
        answer = _Answer(is_json=turn.output_format is not None)
        async with aclosing(self._inner.run(turn)) as events:
            async for event in events:
                if isinstance(event, Shown) and isinstance(event.media, Link) and self._is_worded(event.media):
                    yield answer.linked(event.media, event.transcript)
                elif isinstance(event, Text):
                    yield answer.said(event)
                else:
                    yield event

    def _is_worded(self, link: Link) -> bool:
        return self._pictures or link.kind == "audio"


class _Answer:
    """What is said of an answer, with its links as paragraphs."""

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._end = ""
        self._ends_in_link = False

    def linked(self, link: Link, transcript: str) -> Text | Reasoning:
        line = f"{_CALLED[link.kind]}: {link.url}" + (f"\n{transcript}" if transcript else "")
        if self._is_json:
            return Reasoning(f"{line}\n")
        before = "\n\n" if self._end not in ("", "\n") else ""
        self._end, self._ends_in_link = line[-1:], True
        return Text(before + line)

    def said(self, text: Text) -> Text:
        if not text.text:
            return text
        before = "\n\n" if self._ends_in_link and not text.text.startswith("\n") else ""
        self._end, self._ends_in_link = text.text[-1:], False
        return Text(before + text.text) if before else text
