"""What is kept of a turn, and its form as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agentllm.core import JsonObject, Message, ToolCall


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as it was stored: what the client said, what the agent did, and the text that was sent.

    `parent` is the turn before it on its branch; `id` grows with time.
    """

    id: int
    parent: int | None
    input: tuple[Message, ...]
    output: tuple[Message, ...]
    answer: str
    state: JsonObject | None

    @property
    def messages(self) -> tuple[Message, ...]:
        return (*self.input, *self.output)


def to_json(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """`messages` as JSON, what is unset left out."""
    return [_without_unset(message) for message in messages]


def from_json(stored: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """What `to_json` wrote."""
    return tuple(
        Message(**{**message, "tool_calls": tuple(ToolCall(**call) for call in message.get("tool_calls", ()))})
        for message in stored
    )


def _without_unset(message: Message) -> dict[str, Any]:
    kept = {key: value for key, value in asdict(message).items() if value}
    if calls := kept.get("tool_calls"):
        kept["tool_calls"] = [{key: value for key, value in call.items() if value is not None} for call in calls]
    return kept
