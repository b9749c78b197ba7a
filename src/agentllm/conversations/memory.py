"""How much of the past fits into a model's window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentllm.conversations.records import StoredTurn
from agentllm.core import Message

SHARE = 0.75
"""Of a model's window for the conversation; the rest is for its own instructions, tools and answer."""

_PER_MESSAGE = 8
_ASCII_PER_TOKEN = 3


def within(tokens: int | None, path: Sequence[StoredTurn], new: Iterable[Message]) -> Sequence[StoredTurn]:
    """The newest turns of `path` that fit, with `new`, into a window of `tokens`; whole turns, in order.

    All of them where the window is not known. Tokens are estimated on the safe side, as no counter
    fits all models: a token for three ASCII characters (OpenAI's rule of thumb is four) or one other.
    """
    if tokens is None:
        return path
    left = tokens * SHARE - _estimate(new)
    for index in range(len(path) - 1, -1, -1):
        left -= _estimate(path[index].messages)
        if left < 0:
            return path[index + 1 :]
    return path


def _estimate(messages: Iterable[Message]) -> float:
    texts = (text for m in messages for text in (m.content, *(call.arguments for call in m.tool_calls)))
    return sum(_PER_MESSAGE + _tokens(text) for text in texts)


def _tokens(text: str) -> float:
    others = 0 if text.isascii() else sum(character > "\x7f" for character in text)
    return (len(text) - others) / _ASCII_PER_TOKEN + others
