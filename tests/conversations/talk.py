"""Conversations made by hand: messages, stored turns, and what a client shows of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentllm.conversations.records import StoredTurn
from agentllm.core import Message, ToolCall


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def system(text: str) -> Message:
    return Message("system", text)


def turn(number: int, said: str, answer: str, *, parent: int | None = None) -> StoredTurn:
    """A turn in which the agent also called a tool, which no client sees."""
    call = ToolCall(f"call-{number}", "look_up", "{}")
    output = (
        Message("assistant", tool_calls=(call,)),
        Message("tool", "a result", tool_call_id=call.id, name=call.name),
        assistant(answer),
    )
    return StoredTurn(number, parent, (user(said),), output, answer, {"turns": number})


def branch(*spoken: tuple[str, str], first: int = 1, parent: int | None = None) -> list[StoredTurn]:
    """A branch of turns, each what was said and answered, numbered from `first`."""
    return [
        turn(number, said, answer, parent=parent if number == first else number - 1)
        for number, (said, answer) in enumerate(spoken, first)
    ]


def transcript(turns: Iterable[StoredTurn]) -> list[Message]:
    """What a client was shown of `turns`."""
    return [message for t in turns for message in (*t.input, assistant(t.answer))]


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.content for message in messages]
