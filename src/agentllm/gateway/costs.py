"""What answers cost, on its way around LiteLLM: a cost in their chunks would be counted for the key once more."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from litellm.types.llms.openai import ResponsesAPIResponse
from litellm.types.utils import ModelResponseStream

MOST = 10_000
"""Answers of which it is known at a time."""

_DELTA = b"event: message_delta\ndata: "


class Costs:
    """The costs of answers in US dollars, by LiteLLM's ids of the calls, until their clients are told."""

    def __init__(self) -> None:
        self._costs: OrderedDict[str, float | None] = OrderedDict()

    def note(self, call_id: str | None, cost: float | None) -> None:
        """The answer to a call has cost so much so far; None where no price is known."""
        if call_id is not None:
            self._costs[call_id] = cost
            if len(self._costs) > MOST:
                self._costs.popitem(last=False)

    def tell(self, call_id: str | None, answer: Any) -> None:
        """Have the usage of a whole answer, of /v1/responses or /v1/messages, tell what it cost.

        That of a chat completion tells it already.
        """
        if call_id is not None and call_id in self._costs:
            _tell(answer, self._costs.pop(call_id))

    async def telling(self, call_id: str, chunks: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        """`chunks` of a streamed answer in the form of any endpoint; the usage in them tells what it cost."""
        try:
            async for chunk in chunks:
                yield chunk if call_id not in self._costs else _told(chunk, self._costs[call_id])
        finally:
            self._costs.pop(call_id, None)
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()


def _told(chunk: Any, cost: float | None) -> Any:
    if isinstance(chunk, ModelResponseStream):
        if (usage := getattr(chunk, "usage", None)) is not None:
            # A copy, as LiteLLM counts the one that it has given.
            chunk.usage = usage.model_copy(update={"cost": cost})
    elif isinstance(chunk, bytes):
        return _with_cost(chunk, cost)
    else:
        _tell(getattr(chunk, "response", None), cost)
    return chunk


def _tell(answer: Any, cost: float | None) -> None:
    if isinstance(answer, ResponsesAPIResponse):
        if answer.usage is not None:
            answer.usage = answer.usage.model_copy(update={"cost": cost})
    elif isinstance(answer, dict) and isinstance(usage := answer.get("usage"), dict):
        answer["usage"] = _costed(usage, cost)


def _with_cost(events: bytes, cost: float | None) -> bytes:
    """Events of /v1/messages, the last but one of which has the usage."""
    before, found, rest = events.partition(_DELTA)
    data, end, after = rest.partition(b"\n\n")
    if not found or not end:
        return events
    event = json.loads(data)
    event["usage"] = _costed(event.get("usage") or {}, cost)
    return before + found + json.dumps(event).encode() + end + after


def _costed(usage: Mapping[str, Any], cost: float | None) -> dict[str, Any]:
    kept = {name: value for name, value in usage.items() if name != "cost"}
    return kept if cost is None else {**kept, "cost": cost}
