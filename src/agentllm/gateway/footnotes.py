"""What clients are told at the end of an answer beside what OpenAI's API has: its cost, and the model that wrote it.

It goes around LiteLLM: a cost in its chunks would be counted for the key once more, and the model's name has no
place in what it makes of an answer for /v1/responses and /v1/messages.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from litellm.types.llms.openai import ResponsesAPIResponse
from litellm.types.utils import ModelResponseStream

from agentllm.gateway.chunks import MODEL

MOST = 10_000
"""Answers of which it is known at a time."""

_DELTA = b"event: message_delta\ndata: "


@dataclass(slots=True)
class Footnote:
    """What an answer cost so far in US dollars, and the model that wrote it; None where that is not known."""

    cost: float | None = None
    model: str | None = None


class Footnotes:
    """The footnotes of answers, by LiteLLM's ids of the calls, until their clients are told."""

    def __init__(self) -> None:
        self._notes: OrderedDict[str, Footnote] = OrderedDict()

    def of(self, call_id: str | None) -> Footnote:
        """That of the answer to a call, to be written in; without an id, one that nobody is told."""
        if call_id is None:
            return Footnote()
        note = self._notes.setdefault(call_id, Footnote())
        if len(self._notes) > MOST:
            self._notes.popitem(last=False)
        return note

    def tell(self, call_id: str | None, answer: Any) -> None:
        """Put its footnote into a whole answer of /v1/responses or /v1/messages.

        A chat completion has it already.
        """
        if call_id is not None and call_id in self._notes:
            _tell(answer, self._notes.pop(call_id))

    async def telling(self, call_id: str, chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """`chunks` of a streamed answer in the form of any endpoint, with the footnote in the last of them."""
        try:
            async for chunk in chunks:
                yield chunk if call_id not in self._notes else _told(chunk, self._notes[call_id])
        finally:
            self._notes.pop(call_id, None)
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()


def _told(chunk: Any, note: Footnote) -> Any:
    if isinstance(chunk, ModelResponseStream):
        if (usage := getattr(chunk, "usage", None)) is not None:
            # A copy, as LiteLLM counts the one that it has given.
            chunk.usage = usage.model_copy(update={"cost": note.cost})
    elif isinstance(chunk, bytes):
        return _with_note(chunk, note)
    else:
        _tell(getattr(chunk, "response", None), note)
    return chunk


def _tell(answer: Any, note: Footnote) -> None:
    if isinstance(answer, ResponsesAPIResponse):
        if answer.usage is not None:
            answer.usage = answer.usage.model_copy(update={"cost": note.cost})
        answer.metadata = {**(answer.metadata or {}), **_model(note)}
    elif isinstance(answer, dict) and isinstance(usage := answer.get("usage"), dict):
        answer |= {"usage": _costed(usage, note.cost), **_model(note)}


def _with_note(events: bytes, note: Footnote) -> bytes:
    """Events of /v1/messages, the last but one of which has the usage."""
    before, found, rest = events.partition(_DELTA)
    data, end, after = rest.partition(b"\n\n")
    if not found or not end:
        return events
    event = json.loads(data)
    event |= {"usage": _costed(event.get("usage") or {}, note.cost), **_model(note)}
    return before + found + json.dumps(event).encode() + end + after


def _model(note: Footnote) -> dict[str, str]:
    return {} if note.model is None else {MODEL: note.model}


def _costed(usage: Mapping[str, Any], cost: float | None) -> dict[str, Any]:
    kept = {name: value for name, value in usage.items() if name != "cost"}
    return kept if cost is None else {**kept, "cost": cost}
