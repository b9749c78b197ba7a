"""Halves of characters: Python's strings can hold them, while no request, no answer and no database can.

They come from names of files that are not in UTF-8, and from models that send a character beyond the first
65,536 as two escapes, one in each of two pieces.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import fields, is_dataclass, replace
from typing import Any

from agentllm.around import Around
from agentllm.core import Event, Reasoning, Text, Turn


def whole(text: str) -> str:
    """`text` with the two halves of a character as that character, and a lone half as U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def whole_values(value: Any) -> Any:
    """`value` with every text in it as `whole` has it: in mappings, lists, tuples and dataclasses."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, Mapping):
        return {whole_values(name): whole_values(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(whole_values, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{item.name: whole_values(getattr(value, item.name)) for item in fields(value)})
    return value


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
