"""How much of the past fits into a model's window."""

from __future__ import annotations

from collections.abc import Sequence

from agentllm.conversations.position import INSTRUCTION_ROLES
from agentllm.conversations.records import StoredTurn
from agentllm.core import Media, Message

SHARE = 0.75
"""Of a model's window for the conversation; the rest is for its own instructions, tools and answer."""

_PER_MESSAGE = 8
_ASCII_PER_TOKEN = 3

_PER_PICTURE = 1_024
"""What OpenAI counts for 1024 x 1024 points with GPT-4.1; 765 with GPT-4o, Google up to 1,032."""

_BYTES_PER_TOKEN = {"audio": 500, "application/pdf": 20}
"""Google counts 32 tokens for a second of sound, 16 kB as MP3; a page of text in a PDF is some 800 with its picture."""


def within(tokens: int | None, path: Sequence[StoredTurn], new: Sequence[Message]) -> Sequence[StoredTurn]:
    """The newest turns of `path` that fit, with `new`, into a window of `tokens`; whole turns, in order.

    All of them where the window is not known. What begins with results of tools stays with the turn
    that asked for them, or goes with it; what `new` begins with so is not parted from its question.
    Tokens are estimated on the safe side, as no counter fits all models: a token for three ASCII
    characters (OpenAI's rule of thumb is four) or one other; pictures, sounds and files count too.
    """
    if tokens is None:
        return path
    left = tokens * SHARE - _estimate(new)
    for index in range(len(path) - 1, -1, -1):
        left -= _estimate(path[index].messages)
        if left < 0:
            return path[_first_kept(path, index + 1, new) :]
    return path


def _first_kept(path: Sequence[StoredTurn], first: int, new: Sequence[Message]) -> int:
    """The first turn at or after `first` with a question of its own, else the last one before."""
    for index in range(first, len(path)):
        if not _begins_with_results(path[index].input):
            return index
    if not _begins_with_results(new):
        return len(path)
    return max((index for index, turn in enumerate(path) if not _begins_with_results(turn.input)), default=0)


def _begins_with_results(messages: Sequence[Message]) -> bool:
    return next((message.role for message in messages if message.role not in INSTRUCTION_ROLES), "") == "tool"


def _estimate(messages: Sequence[Message]) -> float:
    texts = (text for m in messages for text in (m.content, *(call.arguments for call in m.tool_calls)))
    return sum(_PER_MESSAGE + _tokens(text) for text in texts) + sum(
        _of_media(item) for message in messages for item in message.media
    )


def _of_media(media: Media) -> float:
    if media.kind == "image":
        return _PER_PICTURE
    return len(media.data) / _BYTES_PER_TOKEN.get(media.kind, _BYTES_PER_TOKEN.get(media.mime_type, _ASCII_PER_TOKEN))


def _tokens(text: str) -> float:
    others = 0 if text.isascii() else sum(character > "\x7f" for character in text)
    return (len(text) - others) / _ASCII_PER_TOKEN + others
