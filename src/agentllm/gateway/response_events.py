"""Answers of /v1/responses, whole and in events, in the form that OpenAI documents and strict clients insist on.

LiteLLM numbers few of the events, leaves fields out, tells of reasoning without the part that it belongs to and goes
on with reasoning that it said was done. OpenAI's SDK for Node refuses such a stream, and so do clients whose types are
generated. The form is that of https://platform.openai.com/docs/api-reference/responses-streaming and of the types of
OpenAI's Python SDK.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

from litellm.types.llms.openai import GenericEvent, InputTokensDetails, OutputTokensDetails, ResponsesAPIResponse
from litellm.types.llms.openai import ResponsesAPIStreamEvents as Kind

_OF_REASONING = frozenset(
    {Kind.REASONING_SUMMARY_TEXT_DELTA, Kind.REASONING_SUMMARY_TEXT_DONE, Kind.REASONING_SUMMARY_PART_DONE}
)


@dataclass
class _Thought:
    """One stretch of reasoning: an item of the answer with a single part."""

    id: str
    text: str = ""

    @property
    def part(self) -> dict[str, str]:
        return {"type": "summary_text", "text": self.text}

    @property
    def item(self) -> dict[str, Any]:
        return {"id": self.id, "type": "reasoning", "summary": [self.part]}


class ResponseEvents:
    """The events of one stream. Reasoning that goes on after other output is an item of its own."""

    def __init__(self) -> None:
        self._numbers = count()
        self._places: dict[str, int] = {}
        self._names: dict[str, str | None] = {}
        self._thoughts: dict[str, _Thought] = {}
        self._thought: _Thought | None = None

    def of(self, event: Any) -> Iterator[Any]:
        """What is sent for `event` of LiteLLM's, which may be nothing."""
        for sent in self._formed(event):
            sent.sequence_number = next(self._numbers)
            yield sent

    def _formed(self, event: Any) -> Iterator[Any]:
        kind = getattr(event, "type", None)
        item = getattr(event, "item", None)
        if kind == Kind.REASONING_SUMMARY_TEXT_DELTA:
            yield from self._thinks(event)
            return
        if kind in _OF_REASONING or getattr(item, "type", None) == "reasoning":
            return
        yield from self._ends_thought()
        if item_id := getattr(item, "id", None) or getattr(event, "item_id", None):
            event.output_index = self._place(item_id)
        if kind == Kind.OUTPUT_ITEM_ADDED:
            self._names[str(item_id)] = getattr(item, "name", None)
        elif kind == Kind.FUNCTION_CALL_ARGUMENTS_DONE:
            event.name = self._names.get(str(item_id))
        elif kind in (Kind.OUTPUT_TEXT_DELTA, Kind.OUTPUT_TEXT_DONE):
            event.logprobs = []
        answer = getattr(event, "response", None)
        if isinstance(answer, ResponsesAPIResponse):
            answer.output = self._in_order(answer.output)
            _detail_usage(answer)
        yield event

    def _thinks(self, event: Any) -> Iterator[Any]:
        thought = self._thought
        if thought is None:
            thought = _Thought(event.item_id if event.item_id not in self._thoughts else f"rs_{uuid4()}")
            self._thought = self._thoughts[thought.id] = thought
            yield self._about(thought, Kind.OUTPUT_ITEM_ADDED, item={**thought.item, "summary": []})
            yield self._about_part(thought, Kind.RESPONSE_PART_ADDED, part=thought.part)
        thought.text += event.delta
        yield self._about_part(thought, Kind.REASONING_SUMMARY_TEXT_DELTA, delta=event.delta)

    def _ends_thought(self) -> Iterator[Any]:
        if (thought := self._thought) is None:
            return
        self._thought = None
        yield self._about_part(thought, Kind.REASONING_SUMMARY_TEXT_DONE, text=thought.text)
        yield self._about_part(thought, Kind.REASONING_SUMMARY_PART_DONE, part=thought.part)
        yield self._about(thought, Kind.OUTPUT_ITEM_DONE, item=thought.item)

    def _about_part(self, thought: _Thought, kind: Kind, **said: object) -> GenericEvent:
        return self._about(thought, kind, item_id=thought.id, summary_index=0, **said)

    def _about(self, thought: _Thought, kind: Kind, **said: object) -> GenericEvent:
        return GenericEvent.model_validate({"type": kind.value, "output_index": self._place(thought.id), **said})

    def _place(self, item_id: str) -> int:
        return self._places.setdefault(item_id, len(self._places))

    def _in_order(self, output: list[Any]) -> list[Any]:
        """`output` with the reasoning that was streamed in place of LiteLLM's, in the order of the stream."""
        said = [item for item in output if _field(item, "type") != "reasoning"]
        items = [*said, *(thought.item for thought in self._thoughts.values())]
        return sorted(items, key=lambda item: self._places.get(str(_field(item, "id")), len(self._places)))


def form(answer: ResponsesAPIResponse) -> None:
    """Put a whole answer into the form in which `ResponseEvents` ends."""
    answer.output = [_with_summary(item) for item in answer.output]
    _detail_usage(answer)


def _with_summary(item: Any) -> Any:
    if _field(item, "type") != "reasoning":
        return item
    text = "".join(str(_field(part, "text")) for part in _field(item, "content") or ())
    return _Thought(str(_field(item, "id")), text).item


def _detail_usage(answer: ResponsesAPIResponse) -> None:
    if (usage := answer.usage) is None:
        return
    read, written = (
        {name: number for name, number in details or () if number is not None}
        for details in (usage.input_tokens_details, usage.output_tokens_details)
    )
    usage.input_tokens_details = InputTokensDetails.model_validate(
        {"cached_tokens": 0, "cache_write_tokens": 0, **read}
    )
    usage.output_tokens_details = OutputTokensDetails.model_validate({"reasoning_tokens": 0, **written})


def _field(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)
