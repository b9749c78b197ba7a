"""Makes the characters whole of what an agent says and does, also where a model sends one in two pieces."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from agentllm.around import Around
from agentllm.characters import whole, whole_values
from agentllm.core import Event, Reasoning, Text, Turn


class WholeCharacters(Around):
    """A runtime whose events hold whole characters only."""

    async def run(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """See `agentllm.core.Runtime.run`."""
        half: Text | Reasoning | None = None
        async with aclosing(self._inner.run(turn)) as events:
            async for event in events:
                if half is not None:
                    if type(event) is type(half):
                        event = replace(event, text=half.text + event.text)
                    else:
                        yield whole_values(half)
                    half = None
                if not isinstance(event, (Text, Reasoning)):
                    yield whole_values(event)
                    continue
                if "\ud800" <= event.text[-1:] <= "\udbff":
                    half = replace(event, text=event.text[-1:])
                    event = replace(event, text=event.text[:-1])
                    if not event.text:
                        continue
                yield event if (text := whole(event.text)) is event.text else replace(event, text=text)
