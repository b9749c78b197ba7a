"""What is kept of a turn, and its form as JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from agentllm.core import JsonObject, Media, Message, Swap, ToolCall

Status = Literal["running", "complete", "interrupted", "failed"]

CONTINUE = Message("user", "Continue your last answer exactly where it stopped, without repeating any of it.")
"""What an agent is told where a client wants more of an answer and says nothing new itself."""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn as it was stored: what the client said, what the agent did, and the text that was sent.

    `parent` is the turn before it on its branch; `id` grows with time. A turn without `input`
    goes on with the answer of its parent, and its `answer` holds that too. The `output` of an
    interrupted turn is what its tools did, with the text before each. `message_id` is the
    id that a front end gave the answer. `asked` is the digest of the visible conversation before
    the answer, `digest` that after it. `answer_id` is our own id of the answer, `calls` are the
    ids of the client's calls in it. A turn that ended with questions has in `pending` what the
    runtime needs to go on when they are decided. `swap` is what is in force after it.
    """

    id: int
    parent: int | None
    status: Status
    message_id: str | None
    asked: str
    digest: str | None
    input: tuple[Message, ...]
    output: tuple[Message, ...]
    answer: str
    state: JsonObject | None
    answer_id: str | None = None
    calls: tuple[str, ...] = ()
    pending: JsonObject | None = None
    swap: Swap = Swap()  # noqa: RUF009 - it cannot change

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the agent is given again of it alone; of an interrupted turn, what was sent."""
        return self._messages_after("")

    def _messages_after(self, answer: str) -> tuple[Message, ...]:
        said = self._said_after(answer)
        if self.input:
            return (*self.input, *said)
        return (CONTINUE, *said) if said else ()

    @property
    def said(self) -> tuple[Message, ...]:
        """What the agent did and said."""
        return self._said_after("")

    def _said_after(self, answer: str) -> tuple[Message, ...]:
        if self.output and self.status != "interrupted":
            return self.output
        added = self.answer if self.input else self.answer.removeprefix(answer)
        told = "".join(message.content for message in self.output if message.role == "assistant")
        rest = "" if told.startswith(added) else added.removeprefix(told)
        return (*self.output, Message("assistant", rest)) if rest else self.output


def messages_of(path: Iterable[StoredTurn]) -> Iterator[Message]:
    """What the agent is given again of turns that follow each other; what an answer went on with is said once."""
    answer = ""
    for turn in path:
        yield from turn._messages_after(answer)
        answer = turn.answer


def to_json(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """`messages` as JSON, what is unset left out."""
    return [_without_unset(message) for message in messages]


def from_json(stored: Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    """What `to_json` wrote."""
    return tuple(_message(message) for message in stored)


def swap_to_json(swap: Swap) -> dict[str, str] | None:
    """What of `swap` is set, None where nothing is."""
    return {name: value for name, value in asdict(swap).items() if value is not None} or None


def swap_from_json(stored: Mapping[str, str] | None) -> Swap:
    """What `swap_to_json` wrote."""
    return Swap(**(stored or {}))


def _message(stored: Mapping[str, Any]) -> Message:
    calls = tuple(ToolCall(**call) for call in stored.get("tool_calls", ()))
    media = tuple(Media(**{**item, "data": base64.b64decode(item["data"])}) for item in stored.get("media", ()))
    return Message(**{**stored, "tool_calls": calls, "media": media})


def _without_unset(message: Message) -> dict[str, Any]:
    kept = {key: value for key, value in asdict(message).items() if value or value == 0}
    if calls := kept.get("tool_calls"):
        kept["tool_calls"] = [{key: value for key, value in call.items() if value is not None} for call in calls]
    if media := kept.get("media"):
        kept["media"] = [{**item, "data": base64.b64encode(item["data"]).decode()} for item in media]
    return kept
